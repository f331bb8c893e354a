"""The table and figure of a study."""

from jaxaudit.reports.files import write_provenance_study
from jaxaudit.reports.provenance.confusion import study_markdown
from jaxaudit.results import Interval, KnownSet, NullProvenance, ProvenanceStudy, StudiedProvenance

NONE, MOST = Interval(0.0, 0.0, 0.04), Interval(0.73, 0.63, 0.81)


def study():
    def known(name, generated):
        return KnownSet(name, "what it is", 100, generated, NONE, NONE, {"search": 0.9}, "nothing_shown", 0.0)

    sets = (known("unseen", NONE), known("jpeg_90", MOST))
    null = NullProvenance(NONE, NONE, NONE, 100, 400, 1000)
    studied = tuple(StudiedProvenance(name, "search", "diff/icas", sets, null) for name in ("one", "another"))
    return ProvenanceStudy(
        q=0.05, confidence=0.99, seed=0, targets=studied, refused={"three": "three generates pixels."}
    )


def test_every_set_and_every_refusal_is_there(tmp_path):
    text = study_markdown(study())
    assert text.count("| jpeg 90 | 100 | 73.0% | 0% |") == 2
    assert "| another | 0% (0% to 4.0%) |" in text
    assert "three generates pixels." in text
    files = write_provenance_study(study(), tmp_path)
    assert {path.name for path in files} == {
        "provenance.json", "provenance.md", "confusion.png", "confusion.svg",
    }  # fmt: skip
