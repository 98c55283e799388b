r"""A new token's row from its signature, and tokens that were hardly trained: the stored runs of one chapter.

- `shipped`: an open model's embedding. How well a map from signatures to rows predicts rows that it has not seen.
- `added`: one network of our own a seed. It is trained on a text in which some tokens were made rare
  (`text.vocabulary`). Detectors say which tokens these are. Then some pairs of neighbours become one token each, with
  rows that start in one of STARTS, and the training goes on.

Axes: places are PLACES, starts STARTS.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import runs, seeds
from probsig.errors import one_of
from probsig.experiments.language_model import SCALES
from probsig.experiments.pretrained import Model, asked
from probsig.experiments.texts import Texts
from probsig.text import vocabulary
from probsig.text.training_set import REST, TrainingSet

STARTS = ("noise", "mean row", "mean of parts", "signature")
"""How the row of a new token starts: N(0, s) with the matrix's own s; the mean of all rows; of its two parts' rows;
what its signature suggests."""
PLACES = ("all", "predicted", "read")
"""Which losses are averaged: all; those of a new token; those of the token after a new one."""
DETECTORS = ("signature", "moved", "mean row", "unused, distance", "unused, cosine")
"""What says that a row is under-trained: how unlike it is to the signature's prediction, how little it moved, its
cosine with the mean row; and Land and Bartolo's rule in two forms, how near it is to the mean of known unused rows, and
its cosine with that mean after the mean of all rows and their first component are taken off."""
MATRICES = ("W_E", "W_U")
LEVELS = (0, 1, 2, 5, 10, 20, 50)
"""How often tokens are left in the text that is trained on."""
FROM = {
    "next": ((0, 1), 1.0),
    "previous": ((1, 2), 1.0),
    "both": ((0, 2), 1.0),
    "a quarter": ((0, 2), 0.25),
}
"""What a map of an open model reads: of the two sides from the first up to the second, and how much of the text."""
SEEN = 50  # how often a token is seen whose row is fitted


@dataclass(frozen=True)
class Sizes:
    """How many pairs are merged and how often these are seen, at least and at most, and as a share of both tokens; how
    often a token is seen whose row is fitted, in how many folds; how many tokens are made rare at each level and how
    often they are seen before; the map's directions; and the steps, the rate and the looks of the training after."""

    pairs: int
    least: int
    most: int
    share: float
    seen: int
    folds: int
    each: int
    often: tuple[int, int]
    components: int
    steps: int
    rate: float
    at: tuple[int, ...]


SIZES = {
    "smoke": Sizes(2, 4, 400, 0.05, 8, 2, 1, (8, 400), 20, 20, 3e-3, (0, 10, 20)),
    "laptop": Sizes(24, 100, 2000, 0.1, SEEN, 5, 30, (100, 1000), 200, 1000, 3e-4, (0, 10, 100, 1000)),
}
CHOSEN: dict[str, dict[str, Any]] = {
    "smoke": {},
    "laptop": {"tokens": 1_000_000, "keep": 4096, "lr": 1e-3},
}


def added(name: str, texts: Texts, *, scale: str, seed: int, means: Any = None) -> runs.Run:
    """The network of one seed on the text `name`: found, or trained now and stored.

    The piece "added" holds of the first training steps, training/loss and training/held; of the map fit (MATRICES, 3),
    R^2, of the shuffle, and of frequency alone; of the rare tokens rare/seen (levels, each), how often they were left,
    and rare/frequency; level (n,) of every token that detectors judge, -1 where it was not made rare, often (n,), and
    detectors (MATRICES, DETECTORS, n), higher where a row looks less trained; of the pairs words (UTF-8 JSON, first and
    second part in turn) and pairs/seen (k,); at (looks,), loss (STARTS, looks, PLACES) on held-out text, and parts
    (PLACES,), what the network had for the same text with its pairs in two, a pair's two losses added.
    Raises ValueError for an unknown scale and what choosing and training raise.
    """
    one_of("scale", scale, SIZES)
    how = replace(SCALES[scale], **CHOSEN[scale])
    config = {"corpus": name, "architecture": "qwen2.5", "scale": scale, "seed": seed, **asdict(how)}
    config |= {"added": asdict(SIZES[scale]), **texts.identity([name])}
    pieces = {"added": runs.Piece("probsig.experiments.new_token_makers:added", (config,))}
    inputs = functools.partial(texts.sets, [name], how.tokens, how.keep, how.held)
    with texts.enough():
        return runs.run("language-added", config, pieces, inputs=inputs, means=means)


def shipped(model: Model, texts: Texts) -> runs.Run:
    """The map of an open model's embedding from the texts' signatures: found, or made now and stored.

    Each of FROM is a piece and holds scores (3,), R^2, of the shuffle and of frequency alone; ranks (n,) and frequency
    (n,), of the fitted tokens, most frequent first; size (tokens of the texts, rows of the model, its width).
    Raises what opening either raises, and MissingRun under CI.
    """
    names, config, opened = asked(model, texts)
    config |= {"most": 5000, "components": SIZES["smoke" if texts.made_up else "laptop"].components}
    made = "probsig.experiments.new_token_makers:shipped"
    pieces = {which: runs.Piece(made, (names, config, which)) for which in FROM}
    with texts.enough():
        return runs.run("language-rows", config, pieces, inputs=opened)


@dataclass(frozen=True, eq=False)
class Plan:
    """What is done to a text: `rare` (levels, each) tokens and `pairs` (k, 2) that are merged later; `thinned`, the
    text that is trained on."""

    rare: NDArray[np.int64]
    pairs: NDArray[np.int64]
    thinned: TrainingSet


def plan(data: TrainingSet, sizes: Sizes, seed: int) -> Plan:
    """The pairs, drawn from the stream (seed, "pairs", name), and the rare tokens, of (seed, "rare", name), which are
    in no pair; raises ValueError for a text with too few of either."""
    stream = seeds.stream(seed, "pairs", data.name)
    found = vocabulary.candidates(data, least=sizes.least, most=sizes.most, share=sizes.share)
    pairs = found[np.sort(stream.permutation(len(found))[: sizes.pairs])]
    low, high = sizes.often
    frequency = data.frequency
    fit = (frequency >= low) & (frequency <= high) & (data.kept != REST)
    fit[pairs.ravel()] = False
    fit[-1] = False
    tokens = np.flatnonzero(fit)
    needed = len(LEVELS) * sizes.each
    if len(pairs) < 1 or len(tokens) < 2 * needed:
        raise ValueError(
            f"{data.name} has {len(pairs)} pairs to merge and {len(tokens)} tokens seen {low} to {high} times, of "
            f"which {2 * needed} are needed: take more text."
        )
    rare = seeds.stream(seed, "rare", data.name).permutation(tokens)[:needed].reshape(len(LEVELS), sizes.each)
    left = np.minimum(np.repeat(LEVELS, sizes.each), frequency[rare.ravel()])
    return Plan(rare, pairs, vocabulary.thin(data, rare.ravel().tolist(), left.tolist(), seed))


def auc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """The chance that a positive scores higher than a negative, ties half; nan where there is none of either.

    >>> auc([0.1, 0.9, 0.5, 0.5], [False, True, True, False])
    0.875
    """
    values, which = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    yes, no = values[which], np.sort(values[~which])
    if not len(yes) or not len(no):
        return float("nan")
    below, up_to = np.searchsorted(no, yes, "left"), np.searchsorted(no, yes, "right")
    return float((below + up_to).mean() / (2 * len(no)))


def auc_interval(scores: Sequence[float], positive: Sequence[bool], seed: int, draws: int = 999) -> tuple[float, float]:
    """95 % of `auc` when positives and negatives are drawn anew, each with replacement.

    >>> auc_interval([0.1, 0.2, 0.8, 0.9], [False, False, True, True], seed=0)
    (1.0, 1.0)
    """
    values, which = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    yes, no, stream = values[which], values[~which], seeds.stream(seed, "auc")
    label = np.repeat([True, False], [len(yes), len(no)])
    found = [
        auc(np.concatenate([stream.choice(yes, len(yes)), stream.choice(no, len(no))]).tolist(), label.tolist())
        for _ in range(draws)
    ]
    low, high = np.quantile(found, [0.025, 0.975]).tolist()
    return low, high
