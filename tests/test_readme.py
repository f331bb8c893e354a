"""What the README says can be done, can be done."""

import pathlib
import re

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text()


def test_the_library_example_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    tpr, p_value = map(float, capsys.readouterr().out.split())
    assert 0 < tpr <= 1
    assert 0 < p_value <= 0.01


def test_every_target_and_file_named_exists():
    from jaxaudit.checkpoint import builtin_names
    from jaxaudit.families import FAMILIES

    known = {*builtin_names(), *(name for family in FAMILIES.values() for name in family.VARIANTS)}
    table = README.partition("## Targets")[2].partition("##")[0]
    named = re.findall(r"`([a-z]+_[a-z0-9_]+)`", table)
    assert len(named) >= 6
    assert set(named) <= known
    for file in re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", README):
        assert (pathlib.Path(__file__).parent.parent / file).is_file(), file


def test_every_score_named_exists():
    from jaxaudit.attacks.registry import get_scores

    for name in re.findall(r"`((?:cond|diff)/[a-z0-9_]+)`", README):
        assert get_scores(name)
    table = README.partition("## Scores")[2].partition("##")[0]
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        for pattern in re.findall(r"`([a-z_{}*]+)`", row):
            assert get_scores(f"diff/{re.sub(r'{.}', '*', pattern)}")
