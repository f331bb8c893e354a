"""Plans hardware: how long scoring takes on devices that need not be here, and what it needs of them.

  jaxaudit plan --target=var_d30 --device=h100 --num_devices=8 --num_images=1281167
  jaxaudit plan --target=targets/mine --device=v5e --num_devices=16 --num_images=100000 --price_per_hour=1.2
  jaxaudit plan --target=rar_xxl --device=v5p --num_images=50000 --compile

Weights are not needed. Work is counted on the traced step, the memory of a device is modelled, or the
compiler's with --compile. What is assumed is printed below the table, the share of the peak first. (The flag
--plan of `jaxaudit audit` is another thing: it fixes the test of an audit before anything is scored.)
"""

from collections.abc import Sequence

from absl import flags
from rich import box
from rich.console import Console
from rich.table import Table

from jaxaudit import cli
from jaxaudit.outputs import check_file
from jaxaudit.results import CapacityPlan, StepSetting, write_results

from . import machine_flags
from .progress import reported

with cli.flag_group("What is audited"):
    _TARGET = flags.DEFINE_string(
        "target", None, "A released model, a built-in target or a folder.", required=True
    )
    _NUM_IMAGES = flags.DEFINE_integer(
        "num_images", None, "Pictures of both sides.", required=True, lower_bound=1
    )
with cli.flag_group("Scores"):
    _SCORES = flags.DEFINE_list("scores", ["all"], "Scores, as for `jaxaudit audit`.")
    _ACCESS = flags.DEFINE_enum("access", "gray", ["gray", "white"], "As for `jaxaudit audit`.")
with cli.flag_group("Machine"):
    _DEVICE = flags.DEFINE_string(
        "device", None, "v5e, v5p, v6e, a100, h100, h200, l4 or rtx4090.", required=True
    )
    _NUM_DEVICES = flags.DEFINE_integer(
        "num_devices", 1, "Over all hosts.", lower_bound=1, upper_bound=1 << 16
    )
    _BATCH_SIZE = flags.DEFINE_integer(
        "batch_size",
        0,
        "Images per step, over all devices; 0 takes the largest that fits.",
        lower_bound=0,
        upper_bound=1 << 20,
    )
    _PRECISION = flags.DEFINE_enum(
        "precision", "bfloat16", ["float32", "bfloat16"], "Of weights and activations."
    )
    _COMPILE = flags.DEFINE_bool(
        "compile", False, "Ask the device's compiler for the memory, which takes minutes for large models."
    )
machine_flags.define_shard_params()
with cli.flag_group("Assumptions"):
    _SHARE = flags.DEFINE_float(
        "share_of_peak",
        0.4,
        "Of a device's bfloat16 peak that is reached; on a device, `jaxaudit benchmark` measures it.",
    )
    _PER_CORE = flags.DEFINE_float(
        "images_per_core", 100.0, "Pictures that one core decodes and resizes in a second."
    )
    _PRICE = flags.DEFINE_float("price_per_hour", None, "Of one device, in any currency.")
with cli.flag_group("Output"):
    _OUT = flags.DEFINE_string("out", None, "A JSON file for the numbers.")


def main(argv: Sequence[str]) -> None:
    """Estimates what the flags name."""
    del argv
    from jaxaudit.audits.capacity import CapacityConfig, plan_capacity
    from jaxaudit.runtime.devices import get_device
    from jaxaudit.runtime.elsewhere import check_compiler, compile_for_others

    console = cli.terminal()
    if _OUT.value:
        check_file(_OUT.value)
    split = machine_flags.shard_params()
    setting = StepSetting(
        target=_TARGET.value,
        device=_DEVICE.value,
        num_devices=_NUM_DEVICES.value,
        batch_size=_BATCH_SIZE.value,
        precision=_PRECISION.value,
        scores=tuple(_SCORES.value),
        access="gray-box" if _ACCESS.value == "gray" else "white-box",
        split=0 if split == "auto" else split,
    )
    config = CapacityConfig(
        share_of_peak=_SHARE.value,
        images_per_core=_PER_CORE.value,
        price_per_hour=_PRICE.value,
        compiled=_COMPILE.value,
    )
    if config.compiled:
        check_compiler(get_device(setting.device))
        compile_for_others()
    with reported(console, f"Tracing {_TARGET.value}") as progress:
        found = plan_capacity(setting, _NUM_IMAGES.value, config, progress=progress)
    if _OUT.value:
        write_results(_OUT.value, found)
    _print(found, console)


def _print(plan: CapacityPlan, console: Console) -> None:
    setting, memory, given = plan.setting, plan.memory, plan.assumptions
    error = "" if plan.memory_error is None else f", temporaries within {plan.memory_error:.0%}"
    pieces = f", each parameter split over {setting.split} of a host" if setting.split > 1 else ""
    rows = {
        "time": f"{plan.hours:,.2f} hours for {plan.num_images:,} pictures",
        "speed": f"{plan.images_per_s:,.4g} pictures/s, bounded by {plan.limit}",
        "work": f"{plan.gflop_per_image:,.4g} GFLOP and {plan.gbyte_per_image:,.3g} GB moved per picture",
        "batch": f"{setting.batch_size} over {setting.num_devices} device(s){pieces}",
        "memory": f"{_gib(memory.arguments)} parameters and pictures + {_gib(memory.temporaries)} temporary "
        f"of {_gib(plan.device_memory)} per device (from the {plan.memory_from}{error})",
        "loading": f"{plan.cores:,} core(s)",
        "disk": f"{plan.disk.evidence / 1e9:,.2f} GB evidence, {plan.disk.index / 1e9:,.2f} GB index, "
        f"{plan.disk.checkpoint / 1e9:,.2f} GB weights",
    }
    if plan.price is not None:
        rows["price"] = f"{plan.price:,.2f}"
    table = Table(
        box=box.SIMPLE_HEAD,
        show_header=False,
        title=f"{setting.target} on {setting.num_devices} × {setting.device}, {setting.precision}",
    )
    for name, text in rows.items():
        table.add_row(name, text)
    console.print(table)
    console.print(
        f"Assumed: {given.share_of_peak:.0%} of {given.peak_flops / 1e12:,.0f} TFLOP/s and "
        f"{given.bandwidth / 1e9:,.0f} GB/s ({given.source}); a core decodes {given.images_per_core:g} "
        f"pictures/s; {given.usable_memory:.0%} of the memory can be used.",
        soft_wrap=True,
    )


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"


def run() -> None:
    """The program."""
    cli.run(main)


if __name__ == "__main__":
    run()
