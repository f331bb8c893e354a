"""Which of several processes this is."""

import jax
import pytest

from jaxaudit.errors import InputError
from jaxaudit.runtime.processes import ALONE, Process, which_process


def test_a_process_says_which_it_is():
    assert which_process("") == ALONE == Process(0, 1)
    assert which_process("2/4") == Process(2, 4)


@pytest.mark.parametrize("spec", ["yes", "1", "1/", "/2", "1/2/3", "-1/2", "0/²", "host:80,2,0"])
def test_what_is_no_process_is_refused(spec):
    with pytest.raises(InputError, match="is not 'auto' or I/N, such as 0/4 for the first of four"):
        which_process(spec)


@pytest.mark.parametrize("spec", ["4/4", "0/0"])
def test_there_are_as_many_as_there_are(spec):
    with pytest.raises(InputError, match="There is no process"):
        which_process(spec)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SLURM_PROCID": "3", "SLURM_NTASKS": "8"}, Process(3, 8)),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, Process(1, 2)),
        ({"PMI_RANK": "0", "PMI_SIZE": "2", "SLURM_PROCID": "5"}, Process(0, 2)),
    ],
)
def test_a_cluster_says_which_it_is(monkeypatch, variables, expected):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert which_process("auto") == expected


def test_a_pod_says_which_it_is_and_nothing_else_does(monkeypatch):
    with pytest.raises(InputError, match="nor a TPU pod says which process this is; say I/N, or leave"):
        which_process("auto")
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    monkeypatch.setattr(jax, "process_index", lambda: 3)
    assert which_process("auto") == Process(3, 4)


def test_processes_begin_at_different_places():
    assert [Process(index, 3).first(range(8)) for index in range(3)] == [0, 2, 5]
    assert Process(2, 3).first([]) == 0
