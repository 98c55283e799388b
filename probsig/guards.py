"""What raises, or does nothing: a check that may be put into a definition after runs were made by it.

A statement that only calls one of these is no part of the digest of what made a result (`runs.code`): a result that is
there is the same with it and without it. So none of them returns anything, writes to what it is handed, or keeps a
state; a test reads them for that.
"""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np
from numpy.typing import NDArray

from probsig.runs.files import StorageError

Rows = tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.int64]]


def sorted_rows(indptr: NDArray[np.int64], columns: NDArray[np.uint32], entries: NDArray[np.int64]) -> None:
    """Raise ValueError, naming the row, unless these are sorted compressed rows of counts.

    `indptr` (V + 1,) ascends from 0 to nnz, `columns` (nnz,) ascend within a row and are below V, and `entries` (nnz,)
    are positive. Memory maps are left alone: `stored_rows` is asked where they are opened.

    >>> sorted_rows(np.array([0, 1, 1]), np.array([7], np.uint32), np.array([1]))
    Traceback (most recent call last):
    ValueError: Row 0 is no row of counts of 2 tokens: columns ascend and are below 2, and counts are above 0.
    """
    if not isinstance(columns, np.memmap):
        row = _first_wrong(indptr, columns, entries)
        if row >= 0:
            raise ValueError(f"Row {row} is {_no_row(len(indptr) - 1)}.")


def stored_rows(folder: Path, rows: Rows, check: bool) -> None:
    """Raise StorageError, naming the folder and the row, unless a stored table's arrays are such rows; reads all of it
    once, where `check` says so."""
    row = _first_wrong(*rows) if check else -1
    if row >= 0:
        raise StorageError(
            f"{folder} is damaged: row {row} is {_no_row(len(rows[0]) - 1)}; remove the folder and count again."
        )


def _no_row(size: int) -> str:
    return f"no row of counts of {size} tokens: columns ascend and are below {size}, and counts are above 0"


@numba.njit(nogil=True, cache=True)
def _first_wrong(indptr, columns, entries):  # type: ignore[no-untyped-def]
    """The first row that is none, or -1; nothing is read outside the arrays."""
    V, nnz = indptr.size - 1, columns.size
    if V < 0 or indptr[0] != 0 or indptr[V] != nnz or entries.size != nnz:
        return 0
    for s in range(V):
        first, last = indptr[s], indptr[s + 1]
        if last < first or last > nnz:
            return s
        before = -1
        for k in range(first, last):
            column = np.int64(columns[k])
            if column <= before or column >= V or entries[k] <= 0:
                return s
            before = column
    return -1
