"""What the documents for people who change jaxaudit say is so."""

import configparser
import pathlib
import re

import pytest

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
    new = {"jaxaudit/data/csv.py", "tests/models/test_x.py"}
    assert len(named) > 10
    for path in set(named) - new:
        if not path.endswith("/x.py"):
            assert (ROOT / path).exists(), path
