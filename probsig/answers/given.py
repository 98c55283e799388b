r"""What a question is asked of: an embedding in any form, a text in any form, and which row belongs to which token.

An embedding is a matrix (V, d), a torch tensor, a `Checkpoint` or a `Pretrained`, word vectors, or the path or name of
any of these. A text is a corpus (`ids`, `offsets`,
`vocab_size`, and mostly a `tokenizer`), a training set, counts of neighbours, or, for a model that has a tokenizer, the
path or the name of a text. Row x of a matrix is that of the text's id x. A model's rows are found by the ids of its own
tokenizer; where the text was read by another one, by what a token says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from probsig import guards
from probsig.counts.bigrams import Bigrams
from probsig.errors import TooLittle, one_of
from probsig.geometry.large import Cosines, cosines
from probsig.geometry.reliability import split_half
from probsig.language.checkpoints import Checkpoint, Pretrained, open_checkpoint
from probsig.language.signatures import TextSignatures
from probsig.language.vectors import WordVectors, is_vectors, word_vectors
from probsig.runs.files import place
from probsig.signatures.tokens import KINDS, Centred
from probsig.text.callables import words
from probsig.text.corpora import open_corpus
from probsig.text.tokenizers import Tokenizer
from probsig.text.training_set import TrainingSet

Ids = NDArray[np.int64]
SIDES = ("embedding", "signature")
LENGTH = 256  # of a model's rows, for the weights of an attention signature
STRETCHES, STRETCH = 100, 100  # what one document is cut into, and the fewest tokens of a piece


@dataclass(frozen=True, eq=False)
class Embedding:
    """Rows of a matrix: `name`, `size` (V), `there` (V,) whether a row is known, `rows` of some ids, (k, d).

    `tokenizer` makes what reads a text for it: that of a model, the words of word vectors, None for a bare matrix.
    `words`: word vectors, whose rows are found by what a token says.
    """

    name: str
    size: int
    there: NDArray[np.bool_]
    rows: Callable[[Ids], NDArray[Any]]
    tokenizer: Callable[[], Any] | None = None
    words: WordVectors | None = None


def embedding(W: Any) -> Embedding:
    """A matrix (V, d), a torch tensor, a Checkpoint, a Pretrained, word vectors (gensim's KeyedVectors, a dict, what
    `language.vectors` reads), a model of `transformers`, or the path or name of any of these, as an `Embedding`.

    Raises ValueError for what is no matrix of numbers with one row a token, and what opening a path raises.

    >>> found = embedding([[1.0, 2.0], [0.0, 3.0]])
    >>> found.size, found.rows(np.array([1])).tolist()
    (2, [[0.0, 3.0]])
    """
    if isinstance(W, str | Path):
        W = opened(W)
    if hasattr(W, "get_input_embeddings"):  # a model of transformers, without importing it
        W = W.get_input_embeddings().weight
    if isinstance(W, WordVectors | Mapping) or hasattr(getattr(W, "wv", W), "key_to_index"):
        found = word_vectors(W)
        there = np.ones(len(found.words), dtype=bool)
        return Embedding(found.name, len(there), there, lambda ids: found.vectors[ids], lambda: words, found)
    if isinstance(W, Checkpoint):
        return Embedding(
            W.name, W.shape[0], np.ones(W.shape[0], dtype=bool), lambda ids: W.rows(ids.tolist()), lambda: W.tokenizer
        )
    if isinstance(W, Pretrained):
        place = np.full(W.vocab_size, -1)
        place[W.tokens] = np.arange(len(W.tokens))
        return Embedding(W.name, W.vocab_size, place >= 0, lambda ids: W.embedding[place[ids]], lambda: W.tokenizer)
    if hasattr(W, "detach"):  # a torch tensor, without importing torch
        W = W.detach().cpu().float().numpy()
    matrix = np.asarray(W)
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        raise ValueError(
            f"W is a {type(W).__name__} of shape {matrix.shape} and type {matrix.dtype}: pass a matrix (V, d) with one "
            "row a token, a torch tensor, or what load_embeddings gives."
        )
    return Embedding("W", len(matrix), np.ones(len(matrix), dtype=bool), lambda ids: matrix[ids])


def opened(path: Path | str, tensor: str | None = None) -> Any:
    """The embedding of a path or a name: a matrix of a .npy file, word vectors, or what `open_checkpoint` opens, of
    which `tensor` is asked for.

    Raises ValueError for a .npy file that is not there or holds no matrix, and what opening the others raises.
    """
    where = place(path)
    if where.suffix == ".npy":
        return _matrix(where)
    return word_vectors(where) if is_vectors(where) else open_checkpoint(path, tensor=tensor)


def _matrix(path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f"There is no file {path}: check the path of the matrix.")
    try:
        W = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path.name} holds no array of numbers: save one with numpy.save.") from error
    if getattr(W, "ndim", 0) != 2 or W.dtype.kind not in "fiu":
        raise ValueError(f"{path.name} holds no matrix of numbers with one row per token: save one with numpy.save.")
    return W


class Counted:
    """Counts of neighbours in the place of a text: all that needs its ids says so.

    `frequency` is how often a token has a next one: one that ends documents was seen more often than that.
    """

    name = "the counts"

    def __init__(self, counts: Bigrams):
        if counts.distance != 1:
            raise ValueError(f"counts are at distance {counts.distance}: pass those at distance 1, or the corpus.")
        self.counts, self.vocab_size, self.frequency = counts, counts.vocab_size, counts.row_totals()
        self.kept = np.arange(counts.vocab_size)

    @property
    def ids(self) -> NDArray[Any]:
        raise ValueError(
            "Counts of neighbours do not have this signature: pass the corpus, or 'next', 'previous' or 'tied'."
        )


@dataclass(frozen=True, eq=False)
class Text:
    """A text with its signatures: `documents`, how many, or None for counts; `tokenizer`, where it is known."""

    data: TrainingSet
    signatures: TextSignatures
    documents: int | None
    tokenizer: Tokenizer | None

    @property
    def name(self) -> str:
        return self.data.name

    def frequent(self, most: int, least: int) -> Ids:
        """At most `most` tokens seen `least` times, most frequent first; raises TooLittle where there is none."""
        guards.at_least("most", most, 1)
        guards.at_least("least", least, 1)
        there = (self.data.frequency >= least) & (self.data.kept >= 0)
        order = np.argsort(-self.data.frequency.astype(np.int64), kind="stable")
        found = order[there[order]][:most]
        if not found.size:
            raise TooLittle(f"No token of {self.name} is seen {least} times: pass a longer text or a lower `least`.")
        return found

    def halves(self, seed: int) -> list[TextSignatures]:
        """The signatures of two random halves, of the documents or, where there is one, of the stretches of it; none
        for counts, and for a text of fewer than 200 tokens."""
        data = self.data
        if self.documents == 1:
            pieces = min(STRETCHES, len(data.ids) // STRETCH)
            data = replace(data, offsets=np.linspace(0, len(data.ids), pieces + 1).astype(np.int64))
        if self.documents is None or len(data.offsets) < 3:
            return []
        return [TextSignatures(half, self.signatures.length) for half in data.halves(seed)]

    def id(self, token: int | str) -> int:
        """The text's id of a token that is given as an id or as what it says; raises ValueError where there is none."""
        if isinstance(token, str):
            if self.tokenizer is None:
                raise ValueError(f"No tokenizer is known of {self.name}: pass the id of {token!r}.")
            old = self.tokenizer.id(token)
            new = np.flatnonzero(self.data.kept == (-1 if old is None else old))
            if old is None or not new.size:
                raise ValueError(f"{token!r} is no token of {self.name}: pass one as its tokenizer cuts it, or its id.")
            return int(new[0])
        guards.made_by("token", token, Integral, "an id, or what the token says")
        if not 0 <= token < self.data.vocab_size:
            raise ValueError(f"There is no token {token}: pass an id from 0 to {self.data.vocab_size - 1}.")
        return int(token)

    def said(self, token: int) -> str:
        """What a token says, or its number where no tokenizer is known."""
        return str(token) if self.tokenizer is None else self.tokenizer.text(int(self.data.kept[token]))


def text(given: Any, tokenizer: Callable[[], Tokenizer] | None = None) -> Text:
    """A corpus, a training set, counts of neighbours, or the path or name of a text as a `Text`.

    `tokenizer` reads a path or a name, and says what the ids of a training set or of counts are.
    Raises ValueError where it is needed and None, for ids whose rows only words find, and what `open_corpus` raises.

    >>> from probsig.counts.bigrams import count
    >>> found = text(count([0, 1, 0, 1, 2, 0, 1], 3))
    >>> found.frequent(most=2, least=1).tolist(), found.documents
    ([0, 1], None)
    """
    if isinstance(given, Bigrams | TrainingSet):
        guards.sure(
            tokenizer is None or hasattr(tokenizer(), "pieces"),
            f"Word vectors find rows by what tokens say, and a {type(given).__name__} has ids alone: pass the corpus.",
        )
        data = cast(TrainingSet, Counted(given)) if isinstance(given, Bigrams) else given
        documents = None if isinstance(given, Bigrams) else len(given.offsets) - 1
        return Text(data, TextSignatures(data, LENGTH), documents, tokenizer() if tokenizer else None)
    if not all(hasattr(given, part) for part in ("ids", "offsets", "vocab_size")):
        if tokenizer is None:
            raise ValueError(
                f"The text is a {type(given).__name__}, and a matrix has no tokenizer to read it with: pass "
                "open_corpus(text, tokenizer), a training set, or count(ids, vocab_size)."
            )
        given = open_corpus(given, tokenizer())
    every = np.arange(given.vocab_size)
    data = TrainingSet(getattr(given, "name", "the text"), given.ids, np.asarray(given.offsets), every, len(every))
    return Text(data, TextSignatures(data, LENGTH), len(given.offsets) - 1, getattr(given, "tokenizer", None))


def places(space: Embedding, source: Text, tokens: Ids) -> Ids:
    """The row of the embedding that belongs to each token of the text, -1 where it has none.

    Raises ValueError for word vectors and a text whose tokens say nothing.
    """
    ids = tokens
    if space.words is not None:
        if source.tokenizer is None or not source.tokenizer.pieces:
            raise ValueError(f"No token of {source.name} says a word: read it with a tokenizer, or by words.")
        return space.words.places([source.said(int(token)) for token in tokens])
    if space.tokenizer is not None:
        ids = source.data.kept[tokens]
        if source.tokenizer is not None:
            own = space.tokenizer()
            if source.tokenizer.pieces and own is not source.tokenizer and own.digest != source.tokenizer.digest:
                found = [own.id(source.said(int(token))) for token in tokens]
                ids = np.array([-1 if one is None else one for one in found], dtype=np.int64)
    known = (ids >= 0) & (ids < space.size)
    known[known] = space.there[ids[known]]
    return np.where(known, ids, -1)


@dataclass(frozen=True, eq=False)
class Both:
    """Tokens (n,) with a row and a signature, ids of the text, and the cosines of each side.

    `missing`, `empty`, `repeated`: tokens left out because they have no row, because their row or their signature has
    no direction, and tokens kept whose row is another's too.
    """

    tokens: Ids
    rows: NDArray[np.float64]
    law: sp.csr_array | Centred
    missing: int
    empty: int
    repeated: int

    def cosines(self) -> tuple[Cosines, Cosines]:
        """Of the rows and of the signatures."""
        return cosines(self.rows, absent="zero"), cosines(self.law, absent="zero")


def both(space: Embedding, source: Text, tokens: Ids, signature: str, kind: str) -> Both:
    """The rows of tokens and their signatures, of which "centred" takes the mean row off both.

    Raises ValueError for an unknown signature or kind.
    """
    one_of("kind", kind, KINDS)
    place = places(space, source, tokens)
    found, place = tokens[place >= 0], place[place >= 0]
    rows = np.asarray(space.rows(place), dtype=np.float64)
    sound = np.isfinite(rows).all(axis=1) & (rows != 0).any(axis=1)
    law = source.signatures.rows(signature, found.tolist(), kind)
    sound &= np.diff((law.rows if isinstance(law, Centred) else law).indptr) > 0
    if not sound.all():
        found, rows = found[sound], rows[sound]
        law = source.signatures.rows(signature, found.tolist(), kind)
    repeated = len(rows) - len(np.unique(rows, axis=0))
    if kind == "centred":
        rows = rows - rows.mean(axis=0)
    return Both(found, rows, law, len(tokens) - len(place), int((~sound).sum()), repeated)


def ceiling(source: Text, tokens: Ids, signature: str, kind: str, seed: int) -> float:
    """What a correlation with the cosines of these signatures can be expected to reach at most, from two halves of the
    text; nan where it has none, or too few of the tokens occur in both."""
    halves: Any = source.halves(seed)  # what stands for counts is whatever the signature is taken of
    if not halves:
        return float("nan")
    try:
        return split_half(
            halves[0], halves[1], tokens.tolist(), lambda half, some: half.rows(signature, some, kind)
        ).ceiling
    except ValueError:  # fewer than 3 tokens in both halves
        return float("nan")
