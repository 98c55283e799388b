"""What raises, or does nothing: a check that may be put into a definition after runs were made by it.

A statement that only calls one of these is no part of the digest of what made a result (`runs.code`): a result that is
there is the same with it and without it. So none of them returns anything, writes to what it is handed, or keeps a
state; a test reads them for that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig.errors import CorpusError, brief, whole
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


def finite(what: str, values: ArrayLike) -> None:
    """Raise ValueError unless the values are an array of finite real numbers.

    >>> finite("probability", [float("nan")])
    Traceback (most recent call last):
    ValueError: probability holds nan: pass finite numbers.
    """
    numbers(what, values)
    array = np.asarray(values)
    if not np.isfinite(array).all():
        raise ValueError(f"{what} holds {array[~np.isfinite(array)][0]}: pass finite numbers.")


def integers(what: str, values: ArrayLike) -> None:
    """Raise ValueError unless the values are an array of integers, which an empty one is.

    >>> integers("X", [[0, 2.5]])
    Traceback (most recent call last):
    ValueError: X holds values of type float64: pass integers.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{what} has rows of different lengths: pass sequences of one length.") from error
    if array.size and array.dtype.kind not in "ui":
        raise ValueError(f"{what} holds values of type {array.dtype}: pass integers.")


def listed(what: str, values: object) -> None:
    """Raise ValueError unless a value is a list of some kind: a tuple, a range, an array, and no text.

    >>> listed("anchors", 3)
    Traceback (most recent call last):
    ValueError: anchors is 3: pass a list of token ids.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Collection):
        raise ValueError(f"{what} is {brief(values)}: pass a list of token ids.")


def groups_of_ids(groups: object) -> None:
    """Raise ValueError unless a value maps names to lists of whole numbers.

    >>> groups_of_ids({"anchors": (1, 2.5)})
    Traceback (most recent call last):
    ValueError: An id of group 'anchors' is 2.5: pass a whole number.
    """
    made_by("groups", groups, Mapping, "a dictionary from names to lists of token ids")
    for name, ids in groups.items():  # type: ignore[attr-defined]
        listed(f"group {name!r}", ids)
        for one in ids:
            whole(f"An id of group {name!r}", one)


def whole_number(what: str, value: object) -> None:
    """Raise ValueError unless a value is a whole number, of any sign.

    >>> whole_number("size", 1.5)
    Traceback (most recent call last):
    ValueError: size is 1.5: pass a whole number.
    """
    whole(what, value)


def at_least(what: str, value: int, least: int) -> None:
    """Raise ValueError unless a number is at least `least`.

    >>> at_least("most", -1, 0)
    Traceback (most recent call last):
    ValueError: most is -1: pass a whole number of at least 0.
    """
    whole(what, value, least)


def entries(what: str, values: ArrayLike, number: int) -> None:
    """Raise ValueError unless the first axis of some values has so many entries.

    >>> entries("v", 3, 10)
    Traceback (most recent call last):
    ValueError: v has shape (): pass 10 entries.
    """
    if np.shape(values)[:1] != (number,):
        raise ValueError(f"{what} has shape {np.shape(values)}: pass {number} entries.")


def few_sequences(symbols: int, length: int, most: int) -> None:
    """Raise ValueError where there are more than `most` sequences of a length, or one alone is longer than that.

    >>> few_sequences(2, 2**70, 2_000_000)
    Traceback (most recent call last):
    ValueError: 2^1180591620717411303424 sequences are too many to enumerate: take a shorter length or fewer symbols.
    """
    if length > most or (symbols > 1 and length > most.bit_length()) or symbols**length > most:
        raise ValueError(
            f"{symbols}^{length} sequences are too many to enumerate: take a shorter length or fewer symbols."
        )


def made_by(what: str, value: object, kind: Any, instead: str) -> None:
    """Raise ValueError unless a value is of a class; `instead` says what to pass.

    >>> made_by("shape", "smoke", tuple, "a Shape, such as SHAPES['smoke']")
    Traceback (most recent call last):
    ValueError: shape is 'smoke': pass a Shape, such as SHAPES['smoke'].
    """
    if not isinstance(value, kind):
        raise ValueError(f"{what} is {brief(value)}: pass {instead}.")


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


def whole_or_all(what: str, value: object) -> None:
    """Raise ValueError unless a value is None or a positive whole number.

    >>> whole_or_all("max_tokens", True)
    Traceback (most recent call last):
    ValueError: max_tokens is True: pass a positive whole number, or None for all.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, Integral) or value < 1):
        raise ValueError(f"{what} is {brief(value)}: pass a positive whole number, or None for all.")


def text_of(what: str, number: int, text: str) -> None:
    """Raise CorpusError, naming the document, for a text that is no Unicode.

    >>> text_of("the given texts", 2, "\\ud800")
    Traceback (most recent call last):
    probsig.errors.CorpusError: Document 2 of the given texts holds half of a surrogate pair (character 0): mend it.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"Document {number} of {what} holds half of a surrogate pair (character {error.start}): mend it."
        ) from error


def all_seen(folder: Path) -> None:
    """Raise CorpusError where a folder holds one that cannot be looked into, or a link to one, which is not followed:
    what lies there would be left out without a word."""
    for where, folders, _ in os.walk(folder, onerror=_unseen):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if (link := Path(where, name)).is_symlink():
                raise CorpusError(
                    f"{link} is a link to a folder, which is not followed: put the folder there, or name it by itself."
                )


def _unseen(error: OSError) -> None:
    raise CorpusError(f"{error.filename} cannot be looked into ({error.strerror}): check its permissions.") from error


def as_it_was(path: str, record: Path, was: str | None, content: Callable[[], str | None]) -> None:
    """Raise CorpusError where files have changed since a record of them was written, and are others than those that it
    speaks of, although their sizes and times are the same.

    Files are read once more only where one was put in its place later than the record."""
    since = record.stat().st_ctime_ns
    root = Path(path)
    files = [root] if root.is_file() else [file for file in root.rglob("*") if file.is_file()]
    if any(file.stat().st_ctime_ns >= since for file in files) and content() != was:
        raise CorpusError(
            f"{path} is another text than the one that was read, of the same size and time: touch it and run again."
        )


def window_fits(signature: object, data: Any) -> None:
    """Raise ValueError where a signature is no name, or its distances reach beyond every document of a text.

    >>> from types import SimpleNamespace
    >>> window_fits("window 1-9", SimpleNamespace(offsets=[0, 4, 7]))
    Traceback (most recent call last):
    ValueError: 'window 1-9' reaches beyond every document (the longest has 4 tokens): pass a nearer one.
    """
    made_by("signature", signature, str, "a name, such as 'next', 'previous', 'tied' or 'window 1-2'")
    found = re.fullmatch(r"(?:window|stack|next|previous|attention) (?:\d+-)?0*(\d+)", str(signature))
    longest = int(np.diff(np.asarray(getattr(data, "offsets", []))).max(initial=0))
    if found and longest and (len(found[1]) > 18 or int(found[1]) >= longest):
        said = f"{brief(signature)} reaches beyond every document (the longest has {longest} tokens)"
        raise ValueError(f"{said}: pass a nearer one.")


def members(tokens: object, id_of: Callable[[Any], int]) -> None:
    """Raise ValueError unless a group is a name, or a list of ids and of what tokens say, each token once.

    >>> members([0, 7, 0], int)
    Traceback (most recent call last):
    ValueError: tokens lists 0 twice: list each token once.
    """
    if not isinstance(tokens, Sequence | np.ndarray):
        raise ValueError(f"tokens is {brief(tokens)}: pass a group's name, or a list of ids or of what tokens say.")
    seen: set[object] = set()
    for one in () if isinstance(tokens, str) else tokens:
        made_by("A member of tokens", one, Integral | str, "an id, or what the token says")
        try:
            token: object = id_of(one)
        except ValueError:  # no token of the text: left out, and said
            token = one
        if token in seen:
            raise ValueError(f"tokens lists {brief(one)} twice: list each token once.")
        seen.add(token)


def something_drawn(values: ArrayLike) -> None:
    """Raise ValueError where not one number is there to be drawn.

    >>> something_drawn([float("nan")])
    Traceback (most recent call last):
    ValueError: There is nothing to draw: no token has a correlation of its own; take more text.
    """
    if not np.isfinite(np.asarray(values, dtype=float)).any():
        raise ValueError("There is nothing to draw: no token has a correlation of its own; take more text.")


def sure(fine: object, otherwise: str, kind: type[Exception] = ValueError) -> None:
    """Raise ValueError, or an error of another kind, with the sentence `otherwise`, unless something is so.

    >>> sure(1 > 2, "x is 1: pass more than 2.")
    Traceback (most recent call last):
    ValueError: x is 1: pass more than 2.
    """
    if not fine:
        raise kind(otherwise)


def ids(what: str, values: Any) -> None:
    """Raise ValueError unless some values are None, which says all, or a list of integers that an id can be.

    >>> ids("tokens", [[0, 1]])
    Traceback (most recent call last):
    ValueError: tokens is [[0, 1]]: pass a list of ids.
    """
    if values is not None:
        integers(what, values)
        listing = np.ndim(values) == 1 and np.max(values, initial=0) < 2**63
        sure(listing, f"{what} is {brief(values)}: pass a list of ids.")
