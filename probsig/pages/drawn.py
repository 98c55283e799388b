"""The numbers that a figure shows, as comma-separated values: read off the figure, so that none can be another's.

A row is a point of something drawn: a point of a line or a scatter, a bar, a cell of a heatmap, an end of an error bar
or of a band. A title and the labels of the axes stand in the first row of their panel; names of ticks and texts beside
points are rows too. What has no label is called as the text or the sign of the legend in its colour is, if there is
one, else by its kind. Numbers have 5 significant digits. What is drawn in fractions of a panel, as one end of a line
through all of it, has an empty place.

Of more than `MOST` points the longest series keep each k-th, and the column `every` says k.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.category import StrCategoryLocator
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon, Rectangle, StepPatch
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FixedLocator
from numpy.typing import ArrayLike, NDArray

from probsig.pages.words import significant

MIME = "application/gzip"  # in the outputs of a notebook, packed as its pictures are: a fifth of the size
COLUMNS = ("panel", "title", "x label", "y label", "kind", "series", "every", "x", "y", "value")
MOST = 10_000  # points of a figure
TEXTS = ("text", "x tick", "y tick")


class Series(NamedTuple):
    """Something drawn: its kind, its name or "", and its points (n, 3) as x, y and value, nan where there is none."""

    kind: str
    name: str
    points: NDArray[np.float64]


def table(figure: Figure) -> str:
    r"""The numbers of a figure, with a head; panels without any are not counted.

    >>> from matplotlib.figure import Figure
    >>> figure = Figure()
    >>> _ = figure.subplots().plot([1, 2], [0.123456, 4], label="=a")
    >>> print(table(figure).replace("\r", ""))
    panel,title,x label,y label,kind,series,every,x,y,value
    1,,,,line,'=a,1,1,0.12346,
    1,,,,line,'=a,1,2,4,
    <BLANKLINE>
    """
    bars = {shown.colorbar.ax for shown in _coloured(figure) if shown.colorbar is not None}
    panels = [(ax, found) for ax in figure.axes if ax not in bars and (found := list(_named(ax)))]
    cap = MOST
    while cap > 1 and sum(len(one.points[:: _every(one, cap)]) for _, found in panels for one in found) > MOST:
        cap -= -(-cap // 10)
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(COLUMNS)
    for number, (ax, found) in enumerate(panels, 1):
        said = [_text(words) for words in (ax.get_title(), ax.get_xlabel(), ax.get_ylabel())]
        for one in found:
            every = _every(one, cap)
            for point in one.points[::every]:
                writer.writerow([number, *said, one.kind, _text(one.name), every, *map(_number, point)])
                said = ["", "", ""]
    return lines.getvalue()


def bundle(figure: Figure) -> dict[str, str]:
    """The `table` of a figure as a notebook keeps it beside the picture; `unpacked` is its inverse."""
    return {MIME: base64.b64encode(gzip.compress(table(figure).encode(), mtime=0)).decode()}


def unpacked(kept: str) -> bytes:
    """The file that `bundle` packed.

    >>> from matplotlib.figure import Figure
    >>> unpacked(bundle(Figure())[MIME])
    b'panel,title,x label,y label,kind,series,every,x,y,value\\r\\n'
    """
    return gzip.decompress(base64.b64decode(kept))


def _every(series: Series, cap: int) -> int:
    return max(1, -(-len(series.points) // cap))


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{significant(float(value), 5) + 0.0:.15g}"


def _text(words: str) -> str:
    """Words that a spreadsheet reads as words; a number stays one."""
    try:
        float(words)
    except ValueError:
        return f"'{words}" if words.startswith(("=", "+", "-", "@", "\t", "\r")) else words
    return words


def _coloured(figure: Figure) -> list[Any]:
    return [one for ax in figure.axes for one in (*ax.images, *ax.collections)]


def _named(ax: Axes) -> Iterator[Series]:
    """All that is drawn in a panel, no two series of a kind called the same."""
    seen: Counter[tuple[str, str]] = Counter()
    for one in _drawn(ax):
        if len(one.points):
            seen[one[:2]] += 1
            again = seen[one[:2]] if one.kind not in TEXTS else 1
            yield Series(one.kind, (one.name or one.kind) + (f" {again}" if again > 1 else ""), one.points)


def _drawn(ax: Axes) -> Iterator[Series]:
    held = {id(one): box.get_label() for box in ax.containers for one in box.get_children() if box.get_label()}
    caps = {id(cap) for box in ax.containers if isinstance(box, ErrorbarContainer) for cap in box.lines[1]}
    colours = _by_colour(ax, held)

    def name(artist: Artist) -> str:
        said = str(held.get(id(artist)) or artist.get_label())
        return said if not said.startswith("_") else colours.get(_colour(artist), "")

    for line in ax.lines:
        if id(line) not in caps and line.get_visible():
            kind = "points" if line.get_linestyle() in ("None", "", " ") else "line"
            points = _points(ax, line.get_transform(), line.get_xdata(orig=False), line.get_ydata(orig=False))
            yield Series(kind, name(line), points)
    for shown in ax.collections:
        if isinstance(shown, PathCollection):
            x, y = np.ma.filled(np.ma.asarray(shown.get_offsets(), dtype=float), np.nan).T
            yield Series("points", name(shown), _points(ax, shown.get_offset_transform(), x, y, shown.get_array()))
        elif isinstance(shown, LineCollection) and shown.get_segments():
            x, y = np.concatenate(shown.get_segments()).T
            yield Series("segment", name(shown), _points(ax, shown.get_transform(), x, y))
        elif isinstance(shown, PolyCollection):
            for kind, end in (("band low", np.min), ("band high", np.max)):
                corners = np.concatenate([path.vertices for path in shown.get_paths()] or [np.empty((0, 2))])
                x = np.unique(corners[:, 0])
                y = [end(corners[corners[:, 0] == at, 1]) for at in x]
                yield Series(kind, name(shown), _points(ax, shown.get_transform(), x, y))
    bars = {id(bar) for box in ax.containers if isinstance(box, BarContainer) for bar in box}
    yield from _bars(ax, name)
    for patch in ax.patches:
        if isinstance(patch, StepPatch):
            values, edges, _ = patch.get_data()
            yield Series("steps", name(patch), _points(ax, ax.transData, edges, [*values, values[-1]]))
        elif isinstance(patch, Polygon):
            yield Series("outline", name(patch), _points(ax, patch.get_data_transform(), *patch.get_xy().T))
        elif isinstance(patch, Rectangle) and id(patch) not in bars:
            corners = patch.get_bbox().get_points()
            yield Series("box", name(patch), _points(ax, patch.get_data_transform(), *corners.T))
    for image in ax.images:
        values = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
        if values.ndim == 2:
            left, right, *ends = image.get_extent()
            first, last = ends if image.origin == "lower" else ends[::-1]
            y, x = ((np.arange(n) + 0.5) / n for n in values.shape)
            x, y = np.meshgrid(left + x * (right - left), first + y * (last - first))
            cells = _points(ax, ax.transData, x.ravel(), y.ravel(), values.ravel())
            yield Series("cell", _scale(image), cells[np.isfinite(cells[:, 2])])
    yield from _texts(ax)


def _points(ax: Axes, transform: Any, x: ArrayLike, y: ArrayLike, value: ArrayLike | None = None) -> NDArray[Any]:
    """Points (n, 3) that are drawn; a place that is none in the data is nan, and points that are the same then are one.

    What has neither place in the data, as an ornament of the panel, has no points.
    """
    columns: list[NDArray[Any]] = [np.ma.filled(np.ma.asarray(part, dtype=float), np.nan) for part in (x, y)]
    real = np.array(transform.contains_branch_seperately(ax.transData))
    points = np.full((len(columns[0]), 3), np.nan)
    points[:, :2][:, real] = np.transpose(columns)[:, real]
    if value is not None:
        points[:, 2] = value
    points = points[np.isfinite(points[:, :2][:, real]).all(axis=1) & real.any()]
    once = np.unique(points[:, :2][:, real], axis=0, return_index=True)[1]
    return points if real.all() else points[np.sort(once)]


def _bars(ax: Axes, name: Any) -> Iterator[Series]:
    """Bars: the middle of their end, and as value their length."""
    for box in ax.containers:
        if isinstance(box, BarContainer) and len(box):
            at = np.array([(bar.get_x(), bar.get_y(), bar.get_width(), bar.get_height()) for bar in box])
            x, y, wide, high = at.T
            upright = box.orientation != "horizontal"
            ends = (x + wide / 2, y + high, high) if upright else (x + wide, y + high / 2, wide)
            yield Series("bar", name(box[0]), np.column_stack(ends))


def _texts(ax: Axes) -> Iterator[Series]:
    for text in ax.texts:
        if text.get_text().strip() and text.get_visible():
            if isinstance(text, Annotation):
                at, transform = text.xy, ax.transData if text.xycoords == "data" else ax.transAxes
            else:
                at, transform = text.get_position(), text.get_transform()
            x, y = ax.convert_xunits(at[0]), ax.convert_yunits(at[1])
            yield Series("text", text.get_text(), _points(ax, transform, [x], [y]))
    for kind, axis in (("x tick", ax.xaxis), ("y tick", ax.yaxis)):
        if isinstance(axis.get_major_locator(), FixedLocator | StrCategoryLocator):
            for at, label in zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=False):
                if (said := label.get_text()) and not _says(said, at):
                    place = (at, np.nan) if kind == "x tick" else (np.nan, at)
                    yield Series(kind, said, np.array([[*place, np.nan]]))


def _says(words: str, number: float) -> bool:
    try:
        return math.isclose(float(words.replace("−", "-")), number)
    except ValueError:
        return False


def _scale(image: Any) -> str:
    """What the colour bar of an image is of; panels that share its scale share it."""
    bars = [one.colorbar.ax for one in _coloured(image.get_figure(root=True)) if one.colorbar and _same(one, image)]
    found = {bar.get_ylabel() or bar.get_xlabel() for bar in bars}
    return found.pop() if len(found) == 1 else ""


def _same(one: Any, other: Any) -> bool:
    return one.get_clim() == other.get_clim() and one.get_cmap().name == other.get_cmap().name


def _by_colour(ax: Axes, held: dict[int, Any]) -> dict[str, str]:
    """The name of each colour that has one: of labels, of the legend's signs, else of texts."""
    legend = ax.get_legend()
    signs = [] if legend is None else [(sign, sign.get_label()) for sign in legend.legend_handles if sign is not None]
    drawn = [(one, held.get(id(one)) or one.get_label()) for one in (*ax.lines, *ax.collections, *ax.patches)]
    found: dict[str, str] = {}
    for some in ([*signs, *drawn], [(text, text.get_text()) for text in ax.texts]):
        names: dict[str, set[str]] = {}
        for artist, said in some:
            if said and not str(said).startswith("_") and (colour := _colour(artist)):
                names.setdefault(colour, set()).add(str(said))
        found = {colour: told.pop() for colour, told in names.items() if len(told) == 1} | found
    return found


def _colour(artist: Artist) -> str:
    """The one colour of what is drawn, without how far it shows through; "" where it has several."""
    if isinstance(artist, Line2D | Text):
        return to_hex(artist.get_color())
    both = [getattr(artist, f"get_{part}color")() for part in ("face", "edge") if hasattr(artist, f"get_{part}color")]
    for colours in both:
        some = {to_hex(one) for one in np.atleast_2d(np.asarray(colours, dtype=float)) if len(one) == 4 and one[3] > 0}
        if some:
            return some.pop() if len(some) == 1 else ""
    return ""
