"""Programs run in this process, with what they print."""

import contextlib
import io
import os
import subprocess
from unittest import mock

import jaxtyping

from tests.experiments import in_process


def run(program: str, **flags: object) -> subprocess.CompletedProcess[str]:
    """What `jaxaudit PROGRAM --NAME=VALUE ...` prints, and its exit code.

    Shapes are as little checked as where people run it. What would be a traceback is raised.
    """
    arguments = [f"--{name}={value}" for name, value in flags.items()]
    with (
        mock.patch.dict(os.environ, COLUMNS="100"),
        mock.patch.object(jaxtyping.config, "jaxtyping_disable", True),
        contextlib.redirect_stdout(io.StringIO()) as stdout,
        contextlib.redirect_stderr(io.StringIO()) as stderr,
    ):
        code = in_process.run(program, arguments)
    return subprocess.CompletedProcess([program, *arguments], code, stdout.getvalue(), stderr.getvalue())
