"""The stages of one target as a table in the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from jaxaudit.results import BenchmarkResults, YardstickSpeed

_HEADINGS = ("stage", "images/s", "GFLOP/image", "GFLOP/s", "of matmul", "by processor time", "first call, s")


def print_benchmark(results: BenchmarkResults, console: Console) -> None:
    """A line per stage, then the machine."""
    table = Table(*_HEADINGS, box=box.SIMPLE_HEAD, title=results.target)
    for name, row in results.stages.items():
        rates = [row.images_per_s, row.gflop_per_image, row.gflop_per_s]
        table.add_row(
            name,
            *("" if cell is None else f"{cell:,.4g}" for cell in rates),
            *("" if s is None else f"{s:.0%}" for s in (row.share_of_matmul, row.share_of_matmul_cpu)),
            "" if row.first_call_s is None else f"{row.first_call_s:,.3g}",
        )
    console.print(table)
    console.print(
        f"{results.device}, {results.num_devices} device(s), batch {results.batch_size}, "
        f"{results.precision}, peak memory {results.peak_memory_bytes / 2**30:.2f} GiB"
    )


def print_yardstick(speed: YardstickSpeed, console: Console) -> None:
    """One line: how many times as fast as the yardstick."""
    console.print(
        f"{speed.target}, {speed.precision}, batch {speed.batch_size}: {speed.speedup:.2f} times as fast as "
        f"the yardstick ({speed.speedup_cpu:.2f} by processor time), {speed.seconds:.3g} s against "
        f"{speed.yardstick_seconds:.3g} s a batch",
        soft_wrap=True,
    )
