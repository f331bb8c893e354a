"""What the README says can be done, can be done."""

import importlib.util
import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


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
        assert (ROOT / file).is_file(), file


def test_the_table_of_targets_is_that_of_the_families():
    spec = importlib.util.spec_from_file_location("targets", ROOT / "docs" / "hooks" / "targets.py")
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    table = README.partition(hook.BEGIN)[2].partition(f"\n{hook.END}")[0]
    assert table == hook.table(), "python docs/hooks/targets.py writes it"


def test_every_score_named_exists():
    from jaxaudit.attacks.registry import get_scores

    for name in re.findall(r"`((?:cond|diff)/[a-z0-9_]+)`", README):
        assert get_scores(name)
    table = README.partition("## Scores")[2].partition("##")[0]
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        for pattern in re.findall(r"`([a-z_{}*]+)`", row):
            assert get_scores(f"diff/{re.sub(r'{.}', '*', pattern)}")
