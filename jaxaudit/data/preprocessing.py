"""How a picture becomes the input of a target.

Axes: H height, W width, S image_size.

The official pipelines, in Pillow:
  "lanczos", "bicubic", "bilinear"  torchvision's Resize and CenterCrop: the short side becomes `short_side`,
      the long side floor(short_side · long / short); the crop starts at round((length − S) / 2), ties to
      even.
      VAR: Lanczos, short_side = round(1.125 · S). RAR as audited by Kowalczuk et al. 2025: bicubic, S.
      Latent diffusion as audited by Dubiński et al. 2025: bilinear, S.
  "adm"  (Dhariwal & Nichol 2021, guided-diffusion `center_crop_arr`): halve both sides with a box filter
      while the short side is at least twice `short_side`, resize bicubically by short_side / short (sides
      rounded), cut the central square (start floored); then CenterCrop to S where short_side > S.
      MAR, DiT: short_side = S. RAR's pre-tokenisation: short_side = floor(1.1 · S), ten crops.
  "square_lanczos"  (Bao et al. 2023, U-ViT's `center_crop`): cut the central square of the picture (start
      floored), resize it by Lanczos to `short_side`; then CenterCrop to S where short_side > S.
      U-ViT of MS-COCO, also as audited by Dubiński et al. 2025: S.
"""

import dataclasses
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image

from jaxaudit.data.images import UnusableImageError
from jaxaudit.errors import InputError, unknown_name

Resize = Literal["lanczos", "bicubic", "bilinear", "adm", "square_lanczos", "none"]
_LANCZOS = Image.Resampling.LANCZOS
_LARGEST_ZOOM = 4  # a picture enlarged further is mostly the filter's work


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The steps from a decoded picture to a target's input, as data (saved in `target.json`).

    Attributes:
      image_size: height and width of the result, pixels.
      resize: "lanczos", "bicubic" or "bilinear" (Pillow's antialiased filters, short side to `short_side`),
        "adm" (repeated box halving, then bicubic; Dhariwal & Nichol 2021), "square_lanczos" (the central
        square first, then Lanczos; Bao et al. 2023), or "none" (pictures must have the size).
      short_side: length of the short side after the resize, before the centre crop, pixels.
      low, high: the range [0, 255] is mapped to.

    Raises:
      InputError: if `resize` is unknown, the crop is larger than the resized picture, or the range is empty.
    """

    image_size: int
    resize: Resize
    short_side: int
    low: float
    high: float

    def __post_init__(self):
        if self.resize not in get_args(Resize):
            raise unknown_name("resize", self.resize, get_args(Resize))
        if not 1 <= self.image_size <= self.short_side:
            raise InputError(
                f"Preprocessing cannot crop {self.image_size} px out of a short side of {self.short_side} "
                "px; image_size must be in 1..short_side."
            )
        if not self.low < self.high:
            raise InputError(f"Preprocessing has low={self.low}, high={self.high}; low must be below high.")


def preprocess(
    image: UInt8[np.ndarray, "H W 3"], preprocessing: Preprocessing
) -> Float32[np.ndarray, "S S 3"]:
    """The target's input [S,S,3] float32 in [low, high] from RGB pixels [H,W,3] uint8.

    Raises:
      UnusableImageError: if the picture has a short side under S/4 or, for "none", another size than S.
    """
    return to_range(resize_crop(image, preprocessing), preprocessing)


def resize_crop(
    image: UInt8[np.ndarray, "H W 3"], preprocessing: Preprocessing
) -> UInt8[np.ndarray, "S S 3"]:
    """The part of a picture that the target sees, at its size: [S,S,3] uint8. Raises as `preprocess`."""
    height, width = image.shape[:2]
    check_size(height, width, preprocessing)
    if preprocessing.resize == "none":
        return image
    size, short_side = preprocessing.image_size, preprocessing.short_side
    picture = Image.fromarray(image)
    if preprocessing.resize == "adm":
        picture = _adm_square(picture, short_side)
    elif preprocessing.resize == "square_lanczos":
        picture = _resize(_square(picture, min(picture.size)), short_side, short_side, _LANCZOS)
    else:
        resample = Image.Resampling[preprocessing.resize.upper()]
        long_side = int(short_side * max(width, height) / min(width, height))
        shape = (short_side, long_side) if width <= height else (long_side, short_side)
        picture = _resize(picture, *shape, resample)
    left, top = (round((length - size) / 2) for length in picture.size)
    return np.asarray(picture.crop((left, top, left + size, top + size)))


def check_size(height: int, width: int, preprocessing: Preprocessing) -> None:
    """Raises UnusableImageError, as `preprocess` does, if a picture of that size does not fit the target."""
    size = preprocessing.image_size
    if preprocessing.resize == "none" and (height, width) != (size, size):
        raise UnusableImageError(f"it has {width}x{height} pixels, the target takes exactly {size}x{size}")
    if min(height, width) * _LARGEST_ZOOM < size:
        raise UnusableImageError(
            f"it has {width}x{height} pixels, too few for a target of {size}x{size} "
            f"(the short side must have at least {-(-size // _LARGEST_ZOOM)})"
        )


def to_range(
    pixels: UInt8[np.ndarray, "*shape"], preprocessing: Preprocessing
) -> Float32[np.ndarray, "*shape"]:
    """Maps uint8 pixels from [0, 255] to [low, high], float32: low + (high − low) · pixels / 255."""
    values = pixels.astype(np.float32)
    values /= np.float32(255)
    values *= np.float32(preprocessing.high - preprocessing.low)
    values += np.float32(preprocessing.low)
    return values


def to_unit(
    images: Float[np.ndarray, "*shape"], preprocessing: Preprocessing
) -> Float32[np.ndarray, "*shape"]:
    """Maps [low, high] to [0, 1], float32; what lies beyond is cut off."""
    low, high = preprocessing.low, preprocessing.high
    return np.clip((np.asarray(images, np.float32) - low) / (high - low), 0, 1)


def _adm_square(picture: Image.Image, side: int) -> Image.Image:
    while min(picture.size) >= 2 * side:
        picture = _resize(picture, picture.width // 2, picture.height // 2, Image.Resampling.BOX)
    scale = side / min(picture.size)
    width, height = round(picture.width * scale), round(picture.height * scale)
    return _square(_resize(picture, width, height, Image.Resampling.BICUBIC), side)


def _square(picture: Image.Image, side: int) -> Image.Image:
    """The central square; an odd rest is larger behind it."""
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def _resize(picture: Image.Image, width: int, height: int, resample: Image.Resampling) -> Image.Image:
    """`picture.resize`, first across, then down, as Pillow did when the targets were trained.

    Pillow 13 takes some tall pictures the other way round, which moves their values by a level or more.
    """
    return picture.resize((width, picture.height), resample).resize((width, height), resample)
