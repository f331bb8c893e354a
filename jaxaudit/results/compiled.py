"""What compilers made of scoring steps: the file of `experiments.compile`."""

from __future__ import annotations

from typing import Literal

from jaxaudit.results.codec import Document, Record


class StepSetting(Record, frozen=True):
    """A scoring step and what it is compiled for.

    Attributes:
      target: a released model, a built-in target or a folder.
      device: name of the accelerator. num_devices: that one step runs on. split: of these, how many hold a
        piece each of every parameter; 1 where all hold the whole.
      batch_size: pictures, over all of these devices.
      precision: of weights and activations.
      scores: names and patterns. access: "gray-box" leaves scores that need gradients out of patterns.
    """

    target: str
    device: str
    num_devices: int
    batch_size: int
    precision: str
    scores: tuple[str, ...]
    access: Literal["gray-box", "white-box"]
    split: int = 1


class StepMemory(Record, frozen=True):
    """Bytes on each device: parameters and pictures, what comes back, and what is needed in between."""

    arguments: int
    outputs: int
    temporaries: int

    @property
    def total(self) -> int:
        """All of them: what a step takes of a device."""
        return self.arguments + self.outputs + self.temporaries


class CompiledStep(Record, frozen=True):
    """What a compiler made of a step.

    Attributes:
      setting: of what.
      num_params: of the target.
      compiler: with its version.
      modelled: what a model of the compiler would have said (`jaxaudit.runtime.memory`).
      memory: None where the compiler refused.
      refused: why, None where it did not.
      kernels: {name: calls} of what is not XLA's own code.
      logits: shapes of float32 arrays as large as the logits of a device's batch; None without logits.
      cpu_seconds, wall_seconds: of tracing and compiling, of all cores and by the clock.
    """

    setting: StepSetting
    num_params: int
    compiler: str
    modelled: StepMemory
    memory: StepMemory | None
    refused: str | None
    kernels: dict[str, int]
    logits: list[list[int]] | None
    cpu_seconds: float
    wall_seconds: float


class CompiledSteps(Document, frozen=True, kw_only=True):
    """Steps in the order in which they were compiled."""

    format: Literal[1] = 1
    steps: list[CompiledStep]
