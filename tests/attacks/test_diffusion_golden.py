"""Every recorded array of the published attacks on DiT and U-ViT, from one compiled plan each."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from checkpoints_convert import dit as dit_tables
from checkpoints_convert import uvit as uvit_tables
from checkpoints_convert.mapping import convert
from jaxaudit.attacks.diffusion_graph import execute
from jaxaudit.attacks.diffusion_measurements import Error
from jaxaudit.attacks.diffusion_nodes import (
    Chain,
    Clean,
    Destroyed,
    Evaluation,
    Mask,
    Optimisation,
    Proximal,
    ProximalNoise,
    noised,
)
from jaxaudit.attacks.registry import ScorePlan
from jaxaudit.attacks.step_by_kind import make_step
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.families import dit, uvit
from jaxaudit_kernels.denoising import norm
from jaxaudit_kernels.gradient_masking import denoised_and_gradient
from jaxaudit_kernels.lbfgs import minimize
from tests.golden import weights

TIMESTEPS = range(0, 1000, 100)
SMALL = {"num_classes": 10, "latent_size": 8}
GENERATORS = {
    "dit": SMALL | {"depth": 3, "width": 64, "num_heads": 4},
    "uvit": SMALL | {"depth": 4, "width": 96, "num_heads": 6},
}
TOKENIZER = {
    "latent_channels": 4,
    "ch": 32,
    "ch_mult": [1],
    "num_res_blocks": 1,
    "encoder_attention_levels": [],
    "image_size": 8,
}


@functools.cache
def recorded(family):
    """The target without an autoencoder; inputs and outputs, channels last."""
    module, tables = {"dit": (dit, dit_tables), "uvit": (uvit, uvit_tables)}[family]
    if family == "dit":
        state = weights.state_dict(*weights.load("dit"))
        config, io = weights.load("cdi_features")
        io = weights.inputs(config) | io
    else:
        config, io = weights.load("cdi_features_uvit")
        state = weights.state_dict(config, io)
        io = {name: array for name, array in io.items() if not name.startswith("const:")}
    config = {"generator": GENERATORS[family], "tokenizer": TOKENIZER}
    converted = convert(state, tables.GENERATOR, module.abstract_params(config)["generator"])
    generator = jax.tree.map(np.asarray, converted)
    params = {"generator": jax.tree.map(jnp.asarray, generator)}
    target = module.build_target(family, config, params, Preprocessing(8, "none", 8, -1.0, 1.0), {})
    return target, {name: np.moveaxis(x, -3, -1) if x.ndim > 3 else x for name, x in io.items()}


def level(family, t):
    """The published timestep: an index for DiT, one more than an index for U-ViT."""
    return t - (family == "uvit")


def nodes(family):
    """What is computed beside the scores, by the name it was recorded under."""
    zero, at_100, at_200 = (level(family, t) for t in (0, 100, 200))
    eps, scaled = (ProximalNoise(zero, magnitude) for magnitude in (None, np.sqrt(np.pi / 2)))
    found = {
        "secmi": Chain(tuple(level(family, t) for t in (*range(0, 101, 10), 110, 100))),
        "eps_zero": eps,
        "eps_scaled": scaled,
        "eps_t": Evaluation(Proximal(at_200, eps), at_200),
        "optimum": Optimisation(at_100),
        "noised": noised(at_100),
    }
    for t in TIMESTEPS:
        mask = Mask(level(family, t))
        destroyed = Destroyed(Clean(), mask)
        found |= {
            f"gradient_{t}": Evaluation(noised(mask.level), mask.level, gradient=True),
            f"mask_{t}": mask,
            f"destroyed_{t}": destroyed,
            f"eps_{t}": Evaluation(destroyed, mask.level),
        }
    return found | {f"error_{i}": Error(100, i, published=True) for i in range(5)}


@functools.partial(jax.jit, static_argnums=(0, 1))
def execute_all(step, family, params, batch):
    run = step._run((params, jax.random.key(0)), batch)
    named = nodes(family)
    results = execute([*named.values(), *(node for score in step.scores for node in score.inputs)], run)
    return ScorePlan(step.scores).device(results) | {name: results[node] for name, node in named.items()}


@functools.cache
def computed(family, attack):
    """Scores and nodes under the recorded noise of an attack."""
    target, io = recorded(family)
    noise = io[f"{attack}_noise"]
    noise = np.broadcast_to(noise, (5, *noise.shape[-4:]))
    batch = {
        "latents": io["latents"],
        "condition": io["classes"],
        "noise": np.moveaxis(noise, 0, 1),
        "ids": np.zeros(noise.shape[1], np.uint32),
    }
    return jax.device_get(execute_all(make_step(target, "paper"), family, target.params, batch))


def per_timestep(values, pattern):
    return np.stack([values[pattern.format(t)] for t in TIMESTEPS], axis=1)


def arrays(family):
    """What both recordings hold."""
    denoising, masking, multiple = (
        computed(family, attack) for attack in ("denoising_loss", "gradient_masking", "multiple_loss")
    )
    gradients = np.stack([masking[f"gradient_{t}"].gradient for t in TIMESTEPS], axis=1)
    pia = np.stack([-masking["pia_ref"], -masking["pian_ref"]], axis=-1)[:, None]
    return {
        "denoising_loss_feature": np.stack([denoising[f"error_{i}"] for i in range(5)], axis=1)[..., None],
        "denoising_loss_score": -denoising["denoising_loss_ref"],
        "secmi_feature": np.stack([masking["secmi"][-3], masking["secmi"][-1]], axis=1),
        "secmi_score": -masking["secmi_ref"],
        "pia_pian_feature": pia,
        "gradient_masking_gradient": gradients / len(gradients),  # theirs is that of the batch's mean
        "gradient_masking_mask": per_timestep(masking, "mask_{}"),
        "gradient_masking_feature": -per_timestep(masking, "gradient_masking_{}_ref")[..., None],
        "multiple_loss_feature": -per_timestep(multiple, "multiple_loss_{}_ref")[..., None],
    }


def eps(prediction):
    return prediction.seen.eps


def arrays_of_uvit():
    """What the recording of U-ViT holds beside."""
    masking, optimised = (computed("uvit", attack) for attack in ("gradient_masking", "noise_optim"))
    optimum = optimised["optimum"]
    feature = np.stack([-optimised["noise_opt_error_ref"], -optimised["noise_opt_norm_ref"]], axis=-1)
    return {
        "pia_eps_zero": masking["eps_zero"],
        "pian_eps_zero_normalised": masking["eps_scaled"],
        "pia_eps_t": eps(masking["eps_t"]),
        "pia_score": -masking["pia_ref"],
        "pian_score": -masking["pian_ref"],
        "gradient_masking_latents": per_timestep(masking, "destroyed_{}"),
        "gradient_masking_eps": np.stack([eps(masking[f"eps_{t}"]) for t in TIMESTEPS], axis=1),
        "noise_optim_latents_noised": optimised["noised"],
        "noise_optim_start_loss": -optimised["multiple_loss_100_ref"],
        "noise_optim_single_feature": feature[:, None],
        "noise_optim_single_perturbation": optimum.perturbation,
        "noise_optim_single_loss_not_renoised": optimum.error,
    }


def check(values, io, tolerance):
    for name, value in values.items():
        for twin in (name, f"{name}_f64"):
            if twin in io:
                np.testing.assert_allclose(value, io[twin], rtol=tolerance, atol=tolerance, err_msg=twin)


@pytest.mark.parametrize(("family", "tolerance"), [("dit", 1e-4), ("uvit", 2e-5)])
def test_recorded_arrays(family, tolerance):
    values = arrays(family) | (arrays_of_uvit() if family == "uvit" else {})
    _, io = recorded(family)
    check(values, io, tolerance)
    columns = [values["denoising_loss_score"], values["secmi_score"], *values["pia_pian_feature"][:, 0].T]
    columns += [*values["gradient_masking_feature"][..., 0].T, *values["multiple_loss_feature"][..., 0].T]
    check(
        {"cdi_feature_vector": np.stack(columns, axis=-1)},
        {"cdi_feature_vector": io["cdi_feature_vector"][:, 0, :-2]},
        tolerance,
    )


def test_every_search_takes_the_recorded_number_of_evaluations():
    _, io = recorded("uvit")
    optimum = computed("uvit", "noise_optim")["optimum"]
    for i, count in enumerate(optimum.evaluations):
        trace = io[f"noise_optim_single{i}_loss_trace"]
        assert count == len(trace)
        np.testing.assert_allclose(optimum.error[i], trace[-1], rtol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["dit", "uvit"])
def test_a_batch_optimised_as_one_as_published(family):
    """All images are one unknown, their mean error one function; every value on the way is as recorded."""
    target, io = recorded(family)
    values = computed(family, "noise_optim")
    at_100, noise, trace = level(family, 100), jnp.asarray(io["noise_optim_noise"]), []
    classes = jnp.asarray(io["classes"])
    index, kept = jnp.full(len(classes), at_100), target.process.alphas_cumprod[at_100]

    @jax.jit
    def joint(params, z_t):
        denoise = functools.partial(target.functions.denoise, params)

        def objective(delta):
            seen, gradient = denoised_and_gradient(denoise, z_t + delta[0], index, classes, noise)
            value = jnp.mean(norm(noise - seen.eps))
            jax.debug.callback(lambda value: trace.append(float(value)), value, ordered=True)
            return value[None], gradient[None] / len(noise)

        delta = minimize(objective, jnp.zeros((1, *z_t.shape)), max_iterations=5).x[0]
        again = np.float32(kept**0.5) * (z_t + delta) + np.float32((1 - kept) ** 0.5) * noise
        looks = jnp.stack([again, z_t + delta])
        return delta, jax.lax.map(lambda z: norm(noise - denoise(z, index, classes).eps), looks)

    delta, (error, not_renoised) = joint(target.params, values["noised"])
    jax.effects_barrier()
    prefix = "noise_optim_joint" if family == "uvit" else "noise_optim"
    feature = np.stack([error, norm(delta)], axis=-1)[:, None]
    known = {
        f"{prefix}_perturbation": delta,
        f"{prefix}_feature": feature,
        f"{prefix}_loss_not_renoised": not_renoised,
        f"{prefix}_loss_trace": trace,
        "cdi_feature_vector": np.concatenate([io["cdi_feature_vector"][..., :-2], feature], axis=-1),
    }
    check(known, io, 1e-4)


def test_no_recorded_array_is_left_out():
    for family, extra in (("dit", set()), ("uvit", set(arrays_of_uvit()))):
        _, io = recorded(family)
        inputs = {
            "latents",
            "classes",
            *(name for name in io if name.endswith(("_noise", "_timesteps", "_gap"))),
        }
        as_one = {name for name in io if name.startswith(("noise_optim_joint", "noise_optim_feature"))}
        as_one |= {"cdi_feature_vector", "noise_optim_perturbation"}
        traces = {name for name in io if name.endswith("_trace")}
        seen = inputs | as_one | traces | set(arrays(family)) | extra
        assert {name.removesuffix("_f64") for name in io} <= seen
