"""The language models of section 6 and appendix C at three scales, trained, measured and stored.

One run is one model on one text: its architecture, its scale, its seed (of the initial weights and of the order of the
rows; the documents are the same for every seed), the reading of the init, the number of epochs. It keeps numbers over
training, arrays at the start, after one epoch and at the end, and of the weights the rows of W_E and W_U of some tokens
in 8 bits.

The texts come from the caller, who opens them only when something has to be trained; the run remembers their digests.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from probsig import runs
from probsig.drafts import Draft
from probsig.language_analysis import SIDES
from probsig.language_data import TrainingSet
from probsig.language_measures import Measures, stored

Sets = tuple[Sequence[TrainingSet], Mapping[str, Mapping[str, int]]]
ARCHITECTURES = {"qwen2.5": "qwen2.5", "llama-2": "llama-2"}
"""Each architecture and the tokenizer that belongs to it."""


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


@dataclass(frozen=True)
class Means:
    """How a run is made, none of which shapes its numbers (beyond the device's rounding): the device; what is entered
    while it is needed; who takes a measure (`name`, rows...) off the training's hands; and the word to stop."""

    device: str = "auto"
    turn: contextlib.AbstractContextManager[Any] | None = None
    apart: Callable[..., Future[Any]] | None = None
    stop: threading.Event | None = None


def looks(epoch: int, epochs: int, number: int) -> list[int]:
    """The steps at which a run is measured: 0, `number` of them in each decade up to the end, and the ends of the first
    epoch and the last.

    >>> looks(100, 3, 2)
    [0, 1, 3, 10, 31, 96, 100, 300]
    """
    last = epoch * epochs
    early = np.unique(np.geomspace(1, last, 1 + round(number * np.log10(last))).round().astype(int)) if last > 1 else []
    return sorted({0, epoch, last, *(int(step) for step in early)})


def model(
    name: str,
    sets: Callable[[], Sets],
    *,
    architecture: str,
    scale: str,
    seed: int,
    epochs: int = 1,
    init: str | float = "vocab",
    text: str = "stand-in",
    tokens: int | None = None,
    shape: str | None = None,
    means: Means = Means(),
) -> runs.Run:
    """The run of a model on the text `name`: found, or trained now and stored.

    sets: gives the training sets, `name` among them, and the groups of tokens (`language_texts.training_sets`), made
    with `SCALES[scale]`; the others are what the model is crossed with. tokens, shape: others than the scale's.
    The piece "model" holds the log of `language_training` with what `Measures.watched` gives at every look, under
    <step>/ (the start, the end of the first epoch and of the last) what `analysed` gives as next/ and previous/, what
    `crossed` gives as others/, and after the start rows (n, d) and scale (n,) of W_E/ and W_U/, in 8 bits
    (`language_measures.stored`; those of `Measures.kept_rows`); and under data/ what `Measures.about` gives, epoch
    (the steps of one), names/<group> (its members, UTF-8 JSON), and digests (`TrainingSet.digest` of each, in the order
    of `sets`).
    Raises ValueError for an unknown architecture or scale, for `tokens` below 2, for a `name` that is not among the
    sets, and what training raises.
    """
    if tokens is not None and tokens < 2:
        raise ValueError(f"tokens is {tokens}: pass 2 or more, or None for the scale's own.")
    for what, value, allowed in (("architecture", architecture, ARCHITECTURES), ("scale", scale, SCALES)):
        if value not in allowed:
            raise ValueError(f"{what} is {value!r}: pass one of {', '.join(map(repr, allowed))}.")
    how = replace(SCALES[scale], tokens=tokens or SCALES[scale].tokens, shape=shape or SCALES[scale].shape)
    config = {"corpus": name, "text": text, "architecture": architecture, "scale": scale, "seed": seed}
    config |= {"epochs": epochs, "init": init, **asdict(how)}

    def train(draft: Draft) -> dict[str, np.ndarray]:
        return _train(name, *sets(), how, architecture, seed, epochs, init, means, draft)

    modules = ["probsig.language_experiments"]
    return runs.run("language-model", config, {"model": train}, modules=modules, stop=means.stop)


def _train(
    name: str,
    sets: Sequence[TrainingSet],
    groups: Mapping[str, Mapping[str, int]],
    how: Scale,
    architecture: str,
    seed: int,
    epochs: int,
    init: str | float,
    means: Means,
    draft: Draft,
) -> dict[str, np.ndarray]:
    from probsig import language_models, language_training
    from probsig.language_models import rows

    data = next((one for one in sets if one.name == name), None)
    if data is None:
        raise ValueError(
            f"There is no text {name!r} among {', '.join(repr(one.name) for one in sets)}: pass one of them."
        )
    shape = language_models.SHAPES[how.shape]
    sizes = {"vocab_size": data.vocab_size, "original": data.original}
    built = language_models.build(architecture, shape, init=init, seed=seed, **sizes)
    recipe = language_training.Recipe(epochs=epochs, batch=how.batch, length=how.length, lr=how.lr)
    measures, epoch = Measures(data, sets, groups, how.length, seed), recipe.epoch(data)
    full = {0, epoch, epoch * epochs}

    def measure(which: str, *arguments: Any) -> Any:
        return means.apart(which, *arguments) if means.apart else getattr(measures, which)(*arguments)

    def look(step: int, model: Any) -> dict[str, Any]:
        watched = rows(model, measures.watched_rows)
        parts = {"": measure("watched", *watched)}
        if step in full:
            for side, W in zip(SIDES, rows(model, measures.analysed_rows), strict=True):
                parts[f"{side}/"] = measure("analysed", side, W)
            parts["others/"] = measure("crossed", *rows(model, measures.crossed_rows))
        if step in full - {0}:  # the start is known from the seed
            for key, W in zip(("W_E", "W_U"), rows(model, measures.kept_rows), strict=True):
                small, factor = stored(W)
                parts[f"{key}/"] = {"rows": small, "scale": factor}
        return parts

    log = language_training.train(
        built,
        data,
        recipe,
        seed=seed,
        look=look,
        look_at=looks(epoch, epochs, how.looks),
        held=data.held,
        device=means.device,
        turn=means.turn,
        draft=draft,
    )
    facts = {
        **measures.about(),
        "epoch": np.array([epoch], dtype=np.int64),
        **{
            f"names/{named}": np.frombuffer(json.dumps(list(members)).encode(), np.uint8)
            for named, members in groups.items()
        },
        "digests": np.array([list(one.digest()) for one in sets], dtype=np.uint8),
    }
    return log.arrays() | {f"data/{key}": array for key, array in facts.items()}
