"""PyTorch state dicts as nested Flax parameters, by the naming rule alone (no table, no torch).

List indexes join the name before them with an underscore; `weight` becomes `kernel` (transposed),
`scale` (vectors) or `embedding` (modules named emb... or embedding); other parameters keep their name.
"""

import re

import numpy as np

_BUFFERS = re.compile(r"lvl_1L$|attn_bias_for_masking$|zero_k_bias$|ema_vocab_hit_SV$")
_EMBEDDINGS = re.compile(r"(^|\.)(\w*_emb|\w*_embed|embeddings?)$")


def flax_params(state_dict: dict[str, np.ndarray]) -> dict:
    """The nested tree of `state_dict`, without its buffers."""
    tree: dict = {}
    for key, value in state_dict.items():
        if _BUFFERS.search(key):
            continue
        module, _, name = key.rpartition(".")
        if name == "weight":
            if value.ndim == 1:
                name = "scale"
            elif _EMBEDDINGS.search(module) and not module.endswith("word_embed"):
                name = "embedding"
            else:
                name = "kernel"
                value = value.T if value.ndim == 2 else value.transpose(2, 3, 1, 0)
        path = re.sub(r"\.(\d+)(?=\.|$)", r"_\1", module).split(".") if module else []
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[name] = value
    return tree
