"""What a picture gives away by itself: features that never saw the model.

Axes: H height, W width of the original, S of the view (what the target sees), K features.

If these tell members from nonmembers, the two come from different distributions and no membership verdict is
possible (Das, Zhang, Tramèr 2024, arXiv 2406.16201). So they cover what differs between collections: size and
shape of the originals, colour, brightness, sharpness, compressibility, layout, orientation. None depends on
the label, the file name or the file's own compression.

Orientation. With g_x, g_y central differences of the brightness l in a black frame, and J = mean of their
products (the structure tensor):

  coherence = (J_xx - J_yy) / (J_xx + J_yy),  slant = J_xy / (J_xx + J_yy)                               (1)

and moments mu_ij = sum of l (x - mean)^i (y - mean)^j / sum of l over the view, x and y from -1 to 1 to the
right and down. Mirroring turns the signs of slant and of odd moments of x.
"""

import functools
import io
import zlib

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_GRID = 8
_DIRECTIONS = 8
_STEEPEST = 255  # the largest difference of two grey levels
_JPEG_QUALITY = 75

_MOMENTS = ((2, 0), (0, 2), (1, 1), (3, 0), (0, 3), (2, 1), (1, 2))

BLIND_NAMES: tuple[str, ...] = (
    # size of the original
    "log_pixels",  # of height · width
    "log_aspect",  # of width / height
    # values of each channel of the view, in [0, 1]; skewness clipped to ±10
    *(
        f"{moment}_{channel}"
        for moment in ("mean", "std", "skewness")
        for channel in ("red", "green", "blue")
    ),
    # brightness (ITU-R 601 luma), in [0, 1]
    *(f"brightness_q{round(100 * q):02d}" for q in _QUANTILES),
    "brightness_levels",  # share of the 256 values that occur
    "black_share",
    "white_share",
    "saturation",  # mean of (max − min) over the channels
    # mean absolute difference of neighbours in brightness, at full, half and quarter resolution
    "gradient_x",
    "gradient_y",
    "gradient_half",
    "gradient_quarter",
    "laplacian_std",  # of the 4-neighbour Laplacian: sharpness, noise
    # bytes per pixel
    "zlib_size",  # horizontal differences of brightness, every fourth row, deflated
    "jpeg_size",  # written anew at a fixed quality
    *(f"thumbnail_{row}{column}" for row in range(_GRID) for column in range(_GRID)),
    # where edges point, equation (1), and the share of their strength in each of 8 directions
    "coherence",
    "slant",
    *(f"edges_{45 * k // 2:03d}" for k in range(_DIRECTIONS)),
    # where the brightness is: its centre, then mu_ij
    "centre_x",
    "centre_y",
    *(f"moment_{i}{j}" for i, j in _MOMENTS),
)
"""The K features, in order."""


def blind_features(
    image: UInt8[np.ndarray, "H W 3"], view: UInt8[np.ndarray, "S S 3"]
) -> Float32[np.ndarray, " K"]:
    """The features `BLIND_NAMES` of one picture, [K] float32, all finite.

    Args:
      image: the decoded original; only its size counts.
      view: what the target sees of it (`preprocessing.resize_crop`).
    """
    height, width = image.shape[:2]
    picture = Image.fromarray(view)
    luma = picture.convert("L")
    grey = np.asarray(luma).astype(np.int16)
    counts = np.asarray(picture.histogram(), np.float64).reshape(3, 256) / grey.size
    grey_counts = np.asarray(luma.histogram(), np.float64) / grey.size
    features = np.concatenate(
        [
            np.log([height * width, width / height]),
            _moments(counts),
            _quantiles(grey_counts),
            np.array([np.mean(grey_counts > 0), grey_counts[0], grey_counts[255], _saturation(view)]),
            _gradients(luma, grey),
            [_laplacian_std(grey), _zlib_size(grey), _jpeg_size(picture)],
            np.asarray(luma.resize((_GRID, _GRID), Image.Resampling.BOX), np.float64).ravel() / 255,
            _orientation(grey),
            _places(grey),
        ]
    )
    return features.astype(np.float32)


def _moments(counts: np.ndarray) -> np.ndarray:
    """Mean, standard deviation and skewness [9] of three histograms [3,256]; a constant has skewness 0."""
    values = np.arange(256) / 255
    mean = counts @ values
    centred = values - mean[:, None]
    variance = np.sum(counts * centred**2, axis=1)
    third = np.sum(counts * centred**3, axis=1)
    varies = variance > 1e-12
    skewness = np.where(varies, third / np.where(varies, variance, 1) ** 1.5, 0)
    return np.concatenate([mean, np.sqrt(variance), skewness.clip(-10, 10)])


def _quantiles(counts: np.ndarray) -> np.ndarray:
    """The smallest values in [0, 1] that at least a share q of the pixels does not exceed."""
    return np.searchsorted(np.cumsum(counts) + 1e-9, _QUANTILES) / 255


def _saturation(view: np.ndarray) -> float:
    red, green, blue = view[..., 0], view[..., 1], view[..., 2]
    largest = np.maximum(np.maximum(red, green), blue)
    smallest = np.minimum(np.minimum(red, green), blue)
    return float(np.mean(largest - smallest)) / 255


def _gradients(luma: Image.Image, grey: np.ndarray) -> list[float]:
    return [
        _mean_step(grey, 1),
        _mean_step(grey, 0),
        *(
            (_mean_step(smaller, 1) + _mean_step(smaller, 0)) / 2
            for smaller in (np.asarray(luma.reduce(factor)).astype(np.int16) for factor in (2, 4))
        ),
    ]


def _mean_step(grey: np.ndarray, axis: int) -> float:
    steps = np.abs(np.diff(grey, axis=axis))
    return float(np.mean(steps)) / 255 if steps.size else 0.0


def _laplacian_std(grey: np.ndarray) -> float:
    inner = grey[1:-1, 1:-1]
    if not inner.size:
        return 0.0
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(np.std(laplacian.astype(np.float32))) / 255


def _zlib_size(grey: np.ndarray) -> float:
    rows = grey[::4]
    steps = np.diff(rows, axis=1, prepend=0).astype(np.uint8)  # modulo 256, as PNG does
    return len(zlib.compress(steps.tobytes(), 1)) / rows.size


def _jpeg_size(picture: Image.Image) -> float:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.tell() / (picture.width * picture.height)


def _orientation(grey: np.ndarray) -> np.ndarray:
    """Coherence, slant and the histogram [10] of edge directions; all 0 without an edge."""
    framed = np.pad(grey, 1)
    g_x = (framed[1:-1, 2:] - framed[1:-1, :-2]).ravel()
    g_y = (framed[2:, 1:-1] - framed[:-2, 1:-1]).ravel()
    if not (g_x.any() or g_y.any()):
        return np.zeros(2 + _DIRECTIONS)
    strengths, directions = _edge_tables()
    place = (g_y.astype(np.intp) + _STEEPEST) * len(strengths) + (g_x + _STEEPEST)
    strength = strengths.take(place)
    edges = np.bincount(directions.take(place), weights=strength, minlength=_DIRECTIONS) / strength.sum()
    x, y = g_x.astype(np.int64), g_y.astype(np.int64)  # BLAS, for floats, would start threads in each of ours
    xx, yy, xy = x @ x, y @ y, x @ y
    return np.concatenate([[(xx - yy) / (xx + yy), xy / (xx + yy)], edges])


@functools.cache
def _edge_tables() -> tuple[np.ndarray, np.ndarray]:
    """Strength and direction [511,511] of every pair (g_y, g_x): looked up tenfold faster than computed."""
    steps = np.arange(-_STEEPEST, _STEEPEST + 1, dtype=np.float64)
    g_y, g_x = steps[:, None], steps[None]
    sector = np.floor(np.arctan2(g_y, g_x) % np.pi * (_DIRECTIONS / np.pi)).astype(np.intp) % _DIRECTIONS
    return np.hypot(g_x, g_y), sector


def _places(grey: np.ndarray) -> np.ndarray:
    """Centre and moments [9] of the brightness; those of an even grey where all is black."""
    weight = grey.astype(np.float64) if grey.any() else np.ones(grey.shape)
    weight = weight / weight.sum()
    x, y = (np.linspace(-1, 1, size) if size > 1 else np.zeros(1) for size in reversed(grey.shape))
    columns, rows = weight.sum(axis=0), weight.sum(axis=1)
    centre_x, centre_y = columns @ x, rows @ y
    powers_x, powers_y = ((axis[:, None]) ** np.arange(4) for axis in (x - centre_x, y - centre_y))
    moments = np.einsum("yj,yx->jx", powers_y, weight) @ powers_x  # without BLAS, see above
    return np.array([centre_x, centre_y, *(moments[j, i] for i, j in _MOMENTS)])
