"""Probability signatures (Definition 2 of the paper) of a `laws.Distribution`, in three conventions.

With c_x(X) the number of times x stands in X, e_x a unit vector and c = (c_x)_x, the conventions read

- "membership": phi_y is P(y=nu given x in X), phi_X is P(x' in X given x in X),
  phi_Xy is P(x' in X, y=nu given x in X);
- "count": phi_y is E[c_x e_y] / E[c_x], phi_X is E[c_x c] / E[c_x], phi_Xy is E[c_x e_y c^T] / E[c_x];
- "companion": phi_y as "count", phi_X is E[c_x (c - e_x)] / E[c_x], phi_Xy is E[c_x e_y (c - e_x)^T] / E[c_x].

"membership" is the paper's definition, "count" is what the gradient flow of a model that sums embeddings contains,
and "companion" is "count" with the token's own slot left out: the law of the others, given that a slot holds x.
All three are sums over pairs of positions (i, j): every pair, the pairs i != j, or the pairs in which both positions
are the first of their token. The sums are integers; the one division is the last step, in float64 or exactly.

Axes: rows are the tokens asked for; then the V labels nu (`label`, `joint`), then the V tokens x'.
A token or label that never occurs has a row of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from probsig import guards
from probsig.errors import one_of
from probsig.laws.distribution import Distribution

CONVENTIONS = ("membership", "count", "companion")
INVERSE_CONVENTIONS = ("membership", "count", "position")


def _wanted(law: Distribution, ids: Sequence[int] | None, what: str) -> tuple[NDArray, NDArray]:
    """The ids asked for, and the map from every id to its row (-1 where there is none)."""
    guards.ids(f"{what}s", ids)
    ids = np.arange(law.vocab_size) if ids is None else np.array(ids, dtype=np.int64).ravel()
    wrong = ids[(ids < 0) | (ids >= law.vocab_size)]
    if wrong.size:
        raise ValueError(f"{what} {wrong[0]} is unknown: ids of this law are 0..{law.vocab_size - 1}")
    if len(np.unique(ids)) < len(ids):
        raise ValueError(f"{what} {np.bincount(ids).argmax()} is asked for twice: ask for each id once")
    row = np.full(law.vocab_size, -1)
    row[ids] = np.arange(len(ids))
    return ids, row


def _firsts(X: NDArray[np.int64], convention: str) -> NDArray[np.bool_]:
    """The positions that count, (n, L): under "membership" only the first of each token, else all."""
    here = np.ones(X.shape, dtype=bool)
    if convention == "membership":
        for i in range(1, X.shape[1]):
            here[:, i] = (X[:, :i] != X[:, i : i + 1]).all(axis=1)
    return here


def _divide(numerator: NDArray[np.int64], denominator: NDArray[np.int64], exact: bool) -> NDArray:
    """numerator[r, ...] / denominator[r], rows of denominator 0 being 0."""
    denominator = np.maximum(denominator, 1).reshape(-1, *[1] * (numerator.ndim - 1))
    if not exact:
        return numerator / denominator
    result = np.full(numerator.shape, Fraction(0), dtype=object)
    at = numerator.nonzero()
    pairs = zip(numerator[at].tolist(), np.broadcast_to(denominator, numerator.shape)[at].tolist(), strict=True)
    result[at] = [Fraction(a, b) for a, b in pairs]
    return result


def _conditioned(law: Distribution, tokens: Sequence[int] | None, convention: str, axes: str, exact: bool) -> NDArray:
    """Sums of the weights over positions i (and j): axes is "y", "x" or "yx", the axes behind the token's."""
    one_of("convention", convention, CONVENTIONS)
    ids, row = _wanted(law, tokens, "token")
    here, V = _firsts(law.X, convention), law.vocab_size
    total = np.zeros((len(ids), *[V] * len(axes)), dtype=np.int64)
    seen = np.zeros(len(ids), dtype=np.int64)
    for i in range(law.length):
        at = here[:, i] & (row[law.X[:, i]] >= 0)
        r = row[law.X[:, i]]
        np.add.at(seen, r[at], law.weight[at])
        if axes == "y":
            np.add.at(total, (r[at], law.y[at]), law.weight[at])
            continue
        for j in range(law.length):
            if convention == "companion" and i == j:
                continue
            both = at & here[:, j]
            index = (r[both], law.X[both, j]) if axes == "x" else (r[both], law.y[both], law.X[both, j])
            np.add.at(total, index, law.weight[both])
    return _divide(total, seen, exact)


def label(
    law: Distribution, tokens: Sequence[int] | None = None, convention: str = "count", exact: bool = False
) -> NDArray:
    """The label signature phi^y of each token, (k, V labels); a row of a token that occurs sums to 1.

    `tokens` (k ids; None for all V), `convention` as in the module's list, `exact` for an object array of Fractions.
    Raises ValueError for an unknown token or convention, and for what is no list of ids.
    (Definition 2 of the paper, first signature.)

    >>> from probsig.laws.distribution import Distribution
    >>> law = Distribution(X=[[0, 1], [1, 1]], y=[2, 3], weight=[1, 1], vocab_size=4)
    >>> label(law, [1], "membership").tolist()
    [[0.0, 0.0, 0.5, 0.5]]
    >>> [str(p) for p in label(law, [1], "count", exact=True)[0]]
    ['0', '0', '1/3', '2/3']
    """
    return _conditioned(law, tokens, convention, "y", exact)


def cooccurrence(
    law: Distribution, tokens: Sequence[int] | None = None, convention: str = "count", exact: bool = False
) -> NDArray:
    """The co-occurrence signature phi^X of each token, (k, V tokens x'); arguments and errors as for `label`.

    A row sums to L under "count", to L - 1 under "companion", and "count" is e_x + "companion".
    (Definition 2 of the paper, second signature.)

    >>> from probsig.laws.distribution import Distribution
    >>> law = Distribution(X=[[0, 1], [1, 1]], y=[2, 3], weight=[1, 1], vocab_size=4)
    >>> [[str(p) for p in cooccurrence(law, [1], name, exact=True)[0][:2]] for name in CONVENTIONS]
    [['1/2', '1'], ['1/3', '5/3'], ['1/3', '2/3']]
    """
    return _conditioned(law, tokens, convention, "x", exact)


def joint(
    law: Distribution, tokens: Sequence[int] | None = None, convention: str = "count", exact: bool = False
) -> NDArray:
    """The joint signature phi^{X|y} of each token, (k, V labels nu, V tokens x'); arguments and errors as for `label`.

    Its sum over nu is `cooccurrence`. (Definition 2 of the paper, third signature: sum of P(x', nu) e_nu e_x'^T.)

    >>> from probsig.laws.distribution import Distribution
    >>> law = Distribution(X=[[0, 1], [1, 1]], y=[2, 3], weight=[1, 1], vocab_size=4)
    >>> joint(law, [1], "membership")[0].tolist()
    [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0]]
    """
    return _conditioned(law, tokens, convention, "yx", exact)


def inverse(
    law: Distribution, labels: Sequence[int] | None = None, convention: str = "count", exact: bool = False
) -> NDArray:
    """The inverse signature varphi^X of each label, (k, V tokens x).

    "membership" is P(x in X given y = nu), "count" E[c_x given y = nu] (a row sums to L), "position" count / L
    (the law of the token in a uniform position, a row sums to 1).
    Raises ValueError for an unknown label or convention, and for what is no list of ids.
    (Definition 2 of the paper, fourth signature.)

    >>> from probsig.laws.distribution import Distribution
    >>> law = Distribution(X=[[0, 1], [1, 1]], y=[2, 2], weight=[1, 1], vocab_size=4)
    >>> [inverse(law, [2], name)[0, :2].tolist() for name in INVERSE_CONVENTIONS]
    [[0.5, 1.0], [0.5, 1.5], [0.25, 0.75]]
    """
    one_of("convention", convention, INVERSE_CONVENTIONS)
    ids, row = _wanted(law, labels, "label")
    here, r = _firsts(law.X, convention), row[law.y]
    total = np.zeros((len(ids), law.vocab_size), dtype=np.int64)
    seen = np.zeros(len(ids), dtype=np.int64)
    np.add.at(seen, r[r >= 0], law.weight[r >= 0])
    for i in range(law.length):
        at = here[:, i] & (r >= 0)
        np.add.at(total, (r[at], law.X[at, i]), law.weight[at])
    return _divide(total, seen * (law.length if convention == "position" else 1), exact)
