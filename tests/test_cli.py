"""How programs explain themselves and end; those of `experiments` stand for all."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

HELP = """
import contextlib, importlib, io, json, os, sys
import jaxaudit.audits.collect, jaxaudit.audits.studies, jaxaudit.training  # once, for all programs
from absl import flags
from experiments.__main__ import PROGRAMS

library_flags = set(flags.FLAGS)
for name, module in PROGRAMS.items():
    reader, writer = os.pipe()
    if os.fork():  # flags are global: every program needs a process
        os.close(writer)
        print(os.fdopen(reader).read(), flush=True)
        os.wait()
        continue
    program = importlib.import_module(module)
    own = {flags.FLAGS[name].name: flags.FLAGS[name].default for name in flags.FLAGS}
    sys.argv = [name, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as text:
        try:
            program.run()
        except SystemExit as error:
            code = error.code
    own = {flag: str(default) for flag, default in own.items() if flag not in library_flags}
    answer = {"program": name, "code": code, "flags": own, "text": text.getvalue()}
    os.write(writer, json.dumps(answer).encode())
    os._exit(0)
"""


@pytest.fixture(scope="module")
def helps():
    """{program: what its --help does}."""
    environment = {**os.environ, "COLUMNS": "80", "XLA_FLAGS": ""}
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HELP],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    answers = [json.loads(line) for line in process.stdout.splitlines()]
    return {answer["program"]: answer for answer in answers}


def test_help_lists_every_flag_with_its_default_in_a_group(helps):
    assert {"audit", "extract", "convert"} <= helps.keys()
    assert {"target", "members", "nonmembers", "precision", "alpha"} <= helps["audit"]["flags"].keys()
    for answer in helps.values():
        assert answer["code"] in (None, 0)
        for flag, default in answer["flags"].items():
            (_, _, words) = answer["text"].partition(f"\n  --{flag}=")
            words = words or answer["text"].partition(f"\n  --[no]{flag} ")[2]
            assert words, (answer["program"], flag)
            entry = " ".join(words.partition("\n  --")[0].split())
            if default not in ("None", "True", "False", "", "[]") and "'" not in default:
                assert f"[{default}]" in entry, (answer["program"], flag, entry)


def test_help_fits_the_terminal_but_for_examples(helps):
    for answer in helps.values():
        lines = [line for line in answer["text"].splitlines() if not line.startswith("  ")]
        assert max(map(len, lines)) <= 80, answer["program"]
        entries = answer["text"].partition(":\n  --")[2].splitlines()
        assert max(map(len, entries)) <= 80, answer["program"]


def run_code(code, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


PROGRAM = """
    '''Says how far it is.'''
    from absl import flags
    from jaxaudit import cli

    with cli.flag_group("What"):
        COLOUR = flags.DEFINE_enum("colour", "red", ["red", "blue"], "Its colour.", required=False)
        NAME = flags.DEFINE_string("name", None, "Its name.", required=True)
        LOUD = flags.DEFINE_bool("loud", True, "Whether it is heard.")

    def main(argv):
        print(COLOUR.value, NAME.value, LOUD.value)

    cli.run(main)
"""


def test_a_flag_says_its_choices_and_what_it_is_if_it_is_not_given():
    text = run_code(PROGRAM, "--help").stdout
    assert text.startswith("Says how far it is.\n\nWhat:\n")
    assert "  --colour=red|blue       Its colour. [red]\n" in text
    assert "  --name=TEXT             Its name. [required]\n" in text
    assert "  --[no]loud              Whether it is heard. [on]\n" in text
    assert "--logtostderr" not in text
    assert "logtostderr" in run_code(PROGRAM, "--helpfull").stdout


def test_what_is_no_flag_is_one_sentence():
    for arguments, words in (
        (["--name=a", "--color=red"], "Did you mean: colour"),
        (["--name=a", "red"], "Unexpected argument 'red'"),
        ([], "--name"),
    ):
        process = run_code(PROGRAM, *arguments)
        assert process.returncode == 2
        assert words in process.stderr
        assert len(process.stderr.splitlines()) == 1
        assert process.stdout == ""


def test_help_after_two_dashes_is_no_request_for_help():
    process = run_code(PROGRAM, "--name=a", "--", "--help")
    assert process.returncode == 2
    assert "Unexpected argument '--help'" in process.stderr


def test_a_reader_that_leaves_is_no_error():
    code = textwrap.dedent(PROGRAM).replace('"Its colour."', '"Its colour." * 10_000')
    command = [sys.executable, "-c", code, "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_ctrl_c_is_one_line():
    code = """
        import signal, time
        from jaxaudit import cli

        signal.signal(signal.SIGINT, signal.default_int_handler)  # `&` ignores it

        def main(argv):
            print("ready", flush=True)
            time.sleep(60)

        cli.run(main)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr == "Interrupted.\n"
