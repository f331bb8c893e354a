"""VAR and its multi-scale VQ tokenizer: tables of names, and the config read from the shapes.

Axes: S scales, L tokens of all scales, C width, H heads, V vocabulary, Z channels of a code, F hidden units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from checkpoints_convert.mapping import Table, conv, drop, drop_if_zero, keep, linear, linear_kernel, norm
from checkpoints_convert.records import Conversion, Part, StateDict, count, shape
from jaxaudit.configs import from_dict, to_dict
from jaxaudit.data.preprocessing import Preprocessing
from jaxaudit.errors import InputError
from jaxaudit.models.var import VARIANTS, VARConfig
from jaxaudit.tokenizers.multiscale_vq import MultiScaleVQConfig

_BLOCK, _BLOCK_PATH = r"blocks\.(\d+)", r"blocks_\1"

GENERATOR: Table = (
    (r"pos_start", "pos_start", keep),
    (r"pos_1LC", "pos_1LC", keep),
    (r"lvl_1L", None, drop),
    (r"attn_bias_for_masking", None, drop),
    *linear(r"word_embed", "word_embed"),
    (r"class_emb\.weight", "class_emb/embedding", keep),
    *linear(r"cond_proj", "cond_proj"),  # VAR-CLIP
    (r"noise\.weight", "noise", keep),
    (r"lvl_embed\.weight", "lvl_embed/embedding", keep),
    *linear(r"shared_ada_lin\.1", "shared_ada_lin_1"),
    (rf"{_BLOCK}\.(ada_gss)", rf"{_BLOCK_PATH}/\2", keep),
    *linear(rf"{_BLOCK}\.ada_lin\.1", f"{_BLOCK_PATH}/ada_lin_1"),
    (rf"{_BLOCK}\.attn\.(scale_mul_1H11|q_bias|v_bias)", rf"{_BLOCK_PATH}/attn/\2", keep),
    (rf"{_BLOCK}\.attn\.zero_k_bias", None, drop_if_zero),
    (rf"{_BLOCK}\.attn\.mat_qkv\.weight", f"{_BLOCK_PATH}/attn/mat_qkv/kernel", linear_kernel),
    *linear(rf"{_BLOCK}\.attn\.proj", f"{_BLOCK_PATH}/attn/proj"),
    *linear(rf"{_BLOCK}\.ffn\.(fc1|fc2)", rf"{_BLOCK_PATH}/ffn/\2"),
    *linear(r"head_nm\.ada_lin\.1", "head_nm/ada_lin_1"),
    *linear(r"head", "head"),
)

_CODER = r"(encoder|decoder)"
_LEVEL, _LEVEL_PATH = rf"{_CODER}\.(down|up)\.(\d+)", r"\1/\2_\3"

TOKENIZER: Table = (
    *conv(rf"{_CODER}\.(conv_in|conv_out)", r"\1/\2"),
    *norm(rf"{_CODER}\.norm_out", r"\1/norm_out"),
    *norm(rf"{_LEVEL}\.block\.(\d+)\.(norm[12])", rf"{_LEVEL_PATH}/block_\4/\5"),
    *conv(rf"{_LEVEL}\.block\.(\d+)\.(conv[12]|nin_shortcut)", rf"{_LEVEL_PATH}/block_\4/\5"),
    *norm(rf"{_LEVEL}\.attn\.(\d+)\.norm", rf"{_LEVEL_PATH}/attn_\4/norm"),
    *conv(rf"{_LEVEL}\.attn\.(\d+)\.(qkv|proj_out)", rf"{_LEVEL_PATH}/attn_\4/\5"),
    *conv(rf"{_LEVEL}\.(downsample|upsample)\.conv", rf"{_LEVEL_PATH}/\4/conv"),
    *norm(rf"{_CODER}\.mid\.(block_[12])\.(norm[12])", r"\1/mid/\2/\3"),
    *conv(rf"{_CODER}\.mid\.(block_[12])\.(conv[12])", r"\1/mid/\2/\3"),
    *norm(rf"{_CODER}\.mid\.attn_1\.norm", r"\1/mid/attn_1/norm"),
    *conv(rf"{_CODER}\.mid\.attn_1\.(qkv|proj_out)", r"\1/mid/attn_1/\2"),
    *conv(r"(quant_conv|post_quant_conv)", r"\1"),
    (r"quantize\.embedding\.weight", "quantize/embedding/embedding", keep),
    *conv(r"quantize\.quant_resi\.qresi_ls\.(\d+)", r"quantize/quant_resi/qresi_ls_\1"),
    (r"quantize\.ema_vocab_hit_SV", None, drop),
)


def infer_config(states: Mapping[str, StateDict]) -> dict[str, Any]:
    """The config of `jaxaudit.families.var`, from the shapes of both state dicts and the buffer `lvl_1L`.

    ρ of the tokenizer's φ leaves no trace in a checkpoint; it is taken to be the published 0.5.

    Raises:
      InputError: if a tensor that tells the shape is missing, or the two parts do not fit each other.
    """
    generator, tokenizer = states["generator"], states["tokenizer"]
    if "cond_proj.weight" in generator:
        width, context_dim = shape(generator, "cond_proj.weight", 2)
        told = {"num_classes": 0, "context_dim": context_dim}
    else:
        classes, width = shape(generator, "class_emb.weight", 2)
        told = {"num_classes": classes - 1}
    hidden, _ = shape(generator, "blocks.0.ffn.fc1.weight", 2)
    vocab, _ = shape(generator, "head.weight", 2)
    _, token_dim = shape(generator, "word_embed.weight", 2)
    scale_mul = "blocks.0.attn.scale_mul_1H11"
    cosine = scale_mul in generator
    config = VARConfig(
        **told,
        depth=count(generator, "blocks"),
        width=width,
        # Without the scales per head nothing tells their number; VAR's heads are 64 wide.
        num_heads=shape(generator, scale_mul, 4)[1] if cosine else max(width // 64, 1),
        mlp_ratio=hidden / width,
        vocab_size=vocab,
        token_dim=token_dim,
        patch_nums=_patch_nums(generator),
        shared_aln="shared_ada_lin.1.weight" in generator,
        attn_l2_norm=cosine,
    )
    return {"generator": to_dict(config), "tokenizer": to_dict(_tokenizer_config(tokenizer, config))}


def preprocessing(config: Mapping[str, Any]) -> Preprocessing:
    """VAR's own: Lanczos to 9/8 of the picture size, centre crop, [-1, 1]."""
    size = from_dict(MultiScaleVQConfig, config["tokenizer"]).image_size
    return Preprocessing(image_size=size, resize="lanczos", short_side=size * 9 // 8, low=-1.0, high=1.0)


def _tokenizer_config(state: StateDict, generator: VARConfig) -> MultiScaleVQConfig:
    ch = shape(state, "encoder.conv_in.weight", 4)[0]
    vocab, token_dim = shape(state, "quantize.embedding.weight", 2)
    levels = range(count(state, "encoder.down"))
    found = {"vocabulary": vocab, "code width": token_dim}
    wanted = {"vocabulary": generator.vocab_size, "code width": generator.token_dim}
    if (hits := state.get("quantize.ema_vocab_hit_SV")) is not None:
        found["number of scales"], wanted["number of scales"] = hits.shape[0], len(generator.patch_nums)
    for fact, value in found.items():
        if value != wanted[fact]:
            raise InputError(
                f"Generator and tokenizer do not belong together: {fact} {wanted[fact]} in the generator, "
                f"{value} in the tokenizer."
            )
    return MultiScaleVQConfig(
        vocab_size=vocab,
        z_channels=token_dim,
        ch=ch,
        ch_mult=tuple(shape(state, f"encoder.down.{i}.block.0.conv1.weight", 4)[0] // ch for i in levels),
        num_res_blocks=count(state, "encoder.down.0.block"),
        patch_nums=generator.patch_nums,
        num_phi=count(state, "quantize.quant_resi.qresi_ls"),
        attention="encoder.mid.attn_1.qkv.weight" in state,
        quant_conv_kernel=shape(state, "quant_conv.weight", 4)[-1],
    )


def _patch_nums(state: StateDict) -> tuple[int, ...]:
    """Tokens per side of each scale: the roots of the run lengths of `lvl_1L`, the scale of every token.

    Where the buffer has no values (shapes only) or was left out, a released schedule with as many scales and
    tokens is taken.
    """
    length, scales = shape(state, "pos_1LC", 3)[1], shape(state, "lvl_embed.weight", 2)[0]
    level = state.get("lvl_1L")
    if level is None or isinstance(level, jax.ShapeDtypeStruct):
        for variant in VARIANTS.values():
            steps = variant.config.steps
            if (len(steps), sum(steps)) == (scales, length):
                return variant.config.patch_nums
        raise InputError(
            f"The generator has {length} tokens in {scales} scales, which fits no released VAR, and no "
            "buffer lvl_1L that tells the size of each scale."
        )
    level = np.ravel(level).astype(np.int64)
    runs = np.bincount(level, minlength=scales) if level.size and level.min() >= 0 else np.zeros(1, int)
    sides = tuple(math.isqrt(int(run)) for run in runs)
    is_schedule = np.array_equal(level, np.repeat(np.arange(scales), runs)) if len(runs) == scales else False
    if not is_schedule or level.size != length or [side**2 for side in sides] != runs.tolist():
        raise InputError(
            f"lvl_1L of the generator must count {scales} scales of square size over {length} tokens; "
            f"its scales have {runs.tolist()} tokens."
        )
    return sides


CONVERSION = Conversion(
    parts={
        "generator": Part(
            title="VAR generator",
            landmarks=("pos_1LC", "lvl_embed.weight"),
            nestings=("", "trainer/var_wo_ddp"),
            table=GENERATOR,
        ),
        "tokenizer": Part(
            title="VAR tokenizer",
            landmarks=("quantize.quant_resi.qresi_ls.0.weight", "post_quant_conv.weight"),
            nestings=("", "trainer/vae_local"),
            table=TOKENIZER,
        ),
    },
    infer_config=infer_config,
    preprocessing=preprocessing,
)
