"""Latent diffusion's U-Net in the files of CompVis: its table of names, its two sets of weights, its shape.

A training checkpoint holds the U-Net under `model.diffusion_model.`, the autoencoder under
`first_stage_model.`, what reads the condition under `cond_stage_model.`, and buffers of the process, which
must be the one that is assumed. Where training measured the scale of the latents, it is `scale_factor`. Where
a file keeps a moving average, that of `model.diffusion_model.a.b` is `model_ema.diffusion_modelab`: without
dots.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from checkpoints_convert.mapping import (
    Table,
    conv,
    drop,
    drop_if_close,
    is_close,
    keep,
    linear,
    linear_halves,
    norm,
)
from checkpoints_convert.records import StateDict, count, shape
from jaxaudit.errors import InputError
from jaxaudit.families.contract import Variant
from jaxaudit_kernels.processes import declared

_UNET = r"model\.diffusion_model\."
_AVERAGE = "model_ema."
_AVERAGE_FACTS = ("model_ema.decay", "model_ema.num_updates")
_BUFFERS = (
    r"alphas_cumprod_prev|sqrt_alphas_cumprod|(sqrt|log)_one_minus_alphas_cumprod"
    r"|sqrt_recipm?1?_alphas_cumprod|posterior_(variance|log_variance_clipped|mean_coef[12])"
    r"|logvar|model_ema\.(decay|num_updates)"
)

LANDMARK = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_v.weight"
"""A tensor that every such U-Net has."""

CLASSES = "cond_stage_model.embedding.weight"
"""The embedding of classes, for a U-Net that reads them."""


_SCALE = "scale_factor"


def table(*, reads_one_token: bool, process: Mapping[str, Any]) -> Table:
    """The rows of a whole file, but for what reads the condition and the scale of the latents.

    Args:
      reads_one_token: whether the context is one token, so that half of the attention to it does nothing.
      process: declaration of the one that the file must hold, in so far as it holds one.
    """
    level = declared(process).alphas_cumprod
    return (
        *linear(rf"{_UNET}time_embed\.([02])", r"time_embed/mlp_\1"),
        *conv(rf"{_UNET}input_blocks\.0\.0", "conv_in"),
        *conv(rf"{_UNET}input_blocks\.(\d+)\.0\.op", r"downsample_\1/conv"),
        *conv(rf"{_UNET}output_blocks\.(\d+)\.[12]\.conv", r"upsample_\1/conv"),
        *_res_block(rf"{_UNET}(input|output)_blocks\.(\d+)\.0", r"\1_blocks_\2"),
        *_res_block(rf"{_UNET}middle_block\.([02])", r"middle_blocks_\1"),
        *transformer(
            rf"{_UNET}(input|output)_blocks\.(\d+)\.1", r"\1_transformer_\2", reads_one_token=reads_one_token
        ),
        *transformer(rf"{_UNET}middle_block\.1", "middle_transformer", reads_one_token=reads_one_token),
        *norm(rf"{_UNET}out\.0", "norm_out"),
        *conv(rf"{_UNET}out\.2", "conv_out"),
        (r"first_stage_model\..+", None, drop),  # the tokenizer's part
        (_BUFFERS, None, drop),
        (r"alphas_cumprod", None, drop_if_close(level)),
        (r"betas", None, drop_if_close(1.0 - level / np.append(1.0, level[:-1]))),
    )


def latent_scale(state: StateDict, *, default: float) -> float:
    """What a file says that its latents are multiplied with; `default` where it says nothing or just that.

    Raises:
      InputError: if it is no finite, positive number.
    """
    stored = state.get(_SCALE)
    if stored is None or isinstance(stored, jax.ShapeDtypeStruct) or is_close(stored, default):
        return default
    found = np.asarray(stored, np.float32)
    if found.size != 1 or not 0 < (scale := found.item()) < np.inf:
        raise InputError(f"The file has {_SCALE}={found}; latents are multiplied with a positive number.")
    return float(str(np.float32(scale)))  # the shortest decimal of a float32


def check_latent_scale(state: StateDict, *, only: float) -> None:
    """Raises InputError if a file says that its latents are multiplied with another number."""
    if (scale := latent_scale(state, default=only)) != only:
        raise InputError(
            f"The file has {_SCALE}={scale:g}; latents of such a model are multiplied with {only:g}."
        )


def _res_block(pattern: str, path: str) -> Table:
    return (
        *norm(rf"{pattern}\.in_layers\.0", f"{path}/norm1"),
        *conv(rf"{pattern}\.in_layers\.2", f"{path}/conv1"),
        *linear(rf"{pattern}\.emb_layers\.1", f"{path}/time"),
        *norm(rf"{pattern}\.out_layers\.0", f"{path}/norm2"),
        *conv(rf"{pattern}\.out_layers\.3", f"{path}/conv2"),
        *conv(rf"{pattern}\.skip_connection", f"{path}/shortcut"),
    )


def transformer(pattern: str, path: str, *, reads_one_token: bool) -> Table:
    """The rows of a transformer, whose layers diffusers calls by the same names."""
    rows, block = [*norm(rf"{pattern}\.norm", f"{path}/norm")], rf"{pattern}\.transformer_blocks\.0"
    for name in ("proj_in", "proj_out"):
        rows += (
            (rf"{pattern}\.{name}\.weight", f"{path}/{name}/kernel", pixelwise_matrix),
            (rf"{pattern}\.{name}\.bias", f"{path}/{name}/bias", keep),
        )
    for name in ("norm1", "norm3"):
        rows += norm(rf"{block}\.{name}", f"{path}/{name}")
    for name in ("to_q", "to_k", "to_v"):
        rows += linear(rf"{block}\.attn1\.{name}", f"{path}/attn1/{name}")
    for name in ("attn1", "attn2"):
        rows += linear(rf"{block}\.{name}\.to_out\.0", f"{path}/{name}/to_out")
    rows += linear(rf"{block}\.attn2\.to_v", f"{path}/attn2/to_v")
    if reads_one_token:
        rows.append((rf"{block}\.(?:norm2|attn2\.to_[qk])\.(?:weight|bias)", None, drop))
    else:
        rows += norm(rf"{block}\.norm2", f"{path}/norm2")
        rows += linear(rf"{block}\.attn2\.to_q", f"{path}/attn2/to_q")
        rows += linear(rf"{block}\.attn2\.to_k", f"{path}/attn2/to_k")
    rows += linear_halves(rf"{block}\.ff\.net\.0\.proj", f"{path}/mlp/fc1", f"{path}/mlp/gate")
    return (*rows, *linear(rf"{block}\.ff\.net\.2", f"{path}/mlp/fc2"))


def pixelwise_matrix(x: Any) -> Any:
    """Weight of a 1 × 1 convolution [O,I,1,1], or of the same linear layer [O,I] (2.x) -> [I,O]."""
    return x.reshape(x.shape[:2]).transpose(1, 0)


def moving_average(state: StateDict) -> StateDict | None:
    """The tensors with those of the U-Net replaced by their moving averages; None if there are none.

    Raises:
      InputError: if the averages are not those of the U-Net's tensors, each once.
    """
    averages = {k: x for k, x in state.items() if k.startswith(_AVERAGE) and k not in _AVERAGE_FACTS}
    if not averages:
        return None
    undotted = {
        _AVERAGE + key.removeprefix("model.").replace(".", ""): key
        for key in state
        if key.startswith("model.")
    }
    if strangers := sorted(undotted.keys() ^ averages.keys()):
        raise InputError(
            f"The moving average is not that of the U-Net: {strangers[0]} "
            f"({len(strangers)} such) is in one of them only; --weights=raw does without."
        )
    return raw(state) | {key: averages[name] for name, key in undotted.items()}


def raw(state: StateDict) -> dict[str, Any]:
    """The tensors without the moving averages."""
    return {key: x for key, x in state.items() if not key.startswith(_AVERAGE)}


WEIGHTS = {"ema": moving_average, "raw": raw}
"""The sets of weights in a file, the default first."""


def infer_config(
    state: StateDict, released: Mapping[str, Variant], *, variant: str | None, title: str
) -> dict[str, Any]:
    """The config of the released model with the shapes of a U-Net.

    Shapes keep no trace of the heads, the size of latents, the tokens of a caption, what is predicted, and of
    whether the last class is the null label.

    Args:
      state: the tensors of the file, or their shapes.
      released: the released models by name.
      variant: the one that the file is said to be, which decides between several of these shapes.
      title: what people call the network, as in "Stable Diffusion U-Net".

    Raises:
      InputError: if a tensor that tells the shape is missing, or no released model has these shapes, or
        several that differ in what the shapes do not tell.
    """
    told, classes = _told(state), _classes(state)
    alike = {}
    for name, facts in released.items():
        generator = facts.config["generator"]
        same = all(generator[field] == value for field, value in told.items())
        if same and generator["num_classes"] + generator["null_label"] == classes:
            alike[name] = dict(facts.config)
    if variant in alike:
        return alike[variant]
    if not alike:
        raise InputError(
            f"The shapes of a {title} do not tell its heads and the size of its latents, and these are "
            f"those of no released model ({', '.join(released)})."
        )
    first, *others = alike.values()
    if any(other != first for other in others):
        raise InputError(
            f"The shapes are those of {' and '.join(alike)}, which differ in what shapes do not tell; say "
            "which with --variant."
        )
    return first


def _told(state: StateDict) -> dict[str, Any]:
    """The fields of a `UNetConfig` that shapes tell."""
    blocks = "model.diffusion_model.input_blocks"
    width, channels, *_ = shape(state, f"{blocks}.0.0.weight", 4)
    number = count(state, blocks)
    downsamples = [i for i in range(number) if f"{blocks}.{i}.0.op.weight" in state]
    firsts = [1, *(i + 1 for i in downsamples)]
    outputs = [shape(state, f"{blocks}.{i}.0.in_layers.2.weight", 4)[0] for i in firsts]
    return {
        "context_dim": shape(state, LANDMARK, 2)[1],
        "width": width,
        "ch_mult": [n / width for n in outputs],
        "num_res_blocks": number // len(firsts) - 1,
        "attention_levels": [k for k, i in enumerate(firsts) if f"{blocks}.{i}.1.proj_in.weight" in state],
        "latent_channels": channels,
    }


def _classes(state: StateDict) -> int:
    """Rows of the embedding of classes, 0 without."""
    return shape(state, CLASSES, 2)[0] if CLASSES in state else 0
