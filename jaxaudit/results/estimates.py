"""Numbers with what is known of their error."""

from __future__ import annotations

from jaxaudit.results.codec import Record


class Interval(Record, frozen=True):
    """An estimate with its confidence interval: `low` <= `high`, both inclusive."""

    estimate: float
    low: float
    high: float


class MeanStd(Record, frozen=True):
    """Mean and standard deviation (ddof 1) over random subsets: a spread, not a confidence interval."""

    mean: float
    std: float
