"""Numbers as text, the same in tables, figures and pages.

A rate is in [0, 1] and shown in percent. Rounding never turns a measured rate into 0% or 100%, nor a p-value
into 0.
"""

import math
from collections.abc import Callable

from jaxaudit.results import Interval, MeanStd

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SMALLEST_P = 1e-300

Format = Callable[[float], str]


def count(number: int) -> str:
    """1234567 -> "1,234,567"."""
    return f"{number:,}"


def level(rate: float) -> str:
    """A rate that somebody chose, in full: 0.001 -> "0.1%"."""
    return f"{100 * rate:.6g}%"


def percent(rate: float) -> str:
    """A measured rate: 0.4523 -> "45.2%", with two decimals below 1% and above 99%."""
    if rate in (0, 1):
        return f"{100 * rate:.0f}%"
    if rate < 0.00005:
        return "<0.01%"
    if rate > 0.99995:
        return ">99.99%"
    decimals = 1 if 0.01 <= rate <= 0.99 else 2
    return f"{100 * rate:.{decimals}f}%"


def share(rate: float) -> str:
    """An estimated share, in whole per cent, for more would say more than is known: 0.137 -> "14%"."""
    return f"{100 * rate:.0f}%"


def share_above(bound: float) -> str:
    """A lower bound of a share, in whole per cent and never more than it: 0.1399 -> "13%"."""
    return f"{math.floor(100 * bound)}%"


def decimal(number: float, digits: int) -> str:
    """A number with fixed decimals and a true minus sign; -0.00 has none."""
    text = f"{number:.{digits}f}"
    return f"−{text[1:]}" if text.startswith("-") and text.strip("-0.") else text.lstrip("-")


def area(auc: float) -> str:
    """An AUC: three decimals; 1.000 only if it is 1."""
    return ">0.999" if 0.9995 <= auc < 1 else decimal(auc, 3)


def effect(size: float) -> str:
    """An effect size in standard deviations: two decimals."""
    return decimal(size, 2)


def power_of_ten(exponent: int) -> str:
    """-5 -> "10⁻⁵"."""
    return f"10{str(exponent).translate(_SUPERSCRIPT)}"


def p_value(p: float) -> str:
    """Two significant digits: "0.23", "0.0042", "3.2 × 10⁻⁵", "< 10⁻³⁰⁰"."""
    if p < _SMALLEST_P:
        return f"< {power_of_ten(-300)}"
    mantissa, exponent = f"{p:.1e}".split("e")
    if int(exponent) < -3:
        return f"{mantissa} × {power_of_ten(int(exponent))}"
    return f"{float(f'{p:.1e}'):.{1 - int(exponent)}f}"


def p_equals(p: float) -> str:
    """ "p = 0.0042" or "p < 10⁻³⁰⁰"."""
    return f"p {p_value(p)}" if p < _SMALLEST_P else f"p = {p_value(p)}"


def between(value: Interval, number: Format) -> str:
    """The limits of an interval: "41.0% to 49.5%"."""
    return f"{number(value.low)} to {number(value.high)}"


def spread(value: Interval | MeanStd, number: Format) -> str:
    """An interval as "45.2% (41.0% to 49.5%)", a mean and standard deviation as "45.2% ± 1.3%"."""
    if isinstance(value, MeanStd):
        return f"{number(value.mean)} ± {number(value.std)}"
    return f"{number(value.estimate)} ({between(value, number)})"


def center(value: Interval | MeanStd) -> float:
    """The number itself, of an interval or of a mean and standard deviation."""
    return value.mean if isinstance(value, MeanStd) else value.estimate


def limits(value: Interval | MeanStd) -> tuple[float, float]:
    """Where a bar for its error begins and ends: the interval, or one standard deviation to each side."""
    if isinstance(value, MeanStd):
        return value.mean - value.std, value.mean + value.std
    return value.low, value.high
