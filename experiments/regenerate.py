"""How many training images would sampling bring back? From likelihoods alone; nothing is sampled.

  jaxaudit regenerate --target=digits_var_memorised
  jaxaudit regenerate --target=DIR --sampler_top_k=900 --sampler_top_p=0.96 --guidance=2.5 \\
      --candidates='folder:/imagenet/train?classes=sorted' --held_out='folder:/imagenet/val?classes=sorted'

Writes to --out: results.json, probabilities.parquet (one row per image), expected.png and report.html. A
killed run goes on where it stopped.
"""

from collections.abc import Sequence

from absl import flags

from jaxaudit import cli

from . import machine_flags, shared_flags
from .progress import reported

shared_flags.define_target()
with cli.flag_group("What is audited"):
    _CANDIDATES = flags.DEFINE_string("candidates", "digits:members", "Pictures the target was trained on.")
    _HELD_OUT = flags.DEFINE_string(
        "held_out", "digits:nonmembers", "Pictures of the same kind that it was not trained on."
    )
shared_flags.define_reading()
with cli.flag_group("How the target is sampled"):
    _TEMPERATURE = flags.DEFINE_float("temperature", 1.0, "By which logits are divided.", lower_bound=1e-3)
    _TOP_K = flags.DEFINE_integer("sampler_top_k", 0, "Tokens left to draw from; 0 means all.", lower_bound=0)
    _TOP_P = flags.DEFINE_float(
        "sampler_top_p", 1.0, "Probability left to draw from.", lower_bound=1e-6, upper_bound=1.0
    )
    _GUIDANCE = flags.DEFINE_float(
        "guidance", 1.0, "Weight of the condition at the last step, 1 for none; VAR's cfg is this minus 1."
    )
    _POWER = flags.DEFINE_float(
        "guidance_power",
        1.0,
        "Of RAR's cosine by which guidance grows; models without one refuse it.",
        lower_bound=1e-3,
    )
with cli.flag_group("What counts"):
    _TRIES = flags.DEFINE_integer(
        "most_tries", 1_000_000, "Within which an image comes back with a chance of a half.", lower_bound=1
    )
    _PREFIXES = flags.DEFINE_list(
        "prefixes",
        [],
        "Generation steps of the original to keep (VAR: scales, others: tokens); default those of 0, 1, 5, "
        "14 and 30 tokens, at most a quarter of the image. The longest counts.",
    )
shared_flags.define_seed()
machine_flags.define_devices(batch_size=64)
machine_flags.define_processes()
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "Where everything goes; default regenerations/TARGET.")


def main(argv: Sequence[str]) -> None:
    """Computes what the flags ask for and reports."""
    del argv
    from jaxaudit.attacks.regeneration import Sampling
    from jaxaudit.audits.extraction import ExtractionConfig, regenerate, write_probabilities
    from jaxaudit.audits.sides import check_sides
    from jaxaudit.reports.files import write_regeneration
    from jaxaudit.reports.regeneration.rows import print_regeneration
    from jaxaudit_kernels.sampling_law import Sampler

    flag, console = flags.FLAGS, cli.terminal()
    config = ExtractionConfig(
        prefixes=cli.whole_numbers("prefixes", _PREFIXES.value),
        seed=flag.seed,
        placement=machine_flags.placement(),
    )
    sampling = Sampling(
        Sampler(_TEMPERATURE.value, _TOP_K.value, _TOP_P.value), _GUIDANCE.value, _POWER.value
    )
    directory = shared_flags.out_folder(_OUT.value, "regenerations")
    candidates = shared_flags.open_pictures(_CANDIDATES.value, directory)
    sides = candidates, shared_flags.open_pictures(_HELD_OUT.value, directory)
    target = shared_flags.load(console)
    check_sides(target, *sides)
    with reported(console, f"Preparing {target.name}", unit="images") as progress:
        results, found = regenerate(
            target,
            *sides,
            sampling=sampling,
            config=config,
            most_tries=_TRIES.value,
            directory=directory / "probabilities",
            progress=progress,
        )

    def report() -> None:
        write_probabilities(found, directory)
        write_regeneration(results, directory)
        print_regeneration(results, console)
        console.print(f"Report: {directory / 'report.html'}", soft_wrap=True)

    shared_flags.report_once(directory, report, console)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()
