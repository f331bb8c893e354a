"""Conversion of DiT checkpoints: full-size layouts, and small files to the official outputs."""

import dataclasses
import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from checkpoints_convert import dit as conversion
from checkpoints_convert.dit import CONVERSION, infer_config
from checkpoints_convert.kl_autoencoder import diffusers
from checkpoints_convert.mapping import convert
from checkpoints_convert.pipeline import convert_files
from jaxaudit.errors import InputError
from jaxaudit.families import dit, get_family
from jaxaudit.families.random import random_params
from jaxaudit.models.variant import ModelVariant
from jaxaudit.models.dit import DiTConfig
from jaxaudit.tokenizers.kl_autoencoder import KLAutoencoder, KLAutoencoderConfig
from tests.golden import weights

MANIFESTS = Path(weights.__file__).parent / "manifests"
SMALL = DiTConfig(num_classes=10, depth=3, width=64, num_heads=4, latent_size=8)
