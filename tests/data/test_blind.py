"""Features that never saw the model, against slow definitions."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from jaxaudit.data import BLIND_NAMES, blind_features


def _named(image, view=None):
    features = blind_features(image, image if view is None else view)
    assert features.dtype == np.float32
    return dict(zip(BLIND_NAMES, features.tolist(), strict=True))


def _noise(height, width, seed=0):
    return (np.random.default_rng(seed).beta(0.7, 2.0, (height, width, 3)) * 255).astype(np.uint8)


def test_names_are_distinct():
    assert len(set(BLIND_NAMES)) == len(BLIND_NAMES) == 112


def test_features_are_their_definitions():
    image, view = _noise(30, 45), _noise(16, 16, seed=1)
    found = _named(image, view)
    grey = np.asarray(Image.fromarray(view).convert("L")).astype(np.float64)
    expected = {
        "log_pixels": np.log(30 * 45),
        "log_aspect": np.log(45 / 30),
        "brightness_levels": len(np.unique(grey)) / 256,
        "black_share": np.mean(grey == 0),
        "white_share": np.mean(grey == 255),
        "saturation": np.mean(view.max(-1).astype(float) - view.min(-1)) / 255,
        "gradient_x": np.mean([abs(grey[y, x + 1] - grey[y, x]) for y in range(16) for x in range(15)]) / 255,
        "gradient_y": np.mean([abs(grey[y + 1, x] - grey[y, x]) for y in range(15) for x in range(16)]) / 255,
    }
    for channel, name in enumerate(("red", "green", "blue")):
        values = view[..., channel].ravel() / 255
        expected[f"mean_{name}"] = values.mean()
        expected[f"std_{name}"] = values.std()
        expected[f"skewness_{name}"] = stats.skew(values)
    for share in (1, 5, 25, 50, 75, 95, 99):
        expected[f"brightness_q{share:02d}"] = np.quantile(grey, share / 100, method="inverted_cdf") / 255
    kernel = [(0, 0, -4), (0, 1, 1), (1, 0, 1), (0, -1, 1), (-1, 0, 1)]
    laplacian = [
        sum(w * grey[y + i, x + j] for i, j, w in kernel) for y in range(1, 15) for x in range(1, 15)
    ]
    expected["laplacian_std"] = np.std(laplacian) / 255
    for factor, name in ((2, "half"), (4, "quarter")):
        cells = grey.reshape(16 // factor, factor, 16 // factor, factor).mean((1, 3))
        cells = np.floor(cells + 0.5)
        steps = [np.abs(np.diff(cells, axis=axis)).mean() for axis in (0, 1)]
        expected[f"gradient_{name}"] = np.mean(steps) / 255
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=2e-6), name


def test_the_thumbnail_is_the_mean_of_its_cells():
    view = np.zeros((16, 16, 3), np.uint8)
    view[4:6, 12:14] = 200
    found = _named(view)
    assert found["thumbnail_26"] == pytest.approx(200 / 255)
    assert sum(value for name, value in found.items() if name.startswith("thumbnail")) == pytest.approx(
        200 / 255
    )


def test_mirroring_turns_the_signs_of_what_is_odd():
    view = _noise(12, 12) // 4
    for row in range(12):
        view[row, 2 + row // 2] = 250  # a stroke that leans
    seen, mirrored = _named(view), _named(np.ascontiguousarray(view[:, ::-1]))
    for name in ("slant", "centre_x", "moment_11", "moment_30", "moment_12"):
        assert abs(seen[name]) > 1e-3
        assert mirrored[name] == pytest.approx(-seen[name], abs=1e-6), name
    for name in ("coherence", "centre_y", "moment_20", "moment_02", "moment_03", "moment_21"):
        assert mirrored[name] == pytest.approx(seen[name], abs=1e-6), name


def test_edges_point_across_a_bar():
    view = np.zeros((16, 16, 3), np.uint8)
    view[:, 6:10] = 255
    upright = _named(view)
    assert upright["edges_000"] > 0.5
    assert upright["coherence"] > 0.5
    assert _named(np.ascontiguousarray(view.swapaxes(0, 1)))["edges_090"] > 0.5


def test_moments_are_weighted_sums_over_the_pixels():
    view = _noise(6, 6)
    found, grey = _named(view), np.asarray(Image.fromarray(view).convert("L")).astype(float)
    points = [(x, y) for y in range(6) for x in range(6)]
    weight = np.array([grey[y, x] for x, y in points]) / grey.sum()
    x, y = np.array([(-1 + 2 * x / 5, -1 + 2 * y / 5) for x, y in points]).T
    x, y = x - weight @ x, y - weight @ y
    for i, j in ((2, 0), (1, 1), (3, 0), (1, 2)):
        assert found[f"moment_{i}{j}"] == pytest.approx(weight @ (x**i * y**j), abs=1e-6)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("size", [1, 2, 8, 64])
def test_constant_pictures_give_finite_features(value, size):
    found = _named(np.full((size, size, 3), value, np.uint8))
    assert np.isfinite(list(found.values())).all()
    assert found["skewness_red"] == found["std_red"] == found["gradient_x"] == found["laplacian_std"] == 0
    assert found["mean_red"] == pytest.approx(value / 255)


def test_one_odd_pixel_does_not_explode_the_skewness():
    view = np.zeros((256, 256, 3), np.uint8)
    view[3, 5] = 1
    assert _named(view)["skewness_green"] == 10


def test_compressed_sizes_grow_with_detail_and_count_bytes():
    smooth = np.repeat(np.arange(64, dtype=np.uint8)[:, None, None] * np.uint8(2), 64, axis=1).repeat(
        3, axis=2
    )
    rough = _noise(64, 64)
    for name in ("zlib_size", "jpeg_size", "gradient_x", "laplacian_std"):
        assert _named(smooth)[name] < 0.5 * _named(rough)[name]
    buffer = io.BytesIO()
    Image.fromarray(rough).save(buffer, "JPEG", quality=75)
    assert _named(rough)["jpeg_size"] == pytest.approx(len(buffer.getvalue()) / 64**2)


def test_blurring_lowers_sharpness_and_keeps_brightness():
    rough = _noise(64, 64)
    blurred = np.asarray(Image.fromarray(rough).reduce(2).resize((64, 64), Image.Resampling.BICUBIC))
    sharp, soft = _named(rough), _named(blurred)
    assert soft["laplacian_std"] < 0.5 * sharp["laplacian_std"]
    assert soft["mean_red"] == pytest.approx(sharp["mean_red"], abs=0.01)


def test_only_the_size_of_the_original_counts():
    view = _noise(16, 16)
    first, second = (blind_features(_noise(20, 30, seed), view) for seed in (3, 4))
    np.testing.assert_array_equal(first, second)
    assert (blind_features(_noise(30, 20), view) != first).sum() == 1
