import pytest

from jaxaudit.checkpoint import save_target
from jaxaudit.evidence import UnitMap
from jaxaudit.results import LocalizationResults
from tests import tiny
from tests.experiments.captured import run
from tests.results.round_trip import read_back


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    directory = tmp_path_factory.mktemp("targets") / "tiny"
    target = tiny.rar_target()
    save_target(
        directory,
        family="rar",
        config=tiny.RAR_CONFIG,
        params=target.params,
        preprocessing=target.preprocessing,
        provenance={},
    )
    return directory


def test_a_localisation_leaves_units_pictures_figures_and_report(target, tmp_path):
    process = run("localize", target=target, subsets="0.02,0.05", num_views=2, top=0.1, out=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    assert "unseen pictures in the pool" in process.stdout
    found = read_back(tmp_path / "results.json", LocalizationResults).localization
    units = UnitMap.load(tmp_path / "units")
    assert found.num_pictures == len(units.ids) == 50
    assert found.control.num_nonmembers == 50
    assert len(found.agreement) == 2
    assert len(list((tmp_path / "pictures").iterdir())) == len(found.pictures) > 0
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"{name}.{kind}" for name in ("map", "classes", "agreement") for kind in ("png", "svg")
    }
    page = (tmp_path / "report.html").read_text()
    assert found.pictures[0].picture in page


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"subsets": "1%"}, "--subsets=1% are no numbers"),
        ({"timestep": 5}, "timestep=5 does not apply"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(target, tmp_path, flags, words):
    process = run("localize", target=target, out=tmp_path, **flags)
    assert process.returncode == 2, process.stdout + process.stderr
    assert words in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1
