"""The pictures that can be named, with hashes that tell them again, once P was found to be trained on.

The list is that of `jaxaudit.stats.discover_members`. Where P as a whole was not identified there is no
exhibit, whatever single pictures look like: then a model that has seen none of P is shown one with
probability at most alpha, and not q; and of what is named, the expected share of nonmembers only falls.
"""

from __future__ import annotations

from jaxaudit.data import Preprocessing, Source
from jaxaudit.data.hashes import hashes
from jaxaudit.errors import InputError
from jaxaudit.evidence import Evidence
from jaxaudit.results import Exhibit, ExhibitPicture, OwnersAnswer
from jaxaudit.runtime.progress import Progress, silent


def make_exhibit(
    answer: OwnersAnswer,
    published: Source,
    evidence: Evidence,
    preprocessing: Preprocessing,
    *,
    progress: Progress = silent,
) -> Exhibit | None:
    """Reads the pictures of P again and says which can be named; None if none can.

    Args:
      answer: to the question about them.
      published: P.
      evidence: of that question.
      preprocessing: the target's.
      progress: hears of pictures.

    Raises:
      InputError: if a picture cannot be read, or has changed since it was scored.
    """
    found = answer.audit.individuals
    if answer.status != "identified" or found is None or not found.discovered:
        return None
    table = evidence.read("members")
    scored = dict(zip(table.sample_ids.tolist(), table.digests.tolist(), strict=True))
    rows = {name: row for row, name in enumerate(published.ids)}
    named = set(found.discovered)
    scores = found.scores or (None,) * found.num_p
    columns = found.ids, found.p_values, found.adjusted_p_values, scores
    read = hashes(published, [rows[name] for name in found.ids], preprocessing)
    pictures = []
    for (name, p_value, adjusted, score), of in zip(zip(*columns, strict=True), read, strict=True):
        if of.pixels != scored[name]:
            raise InputError(f"{name!r} of {published.spec} has changed since it was scored; put it back.")
        pictures.append(ExhibitPicture(name, name in named, score, p_value, adjusted, *of))
        progress(len(pictures), found.num_p, "Hashing the pictures")
    audit = answer.audit
    return Exhibit(
        target=audit.target,
        source=audit.members.source,
        unpublished=audit.nonmembers.source,
        finding=audit.finding.sentence,
        question=answer.asked.questions[-1].fingerprint,
        q=found.q,
        num_u=found.num_u,
        pictures=tuple(sorted(pictures, key=lambda picture: (picture.p_value, -(picture.score or 0.0)))),
    )
