"""The texts of the language chapters: from a chapter's parameters to corpora and to training sets, opened when needed.

A chapter's `text` is "stand-in" (the texts of the stored runs: files in the folder of PROBSIG_DATA, or a package for
one of FURTHER), "open" (what `text.corpora` finds under the five names, the Pile on the hub among it) or the path of a
file or folder of the reader's own. At the scale "smoke" the stand-ins are made up on the spot (`text.sources.toy`).

A run on the book's own texts is found without them. Any other text is part of what a run is of, by the digest of its
ids: the same bytes under another name are the same run, and a file that was edited is another.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig.counts.bigrams import Bigrams, counted
from probsig.errors import CorpusError, TooLittle
from probsig.text import tokenizers
from probsig.text.corpora import open_corpus
from probsig.text.groups import GROUPS
from probsig.text.sources.toy import ToyCorpus
from probsig.text.training_set import Tokens, TrainingSet, training_set

STAND_IN, OPEN, YOURS = "stand-in", "open", "yours"
NAMES = ("arxiv", "dm-mathematics", "cc", "pubmed-central", "wikipedia-en")
FURTHER = ("python-source", "wikipedia-fr")
"""Texts that are no subset of the Pile, which packages ship everywhere."""


def pack(texts: Iterable[str]) -> NDArray[np.uint8]:
    """Texts as an array of bytes (UTF-8 JSON).

    >>> unpack(pack(["a", "é"]))
    ['a', 'é']
    """
    return np.frombuffer(json.dumps(list(texts), ensure_ascii=False).encode(), dtype=np.uint8)


def unpack(data: NDArray[np.uint8]) -> list[str]:
    """The texts of `pack`."""
    return json.loads(data.tobytes())


@dataclass(frozen=True, eq=False)
class Sets:
    """Training sets; by group and text, the tokenizer's ids of the groups' members that are tokens; and `text`, the
    text of an id of the tokenizer."""

    sets: Sequence[TrainingSet]
    groups: Mapping[str, Mapping[str, int]]
    text: Callable[[int], str] = str

    def of(self, name: str) -> TrainingSet:
        """The set of that name; raises ValueError where there is none."""
        found = next((one for one in self.sets if one.name == name), None)
        if found is None:
            known = ", ".join(repr(one.name) for one in self.sets)
            raise ValueError(f"There is no text {name!r} among {known}: pass one of them.")
        return found

    def digest(self) -> str:
        """The SHA-256 of all sets and of the groups."""
        sha = hashlib.sha256(json.dumps({name: [*ids.items()] for name, ids in self.groups.items()}).encode())
        for one in self.sets:
            sha.update(one.digest())
        return sha.hexdigest()


class Corpora:
    """Corpora by name, and their counts, each made once."""

    def __init__(self, corpora: Mapping[str, Tokens]):
        self.corpora, self._counts = dict(corpora), {}
        self._lock = threading.Lock()

    def counts(self, name: str) -> Bigrams:
        """The pairs of neighbours of a corpus."""
        with self._lock:  # pieces are made side by side
            if name not in self._counts:
                self._counts[name] = counted(self.corpora[name])
        return self._counts[name]

    def digest(self) -> str:
        """The SHA-256 of all of them."""
        return hashlib.sha256("".join(content(one) for one in self.corpora.values()).encode()).hexdigest()


ADVICE = {
    ", or pass problem='skip' to leave it out": ", or take it out",
    ", or pass problem='skip' to use what stands before": "",
    "pass problem='skip' to leave such rows out": "save those that hold one in a file, and name that",
    "pass column= with one of them": "call the one with the text 'text', which is what a chapter reads",
    "pass column= with the key that has it": "call the key that has it 'text'",
    "pass max_tokens": "pass max_tokens where a chapter takes it, or set PROBSIG_DATA to a folder with a part of it",
    "pass tensor= with": "save the model with no other than",
    ", or 'words', which needs nothing": "",
}
"""What a chapter says where the package names an argument that no chapter takes."""


@contextlib.contextmanager
def in_a_chapter() -> Iterator[None]:
    """Around what a chapter opens: an error's advice is one that can be followed there.

    >>> with in_a_chapter():
    ...     raise CorpusError("Line 2 of a.jsonl is cut: mend the line, or pass problem='skip' to leave it out.")
    Traceback (most recent call last):
    probsig.errors.CorpusError: Line 2 of a.jsonl is cut: mend the line, or take it out.
    """
    try:
        yield
    except (ValueError, ImportError) as error:
        said = str(error)
        for argument, other in ADVICE.items():
            said = said.replace(argument, other)
        if said == str(error):
            raise
        raise type(error)(said) from error


STAND_INS = {
    "arxiv": "df8f625f36f36863",
    "dm-mathematics": "8357a44bf3647e0d",
    "cc": "8f9281f2cd240564",
    "pubmed-central": "7361b8d6d94b9b7a",
    "wikipedia-en": "f72dac6995e038c3",
    "wikipedia-fr": "b4e56d9b490021bb",
}
"""The texts of the stored runs, by the first digits of the SHA-256 of their documents (`text.store`): a run on others
must not have their name. What Python itself ships differs from version to version."""


class Texts:
    """The texts of a chapter's parameters.

    >>> texts = Texts(scale="smoke")
    >>> texts.names(["arxiv"]), texts.identity(["arxiv"]), len(texts.sets(["arxiv"], tokens=500, keep=120).sets[0].ids)
    (('arxiv',), {'text': 'stand-in'}, 500)
    """

    def __init__(
        self,
        text: str | Path = STAND_IN,
        *,
        scale: str,
        seed: int = 0,
        tokenizer: str | Path | Callable[[], tokenizers.Tokenizer] = "qwen2.5",
        usual: Any = "qwen2.5",
        max_tokens: int | None = None,
    ):
        """tokenizer: a name, a folder, or what gives one; another than `usual` is part of what a run is of. seed: of
        what is made up."""
        self.text, self.scale, self.seed, self.max_tokens = str(text), scale, seed, max_tokens
        self.by, self.usual = tokenizer, usual
        self.made_up = scale == "smoke" and self.text == STAND_IN
        self.own = self.text not in (STAND_IN, OPEN)
        self.corpus = functools.cache(self._corpus)

    def names(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """The names that a chapter works on: those that it wants, or the reader's one text."""
        return (YOURS,) if self.own else tuple(wanted)

    def title(self, name: str) -> str:
        """A text's name as a page says it."""
        return Path(self.text).name if name == YOURS else name

    def _corpus(self, name: str) -> Tokens:
        if self.made_up:
            return ToyCorpus.of(self.seed, name=name)
        place = None
        if self.text == STAND_IN:
            place = "package" if name in FURTHER else "file"
        by = self._tokenizer
        with in_a_chapter():
            found = open_corpus(self._which(name), by, max_tokens=self.max_tokens, place=place)
        known = STAND_INS.get(name) if self.text == STAND_IN and self.max_tokens is None else None
        if known and not found.record["text_sha256"].startswith(known):
            raise CorpusError(f"The text {name} that is found is not this book's: pass text='open' to take it.")
        return found

    def _which(self, name: str) -> str | Path:
        """What `open_corpus` opens for a name."""
        return self.text if name == YOURS else name

    @functools.cached_property
    def _tokenizer(self) -> tokenizers.Tokenizer:
        with in_a_chapter():
            return self.by() if callable(self.by) else tokenizers.tokenizer(self.by)

    @contextlib.contextmanager
    def enough(self) -> Iterator[None]:
        """Around what is made of the texts once they are open: of a reader's own, what is refused then is for want of
        text, and TooLittle.

        >>> with Texts("mine.txt", scale="smoke").enough():
        ...     raise ValueError("Three tokens are too few: take more text.")
        Traceback (most recent call last):
        probsig.errors.TooLittle: Three tokens are too few: take more text.
        """
        try:
            yield
        except ValueError as error:
            if not self.own:
                raise
            raise TooLittle(str(error)) from error

    def corpora(self, names: Sequence[str]) -> Corpora:
        """The corpora of some names."""
        return Corpora({name: self.corpus(name) for name in names})

    def identity(self, names: Sequence[str]) -> dict[str, Any]:
        """What a run's config says of these texts: "text", and where they or the tokenizer are none of the book's, the
        digest of the "inputs", which opens them."""
        if self.made_up or (self.text == STAND_IN and self.by == self.usual):
            return {"text": STAND_IN}
        if self.text == STAND_IN:
            return {"text": STAND_IN, "tokenizer": self._tokenizer.digest[:16]}
        sha = hashlib.sha256()
        for name in names:
            sha.update(content(self.corpus(name)).encode())
        return {"text": YOURS if self.own else OPEN, "inputs": sha.hexdigest()[:16]}

    def sets(self, names: Sequence[str], tokens: int | None, keep: int | None, held: int = 0) -> Sets:
        """The training sets of these texts (documents drawn with seed 0, whatever the model's seed), and for each of
        GROUPS its members that are tokens, with their ids. Of a reader's text at most a tenth is held out, and one of
        fewer than ten documents is taken in pieces of that size.

        Raises ValueError for `tokens` below 2 and what opening and `training_set` raise.
        """
        if tokens is not None and tokens < 2:
            raise ValueError(f"tokens is {tokens}: pass 2 or more, or None for all.")
        opened = [self.corpus(name) for name in names]
        groups = groups_of(opened[0].tokenizer)
        named = [id for members in groups.values() for id in members.values()]
        if self.own and held:
            held = max(1, min(held, *(len(one.ids) // 10 for one in opened)))
            opened = [in_pieces(one, held) if len(one.offsets) <= 10 else one for one in opened]
        made = [training_set(one, tokens, keep, 0, name, named, held) for name, one in zip(names, opened, strict=True)]
        return Sets(made, groups, opened[0].tokenizer.text)


@dataclass(frozen=True, eq=False)
class Pieces:
    """A corpus with other borders of its documents."""

    ids: NDArray
    offsets: NDArray[np.int64]
    vocab_size: int
    tokenizer: Any


def in_pieces(corpus: Tokens, size: int) -> Pieces:
    """A corpus whose documents end after every `size` tokens of it, too.

    >>> in_pieces(Pieces(np.arange(5), np.array([0, 3, 5]), 5, None), 2).offsets.tolist()
    [0, 2, 3, 4, 5]
    """
    offsets = np.union1d(corpus.offsets, np.arange(0, len(corpus.ids), size)).astype(np.int64)
    return Pieces(corpus.ids, offsets, corpus.vocab_size, corpus.tokenizer)


def groups_of(tokenizer: Any) -> dict[str, dict[str, int]]:
    """Of each of GROUPS, the members that are tokens, and their ids."""
    return {
        group: {text: id for text in texts if (id := tokenizer.id(text)) is not None} for group, texts in GROUPS.items()
    }


def content(corpus: Tokens) -> str:
    """The SHA-256 of a corpus's ids, of where its documents end, and of its tokenizer.

    >>> content(ToyCorpus.of(0)) == content(ToyCorpus.of(0)), content(ToyCorpus.of(0)) == content(ToyCorpus.of(1))
    (True, False)
    """
    sha = hashlib.sha256(f"{corpus.tokenizer.digest} {corpus.vocab_size} {len(corpus.ids)}".encode())
    for part, kind in ((corpus.ids, "<u4"), (corpus.offsets, "<i8")):
        for start in range(0, len(part), 1 << 22):
            sha.update(np.asarray(part[start : start + (1 << 22)]).astype(kind).tobytes())
    return sha.hexdigest()


def decoded(corpus: Any) -> Iterator[str]:
    """The texts of a corpus's documents, put together from the bytes of its tokens, one after the other.

    >>> next(decoded(ToyCorpus.of(0)))[:4].strip() != ""
    True
    """
    pieces = corpus.tokenizer.pieces
    for start, end in itertools.pairwise(corpus.offsets.tolist()):
        yield b"".join(pieces[i] for i in corpus.ids[start:end].tolist()).decode(errors="ignore")
