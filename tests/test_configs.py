"""Configs of networks: fields to data and back, and sizes that are none."""

import dataclasses

import pytest

from jaxaudit.configs import check_sizes, from_dict, to_dict
from jaxaudit.errors import InputError
from jaxaudit.models.clip_text import CLIPTextConfig
from jaxaudit.models.dimr import DiMRConfig
from jaxaudit.models.dit import DiTConfig
from jaxaudit.models.llamagen import LlamaGenConfig
from jaxaudit.models.mar import MARConfig
from jaxaudit.models.mdt import MDTConfig
from jaxaudit.models.rar import RARConfig
from jaxaudit.models.unet import UNetConfig
from jaxaudit.models.uvit import UViTConfig
from jaxaudit.models.var import VARConfig
from jaxaudit.tokenizers.kl_autoencoder import KLAutoencoderConfig

CONFIGS = (
    *(CLIPTextConfig, DiMRConfig, DiTConfig, LlamaGenConfig, MARConfig, MDTConfig, RARConfig),
    *(UNetConfig, UViTConfig, VARConfig, KLAutoencoderConfig),
)
SIZES = {"ch", "heads", "latent_size", "num_heads", "patch_size", "width"}


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("size", [0, -4, 1.5, "8"])
@pytest.mark.usefixtures("unchecked")
def test_sizes_that_are_none(config, size):
    """Heads of -4 divide every width that 4 heads divide, and heads of 0 end in a division by zero."""
    names = SIZES & {field.name for field in dataclasses.fields(config)}
    assert names
    for name in names:
        wrong = (size, 16, 32) if name == "heads" else size
        with pytest.raises(InputError, match=f"{name}=.* must be .*whole number.* of 1 or more"):
            dataclasses.replace(config(), **{name: wrong})


@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_is_data(config):
    assert from_dict(config, to_dict(config())) == config()


def test_the_least_that_a_size_may_be():
    config = UViTConfig(num_classes=0)
    check_sizes(config, "num_classes", least=0)
    with pytest.raises(InputError, match="num_classes=0 must be a whole number of 1 or more"):
        check_sizes(config, "num_classes")
    with pytest.raises(InputError, match=r"ch_mult=\(\) must be whole numbers of 1 or more"):
        dataclasses.replace(UNetConfig(), ch_mult=(), heads=())
