"""Protocols and procedures: found by name, consistent in themselves."""

import pytest

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
