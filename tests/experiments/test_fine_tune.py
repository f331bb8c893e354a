"""The honest audit of a fine-tune: a model of captions trained further, asked with its base beside."""

import html

import pytest

from jaxaudit.results import AuditResults
from tests.experiments.captured import run
from tests.results.round_trip import read_back

MINE, OTHERS, LATER = (f"digits:nonmembers?shuffle=0{rows}" for rows in ("[:100]", "[100:300]", "[300:400]"))
"""What it is trained further on, and what neither it nor its base has seen."""


@pytest.mark.slow
def test_the_pictures_of_a_fine_tune_are_found_and_others_are_not(tmp_path):
    trained = run(
        "train_target",
        init="digits_sd",
        data=MINE,
        held_out=OTHERS,
        generator_steps=2000,
        out=tmp_path / "tuned",
    )
    assert trained.returncode == 0, trained.stderr
    for members, status in ((MINE, "trained_on"), (LATER, "no_evidence")):
        out = tmp_path / status
        audited = run(
            "audit",
            target=tmp_path / "tuned",
            reference="digits_sd",
            members=members,
            nonmembers=OTHERS,
            access="gray",
            batch_size=100,
            out=out,
        )
        assert audited.returncode == 0, audited.stderr
        results = read_back(out / "results.json", AuditResults)
        assert results.finding.status == status
        page = html.unescape((out / "report.html").read_text())
        assert results.finding.sentence in page
        assert "digits_sd" in page
