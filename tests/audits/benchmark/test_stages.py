"""What an audit of each kind consists of."""

import jax
import numpy as np
import pytest

from jaxaudit.attacks.runner import Scorer
from jaxaudit.audits.benchmark.stages import check_benchmark, scoring_stages
from jaxaudit.errors import InputError
from jaxaudit.runtime.mesh import make_mesh
from tests import tiny, tiny_diffusion
from tests.marks import slow_but

KINDS = {
    "discrete": (tiny.var_target, ["diff/loss"], ["tokenise", "forward", "statistics"]),
    "continuous": (tiny.mar_target, ["diff/loss"], ["encode", "forward", "losses"]),
    "diffusion": (tiny_diffusion.target, ["gradient_masking_500"], ["encode", "forward", "gradient"]),
}


@pytest.mark.parametrize("kind", slow_but(KINDS, "diffusion"))
def test_the_stages_of_each_kind_run_and_make_up_the_whole(kind, tmp_path):
    target, scores, names = KINDS[kind]
    scorer = Scorer(target(), scores, mesh=make_mesh(1))
    stages = scoring_stages(scorer, tmp_path, batch_size=2)
    assert list(stages) == ["load", *names, "whole step"]
    for name in names:
        for leaf in jax.tree.leaves(stages[name].call()):
            assert leaf.shape[0] in (2, 4)  # pictures, or pictures with both labels
            assert np.isfinite(leaf).all()
    assert stages["whole step"].call().keys() == set(scores)
    if kind != "diffusion":  # whose stages are single evaluations
        parts = sum(stages[name].flops for name in names)
        wanted = 2 if kind == "continuous" else 1  # the head is timed for one of the two views
        whole = stages["whole step"].flops - (wanted - 1) * stages[names[-1]].flops
        assert parts == pytest.approx(whole, rel=0.02)


def test_models_of_captions_are_refused():
    with pytest.raises(InputError, match="tiny reads captions, and a benchmark has none"):
        check_benchmark(tiny.captioned_target())
