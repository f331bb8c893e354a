"""An owner's question to a diffusion model: identified, not identified, or refused with a reason."""

import numpy as np
import pytest
from PIL import Image

from jaxaudit.audits.assess import AssessConfig
from jaxaudit.audits.collect import CollectConfig
from jaxaudit.audits.identify import identify_data
from jaxaudit.checkpoint import load_target
from jaxaudit.data import open_source
from jaxaudit.errors import InputError
from jaxaudit.protocols import PUBLISHED
from jaxaudit.reports.answer.page import HEADLINES, plain_words, render_answer
from jaxaudit.runtime.placement import Placement
from tests import tiny
from tests.results.round_trip import assert_round_trips

GRAY = CollectConfig(access="gray-box", placement=Placement(128))
SHUFFLED = "digits:nonmembers?shuffle=1"


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    target = load_target("digits_dit")

    def answer(published, unpublished, assess_config=None):
        sources = (open_source(spec) if isinstance(spec, str) else spec for spec in (published, unpublished))
        return identify_data(target, *sources, tmp_path_factory.mktemp("evidence"), GRAY, assess_config)

    return answer


@pytest.fixture(scope="module")
def identified(ask):
    return ask("digits:members", "digits:nonmembers")


@pytest.fixture(scope="module")
def not_identified(ask):
    return ask(f"{SHUFFLED}[:200]", f"{SHUFFLED}[200:400]")


def test_members_are_identified(identified):
    assert (identified.status, identified.required) == ("identified", None)
    assert_round_trips(identified)
    assert identified.audit.dataset_inference[""].p_value <= 0.01
    page = render_answer(identified)
    assert HEADLINES["identified"] in page
    assert "it does not say which of the pictures were used" in page
    assert identified.audit.finding.sentence.replace("&", "&amp;")[:60] in page


def test_the_signal_of_single_scores_is_weak(identified):
    rates = [each.tpr_at_fpr[0.01].estimate for each in identified.audit.membership.per_score.values()]
    assert max(rates) < 0.2


def test_nonmembers_are_not_identified_and_the_answer_says_what_it_would_take(not_identified):
    assert not_identified.status in ("not_identified", "too_few")
    assert_round_trips(not_identified)
    assert not not_identified.audit.dataset_inference[""].rejected
    sentence = not_identified.required.sentence
    assert sentence in " ".join(plain_words(not_identified))
    assert sentence in render_answer(not_identified)


def test_pictures_of_other_things_are_not_testable(ask, tmp_path):
    rng = np.random.default_rng(0)
    other = tmp_path / "other.npz"
    coarse = rng.integers(0, 256, (40, 2, 2, 3), dtype=np.uint8)
    images = np.stack([np.asarray(Image.fromarray(each).resize((8, 8))) for each in coarse])
    np.savez(other, images=images, labels=rng.integers(0, 10, 40))
    results = ask("digits:members?shuffle=0[:40]", f"npz:{other}")
    assert results.status == "not_testable"
    assert_round_trips(results)
    assert HEADLINES["not_testable"] in render_answer(results)


def test_altered_copies_on_both_sides_are_refused(ask, tmp_path):
    source = open_source("digits:nonmembers[:40]")
    images = np.stack([source.load(i).image for i in range(40)])
    images[0] = open_source("digits:members[:1]").load(0).image * 0.9
    np.savez(tmp_path / "copies.npz", images=images, labels=source.labels)
    with pytest.raises(InputError, match=r"1 published pictures are the same as, or altered copies of"):
        ask("digits:members[:40]", f"npz:{tmp_path / 'copies.npz'}")


def test_too_few_pictures_are_refused_with_the_number_needed(ask):
    with pytest.raises(InputError, match=r"6 published pictures are too few .* 10 are the least"):
        ask("digits:members[:6]", "digits:nonmembers[:40]")


def test_the_published_procedure_gives_no_answer(ask):
    with pytest.raises(InputError, match="gives no verdict"):
        ask("digits:members[:40]", "digits:nonmembers[:40]", AssessConfig(protocol=PUBLISHED))


def test_models_of_captions_are_asked_with_them(tmp_path):
    sets = [
        tiny.save_captioned(tmp_path / f"{name}.npz", f"digits:{name}[:24]")
        for name in ("members", "nonmembers")
    ]
    scores = CollectConfig(scores=("multiple_loss_300", "clid_300"), placement=Placement(24))
    answer = identify_data(tiny.captioned_target(), *sets, tmp_path / "evidence", scores)
    assert answer.status == "not_identified"  # the target is untrained
    assert set(answer.audit.membership.per_score) == {"multiple_loss_300", "clid_300"}
    assert HEADLINES["not_identified"] in render_answer(answer)
