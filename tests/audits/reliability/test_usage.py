"""The study of shares: what it draws, what it counts, and what the pages say of the built-in targets."""

import numpy as np
import pytest
from scipy import stats as reference

from jaxaudit.audits.collect import CollectConfig
from jaxaudit.audits.reliability import usage
from jaxaudit.audits.reliability.unseen import Rows
from jaxaudit.checkpoint import load_target
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.runtime.placement import Placement
from tests.tiny import var_target

SIDES = "digits:members", "digits:nonmembers"


def rows(rng, n, shift):
    scores = rng.standard_normal((n, 3)) + shift
    return Rows(scores, np.arange(float(n))[:, None], np.arange(n) % 4)


def study(target, directory, **options):
    config = CollectConfig(access="gray-box", placement=Placement(64))
    return usage.study_usage(target, *map(open_source, SIDES), directory, config, **options)


def test_no_picture_is_drawn_twice_and_the_first_of_p_are_members():
    rng = np.random.default_rng(0)
    seen, other = rows(rng, 80, 5.0), rows(rng, 80, 0.0)
    p, u, m = usage._mixed(0.3)(seen, other, 40, rng)
    assert (p.scores.mean(axis=1) > 2.5).tolist() == [True] * 12 + [False] * 28
    assert not {*p.blind[:12, 0]} & {*m.blind[:, 0]}
    assert not {*p.blind[12:, 0]} & {*u.blind[:, 0]}
    assert m.scores.min() > u.scores.max() - 5


@pytest.mark.usefixtures("unchecked")
def test_what_is_counted_of_clear_scores(monkeypatch, tmp_path):
    rng = np.random.default_rng(1)
    found = ("a", "b", "c"), rows(rng, 200, 4.0), rows(rng, 200, 0.0)
    monkeypatch.setattr(usage, "collect_evidence", lambda *arguments, **options: None)
    monkeypatch.setattr(usage, "read_rows", lambda evidence: found)
    options = {"num_images": 60, "shares": (0.0, 0.5), "repetitions": 8}
    none, half, swapped, clearest = study(var_target(), tmp_path, **options).rates
    assert (none.mean_bound, none.bound_covers.estimate, none.mean_named) == (0, 1, 0)
    assert (half.told.estimate, half.interval_covers.estimate) == (1, 1)
    assert half.mean_error < half.large_error < 0.1
    assert half.estimates[0] <= half.estimates[1] <= half.estimates[2]
    assert 20 < half.mean_named < 40
    assert (swapped.told.estimate, swapped.mean_bound) == (0, 0)
    assert clearest.description == "M is the half that is clearest"
    with pytest.raises(InputError, match="450 pictures each cannot be drawn twice .* at most 449 can"):
        study(var_target(), tmp_path, num_images=450)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("name", "separable"), [("digits_var_memorised", True), ("digits_dit", False)])
def test_what_the_documentation_says_of_the_built_in_targets(name, separable, tmp_path):
    draws = 60
    found = study(load_target(name), tmp_path, repetitions=draws).rates
    right = [one for one in found if one.description == "as it should be"]
    for one in right:
        wrong = draws - round(draws * one.bound_covers.estimate)
        assert reference.binomtest(wrong, draws, 0.05, alternative="greater").pvalue > 0.001
        assert one.false_discovery_rate < 0.05 + 3 * np.sqrt(0.05 / draws)
        if separable:
            assert one.told.estimate > 0.9
            assert one.large_error < 0.1
        else:
            assert one.told.estimate < 0.3
