"""MkDocs hook: the table of targets, from the families themselves; README.md has it too.

`python docs/hooks/targets.py` writes it into README.md, and the tests compare.
"""

import functools
import importlib
import inspect
import itertools
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
BEGIN, END = "<!-- targets: docs/hooks/targets.py -->\n", "<!-- end of targets -->"
_COLUMNS = "target | what it is | told | parameters | licence of the weights | checked"
_LEGEND = (
    "Parameters are those of the generator; of built-in targets, all. *Outputs*: with small random weights "
    "it gives what the official code gave, recorded, to 1e-4 or the tolerance of the recording. *Manifest*: "
    "every name and shape in the whole released file finds its place. The released weights were not run."
)


def on_files(files: Any, config: Any) -> Any:
    """Adds the page."""
    words = "Every target that comes with jaxaudit, or that `jaxaudit convert` makes of released files."
    page = importlib.import_module("mkdocs.structure.files").File.generated
    files.append(page(config, "targets.md", content=f"# Targets\n\n{words}\n\n{table()}\n"))
    return files


def table() -> str:
    """A row per built-in target, then one per kind of released model, and what the last column means."""
    rows = ["| " + _COLUMNS + " |", "|---" * (_COLUMNS.count("|") + 1) + "|", *_built_in(), *_released()]
    return "\n".join([*rows, "", *textwrap.wrap(_LEGEND, 120)])


def _built_in() -> Iterator[str]:
    checkpoint = importlib.import_module("jaxaudit.checkpoint")
    for name in checkpoint.builtin_names():
        record = checkpoint.read_record(name)
        on = record["provenance"]["trained_on"]["source"]
        kind = record["config"].get("process", {}).get("name", "")
        words = f"{_title(record['family'])}{' as a flow' if 'flow' in kind else ''}, trained on `{on}`"
        size = record["preprocessing"]["image_size"]
        told = _told(_target(record["family"], record["config"], size))
        yield _row(f"`{name}`", f"built in; {words}", told, _count(record["num_params"]), "Apache-2.0", "")


def _released() -> Iterator[str]:
    released = importlib.import_module("jaxaudit.checkpoint.finding").released()
    for (title, told, licence, checked), group in itertools.groupby(released.items(), key=_facts):
        models = {name: variant for name, (_, variant) in group}
        names = [f"[`{name}`]({variant.sources['generator']})" for name, variant in models.items()]
        counts = dict.fromkeys(_count(variant.num_params["generator"]) for variant in models.values())
        yield _row(" ".join(names), title, told, ", ".join(counts), licence, checked)


def _facts(item: tuple[str, tuple[str, Any]]) -> tuple[str, ...]:
    """What the models of a row have in common: title, condition, licence, checks."""
    name, (family, variant) = item
    size = variant.preprocessing.image_size
    told = _told(_target(family, variant.config, size))
    return f"{_title(family)}, {size} px", told, variant.licence, _checked(name, family, variant)


def _target(family: str, config: Any, size: int) -> Any:
    """The target without parameters."""
    preprocessing = importlib.import_module("jaxaudit.data").Preprocessing(size, "none", size, -1.0, 1.0)
    module = importlib.import_module("jaxaudit.families").get_family(family)
    return module.build_target("", config, {}, preprocessing, {})


def _told(target: Any) -> str:
    classes = f"{target.num_classes} classes" if target.num_classes else "nothing"
    return "captions" if target.context_shape else classes


def _title(family: str) -> str:
    """What it is called: docstrings of families begin with "X as an audit target"."""
    module = importlib.import_module("jaxaudit.families").get_family(family)
    return re.sub(r" \d\.x.*", "", (inspect.getdoc(module) or "").partition(" as a")[0])


def _count(number: int) -> str:
    if number < 10**7:
        return f"{number / 10**6:.1f} M"
    return f"{number / 10**6:.0f} M" if number < 10**9 else f"{number / 10**9:.2f} B"


def _checked(name: str, family: str, variant: Any) -> str:
    recorded = any(path.name.startswith(family) for path in GOLDEN.iterdir() if path.is_dir())
    found = ["outputs"] if recorded else []
    of_that_name = any(file.startswith(_letters(name)) for file in _manifests().values())
    if of_that_name or variant.num_params["generator"] in _manifests():
        found.append("manifest")
    return " and ".join(found)


@functools.cache
def _manifests() -> dict[int, str]:
    """{number of parameters: name} of the manifests of released files."""
    return {
        json.loads(path.read_text()).get("num_parameters"): _letters(path.stem)
        for path in (GOLDEN / "manifests").glob("*.json")
    }


def _letters(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def write(readme: Path = ROOT / "README.md") -> None:
    """Puts the table into the README."""
    before, _, rest = readme.read_text().partition(BEGIN)
    readme.write_text(f"{before}{BEGIN}{table()}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    write()
