"""Two pools of pictures in, two sets out that differ in nothing but what is asked.

  jaxaudit match_sets --pool_p=folder:published --pool_u=folder:others --out=sets
  jaxaudit audit --members=matched:sets#p --nonmembers=matched:sets#u ...

No model is asked. Copies and near-duplicates go; pictures are matched within their class on what can be seen
of them, of their captions, and of stored embeddings if both pools have them (?embeddings=FILE). Whether the
sets are alike is then judged by what had no part in matching them: "equal", "different" or "too few".

Writes to --out: matched.json, which every program takes as a source; results.json, odds.png, balance.png and
report.html. A killed run goes on where it stopped.
"""

from collections.abc import Sequence

from absl import flags

from jaxaudit import cli

from . import shared_flags
from .progress import reported

with cli.flag_group("What is audited"):
    _POOL_P = flags.DEFINE_string(
        "pool_p", None, "Pictures in question: folder:PATH, npz:FILE, tfds:NAME/SPLIT, ...", required=True
    )
    _POOL_U = flags.DEFINE_string("pool_u", None, "Pictures to compare them with.", required=True)
shared_flags.define_reading()
with cli.flag_group("How"):
    _IMAGE_SIZE = flags.DEFINE_integer(
        "image_size",
        0,
        "Side of the pictures that features are taken of, pixels; 0 takes the short side of the smallest, at "
        "most 256.",
        lower_bound=0,
        upper_bound=4096,
    )
    _MARGIN = flags.DEFINE_float(
        "margin", 0.05, "How far from 1/2 the AUC of a blind classifier may be between sets that are alike."
    )
shared_flags.define_seed()
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "Where everything goes.", required=True)


def main(argv: Sequence[str]) -> None:
    """Matches what the flags name and reports."""
    del argv
    from jaxaudit.audits.fair_sets import MatchConfig, check_pools, match_sets
    from jaxaudit.data.matched import write_matched
    from jaxaudit.outputs import check_folder
    from jaxaudit.reports.fair_sets.rows import print_fair_sets
    from jaxaudit.reports.files import write_fair_sets

    console = cli.terminal()
    config = MatchConfig(image_size=_IMAGE_SIZE.value, margin=_MARGIN.value, seed=flags.FLAGS.seed)
    directory = check_folder(_OUT.value)
    pool_p = shared_flags.open_pictures(_POOL_P.value, directory)
    pool_u = shared_flags.open_pictures(_POOL_U.value, directory)
    check_pools(pool_p, pool_u)
    with reported(console, "Preparing", unit="images") as progress:
        results, listing = match_sets(
            pool_p, pool_u, config, directory=directory / "features", progress=progress
        )
    write_fair_sets(results, directory)
    write_matched(directory, (pool_p.spec, pool_u.spec), listing, answer=results.answer)
    print_fair_sets(results, console)
    console.print(
        f"Use them: --members=matched:{directory}#p --nonmembers=matched:{directory}#u", soft_wrap=True
    )
    console.print(f"Report: {directory / 'report.html'}", soft_wrap=True)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()
