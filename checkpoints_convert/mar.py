"""MAR and its KL autoencoder: the generator's table of names, and the config read from the shapes.

Axes: L tokens, K buffer positions, C width, D channels of a token, F hidden units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from checkpoints_convert import kl_autoencoder
from checkpoints_convert.heads import with_heads
from checkpoints_convert.mapping import Table, keep, linear, norm
from checkpoints_convert.records import Conversion, Part, StateDict, count, shape
from jaxaudit.configs import from_dict, to_dict
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.models.mar import VARIANTS, MARConfig
from jaxaudit.tokenizers.kl_autoencoder import RELEASED, KLAutoencoderConfig

_BLOCK, _BLOCK_PATH = r"(encoder|decoder)_blocks\.(\d+)", r"\1_blocks_\2"
_HEAD, _HEAD_PATH = r"diffloss\.net", "diffloss/net"
_HEAD_BLOCK, _HEAD_BLOCK_PATH = rf"{_HEAD}\.res_blocks\.(\d+)", rf"{_HEAD_PATH}/res_blocks_\1"

GENERATOR: Table = (
    (r"(fake_latent|mask_token|(?:encoder|decoder|diffusion)_pos_embed_learned)", r"\1", keep),
    (r"class_emb\.weight", "class_emb/embedding", keep),
    *linear(r"(z_proj|decoder_embed)", r"\1"),
    *norm(r"(z_proj_ln|encoder_norm|decoder_norm)", r"\1"),
    *norm(rf"{_BLOCK}\.(norm[12])", rf"{_BLOCK_PATH}/\3"),
    *linear(rf"{_BLOCK}\.(attn|mlp)\.(qkv|proj|fc1|fc2)", rf"{_BLOCK_PATH}/\3/\4"),
    *linear(rf"{_HEAD}\.time_embed\.mlp\.([02])", rf"{_HEAD_PATH}/time_embed/mlp_\1"),
    *linear(rf"{_HEAD}\.(cond_embed|input_proj)", rf"{_HEAD_PATH}/\1"),
    *norm(rf"{_HEAD_BLOCK}\.in_ln", f"{_HEAD_BLOCK_PATH}/in_ln"),
    *linear(rf"{_HEAD_BLOCK}\.mlp\.([02])", rf"{_HEAD_BLOCK_PATH}/mlp_\2"),
    *linear(rf"{_HEAD_BLOCK}\.adaLN_modulation\.1", f"{_HEAD_BLOCK_PATH}/adaLN_modulation_1"),
    *linear(rf"{_HEAD}\.final_layer\.linear", f"{_HEAD_PATH}/final_layer/linear"),
    *linear(rf"{_HEAD}\.final_layer\.adaLN_modulation\.1", f"{_HEAD_PATH}/final_layer/adaLN_modulation_1"),
)


def infer_config(states: Mapping[str, StateDict], *, num_heads: int | None = None) -> dict[str, Any]:
    """The config of `jaxaudit.families.mar`, from the shapes of both state dicts.

    Args:
      states: {"generator": ..., "tokenizer": ...}.
      num_heads: attention heads, of which the shapes keep no trace; default those of the released model with
        these shapes.

    Raises:
      InputError: if a tensor that tells the shape is missing, the two parts do not fit each other, or the
        heads are neither given nor those of a released model.
    """
    generator = states["generator"]
    depth, decoder_depth = (count(generator, f"{part}_blocks") for part in ("encoder", "decoder"))
    classes, width = shape(generator, "class_emb.weight", 2)
    hidden, _ = shape(generator, "encoder_blocks.0.mlp.fc1.weight", 2)
    head_width, token_dim = shape(generator, "diffloss.net.input_proj.weight", 2)
    length = shape(generator, "diffusion_pos_embed_learned", 3)[1]
    side = math.isqrt(length)
    if side * side != length:
        raise InputError(f"The generator has {length} tokens, which is no square.")
    channels = shape(states["tokenizer"], "post_quant_conv.weight", 4)[1]
    patch_size = math.isqrt(token_dim // channels)
    if token_dim != channels * patch_size**2:
        raise InputError(
            "Generator and tokenizer do not belong together: "
            f"tokens of {token_dim} channels in the generator, latents of {channels} in the tokenizer."
        )
    config = MARConfig(
        num_classes=classes,
        depth=depth,
        width=width,
        num_heads=1,
        mlp_ratio=hidden / width,
        buffer_size=shape(generator, "encoder_pos_embed_learned", 3)[1] - length,
        side=side,
        latent_channels=channels,
        patch_size=patch_size,
        head_depth=count(generator, "diffloss.net.res_blocks"),
        head_width=head_width,
        decoder_depth=0 if decoder_depth == depth else decoder_depth,
    )
    config = with_heads(config, num_heads, released=VARIANTS, title="MAR generator")
    tokenizer = kl_autoencoder.infer_config(
        states["tokenizer"], scale=RELEASED["kl16"].config.scale, latent_size=side * patch_size
    )
    return {"generator": to_dict(config), "tokenizer": to_dict(tokenizer)}


def preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    """MAR's own: ADM's centre crop, [-1, 1]."""
    size = from_dict(KLAutoencoderConfig, config["tokenizer"]).image_size
    return Preprocessing(image_size=size, resize="adm", short_side=size, low=-1.0, high=1.0)


CONVERSION = Conversion(
    parts={
        "generator": Part(
            title="MAR generator",
            landmarks=("fake_latent", "diffloss.net.input_proj.weight"),
            nestings=("model_ema", ""),
            table=GENERATOR,
            raw="model",
        ),
        "tokenizer": Part(
            title="KL autoencoder",
            landmarks=kl_autoencoder.LANDMARKS_COMPVIS,
            nestings=("model", ""),
            table=kl_autoencoder.COMPVIS,
        ),
    },
    infer_config=infer_config,
    preprocessing=preprocessing,
    asks_heads=True,
)
