"""Was this model trained on my pictures? For the owner of a collection.

  jaxaudit identify_data --target=DIR --published=folder:P --unpublished=folder:U
  jaxaudit identify_data ... --plan=plan.json                 fixes what will be done; again: does it
  jaxaudit identify_data ... --known_members=folder:M         how many of them were used?
  jaxaudit identify_data ... --previous=OUT/answer.json       asks again, with new pictures

Published pictures may have been used for training; unpublished ones, from the same hand, cannot have been.
The answer is one page, OUT/answer.html; OUT/evidence/ holds the scores behind it. Where the set is identified
and single pictures can be named, OUT/exhibit.html shows them, with hashes. A killed run goes on where it
stopped. There is no answer, but a reason, where the two sets differ without the model, overlap, or are too
small. --reference names a model that has not seen the published pictures, the surest control there is.
"""

from collections.abc import Sequence

from absl import flags

from jaxaudit import cli
from jaxaudit.data.thumbnails import some_thumbnails, thumbnails
from jaxaudit.evidence import Evidence
from jaxaudit.reports.answer.page import print_answer
from jaxaudit.reports.exhibit.page import MOST_SHOWN
from jaxaudit.reports.files import write_answer, write_exhibit
from jaxaudit.results import OwnersAnswer, read_results

from . import machine_flags, shared_flags, statistics_flags
from .progress import reported

shared_flags.define_target()
with cli.flag_group("What is audited"):
    _PUBLISHED = flags.DEFINE_string("published", None, "Pictures in question.", required=True)
    _UNPUBLISHED = flags.DEFINE_string(
        "unpublished", None, "Comparable pictures the model cannot have seen.", required=True
    )
    _KNOWN_MEMBERS = flags.DEFINE_string(
        "known_members",
        None,
        "Pictures the model was trained on for certain, like those published but none of them: they tell how "
        "many of these were used.",
    )
    _PREVIOUS = flags.DEFINE_string(
        "previous",
        None,
        "The answer.json of the last question about this model, to ask again with other pictures: all "
        "questions then count as one.",
    )
shared_flags.define_reading()
shared_flags.define_reference()
shared_flags.define_access()
statistics_flags.define_test()
statistics_flags.define_plan()
shared_flags.define_seed()
machine_flags.define_devices(batch_size=64)
machine_flags.define_processes()
machine_flags.define_compile_only()
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "Where everything goes; default identifications/TARGET.")

_SHOWN = 12  # pictures of each side in the page


def main(argv: Sequence[str]) -> None:
    """Answers the question the flags ask."""
    del argv
    from jaxaudit.audits.carry_out import compile_steps
    from jaxaudit.audits.collect import CollectConfig
    from jaxaudit.audits.exhibit import make_exhibit
    from jaxaudit.audits.identify import identify_data, plan_identification
    from jaxaudit.audits.known import check_known
    from jaxaudit.audits.known_pictures import Known
    from jaxaudit.audits.sides import check_sides, check_sizes

    flag, console, assess_config = flags.FLAGS, cli.terminal(), statistics_flags.assess_config()
    directory = shared_flags.out_folder(_OUT.value, "identifications")
    previous = read_results(_PREVIOUS.value, OwnersAnswer) if _PREVIOUS.value else None
    placement = machine_flags.placement()
    plan = statistics_flags.read_plan(placement.process)
    published = shared_flags.open_pictures(_PUBLISHED.value, directory)
    sides = published, shared_flags.open_pictures(_UNPUBLISHED.value, directory)
    known = None
    if _KNOWN_MEMBERS.value:
        known = Known(shared_flags.open_pictures(_KNOWN_MEMBERS.value, directory), directory / "known")
    target = shared_flags.load(console)
    check_sides(target, *sides)
    check_sizes(target, *sides, assess_config)
    if known is not None:
        check_sides(target, known.pictures, sides[1])
        check_known(len(known.pictures))
    config = CollectConfig(access=shared_flags.access(), seed=flag.seed, placement=placement)
    reference = shared_flags.load_reference(console, target, sides, directory)
    if flag.compile_only:
        with reported(console, f"Compiling {target.name}"):
            compiled = compile_steps(target, *sides, config, reference=reference)
        machine_flags.print_compiled(compiled, console)
        return
    if flag.plan and plan is None:
        with reported(console, f"Preparing {target.name}", unit="images") as progress:
            made = plan_identification(
                target,
                *sides,
                config,
                assess_config,
                reference=reference,
                known=known,
                previous=previous,
                progress=progress,
            )
        statistics_flags.write_plan(made, console)
        return
    with reported(console, f"Preparing {target.name}", unit="images") as progress:
        answer = identify_data(
            target,
            *sides,
            directory / "evidence",
            config,
            assess_config,
            reference=reference,
            known=known,
            previous=previous,
            plan=plan,
            progress=progress,
        )

    def report() -> None:
        with reported(console, "Looking for pictures that can be named", unit="images") as progress:
            evidence = Evidence.open(directory / "evidence")
            exhibit = make_exhibit(answer, published, evidence, target.preprocessing, progress=progress)
            shown = exhibit.named[:MOST_SHOWN] if exhibit else ()
            write_exhibit(exhibit, thumbnails(published, [picture.id for picture in shown]), directory)
        write_answer(answer, directory, [some_thumbnails(side, _SHOWN) for side in sides])
        print_answer(answer, console)
        console.print(f"The whole answer: {directory / 'answer.html'}", soft_wrap=True)
        if exhibit:
            named = f"{len(exhibit.named):,} pictures that can be named"
            console.print(f"{named}: {directory / 'exhibit.html'}", soft_wrap=True)

    shared_flags.report_once(directory, report, console)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()
