"""Converts PyTorch checkpoints to what jaxaudit reads.

A target, to a directory for --target and `jaxaudit.load_target`:

  jaxaudit convert --family=var --generator=var_d16.pth --tokenizer=vae_ch160v4096z32.pth --out=DIR

A feature extractor, to a file for `jaxaudit.feature_extractors.load_extractor`:

  jaxaudit convert --family=sscd --weights=sscd_disc_mixup.torchvision.pt --out=sscd.safetensors
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
from absl import flags
from rich.console import Console
from rich.table import Table
from rich.text import Text

from checkpoints_convert import CONVERSIONS
from checkpoints_convert.extractors import EXTRACTORS, convert_extractor
from checkpoints_convert.pipeline import Converted, convert_files, matching_variant
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
        "Model family, or feature extractor.",
        required=True,
    )
    _GENERATOR = flags.DEFINE_string("generator", None, "Checkpoint file of a target's generator.")
    _TOKENIZER = flags.DEFINE_string("tokenizer", None, "Checkpoint file of its tokenizer.")
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
    )
    _NUM_HEADS = flags.DEFINE_integer(
        "num_heads", None, "Attention heads, where the shapes do not tell and are those of no released model."
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


@flags.multi_flags_validator(["family", "generator", "tokenizer", "weights"])
def _check_files(values: Mapping[str, str | None]) -> bool:
    target, extractor = ("generator", "tokenizer"), ("weights",)
    needed, useless = (extractor, target) if values["family"] in EXTRACTORS else (target, ())
    if values["family"] not in EXTRACTORS and values["weights"] not in (None, "ema", "raw"):
        raise flags.ValidationError(
            f"Flag --weights has no meaning for --family={values['family']}, unless it is ema or raw."
        )
    for name in needed:
        if values[name] is None:
            raise flags.ValidationError(f"Flag --{name} must have a value for --family={values['family']}.")
    for name in useless:
        if values[name] is not None:
            raise flags.ValidationError(f"Flag --{name} has no meaning for --family={values['family']}.")
    return True


def main(argv: Sequence[str]) -> None:
    """Converts what the flags name."""
    del argv
    if _FAMILY.value in EXTRACTORS:
        assert _WEIGHTS.value is not None, "the flags have been checked"
        _convert_extractor(_WEIGHTS.value)
    else:
        _convert_target()


def _convert_target() -> None:
    check_writable(_OUT.value, overwrite=_OVERWRITE.value)
    check_new_folder(_OUT.value)
    files = {flag.name: flag.value for flag in (_GENERATOR, _TOKENIZER) if flag.value is not None}
    converted = convert_files(
        _FAMILY.value,
        files,
        variant=_VARIANT.value,
        num_heads=_NUM_HEADS.value,
        context_length=_CONTEXT_LENGTH.value,
        weights=_WEIGHTS.value,
        dtype=_DTYPE.value,
    )
    record = save_target(
        _OUT.value,
        family=converted.family,
        config=converted.config,
        params=converted.params,
        preprocessing=converted.preprocessing,
        provenance=converted.provenance,
        overwrite=_OVERWRITE.value,
    )
    _print_summary(converted, record)


def _convert_extractor(weights: str) -> None:
    for flag, what in ((_NUM_HEADS, "attention"), (_CONTEXT_LENGTH, "captions")):
        if flag.value is not None:
            raise InputError(f"{flag.name}={flag.value} is not needed: {_FAMILY.value} has no {what}.")
    if _DTYPE.value != "float32":
        raise InputError(f"dtype={_DTYPE.value} is of targets; {_FAMILY.value} is stored in float32.")
    check_file_writable(_OUT.value, overwrite=_OVERWRITE.value)
    check_file(_OUT.value)
    converted = convert_extractor(_FAMILY.value, weights, variant=_VARIANT.value)
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
    name = matching_variant(converted)
    if name is not None and converted.provenance["variant"] is None:
        print(f"These are the shapes of {name}: --variant={name} would record its address and licence.")


def run() -> None:
    """The entry point."""
    cli.run(main)


if __name__ == "__main__":
    run()
