r"""Which documents make the geometry: networks trained without a part of the text, and what counts foretell of them.

One run is one seed. The text is cut into parts that are alike in their tokens (`text.parts`). A network is trained on
the whole, on the text without each part, and without a tenth of its rows drawn at random; all from the same initial
weights, in the same order of the same rows except for those that were replaced.

What is foretold are the cosines of the signatures about their mean: in the counts without a part, less those in all.
What is measured is the same of the learned part of W_E and W_U, the rows at the end less the rows at the start.
Axes: parts (P,), then the random rows as one more, and pairs (n (n - 1) / 2,) of the tokens that are compared.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import runs, seeds
from probsig.errors import one_of
from probsig.experiments.language_model import SCALES
from probsig.experiments.texts import Texts
from probsig.geometry import small as geometry_small
from probsig.geometry.reliability import of_mean
from probsig.text.parts import Parts, in_parts
from probsig.text.training_set import TrainingSet

LAW = {"W_E": "next", "W_U": "previous"}
"""Each matrix and the law that drives it at first order (Corollary 4)."""
FULL, RANDOM = "full", "random"
FEWEST = 10  # tokens that are compared
MARKS = 6  # tokens by which a part is known

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sizes:
    """How many parts, how many tokens are compared, and how often each is seen outside every part."""

    parts: int
    compared: int
    least: int


SIZES = {"smoke": Sizes(10, 30, 10), "laptop": Sizes(10, 80, 100)}
CHOSEN: dict[str, dict[str, Any]] = {
    "smoke": {"length": 16, "keep": 200, "held": 0},
    "laptop": {"tokens": 200_000, "length": 128, "held": 0},
}


def trained(name: str, texts: Texts, *, scale: str, seed: int, means: Any = None) -> runs.Run:
    """The networks of one seed on the text `name`: found, or trained now and stored.

    The piece "text" holds words (UTF-8 JSON) and frequency (n,) of the tokens that are compared, group (k,), the
    places among them of the digits, or of the group that has most there; of the parts size (P + 1,), tokens, share
    (P, n), of the occurrences of a token, and marks (UTF-8 JSON), MARKS tokens of each part in turn by which it is
    known; nats (2,), the entropy of single tokens and of the next one given one; and for each law of LAW <law>/whole
    (pairs,), cosines, <law>/change (P + 1, pairs), foretold, and <law>/counted (P + 1,), the correlation of what is
    foretold with the change in the counts of the text that is trained on. The pieces "full", "without 0", ... and
    "random" hold steps, training/loss and W_E and W_U (pairs,), cosines of the learned part.
    Raises ValueError for an unknown scale, for a text too short, and what training raises.
    """
    one_of("scale", scale, SIZES)
    how = replace(SCALES[scale], **CHOSEN[scale])
    config = {"corpus": name, "architecture": "qwen2.5", "scale": scale, "seed": seed, **asdict(how)}
    config |= {**asdict(SIZES[scale]), **texts.identity([name])}
    pieces = {"text": runs.Piece("probsig.experiments.left_out_makers:text", (config,))}
    makes = "probsig.experiments.left_out_makers:model"
    pieces |= {which: runs.Piece(makes, (config, which)) for which in arms(SIZES[scale].parts)}
    inputs = functools.partial(texts.sets, [name], how.tokens, how.keep, how.held)
    with texts.enough():
        return runs.run("language-left-out", config, pieces, inputs=inputs, means=means)


def arms(parts: int) -> list[str]:
    """What networks are trained on.

    >>> arms(2)
    ['full', 'without 0', 'without 1', 'random']
    """
    return [FULL, *(f"without {k}" for k in range(parts)), RANDOM]


@dataclass(frozen=True, eq=False)
class Plan:
    """A text in parts, the tokens (n,) that are compared, and which rows (P + 1, R) each retraining lacks."""

    parts: Parts
    tokens: NDArray[np.int64]
    gone: NDArray[np.bool_]

    def text(self, which: str, seed: int) -> TrainingSet:
        """The text of one of `arms`; the rows in the place of those that are gone are drawn from the stream
        (seed, "instead", which)."""
        if which == FULL:
            return self.parts.data
        gone = self.gone[-1 if which == RANDOM else int(which.split()[1])]
        return self.parts.without(gone, seeds.stream(seed, "instead", which))


def plan(data: TrainingSet, *, parts: int, compared: int, least: int, length: int, seed: int) -> Plan:
    """The parts of a text and what is compared: the most frequent tokens that are seen `least` times outside every
    part. The random rows are drawn from the stream (seed, "random rows").

    Raises ValueError where that are fewer than FEWEST, and what `in_parts` raises.
    """
    found = in_parts(data, parts, length)
    share = shares(found, parts)
    outside = share.sum(axis=0) - share.max(axis=0)
    tokens = found.data.frequent(data.vocab_size, least)
    tokens = tokens[outside[tokens] >= least][:compared]
    if len(tokens) < FEWEST:
        raise ValueError(
            f"{data.name} has {len(tokens)} tokens seen {least} times outside every part, and {FEWEST} are needed: "
            "take more text."
        )
    gone = np.zeros((parts + 1, len(found.part)), dtype=bool)
    gone[:parts] = found.part == np.arange(parts)[:, None]
    drawn = seeds.stream(seed, "random rows").permutation(len(found.part))
    gone[-1, drawn[: round(len(drawn) / parts)]] = True
    return Plan(found, tokens, gone)


def shares(found: Parts, parts: int) -> NDArray[np.int64]:
    """How often each token occurs in each part, (P, V)."""
    V, rows = found.data.vocab_size, found.data.ids[:-1].reshape(len(found.part), -1)
    return np.stack([np.bincount(rows[found.part == k].ravel(), minlength=V) for k in range(parts)])


def correlations(measured: NDArray, foretold: NDArray) -> Array:
    """Of each measured change (m, pairs) with each that is foretold (f, pairs), (m, f).

    >>> correlations(np.array([[1.0, 2.0, 3.0]]), np.array([[2.0, 4.0, 6.0], [3.0, 2.0, 1.0]])).round(6).tolist()
    [[1.0, -1.0]]
    """
    return np.array([[geometry_small.pearson(one, other) for other in foretold] for one in measured])


def own_and_others(matrix: NDArray) -> tuple[Array, Array, Array]:
    """Of correlations (P, P), a row for each part that was left out: that with its own prediction, the mean of those
    with the predictions of the others, and the share of the others that fit less well, (P,) each.

    >>> own_and_others(np.array([[0.5, 0.1, 0.0], [0.2, 0.1, 0.4], [0.0, 0.2, 0.6]]))[2].tolist()
    [1.0, 0.0, 1.0]
    """
    own, n = np.diag(matrix), len(matrix)
    return own, (matrix.sum(axis=1) - own) / (n - 1), (matrix < own[:, None]).sum(axis=1) / (n - 1)


def makes_alike(changes: NDArray) -> NDArray[np.int64]:
    """For each pair the part that makes it most alike, (pairs,): without it the cosine falls most; changes (P, pairs).

    >>> makes_alike(np.array([[-0.2, 0.1], [0.1, -0.3]])).tolist()
    [0, 1]
    """
    return changes.argmin(axis=0)


def hits(foretold: NDArray, measured: NDArray, chosen: NDArray | None = None) -> tuple[float, float]:
    """How often two namings of a part for each pair (pairs,) agree, and how often they would by chance, from how often
    each part is named in either; over the pairs that are `chosen` (None: all).

    >>> hits(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))
    (0.75, 0.5)
    """
    one, other = (np.asarray(named)[slice(None) if chosen is None else chosen] for named in (foretold, measured))
    n = int(max(one.max(), other.max())) + 1
    often = [np.bincount(named, minlength=n) / len(named) for named in (one, other)]
    return float(np.mean(one == other)), float(often[0] @ often[1])


def precision(foretold: NDArray, measured: NDArray, parts: int) -> Array:
    """For each part, of the pairs for which it is foretold the share for which it is measured, less the share of all
    pairs for which it is measured, (P,); nan where it is foretold for none.

    >>> precision(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 2).tolist()
    [0.25, 0.25]
    """
    out = np.full(parts, np.nan)
    for k in range(parts):
        if (foretold == k).any():
            out[k] = np.mean(measured[foretold == k] == k) - np.mean(measured == k)
    return out


def ceilings(measured: NDArray) -> Array:
    """What a perfect prediction of each part's change, the mean over seeds, could be expected to reach, (P,): the root
    of its reliability (Spearman-Brown, from the mean correlation of two seeds); measured is (seeds, P, pairs).

    0 where seeds don't agree, nan of one seed.

    >>> ceilings(np.array([[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]])).tolist()
    [1.0, 0.0]
    """
    n, out = len(measured), np.full(measured.shape[1], np.nan)
    for k in range(len(out)) if n > 1 else ():
        common = geometry_small.pairs(correlations(measured[:, k], measured[:, k])).mean()
        out[k] = np.sqrt(of_mean(float(common), n))
    return out


def renamings(pairs: int, draws: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """The places (pairs,) that pairs of tokens take where the tokens take names at random, `draws` times.

    >>> [sorted(places.tolist()) for places in renamings(3, 2, seed=0)]
    [[0, 1, 2], [0, 1, 2]]
    """
    stream, n = seeds.stream(seed, "tokens renamed"), round((1 + np.sqrt(1 + 8 * pairs)) / 2)
    above, square = np.triu_indices(n, 1), np.zeros((n, n), dtype=np.int64)
    square[above] = np.arange(pairs)
    square += square.T
    for _ in range(draws):
        order = stream.permutation(n)
        yield square[np.ix_(order, order)][above]


def shuffled(measured: NDArray, foretold: NDArray, draws: int, seed: int) -> Array:
    """The correlation when the tokens of what is foretold take names at random, (draws,); both (pairs,)."""
    every = renamings(len(foretold), draws, seed)
    return np.array([geometry_small.pearson(measured, foretold[places]) for places in every])


def over(found: Sequence[runs.Run], key: str) -> tuple[Array, Array]:
    """The measured changes of "W_E" or "W_U", (seeds, P + 1, pairs), and the cosines with nothing left out
    (seeds, pairs)."""
    parts = int(found[0].config["parts"])
    whole = np.stack([run.arrays[f"{FULL}/{key}"].astype(float) for run in found])
    rest = [[run.arrays[f"{arm}/{key}"].astype(float) for arm in arms(parts)[1:]] for run in found]
    return np.array(rest) - whole[:, None], whole
