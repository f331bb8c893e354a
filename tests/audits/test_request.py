import dataclasses

import jax
import numpy as np

from jaxaudit.audits.request import null_request, target_request
from tests import tiny


def test_a_target_without_a_fingerprint_is_known_by_its_weights():
    target = dataclasses.replace(tiny.var_target(), provenance={})
    other = dataclasses.replace(target, params=jax.tree.map(lambda leaf: 1.5 * leaf, target.params))
    again = dataclasses.replace(target, params=jax.tree.map(np.array, target.params))
    assert target_request(target) == target_request(again) != target_request(other)
    named = dataclasses.replace(target, provenance={"fingerprint": "f"})
    assert target_request(named)["fingerprint"] == "f"


def test_what_stands_for_no_caption_is_told_apart():
    null = np.zeros((2, 3), np.float32)
    assert null_request(null) != null_request(null + 1) != null_request(None)
