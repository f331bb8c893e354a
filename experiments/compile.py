"""Compiles scoring steps for accelerators that need not be here, and says what memory they take.

  jaxaudit compile --out=compiled.json                             the table of the documentation
  jaxaudit compile --out=compiled.json --targets=var_d30 --devices=v5p,a100 --batch_size=64

Neither weights nor devices are needed, only the compilers: `pip install 'jaxaudit[tpu]'`, `[cuda]`. Every
step is in the file as soon as it is compiled; the same command again goes on, with small models first. Large
ones take minutes each.
"""

from collections.abc import Sequence

from absl import flags
from rich import box
from rich.console import Console
from rich.table import Table

from jaxaudit import cli
from jaxaudit.outputs import check_file
from jaxaudit.results import CompiledStep, StepSetting

from .progress import reported

with cli.flag_group("What is compiled"):
    _TARGETS = flags.DEFINE_list(
        "targets",
        None,
        "Released models, built-in targets or folders; 'smallest' and 'largest' are one released model of "
        "every family. Without it, those of the documentation.",
    )
    _DEVICES = flags.DEFINE_list(
        "devices",
        None,
        "v5e, v5p, v6e, a100, h100, h200, l4, rtx4090. Without it, those of the documentation whose "
        "compiler is installed.",
    )
    _NUM_DEVICES = flags.DEFINE_integer("num_devices", 1, "That one step runs on.", lower_bound=1)
    _BATCH_SIZE = flags.DEFINE_integer(
        "batch_size", 8, "Images per step, over all devices.", lower_bound=1, upper_bound=1 << 16
    )
    _PRECISION = flags.DEFINE_enum(
        "precision", "bfloat16", ["float32", "bfloat16"], "Of weights and activations."
    )
    _SCORES = flags.DEFINE_list("scores", ["all"], "Scores, as for `jaxaudit audit`.")
    _ACCESS = flags.DEFINE_enum("access", "gray", ["gray", "white"], "As for `jaxaudit audit`.")
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "A JSON file for the steps.", required=True)


def main(argv: Sequence[str]) -> None:
    """Compiles what the flags name."""
    del argv
    from jaxaudit.audits.capacity import compile_missing
    from jaxaudit.runtime.devices import get_device
    from jaxaudit.runtime.elsewhere import check_compiler, compile_for_others

    console = cli.terminal()
    check_file(_OUT.value)
    settings = _settings(console)
    for name in {setting.device for setting in settings}:
        check_compiler(get_device(name))
    compile_for_others()
    with reported(console, "Compiling", unit="steps") as progress:
        table = compile_missing(_OUT.value, settings, progress=progress)
    _print([step for step in table.steps if step.setting in set(settings)], console)


def _settings(console: Console) -> list[StepSetting]:
    """What the flags ask for; of the documentation's table, what there are compilers for."""
    from jaxaudit.audits.capacity import TABLE, table_settings
    from jaxaudit.runtime.devices import get_device
    from jaxaudit.runtime.elsewhere import compiler_version

    common = StepSetting(
        target="",
        device="",
        num_devices=_NUM_DEVICES.value,
        batch_size=_BATCH_SIZE.value,
        precision=_PRECISION.value,
        scores=tuple(_SCORES.value),
        access="gray-box" if _ACCESS.value == "gray" else "white-box",
    )
    for name in _DEVICES.value or ():
        get_device(name)
    devices = _DEVICES.value or [name for name in TABLE if compiler_version(get_device(name))]
    if left_out := [name for name in TABLE if name not in devices and not _DEVICES.value]:
        console.print(f"No compiler for {', '.join(left_out)}: left out.")
    if _TARGETS.value:
        return table_settings(_TARGETS.value, devices, like=common)
    return [
        setting
        for device in devices
        for setting in table_settings(TABLE.get(device, TABLE["v5e"]), [device], like=common)
    ]


def _print(steps: Sequence[CompiledStep], console: Console) -> None:
    table = Table(
        "target", "device", "batch", "arguments", "temporaries", "of memory", "CPU min", box=box.SIMPLE_HEAD
    )
    from jaxaudit.runtime.devices import get_device

    for step in steps:
        setting, memory = step.setting, step.memory
        batch = f"{setting.batch_size} / {setting.num_devices}"
        if memory is None:
            table.add_row(setting.target, setting.device, batch, "refused", "", "", "")
            continue
        table.add_row(
            setting.target,
            setting.device,
            batch,
            f"{memory.arguments / 2**30:.2f} GiB",
            f"{memory.temporaries / 2**30:.2f} GiB",
            f"{memory.total / get_device(setting.device).memory:.0%}",
            f"{step.cpu_seconds / 60:.1f}",
        )
    console.print(table)


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()
