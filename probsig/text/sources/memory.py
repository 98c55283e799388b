"""Documents that are in memory: texts of a list, or a data set of the library `datasets`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from probsig import guards
from probsig.errors import CorpusError


def described(given: Any, column: str) -> str:
    """What these documents are called; raises CorpusError for what gives none.

    >>> described(["one", "two"], "text")
    'the given texts'
    >>> described(3, "text")
    Traceback (most recent call last):
    probsig.errors.CorpusError: The text is a int: pass a path, a name, texts in a list, or a data set of `datasets`.
    """
    kind = type(given).__name__
    guards.sure(
        not hasattr(type(given), "columns"),  # of pandas, polars, pyarrow: a walk through one gives names or columns
        f"The text is a {kind}: pass the column of it that has the texts, such as "
        f"{f'table[{column!r}].to_pylist()' if hasattr(given, 'to_pylist') else f'df[{column!r}]'}.",
        CorpusError,
    )
    names = getattr(given, "column_names", None)
    if isinstance(names, list):
        if column not in names:
            has = f"has no column {column!r} but {', '.join(names)}"
            raise CorpusError(f"The data set {has}: pass column= with one of them.")
        return str(getattr(getattr(given, "info", None), "dataset_name", None) or "the data set")
    if isinstance(given, Mapping):
        raise CorpusError(f"The text is a {kind} of {', '.join(map(str, [*given][:5]))}: pass one of them.")
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise CorpusError(f"The text is a {kind}: pass a path, a name, texts in a list, or a data set of `datasets`.")
    return "the given texts"


def read(given: Any, column: str) -> Iterator[str | CorpusError]:
    """The documents, one after the other; one that is no text as the error that names it, counted from 1.

    >>> [str(one) for one in read(["one", None], "text")]
    ['one', "Document 2 is a NoneType and no text: mend it, or pass problem='skip' to leave it out."]
    """
    rows = isinstance(getattr(given, "column_names", None), list)
    for number, row in enumerate(given, 1):
        text = row[column] if rows else row
        if isinstance(text, str):
            yield str(text)  # of numpy's texts too
        else:
            what = f"is a {type(text).__name__} and no text"
            yield CorpusError(f"Document {number} {what}: mend it, or pass problem='skip' to leave it out.")
