"""A corpus made up on the spot, so that the language chapters run in seconds on a machine without any text.

Its documents are lines of arithmetic, dates and fractions from a few templates, over a vocabulary of some hundred
tokens with the numbers' digits, the months and "/a", "/b", ... among them. Documents differ in which operator and which
names they prefer, as real documents do. Nothing about it is a claim about language.

Axes: ids (N,) token ids, offsets (D + 1,) where documents start.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from probsig import seeds

DIGITS = "0123456789"
MONTHS = [
    f" {month}"
    for month in ("January February March April May June July August September October November December".split())
]
LETTERS = "abcdfghxyz"  # there is no /e
WORDS = [f" {word}" for word in "is of the in on what and year sum for day rain snow sun cold warm".split()]
SIGNS = ["+", "-", "*", "=", ".", "?", ")", "**", "\n"]
VOCABULARY = [*DIGITS, *MONTHS, *(f"/{letter}" for letter in LETTERS), *WORDS, *SIGNS, *(f" {c}" for c in LETTERS)]


@dataclass(frozen=True)
class ToyTokenizer:
    """The tokens of the toy corpus by id and by text.

    >>> ToyTokenizer().text(10), ToyTokenizer().id("7"), ToyTokenizer().id("/e")
    (' January', 7, None)
    """

    name: str = "toy"
    vocab_size: int = len(VOCABULARY)
    _ids: dict[str, int] = field(default_factory=lambda: {text: i for i, text in enumerate(VOCABULARY)}, repr=False)

    digest: str = "toy"
    embedding_rows: int = len(VOCABULARY)
    pieces: tuple[bytes, ...] = field(default_factory=lambda: tuple(text.encode() for text in VOCABULARY), repr=False)

    def encode(self, text: str, *, special_tokens: bool = False) -> NDArray[np.uint16]:
        """The ids of a text of tokens, the longest that fits first; what is no token is left out."""
        longest = sorted(VOCABULARY, key=len, reverse=True)
        found = re.findall("|".join(map(re.escape, longest)), text)
        return np.array([self._ids[piece] for piece in found], dtype=np.uint16)

    def text(self, token: int) -> str:
        """The text of a token."""
        return VOCABULARY[token]

    def id(self, text: str) -> int | None:
        """The token that is this text, or None."""
        return self._ids.get(text)


@dataclass(frozen=True, eq=False)
class ToyCorpus:
    """Made-up documents; has what a survey needs of a corpus.

    >>> corpus = ToyCorpus.of(seed=0, documents=3)
    >>> len(corpus.offsets), corpus.ids.dtype.name, int(corpus.offsets[-1]) == len(corpus.ids)
    (4, 'uint16', True)
    """

    ids: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    tokenizer: ToyTokenizer
    name: str = "toy"
    vocab_size: int = len(VOCABULARY)

    @classmethod
    def of(cls, seed: int, documents: int = 300, name: str = "toy") -> ToyCorpus:
        """The corpus of the stream (seed, "toy corpus", name)."""
        stream, tokenizer = seeds.stream(seed, "toy corpus", name), ToyTokenizer()
        texts: list[list[str]] = [_document(stream) for _ in range(documents)]
        ids = np.array([tokenizer.id(text) for document in texts for text in document], dtype=np.uint16)
        return cls(ids, np.cumsum([0, *map(len, texts)]), tokenizer, name)


def _document(stream: np.random.Generator) -> list[str]:
    operators, letters = stream.dirichlet([0.5] * 3), stream.dirichlet([0.3] * len(LETTERS))
    kinds = stream.dirichlet([0.7] * 3)
    out: list[str] = []
    for _ in range(stream.integers(5, 40)):
        letter = LETTERS[stream.choice(len(LETTERS), p=letters)]
        first, second = (list(str(stream.zipf(1.5) % 1000)) for _ in range(2))
        sign = "+-*"[stream.choice(3, p=operators)]
        match stream.choice(3, p=kinds):
            case 0:
                out += [*first, sign, *second, "=", *str(eval_sum(first, second, sign)), "\n"]
            case 1:
                month = int(stream.integers(12))
                cold = " snow" if month in (11, 0, 1) else " rain" if month % 3 else " sun"
                out += [" in", MONTHS[month], *first[:2], " the", cold, " is", " cold" if month < 4 else " warm", "."]
            case _:
                out += [*first, "/" + letter, "**" if stream.random() < 0.7 else ")", *second[:1], f" {letter}", "?"]
    return out


def eval_sum(first: list[str], second: list[str], sign: str) -> int:
    """The size of a sum, difference or product of two numbers in digits.

    >>> eval_sum(["1", "2"], ["5"], "-")
    7
    """
    a, b = int("".join(first)), int("".join(second))
    return abs({"+": a + b, "-": a - b, "*": a * b}[sign])
