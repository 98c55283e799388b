"""What claims and errata share: a key, words that are not empty, and how a notebook stores and shows them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

VERSIONS = ("v1 and v2", "v1", "v2")  # of the paper: the first and the revised one


def check_key(key: str) -> None:
    """Raise ValueError unless the key is lower-case words joined by hyphens.

    >>> check_key("Linear learns")
    Traceback (most recent call last):
    ValueError: key 'Linear learns' is not lower-case words joined by hyphens, as in 'linear-learns-add'
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key):
        raise ValueError(f"key {key!r} is not lower-case words joined by hyphens, as in 'linear-learns-add'")


def check_words(key: str, **fields: str) -> None:
    """Raise ValueError, naming the field, unless every field has words.

    >>> check_words("slope", statement="The slope is 5.", says=" ")
    Traceback (most recent call last):
    ValueError: 'slope' has an empty `says`: write it
    """
    for name, words in fields.items():
        if not words.strip():
            raise ValueError(f"{key!r} has an empty `{name}`: write it")


def check_place(key: str, place: str) -> None:
    """Raise ValueError unless a place in the paper begins with the version that it is in.

    >>> check_place("slope", "v2 Corollary 1"), check_place("slope", "v1 and v2 Lemma 1")
    (None, None)
    >>> check_place("slope", "Corollary 1")
    Traceback (most recent call last):
    ValueError: 'slope' is at 'Corollary 1': begin with the version, as in 'v2 Corollary 1' or 'v1 and v2 Lemma 1'
    """
    if not any(place.startswith(f"{version} ") for version in VERSIONS):
        raise ValueError(
            f"{key!r} is at {place!r}: begin with the version, as in 'v2 Corollary 1' or 'v1 and v2 Lemma 1'"
        )


def sentence(words: str) -> str:
    """Words with a full stop, unless they end a sentence already.

    >>> sentence("It holds"), sentence("It holds.")
    ('It holds.', 'It holds.')
    """
    return words if words.rstrip().endswith((".", "!", "?")) else f"{words.rstrip()}."


def bundle(shown: object, mime: str, record: Mapping[str, Any], rows: Iterable[str], between: str) -> dict[str, Any]:
    r"""The forms of a cell's value: plain text, a Markdown quotation (a box in the book, in Jupyter and on code hosts),
    and the record under a MIME type of its own.

    >>> bundle("plain", "a/b", {}, ["one\n row", "two"], between="\n>\n")["text/markdown"]
    '> one row\n>\n> two'
    """
    return {
        "text/plain": repr(shown),
        "text/markdown": between.join(f"> {' '.join(row.split())}" for row in rows),
        mime: dict(record),
    }
