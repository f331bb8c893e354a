import dataclasses
import json
import threading

import numpy as np
import pytest

from jaxaudit.attacks.localization import ActivationMeter, Views
from jaxaudit.audits.localization import LocalizeConfig, localize, pool
from jaxaudit.data import batches, open_source
from jaxaudit.errors import InputError
from jaxaudit.evidence.units import FILE
from jaxaudit.runtime.placement import Placement
from jaxaudit.runtime.processes import Process
from tests import tiny, uneven

CONFIG = LocalizeConfig(subsets=(0.05, 0.1), views=Views(2), placement=Placement(8, 1), part_size=20)
FIELDS = (
    "unit_mem",
    "floored",
    "maximum",
    "second",
    "rest",
    "argument",
    "class_mem",
    "class_argument",
    "labels",
)


@pytest.fixture(scope="module")
def source():
    return open_source("digits:members")


@pytest.fixture(scope="module")
def units(source, tmp_path_factory):
    directory = tmp_path_factory.mktemp("localize")
    return directory, localize(tiny.rar_target(), source, directory, CONFIG)


@pytest.mark.slow
def test_unit_mem_of_layers_that_differ_in_width_is_that_of_a_slow_count(source, tmp_path):
    """From the activations of the only view, in plain Python."""
    target, scales = uneven.target(), [range(0, 1), range(1, 6), range(6, 16)]
    found = localize(target, source, tmp_path, dataclasses.replace(CONFIG, subsets=None, views=Views(1)))
    (batch,) = batches(source, [source.ids.index(name) for name in found.ids], target.preprocessing, 10_000)
    activations = target.activations(target.encode(batch.images), batch.labels)
    for name, hidden in activations.items():
        fields = (found.unit_mem[-1], found.argument, found.second, found.alone)
        unit_mem, argument, second, alone = (found.axis.split(each)[name] for each in fields)
        hidden = np.asarray(hidden, np.float64)
        for scale, tokens in enumerate(scales):
            for unit in range(uneven.WIDTHS[name]):
                means = [sum(picture[token, unit] for token in tokens) / len(tokens) for picture in hidden]
                largest = max(means)
                rest = (sum(means) - largest) / (len(means) - 1)
                expected = (largest - rest) / (largest + rest) if largest else 0.0
                assert unit_mem[scale, unit] == pytest.approx(expected, abs=1e-5)
                assert means[argument[scale, unit]] == pytest.approx(largest, rel=1e-6)
                assert second[scale, unit] == pytest.approx(sorted(means)[-2], rel=1e-6)
                assert alone[scale, unit] == (sum(mean >= 0.999 * largest for mean in means) == 1)


def test_unit_mem_is_that_of_a_slow_count(units, source):
    _, found = units
    target = tiny.rar_target()
    rows = [source.ids.index(name) for name in found.ids]
    (batch,) = batches(source, rows, target.preprocessing, len(rows))
    np.testing.assert_array_equal(batch.labels, found.labels)
    means = ActivationMeter(target, CONFIG.views).submit(batch.images, batch.labels, ids=batch.ids).result()
    for place in np.ndindex(means.shape[1:]):
        unit = means[(slice(None), *place)].astype(np.float64)
        largest = unit.argmax()
        rest = np.delete(unit, largest).mean()
        assert found.argument[place] == largest
        assert found.unit_mem[(-1, *place)] == pytest.approx(
            (unit[largest] - rest) / (unit[largest] + rest), abs=1e-6
        )
        by_class = np.array([unit[found.labels == label].mean() for label in range(10)])
        assert found.class_argument[place] == by_class.argmax()
        others = np.delete(by_class, by_class.argmax()).mean()
        assert found.class_mem[place] == pytest.approx(
            (by_class.max() - others) / (by_class.max() + others), abs=1e-6
        )
        assert found.mean[place] == pytest.approx(unit.mean(), abs=1e-6)


BEFORE = [
    ("block 1", 23, 0.5187677, 0.4615077, 0.915406, "digits/1348"),
    ("block 1", 22, 0.51375496, 0.4387475, 0.613685, "digits/0093"),
    ("block 1", 13, 0.48478195, 0.3757282, 1.2146823, "digits/1195"),
    ("block 0", 22, 0.45092666, 0.36043987, 1.0184349, "digits/1402"),
    ("block 1", 21, 0.43181655, 0.3734114, 0.77150965, "digits/0984"),
    ("block 0", 28, 0.4289113, 0.39899087, 0.7936397, "digits/0093"),
]
"""The highest units, from when all layers had to be of one width.

Layer, unit, UnitMem, ClassMem, largest mean activation, and the picture that attains it.
"""


def test_layers_of_one_width_have_the_numbers_of_before(units):
    _, found = units
    final = found.unit_mem[-1, 0]
    for place, before in zip(np.argsort(-final, kind="stable"), BEFORE, strict=False):
        layer, unit, *numbers, picture = before
        assert found.axis.place(int(place)) == (layer, unit)
        values = (final[place], found.class_mem[0, place], found.maximum[0, place])
        np.testing.assert_allclose(values, numbers, rtol=1e-5)
        assert found.ids[found.argument[0, place]] == picture
    sums = [np.sum(each, dtype=float) for each in (final, found.class_mem, found.unit_mem[0], found.maximum)]
    np.testing.assert_allclose(sums, [20.612361, 15.236707, 19.527980, 48.145213], rtol=1e-5)


def test_subsets_are_balanced_and_nested(units, source, tmp_path):
    _, found = units
    assert found.sizes == (50, 90)
    assert np.bincount(found.labels).tolist() == [9] * 10
    config = dataclasses.replace(CONFIG, subsets=(0.05,))
    alone = localize(tiny.rar_target(), source, tmp_path, config)
    assert set(alone.ids) <= set(found.ids)
    np.testing.assert_allclose(alone.unit_mem[0], found.unit_mem[0], atol=1e-6)


def test_batches_and_devices_change_nothing(units, source, tmp_path):
    _, found = units
    other = dataclasses.replace(CONFIG, placement=Placement(5, 4, "pmap"))
    again = localize(tiny.rar_target(), source, tmp_path, other)
    for name in FIELDS:
        np.testing.assert_allclose(getattr(again, name), getattr(found, name), atol=1e-6)


def test_a_killed_run_goes_on_and_ends_with_the_same_file(units, source, tmp_path):
    class KilledError(Exception):
        pass

    seen = []

    def kill(done, total, what):
        if what.startswith("Measuring"):
            seen.append(done)
        if len(seen) == 2:
            raise KilledError

    with pytest.raises(KilledError):
        localize(tiny.rar_target(), source, tmp_path, CONFIG, progress=kill)
    assert not (tmp_path / FILE).exists()
    resumed = []
    localize(tiny.rar_target(), source, tmp_path, CONFIG, progress=lambda *now: resumed.append(now))
    assert next(done for done, _, what in resumed if what.startswith("Measuring")) == seen[-1] > 0
    directory, _ = units
    assert (tmp_path / FILE).read_bytes() == (directory / FILE).read_bytes()
    assert not list(tmp_path.glob("state-*"))


UNEVEN = dataclasses.replace(CONFIG, subsets=None, views=Views(1), part_size=10)


@pytest.fixture(scope="module")
def alone(source, tmp_path_factory):
    """The pictures, and the map and file that a run by itself ends with."""
    pictures = source.take(range(60))
    directory = tmp_path_factory.mktemp("alone")
    found = localize(uneven.target(), pictures, directory, UNEVEN)
    return pictures, found, (directory / FILE).read_bytes()


def test_processes_share_the_parts(alone, tmp_path):
    """Two begin at two places; each has a state of its own, and both have the map in the end."""
    pictures, expected, _ = alone
    found, states = {}, set()

    def process(index):
        placement = Placement(8, 1, process=Process(index, 2))
        config = dataclasses.replace(UNEVEN, placement=placement)
        found[index] = localize(uneven.target(), pictures, tmp_path, config, progress=look)

    def look(done, total, what):
        states.update(path.name for path in tmp_path.glob("state-*.npz"))

    threads = [threading.Thread(target=process, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert states == {"state-0.npz", "state-1.npz"}
    for name in FIELDS:
        field, other, alone_field = (getattr(each, name) for each in (found[0], found[1], expected))
        np.testing.assert_array_equal(field, other)
        np.testing.assert_allclose(field, alone_field, rtol=1e-6)
    assert {path.name[:4] for path in tmp_path.iterdir()} == {"mani", "unit"}


@pytest.mark.parametrize("conflict", ["state-0.npz", "state-1.npz"])
def test_parts_that_two_processes_have_measured_count_once(alone, tmp_path, conflict):
    """One that seemed dead goes on: in the end it writes what it had known, over our state or beside it."""
    pictures, _, expected = alone
    known = []

    def another(done, total, what):
        state = tmp_path / "state-0.npz"
        if what.startswith("Measuring") and state.exists():
            known.append(state.read_bytes())
            if done == total and len(set(known)) == len(known):
                (tmp_path / conflict).write_bytes(known[0])

    localize(uneven.target(), pictures, tmp_path, UNEVEN, progress=another)
    assert len(known) > 1
    assert (tmp_path / FILE).read_bytes() == expected
    assert not list(tmp_path.glob("state-*")) + list(tmp_path.glob("part-*"))


@pytest.mark.parametrize("damage", [lambda content: content[:-50], lambda content: b"x" + content[1:]])
def test_a_damaged_state_is_measured_again(alone, tmp_path, damage):
    pictures, _, expected = alone
    state, said = tmp_path / "state-0.npz", []

    def kill(done, total, what):
        if state.exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        localize(uneven.target(), pictures, tmp_path, UNEVEN, progress=kill)
    state.write_bytes(damage(state.read_bytes()))
    localize(uneven.target(), pictures, tmp_path, UNEVEN, progress=lambda *now: said.append(now[2]))
    assert any("state-0.npz is damaged" in what and "measured again" in what for what in said)
    assert (tmp_path / FILE).read_bytes() == expected


def test_memory_does_not_grow_with_pictures_or_classes(source, tmp_path):
    sizes = []
    for i, rows in enumerate((range(0, 40), range(0, 320))):
        directory = tmp_path / str(i)

        def measure(done, total, what, directory=directory):
            sizes.extend(path.stat().st_size for path in directory.glob("state-*.npz"))

        config = dataclasses.replace(CONFIG, subsets=None, part_size=10_000)
        localize(tiny.rar_target(), source.take(rows), directory, config, progress=measure)
    assert len(sizes) == 2
    assert sizes[0] == sizes[1]


def test_a_map_is_read_back_and_a_finished_one_is_not_measured_again(units, source):
    directory, found = units
    before = (directory / FILE).stat().st_mtime_ns
    again = localize(tiny.rar_target(), source, directory, CONFIG)
    assert (directory / FILE).stat().st_mtime_ns == before
    assert (again.stages, again.subsets, again.sizes, again.ids) == (
        found.stages,
        found.subsets,
        found.sizes,
        found.ids,
    )
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))


def test_pooling_two_maps_is_measuring_both_sets(units, source, tmp_path):
    _, found = units
    rest = source.take([i for i, name in enumerate(source.ids) if name not in set(found.ids)][:30])
    config = dataclasses.replace(CONFIG, subsets=None)
    other = localize(tiny.rar_target(), rest, tmp_path / "rest", config)
    both = source.take([source.ids.index(name) for name in (*found.ids, *other.ids)])
    together = localize(tiny.rar_target(), both, tmp_path / "both", config)
    pooled = pool(found, other)
    np.testing.assert_allclose(pooled.unit_mem[0], together.unit_mem[0], atol=1e-6)
    np.testing.assert_allclose(pooled.floored[0], together.floored[0], atol=1e-6)
    np.testing.assert_array_equal(pooled.second, together.second)
    names, expected = (np.array(each.ids)[each.argument] for each in (pooled, together))
    np.testing.assert_array_equal(names, expected)


def test_another_request_in_the_same_folder_is_refused(units, source):
    directory, _ = units
    with pytest.raises(InputError, match="another request .*ids differ; .*seed is 0, now 1"):
        localize(tiny.rar_target(), source, directory, dataclasses.replace(CONFIG, seed=1))


def test_an_unfinished_localisation_of_an_earlier_format_is_refused(source, tmp_path):
    (tmp_path / "state-0.npz").write_bytes(b"of before")
    manifest = {"format": 2, "holds": "a map of units", "request": {}, "run": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="is of format 2, and this jaxaudit reads format 3"):
        localize(tiny.rar_target(), source, tmp_path, CONFIG)


def test_too_small_subsets_are_refused(source, tmp_path):
    one = source.take([0])
    with pytest.raises(InputError, match="take a larger subset"):
        localize(tiny.rar_target(), one, tmp_path, LocalizeConfig(placement=Placement(8, 1)))
    with pytest.raises(InputError, match="not in"):
        LocalizeConfig(subsets=(0.0,))


def test_models_of_captions_are_told_them(tmp_path):
    target = tiny.captioned_target()
    source = tiny.save_captioned(tmp_path / "pictures.npz", "digits:members[:24]")
    config = dataclasses.replace(CONFIG, subsets=(0.5, 1.0))
    found = localize(target, source, tmp_path / "units", config)
    assert found.sizes == (12, 24)
    assert found.class_mem is None  # captions are no classes
    rows = [int(name) for name in found.ids]
    (batch,) = batches(source, rows, target.preprocessing, 24)
    meter = ActivationMeter(target, CONFIG.views)
    means = meter.submit(batch.images, batch.embeddings, ids=batch.ids).result()
    np.testing.assert_allclose(found.maximum, means.max(0), rtol=1e-5)
    np.testing.assert_array_equal(found.argument, means.argmax(0))
    swapped = meter.submit(batch.images, batch.embeddings[::-1], ids=batch.ids).result()
    assert not np.allclose(swapped, means, rtol=1e-3)
    ones = dataclasses.replace(source.embeddings, read=lambda name: np.ones((3, 6)))
    with pytest.raises(InputError, match="conditions differ"):
        localize(target, dataclasses.replace(source, embeddings=ones), tmp_path / "units", config)
    with pytest.raises(InputError, match=r"labels must be those of 24 captions"):
        meter.submit(batch.images, batch.labels, ids=batch.ids)
