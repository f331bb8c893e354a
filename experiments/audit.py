"""Audits an image generator: which pictures was it trained on, and what does it give away?

python -m experiments.audit                                              the built-in target, on digits
python -m experiments.audit --target=DIR --members=folder:/imagenet/train --nonmembers=folder:/imagenet/val

Writes to --out: evidence/ (one row per picture), results.json, figures/ and report.html. A killed run
goes on where it stopped; `experiments.verdict` repeats the statistics from the evidence alone.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags
from rich.console import Console

from experiments import common
from experiments.reporting import write_report
from jaxaudit import cli

common.define_target()
_MEMBERS = flags.DEFINE_string("members", "digits:members", "Pictures the target was trained on.")
_NONMEMBERS = flags.DEFINE_string("nonmembers", "digits:nonmembers", "Pictures it was not trained on.")
_NUM_SAMPLES = flags.DEFINE_integer(
    "num_samples", 0, "Pictures drawn from each side; 0 means all.", lower_bound=0
)
_SCORES = flags.DEFINE_list("scores", ["all"], "Scores, patterns such as diff/*, or default, paper, all.")
_LIST_SCORES = flags.DEFINE_bool("list_scores", False, "Print every score with its source, and stop.")
_SKIP = flags.DEFINE_bool("skip_unreadable", False, "Leave out pictures that cannot be used, and list them.")
_SHARD_SIZE = flags.DEFINE_integer("shard_size", 512, "Pictures per evidence file.", lower_bound=1)
_OUT = flags.DEFINE_string("out", None, "Where everything goes; default audits/TARGET.")
common.define_statistics()
common.define_seed()
common.define_devices(batch_size=64)


def main(argv: Sequence[str]) -> None:
    """Collects the evidence the flags ask for, assesses it and reports."""
    del argv
    console = Console()
    if _LIST_SCORES.value:
        common.print_scores(console)
        return
    import jax

    from jaxaudit.assess import assess
    from jaxaudit.checkpoint import load_target
    from jaxaudit.collect import CollectConfig, collect_evidence
    from jaxaudit.data import open_source
    from jaxaudit.sharding import initialize_processes, make_mesh, replicated

    flag = common.FLAGS
    assess_config = common.assess_config()
    config = CollectConfig(
        scores=tuple(_SCORES.value),
        num_samples=_NUM_SAMPLES.value,
        seed=flag.seed,
        precision=flag.precision,
        batch_size=flag.batch_size,
        num_devices=flag.num_devices,
        parallelism=flag.parallelism,
        shard_size=_SHARD_SIZE.value,
    )
    members, nonmembers = (
        open_source(spec, skip_unreadable=_SKIP.value) for spec in (_MEMBERS.value, _NONMEMBERS.value)
    )
    initialize_processes(flag.distributed)
    mesh = make_mesh(flag.num_devices or None)
    target = load_target(flag.target, dtype=flag.precision, sharding=replicated(mesh))
    directory = Path(_OUT.value or Path("audits") / Path(flag.target).name)
    with common.progress_bar(console, f"Scoring with {target.name}", unit="images") as progress:
        evidence = collect_evidence(
            target, members, nonmembers, directory / "evidence", config, progress=progress
        )
    for source in (members, nonmembers):
        for sample_id, reason in source.skipped.items():
            console.print(f"Left out {sample_id}: {reason}", markup=False)
    if jax.process_index() == 0:
        with console.status("Computing statistics"):
            results = assess(evidence, assess_config)
        write_report(results, directory, console)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()
