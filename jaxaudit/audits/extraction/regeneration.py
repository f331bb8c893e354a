"""How many training images would sampling bring back?  Probabilities of all, beside those of images held out.

Axes: N images, S steps of generation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from jaxaudit import stats
from jaxaudit.attacks.completion import DiscreteExtraction, check_prefixes, default_prefixes
from jaxaudit.attacks.condition import resolve_condition
from jaxaudit.attacks.regeneration import PLAIN, RegenerationAttack, Sampling, log_probabilities
from jaxaudit.audits.extraction.config import DEFAULTS, ExtractionConfig
from jaxaudit.audits.extraction.shards import Columns, base_request, run_shards
from jaxaudit.audits.one_pass import one_pass
from jaxaudit.audits.pictures import Pictures, look
from jaxaudit.data import PictureBatch, Source, check_disjoint
from jaxaudit.errors import InputError
from jaxaudit.evidence import joined
from jaxaudit.paths import Location, as_place
from jaxaudit.results import PrefixRegeneration, RegenerationResults
from jaxaudit.runtime.parallel import Pending
from jaxaudit.runtime.progress import Progress, silent
from jaxaudit.targets import Given, Target


@dataclasses.dataclass(frozen=True, eq=False)
class ImageProbabilities:
    """Images and the log-probability with which sampling draws them, after every prefix.

    Attributes:
      sample_ids: [N] str.
      log_p: {prefix: [N] nats}; -inf for what is never drawn.
    """

    sample_ids: np.ndarray
    log_p: dict[int, Float[np.ndarray, " N"]]


def regenerate(
    target: Target,
    candidates: Source,
    held_out: Source,
    *,
    sampling: Sampling = PLAIN,
    config: ExtractionConfig = DEFAULTS,
    most_tries: int = 1_000_000,
    directory: Location | None = None,
    progress: Progress = silent,
) -> tuple[RegenerationResults, dict[str, ImageProbabilities]]:
    """What sampling would bring back of the candidates, without sampling.

    Args:
      target: of discrete tokens.
      candidates: images the model was trained on.
      held_out: images of the same kind that it was not trained on.
      sampling: how it is sampled.
      config: prefixes, seed, placement and size of shards.
      most_tries: within which an image must come back, with a chance of a half, to count as extracted.
      directory: where probabilities of single images are kept, so that a killed run goes on; None keeps
        nothing.
      progress: hears of pictures of this process.

    Returns:
      the results, and {"candidates", "held_out": probabilities of every image}.

    Raises:
      InputError: if the target, a prefix or the sampling does not fit, pictures cannot be used or are on both
        sides, or `directory` holds results of another request.
    """
    mesh = config.placement.mesh(target.params, target.partition)
    attack = RegenerationAttack(target, sampling, mesh=mesh, parallelism=config.placement.parallelism)
    prefixes = config.prefixes or default_prefixes(target.tokens_per_step, DiscreteExtraction.prefix_tokens)
    check_prefixes(prefixes, target.tokens_per_step)
    if most_tries < 1:
        raise InputError(f"most_tries={most_tries} is no number of tries; 1 is the least.")
    sources = {"candidates": candidates, "held_out": held_out}
    pictures = {
        side: look(resolve_condition(source, target), target.preprocessing, progress)
        for side, source in sources.items()
    }
    check_disjoint(pictures["candidates"].digests, pictures["held_out"].digests)
    found = {
        side: image_probabilities(
            attack,
            each,
            prefixes,
            config,
            directory=None if directory is None else as_place(directory) / side,
            progress=progress,
        )
        for side, each in pictures.items()
    }
    tokens = np.cumsum([0, *target.tokens_per_step])
    law = sampling.sampler
    return RegenerationResults(
        target=target.name,
        family=target.family,
        fingerprint=target.provenance.get("fingerprint"),
        sources={side: source.spec for side, source in sources.items()},
        skipped={side: source.skipped for side, source in sources.items()},
        temperature=law.temperature,
        top_k=law.top_k,
        top_p=law.top_p,
        guidance=sampling.guidance,
        guidance_power=sampling.guidance_power,
        tokens=target.num_tokens,
        prefixes=tuple(
            PrefixRegeneration(
                prefix=prefix,
                tokens=int(tokens[prefix]),
                found=stats.regeneration(
                    *(found[side].log_p[prefix] for side in sources), most_tries=most_tries
                ),
            )
            for prefix in prefixes
        ),
    ), found


def image_probabilities(
    attack: RegenerationAttack,
    pictures: Pictures,
    prefixes: tuple[int, ...],
    config: ExtractionConfig,
    *,
    directory: Location | None,
    progress: Progress = silent,
) -> ImageProbabilities:
    """The probability of every picture after every prefix; arguments as of `regenerate`.

    Raises:
      InputError: if `directory` holds those of another request, or a picture has changed.
    """
    asked = dataclasses.asdict(attack.sampling)
    request = {**base_request(attack.target, pictures, config), "sampling": asked}

    def compute(rows: range, done: Callable[[int], None]) -> Columns:
        return _steps(attack, pictures, config.placement.batch_size, rows, done)

    parts = list(
        run_shards(
            pictures,
            compute,
            config,
            attack.mesh,
            request=request,
            directory=directory,
            progress=progress,
            what="Asking for probabilities",
        )
    )
    columns = joined(parts)
    return ImageProbabilities(columns["sample_id"], log_probabilities(columns["log_q"], prefixes))


def _steps(
    attack: RegenerationAttack, pictures: Pictures, batch_size: int, rows: range, done: Callable[[int], None]
) -> Columns:
    """The columns of some rows."""

    def submit(batch: PictureBatch, told: Given) -> Pending:
        return attack.submit(batch.images, told, padded_size=batch_size)

    passed = one_pass(attack.target, pictures, rows, submit, batch_size, done)
    return {"sample_id": np.array(passed.ids, np.str_), "log_q": np.concatenate(passed.found)}
