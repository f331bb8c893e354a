"""The official pipelines, against a slow resampler in NumPy and against slices."""

import numpy as np
import pytest
from PIL import Image

from jaxaudit.data import Preprocessing, UnusableImageError, preprocess, resize_crop, to_range
from jaxaudit.errors import InputError

SHAPES = [(18, 18), (16, 16), (37, 53), (53, 37), (16, 31), (100, 33), (5, 9), (64, 65), (33, 32)]


def _noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _lanczos(x):
    return np.sinc(x) * np.sinc(x / 3) if abs(x) < 3 else 0.0


def _bicubic(x):
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def _bilinear(x):
    return max(1.0 - abs(x), 0.0)


def _box(x):
    return 1.0 if -0.5 < x <= 0.5 else 0.0


_KERNELS = {
    "lanczos": (_lanczos, 3.0),
    "bicubic": (_bicubic, 2.0),
    "bilinear": (_bilinear, 1.0),
    "box": (_box, 0.5),
}


def _resample_rows(array, new_height, kernel):
    """Antialiased resampling along axis 0: the kernel stretched by the reduction, weights summing to one."""
    function, support = _KERNELS[kernel]
    height = array.shape[0]
    if height == new_height:
        return array
    ratio = height / new_height
    stretch = max(ratio, 1.0)
    rows = []
    for row in range(new_height):
        center = (row + 0.5) * ratio
        first = max(int(center - support * stretch + 0.5), 0)
        last = min(int(center + support * stretch + 0.5), height)
        weights = np.array([function((at + 0.5 - center) / stretch) for at in range(first, last)])
        rows.append(np.tensordot(weights / weights.sum(), array[first:last].astype(np.float64), 1))
    return np.floor(np.clip(np.stack(rows), 0, 255) + 0.5)


def _resample(array, height, width, kernel):
    across = _resample_rows(array.swapaxes(0, 1), width, kernel).swapaxes(0, 1)
    return _resample_rows(across, height, kernel)


def _oracle(image, preprocessing):
    size, side = preprocessing.image_size, preprocessing.short_side
    height, width = image.shape[:2]
    if preprocessing.resize == "adm":
        while min(height, width) >= 2 * side:
            height, width = height // 2, width // 2
            image = _resample(image, height, width, "box")
        scale = side / min(height, width)
        height, width = round(height * scale), round(width * scale)
        image = _resample(image, height, width, "bicubic")
        top, left = (height - side) // 2, (width - side) // 2
        image = image[top : top + side, left : left + side]
    elif preprocessing.resize == "square_lanczos":
        crop = min(height, width)
        image = image[(height - crop) // 2 : (height + crop) // 2, (width - crop) // 2 : (width + crop) // 2]
        image = _resample(image, side, side, "lanczos")
    elif height < width:
        image = _resample(image, side, int(side * width / height), preprocessing.resize)
    else:
        image = _resample(image, int(side * height / width), side, preprocessing.resize)
    top, left = (int(np.rint((length - size) / 2)) for length in image.shape[:2])
    return image[top : top + size, left : left + size]


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(16, "lanczos", 18, -1.0, 1.0),
        Preprocessing(16, "bicubic", 16, 0.0, 1.0),
        Preprocessing(16, "adm", 16, -1.0, 1.0),
        Preprocessing(16, "adm", 17, 0.0, 1.0),
        Preprocessing(16, "square_lanczos", 16, -1.0, 1.0),
        Preprocessing(16, "square_lanczos", 19, -1.0, 1.0),
    ],
    ids=lambda preprocessing: f"{preprocessing.resize}-{preprocessing.short_side}",
)
def test_resize_and_crop_are_those_of_a_slow_resampler(preprocessing):
    for height, width in SHAPES:
        image = _noise(height, width, seed=height * width)
        view = resize_crop(image, preprocessing)
        assert view.shape == (16, 16, 3)
        assert view.dtype == np.uint8
        # Pillow's weights have 22 bits, so a value at the edge of rounding may fall to either side, twice.
        difference = np.abs(view.astype(int) - _oracle(image, preprocessing))
        assert difference.max() <= 1, (height, width)
        assert np.mean(difference > 0) < 0.02, (height, width)


def test_bilinear_is_the_triangle_of_a_slow_resampler():
    """Its weights are fractions of small numbers, so many values are at the edge of rounding."""
    preprocessing = Preprocessing(16, "bilinear", 16, -1.0, 1.0)
    for height, width in SHAPES:
        image = _noise(height, width, seed=height * width)
        difference = np.abs(resize_crop(image, preprocessing).astype(int) - _oracle(image, preprocessing))
        assert difference.max() <= 1, (height, width)


@pytest.mark.parametrize(("length", "start"), [(16, 0), (17, 0), (18, 1), (19, 2), (20, 2), (21, 2), (23, 4)])
@pytest.mark.parametrize("resize", ["bicubic", "lanczos"])
def test_the_crop_starts_at_half_the_rest_with_ties_to_even(length, start, resize):
    preprocessing = Preprocessing(16, resize, 16, -1.0, 1.0)
    image = _noise(16, length)  # the short side already fits, so nothing is resampled
    np.testing.assert_array_equal(resize_crop(image, preprocessing), image[:, start : start + 16])
    tall = image.swapaxes(0, 1)
    np.testing.assert_array_equal(resize_crop(tall, preprocessing), tall[start : start + 16])


@pytest.mark.parametrize(("length", "start"), [(17, 0), (18, 1), (19, 1), (23, 3)])
@pytest.mark.parametrize("resize", ["adm", "square_lanczos"])
def test_their_crop_starts_at_half_the_rest_floored(length, start, resize):
    image = _noise(16, length)
    view = resize_crop(image, Preprocessing(16, resize, 16, -1.0, 1.0))
    np.testing.assert_array_equal(view, image[:, start : start + 16])


def test_the_square_is_cut_before_it_is_resized():
    """Pillow's own Lanczos of the central square of a picture of odd sides sees nothing beside it."""
    image = _noise(37, 63)
    expected = np.asarray(Image.fromarray(image[:, 13:50]).resize((16, 16), Image.Resampling.LANCZOS))
    view = resize_crop(image, Preprocessing(16, "square_lanczos", 16, -1.0, 1.0))
    np.testing.assert_array_equal(view, expected)
    image[:, :13], image[:, 50:] = 0, 255
    np.testing.assert_array_equal(
        resize_crop(image, Preprocessing(16, "square_lanczos", 16, -1.0, 1.0)), expected
    )


def test_none_takes_exactly_the_size():
    preprocessing = Preprocessing(8, "none", 8, -1.0, 1.0)
    image = _noise(8, 8)
    np.testing.assert_array_equal(resize_crop(image, preprocessing), image)
    with pytest.raises(UnusableImageError, match=r"it has 9x8 pixels, the target takes exactly 8x8"):
        resize_crop(_noise(8, 9), preprocessing)


@pytest.mark.parametrize("resize", ["lanczos", "bicubic", "adm", "square_lanczos"])
def test_pictures_may_be_enlarged_four_times_and_no_more(resize):
    preprocessing = Preprocessing(18, resize, 18, -1.0, 1.0)
    assert preprocess(_noise(5, 40), preprocessing).shape == (18, 18, 3)
    with pytest.raises(UnusableImageError, match=r"it has 40x4 pixels, too few .* must have at least 5\)"):
        preprocess(_noise(4, 40), preprocessing)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 1.0)])
def test_the_range_is_mapped_as_totensor_does(low, high):
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    values = to_range(pixels, Preprocessing(16, "none", 16, low, high))
    assert values.dtype == np.float32
    assert (values[0, 0], values[-1, -1]) == (low, high)
    unit = pixels.astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(values, unit + unit - np.float32(1) if low else unit)


def test_preprocess_is_both_steps():
    preprocessing = Preprocessing(16, "adm", 16, -1.0, 1.0)
    image = _noise(40, 30)
    values = preprocess(image, preprocessing)
    np.testing.assert_array_equal(values, to_range(resize_crop(image, preprocessing), preprocessing))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((16, "lanzcos", 16, 0.0, 1.0), r"Unknown resize 'lanzcos'; did you mean lanczos"),
        ((17, "adm", 16, 0.0, 1.0), "cannot crop 17 px out of a short side of 16 px"),
        ((0, "adm", 16, 0.0, 1.0), "cannot crop 0 px"),
        ((16, "adm", 16, 1.0, 1.0), "low must be below high"),
    ],
)
def test_impossible_preprocessing_is_refused(unchecked, fields, message):
    with pytest.raises(InputError, match=message):
        Preprocessing(*fields)
