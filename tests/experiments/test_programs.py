"""The programs as people run them: with flags, files and exit codes; audits in a process of their own."""

import os
import re
import subprocess
import sys
import time

import chex
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxaudit.attacks.condition import resolve_condition
from jaxaudit.audits.pictures import look
from jaxaudit.checkpoint import load_target, read_record, save_target
from jaxaudit.data import Preprocessing, open_source
from jaxaudit.evidence import Evidence
from jaxaudit.paths import names_in
from jaxaudit.results import AuditResults
from jaxaudit.runtime.progress import silent
from tests import tiny
from tests.experiments.captured import run
from tests.results.round_trip import read_back


def command(program, **flags):
    return [
        sys.executable,
        "-m",
        f"experiments.{program}",
        *(f"--{name}={value}" for name, value in flags.items()),
    ]


def start(program, **flags):
    environment = {**os.environ, "COLUMNS": "100", "XLA_FLAGS": ""}
    return subprocess.run(
        command(program, **flags), capture_output=True, text=True, env=environment, timeout=300
    )


ASKED = {
    "members": "digits:members[:128]",
    "nonmembers": "digits:nonmembers[:101]",
    "shard_size": 24,
    "batch_size": 32,
}
"""Sides that are uneven, and shards that do not divide them."""


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    directory = tmp_path_factory.mktemp("targets") / "tiny"
    target = tiny.var_target()
    save_target(
        directory,
        family="var",
        config=tiny.VAR_CONFIG,
        params=target.params,
        preprocessing=target.preprocessing,
        provenance={},
    )
    return directory


@pytest.fixture(scope="module")
def audit(target, tmp_path_factory):
    """An audit of 128 pictures and of 101 others, and what it printed."""
    out = tmp_path_factory.mktemp("audit") / "out"
    return out, start("audit", target=target, **ASKED, out=out)


def test_an_audit_leaves_table_evidence_results_figures_and_report(audit):
    out, process = audit
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    for words in ("No evidence", "AUC", "p-value", "report.html"):
        assert words.lower() in process.stdout.lower()
    results = read_back(out / "results.json", AuditResults)
    assert results.finding.status == "no_evidence"  # the target is untrained
    assert results.finding.sentence in (out / "report.html").read_text()
    assert {path.name for path in (out / "figures").iterdir()} == {
        f"{name}.{kind}" for name in ("roc", "scores", "auc", "p_value") for kind in ("png", "svg")
    }
    table = Evidence.open(out / "evidence").read("members")
    assert len(table) == 128
    assert len(table.scores) > 150


def test_a_verdict_needs_nothing_but_the_evidence(audit, tmp_path):
    out, _ = audit
    again = run("verdict", evidence=out / "evidence", out=tmp_path)
    assert again.returncode == 0, again.stderr
    for name in ("results.json", "report.html", "figures/roc.svg"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()
    paper = run("verdict", evidence=out / "evidence", out=tmp_path / "paper", protocol="paper")
    assert paper.returncode == 0, paper.stderr
    assert read_back(tmp_path / "paper" / "results.json", AuditResults).finding.status == "paper"


@pytest.mark.slow
def test_processes_share_an_audit_though_one_is_killed(audit, target, tmp_path, bucket):
    """Two begin, one is killed, the other finishes; a third resumes, in a bucket: evidence as of one."""
    whole, _ = audit
    flags = {"target": target, **ASKED, "out": tmp_path}
    options = {"env": {**os.environ, "COLUMNS": "100", "XLA_FLAGS": ""}, "text": True}
    first, second = (
        subprocess.Popen(
            command("audit", **flags, process=f"{index}/2"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )
        for index in range(2)
    )
    with first, second:
        deadline = time.monotonic() + 300
        while not list(tmp_path.glob("evidence/members*.parquet")) and time.monotonic() < deadline:
            time.sleep(0.002)
        first.kill()
        kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("evidence/*.parquet")}
        said, complained = second.communicate(timeout=300)
    assert 0 < len(kept) < 11
    assert (second.returncode, complained) == (0, "")
    assert "report.html" in said
    evidence = {path.name: path.read_bytes() for path in (whole / "evidence").glob("*.parquet")}
    assert len(evidence) == 11
    for name, content in evidence.items():
        assert (tmp_path / "evidence" / name).read_bytes() == content
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("evidence/*.parquet")}
    assert kept.items() <= after.items()

    lost, copy = sorted(evidence)[-2:], bucket / "audit"
    for path in (tmp_path / "evidence").iterdir():
        if path.name != lost[0]:
            content = path.read_bytes()
            (copy / "evidence" / path.name).write_bytes(content[:-40] if path.name == lost[1] else content)
    third = run("audit", **{**flags, "out": copy}, process="7/9")
    assert third.returncode == 0, third.stderr
    assert f"{lost[1]} cannot be read" in third.stdout
    assert names_in(copy) == {path.name for path in whole.iterdir()}
    for name in evidence.keys() - set(lost):
        assert (copy / "evidence" / name).read_bytes() == evidence[name]
    for name in lost:
        ours = pq.read_table(pa.BufferReader((copy / "evidence" / name).read_bytes()))
        theirs = pq.read_table(whole / "evidence" / name)
        assert theirs.schema.equals(ours.schema)
        for column in theirs.column_names:  # compiled otherwise here, so rounding differs
            expected, found = (np.array(each[column].to_pylist()) for each in (theirs, ours))
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4, err_msg=column)
            else:
                np.testing.assert_array_equal(found, expected)


def test_the_list_of_scores_cites_its_sources():
    process = run("audit", list_scores=True)
    assert process.returncode == 0
    assert "diff/min_k_pp_20" in process.stdout
    assert "2404.02936" in process.stdout


@pytest.mark.slow
def test_a_target_is_trained_audited_and_resumed(tmp_path):
    flags = {
        "data": "digits:members[:64]",
        "tokenizer_steps": 2,
        "generator_steps": 2,
        "width": 32,
        "depth": 1,
    }
    trained = run("train_target", out=tmp_path / "small", **flags)
    assert trained.returncode == 0, trained.stderr
    assert "parameters, trained on 64 pictures" in trained.stdout
    assert "64 pictures, shorter side 8 px, as they are; 10 classes" in trained.stdout
    assert "The generator: 2 steps, each picture is seen 2 times." in trained.stdout
    assert re.search(r"Training the generator: 2 steps .*, loss [0-9.]+", trained.stdout)
    source = resolve_condition(open_source(flags["data"]), tiny.var_target())
    preprocessing = Preprocessing(image_size=8, resize="none", short_side=8, low=-1.0, high=1.0)
    trained_on = read_record(tmp_path / "small")["provenance"]["trained_on"]
    assert trained_on == {**look(source, preprocessing, silent).request, "images": 64}
    curve = (tmp_path / "small-training" / "generator" / "loss.csv").read_text()
    assert curve.startswith("step,loss")
    refused = run("train_target", out=tmp_path / "small", **flags)
    assert refused.returncode == 2
    assert "already holds a target" in refused.stderr


@pytest.mark.slow
def test_a_target_is_trained_further_beside_pictures_held_out(target, tmp_path):
    further = {"init": target, "data": "digits:nonmembers[:64]", "generator_steps": 2}
    seen = run("train_target", out=tmp_path / "further", held_out="digits:nonmembers[60:70]", **further)
    assert seen.returncode == 2
    assert "4 of 10 pictures held out are trained on, e.g. 'digits/" in seen.stderr
    assert not (tmp_path / "further").exists()
    tuned = run("train_target", out=tmp_path / "further", held_out="digits:nonmembers[64:96]", **further)
    assert tuned.returncode == 0, tuned.stderr
    assert "The tokenizer" not in tuned.stdout
    assert re.search(r"Training the generator: 2 steps .*, loss [0-9.]+, held out [0-9.]+", tuned.stdout)
    first, second = (read_record(place) for place in (target, tmp_path / "further"))
    assert second["preprocessing"] == first["preprocessing"]
    assert second["provenance"]["init"] == {"target": str(target), "fingerprint": first["fingerprint"]}
    old, new = (load_target(place).params for place in (target, tmp_path / "further"))
    chex.assert_trees_all_equal(old["tokenizer"], new["tokenizer"])
    with pytest.raises(AssertionError):
        chex.assert_trees_all_equal(old["generator"], new["generator"])
