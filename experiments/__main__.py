"""The installed command: `jaxaudit NAME --flag=value ...` runs a program."""

import importlib
import importlib.util
import pathlib
import sys

import jaxaudit
from jaxaudit import cli
from jaxaudit.errors import unknown_name
from jaxaudit.exits import plain_exits

_NAMES = (
    "audit",
    "verdict",
    "compare",
    "leaderboard",
    "identify_data",
    "match_sets",
    "provenance",
    "provenance_study",
    "extract",
    "regenerate",
    "schedules",
    "localize",
    "mitigate",
    "defend",
    "cdi_studies",
    "reliability",
    "train_target",
    "train_family",
    "epsilon",
    "benchmark",
    "compile",
    "plan",
    "precision",
)
PROGRAMS = {
    **{name: f"{__package__}.{name}" for name in _NAMES},
    "convert": "checkpoints_convert.__main__",
}
"""The module of every program: `run` is the program, the first line of the docstring says what it does."""


def main() -> None:
    """Runs the program that the first argument names, with the other arguments; without one, lists them."""
    first, *others = sys.argv[1:] or ["--help"]
    with plain_exits():
        if first in ("help", "-h", "-help", "--help"):
            cli.say(_overview())
        elif first == "--version":
            print(f"jaxaudit {jaxaudit.__version__}")
        else:
            name = first.replace("-", "_")
            if name not in PROGRAMS:
                raise unknown_name("program", first, PROGRAMS)
            sys.argv = [f"jaxaudit {name}", *others]
            importlib.import_module(PROGRAMS[name]).run()


def _overview() -> str:
    width = cli.terminal_width()
    lines = [cli.entry(name, _summary(module), column=17, width=width) for name, module in PROGRAMS.items()]
    return "\n".join(
        [
            "What does an image generator give away about the images it was trained on?",
            "",
            "jaxaudit PROGRAM --flag=value ...",
            "",
            *lines,
            "",
            "jaxaudit PROGRAM --help lists the flags of one, jaxaudit --version says which jaxaudit this is.",
        ]
    )


def _summary(module: str) -> str:
    """The first line of the module's docstring; nothing is imported, for programs define flags."""
    package, _, file = module.partition(".")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(package)
    text = pathlib.Path(spec.origin).with_name(f"{file}.py").read_text()
    return text.removeprefix('"""').partition("\n")[0]


if __name__ == "__main__":
    main()
