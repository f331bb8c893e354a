"""Compilers of accelerators that this machine does not have: libtpu's and CUDA's run on any processor.

A mesh of such devices holds no arrays and runs nothing; programs are compiled for it as for any other.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os

import jax
from jax.experimental import topologies
from jax.sharding import Mesh

from jaxaudit.errors import InputError, reason
from jaxaudit.runtime.devices import Device
from jaxaudit.runtime.mesh import mesh_over

_PACKAGES = {"tpu": ("libtpu",), "cuda": ("jax-cuda13-plugin", "jax-cuda12-plugin")}
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
    jax.config.update("jax_enable_compilation_cache", False)  # seconds are those of compiling


def compiler_version(device: Device) -> str | None:
    """The package that brings the compiler for this device, with its version; None if there is none."""
    for name in _PACKAGES[device.chip.extra]:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return f"{name} {importlib.metadata.version(name)}"
    return None


def check_compiler(device: Device) -> None:
    """Raises InputError, with the command that brings it, if the compiler is not installed."""
    if compiler_version(device) is None:
        raise InputError(
            f"The compiler for {device.title} is not installed; "
            f"`pip install 'jaxaudit[{device.chip.extra}]'` brings it, and needs no such device."
        )


def mesh_elsewhere(device: Device, num_devices: int, *, split: int = 1) -> Mesh:
    """A mesh of that many such devices, `split` of them along "model", to compile for.

    Raises:
      InputError: if the compiler is not installed or knows no so many devices, or `split` does not divide
        them.
    """
    check_compiler(device)
    try:
        found = topologies.get_topology_desc(**device.chip.topology(num_devices)).devices[:num_devices]
    except (RuntimeError, NotImplementedError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The compiler for {device.title} does not start ({reason(error)}).") from error
    return mesh_over(found, split=split)
