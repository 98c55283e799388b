r"""Signatures of tokens of a corpus, from its bigram counts, for a chosen list of tokens.

With N the counts of pairs at one distance, n_s = sum_s' N_ss' and r_s' = sum_s N_ss' (section 6 and eq. (4) of the
paper):

- `next_token`: phi^next_s = N_s. / n_s, the law of the next token given s;
- `previous_token`: varphi^pre_s = N_.s / r_s, the law of the token before, given s;
- `tied`: phi~_s = phi^next_s + varphi^pre_s (appendix C.2);
- `skip`: the same laws for a pair at any distance;
- `window`: the law of a token within some distances of s, on either side;
- `attention`: the law given s of a token at a random later place, the distance k having weight w_k. With the weights of
  `harmonic_weights` it is the signature that one causal attention layer adds to eq. (4).

Each comes in four kinds: "raw" (the law itself), "centred" (the mean row of the chosen tokens subtracted), "ppmi"
(the positive part of log P(s, s') / (P(s) P(s')), in nats) and "support" (1 where the law is positive).
A tied signature is the sum of its two parts in each kind.

Axes: rows are the tokens asked for, columns all V tokens. A token that never occurs has a row without entries.
Counts stay integers up to one division. Memory is O(V + entries of the chosen rows): nothing is ever V x V.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from probsig import guards
from probsig.counts.bigrams import Bigrams
from probsig.errors import one_of

KINDS = ("raw", "centred", "ppmi", "support")
DIRECTIONS = ("next", "previous")
ROUNDING = 1e-15  # a quotient of two products of integers is known up to this, relatively


@dataclass(frozen=True, eq=False)
class Centred:
    """Sparse rows (k, V) minus one dense row `centre` (V,); a row without entries stays zero (it has no law).

    The difference is dense, so it is kept as its two parts; `geometry.large.cosines` works with these.

    >>> law = sp.csr_array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])
    >>> centred(law).toarray().tolist()
    [[0.25, 0.0, -0.25], [-0.25, 0.0, 0.25]]
    """

    rows: sp.csr_array
    centre: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int]:
        """(k, V)."""
        return self.rows.shape

    def toarray(self) -> NDArray[np.float64]:
        """The dense rows (k, V), for small k only."""
        present = np.diff(self.rows.indptr) > 0
        return self.rows.toarray() - np.outer(present, self.centre)


def centred(rows: sp.csr_array, centre: ArrayLike | None = None) -> Centred:
    """Rows (k, V) minus `centre` (V,), by default their mean row; rows without entries are left out of the mean.

    Pass np.full(V, 1 / V) for phi - 1/V, the form in the gradient flow of appendix D.6.
    Raises ValueError where `centre` does not have V entries and where no row has an entry.

    >>> centred(sp.csr_array([[0.5, 0.5], [0.0, 0.0]]), [0.25, 0.75]).toarray().tolist()
    [[0.25, -0.25], [0.0, 0.0]]
    """
    rows = sp.csr_array(rows)
    if centre is None:
        present = np.count_nonzero(np.diff(rows.indptr))
        if not present:
            raise ValueError("no row has an entry, so there is no mean row: choose tokens that occur in the corpus")
        centre = np.bincount(rows.indices, weights=rows.data, minlength=rows.shape[1]) / present
    centre = np.asarray(centre, dtype=float)
    if centre.shape != rows.shape[1:]:
        raise ValueError(f"centre has shape {centre.shape} for rows of {rows.shape[1]} entries: pass one number each")
    return Centred(rows, centre)


def next_token(counts: Bigrams, tokens: Sequence[int], kind: str = "raw") -> sp.csr_array | Centred:
    """phi^next of each token, sparse (k, V): the law of the next token; "centred" gives a `Centred`.

    `counts` are bigram counts at distance 1, `tokens` k different ids, `kind` one of KINDS.
    Raises ValueError for another distance, an unknown or repeated token and an unknown kind. (Eq. (4) of the paper.)

    >>> from probsig.counts.bigrams import count
    >>> counts = count(np.array([0, 1, 0, 2, 0, 1], dtype=np.uint16), 3)  # 01, 10, 02, 20, 01
    >>> next_token(counts, [0, 2]).toarray().round(3).tolist()
    [[0.0, 0.667, 0.333], [1.0, 0.0, 0.0]]
    """
    return skip(_adjacent(counts), tokens, kind, "next")


def previous_token(counts: Bigrams, tokens: Sequence[int], kind: str = "raw") -> sp.csr_array | Centred:
    """varphi^pre of each token, sparse (k, V): the law of the token before it; arguments and errors as `next_token`.

    >>> from probsig.counts.bigrams import count
    >>> counts = count(np.array([0, 1, 0, 2, 0, 1], dtype=np.uint16), 3)
    >>> previous_token(counts, [0, 2]).toarray().tolist()
    [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]
    """
    return skip(_adjacent(counts), tokens, kind, "previous")


def tied(counts: Bigrams, tokens: Sequence[int], kind: str = "raw") -> sp.csr_array | Centred:
    """phi~ = phi^next + varphi^pre of each token, sparse (k, V); arguments and errors as `next_token`.

    Of kind "support" an entry is 2 where both laws are positive. (Appendix C.2 of the paper.)

    >>> from probsig.counts.bigrams import count
    >>> counts = count(np.array([0, 1, 0, 2, 0, 1], dtype=np.uint16), 3)
    >>> tied(counts, [2]).toarray().tolist()
    [[2.0, 0.0, 0.0]]
    """
    one_of("kind", kind, KINDS)
    part = "raw" if kind == "centred" else kind
    both = next_token(counts, tokens, part) + previous_token(counts, tokens, part)  # type: ignore[operator]
    return centred(both) if kind == "centred" else both


def skip(counts: Bigrams, tokens: Sequence[int], kind: str = "raw", direction: str = "next") -> sp.csr_array | Centred:
    """The law of the token `counts.distance` places after each token ("next") or before it ("previous"), (k, V).

    Raises ValueError as `next_token` does, but takes counts at any distance, and for an unknown direction.

    >>> from probsig.counts.bigrams import count
    >>> counts = count(np.array([0, 1, 0, 2, 0, 1], dtype=np.uint16), 3, distance=2)  # 00, 12, 00, 21
    >>> skip(counts, [0, 1]).toarray().tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    tokens = _wanted(tokens, counts.vocab_size)
    one_of("direction", direction, DIRECTIONS)
    one_of("kind", kind, KINDS)
    rows = _chosen(counts, tokens, direction)
    if kind != "ppmi":
        return _finished(rows, _row_sums(rows), kind)
    return _ppmi(rows, _row_sums(rows), _marginal(counts, direction), counts.total)


def harmonic_weights(distances: Sequence[int], length: int) -> NDArray[np.float64]:
    """The weight of each distance in the one-layer attention signature of sequences of L = `length` tokens.

    A_s's = 1/L sum_{t<L} 1/t sum_{i<=t} P(X_i = s, X_{t+1} = s') is sum_k w_k P(s' is k after s) for a stationary law,
    with w_k = 1/L sum_{k<=t<L} 1/t. (Appendix D.6 with a causal attention that starts uniform.)
    Raises ValueError where a distance is not between 1 and L - 1.

    >>> harmonic_weights([1, 2], length=3).tolist()  # (1 + 1/2) / 3, (1/2) / 3
    [0.5, 0.16666666666666666]
    """
    guards.integers("distances", distances)
    guards.whole_number("length", length)
    distances = np.asarray(distances, dtype=np.int64)
    if distances.size and not (1 <= distances.min() and distances.max() < length):
        raise ValueError(f"distances {distances.tolist()} do not fit a sequence of {length}: pass 1 to length - 1")
    tail = np.cumsum((1 / np.arange(1, max(length, 1)))[::-1])[::-1]  # small terms first
    return tail[distances - 1] / length


def attention(
    counts: Sequence[Bigrams],
    tokens: Sequence[int],
    weights: ArrayLike,
    kind: str = "raw",
    direction: str = "next",
) -> sp.csr_array | Centred:
    """The law of a token at a random distance from each token, sparse (k, V): sum_k w_k P_k(s, .), normalised.

    `counts` holds counts at different distances and `weights` one positive number each, as from `harmonic_weights`;
    P_k is a count over the total at its distance. Distances that are left out have weight 0.
    Raises ValueError as `skip` does, where weights do not match the counts, and where vocabularies differ or a
    distance comes twice.

    >>> from probsig.counts.bigrams import count
    >>> ids = np.array([0, 1, 0, 2, 0, 1], dtype=np.uint16)
    >>> counts = [count(ids, 3, distance=k) for k in (1, 2)]
    >>> attention(counts, [0], [0.5, 0.25]).toarray().round(4).tolist()  # 0.5 (0, 2, 1) / 5 + 0.25 (2, 0, 0) / 4
    [[0.2941, 0.4706, 0.2353]]
    """
    weights = np.asarray(weights, dtype=float)
    if not counts or weights.shape != (len(counts),) or not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(f"{len(counts)} counts come with weights {weights}: pass one positive number for each")
    if len({c.vocab_size for c in counts}) > 1 or len({c.distance for c in counts}) < len(counts):
        raise ValueError("counts differ in vocabulary or repeat a distance: pass one Bigrams for each distance")
    tokens = _wanted(tokens, counts[0].vocab_size)
    one_of("direction", direction, DIRECTIONS)
    one_of("kind", kind, KINDS)
    scale = [w / max(c.total, 1) for w, c in zip(weights, counts, strict=True)]
    rows = sum(
        (_chosen(c, tokens, direction).astype(float) * w for c, w in zip(counts[1:], scale[1:], strict=True)),
        start=_chosen(counts[0], tokens, direction).astype(float) * scale[0],
    )
    if kind != "ppmi":
        return _finished(rows, _row_sums(rows), kind)
    marginal = sum(_marginal(c, direction) * w for c, w in zip(counts, scale, strict=True))
    return _ppmi(rows, _row_sums(rows), marginal, sum(c.total * w for c, w in zip(counts, scale, strict=True)))


def window(
    counts: Iterable[Bigrams], tokens: Sequence[int], weights: Iterable[float] | None = None, kind: str = "raw"
) -> sp.csr_array | Centred:
    """The law of a token near each token, on either side of it, sparse (k, V): sum_k w_k (N_k + N_k^T), normalised.

    `counts` gives tables at different distances, one after the other, and `weights` a positive number each (None: 1).
    Raises ValueError as `skip` does, for no table at all, and where weights are not as many or not positive, or
    tables in a list differ in vocabulary or repeat a distance.

    >>> from probsig.counts.bigrams import count
    >>> ids = np.array([0, 1, 0, 2, 0, 1], dtype=np.uint16)
    >>> window((count(ids, 3, distance=k) for k in (1, 2)), [2]).toarray().round(4).tolist()  # 0, 0 | 1, 1
    [[0.5, 0.5, 0.0]]
    """
    one_of("kind", kind, KINDS)
    guards.sure(
        not isinstance(counts, Sequence) or len({(c.vocab_size, abs(c.distance)) for c in counts}) == len(counts),
        "counts repeat a distance: pass one Bigrams for each distance.",
    )
    guards.sure(
        not isinstance(counts, Sequence) or len({c.vocab_size for c in counts}) < 2,
        "counts differ in vocabulary: pass tables of one tokenizer.",
    )
    rows, marginal, total = None, 0.0, 0.0
    pairs = zip(counts, itertools.repeat(1.0), strict=False) if weights is None else zip(counts, weights, strict=True)
    for table, w in pairs:
        if not (np.isfinite(w) and w > 0):
            raise ValueError(f"a weight is {w}: pass one positive number for each table")
        chosen = _wanted(tokens, table.vocab_size)
        near = (_chosen(table, chosen, "next") + _chosen(table, chosen, "previous")).astype(float) * w
        rows = near if rows is None else rows + near
        marginal = marginal + w * (_marginal(table, "next") + _marginal(table, "previous"))
        total += 2 * w * table.total
    if rows is None:
        raise ValueError("there is no table of counts: pass one for each distance of the window")
    if kind != "ppmi":
        return _finished(rows, _row_sums(rows), kind)
    return _ppmi(rows, _row_sums(rows), marginal, total)  # type: ignore[arg-type]


def _adjacent(counts: Bigrams) -> Bigrams:
    if counts.distance != 1:
        raise ValueError(f"counts are at distance {counts.distance}: use skip, or count pairs at distance 1")
    return counts


def _wanted(tokens: Sequence[int], vocab_size: int) -> NDArray[np.int64]:
    ids = np.asarray(tokens)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise ValueError(f"tokens has shape {ids.shape} and type {ids.dtype}: pass a list of integer ids")
    ids = ids.astype(np.int64)
    wrong = ids[(ids < 0) | (ids >= vocab_size)]
    if wrong.size:
        raise ValueError(f"token {wrong[0]} is unknown: ids of these counts are 0..{vocab_size - 1}")
    unique, often = np.unique(ids, return_counts=True)
    if unique.size < ids.size:
        raise ValueError(f"token {unique[often.argmax()]} is asked for twice: ask for each id once")
    return ids


def _chosen(counts: Bigrams, tokens: NDArray[np.int64], direction: str) -> sp.csr_array:
    """The integer counts (k, V) of the pairs that begin ("next") or end ("previous") with each token."""
    if direction == "next":
        sizes = counts.indptr[tokens + 1] - counts.indptr[tokens]
        indptr = np.concatenate([[0], np.cumsum(sizes)])
        at = np.repeat(counts.indptr[tokens] - indptr[:-1], sizes) + np.arange(indptr[-1])
        columns, numbers = counts.columns[at], counts.entries[at]
    else:
        place = np.full(counts.vocab_size, -1, dtype=np.int64)
        place[tokens] = np.arange(tokens.size)
        indptr, columns, numbers = _chosen_columns(counts.indptr, counts.columns, counts.entries, place, tokens.size)
    small = max(int(indptr[-1]), counts.vocab_size) < 2**31
    index = np.int32 if small else np.int64
    parts = (numbers.astype(np.int64), columns.astype(index), indptr.astype(index))
    return sp.csr_array(parts, shape=(tokens.size, counts.vocab_size))


@numba.njit(cache=True)
def _chosen_columns(indptr, columns, counts, place, k):
    """Rows of the transpose: the entries of the columns c with place[c] >= 0, as CSR of k rows, sorted."""
    starts = np.zeros(k + 1, np.int64)
    for a in range(columns.size):
        row = place[columns[a]]
        if row >= 0:
            starts[row + 1] += 1
    starts = np.cumsum(starts)
    to, chosen, numbers = starts[:-1].copy(), np.empty(starts[k], np.int64), np.empty(starts[k], np.int64)
    for s in range(indptr.size - 1):
        for a in range(indptr[s], indptr[s + 1]):
            row = place[columns[a]]
            if row >= 0:
                chosen[to[row]], numbers[to[row]] = s, counts[a]
                to[row] += 1
    return starts, chosen, numbers


def _marginal(counts: Bigrams, direction: str) -> NDArray[np.int64]:
    """How often each token stands at the other end of a pair, (V,)."""
    if direction == "previous":
        return counts.row_totals()
    return _column_sums(counts.columns, counts.entries, counts.vocab_size)


@numba.njit(cache=True)
def _column_sums(columns, counts, vocab_size):
    sums = np.zeros(vocab_size, np.int64)
    for a in range(columns.size):
        sums[columns[a]] += counts[a]
    return sums


def _row_sums(rows: sp.csr_array) -> NDArray:
    ends = np.concatenate([np.zeros(1, rows.dtype), np.cumsum(rows.data)]) if rows.dtype.kind == "i" else None
    if ends is not None:
        return ends[rows.indptr[1:]] - ends[rows.indptr[:-1]]
    return np.asarray(rows.sum(axis=1), dtype=float)


def _finished(rows: sp.csr_array, sums: NDArray, kind: str) -> sp.csr_array | Centred:
    """The rows over their sums, in one division; of kind "support" ones."""
    sizes = np.diff(rows.indptr)
    data = np.ones(rows.nnz) if kind == "support" else rows.data / np.repeat(sums, sizes)
    law = sp.csr_array((data, rows.indices, rows.indptr), shape=rows.shape)
    return centred(law) if kind == "centred" else law


def _ppmi(rows: sp.csr_array, sums: NDArray, marginal: NDArray, total: float) -> sp.csr_array:
    """Positive part of log(N_ss' T / (n_s r_s')); entries that are not positive are left out."""
    expected = np.repeat(sums.astype(float), np.diff(rows.indptr)) * marginal[rows.indices]
    ratio = rows.data * float(total) / expected
    law = sp.csr_array((np.log(np.where(ratio > 1 + ROUNDING, ratio, 1.0)), rows.indices, rows.indptr), rows.shape)
    law.eliminate_zeros()
    return law
