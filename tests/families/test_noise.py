import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaudit import checkpoint
from jaxaudit.attacks.mitigation import add_output_noise, add_told_noise, noisy_config
from jaxaudit.attacks.runner import Scorer
from jaxaudit.errors import InputError
from jaxaudit.families import get_family
from jaxaudit.families.noise import OutputNoise, noisy_latents
from jaxaudit.targets import ContinuousFunctions
from tests import tiny, tiny_diffusion

STD = 0.7
TARGETS = {"var": tiny.var_target, "rar": tiny.rar_target}


@pytest.fixture(scope="module", params=TARGETS)
def pair(request):
    target = TARGETS[request.param]()
    return target, add_output_noise(target, STD)


@pytest.fixture(scope="module")
def questions():
    rng = np.random.default_rng(0)
    return rng.integers(0, 10, 6)


def random_tokens(target):
    return np.random.default_rng(1).integers(0, target.vocab_size, (6, target.num_tokens))


def test_logits_have_independent_noise_of_that_size(pair, questions):
    target, noisy = pair
    tokens = random_tokens(target)
    noise = np.asarray(noisy.logits(tokens, questions) - target.logits(tokens, questions))
    assert abs(noise.std() / STD - 1) < 0.05
    assert abs(noise.mean()) < 4 * STD / np.sqrt(noise.size)
    null = np.full_like(questions, target.null_label)
    other = np.asarray(noisy.logits(tokens, null) - target.logits(tokens, null))
    assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(noise.size)


def test_equal_questions_get_equal_answers_in_any_batch(pair, questions):
    target, noisy = pair
    tokens = random_tokens(target)
    whole = np.asarray(noisy.logits(tokens, questions))
    np.testing.assert_array_equal(whole, noisy.logits(tokens, questions))
    np.testing.assert_allclose(whole[::-1], noisy.logits(tokens[::-1], questions[::-1]), atol=1e-6)
    np.testing.assert_allclose(whole[2:3], noisy.logits(tokens[2:3], questions[2:3]), atol=1e-6)


def test_greedy_generation_follows_the_noisy_logits_of_teacher_forcing(pair, questions):
    target, noisy = pair
    tokens = random_tokens(target)
    completed = np.asarray(noisy.complete(tokens, questions, 1))
    kept = target.tokens_per_step[0]
    np.testing.assert_array_equal(completed[:, :kept], tokens[:, :kept])
    predicted = np.asarray(noisy.logits(completed, questions)).argmax(-1)
    np.testing.assert_array_equal(completed[:, kept:], predicted[:, kept:])
    without = np.asarray(target.logits(completed, questions)).argmax(-1)
    assert (without[:, kept:] != predicted[:, kept:]).mean() > 0.1


def test_a_noisy_target_is_saved_with_its_config(pair, questions, tmp_path):
    target, noisy = pair
    config = {"var": tiny.VAR_CONFIG, "rar": tiny.RAR_CONFIG}[target.family]
    saved = [
        checkpoint.save_target(
            tmp_path / name,
            family=target.family,
            config=config,
            params=noisy.params,
            preprocessing=target.preprocessing,
            provenance={},
        )
        for name, config in (("plain", config), ("noisy", noisy_config(config, STD)))
    ]
    assert saved[0]["fingerprint"] != saved[1]["fingerprint"]
    tokens = random_tokens(target)
    again = checkpoint.load_target(tmp_path / "noisy")
    np.testing.assert_array_equal(again.logits(tokens, questions), noisy.logits(tokens, questions))


# A model over continuous tokens that generates the true tokens and has no loss: what is left is the noise.
def unasked(*inputs):
    raise NotImplementedError("noise is on answers alone")


SILENT = ContinuousFunctions(
    encode=unasked,
    decode=unasked,
    conditions=lambda params, latents, labels, hidden: jnp.zeros((*hidden.shape, 3)),
    head_losses=lambda params, z, latents, timestep, noise: {
        name: jnp.zeros((len(noise), *z.shape[:2])) for name in ("mse", "vb", "loss")
    },
    sample=lambda params, z, key: 0 * z,
    activations=unasked,
    complete=lambda params, latents, labels, prefix, order, key: latents,
)
LATENT_STEPS = (1, 3, 12)


def test_losses_of_continuous_tokens_are_raised_and_differ_by_label():
    noisy = noisy_latents(SILENT, OutputNoise(STD), LATENT_STEPS)
    noise = jax.random.normal(jax.random.key(0), (2, 50, 12, 4))
    hidden = jnp.broadcast_to(jnp.arange(12), (50, 12))

    def losses(labels):
        z = noisy.conditions(None, noise[0], labels, hidden)
        return noisy.head_losses(None, z, noise[0], jnp.int32(300), noise)

    labels = jnp.arange(50) % 10
    first = losses(labels)
    raised = np.asarray(first["loss"][0])
    assert (raised > 0).all()
    assert abs(np.sqrt(np.mean(raised**2)) / STD - 1) < 0.1
    assert not np.any(first["mse"])
    np.testing.assert_array_equal(first["loss"], losses(labels)["loss"])
    other = np.asarray(losses(jnp.full(50, 10))["loss"][0])
    assert abs(np.corrcoef(raised.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(raised.size)


def test_generated_continuous_tokens_have_noise_and_given_ones_have_none():
    noisy = noisy_latents(SILENT, OutputNoise(STD), LATENT_STEPS)
    latents = jnp.ones((50, 16, 4))
    order = jnp.broadcast_to(jnp.arange(16)[::-1], (50, 16))
    keys = jax.random.split(jax.random.key(0), 50)
    labels = jnp.zeros(50, jnp.int32)
    noise = np.asarray(noisy.complete(None, latents, labels, 2, order, keys)) - 1
    assert not noise[:, 12:].any()
    assert abs(noise[:, :12].std() / STD - 1) < 0.1
    np.testing.assert_array_equal(
        noise[3:4] + 1, noisy.complete(None, latents[3:4], labels[:1], 2, order[3:4], keys[3:4])
    )
    z = noisy.conditions(None, latents, labels, jnp.zeros((50, 6), jnp.int32))
    drawn = np.asarray(noisy.sample(None, z, keys))
    assert drawn.shape == (50, 6, 3)
    assert abs(drawn.std() / STD - 1) < 0.1


def test_a_model_over_continuous_tokens_is_made_noisy_by_its_config():
    target = tiny.mar_target()
    config = noisy_config(tiny.MAR_CONFIG, STD, seed=3)
    noisy = get_family("mar").build_target("tiny", config, target.params, target.preprocessing, {})
    assert noisy.functions is add_output_noise(target, STD, seed=3).functions
    assert noisy.functions is not target.functions


@pytest.mark.parametrize("noise", [{"std": 0.0}, {"std": -1.0}, {"standard": 1.0}])
def test_wrong_noise_is_refused(noise):
    config = {**tiny.RAR_CONFIG, "output_noise": noise}
    target = tiny.rar_target()
    with pytest.raises(InputError):
        get_family("rar").build_target("tiny", config, target.params, target.preprocessing, {})


def latents_asked():
    rng = np.random.default_rng(2)
    return rng.standard_normal((64, 4, 4, 3), np.float32), rng.integers(0, 5, 64)


def test_predicted_noise_has_noise_that_follows_from_latents_level_and_label():
    target = tiny_diffusion.target()
    noisy = add_output_noise(target, STD)
    z_t, labels = latents_asked()

    def drawn(z_t, level, labels):
        return np.asarray(noisy.predict_noise(z_t, level, labels) - target.predict_noise(z_t, level, labels))

    first = drawn(z_t, 100, labels)
    assert abs(first.std() / STD - 1) < 0.05
    np.testing.assert_array_equal(first, drawn(z_t, 100, labels))
    np.testing.assert_allclose(first[5:9], drawn(z_t[5:9], np.full(4, 100), labels[5:9]), atol=1e-6)
    np.testing.assert_allclose(first, drawn(np.nextafter(z_t, np.float32(9)), 100, labels), atol=1e-4)
    far = z_t + np.random.default_rng(3).standard_normal(z_t.shape, np.float32)
    for other in (drawn(z_t, 101, labels), drawn(z_t, 100, (labels + 1) % 5), drawn(far, 100, labels)):
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(first.size)


def test_scores_of_noisy_predictions_depend_on_neither_the_batch_nor_other_scores():
    """PIA asks a question that was itself an answer: programs that differ round it differently."""
    noisy = add_output_noise(dataclasses.replace(tiny_diffusion.target(), platform="gpu"), STD)
    images = np.random.default_rng(0).uniform(-1, 1, (6, 8, 8, 3)).astype(np.float32)
    labels, ids = np.arange(6) % 5, [str(i) for i in range(6)]

    def scored(names, size):
        scorer = Scorer(noisy, names)
        return np.concatenate(
            [
                scorer.submit(images[a : a + size], labels[a : a + size], ids=ids[a : a + size]).result()[
                    "pia"
                ]
                for a in range(0, 6, size)
            ]
        )

    whole = scored(["pia", "denoising_loss"], 6)
    for other in (scored(["pia", "denoising_loss"], 1), scored(["pia"], 6)):
        np.testing.assert_allclose(other, whole, rtol=1e-4)


def test_the_mean_of_r_fresh_answers_has_noise_of_a_root_of_r_and_that_of_keyed_answers_has_all():
    target, count = tiny.rar_target(), 16
    tokens, labels = random_tokens(target), np.arange(6)
    clean = np.asarray(target.logits(tokens, labels))

    def size(seeds):
        answers = [np.asarray(add_told_noise(target, STD, seed=s).logits(tokens, labels)) for s in seeds]
        return (np.mean(answers, axis=0) - clean).std()

    assert size(range(count)) == pytest.approx(STD / np.sqrt(count), rel=0.05)
    assert size([0] * count) == pytest.approx(STD, rel=0.05)
    told = np.asarray(add_told_noise(target, STD / np.sqrt(count)).logits(tokens, labels))
    assert (told - clean).std() == pytest.approx(STD / np.sqrt(count), rel=0.05)
