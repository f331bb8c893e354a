"""The look of all figures: one style, one palette, and files that depend on nothing but the data.

Colour-blind readers can tell the colours apart (Okabe and Ito 2008); members have the colour of a view and
nonmembers are grey. SVG keeps text as text.
"""

import contextlib
import io
import math
from collections.abc import Iterator
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from jaxaudit.files import write_atomically
from jaxaudit.paths import Place
from jaxaudit.reports.kit.formats import Format

INK = "#1f2a37"
SOFT_INK = "#5b6776"
RULE = "#c9d0d8"
PAPER = "#ffffff"
NONMEMBERS = "#8b95a1"
VIEW_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#aa4499")
"""By view, the main one first."""

STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": SOFT_INK,
    "axes.facecolor": PAPER,
    "axes.grid": True,
    "axes.grid.which": "major",
    "axes.labelcolor": SOFT_INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "figure.dpi": 100,
    "figure.facecolor": PAPER,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "grid.alpha": 0.6,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": SOFT_INK,
    "ytick.color": SOFT_INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
}
_PNG_SCALE = 2
_MARGIN = 0.1  # inches


@contextlib.contextmanager
def house_style() -> Iterator[None]:
    """Draws what is inside the block in the house style, whatever the user's own settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        for key, value in STYLE.items():
            matplotlib.rcParams[key] = value
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches, outside pyplot's list of open ones."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def title(figure: Figure, text: str, subtitle: str) -> None:
    """What is seen, in bold, above what it was seen on."""
    width, height = figure.get_size_inches()
    left = _MARGIN / width
    figure.text(left, 1 - 0.13 / height, text, fontsize=11.5, fontweight="bold", va="top")
    figure.text(left, 1 - 0.40 / height, subtitle, fontsize=9, color=SOFT_INK, va="top")


def quiet(axes: Axes, *, grid: Literal["x", "y", "both"]) -> None:
    """Leaves grid lines along one axis ("x", "y") or "both" only."""
    axes.grid(False)
    axes.grid(True, axis=grid)
    axes.tick_params(which="both", length=0)


def log_ticks(axis: Axis, low: float, high: float, number: Format) -> None:
    """Powers of ten, not each of them where there are many, with 2 and 5 in between where there are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    if math.log10(high / low) < 3.1:
        ticks = [step * 10.0**k for k in range(first, last + 1) for step in (1, 2, 5)]
    else:
        every = 1 + (last - first) // 8
        ticks = [10.0**k for k in range(last, first - 1, -every)]
    axis.set_major_locator(
        FixedLocator([tick for tick in ticks if low <= tick * 1.0001 and tick <= high * 1.0001])
    )
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def to_svg(figure: Figure, name: str) -> str:
    """The figure as SVG text: the same data give the same bytes. `name` keeps its ids apart from others'."""
    buffer = io.StringIO()
    with house_style():
        matplotlib.rcParams["svg.hashsalt"] = name
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def save(figure: Figure, directory: Place, name: str) -> list[Place]:
    """Writes NAME.png at twice the resolution, and NAME.svg, each whole or not at all."""
    png, svg = directory / f"{name}.png", directory / f"{name}.svg"
    with house_style():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_PNG_SCALE * figure.dpi, metadata={"Software": None})
    write_atomically(png, buffer.getbuffer())
    write_atomically(svg, to_svg(figure, name).encode())
    return [png, svg]
