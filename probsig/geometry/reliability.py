r"""How far an alignment of cosines can be trusted: bootstrap over tokens, a null that keeps frequencies, split halves.

- `bootstrap`: the spread of R_cos when the tokens are drawn anew. Pairs of one token are not independent, so tokens are
  drawn, not pairs. A pair counts as often as its tokens were drawn together, and two copies of one token are no pair.
- `matched_null`: R_cos when the tokens of one side are shuffled among tokens of a similar frequency. What is left is
  what frequency alone explains.
- `split_half`: R_cos of signatures from two halves of a corpus. With r the correlation of the halves, the whole corpus
  has the reliability 2 r / (1 + r) (Spearman and Brown), and no correlation with it can be expected above the square
  root of that.

All work in blocks of rows on the cosines of all pairs (`geometry.large.Cosines`), without a square matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from probsig import guards, seeds
from probsig.counts.bigrams import Bigrams
from probsig.geometry.large import Correlations, Cosines, correlations, cosines, pearson_from_sums, same_tokens
from probsig.signatures import tokens as signatures_tokens
from probsig.signatures.tokens import Centred

Array = NDArray[np.float64]
BLOCK = 64  # rows that are unpacked at a time


def bootstrap(a: Cosines, b: Cosines, draws: int, seed: int) -> Array:
    """R_cos of `draws` samples of the tokens with replacement, (draws,); of all pairs of different tokens.

    nan where a sample's cosines are constant. Memory: (5, 64, n) and (n, draws) float64.
    Raises ValueError where a and b are not of the same tokens, 3 or more, and unless `draws` is 1 or more.

    >>> a = Cosines(np.array([0.1, 0.5, 0.2, 0.9, 0.4, 0.3], dtype=np.float32), 4)
    >>> sample = bootstrap(a, a, draws=100, seed=0)
    >>> sample.shape, bool(np.nanmin(sample) > 0.999)
    ((100,), True)
    """
    same_tokens(a, b)
    _some(draws)
    n, stream = a.size, seeds.stream(seed, "bootstrap over tokens")
    weights = stream.multinomial(n, np.full(n, 1 / n), size=draws).T.astype(float)
    a0, b0 = (float(c.pairs.mean(dtype=float)) for c in (a, b))
    sums = np.zeros((draws, 5))
    for first in _bar(range(0, n, BLOCK), "bootstrap"):
        powers = _powers(first, min(BLOCK, n - first), n, a.pairs, b.pairs, a0, b0)
        own, later = weights[first : first + BLOCK], weights[first:]
        for k in range(5):
            sums[:, k] += np.einsum("id,id->d", own, powers[k] @ later)
    pairs = (weights.sum(axis=0) ** 2 - (weights**2).sum(axis=0)) / 2
    return pearson_from_sums(sums, np.maximum(pairs, 1), a0, b0)[0]


@numba.njit(cache=True)
def _powers(first, rows, n, a, b, a0, b0):
    """x, y, xx, yy, xy of the pairs of some rows with later rows, (5, rows, n - first), zero elsewhere."""
    result = np.zeros((5, rows, n - first))
    for r in range(rows):
        i = first + r
        at = i * n - i * (i + 1) // 2 - i - 1
        for j in range(i + 1, n):
            x, y, c = np.float64(a[at + j]) - a0, np.float64(b[at + j]) - b0, j - first
            result[0, r, c], result[1, r, c], result[2, r, c] = x, y, x * x
            result[3, r, c], result[4, r, c] = y * y, x * y
    return result


def matched_null(a: Cosines, b: Cosines, frequency: ArrayLike, draws: int, seed: int, group: int = 100) -> Array:
    """R_cos of a with b after `draws` shuffles of b's tokens among tokens of a similar frequency, (draws,).

    `frequency` (n,) orders the tokens (equal ones by their row); each `group` of neighbours in that order is shuffled
    within itself, and a last group of less than half the size joins the one before. group = n is the plain null.
    Memory: (64, n) float32. Quickest when the rows are ordered by frequency.
    Raises ValueError where a and b are not of the same tokens, 3 or more, where `frequency` has another length or is of
    bits or of unsigned numbers with a zero, unless `draws` is 1 or more and unless `group` is 2 or more.

    >>> a = Cosines(np.array([0.1, 0.5, 0.2, 0.9, 0.4, 0.3], dtype=np.float32), 4)
    >>> matched_null(a, a, [9, 8, 2, 1], draws=4, seed=0, group=2).round(3).tolist()
    [-0.25, 1.0, -0.25, 0.5]
    """
    same_tokens(a, b)
    _some(draws)
    n, frequency = a.size, np.asarray(frequency)
    guards.sure(
        frequency.dtype.kind != "b" and (frequency.dtype.kind != "u" or frequency.all()),
        f"frequency is of type {frequency.dtype}, whose zeros are not ordered last: pass frequency.astype(np.int64).",
    )
    if frequency.shape != (n,):
        raise ValueError(f"frequency has shape {frequency.shape} for {n} tokens: pass one number for each")
    if group < 2:
        raise ValueError(f"groups of {group} can't be shuffled: pass 2 tokens or more a group")
    order, stream = np.argsort(-frequency, kind="stable"), seeds.stream(seed, "frequency-matched null")
    edges = list(range(0, n, group))
    if len(edges) > 1 and 2 * (n - edges[-1]) < group:
        edges.pop()
    groups = [order[first:last] for first, last in zip(edges, [*edges[1:], n], strict=True)]
    count, a0, b0 = n * (n - 1) / 2, float(a.pairs.mean(dtype=float)), float(b.pairs.mean(dtype=float))
    sums = np.tile(_moments(a.pairs, b.pairs, a0, b0), (draws, 1))
    for draw in _bar(range(draws), "shuffles"):
        moved = np.empty(n, dtype=np.int64)
        for members in groups:
            moved[members] = stream.permutation(members)
        sums[draw, 4] = sum(
            _shuffled_product(first, min(BLOCK, n - first), moved, a.pairs, b.pairs, a0, b0)
            for first in range(0, n, BLOCK)
        )
    return pearson_from_sums(sums, count, a0, b0)[0]


@numba.njit(cache=True, fastmath={"reassoc", "contract"})
def _moments(a, b, a0, b0):
    """Sums of x, y, xx, yy, xy over all pairs; a shuffle changes the last only."""
    sums = np.zeros(5)
    for p in range(a.size):
        x, y = np.float64(a[p]) - a0, np.float64(b[p]) - b0
        sums[0] += x
        sums[1] += y
        sums[2] += x * x
        sums[3] += y * y
        sums[4] += x * y
    return sums


@numba.njit(cache=True, fastmath={"reassoc", "contract"})
def _shuffled_product(first, rows, moved, a, b, a0, b0):
    """The sum of (a_ij - a0) (b_{m(i) m(j)} - b0) over some rows i and all j > i, with m = `moved`."""
    n = moved.size
    whole = np.empty((rows, n), np.float32)  # the rows m(i) of b, on both sides of the diagonal
    for k in range(n):
        before = k * n - k * (k + 1) // 2 - k - 1
        for r in range(rows):
            if moved[first + r] > k:
                whole[r, k] = b[before + moved[first + r]]
    total = 0.0
    for r in range(rows):
        m = moved[first + r]
        at = m * n - m * (m + 1) // 2 - m - 1
        whole[r, m + 1 :] = b[at + m + 1 : at + n]
        i = first + r
        at = i * n - i * (i + 1) // 2 - i - 1
        for j in range(i + 1, n):
            total += (np.float64(a[at + j]) - a0) * (np.float64(whole[r, moved[j]]) - b0)
    return total


@dataclass(frozen=True, eq=False)
class SplitHalf:
    """`halves`: the `Correlations` of the two halves; `tokens`: the ids compared, (n,).

    `reliability` and `by_token` (n,) are the Spearman-Brown estimates 2 r / (1 + r) for the whole corpus, over all
    pairs and token by token (below 0 where r is). `ceiling` is the square root of `reliability` (0 where that is
    negative).
    """

    halves: Correlations
    tokens: NDArray[np.int64]

    @property
    def reliability(self) -> float:
        """2 r / (1 + r) for R_cos over all pairs."""
        return float(spearman_brown(self.halves.overall))

    @property
    def by_token(self) -> Array:
        """2 r / (1 + r) for each token's correlation over its pairs (n,)."""
        return spearman_brown(self.halves.by_token)

    @property
    def ceiling(self) -> float:
        """What a correlation with the whole corpus's cosines can be expected to reach at most."""
        return float(np.sqrt(np.maximum(self.reliability, 0)))


def spearman_brown(r: ArrayLike) -> Array:
    """2 r / (1 + r): the reliability of the whole from the correlation r of its halves; -inf where r is -1.

    >>> spearman_brown([0.5, 1.0, 0.0]).round(3).tolist()
    [0.667, 1.0, 0.0]
    """
    r = np.asarray(r, dtype=float)
    return np.divide(2 * r, 1 + r, out=np.full(r.shape, -np.inf), where=r != -1)


def of_mean(r: float, n: int) -> float:
    """n r / (1 + (n - 1) r): the reliability of the mean of n, from the correlation r of two; 0 where r is negative.

    With n = 2 it is `spearman_brown`.

    >>> of_mean(0.5, 2) == spearman_brown(0.5), round(of_mean(0.5, 3), 6), of_mean(-0.1, 3)
    (np.True_, 0.75, 0.0)
    """
    r = max(r, 0.0)
    return n * r / (1 + (n - 1) * r)


def split_half(
    first: Bigrams,
    second: Bigrams,
    tokens: Sequence[int],
    signature: Callable[..., sp.csr_array | Centred] = signatures_tokens.next_token,
    **options: object,
) -> SplitHalf:
    """The reliability of cosines of signatures, from the counts of two halves of a corpus.

    `signature(counts, tokens, **options)` is one of `signatures.tokens`. Tokens that either half leaves without a
    signature are left out, and the result says which were compared. The halves should be of equal size and drawn
    document by document; halves cut in time or by source also differ in content, and read lower.
    Raises ValueError as `signature` does, and where fewer than 3 tokens are left.

    >>> from probsig.counts.bigrams import count
    >>> half = count(np.array([0, 1, 0, 2, 1, 2, 0, 0], dtype=np.uint16), 3)
    >>> split_half(half, half, [0, 1, 2]).reliability
    1.0
    """
    tokens = np.asarray(tokens)
    rows = [signature(counts, tokens, **options) for counts in (first, second)]
    filled = [np.diff((r.rows if isinstance(r, Centred) else r).indptr) > 0 for r in rows]
    both = filled[0] & filled[1]
    if both.sum() < 3:
        raise ValueError(f"{both.sum()} of {tokens.size} tokens have a signature in both halves: pass 3 or more")
    if not both.all():
        tokens = tokens[both]
        rows = [signature(counts, tokens, **options) for counts in (first, second)]
    return SplitHalf(correlations(*(cosines(r) for r in rows)), tokens.astype(np.int64))


def _some(draws: int) -> None:
    if draws < 1:
        raise ValueError(f"draws is {draws}: ask for 1 or more")


def _bar(steps: range, what: str) -> tqdm:
    return tqdm(steps, what, mininterval=1, delay=3, leave=False)
