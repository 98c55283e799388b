"""What raises, or does nothing: a check that may be put into a definition after runs were made by it.

A statement that only calls one of these is no part of the digest of what made a result (`runs.code`): a result that is
there is the same with it and without it. So none of them returns anything, writes to what it is handed, or keeps a
state; a test reads them for that.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig.errors import whole
from probsig.runs.files import StorageError

BLOCK = 1 << 12  # entries that are looked at together
Rows = tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.int64]]


def one_axis(what: str, values: ArrayLike) -> None:
    """Raise ValueError unless the values have one axis.

    >>> one_axis("frequency", [[1, 2]])
    Traceback (most recent call last):
    ValueError: frequency has shape (1, 2): pass one number for each token.
    """
    if np.ndim(values) != 1:
        raise ValueError(f"{what} has shape {np.shape(values)}: pass one number for each token.")


def numbers(what: str, values: ArrayLike) -> None:
    """Raise ValueError unless the values are an array of real numbers.

    >>> numbers("A", [["a"]])
    Traceback (most recent call last):
    ValueError: A holds values of type <U1: pass real numbers.
    """
    kind = np.asarray(values).dtype
    if kind.kind not in "buif":
        raise ValueError(f"{what} holds values of type {kind}: pass real numbers.")


def at_least(what: str, value: int, least: int) -> None:
    """Raise ValueError unless a number is at least `least`.

    >>> at_least("most", -1, 0)
    Traceback (most recent call last):
    ValueError: most is -1: pass a whole number of at least 0.
    """
    whole(what, value, least)


def made_by(what: str, value: object, kind: type, instead: str) -> None:
    """Raise ValueError unless a value is of a class; `instead` says what to pass.

    >>> made_by("shape", "smoke", tuple, "a Shape, such as SHAPES['smoke']")
    Traceback (most recent call last):
    ValueError: shape is 'smoke': pass a Shape, such as SHAPES['smoke'].
    """
    if not isinstance(value, kind):
        raise ValueError(f"{what} is {value!r}: pass {instead}.")


def said(what: str, name: object) -> None:
    """Raise ValueError where a name is empty.

    >>> said("model", " ")
    Traceback (most recent call last):
    ValueError: The name of the model is empty: pass a name or a path.
    """
    if not str(name).strip():
        raise ValueError(f"The name of the {what} is empty: pass a name or a path.")


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


def _first_wrong(indptr: NDArray[np.int64], columns: NDArray[np.uint32], entries: NDArray[np.int64]) -> int:
    """The first row that is none, or -1; nothing is read outside the arrays, and a block of them at a time."""
    V, stored = len(indptr) - 1, len(columns)
    if V < 0 or indptr[0] != 0 or indptr[-1] != stored or len(entries) != stored:
        return 0
    lost = (indptr[1:] < indptr[:-1]) | (indptr[1:] > stored)
    if lost.any():
        return int(lost.argmax())
    for first in range(0, stored, BLOCK):
        last = min(first + BLOCK, stored)
        fine = np.ones(last - first, dtype=bool)
        before = max(first, 1)
        fine[before - first :] = columns[before:last] > columns[before - 1 : last - 1]
        begins = indptr[slice(*np.searchsorted(indptr, (first, last)))]
        fine[begins - first] = True
        fine &= (columns[first:last] < V) & (entries[first:last] > 0)
        if not fine.all():
            return int(np.searchsorted(indptr, first + fine.argmin(), side="right")) - 1
    return -1
