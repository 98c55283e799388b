"""Passes over the cosines of all pairs i < j: sums for correlations, histograms for percentiles.

A float32 has an order-preserving 32-bit key (its bits, with the sign turned). The upper 16 bits of the key are a coarse
bin; `fine_bins` divides each coarse bin by as many of the lower bits as its share of the pairs asks for, up to all 16,
where a bin is one single number. Zero's coarse bin is always divided in full, so exact zero has a bin of its own, and
other frequent numbers get one in a last division.

Axes: pairs in the order (0, 1), (0, 2), ..., (1, 2), ...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from probsig.geometry.large import MOST_PAIRS, Array, Cosines, same_tokens

COARSE = 1 << 16


@numba.njit(inline="always")
def _key(bits):
    """The 32 bits of a float32 as an integer that sorts as the number does; minus zero counts as zero."""
    if bits == np.uint32(0x80000000):
        return np.int64(0x80000000)
    return np.int64(bits ^ np.uint32(0xFFFFFFFF)) if bits >> np.uint32(31) else np.int64(bits | np.uint32(0x80000000))


@numba.njit(cache=True)
def _coarse_counts(bits):
    counts = np.zeros(COARSE, np.int64)
    for p in range(bits.size):
        counts[_key(bits[p]) >> 16] += 1
    return counts


@numba.njit(cache=True)
def _fine_counts(bits, start, low, size):
    counts = np.zeros(size, np.uint32)
    for p in range(bits.size):
        key = _key(bits[p])
        coarse = key >> 16
        counts[start[coarse] + ((key & 0xFFFF) >> low[coarse])] += 1
    return counts


@numba.njit(cache=True)
def _inner_counts(bits, start, low, inner, size):
    """The counts of the single numbers in the bins that are divided once more."""
    counts = np.zeros(size, np.uint32)
    for p in range(bits.size):
        key = _key(bits[p])
        coarse = key >> 16
        within = inner[start[coarse] + ((key & 0xFFFF) >> low[coarse])]
        if within >= 0:
            counts[within + (key & ((1 << low[coarse]) - 1))] += 1
    return counts


class Bins(NamedTuple):
    """How a float32 finds its bin, and what is known of a bin.

    `start` and `low` belong to a coarse bin: its first fine bin, and how many low bits do not tell fine bins apart.
    `inner` (fine bins,) is -1, or where the numbers of a fine bin that is divided once more begin in `inner_twice`.
    `twice` (fine bins,) and `inner_twice` are twice the number of values below, plus the number of values there.
    """

    start: NDArray[np.int32]
    low: NDArray[np.uint8]
    inner: NDArray[np.int32]
    twice: NDArray[np.int64]
    inner_twice: NDArray[np.int64]


def fine_bins(values: NDArray[np.float32], number: int) -> tuple[Bins, int]:
    """The bins of float32 values, and the largest count of a bin that may hold different numbers.

    About `number` + 2^17 bins that hold 4 / number of the values or a little more. A bin that holds twice that, mostly
    because one number is frequent, is divided once more, down to single numbers; the fullest come first, and 4 `number`
    bins are spent on this at most.
    """
    bits = values.view(np.uint32)
    coarse = _coarse_counts(bits)
    target = max(4 * values.size / number, 1.0)
    depth = np.ceil(np.log2(np.maximum(coarse / target, 1))).clip(0, 16).astype(np.int64)
    depth[_key(np.uint32(0)) >> 16] = 16
    start = np.concatenate([[0], np.cumsum(np.where(coarse > 0, 1 << depth, 0))])
    low = (16 - depth).astype(np.uint8)
    place = start.astype(np.int32)
    counts = _fine_counts(bits, place, low, int(start[-1])).astype(np.int64)

    heavy = np.flatnonzero(counts > 2 * target - 1)
    heavy = heavy[np.argsort(-counts[heavy], kind="stable")]
    widths = 1 << (16 - depth)[np.searchsorted(start, heavy, side="right") - 1]
    kept = np.cumsum(widths) <= 4 * number
    heavy, widths = heavy[kept], widths[kept]
    ends = np.cumsum(widths)
    inner = np.full(counts.size, -1, dtype=np.int32)
    inner[heavy] = ends - widths
    within = np.zeros(0, np.int64)
    if heavy.size:
        within = _inner_counts(bits, place, low, inner, int(ends[-1])).astype(np.int64)
    twice = 2 * np.cumsum(counts) - counts
    below = np.cumsum(within) - within  # among the numbers of all divided bins, in their order
    first = np.repeat((twice - counts)[heavy] - 2 * below[ends - widths], widths)
    counts[heavy] = 0
    return Bins(place, low, inner, twice, first + 2 * below + within), int(counts[counts > 1].max(initial=0))


@numba.njit(cache=True)
def twice_below(bits, bins):
    """For each number twice the number of values below it plus the number of values equal, as the bins know it."""
    result = np.empty(bits.size, np.int64)
    for p in range(bits.size):
        key = _key(bits[p])
        coarse = key >> 16
        fine = bins.start[coarse] + ((key & 0xFFFF) >> bins.low[coarse])
        if bins.inner[fine] < 0:
            result[p] = bins.twice[fine]
        else:
            result[p] = bins.inner_twice[bins.inner[fine] + (key & ((1 << bins.low[coarse]) - 1))]
    return result


def _packed(bins: Bins, parts: int, total: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each fine bin and each inner number one integer: twice the rank and, in the lowest byte, its part of `parts`;
    for a fine bin that is divided once more, -1 - (where it begins)."""
    fine, within = (t * 256 + np.minimum(t * parts // (2 * total), parts - 1) for t in (bins.twice, bins.inner_twice))
    return np.where(bins.inner < 0, fine, -1 - bins.inner.astype(np.int64)), within


def joint_table(
    a: NDArray[np.float32], a_bins: Bins, b: NDArray[np.float32], b_bins: Bins, intervals: int, columns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs by a's interval and b's column, and for each interval the sum of twice b's number of pairs below
    (ties counted half)."""
    fine, within = _packed(a_bins, intervals, a.size)
    parts = np.where(fine < 0, 255, fine & 255).astype(np.uint8)
    return _joint(
        a.view(np.uint32), a_bins.start, a_bins.low, parts, fine, within,
        b.view(np.uint32), b_bins.start, b_bins.low, *_packed(b_bins, columns, b.size), intervals, columns,
    )  # fmt: skip


@numba.njit(cache=True)
def _joint(
    a_bits, a_start, a_low, a_parts, a_fine, a_within, b_bits, b_start, b_low, b_fine, b_within, intervals, columns
):
    counts, sums = np.zeros((intervals, columns), np.int64), np.zeros(intervals, np.int64)
    for p in range(a_bits.size):
        key = _key(a_bits[p])
        coarse = key >> 16
        fine = a_start[coarse] + ((key & 0xFFFF) >> a_low[coarse])
        row = np.int64(a_parts[fine])
        if row == 255:
            row = a_within[-1 - a_fine[fine] + (key & ((1 << a_low[coarse]) - 1))] & 255
        key = _key(b_bits[p])
        coarse = key >> 16
        packed = b_fine[b_start[coarse] + ((key & 0xFFFF) >> b_low[coarse])]
        if packed < 0:
            packed = b_within[-1 - packed + (key & ((1 << b_low[coarse]) - 1))]
        counts[row, packed & 255] += 1
        sums[row] += packed >> 8
    return counts, sums


@dataclass(frozen=True, eq=False)
class PercentileTable:
    """How the percentile of b is distributed, given the interval of the percentile of a; `+` pools subsets.

    `counts` (intervals, columns): pairs with the percentile of a in interval k and that of b in column c, of equal
    widths. `sums` (intervals,): their percentiles of b, added. `zeros` (2,): pairs whose cosine is exactly zero, in a
    and in b. `error` (2,): what the percentile of one pair can be off by, in a and in b, because several numbers share
    a bin; 0.0 means that every mid-rank is exact.
    """

    counts: NDArray[np.int64]
    sums: Array
    zeros: NDArray[np.int64]
    error: Array

    @property
    def pairs(self) -> int:
        """The number of pairs."""
        return int(self.counts.sum())

    @property
    def zero_fractions(self) -> Array:
        """The share of pairs whose cosine is exactly zero, in a and in b (2,)."""
        return self.zeros / self.pairs

    @property
    def means(self) -> Array:
        """The mean percentile of b in each interval of a (intervals,); nan where an interval holds no pair."""
        held = self.counts.sum(axis=1)
        return np.divide(self.sums, held, out=np.full(held.size, np.nan), where=held > 0)

    @property
    def distributions(self) -> Array:
        """The share of each column among the pairs of an interval (intervals, columns); nan in an empty interval."""
        held = self.counts.sum(axis=1, keepdims=True)
        return np.divide(self.counts, held, out=np.full(self.counts.shape, np.nan), where=held > 0)

    def __add__(self, other: PercentileTable) -> PercentileTable:
        if self.counts.shape != other.counts.shape:
            raise ValueError(f"tables of shapes {self.counts.shape} and {other.counts.shape} can't be pooled")
        error = np.maximum(self.error, other.error)
        return PercentileTable(self.counts + other.counts, self.sums + other.sums, self.zeros + other.zeros, error)


def percentile_table(
    a: Cosines, b: Cosines, *, intervals: int = 10, columns: int = 100, bins: int = 1 << 20
) -> PercentileTable:
    """The percentile of b, given the interval of the percentile of a, over all pairs i < j of the same tokens.

    A percentile is the mid-rank: (pairs below + half the pairs that are equal) / pairs, in (0, 1). A pair stands in the
    interval floor(percentile * intervals). Ranks are found with histograms of about `bins` bins whose widths follow the
    data; exact zero has a bin of its own, a frequent number too. The table's `error` is measured: half the share of the
    fullest bin that may hold different numbers.
    Raises ValueError where the tokens are not the same number, 3 or more, where there are 2^31 pairs or more, and
    unless `intervals` and `columns` are between 1 and 254.

    >>> a = Cosines(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], dtype=np.float32), 4)
    >>> b = Cosines(np.array([0.0, 0.0, 0.0, 0.7, 0.8, 0.9], dtype=np.float32), 4)
    >>> table = percentile_table(a, b, intervals=2, columns=4)
    >>> table.counts.tolist(), table.means.round(4).tolist(), table.zero_fractions.tolist()
    ([[0, 3, 0, 0], [0, 0, 1, 2]], [0.25, 0.75], [0.0, 0.5])
    """
    same_tokens(a, b)
    if not (1 <= intervals <= 254 and 1 <= columns <= 254):
        raise ValueError(f"a table of {intervals} intervals and {columns} columns is asked for: pass 1 to 254 of each")
    total = a.pairs.size
    if total > MOST_PAIRS:
        raise ValueError(f"{total} pairs are too many for one table: pass 65,000 tokens or fewer")
    (a_bins, a_mixed), (b_bins, b_mixed) = fine_bins(a.pairs, bins), fine_bins(b.pairs, bins)
    counts, sums = joint_table(a.pairs, a_bins, b.pairs, b_bins, intervals, columns)
    error = np.array([a_mixed, b_mixed]) / (2 * total)
    zeros = np.array([total - np.count_nonzero(c.pairs) for c in (a, b)])
    return PercentileTable(counts, sums / (2 * total), zeros, error)
