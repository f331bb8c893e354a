"""The VQ first stages of latent diffusion: the table of names, and the config read from the shapes."""

from __future__ import annotations

from checkpoints_convert.kl_autoencoder import COMPVIS
from checkpoints_convert.mapping import Table, keep
from checkpoints_convert.records import StateDict, count, shape
from jaxaudit.tokenizers.vq_autoencoder import VQAutoencoderConfig

TABLE: Table = (*COMPVIS, (r"quantize\.embedding\.weight", "quantize/embedding", keep))

LANDMARKS = ("encoder.mid.attn_1.q.weight", "quantize.embedding.weight")


def infer_config(state: StateDict, *, latent_size: int) -> VQAutoencoderConfig:
    """The shape of a first stage.

    Args:
      state: its tensors or their shapes.
      latent_size: height and width of the latents the generator reads.

    Raises:
      InputError: if a tensor that tells the shape is missing.
    """
    levels = range(count(state, "encoder.down"))
    ch = shape(state, "encoder.conv_in.weight", 4)[0]
    channels = [shape(state, f"encoder.down.{i}.block.0.conv1.weight", 4)[0] for i in levels]
    codes, latent_channels = shape(state, "quantize.embedding.weight", 2)
    return VQAutoencoderConfig(
        vocab_size=codes,
        latent_channels=latent_channels,
        ch=ch,
        # Whole ratios as ints: configs are compared as data.
        ch_mult=tuple(n // ch if n % ch == 0 else n / ch for n in channels),
        num_res_blocks=count(state, "encoder.down.0.block"),
        attention_levels=tuple(i for i in levels if f"encoder.down.{i}.attn.0.q.weight" in state),
        image_size=latent_size * 2 ** (len(levels) - 1),
    )
