"""Documents to JSON and back: the same bytes, one format, and one sentence for everything else."""

import copy
import functools
import json
import math
import subprocess
import sys

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxaudit import results as records
from jaxaudit.audits.comparison import compared, comparison
from jaxaudit.errors import InputError
from jaxaudit.protocols import PUBLISHED
from jaxaudit.results import (
    AlternativePower,
    Assumptions,
    AuditResults,
    BenchmarkResults,
    CapacityPlan,
    CompiledStep,
    CompiledSteps,
    DiskSpace,
    Document,
    FalsePositiveRate,
    Interval,
    JudgedPrecision,
    KeptMeasurement,
    NullStudyResults,
    OwnersAnswer,
    Plan,
    PrecisionChange,
    PrecisionStudy,
    ReliabilityResults,
    SetRoc,
    StageSpeed,
    StepMemory,
    StepSetting,
    StudiedTarget,
    StudyPoint,
    StudyResults,
    TargetPrecision,
    TargetReliability,
    VerdictRates,
    decode,
    encode,
    format_of,
    read_results,
    replace,
    write_results,
)
from jaxaudit.stats import provenance, regeneration
from tests.reports.benchmark.test_benchmark_report import suite
from tests.reports.defence.test_defence_report import make_results as make_defences
from tests.reports.exhibit.test_exhibit_report import make_exhibit
from tests.reports.extraction.test_extraction_report import report
from tests.reports.fair_sets.test_fair_sets_report import make_results as make_fair_sets
from tests.reports.leaderboard.test_leaderboard_report import make_results as make_leaderboard
from tests.reports.localization.test_localization_report import make_results as make_localization
from tests.reports.mitigation.test_mitigation_report import make_results as make_mitigation
from tests.reports.mitigation.test_mitigation_report import record
from tests.reports.reliability.test_usage_report import usage_study
from tests.reports.synthetic import make_results as make_audit
from tests.results.round_trip import assert_round_trips
from tests.schedule_results import make_schedules

SHARE = Interval(0.5, 0.25, 0.75)
STEP = StepSetting("var_d16", "v5e", 4, 8, "bfloat16", ("all",), "gray-box", split=2)
MEMORY = StepMemory(arguments=10, outputs=1, temporaries=5)


def point(**changes):
    point = StudyPoint(
        series="split",
        num_p=20,
        num_u=20,
        ratio=None,
        identified=SHARE,
        mean_p=0.1,
        p_quantiles={0.05: 1e-300, 0.5: 0.2},
        independent_draws=3,
    )
    return replace(point, **changes)


@functools.cache
def documents():
    audit = make_audit()
    null = {"alpha": 0.01, "repetitions": 100, "confidence": 0.95, "seed": 0}
    target = StudiedTarget(
        target="one",
        num_members=100,
        num_nonmembers=90,
        features=("a", "b"),
        required=audit.power_curves["diff"].required,
        sets={"all": ("a", "b")},
        points=(point(), point(ratio=0.5, mean_p=None, p_quantiles=None)),
        curves=(SetRoc(20, (0.0, 1.0), (0.0, 1.0), 0.5, 0.1, 0.2, 0.0),),
    )
    rate = FalsePositiveRate(
        procedure="split", kind="normal", num_p=20, num_u=20, num_features=26, accused=SHARE, small_p=SHARE,
        mean_p=0.5, **null,
    )  # fmt: skip
    measured = record("none", 0.0, 45)
    rates = VerdictRates(
        scenario="nothing",
        description="Nothing was done.",
        num_images=100,
        one_view=SHARE,
        plain=SHARE,
        adjusted=SHARE,
        trained_on=SHARE,
        repetitions=9,
    )
    return {
        "audit": audit,
        "published": make_audit(PUBLISHED),
        "not_testable": make_audit(gate_shift=1.0),
        "answer": OwnersAnswer(
            status="identified",
            required=None,
            asked=records.SequentialEvidence(
                e_value=50.0,
                wealth=(50.0,),
                p_value=0.02,
                rejected=False,
                alpha=0.01,
                plan="",
                questions=(
                    records.Question(pictures=("a", "b"), p_value=1e-4, e_value=50.0, fingerprint="c"),
                ),
            ),
            audit=audit,
        ),
        "plan": Plan(
            written="2026-01-02T03:04:05Z",
            request={"scores": ["diff/loss"]},
            reference=None,
            protocol="default",
            procedure="split",
            alpha=0.01,
            power=0.8,
            seed=None,
            level=0.1,
            permutations=9_999,
            previous=None,
            known=None,
            fingerprint="ab" * 32,
        ),
        "reliability": ReliabilityResults(
            alpha=0.01,
            permutations=999,
            seed=0,
            targets=(TargetReliability(target="one", num_scores=18, accused=(rates,), found=(rates,)),),
            alternatives=(
                AlternativePower(
                    alternative="all",
                    num_images=100,
                    rejected={"sum": SHARE},
                    contradicted=SHARE,
                    repetitions=9,
                ),
            ),
            unit_controls=(),
            usage=(usage_study(),),
        ),
        "exhibit": make_exhibit(),
        "extraction": report()[0],
        "unchecked": report(validation=False)[0],
        "regeneration": records.RegenerationResults(
            target="one",
            family="var",
            fingerprint=None,
            sources={"candidates": "folder:a", "held_out": "folder:b"},
            skipped={},
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            guidance=1.0,
            guidance_power=1.0,
            tokens=85,
            prefixes=(
                records.PrefixRegeneration(
                    0, 0, regeneration(np.array([-1.0, -np.inf]), np.array([-9.0]), tries=(1, 10))
                ),
            ),
        ),
        "leaderboard": make_leaderboard(),
        "comparison": comparison([compared(audit)]),
        "published_comparison": comparison([compared(make_audit(PUBLISHED))]),
        "fair_sets": make_fair_sets(),
        "schedules": make_schedules(),
        "provenance": records.ProvenanceResults(
            target="one",
            family="rar",
            fingerprint=None,
            sources={"published": "folder:a", "unpublished": "folder:b"},
            skipped={},
            score="search",
            member_score="diff/icas",
            search_steps=16,
            seed=0,
            found=provenance(*np.arange(12.0).reshape(4, 3)),
        ),
        "provenance_study": records.ProvenanceStudy(
            q=0.05,
            confidence=0.99,
            seed=0,
            targets=(
                records.StudiedProvenance(
                    target="one",
                    score="search",
                    member_score="diff/icas",
                    sets=(
                        records.KnownSet(
                            name="unseen",
                            description="neither made nor seen",
                            num_images=20,
                            generated=SHARE,
                            member=SHARE,
                            at_one_percent=SHARE,
                            auc={"search": 0.5},
                            status="nothing_shown",
                            at_least=0.0,
                        ),
                    ),
                    null=records.NullProvenance(SHARE, SHARE, SHARE, num_p=20, num_u=40, repetitions=9),
                ),
            ),
            refused={"two": "two generates pixels."},
        ),
        "coins": records.CanaryCoins(seed=3, digests=("a1", "b2"), included=(True, False)),
        "epsilon": records.EpsilonResults(
            target="one",
            family="dit",
            fingerprint=None,
            source="folder:a",
            skipped={"canaries": {}},
            num_canaries=40,
            num_included=19,
            scores=("loss",),
            bound=records.PrivacyBound(
                1.5, 1e-5, 0.95, 20, 18, 20, 20, 0, "loss", {0.05: 0.0, 1.0: 1.6}, 1.8
            ),
            noise=(records.NoisyStage(1.0, 0.1, 300),),
            upper=1.25,
            contradicted=True,
        ),
        "epsilon_study": records.EpsilonStudyResults(
            delta=1e-5,
            confidence=0.95,
            seed=0,
            mechanisms=(records.MechanismBounds("Gaussian", 2.0, 100, SHARE, 0.5, 0.1, 0.9, 400),),
        ),
        "defences": make_defences(),
        "localization": make_localization(stages=2, blocks=2),
        "mitigation": make_mitigation(measured, record("noise", 1.0, 30, frechet=None, tpr=None)),
        "kept": KeptMeasurement(measured=measured.measured),
        "study": StudyResults(study="p_value", procedure="split", power=0.8, targets=(target,), **null),
        "null_study": NullStudyResults(rates=(rate,), **null),
        "benchmark": BenchmarkResults(
            target="var_d16",
            device="cpu",
            num_devices=1,
            batch_size=4,
            precision="float32",
            evaluations_per_image={"planned": {"forwards": 3}},
            peak_memory_bytes=2**34,
            stages={"load": StageSpeed(12.5, None, None, None)},
        ),
        "suite": suite(),
        "compiled": CompiledSteps(
            steps=[CompiledStep(STEP, 9, "libtpu 1", MEMORY, None, "too large", {"k": 1}, [[3, 4]], 1.0, 2.0)]
        ),
        "capacity": CapacityPlan(
            setting=STEP,
            device_memory=2**34,
            num_images=100,
            gflop_per_image=812.5,
            gbyte_per_image=1.5,
            images_per_s=90.0,
            limit="arithmetic",
            hours=0.5,
            memory=MEMORY,
            memory_from="model",
            memory_error=0.5,
            cores=1,
            disk=DiskSpace(1, 2, 3),
            price_per_hour=None,
            price=None,
            assumptions=Assumptions(1e14, 1e12, "a data sheet", 0.4, 90.0, 0.75),
        ),
        "precision": PrecisionStudy(
            platform="cpu",
            bound=0.005,
            repetitions=100,
            targets=(
                TargetPrecision(
                    target="digits_var",
                    num_members=9,
                    num_nonmembers=8,
                    scores={"diff/loss": PrecisionChange(0.7, 0.1, SHARE, SHARE, False)},
                    verdicts={"float32": JudgedPrecision("no_evidence", None)},
                ),
            ),
        ),
    }


NAMES = (
    "audit",
    "published",
    "not_testable",
    "answer",
    "plan",
    "reliability",
    "exhibit",
    "extraction",
    "unchecked",
    "regeneration",
    "leaderboard",
    "comparison",
    "published_comparison",
    "fair_sets",
    "schedules",
    "provenance",
    "provenance_study",
    "coins",
    "epsilon",
    "epsilon_study",
    "defences",
    "localization",
    "mitigation",
    "kept",
    "study",
    "null_study",
    "benchmark",
    "suite",
    "compiled",
    "capacity",
    "precision",
)


def test_these_are_the_documents():
    assert set(NAMES) == documents().keys()


def plain_audit():
    return json.loads(encode(documents()["audit"]))


def text_of(plain):
    return json.dumps(plain).encode()


def refusal(plain, kind=AuditResults):
    with pytest.raises(InputError) as error:
        decode(plain if isinstance(plain, bytes) else text_of(plain), kind, "out/results.json")
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("out/results.json ")
    return str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read_and_written_the_same(name, tmp_path):
    document = documents()[name]
    assert_round_trips(document)
    path = tmp_path / "results.json"
    write_results(path, document)
    assert read_results(path, type(document)) == document
    assert json.loads(path.read_bytes())["format"] == format_of(type(document))


def test_every_kind_of_document_is_among_these():
    kinds = {value for value in vars(records).values() if isinstance(value, type)}
    kinds = {kind for kind in kinds if issubclass(kind, Document) and kind is not Document}
    assert {type(document) for document in documents().values()} == kinds


@pytest.mark.parametrize("name", NAMES)
def test_another_format_is_refused_in_one_sentence(name):
    kind = type(documents()[name])
    plain = json.loads(encode(documents()[name]))
    current = plain["format"]
    words = refusal({**plain, "format": current - 1}, kind)
    assert f"has format {current - 1} of {kind.__name__}, and this version reads format {current}" in words
    del plain["format"]
    assert "does not say which format it has" in refusal(plain, kind)
    assert "does not say which format" in refusal({**plain, "format": True}, kind)


def test_the_results_of_the_first_release_are_refused_by_their_format():
    first = {"format": 1, "protocol": "default", "request": {}, "membership": {"selected": "cond/loss"}}
    assert "has format 1 of AuditResults" in refusal(first)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda plain: plain.update(extra=1), "unknown field `extra`"),
        (lambda plain: plain["gate"].update(extra=1), "unknown field `extra` - at `$.gate`"),
        (lambda plain: plain.pop("seed"), "missing required field `seed`"),
        (lambda plain: plain["gate"].pop("auc"), "missing required field `auc` - at `$.gate`"),
        (lambda plain: plain["gate"].update(level="0.5"), "Expected `float`, got `str` - at `$.gate.level`"),
        (lambda plain: plain.update(seed=0.5), "Expected `int`, got `float` - at `$.seed`"),
        (lambda plain: plain["finding"].update(status="guilty"), "'guilty' - at `$.finding.status`"),
        (lambda plain: plain["gate"].update(level=math.nan), "JSON is malformed"),
        (lambda plain: plain["gate"].update(level=10**400), "out of range"),
        (lambda plain: plain["dataset_inference"]["diff"].update(test="new"), "'new' - at"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(change, words):
    plain = plain_audit()
    change(plain)
    assert words in refusal(plain)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"3", b"\xff\xfe", b'{"format": 2, "protocol": "\xff"}', b"[" * 10**5]
)
def test_text_that_is_no_document_is_refused(text):
    refusal(text)


def test_a_key_that_is_not_finite_is_refused():
    plain = plain_audit()
    metrics = next(iter(plain["membership"]["per_score"].values()))
    metrics["tpr_at_fpr"]["nan"] = metrics["tpr_at_fpr"].pop("0.01")
    assert "is NaN or infinite" in refusal(plain)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match=r"results\.json cannot be read: No such file"):
        read_results(tmp_path / "results.json", AuditResults)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64(math.nan)])
def test_numbers_that_json_cannot_say_are_not_written(value, tmp_path):
    audit = documents()["audit"]
    broken = replace(audit, gate=replace(audit.gate, level=value))
    with pytest.raises(InputError, match=r"AuditResults\.gate\.level is NaN or infinite"):
        write_results(tmp_path / "results.json", broken)
    assert not list(tmp_path.iterdir())


def test_values_of_another_type_are_not_written():
    audit = documents()["audit"]
    with pytest.raises(msgspec.ValidationError, match=r"\$\.gate\.num_p"):
        encode(replace(audit, gate=replace(audit.gate, num_p="many")))
    with pytest.raises(ValueError, match="is no value of a record"):
        encode(replace(audit, provenance={"weights": np.zeros(2)}))


def test_scalars_of_numpy_are_written_as_pythons():
    audit = documents()["audit"]
    gate = replace(audit.gate, level=np.float32(0.5), num_p=np.int64(3), passed=np.bool_(True))
    again = decode(encode(replace(audit, gate=gate)), AuditResults, "memory").gate
    assert (again.level, again.num_p, again.passed) == (0.5, 3, True)
    assert [type(value) for value in (again.level, again.num_p, again.passed)] == [float, int, bool]


def test_records_cannot_be_changed():
    with pytest.raises(AttributeError, match="immutable"):
        documents()["audit"].seed = 3


def paths(plain, path=()):
    """The place of every value."""
    yield path
    items = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    for key, value in items:
        yield from paths(value, (*path, key))


SHORT = ("benchmark", "extraction", "localization", "mitigation", "null_study", "study")


@functools.cache
def plain_and_places(name):
    """A short document as plain data, and the place of every value in it."""
    plain = json.loads(encode(documents()[name]))
    return plain, [place for place in paths(plain) if place]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def check(text, kind):
    """A record that can be written again, or one sentence; any other exception fails the test."""
    try:
        record = decode(text, kind, "name")
    except InputError as error:
        sentence = str(error)
    else:
        assert_round_trips(record)
        return
    assert len(sentence.splitlines()) == 1


@given(data=st.data(), name=st.sampled_from(SHORT), how=st.sampled_from(["replace", "drop", "add"]))
@settings(max_examples=300, deadline=None)
def test_a_changed_document_is_a_record_or_one_sentence(data, name, how):
    plain, places = plain_and_places(name)
    plain = copy.deepcopy(plain)
    *path, last = data.draw(st.sampled_from(places))
    within = plain
    for key in path:
        within = within[key]
    if how == "replace":
        within[last] = data.draw(ANYTHING)
    elif how == "drop":
        del within[last]
    elif isinstance(within, dict):
        within[data.draw(st.text(max_size=5))] = data.draw(ANYTHING)
    else:
        within.append(data.draw(ANYTHING))
    check(text_of(plain), type(documents()[name]))


@given(name=st.sampled_from(SHORT), at=st.floats(0, 1), cut=st.integers(0, 9), put=st.binary(max_size=9))
@settings(max_examples=300, deadline=None)
def test_damaged_bytes_are_a_record_or_one_sentence(name, at, cut, put):
    text = encode(documents()[name])
    start = int(at * len(text))
    check(text[:start] + put + text[start + cut :], type(documents()[name]))


@pytest.mark.parametrize("room", ["results", "stats", "reports.files", "protocols"])
def test_no_jax_is_imported(room):
    code = f"import sys, jaxaudit.{room}; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
