r"""What a language model is trained on: whole documents of a corpus, their ids renumbered, cut into rows.

The idea: the signatures of a corpus and the model that is trained on it must speak of the same pairs. So documents are
drawn once, whole, until there are enough tokens; both the counts and the rows of training come from them, and a pair
that crosses the border of two documents is neither counted nor predicted.

Ids are renumbered by frequency: 0 is the most frequent. With a cap on the vocabulary the rarest share the last id, so
that an embedding of V rows has no row that is never trained (the paper's has 151,936 rows, most of which no subset of
a few million tokens ever reads). Tokens that are asked for are kept even where they never occur, as rows that no
text reads, because the paper shows one.

Axes: ids (N,), offsets (D + 1,), kept (V,) the tokenizer's id of each new one. A row of training is `length` inputs and
`length` targets; a target of IGNORED is not predicted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from probsig import guards, seeds
from probsig.counts.bigrams import Bigrams, counted, frequent

IGNORED = -100  # what torch's cross entropy leaves out
REST = -1  # in `kept`: the new id that the rarest tokens share


class Tokens(Protocol):
    """What is needed of a corpus."""

    @property
    def ids(self) -> NDArray: ...
    @property
    def offsets(self) -> NDArray[np.int64]: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def tokenizer(self) -> Any: ...  # .text(id) -> str, .id(text) -> int or None


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Documents with their ids renumbered by frequency.

    ids (N,) uint16 or uint32, offsets (D + 1,), frequency (V,) how often each new id occurs, kept (V,) the old ids
    (REST, if any, last), original the rows of the tokenizer's own embedding, held the documents that are not trained
    on. `counts`, the pairs of neighbours.
    """

    name: str
    ids: NDArray[Any]
    offsets: NDArray[np.int64]
    kept: NDArray[np.int64]
    original: int
    held: TrainingSet | None = None

    @property
    def vocab_size(self) -> int:
        """The rows that an embedding of it needs."""
        return len(self.kept)

    @cached_property
    def frequency(self) -> NDArray[np.int64]:
        return np.bincount(self.ids, minlength=self.vocab_size)

    @cached_property
    def counts(self) -> Bigrams:
        return counted(self)

    def digest(self) -> bytes:
        """The SHA-256 of ids, offsets, kept, the rows of the tokenizer's own embedding, and what is held out."""
        sha = hashlib.sha256()
        for part in (self.ids, self.offsets, self.kept, np.array([self.original])):
            sha.update(len(part).to_bytes(8, "little") + np.asarray(part).astype("<i8").tobytes())
        return hashlib.sha256(sha.digest() + self.held.digest()).digest() if self.held else sha.digest()

    def frequent(self, most: int, least: int) -> NDArray[np.int64]:
        """The new ids of at most `most` tokens seen `least` times, most frequent first; REST is none of them."""
        there = (self.frequency >= least) & (self.kept != REST)
        order = np.argsort(-self.frequency, kind="stable")
        return order[there[order]][:most]

    def new_ids(self, old: NDArray[np.int64]) -> NDArray[np.int64]:
        """The new id of each of the tokenizer's ids, -1 where a token is not kept."""
        table = {int(id): new for new, id in enumerate(self.kept) if id != REST}
        return np.array([table.get(int(id), -1) for id in old], dtype=np.int64)

    def halves(self, seed: int) -> tuple[TrainingSet, TrainingSet]:
        """Two random halves of the documents; the second has the odd one."""
        order = seeds.stream(seed, "halves", self.name).permutation(len(self.offsets) - 1)
        first, second = (replace(self, ids=half.ids, offsets=half.offsets, held=None) for half in halves(self, order))
        return first, second

    def rows(self, length: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Inputs and targets, (R, length) each: the documents one after the other, cut; what is left at the end is not
        used. Raises ValueError where there is less than one row."""
        number = (len(self.ids) - 1) // length
        if number < 1:
            raise ValueError(
                f"{self.name} has {len(self.ids)} tokens, shorter than one sequence of {length}: take more text or a "
                "shorter sequence."
            )
        inputs = self.ids[: number * length].astype(np.int32).reshape(number, length)
        targets = self.ids[1 : number * length + 1].astype(np.int32)
        starts = self.offsets[1:-1]
        targets[starts[(starts >= 1) & (starts <= number * length)] - 1] = IGNORED
        return inputs, targets.reshape(number, length)


def shared(sets: Sequence[TrainingSet], most: int, least: int = 20) -> NDArray[np.int64]:
    """The tokenizer's ids of the tokens that occur `least` times in every one of some training sets: the `most` that
    stand highest in the lowest of their frequencies, most frequent first.

    >>> texts = ([7, 7, 7, 2, 2, 3], [7, 2, 2, 2, 4, 4])
    >>> both = [renumbered(np.array(ids), np.array([0, 6]), 9, None, "by hand") for ids in texts]
    >>> shared(both, most=5, least=1)
    array([2, 7])
    """
    low = np.full(max(one.original for one in sets), np.iinfo(np.int64).max)
    for one in sets:
        frequency, there = np.zeros_like(low), one.kept != REST
        frequency[one.kept[there]] = one.frequency[there]
        low = np.minimum(low, frequency)
    return frequent(low, most, least)


@dataclass(frozen=True, eq=False)
class Part:
    """Some documents of a corpus or of a training set: ids (N,), offsets (D + 1,) and the vocabulary's size."""

    ids: NDArray[Any]
    offsets: NDArray[np.int64]
    vocab_size: int


def documents(source: Any, chosen: NDArray[np.int64]) -> Part:
    """The documents of these numbers of a corpus or a training set, in the order given."""
    lengths = np.diff(source.offsets)[chosen]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    parts = [source.ids[source.offsets[d] : source.offsets[d + 1]] for d in chosen]
    return Part(np.concatenate(parts or [source.ids[:0]]), offsets, source.vocab_size)


def halves(source: Any, order: NDArray[np.int64]) -> tuple[Part, Part]:
    """The first and the second half of a random order of the documents, each as they stand in the text; the second has
    the odd one.

    >>> text = Part(np.array([7, 8, 8, 9]), np.array([0, 1, 3, 4]), 10)
    >>> [half.ids.tolist() for half in halves(text, np.array([1, 2, 0]))]
    [[8, 8], [7, 9]]
    """
    middle = (len(source.offsets) - 1) // 2
    return documents(source, np.sort(order[:middle])), documents(source, np.sort(order[middle:]))


def training_set(
    corpus: Tokens, tokens: int | None, keep: int | None, seed: int, name: str, also: Iterable[int] = (), held: int = 0
) -> TrainingSet:
    """Whole documents of a corpus, drawn from the stream (seed, "documents", name) until there are `tokens` (the last
    is cut there; None takes all, in order), with at most `keep` ids (None keeps all that occur), those of `also` among
    them.

    held: whole documents of so many tokens, drawn from the stream (seed, "held out", name), are left out and are the
    set's `held`; ids are numbered by the frequency in both.
    Raises ValueError for a corpus of fewer than 2 tokens, for `tokens` or a `keep` below 2, for a number that is not
    whole, and where nothing is left to train on.

    >>> from probsig.text.sources.toy import ToyCorpus
    >>> few = training_set(ToyCorpus.of(0), tokens=1000, keep=20, seed=0, name="toy", held=50)
    >>> len(few.ids), few.vocab_size, int(few.kept[-1]), len(few.held.ids) >= 50
    (1000, 20, -1, True)
    """
    for what, number in (("tokens", tokens), ("keep", keep)):
        if number is not None:
            guards.whole_number(what, number)
    guards.at_least("held", held, 0)
    if tokens is not None and tokens < 2:
        raise ValueError(f"tokens is {tokens}: pass 2 or more, or None for all.")
    if keep is not None and keep < 2:
        raise ValueError(f"keep is {keep}: pass 2 ids or more, or None for all that occur.")
    if len(corpus.ids) < 2:
        raise ValueError(f"{name} has {len(corpus.ids)} tokens: training needs 2 or more.")
    lengths = np.diff(corpus.offsets)
    aside = np.zeros(len(lengths), dtype=bool)
    if held:
        order = seeds.stream(seed, "held out", name).permutation(len(lengths))
        aside[order[: int(np.searchsorted(np.cumsum(lengths[order]), held)) + 1]] = True
        if lengths[~aside].sum() < 2:
            raise ValueError(f"{name} has too few documents to hold {held} tokens out: take more text.")
    unseen = documents(corpus, np.flatnonzero(aside))
    if tokens is None or tokens >= lengths[~aside].sum():
        ids, offsets = np.asarray(corpus.ids), np.asarray(corpus.offsets, dtype=np.int64)
        if held:
            left = documents(corpus, np.flatnonzero(~aside))
            ids, offsets = left.ids, left.offsets
    else:
        order = seeds.stream(seed, "documents", name).permutation(len(lengths))
        order = order[~aside[order]]
        reached = np.cumsum(lengths[order])
        left = documents(corpus, order[: int(np.searchsorted(reached, tokens)) + 1])
        ids, offsets = left.ids[:tokens], np.minimum(left.offsets, tokens)
    both = renumbered(np.concatenate([ids, unseen.ids]), offsets, corpus.vocab_size, keep, name, also)
    data = replace(both, ids=both.ids[: len(ids)])
    if not held:
        return data
    return replace(data, held=replace(data, name=f"{name}, held out", ids=both.ids[len(ids) :], offsets=unseen.offsets))


def renumbered(
    ids: NDArray[Any],
    offsets: NDArray[np.int64],
    vocab_size: int,
    keep: int | None,
    name: str,
    also: Iterable[int] = (),
) -> TrainingSet:
    """Ids renumbered by frequency, ties by the old id, then those of `also` that are not among them; beyond `keep` - 1
    ids all share the last. Raises ValueError where `keep` leaves no room for `also`, and for one of `also` outside the
    vocabulary.

    >>> few = renumbered(np.array([5, 3, 3, 9, 3, 5]), np.array([0, 6]), 10, 2, "by hand")
    >>> few.ids.tolist(), few.kept.tolist()
    ([1, 0, 0, 1, 0, 1], [3, -1])
    """
    frequency = np.bincount(ids, minlength=vocab_size)
    order = np.argsort(-frequency, kind="stable")[: np.count_nonzero(frequency)]
    also = list(also)
    guards.ids("also", also)
    also = np.unique(np.array(also, dtype=np.int64))
    if len(also) and not 0 <= also[0] <= also[-1] < vocab_size:
        outside = also[0] if also[0] < 0 else also[-1]
        raise ValueError(f"The id {outside} is to be kept and is outside the vocabulary of {vocab_size}: leave it out.")
    room = vocab_size if keep is None else keep
    if keep is not None and room < len(also) + 2:
        raise ValueError(f"keep is {keep}, too few for the {len(also)} tokens that are to be kept: pass more.")
    kept = np.append(order, np.setdiff1d(also, order))
    if len(kept) > room:
        often = order[~np.isin(order, also)][: room - 1 - len(also)]
        chosen = np.sort(np.append(often, also))
        kept = np.append(chosen[np.argsort(-frequency[chosen], kind="stable")], REST)
    table = np.full(vocab_size, len(kept) - 1, dtype=np.int64)
    table[kept[kept != REST]] = np.arange(np.count_nonzero(kept != REST))
    dtype = np.uint16 if len(kept) <= 1 << 16 else np.uint32
    return TrainingSet(name, table[ids].astype(dtype), offsets, kept.astype(np.int64), vocab_size)
