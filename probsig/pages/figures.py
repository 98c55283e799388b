"""Panels in one style: heatmaps of cosines, tokens in the plane, curves with a band over seeds, orders of residuals.

The book's column is 700 px wide and a telephone shows it at 400, so figures are 6.5 inches wide with letters of about
11 points. Colours are from Okabe and Ito's set and viridis, which colour-blind readers tell apart; a task is a colour,
a model a line style, and both mean the same on every page. Pictures are PNG without a date or a program's name, so that
the same numbers give the same bytes.

Each function draws on a new figure, or on `ax` where it takes one, and returns the Figure; a cell ends in plt.show().
Axes: matrices are (n, n), points (n, 2), curves (seeds, T).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from matplotlib.transforms import Bbox, ScaledTranslation
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

from probsig.pages import drawn
from probsig.theory.orders import Order

WIDTH = 6.5  # inches
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
TASK_COLOURS = {"add": COLOURS[0], "add_same": COLOURS[1], "mod": COLOURS[2]}
MODEL_LINES = {"linear": "-", "ffn": "--"}
MARKERS = "osD^vPX"


def without_windows() -> None:
    """Draw in memory for the rest of this process, whatever display there is; for a command, not for a notebook."""
    plt.switch_backend("agg")


def use_style() -> None:
    """Set the style for this process; in a notebook, also sharp pictures without a program's name, each with its
    numbers (`pages.drawn`)."""
    plt.rcdefaults()
    plt.rcParams.update(
        {
            "axes.axisbelow": True,
            "axes.grid": True,
            "axes.labelsize": 11,
            "axes.prop_cycle": cycler(color=COLOURS),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlesize": 11,
            "figure.constrained_layout.use": True,
            "figure.dpi": 100,
            "figure.figsize": (WIDTH, 4.0),
            "font.size": 11,
            "grid.color": "#dddddd",
            "grid.linewidth": 0.6,
            "image.cmap": "viridis",
            "legend.fontsize": 10,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "lines.markersize": 5.5,
            "mathtext.fontset": "dejavusans",
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
        }
    )
    try:
        from IPython import get_ipython
    except ImportError:  # a script, not a notebook
        return
    if get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("retina", metadata={"Software": None})
        bundles = get_ipython().display_formatter.mimebundle_formatter
        bundles.for_type(Figure, drawn.bundle)


def heatmaps(
    matrices: Sequence[ArrayLike],
    titles: Sequence[str],
    ticks: Sequence[Any] | None = None,
    columns: int = 3,
    label: str = "cosine",
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Square matrices as pictures, `columns` a row; `ticks` are the tokens' names, of which a few are written.

    The panels of a row share one colour scale over their off-diagonal entries, or all panels the given `limits`.
    A diagonal of ones, a token's cosine with itself, is left grey.
    Raises ValueError where the numbers of matrices and titles differ, there are none, or one is not square.
    """
    squares = [np.asarray(matrix, dtype=float) for matrix in matrices]
    _check_titles(len(squares), titles)
    for matrix in squares:
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"a panel has shape {matrix.shape}: pass square matrices of tokens against themselves")
    figure, rows = _grid(len(squares), columns, height=0.96)
    panels = iter(zip(squares, titles, strict=True))
    for row in rows:
        shown = [(ax, *next(panels)) for ax in row]
        norm = Normalize(*(limits or _limits([matrix for _, matrix, _ in shown])), clip=True)
        for ax, matrix, title in shown:
            image = ax.imshow(_without_ones(matrix), norm=norm, interpolation="nearest")
            ax.set_facecolor("#dddddd")
            ax.set(title=title)
            ax.grid(False)
            ax.spines[:].set_visible(False)
            _token_ticks(ax, ticks, len(matrix))
        bar = figure.colorbar(image, ax=row, shrink=0.8, pad=0.02, aspect=18)
        bar.set_label(label)
        bar.outline.set_visible(False)
        bar.locator = MaxNLocator(4)
        bar.update_ticks()
    return figure


def scatter_panels(
    points: Sequence[ArrayLike],
    titles: Sequence[str],
    values: Sequence[float],
    columns: int = 3,
    label: str = "number",
) -> Figure:
    """Tokens in the plane, one panel for each (n, 2) array; a token's colour and its label are its number in `values`.

    Of more than 12 tokens some are labelled: the first, the last and evenly spaced ones between.
    Raises ValueError where the numbers of panels and titles, or of tokens and values, differ.
    """
    panels = [np.asarray(panel, dtype=float) for panel in points]
    values = np.asarray(values, dtype=float)
    _check_titles(len(panels), titles)
    for panel in panels:
        if panel.shape != (len(values), 2):
            raise ValueError(f"a panel has points of shape {panel.shape}: pass ({len(values)}, 2), one row a value")
    figure, rows = _grid(len(panels), columns, height=0.92)
    norm = Normalize(values.min(), values.max())
    named = np.unique(
        np.linspace(0, len(values) - 1, min(len(values), 12 if len(values) <= 12 else 8)).round().astype(int)
    )
    axes = [ax for row in rows for ax in row]
    for ax, panel, title in zip(axes, panels, titles, strict=True):
        x, y = panel.T
        dots = ax.scatter(x, y, c=values, norm=norm, s=34, edgecolors="#555555", linewidths=0.5, zorder=3)
        centre = panel.mean(axis=0)
        for i in named:
            away = panel[i] - centre
            away = away / (np.hypot(*away) or 1.0)
            name = f"{values[i]:g}"
            ax.annotate(
                name,
                (float(panel[i, 0]), float(panel[i, 1])),
                xytext=away * (5.5 + 3.0 * len(name), 9.0),
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=8.5,
            )
        ax.set(title=title, xticks=[], yticks=[])
        ax.margins(0.2)
        ax.spines[:].set_visible(True)
        ax.spines[:].set_color("#bbbbbb")
    bar = figure.colorbar(dots, ax=axes, shrink=0.8, pad=0.02, aspect=18 * len(rows))
    bar.set_label(label)
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(5, integer=bool((values == values.round()).all()))
    bar.update_ticks()
    return figure


def thin_labels(figure: Figure) -> Figure:
    """Hide the names of points that would overprint others, the first and the last of a panel kept before the rest."""
    figure.canvas.draw()
    for ax in figure.axes:
        kept: list[Bbox] = []
        for text in sorted(ax.texts, key=lambda text: text not in (ax.texts[0], ax.texts[-1])):
            box = text.get_window_extent()
            if any(box.overlaps(other) for other in kept):
                text.set_visible(False)
            else:
                kept.append(box)
    return figure


def dynamics(
    x: ArrayLike,
    curves: Mapping[str, ArrayLike],
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
    styles: Mapping[str, Mapping[str, Any]] | None = None,
) -> Figure:
    """Curves over x (T,): for each label the mean over seeds of a (seeds, T) array, and the band from least to most.

    `styles` gives line properties by label, such as {"color": TASK_COLOURS["mod"], "linestyle": MODEL_LINES["ffn"]}.
    Raises ValueError where an array does not have T columns.
    """
    x = np.asarray(x, dtype=float)
    figure, ax = _axes(ax)
    for label, curve in curves.items():
        curve = np.atleast_2d(np.asarray(curve, dtype=float))
        if curve.ndim != 2 or curve.shape[1] != x.size:
            raise ValueError(
                f"curve {label!r} has shape {curve.shape}: pass (seeds, {x.size}), one column a point of x"
            )
        (line,) = ax.plot(x, curve.mean(axis=0), label=label, **((styles or {}).get(label, {})))
        if len(curve) > 1:
            ax.fill_between(x, curve.min(axis=0), curve.max(axis=0), color=line.get_color(), alpha=0.18, linewidth=0)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.margins(x=0.01)
    ax.legend()
    return figure


def residual_orders(
    orders: Mapping[str, Order],
    xlabel: str = "init scale",
    ylabel: str = "residual",
    ax: Axes | None = None,
) -> Figure:
    """Residuals against the scale on logarithmic axes: means over seeds, dotted lines of the nearest whole slope.

    The legend gives each fitted slope with its standard error over seeds; the lines name the power of the scale.
    Raises ValueError without an order.
    """
    if not orders:
        raise ValueError("orders is empty: pass at least one label and its flow.Order")
    figure, ax = _axes(ax, height=3.4 + 0.2 * len(orders))
    ends: list[tuple[float, float, int]] = []
    for i, (label, order) in enumerate(orders.items()):
        scales = np.asarray(order.scales, dtype=float)
        at = np.argsort(scales)
        scales, logs = scales[at], np.log(np.asarray(order.values, dtype=float))[:, at]
        spread = f" ± {order.stderr:.2f}" if len(logs) > 1 else ""
        mean, colour = np.exp(logs.mean(axis=0)), COLOURS[i % len(COLOURS)]
        ax.loglog(
            scales,
            mean,
            marker=MARKERS[i % len(MARKERS)],
            color=colour,
            label=f"{label}: slope {order.slope:.2f}{spread}",
        )
        if len(logs) > 1:
            ax.fill_between(
                scales, *np.exp([logs.min(axis=0), logs.max(axis=0)]), color=colour, alpha=0.18, linewidth=0
            )
        whole = round(order.slope)
        reach = np.array([scales[0], scales[-1] * (scales[-1] / scales[0]) ** 0.12])
        guide = mean[-1] * (reach / scales[-1]) ** whole
        ax.plot(reach, guide, color="#555555", linestyle=":", linewidth=1.0, zorder=1)
        if all(power != whole or abs(np.log(guide[1] / y)) > 1.5 for _, y, power in ends):
            ends.append((reach[1], guide[1], whole))
    ax.set(xlabel=xlabel, ylabel=ylabel)
    decades = np.log10(np.divide(*ax.get_xlim()[::-1]))
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.2 else (1,)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter("")
    below = ax.transAxes + ScaledTranslation(0.0, -0.58, figure.dpi_scale_trans)  # inches: under the axis label
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, 0.0), bbox_transform=below, borderaxespad=0.0, borderpad=0.0)
    _name_powers(ax, ends)
    return figure


def end_labels(
    ax: Axes,
    ends: Sequence[tuple[float, float]],
    names: Sequence[str],
    colours: Sequence[str],
    size: float = 10,
    left: bool = False,
) -> None:
    """Write each line's name at its end (x, y), in its colour, never over one another nor under the axis; left: before
    its beginning instead.

    Call it when all lines are drawn. The axis is made longer by what the names need.
    """
    figure = _figure(ax)
    figure.draw_without_rendering()  # so that the layout is known
    box, dpi = ax.get_window_extent(), figure.dpi
    widths = [(_width(figure, name, size) + 8 * dpi / 72) / box.width for name in names]
    across = ax.transData + ax.transAxes.inverted()
    at = [across.transform(end)[0] for end in ends]
    low, high = ax.transAxes.transform([(0, 0), (1, 1)])[:, 0]
    if left:
        room = max([(w - x) / (1 - w) for x, w in zip(at, widths, strict=True)], default=0)
        far = low - max(room, 0) * (high - low)
        ax.set_xlim(left=ax.transData.inverted().transform((far, 0))[0])
    else:
        room = max([x / (1 - w) for x, w in zip(at, widths, strict=True)], default=1)
        far = low + max(room, 1) * (high - low)
        ax.set_xlim(right=ax.transData.inverted().transform((far, 0))[0])
    figure.draw_without_rendering()
    step, floor = size * 1.15, ax.get_window_extent().y0 * 72 / dpi + size / 2
    order = sorted(range(len(ends)), key=lambda i: -ends[i][1])
    wanted = [ax.transData.transform(ends[i])[1] * 72 / dpi for i in order]
    placed = _apart(wanted, step)
    for k in reversed(range(len(placed))):
        placed[k] = max(placed[k], placed[k + 1] + step if k + 1 < len(placed) else floor)
    for i, up, real in zip(order, placed, wanted, strict=True):
        place: dict[str, Any] = {"xytext": (-4 if left else 4, up - real), "textcoords": "offset points"}
        place |= {"va": "center", "ha": "right" if left else "left", "annotation_clip": False}
        ax.annotate(names[i], ends[i], color=colours[i], fontsize=size, **place)


def _name_powers(ax: Axes, ends: list[tuple[float, float, int]]) -> None:
    """Write each power of the scale at its line's end, (x, y, power), 16 points apart."""
    figure = _figure(ax)
    figure.draw_without_rendering()  # so that the layout is known
    ends = sorted(ends, key=lambda end: -end[1])
    wanted = [ax.transData.transform(end[:2])[1] * 72 / figure.dpi for end in ends]
    for (x, y, power), real, up in zip(ends, wanted, _apart(wanted, 16), strict=True):
        name = r"$\propto\epsilon$" if power == 1 else rf"$\propto\epsilon^{{{power}}}$"
        ax.annotate(name, (x, y), xytext=(2, up - real), textcoords="offset points", va="center", fontsize=9.5)


def _apart(wanted: Sequence[float], step: float) -> list[float]:
    """The heights nearest to those wanted, from the top down, that are `step` apart or more.

    >>> _apart([10.0, 9.0, 8.0, 0.0], 2.0)
    [11.0, 9.0, 7.0, 0.0]
    """
    rows = step * np.arange(len(wanted))
    return (isotonic_regression(np.add(wanted, rows), increasing=False).x - rows).tolist() if len(wanted) else []


def _width(figure: Figure, name: str, size: float) -> float:
    """How wide a name is drawn, in pixels."""
    drawn = figure.text(0, 0, name, fontsize=size)
    width = drawn.get_window_extent().width
    drawn.remove()
    return width


def _axes(ax: Axes | None, height: float = 4.0) -> tuple[Figure, Axes]:
    if ax is None:
        return plt.subplots(figsize=(WIDTH, height))
    return _figure(ax), ax


def _figure(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    assert figure is not None  # axes that are drawn on have one
    return figure


def _grid(count: int, columns: int, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure of `count` panels of which a row has `columns`, each `height` times as high as wide."""
    columns = min(columns, count)
    lines = -(-count // columns)
    width = min(WIDTH, 0.7 + 2.6 * columns)
    panel = (width - 0.7) / columns
    figure, axes = plt.subplots(lines, columns, squeeze=False, figsize=(width, lines * (panel * height + 0.35)))
    for ax in axes.flat[count:]:
        ax.set_axis_off()
    return figure, [[ax for j, ax in enumerate(row) if i * columns + j < count] for i, row in enumerate(axes)]


def _limits(matrices: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Least and greatest off-diagonal entry, kept 0.01 apart where they are equal up to rounding noise."""
    entries = np.concatenate([matrix[~np.eye(len(matrix), dtype=bool)] for matrix in matrices])
    low, high = float(np.nanmin(entries)), float(np.nanmax(entries))
    return (low - 0.005, high + 0.005) if high - low < 1e-6 else (low, high)


def _without_ones(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.eye(len(matrix), dtype=bool) & (np.abs(matrix - 1) < 1e-9), np.nan, matrix)


def _token_ticks(ax: Axes, ticks: Sequence[Any] | None, n: int) -> None:
    """Write at most five of the tokens' names along both sides."""
    at = np.unique(np.linspace(0, n - 1, min(n, 4)).round().astype(int))
    names = list(range(n)) if ticks is None else list(ticks)
    if len(names) != n:
        raise ValueError(f"{len(names)} ticks for a matrix of {n} tokens: pass one name a token")
    ax.set_xticks(at, [str(names[i]) for i in at])
    ax.set_yticks(at, [str(names[i]) for i in at])
    ax.tick_params(length=0)


def _check_titles(count: int, titles: Sequence[str]) -> None:
    if count != len(titles) or count == 0:
        raise ValueError(f"{count} panels and {len(titles)} titles: pass one title a panel, and at least one panel")
