"""What is refused before two sets of pictures are measured."""

import numpy as np
import pytest

from jaxaudit.audits.assess import AssessConfig
from jaxaudit.audits.sides import check_sides, check_sizes
from jaxaudit.data import check_labelled_alike, open_source
from jaxaudit.errors import InputError
from jaxaudit.protocols import PUBLISHED
from tests import tiny, tiny_diffusion

DISCRETE, DIFFUSION = "discrete", "diffusion"


def target(kind):
    return tiny.var_target() if kind == DISCRETE else tiny_diffusion.target("labels")


def sides(members, nonmembers):
    return open_source(f"digits:members[:{members}]"), open_source(f"digits:nonmembers[:{nonmembers}]")


@pytest.mark.parametrize(
    ("kind", "config", "members", "nonmembers"),
    [
        (DISCRETE, AssessConfig(), 30, 30),
        (DISCRETE, AssessConfig(alpha=1e-4), 30, 30),
        (DISCRETE, AssessConfig(protocol=PUBLISHED), 5, 5),
        (DIFFUSION, AssessConfig(protocol=PUBLISHED), 5, 5),
        (DIFFUSION, AssessConfig(), 30, 30),
        (DIFFUSION, AssessConfig(alpha=1e-4), 30, 32),  # 16 over 8 is 12870
    ],
)
def test_sets_that_no_test_could_reject_with_are_refused(kind, config, members, nonmembers):
    check_sizes(target(kind), *sides(members, nonmembers), config)
    with pytest.raises(InputError, match=rf"^{members - 1} members .* at least {members} are needed"):
        check_sizes(target(kind), *sides(members - 1, nonmembers), config)
    with pytest.raises(InputError, match=rf"^{nonmembers - 1} nonmembers .* at least {nonmembers} are"):
        check_sizes(target(kind), *sides(50, nonmembers - 1), config)
    with pytest.raises(InputError, match="are too few for any verdict"):
        check_sizes(target(kind), *sides(50, 50), config, num_samples=nonmembers - 1)
    check_sizes(target(kind), *sides(50, 50), config, num_samples=nonmembers)


def test_one_label_for_all_must_be_on_both_sides():
    some, same = np.array([3, 1]), np.array([3, 3])
    check_labelled_alike(("folder:p", some), ("folder:u", some))
    check_labelled_alike(("folder:p?label=3", same), ("folder:u?shuffle=1&label=3[:9]", same))
    check_labelled_alike(("folder:p?label=3", same), ("folder:u", same))  # a single class folder
    for other, labels in (("folder:u", some), ("folder:u?label=4", same + 1), ("tfds:u/test", None)):
        with pytest.raises(InputError, match=r"^folder:p\?label=3 gives all its pictures the label 3, .*:u"):
            check_labelled_alike(("folder:p?label=3", same), (other, labels))


def test_labels_that_the_target_ignores_may_be_anything(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8), np.uint8))
    members, nonmembers = open_source("digits:members[:9]"), open_source(f"npz:{tmp_path}/a.npz?label=3")
    check_sides(tiny_diffusion.target("nothing"), members, nonmembers)
    with pytest.raises(InputError, match="gives all its pictures the label 3"):
        check_sides(tiny.var_target(), members, nonmembers)
