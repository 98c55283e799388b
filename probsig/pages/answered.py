"""The pictures of answers: an alignment between null and ceiling, nearest tokens, a signature, a group in the plane.

Each function takes what a function of `probsig.answers` found, draws on a new figure of the page's width and returns
its axes; the style is the reader's own, or that of `figures.use_style`. What tokens say is shown, never read as TeX.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from probsig import guards
from probsig.pages.figures import COLOURS, WIDTH
from probsig.pages.words import visible

GREY = "#bbbbbb"
SIDES = ("embedding", "signature")


def alignment(found: Any) -> NDArray[Any]:
    """R_cos and its partial correlation, each with the range of its null, under the ceiling; and each token's own
    correlation by its count. Two axes, (2,)."""
    guards.something_drawn(found.by_token)
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.0), width_ratios=(2, 3), layout="constrained")
    rows = (
        ("R_cos", found.r_cos, found.bootstrap, found.null),
        ("without\nfrequency", found.partial, None, found.partial_null),
    )
    for at, (_, value, drawn, null) in enumerate(rows):
        low, high = _ends(null)
        axes[0].bar(at, high - low, 0.6, low, color=GREY, label="shuffled" if at == 0 else None)
        spread = None if drawn is None else np.abs(_ends(drawn) - value)[:, None]
        axes[0].errorbar(at, value, spread, fmt="o", color=COLOURS[0], capsize=3)
    if np.isfinite(found.ceiling):
        axes[0].axhline(found.ceiling, color=COLOURS[1], linestyle="--", label="noise allows")
    axes[0].axhline(0, color="black", linewidth=0.8)
    axes[0].set(xticks=range(len(rows)), xlim=(-0.6, len(rows) - 0.4), ylabel="correlation of cosines")
    axes[0].set_xticklabels([name for name, *_ in rows])
    axes[0].legend(fontsize="small")
    axes[1].scatter(found.frequency, found.by_token, s=6, alpha=0.4, color=COLOURS[0], linewidths=0)
    axes[1].axhline(0, color="black", linewidth=0.8)
    axes[1].set(xscale="log", xlabel="times seen", ylabel="a token's correlation")
    figure.suptitle(_plain(f"{found.name} and {found.of}, {found.n:,} tokens"), fontsize="medium")
    return axes


def nearest(found: Any) -> NDArray[Any]:
    """The nearest tokens of each side, nearest first; those of both lists in colour. Two axes, (2,)."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 1.0 + 0.24 * found.number), layout="constrained")
    both = set(found.tokens["embedding"].tolist()) & set(found.tokens["signature"].tolist())
    for ax, side, title in zip(axes, SIDES, (found.name, found.of), strict=True):
        colours = [COLOURS[0] if token in both else GREY for token in found.tokens[side].tolist()]
        ax.barh(np.arange(found.number), found.cosines[side], color=colours)
        ax.set(yticks=np.arange(found.number), xlabel="cosine")
        ax.set_title(_plain(title), fontsize="medium")
        ax.set_yticklabels([visible(label) for label in found.labels[side]])
        ax.invert_yaxis()
    figure.suptitle(f"nearest to {visible(found.label)}", fontsize="medium")
    return axes


def beside(found: Any) -> NDArray[Any]:
    """The largest entries of a token's signature, and the tokens whose signatures are nearest to it, each with its
    number. Two axes, (2,)."""
    lines = max(len(found.labels), len(found.near_labels))
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 1.0 + 0.24 * lines), layout="constrained")
    sides = ((found.labels, found.weights, "share"), (found.near_labels, found.near_cosines, "cosine"))
    for ax, (labels, values, what) in zip(axes, sides, strict=True):
        ax.barh(np.arange(len(labels)), values, color=COLOURS[0])
        ax.set(yticks=np.arange(len(labels)), xlabel=what)
        ax.set_yticklabels([visible(label) for label in labels])
        ax.invert_yaxis()
    axes[0].set_title(_plain(f"{found.signature} of {found.text}"), fontsize="medium")
    axes[1].set_title("nearest in it", fontsize="medium")
    figure.suptitle(visible(found.label), fontsize="medium")
    return axes


def group(found: Any) -> NDArray[Any]:
    """The cosines of each side, on a scale of its own, and its tokens in the plane of the first two principal
    components. Axes (2, 2)."""
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 1.15 * WIDTH), layout="constrained")
    names = [visible(label) for label in found.labels]
    for column, side, title in zip(axes.T, SIDES, (found.name, found.of), strict=True):
        square = np.where(np.eye(len(names), dtype=bool), np.nan, found.cosines[side])
        figure.colorbar(column[0].imshow(square), ax=column[0], location="bottom", shrink=0.8, label="cosine")
        column[0].set(xticks=[], yticks=[])
        column[0].set_title(_plain(title), fontsize="medium")
        _plane(column[1], found.points[side], found.shares[side], names)
    axes[0, 0].set_yticks(range(len(names)))
    axes[0, 0].set_yticklabels(names, fontsize="small")
    return axes


def windows(found: Any) -> NDArray[Any]:
    """R_order by window, and with an embedding R_cos by window, each over the range of its shuffles. Axes (1,) or
    (2,)."""
    panels = [(found.order, found.null, "order of the group", found.text)]
    if found.name:
        panels.append((found.r_cos, found.r_null, "correlation of cosines", found.name))
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.0), layout="constrained", squeeze=False)
    at = np.arange(len(found.within))
    for ax, (values, null, what, name) in zip(axes[0], panels, strict=True):
        low, high = np.array([_ends(one) for one in null]).T
        ax.bar(at, high - low, 0.6, low, color=GREY)
        ax.plot(at, values, "o-", color=COLOURS[0])
        ax.axhline(0, color="black", linewidth=0.8)
        ax.set(xticks=at, xlabel="distance in tokens", ylabel=what)
        ax.set_xticklabels(found.names)
        ax.set_title(_plain(name), fontsize="medium")
    figure.suptitle(_plain(f"{len(found.tokens)} {found.group}"), fontsize="medium")
    return axes[0]


def _plane(ax: Axes, points: NDArray[np.float64], shares: NDArray[np.float64], names: list[str]) -> None:
    ax.plot(points[:, 0], points[:, 1], color=GREY, linewidth=0.8, zorder=1)
    ax.scatter(points[:, 0], points[:, 1], s=14, color=COLOURS[0], zorder=2)
    for point, name in zip(points, names, strict=True):
        ax.annotate(name, point, xytext=(4, 3), textcoords="offset points", fontsize="small")
    ax.set(xlabel=f"component 1 ({shares[0]:.0%})", ylabel=f"component 2 ({shares[1]:.0%})", xticks=[], yticks=[])
    ax.margins(x=0.25, y=0.1)


def _ends(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The central 95 % of values, nan where there is none."""
    known = values[np.isfinite(values)]
    return np.quantile(known, [0.025, 0.975]) if known.size else np.full(2, np.nan)


def _plain(name: str) -> str:
    """A name without a sign of TeX."""
    return name.replace("$", r"\$")
