r"""A text in parts, and the text without one of them.

A part is some documents that are alike in their tokens: documents are sorted along the direction in which the square
roots of their token frequencies vary most and cut in two, and each side again, until there are as many parts as asked
for, of about the same length (Boley's principal direction divisive partitioning, with cuts by length).

The text is laid out in rows, each of one part, as a model reads it. Without a part, every other row stays where it is,
and rows of other parts, drawn at random, are read a second time in the place of those that are gone. So all texts have
one length, a model takes as many steps on each, and at most steps it reads the same rows.

Axes: rows are (R, length); part (R,) numbers the part of each row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from probsig.text.training_set import TrainingSet, documents

STEPS = 100  # of the power iteration; an order of documents needs no more digits


@dataclass(frozen=True, eq=False)
class Parts:
    """A text in rows of one part each.

    data: the rows one after the other, each a document of its own or more, and one token behind them, since a row's
    last target is looked up there; part (R,), length.
    """

    data: TrainingSet
    part: NDArray[np.int64]
    length: int

    @property
    def of_documents(self) -> NDArray[np.int64]:
        """The part of each document of `data`, -1 of the token behind the rows."""
        return np.append(self.part, -1)[self.data.offsets[:-1] // self.length]

    def without(self, gone: NDArray[np.bool_], stream: np.random.Generator) -> TrainingSet:
        """The text in which rows that stay are read in the place of those that are `gone` (R,), drawn without
        replacement as long as there are any. Raises ValueError where no row stays.

        >>> text = TrainingSet("by hand", np.array([0, 0, 1, 1, 2]), np.array([0, 2, 4, 5]), np.arange(3), 3)
        >>> parts = Parts(text, np.array([0, 1]), 2)
        >>> parts.without(parts.part == 1, np.random.default_rng(0)).ids.tolist()
        [0, 0, 0, 0, 2]
        """
        stay = np.flatnonzero(~gone)
        if not len(stay):
            raise ValueError(f"no row of {self.data.name} stays: leave out less.")
        rows = np.arange(len(gone))
        rows[gone] = np.resize(stream.permutation(stay), np.count_nonzero(gone))
        starts = np.zeros(len(self.data.ids), dtype=bool)
        starts[self.data.offsets[:-1]] = True
        ids, borders = (one[:-1].reshape(len(rows), -1)[rows].ravel() for one in (self.data.ids, starts))
        return _laid(self.data, np.append(ids, self.data.ids[-1]), np.append(borders, True))


def in_parts(data: TrainingSet, number: int, length: int) -> Parts:
    """A text in `number` parts of about the same length, in rows of `length` tokens; what is left of a part at its end
    is not used. Where there are fewer than 4 documents a part, stretches of `length` tokens are taken for documents.

    Raises ValueError for fewer than 2 parts and for a text of which a part has less than one row.

    >>> ids = np.array([0, 0, 2, 1, 1, 2] * 4)
    >>> text = TrainingSet("by hand", ids, np.arange(0, 25, 3), np.arange(3), 3)
    >>> found = in_parts(text, 2, 6)
    >>> found.data.ids[:-1].reshape(4, 6).tolist(), found.part.tolist()
    ([[1, 1, 2, 1, 1, 2], [1, 1, 2, 1, 1, 2], [0, 0, 2, 0, 0, 2], [0, 0, 2, 0, 0, 2]], [0, 0, 1, 1])
    """
    if number < 2:
        raise ValueError(f"number is {number}: ask for 2 parts or more.")
    offsets = data.offsets
    if len(offsets) - 1 < 4 * number:
        offsets = np.union1d(offsets, np.arange(0, len(data.ids), length)).astype(np.int64)
    whole = replace(data, ids=np.asarray(data.ids), offsets=offsets, held=None)
    lengths = np.diff(offsets)
    if len(lengths) < number:
        raise ValueError(f"{data.name} has {len(lengths)} documents for {number} parts: take more text.")
    part = alike(_frequencies(whole), lengths, number)
    order = np.argsort(part, kind="stable")
    sorted_ = documents(whole, order)
    starts = np.zeros(len(sorted_.ids), dtype=bool)
    starts[sorted_.offsets[:-1][lengths[order] > 0]] = True
    of_token = np.repeat(part[order], lengths[order])
    rows = np.bincount(of_token, minlength=number) // length
    if not rows.all():
        raise ValueError(f"a part of {data.name} has less than one row of {length} tokens: take more text.")
    begins = np.searchsorted(of_token, np.arange(number))
    kept = np.concatenate([begin + np.arange(n * length) for begin, n in zip(begins, rows, strict=True)])
    ids, starts = sorted_.ids[kept], starts[kept]
    starts[::length] = True
    data = _laid(data, np.append(ids, ids[-1]), np.append(starts, True))
    return Parts(data, np.repeat(np.arange(number), rows), length)


def alike(rows: sp.csr_array, lengths: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """The part, 0 to `number` - 1, of each of n rows: parts of about the same sum of `lengths` (n,), none empty.

    >>> rows = sp.csr_array([[0.0, 1.0], [2.0, 0.0], [0.1, 1.0], [1.0, 0.1]])
    >>> alike(rows, np.ones(4, dtype=int), 2).tolist()
    [1, 0, 1, 0]
    """
    part, n, first = np.zeros(len(lengths), dtype=np.int64), len(lengths), number // 2
    if number == 1:
        return part
    order = np.argsort(-leading(rows), kind="stable")
    reached = np.cumsum(lengths[order])
    cut = int(np.searchsorted(reached, reached[-1] * first / number)) + 1
    cut = min(max(cut, first), n - (number - first))
    for chosen, some, before in ((order[:cut], first, 0), (order[cut:], number - first, first)):
        chosen = np.sort(chosen)
        part[chosen] = before + alike(rows[chosen], lengths[chosen], some)
    return part


def leading(rows: sp.csr_array) -> NDArray[np.float64]:
    """The places (n,) of rows (n, V) along the direction in which they vary most, about their mean; the row furthest
    out has a positive one.

    >>> leading(sp.csr_array([[3.0, 0.0], [0.0, 0.0], [0.0, 0.0]])).round(6).tolist()
    [2.0, -1.0, -1.0]
    """
    mean = np.asarray(rows.mean(axis=0)).ravel()
    places = np.asarray(rows.multiply(rows).sum(axis=1)).ravel() - 2 * rows @ mean
    places = places - places.mean()
    if not np.abs(places).max(initial=0) > 1e-12:  # all equally far out
        places = np.asarray(rows @ np.arange(rows.shape[1]), dtype=np.float64)
        places = places - places.mean()
    for _ in range(STEPS):
        direction = rows.T @ places - mean * places.sum()
        size = np.linalg.norm(direction)
        if not size > 1e-12:
            return np.zeros(len(places))
        places = rows @ (direction / size) - mean @ (direction / size)
    return places * (np.sign(places[np.abs(places).argmax()]) or 1)


def _frequencies(data: TrainingSet) -> sp.csr_array:
    """The square roots of the relative frequencies of each document's tokens, (D, V)."""
    lengths = np.diff(data.offsets)
    shares = np.repeat(1 / np.maximum(lengths, 1), lengths)
    counts = sp.csr_array((shares, data.ids.astype(np.int64), data.offsets.copy()), (len(lengths), data.vocab_size))
    counts.sum_duplicates()
    return counts.sqrt()


def _laid(data: TrainingSet, ids: NDArray, starts: NDArray[np.bool_]) -> TrainingSet:
    return replace(data, ids=ids, offsets=np.append(np.flatnonzero(starts), len(ids)).astype(np.int64), held=None)
