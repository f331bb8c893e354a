"""Captions that lie beside picture files."""

import json

import pytest
from PIL import Image

from jaxaudit.data import open_source
from jaxaudit.errors import InputError


@pytest.fixture
def folder(tmp_path):
    for name in ("1.png", "b/2.png", "b/c/3.png"):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    return tmp_path / "pictures"


def opened(folder, options=""):
    return open_source(f"folder:{folder}?label=0{options}")


def lines(*values):
    return "\n".join(json.dumps(value) for value in values)


def test_a_folder_without_captions_has_none(folder):
    source = opened(folder)
    assert source.captions == {}
    assert source.load(0).caption is None


def test_metadata_names_pictures_from_where_it_lies(folder):
    (folder / "metadata.jsonl").write_text(
        lines(
            {"file_name": "1.png", "text": "eins — é", "width": 4},
            {"file_name": "./b/2.png", "caption": "zwei"},
        )
        + "\n\n"
    )
    (folder / "b" / "c" / "metadata.jsonl").write_text(lines({"file_name": "3.png", "text": ""}))
    source = opened(folder)
    captions = {"1.png": "eins — é", "b/2.png": "zwei", "b/c/3.png": ""}
    assert {source.load(i).id: source.load(i).caption for i in range(3)} == captions
    part = source.take([2, 0])
    assert [part.load(i).caption for i in range(2)] == ["", "eins — é"]


def test_lines_of_text_with_a_tab(folder):
    (folder / "b" / "captions.txt").write_text(
        "2.png\ttwo\tor more \n\nc/3.png\tthree\nnot/there.png\tnobody"
    )
    source = opened(folder)
    assert [source.load(i).caption for i in range(3)] == [None, "two\tor more ", "three"]


def test_captions_may_lie_elsewhere(folder, tmp_path):
    (folder / "metadata.jsonl").write_text(lines({"file_name": "1.png", "text": "beside"}))
    (tmp_path / "said.txt").write_text("1.png\telsewhere")
    assert opened(folder, f"&captions={tmp_path / 'said.txt'}").load(0).caption == "elsewhere"


def test_metadata_of_other_things_are_no_captions(folder):
    (folder / "metadata.jsonl").write_text(lines({"file_name": "1.png", "objects": [1, 2]}))
    assert opened(folder).captions == {}


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("metadata.jsonl", b'{"file_name": "1.png"', "line 1 is no JSON"),
        ("metadata.jsonl", b'\n{"text": "a"}', 'line 2 has no "file_name"'),
        ("metadata.jsonl", b'["1.png", "a"]', 'line 1 has no "file_name"'),
        (
            "metadata.jsonl",
            lines({"file_name": "1.png", "text": ["a", "b"]}).encode(),
            r"line 1: \"text\" is \['a', 'b'\]; expected one text",
        ),
        (
            "metadata.jsonl",
            lines(*[{"file_name": "1.png", "text": "a"}] * 2).encode(),
            "line 2: '1.png' has a caption already",
        ),
        ("captions.txt", b"1.png a cat", "line 1 has no tab"),
        ("captions.txt", b"1.png\ta\n1.png\tb", "line 2: '1.png' has a caption already"),
        ("captions.txt", b"./1.png\ta\n1.png\tb", "line 2: '1.png' has a caption already"),
        ("metadata.jsonl", b'{"file_name": "1.png", "text": "\\ud800"}', "line 1 holds half a character"),
        ("captions.txt", b"1.png\t\xff", "captions .*captions.txt cannot be read: .* codec"),
    ],
)
def test_errors_name_file_and_line(folder, file, content, message):
    (folder / file).write_bytes(content)
    with pytest.raises(InputError, match=message):
        opened(folder)


def test_two_files_about_one_picture_are_refused(folder):
    (folder / "captions.txt").write_text("b/2.png\tone")
    (folder / "b" / "metadata.jsonl").write_text(lines({"file_name": "2.png", "text": "another"}))
    with pytest.raises(InputError, match=r"b/metadata.jsonl gives 'b/2.png' a second caption; keep one"):
        opened(folder)


def test_a_missing_file_is_named(folder):
    with pytest.raises(InputError, match="The captions /no/such cannot be read"):
        opened(folder, "&captions=/no/such")
