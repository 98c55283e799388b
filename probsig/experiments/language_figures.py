"""The figures of a language model, as the paper draws them and with what the paper leaves out; used for both
architectures.

Each function takes the runs of a chapter by text (`language_results.trained`), draws on a new figure and returns it.
Side 0 is W_E against phi^next, side 1 W_U against varphi^pre.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from probsig.experiments.language_model import Models, at, curve, data, last, over
from probsig.pages import figures
from probsig.runs.results import Run

NAMES = (r"$W^E$", r"$\phi^{\mathrm{next}}$", r"$W^U$", r"$\varphi^{\mathrm{pre}}$")
TITLES = (r"$R_{\cos}(W^E,\phi^{\mathrm{next}})$", r"$R_{\cos}(W^U,\varphi^{\mathrm{pre}})$")
CHOSEN = (0, 4, 9)  # intervals of the percentile whose distributions the paper shows


def four(runs: dict[str, Run], step: int | None = None) -> Figure:
    """One row of four heatmaps a text: cosines of W_E, phi^next, W_U and varphi^pre over its most frequent tokens.

    Each panel has its own scale, from its least to its greatest cosine off the diagonal, which stand below it.
    """
    figure, axes = plt.subplots(len(runs), 4, figsize=(figures.WIDTH, 1.85 * len(runs)), squeeze=False)
    for row, (name, run) in zip(axes, runs.items(), strict=True):
        heat = at(run, last(run) if step is None else step, "heat").astype(float)
        panels = [heat[side, kind] for side in (0, 1) for kind in (0, 1)]
        for ax, matrix, what in zip(row, panels, NAMES, strict=True):
            shown = np.where(np.eye(len(matrix), dtype=bool), np.nan, matrix)
            ax.imshow(shown, interpolation="nearest")
            ax.set_facecolor("#dddddd")
            ax.set(xticks=[], yticks=[], title=what if ax.get_subplotspec().is_first_row() else "")
            ax.set_xlabel(f"{np.nanmin(shown):.2f} to {np.nanmax(shown):.2f}".replace("-", "\u2212"), fontsize=8)
            ax.spines[:].set_visible(False)
        row[0].set_ylabel(name, fontsize=9)
    return figure


def through_training(models: Models, C: int) -> Figure:
    """R_cos of both sides over training, a curve with its band over seeds for each text."""
    figure, axes = plt.subplots(2, 1, figsize=(figures.WIDTH, 5.6), sharex=True)
    for side, ax, title in zip(("next", "previous"), axes, TITLES, strict=True):
        for color, (name, runs) in zip(figures.COLOURS, models.items(), strict=False):
            x, values = curve(runs, side, C)
            ax.plot(x, values.mean(axis=0), color=color, label=name)
            ax.fill_between(x, values.min(axis=0), values.max(axis=0), color=color, alpha=0.18, linewidth=0)
        ax.set_ylabel(title)
    axes[1].set_xlabel("epochs")
    axes[0].legend(fontsize=8.5, ncols=2)
    return figure


def by_size(models: Models, step: int | None = None) -> Figure:
    """R_cos against the number of tokens C, with the null of a shuffle among tokens of a similar frequency (dotted) and
    the ceiling of the signature's own noise (thin)."""
    figure, axes = plt.subplots(2, 1, figsize=(figures.WIDTH, 6.0), sharex=True)
    for side, (ax, title) in enumerate(zip(axes, TITLES, strict=True)):
        for color, (name, runs) in zip(figures.COLOURS, models.items(), strict=False):
            sizes, values = data(runs[0], "sizes"), over(runs, "rcos", step)[:, side, 0]
            ax.plot(sizes, values.mean(axis=0), color=color, marker="o", markersize=3.5, label=name)
            ax.fill_between(sizes, values.min(axis=0), values.max(axis=0), color=color, alpha=0.18, linewidth=0)
            null = over(runs, "matched", step)[:, side].max(axis=(0, 2))
            ax.plot(sizes, null, ":", color=color, linewidth=1.2)
            ax.plot(sizes, data(runs[0], "ceilings")[side], color=color, linewidth=0.7, alpha=0.7)
        ax.set(ylabel=title, xscale="log")
    axes[1].set_xlabel("C, the number of tokens, most frequent first")
    axes[0].legend(fontsize=8.5, ncols=2)
    return figure


def by_token(models: Models, side: int = 0, step: int | None = None) -> Figure:
    """Each token's correlation over its pairs against its mean similarity, one panel a text, the first seed."""
    columns = 2 if len(models) > 1 else 1
    rows = -(-len(models) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(figures.WIDTH, 2.3 * rows), squeeze=False, sharex=True, sharey=True
    )
    for ax in axes.ravel()[len(models) :]:
        ax.set_axis_off()
    for ax, color, (name, runs) in zip(axes.ravel(), figures.COLOURS, models.items(), strict=False):
        x, y = (over(runs[:1], key, step)[0, side] for key in ("similarity", "by_token"))
        ax.plot(x, y, ".", color=color, markersize=2.5, alpha=0.6)
        ax.set_title(name, fontsize=10)
    for ax in axes[-1]:
        ax.set_xlabel("mean cosine with the others")
    for ax in axes[:, 0]:
        ax.set_ylabel("correlation")
    return figure


def pooled(models: Models, side: int = 0, step: int | None = None) -> np.ndarray:
    """The table of percentiles, pooled over texts, for each seed: (seeds, 10, columns) counts."""
    return sum(over(runs, "table", step)[:, side].astype(np.int64) for runs in models.values())


def percentile_means(table: np.ndarray) -> np.ndarray:
    """The mean percentile in each interval, (..., 10), from counts (..., 10, columns), each column taken at its middle.

    >>> percentile_means(np.array([[1, 1], [0, 2]])).tolist()
    [0.5, 0.75]
    """
    middle = (np.arange(table.shape[-1]) + 0.5) / table.shape[-1]
    return (table * middle).sum(axis=-1) / np.maximum(table.sum(axis=-1), 1)


def distributions(models: Models, chosen: Sequence[int] = CHOSEN, side: int = 0, step: int | None = None) -> Figure:
    """How the signature's percentile is distributed given the embedding's interval, pooled over texts and seeds.

    The pairs of a text whose signatures share nothing stand in one bin, in the lower half; the axis cuts such bins off.
    """
    table = pooled(models, side, step).sum(axis=0)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1) * table.shape[1]
    edges, top = np.linspace(0, 100, table.shape[1] + 1), 1.3 * share[:, table.shape[1] // 2 :].max()
    if len(chosen) <= 3:
        figure, ax = plt.subplots(figsize=(figures.WIDTH, 3.4))
        for k in chosen:
            ax.stairs(share[k], edges, linewidth=1.6, label=f"{10 * k} to {10 * k + 10} %")
        ax.set(xlabel="percentile of the signature's cosine", ylabel="density", ylim=(0, top))
        ax.legend(title="percentile of the embedding's", fontsize=9, loc="upper center")
    else:
        figure, grid = plt.subplots(5, 2, figsize=(figures.WIDTH, 8.0), sharex=True, sharey=True)
        for ax, k in zip(grid.T.ravel(), chosen, strict=True):
            ax.stairs(share[k], edges, fill=True, color=figures.COLOURS[0], alpha=0.7)
            ax.set_title(f"{10 * k} to {10 * k + 10} %", fontsize=10)
            ax.set_ylim(0, top)
        for ax in grid[-1]:
            ax.set_xlabel("percentile of the signature's cosine")
    return figure


def interval_means(models: Models, step: int | None = None) -> Figure:
    """The mean percentile of the signature in each interval of the embedding's, both sides, pooled over texts; the
    untrained model dashed."""
    figure, ax = plt.subplots(figsize=(figures.WIDTH, 3.4))
    x = np.arange(10) * 10 + 5
    for side, (color, title) in enumerate(zip(figures.COLOURS, ("embedding", "unembedding"), strict=False)):
        values = percentile_means(pooled(models, side, step))
        ax.plot(x, values.mean(axis=0), "o-", color=color, label=title)
        ax.fill_between(x, values.min(axis=0), values.max(axis=0), color=color, alpha=0.2, linewidth=0)
        ax.plot(x, percentile_means(pooled(models, side, 0)).mean(axis=0), "--", color=color, linewidth=1)
    ax.set(xlabel="percentile of the embedding's cosine", ylabel="mean percentile of the signature's", xticks=x)
    ax.legend()
    return figure


def peak(models: Sequence[Run], side: str, C: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each seed: the greatest R_cos after the first epoch, and that minus the last."""
    x, values = curve(models, side, C)
    later = values[:, x >= 1]
    return later.max(axis=1), later.max(axis=1) - later[:, -1]
