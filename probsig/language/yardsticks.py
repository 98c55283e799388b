r"""What a loss is to be held against: the entropy of single tokens, and a smoothed model of pairs on held-out text.

A network whose loss is not below the unigram entropy has not learned more than which tokens are frequent; one that is
not below the bigram yardstick has learned less than the law of the next token, phi^next.

The model of pairs is Kneser and Ney's, interpolated (Chen and Goodman 1999, eqs. 26 and 27 with one discount):

    p(w | v) = max(N_vw - D, 0) / n_v + D k_v / n_v q(w),    D = N_1 / (N_1 + 2 N_2),

k_v the number of different tokens after v, N_i the number of pairs seen i times, and q(w) the share of w among all
different pairs, in which a token without one gets the discount's share of the uniform law. Counts are of the training
documents; the loss is in nats a token, over the places of held-out documents that have a token before them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probsig.counts.bigrams import Bigrams
from probsig.text.training_set import TrainingSet


@dataclass(frozen=True)
class Yardsticks:
    """In nats per token: `entropy` of single tokens in the training documents, `unigram` and `bigram` the held-out loss
    of the law of single tokens (one added to every count) and of the model of pairs; nan where nothing is held out."""

    entropy: float
    unigram: float
    bigram: float


def yardsticks(data: TrainingSet) -> Yardsticks:
    """The yardsticks of a training set.

    >>> from probsig.text.training_set import renumbered
    >>> few = renumbered(np.array([0, 1, 0, 1]), np.array([0, 4]), 2, None, "by hand")
    >>> round(yardsticks(few).entropy, 4)  # log 2
    0.6931
    """
    p = data.frequency[data.frequency > 0] / len(data.ids)
    entropy = float(-(p * np.log(p)).sum())
    if data.held is None:
        return Yardsticks(entropy, np.nan, np.nan)
    ids = data.held.ids.astype(np.int64)
    starts = np.zeros(len(ids), dtype=bool)
    starts[data.held.offsets[:-1][np.diff(data.held.offsets) > 0]] = True
    here = np.flatnonzero(~starts)
    law = np.log((data.frequency + 1) / (len(data.ids) + data.vocab_size))
    pairs = kneser_ney(data.counts, ids[here - 1], ids[here])
    return Yardsticks(entropy, float(-law[ids[here]].mean()), float(-np.log(pairs).mean()))


def kneser_ney(counts: Bigrams, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
    """p(second | first) of some pairs of tokens, (n,), from the counts of pairs at distance 1.

    >>> from probsig.counts.bigrams import count
    >>> counts = count(np.array([0, 1, 0, 1, 0, 2]), 3)  # 01 twice, 10 twice, 02 once: D = 1/5
    >>> kneser_ney(counts, np.array([0, 0, 0, 2]), np.array([0, 1, 2, 1])).round(4).tolist()
    [0.0444, 0.6444, 0.3111, 0.3333]
    """
    once, twice = (np.count_nonzero(counts.entries == k) for k in (1, 2))
    D = once / (once + 2 * twice) if once + twice else 0.5
    V, kinds, n = counts.vocab_size, np.diff(counts.indptr), counts.row_totals()
    before = np.bincount(counts.columns, minlength=V)  # different tokens before each token
    discounted = before - D * (before > 0)
    q = (discounted + (before.sum() - discounted.sum()) / V) / max(before.sum(), 1)
    if not before.sum():
        q = np.full(V, 1 / V)
    table = counts.to_scipy()
    seen = np.asarray(table[first, second]).ravel() if len(first) else np.zeros(0)
    known = n[first] > 0
    total = np.where(known, n[first], 1)
    return (
        np.where(known, np.maximum(seen - D, 0) / total, 0) + np.where(known, D * kinds[first] / total, 1) * q[second]
    )
