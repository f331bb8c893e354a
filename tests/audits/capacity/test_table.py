from pathlib import Path

import pytest

from jaxaudit.audits.capacity import TABLE, compile_missing, table_settings
from jaxaudit.audits.capacity.modelled import MEMORY_ERROR
from jaxaudit.errors import InputError
from jaxaudit.families import FAMILIES
from jaxaudit.results import CompiledStep, CompiledSteps, StepMemory, StepSetting, read_results, replace
from jaxaudit.runtime.devices import get_device
from tests.results.round_trip import assert_round_trips

LIKE = StepSetting("", "", 1, 8, "bfloat16", ("all",), "gray-box")


def compiled(setting):
    memory = StepMemory(1, 2, 3)
    return CompiledStep(setting, 10, "none 1.0", memory, memory, None, {"k": 1}, None, 1.0, 2.0)


def test_small_models_come_first():
    settings = table_settings(["largest", "smallest", "digits_var"], ["v5e", "h100"], like=LIKE)
    assert [setting.target for setting in settings[:4]] == ["digits_var"] * 2 + ["uvit_s_2_uncond"] * 2
    assert settings[-1].target == "dit_moe_g_2_16e2a"
    alone = sum(len(family.VARIANTS) == 1 for family in FAMILIES.values())  # smallest and largest at once
    assert len(settings) == 2 * (2 * len(FAMILIES) - alone + 1)
    assert {setting.device for setting in settings} == {"v5e", "h100"}
    assert {setting.batch_size for setting in settings} == {8}


def test_the_table_has_every_family_on_every_device():
    for sizes in TABLE.values():
        names = {s.target for s in table_settings(sizes, ["v5e"], like=LIKE)}
        assert all(names & set(family.VARIANTS) for family in FAMILIES.values())


def test_a_killed_run_goes_on_with_what_is_missing(tmp_path):
    settings = table_settings(["smallest"], ["v5e"], like=LIKE)
    seen = []

    def dies(setting):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(setting)
        return compiled(setting)

    path = tmp_path / "new" / "compiled.json"
    with pytest.raises(KeyboardInterrupt):
        compile_missing(path, settings, compile_one=dies)
    assert [step.setting for step in read_results(path, CompiledSteps).steps] == settings[:2]
    again = []
    table = compile_missing(path, settings, compile_one=lambda s: again.append(s) or compiled(s))
    assert again == settings[2:]
    assert [step.setting for step in table.steps] == settings
    assert read_results(path, CompiledSteps) == table
    assert_round_trips(table)


def test_what_does_not_fit_is_split_over_more_devices(tmp_path):
    room = get_device("v5e").memory

    def compile_one(setting):
        memory = StepMemory(room // setting.split, room // 3, 0)
        return replace(compiled(setting), memory=None if setting.split == 1 else memory)

    setting = replace(LIKE, target="rar_b", device="v5e")
    table = compile_missing(tmp_path / "steps.json", [setting], compile_one=compile_one)
    assert [(step.setting.num_devices, step.setting.split) for step in table.steps] == [(1, 1), (2, 2)]
    assert compile_missing(tmp_path / "steps.json", [setting], compile_one=compile_one) == table


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "other.json").write_text('{"format": 1, "target": "x"}')
    with pytest.raises(InputError, match="is no CompiledSteps"):
        compile_missing(tmp_path / "other.json", [], compile_one=compiled)


def test_the_documented_table_bears_out_the_error_that_plans_state():
    """Who compiles the table again and fails here states the new error, or mends the model."""
    steps = read_results(Path(__file__).parents[3] / "docs" / "compiled.json", CompiledSteps).steps
    for step in steps:
        if step.memory is not None:
            error = abs(step.modelled.temporaries / step.memory.temporaries - 1)
            assert error <= MEMORY_ERROR[get_device(step.setting.device).chip.platform], step.setting
    assert steps
