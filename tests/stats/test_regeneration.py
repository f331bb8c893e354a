"""Probable extraction: closed forms, tiny probabilities, what counts as extracted."""

import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.results import encode
from jaxaudit.stats import regeneration
from jaxaudit.stats.regeneration import come_back, tries_needed


def test_is_the_geometric_law():
    log_p = np.log([0.5, 0.01, 1.0])
    np.testing.assert_allclose(come_back(log_p, 3), [1 - 0.5**3, 1 - 0.99**3, 1])
    np.testing.assert_array_equal(tries_needed(log_p), [1, 69, 1])
    assert tries_needed(np.log([0.01]), probability=0.9) == np.ceil(np.log(0.1) / np.log(0.99))


def test_probabilities_beyond_double_precision_are_told_apart():
    np.testing.assert_allclose(come_back(np.array([-60.0]), 1000), 1000 * np.exp(-60.0), rtol=1e-6)
    assert np.isinf(tries_needed(np.array([-np.inf, -800.0]))).all()
    np.testing.assert_array_equal(come_back(np.array([-np.inf]), 10), [0])


def test_extracted_is_what_no_unseen_image_reaches():
    found = regeneration(np.log([0.9, 1e-4, 1e-9]), np.log([1e-3, 1e-8]), most_tries=100_000)
    assert (found.extracted, found.discoverable, found.held_out_discoverable) == (1, 2, 1)
    assert found.fewest_tries == 1
    assert found.expected[1] == pytest.approx(0.9001, abs=1e-6)
    assert found.expected[1000] == pytest.approx(1 + (1 - (1 - 1e-4) ** 1000) + 1e-6, abs=1e-5)
    assert found.held_out_limit == pytest.approx(1 - 0.05**0.5)
    encode(found)


def test_what_is_never_drawn_needs_no_number():
    found = regeneration(np.full(3, -np.inf), np.full(2, -np.inf))
    assert (found.extracted, found.fewest_tries, found.expected[1_000_000]) == (0, None, 0)
    encode(found)


def test_refuses_what_is_no_probability():
    with pytest.raises(InputError, match="0.3 is no log-probability"):
        regeneration(np.array([0.3]), np.array([-1.0]))
    with pytest.raises(InputError, match="0 are too few; at least 1 images"):
        regeneration(np.array([-1.0]), np.array([]))
