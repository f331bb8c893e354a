"""Old numbers are never those of new pictures: whoever changes one in place asks for something else."""

import dataclasses

import pytest

from jaxaudit.attacks.localization import Views
from jaxaudit.attacks.similarity import get_similarity
from jaxaudit.audits import collect
from jaxaudit.audits import fill as filling
from jaxaudit.audits.assess import AssessConfig, assess
from jaxaudit.audits.collect import CollectConfig, collect_evidence
from jaxaudit.audits.extraction import ExtractionConfig, extract
from jaxaudit.audits.localization import LocalizeConfig, localize_memorization
from jaxaudit.audits.localization import pipeline as localizing
from jaxaudit.audits.mitigation import Change, MitigateConfig, measure_changes
from jaxaudit.audits.mitigation import pipeline as mitigating
from jaxaudit.audits.pictures import look
from jaxaudit.data import batches, open_source
from jaxaudit.errors import InputError
from jaxaudit.feature_extractors import pixels
from jaxaudit.runtime.placement import Placement
from jaxaudit.runtime.progress import silent
from tests import tiny, uneven
from tests.results.round_trip import assert_round_trips

PLACEMENT = Placement(16, 1)
COLLECT = CollectConfig(scores=("cond/loss",), placement=PLACEMENT, shard_size=16)
EXTRACT = ExtractionConfig(placement=PLACEMENT)
LOCALIZE = LocalizeConfig(views=Views(1), placement=PLACEMENT, part_size=100)
MITIGATE = MitigateConfig(COLLECT, AssessConfig(), EXTRACT)


def audit(members, nonmembers, folder):
    return collect_evidence(tiny.var_target(), members, nonmembers, folder / "audit", COLLECT)


def extraction(members, nonmembers, folder):
    return extract(tiny.var_target(), members, nonmembers, EXTRACT, directory=folder / "extraction")


def localization(members, nonmembers, folder):
    return localize_memorization(tiny.var_target(), members, nonmembers, folder / "localization", LOCALIZE)


def mitigation(members, nonmembers, folder):
    return measure_changes(
        tiny.var_target(), [Change()], members, nonmembers, folder / "mitigation", MITIGATE
    )


MEASUREMENTS = {each.__name__: each for each in (audit, extraction, localization, mitigation)}
COMPUTE = ((collect, "fill"), (filling, "fill"), (localizing, "_measure"), (mitigating, "measure"))


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A folder in which everything was begun, and killed as soon as it would compute."""
    folder = tmp_path_factory.mktemp("begun")

    def kill(*arguments, **options):
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        for module, name in COMPUTE:
            patch.setattr(module, name, kill)
        for measure in MEASUREMENTS.values():
            with pytest.raises(Killed):
                measure(*sources(), folder)
    return folder


def sources():
    return open_source("digits:members[:40]"), open_source("digits:nonmembers[:40]")


def repainted(source, row):
    """The same names, and other pixels in one picture."""
    read = source.read

    def other(index):
        picture = read(index)
        return picture._replace(pixels=picture.pixels ^ 1) if index == row else picture

    return dataclasses.replace(source, read=other)


def relabelled(source, row):
    labels = source.labels.copy()
    labels[row] = (labels[row] + 1) % 10
    return dataclasses.replace(source, labels=labels)


@pytest.mark.parametrize("name", MEASUREMENTS)
@pytest.mark.parametrize(("change", "what"), [(repainted, "pixels"), (relabelled, "labels")])
def test_a_picture_changed_in_place_is_another_request(begun, name, change, what):
    sides = list(sources())
    first = 1 if name == "extraction" else 0  # held-out pictures are ranked first
    sides[first] = change(sides[first], 17)
    with pytest.raises(InputError, match=rf"of another request \(.*{what} differ.*choose another folder"):
        MEASUREMENTS[name](*sides, begun)


def test_the_side_is_named(begun):
    members, nonmembers = sources()
    with pytest.raises(InputError, match=r"request \(members.pixels differ\); repeat"):
        audit(repainted(members, 0), nonmembers, begun)
    with pytest.raises(InputError, match=r"\(nonmembers.conditions differ; nonmembers.labels differ\)"):
        audit(members, relabelled(nonmembers, 39), begun)


def test_other_rules_for_classes_are_another_request(begun):
    members, nonmembers = sources()
    other = dataclasses.replace(members, label_rule="the lines of classes.txt")
    with pytest.raises(InputError, match=r'members.classes.rule is .*, now "the lines of classes.txt"'):
        audit(other, nonmembers, begun)


@pytest.mark.parametrize(
    ("name", "place"), [("similarity", r"similarity\.fingerprint"), ("extractor", "extractor")]
)
def test_other_weights_under_the_same_name_are_another_request(begun, name, place):
    usual = {"similarity": get_similarity("pixels"), "extractor": pixels()}[name]
    other = {name: dataclasses.replace(usual, fingerprint="of other weights")}
    with pytest.raises(InputError, match=rf'\({place} is ".*, now "of other weights"\)'):
        measure_changes(tiny.var_target(), [Change()], *sources(), begun / "mitigation", MITIGATE, **other)


def test_a_picture_that_changes_while_it_is_scored_is_noticed(tmp_path, monkeypatch):
    members, nonmembers = sources()
    pictures = []

    def late(source, *arguments):
        found = look(source, *arguments)
        pictures.append(dataclasses.replace(found, source=repainted(found.source, 5)))
        return pictures[-1]

    monkeypatch.setattr("jaxaudit.audits.pictures.look", late)
    with pytest.raises(InputError, match=r"'digits/.*' of digits:members\[:40\] has changed since this run"):
        audit(members, nonmembers, tmp_path)
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_picture_that_can_no_longer_be_used_is_no_gap():
    """What was left out was left out when everything was looked at; later nothing is, without a word."""
    members, _ = sources()
    target = tiny.var_target()
    pictures = look(tiny.torn(members, (3,)), target.preprocessing, silent)
    assert len(pictures.source) == 39
    gone = tiny.torn(pictures.source, (20,)).read
    later = dataclasses.replace(pictures, source=dataclasses.replace(pictures.source, read=gone))
    with pytest.raises(InputError, match=r"1 of 8 pictures of .* cannot be used \(digits/.*it is torn"):
        list(later.unchanged(batches(later.source, range(39), target.preprocessing, 8)))


def test_what_is_skipped_of_a_draw_is_listed(tmp_path):
    members, nonmembers = sources()
    config = dataclasses.replace(COLLECT, num_samples=38)
    torn_ones = tiny.torn(members, range(6))
    evidence = collect_evidence(tiny.var_target(), torn_ones, nonmembers, tmp_path / "audit", config)
    skipped = assess(evidence).members.skipped
    assert 0 < len(skipped) == 38 - len(evidence.read("members")) <= 6
    assert set(skipped) <= set(members.ids[:6])
    assert torn_ones.skipped == skipped


def test_what_localisation_skips_is_listed(tmp_path):
    members, nonmembers = sources()
    found = localize_memorization(
        uneven.target(), tiny.torn(members, (3, 8)), tiny.torn(nonmembers, (2,)), tmp_path, LOCALIZE
    )
    reason = "it is torn"
    assert found.skipped == {
        "members": {members.ids[3]: reason, members.ids[8]: reason},
        "nonmembers": {nonmembers.ids[2]: reason},
    }
    assert_round_trips(found)


def test_no_usable_picture_is_refused():
    members, _ = sources()
    with pytest.raises(InputError, match="holds no picture that can be used"):
        look(tiny.torn(members, range(40)), tiny.var_target().preprocessing, silent)


def test_batches_are_held_to_what_was_looked_at():
    members, _ = sources()
    pictures = look(members, tiny.var_target().preprocessing, silent)
    assert list(pictures.digests) == list(members.ids)
    assert pictures.request["ids_sha256"] == members.fingerprint
    again = look(members, tiny.var_target().preprocessing, silent)
    assert again.request == pictures.request
    swapped = look(members.take([39, *range(39)]), tiny.var_target().preprocessing, silent)
    differing = {name for name, value in swapped.request.items() if value != pictures.request[name]}
    assert differing == {"ids_sha256", "pixels_sha256", "labels_sha256", "conditions_sha256"}
