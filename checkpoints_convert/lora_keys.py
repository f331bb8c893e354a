"""What the keys of a LoRA file name: a layer of a component, and a half of its change.

    kohya               lora_unet_LAYER.lora_down.weight, .lora_up.weight, .alpha, LAYER with _ for .
    diffusers           unet.LAYER.lora_A.weight, .lora_B.weight; or .lora.down.weight, .lora.up.weight
    diffusers, before   LAYER of attention as attn1.processor.to_q_lora.down.weight

In the place of `unet` stands `transformer`, or `te` and `text_encoder` for layers of the text encoder.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Half = Literal["down", "up", "alpha"]

_KOHYA = re.compile(r"lora_(unet|transformer|te)_(.+)\.(?:lora_(down|up)\.weight|(alpha))")
_PROCESSOR = re.compile(r"(.+)\.processor\.to_(q|k|v|out)_lora\.(down|up)\.weight")
_PAIR = re.compile(r"(.+)\.(?:lora|lora_linear_layer)(?:_(A|B)|\.(down|up))(?:\.default)?\.weight")
_ALPHA = re.compile(r"(.+)\.alpha")
_HALVES: dict[str, Half] = {"A": "down", "B": "up", "down": "down", "up": "up", "alpha": "alpha"}
_DENOISERS, _TEXT_ENCODERS = ("unet", "transformer"), ("te", "text_encoder")


class Place(NamedTuple):
    """What a key names.

    Attributes:
      text: whether the layer is one of the text encoder, not of the denoiser.
      layer: its name, with underscores for dots.
      half: of the change.
    """

    text: bool
    layer: str
    half: Half


def place(key: str) -> Place | None:
    """What a key names, None if it is no LoRA's."""
    if kohya := _KOHYA.fullmatch(key):
        return Place(kohya[1] in _TEXT_ENCODERS, kohya[2], _HALVES[kohya[3] or kohya[4]])
    if processor := _PROCESSOR.fullmatch(key):
        attention, name, half = processor.groups()
        return _named(f"{attention}.to_{name}" + (".0" if name == "out" else ""), _HALVES[half])
    if pair := _PAIR.fullmatch(key):
        return _named(pair[1], _HALVES[pair[2] or pair[3]])
    if alpha := _ALPHA.fullmatch(key):
        return _named(alpha[1], "alpha")
    return None


def _named(name: str, half: Half) -> Place:
    component, _, layer = name.partition(".")
    text = component in _TEXT_ENCODERS
    if not (text or component in _DENOISERS):
        layer = name  # the first files were of one network and did not name it
    return Place(text, layer.replace(".", "_"), half)
