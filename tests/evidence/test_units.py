import dataclasses

import numpy as np
import pytest

from jaxaudit.errors import InputError
from jaxaudit.evidence import UnitAxis, UnitMap, read_arrays, top_units, write_arrays
from jaxaudit.evidence.units import FILE

AXIS = UnitAxis(("block 0", "block 1", "block 2"), (3, 5, 4))


def some_map(class_mem=True):
    rng = np.random.default_rng(0)
    values = rng.random((9, 2, 12)).astype(np.float32)
    classes = {"class_mem": values[4], "class_argument": rng.integers(0, 2, (2, 12)).astype(np.int32)}
    return UnitMap(
        stages=("scale 1", "scale 2"),
        axis=AXIS,
        subsets=(0.5, 1.0),
        sizes=(2, 4),
        unit_mem=values[:2],
        floored=values[5:7],
        maximum=values[2],
        second=values[7] * values[2],
        rest=values[3] * values[2],
        argument=rng.integers(0, 4, (2, 12)).astype(np.int32),
        **(classes if class_mem else dict.fromkeys(classes)),
        ids=("a", "b", "c", "d"),
        labels=np.array([0, 0, 1, 1], np.int32),
    )


def test_units_of_layers_stand_one_after_the_other():
    places = [("block 0", 0), ("block 0", 1), ("block 0", 2)]
    places += [("block 1", i) for i in range(5)] + [("block 2", i) for i in range(4)]
    assert [AXIS.place(unit) for unit in range(AXIS.num_units)] == places
    values = np.arange(24).reshape(2, 12)
    parts = AXIS.split(values)
    for unit, (layer, number) in enumerate(places):
        assert parts[layer][:, number].tolist() == values[:, unit].tolist()
    assert {name: part.shape for name, part in parts.items()} == {
        "block 0": (2, 3),
        "block 1": (2, 5),
        "block 2": (2, 4),
    }


@pytest.mark.parametrize("class_mem", [True, False])
def test_a_map_is_read_back_as_it_was(tmp_path, class_mem):
    written = some_map(class_mem)
    written.save(tmp_path)
    read = UnitMap.load(tmp_path)
    for field in dataclasses.fields(UnitMap):
        before, after = getattr(written, field.name), getattr(read, field.name)
        assert type(before) is type(after)
        if field.name in ("stages", "axis", "subsets", "sizes", "ids") or before is None:
            assert before == after
        else:
            np.testing.assert_array_equal(before, after, strict=True)


def test_a_map_of_an_earlier_or_later_format_is_refused(tmp_path):
    some_map().save(tmp_path)
    with np.load(tmp_path / FILE) as file:
        arrays = dict(file)
    without = {name: value for name, value in arrays.items() if name not in ("format", "layers", "sha256")}
    np.savez(tmp_path / FILE, **without)
    with pytest.raises(InputError, match=r"units.npz has no seal, so it is of an earlier format"):
        UnitMap.load(tmp_path)
    for format_ in (2, 4):
        write_arrays(tmp_path / FILE, without | {"format": np.array(format_)})
        with pytest.raises(InputError, match=f"has format {format_}, and this jaxaudit reads format 3"):
            UnitMap.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"unit_mem": np.zeros((2, 2, 11), np.float32)},
        {"maximum": np.zeros((2, 12), int)},
        {"argument": np.full((2, 12), 4)},
        {"ids": np.array(["a", "b", "c", "c"])},
        {"sizes": np.array([1, 2, 3])},
        {"widths": np.array(["a"])},
        {"labels": np.float32(3)},
        {"more": np.zeros(2)},
        {"format": np.array([3, 3])},
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(tmp_path, change):
    some_map().save(tmp_path)
    arrays = read_arrays(tmp_path / FILE)
    write_arrays(tmp_path / FILE, arrays | change)
    with pytest.raises(InputError, match=r"units.npz (is damaged|has format)"):
        UnitMap.load(tmp_path)


def test_arrays_that_were_exchanged_are_noticed(tmp_path):
    some_map().save(tmp_path)
    with np.load(tmp_path / FILE) as file:
        arrays = dict(file)
    np.savez(tmp_path / FILE, **arrays | {"unit_mem": arrays["unit_mem"] + 1})
    with pytest.raises(InputError, match="its arrays are not those that were written"):
        UnitMap.load(tmp_path)


def test_a_folder_without_map_or_with_a_broken_one_is_named(tmp_path):
    with pytest.raises(InputError, match="holds no"):
        UnitMap.load(tmp_path)
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(InputError, match="damaged"):
        UnitMap.load(tmp_path)
    some_map().save(tmp_path)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        UnitMap.load(tmp_path)


def test_a_unit_is_fired_alone_unless_another_picture_does_the_same_but_for_rounding():
    units = some_map()
    units.maximum[0, :5] = [1, 1, 1, 0.5, 0]
    units.second[0, :5] = [1, 0.9999, 0.99, 0, 0]
    assert units.alone[0, :5].tolist() == [False, False, True, True, False]


def test_top_units_are_the_highest_and_at_least_one():
    values = np.array([[0.1, 0.9], [0.9, 0.3]])
    assert top_units(values, 0.25).tolist() == [[False, True], [False, False]]
    assert top_units(values, 0.75).tolist() == [[False, True], [True, True]]
    assert top_units(values, 0.001).sum() == 1
