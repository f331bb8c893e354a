"""The networks against PyTorch, from the state dict and pictures of any size to the features."""

import jax
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from checkpoints_convert import inception, sscd
from checkpoints_convert.mapping import convert
from jaxaudit.errors import InputError
from jaxaudit.feature_extractors import Extractor, abstract_params, build_extractor, pixels
from tests.feature_extractors import torch_networks

RESNET = {"sizes": (2, 1, 1, 1), "width": 8, "inner": 8, "groups": 1, "dim": 12}
RESNEXT = {"sizes": (1, 2, 1, 1), "width": 8, "inner": 16, "groups": 4, "dim": 10}


def ours(kind, conversion, network) -> Extractor:
    state = torch_networks.arrays(network)
    config = conversion.infer_config(state)
    converted = convert(state, conversion.LAYOUTS[0].table, abstract_params(kind, config))
    params = jax.tree.map(np.asarray, converted)
    return build_extractor("test", kind, config, params, {})


def pictures(height, width, seed=0):
    """Smooth random pictures [2,H,W,3] in [0,1]."""
    noise = np.random.default_rng(seed).random((2, 3, 9, 9), np.float32)
    smooth = F.interpolate(torch.from_numpy(noise), (height, width), mode="bicubic").clamp(0, 1)
    return smooth.numpy().transpose(0, 2, 3, 1)


def theirs(network, images, size, antialias):
    x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        return network(F.interpolate(x, (size, size), mode="bilinear", antialias=antialias)).numpy()


@pytest.mark.parametrize(("shape", "size"), [(RESNET, (48, 40)), (RESNEXT, (500, 360))])
def test_sscd_equals_pytorch(shape, size):
    network = torch_networks.randomised(torch_networks.SSCD(**shape))
    extractor, images = ours("sscd", sscd, network), pictures(*size)
    found, expected = np.asarray(extractor(images)), theirs(network, images, 320, antialias=True)
    assert found.shape == (2, extractor.dim) == (2, shape["dim"])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3


def test_inception_equals_pytorch():
    network = torch_networks.randomised(torch_networks.Inception())
    extractor, images = ours("inception", inception, network), pictures(320, 70)  # down and up
    found, expected = np.asarray(extractor(images)), theirs(network, images, 299, antialias=False)
    assert found.shape == (2, extractor.dim) == (2, 2048)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    assert np.abs(expected[0] - expected[1]).max() > 1e-2 * np.abs(expected).max()


def test_pixels_are_grey_levels():
    images = np.random.default_rng(0).random((3, 8, 8, 3), np.float32)
    expected = (images * [0.299, 0.587, 0.114]).sum(-1).reshape(3, 64)
    np.testing.assert_allclose(pixels()(images), expected, atol=1e-6)
    grey = np.repeat(images[..., :1], 3, axis=-1)
    np.testing.assert_allclose(pixels()(grey), grey[..., 0].reshape(3, 64), atol=1e-6)
    larger = np.repeat(np.repeat(np.ones_like(images) * [0.2, 0.4, 0.9], 3, axis=1), 3, axis=2)
    np.testing.assert_allclose(pixels()(larger), 0.3972, atol=1e-6)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (np.zeros((8, 8, 3)), r"shape \(8, 8, 3\) do not fit"),
        (np.zeros((0, 8, 8, 3)), r"shape \(0, 8, 8, 3\) do not fit"),
        (np.full((1, 8, 8, 3), -1.0), r"values in -1\.\.-1; extractors take them in 0\.\.1"),
        (np.full((1, 8, 8, 3), 255.0), r"255\.\.255"),
        (np.full((1, 8, 8, 3), np.nan), "nan"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_pictures_that_do_not_fit(images, reason):
    with pytest.raises(InputError, match=reason):
        pixels()(images)


def test_unknown_kinds_and_fields():
    with pytest.raises(InputError, match="did you mean sscd"):
        abstract_params("sscdd", {})
    with pytest.raises(InputError, match="did you mean width"):
        abstract_params("sscd", {"widht": 8})
