"""MkDocs hook: the table of compiled steps, from the file that `jaxaudit compile` wrote."""

import importlib
from pathlib import Path
from typing import Any

PAGE = "accelerators.md"
MARK = "<!-- compiled steps -->"
STEPS = Path(__file__).parents[1] / "compiled.json"
_COLUMNS = (
    "target | parameters | device | batch | arguments | temporaries | share | model | compiled in | kernels"
)


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Puts the table where the page wants it."""
    del kwargs
    return markdown.replace(MARK, table()) if page.file.src_uri == PAGE else markdown


def table() -> str:
    """A row per step, in the order of the file's devices and sizes."""
    results = importlib.import_module("jaxaudit.results")
    steps = results.read_results(STEPS, results.CompiledSteps).steps
    ordered = sorted(steps, key=lambda step: (step.setting.device, step.num_params))
    return "\n".join([f"| {_COLUMNS} |", "|---" * (_COLUMNS.count("|") + 1) + "|", *map(_row, ordered)])


def _row(step: Any) -> str:
    device = importlib.import_module("jaxaudit.runtime.devices").get_device(step.setting.device)
    setting, memory = step.setting, step.memory
    several = f" / {setting.num_devices} devices" if setting.num_devices > 1 else ""
    cells = [
        f"`{setting.target}`",
        f"{step.num_params / 1e6:,.0f} M",
        device.title,
        f"{setting.batch_size}{several}",
    ]
    if memory is None:
        cells += ["refused", "", "", _gib(step.modelled.total), _minutes(step), ""]
    else:
        cells += [
            _gib(memory.arguments),
            _gib(memory.temporaries),
            f"{memory.total / device.memory:.0%}",
            f"{step.modelled.temporaries / memory.temporaries - 1:+.0%}",
            _minutes(step),
            _kernels(step),
        ]
    return f"| {' | '.join(cells)} |"


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"


def _minutes(step: Any) -> str:
    return f"{step.cpu_seconds / 60:.1f} CPU min"


def _kernels(step: Any) -> str:
    """Attention and Pallas kernels; those of every matrix product are left out."""
    named = {"cuDNN attention": "fmha", "Mosaic": "tpu_custom_call", "Mosaic GPU": "mosaic_gpu"}
    found = {
        title: sum(count for name, count in step.kernels.items() if part in name)
        for title, part in named.items()
    }
    words = [f"{count} × {title}" for title, count in found.items() if count]
    if step.logits:
        words.append(f"logits {step.logits}")
    return ", ".join(words)
