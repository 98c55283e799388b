"""Language models trained on a text and on its edited twin, and what became of the edited tokens: the stored runs.

One run is one seed: it chooses the tokens of the arms, edits the text (`text.edits`), and trains one model on each of
the two texts, from the same initial weights and with the rows in the same order. So whatever differs at the end comes
from the edit. It keeps the rows of W_E and W_U of the chosen tokens and the cosines of their signatures.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import runs, seeds
from probsig.errors import one_of
from probsig.experiments.language_model import scaled
from probsig.experiments.texts import Texts
from probsig.geometry import small as geometry_small

TEXTS = ("original", "edited")
SIGNATURES = ("next", "previous", "attention")
CHOSEN: dict[str, dict[str, Any]] = {
    "smoke": {"groups": 2, "size": 4, "first": 5, "last": 56, "least": 10},
    "laptop": {"groups": 8, "size": 6, "first": 30, "last": 600, "least": 100},
}
"""The arms at each scale: `groups` of `size` tokens of rank `first` to `last`, seen `least` times."""


def trained(
    name: str,
    texts: Texts,
    *,
    scale: str,
    seed: int,
    means: Any = None,
    **others: Any,
) -> runs.Run:
    """The two models of one seed on the text `name`: found, or trained now and stored.

    others: tokens, shape and lr, where they are not the scale's (`language_model.scaled`).

    The pieces are "edit", what `makers.edit` gives of the text, and for each of TEXTS under its name: W_E and W_U after
    one epoch, (n, d) float16 of the chosen tokens, steps, training/loss and training/held (m, 1); "original" has those
    of the start too, start/W_E and start/W_U, which both share.
    Raises ValueError for an unknown scale and what choosing and training raise.
    """
    one_of("scale", scale, CHOSEN)
    how = scaled(scale, **others)
    config = {"corpus": name, "architecture": "qwen2.5", "scale": scale, "seed": seed, **asdict(how), **CHOSEN[scale]}
    config |= texts.identity([name])
    pieces = {"edit": runs.Piece("probsig.experiments.makers:edit", (config,))}
    pieces |= {which: runs.Piece("probsig.experiments.makers:edited_model", (config, which)) for which in TEXTS}
    inputs = functools.partial(texts.sets, [name], how.tokens, how.keep, how.held)
    with texts.enough():
        return runs.run("language-edit", config, pieces, inputs=inputs, means=means)


Array = NDArray[np.float64]
Shape = tuple[int, int, int]


def cosines_about_mean(W: NDArray) -> Array:
    """The cosines (n, n) of rows (n, d) about their mean row.

    >>> cosines_about_mean(np.array([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    W = np.asarray(W, dtype=np.float64)
    return geometry_small.cosine(W - W.mean(axis=0))


def square(pairs: NDArray) -> Array:
    """The symmetric matrix with these entries above its diagonal, in the order of `small.pairs`, and ones on it.

    >>> square(np.array([0.5])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    n = round((1 + np.sqrt(1 + 8 * len(pairs))) / 2)
    upper = np.zeros((n, n))
    upper[np.triu_indices(n, k=1)] = pairs
    return upper + upper.T + np.eye(n)


def within(cosines: Array, shape: Shape) -> Array:
    """The mean over the pairs of each group, (arms, groups).

    >>> C = np.array([[1.0, 0.2, 0.0, 0.0], [0.2, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.4], [0.0, 0.0, 0.4, 1.0]])
    >>> within(C, (2, 1, 2)).tolist()
    [[0.2], [0.4]]
    """
    groups = np.arange(len(cosines)).reshape(-1, shape[2])
    return np.array([geometry_small.pairs(cosines[np.ix_(group, group)]).mean() for group in groups]).reshape(shape[:2])


def relabelled(moves: Array, shape: Shape, draws: int, seed: int) -> Array:
    """What `within` gives, over the groups' mean, when the tokens of each arm are dealt to its groups at random,
    (draws, arms)."""
    stream, tokens = seeds.stream(seed, "labels"), np.arange(len(moves)).reshape(shape[0], -1)
    out = np.empty((draws, shape[0]))
    for draw in range(draws):
        order = stream.permuted(tokens, axis=1).ravel()
        out[draw] = within(moves[np.ix_(order, order)], shape).mean(axis=1)
    return out


def names(shape: Shape, draws: int, seed: int) -> NDArray[np.int64]:
    """New names of the tokens, (draws, n): a permutation within each stratum, the tokens of group g of all arms, which
    are alike in frequency.

    >>> names((2, 2, 1), 3, seed=0).tolist()
    [[2, 1, 0, 3], [2, 3, 0, 1], [0, 3, 2, 1]]
    """
    stream = seeds.stream(seed, "names")
    strata = np.arange(np.prod(shape)).reshape(shape).transpose(1, 0, 2).reshape(shape[1], -1)
    out = np.empty((draws, strata.size), dtype=np.int64)
    for order in out:
        order[strata] = stream.permuted(strata, axis=1)
    return out


def renamed(a: Array, b: Array, shape: Shape, draws: int, seed: int) -> Array:
    """Correlations of the pairs of a with those of b, (draws,), when b's tokens take new `names`."""
    orders = names(shape, draws, seed)
    return np.array(
        [geometry_small.pearson(geometry_small.pairs(a), geometry_small.pairs(b[np.ix_(o, o)])) for o in orders]
    )


def joint(a: Array, signatures: Sequence[Array]) -> Array:
    """The coefficients, one a signature, of the least-squares fit of the pairs of a by those of all signatures and a
    constant.

    >>> one, two = square(np.array([0.0, 1.0, 2.0])), square(np.array([1.0, 0.0, 1.0]))
    >>> joint(square(np.array([-1.0, 2.0, 3.0])), [one, two]).round(9).tolist()
    [2.0, -1.0]
    """
    columns = np.column_stack([*map(geometry_small.pairs, signatures), np.ones(len(a) * (len(a) - 1) // 2)])
    return np.linalg.lstsq(columns, geometry_small.pairs(a), rcond=None)[0][:-1]


def exchanged(before: Array, after: Array, one: NDArray, two: NDArray, others: NDArray) -> Array:
    """How far each pair (one[k], two[k]) kept the difference of its profiles, (k,): 1 kept, 0 lost, -1 exchanged.

    A profile is the cosines with the tokens `others`, the two of the pair left out; the number is the regression of the
    difference after on that before; nan where there was none.

    >>> C = np.array([[1.0, 0.0, 0.9], [0.0, 1.0, 0.1], [0.9, 0.1, 1.0]])
    >>> swapped = C[np.ix_([1, 0, 2], [1, 0, 2])]
    >>> exchanged(C, swapped, np.array([0]), np.array([1]), np.array([2])).tolist()
    [-1.0]
    """
    out = []
    for a, b in zip(one, two, strict=True):
        rest = others[(others != a) & (others != b)]
        D, later = before[a, rest] - before[b, rest], after[a, rest] - after[b, rest]
        out.append((D @ later) / (D @ D) if D.any() else np.nan)
    return np.array(out)
