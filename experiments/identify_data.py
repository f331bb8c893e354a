"""Was this model trained on my pictures? For the owner of a collection.

  jaxaudit identify_data --target=DIR --published=folder:P --unpublished=folder:U

Published pictures may have been used for training; unpublished ones, from the same hand, cannot have been.
The answer is one page, OUT/answer.html; OUT/evidence/ holds the scores behind it. A killed run goes on where
it stopped. There is no answer, but a reason, where the two sets differ without the model, overlap, or are too
small.
"""

from collections.abc import Sequence

from absl import flags

from jaxaudit import cli
from jaxaudit.data import open_source
from jaxaudit.reports.answer.page import print_answer
from jaxaudit.reports.files import write_answer

from . import shared_flags
from .progress import reported

shared_flags.define_target()
with cli.flag_group("What is audited"):
    _PUBLISHED = flags.DEFINE_string("published", None, "Pictures in question.", required=True)
    _UNPUBLISHED = flags.DEFINE_string(
        "unpublished", None, "Comparable pictures the model cannot have seen.", required=True
    )
    _SKIP_UNREADABLE = flags.DEFINE_bool(
        "skip_unreadable", False, "Leave out pictures that cannot be used, and list them."
    )
shared_flags.define_access()
shared_flags.define_test()
shared_flags.define_seed()
shared_flags.define_devices(batch_size=64)
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "Where everything goes; default identifications/TARGET.")


def main(argv: Sequence[str]) -> None:
    """Answers the question the flags ask."""
    del argv
    from jaxaudit.audits.collect import CollectConfig
    from jaxaudit.audits.identify import identify_data
    from jaxaudit.audits.sides import check_sides, check_sizes

    flag, console, assess_config = flags.FLAGS, cli.terminal(), shared_flags.assess_config()
    directory = shared_flags.out_folder(_OUT.value, "identifications")
    published, unpublished = (
        open_source(spec, skip_unreadable=_SKIP_UNREADABLE.value)
        for spec in (_PUBLISHED.value, _UNPUBLISHED.value)
    )
    target = shared_flags.load(console)
    check_sides(target, published, unpublished)
    check_sizes(target, published, unpublished, assess_config)
    with reported(console, f"Preparing {target.name}", unit="images") as progress:
        answer = identify_data(
            target,
            published,
            unpublished,
            directory / "evidence",
            CollectConfig(
                access=shared_flags.access(),
                seed=flag.seed,
                placement=shared_flags.placement(),
            ),
            assess_config,
            progress=progress,
        )
    write_answer(answer, directory)
    print_answer(answer, console)
    console.print(f"The whole answer: {directory / 'answer.html'}", soft_wrap=True)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()
