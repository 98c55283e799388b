"""How often one token stands a given distance after another: exact sparse counts, to add, turn, store and map.

The idea: in the paper's language task (section 4, eq. 4) every signature is a normalised row of the table of pairs.
phi^next of token s is row s of the counts at distance 1, varphi^pre of token s' its column s'; a skip signature takes
another distance. The table has V x V places and few of them are used, so it is kept as sorted compressed rows.

Axis order: row s = first token, column s' = the token `distance` places after it. `transpose()` reads the same pairs
from the second token, so its distance is the negative one: column s' then stands that far before s.

A table is stored in a folder (`counts.files` says its bytes) and opened as memory maps, not read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from probsig import guards
from probsig.counts.files import FILES, map_arrays, read_record, write_table
from probsig.counts.kernels import MOST_TOKENS, pair_counts
from probsig.counts.merging import ENTRIES, FAN_IN, merged_blocks, row_sums, transposed
from probsig.errors import whole


class Countable(Protocol):
    """Ids of documents: what `count` takes."""

    @property
    def ids(self) -> Any: ...
    @property
    def offsets(self) -> Any: ...
    @property
    def vocab_size(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Bigrams:
    """Counts of token pairs at one distance, as sorted compressed rows.

    `indptr` (V + 1,) int64; `columns` (nnz,) uint32, ascending within a row; `entries` (nnz,) int64, all positive.
    Two are equal when vocabulary, distance and every count are. Raises ValueError when the arrays do not fit together.

    >>> pairs = count([0, 1, 0, 1, 2], vocab_size=3)
    >>> pairs.to_scipy().toarray().tolist()
    [[0, 2, 0], [1, 0, 1], [0, 0, 0]]
    >>> pairs.total, pairs.row_totals().tolist(), (pairs + pairs).total
    (4, [2, 2, 0], 8)
    """

    indptr: NDArray[np.int64]
    columns: NDArray[np.uint32]
    entries: NDArray[np.int64]
    vocab_size: int
    distance: int = 1

    def __post_init__(self) -> None:
        stored = len(self.columns)
        fits = self.indptr.shape == (self.vocab_size + 1,) and len(self.entries) == stored == int(self.indptr[-1])
        types = (self.indptr.dtype, self.columns.dtype, self.entries.dtype)
        if not fits or types != (np.int64, np.uint32, np.int64):  # type: ignore[comparison-overlap]
            raise ValueError(
                f"indptr {self.indptr.shape}, columns {self.columns.shape}, entries {self.entries.shape} of {types} "
                f"are no table of {self.vocab_size} tokens: pass int64 (V + 1,), uint32 (nnz,) and int64 (nnz,)."
            )
        guards.sorted_rows(self.indptr, self.columns, self.entries)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Bigrams):
            return NotImplemented
        same = (self.vocab_size, self.distance) == (other.vocab_size, other.distance)
        return same and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in FILES)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Bigrams(vocab_size={self.vocab_size}, distance={self.distance}, stored={len(self.columns)})"

    def __add__(self, other: Bigrams) -> Bigrams:
        return merged([self, other]) if isinstance(other, Bigrams) else NotImplemented

    @property
    def total(self) -> int:
        """The number of pairs, a Python integer of any size."""
        return sum(self.row_totals().tolist())

    def row_totals(self) -> NDArray[np.int64]:
        """The number of pairs whose first token is s, (V,) int64; raises OverflowError past 2**63 - 1."""
        return row_sums(self.indptr, self.entries)

    def transpose(self) -> Bigrams:
        """The same pairs read from the second token: row s', column s, distance with the other sign.

        >>> count([0, 1, 0, 1, 2], 3).transpose().to_scipy().toarray().tolist()
        [[0, 1, 0], [2, 0, 0], [0, 1, 0]]
        """
        return Bigrams(*transposed(self.indptr, self.columns, self.entries), self.vocab_size, -self.distance)

    def to_scipy(self) -> sp.csr_array:
        """The counts as a scipy array (V, V) int64, rows = first token; shares the memory of the entries."""
        import scipy.sparse as sp

        table = sp.csr_array((self.entries, self.columns.view(np.int32), self.indptr), (self.vocab_size,) * 2)
        table.has_sorted_indices = table.has_canonical_format = True
        return table

    def save(self, folder: Path | str) -> Path:
        """Store the table in `folder`, the record last; returns the folder.

        Raises ValueError for a folder that begins with ~, and StorageError when the disk is full; then the folder is no
        table.
        """
        block = np.diff(self.indptr), self.columns, self.entries
        return write_table(folder, self.vocab_size, self.distance, [block])

    @classmethod
    def load(cls, folder: Path | str, check: bool = True) -> Bigrams:
        """Open a stored table as memory maps; with `check` every file's SHA-256 is compared first, and that its columns
        ascend below `vocab_size` (reads all bytes).

        Raises FileNotFoundError when `folder` holds no table, StorageError when a file is missing, cut, changed or no
        table.
        """
        record = read_record(folder)
        return cls(**map_arrays(folder, check), vocab_size=record["vocab_size"], distance=record["distance"])


def count(
    corpus: Countable | ArrayLike,
    vocab_size: int | None = None,
    *,
    offsets: ArrayLike | None = None,
    distance: int = 1,
    threads: int = 1,
    chunk: int | None = None,
) -> Bigrams:
    """Count the pairs (ids[i], ids[i + distance]), both in the same document.

    `corpus` has `ids`, `offsets` and `vocab_size`; or it is the ids, and the other two are given beside it.
    `ids` (N,) integers in [0, vocab_size); uint16 and uint32 are counted as they are, others are copied to uint32.
    `offsets` (D + 1,) says where documents start, and ends with N; without it the ids are one document.
    A negative distance looks back: `count(..., distance=-k)` is `count(..., distance=k).transpose()`.
    `chunk` counts that many places at a time and adds the counts up as a tree, with 4 bytes of memory for each of these
    places instead of 4 for each of the ids. Any `chunk` and any number of `threads` give the same table.

    Rows of the counts at distance 1, divided by their sums, are the laws of eq. (4) of the paper.
    Raises ValueError for an id out of range, offsets that do not cover the ids in ascending order, a distance of 0, ids
    without a vocabulary, a corpus with another one beside it, and a number that is not whole.

    >>> count([0, 1, 0, 1, 2], 3, offsets=[0, 2, 5]).to_scipy().toarray().tolist()  # 0 1 | 0 1 2
    [[0, 2, 0], [0, 0, 1], [0, 0, 0]]
    >>> count([0, 1, 0, 1, 2], 3, distance=2).to_scipy().toarray().tolist()
    [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    """
    if np.ma.isMaskedArray(corpus):
        raise ValueError("ids is a masked array: pass the ids without it, and offsets where documents start.")
    if hasattr(corpus, "ids"):
        for what, value in (("vocab_size", vocab_size), ("offsets", offsets)):
            if value is not None:
                raise ValueError(f"{what} is given beside a corpus, which has its own: leave it out, or pass the ids.")
        corpus, offsets, vocab_size = corpus.ids, corpus.offsets, corpus.vocab_size
    vocab_size = None if vocab_size is None else whole("vocab_size", vocab_size)
    chunk = None if chunk is None else whole("chunk", chunk)
    distance, threads = whole("distance", distance), whole("threads", threads)
    return counted(corpus, vocab_size, offsets=offsets, distance=distance, threads=threads, chunk=chunk)


def counted(
    corpus: Countable | ArrayLike,
    vocab_size: int | None = None,
    *,
    offsets: ArrayLike | None = None,
    distance: int = 1,
    threads: int = 1,
    chunk: int | None = None,
) -> Bigrams:
    """What `count` gives, for whole numbers that are Python's own: stored runs are keyed by this function as it is.

    >>> counted([0, 1, 0, 1, 2], 3).total
    4
    """
    ids: Any = corpus
    if hasattr(ids, "ids"):
        ids, offsets, vocab_size = ids.ids, ids.offsets, ids.vocab_size
    if vocab_size is None or not 1 <= vocab_size <= MOST_TOKENS:
        raise ValueError(f"vocab_size is {vocab_size}: pass the number of tokens, from 1 to 2**31 - 1.")
    if distance == 0:
        raise ValueError("distance is 0, so every token would be paired with itself: pass 1 for the next token.")
    if threads < 1 or (chunk is not None and chunk < 1):
        raise ValueError(f"threads is {threads} and chunk is {chunk}: pass whole numbers of at least 1.")
    if distance < 0:
        turned = counted(ids, vocab_size, offsets=offsets, distance=-distance, threads=threads, chunk=chunk)
        return turned.transpose()
    ids = checked_ids(ids)
    starts = checked_offsets(offsets, len(ids))
    step = chunk or max(1, len(ids))

    def leaf(i: int) -> Bigrams:
        first, last = i * step, min(len(ids), (i + 1) * step)
        return Bigrams(*pair_counts(ids, vocab_size, starts, distance, first, last, threads), vocab_size, distance)

    return _tree(leaf, 0, max(1, math.ceil(len(ids) / step)))


def merged(parts: Iterable[Bigrams]) -> Bigrams:
    """The sum of any number of tables of one vocabulary and distance, the same in any order.

    Raises ValueError when there are none or they differ in vocabulary or distance, OverflowError past 2**63 - 1.

    >>> merged([count([0, 1], 2), count([1, 1], 2), count([0, 1], 2)]).to_scipy().toarray().tolist()
    [[0, 2], [0, 1]]
    """
    parts = list(parts)
    kinds = {(part.vocab_size, part.distance) for part in parts}
    if len(kinds) != 1:
        raise ValueError(f"Tables of (vocab_size, distance) {sorted(kinds)} have no sum: add tables of one kind.")
    vocab_size, distance = kinds.pop()
    most = sum(len(part.columns) for part in parts)
    columns, entries = np.empty(most, np.uint32), np.empty(most, np.int64)
    indptr, row, end = np.zeros(vocab_size + 1, np.int64), 1, 0
    for sizes, new_columns, new_entries in merged_blocks(parts, ENTRIES):
        stop = end + len(new_columns)
        columns[end:stop], entries[end:stop] = new_columns, new_entries
        indptr[row : row + len(sizes)] = sizes
        row, end = row + len(sizes), stop
        del sizes, new_columns, new_entries  # before the next block is made
    columns.resize(end, refcheck=False)
    entries.resize(end, refcheck=False)
    return Bigrams(np.cumsum(indptr, out=indptr), columns, entries, vocab_size, distance)


def frequent(frequency: ArrayLike, most: int = 10_000, least: int = 50) -> NDArray[np.int64]:
    """The tokens of a subset that its figures use: at most `most`, seen at least `least` times, most frequent first.

    `frequency` (V,) is how often each token was seen; tokens of one frequency come in the order of their ids.
    Raises ValueError for another shape, for what is no whole number below 2**63, and for a `most` that is no whole
    number of at least 0.

    >>> frequent([7, 50, 90, 50], most=3).tolist()
    [2, 1, 3]
    """
    guards.one_axis("frequency", frequency)
    guards.at_least("most", most, 0)
    guards.finite("frequency", frequency)
    frequency = np.asarray(frequency)
    guards.sure(
        ((frequency < 2**63) & (frequency % 1 == 0)).all() if frequency.dtype.kind in "uf" else True,
        "frequency holds a number that no int64 is: pass how often each token was seen, as whole numbers below 2**63.",
    )
    order = np.argsort(-frequency.astype(np.int64), kind="stable")[:most]
    return order[frequency[order] >= least]


def checked_ids(ids: ArrayLike) -> NDArray[Any]:
    """`ids` as uint16 or uint32 (N,); raises ValueError when they are no integers, no line, negative or past 2**32."""
    array = np.asarray(ids)
    if array.size == 0 and array.ndim == 1:
        return array.astype(np.uint32)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"ids have shape {array.shape} and type {array.dtype}: pass integers of shape (N,).")
    if array.dtype in (np.uint16, np.uint32):
        return array
    if array.min() < 0 or array.max() >= 2**32:
        place = int(np.argmax((array < 0) | (array >= 2**32)))
        raise ValueError(
            f"The token id {int(array[place])} at place {place} is no id: pass ids from 0 to vocab_size - 1."
        )
    return array.astype(np.uint32)


def falls(starts: NDArray[Any]) -> bool:
    """Whether an offset is smaller than the one before it; looks at a block at a time, so a map may be large.

    >>> falls(np.array([0, 2, 2, 5])), falls(np.array([0, 3, 2]))
    (False, True)
    """
    blocks = (starts[i : i + 2**20 + 1] for i in range(0, len(starts), 2**20))
    return any(np.any(block[1:] < block[:-1]) for block in blocks)


def checked_offsets(offsets: ArrayLike | None, length: int) -> NDArray[np.int64]:
    """`offsets` as int64 (D + 1,), [0, N] for None; raises ValueError unless they rise from 0 to N."""
    if offsets is None:
        return np.array([0, length], np.int64)
    starts = np.asarray(offsets)
    whole = starts.ndim == 1 and len(starts) >= 1 and (starts.dtype.kind in "iu")
    if not whole or starts[0] != 0 or starts[-1] != length or falls(starts):
        raise ValueError(
            f"offsets must be integers that rise from 0 to the number of ids, {length}: "
            "pass the start of every document and then the end of the last."
        )
    return starts.astype(np.int64, copy=False)


def _tree(leaf: Callable[[int], Bigrams], first: int, last: int) -> Bigrams:
    if last - first == 1:
        return leaf(first)
    edges = np.linspace(first, last, min(FAN_IN, last - first) + 1).astype(int).tolist()
    return merged(_tree(leaf, *ends) for ends in itertools.pairwise(edges))
