"""Passes over the cosines of all pairs i < j: sums for correlations, histograms for percentiles.

A float32 has an order-preserving 32-bit key (its bits, with the sign turned). The upper 16 bits of the key are a coarse
bin; `fine_bins` divides each coarse bin by as many of the lower bits as its share of the pairs asks for, up to all 16,
where a bin is one single number. Zero's coarse bin is always divided in full, so exact zero has a bin of its own, and
other frequent numbers get one in a last division.

Axes: pairs in the order (0, 1), (0, 2), ..., (1, 2), ...
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

COARSE = 1 << 16


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


@numba.njit(inline="always")
def _key(bits):
    """The 32 bits of a float32 as an integer that sorts as the number does; never called with minus zero."""
    return np.int64(bits ^ np.uint32(0xFFFFFFFF)) if bits >> np.uint32(31) else np.int64(bits | np.uint32(0x80000000))


@numba.njit(inline="always")
def _bin(bits, start, low, inner):
    key = _key(bits)
    coarse = key >> 16
    fine = start[coarse] + ((key & 0xFFFF) >> low[coarse])
    return fine if inner[fine] < 0 else inner[fine] + (key & ((1 << low[coarse]) - 1))


@numba.njit(cache=True)
def _coarse_counts(bits):
    counts = np.zeros(COARSE, np.int64)
    for p in range(bits.size):
        counts[_key(bits[p]) >> 16] += 1
    return counts


@numba.njit(cache=True)
def _bin_counts(bits, bins, size):
    """The count of each bin, and whether it holds different numbers."""
    start, low, inner = bins
    counts, first, mixed = np.zeros(size, np.int64), np.zeros(size, np.uint32), np.zeros(size, np.bool_)
    for p in range(bits.size):
        k = _bin(bits[p], start, low, inner)
        if counts[k] == 0:
            first[k] = bits[p]
        elif first[k] != bits[p]:
            mixed[k] = True
        counts[k] += 1
    return counts, mixed


class Bins(NamedTuple):
    """How a float32 finds its bin: `start` and `low` of its coarse bin, `inner` of its fine bin (-1: not divided)."""

    start: NDArray[np.int64]
    low: NDArray[np.int64]
    inner: NDArray[np.int32]


def fine_bins(values: NDArray[np.float32], number: int) -> tuple[Bins, NDArray[np.int64], int]:
    """The bins of float32 values without minus zeros; for each bin twice the number of values below it plus its own
    count; and the largest count of a bin that holds different numbers.

    About `number` + 2^17 bins that hold 4 / number of the values or a little more. A bin of different numbers that
    holds twice that, mostly because one number is frequent, is divided once more, down to single numbers; the fullest
    come first, and 4 `number` bins are spent on this at most.
    """
    bits = values.view(np.uint32)
    coarse = _coarse_counts(bits)
    target = max(4 * values.size / number, 1.0)
    depth = np.ceil(np.log2(np.maximum(coarse / target, 1))).clip(0, 16).astype(np.int64)
    depth[_key(np.uint32(0)) >> 16] = 16
    start = np.concatenate([[0], np.cumsum(np.where(coarse > 0, 1 << depth, 0))])
    size = int(start[-1])
    bins = Bins(start, 16 - depth, np.full(size, -1, dtype=np.int32))
    counts, mixed = _bin_counts(bits, bins, size)

    heavy = np.flatnonzero(mixed & (counts > 2 * target - 1))
    heavy = heavy[np.argsort(-counts[heavy], kind="stable")]
    widths = 1 << bins.low[np.searchsorted(start, heavy, side="right") - 1]
    kept = np.cumsum(widths) <= 4 * number
    heavy, widths = heavy[kept], widths[kept]
    twice = 2 * np.cumsum(counts) - counts
    if heavy.size:
        inner = size + np.concatenate([[0], np.cumsum(widths)])
        bins.inner[heavy] = inner[:-1]
        inside, _ = _bin_counts(bits, bins, int(inner[-1]))
        inside = inside[size:]
        below = np.cumsum(inside) - inside  # among the values of all divided bins, so of one bin after taking its first
        first = np.repeat(inner[:-1] - size, widths)
        base = np.repeat((twice - counts)[heavy], widths)
        twice = np.concatenate([twice, base + 2 * (below - below[first]) + inside])
        mixed[heavy] = False
    return bins, twice, int(counts[mixed].max(initial=0))


@numba.njit(cache=True)
def joint_table(a_bits, a_bins, interval_of, b_bits, b_bins, twice, column_of, shape):
    """Pairs by a's interval and b's column, and for each interval the sum of twice b's number of pairs below
    (ties counted half)."""
    (a_start, a_low, a_inner), (b_start, b_low, b_inner) = a_bins, b_bins
    counts, sums = np.zeros(shape, np.int64), np.zeros(shape[0], np.int64)
    for p in range(a_bits.size):
        row = interval_of[_bin(a_bits[p], a_start, a_low, a_inner)]
        k = _bin(b_bits[p], b_start, b_low, b_inner)
        counts[row, column_of[k]] += 1
        sums[row] += twice[k]
    return counts, sums
