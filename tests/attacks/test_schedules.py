"""The sixteen walks against a slow loop, against each other and against the losses the house has already."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxaudit.attacks import schedule_attack
from jaxaudit.attacks.runner import score
from jaxaudit.attacks.schedule_attack import ScheduleAttack
from jaxaudit.attacks.schedules import ALL_NOISE, BASELINE, GENERATION, SCHEDULES, SIXTEEN, Schedule
from jaxaudit.errors import InputError
from jaxaudit_kernels import draws
from jaxaudit_kernels.process import Process
from jaxaudit_kernels.processes import linear_flow, scaled_linear_beta
from tests import tiny, tiny_diffusion

KEY = jax.random.key(3)
IDS = ["a", "b", "c"]
NULL = np.zeros(tiny_diffusion.CONTEXT, np.float32)
V_PREDICTION = scaled_linear_beta(predicts="v")
FLOW = linear_flow()


def pictures(count=3, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, 8, 8, 3)).astype(np.float32)


def condition(kind, count=3):
    if kind == "captions":
        return np.random.default_rng(1).standard_normal((count, *tiny_diffusion.CONTEXT)).astype(np.float32)
    return np.arange(count) % 5 if kind == "labels" else None


def walk(target, told, schedules, monkeypatch, *, num_noises=1, null=None):
    """{"name/error": [B,S]} of any schedules."""
    monkeypatch.setattr(schedule_attack, "SCHEDULES", schedules)
    attack = ScheduleAttack(target, tuple(schedules), num_noises=num_noises, key=KEY, null_context=null)
    return attack.submit(pictures(), told, ids=IDS).result()


def as_it_is_written(target, told, null, schedule, noise, jolts):
    """The errors [3,B,S] of a schedule that is not fresh and adds no noise to captions, step by step."""
    z, x, share = np.asarray(target.encode(pictures()), np.float64), pictures(), target.process.alphas_cumprod
    start = 0.0 if schedule.noised[0] == ALL_NOISE else share[target.process.level(schedule.noised[0])]
    z_t, found = np.sqrt(start) * z + np.sqrt(1 - start) * noise, []
    for i, t in enumerate(schedule.times):
        level = target.process.level(t)
        if schedule.jolt and schedule.jolt[0] == t:
            z_t = z_t + schedule.jolt[1] * jolts
        seen = np.asarray(target.predict_noise(z_t.astype(np.float32), level, told), np.float64)
        if schedule.guidance is not None:
            without = np.asarray(target.predict_noise(z_t.astype(np.float32), level, null), np.float64)
            seen = without + schedule.guidance * (seen - without)
        clean = (z_t - np.sqrt(1 - share[level]) * seen) / np.sqrt(share[level])
        decoded = np.asarray(target.decode(clean.astype(np.float32)))
        found.append([((a - b) ** 2).sum((1, 2, 3)) for a, b in ((noise, seen), (z, clean), (x, decoded))])
        if i + 1 < len(schedule.times):
            after = share[target.process.level(schedule.times[i + 1])]
            z_t = np.sqrt(after) * clean + np.sqrt(1 - after) * seen
    return np.moveaxis(np.array(found), 0, 2)


@pytest.mark.parametrize(
    ("kind", "process", "names"),
    [("captions", V_PREDICTION, ("3", "7", "13", "16", GENERATION)), ("labels", FLOW, ("7", "16"))],
)
def test_the_scan_is_the_loop(kind, process, names, monkeypatch):
    target, told = tiny_diffusion.target(kind, process), condition(kind)
    null = np.broadcast_to(NULL, told.shape) if kind == "captions" else np.full(3, target.null_label)
    keys = draws.image_keys(KEY, draws.id_numbers(IDS))
    noise = np.asarray(draws.noises(keys, 1, target.latent_shape)[0])
    at_170 = _folded(_folded(keys, SIXTEEN["3"].times.index(170)), 0)
    jolts = np.asarray(draws.noises(at_170, 1, target.latent_shape)[0])
    schedules = {name: SCHEDULES[name] for name in names}
    found = walk(target, told, schedules, monkeypatch, null=NULL if kind == "captions" else None)
    for name, schedule in schedules.items():
        expected = as_it_is_written(target, told, null, schedule, noise, jolts)
        for error, row in zip(("model", "latent", "pixel"), expected, strict=True):
            np.testing.assert_allclose(found[f"{name}/{error}"], -row, rtol=2e-3)


def _folded(keys, value):
    return jax.vmap(jax.random.fold_in, (0, None))(keys, value)


def test_walks_that_are_no_walks_are_the_losses_of_the_house(monkeypatch):
    target = tiny_diffusion.target()
    times = (0, 100, 300, 900)
    walked = walk(
        target,
        condition("labels"),
        {str(t): Schedule((t,), (t,), guidance=None, fresh=True) for t in times}
        | {"many": Schedule(times, times, guidance=None, fresh=True), BASELINE: SCHEDULES[BASELINE]},
        monkeypatch,
    )
    names = [f"multiple_loss_{t}" for t in times]
    known = score(target, pictures(), condition("labels"), names=names, key=KEY, ids=IDS)
    for t in times:
        norm = known[f"multiple_loss_{t}"]
        np.testing.assert_allclose(walked[f"{t}/model"][:, 0], -(norm**2), rtol=1e-5)
    np.testing.assert_array_equal(walked["many/model"][:, 0], walked["0/model"][:, 0])
    np.testing.assert_array_equal(walked[f"{BASELINE}/model"], walked["100/model"])


def test_relations_of_the_table_hold(monkeypatch):
    differ = {("10", "13"): "guidance", ("12", "15"): "guidance", ("7", "14"): {"fresh", "noised"}}
    for (one, other), fields in differ.items():
        first, second = (dataclasses.asdict(SIXTEEN[name]) for name in (one, other))
        assert {field for field in first if first[field] != second[field]} == (
            {fields} if isinstance(fields, str) else fields
        )
    target, told = tiny_diffusion.target(), condition("labels")
    plain = {
        **{name: SIXTEEN[name] for name in ("2", "7", "14")},
        **{name: dataclasses.replace(SIXTEEN[name], guidance=None) for name in ("10", "12", "15")},
        "13": SIXTEEN["13"],
    }
    found = walk(target, told, plain, monkeypatch, num_noises=2)
    share = target.process.alphas_cumprod[np.array([target.process.level(t) for t in SIXTEEN["2"].times])]
    np.testing.assert_allclose(found["2/latent"], found["2/model"] * (1 - share) / share, rtol=1e-3)
    for error in ("model", "latent", "pixel"):
        np.testing.assert_allclose(found[f"10/{error}"], found[f"13/{error}"], rtol=1e-5)
        np.testing.assert_allclose(found[f"12/{error}"], found[f"15/{error}"], rtol=1e-5)
        np.testing.assert_allclose(found[f"7/{error}"][:, 0], found[f"14/{error}"][:, 0], rtol=1e-5)
        assert not np.allclose(found[f"7/{error}"][:, 1:], found[f"14/{error}"][:, 1:], rtol=0.01)


def test_488_passes_under_a_noise_and_2440_under_five():
    assert sum(schedule.passes for schedule in SIXTEEN.values()) == 488
    assert SCHEDULES[BASELINE].passes == 1
    assert SCHEDULES[GENERATION].passes == 100


def test_the_network_is_asked_as_often_as_is_counted():
    asked = []
    target = tiny_diffusion.target(watch=lambda x, time, condition: asked.append(len(x)))
    attack = ScheduleAttack(target, ["11", "13"], num_noises=3, key=KEY)
    attack.submit(pictures(8), np.arange(8) % 5).result()
    jax.effects_barrier()
    assert sum(asked) == 8 * 3 * (SCHEDULES["11"].passes + SCHEDULES["13"].passes)


def test_noise_in_the_caption_is_the_only_difference_of_4_and_an_image_is_walked_alike_alone(monkeypatch):
    target, told = tiny_diffusion.target("captions"), condition("captions")
    quiet = {
        "1": SIXTEEN["1"],
        "4": dataclasses.replace(SIXTEEN["4"], text_noise=1e-9),
        "5": SIXTEEN["5"],
        "14": SIXTEEN["14"],
    }
    found = walk(target, told, quiet, monkeypatch, null=NULL)
    np.testing.assert_allclose(found["4/latent"], found["1/latent"], rtol=1e-4)
    assert not np.allclose(found["5/latent"], found["1/latent"], rtol=1e-2)
    attack = ScheduleAttack(target, tuple(quiet), num_noises=1, key=KEY, null_context=NULL)
    alone = attack.submit(pictures()[2:], told[2:], ids=IDS[2:], padded_size=3).result()
    for name, values in found.items():
        np.testing.assert_allclose(alone[name][0], values[2], rtol=1e-5)


def test_says_what_cannot_be_walked_and_why():
    with_classes = ScheduleAttack(tiny_diffusion.target())
    assert set(with_classes.omitted) == {"4", "5", "8", "low_rank"}
    assert "tiny is told one of 5 classes" in with_classes.omitted["4"]
    alone = ScheduleAttack(tiny_diffusion.target("nothing"))
    assert set(alone.schedules) == {"13", BASELINE}
    assert alone.omitted["1"] == "tiny has no condition to guide by"
    with pytest.raises(InputError, match="No schedule is left: 1, because tiny reads captions"):
        ScheduleAttack(tiny_diffusion.target("captions"), ["1"])
    with pytest.raises(InputError, match="Unknown schedule '17'"):
        ScheduleAttack(tiny_diffusion.target(), ["17"])
    with pytest.raises(InputError, match="is a discrete target"):
        ScheduleAttack(tiny.var_target())
    short = Process(signal=np.linspace(0.9, 0.1, 50), spread=np.linspace(0.1, 0.9, 50), times=np.arange(50))
    with pytest.raises(InputError, match="has 50 noise levels"):
        ScheduleAttack(tiny_diffusion.target(process=short))
