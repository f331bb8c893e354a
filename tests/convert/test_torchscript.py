"""TorchScript archives, read without running them."""

import numpy as np
import pytest
import torch
from torch import nn

from checkpoints_convert.reading import read
from jaxaudit.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


class Odd(nn.Module):
    """Tensors shared, strided, empty, scalar and of low precision, and attributes that are none."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.shared = self.inner[0].weight
        self.register_buffer("strided", torch.arange(12.0).reshape(3, 4).T[1:])
        self.register_buffer("brain", torch.tensor([1.5, -2.0], dtype=torch.bfloat16))
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("scalar", torch.tensor(7))
        self.register_buffer("empty", torch.zeros(0, 2))
        self.sizes = [1, 2, 3]
        self.name = "odd"

    def forward(self, x):
        if x.sum() > 0:
            return self.inner(x) * self.sizes[0]
        return self.inner(x)


@pytest.fixture
def archive(tmp_path):
    torch.jit.script(Odd().eval()).save(tmp_path / "odd.pt")
    return tmp_path / "odd.pt"


def test_equals_pytorch(archive):
    expected = torch.jit.load(archive).state_dict()
    found = read(archive)
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].shape == tuple(value.shape)
        np.testing.assert_array_equal(np.asarray(found[key], np.float32), value.float().numpy())
    assert str(found["brain"].dtype) == "bfloat16"


def test_damaged(archive):
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(InputError, match="is not a complete PyTorch checkpoint"):
        read(archive)


def test_damaged_inside(archive):
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"_rebuild_tensor_v2", b"_rebuild_tensor_v9"))
    with pytest.raises(InputError, match="is not a complete TorchScript archive"):
        read(archive)
