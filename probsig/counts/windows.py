"""What stands near some tokens, on either side and at any of some distances: one pass over a text, a row for each.

A window signature needs the rows of a few tokens and every token's share of all pairs, not the table of all pairs at
64 distances. So the places of the chosen tokens are visited and their surroundings tallied, exactly, and how many
neighbours each place has follows from where its document ends. Nothing is V x V.

Axes: a row per chosen token, a column per token of the vocabulary. Counts are symmetric: a pair counts for the token
before and for the token after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig.counts.bigrams import Countable, checked_ids, checked_offsets


@dataclass(frozen=True, eq=False)
class Near:
    """What stands near each of k tokens in a window: sums of weights, which are counts where every weight is 1.

    `tokens` (k,) ids; `rows` (k, V): of token i the weight of all j near it; `ends` (V,): of every token the weight of
    all that is near it. `ends[tokens]` are the sums of the rows, and the sum of `ends` is that of all pairs, each from
    both sides.
    """

    tokens: NDArray[np.int64]
    rows: NDArray[np.float64]
    ends: NDArray[np.float64]

    def __add__(self, other: Near) -> Near:
        """What stands near the same tokens in two texts together."""
        if not np.array_equal(self.tokens, other.tokens):
            raise ValueError("Two tallies are of different tokens: add those of the same.")
        return Near(self.tokens, self.rows + other.rows, self.ends + other.ends)

    def of(self, tokens: Sequence[int]) -> Near:
        """The rows of some of its tokens."""
        place = {int(token): at for at, token in enumerate(self.tokens)}
        return Near(np.asarray(tokens, dtype=np.int64), self.rows[[place[int(token)] for token in tokens]], self.ends)


def near(
    corpus: Countable, tokens: Sequence[int], distances: tuple[int, int], weights: ArrayLike | None = None
) -> Near:
    """Tally what stands from `distances[0]` to `distances[1]` places before and after some tokens, in one document.

    `weights`: a positive number for each distance of the window, from the nearest on; 1 where None.
    Raises ValueError for a window that is none or is longer than every document, for weights that do not match it, and
    for tokens that are no different ids of the vocabulary.

    >>> from probsig.text.training_set import Part
    >>> text = Part(np.array([0, 1, 0, 2, 0, 1]), np.array([0, 6]), 3)
    >>> found = near(text, [2], (1, 2))  # 0, 0 beside it and 1, 1 beyond
    >>> found.rows.tolist(), found.ends.tolist()
    ([[2.0, 2.0, 0.0]], [9.0, 5.0, 4.0])
    """
    low, high = distances
    if not 1 <= low <= high:
        raise ValueError(f"The window {low} to {high} is none: pass two distances, 1 or more, the nearer first.")
    wanted = np.asarray(tokens)
    if wanted.ndim != 1 or not wanted.size or wanted.dtype.kind not in "iu" or len(np.unique(wanted)) < wanted.size:
        raise ValueError(f"tokens {wanted.tolist()} are not different ids: pass each id once, at least one.")
    V = corpus.vocab_size
    if wanted.min() < 0 or wanted.max() >= V:
        raise ValueError(f"tokens {wanted.min()} to {wanted.max()} are not all ids: pass ids from 0 to {V - 1}.")
    weigh = np.ones(high - low + 1) if weights is None else np.asarray(weights, dtype=float)
    if weigh.shape != (high - low + 1,) or not (np.isfinite(weigh) & (weigh > 0)).all():
        raise ValueError(f"The window {low} to {high} needs {high - low + 1} positive weights: pass one per distance.")
    ids = checked_ids(corpus.ids)
    offsets = checked_offsets(corpus.offsets, len(ids))
    longest = int(np.diff(offsets).max(initial=0))
    if high >= longest:
        raise ValueError(
            f"A window that reaches {high} places is longer than every document (the longest has {longest} tokens): "
            "pass a nearer window, or longer documents."
        )
    if len(ids) and int(ids.max()) >= V:
        raise ValueError(f"The id {int(ids.max())} is not below the vocabulary's size {V}: pass ids from 0 to {V - 1}.")
    place = np.full(V, -1, dtype=np.int64)
    place[wanted] = np.arange(wanted.size)
    rows, ends = np.zeros((wanted.size, V)), np.zeros(V)
    _tally(ids, offsets, place, low, weigh, np.concatenate([[0.0], np.cumsum(weigh)]), rows, ends)
    return Near(wanted.astype(np.int64), rows, ends)


@numba.njit(cache=True)
def _tally(ids, offsets, place, low, weigh, summed, rows, ends):
    """rows and ends of `Near`, added up in place; summed[m] is the weight of the m nearest distances of the window."""
    wide = weigh.size
    for d in range(offsets.size - 1):
        first, last = offsets[d], offsets[d + 1]
        for t in range(first, last):
            s = ids[t]
            before, after = min(wide, t - first - low + 1), min(wide, last - t - low)
            ends[s] += summed[max(before, 0)] + summed[max(after, 0)]
            row = place[s]
            if row >= 0:
                for k in range(before):
                    rows[row, ids[t - low - k]] += weigh[k]
                for k in range(after):
                    rows[row, ids[t + low + k]] += weigh[k]
