"""Which training images does a model give back? Ranks candidates, completes the best, counts the copies.

  jaxaudit extract --target=digits_var_memorised
  jaxaudit extract --target=DIR --candidates='folder:/imagenet/train?classes=sorted' \\
      --validation='folder:/imagenet/val?classes=sorted'

Writes to --out: extracted.csv and .parquet (one row per extracted picture), candidates.parquet,
validation.parquet, results.json, figures/ and report.html. A killed run goes on where it stopped.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from jaxaudit import cli

from . import machine_flags, shared_flags
from .progress import reported

shared_flags.define_target()
with cli.flag_group("What is audited"):
    _CANDIDATES = flags.DEFINE_string("candidates", "digits:members", "Pictures the target was trained on.")
    _VALIDATION = flags.DEFINE_string(
        "validation",
        "digits:nonmembers",
        "Pictures it was not trained on, put through the same procedure: what passes is a false positive. "
        "Empty: none.",
    )
shared_flags.define_reading()
with cli.flag_group("Extraction"):
    _SCORE = flags.DEFINE_string(
        "score",
        "",
        "What ranks the candidates: greedy_match (discrete tokens) or latent_match (MAR), or the same with "
        "_ref as published.",
    )
    _TOP_K = flags.DEFINE_integer(
        "top_k", 5, "Candidates of each class to complete; 0 means all.", lower_bound=0
    )
    _VALIDATION_TOP_K = flags.DEFINE_integer(
        "validation_top_k", 0, "Held-out pictures of each class to complete; 0 means all.", lower_bound=0
    )
    _PREFIXES = flags.DEFINE_list(
        "prefixes",
        [],
        "Generation steps of the original to keep (VAR: scales, MAR: steps, else tokens); default those of "
        "0, 1, 5, 14 and 30 tokens (MAR: 0, 1, 2 and 5), at most a quarter of the image. The longest counts.",
    )
with cli.flag_group("What counts as a copy"):
    _SIMILARITY = flags.DEFINE_enum(
        "similarity", "pixels", ["pixels", "sscd"], "What a completion is compared with its original by."
    )
    _EXTRACTOR = flags.DEFINE_string(
        "extractor", None, "Weights of --similarity=sscd, written by checkpoints_convert.extractors."
    )
    _THRESHOLD = flags.DEFINE_float("threshold", None, "Similarity of a copy; default that of the measure.")
    _REFERENCE = flags.DEFINE_integer(
        "reference_size", 5000, "Training pictures that completions are compared with as well.", lower_bound=2
    )
shared_flags.define_seed()
machine_flags.define_devices(batch_size=64)
machine_flags.define_processes()
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "Where everything goes; default extractions/TARGET.")
    _SHARD_SIZE = flags.DEFINE_integer("shard_size", 512, "Pictures per file.", lower_bound=1)


def main(argv: Sequence[str]) -> None:
    """Runs the attack the flags ask for and reports."""
    del argv
    from jaxaudit.attacks.similarity import get_similarity
    from jaxaudit.audits.extraction import ExtractionConfig, complete_images, extract, write_tables
    from jaxaudit.audits.sides import check_sides
    from jaxaudit.reports.extraction.rows import print_extraction
    from jaxaudit.reports.files import write_extraction

    flag, console = flags.FLAGS, cli.terminal()
    config = ExtractionConfig(
        top_k=_TOP_K.value,
        validation_top_k=_VALIDATION_TOP_K.value,
        score=_SCORE.value,
        prefixes=cli.whole_numbers("prefixes", _PREFIXES.value),
        threshold=_THRESHOLD.value,
        reference_size=_REFERENCE.value,
        seed=flag.seed,
        placement=machine_flags.placement(),
        shard_size=_SHARD_SIZE.value,
    )
    directory = shared_flags.out_folder(_OUT.value, "extractions")
    candidates = shared_flags.open_pictures(_CANDIDATES.value, directory)
    validation = shared_flags.open_pictures(_VALIDATION.value, directory) if _VALIDATION.value else None
    similarity = get_similarity(_SIMILARITY.value, _extractor())
    target = shared_flags.load(console)
    if validation is not None:
        check_sides(target, candidates, validation)
    with reported(console, f"Preparing {target.name}", unit="images") as progress:
        found = extract(
            target,
            candidates,
            validation,
            config,
            similarity=similarity,
            directory=directory,
            progress=progress,
        )

    def report() -> None:
        counts = found.results.counts
        shown = [picture.sample_id for picture in counts.gallery]
        pictures = complete_images(target, candidates, shown, counts.longest.prefix, config)
        write_tables(found, directory)
        write_extraction(found.results, found.extracted, pictures, directory)
        print_extraction(found.results, console)
        console.print(f"Report: {directory / 'report.html'}", soft_wrap=True)

    shared_flags.report_once(directory, report, console)


def _extractor() -> Any:
    if _EXTRACTOR.value is None:
        return None
    from jaxaudit.feature_extractors import load_extractor

    return load_extractor(_EXTRACTOR.value)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()
