import pytest

from jaxaudit.attacks.registry import ScorePlan, get_scores
from jaxaudit.audits.asked_scores import feature_sets, said_of
from jaxaudit.errors import InputError


def sets_of(names, kind="discrete"):
    return feature_sets(ScorePlan(get_scores(names, kind=kind)), kind)


def test_evidence_says_how_a_score_is_fitted_where_that_is_not_the_usual_way():
    mixture, usual = (said_of(s) for s in get_scores(["clid", "gsa1"], kind="diffusion"))
    assert mixture["fit"] == "mixture"
    assert "fit" not in usual  # evidence of before is continued


def test_feature_sets_are_the_published_ones():
    sets = sets_of("all")
    assert list(sets) == ["default", "paper"]
    assert list(sets["default"]) == ["cond", "diff"]
    assert len(sets["paper"]["diff"]) == len(sets["default"]["diff"]) == 18
    assert sets["paper"]["diff"][8] == "diff/min_k_pp_10_ref"
    assert sets["default"]["diff"][8] == "diff/min_k_pp_10"


def test_feature_sets_of_continuous_tokens_leave_camia_out():
    names = ["loss", "zlib", *(f"min_k_{k}" for k in (10, 20, 30, 40, 50))]
    assert sets_of("all", "continuous") == {
        "default": {view: [f"{view}/{name}" for name in names] for view in ("cond", "diff")},
        "paper": {"cond": [f"cond/{name}_ref" for name in names]},
    }


def test_feature_sets_of_diffusion_models_are_the_26_of_cdi():
    sets = sets_of("all", "diffusion")
    assert [len(sets[protocol][""]) for protocol in ("default", "paper")] == [26, 26]
    assert sets["paper"][""][:5] == [
        "denoising_loss_ref",
        "secmi_ref",
        "pia_ref",
        "pian_ref",
        "gradient_masking_0_ref",
    ]
    assert sets["default"][""] == [name.removesuffix("_ref") for name in sets["paper"][""]]
    assert sets_of("clid_0", "diffusion") == {"default": {"": ["clid_0"]}, "paper": {}}


def test_feature_sets_without_a_published_score_are_what_was_asked_for():
    for kind in ("discrete", "continuous"):
        assert sets_of("cond/unified_loss", kind) == {
            "default": {"cond": ["cond/unified_loss"]},
            "paper": {},
        }
    mixed = sets_of(["cond/unified_loss", "diff/icas", "diff/prada", "diff/surp_10_2_ref"])
    assert mixed == {
        "default": {"cond": ["cond/unified_loss"], "diff": ["diff/icas"]},
        "paper": {"diff": ["diff/surp_10_2_ref"]},
    }
    assert sets_of(["cond/loss", "diff/icas"])["default"] == {"cond": ["cond/loss"]}
    with pytest.raises(InputError, match="cannot rest on diff/prada"):
        sets_of("diff/prada")
