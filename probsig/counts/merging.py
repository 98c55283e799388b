"""Sums of sorted counts, exact or refused, a block of rows at a time.

The idea: the rows of every part are poured into one dense accumulator and swept out in order, as in `counts.kernels`.
A block of rows holds at most a fixed number of stored pairs of all parts together, so a sum needs little memory beside
its result, and not even memory for that when parts lie in files and blocks are written out (`counts.sharded`).
Integers are added, so the order of the parts changes nothing. A sum past 2**63 - 1 raises OverflowError.

Axis order: row = first token, column = the token `distance` places after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from probsig.counts.kernels import Counts, accumulators, sweep

ENTRIES = 2**18  # stored pairs in a block: 3 MiB of parts and as much of sums, so the cache holds them
MOST = 2**63 - 1
FAN_IN = 8  # parts of a sum in a tree of sums
SHORT = 24  # rows with at most this many entries are merged by insertion


def merged_blocks(parts: Sequence[Any], entries: int = ENTRIES) -> Iterator[Counts]:
    """The sum of `parts` (each with indptr, columns, entries of one vocabulary), as consecutive blocks of rows.

    Each block is (sizes (rows,), columns, counts) of the next rows. A block has at most `entries` stored pairs of the
    parts together, or one row. Raises OverflowError when a sum passes 2**63 - 1.

    >>> from probsig.counts.bigrams import count
    >>> part = count([0, 0, 1], 2)
    >>> [[array.tolist() for array in block] for block in merged_blocks([part, part])]
    [[[2, 0], [0, 1], [2, 2]]]
    """
    vocab_size = len(parts[0].indptr) - 1
    held = np.sum([part.indptr for part in parts], axis=0, dtype=np.int64)
    work = accumulators(vocab_size, np.int64)
    first = 0
    while first < vocab_size:
        last = max(first + 1, int(np.searchsorted(held, held[first] + entries, side="right")) - 1)  # type: ignore[index]
        bounds = np.stack([part.indptr[first : last + 1] for part in parts]).astype(np.int64)
        lengths = bounds[:, -1] - bounds[:, 0]
        columns = np.concatenate([part.columns[b[0] : b[-1]] for part, b in zip(parts, bounds, strict=True)])
        counts = np.concatenate([part.entries[b[0] : b[-1]] for part, b in zip(parts, bounds, strict=True)])
        bounds += (np.cumsum(lengths) - lengths - bounds[:, 0])[:, None]
        sizes = np.zeros(last - first, np.int64)
        new_columns, new_counts = np.empty(len(columns) + 1, np.uint32), np.empty(len(columns) + 1, np.int64)
        size, bad = _merge(bounds, columns, counts, sizes, new_columns, new_counts, *work)
        if bad >= 0:
            raise OverflowError(
                f"The sum of counts of the pair ({first + bad}, {int(new_columns[size])}) passes 2**63 - 1, the most "
                "that an entry holds: leave a part out."
            )
        yield sizes, new_columns[:size], new_counts[:size]
        del columns, counts, new_columns, new_counts  # one block at a time
        first = last


def row_sums(indptr: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of each row's counts, (V,) int64; raises OverflowError when one passes 2**63 - 1.

    >>> row_sums(np.array([0, 2, 2]), np.array([3, 4])).tolist()
    [7, 0]
    """
    sums, bad = _row_sums(indptr, counts)
    if bad >= 0:
        raise OverflowError(f"The counts of row {bad} sum to more than 2**63 - 1: add them as Python integers.")
    return sums


def transposed(indptr: NDArray[np.int64], columns: NDArray[np.uint32], counts: NDArray[np.int64]) -> Counts:
    """Rows and columns exchanged, again sorted: the same pairs read from the second token.

    >>> [part.tolist() for part in transposed(np.array([0, 2, 2]), np.array([0, 1], np.uint32), np.array([5, 1]))]
    [[0, 1, 2], [0, 0], [5, 1]]
    """
    return _transposed(indptr, columns, counts)


@numba.njit(cache=True, nogil=True)
def _merge(bounds, columns, counts, sizes, new_columns, new_counts, dense, bits, words):
    """Merge rows of all parts; returns the entries written and the row that overflows (its column is left there)."""
    parts = len(bounds)
    out = 0
    one, six, low = np.uint64(1), np.uint64(6), np.uint64(63)
    for row in range(len(sizes)):
        before, held = out, 0
        for part in range(parts):
            held += bounds[part, row + 1] - bounds[part, row]
        for part in range(parts):
            lo, hi = bounds[part, row], bounds[part, row + 1]
            if held == hi - lo:  # the only part with this row
                new_columns[out : out + held] = columns[lo:hi]
                new_counts[out : out + held] = counts[lo:hi]
                out += held
            elif held <= SHORT:  # insert one by one from the right end
                for j in range(lo, hi):
                    column, count = columns[j], counts[j]
                    k = out
                    while k > before and new_columns[k - 1] > column:
                        k -= 1
                    if k > before and new_columns[k - 1] == column:
                        if new_counts[k - 1] > MOST - count:
                            new_columns[before] = column
                            return before, row
                        new_counts[k - 1] += count
                        continue
                    for m in range(out, k, -1):
                        new_columns[m], new_counts[m] = new_columns[m - 1], new_counts[m - 1]
                    new_columns[k], new_counts[k] = column, count
                    out += 1
            else:
                for j in range(lo, hi):
                    column = np.uint64(columns[j])
                    if dense[column] > MOST - counts[j]:
                        new_columns[before] = column
                        return before, row
                    dense[column] += counts[j]
                    word = column >> six
                    bits[word] |= one << (column & low)
                    words[word >> six] |= one << (word & low)
            if held == hi - lo:
                break
        if out == before and held > SHORT:
            out = sweep(dense, bits, words, new_columns, new_counts, out)
        sizes[row] = out - before
    return out, -1


@numba.njit(cache=True, nogil=True)
def _row_sums(indptr, counts):
    sums = np.zeros(len(indptr) - 1, np.int64)
    for row in range(len(sums)):
        for j in range(indptr[row], indptr[row + 1]):
            if sums[row] > MOST - counts[j]:
                return sums, row
            sums[row] += counts[j]
    return sums, -1


@numba.njit(cache=True, nogil=True)
def _transposed(indptr, columns, counts):
    rows = len(indptr) - 1
    bounds = np.zeros(rows + 1, np.int64)
    for j in range(len(columns)):
        bounds[np.int64(columns[j]) + 1] += 1
    for row in range(rows):
        bounds[row + 1] += bounds[row]
    where = bounds[:-1].copy()
    new_columns, new_counts = np.empty(len(columns), np.uint32), np.empty(len(columns), np.int64)
    for row in range(rows):
        for j in range(indptr[row], indptr[row + 1]):
            to = where[columns[j]]
            new_columns[to], new_counts[to] = row, counts[j]
            where[columns[j]] = to + 1
    return bounds, new_columns, new_counts
