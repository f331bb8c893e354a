from jaxaudit.evidence import UNITS, claim
from tests.experiments.captured import run


def test_units_are_scaled_by_the_map_of_the_same_target_only(tmp_path):
    another = {"family": "var", "fingerprint": "another", "num_params": 3, "num_classes": 10}
    claim(tmp_path, UNITS, {"target": another})
    process = run("mitigate", units=tmp_path, out=tmp_path / "out")
    assert process.returncode == 2, process.stderr
    assert "the map of another target than digits_var" in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1
