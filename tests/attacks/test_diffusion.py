"""The plan of diffusion scores: against each score alone, what it costs, and what it does not depend on."""

import dataclasses
import functools
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxaudit
from jaxaudit.attacks.diffusion import TIMESTEPS
from jaxaudit.attacks.predicted_noise import SIMA_TIMESTEPS
from jaxaudit.attacks.registry import get_scores
from jaxaudit.attacks.runner import Scorer
from jaxaudit.attacks.step_by_kind import make_step
from jaxaudit.errors import InputError
from jaxaudit.families import dit
from jaxaudit.runtime.mesh import make_mesh
from jaxaudit_kernels import denoising, draws, gradient_masking
from jaxaudit_kernels.learned_variance import training_losses
from jaxaudit_kernels.noise_optimization import noise_optimization
from jaxaudit_kernels.process import add_noise, denoised, network_input, noise_levels
from jaxaudit_kernels.processes import linear_beta, respace
from tests.tiny import mar_target, var_target
from tests.tiny_diffusion import CONTEXT, FROM_ONE, FROM_ZERO, network, target

B = 7
IDS = [f"train/{i}.png" for i in range(B)]
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(-1, 1, (B, 8, 8, 3)).astype(np.float32)
LATENTS = IMAGES.reshape(B, 4, 2, 4, 2, 3).mean((2, 4))
LABELS = RANDOM.integers(0, 5, B)
CAPTIONS, NO_CAPTION = (
    RANDOM.standard_normal(shape).astype(np.float32) for shape in ((B, *CONTEXT), CONTEXT)
)
ALL = ("all", "arl")
ELSEWHERE = {
    "noise_agg",
    *(f"sima_{t}" for t in SIMA_TIMESTEPS),
    *(f"sima_clean_{t}" for t in SIMA_TIMESTEPS[1:]),
}
"""What `test_newer_scores` checks."""


@functools.cache
def scores(process):
    return jaxaudit.score(target(process=process), IMAGES, LABELS, names=ALL, ids=IDS)


@functools.cache
def noises():
    """Noises [5,B,4,4,3] and random levels [B], as the step draws them."""
    numbers = jnp.array([zlib.crc32(each.encode()) for each in IDS], jnp.uint32)
    keys = draws.image_keys(jax.random.key(0), numbers)
    return draws.noises(keys, 5, (4, 4, 3)), draws.levels(keys, 1, 1, 1000)[0, :, 0]


def model(process, params):
    """The tiny network as a model of the noise."""

    def denoise(z, index, condition):
        x, time = network_input(process, z, index)
        return denoised(process, network(params, x, time, condition), z, index)

    return denoise


@functools.partial(jax.jit, static_argnums=(0, 1), static_argnames=("p", "magnitude", "keep_clean"))
def kernel(function, process, params, *arguments, **options):
    return function(model(process, params), *arguments, **options)


def level(process, t):
    return noise_levels(process, jnp.full(B, t))


def alone(process, params):
    """Every score from its kernel, one after the other."""
    (noise, random), null, found = noises(), jnp.full(B, 5), {}
    latents = jnp.asarray(LATENTS)
    for suffix, shift, magnitude in (
        ("", 0, np.sqrt(2 / np.pi)),
        ("_ref", -int(process.times[0]), np.sqrt(np.pi / 2)),
    ):

        def at(t, shift=shift):
            return level(process, t + shift)

        def loss(t, noise=noise[0], labels=LABELS, at=at):
            return kernel(denoising.denoising_loss, process, params, LATENTS, at(t), labels, noise)

        found["denoising_loss" + suffix] = -sum(loss(100, each) for each in noise) / 5
        chain = jax.tree.map(lambda *x: jnp.stack(x), *map(at, (*range(0, 101, 10), 110, 100)))
        found["secmi" + suffix] = -kernel(denoising.secmi, process, params, LATENTS, chain, LABELS)
        for name, options in (("pia", {}), ("pian", {"magnitude": float(magnitude)})):
            arguments = process, params, LATENTS, at(0), at(200), LABELS
            found[name + suffix] = -kernel(denoising.pia, *arguments, p=5, **options)
        for t in TIMESTEPS:
            found[f"multiple_loss_{t}{suffix}"] = -loss(t)
            arguments = process, params, LATENTS, at(t), LABELS, noise[0]
            error = kernel(gradient_masking.gradient_masking, *arguments, keep_clean=bool(suffix))
            found[f"gradient_masking_{t}{suffix}"] = -error
            if not suffix:
                found[f"clid_{t}"] = loss(t, labels=null) - loss(t)
        z_t, index = add_noise(latents, at(100), noise[0]), at(100).index
        optimum = kernel(noise_optimization, process, params, z_t, index, LABELS, noise[0])
        found["noise_opt_norm" + suffix] = -denoising.norm(optimum.perturbation)
        again = add_noise(z_t + optimum.perturbation, at(100), noise[0])
        renoised = denoising.norm(noise[0] - model(process, params)(again, index, LABELS).eps)
        found["noise_opt_error" + suffix] = -(renoised if suffix else optimum.error)
    z_t = add_noise(latents, noise_levels(process, random), noise[0])
    output = network(params, *network_input(process, z_t, random), LABELS)
    found["unified_loss"] = -training_losses(process, output, latents, random, noise[0])["loss"]
    blurred = np.repeat(np.repeat(LATENTS, 2, 1), 2, 2)
    found["arl"] = -((IMAGES - blurred) ** 2).sum((1, 2, 3))
    return found


@pytest.mark.parametrize(
    "process", [FROM_ZERO, pytest.param(FROM_ONE, marks=pytest.mark.slow)], ids=["from_0", "from_1"]
)
def test_all_scores_together_are_those_of_each_alone(process):
    together = scores(process)
    expected = alone(process, target(process=process).params)
    assert together.keys() - expected.keys() == ELSEWHERE
    for name, values in expected.items():
        np.testing.assert_allclose(together[name], values, rtol=1e-4, atol=2e-5, err_msg=name)


def test_published_timesteps_are_those_of_a_network_that_counts_from_0():
    by_zero, by_one = scores(FROM_ZERO), scores(FROM_ONE)
    for t in TIMESTEPS:
        np.testing.assert_allclose(
            by_zero[f"multiple_loss_{t}_ref"], by_zero[f"multiple_loss_{t}"], rtol=1e-6
        )
    assert not np.isclose(by_one["multiple_loss_100_ref"], by_one["multiple_loss_100"], rtol=1e-6).any()
    pure = denoising.norm(noises()[0][0] - network(target().params, LATENTS, 0, LABELS)[..., :3])
    np.testing.assert_allclose(by_one["multiple_loss_0_ref"], -pure, rtol=1e-5)


@pytest.mark.parametrize(
    "process", [FROM_ZERO, pytest.param(FROM_ONE, marks=pytest.mark.slow)], ids=["from_0", "from_1"]
)
def test_nothing_is_looked_at_twice(process):
    looks = []

    def watch(z, time, condition):
        for row in zip(np.asarray(z), np.asarray(time), np.asarray(condition), strict=True):
            looks.append((row[0].tobytes(), float(row[1]), int(row[2])))

    watched = target(process=process, watch=watch)
    names = [s.name for s in make_step(watched, "all").scores if not s.name.startswith("noise_opt")]
    scorer = Scorer(watched, names, key=jax.random.key(1))
    scorer.submit(IMAGES[:2], LABELS[:2]).result()
    jax.effects_barrier()
    planned = scorer.evaluations()["planned"]
    assert len(set(looks)) == len(looks) == 2 * (planned["forwards"] + planned["gradients"])


def test_a_plan_costs_less_than_half_of_its_scores():
    costs = make_step(target(), "all").evaluations()
    assert costs["planned"].passes <= 0.5 * costs["naive"].passes
    sharing = [s.name for s in make_step(target(), "all").scores if s.name not in (*ELSEWHERE, "clid")]
    costs = make_step(target(process=FROM_ONE), sharing).evaluations()  # published timesteps are others
    assert costs["planned"].passes <= 0.67 * costs["naive"].passes


def test_costs_in_numbers():
    def cost(names, **options):
        return make_step(target(), names, **options).evaluations()["planned"]

    numbers = {"denoising_loss": 5, "secmi": 12, "pia": 2, "multiple_loss_300": 1, "clid_300": 2, "arl": 0}
    for name, forwards in numbers.items():
        assert (cost(name).forwards, cost(name).gradients) == (forwards, 0), name
    assert (cost("gradient_masking_0").forwards, cost("gradient_masking_0").gradients) == (1, 1)
    assert (cost("noise_opt_norm").forwards, cost("noise_opt_norm").gradients) == (0, 6)
    assert cost(["secmi", "pia", "pian"]).forwards == 14  # one f(z, 0)
    together = cost(
        ["multiple_loss_100", "gradient_masking_100", "clid_100", "noise_opt_*", "denoising_loss"]
    )
    assert (together.forwards, together.gradients) == (1 + 1 + 4 + 1, 1 + 5)
    assert cost("all").passes == 98
    assert cost("all", access="gray-box").gradients == 0


def test_flops_are_those_of_the_evaluations():
    scorer = Scorer(target(), ["noise_opt_error", "clid_0"])
    forward = 2 * 16 * 3 * 6
    gradient = 2 * forward  # the linear map and its transpose
    assert scorer.flops_per_image() == 2 * forward + 6 * gradient
    assert Scorer(var_target(), "cond/loss").evaluations() is None


def test_nothing_but_image_id_and_key_matters():
    options = {"names": ALL, "ids": IDS}
    again = jaxaudit.score(target(), IMAGES, LABELS, **options)
    back = jaxaudit.score(target(), IMAGES[::-1], LABELS[::-1], names=ALL, ids=IDS[::-1])
    others, mixed_ids = RANDOM.permutation(IMAGES), [f"other/{i}" for i in range(B)]
    others[4], mixed_ids[4] = IMAGES[4], IDS[4]
    among_others = jaxaudit.score(target(), others, LABELS, names=ALL, ids=mixed_ids)
    other_key = jaxaudit.score(target(), IMAGES, LABELS, key=jax.random.key(1), **options)
    by_place = jaxaudit.score(target(), IMAGES, LABELS, names=ALL)
    for name, values in scores(FROM_ZERO).items():
        np.testing.assert_array_equal(again[name], values)
        np.testing.assert_allclose(back[name][::-1], values, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(among_others[name][4], values[4], rtol=1e-5, atol=1e-6)
        draws_nothing = name.startswith(("secmi", "pia", "arl", "sima_clean"))
        assert np.isclose(other_key[name], values).any() == draws_nothing, name
        assert np.isclose(by_place[name], values).any() == draws_nothing, name


@pytest.mark.parametrize("parallelism", ["jit", pytest.param("pmap", marks=pytest.mark.slow)])
def test_devices_and_padding_do_not_matter(parallelism):
    names = ["noise_opt_norm", "clid_500"]
    scorer = Scorer(target(), names, mesh=make_mesh(8), parallelism=parallelism)
    spread = scorer.submit(IMAGES[:5], LABELS[:5], ids=IDS[:5], padded_size=16).result()
    for name, values in spread.items():
        np.testing.assert_allclose(values, scores(FROM_ZERO)[name][:5], rtol=1e-5, atol=1e-5, err_msg=name)


def test_latents_and_noise_may_be_given():
    names = ["multiple_loss_100", "denoising_loss", "gradient_masking_300"]
    given = functools.partial(jaxaudit.score, target(), labels=LABELS, names=names, ids=IDS)
    drawn = noises()[0]
    for values in (given(latents=LATENTS), given(IMAGES, noise=drawn), given(latents=LATENTS, noise=drawn)):
        for name in names:
            np.testing.assert_allclose(values[name], scores(FROM_ZERO)[name], rtol=1e-5)
    one = given(latents=LATENTS, noise=drawn[0])
    np.testing.assert_allclose(one["denoising_loss"], one["multiple_loss_100"], rtol=1e-6)
    np.testing.assert_allclose(one["multiple_loss_100"], scores(FROM_ZERO)["multiple_loss_100"], rtol=1e-5)


def test_the_label_saves_nothing_where_it_says_nothing():
    zero = jnp.zeros_like(target().params["generator"]["labels"])
    blank = dataclasses.replace(
        target(), params={"generator": target().params["generator"] | {"labels": zero}}
    )
    for values in jaxaudit.score(blank, IMAGES, LABELS, names="clid_*").values():
        np.testing.assert_array_equal(values, 0)
    nulls = jaxaudit.score(target(), IMAGES, np.full(B, 5), names="clid_*")
    assert not any(map(np.any, nulls.values()))


def test_captions():
    captioned = target("captions")
    score = functools.partial(jaxaudit.score, captioned, IMAGES, CAPTIONS, ids=IDS)
    values = score(names=["multiple_loss_300", "clid_300"], null_context=NO_CAPTION)
    arguments = denoising.denoising_loss, FROM_ZERO, captioned.params, LATENTS, level(FROM_ZERO, 300)
    cond, null = (
        kernel(*arguments, each, noises()[0][0])
        for each in (CAPTIONS, np.broadcast_to(NO_CAPTION, CAPTIONS.shape))
    )
    np.testing.assert_allclose(values["multiple_loss_300"], -cond, rtol=1e-5)
    np.testing.assert_allclose(values["clid_300"], null - cond, rtol=1e-4, atol=1e-5)
    assert not any("clid" in s.name for s in make_step(captioned, "all").scores)
    with pytest.raises(InputError, match="clid_300 cannot be had: tiny reads captions, and null_context"):
        score(names="clid_300")


def test_unconditional_models():
    free = target("nothing")
    values = jaxaudit.score(free, IMAGES, names=["multiple_loss_100", "secmi"])
    assert all(np.isfinite(each).all() for each in values.values())
    with_labels, without = (make_step(each, "default").scores for each in (target(), free))
    assert len(without) == len(with_labels) - 11
    with pytest.raises(InputError, match="Score clid_0 cannot be had: tiny is unconditional"):
        make_step(free, "clid_*")


def test_models_that_never_had_hidden_tokens_have_no_masked_gap():
    assert not any("masked_gap" in s.name for s in make_step(target(), "all").scores)
    with pytest.raises(InputError, match="masked_gap_300 cannot be had: tiny was not trained with hidden"):
        make_step(target(), "masked_gap_300")


def test_who_may_not_see_gradients_gets_no_score_of_them():
    everything, gray = make_step(target(), "all"), make_step(target(), "all", access="gray-box")
    left_out = {s.name for s in everything.scores} - {s.name for s in gray.scores}
    assert left_out == {s.name for s in everything.scores if s.access == "white-box"}
    assert len(left_out) == 24
    with pytest.raises(InputError, match="gradient_masking_0 cannot be had: it needs the model's gradients"):
        make_step(target(), ["secmi", "gradient_masking_*"], access="gray-box")


def test_the_autoencoders_error_is_asked_for_by_name():
    for names in ("all", "default", "*"):
        assert "arl" not in {s.name for s in get_scores(names, kind="diffusion")}
    with pytest.raises(InputError, match="Unknown score of a diffusion target 'a\\*'"):
        get_scores("a*", kind="diffusion")
    (arl,) = get_scores("arl", kind="diffusion")
    assert "training set is the generator's" in arl.description
    config = {"generator": {"latent_size": 8, "latent_channels": 3, "depth": 1, "width": 8, "num_heads": 1}}
    pixels = dit.build_target("pixels", config | {"tokenizer": None}, {}, target().preprocessing, {})
    with pytest.raises(InputError, match="arl cannot be had: pixels has no autoencoder"):
        make_step(pixels, "arl")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": None}, "Give images, or latents in their place"),
        ({"latents": LATENTS}, "Give images, or latents in their place"),
        ({"images": IMAGES[:, 1:]}, r"Images of shape \(7, 7, 8, 3\) do not fit; expected \[B,8,8,3\]"),
        ({"images": None, "latents": LATENTS[..., :2]}, r"expected \[B,4,4,3\]"),
        ({"labels": None}, r"Labels of shape \(\) do not fit 7 images"),
        ({"labels": np.full(B, 6)}, r"Label 6 is out of range: the target has classes 0\.\.4"),
        ({"noise": LATENTS[:3]}, r"expected \[7,4,4,3\] or \[R,7,4,4,3\]"),
        ({"noise": LATENTS[None, :3]}, r"expected \[7,4,4,3\] or \[R,7,4,4,3\]"),
        (
            {"null_context": NO_CAPTION},
            r"null_context of shape \(2, 3\) does not fit: .* on 5 classes",
        ),
        ({"ids": IDS[:2]}, "2 ids do not fit 7 images"),
        (
            {"images": None, "latents": LATENTS, "names": "arl"},
            "arl is measured on images; latents are not enough",
        ),
    ],
)
def test_arguments_that_do_not_fit(arguments, message, unchecked):
    arguments = {"images": IMAGES, "labels": LABELS, "names": "multiple_loss_100"} | arguments
    with pytest.raises(InputError, match=message):
        jaxaudit.score(target(), **arguments)


def test_conditions_that_do_not_fit():
    with pytest.raises(InputError, match=r"tiny is conditioned on embeddings of captions \[2,3\].*\(7,\)"):
        jaxaudit.score(target("captions"), IMAGES, LABELS, names="secmi")
    with pytest.raises(InputError, match="tiny is unconditional: labels must be None"):
        jaxaudit.score(target("nothing"), IMAGES, LABELS, names="secmi")


def test_what_other_kinds_of_target_do_not_take():
    with pytest.raises(InputError, match="has discrete tokens and no latents"):
        jaxaudit.score(var_target(), None, LABELS, latents=LATENTS)
    with pytest.raises(InputError, match="is no diffusion model: noise cannot be given"):
        jaxaudit.score(mar_target(), IMAGES, LABELS, noise=LATENTS)


def test_targets_that_do_not_fit():
    short = dataclasses.replace(target(), process=respace(linear_beta(), 99))
    with pytest.raises(InputError, match="tiny has 99 noise levels; scores need 100, to tell their"):
        make_step(short, "secmi")
    make_step(dataclasses.replace(target(), process=respace(linear_beta(), 100)), "secmi")
