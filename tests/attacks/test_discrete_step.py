"""What the step of discrete tokens is for accelerators."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from jaxaudit.attacks.step_by_kind import make_step
from jaxaudit.families import get_family
from tests.lowered import PLATFORMS, arrays_over, kernels, lowered
from tests.tiny import DIGITS, RAR_CONFIG, VAR_CONFIG

BATCH, CODES = 3, 26  # no other axis has the latter size
LARGER = {"generator": {"num_tokens": 144}, "tokenizer": {"side": 12}}  # than what is looked up at a time


@pytest.mark.parametrize(
    ("family", "tiny", "changes", "size"), [("var", VAR_CONFIG, {}, 8), ("rar", RAR_CONFIG, LARGER, 24)]
)
def test_logits_of_a_batch_are_in_no_step(family, tiny, changes, size):
    module = get_family(family)
    config = {part: {**tiny[part], "vocab_size": CODES, **changes.get(part, {})} for part in tiny}
    pictures = dataclasses.replace(DIGITS, image_size=size, short_side=size)
    params, spec = module.abstract_params(config), jax.ShapeDtypeStruct
    batch = {"images": spec((BATCH, size, size, 3), jnp.float32), "condition": spec((BATCH,), jnp.int32)}
    for platform in PLATFORMS:
        kind = {"cuda": "gpu"}.get(platform, platform)
        target = module.build_target("t", config, params, pictures, {}, dtype=jnp.bfloat16, platform=kind)
        step = make_step(target, ["cond/loss", "diff/loss"])
        text = lowered(step, (params, jax.eval_shape(jax.random.key, 0)), batch, platform=platform)
        assert kernels(text).count("likelihood_head") == 1
        assert not arrays_over(text, rows=BATCH * target.num_tokens, vocabulary=CODES)
