"""Protocols and procedures: found by name, consistent in themselves."""

import json

import numpy as np
import pytest

from jaxaudit import stats
from jaxaudit.audits.assess import AssessConfig
from jaxaudit.errors import InputError
from jaxaudit.protocols import (
    DEFAULT,
    DRAWN_PROCEDURES,
    PERMUTATION,
    PROCEDURES,
    PROTOCOLS,
    PUBLISHED,
    PUBLISHED_FOLDS,
    SPLIT,
    VALID_PROCEDURES,
    get_procedure,
    get_protocol,
)


def test_names_lead_to_objects_and_wrong_ones_to_the_nearest():
    assert [get_protocol(name) for name in PROTOCOLS] == [DEFAULT, PUBLISHED]
    assert [get_procedure(name) for name in PROCEDURES] == [SPLIT, PERMUTATION, PUBLISHED_FOLDS]
    with pytest.raises(InputError, match="Unknown protocol 'papers'; did you mean paper"):
        get_protocol("papers")
    with pytest.raises(InputError, match="Unknown procedure 'splits'; did you mean split"):
        get_procedure("splits")


def test_only_the_rigorous_ones_give_verdicts():
    assert DEFAULT.gives_verdict
    assert not PUBLISHED.gives_verdict
    assert VALID_PROCEDURES == ("split", "permutation")
    assert [name for name in PROCEDURES if PROCEDURES[name].warning] == ["paper"]


def test_a_score_is_a_candidate_of_exactly_one_protocol():
    for reproduces in (True, False):
        assert sum(protocol.takes(reproduces) for protocol in PROTOCOLS.values()) == 1
    assert PUBLISHED.takes(True)


def test_what_refits_for_every_relabelling_is_drawn_as_the_split():
    assert PERMUTATION.drawn_as is SPLIT
    assert DRAWN_PROCEDURES == ("split", "paper")


def test_statistics_take_a_name_for_the_object_and_give_plain_data():
    rng = np.random.default_rng(0)
    p, u = rng.normal(0.5, 1, (40, 3)), rng.normal(0, 1, (40, 3))
    assert stats.dataset_inference(p, u, protocol="paper") == stats.dataset_inference(
        p, u, protocol=PUBLISHED
    )
    assert stats.identify(p, u, procedure="split") == stats.identify(p, u, procedure=SPLIT)
    found = stats.dataset_inference(p, u)
    assert found.to_dict()["welch"]["t"] == found.welch.t
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()
    with pytest.raises(InputError, match="Unknown protocol 'papers'"):
        stats.dataset_inference(p, u, protocol="papers")


def test_a_config_takes_names(unchecked):
    config = AssessConfig(protocol="paper", procedure="permutation")
    assert (config.protocol, config.procedure) == (PUBLISHED, PERMUTATION)
