"""Any text names a source or is refused in a sentence; any name of a file becomes an id of its own."""

import os
import string
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxaudit.data import open_source
from jaxaudit.data.folder import open_folder
from jaxaudit.errors import InputError, one_line

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NUMBERS = st.none() | st.integers(-40, 40) | st.sampled_from([10**30, -(10**30)])
MARKUP = st.text(st.sampled_from(string.ascii_letters + "[]/\\\n\r\t\x1b$%&=?:{}é\u202e"), max_size=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "0"
    path.mkdir()
    for place in range(12):
        Image.fromarray(np.full((4, 4, 3), place, np.uint8)).save(path / f"{place}.png")
    return path.parent


@given(
    NUMBERS, NUMBERS, NUMBERS, MARKUP.filter(lambda seed: seed and not set(seed) & set("&=[]")), st.booleans()
)
@FEW
def test_a_slice_of_a_shuffled_source_is_python_s(folder, start, stop, step, seed, slice_first):
    """Whatever the seed, which is text; or it is empty and says so."""
    rows = "[" + ":".join("" if each is None else str(each) for each in (start, stop, step)) + "]"
    options = f"?shuffle={seed}"
    spec = f"folder:{folder}" + (rows + options if slice_first else options + rows)
    whole = open_source(f"folder:{folder}{options}")
    assert sorted(whole.ids) == sorted(open_source(f"folder:{folder}").ids)
    if step == 0 or not whole.ids[start:stop:step]:
        with pytest.raises(InputError, match=r"slice of step 0|is empty: \[.*\] of 12 pictures"):
            open_source(spec)
        return
    found = open_source(spec)
    assert list(found.ids) == whole.ids[start:stop:step]
    assert found.ids[0] == f"0/{found.load(0).image[0, 0, 0]}.png"


@given(
    st.sampled_from(["", "folder:", "digits:", "npz:", "tfds:", "digits:members", "digits:members?"]), MARKUP
)
@FEW
def test_any_other_text_is_a_source_or_one_sentence(start, rest):
    try:
        opened = open_source(start + rest)
    except InputError as error:
        lines = [one_line(error.sentence), *error.details]
    else:
        lines = [opened.spec.partition(":")[0]]
    assert len(lines) == len("".join(lines).splitlines()) == 1


@given(st.sets(st.binary(min_size=1, max_size=6).filter(lambda name: not set(name) & {0, 47}), max_size=8))
@FEW
def test_different_names_have_different_ids_of_plain_text(names):
    paths = [os.fsdecode(name) + ".png" for name in names] + [r"\xff.png", os.fsdecode(b"\xff.png")]
    with (
        mock.patch("jaxaudit.data.folder._pictures", return_value=iter(paths)),
        mock.patch("os.path.isdir", return_value=True),
    ):
        ids = open_folder("somewhere", {}).ids
    assert len(set(ids)) == len(set(paths))
    assert all(each.encode("utf-8") for each in ids)  # no surrogates


def test_names_with_markup_and_line_breaks_are_shown_as_they_are(tmp_path, capsys):
    from jaxaudit import cli

    cli.terminal().print("Left out a[/b]:smile:\\[bold].png", soft_wrap=True)
    assert capsys.readouterr().out == "Left out a[/b]:smile:\\[bold].png\n"
