r"""What is left of an alignment when ranks stand for cosines, or when frequency is taken out of them.

Frequent tokens lie near each other in a trained embedding, whatever they mean, and frequent tokens have signatures that
are alike because all are near the mean. So frequency alone makes a correlation of cosines. `without_frequency` takes it
out of one side: the cosines' least-squares fit on 1, l_i + l_j, |l_i - l_j| and l_i l_j, with l the logarithm of a
token's frequency, is subtracted. The correlation of two sides that are both without it is the partial correlation.

What comes back has the form of `Cosines`, a number for each pair, so that `correlations`, `bootstrap` and
`matched_null` take it as they take cosines.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig.geometry.large import MOST_PAIRS, RESOLUTION, Array, Cosines
from probsig.geometry.percentiles import fine_bins, twice_below

BINS = 1 << 20


def ranked(c: Cosines) -> Cosines:
    """Each pair's percentile, (pairs below + half the pairs that are equal) / pairs, in (0, 1).

    The correlation of two ranked sides is Spearman's. A percentile is off by 1e-6 or so where different numbers share
    a bin, as in `percentile_table`. Raises ValueError for 2^31 pairs or more.

    >>> ranked(Cosines(np.array([0.5, 0.0, 0.0], dtype=np.float32), 3)).pairs.astype(float).round(3).tolist()
    [0.833, 0.333, 0.333]
    """
    total = c.pairs.size
    if total > MOST_PAIRS:
        raise ValueError(f"{total} pairs are too many to rank: pass 65,000 tokens or fewer")
    twice = twice_below(c.pairs.view(np.uint32), fine_bins(c.pairs, BINS)[0])
    return Cosines((twice / (2 * total)).astype(np.float32), c.size)


def without_frequency(c: Cosines, frequency: ArrayLike) -> Cosines:
    """Each pair's cosine minus what the frequencies (n,) of its two tokens explain, by least squares.

    With l = log frequency the fit is on 1, l_i + l_j, |l_i - l_j| and l_i l_j. Where it explains everything, up to
    the resolution of float32, what is left is 0. Memory: one more (n (n - 1) / 2,) float32.
    Raises ValueError where `frequency` has another length or is not positive.

    >>> c = Cosines(np.array([0.1, 0.5, 0.3], dtype=np.float32), 3)
    >>> without_frequency(c, [7, 7, 7]).pairs.astype(float).round(3).tolist()  # one frequency: the mean
    [-0.2, 0.2, 0.0]
    """
    frequency = np.asarray(frequency, dtype=float)
    if frequency.shape != (c.size,) or not (np.isfinite(frequency) & (frequency > 0)).all():
        raise ValueError(f"frequency has shape {frequency.shape}: pass one positive number for each of {c.size} tokens")
    level = np.log(frequency)
    level = (level - level.mean()) / (level.std() or 1.0)  # the fit is the same, and its sums are well scaled
    mean, square = float(c.pairs.mean(dtype=float)), 0.0
    gram, right = np.zeros((4, 4)), np.zeros(4)
    for i, row in _rows(c):
        design = _design(level, i)
        gram += design @ design.T
        right += design @ (row - mean)
        square += float((row - mean) @ (row - mean))
    weights = np.linalg.lstsq(gram, right, rcond=1e-12)[0]
    left, at, rest = np.empty_like(c.pairs), 0, 0.0
    for i, row in _rows(c):
        residual = row - mean - weights @ _design(level, i)
        left[at : at + row.size] = residual
        at, rest = at + row.size, rest + float(residual @ residual)
    if rest <= RESOLUTION**2 * (square + c.pairs.size * mean**2):
        left[:] = 0
    return Cosines(left, c.size)


def without(c: Cosines, other: Cosines) -> Cosines:
    """Each pair's cosine minus what its cosine on another side explains, by a straight line of least squares.

    Raises ValueError where the two are of different numbers of tokens.

    >>> c, other = (Cosines(np.array(pairs, dtype=np.float32), 3) for pairs in ([0.125, 0.5, 0.375], [0.0, 1.0, 0.0]))
    >>> (without(c, other).pairs + 0.0).tolist()
    [-0.125, 0.0, 0.125]
    """
    if c.size != other.size:
        raise ValueError(f"{c.size} and {other.size} tokens have different pairs: compare the same tokens.")
    x, y = (side.pairs.astype(float) - side.pairs.mean(dtype=float) for side in (other, c))
    square = x @ x
    return Cosines((y - (x @ y / square if square > 0 else 0.0) * x).astype(np.float32), c.size)


def _rows(c: Cosines) -> Iterator[tuple[int, Array]]:
    """Each row's number i and its cosines with the rows after it, float64."""
    at = 0
    for i in range(c.size - 1):
        yield i, c.pairs[at : at + c.size - 1 - i].astype(float)
        at += c.size - 1 - i


def _design(level: Array, i: int) -> NDArray[np.float64]:
    """What the cosines of row i with the rows after it are fitted on, (4, n - 1 - i)."""
    later = level[i + 1 :]
    return np.stack([np.ones(later.size), level[i] + later, np.abs(level[i] - later), level[i] * later])
