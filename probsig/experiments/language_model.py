"""The language models of section 6 and appendix C at three scales: the stored runs, and how chapters read them.

One run is one model on one text: its architecture, its scale, its seed (of the initial weights and of the order of the
rows; the documents are the same for every seed), the reading of the init, the number of epochs. It keeps numbers over
training, arrays at the start, after one epoch and at the end, and of the weights the rows of W_E and W_U of some tokens
in 8 bits. What makes it is `experiments.makers.language_model`.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import runs
from probsig.errors import one_of
from probsig.experiments.texts import NAMES, Texts
from probsig.runs import Run

ARCHITECTURES = {"qwen2.5": "qwen2.5", "llama-2": "llama-2"}
"""Each architecture and the tokenizer that belongs to it."""
Models = dict[str, list[Run]]


@dataclass(frozen=True)
class Scale:
    """Tokens of a text and how many more are held out, ids kept (None: all that occur), the name of the model's shape,
    the recipe's numbers, and how often it is measured in each decade of steps."""

    tokens: int | None
    held: int
    keep: int | None
    shape: str
    batch: int
    length: int
    lr: float
    looks: int


SCALES = {
    "smoke": Scale(tokens=6_000, held=500, keep=200, shape="smoke", batch=4, length=32, lr=1e-2, looks=4),
    "laptop": Scale(tokens=2_000_000, held=32_768, keep=8_192, shape="laptop", batch=2, length=256, lr=1e-4, looks=8),
    "paper": Scale(tokens=None, held=65_536, keep=None, shape="paper", batch=2, length=2048, lr=1e-4, looks=8),
}
"""lr is the paper's at "laptop" and "paper"; the paper gives no batch. "smoke" learns in fewer steps."""


def scaled(scale: str, tokens: int | None = None, shape: str | None = None, lr: float | None = None) -> Scale:
    """A scale with other tokens, another shape or another learning rate; None leaves it its own.

    Raises ValueError for an unknown scale and `tokens` below 2.

    >>> scaled("laptop", shape="middle").tokens, scaled("laptop", shape="middle").shape
    (2000000, 'middle')
    """
    one_of("scale", scale, SCALES)
    if tokens is not None and tokens < 2:
        raise ValueError(f"tokens is {tokens}: pass 2 or more, or None for the scale's own.")
    usual = SCALES[scale]
    return replace(usual, tokens=tokens or usual.tokens, shape=shape or usual.shape, lr=lr or usual.lr)


def looks(epoch: int, epochs: int, number: int) -> list[int]:
    """The steps at which a run is measured: 0, `number` of them in each decade up to the end, and the ends of the first
    epoch and the last.

    >>> looks(100, 3, 2)
    [0, 1, 3, 10, 31, 96, 100, 300]
    """
    last = epoch * epochs
    early = np.unique(np.geomspace(1, last, 1 + round(number * np.log10(last))).round().astype(int)) if last > 1 else []
    return sorted({0, epoch, last, *(int(step) for step in early)})


def trained(
    names: Sequence[str],
    seeds: Sequence[int],
    texts: Texts,
    *,
    architecture: str = "qwen2.5",
    scale: str = "laptop",
    epochs: int = 1,
    init: str | float = "vocab",
    tokens: int | None = None,
    shape: str | None = None,
    lr: float | None = None,
    attention: str = "causal",
    beside: Sequence[str] = NAMES,
    means: Any = None,
    stop: threading.Event | None = None,
) -> Models:
    """For each text the runs of its models, one a seed: found, or trained now and stored.

    tokens, shape, lr: others than the scale's. attention: "itself" for networks in which no place sees another.
    beside: the texts that models are crossed with; the texts themselves where these are none of them. means: how, not
    what (`makers.Means`). stop: asks the training to save and to stop.
    Raises ValueError for an unknown architecture or scale and `tokens` below 2, and what opening and training raise.

    The piece "model" of a run holds the log of `language.training`, with what `Measures.watched` gives at every look,
    under <step>/ (the start, the end of the first epoch and of the last) what `analysed` gives as next/ and previous/,
    what `crossed` gives as others/, and after the start rows (n, d) and scale (n,) of W_E/ and W_U/, in 8 bits
    (`language.measures.small`; those of `Measures.kept_rows`); and under data/ what `Measures.about` gives, epoch (the
    steps of one) and names/<group> (its members, UTF-8 JSON).
    """
    one_of("architecture", architecture, ARCHITECTURES)
    how = scaled(scale, tokens, shape, lr)
    crossed = tuple(beside) if set(names) <= set(beside) else tuple(names)

    @functools.cache
    def inputs() -> Any:
        return texts.sets(crossed, how.tokens, how.keep, how.held)

    def one(name: str, seed: int) -> Run:
        config = {"corpus": name, "architecture": architecture, "scale": scale, "seed": seed, "epochs": epochs}
        config |= {"init": init, **asdict(how), **texts.identity(crossed)}
        config |= {"attention": attention} if attention != "causal" else {}
        pieces = {"model": runs.Piece("probsig.experiments.makers:language_model", (config,))}
        return runs.run("language-model", config, pieces, inputs=inputs, means=means, stop=stop)

    return {name: [one(name, seed) for seed in seeds] for name in names}


def data(run: Run, key: str) -> NDArray:
    """An array of the run's text: sizes, least, ceilings, top, size."""
    return run.arrays[f"model/data/{key}"]


def epoch(run: Run) -> int:
    """The number of steps of an epoch."""
    return int(data(run, "epoch")[0])


def last(run: Run) -> int:
    """The last step."""
    return epoch(run) * int(run.config["epochs"])


def at(run: Run, step: int, key: str) -> NDArray:
    """An array that was kept at a step: 0, `epoch(run)` or `last(run)`."""
    return run.arrays[f"model/{step}/{key}"]


def over(models: Sequence[Run], key: str, step: int | None = None) -> NDArray:
    """An array of every seed, (seeds, ...), at a step or at the last."""
    return np.stack([at(run, last(run) if step is None else step, key) for run in models])


def course(models: Sequence[Run], key: str) -> tuple[NDArray, NDArray]:
    """Steps (m,) and an array of every look, (seeds, m, ...)."""
    return models[0].arrays["model/steps"], np.stack([run.arrays[f"model/{key}"] for run in models])


def rows(run: Run, matrix: str, step: int | None = None) -> NDArray[np.float64]:
    """The stored rows of "W_E" or "W_U" at a step or the last, (n, d); the tokens are `data(run, "kept")`."""
    step = last(run) if step is None else step
    return at(run, step, f"{matrix}/rows") * at(run, step, f"{matrix}/scale")[:, None].astype(float)
