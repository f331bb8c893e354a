"""Finds the hidden units of a target that answer to one training picture alone.

  jaxaudit localize                                          the built-in target, on digits
  jaxaudit localize --target=DIR --subsets=0.01,0.05,0.1,0.2 \\
      --members=folder:/imagenet/train --nonmembers=folder:/imagenet/val

Writes to --out: units.npz (UnitMem of every unit and the picture that fires it), results.json, pictures/,
figures/ and report.html. A killed run goes on where it stopped.
"""

import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags
from PIL import Image
from rich.console import Console

from jaxaudit import cli
from jaxaudit.data import Source, open_source
from jaxaudit.errors import InputError
from jaxaudit.evidence import UNITS, read_manifest, write_atomically
from jaxaudit.reports.localization import print_localization, render_localization
from jaxaudit.reports.localization_figures import draw_localization

from . import shared_flags
from .progress import reported

_THUMBNAIL = 168  # pixels, the long side


shared_flags.define_target()
with cli.flag_group("What is audited"):
    _MEMBERS = flags.DEFINE_string("members", "digits:members", "Pictures the target was trained on.")
    _NONMEMBERS = flags.DEFINE_string(
        "nonmembers",
        "digits:nonmembers",
        "Control: pictures it was not trained on, as many; '' for no control.",
    )
    _SKIP = flags.DEFINE_bool("skip_unreadable", False, "Leave out pictures that cannot be used.")
with cli.flag_group("Measurement"):
    _SUBSETS = flags.DEFINE_list(
        "subsets",
        [],
        "Shares of the members, balanced over classes; UnitMem is that of the largest, the others show "
        "whether they agree. Default: all of up to 20,000 pictures, 1% of more.",
    )
    _NUM_VIEWS = flags.DEFINE_integer(
        "num_views",
        10,
        "Random crops (small pictures: shifts) a picture is averaged over; 1: the picture itself.",
        lower_bound=1,
    )
    _FLIP = flags.DEFINE_bool("flip", False, "Mirror half of the views.")
    _TIMESTEP = flags.DEFINE_integer(
        "timestep", None, "Diffusion: timestep of the noised latents; default 100."
    )
    _MASK_RATIO = flags.DEFINE_float(
        "mask_ratio", None, "MAR: share of hidden tokens; default 0.86, as in training."
    )
    _TOP = flags.DEFINE_float("top", 0.01, "Share of the units that are reported as the top ones.")
shared_flags.define_seed()
shared_flags.define_devices(batch_size=16)
shared_flags.define_processes()
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "Where everything goes; default localizations/TARGET.")


def main(argv: Sequence[str]) -> None:
    """Measures the units of the target that the flags name, and reports."""
    del argv
    import jax

    from jaxaudit.attacks.localization import Views
    from jaxaudit.audits.localization import LocalizeConfig, localize, pool
    from jaxaudit.checkpoint import load_target
    from jaxaudit.runtime.mesh import make_mesh, replicated
    from jaxaudit.runtime.processes import initialize_processes
    from jaxaudit.stats.localization import localization

    flag, console = flags.FLAGS, Console()
    if not 0 < _TOP.value < 1:
        raise InputError(f"--top={_TOP.value} is not between 0 and 1.")
    config = LocalizeConfig(
        subsets=_shares(_SUBSETS.value),
        seed=flag.seed,
        views=Views(_NUM_VIEWS.value, _FLIP.value),
        timestep=_TIMESTEP.value,
        mask_ratio=_MASK_RATIO.value,
        placement=shared_flags.placement(),
    )
    members = open_source(_MEMBERS.value, skip_unreadable=_SKIP.value)
    control = open_source(_NONMEMBERS.value, skip_unreadable=_SKIP.value) if _NONMEMBERS.value else None
    initialize_processes(flags.FLAGS.distributed)
    target = load_target(
        flag.target, dtype=flag.precision, sharding=replicated(make_mesh(flag.num_devices or None))
    )
    directory = Path(_OUT.value or Path("localizations") / Path(flag.target).name)
    with reported(console, "Preparing", unit="images") as progress:
        units = localize(target, members, directory / "units", config, progress=progress)
    pooled = None
    if control is not None:
        share = min(1.0, len(units.ids) / len(control))
        alike = dataclasses.replace(config, subsets=(share,))
        with reported(console, "Preparing the control", unit="images") as progress:
            unseen = localize(target, control, directory / "control", alike, progress=progress)
        pooled = pool(units, unseen)
    if jax.process_index() == 0:
        request = read_manifest(directory / "units", UNITS).request
        results = {
            "format": 2,
            "request": {**request, "target": {"name": target.name, **request["target"]}},
            "control": _NONMEMBERS.value,
            "localization": localization(units, top=_TOP.value, pooled=pooled, seed=flag.seed).to_dict(),
        }
        _report(results, members, directory, console)


def _shares(values: Sequence[str]) -> tuple[float, ...] | None:
    try:
        return tuple(float(value) for value in values) or None
    except ValueError:
        raise InputError(f"--subsets={','.join(values)} are no shares; write 0.01,0.1 for example.") from None


def _report(results: dict[str, Any], members: Source, directory: Path, console: Console) -> None:
    """Writes results.json, pictures, figures and report.html, and prints the main numbers."""
    named = [row["picture"] for row in results["localization"]["pictures"]]
    pictures = {sample_id: _thumbnail(members, sample_id) for sample_id in named}
    (directory / "pictures").mkdir(parents=True, exist_ok=True)
    for i, sample_id in enumerate(named):
        write_atomically(directory / "pictures" / f"{i:02d}.png", pictures[sample_id])
    write_atomically(directory / "results.json", json.dumps(results, indent=1).encode())
    draw_localization(results, directory / "figures")
    write_atomically(directory / "report.html", render_localization(results, pictures).encode())
    print_localization(results, console)
    console.print(f"Report: {directory / 'report.html'}", soft_wrap=True)


def _thumbnail(source: Source, sample_id: str) -> bytes:
    """A picture of the source as a small PNG file."""
    picture = Image.fromarray(source.load(source.ids.index(sample_id)).image)
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()
