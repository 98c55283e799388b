r"""Geometry of token vectors: cosines, correlations of cosines over unordered pairs, principal components, nulls.

The paper compares embeddings with signatures through their cosine matrices. Here each unordered pair i < j counts once
and the diagonal never: with it, an untrained model already has an order correlation of about -0.45. So R_order and
R_cos are Pearson correlations over `pairs`, in this order: (0, 1), (0, 2), ..., (1, 2), ...

Axes: a matrix has one row a token, as in `W_E` (tokens, d) and the signatures (tokens, features).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig import guards, seeds

Array = NDArray[np.float64]


def cosine(A: ArrayLike, B: ArrayLike | None = None) -> Array:
    """Cosines (n, m) of the rows of A (n, d) with the rows of B (m, d), by default with A's own; within [-1, 1].

    Raises ValueError where a matrix is not two-dimensional, holds a nan or an infinity, or has a row of zeros (which
    has no direction), and where the rows of A and B differ in length.

    >>> cosine([[1.0, 0.0], [3.0, 4.0]]).tolist()
    [[1.0, 0.6], [0.6, 1.0]]
    """
    A = _directions(A, "A")
    if B is None:
        C = np.clip(A @ A.T, -1.0, 1.0)
        np.fill_diagonal(C, 1.0)
        return C
    B = _directions(B, "B")
    if A.shape[1] != B.shape[1]:
        raise ValueError(f"rows of A have {A.shape[1]} entries and rows of B {B.shape[1]}: pass rows of one length")
    return np.clip(A @ B.T, -1.0, 1.0)


def _rows(M: ArrayLike, name: str) -> Array:
    guards.numbers(name, M)
    M = np.asarray(M, dtype=float)
    if M.ndim != 2:
        raise ValueError(f"{name} has shape {M.shape}: pass a matrix with one row a token")
    if not np.isfinite(M).all():
        raise ValueError(
            f"{name} has a nan or an infinity in rows {_some(~np.isfinite(M).all(axis=1))}: leave them out"
        )
    return M


def _directions(M: ArrayLike, name: str) -> Array:
    """The rows at unit length; scaled by their largest entry first, so that no length over- or underflows."""
    M = _rows(M, name)
    largest = np.abs(M).max(axis=1, keepdims=True, initial=0.0)
    if (largest == 0).any():
        raise ValueError(f"{name} is zero in rows {_some(largest[:, 0] == 0)}, which have no direction: leave them out")
    M = M / largest
    return M / np.linalg.norm(M, axis=1, keepdims=True)


def _some(where: NDArray[np.bool_]) -> str:
    rows = np.flatnonzero(where)
    return ", ".join(map(str, rows[:5])) + (f" and {rows.size - 5} more" if rows.size > 5 else "")


def pairs(M: ArrayLike) -> Array:
    """The entries above the diagonal of a square matrix, (n (n - 1) / 2,), row by row.

    Raises ValueError unless M is square.

    >>> pairs([[1, 2, 3], [4, 5, 6], [7, 8, 9]]).tolist()
    [2.0, 3.0, 6.0]
    """
    M = np.asarray(M, dtype=float)
    if M.ndim != 2 or M.shape[0] != M.shape[1]:
        raise ValueError(
            f"pairs needs a square matrix, not one of shape {M.shape}: pass cosines of rows with themselves"
        )
    return M[np.triu_indices(len(M), k=1)]


def pearson(a: ArrayLike, b: ArrayLike) -> float:
    """Pearson's correlation of two samples of one size; nan where one is constant up to rounding.

    A sample counts as constant when its deviations are below 1e-12 of its largest entry.
    Raises ValueError where the sizes differ or are below 2.

    >>> round(pearson([1, 2, 3], [2, 4, 7]), 4), pearson([1, 1], [0, 1])
    (0.9934, nan)
    """
    a, b = np.ravel(np.asarray(a, dtype=float)), np.ravel(np.asarray(b, dtype=float))
    if a.size != b.size or a.size < 2:
        raise ValueError(f"pearson compares {a.size} numbers with {b.size}: pass two samples of one size, 2 or more")
    x, y = a - a.mean(), b - b.mean()
    if not all(np.abs(d).max() > 1e-12 * np.abs(v).max() for d, v in ((x, a), (y, b))):
        return float("nan")
    x, y = x / np.abs(x).max(), y / np.abs(y).max()
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def order_correlation(W: ArrayLike, positions: ArrayLike | None = None) -> float:
    """R_order: the correlation of cos(W_i, W_j) with |position i - position j| over unordered pairs.

    `positions` are the tokens' numbers, by default 0, 1, 2, ...: near -1 means that near numbers have near directions.
    Raises ValueError as `cosine` does, where there are fewer than 3 rows, and where positions are not one a row.

    >>> angles = np.deg2rad([0, 20, 40, 60])
    >>> round(order_correlation(np.c_[np.cos(angles), np.sin(angles)]), 3)
    -0.991
    """
    C = cosine(W)
    at = np.arange(len(C)) if positions is None else np.asarray(positions, dtype=float)
    if at.shape != (len(C),) or len(C) < 3:
        raise ValueError(
            f"R_order has {len(C)} rows and positions of shape {at.shape}: pass 3 rows or more, one position each"
        )
    return pearson(pairs(C), pairs(np.abs(at[:, None] - at)))


def cosine_correlation(A: ArrayLike, B: ArrayLike) -> float:
    """R_cos: the correlation of cos(A_i, A_j) with cos(B_i, B_j) over unordered pairs; A (n, d) and B (n, m) may differ
    in width.

    (Section 6 of the paper, v2 Fig. 6B; here without the diagonal.)
    Raises ValueError as `cosine` does, and where A and B do not have the same tokens, 3 or more.

    >>> A = [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    >>> round(cosine_correlation(A, [[2.0, 0.0], [3.0, 3.0], [0.0, 1.0]]), 12)
    1.0
    """
    A, B = _cosines(A, B)
    return pearson(pairs(A), pairs(B))


def _cosines(A: ArrayLike, B: ArrayLike) -> tuple[Array, Array]:
    A, B = cosine(A), cosine(B)
    if len(A) != len(B) or len(A) < 3:
        raise ValueError(f"R_cos compares {len(A)} rows with {len(B)}: pass the same tokens, 3 or more, in both")
    return A, B


def pca(W: ArrayLike, components: int = 2) -> tuple[Array, Array]:
    """Principal components of the centred rows: coordinates (n, components) and the share of variance of each.

    A component's sign is chosen so that its direction's largest entry by size (the first of equals) is positive.
    Raises ValueError where W is not a finite matrix, where `components` is not between 1 and min(n - 1, d), and where
    all rows are equal.

    >>> coords, share = pca([[0.0, 0.0], [0.0, 3.0], [1.0, 1.0], [-1.0, 1.0], [0.0, 5.0]])
    >>> coords[:, 0].round(3).tolist(), share.round(3).tolist()
    ([-2.0, 1.0, -1.0, -1.0, 3.0], [0.889, 0.111])
    """
    W = _rows(W, "W")
    guards.at_least("components", components, 1)
    if not 1 <= components <= min(len(W) - 1, W.shape[1]):
        raise ValueError(f"W of shape {W.shape} has no {components} components: ask for 1 to min(rows - 1, columns)")
    X = W - W.mean(axis=0)
    left, size, right = np.linalg.svd(X, full_matrices=False)
    if size[0] <= 1e-12 * np.abs(W).max(initial=0.0):
        raise ValueError("all rows of W are equal: principal components need rows that differ")
    bulk = np.abs(right[:components])
    largest = (bulk >= (1 - 1e-9) * bulk.max(axis=1, keepdims=True)).argmax(axis=1)
    signs = np.sign(right[np.arange(components), largest])
    coords = left[:, :components] * size[:components] * signs + 0.0  # no negative zeros
    return coords, (size**2 / (size @ size))[:components]


def permutation_null(A: ArrayLike, B: ArrayLike, draws: int, seed: int) -> Array:
    """R_cos of A with `draws` random row permutations of B, (draws,): what a chance alignment reads.

    Raises ValueError as `cosine_correlation` does, and unless `draws` is 1 or more.

    >>> A = np.random.default_rng(0).standard_normal((20, 5))
    >>> null = permutation_null(A, A, draws=200, seed=0)
    >>> null.shape, bool(abs(null.mean()) < 0.05), bool(null.max() < 0.5)
    ((200,), True, True)
    """
    if draws < 1:
        raise ValueError(f"draws is {draws}: ask for 1 permutation or more")
    A, B = _cosines(A, B)
    fixed, stream = pairs(A), seeds.stream(seed, "permutation_null")
    orders = (stream.permutation(len(B)) for _ in range(draws))
    return np.array([pearson(fixed, pairs(B[np.ix_(order, order)])) for order in orders])


def plane(rows: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The first two principal components (n, 2) with their shares, or one point where all rows are equal.

    Raises ValueError as `pca` does, and where rows differ and all their numbers are below about 1e-12.

    >>> plane([[1.0, 2.0], [1.0, 2.0]])[0].tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    rows = np.asarray(rows, dtype=float)
    guards.sure(
        not 1e-12 * np.abs(rows).max(initial=0) < np.ptp(rows, axis=0).max(initial=0) < 1e-12,
        "The rows are too small to be drawn: divide all of them by one number, such as the largest.",
    )
    if np.ptp(rows, axis=0).max() < 1e-12:
        return np.zeros((len(rows), 2)), np.zeros(2)
    return pca(rows)


def null_size(W: ArrayLike, signature: ArrayLike, seed: int, draws: int = 999) -> float:
    """The 95 % quantile of the size of the correlation of cosines when the rows' names are shuffled; nan where there is
    no correlation, because one side is constant.

    >>> null_size(np.eye(4), np.ones((4, 2)), seed=0)
    nan
    """
    if np.isnan(pearson(*(pairs(cosine(one)) for one in (W, signature)))):
        return float("nan")
    return float(np.quantile(np.abs(permutation_null(W, signature, draws, seed)), 0.95))
