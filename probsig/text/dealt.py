r"""Texts whose tokens get follower laws of one's choosing: some deal theirs round a ring, others take each other's.

`edits` changes the laws of tokens at random, to see whether embeddings follow. Here the new laws have a shape that is
known before anything is trained.

- `ring`: what follows n tokens goes into one pool. The kinds of token in it lie along a circle, in random order, each
  on an arc as long as its share; token k stands at the angle 2 pi k / n, and each of its places asks for an angle near
  its own. Places and followers are sorted by angle and matched. So neighbours on the circle share followers and
  opposite tokens don't, and every count of single tokens stays.
- `reglued`: the text is cut after every one of n tokens, and glued again at random: after token a comes a piece that
  once followed token b, the one that a takes from. So phi^next of a becomes that of b, and what is within a piece
  stays. With every token taking from itself only the longer order is lost: the twin that a comparison needs.

Axes: tokens (n,) ids of a `TrainingSet`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from probsig import seeds
from probsig.text.training_set import TrainingSet


def ring(data: TrainingSet, tokens: Sequence[int], *, width: float = 1.0, seed: int) -> TrainingSet:
    """The text with the followers of `tokens` dealt round a ring, in the order of `tokens`.

    width: the standard deviation of the angles that a token's places ask for, in steps from one token to the next.
    A place takes part if it follows one of the tokens in the same document, holds none of them, and has none of them
    behind it; so no such token moves, and what precedes them stays. Chance comes from the stream (seed, "ring", name).
    Raises ValueError for fewer than 3 tokens, one that comes twice or is outside the vocabulary, a width that is not
    positive, and tokens with fewer than 3 kinds of followers to deal.

    >>> ids = np.tile([0, 3, 6, 1, 4, 6, 2, 5, 6], 4)
    >>> text = TrainingSet("by hand", ids, np.array([0, 36]), np.arange(7), 7)
    >>> ring(text, [0, 1, 2], width=0.1, seed=0).ids.reshape(4, 9)[:, 1::3].tolist()
    [[3, 5, 5], [4, 3, 5], [4, 3, 5], [4, 3, 4]]
    """
    tokens = _chosen(data, tokens, 3)
    if not (np.isfinite(width) and width > 0):
        raise ValueError(f"width is {width}: pass a positive number of steps round the ring.")
    places, whose = _free(data, tokens)
    pool = data.ids[places]
    kinds, which = np.unique(pool, return_inverse=True)
    if len(kinds) < 3:
        raise ValueError(
            f"In {data.name} {len(kinds)} kinds of tokens can be dealt to the {len(tokens)} of the ring: choose tokens "
            "with more followers, or take more text."
        )
    stream = seeds.stream(seed, "ring", data.name)
    followers = np.argsort(stream.permutation(len(kinds))[which], kind="stable")  # round the circle, kind after kind
    asked = (whose + width * stream.standard_normal(len(places))) % len(tokens)
    ids = data.ids.copy()
    ids[places[np.argsort(asked, kind="stable")]] = pool[followers]
    return replace(data, ids=ids)


def reglued(data: TrainingSet, tokens: Sequence[int], takes: Sequence[int], *, seed: int) -> TrainingSet:
    """The text cut after every one of `tokens` and glued again, where `tokens[i]` is followed by pieces that followed
    `tokens[takes[i]]`.

    Every document keeps its length and its first piece. The pieces of a token are taken in random order, from the
    stream (seed, "glue", name), and again in another when all are used; the last piece of a document, which ends with
    none of the tokens, isn't.
    Raises ValueError for fewer than 2 tokens, one that comes twice or is outside the vocabulary, `takes` that doesn't
    name each of them once, and a token that no piece follows.

    >>> ids = np.array([0, 2, 2, 1, 3, 0, 2, 2, 1, 3, 0, 4])
    >>> text = TrainingSet("by hand", ids, np.array([0, 12]), np.arange(5), 5)
    >>> reglued(text, [0, 1], [0, 1], seed=0).ids.tolist()
    [0, 2, 2, 1, 3, 0, 2, 2, 1, 3, 0, 2]
    >>> reglued(text, [0, 1], [1, 0], seed=0).ids.tolist()
    [0, 3, 0, 3, 0, 3, 0, 3, 0, 3, 0, 3]
    """
    tokens = _chosen(data, tokens, 2)
    n = len(tokens)
    takes = np.asarray(takes)
    if sorted(takes.tolist()) != list(range(n)):
        raise ValueError(f"takes is {takes.tolist()}: pass each of 0 to {n - 1} once, whose followers each token gets.")
    number = np.full(data.vocab_size, -1, dtype=np.int64)
    number[tokens] = np.arange(n)
    ends = np.union1d(np.flatnonzero(number[data.ids] >= 0) + 1, data.offsets[1:])
    starts = np.append(0, ends[:-1])
    ends, starts = ends[ends > starts], starts[ends > starts]  # a document may be empty
    last, first = number[data.ids[ends - 1]], np.isin(starts, data.offsets)
    before = np.append(-1, last[:-1])
    pools = [np.flatnonzero((before == token) & ~first & (last >= 0)) for token in takes]
    for token, pool in zip(tokens, pools, strict=True):
        if not len(pool):
            raise ValueError(
                f"In {data.name} no piece of text is there to follow the token {token}: choose tokens that come more "
                "often, or take more text."
            )
    stream, dealt = seeds.stream(seed, "glue", data.name), [[] for _ in pools]  # type: ignore[var-annotated]
    closes, lengths, order, taken = last.tolist(), (ends - starts).tolist(), [], []
    sizes = np.diff(data.offsets)
    for piece, left in zip(np.flatnonzero(first).tolist(), sizes[sizes > 0].tolist(), strict=True):
        while left > 0:
            order.append(piece)
            taken.append(min(lengths[piece], left))
            left -= lengths[piece]
            if left > 0:
                token = closes[piece]
                if not dealt[token]:
                    dealt[token] = stream.permutation(pools[token]).tolist()
                piece = dealt[token].pop()
    sizes = np.array(taken)
    places = np.repeat(starts[order] - np.append(0, np.cumsum(sizes)[:-1]), sizes) + np.arange(len(data.ids))
    return replace(data, ids=data.ids[places])


def _chosen(data: TrainingSet, tokens: Sequence[int], least: int) -> NDArray[np.int64]:
    """The tokens as an array; raises ValueError where they aren't `least` different ids of the text."""
    chosen = np.asarray(tokens, dtype=np.int64)
    outside = [token for token in chosen.tolist() if not 0 <= token < data.vocab_size]
    if outside:
        raise ValueError(f"token {outside[0]} is unknown: ids of {data.name} are 0..{data.vocab_size - 1}.")
    if len(set(chosen.tolist())) < max(least, len(chosen)):
        raise ValueError(f"tokens are {chosen.tolist()}: pass {least} or more, each once.")
    return chosen


def _free(data: TrainingSet, tokens: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places behind the tokens that take part, and the number of the token before each."""
    number = np.full(data.vocab_size, -1, dtype=np.int64)
    number[tokens] = np.arange(len(tokens))
    which = np.append(number[data.ids], [-1, -1])  # two places behind the end belong to no document
    document = np.append(np.repeat(np.arange(len(data.offsets) - 1), np.diff(data.offsets)), [-1, -1])
    own = np.flatnonzero(which >= 0)
    within = document[own] == document[own + 1]
    beyond = (which[own + 2] >= 0) & (document[own] == document[own + 2])
    clear = within & (which[own + 1] < 0) & ~beyond
    return own[clear] + 1, which[own[clear]]
