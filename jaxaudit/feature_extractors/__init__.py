"""Feature extractors: fixed functions that put a picture where a measure can compare it with others.

    pixels     grey levels at 8×8 pixels, 64 numbers; needs no weights. For small pictures only: enough for
               the built-in digits, blind to detail in anything larger.
    sscd       copy-detection descriptors (Pizzi et al. 2022), 512 numbers, of unit length
    inception  the 2,048 pooled features of which the Fréchet inception distance is made (Heusel et al. 2017)

An extractor with weights is one safetensors file, written by `python -m checkpoints_convert`.
"""

from jaxaudit.feature_extractors.base import Extractor, abstract_params, build_extractor, pixels
from jaxaudit.feature_extractors.files import load_extractor, save_extractor

__all__ = [
    "Extractor",
    "abstract_params",
    "build_extractor",
    "load_extractor",
    "pixels",
    "save_extractor",
]
