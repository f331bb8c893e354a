"""Plain PyTorch programs that do the work of the published pipelines, to be timed beside ours.

Their networks have the layers and sizes of the released ones and random weights; their scores are computed in
the order, and as often, as the published code computes them (Kowalczuk et al. 2025, Dubiński et al. 2025),
written anew. What is and what is not computed twice says the docstring of each pipeline. Numbers are not
compared: parity with the published code is shown by `tests/golden/`. Needs `pip install jaxaudit[convert]`.
"""
