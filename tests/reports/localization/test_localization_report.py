import io

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from jaxaudit.reports.localization.figures import draw_localization, localization_figures
from jaxaudit.reports.localization.page import render_localization
from jaxaudit.reports.localization.rows import print_localization
from jaxaudit.results import Localization, LocalizationResults, TargetFacts, replace
from jaxaudit.results.localization import (
    Agreement,
    ClassShare,
    Control,
    FiringPicture,
    TopUnit,
    ViewsFacts,
)


def make_results(stages=10, blocks=30, classes=3, subsets=3, **changes):
    rng = np.random.default_rng(0)
    names = [f"scale {i + 1}" for i in range(stages)] if stages > 1 else ["all tokens"]
    unit = TopUnit(
        stage=names[-1],
        layer=f"block {blocks - 1}",
        unit=5,
        unit_mem=0.98,
        class_mem=0.4,
        maximum=1.5,
        rest=0.01,
        picture="folder/<b>.png",
        label=2,
    )

    def cells(power=1):
        return tuple(map(tuple, (rng.random((stages, blocks)) ** power).tolist()))

    found = Localization(
        stages=tuple(names),
        layers=tuple(f"block {i}" for i in range(blocks)),
        widths=tuple(64 + i for i in range(blocks)),
        num_pictures=1000,
        top=0.01,
        threshold=0.9,
        mean=cells(),
        high=cells(),
        top_share=cells(4),
        class_mean=cells(),
        shared=0.4,
        faint=0.25,
        top_units=(unit,),
        pictures=(FiringPicture(picture=unit.picture, label=2, num_units=7),),
        num_firing=12,
        classes=tuple(
            ClassShare(label=i, pictures=1 / classes, top_units=2 * (i + 1) / (classes * (classes + 1)))
            for i in range(classes)
        ),
        agreement=tuple(
            Agreement(subset=(i + 1) / subsets, size=100 * (i + 1), spearman=0.5 + i / 10, overlap=0.4)
            for i in range(subsets)
        ),
        control=Control(
            num_members=1000,
            num_nonmembers=500,
            num_units=80,
            num_firing=70,
            share=0.9,
            chance=2 / 3,
            low=0.5,
            high=0.8,
            p_value=0.001,
        ),
    )
    return LocalizationResults(
        target=TargetFacts(
            name="tiny & small", family="var", fingerprint="f00", num_params=10, num_classes=3
        ),
        source="digits:members",
        ids_sha256="abc",
        control_source="digits:nonmembers",
        subsets=(0.01, 0.1, 1.0),
        seed=0,
        views=ViewsFacts(num_views=10, flip=False),
        timestep=None,
        mask_ratio=0.86,
        precision="float32",
        versions={"jax": "0.10"},
        localization=replace(found, **changes),
    )


@pytest.fixture(scope="module")
def png():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ({"stages": 10, "blocks": 30}, ["map", "classes", "agreement"]),
        ({"stages": 4, "blocks": 2, "classes": 40}, ["map", "classes", "agreement"]),
        ({"stages": 1, "blocks": 24, "classes": 1, "subsets": 1}, ["map"]),
        ({"stages": 1, "blocks": 2, "classes": 1, "subsets": 1}, ["map"]),
    ],
)
def test_there_is_a_figure_for_what_was_measured(shape, names):
    assert list(localization_figures(make_results(**shape))) == names


def test_the_map_names_the_place_with_the_most_top_units():
    highest = ((0.1, 0.2, 0.1, 0.1), (0.1, 0.1, 2.0, 0.1), (0.3, 0.1, 0.1, 0.1))
    results = make_results(stages=3, blocks=4, top_share=highest)
    assert "scale 2, block 2" in localization_figures(results)["map"].texts[0].get_text()


def test_layers_are_counted_where_their_names_do_and_by_their_places_elsewhere():
    results = make_results(stages=1, blocks=3)
    axes = localization_figures(results)["map"].axes[0]
    assert (axes.get_xlabel(), [t.get_text() for t in axes.get_xticklabels()]) == ("block", ["0", "1", "2"])
    results = make_results(stages=1, blocks=3, layers=("in block 0", "mid block", "out block 0"))
    figure = localization_figures(results)["map"]
    assert figure.axes[0].get_xlabel() == "hidden layer, in order"
    assert "3 layers, 195 hidden units" in figure.texts[1].get_text()


def test_figures_are_written_the_same_every_time(tmp_path):
    results = make_results()
    first, second = (draw_localization(results, tmp_path / name) for name in "ab")
    assert [path.name for path in first] == [
        f"{name}.{kind}" for name in ("map", "classes", "agreement") for kind in ("png", "svg")
    ]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_page_shows_units_pictures_control_and_its_limits(png):
    results = replace(make_results(), skipped={"members": {"x.png": "it is torn"}})
    page = render_localization(results, {"folder/<b>.png": png})
    assert page == render_localization(results, {"folder/<b>.png": png})
    for words in (
        "tiny &amp; small",
        "scale 10, block 29, unit 5",
        "folder/&lt;b&gt;.png",
        "7 units",
        "data:image/png;base64,",
        "70 pictures fire a top unit, and 90.0% of them are training pictures (by chance 66.7%",
        "40.0% of all units: several pictures fire them alike",
        "25.0% of all units: they hardly fire at all",
        "not that training made it so",
        "2509.00488",
        "x.png: it is torn",
    ):
        assert words in page
    assert "<script" not in page


def test_what_was_not_measured_is_left_out(png):
    shape = {"stages": 1, "blocks": 2, "classes": 1, "subsets": 1}
    unit = replace(make_results(**shape).localization.top_units[0], class_mem=None)
    results = make_results(**shape, control=None, class_mean=None, shared=0.0, faint=0.0, top_units=(unit,))
    page = render_localization(results, {"folder/<b>.png": png})
    for words in ("ClassMem is", "unseen pictures in the pool", "of all units:", "Would fewer pictures do?"):
        assert words not in page


def test_the_terminal_shows_the_main_numbers():
    console = Console(width=100, record=True, file=io.StringIO())
    skipped = {"members": {"x.png": "it is torn"}}
    print_localization(replace(make_results(), skipped=skipped), console)
    text = console.export_text()
    assert "x.png: it is torn" in text
    assert "fired by 12 pictures" in text
    assert "0.980" in text
