import pytest

from jaxaudit.attacks.localization import Views
from jaxaudit.audits.reliability.unit_control import study_unit_control
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from tests import uneven

UNSEEN = open_source("digits:nonmembers[:120]")


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_the_control_keeps_its_level_in_both_orders_and_finds_what_was_planted():
    """Where many pictures look the same to the units."""
    study = study_unit_control(
        uneven.target(),
        open_source("digits:members[:100]"),
        UNSEEN,
        tops=(0.4,),
        num_splits=100,
        size=50,
        planted=0.6,
        views=Views(2),
    )
    for rates in study.rates:
        assert rates.unseen.estimate <= 0.05  # P(more) < 0.1% at a level of 1%
        assert rates.swapped.estimate <= 0.05
        assert rates.planted.estimate > 0.9
        assert (rates.members.num_members, rates.members.num_nonmembers) == (100, 120)


def test_too_few_pictures_for_two_sides_are_refused():
    with pytest.raises(InputError, match="size=61 pictures a side cannot be drawn from the 120"):
        study_unit_control(uneven.target(), UNSEEN, UNSEEN, size=61)
