import dataclasses
import json

import numpy as np
import pytest
import scipy.stats

from jaxaudit.errors import InputError
from jaxaudit.evidence import UnitAxis, UnitMap
from jaxaudit.results import encode
from jaxaudit.stats.localization import control, localization

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
        floored=np.stack([*noisy, final]).astype(np.float32),
        maximum=(1 + rng.random(SHAPE)).astype(np.float32),
        second=rng.random(SHAPE).astype(np.float32),
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


def test_units_below_the_floor_are_counted_and_rank_by_what_it_leaves():
    units = unit_map()
    highest = units.unit_mem[-1] >= np.sort(units.unit_mem[-1], axis=None)[-6]
    units.floored[-1][highest] = 1e-4
    found = localization(units, top=0.02)
    assert found.faint == 6 / 300
    assert found.threshold == np.sort(units.floored[-1], axis=None)[-6]
    assert max(unit.unit_mem for unit in found.top_units) == units.floored[-1].max()


def test_units_that_several_pictures_fire_alike_are_no_top_units():
    units = unit_map(fired_by=[3])
    highest = units.floored[-1] >= np.sort(units.floored[-1], axis=None)[-60]
    units.second[highest], units.argument[highest] = units.maximum[highest], 5
    found = localization(units, top=0.1)
    assert found.shared == 0.2
    assert [(picture.picture, picture.num_units) for picture in found.pictures] == [("p3", 24)]
    assert found.threshold == np.sort(units.floored[-1][~highest])[-24]
    assert {unit.picture for unit in found.top_units} == {"p3"}
    units.second[:] = units.maximum
    with pytest.raises(InputError, match="None of the units is fired by one of the 40 pictures alone"):
        localization(units)


def test_the_control_finds_pictures_that_fire_beyond_chance():
    member_heavy = unit_map(80, subsets=1, fired_by=[*range(40), *range(40, 50)])
    found = localization(unit_map(), top=0.5, pooled=member_heavy).control
    assert (found.num_members, found.num_nonmembers, found.num_units) == (40, 40, 150)
    assert found.num_firing <= 50
    assert found.share > found.high
    assert found.p_value < 0.01
    by_chance = localization(unit_map(), top=0.05, pooled=unit_map(80, subsets=1)).control
    assert by_chance.low <= by_chance.share <= by_chance.high


def test_the_control_is_not_fooled_by_one_picture_that_fires_everything():
    found = control(unit_map(80, subsets=1, fired_by=[7]), 40, top=0.5)
    assert (found.share, found.num_firing) == (1.0, 1)
    assert found.p_value == pytest.approx(0.5)


def test_the_control_permutes_pictures_within_their_classes():
    """Class 0 has 30 of its 40 pictures in training, the three others 10 of 20, and fires most units."""
    rng = np.random.default_rng(0)
    labels = np.array([0] * 30 + [1, 2, 3] * 10 + [0] * 10 + [1, 2, 3] * 10)
    pooled = dataclasses.replace(
        unit_map(100, subsets=1, fired_by=[*range(25), *range(60, 70), *range(80, 90)]),
        labels=labels.astype(np.int32),
    )
    found = control(pooled, 60, top=0.5)
    is_top = pooled.floored[-1] >= np.sort(pooled.floored[-1], axis=None)[-150]
    fires = np.isin(np.arange(100), pooled.argument[is_top])
    assert found.share == fires[:60].sum() / fires.sum()
    drawn = []
    for _ in range(3000):
        order = np.arange(100)
        for label in range(4):
            (places,) = np.nonzero(labels == label)
            order[places] = rng.permutation(places)
        drawn.append(fires[order][:60].sum() / fires.sum())
    assert found.chance == pytest.approx(np.mean(drawn), abs=0.005)
    assert found.chance > 0.65  # it would be 0.6 across classes
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.03)
    assert found.p_value == pytest.approx(np.mean(np.array(drawn) >= found.share), abs=0.03)


def test_false_positives_of_the_control_keep_their_level():
    rejections = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        units = unit_map(80, subsets=1, fired_by=rng.choice(80, 15, replace=False))
        rejections += control(units, 40, top=0.2).p_value <= 0.05
    assert rejections <= 11  # of 5 expected; P(more) < 1%


def test_everything_is_json():
    text = encode(localization(unit_map(), pooled=unit_map(80, subsets=1)))
    assert json.loads(text)["stages"] == ["scale 1", "scale 2", "scale 3"]


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="top=1.5"):
        localization(unit_map(), top=1.5)
    with pytest.raises(InputError, match="both must be there"):
        localization(unit_map(), pooled=unit_map(40, subsets=1))
