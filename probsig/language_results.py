"""The stored language models of a chapter, and how their arrays are read.

`trained` leads from a chapter's parameters to runs, training what is missing; the rest names what is stored by
`language_experiments`: numbers over the steps of a run, and arrays at the start, after one epoch and at the end.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig import language_experiments, language_texts
from probsig.runs import Run

Models = dict[str, list[Run]]


def trained(
    names: Sequence[str],
    seeds: Sequence[int],
    *,
    architecture: str,
    scale: str,
    text: str = "stand-in",
    tokenizer: str | None = None,
    **options: Any,
) -> Models:
    """For each text the runs of its models, one a seed: found, or trained now and stored.

    tokenizer: by default the architecture's; another one is part of a run's `text`. Models are crossed with all of
    `language_texts.NAMES`, or with the texts themselves where these are others. `options` are those of
    `language_experiments.model`. Raises what that and `language_texts.opened` raise.
    """
    by = tokenizer or language_experiments.ARCHITECTURES[architecture]
    how = language_experiments.SCALES[scale]
    tokens = options.get("tokens") or how.tokens
    beside = list(language_texts.NAMES if set(names) <= set(language_texts.NAMES) else names)

    @functools.cache
    def sets() -> language_experiments.Sets:
        opening = {"text": text, "scale": scale, "seed": 0, "tokenizer": by}
        return language_texts.training_sets(beside, tokens, how.keep, **opening)

    said = text if by == language_experiments.ARCHITECTURES[architecture] else f"{text}, tokenizer {by}"
    known = {"architecture": architecture, "scale": scale, "text": said, **options}
    return {name: [language_experiments.model(name, sets, seed=seed, **known) for seed in seeds] for name in names}


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
    return run.arrays[f"model/kept/{step}/{key}"]


def over(models: Sequence[Run], key: str, step: int | None = None) -> NDArray:
    """An array of every seed, (seeds, ...), at a step or at the last."""
    return np.stack([at(run, last(run) if step is None else step, key) for run in models])


def place(run: Run, C: int) -> int:
    """Where C stands among the sizes, or the largest size where the text has fewer tokens."""
    sizes = data(run, "sizes")
    return int(np.flatnonzero(sizes == C)[0]) if C in sizes else len(sizes) - 1


def curve(models: Sequence[Run], side: str, C: int) -> tuple[NDArray, NDArray]:
    """Epochs passed (m,) and R_cos over training (seeds, m) of "next" or "previous", over C tokens or, where there are
    fewer, over all."""
    run = models[0]
    size = C if f"model/metric/{side}/{C}" in run.arrays else int(data(run, "sizes")[-1])
    return run.arrays["model/steps"] / epoch(run), np.stack([m.arrays[f"model/metric/{side}/{size}"] for m in models])


def spread(values: ArrayLike, digits: int = 2) -> str:
    """Mean and standard deviation over seeds in words; of one seed its value.

    >>> spread([0.1, 0.3]), spread([1234.0], 0)
    ('0.20 ± 0.14', '1,234')
    """
    values = np.ravel(values)
    told = f"{values.mean():,.{digits}f}"
    return told if len(values) == 1 else f"{told} ± {values.std(ddof=1):.{digits}f}"


def means(values: Mapping[str, ArrayLike]) -> str:
    """One line of means and spreads over seeds, by name.

    >>> means({"a": np.array([0.1, 0.3]), "b": [0.5]})
    'a 0.20 ± 0.14; b 0.50'
    """
    return "; ".join(f"{name} {spread(one)}" for name, one in values.items())


def span(values: ArrayLike, digits: int = 2) -> str:
    """From the least to the greatest of some numbers in words; one number where they are the same as printed.

    >>> span([0.304, 0.1]), span([0.304, 0.296]), span([16, 8192], 0)
    ('0.10 to 0.30', '0.30', '16 to 8,192')
    """
    ends = [round(float(end), digits) + 0.0 for end in (np.min(values), np.max(values))]  # + 0.0: no -0.00
    return " to ".join(dict.fromkeys(f"{end:,.{digits}f}" for end in ends))
