import dataclasses
import math

import jax
import pytest

from jaxaudit.audits.capacity import CapacityConfig, plan_capacity
from jaxaudit.audits.capacity.shapes import abstract_step
from jaxaudit.checkpoint import load_target
from jaxaudit.errors import InputError
from jaxaudit.results import StepSetting, replace
from jaxaudit.runtime import devices
from jaxaudit.runtime.devices import get_device
from jaxaudit.runtime.partition import bytes_per_device
from tests.results.round_trip import assert_round_trips

SETTING = StepSetting("digits_rar", "h100", 1, 0, "bfloat16", ("diff/loss", "cond/loss"), "gray-box")


@pytest.fixture(scope="module")
def plan():
    return plan_capacity(SETTING, 10_000, CapacityConfig(price_per_hour=2.0))


def test_time_is_work_over_speed(plan):
    target, step, (inputs, batch) = abstract_step(replace(SETTING, batch_size=1))
    device = get_device("h100")
    assert plan.gflop_per_image * 1e9 == step.flops(inputs, batch)
    seconds = max(
        plan.gflop_per_image * 1e9 / (0.4 * device.peak), plan.gbyte_per_image * 1e9 / device.bandwidth
    )
    assert plan.images_per_s == pytest.approx(1 / seconds)
    assert plan.hours == pytest.approx(10_000 * seconds / 3600)
    assert plan.price == pytest.approx(2 * plan.hours)
    assert plan.cores == math.ceil(plan.images_per_s / 100)
    assert plan.disk.checkpoint == 4 * target.num_params
    assert_round_trips(plan)


@pytest.mark.usefixtures("unchecked")
def test_twice_the_devices_take_half_the_time_at_the_same_price(plan):
    more = plan_capacity(replace(SETTING, num_devices=2), 10_000, CapacityConfig(price_per_hour=2.0))
    assert more.hours == pytest.approx(plan.hours / 2)
    assert more.price == pytest.approx(plan.price)
    assert more.setting.batch_size == 2 * plan.setting.batch_size
    assert more.memory == plan.memory


@pytest.mark.usefixtures("unchecked")
def test_arguments_are_the_bytes_of_parameters_and_pictures(plan):
    target = load_target("digits_rar", dtype="bfloat16")
    params = sum(leaf.nbytes for leaf in jax.tree.leaves(target.params))
    of_image = 4 * 8 * 8 * 3 + 4 + 4
    key = 8
    assert plan.memory.arguments == params + key + plan.setting.batch_size * of_image


@pytest.mark.usefixtures("unchecked")
def test_the_largest_power_of_two_that_fits_is_taken(plan, monkeypatch):
    assert plan.setting.batch_size == 1024  # the largest there is
    room = 3 * plan.memory.arguments
    small = dataclasses.replace(get_device("h100"), memory=round(room / get_device("h100").chip.usable))
    monkeypatch.setitem(devices.DEVICES, "h100", small)
    fitting = plan_capacity(SETTING, 10)
    rows = fitting.setting.batch_size
    assert rows & (rows - 1) == 0
    assert fitting.memory.total <= room
    twice = plan_capacity(replace(SETTING, batch_size=2 * rows), 10)
    assert twice.memory.total > room


@pytest.fixture
def small_device(monkeypatch, plan):
    """An H100 with so little memory that parameters leave room for the work only where two share them."""
    target, *_ = abstract_step(replace(SETTING, batch_size=1))
    held = [bytes_per_device(target.params, target.partition, split) for split in (1, 2)]
    room = sum(held) / 2 / 0.6
    small = dataclasses.replace(get_device("h100"), memory=round(room / get_device("h100").chip.usable))
    monkeypatch.setitem(devices.DEVICES, "h100", small)
    return small


@pytest.mark.usefixtures("unchecked")
def test_parameters_are_split_over_as_few_devices_as_hold_them(small_device):
    eight = replace(SETTING, num_devices=8, split=0)
    found = plan_capacity(eight, 10_000)
    assert found.setting.split == 2
    assert found.setting.batch_size % 4 == 0  # four pairs of devices
    assert found.memory.total <= small_device.memory * small_device.chip.usable
    alone = plan_capacity(replace(SETTING, batch_size=found.setting.batch_size // 4), 10)
    assert found.images_per_s == pytest.approx(8 * alone.images_per_s)
    assert plan_capacity(replace(eight, split=4, batch_size=64), 10).memory.arguments < found.memory.arguments
    with pytest.raises(InputError, match="cannot be split 3 ways over 8 device"):
        plan_capacity(replace(eight, split=3), 10)


@pytest.mark.usefixtures("unchecked")
def test_a_target_that_fits_nowhere_is_one_sentence(monkeypatch):
    monkeypatch.setitem(devices.DEVICES, "h100", dataclasses.replace(get_device("h100"), memory=2**20))
    with pytest.raises(InputError, match="digits_rar in bfloat16 takes .* GiB for one image; of the 0 GiB"):
        plan_capacity(SETTING, 10)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"share_of_peak": 0.0}, "share_of_peak=0.0 is no share"),
        ({"share_of_peak": 1.5}, "share_of_peak=1.5 is no share"),
        ({"images_per_core": 0.0}, "images_per_core=0.0 is not above 0"),
        ({"price_per_hour": -1.0}, "price_per_hour=-1.0 is below 0"),
    ],
)
def test_assumptions_that_are_none_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        CapacityConfig(**wrong)
