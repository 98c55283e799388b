"""The figures of the language chapters, drawn from stored models.

Each function takes the runs of a chapter by text (`language_model.trained`), draws on a new figure and returns it.
Side 0 is W_E against phi^next, side 1 W_U against varphi^pre.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage

from probsig import seeds
from probsig.experiments.language_model import Models, at, course, data, epoch, last, over
from probsig.experiments.language_readers import held_out, progress
from probsig.experiments.texts import NAMES as TEXTS
from probsig.language.yardsticks import Yardsticks
from probsig.pages import figures
from probsig.pages.words import visible
from probsig.runs import Run

NAMES = (r"$W^E$", r"$\phi^{\mathrm{next}}$", r"$W^U$", r"$\varphi^{\mathrm{pre}}$")
TITLES = (r"$R_{\cos}(W^E,\phi^{\mathrm{next}})$", r"$R_{\cos}(W^U,\varphi^{\mathrm{pre}})$")
KNOWN = dict(zip(TEXTS, figures.COLOURS, strict=False)) | {
    f"{TEXTS[1]}-{size}": figures.COLOURS[5] for size in ("long", "large")
}
WAY = "way of the held-out loss between the two yardsticks"
CHOSEN = (0, 4, 9)  # intervals of the percentile whose distributions the paper shows


def colours(names: Sequence[str]) -> list[str]:
    """A colour for each text: a text of the book has its own on every page."""
    rest = [colour for colour in figures.COLOURS if colour not in [KNOWN.get(name) for name in names]]
    return [KNOWN[name] if name in KNOWN else rest.pop(0) for name in names]


def tokens_seen(run: Run) -> NDArray[np.int64]:
    """How many tokens a run had read at each of its looks, (m,)."""
    return run.arrays["model/steps"] * int(run.config["batch"]) * int(run.config["length"])


def matrices(run: Run, texts: Sequence[str], step: int | None = None, shown: int = 22) -> Figure:
    """Four heatmaps of a model side by side: cosines of W_E, phi^next, W_U and varphi^pre, its most frequent tokens.

    texts: the tokens' texts, most frequent first. All four have the tokens in one order, that of a clustering of
    phi^next, so that blocks lie together; rows are named at the left and columns stand in the same order; the diagonal
    is grey, each panel has the scale that stands above it.
    """
    heat = [at(run, last(run) if step is None else step, f"{side}/heat").astype(float) for side in ("next", "previous")]
    shown = min(shown, heat[0].shape[1], len(texts))
    panels = [heat[side][kind][:shown, :shown] for side in (0, 1) for kind in (0, 1)]
    upper = np.triu_indices(shown, 1)
    order = leaves_list(linkage(1 - panels[1][upper], "average"))
    figure, axes = plt.subplots(1, 4, figsize=(figures.WIDTH, max(1.9, 0.47 + 0.145 * shown)))
    for ax, matrix, what in zip(axes, panels, NAMES, strict=True):
        _square(ax, matrix[np.ix_(order, order)], what)
    axes[0].set_yticks(range(shown), [visible(texts[i]) for i in order], fontsize=10)
    return figure


def _square(ax: Axes, square: NDArray, title: str) -> None:
    """Cosines as a picture that fills its panel, without ticks; what is not known and the diagonal are grey, and the
    ends of the panel's scale stand under its title."""
    square = np.where(np.eye(len(square), dtype=bool), np.nan, square)
    ax.imshow(square, interpolation="nearest", aspect="auto")
    ax.set_facecolor("#dddddd")
    ax.set(xticks=[], yticks=[])
    ax.tick_params(length=0)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ends = f"{np.nanmin(square):.2f} to {np.nanmax(square):.2f}".replace("-", "\u2212")
    ax.set_title(f"{title}\n{ends}", fontsize=10)


def through_training(models: Models, key: str, index: tuple[int, ...], ax: Axes, labels: bool = True) -> None:
    """A measure of every look against the tokens read, a curve with its band over seeds for each text, named at its
    end; index: where it stands in the array of a look."""
    for color, found in zip(colours([*models]), models.values(), strict=True):
        values = course(found, key)[1][(slice(None), slice(None), *index)]
        x = tokens_seen(found[0])
        ax.plot(x[1:], values.mean(axis=0)[1:], color=color)
        ax.fill_between(x[1:], values.min(axis=0)[1:], values.max(axis=0)[1:], color=color, alpha=0.18, linewidth=0)
    ax.set_xscale("log")
    if labels:
        ends = [
            (tokens_seen(found[0])[-1], course(found, key)[1][(slice(None), -1, *index)].mean())
            for found in models.values()
        ]
        figures.end_labels(ax, ends, list(models), colours([*models]))


def losses(models: Models, yardsticks: Mapping[str, Yardsticks], training: bool = False) -> Figure:
    """The held-out loss of each text's models against the tokens read, with the text's two yardsticks, which are named
    in the first panel; training: also the loss on the batches, dashed."""
    figure, axes = _panels(len(models), 3, 2.3, "tokens read", "nats per token")
    for k, (ax, color, (name, found)) in enumerate(zip(axes.ravel(), colours([*models]), models.items(), strict=False)):
        x, values = tokens_seen(found[0]), course(found, "training/held")[1][..., 0]
        ax.plot(x[1:], values.mean(axis=0)[1:], color=color)
        if len(values) > 1:
            ax.fill_between(x[1:], values.min(axis=0)[1:], values.max(axis=0)[1:], color=color, alpha=0.2, linewidth=0)
        if training:
            batches = course(found, "training/loss")[1][..., 0].mean(axis=0)
            ax.plot(x[1:], batches[1:], "--", color=color, linewidth=1.4)
        for what, line in (("unigram", ":"), ("bigram", (0, (5, 2)))):
            level = getattr(yardsticks[name], what)
            ax.axhline(level, color="black", linewidth=1.1, linestyle=line)
            if k == 0:
                ax.annotate(what, (x[1], level), xytext=(0, -3), textcoords="offset points", va="top", fontsize=10)
        ax.set(xscale="log", title=name)
    return figure


def _panels(number: int, columns: int, height: float, across: str, up: str) -> tuple[Figure, NDArray[Any]]:
    """A figure of some panels of one scale, in the fewest rows of at most `columns`, as even as can be; the axes are
    named at its left and bottom."""
    rows = -(-number // columns)
    columns = -(-number // rows)
    size = (figures.WIDTH, height * rows + 0.3)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for ax in axes.ravel()[number:]:
        ax.set_axis_off()
    for ax in axes.ravel()[number - columns : number]:
        ax.set_xlabel(across)
        ax.tick_params(labelbottom=True)
    for ax in axes[:, 0]:
        ax.set_ylabel(up)
    return figure, axes


def by_progress(drawn: Sequence[tuple[Models, Mapping[str, Yardsticks], str]], size: int) -> Figure:
    """R_cos of both sides at every look against how far the held-out loss is from the unigram yardstick (0) towards the
    bigram's (1), of the first seed: models, their yardsticks and a line's style; size: where C stands among `watched`.
    A dot is the end of training."""
    figure, axes = plt.subplots(2, 1, figsize=(figures.WIDTH, 4.8), sharex=True)
    named = {}
    for side, (ax, title) in enumerate(zip(axes, TITLES, strict=True)):
        for models, known, style in drawn:
            for (name, found), color in zip(models.items(), colours([*models]), strict=True):
                x = progress(held_out(found[:1])[0], known[name])
                y = course(found[:1], "rcos")[1][0, :, side, 0, size]
                ax.plot(x, y, style, color=color)
                ax.plot(x[-1], y[-1], "o", color=color)
                named.setdefault(name, color)
        _mark_yardsticks(ax)
        ax.set(ylabel=title)
    for k, (name, color) in enumerate(named.items()):
        axes[0].annotate(name, (1.02, 0.9 - 0.12 * k), xycoords="axes fraction", color=color, fontsize=10)
    axes[1].set_xlabel(WAY)
    return figure


def _mark_yardsticks(ax: Axes) -> None:
    """Name 0 and 1 where the horizontal axis is `progress`."""
    for at_line, what in ((0, "unigram"), (1, "bigram")):
        ax.axvline(at_line, color="black", linewidth=0.8)
        ax.annotate(what, (at_line, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=10)
    ax.set_xlim(-0.4, None)


def by_shape(found: Mapping[str, Sequence[Run]], known: Yardsticks) -> Figure:
    """R_cos of W_E over the fewest tokens that are watched, for several models of one text, by title: against the steps
    (top), and against how far the held-out loss is from the unigram yardstick (0) towards the bigram's (1); a line per
    seed, a dot at the end of training."""
    figure, axes = plt.subplots(2, 1, figsize=(figures.WIDTH, 6.4))
    ends = []
    for color, runs in zip(figures.COLOURS, found.values(), strict=False):
        steps, values = course(runs, "rcos")
        for one, loss in zip(values[:, :, 0, 0, 0], held_out(runs), strict=True):
            for ax, x in zip(axes, (steps, progress(loss, known)), strict=True):
                ax.plot(x, one, "-o", color=color, markevery=[-1])
        ends.append((steps[-1], values[0, -1, 0, 0, 0]))
    _mark_yardsticks(axes[1])
    axes[0].set(xscale="symlog", xlabel="steps", ylabel=TITLES[0])
    axes[1].set(xlabel=WAY, ylabel=TITLES[0])
    figures.end_labels(axes[0], ends, list(found), figures.COLOURS[: len(found)])
    return figure


def by_size(models: Models, step: int | None = None) -> Figure:
    """R_cos against the number of tokens C, with the null of a shuffle among tokens of a similar frequency (dotted) and
    the ceiling of the signature's own noise (thin)."""
    figure, axes = plt.subplots(2, 1, figsize=(figures.WIDTH, 4.6), sharex=True)
    for side, ax, title in zip(("next", "previous"), axes, TITLES, strict=True):
        ends = []
        for color, found in zip(colours([*models]), models.values(), strict=True):
            sizes, values = data(found[0], "sizes"), over(found, f"{side}/rcos", step)[:, 0]
            ax.plot(sizes, values.mean(axis=0), color=color, marker="o", markersize=3.5)
            ax.fill_between(sizes, values.min(axis=0), values.max(axis=0), color=color, alpha=0.18, linewidth=0)
            ax.plot(sizes, over(found, f"{side}/matched", step).max(axis=(0, 2)), ":", color=color, linewidth=1.2)
            ceiling = data(found[0], "ceilings")[0 if side == "next" else 1]
            ax.plot(sizes, ceiling, color=color, linewidth=0.7, alpha=0.7)
            ends.append((sizes[0], values.mean(axis=0)[0]))
        ax.set(ylabel=title, xscale="log")
        figures.end_labels(ax, ends, list(models), colours([*models]), left=True)
    axes[1].set_xlabel("C, the number of tokens, most frequent first")
    return figure


def by_token(models: Models, side: str = "next", step: int | None = None) -> Figure:
    """Each token's correlation over its pairs against its mean similarity, one panel per text, the first seed."""
    figure, axes = _panels(len(models), 3, 1.8, "mean cosine", "correlation")
    for ax, color, (name, found) in zip(axes.ravel(), colours([*models]), models.items(), strict=False):
        x, y = (over(found[:1], f"{side}/{key}", step)[0] for key in ("similarity", "by_token"))
        ax.plot(x, y, ".", color=color, markersize=2.5, alpha=0.6)
        ax.set_title(name, fontsize=10)
        ax.locator_params(axis="x", nbins=3)
    return figure


def shares(models: Models, side: str = "next", step: int | None = None) -> NDArray[np.float64]:
    """The table of percentiles with every text's pairs weighing the same, (seeds, 10, columns), rows summing to 1."""
    tables = [over(found, f"{side}/table", step).astype(float) for found in models.values()]
    return np.mean([table / np.maximum(table.sum(axis=2, keepdims=True), 1) for table in tables], axis=0)


def percentile_means(table: NDArray) -> NDArray[np.float64]:
    """The mean percentile in each interval, (..., 10), from shares or counts (..., 10, columns), each column taken at
    its middle.

    >>> percentile_means(np.array([[1, 1], [0, 2]])).tolist()
    [0.5, 0.75]
    """
    middle = (np.arange(table.shape[-1]) + 0.5) / table.shape[-1]
    return (table * middle).sum(axis=-1) / np.maximum(table.sum(axis=-1), 1e-12)


def distributions(models: Models, chosen: Sequence[int] = CHOSEN, side: str = "next") -> Figure:
    """How the signature's percentile is distributed given the embedding's interval, texts weighing the same.

    The pairs of a text whose signatures share nothing stand in one bin, in the lower half; the axis cuts such bins off.
    """
    share = shares(models, side).mean(axis=0)
    share = share * share.shape[1]
    edges, top = np.linspace(0, 100, share.shape[1] + 1), 1.3 * share[:, share.shape[1] // 2 :].max()
    if len(chosen) <= 3:
        figure, ax = plt.subplots(figsize=(figures.WIDTH, 3.4))
        for k in chosen:
            ax.stairs(share[k], edges, linewidth=1.6, label=f"{10 * k} to {10 * k + 10} %")
        ax.set(xlabel="percentile of the signature's cosine", ylabel="density", ylim=(0, top))
        ax.legend(title="percentile of the embedding's", loc="upper left", bbox_to_anchor=(0.42, 1.0))
        return figure
    figure, grid = plt.subplots(5, 2, figsize=(figures.WIDTH, 8.0), sharex=True, sharey=True)
    for ax, k in zip(grid.T.ravel(), chosen, strict=True):
        ax.stairs(share[k], edges, fill=True, color=figures.COLOURS[0], alpha=0.7)
        ax.set_title(f"{10 * k} to {10 * k + 10} %", fontsize=10)
        ax.set_ylim(0, top)
    for ax in grid[-1]:
        ax.set_xlabel("percentile of the signature's cosine")
    return figure


def interval_means(models: Models) -> Figure:
    """The mean percentile of the signature in each interval of the embedding's, both sides, texts weighing the same;
    the untrained model dashed."""
    figure, ax = plt.subplots(figsize=(figures.WIDTH, 3.4))
    x = np.arange(10) * 10 + 5
    for side, color, title in zip(("next", "previous"), figures.COLOURS, ("embedding", "unembedding"), strict=False):
        values = percentile_means(shares(models, side))
        ax.plot(x, values.mean(axis=0), "o-", color=color, label=title)
        ax.fill_between(x, values.min(axis=0), values.max(axis=0), color=color, alpha=0.2, linewidth=0)
        ax.plot(x, percentile_means(shares(models, side, 0)).mean(axis=0), "--", color=color, linewidth=1)
    ax.set(xlabel="percentile of the embedding's cosine", ylabel="mean percentile of the signature's", xticks=x)
    ax.legend()
    return figure


def order_of(pairs: NDArray, cyclic: bool = False) -> NDArray[np.float64]:
    """The correlation of a group's cosines with the distance of its members in their order, (...,), from all pairs
    (..., pairs); around the ring where the group is cyclic; nan where a pair is missing.

    >>> order_of(np.array([0.9, 0.1, 0.8])).round(3).tolist()  # neighbours alike, ends not
    -0.993
    """
    n = round((1 + np.sqrt(1 + 8 * pairs.shape[-1])) / 2)
    i, j = np.triu_indices(n, 1)
    apart = np.minimum(j - i, n - (j - i)) if cyclic else j - i
    z = (apart - apart.mean()) / (apart.std() or 1)
    values = np.asarray(pairs, dtype=float)
    spread = values.std(axis=-1)
    mean = ((values - values.mean(axis=-1, keepdims=True)) * z).mean(axis=-1)
    return np.divide(mean, spread, out=np.full(np.shape(mean), np.nan), where=spread > 0)


def peak(models: Sequence[Run], key: str, index: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of each seed: the greatest value of a measure after the first epoch, and that minus the last."""
    steps, values = course(models, key)
    later = values[(slice(None), slice(None), *index)][:, steps >= epoch(models[0])]
    return later.max(axis=1), later.max(axis=1) - later[:, -1]


def groups(run: Run, names: Sequence[str], members: Mapping[str, Sequence[str]], step: int | None = None) -> Figure:
    """Of each group a column of two heatmaps, the cosines of W_E (above) and of phi^next (below) among its members; one
    colour scale per panel, which stands above it; a member without a law is grey. Members are texts of tokens; rows are
    named, of a large group every few, and columns stand in their order."""
    figure, axes = plt.subplots(2, len(names), figsize=(figures.WIDTH, 3.9), squeeze=False)
    at_step = -1 if step is None else int(np.flatnonzero(run.arrays["model/steps"] == step)[0])
    for column, name in zip(axes.T, names, strict=True):
        n, labels = len(members[name]), [visible(one.strip() or one) for one in members[name]]
        pairs = run.arrays[f"model/{name}/W_E"][at_step], data(run, f"{name}/next")
        named = range(0, n, 1 if n <= 12 else -(-n // 7))
        for ax, values, what in zip(column, pairs, NAMES[:2], strict=True):
            square = np.full((n, n), np.nan)
            square[np.triu_indices(n, 1)] = values
            _square(ax, np.fmax(square, square.T), f"{name}, {what}")
            ax.set_yticks(named, [labels[i] for i in named], fontsize=10)
    return figure


def orders(found: Mapping[str, Sequence[Run]], group: str, dashed: Mapping[str, Sequence[Run]] | None = None) -> Figure:
    """R_order of a group in W_E against the tokens read, a panel for each of some models (title, runs), whose texts
    have all members, with a band over seeds; dashed: others, by the same titles; dotted: the order of phi^next. The
    grey band holds 95 % of the orders of shuffled members."""
    there = {title: runs for title, runs in found.items() if data(runs[0], f"{group}/count").min() > 0}
    figure, axes = _panels(len(there), 3, 2.2, "tokens read", r"$R_{\mathrm{order}}$")
    tints = colours([runs[0].config["corpus"] for runs in there.values()])
    for ax, color, (title, runs) in zip(axes.ravel(), tints, there.items(), strict=False):
        ax.axhspan(-(null := null_order(runs[0], group)), null, color="#eeeeee", zorder=0)
        for several, style in ((runs, "-"), *(((dashed[title], "--"),) if dashed else ())):
            values, x = order_of(course(several, f"{group}/W_E")[1])[:, 1:], tokens_seen(several[0])[1:]
            ax.plot(x, values.mean(axis=0), style, color=color)
            ax.fill_between(x, values.min(axis=0), values.max(axis=0), color=color, alpha=0.2, linewidth=0)
        ax.axhline(float(order_of(data(runs[0], f"{group}/next"))), color="black", linestyle=":", linewidth=1.2)
        ax.set(xscale="log", ylim=(-1, 1))
        ax.set_title(title, fontsize=10)
    return figure


def null_order(run: Run, group: str, draws: int = 2000) -> float:
    """The size below which 95 % of the orders of a group stay when its members are shuffled."""
    pairs = run.arrays[f"model/{group}/W_E"][-1].astype(float)
    n = len(data(run, f"{group}/count"))
    square = np.zeros((n, n))
    square[np.triu_indices(n, 1)] = pairs
    square += square.T
    stream, upper = seeds.stream(0, "order of shuffled members"), np.triu_indices(n, 1)
    found = [order_of(square[np.ix_(moved, moved)][upper]) for moved in (stream.permutation(n) for _ in range(draws))]
    return float(np.quantile(np.abs(found), 0.95))


def one_epoch(run: Run) -> int:
    """How many tokens an epoch of a run reads."""
    return epoch(run) * int(run.config["batch"]) * int(run.config["length"])
