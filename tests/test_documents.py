"""What the documents for people who change jaxaudit say is so."""

import configparser
import dataclasses
import json
import pathlib
import re
import textwrap

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxaudit import results
from jaxaudit.attacks import discrete, registry
from jaxaudit.data import open_source, spec
from jaxaudit.evidence import table, units
from jaxaudit_kernels import processes
from jaxaudit_kernels.likelihood import TokenStatistics

ROOT = pathlib.Path(__file__).parent.parent


def test_the_architecture_names_the_layers_that_are_checked():
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    checked = contracts["importlinter:contract:one-way"]["layers"].split("\n")[1:]
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = re.search(r"<!-- layers -->\n```text\n(.*?)\n```", text, re.DOTALL).group(1)
    assert named.split("\n") == checked


def test_the_architecture_names_every_room():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = [path.parent for path in (ROOT / "jaxaudit").glob("*/__init__.py")]
    assert len(rooms) > 10
    for room in rooms:
        assert f"| `jaxaudit/{room.name}/` |" in text, room.name
    for room in re.findall(r"^\| `([a-z_/]+)/` \|", text, re.MULTILINE):
        assert (ROOT / room).is_dir(), room


def example(heading):
    """The first Python of a section of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text().partition(f"### {heading}\n")[2]
    return textwrap.dedent(re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1))


def test_the_example_of_a_score_is_one(monkeypatch):
    monkeypatch.setattr(registry, "_SCORES", dict(registry._SCORES))
    exec(example("Add a score"), dict(vars(discrete)))
    scores = registry.get_scores("*/max_log_prob")
    assert [score.name for score in scores] == ["cond/max_log_prob", "diff/max_log_prob"]
    rows = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5)), jnp.float32)
    counts = jnp.zeros((3, 5), jnp.int32)
    found = scores[0].function(TokenStatistics(rows, rows, counts, rows, rows, counts))
    np.testing.assert_array_equal(found, [max(row) for row in rows.tolist()])


def test_the_example_of_a_process_is_one():
    names = dict(vars(processes))
    exec(example("Add a diffusion process"), names)
    process = names["exploding"](3, first=0.5, last=2.0)
    np.testing.assert_allclose(process.alphas_cumprod, [1 / (1 + spread**2) for spread in (0.5, 1.0, 2.0)])
    np.testing.assert_allclose(np.exp(4 * process.times), [0.5, 1.0, 2.0])
    assert process.predicts_noise


def test_the_example_of_a_source_is_one(monkeypatch, tmp_path):
    names = {}
    exec(example("Add a data source"), names)
    monkeypatch.setitem(spec._OPENERS, "csv", (names["open_csv"], ()))
    for value in range(3):
        Image.new("RGB", (8, 8), (value, 0, 0)).save(tmp_path / f"{value}.png")
    (tmp_path / "list.csv").write_text("2.png,5\n0.png,1\n1.png,7\n")
    source = open_source(f"csv:{tmp_path}/list.csv[:2]")
    assert [(sample.id, sample.image[0, 0, 0], sample.label) for sample in map(source.load, range(2))] == [
        ("2.png", 2, 5),
        ("0.png", 0, 1),
    ]


def test_the_formats_of_results_are_those_that_are_written():
    text = (ROOT / "docs/formats/results.md").read_text()
    rows = set(re.findall(r"\| \[(\w+)\]\(#\w+\) \| (\d+) \|$", text, re.MULTILINE))
    named = dict(rows)
    assert len(named) == len(rows)  # no type with two formats
    kinds = (getattr(results, name) for name in results.__all__)
    kinds = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, results.Document)]
    expected = {kind.__name__: str(results.format_of(kind)) for kind in kinds if kind is not results.Document}
    assert named == expected


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text()
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    for address in re.findall(r"\]\((?!http)([^)]+)\)", text):
        file, _, anchor = address.partition("#")
        assert (ROOT / file).exists(), address
        assert file or anchor in headings, address


def test_files_named_in_the_examples_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:jaxaudit|tests|kernels|checkpoints_convert)/[a-z_/]+(?:\.py|/))`", text)
    new = {"jaxaudit/data/listing.py"}
    assert len(named) > 10
    for path in set(named) - new:
        if not path.endswith(("/x.py", "_x.py")):
            assert (ROOT / path).exists(), path


def page(name):
    return (ROOT / "docs" / "formats" / f"{name}.md").read_text()


def test_the_format_of_targets_is_described():
    for file in (ROOT / "jaxaudit" / "builtin").glob("*/target.json"):
        record = json.loads(file.read_text())
        assert f"| `format` | {record['format']} |" in page("targets")
        for field in [*record, *record["preprocessing"]]:
            assert f"`{field}`" in page("targets"), field


def test_the_format_of_maps_is_described():
    fields = {field.name for field in dataclasses.fields(units.UnitMap)} - {"axis"}
    for field in fields | {field.name for field in dataclasses.fields(units.UnitAxis)}:
        assert f"`{field}`" in page("units"), field
    assert f"| `format` | | {units.FORMAT};" in page("units")
    assert f'"{units.UNITS.name}"' in page("units")


def test_the_format_of_evidence_is_described():
    contents = table.EVIDENCE
    assert f"| `format` | {contents.format};" in page("evidence")
    assert f'`"{contents.name}"`' in page("evidence")
    for field in dataclasses.fields(table.Columns):
        assert f"`columns.{field.name}`" in page("evidence"), field.name
