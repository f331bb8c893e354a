"""How many training images an attacker who adapts gets back: the way of asking is chosen on his half.

Of each way of asking, p_z of every image is known: the chance that one try draws all of its tokens. On the
attacker's half (`jaxaudit.stats.adaptive.Halves`) the threshold is set above every nonmember, and the way is
chosen that brings most members back,

  extracted: 1 - (1 - p_z)^tries >= 1/2  and  log p_z > max over his nonmembers of log p_z               (1)

both are then applied to the other half. Greedy completion is a way of asking with p_z = 1 or 0.

Axes: n members, m nonmembers.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

from jaxaudit.results import Extracted
from jaxaudit.stats.adaptive import Halves
from jaxaudit.stats.intervals import clopper_pearson
from jaxaudit.stats.regeneration import discoverable

LogP = tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]
"""log p_z in nats of members and nonmembers, -inf for what is never drawn."""


def adaptive_extraction(asked: Mapping[str, LogP], split: Halves, *, most_tries: int) -> Extracted:
    """What the best way of asking brings back of the half that it was not chosen on.

    Args:
      asked: {way of asking: log p_z}; of equals the first is chosen.
      split: the halves.
      most_tries: that an image may take.
    """
    known = {
        name: [side[rows] for side, rows in zip(log_p, split.known, strict=True)]
        for name, log_p in asked.items()
    }
    bars = {name: float(nonmembers.max()) for name, (_, nonmembers) in known.items()}
    found = {
        name: int(_passes(members, bars[name], most_tries).sum()) for name, (members, _) in known.items()
    }
    best = max(asked, key=found.__getitem__)
    members, nonmembers = (
        _passes(side[rows], bars[best], most_tries)
        for side, rows in zip(asked[best], split.test, strict=True)
    )
    return Extracted(
        attack=best,
        share=clopper_pearson(int(members.sum()), members.size),
        count=int(members.sum()),
        images=members.size,
        false_positives=int(nonmembers.sum()),
        held_out=nonmembers.size,
    )


def _passes(log_p: Float[np.ndarray, " n"], bar: float, most_tries: int) -> Bool[np.ndarray, " n"]:
    return discoverable(log_p, most_tries, 0.5) & (log_p > bar)
