"""Pairs of token ids, counted exactly in a few nanoseconds each: the kernels under `probsig.bigrams`.

The idea: a counting sort puts the second token of every pair into the row of its first token, 4 bytes a pair.
Each row is then counted in a dense accumulator of one integer a token of the vocabulary. A bitmap remembers which
accumulators were touched, and a second bitmap which words of the first, so that a row is read out in sorted order
and cleared without a sort and without a pass over the vocabulary (Briggs and Torczon's sparse set, in bits).
The rows' results overwrite the sorted pairs from the left, so the peak is 4 bytes a pair beyond the ids and the result.

A pair belongs to the place of its **first** token, so counts over any cut of the places add up to those of the whole.
Several threads each take a stretch of places and then stretches of rows. They share no place that two of them write,
and the result is sorted integers, so it is the same for every cut and every number of threads.

Axis order: row = first token, column = the token `distance` places after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros
from numpy.typing import NDArray

SHORT = 24  # a row with at most this many pairs is sorted by insertion
PIECES = 4  # stretches of rows a thread, so that no thread waits long for another
MOST_TOKENS = 2**31 - 1  # ids of columns also serve as scipy's signed 32-bit indices

Counts = tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.int64]]


def pair_counts(
    ids: NDArray[Any],
    vocab_size: int,
    offsets: NDArray[np.int64],
    distance: int = 1,
    start: int = 0,
    stop: int | None = None,
    threads: int = 1,
    origin: int = 0,
) -> Counts:
    """The pairs (ids[i], ids[i + distance]) with start <= i < stop inside one document: (indptr, columns, counts).

    `ids` (N,) is uint16 or uint32, `offsets` (D + 1,) int64 the places where documents start, then N.
    `indptr` (V + 1,) int64, `columns` (nnz,) uint32 ascending in a row, `counts` (nnz,) int64.
    Nothing is checked here except that every id that is read is below `vocab_size`: ValueError otherwise, the place
    counted from `origin`.

    >>> indptr, columns, counts = pair_counts(np.array([0, 1, 0, 1, 2], np.uint16), 3, np.array([0, 5]))
    >>> indptr.tolist(), columns.tolist(), counts.tolist()
    ([0, 1, 3, 3], [1, 0, 2], [2, 1, 1])
    """
    stop = len(ids) if stop is None else stop
    check_range(ids, vocab_size, start, min(len(ids), stop + distance), origin)
    places = np.linspace(start, stop, threads + 1).astype(np.int64)
    documents = np.searchsorted(offsets, places, side="right") - 1
    small = np.uint32 if stop - start < 2**32 else np.int64
    where = np.zeros((threads, vocab_size), small)

    def tally(t: int) -> None:
        _tally(ids, offsets, documents[t], places[t], places[t + 1], distance, where[t])

    _each(tally, range(threads), threads)
    bounds = np.zeros(vocab_size + 1, np.int64)
    np.cumsum(where.sum(axis=0, dtype=np.int64), out=bounds[1:])
    position = bounds[:-1].copy()
    for t in range(threads):  # thread t writes row r after the threads before it
        here = where[t].astype(np.int64)
        where[t] = position
        position += here
    pairs = int(bounds[-1])
    columns = np.empty(pairs, np.uint32)

    def scatter(t: int) -> None:
        _scatter(ids, offsets, documents[t], places[t], places[t + 1], distance, where[t], columns)

    _each(scatter, range(threads), threads)
    where = None
    return _count_rows(bounds, columns, threads)


def check_range(ids: NDArray[Any], vocab_size: int, start: int, stop: int, origin: int = 0) -> None:
    """Raise ValueError, naming the first culprit, when an id in ids[start:stop] is not below `vocab_size`.

    >>> check_range(np.array([4, 7, 5], np.uint16), 6, 0, 3)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: The token id 7 at place 1 is not below the vocabulary's size 6: pass the size of ...
    """
    if np.iinfo(ids.dtype).max < vocab_size or _highest(ids[start:stop]) < vocab_size:
        return
    place = next(i for i in range(start, stop) if ids[i] >= vocab_size)
    raise ValueError(
        f"The token id {int(ids[place])} at place {origin + place} is not below the vocabulary's size {vocab_size}: "
        "pass the size of the tokenizer that made the ids."
    )


def accumulators(vocab_size: int, dtype: Any) -> tuple[NDArray[Any], NDArray[np.uint64], NDArray[np.uint64]]:
    """A dense row of zeros and its two bitmaps: a bit for a column, a bit for a word of 64 columns."""
    words = (vocab_size >> 6) + 1
    return np.zeros(vocab_size, dtype), np.zeros(words, np.uint64), np.zeros((words >> 6) + 1, np.uint64)


def cuts(bounds: NDArray[np.int64], pieces: int) -> NDArray[np.int64]:
    """Rows that cut `bounds` (V + 1,) into at most `pieces` stretches of about the same number of entries.

    >>> cuts(np.array([0, 5, 6, 7, 8, 10]), 2).tolist()
    [0, 1, 5]
    """
    wanted = np.linspace(0, bounds[-1], pieces + 1)[1:-1]
    return np.unique(np.concatenate(([0], np.searchsorted(bounds, wanted), [len(bounds) - 1])))


def _count_rows(bounds: NDArray[np.int64], columns: NDArray[np.uint32], threads: int) -> Counts:
    """Turn sorted pairs, row r at columns[bounds[r]:bounds[r + 1]], into the sorted counts; overwrites `columns`."""
    vocab_size = len(bounds) - 1
    counts = np.empty(len(columns), np.int64)  # pages that are never written are never given out
    sizes = np.zeros(vocab_size + 1, np.int64)
    edges = cuts(bounds, 1 if threads == 1 else PIECES * threads)
    small = np.uint32 if len(columns) < 2**32 else np.int64

    def rows(piece: int) -> int:
        work = accumulators(vocab_size, small)
        return _rows(bounds, edges[piece], edges[piece + 1], columns, counts, sizes, *work)

    filled = _each(rows, range(len(edges) - 1), threads)
    end = 0
    for edge, size in zip(edges, filled, strict=False):  # close the gaps between the stretches
        begin = int(bounds[edge])
        if begin != end:
            columns[end : end + size] = columns[begin : begin + size]
            counts[end : end + size] = counts[begin : begin + size]
        end += size
    columns.resize(end, refcheck=False)
    counts.resize(end, refcheck=False)
    return np.cumsum(sizes, out=sizes), columns, counts


def _each(task: Callable[[int], Any], items: Sequence[int], threads: int) -> list[Any]:
    if threads == 1:
        return [task(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(task, items))


@numba.njit(cache=True, nogil=True)
def _highest(ids):
    most = ids[0] if len(ids) else 0
    for i in range(len(ids)):
        most = max(most, ids[i])
    return most


@numba.njit(cache=True, nogil=True)
def _tally(ids, offsets, document, start, stop, distance, tally):
    """Add to `tally` how often each token is the first of a pair whose first place is in [start, stop)."""
    place = start
    while place < stop:
        while offsets[document + 1] <= place:
            document += 1
        end = offsets[document + 1]
        first = ids[place : max(place, min(stop, end - distance))]
        for i in range(len(first)):
            tally[first[i]] += 1
        place = min(stop, end)


@numba.njit(cache=True, nogil=True)
def _scatter(ids, offsets, document, start, stop, distance, where, out):
    """Write the second token of each such pair at out[where[first]], and move where[first] on."""
    place = start
    while place < stop:
        while offsets[document + 1] <= place:
            document += 1
        end = offsets[document + 1]
        first = ids[place : max(place, min(stop, end - distance))]
        second = ids[place + distance : place + distance + len(first)]
        for i in range(len(first)):
            row = first[i]
            to = where[row]
            out[to] = second[i]
            where[row] = to + 1
        place = min(stop, end)


@numba.njit(cache=True, nogil=True)
def _rows(bounds, first, last, columns, counts, sizes, dense, bits, words):
    """Count rows first to last - 1 in place from bounds[first] on; sizes[r + 1] says how long row r became."""
    begin = bounds[first]
    out = begin
    one, six, low = np.uint64(1), np.uint64(6), np.uint64(63)
    for row in range(first, last):
        lo, hi, before = bounds[row], bounds[row + 1], out
        if hi - lo <= SHORT:
            for j in range(lo + 1, hi):  # insertion sort
                column, k = columns[j], j - 1
                while k >= lo and columns[k] > column:
                    columns[k + 1] = columns[k]
                    k -= 1
                columns[k + 1] = column
            j = lo
            while j < hi:
                column, k = columns[j], j + 1
                while k < hi and columns[k] == column:
                    k += 1
                columns[out] = column
                counts[out] = k - j
                out += 1
                j = k
        else:
            for j in range(lo, hi):
                column = np.uint64(columns[j])
                dense[column] += 1
                word = column >> six
                bits[word] |= one << (column & low)
                words[word >> six] |= one << (word & low)
            out = sweep(dense, bits, words, columns, counts, out)
        sizes[row + 1] = out - before
    return out - begin


@numba.njit(cache=True, nogil=True)
def sweep(dense, bits, words, columns, counts, out):
    """Write the touched entries of `dense` in ascending order from `out` on, and clear all three; returns the end."""
    one, six = np.uint64(1), np.uint64(6)
    for w in range(len(words)):
        upper = words[w]
        if upper == 0:
            continue
        words[w] = 0
        while upper != 0:
            word = (np.uint64(w) << six) + np.uint64(trailing_zeros(upper))
            upper &= upper - one
            lower = bits[word]
            bits[word] = 0
            while lower != 0:
                column = (word << six) + np.uint64(trailing_zeros(lower))
                lower &= lower - one
                columns[out] = column
                counts[out] = dense[column]
                dense[column] = 0
                out += 1
    return out
