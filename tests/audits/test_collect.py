import dataclasses

import jax
import numpy as np
import pytest

import jaxaudit
from jaxaudit.attacks.continuous import MaskedLossConfig
from jaxaudit.attacks.prada import COND_KNOTS, GAIN_KNOTS
from jaxaudit.attacks.runner import PendingScores
from jaxaudit.audits import collect
from jaxaudit.audits.collect import CollectConfig, collect_evidence, compile_step, prepare
from jaxaudit.data import open_source, preprocess
from jaxaudit.errors import InputError
from jaxaudit.runtime.mesh import make_mesh
from jaxaudit.runtime.placement import Placement
from tests import tiny, tiny_diffusion
from tests.tiny import MAR_OPTIONS, MAR_SCORES, mar_target, var_target

CONFIG = CollectConfig(scores=("cond/loss", "diff/zlib", "diff/icas"), placement=Placement(8), shard_size=16)
CONTINUOUS = CollectConfig(scores=MAR_SCORES, options=MAR_OPTIONS, placement=Placement(8), shard_size=16)


def collected(
    directory, config=CONFIG, nonmembers="digits:nonmembers[:20]", *, make_target=var_target, **options
):
    return collect_evidence(
        make_target(),
        open_source("digits:members[:40]"),
        open_source(nonmembers),
        directory,
        config,
        **options,
    )


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    return collected(tmp_path_factory.mktemp("evidence"))


@pytest.fixture(scope="module")
def continuous(tmp_path_factory):
    return collected(tmp_path_factory.mktemp("continuous"), CONTINUOUS, make_target=mar_target)


def test_rows_hold_the_scores_of_their_pictures(evidence):
    table = evidence.read("members")
    source = open_source("digits:members[:40]")
    assert list(table.sample_ids) == list(source.ids)
    np.testing.assert_array_equal(table.labels, source.labels)
    images = np.stack([preprocess(source.load(i).image, var_target().preprocessing) for i in range(40)])
    expected = jaxaudit.score(var_target(), images, table.labels, names=CONFIG.scores)
    assert list(table.scores) == list(CONFIG.scores)
    for name, values in expected.items():
        np.testing.assert_allclose(table.scores[name], values, atol=1e-5)
    assert len(evidence.read("nonmembers")) == 20


def test_stochastic_scores_follow_from_seed_and_sample_id(continuous):
    table = continuous.read("members")
    source = open_source("digits:members[:40]")
    rows = [3, 17, 30]
    images = np.stack([preprocess(source.load(i).image, mar_target().preprocessing) for i in rows])
    key, mesh = jax.random.key(CONTINUOUS.seed), make_mesh()
    scorer = collect.Scorer(mar_target(), MAR_SCORES, key=key, options=MAR_OPTIONS, mesh=mesh)
    expected = scorer.submit(images, table.labels[rows], ids=table.sample_ids[rows], padded_size=8)
    assert list(table.scores) == list(MAR_SCORES)
    for name, values in expected.result().items():
        np.testing.assert_allclose(table.scores[name][rows], values, rtol=1e-5)
    assert continuous.request["options"] == {"mask_ratio": 0.86, "timestep": 300, "num_noises": 3}
    assert continuous.request["main_view"] == "cond"


def test_other_options_are_another_request(continuous):
    other = dataclasses.replace(CONTINUOUS, options=MaskedLossConfig(0.86, "random", 3))
    with pytest.raises(InputError, match=r"options.timestep is 300, now \"random\""):
        collected(continuous.directory, other, make_target=mar_target)
    with pytest.raises(InputError, match="do not apply to tiny: its tokens are discrete"):
        collected(continuous.directory, CONTINUOUS)


def test_fitted_scores_leave_their_features(tmp_path, evidence):
    config = dataclasses.replace(CONFIG, scores=("diff/prada", "cond/loss"))
    table = collected(tmp_path, config).read("nonmembers")
    assert list(table.scores) == ["cond/loss"]
    assert table.features.keys() == {"diff/prada"}
    features = table.features["diff/prada"]
    assert features.shape == (20, 3 * (len(COND_KNOTS) + len(GAIN_KNOTS)))
    np.testing.assert_allclose(features.sum(1), 6, rtol=1e-5)  # in 3 scales two partitions of unity


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    ("make_target", "config"),
    [
        (var_target, CONFIG),
        (var_target, dataclasses.replace(CONFIG, placement=Placement(5, 1))),
        (mar_target, dataclasses.replace(CONTINUOUS, placement=Placement(11, 1))),
    ],
)
def test_a_killed_run_is_finished_by_the_next(tmp_path, request, monkeypatch, make_target, config):
    evidence = request.getfixturevalue("evidence" if make_target is var_target else "continuous")
    request_config = CONFIG if make_target is var_target else CONTINUOUS

    def kill(done, total, what):
        if not what.startswith("Scoring"):
            return
        assert total == 60
        if done > 16:
            raise Killed

    with pytest.raises(Killed):
        collected(tmp_path, request_config, make_target=make_target, progress=kill)
    kept = {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")}
    assert list(kept) == ["members-00000-of-00003.parquet"]
    scored = []
    score = collect.score_rows
    monkeypatch.setattr(collect, "score_rows", lambda *given: scored.append(given[2]) or score(*given))
    resumed = collected(tmp_path, config, make_target=make_target)
    assert kept.items() <= {path.name: path.read_bytes() for path in tmp_path.glob("*.parquet")}.items()
    assert len(scored) == 4
    for split in ("members", "nonmembers"):
        ours, whole = resumed.read(split), evidence.read(split)
        assert list(ours.sample_ids) == list(whole.sample_ids)
        for name in config.scores:
            np.testing.assert_allclose(ours.scores[name], whole.scores[name], atol=1e-5)


def test_a_resumed_run_with_the_same_devices_writes_the_same_bytes(tmp_path, evidence):
    collected(tmp_path)
    (tmp_path / "members-00001-of-00003.parquet").unlink()
    collected(tmp_path)
    for path in evidence.directory.glob("*.parquet"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_another_request_is_refused(evidence):
    with pytest.raises(InputError, match=r"seed is 0, now 1"):
        collected(evidence.directory, dataclasses.replace(CONFIG, seed=1))


def test_a_picture_on_both_sides_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"share 5 pictures with identical pixels"):
        collected(tmp_path / "new", nonmembers="digits:members[35:60]")
    assert not (tmp_path / "new").exists()


def test_a_draw_is_seeded_and_keeps_the_order(tmp_path):
    ids = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        config = dataclasses.replace(CONFIG, num_samples=12, seed=seed)
        ids.append(list(collected(tmp_path / name, config).read("members").sample_ids))
    assert len(ids[0]) == 12
    assert ids[0] == ids[1] == sorted(ids[0])
    assert ids[0] != ids[2]


def test_scores_that_are_not_finite_are_named(tmp_path, monkeypatch):
    score_names = ("diff/icas",)
    config = dataclasses.replace(CONFIG, scores=score_names)
    submit = collect.Scorer.submit

    class Broken(PendingScores):
        def result(self):
            scores = super().result()
            scores["diff/icas"] = scores["diff/icas"].copy()
            scores["diff/icas"][3] = np.nan
            return scores

    def broken(*args, **options):
        pending = submit(*args, **options)
        return Broken(pending._plan, pending._pending)

    monkeypatch.setattr(collect.Scorer, "submit", broken)
    words = r"Score diff/icas is not finite for 2 of 16 samples, first 'digits/.*'; leave it out"
    with pytest.raises(InputError, match=words):
        collected(tmp_path, config)
    assert not list(tmp_path.glob("*.parquet"))


DIFFUSION = CollectConfig(
    scores=("secmi*", "multiple_loss_?00*", "clid_0"), placement=Placement(8), shard_size=16
)


def test_diffusion_models(tmp_path):
    def make_target():
        return dataclasses.replace(tiny_diffusion.target(), num_classes=10, params=params)

    generator = tiny_diffusion.target().params["generator"]
    params = {"generator": generator | {"labels": np.resize(generator["labels"], (11, 6))}}
    evidence = collected(tmp_path / "labels", DIFFUSION, make_target=make_target)
    table, source = evidence.read("members"), open_source("digits:members[:40]")
    rows = [3, 17]
    images = np.stack([preprocess(source.load(i).image, make_target().preprocessing) for i in rows])
    options = {"names": DIFFUSION.scores, "ids": table.sample_ids[rows], "key": jax.random.key(0)}
    expected = jaxaudit.score(make_target(), images, table.labels[rows], **options)
    assert list(table.scores) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(table.scores[name][rows], values, rtol=1e-4, atol=1e-5)
    assert evidence.request["main_view"] == ""
    assert evidence.run["evaluations_per_image"]["planned"]["forwards"] == 12 + 9 + 2
    assert evidence.run["evaluations_per_image"]["naive"]["forwards"] == 2 * 12 + 2 * 9 + 2


def test_unconditional_models_are_audited_whatever_the_labels(tmp_path):
    evidence = collected(
        tmp_path,
        dataclasses.replace(DIFFUSION, scores=("secmi",)),
        make_target=lambda: tiny_diffusion.target("nothing"),
    )
    assert np.isfinite(evidence.read("members").scores["secmi"]).all()
    assert not evidence.read("members").labels.any()


CAPTIONS = dataclasses.replace(DIFFUSION, scores=("multiple_loss_300", "clid_300"))


@pytest.fixture(scope="module")
def captioned(tmp_path_factory):
    """Members, nonmembers, and the evidence of a model of captions about them."""
    folder = tmp_path_factory.mktemp("captioned")
    sources = [
        tiny.save_captioned(folder / f"{name}.npz", f"digits:{name}[:20]")
        for name in ("members", "nonmembers")
    ]
    return *sources, collect_evidence(tiny.captioned_target(), *sources, folder / "evidence", CAPTIONS)


def test_models_of_captions_are_told_them(captioned):
    source, _, evidence = captioned
    target, table, rows = tiny.captioned_target(), evidence.read("members"), [3, 17]
    images = np.stack([preprocess(source.load(i).image, target.preprocessing) for i in rows])
    contexts = np.stack([source.load(i).embedding for i in rows])
    given = {"names": CAPTIONS.scores, "ids": table.sample_ids[rows], "null_context": tiny.embed([""])[0]}
    expected = jaxaudit.score(target, images, contexts, **given)
    assert list(table.scores) == ["multiple_loss_300", "clid_300"]
    for name, values in expected.items():
        np.testing.assert_allclose(table.scores[name][rows], values, rtol=1e-4, atol=1e-5)
    swapped = jaxaudit.score(target, images, contexts[::-1], **given)
    assert not np.allclose(swapped["multiple_loss_300"], expected["multiple_loss_300"], rtol=1e-3)


def test_other_captions_are_another_request(captioned, tmp_path):
    members, nonmembers, evidence = captioned
    other = tiny.save_captioned(
        tmp_path / "members.npz", "digits:members[:20]", embed=lambda captions: tiny.embed(captions) + 1e-3
    )
    other = dataclasses.replace(other, spec=members.spec)
    assert other.fingerprint == members.fingerprint
    others = [
        dataclasses.replace(each, embeddings=dataclasses.replace(each.embeddings, null=None))
        for each in (other, nonmembers)
    ]
    config = dataclasses.replace(CAPTIONS, scores=("multiple_loss_300",))
    kept = collect_evidence(tiny.captioned_target(), *others, tmp_path / "evidence", config)
    assert kept.request["nonmembers"] == evidence.request["nonmembers"]
    assert kept.request["members"] != evidence.request["members"]
    with pytest.raises(InputError, match=r"members.conditions differ"):
        collect_evidence(tiny.captioned_target(), members, nonmembers, tmp_path / "evidence", config)


def test_without_the_empty_caption_there_is_no_unconditional_view(captioned, tmp_path):
    sources = [
        dataclasses.replace(each, embeddings=dataclasses.replace(each.embeddings, null=None))
        for each in captioned[:2]
    ]
    with pytest.raises(InputError, match="clid_300 cannot be had: .* null_embedding"):
        collect_evidence(tiny.captioned_target(), *sources, tmp_path, CAPTIONS)


def test_sources_without_captions_are_refused_before_scoring(tmp_path):
    bare = dataclasses.replace(open_source("digits:members[:40]"), captions={})
    with pytest.raises(InputError, match=r"digits:members\[:40\] has no captions, but the target is cond"):
        collect_evidence(tiny.captioned_target(), bare, bare, tmp_path / "evidence", CAPTIONS)
    text = tiny.save_captioned(tmp_path / "text.npz", "digits:members[:20]", embed=None)
    with pytest.raises(InputError, match=r"text.npz has captions as text, .* has no text encoder"):
        collect_evidence(tiny.captioned_target(), text, text, tmp_path / "evidence", CAPTIONS)
    assert not (tmp_path / "evidence").exists()


def test_text_is_enough_where_the_target_embeds_it(captioned, tmp_path):
    evidence = captioned[2]
    target = dataclasses.replace(tiny.captioned_target(), embed_captions=tiny.embed)
    sources = [
        tiny.save_captioned(tmp_path / f"{name}.npz", f"digits:{name}[:20]", embed=None)
        for name in ("members", "nonmembers")
    ]
    found = collect_evidence(target, *sources, tmp_path / "evidence", CAPTIONS)
    for split in ("members", "nonmembers"):
        for name, values in evidence.read(split).scores.items():
            np.testing.assert_allclose(found.read(split).scores[name], values, rtol=1e-5, atol=1e-6)


def test_without_gradients(tmp_path):
    config = dataclasses.replace(DIFFUSION, scores=("gradient_masking_0",), access="gray-box")
    with pytest.raises(InputError, match="gradient_masking_0 cannot be had: it needs the model's gradients"):
        collected(tmp_path, config, make_target=lambda: tiny_diffusion.target("nothing"))


def test_what_is_compiled_alone_is_what_scoring_runs():
    sides = open_source("digits:members[:20]"), open_source("digits:nonmembers[:20]")
    compiled = compile_step(var_target(), *sides, CONFIG)
    assert compiled.memory > compiled.arguments > 0
    scorer = prepare(var_target(), *sides, CONFIG).scorer
    jax.clear_caches()
    events = []
    jax.monitoring.register_event_listener(listener := lambda event, **_: events.append(event))
    scorer.submit(np.zeros((3, 8, 8, 3), np.float32), np.zeros(3, np.int32), padded_size=8).result()
    jax.monitoring.unregister_event_listener(listener)
    assert "/jax/compilation_cache/cache_hits" in events  # conftest gives the run a folder
    assert "/jax/compilation_cache/cache_misses" not in events
