"""The accelerators people audit with: what their makers' data sheets say, and what a compiler needs to know.

Speeds are dense, without sparsity, in 10¹² floating-point operations per second of bfloat16; memory is that
of one device (one chip of a TPU), bandwidth that of its memory.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol, runtime_checkable

from jaxaudit.errors import InputError, unknown_name

_GIB = 2**30


@runtime_checkable
class Chip(Protocol):
    """What a compiler is told about a device."""

    @property
    def platform(self) -> str:
        """What JAX calls such devices, "gpu" or "tpu"."""
        ...

    @property
    def extra(self) -> str:
        """The extra of jaxaudit that brings the compiler."""
        ...

    @property
    def usable(self) -> float:
        """The share of the memory that JAX lets programs have."""
        ...

    def topology(self, num_devices: int) -> dict[str, Any]:
        """Arguments of `jax.experimental.topologies.get_topology_desc` for that many devices or a few more.

        Raises:
          InputError: if there are no so many.
        """
        ...


@dataclasses.dataclass(frozen=True)
class TpuChip:
    """Chips of a TPU come in slices.

    Attributes:
      version: as libtpu calls it.
      slices: {chips: shape}, ascending.
    """

    version: str
    slices: dict[int, str]
    platform: str = "tpu"
    usable: float = 0.98
    extra: str = "tpu"

    def topology(self, num_devices: int) -> dict[str, Any]:
        """See `Chip`."""
        for chips, shape in self.slices.items():
            if chips >= num_devices:
                return {"platform": "tpu", "topology_name": f"{self.version}:{shape}"}
        raise InputError(
            f"num_devices={num_devices}: the largest slice of {self.version} here has {max(self.slices)} "
            "chips."
        )


@dataclasses.dataclass(frozen=True)
class Gpu:
    """The numbers of XLA's GpuTargetConfig in which Nvidia's devices differ.

    Attributes:
      title: name of the board, as its driver says it.
      capability: compute capability.
      cores: streaming multiprocessors. fpus: float32 units of one. threads: that one holds.
      shared: bytes of shared memory of one core. shared_block: that one block may ask for.
      l2: bytes of cache. clock: GHz. memory: bytes. bandwidth: bytes per second.
    """

    title: str
    capability: tuple[int, int]
    cores: int
    fpus: int
    threads: int
    shared: int
    shared_block: int
    l2: int
    clock: float
    memory: int
    bandwidth: float
    platform: str = "gpu"
    usable: float = 0.75  # unless XLA_PYTHON_CLIENT_MEM_FRACTION says more
    extra: str = "cuda"

    def topology(self, num_devices: int) -> dict[str, Any]:
        """See `Chip`."""
        return {
            "platform": "cuda",
            "topology_name": "",
            "topology": f"1x1x{num_devices}",
            "target_config": self.target_config(),
        }

    def target_config(self) -> str:
        """The device as a text proto of `stream_executor.GpuTargetConfigProto`."""
        major, minor = self.capability
        features = "ACCELERATED_FEATURES" if major == 9 else "NONE"  # sm_90a: asynchronous matrix products
        return f"""
            gpu_device_info {{
              threads_per_block_limit: 1024  threads_per_warp: 32  threads_per_core_limit: {self.threads}
              shared_memory_per_block: 49152  shared_memory_per_block_optin: {self.shared_block}
              shared_memory_per_core: {self.shared}  core_count: {self.cores}  fpus_per_core: {self.fpus}
              block_dim_limit_x: 2147483647  block_dim_limit_y: 65535  block_dim_limit_z: 65535
              thread_dim_limit_x: 1024  thread_dim_limit_y: 1024  thread_dim_limit_z: 64
              memory_bandwidth: {self.bandwidth:.0f}  l2_cache_size: {self.l2}  clock_rate_ghz: {self.clock}
              device_memory_size: {self.memory}
              cuda_compute_capability {{ major: {major} minor: {minor} feature_extension: {features} }}
              registers_per_core_limit: 65536  registers_per_block_limit: 65536
            }}
            platform_name: "CUDA"  dnn_version_info {{ major: 9 minor: 8 }}
            device_description_str: "{self.title}"
        """


@dataclasses.dataclass(frozen=True)
class Device:
    """An accelerator.

    Attributes:
      name: on the command line. title: for people.
      peak: dense bfloat16, floating-point operations per second.
      memory: bytes. bandwidth: of the memory, bytes per second.
      source: the data sheet.
      chip: what a compiler is told.
    """

    name: str
    title: str
    peak: float
    memory: int
    bandwidth: float
    source: str
    chip: Chip


def _gpu(name: str, gpu: Gpu, *, tflops: float, source: str) -> Device:
    return Device(name, gpu.title, tflops * 1e12, gpu.memory, gpu.bandwidth, source, gpu)


_PLANE = {4: "2x2", 8: "2x4", 16: "4x4", 32: "4x8", 64: "8x8", 128: "8x16", 256: "16x16"}
_CUBE = {4: "2x2x1", 8: "2x2x2", 16: "2x2x4", 32: "2x4x4", 64: "4x4x4", 128: "4x4x8", 256: "4x8x8"}
_GOOGLE = "https://cloud.google.com/tpu/docs/"
_NVIDIA = "https://www.nvidia.com/en-us/"

_HOPPER = Gpu(
    title="NVIDIA H100 80GB HBM3",
    capability=(9, 0),
    cores=132,
    fpus=128,
    threads=2048,
    shared=233472,
    shared_block=232448,
    l2=52428800,
    clock=1.98,
    memory=84942979072,
    bandwidth=3.352e12,
)
_ADA = Gpu(
    title="NVIDIA GeForce RTX 4090",
    capability=(8, 9),
    cores=128,
    fpus=128,
    threads=1536,
    shared=102400,
    shared_block=101376,
    l2=75497472,
    clock=2.52,
    memory=24 * _GIB,
    bandwidth=1.008e12,
)
_AMPERE = Gpu(
    title="NVIDIA A100-SXM4-80GB",
    capability=(8, 0),
    cores=108,
    fpus=64,
    threads=2048,
    shared=167936,
    shared_block=166912,
    l2=41943040,
    clock=1.41,
    memory=85100068864,
    bandwidth=2.039e12,
)
_H200 = dataclasses.replace(_HOPPER, title="NVIDIA H200", memory=151397597184, bandwidth=4.8e12)
_L4 = dataclasses.replace(_ADA, title="NVIDIA L4", cores=58, l2=50331648, clock=2.04, bandwidth=0.3e12)

_DEVICES = (
    Device("v5e", "TPU v5e", 197e12, 16 * _GIB, 0.819e12, f"{_GOOGLE}v5e", TpuChip("v5e", _PLANE)),
    Device("v5p", "TPU v5p", 459e12, 95 * _GIB, 2.765e12, f"{_GOOGLE}v5p", TpuChip("v5p", _CUBE)),
    Device("v6e", "TPU v6e", 918e12, 32 * _GIB, 1.64e12, f"{_GOOGLE}v6e", TpuChip("v6e", _PLANE)),
    _gpu("a100", _AMPERE, tflops=312, source=f"{_NVIDIA}data-center/a100/"),
    _gpu("h100", _HOPPER, tflops=989, source=f"{_NVIDIA}data-center/h100/"),
    _gpu("h200", _H200, tflops=989, source=f"{_NVIDIA}data-center/h200/"),
    _gpu("l4", _L4, tflops=121, source=f"{_NVIDIA}data-center/l4/"),
    _gpu("rtx4090", _ADA, tflops=165, source=f"{_NVIDIA}geforce/graphics-cards/40-series/rtx-4090/"),
)
DEVICES: dict[str, Device] = {device.name: device for device in _DEVICES}
"""Every device by name."""


def get_device(name: str) -> Device:
    """The device of that name.

    Raises:
      InputError: if there is none, with the nearest names.
    """
    if name not in DEVICES:
        raise unknown_name("device", name, DEVICES)
    return DEVICES[name]
