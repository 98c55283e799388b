r"""Alignment of two sets of token vectors through the cosines of all their pairs, for 10,000 tokens and more.

`cosines` takes sparse signatures or dense embeddings and keeps one float32 number for each unordered pair i < j: half a
square matrix, without its diagonal. Two such sets of cosines of the same tokens are compared by

- `correlations`: R_cos over all pairs, and each token's correlation over its pairs (v2 Figs. 6B and 14A);
- `percentile_table`: the percentile of cos(phi) given the interval of the percentile of cos(W^E) (v2 Figs. 14B, 14C).

A percentile is (pairs below + half the pairs that are equal) / pairs, the mid-rank. Many pairs of signatures share no
token, so 24 to 72 % of the cosines can be exactly zero: they stay exactly zero here, and are one tie.

Axes: pairs in the order (0, 1), (0, 2), ..., (1, 2), ..., as `small.pairs`; tables are (interval of a, column of b).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from probsig import guards
from probsig.errors import one_of
from probsig.geometry.products import pair_products
from probsig.signatures.tokens import Centred

Array = NDArray[np.float64]
RESOLUTION = 2.0**-23  # of float32: a sample that varies less than this part of its size counts as constant
MOST_PAIRS = 2**31 - 1  # beyond, sums of ranks leave int64


@dataclass(frozen=True, eq=False)
class Cosines:
    """The cosines of all pairs of `size` tokens: `pairs` float32 (n (n - 1) / 2,).

    Raises ValueError where `pairs` has another type or length.

    >>> Cosines(np.array([0.5, 0.0, 0.25], dtype=np.float32), 3).square([2, 1]).tolist()
    [[1.0, 0.25], [0.25, 1.0]]
    """

    pairs: NDArray[np.float32]
    size: int

    def __post_init__(self) -> None:
        if self.pairs.dtype != np.float32 or self.pairs.shape != (self.size * (self.size - 1) // 2,):
            raise ValueError(
                f"cosines of {self.size} tokens come as {self.pairs.dtype} {self.pairs.shape}: pass float32, one "
                "number for each pair"
            )

    @property
    def zero_fraction(self) -> float:
        """The share of pairs whose cosine is exactly zero."""
        return (self.pairs.size - np.count_nonzero(self.pairs)) / self.pairs.size

    def first(self, C: int) -> Cosines:
        """The cosines of the first C of the tokens.

        >>> Cosines(np.arange(6, dtype=np.float32), 4).first(3).pairs.tolist()
        [0.0, 1.0, 3.0]
        """
        n = self.size
        if C == n:
            return self
        starts = np.arange(C - 1) * n - np.arange(C - 1) * np.arange(1, C) // 2
        return Cosines(np.concatenate([self.pairs[s : s + C - 1 - i] for i, s in enumerate(starts)]), C)

    def square(self, tokens: Sequence[int] | None = None) -> NDArray[np.float32]:
        """The symmetric matrix of cosines of some rows (their numbers, by default all), with ones on its diagonal.

        Raises ValueError for a number that is no row, and for what is no list of whole numbers.
        """
        guards.ids("tokens", tokens)
        rows = np.arange(self.size) if tokens is None else np.asarray(tokens, dtype=np.int64)
        if rows.size and not (0 <= rows.min() and rows.max() < self.size):
            raise ValueError(f"rows {rows.min()} to {rows.max()} are asked for: there are rows 0 to {self.size - 1}")
        result = np.empty((rows.size, rows.size), dtype=np.float32)
        for r, i in enumerate(rows):
            result[r] = np.where(rows == i, 1, self.pairs[_places(self.size, i, rows)])
        return result


def _places(n: int, i: int, others: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the pairs of row i with other rows stand; 0 for i itself."""
    low, high = np.minimum(i, others), np.maximum(i, others)
    return np.where(low == high, 0, low * n - low * (low + 1) // 2 + high - low - 1)


def cosines(rows: sp.csr_array | Centred | ArrayLike, *, absent: str = "refuse", threads: int = 1) -> Cosines:
    """The cosines of all pairs of rows (n, d): sparse, `Centred` sparse, or dense; n at least 2.

    Sums are float64 and rounded once, to float32, so an error is below 1e-7; rows without a common column have a cosine
    of exactly zero. The rows of a `Centred` are never made dense. `absent` says what a row of zeros, which has no
    direction, gives: "refuse" an error, "zero" the cosine 0 with every other row. `threads` multiply at a time.
    Memory: 2 n^2 bytes for the result, and (128, n) float64 a thread.
    Raises ValueError for a row of zeros (a `Centred` row that is the mean row too), a nan or an infinity, fewer than 2
    rows, and an unknown `absent`.

    >>> cosines(sp.csr_array([[3.0, 4.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])).pairs.round(3).tolist()
    [0.6000000238418579, 0.0, 0.0]
    """
    one_of("absent", absent, ("refuse", "zero"))
    if isinstance(rows, Centred):
        X, offsets, square, norms = _centred_parts(rows)
    elif sp.issparse(rows):
        X = sp.csr_array(rows).astype(float)
        X.sum_duplicates()
        _finite(X.data)
        largest = _over_rows(np.maximum, np.abs(X.data), X.indptr)
        data = X.data / np.repeat(np.where(largest > 0, largest, 1), np.diff(X.indptr))
        norms = np.sqrt(_over_rows(np.add, data**2, X.indptr))
        X = sp.csr_array(
            (data / np.repeat(np.where(norms > 0, norms, 1), np.diff(X.indptr)), X.indices, X.indptr), X.shape
        )
        offsets, square, norms = np.zeros(X.shape[0]), 0.0, np.sign(norms)
    else:
        X = np.array(rows, dtype=float)
        if X.ndim != 2:
            raise ValueError(f"rows have shape {X.shape}: pass a matrix with one row a token")
        _finite(X)
        largest = np.maximum(X.max(axis=1, initial=0), -X.min(axis=1, initial=0))
        X /= np.where(largest > 0, largest, 1)[:, None]
        norms = np.sqrt(np.einsum("ij,ij->i", X, X))
        X /= np.where(norms > 0, norms, 1)[:, None]
        offsets, square, norms = np.zeros(X.shape[0]), 0.0, np.sign(norms)
    if X.shape[0] < 2:
        raise ValueError(f"there are {X.shape[0]} rows: cosines of pairs need 2 or more")
    none = np.flatnonzero(norms == 0)
    if none.size and absent == "refuse":
        some = ", ".join(map(str, none[:5])) + (f" and {none.size - 5} more" if none.size > 5 else "")
        raise ValueError(f"rows {some} are zero and have no direction: leave them out, or pass absent='zero'")
    scale = np.divide(1.0, norms, out=np.zeros(norms.size), where=norms > 0)
    return Cosines(pair_products(X, offsets, square, scale, threads), X.shape[0])


def _finite(values: NDArray) -> None:
    if not np.isfinite(values).all():
        raise ValueError("the rows hold a nan or an infinity: leave those tokens out")


def _over_rows(operation: np.ufunc, data: Array, indptr: NDArray) -> Array:
    """One number for each sparse row, 0 for a row without entries."""
    result, filled = np.zeros(indptr.size - 1), np.diff(indptr) > 0
    if data.size:
        result[filled] = operation.reduceat(data, indptr[:-1][filled])
    return result


def _centred_parts(rows: Centred) -> tuple[sp.csr_array, Array, float, Array]:
    """X, x_i . m, m . m and |x_i - m| (0 up to rounding is 0), without making X - m dense."""
    X, m = sp.csr_array(rows.rows).astype(float), rows.centre
    X.sum_duplicates()
    _finite(X.data)
    _finite(m)
    own, square = m[X.indices], float(m @ m)
    inside = _over_rows(np.add, own**2, X.indptr)
    norms = _over_rows(np.add, (X.data - own) ** 2, X.indptr) + np.maximum(square - inside, 0)
    size = _over_rows(np.add, X.data**2, X.indptr) + square
    norms = np.sqrt(np.where((np.diff(X.indptr) > 0) & (norms > 1e-14 * size), norms, 0))
    return X, _over_rows(np.add, X.data * own, X.indptr), square, norms


@dataclass(frozen=True, eq=False)
class Correlations:
    """`overall`: R_cos over all pairs; for each token `by_token` (n,), Pearson's correlation over its n - 1 pairs, and
    `mean_a`, `mean_b` (n,), its mean cosines. A correlation with a constant is nan."""

    overall: float
    by_token: Array
    mean_a: Array
    mean_b: Array


def correlations(a: Cosines, b: Cosines) -> Correlations:
    """R_cos of two sets of cosines of the same tokens, over all pairs and token by token, in one pass.

    Raises ValueError where the tokens are not the same number, 3 or more.

    >>> a = Cosines(np.array([0.5, 0.0, 0.25], dtype=np.float32), 3)
    >>> b = Cosines(np.array([1.0, 0.0, 0.0], dtype=np.float32), 3)
    >>> found = correlations(a, b)
    >>> round(found.overall, 4), found.by_token.round(4).tolist(), found.mean_a.tolist()
    (0.866, [1.0, 1.0, nan], [0.25, 0.375, 0.125])
    """
    same_tokens(a, b)
    n = a.size
    a0, b0 = (float(c.pairs[: n - 1].mean(dtype=float)) for c in (a, b))
    for _ in range(2):  # again around the right mean, where the first row's is far off
        sums = token_sums(n, a.pairs, b.pairs, a0, b0)
        overall, doubtful = pearson_from_sums(sums.sum(axis=0) / 2, n * (n - 1) / 2, a0, b0)
        if not doubtful:
            break
        a0, b0 = (np.array([a0, b0]) + sums[:, :2].sum(axis=0) / (n * (n - 1))).tolist()
    by_token, doubtful = pearson_from_sums(sums, n - 1, a0, b0)
    for i in np.flatnonzero(doubtful):
        x, y = (np.delete(_row(c, i), i) for c in (a, b))  # type: ignore[arg-type]
        x0, y0 = x.mean(), y.mean()
        own = [s.sum() for s in (x - x0, y - y0, (x - x0) ** 2, (y - y0) ** 2, (x - x0) * (y - y0))]
        by_token[i] = pearson_from_sums(np.array(own), n - 1, x0, y0)[0]
    return Correlations(float(overall), by_token, a0 + sums[:, 0] / (n - 1), b0 + sums[:, 1] / (n - 1))


def _row(c: Cosines, i: int) -> Array:
    return c.pairs[_places(c.size, i, np.arange(c.size))].astype(float)


def row(c: Cosines, i: int) -> Array:
    """The cosines of row i with every row, (n,) float64, 1 at i itself.

    >>> row(Cosines(np.array([0.5, 0.0, 0.25], dtype=np.float32), 3), 2).tolist()
    [0.0, 0.25, 1.0]
    """
    found = _row(c, i)
    found[i] = 1.0
    return found


def same_tokens(a: Cosines, b: Cosines) -> None:
    """Raises ValueError where a and b are not of the same number of tokens, 3 or more."""
    if a.size != b.size or a.size < 3:
        raise ValueError(
            f"cosines of {a.size} tokens meet cosines of {b.size}: pass the same tokens, 3 or more, in both"
        )


def pearson_from_sums(sums: Array, weight: ArrayLike, a0: float, b0: float) -> tuple[Array, NDArray[np.bool_]]:
    """Pearson's correlation from sums (..., 5) of x, y, xx, yy, xy over a total weight, x = a - a0 and y = b - b0.

    nan where a or b varies by less than the resolution of float32. The second result says where a0 or b0 is so far from
    the mean (10,000 times the spread) that rounding shows.

    >>> r, doubtful = pearson_from_sums(np.array([0.0, 0.0, 2.0, 2.0, 1.0]), 4, 0.0, 0.0)
    >>> float(r), bool(doubtful)
    (0.5, False)
    """
    x, y, xx, yy, xy = np.moveaxis(sums / np.asarray(weight)[..., None], -1, 0)
    spread_a, spread_b = xx - x * x, yy - y * y
    varies = (spread_a > RESOLUTION**2 * (x + a0) ** 2) & (spread_b > RESOLUTION**2 * (y + b0) ** 2)
    below = np.sqrt(np.where(varies, spread_a * spread_b, 1.0))
    doubtful = (spread_a <= 1e-8 * xx) | (spread_b <= 1e-8 * yy)
    return np.where(varies, np.clip((xy - x * y) / below, -1.0, 1.0), np.nan), doubtful


@numba.njit(cache=True, fastmath={"reassoc", "contract"})
def token_sums(n, a, b, a0, b0):
    """(n, 5) sums over the pairs of each token of x, y, xx, yy, xy, where x = a - a0 and y = b - b0; each pair is in
    two rows."""
    sx, sy, sxx, syy, sxy = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for i in range(n):
        at = i * n - i * (i + 1) // 2 - i - 1
        tx, ty, txx, tyy, txy = 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(i + 1, n):
            x, y = np.float64(a[at + j]) - a0, np.float64(b[at + j]) - b0
            tx += x
            ty += y
            txx += x * x
            tyy += y * y
            txy += x * y
            sx[j] += x
            sy[j] += y
            sxx[j] += x * x
            syy[j] += y * y
            sxy[j] += x * y
        sx[i] += tx
        sy[i] += ty
        sxx[i] += txx
        syy[i] += tyy
        sxy[i] += txy
    return np.stack((sx, sy, sxx, syy, sxy), axis=1)
