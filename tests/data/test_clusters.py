"""Which pictures hang together, on one side and across both."""

import numpy as np

from jaxaudit.data import Fingerprints, Seen, find_clusters, fingerprint
from jaxaudit.data.clusters import connected


def photo(seed, noise=0.0):
    levels = np.random.default_rng(seed).integers(40, 200, (8, 8, 1)).repeat(4, 0).repeat(4, 1).repeat(3, 2)
    return np.rint(levels + np.random.default_rng(0).normal(0, noise, levels.shape)).astype(np.uint8)


def side(name, images, groups=None):
    prints = Fingerprints(*map(np.stack, zip(*map(fingerprint, images), strict=True)))
    digests = [image.tobytes().hex() for image in images]
    ids = [f"{name}{row}" for row in range(len(images))]
    return Seen(ids, digests, prints, groups or [None] * len(images))


def test_components_are_those_of_a_walk_from_row_to_row():
    rng = np.random.default_rng(0)
    blocks = [rng.integers(0, 60, (size, 2)) for size in (0, 9, 1, 14)]
    neighbours = {row: {row} for row in range(60)}
    for one, other in np.concatenate(blocks).tolist():
        neighbours[one].add(other)
        neighbours[other].add(one)
    expected = []
    for row in range(60):
        reached = {row}
        while (more := set().union(*(neighbours[each] for each in reached))) != reached:
            reached = more
        expected.append(min(reached))
    found = connected(60, iter(blocks))
    assert found.tolist() == expected
    assert len(set(expected)) < 45


def test_copies_and_what_they_connect_are_one_cluster_of_its_first_picture():
    images = [photo(1), photo(2), photo(1, 2), photo(3), photo(2), photo(2, 2)]
    one, other = find_clusters(side("p", images), side("u", [photo(7), photo(8), photo(8, 1)]))
    assert one.firsts == ("p0", "p1", "p0", "p3", "p1", "p1")
    assert other.firsts == ("u0", "u1", "u1")
    assert (one.num_independent, other.num_independent) == (3, 2)
    assert {*one.copy_of, *other.copy_of} == {""}


def test_pictures_without_contrast_are_copies_if_their_pixels_are_the_same():
    plain = [np.full((8, 8, 3), grey, np.uint8) for grey in (5, 6, 5)]
    one, other = find_clusters(side("p", plain), side("u", [plain[1] + 9, photo(1)]))
    assert (one.firsts, other.firsts) == (("p0", "p1", "p0"), ("u0", "u1"))
    assert {*one.copy_of, *other.copy_of} == {""}


def test_copies_across_the_sides_count_for_neither_and_stand_alone():
    p = [photo(1), photo(2), photo(2, 2), photo(3), photo(4)]
    u = [photo(9), photo(2, 1), photo(8), photo(8, 1), photo(4)]
    one, other = find_clusters(side("p", p), side("u", u))
    assert one.copy_of == ("", "u1", "u1", "", "u4")
    assert other.copy_of == ("", "p1", "", "", "p4")
    assert other.firsts == ("u0", "u1", "u2", "u2", "u4")
    assert (one.num_independent, other.num_independent) == (2, 2)


def test_declared_groups_hang_together_within_a_side_only():
    images = [photo(seed) for seed in range(6)]
    groups = ["a", "b", None, "a", "b", None]
    unseen = [photo(11), photo(12), photo(0, 1)]
    one, other = find_clusters(side("p", images, groups), side("u", unseen, ["a", "b", "b"]))
    assert one.copy_of == ("u2", *[""] * 5)
    assert one.firsts == ("p0", "p1", "p2", "p3", "p1", "p5")  # what is left out connects nothing
    assert (other.firsts, other.copy_of) == (("u0", "u1", "u2"), ("", "", "p0"))
    assert (one.num_independent, other.num_independent) == (4, 2)
    copied = find_clusters(side("p", [photo(5), photo(6), photo(5, 1)], ["a", "b", "b"]), side("u", unseen))
    assert copied[0].firsts == ("p0", "p0", "p0")


def test_the_hash_tells_clusters_apart():
    images, unseen = [photo(seed) for seed in range(3)], side("u", [photo(11)])
    hashes = {
        find_clusters(side("p", images, groups), unseen)[0].sha256
        for groups in (None, ["a", "a", None], ["a", None, "a"], ["b", "b", None])
    }
    assert len(hashes) == 3
