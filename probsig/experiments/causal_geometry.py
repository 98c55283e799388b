r"""A geometry made on purpose: a text whose counts say what picture W_E will show, and networks trained on it.

One run is one seed. Twelve tokens of middling frequency are dealt a ring (`text.dealt.ring`), and the digits, or other
tokens that are frequent, take each other's followers (`text.dealt.reglued`); that is the text "dealt". Its twin
"control" is glued again too, every token taking from itself, and has no ring. A network is trained on each, from the
same initial weights.

Kept are Gram matrices of rows about their mean, from which come cosines and pictures: of the signatures in both texts,
and at every look of the learned part of W_E and W_U, the rows less what they were at the start.
Axes: members are the tokens of "ring", in their order round it, or of "exchanged", in the order of their group.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import runs, seeds
from probsig.errors import one_of
from probsig.experiments.language_model import SCALES
from probsig.experiments.texts import Texts
from probsig.geometry import small as geometry_small
from probsig.text import dealt
from probsig.text.training_set import TrainingSet

TEXTS = ("control", "dealt")
SETS = ("ring", "exchanged")
SIGNATURES = ("next", "previous")
CHOSEN: dict[str, dict[str, Any]] = {
    "smoke": {"ring": 12, "first": 10, "last": 60, "least": 20, "width": 1.5, "lr": 1e-2, "batch": 1, "length": 16},
    "laptop": {"ring": 12, "first": 40, "last": 130, "least": 500, "width": 1.5, "lr": 1e-3},
}
"""How many tokens make the ring, their ranks, how often both sets are seen, the ring's width; and the learning rate."""
FEWEST, MOST = 4, 10  # of the tokens that exchange their followers

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Dealt:
    """Both texts of a seed; `ring` and `exchanged` are ids, token `exchanged[i]` takes from `exchanged[takes[i]]`."""

    texts: dict[str, TrainingSet]
    ring: NDArray[np.int64]
    exchanged: NDArray[np.int64]
    takes: NDArray[np.int64]


def trained(name: str, texts: Texts, *, scale: str, seed: int, means: Any = None) -> runs.Run:
    """The two networks of one seed on the text `name`: found, or trained now and stored.

    The piece "texts" holds words (UTF-8 JSON, the ring's and then the exchanged), takes (k,), frequency (2, 12 + k) in
    the order of TEXTS, nats (2, 2), the entropy of single tokens and of the next one given one, and for each of TEXTS,
    SETS and SIGNATURES the Gram matrix <text>/<set>/<signature>. The pieces "control" and "dealt" hold steps (m,),
    training/loss (m, 1) and the Gram matrices <set>/W_E and <set>/W_U (m, k, k) of the learned parts.
    Raises ValueError for an unknown scale and what choosing and training raise.
    """
    one_of("scale", scale, CHOSEN)
    how = SCALES[scale]
    config = {"corpus": name, "architecture": "qwen2.5", "scale": scale, "seed": seed, **asdict(how), **CHOSEN[scale]}
    config |= texts.identity([name])
    pieces = {"texts": runs.Piece("probsig.experiments.makers:dealt_texts", (config,))}
    pieces |= {which: runs.Piece("probsig.experiments.makers:dealt_model", (config, which)) for which in TEXTS}
    inputs = functools.partial(texts.sets, [name], how.tokens, how.keep, how.held)
    with texts.enough():
        return runs.run("language-dealt", config, pieces, inputs=inputs, means=means)


def make(
    data: TrainingSet,
    members: Sequence[int],
    *,
    ring: int,
    ranks: tuple[int, int],
    least: int,
    width: float,
    seed: int,
) -> Dealt:
    """Both texts of a seed.

    What exchanges followers are those of `members` (ids) that are seen `least` times; where they are fewer than FEWEST,
    the MOST most frequent tokens. Who takes from whom is drawn from the stream (seed, "takes", name), nobody from
    itself; the ring's tokens, of rank `ranks[0]` up to `ranks[1]`, from (seed, "ring's tokens", name).
    Raises ValueError for a text with too few such tokens, and what `text.dealt` raises.
    """
    often = data.frequent(data.vocab_size, least)
    exchanged = np.array([token for token in members if token in often], dtype=np.int64)
    if len(exchanged) < FEWEST:
        exchanged = often[:MOST]
    found = np.setdiff1d(data.frequent(ranks[1], least)[ranks[0] :], exchanged)
    if len(found) < ring or len(exchanged) < FEWEST:
        raise ValueError(
            f"{data.name} has {len(found)} tokens of ranks {ranks[0]} to {ranks[1]} seen {least} times, and a ring "
            f"needs {ring}: take more text."
        )
    chosen = seeds.stream(seed, "ring's tokens", data.name).permutation(found)[:ring]
    stream, own = seeds.stream(seed, "takes", data.name), np.arange(len(exchanged))
    takes = stream.permutation(own)
    while (takes == own).any():
        takes = stream.permutation(own)
    changed = dealt.ring(data, chosen, width=width, seed=seed)
    both = {
        "control": dealt.reglued(data, exchanged, own, seed=seed),
        "dealt": dealt.reglued(changed, exchanged, takes, seed=seed),
    }
    return Dealt(both, chosen, exchanged, takes)


def gram(rows: NDArray) -> Array:
    """The inner products (n, n) of rows (n, d) about their mean.

    >>> gram(np.array([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    rows = np.asarray(rows, dtype=np.float64)
    rows = rows - rows.mean(axis=0)
    return rows @ rows.T


def cosines(gram: NDArray) -> Array:
    """The cosines (n, n) of the rows whose inner products these are; 0 beside a row of zeros.

    >>> cosines(np.array([[4.0, 1.0], [1.0, 1.0]])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    gram = np.asarray(gram, dtype=np.float64)
    norms = np.sqrt(np.diag(gram))
    scale = np.where(norms > 0, norms, 1)
    return gram / np.outer(scale, scale)


def plane(gram: NDArray, like: NDArray | None = None) -> tuple[Array, Array]:
    """The rows in the plane of their two leading components, (n, 2), the largest distance from the middle 1, and the
    share of the variance that each component holds, (n,).

    like: a picture (n, 2) onto which this one is turned, and mirrored if that fits better; else the first row lies on
    the right and the second above it.

    >>> square = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> points, shares = plane(square @ square.T)
    >>> (points.round(6) + 0.0).tolist(), shares.round(6).tolist()
    ([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], [0.5, 0.5, 0.0, 0.0])
    """
    values, vectors = np.linalg.eigh(np.asarray(gram, dtype=np.float64))
    values, vectors = values[::-1].clip(0), vectors[:, ::-1]
    points = vectors[:, :2] * np.sqrt(values[:2])
    points /= np.linalg.norm(points, axis=1).max() or 1
    if like is None:
        angle = np.arctan2(points[0, 1], points[0, 0])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = points @ turn
        return points * [1, np.sign(points[1, 1]) or 1], values / values.sum()
    left, _, right = np.linalg.svd(points.T @ like)
    return points @ left @ right, values / values.sum()


def ring_order(gram: NDArray) -> float:
    """The correlation of the cosines of all pairs with their distance round the ring, in steps: -1 for a ring whose
    cosines fall evenly.

    >>> round(ring_order(np.array([[1.0, 0, -1, 0], [0, 1, 0, -1], [-1, 0, 1, 0], [0, -1, 0, 1]])), 6)
    -1.0
    """
    n = len(gram)
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    return geometry_small.pearson(
        geometry_small.pairs(cosines(gram)), geometry_small.pairs(np.minimum(apart, n - apart).astype(float))
    )


def likeness(one: NDArray, other: NDArray, takes: NDArray | None = None) -> float:
    """The correlation of the cosines of all pairs of two Gram matrices; with `takes`, token i of `one` stands beside
    token takes[i] of `other`.

    >>> one = np.array([[1.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 1.0]])
    >>> takes = np.array([1, 2, 0])
    >>> round(likeness(one[np.ix_(takes, takes)], one, takes), 6)
    1.0
    """
    order = np.arange(len(one)) if takes is None else takes
    return geometry_small.pearson(
        geometry_small.pairs(cosines(one)), geometry_small.pairs(cosines(other)[np.ix_(order, order)])
    )


def chance(one: NDArray, other: NDArray, draws: int, seed: int) -> Array:
    """`likeness` when the tokens of `other` take names at random, (draws,)."""
    stream, n = seeds.stream(seed, "renamed"), len(one)
    return np.array([likeness(one, other, stream.permutation(n)) for _ in range(draws)])


def dealt_order(gram: NDArray, draws: int, seed: int) -> Array:
    """`ring_order` when the tokens are put round the ring at random, (draws,)."""
    stream = seeds.stream(seed, "round the ring")
    orders = (stream.permutation(len(gram)) for _ in range(draws))
    return np.array([ring_order(gram[np.ix_(order, order)]) for order in orders])
