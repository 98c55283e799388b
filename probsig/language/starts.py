r"""Initial rows of W_E and W_U from counts: where the first step of two small random matrices takes their product.

While all weights are small a network is its two tables (Corollary 4 at first order, v2 appendix D.6, with its constants
put right):

    dW_E/dt = C W_U,    dW_U/dt = C^T W_E,    C_st = N_st - n_s / V,

N the frequencies of pairs of neighbours, n_s that of token s among their first; row s of C is n_s (phi^next_s - 1/V).
From entries of mean 0 and variances a^2 and b^2 the table of logits W_E W_U^T so sets out along d (a^2 + b^2) C, in the
mean over draws. The best table of rank d in that direction is C's own, cut at d singular vectors, C ~ A S B^T, and
split evenly it is W_E = A S^1/2 and W_U = B S^1/2: known from the counts alone.

Two choices come on top. Every row is given one norm, that of a usual start, however often its token is seen. And the
columns are turned at random, both matrices alike, which leaves all products as they are, so that no coordinate of the
network begins as the first component.

Axes: W_E and W_U are (V, d), row s belongs to token s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator, svds

from probsig import seeds
from probsig.counts.bigrams import Bigrams

Array = NDArray[np.float64]
GROUP = 10  # neighbours in frequency among which `dealt` deals rows


def from_counts(
    counts: Bigrams, hidden: int, *, norms: tuple[float, float] = (1.0, 1.0), seed: int = 0
) -> tuple[Array, Array]:
    """W_E and W_U (V, hidden) from the counts of pairs of neighbours: the leading singular vectors of C, rows of norms
    `norms`, turned by the stream (seed, "turn").

    A network that is wider than C has directions gets zeros for the others, before the turn. A token that has no
    direction, because nothing follows it, gets a random row of the same norm from the stream (seed, "no row").
    Raises ValueError for counts at another distance than 1, no pair, fewer than 3 tokens, a width below 1, and norms
    that are not positive.

    >>> from probsig.counts.bigrams import count
    >>> counts = count(np.tile([0, 1, 2, 3], 50), 4)  # 0 1 2 3 in turn
    >>> W_E, W_U = from_counts(counts, 3)
    >>> (W_E @ W_U.T).round(1).tolist()[0]  # 1 comes after 0, and nothing else does
    [-0.3, 1.0, -0.3, -0.3]
    """
    if counts.distance != 1:
        raise ValueError(f"counts are at distance {counts.distance}: count pairs of neighbours, at distance 1.")
    if hidden < 1 or hidden != int(hidden):
        raise ValueError(f"hidden is {hidden}: pass the width of the network, a whole number above 0.")
    if len(norms) != 2 or not all(np.isfinite(norm) and norm > 0 for norm in norms):
        raise ValueError(f"norms are {norms}: pass two positive numbers, of a row of W_E and of one of W_U.")
    V = counts.vocab_size
    if V < 3 or not counts.total:
        raise ValueError(f"{V} tokens with {counts.total} pairs have no directions: take more text.")
    N = counts.to_scipy().astype(np.float64) / counts.total
    even = np.asarray(N.sum(axis=1)).ravel() / V  # n_s / V
    centred = LinearOperator(
        (V, V),
        matvec=lambda x: N @ x - even * x.sum(),
        rmatvec=lambda x: N.T @ x - even @ x,
        matmat=lambda X: N @ X - np.outer(even, X.sum(axis=0)),
        rmatmat=lambda X: N.T @ X - even @ X,
        dtype=np.float64,
    )
    k = min(hidden, V - 1)
    left, sizes, right = svds(centred, k=k, v0=seeds.stream(0, "first vector").standard_normal(V))
    turn = np.linalg.qr(seeds.stream(seed, "turn").standard_normal((hidden, hidden)))[0][:k]
    both = (left * np.sqrt(sizes) @ turn, right.T * np.sqrt(sizes) @ turn)
    W_E, W_U = (_of_norm(W, norm, seed, key) for W, norm, key in zip(both, norms, ("W_E", "W_U"), strict=True))
    return W_E, W_U


def _of_norm(W: Array, norm: float, seed: int, key: str) -> Array:
    """Rows of one norm; those without a direction drawn."""
    sizes = np.linalg.norm(W, axis=1)
    none = sizes <= 1e-9 * sizes.max()
    drawn = seeds.stream(seed, "no row", key).standard_normal((np.count_nonzero(none), W.shape[1]))
    W = W.copy()
    W[none], sizes[none] = drawn, np.linalg.norm(drawn, axis=1)
    return W * (norm / sizes)[:, None]


def dealt(frequency: ArrayLike, seed: int, group: int = GROUP) -> NDArray[np.int64]:
    """Whose rows each token gets where rows are dealt among tokens of a like frequency, (V,): the null of a start.

    Tokens in order of frequency are cut into groups of `group`, the last of which may be up to twice as large, and
    within each, rows go round a random ring, from the stream (seed, "dealt"): nobody keeps its own.
    Raises ValueError for a group below 2 and for fewer than 2 tokens.

    >>> dealt([9, 8, 2, 7, 1], seed=0, group=2).tolist()
    [1, 0, 4, 2, 3]
    """
    often = np.asarray(frequency)
    if group < 2 or len(often) < 2:
        raise ValueError(f"{len(often)} tokens in groups of {group}: rows are dealt among 2 tokens or more.")
    order, whose = np.argsort(-often, kind="stable"), np.empty(len(often), dtype=np.int64)
    stream = seeds.stream(seed, "dealt")
    for some in np.split(order, range(group, len(order) - group + 1, group)):
        ring = stream.permutation(some)
        whose[ring] = np.roll(ring, 1)
    return whose
