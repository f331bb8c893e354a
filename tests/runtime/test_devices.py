import pytest

from jaxaudit.errors import InputError
from jaxaudit.runtime import elsewhere
from jaxaudit.runtime.devices import DEVICES, get_device
from jaxaudit.runtime.elsewhere import mesh_elsewhere


def test_every_device_says_what_a_compiler_and_a_plan_need():
    for name, device in DEVICES.items():
        assert device.name == name
        assert 1e14 < device.peak < 1e15
        assert 2**34 <= device.memory < 2**38
        assert 1e11 < device.bandwidth < 1e13
        assert device.source.startswith("https://")


def test_slices_of_tpus_hold_the_chips_that_are_asked_for():
    for name in ("v5e", "v5p", "v6e"):
        for count in (1, 4, 5, 16, 256):
            shape = get_device(name).chip.topology(count)["topology_name"].removeprefix(f"{name}:")
            chips = 1
            for side in shape.split("x"):
                chips *= int(side)
            assert count <= chips < max(2 * count, 5)
    with pytest.raises(InputError, match="num_devices=257: the largest slice of v5e here has 256 chips"):
        get_device("v5e").chip.topology(257)


def test_gpus_tell_the_compiler_their_own_numbers():
    text = get_device("l4").chip.topology(2)
    assert text["topology"] == "1x1x2"
    for words in ("core_count: 58", "major: 8 minor: 9", "memory_bandwidth: 300000000000", '"NVIDIA L4"'):
        assert words in text["target_config"]


def test_an_unknown_device_is_one_sentence_with_the_nearest():
    with pytest.raises(InputError, match="Unknown device 'h10'; did you mean h100"):
        get_device("h10")


@pytest.mark.parametrize(("name", "extra"), [("v5e", "tpu"), ("h100", "cuda")])
def test_a_missing_compiler_is_one_sentence_with_the_command(name, extra, monkeypatch):
    monkeypatch.setattr(elsewhere, "_PACKAGES", {extra: ("no-such-package",)})
    with pytest.raises(InputError, match=rf"is not installed; `pip install 'jaxaudit\[{extra}\]'` brings it"):
        mesh_elsewhere(get_device(name), 1)
