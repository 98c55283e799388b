"""Text streamed from the hub: the five subsets of the Pile, or a column of any data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probsig.errors import CorpusError, needed
from probsig.text import store
from probsig.text.rules import hub_answers

PILE = {
    "arxiv": "ArXiv",
    "dm-mathematics": "DM Mathematics",
    "cc": "Pile-CC",
    "pubmed-central": "PubMed Central",
    "wikipedia-en": "Wikipedia (en)",
}
"""The five subsets by the book's names, and what the Pile calls them."""
REPOSITORY = "monology/pile-uncopyrighted"


def pile(repository: str, name: str, revision: str | None = None) -> Iterator[str | CorpusError]:
    """The documents of a subset of the Pile, streamed from the hub or from a folder of JSONL files of the same form;
    one that is no text as the error that names its row.

    Raises CorpusError where a row has no `text` or no `meta.pile_set_name`, BrokenStream where the stream breaks off.
    """
    for number, row in enumerate(_rows(repository, f"{name} ({PILE[name]})", revision), 1):
        try:
            subset, text = row["meta"]["pile_set_name"], row["text"]
        except (KeyError, TypeError) as error:
            raise CorpusError(
                f"The rows of {repository} have no text and meta.pile_set_name as the Pile's have: name another."
            ) from error
        if subset == PILE[name]:
            yield _document(text, number, repository)


def rows_of(repository: str, column: str, revision: str | None = None) -> Iterator[str | CorpusError]:
    """A column of the split "train" of a data set, "owner/name" or "owner/name:config"; a row that holds no text as the
    error that names it. Raises CorpusError where it has no such column, BrokenStream where the stream breaks off."""
    for number, row in enumerate(_rows(repository, "the data set", revision), 1):
        if column not in row:
            raise CorpusError(
                f"{repository} has no column {column!r} but {', '.join(row)}: pass column= with one of them."
            )
        yield _document(row[column], number, repository)


def _document(text: Any, number: int, repository: str) -> str | CorpusError:
    if isinstance(text, str):
        return text
    return CorpusError(f"Row {number} of {repository} holds no text: pass problem='skip' to leave such rows out.")


def _rows(repository: str, name: str, revision: str | None) -> Iterator[Any]:
    stream = _stream(repository, revision)
    try:
        yield from stream
    except Exception as error:  # as in `unreachable`
        raise store.BrokenStream(f"The stream of {name} from {repository} broke off ({_reason(error)})") from error


def _stream(repository: str, revision: str | None) -> Any:
    load = needed("datasets", "load_dataset")
    if not Path(repository).is_dir() and not hub_answers():  # the client tries for a minute
        raise ConnectionError("it does not answer")
    where, _, config = repository.partition(":") if not Path(repository).exists() else (repository, "", "")
    return load(where, config or None, split="train", streaming=True, revision=revision)


def unreachable(repository: str, revision: str | None) -> str | None:
    """Why the repository cannot be streamed, in a few words, or None when it can."""
    try:
        next(iter(_stream(repository, revision)))
    except Exception as error:  # datasets, its file systems and the hub's client have no common error
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    """What an error says, in a few words."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
