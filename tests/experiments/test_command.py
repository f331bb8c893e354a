"""`jaxaudit PROGRAM`, which an installation has, as `python -m experiments PROGRAM`."""

import subprocess
import sys

import pytest

from jaxaudit import __version__


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "experiments", *arguments], capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_alone_it_lists_the_programs(arguments):
    process = command(*arguments)
    assert process.returncode == 0
    for words in ("audit ", "Audits an image generator", "convert ", "Converts PyTorch checkpoints"):
        assert words in process.stdout


def test_it_knows_its_version():
    assert command("--version").stdout == f"jaxaudit {__version__}\n"


def test_an_unknown_program_is_one_sentence_with_the_nearest():
    process = command("audti")
    assert process.returncode == 2
    assert process.stderr == "Unknown program 'audti'; did you mean audit?\n"
    assert process.stdout == ""


def test_it_hands_the_flags_on():
    process = command("cdi-studies", "--sizes=many")
    assert process.returncode == 2
    assert process.stderr == "--sizes=many: 'many' is no number of images.\n"
