"""Several processes, as far as one can tell."""

import jax
import pytest
from jax.experimental import multihost_utils

from jaxaudit.errors import InputError, LostProcessError
from jaxaudit.runtime.processes import initialize_processes, my_share, wait_for_all_processes


@pytest.mark.parametrize(
    "spec", ["yes", "host,2,0", "host:80,2", "host:80,two,0", "host:80,²,0", "a:1,2,3,4"]
)
def test_what_is_no_cluster_is_refused(spec):
    with pytest.raises(InputError, match="is not 'auto' or 'ADDRESS:PORT,NUM_PROCESSES,PROCESS_ID'"):
        initialize_processes(spec)


def test_off_a_cluster_the_option_is_to_be_left_out(monkeypatch):
    def initialize(*arguments):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(InputError, match=r"coordinator_address should be defined\); on no cluster, leave"):
        initialize_processes("auto")
    with pytest.raises(InputError, match=r"joined \(coordinator_address should be defined\)\.$"):
        initialize_processes("host:80,2,1")


def test_a_process_that_dies_is_named(monkeypatch):
    def sync(label):
        raise jax.errors.JaxRuntimeError("UNKNOWN: Gloo failed: UNAVAILABLE: Socket closed\nAdditional GRPC")

    wait_for_all_processes("alone")
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    monkeypatch.setattr(multihost_utils, "sync_global_devices", sync)
    with pytest.raises(LostProcessError, match="Another of the 3 processes has died") as raised:
        wait_for_all_processes("together")
    assert "\n" not in str(raised.value)


def test_a_share_is_every_nth(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    assert my_share(range(8)) == range(1, 8, 3)
