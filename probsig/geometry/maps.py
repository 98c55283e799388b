r"""From signatures to rows: what row do the counts of a text suggest for a token?

A linear map is fitted on tokens whose rows are known. A token's features are the positive pointwise mutual information
of what follows it and of what precedes it, both sides by side, along the K directions in which they vary most, and the
logarithm of its frequency. The map is ridge regression, its penalty chosen by generalised cross-validation.

How far to trust it is said by tokens that the map hasn't seen: `held_out` fits it on all folds but one and predicts
that one. Beside its R^2 stands what the same predictions give when they are dealt among tokens of a like frequency,
and what frequency alone gives.

Axes: signatures (n, m) sparse, rows W (n, d), features (n, K + 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import svds

from probsig import seeds
from probsig.counts.bigrams import Bigrams
from probsig.signatures import tokens as laws

Array = NDArray[np.float64]
PENALTIES = 10.0 ** np.arange(-8, 7)
GROUP = 50  # neighbours in frequency among which the null deals predictions


@dataclass(frozen=True, eq=False)
class Basis:
    """The directions (K, m) along which signatures are read, and the size that their readings are divided by."""

    directions: Array
    size: float

    def features(self, signatures: sp.csr_array, frequency: ArrayLike) -> Array:
        """The readings of some signatures, then log(1 + frequency): (n, K + 1)."""
        frequency = np.asarray(frequency, dtype=np.float64)
        read = (signatures @ self.directions.T) / self.size
        return np.column_stack([read, np.log1p(frequency)])


@dataclass(frozen=True, eq=False)
class Map:
    """A fitted map: `weights` (features, d) of features about their `centre`, and the `mean` row that it adds to."""

    weights: Array
    centre: Array
    mean: Array

    def rows(self, features: Array) -> Array:
        """The rows (n, d) that it suggests."""
        return (features - self.centre) @ self.weights + self.mean


@dataclass(frozen=True, eq=False)
class Held:
    """Rows `predicted` (n, d) each by a map that has not seen its token; R^2 of them, of the same dealt among tokens of
    a like frequency (`shuffled`), and of what frequency alone predicts (`frequency`); `cosines` (n,) of each row with
    its prediction, about the mean; `ranks` (n,), how many of the rows are nearer to a prediction than its own is."""

    predicted: Array
    r2: float
    shuffled: float
    frequency: float
    cosines: Array
    ranks: NDArray[np.int64]


def signatures(counts: Bigrams, tokens: Sequence[int], columns: int | None = None) -> sp.csr_array:
    """The PPMI of what follows and of what precedes each token, side by side, (n, 2 columns).

    columns: only the first so many ids count as neighbours, such as those that a model already has; all by default.

    >>> from probsig.counts.bigrams import count
    >>> counts = count(np.array([0, 1, 0, 2, 0, 1], dtype=np.uint16), 3)
    >>> signatures(counts, [2]).toarray().round(2).tolist()
    [[0.92, 0.0, 0.0, 0.51, 0.0, 0.0]]
    """
    both = [laws.skip(counts, tokens, "ppmi", side) for side in laws.DIRECTIONS]
    return sp.csr_array(sp.hstack([side[:, : columns or counts.vocab_size] for side in both]))  # type: ignore[index]


def basis(signatures: sp.csr_array, components: int = 300, seed: int = 0) -> Basis:
    """The directions in which signatures vary most, at most one fewer than there are tokens or columns.

    Raises ValueError for fewer than 3 tokens, and where no signature has an entry.

    >>> found = basis(sp.csr_array([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]), components=1)
    >>> abs(found.directions).round(6).tolist()
    [[1.0, 0.0, 0.0]]
    """
    n = signatures.shape[0]
    if n < 3 or not signatures.nnz:
        raise ValueError(f"{n} tokens with {signatures.nnz} neighbours give no map: take more text or rarer tokens.")
    K = max(1, min(components, n - 1, signatures.shape[1] - 1))
    start = seeds.stream(seed, "map").standard_normal(min(signatures.shape))
    directions = svds(signatures.astype(np.float64), k=K, v0=start)[2][::-1]
    return Basis(directions, float((signatures @ directions.T).std(axis=0).mean()) or 1.0)


def fitted(features: Array, W: ArrayLike) -> Map:
    """Ridge regression of rows W (n, d) on features (n, k), both about their means.

    The penalty is the one of PENALTIES with the least generalised cross-validation error (Golub, Heath and Wahba 1979).
    Raises ValueError where there are not as many rows as features have.

    >>> X = np.arange(6.0)[:, None]
    >>> fitted(X, X * [2.0, -1.0]).rows(np.array([[10.0]])).round(2).tolist()
    [[20.0, -10.0]]
    """
    W = np.asarray(W, dtype=np.float64)
    if len(W) != len(features):
        raise ValueError(f"{len(W)} rows meet features of {len(features)} tokens: pass one row for each token.")
    mean, centre = W.mean(axis=0), features.mean(axis=0)
    left, sizes, right = np.linalg.svd(features - centre, full_matrices=False)
    Y = W - mean
    along = left.T @ Y
    whole, best = (Y**2).sum(), None
    for penalty in PENALTIES:
        kept = sizes**2 / (sizes**2 + penalty)
        error = whole - ((1 - (1 - kept) ** 2)[:, None] * along**2).sum()
        score = error / max(len(W) - 1 - kept.sum(), 1e-9) ** 2
        if best is None or score < best[0]:
            best = score, right.T @ ((sizes / (sizes**2 + penalty))[:, None] * along)
    return Map(best[1], centre, mean)  # type: ignore[index]


def held_out(features: Array, W: ArrayLike, frequency: ArrayLike, *, folds: int = 5, seed: int = 0) -> Held:
    """Each row predicted by a map that was fitted on the other folds; folds and shuffles from the streams (seed, ...).

    Raises ValueError for fewer than 2 folds and fewer than 10 tokens for each.

    >>> stream = np.random.default_rng(0)
    >>> X = stream.standard_normal((200, 3))
    >>> found = held_out(X, X @ stream.standard_normal((3, 8)), np.ones(200))
    >>> round(found.r2, 3), found.shuffled < 0, int(found.ranks.max())
    (1.0, True, 0)
    """
    W, frequency = np.asarray(W, dtype=np.float64), np.asarray(frequency, dtype=np.float64)
    n = len(W)
    if folds < 2 or n < 10 * folds:
        raise ValueError(f"{n} tokens are too few for {folds} folds: take more text, or 2 folds or more of 10 tokens.")
    fold = seeds.stream(seed, "folds").permutation(np.arange(n) % folds)
    alone = np.column_stack([np.log1p(frequency), np.log1p(frequency) ** 2])
    predicted, by_frequency, means = np.empty_like(W), np.empty_like(W), np.empty_like(W)
    for part in range(folds):
        out, seen = fold == part, fold != part
        predicted[out] = fitted(features[seen], W[seen]).rows(features[out])
        by_frequency[out] = fitted(alone[seen], W[seen]).rows(alone[out])
        means[out] = W[seen].mean(axis=0)
    total = ((W - means) ** 2).sum()
    order, stream, dealt = np.argsort(-frequency, kind="stable"), seeds.stream(seed, "dealt"), np.arange(n)
    for start in range(0, n, GROUP):
        some = order[start : start + GROUP]
        dealt[some] = stream.permutation(some)
    r2, shuffled, frequent = (
        float(1 - ((W - other) ** 2).sum() / total) for other in (predicted, predicted[dealt], by_frequency)
    )
    own, other = unit(W - W.mean(axis=0)), unit(predicted - W.mean(axis=0))
    cosines = (own * other).sum(axis=1)
    ranks = np.concatenate(
        [(other[a : a + 500] @ own.T > cosines[a : a + 500, None] + 1e-12).sum(axis=1) for a in range(0, n, 500)]
    )
    return Held(predicted, r2, shuffled, frequent, cosines, ranks)


def unit(rows: Array) -> Array:
    """Rows of length 1; a row of zeros stays.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)
