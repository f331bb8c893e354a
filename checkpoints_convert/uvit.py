"""U-ViT and Stable Diffusion's autoencoder: the generator's table of names, the config read from the shapes.

Axes: L tokens, C width, F hidden units, c channels of a latent, p latent pixels per side of a token.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from checkpoints_convert import kl_autoencoder
from checkpoints_convert.heads import with_heads
from checkpoints_convert.mapping import Table, conv, keep, linear, norm
from checkpoints_convert.records import Conversion, Part, StateDict, count, shape
from jaxaudit.configs import from_dict, to_dict
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.families.uvit import latent_scale, resize
from jaxaudit.models.uvit import VARIANTS, UViTConfig
from jaxaudit.tokenizers.kl_autoencoder import KLAutoencoderConfig

_CAPTION_TOKENS = 77  # CLIP's, unless another number is said

GENERATOR: Table = (
    (r"pos_embed", "pos_embed", keep),
    *conv(r"patch_embed\.proj", "patch_embed/proj"),
    (r"label_emb\.weight", "label_emb/embedding", keep),
    *linear(r"context_embed", "context_embed"),
    *norm(r"((?:in|out)_blocks)\.(\d+)\.(norm[12])", r"\1_\2/\3"),
    *linear(r"((?:in|out)_blocks)\.(\d+)\.(attn|mlp)\.(qkv|proj|fc1|fc2)", r"\1_\2/\3/\4"),
    *linear(r"(out_blocks)\.(\d+)\.skip_linear", r"\1_\2/skip_linear"),
    *norm(r"mid_block\.(norm[12])", r"mid_block/\1"),
    *linear(r"mid_block\.(attn|mlp)\.(qkv|proj|fc1|fc2)", r"mid_block/\1/\2"),
    *norm(r"norm", "norm"),
    *linear(r"decoder_pred", "decoder_pred"),
    *conv(r"final_layer", "final_layer"),
)


def infer_config(
    states: Mapping[str, StateDict], *, num_heads: int | None = None, context_length: int | None = None
) -> dict[str, Any]:
    """The config of `jaxaudit.families.uvit`, from the shapes of both state dicts.

    Args:
      states: {"generator": ..., "tokenizer": ...}.
      context_length: tokens of a caption, which leave no trace of their own in a checkpoint; default CLIP's.
      num_heads: attention heads, of which the shapes keep no trace; default those of the released model with
        these shapes.

    Raises:
      InputError: if a tensor that tells the shape is missing, the two parts do not fit each other, the heads
        are neither given nor those of a released model, or captions have another length or there are none.
    """
    generator = states["generator"]
    width, channels, patch_size, _ = shape(generator, "patch_embed.proj.weight", 4)
    hidden, _ = shape(generator, "mid_block.mlp.fc1.weight", 2)
    length = shape(generator, "pos_embed", 3)[1]
    fields, extras, hint = {"num_classes": 0}, 1, ""
    if "label_emb.weight" in generator:
        fields, extras = {"num_classes": shape(generator, "label_emb.weight", 2)[0] - 1}, 2
    elif "context_embed.weight" in generator:
        context_dim = shape(generator, "context_embed.weight", 2)[1]
        tokens = _CAPTION_TOKENS if context_length is None else context_length
        fields |= {"context_length": tokens, "context_dim": context_dim}
        extras, hint = 1 + tokens, "; --context_length says how many a caption has"
    if context_length is not None and "context_length" not in fields:
        raise InputError(f"context_length={context_length} is of no use: the generator reads no captions.")
    side = math.isqrt(max(length - extras, 0))
    if side * side != length - extras:
        raise InputError(
            f"The generator has {length} tokens, which are not {extras} and those of a square picture{hint}."
        )
    config = UViTConfig(
        **fields,
        depth=2 * count(generator, "in_blocks"),
        width=width,
        num_heads=1,
        mlp_ratio=hidden / width,
        latent_size=side * patch_size,
        latent_channels=channels,
        patch_size=patch_size,
        final_conv="final_layer.weight" in generator,
    )
    config = with_heads(config, num_heads, released=VARIANTS, title="U-ViT generator")
    tokenizer = kl_autoencoder.infer_config(
        states["tokenizer"], scale=latent_scale(config), latent_size=config.latent_size
    )
    return {"generator": to_dict(config), "tokenizer": to_dict(tokenizer)}


def preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    """U-ViT's own, [-1, 1]: ADM's centre crop for models with labels, Lanczos of the square for others."""
    size = from_dict(KLAutoencoderConfig, config["tokenizer"]).image_size
    filter_ = resize(from_dict(UViTConfig, config["generator"]))
    return Preprocessing(image_size=size, resize=filter_, short_side=size, low=-1.0, high=1.0)


CONVERSION = Conversion(
    parts={
        "generator": Part(
            title="U-ViT generator",
            landmarks=("patch_embed.proj.weight", "mid_block.attn.qkv.weight"),
            nestings=("",),
            table=GENERATOR,
        ),
        "tokenizer": Part(
            title="KL autoencoder",
            landmarks=kl_autoencoder.LANDMARKS_COMPVIS,
            nestings=("",),
            table=kl_autoencoder.COMPVIS,
        ),
    },
    infer_config=infer_config,
    preprocessing=preprocessing,
    asks=("num_heads", "context_length"),
)
