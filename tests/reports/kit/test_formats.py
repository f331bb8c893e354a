import math

import pytest

from jaxaudit.reports.kit import formats
from jaxaudit.results import Interval, MeanStd


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.4523, "45.2%"),
        (0.0123, "1.2%"),
        (0.00456, "0.46%"),
        (0.9951, "99.51%"),
        (1e-9, "<0.01%"),
        (1 - 1e-9, ">99.99%"),
    ],
)
def test_a_rate_is_never_rounded_to_nothing_or_everything(rate, text):
    assert formats.percent(rate) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (1.0, "p = 1.0"),
        (0.234, "p = 0.23"),
        (0.0999, "p = 0.10"),
        (0.0499, "p = 0.050"),
        (0.00104, "p = 0.0010"),
        (3.2e-5, "p = 3.2 × 10⁻⁵"),
        (9.96e-5, "p = 1.0 × 10⁻⁴"),
        (8.4e-123, "p = 8.4 × 10⁻¹²³"),
        (0.0, "p < 10⁻³⁰⁰"),
    ],
)
def test_a_p_value_keeps_two_digits_and_is_never_0(p, text):
    assert formats.p_equals(p) == text


@pytest.mark.parametrize("exponent", range(-12, 0))
def test_a_p_value_reads_back_within_its_digits(exponent):
    for mantissa in (1, 1.26, 4.9, 9.94):
        p = mantissa * 10.0**exponent
        digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
        read = float(formats.p_value(p).translate(digits).replace(" × 10", "e"))
        assert math.isclose(read, p, rel_tol=0.05)


@pytest.mark.parametrize(
    ("number", "text"), [(-0.004, "0.00"), (-0.126, "−0.13"), (0.126, "0.13"), (-12.0, "−12.00")]
)
def test_decimals_have_a_true_minus_and_no_negative_zero(number, text):
    assert formats.decimal(number, 2) == text


def test_only_a_perfect_auc_is_1():
    assert formats.area(1.0) == "1.000"
    assert formats.area(0.99996) == ">0.999"
    assert formats.area(0.9994) == "0.999"


def test_an_interval_is_told_from_a_spread():
    interval = Interval(0.452, 0.41, 0.495)
    assert formats.spread(interval, formats.percent) == "45.2% (41.0% to 49.5%)"
    assert formats.spread(MeanStd(0.452, 0.013), formats.percent) == "45.2% ± 1.3%"
    assert formats.center(interval) == formats.center(MeanStd(0.452, 0.013))
