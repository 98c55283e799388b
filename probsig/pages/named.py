"""Heatmaps and planes with every token's name, large enough to read on a telephone.

`figures.heatmaps` writes a few ticks and suits numbered tokens. Here the rows say which tokens they are: each line of
panels is as high as its names need, and columns stand in the order of the rows. In a plane the names stand around the
points, where near points don't make them run into each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from probsig.pages.figures import WIDTH
from probsig.pages.words import visible

SIZE, LINE = 10, 0.165  # points of a name, inches from one to the next
LEAST = 1.7  # inches of a panel with few names


def heatmaps(
    matrices: Sequence[ArrayLike],
    titles: Sequence[str],
    names: Sequence[Sequence[str]],
    columns: int = 2,
    limits: tuple[float, float] | None = None,
    label: str = "cosine",
) -> Figure:
    """Square matrices (n, n) as pictures, `columns` side by side; `names`: of each line of panels, the tokens' texts.

    The panels of a line share their tokens and one colour scale over their entries off the diagonal, or all panels the
    given `limits`. A diagonal is left grey, and so is what is not a number. Names are shown, never read as TeX.
    Raises ValueError where matrices, titles and names do not fit together.

    >>> figure = heatmaps([np.eye(2), np.eye(2)], ["W", "law"], [[" a", "$b"]])
    >>> [tick.get_text() for tick in figure.axes[0].get_yticklabels()], figure.axes[1].get_title()
    (['␣a', '\\\\$b'], 'law')
    >>> plt.close(figure)
    """
    squares = [np.array(matrix, dtype=float) for matrix in matrices]
    lines = -(-len(squares) // columns)
    if not squares or len(titles) != len(squares) or len(names) != lines:
        raise ValueError(
            f"{len(squares)} matrices, {len(titles)} titles and {len(names)} lists of names: pass a title for each "
            f"matrix, and a list for each {columns} of them."
        )
    for i, square in enumerate(squares):
        if square.shape != (len(names[i // columns]),) * 2:
            raise ValueError(f"a panel has shape {square.shape} and {len(names[i // columns])} names: pass one each.")
        np.fill_diagonal(square, np.nan)
    heights = [max(LEAST, LINE * len(some)) + 0.3 for some in names]
    figure, axes = plt.subplots(
        lines, columns, squeeze=False, figsize=(WIDTH, sum(heights) + 0.1), height_ratios=heights, layout="constrained"
    )
    for line, some in enumerate(names):
        shown = squares[line * columns : (line + 1) * columns]
        known = np.concatenate([square[np.isfinite(square)] for square in shown])
        low, high = limits or ((known.min(), known.max()) if known.size else (0.0, 1.0))
        norm = Normalize(low, max(high, low + 0.01), clip=True)
        for ax, square, title in zip(axes[line], shown, titles[line * columns :], strict=False):
            image = ax.imshow(square, norm=norm, interpolation="nearest", aspect="auto")
            ax.set_facecolor("#dddddd")
            ax.set_title(title, fontsize=11)
            ax.grid(False)
            ax.spines[:].set_visible(False)
            ax.set(xticks=[], yticks=[])
        axes[line, 0].set_yticks(range(len(some)), [visible(name) for name in some], fontsize=SIZE)
        axes[line, 0].tick_params(length=0)
        for ax in axes[line, len(shown) :]:
            ax.set_axis_off()
        if limits is None or line == lines - 1:  # one scale, one bar
            bar = figure.colorbar(image, ax=axes if limits else axes[line, : len(shown)], pad=0.02, aspect=18)
            bar.set_label(label)
            bar.outline.set_visible(False)
            bar.locator = MaxNLocator(4)
            bar.update_ticks()
    return figure


def around(ax: Axes, points: ArrayLike, names: Sequence[str], closed: bool = True) -> None:
    """Points (n, 2) joined in their order, `closed` back to the first, on an axis without ticks; each name stands on a
    circle about them, in the direction of its point as far as the others leave room, and a thin line leads to it."""
    dots = np.asarray(points, dtype=float)
    dots = dots - dots.mean(axis=0)
    dots = dots / (np.abs(dots).max() * 2**0.5 or 1.0)
    angles = apart(np.arctan2(dots[:, 1], dots[:, 0]), min(0.45, 2 * np.pi / max(len(dots), 1)))
    ax.plot(*(np.vstack([dots, dots[:1]]) if closed else dots).T, color="#999999", linewidth=1)
    ax.plot(*dots.T, ".", color="#333333", markersize=5)
    for dot, angle, name in zip(dots, angles, names, strict=True):
        place = 1.22 * np.array([np.cos(angle), np.sin(angle)])
        ax.plot(*np.array([dot, 0.86 * place]).T, color="#cccccc", linewidth=0.6, zorder=0)
        ax.text(place[0], place[1], visible(name), ha="center", va="center", fontsize=SIZE)
    ax.set(xticks=[], yticks=[], xlim=(-1.5, 1.5), ylim=(-1.35, 1.35), aspect="equal")
    ax.spines[:].set_visible(False)


def apart(angles: ArrayLike, gap: float) -> NDArray[np.float64]:
    """Angles (n,), moved as little as some pushing needs so that neighbours around the circle are `gap` apart.

    >>> apart([0.0, 0.0, 3.0], 0.4).round(2).tolist()
    [-0.2, 0.2, 3.0]
    """
    out = np.array(angles, dtype=float)
    order = np.argsort(out, kind="stable")
    for _ in range(500):
        moved = False
        for a, b in zip(order, np.roll(order, -1), strict=True):
            between = (out[b] - out[a]) if b != order[0] else (out[b] - out[a] + 2 * np.pi)
            if a != b and between < gap - 1e-9:
                out[a] -= (gap - between) / 2
                out[b] += (gap - between) / 2
                moved = True
        if not moved:
            break
    return out
