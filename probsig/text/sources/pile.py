"""The five subsets of the Pile, streamed from the hub."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from probsig.errors import CorpusError, needed
from probsig.text import store

PILE = {
    "arxiv": "ArXiv",
    "dm-mathematics": "DM Mathematics",
    "cc": "Pile-CC",
    "pubmed-central": "PubMed Central",
    "wikipedia-en": "Wikipedia (en)",
}
"""The five subsets by the book's names, and what the Pile calls them."""
REPOSITORY = "monology/pile-uncopyrighted"


def pile(repository: str, name: str, revision: str | None = None) -> Iterator[str]:
    """The documents of a subset of the Pile, streamed from the hub or from a folder of JSONL files of the same form.

    Raises CorpusError where a row has no `text` or no `meta.pile_set_name`, BrokenStream where the stream breaks off.
    """
    for row in _rows(repository, name, revision):
        try:
            subset, text = row["meta"]["pile_set_name"], row["text"]
        except (KeyError, TypeError) as error:
            raise CorpusError(
                f"The rows of {repository} have no text and meta.pile_set_name as the Pile's have: name another."
            ) from error
        if subset == PILE[name]:
            yield text


def _rows(repository: str, name: str, revision: str | None) -> Iterator[Any]:
    stream = _stream(repository, revision)
    try:
        yield from stream
    except Exception as error:  # as in `unreachable`
        raise store.BrokenStream(
            f"The stream of {name} ({PILE[name]}) from {repository} broke off ({_reason(error)})"
        ) from error


def _stream(repository: str, revision: str | None) -> Any:
    return needed("datasets", "load_dataset")(repository, split="train", streaming=True, revision=revision)


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
