"""Pictures that the model is known to have been trained on, beside those in question.

Their scores are in a folder of their own with one side, "members" (`jaxaudit.audits.known_pictures`). None of
them may be in P or U, nor an altered copy of a picture there: P's share would be read off pictures that are
known to be members, or that cannot be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxaudit import stats
from jaxaudit.audits.independent import counted_alike
from jaxaudit.errors import InputError
from jaxaudit.evidence import SPLITS, Evidence, Table
from jaxaudit.evidence.claims import differences

SIDE = "members"
"""The one side of their evidence."""
_OF_PICTURES = (*SPLITS, "num_rows", "shard_size", "num_samples")
"""Of a request, what may differ between P and U and the known members."""
_EXAMPLES = 3


def check_known(num_known: int) -> None:
    """Refuses fewer known members than a share could be estimated by.

    Raises:
      InputError: with the number that is needed at least.
    """
    if num_known < stats.FEWEST:
        raise InputError(
            f"{num_known} known members are too few to estimate a share by: at least {stats.FEWEST} are "
            "needed, and hundreds for a narrow interval."
        )


def read_known(known: Evidence, evidence: Evidence, r: int) -> Table:
    """The known members that count, of each cluster the first r pictures, as those of P and U.

    Raises:
      InputError: if they were not scored as P and U were, are incomplete, too few, or among these.
    """
    asked, now = (_without_pictures(each.request) for each in (evidence, known))
    if differ := list(differences(asked, now)):
        raise InputError(
            f"The known members in {known.directory} were not scored as the pictures in question: "
            f"{'; '.join(differ[:_EXAMPLES])}."
        )
    table = known.read(SIDE)
    for split, what in zip(SPLITS, ("published", "unpublished"), strict=True):
        other = evidence.read(split)
        same = dict(zip(other.digests.tolist(), other.sample_ids.tolist(), strict=True))
        ids, digests = table.sample_ids.tolist(), table.digests.tolist()
        check_no_copies({name: same.get(of, "") for name, of in zip(ids, digests, strict=True)}, what)
    table = counted_alike(table, r)
    check_known(len(table))
    return table


def check_no_copies(copy_of: Mapping[str, str], what: str) -> None:
    """Refuses known members that are in another set.

    Args:
      copy_of: {known member: the same or an altered picture of that set, "" for none}.
      what: the set is called.

    Raises:
      InputError: with their number and the first few.
    """
    if pairs := [(name, of) for name, of in copy_of.items() if of]:
        shown = "; ".join(f"{name!r} and {of!r}" for name, of in pairs[:_EXAMPLES])
        raise InputError(
            f"{len(pairs)} known members are the same as, or altered copies of, {what} pictures ({shown}"
            f"{'; ...' if len(pairs) > _EXAMPLES else ''}); known members must be other pictures than those "
            "in question and those to compare them with."
        )


def _without_pictures(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name not in _OF_PICTURES}
