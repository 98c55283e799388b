"""Any callable as a tokenizer: what it makes of a text, as ids.

A callable gives a list of whole numbers, which are the ids, or a list of texts, such as words; these are numbered in
the order in which they first occur. Nothing tells what a function does, so what it read is not kept in files: the text
is read anew each time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import guards
from probsig.errors import CorpusError
from probsig.runs.files import digest
from probsig.text.tokenizers import Tokenizer

MOST = 1 << 31  # ids
WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]+")


def words(text: str) -> list[str]:
    """The words of a text and the runs of other signs between them, without blanks: what "words" names.

    >>> words("It's 2025, isn't it?")
    ["It's", '2025', ',', "isn't", 'it', '?']
    """
    return WORD.findall(text)


class Called:
    """A callable at work on a corpus: `encode` as a tokenizer's, and `tokenizer`, what it was in the end.

    >>> words = Called(str.split)
    >>> words.encode("a rose is a rose").tolist(), words.tokenizer().text(1), words.tokenizer().id("is")
    ([0, 1, 2, 0, 1], 'rose', 2)
    """

    digest = "called"
    embedding_rows = MOST

    def __init__(self, function: Callable[[str], Any]):
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        self.numbers: dict[str, int] = {}
        self.most, self.texts = -1, 0

    def encode(self, text: str, *, special_tokens: bool = False) -> NDArray[Any]:
        """The ids of a text, uint32; raises CorpusError for what is no list of ids or of texts, ValueError where
        special tokens are asked for."""
        if special_tokens:
            raise ValueError(f"{self.name} is a function and has no special tokens: let it add them.")
        self.texts += 1
        where = f"The tokenizer {self.name}, given document {self.texts},"
        try:
            found = self.function(text)
        except Exception as error:  # whatever somebody's function raises
            raise CorpusError(f"{where} raises {type(error).__name__} ({error}): mend it or the document.") from error
        parts = found["input_ids"] if hasattr(found, "keys") and "input_ids" in found else found
        parts = parts.tolist() if hasattr(parts, "tolist") else list(parts) if np.iterable(parts) else None
        guards.sure(
            not any(isinstance(part, np.integer | bool) for part in parts or ()),
            f"{where} gives numbers that are no int of Python's own: let it give [int(id) for id in ids].",
            CorpusError,
        )
        guards.sure(
            not parts or self.most < 0 or isinstance(parts[0], str) == bool(self.numbers),
            f"{where} gives {'ids' if self.numbers else 'texts'} and gave {'texts' if self.numbers else 'ids'} before: "
            "let it give one of both.",
            CorpusError,
        )
        if parts is not None and all(isinstance(part, str) for part in parts):
            for part in parts:
                self.numbers.setdefault(part, len(self.numbers))
            parts = [self.numbers[part] for part in parts]
        elif parts is None or not all(isinstance(part, int | np.integer) and 0 <= part < MOST for part in parts):
            kind = type(found).__name__
            raise CorpusError(f"{where} gives a {kind}: let it give a list of ids, or of texts.")
        self.most = max(self.most, *parts) if parts else self.most
        return np.asarray(parts, dtype=np.uint32)

    def tokenizer(self) -> Tokenizer:
        """What the texts and ids so far make: tokens that say what they are where it gives texts, else numbers."""
        pieces = [part.encode("utf-8", "surrogatepass") for part in self.numbers]
        what = digest(json.dumps([self.name, [*self.numbers], self.most]).encode())
        return Tokenizer(self.name, what, pieces, {}, self.most + 1, self.encode)
