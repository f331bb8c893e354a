"""Converts PyTorch checkpoints to what jaxaudit reads.

A target, to a directory for --target and `jaxaudit.load_target`:

  jaxaudit convert --family=var --generator=var_d16.pth --tokenizer=vae_ch160v4096z32.pth --out=DIR

A model of captions, with the text encoder by which it embeds them (else captions must come embedded):

  jaxaudit convert --family=var --generator=var_clip.pth --tokenizer=vae_ch160v4096z32.pth
      --text_encoder=clip-vit-large-patch14 --out=DIR

A folder of a diffusers pipeline, with or without a LoRA, to such a directory; its files say the family:

  jaxaudit convert --diffusers=stable-diffusion-v1-4 --lora=pokemon.safetensors --out=DIR

A feature extractor, to a file for `jaxaudit.feature_extractors.load_extractor`:

  jaxaudit convert --family=sscd --weights=sscd_disc_mixup.torchvision.pt --out=sscd.safetensors
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from absl import flags
from rich.console import Console
from rich.table import Table
from rich.text import Text

from checkpoints_convert import CONVERSIONS
from checkpoints_convert.diffusers.pipeline import convert_folder
from checkpoints_convert.extractors import EXTRACTORS, convert_extractor
from checkpoints_convert.pipeline import Converted, convert_files, matching_variant
from checkpoints_convert.text_encoders import add_text_encoder
from jaxaudit import cli
from jaxaudit.checkpoint import check_writable, save_target
from jaxaudit.errors import InputError
from jaxaudit.feature_extractors import save_extractor
from jaxaudit.feature_extractors.files import check_writable as check_file_writable
from jaxaudit.outputs import check_file, check_new_folder
from jaxaudit.runtime.resident import peak_resident

with cli.flag_group("What is converted"):
    _FAMILY = flags.DEFINE_enum(
        "family",
        None,
        sorted([*CONVERSIONS, *EXTRACTORS]),
        "Model family, or feature extractor; a diffusers folder says it itself.",
    )
    _GENERATOR = flags.DEFINE_string("generator", None, "Checkpoint file of a target's generator.")
    _TOKENIZER = flags.DEFINE_string("tokenizer", None, "Checkpoint file of its tokenizer.")
    _DIFFUSERS = flags.DEFINE_string(
        "diffusers", None, "Folder of a diffusers pipeline, with model_index.json; code in it is never run."
    )
    _DIFFUSERS_VARIANT = flags.DEFINE_string(
        "diffusers_variant", None, "Which weights of the folder, as in fp16, where a component has them."
    )
    _LORA = flags.DEFINE_string(
        "lora", None, "LoRA file of kohya's or diffusers' layout, merged into the folder's weights."
    )
    _LORA_SCALE = flags.DEFINE_float(
        "lora_scale", None, "What the changes of --lora are multiplied with; default 1."
    )
    _TEXT_ENCODER = flags.DEFINE_string(
        "text_encoder",
        None,
        "CLIP's text encoder, for a model of captions: a checkpoint file, or its folder with config.json.",
    )
    _VOCABULARY = flags.DEFINE_string(
        "vocabulary",
        None,
        "Folder of vocab.json and merges.txt; default: that of the text encoder.",
    )
    _WEIGHTS = flags.DEFINE_string(
        "weights",
        None,
        "File with the weights of a feature extractor; for a target whose file holds both, ema (the moving "
        "average, default) or raw.",
    )
    _VARIANT = flags.DEFINE_string(
        "variant",
        None,
        "The released model the files are; checks its shape and records its address and licence.",
    )
    _CONTEXT_LENGTH = flags.DEFINE_integer(
        "context_length",
        None,
        "Tokens of a caption, where the shapes do not tell and they are not CLIP's 77.",
        lower_bound=1,
    )
    _NUM_HEADS = flags.DEFINE_integer(
        "num_heads",
        None,
        "Attention heads, where the shapes do not tell and are those of no released model.",
        lower_bound=1,
    )
    _IMAGE_SIZE = flags.DEFINE_integer(
        "image_size",
        None,
        "Pixels per side of a picture, where the shapes do not tell; default that of the --variant.",
        lower_bound=1,
    )
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string(
        "out", None, "Directory or, for a feature extractor, file to write.", required=True
    )
    _DTYPE = flags.DEFINE_enum(
        "dtype",
        "float32",
        ["float32", "bfloat16"],
        "Precision in which a target's parameters are stored; bfloat16 rounds them and takes half the disk.",
    )
    _OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace what is already there.")


_NEEDED = {"folder": ("diffusers",), "target": ("generator", "tokenizer"), "extractor": ("weights",)}
_TAKEN = {
    "folder": ("family", "diffusers_variant", "lora", "lora_scale"),
    "target": (
        *("family", "weights", "text_encoder", "vocabulary"),
        *("variant", "num_heads", "image_size", "context_length"),
    ),
    "extractor": ("family", "variant", "num_heads", "image_size", "context_length"),
}
"""The flags that each kind of conversion must have, and further ones that it may have."""


@flags.multi_flags_validator(
    sorted({name for names in (*_NEEDED.values(), *_TAKEN.values()) for name in names})
)
def _check_files(values: Mapping[str, Any]) -> bool:
    family, what = values["family"], f"--family={values['family']}"
    if values["diffusers"] is not None:
        kind, what = "folder", "--diffusers"
    elif family is None:
        raise flags.ValidationError("Flag --family must have a value, or --diffusers.")
    else:
        kind = "extractor" if family in EXTRACTORS else "target"
    for name in _NEEDED[kind]:
        if values[name] is None:
            raise flags.ValidationError(f"Flag --{name} must have a value for {what}.")
    for name, value in values.items():
        if value is not None and name not in (*_NEEDED[kind], *_TAKEN[kind]):
            raise flags.ValidationError(f"Flag --{name} has no meaning for {what}.")
    if kind == "target" and values["weights"] not in (None, "ema", "raw"):
        raise flags.ValidationError(f"Flag --weights has no meaning for {what}, unless it is ema or raw.")
    if values["vocabulary"] is not None and values["text_encoder"] is None:
        raise flags.ValidationError("Flag --vocabulary needs the --text_encoder that it belongs to.")
    if values["lora_scale"] is not None and values["lora"] is None:
        raise flags.ValidationError("Flag --lora_scale needs the --lora that it belongs to.")
    return True


def main(argv: Sequence[str]) -> None:
    """Converts what the flags name."""
    del argv
    family, folder, weights = _FAMILY.value, _DIFFUSERS.value, _WEIGHTS.value
    if folder is not None:
        _convert_target(functools.partial(_converted_folder, folder))
    elif family is not None and weights is not None and family in EXTRACTORS:
        _convert_extractor(family, weights)
    elif family is not None:
        _convert_target(functools.partial(_converted_files, family))


def _convert_target(convert: Callable[[], Converted]) -> None:
    check_writable(_OUT.value, overwrite=_OVERWRITE.value)
    check_new_folder(_OUT.value)
    converted = convert()
    record = save_target(
        _OUT.value,
        family=converted.family,
        config=converted.config,
        params=converted.params,
        preprocessing=converted.preprocessing,
        provenance=converted.provenance,
        vocabulary=converted.vocabulary,
        overwrite=_OVERWRITE.value,
    )
    _print_summary(converted, record)


def _converted_files(family: str) -> Converted:
    files = {flag.name: flag.value for flag in (_GENERATOR, _TOKENIZER) if flag.value is not None}
    converted = convert_files(
        family,
        files,
        variant=_VARIANT.value,
        num_heads=_NUM_HEADS.value,
        image_size=_IMAGE_SIZE.value,
        context_length=_CONTEXT_LENGTH.value,
        weights=_WEIGHTS.value,
        dtype=_DTYPE.value,
    )
    if _TEXT_ENCODER.value is None:
        return converted
    return add_text_encoder(converted, _TEXT_ENCODER.value, vocabulary=_VOCABULARY.value, dtype=_DTYPE.value)


def _converted_folder(folder: str) -> Converted:
    return convert_folder(
        folder,
        family=_FAMILY.value,
        variant=_DIFFUSERS_VARIANT.value,
        lora=_LORA.value,
        lora_scale=1.0 if _LORA_SCALE.value is None else _LORA_SCALE.value,
        dtype=_DTYPE.value,
    )


def _convert_extractor(family: str, weights: str) -> None:
    for flag, what in ((_NUM_HEADS, "attention"), (_CONTEXT_LENGTH, "captions")):
        if flag.value is not None:
            raise InputError(f"{flag.name}={flag.value} is not needed: {family} has no {what}.")
    if _IMAGE_SIZE.value is not None:
        raise InputError(f"image_size={_IMAGE_SIZE.value} is of targets; {family} has its own.")
    if _DTYPE.value != "float32":
        raise InputError(f"dtype={_DTYPE.value} is of targets; {family} is stored in float32.")
    check_file_writable(_OUT.value, overwrite=_OVERWRITE.value)
    check_file(_OUT.value)
    converted = convert_extractor(family, weights, variant=_VARIANT.value)
    save_extractor(_OUT.value, **vars(converted), overwrite=_OVERWRITE.value)
    size = sum(leaf.size for leaf in jax.tree.leaves(converted.params))
    Console(highlight=False).print(f"{converted.kind}  {size:,} parameters", Text(_OUT.value, style="bold"))


def _print_summary(converted: Converted, record: Mapping[str, Any]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for part, params in converted.params.items():
        size = sum(leaf.size for leaf in jax.tree.leaves(params))
        facts = ", ".join(f"{name} {value}" for name, value in converted.config[part].items())
        table.add_row(part, f"{size:,} parameters", Text(facts, style="dim"))
    stored = f"{record['num_params']:,} parameters in {' and '.join(record['dtypes'])}"
    table.add_row("written", stored, Text(str(_OUT.value), style="bold"))
    table.add_row("memory", f"{peak_resident() / 1e9:.2f} GB at most")
    Console(highlight=False).print(table)
    name = matching_variant(converted) if _DIFFUSERS.value is None else None
    if name is not None and converted.provenance["variant"] is None:
        print(f"These are the shapes of {name}: --variant={name} would record its address and licence.")


def run() -> None:
    """The entry point."""
    cli.run(main)


if __name__ == "__main__":
    run()
