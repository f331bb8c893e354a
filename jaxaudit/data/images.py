"""From the bytes of a picture file to RGB pixels.

Axes: H height, W width.

The targets were trained on pictures opened with Pillow's `convert("RGB")`, so pictures are opened the same
way: greyscale and palette are expanded, CMYK is converted without its colour profile, alpha is dropped (not
blended with any background), only the first frame of an animation is read, and the EXIF orientation is
ignored. Pictures of 16 bits in grey keep their high byte, as Pillow does for 16-bit colour (its own `convert`
would clip them at 255). Truncated files are refused, not filled with grey.
"""

import hashlib
import io
import os
import struct
import zlib

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxaudit.errors import InputError

# What Pillow's decoders raise on damaged files.
_DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class UnusableImageError(InputError):
    """A picture that cannot be read or does not fit the target; `skip_unreadable` leaves such pictures out.

    Attributes:
      sample_id: its id, if known.
      reason: what is wrong with it, without its name.
    """

    def __init__(self, reason: str, sample_id: str = ""):
        super().__init__(f"Picture {sample_id!r} cannot be used: {reason}." if sample_id else f"{reason}.")
        self.sample_id, self.reason = sample_id, reason


def decode_image(file: str | os.PathLike | bytes) -> UInt8[np.ndarray, "H W 3"]:
    """RGB pixels [H,W,3] uint8 of a picture file, given by its path or its content.

    Raises:
      UnusableImageError: if Pillow cannot read it to its end, or its pixels have no known range.
    """
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as picture:
            return _rgb(picture)
    except UnusableImageError:
        raise
    except Image.UnidentifiedImageError as error:
        raise UnusableImageError("it is no picture that Pillow can read") from error
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.strerror:  # from the system, not from a decoder
            raise UnusableImageError(f"it cannot be opened ({error.strerror})") from error
        raise UnusableImageError(f"it is damaged ({str(error).rstrip('.')})") from error


def pixel_digest(image: UInt8[np.ndarray, "H W 3"]) -> str:
    """sha256 (hex) of a decoded picture's height, width and RGB pixels, before any resize."""
    digest = hashlib.sha256(np.asarray(image.shape, "<u4").tobytes())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _rgb(picture: Image.Image) -> np.ndarray:
    sixteen_bits = picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PPM")
    if sixteen_bits:
        grey = (np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if picture.mode in ("I", "F"):
        raise UnusableImageError("its 32-bit pixels have no known range; save it with 8 or 16 bits")
    if picture.mode == "P" and "transparency" in picture.info:
        picture = picture.convert("RGBA")  # the same colours; straight to RGB would warn
    return np.asarray(picture.convert("RGB"))
