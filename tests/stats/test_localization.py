import json

import numpy as np
import pytest
import scipy.stats

from jaxaudit.errors import InputError
from jaxaudit.evidence import UnitAxis, UnitMap
from jaxaudit.results import encode
from jaxaudit.stats.localization import localization

LAYERS = {"wide": 60, "narrow": 5, "middle": 35}
SHAPE = (3, 100)


def unit_map(num_pictures=40, subsets=3, fired_by=None):
    """Random units; `fired_by`, if given, are the pictures that fire them."""
    rng = np.random.default_rng(num_pictures)
    final = rng.random(SHAPE)
    noisy = [final + noise * rng.random(SHAPE) for noise in (1.0, 0.2)][-subsets + 1 :] if subsets > 1 else []
    argument = rng.choice(num_pictures if fired_by is None else fired_by, SHAPE)
    return UnitMap(
        stages=("scale 1", "scale 2", "scale 3"),
        axis=UnitAxis(tuple(LAYERS), tuple(LAYERS.values())),
        subsets=tuple(np.linspace(0.2, 1, subsets).tolist()) if subsets > 1 else (1.0,),
        sizes=tuple(range(num_pictures - subsets + 1, num_pictures + 1)),
        unit_mem=np.stack([*noisy, final]).astype(np.float32),
        maximum=(1 + rng.random(SHAPE)).astype(np.float32),
        rest=rng.random(SHAPE).astype(np.float32),
        argument=argument.astype(np.int32),
        class_mem=rng.random(SHAPE).astype(np.float32),
        class_argument=rng.integers(0, 4, SHAPE).astype(np.int32),
        ids=tuple(f"p{i}" for i in range(num_pictures)),
        labels=(np.arange(num_pictures) % 4).astype(np.int32),
    )


def test_maps_are_means_percentiles_and_shares_of_their_cells():
    units = unit_map()
    found = localization(units, top=0.1)
    final = units.unit_mem[-1]
    threshold = np.sort(final, axis=None)[-30]
    assert found.threshold == threshold
    assert (found.layers, found.widths) == (("wide", "narrow", "middle"), (60, 5, 35))
    for stage in range(3):
        for layer, units_of_layer in enumerate((range(60), range(60, 65), range(65, 100))):
            cell = [float(final[stage, unit]) for unit in units_of_layer]
            cells = (found.mean, found.high, found.top_share, found.class_mean)
            mean, high, top_share, class_mean = (values[stage][layer] for values in cells)
            assert mean == pytest.approx(sum(cell) / len(cell))
            assert high == pytest.approx(np.percentile(cell, 99))
            assert top_share == sum(value >= threshold for value in cell) / len(cell)
            assert class_mean == pytest.approx(np.mean([units.class_mem[stage, u] for u in units_of_layer]))


def test_top_units_are_named_with_the_picture_that_fires_them():
    units = unit_map()
    found = localization(units)
    values = [unit.unit_mem for unit in found.top_units]
    assert values == sorted(units.unit_mem[-1].ravel().tolist(), reverse=True)[:20]
    for unit in found.top_units:
        first = {"wide": 0, "narrow": 60, "middle": 65}[unit.layer]
        assert unit.unit < LAYERS[unit.layer]
        place = (units.stages.index(unit.stage), first + unit.unit)
        assert unit.picture == f"p{units.argument[place]}"
        assert unit.label == units.argument[place] % 4
        assert (unit.maximum, unit.class_mem) == (units.maximum[place], units.class_mem[place])


def test_pictures_and_classes_share_the_top_units():
    units = unit_map(fired_by=[3, 3, 3, 5])
    found = localization(units, top=0.2)
    assert [picture.picture for picture in found.pictures] == ["p3", "p5"]
    assert sum(picture.num_units for picture in found.pictures) == 60
    assert found.num_firing == 2
    shares = {each.label: (each.pictures, each.top_units) for each in found.classes}
    assert shares[3] == (0.25, found.pictures[0].num_units / 60)
    assert shares[0] == (0.25, 0.0)


def test_subsets_agree_as_their_ranks_do():
    units = unit_map()
    found = localization(units, top=0.1).agreement
    assert [each.size for each in found] == list(units.sizes)
    for each, unit_mem in zip(found, units.unit_mem, strict=True):
        expected = scipy.stats.spearmanr(unit_mem.ravel(), units.unit_mem[-1].ravel()).statistic
        assert each.spearman == pytest.approx(expected)
    assert found[0].overlap < found[1].overlap < found[2].overlap == 1.0


def test_faint_units_are_counted():
    units = unit_map()
    units.maximum[units.unit_mem[-1] >= np.sort(units.unit_mem[-1], axis=None)[-6]] = 1e-4
    assert localization(units, top=10 / 300).faint == pytest.approx(0.6)


def test_the_control_finds_pictures_that_fire_beyond_chance():
    member_heavy = unit_map(80, subsets=1, fired_by=[*range(40), *range(40), *range(80)])
    control = localization(unit_map(), top=0.5, pooled=member_heavy).control
    assert (control.num_members, control.num_nonmembers, control.num_units) == (40, 40, 150)
    assert control.share > control.high
    assert control.p_value < 0.01
    by_chance = localization(unit_map(), top=0.5, pooled=unit_map(80, subsets=1)).control
    assert by_chance.low < by_chance.share < by_chance.high


def test_the_control_is_not_fooled_by_one_picture_that_fires_everything():
    one = unit_map(80, subsets=1, fired_by=[7])
    control = localization(unit_map(), top=0.5, pooled=one).control
    assert control.share == 1.0
    assert control.p_value == pytest.approx(0.5, abs=0.05)


def test_false_positives_of_the_control_keep_their_level():
    rejections = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        units = unit_map(80, subsets=1, fired_by=rng.choice(80, 15, replace=False))
        rejections += localization(unit_map(), top=0.2, pooled=units, seed=seed).control.p_value <= 0.05
    assert rejections <= 11  # of 5 expected; P(more) < 1%


def test_everything_is_json():
    text = encode(localization(unit_map(), pooled=unit_map(80, subsets=1)))
    assert json.loads(text)["stages"] == ["scale 1", "scale 2", "scale 3"]


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="top=1.5"):
        localization(unit_map(), top=1.5)
    with pytest.raises(InputError, match="both must be there"):
        localization(unit_map(), pooled=unit_map(40, subsets=1))
