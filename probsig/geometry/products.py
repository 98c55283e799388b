"""Scalar products of all pairs of rows of a matrix, sparse or dense, in blocks, without the square matrix.

Row i of X is multiplied with the later rows only, so each unordered pair costs once. A sparse X is read twice: row i
gives its columns, and the transposed copy gives, behind row i's own place, the later rows that share a column
(Gustavson's product, restricted to i < j). Columns that a fifth of the rows share are cheaper as a dense product;
they are a dense head, and its product is where a block of sums starts. Sums are float64 and are rounded once, to
float32. A sum to which nothing but zeros contributes is exactly zero, in the head too.

Axes: the result holds the pairs (0, 1), (0, 2), ..., (1, 2), ..., as `geometry.pairs`.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from tqdm import tqdm

Array = NDArray[np.float64]
SHARED = 0.2  # a column that more of the rows share goes to the dense head
HEAD = 1024  # columns of the dense head at most
BLOCK = 128  # rows of a block of sums


def pair_products(X: sp.csr_array | Array, offsets: Array, square: float, scale: Array, threads: int = 1) -> NDArray:
    """(x_i . x_j - o_i - o_j + q) s_i s_j for all i < j, float32 (n (n - 1) / 2,), of the rows of X (n, d).

    `offsets` o and `scale` s have n entries, `square` is q. With x unscaled, o_i = x_i . m and q = m . m these are
    the products of the rows minus m. Peak memory beyond X and the result: a transposed copy of a sparse X, its head
    (n, at most 1024), and (128, n) float64 a thread.

    >>> X = np.array([[1.0, 0.0], [1.0, 2.0], [0.0, 3.0]])
    >>> pair_products(X, np.zeros(3), 0.0, np.ones(3)).tolist()
    [1.0, 0.0, 6.0]
    >>> pair_products(sp.csr_array(X), np.zeros(3), 0.0, np.ones(3)).tolist()
    [1.0, 0.0, 6.0]
    """
    n = X.shape[0]
    out = np.empty(n * (n - 1) // 2, dtype=np.float32)
    add, head = _sparse(sp.csr_array(X)) if sp.issparse(X) else (None, np.asarray(X, dtype=float))
    offsets, scale = np.ascontiguousarray(offsets, dtype=float), np.ascontiguousarray(scale, dtype=float)

    def block(first: int) -> None:
        last = min(first + BLOCK, n)
        sums = head[first:last] @ head[first:].T if head.size else np.zeros((last - first, n - first))
        if add is not None:
            add(first, last, sums)
        _write(first, sums, offsets, float(square), scale, out)

    for _ in tqdm(
        _run(block, range(0, n, BLOCK), threads), "pairs", -(-n // BLOCK), mininterval=1, delay=3, leave=False
    ):
        pass
    return out


def _run(task: Callable[[int], None], starts: range, threads: int):
    """Do the tasks, a few ahead of what was taken; with one thread simply one after the other."""
    if threads <= 1:
        yield from map(task, starts)
        return
    with ThreadPoolExecutor(threads) as pool:
        remaining = iter(starts)
        waiting = deque(pool.submit(task, s) for s in itertools.islice(remaining, 2 * threads))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(task, s) for s in itertools.islice(remaining, 1))


def _sparse(X: sp.csr_array) -> tuple[Callable[[int, int, Array], None], Array]:
    """A function that adds the sparse part's products to a block, and the dense head (n, columns)."""
    n, d = X.shape
    X = X if X.has_canonical_format else X.copy()
    X.sum_duplicates()
    degree = np.bincount(X.indices, minlength=d)
    shared = np.flatnonzero(degree > max(SHARED * n, 8))
    shared = shared[np.argsort(-degree[shared], kind="stable")[:HEAD]]
    place = np.full(d, -1, dtype=np.int64)
    place[shared] = np.arange(shared.size)
    head = np.zeros((n, shared.size))
    alone = degree <= 1  # a column of one row has no pair
    starts, lists, values, rows = _transposed(X.indptr, X.indices, X.data, degree, place, alone, head)

    def add(first: int, last: int, sums: Array) -> None:
        _add(first, last, *rows, starts, lists, values, sums)  # type: ignore[call-arg]

    return add, head


@numba.njit(nogil=True, cache=True)
def _transposed(indptr, indices, data, degree, place, alone, head):
    """Fill the head; of the other columns that rows share: their lists of (row, value), and for each row their numbers,
    its values there, and where the later rows begin in the list."""
    n, d = head.shape[0], degree.size
    starts = np.zeros(d + 1, np.int64)
    for k in range(d):
        starts[k + 1] = starts[k] + (degree[k] if place[k] < 0 and not alone[k] else 0)
    kept = starts[d]
    to, lists, values = starts[:-1].copy(), np.empty(kept, np.int32), np.empty(kept, np.float64)
    row_starts, columns, own = np.zeros(n + 1, np.int64), np.empty(kept, np.int32), np.empty(kept, np.float64)
    later, c = np.empty(kept, np.int64), 0
    for i in range(n):
        for a in range(indptr[i], indptr[i + 1]):
            k = indices[a]
            if place[k] >= 0:
                head[i, place[k]] = data[a]
            elif not alone[k]:
                lists[to[k]], values[to[k]] = i, data[a]
                to[k] += 1
                columns[c], own[c], later[c] = k, data[a], to[k]
                c += 1
        row_starts[i + 1] = c
    return starts, lists, values, (row_starts, columns, own, later)


@numba.njit(nogil=True, cache=True)
def _add(first, last, row_starts, columns, own, later, starts, lists, values, sums):
    """sums[i - first, j - first] += the products of row i with each later row j that shares a listed column."""
    for i in range(first, last):
        row = sums[i - first]
        for a in range(row_starts[i], row_starts[i + 1]):
            v = own[a]
            for b in range(later[a], starts[columns[a] + 1]):
                row[lists[b] - first] += v * values[b]


@numba.njit(nogil=True, cache=True)
def _write(first, sums, offsets, square, scale, out):
    """The sums above the diagonal, shifted and scaled, to their place; minus zero becomes zero."""
    n = offsets.size
    for r in range(sums.shape[0]):
        i = first + r
        at = i * n - i * (i + 1) // 2 - i - 1
        shift = square - offsets[i]
        for j in range(i + 1, n):
            product = (sums[r, j - first] + (shift - offsets[j])) * (scale[i] * scale[j])
            out[at + j] = np.float32(product) + np.float32(0.0)
