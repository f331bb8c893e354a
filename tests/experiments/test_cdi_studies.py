"""The program of the studies, as people run it."""

import csv

from jaxaudit.results import StudyResults
from tests.evidence_tables import make_evidence
from tests.experiments.captured import run
from tests.results.round_trip import read_back


def test_all_studies_that_fit_leave_json_table_and_figure(tmp_path):
    folder = make_evidence(tmp_path / "evidence").directory
    out = tmp_path / "studies"
    flags = {"evidence": folder, "sizes": "20,60", "repetitions": 20, "scores": "*loss*", "out": out}
    process = run("cdi_studies", study="all", **flags)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    assert "access left out: None of the 4 scores is white-box" in process.stdout
    studies = {"p_value", "contamination", "imbalance", "features", "set_membership", "roc"}
    assert {path.name for path in out.iterdir()} == {
        f"{study}.{kind}" for study in studies for kind in ("json", "csv", "png", "svg")
    }
    found = {study: read_back(out / f"{study}.json", StudyResults) for study in studies}
    with open(out / "contamination.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    points = found["contamination"].targets[0].points
    assert [float(row["identified_estimate"]) for row in rows] == [
        point.identified.estimate for point in points
    ]


def test_missing_evidence_is_explained(tmp_path):
    process = run("cdi_studies", out=tmp_path)
    assert process.returncode == 2
    assert process.stderr.strip() == "--study=p_value needs --evidence=DIR, the evidence folder of an audit."
