"""Compilers of accelerators that this machine does not have: libtpu's and CUDA's run on any processor.

A mesh of such devices holds no arrays and runs nothing; programs are compiled for it as for any other.
"""

from __future__ import annotations

import importlib.util
import os

import jax
from jax.experimental import topologies
from jax.sharding import Mesh

from jaxaudit.errors import InputError, reason
from jaxaudit.runtime.devices import Device
from jaxaudit.runtime.mesh import mesh_over

_PLUGINS = {"tpu": ("libtpu",), "cuda": ("jax_plugins.xla_cuda13", "jax_plugins.xla_cuda12")}
"""The packages that bring the compilers, by the extra of jaxaudit that asks for them."""


def compile_for_others() -> None:
    """Makes this process one that only compiles for accelerators; itself it computes on its processor.

    To be called before JAX looks for devices. libtpu is told not to wait for a server that only TPU machines
    have; XLA, not to use matrix kernels whose tiles it could only choose by timing them on a device.
    """
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_gpu_enable_triton_gemm" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_enable_triton_gemm=false".strip()
    jax.config.update("jax_platforms", "cpu")


def has_compiler(device: Device) -> bool:
    """Whether the compiler for this device is installed."""
    return any(_installed(name) for name in _PLUGINS[device.chip.extra])


def mesh_elsewhere(device: Device, num_devices: int = 1, *, split: int = 1) -> Mesh:
    """A mesh of that many such devices, `split` of them along "model", to compile for.

    Raises:
      InputError: if the compiler is not installed or knows no so many devices, or `split` does not divide
        them.
    """
    if not has_compiler(device):
        raise InputError(
            f"The compiler for {device.title} is not installed; `pip install 'jaxaudit[{device.chip.extra}]'` "
            "brings it, and needs no such device."
        )
    try:
        found = topologies.get_topology_desc(**device.chip.topology(num_devices)).devices[:num_devices]
    except (RuntimeError, NotImplementedError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The compiler for {device.title} does not start ({reason(error)}).") from error
    return mesh_over(found, split=split)


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # nor is the package above it
        return False
