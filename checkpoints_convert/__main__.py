"""Converts PyTorch checkpoints to a target directory that `jaxaudit.load_target` reads.

python -m checkpoints_convert --family=var --generator=var_d16.pth --tokenizer=vae_ch160v4096z32.pth --out=DIR
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
from absl import flags
from rich.console import Console
from rich.table import Table
from rich.text import Text

from checkpoints_convert import CONVERSIONS
from checkpoints_convert.pipeline import Converted, convert_files, matching_variant
from jaxaudit import cli
from jaxaudit.checkpoint import check_writable, save_target

_FAMILY = flags.DEFINE_enum("family", None, sorted(CONVERSIONS), "Model family.", required=True)
_GENERATOR = flags.DEFINE_string("generator", None, "Checkpoint file of the generator.", required=True)
_TOKENIZER = flags.DEFINE_string("tokenizer", None, "Checkpoint file of its tokenizer.", required=True)
_OUT = flags.DEFINE_string("out", None, "Directory to write.", required=True)
_VARIANT = flags.DEFINE_string(
    "variant", None, "The released model the files are; checks its shape and records its address and licence."
)
_NUM_HEADS = flags.DEFINE_integer(
    "num_heads", None, "Attention heads, where the shapes do not tell and are those of no released model."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a target that is already there.")


def main(argv: Sequence[str]) -> None:
    """Converts what the flags name."""
    del argv
    check_writable(_OUT.value, overwrite=_OVERWRITE.value)
    files = {"generator": _GENERATOR.value, "tokenizer": _TOKENIZER.value}
    converted = convert_files(_FAMILY.value, files, variant=_VARIANT.value, num_heads=_NUM_HEADS.value)
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


def _print_summary(converted: Converted, record: Mapping[str, Any]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for part, params in converted.params.items():
        size = sum(leaf.size for leaf in jax.tree.leaves(params))
        facts = ", ".join(f"{name} {value}" for name, value in converted.config[part].items())
        table.add_row(part, f"{size:,} parameters", Text(facts, style="dim"))
    table.add_row("written", f"{record['num_params']:,} parameters", Text(str(_OUT.value), style="bold"))
    Console(highlight=False).print(table)
    name = matching_variant(converted)
    if name is not None and converted.provenance["variant"] is None:
        print(f"These are the shapes of {name}: --variant={name} would record its address and licence.")


def run() -> None:
    """The entry point."""
    cli.run(main)


if __name__ == "__main__":
    run()
