r"""The laws of tokens when a part of the text is left out: counts less the counts of the part.

    phi^next_s without part p = (N_s. - N^p_s.) / (n_s - n^p_s)

It needs one pass over the text, and no training; what a trained embedding makes of the change is another question.

Axes: rows are the tokens asked for, columns all V tokens, as in `signatures.tokens`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from probsig.errors import one_of
from probsig.signatures.tokens import DIRECTIONS


def laws_without(text: Any, part: ArrayLike, tokens: Sequence[int], direction: str = "next") -> Iterator[sp.csr_array]:
    """For each part of a text in turn, the law of the token after some tokens ("next") or before them ("previous"),
    (k, V), in the rest.

    text: anything with `ids`, `offsets` and `vocab_size`; part (D,): the number of each document's part, 0, 1, ...,
    or -1 for a document that always stays. A token that does not occur in the rest has a row without entries.
    Raises ValueError where parts are not one a document or none is 0 or more, for an unknown or repeated token, and for
    an unknown direction; all at the call.

    >>> from probsig.text.training_set import Part
    >>> text = Part(np.array([0, 1, 0, 2, 0, 1]), np.array([0, 2, 4, 6]), 3)  # 01 | 02 | 01
    >>> [laws.toarray().tolist() for laws in laws_without(text, [0, 1, 1], [0])]
    [[[0.0, 0.5, 0.5]], [[0.0, 1.0, 0.0]]]
    """
    one_of("direction", direction, DIRECTIONS)
    offsets, of = np.asarray(text.offsets, dtype=np.int64), np.asarray(part, dtype=np.int64)
    if of.shape != (len(offsets) - 1,) or of.max(initial=-1) < 0:
        raise ValueError(f"part has shape {of.shape} for {len(offsets) - 1} documents: number each one's part from 0.")
    chosen, V = np.asarray(tokens, dtype=np.int64), int(text.vocab_size)
    if len(np.unique(chosen)) < chosen.size or not 0 <= chosen.min(initial=0) <= chosen.max(initial=0) < V:
        raise ValueError(f"tokens are {chosen.tolist()}: pass different ids from 0 to {V - 1}.")
    return _rests(np.asarray(text.ids), offsets, of, chosen, V, direction)


def _rests(
    ids: NDArray, offsets: NDArray, of: NDArray, tokens: NDArray, V: int, direction: str
) -> Iterator[sp.csr_array]:
    place = np.full(V, -1, dtype=np.int64)
    place[tokens] = np.arange(len(tokens))
    first, second = (ids[:-1], ids[1:]) if direction == "next" else (ids[1:], ids[:-1])
    part = np.repeat(of, np.diff(offsets))[:-1]
    there = place[first] >= 0
    borders = offsets[(offsets > 0) & (offsets < len(ids))]
    there[borders - 1] = False
    at, other, part = place[first[there]], second[there].astype(np.int64), part[there]
    k, number = len(tokens), int(of.max()) + 1
    inside = part >= 0
    whole = sp.csr_array((np.ones(len(at)), (at, other)), (k, V))
    each = sp.csr_array((np.ones(inside.sum()), (part[inside] * k + at[inside], other[inside])), (number * k, V))
    for p in range(number):
        rest = sp.csr_array(whole - each[p * k : (p + 1) * k])
        rest.eliminate_zeros()
        sums = np.asarray(rest.sum(axis=1)).ravel()
        rest.data /= np.repeat(sums, np.diff(rest.indptr))
        yield rest
