"""The extraction program as people run it."""

import pyarrow.parquet as pq
import pytest

from jaxaudit.checkpoint import save_target
from jaxaudit.results import ExtractionResults
from tests import tiny
from tests.experiments.captured import run
from tests.results.round_trip import read_back


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    directory = tmp_path_factory.mktemp("targets") / "tiny"
    save_target(
        directory,
        family="var",
        config=tiny.VAR_CONFIG,
        params=tiny.var_target().params,
        preprocessing=tiny.DIGITS,
        provenance={},
    )
    return directory


def test_an_attack_leaves_results_tables_pictures_and_report(target, tmp_path):
    flags = {
        "target": target, "candidates": "digits:members[:30]", "validation": "digits:nonmembers[:20]",
        "top_k": 2, "prefixes": "1,2", "score": "greedy_match_ref", "batch_size": 16, "out": tmp_path,
    }  # fmt: skip
    process = run("extract", **flags)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    for words in ("No training image was extracted", "held-out", "report.html"):
        assert words in process.stdout
    results = read_back(tmp_path / "results.json", ExtractionResults).counts
    assert results.status == "none"  # the target is untrained
    assert [entry.tokens for entry in results.prefixes] == [1, 5]
    assert results.longest.false_positives.all.trials == 20
    assert "No training image was extracted" in (tmp_path / "report.html").read_text()
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    figures = ("extracted", "similarity", "gallery")
    assert names == {f"{name}.{kind}" for name in figures for kind in ("png", "svg")}
    candidates = pq.read_table(tmp_path / "candidates.parquet")
    assert {"sample_id", "greedy_match", "greedy_match_ref", "similarity/2"} <= set(candidates.column_names)
    assert pq.read_table(tmp_path / "validation.parquet").num_rows == 20
    assert pq.read_table(tmp_path / "extracted.parquet").num_rows == 0
    assert (tmp_path / "extracted.csv").read_text().startswith("sample_id,label,prefix,prefix_tokens")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"prefixes": "1,x"}, "--prefixes=1,x is not a list of numbers"),
        ({"similarity": "sscd"}, "needs an extractor"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(target, tmp_path, flags, words):
    short = {"candidates": "digits:members[:4]", "validation": "", "batch_size": 4}
    process = run("extract", target=target, out=tmp_path, **short, **flags)
    assert process.returncode == 2, process.stdout + process.stderr
    assert words in process.stderr
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "results.json").exists()
