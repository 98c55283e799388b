"""Pairs of token ids, counted exactly in a few nanoseconds each: the kernels under `counts.bigrams`.

The idea: one pass tallies the first tokens, so the length of every row is known. A second pass puts the second token of
each pair into a bucket, 4 bytes a pair: a row with many pairs has a bucket of its own, and the many rows with few pairs
share the bucket of their group, where the low bits of the row stand above the column. So few buckets are written at
once and they stay in the cache. A long row is counted in a dense accumulator of one integer a token of the vocabulary;
a bitmap remembers which accumulators were touched, and a second bitmap which words of the first, so that the row is
read in sorted order and cleared without a pass over the vocabulary (Briggs and Torczon's sparse set, in bits).
A group of short rows is sorted by numpy as 32-bit numbers, and runs of equal numbers are counted.
The results overwrite the buckets from the left, so the peak is about 4 bytes a pair beyond the ids and the result.

A pair belongs to the place of its **first** token, so counts over any cut of the places add up to those of the whole.
Several threads each take a stretch of places and then stretches of rows. They share no place that two of them write,
and the result is sorted integers, so it is the same for every cut and every number of threads.

Axis order: row = first token, column = the token `distance` places after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.cpython.unsafe.numbers import trailing_zeros
from numba.extending import intrinsic
from numpy.typing import NDArray

LONG, SHARE = 512, 2**14  # a row is long with at least this many pairs, and at least this part of all: few buckets
GROUP, GROUPS = 2**16, 256  # a group's pairs: about this part of all, and at least so many
BLOCK = 4096  # ids that are checked, and then tallied while they are in the cache
LINE = 16  # 32-bit numbers in a cache line: a bucket's next line is fetched while this one fills
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
    places = np.linspace(start, stop, threads + 1).astype(np.int64)
    documents = np.searchsorted(offsets, places, side="right") - 1
    small = np.uint32 if stop - start < 2**32 else np.int64
    tallies = np.zeros((threads, vocab_size), small)

    def tally(t: int) -> bool:
        return _tally(ids, offsets, documents[t], places[t], places[t + 1], distance, tallies[t])

    if not all(_each(tally, range(threads), threads)):
        check_range(ids, vocab_size, start, stop, origin)
    check_range(ids, vocab_size, stop, min(len(ids), stop + distance), origin)  # seconds beyond the last first
    layout = _layout(tallies.sum(axis=0, dtype=np.int64))
    where = np.zeros((threads, len(layout.starts)), np.int64)
    for t in range(threads):  # thread t writes a bucket after the threads before it
        _fold(tallies[t], layout.bucket, where[t])
    where = (layout.starts + np.cumsum(where, axis=0) - where).astype(np.uint64)
    columns = np.empty(layout.pairs, np.uint32)

    def scatter(t: int) -> None:
        here = documents[t], places[t], places[t + 1], distance
        _scatter(ids, offsets, *here, layout.bucket, layout.bits, where[t], columns)

    _each(scatter, range(threads), threads)
    return _count_rows(layout, columns, threads)


@dataclass(frozen=True)
class Layout:
    """Where pairs wait: each group of rows is a stretch, first a bucket for each long row, then one for the short rows.

    `lengths` (V,) pairs of a row; `least` the length of a long row; `edges` (G + 1,) rows where groups start;
    `begins` (G + 1,) where their pairs start, `shared` (G,) where those of the short rows do; `bucket` (V,) of a row;
    `starts` (buckets,) where a bucket's pairs start; `bits` of a column.
    Within a group the low 32 - bits bits of a row are different and ascend with the row.
    """

    lengths: NDArray[np.int64]
    least: int
    edges: NDArray[np.int64]
    begins: NDArray[np.int64]
    shared: NDArray[np.int64]
    bucket: NDArray[Any]
    starts: NDArray[np.int64]
    bits: int
    pairs: int


def _layout(lengths: NDArray[np.int64]) -> Layout:
    vocab_size, pairs = len(lengths), int(lengths.sum())
    bits = max(1, (vocab_size - 1).bit_length())
    least = max(LONG, pairs // SHARE)
    bounds = np.concatenate(([0], np.cumsum(lengths)))
    share = max(GROUP, pairs // GROUPS)
    full = np.searchsorted(bounds, np.arange(share, pairs, share))
    edges = np.unique(np.concatenate((np.arange(0, vocab_size, 2 ** (32 - bits)), full, [vocab_size])))
    long = lengths >= least
    before = np.concatenate(([0], np.cumsum(long)))  # long rows before each row
    small = np.uint16 if int(before[-1]) + len(edges) <= 2**16 else np.uint32  # a smaller table stays in the cache
    group = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    bucket = (np.where(long, before[:-1], before[edges[group + 1]]) + group).astype(small)
    sizes = np.zeros(int(before[-1]) + len(edges) - 1, np.int64)
    _fold(lengths, bucket, sizes)
    starts = np.cumsum(sizes) - sizes
    shared = starts[before[edges[1:]] + np.arange(len(edges) - 1)]
    return Layout(lengths, least, edges, bounds[edges], shared, bucket, starts, bits, pairs)


def check_range(ids: NDArray[Any], vocab_size: int, start: int, stop: int, origin: int = 0) -> None:
    """Raise ValueError, naming the first culprit, when an id in ids[start:stop] is not below `vocab_size`.

    >>> check_range(np.array([4, 7, 5], np.uint16), 6, 0, 3)
    Traceback (most recent call last):
        ...
    ValueError: The token id 7 at place 1 is not below the vocabulary's size 6: pass the size of the tokenizer that
    made the ids.
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


def _count_rows(layout: Layout, columns: NDArray[np.uint32], threads: int) -> Counts:
    """Count the pairs that wait in `columns`, and put the sorted result in their place."""
    vocab_size = len(layout.lengths)
    sizes = np.zeros(vocab_size + 1, np.int64)
    groups = cuts(layout.begins, 1 if threads == 1 else PIECES * threads)
    small = np.uint32 if layout.pairs < 2**32 else np.int64
    room = int(np.add.reduceat(np.minimum(layout.lengths, vocab_size), layout.edges[:-1]).max()) + 1

    def rows(piece: int) -> NDArray[np.int64]:
        begin, stop = layout.begins[groups[piece : piece + 2]]
        counts = np.empty(stop - begin + 1, np.int64)  # pages that are never written are never given out
        work = np.empty(room, np.uint32), *accumulators(vocab_size, small)
        end = 0
        for group in range(groups[piece], groups[piece + 1]):
            lo, shared, hi = layout.begins[group], layout.shared[group], layout.begins[group + 1]
            columns[shared:hi].sort()
            pairs = columns[lo:shared], columns[shared:hi]
            which = layout.lengths, layout.least, layout.bits, layout.edges[group], layout.edges[group + 1]
            found = _rows(*which, *pairs, counts[end:], sizes, *work)
            columns[begin + end : begin + end + found] = work[0][:found]
            end += found
        counts.resize(end, refcheck=False)
        return counts

    found = _each(rows, range(len(groups) - 1), threads)
    ends = np.cumsum([0, *map(len, found)])
    counts = found[0] if len(found) == 1 else np.empty(ends[-1], np.int64)

    def gather(piece: int) -> None:
        if piece < len(found):
            counts[ends[piece] : ends[piece + 1]] = found[piece]
            return
        for i, begin in enumerate(layout.begins[groups[:-1]]):  # columns overlap where they were, so one by one
            columns[ends[i] : ends[i + 1]] = columns[begin : begin + len(found[i])]

    if len(found) > 1:
        _each(gather, range(len(found), -1, -1), threads)
    columns.resize(ends[-1], refcheck=False)
    return np.cumsum(sizes, out=sizes), columns, counts


def _each(task: Callable[[int], Any], items: Sequence[int], threads: int) -> list[Any]:
    if threads == 1:
        return [task(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(task, items))


@intrinsic
def _prefetch(context, array, index):
    """Ask the processor for the cache line of array[index], to write to it; an index past the end does no harm."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [address, number(1), number(3), number(1)])  # to write, to keep, data
        return context.get_dummy_value()

    return types.none(array, types.intp), generate


@numba.njit(cache=True, nogil=True)
def _highest(ids):
    most = ids[0] if len(ids) else 0
    for i in range(len(ids)):
        most = max(most, ids[i])
    return most


@numba.njit(cache=True, nogil=True)
def _tally(ids, offsets, document, start, stop, distance, tally):
    """Add to `tally` how often each token is the first of a pair whose first place is in [start, stop).

    Returns False, with the tally half done, when an id there is out of range.
    """
    place = start
    for block in range(start, stop, BLOCK):
        last = min(stop, block + BLOCK)
        if _highest(ids[block:last]) >= len(tally):
            return False
        while place < last:
            while offsets[document + 1] <= place:
                document += 1
            end = offsets[document + 1]
            first = ids[place : max(place, min(last, end - distance))]
            for i in range(len(first)):
                tally[first[i]] += 1
            place = min(last, end)
    return True


@numba.njit(cache=True, nogil=True)
def _fold(lengths, bucket, sizes):
    """Add each row's length to its bucket's."""
    for row in range(len(lengths)):
        sizes[bucket[row]] += lengths[row]


@numba.njit(cache=True, nogil=True)
def _scatter(ids, offsets, document, start, stop, distance, bucket, bits, where, out):
    """Write (low bits of the first token, second token) of each such pair to out[where[bucket]], and move that on."""
    bits = np.uint32(bits)
    place = start
    while place < stop:
        while offsets[document + 1] <= place:
            document += 1
        end = offsets[document + 1]
        first = ids[place : max(place, min(stop, end - distance))]
        second = ids[place + distance : place + distance + len(first)]
        for i in range(len(first)):
            row = first[i]
            its = bucket[row]
            to = where[its]
            where[its] = to + np.uint64(1)
            _prefetch(out, np.int64(to) + LINE)  # type: ignore[call-arg]
            out[to] = (np.uint32(row) << bits) | np.uint32(second[i])
        place = min(stop, end)


@numba.njit(cache=True, nogil=True)
def _rows(lengths, least, bits, first, last, long, short, counts, sizes, columns, dense, touched, words):
    """Count rows first to last - 1: `long` has the long ones' pairs, `short` the others', sorted. Returns how many."""
    mask = np.uint32((np.uint64(1) << np.uint64(bits)) - np.uint64(1))
    one, six, low = np.uint64(1), np.uint64(6), np.uint64(63)
    a = b = out = 0
    for row in range(first, last):
        length, before = lengths[row], out
        if length >= least:
            for packed in long[a : a + length]:
                column = np.uint64(packed & mask)
                dense[column] += 1
                word = column >> six
                touched[word] |= one << (column & low)
            for w in range(len(touched)):
                words[w >> 6] |= np.uint64(touched[w] != 0) << (np.uint64(w) & low)
            a += length
            out = sweep(dense, touched, words, columns, counts, out)
        elif length > 0:
            run, begin = short[b : b + length], 0
            for j in range(length - 1):  # written without a branch, until the run of equal pairs is over
                columns[out], counts[out] = run[j] & mask, j + 1 - begin
                ends = run[j] != run[j + 1]
                out += ends
                begin = j + 1 if ends else begin
            columns[out], counts[out] = run[length - 1] & mask, length - begin
            out += 1
            b += length
        sizes[row + 1] = out - before
    return out


@numba.njit(cache=True, nogil=True)
def sweep(dense, bits, words, columns, counts, out):
    """Write the touched entries of `dense` in ascending order from `out` on, and clear all three; returns the end.

    The place at the end is written too, so `columns` and `counts` need one more.
    """
    one, six = np.uint64(1), np.uint64(6)
    for w in range(len(words)):
        upper = words[w]
        if upper == 0:
            continue
        words[w] = 0
        while upper != 0:
            word = (np.uint64(w) << six) + np.uint64(trailing_zeros(upper))  # type: ignore[call-arg]
            upper &= upper - one
            lower = bits[word]
            bits[word] = 0
            column = (word << six) + np.uint64(trailing_zeros(lower))
            columns[out], counts[out] = column, dense[column]
            dense[column] = 0
            out += 1
            lower &= lower - one
            more = (word << six) + np.uint64(trailing_zeros(lower))
            column = column if lower == 0 else more  # most words have one or two bits: written without a branch
            columns[out], counts[out] = column, dense[column]
            dense[column] = 0
            out += lower != 0
            lower &= lower - one
            while lower != 0:
                column = (word << six) + np.uint64(trailing_zeros(lower))
                lower &= lower - one
                columns[out], counts[out] = column, dense[column]
                dense[column] = 0
                out += 1
    return out
