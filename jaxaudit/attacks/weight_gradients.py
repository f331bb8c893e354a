"""GSA: how hard an image pulls at the weights.  A network at rest on its training images is pulled less.

With L_t = ⟨(ε_t − f(z_t, t))²⟩ under a noise ε_t of its own, at 20 timesteps t = 0, 50, …, 950, and W the
tensors of the network's weights:

    (1)  gsa1    features log ‖Σ_t ∇_W L_t‖₂    for every W
    (2)  gsa2    features log Σ_t ‖∇_W L_t‖₂    for every W

Both follow from the same 20 gradients: that of a sum is the sum of gradients. Scores are a logistic
regression's on the features (`jaxaudit.stats.fitted_scores`), where the published code boosts trees; their
logarithms, for norms spread over decades. A norm that is 0 counts as the least positive number.

Source: Pang et al. 2025; timesteps and features from the code of CopyMark.

Axes: B images, h and w latent pixels, c channels, T timesteps.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxaudit.attacks.diffusion_graph import Cost, Node, Results, Run, Setting, stack
from jaxaudit.attacks.diffusion_nodes import noised
from jaxaudit.attacks.registry import fitted_score
from jaxaudit.attacks.sources import PANG_2025

GRADIENT_TIMESTEPS = tuple(range(0, 1000, 50))
"""t of (1) and (2)."""

Norms = dict[str, Float[Array, " B"]]


class GradientNorms(NamedTuple):
    """{tensor: [B]} of (1) and of (2), without the logarithm."""

    of_sum: Norms
    sum_of: Norms


@dataclasses.dataclass(frozen=True)
class WeightGradients(Node):
    """The `GradientNorms`."""

    def needs(self, setting: Setting) -> tuple[Node, ...]:
        """z_t at every timestep."""
        return tuple(noised(setting.level(t), noise=i) for i, t in enumerate(GRADIENT_TIMESTEPS))

    def cost(self) -> Cost:
        """One gradient at every timestep."""
        return Cost(weight_gradients=len(GRADIENT_TIMESTEPS))

    def value(self, run: Run, results: Results) -> GradientNorms:
        """One image after the other, and one timestep: a gradient is as large as the weights."""
        count = len(GRADIENT_TIMESTEPS)
        z_t = stack([results[latents] for latents in self.needs(run.setting)])
        index = jnp.asarray([run.setting.level(t) for t in GRADIENT_TIMESTEPS])

        def of_image(image: dict[str, Any]) -> GradientNorms:
            condition = None if run.condition is None else image["condition"][None]

            def loss(weights: Any, z_t: Array, index: Array, noise: Array) -> Array:
                seen = run.denoise_by(weights, z_t[None], index[None], condition)
                return jnp.mean(jnp.square(noise - seen.eps[0]))

            def add(total: tuple[Any, Any], step: tuple[Array, Array, Array]) -> tuple[Any, None]:
                gradient = jax.grad(loss)(run.weights, *step)
                summed = jax.tree.map(lambda so_far, g: so_far + g.astype(jnp.float32), total[0], gradient)
                return (summed, jax.tree.map(lambda norm, g: norm + _norm(g), total[1], gradient)), None

            nothing = jax.tree.map(lambda w: jnp.zeros(w.shape, jnp.float32), run.weights)
            none = jax.tree.map(lambda _: jnp.zeros(()), run.weights)
            steps = image["z_t"], index, image["noise"]
            (summed, norms), _ = jax.lax.scan(add, (nothing, none), steps)
            return GradientNorms(_by_name(jax.tree.map(_norm, summed)), _by_name(norms))

        images = {"z_t": z_t.swapaxes(0, 1), "noise": run.noises[:count].swapaxes(0, 1)}
        if run.condition is not None:
            images["condition"] = run.condition
        return jax.lax.map(of_image, images)


def _norm(x: Array) -> Float[Array, ""]:
    return jnp.sqrt(jnp.sum(jnp.square(x.astype(jnp.float32))))


def _by_name(tree: Any) -> dict[str, Any]:
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _logs(norms: Norms) -> Norms:
    return {name: jnp.log(jnp.maximum(norm, np.finfo(np.float32).tiny)) for name, norm in norms.items()}


@fitted_score(
    "gsa1",
    kind="diffusion",
    access="white-box",
    views={"": (WeightGradients(),)},
    source=PANG_2025,
    on_request=True,
)
def gsa1(norms: GradientNorms, tokens_per_step: tuple[int, ...]) -> Norms:
    """Learned function of the size of the loss's gradient by each tensor of weights (GSA₁).

    (1), Pang et al. 2025; fitted on samples set aside. 20 forward and 20 backward passes, one image at a
    time: ask by name. Returns {tensor: [B]}.
    """
    del tokens_per_step
    return _logs(norms.of_sum)


@fitted_score(
    "gsa2",
    kind="diffusion",
    access="white-box",
    views={"": (WeightGradients(),)},
    source=PANG_2025,
    on_request=True,
)
def gsa2(norms: GradientNorms, tokens_per_step: tuple[int, ...]) -> Norms:
    """Learned function of the sizes of the loss's gradients by each tensor, summed over timesteps (GSA₂).

    (2), Pang et al. 2025; as `gsa1`.
    """
    del tokens_per_step
    return _logs(norms.sum_of)
