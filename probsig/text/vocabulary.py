r"""Changes of a text's vocabulary: two tokens become one, and tokens become rare.

A tokenizer of one's own domain merges what another cuts in two, so a trained model meets tokens that it has no row for;
and a vocabulary has tokens that its model hardly ever met. Both can be made on purpose: `merge` gives a text with new
tokens, whose rows a model lacks; `thin` one in which some tokens are seen only so often, of which another text still
says what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from probsig import seeds
from probsig.text.training_set import REST, TrainingSet

Pairs = NDArray[np.int64]


def merge(data: TrainingSet, pairs: Sequence[Sequence[int]]) -> TrainingSet:
    """The text, and what is held out of it, in which each of `pairs` (n, 2) of neighbours in one document is one token:
    pair k has the id V + k.

    Its `kept` names the new tokens by numbers from -2 down, since the tokenizer has none for them.
    Raises ValueError where a token is in two pairs or twice in one, and for an id that is none.

    >>> text = TrainingSet("by hand", np.array([0, 1, 2, 0, 1, 0]), np.array([0, 4, 6]), np.arange(3), 3)
    >>> both = merge(text, [[0, 1]])
    >>> both.ids.tolist(), both.offsets.tolist(), both.vocab_size
    ([3, 2, 0, 1, 0], [0, 3, 5], 4)
    """
    chosen = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    if len(np.unique(chosen)) < chosen.size:
        raise ValueError(f"pairs are {chosen.tolist()}: pass pairs that share no token.")
    if chosen.size and not 0 <= chosen.min() <= chosen.max() < data.vocab_size:
        raise ValueError(f"a token of the pairs is unknown: ids of {data.name} are 0..{data.vocab_size - 1}.")
    V = data.vocab_size
    second, number = np.full(V, -1, dtype=np.int64), np.full(V, -1, dtype=np.int64)
    second[chosen[:, 0]], number[chosen[:, 0]] = chosen[:, 1], V + np.arange(len(chosen))

    def one(part: TrainingSet) -> TrainingSet:
        ids = part.ids.astype(np.int64)
        joined = np.zeros(len(ids) + 1, dtype=bool)  # whether a place is the second of a pair
        joined[1:-1] = second[ids[:-1]] == ids[1:]
        joined[part.offsets] = False
        first = joined[1:]
        kind = np.uint16 if V + len(chosen) <= 1 << 16 else np.uint32
        merged = np.where(first, number[ids], ids)[~joined[:-1]].astype(kind)
        offsets = part.offsets - np.append(0, np.cumsum(joined[:-1]))[part.offsets]
        kept = np.append(data.kept, REST - 1 - np.arange(len(chosen)))
        return replace(
            part, ids=merged, offsets=offsets.astype(np.int64), kept=kept, original=part.original + len(chosen)
        )

    whole = one(data)
    return replace(whole, held=one(data.held)) if data.held else whole


def candidates(data: TrainingSet, *, least: int, most: int, share: float) -> Pairs:
    """The pairs of neighbours that may be merged, (n, 2), most frequent first and none with a token of an earlier one:
    seen `least` to `most` times, and at least `share` of the occurrences of both tokens; REST is in none.

    >>> text = TrainingSet("by hand", np.array([0, 1, 2, 0, 1, 2, 0, 1]), np.array([0, 8]), np.arange(3), 3)
    >>> candidates(text, least=2, most=5, share=0.5).tolist()
    [[0, 1]]
    """
    counts, frequency = data.counts, data.frequency
    first = np.repeat(np.arange(data.vocab_size), np.diff(counts.indptr))
    second, often = np.asarray(counts.columns, dtype=np.int64), np.asarray(counts.entries, dtype=np.int64)
    fit = (often >= least) & (often <= most) & (first != second)
    fit &= often >= share * np.maximum(frequency[first], frequency[second])
    fit &= (data.kept[first] >= 0) & (data.kept[second] >= 0)
    found, taken = [], set()  # type: ignore[var-annotated]
    for k in np.flatnonzero(fit)[np.argsort(-often[fit], kind="stable")].tolist():
        pair = int(first[k]), int(second[k])
        if taken.isdisjoint(pair):
            found.append(pair)
            taken.update(pair)
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def thin(data: TrainingSet, tokens: Sequence[int], left: Sequence[int], seed: int) -> TrainingSet:
    """The text in which only `left[i]` occurrences of `tokens[i]` are left, drawn from the stream (seed, "thin", name,
    token); the last id stands in the place of the others.

    Raises ValueError where a token is the last id or has fewer occurrences.

    >>> text = TrainingSet("by hand", np.array([0, 1, 0, 2, 0]), np.array([0, 5]), np.arange(3), 3)
    >>> thin(text, [0], [1], seed=0).ids.tolist()
    [2, 1, 0, 2, 2]
    """
    ids, instead = data.ids.copy(), data.vocab_size - 1
    for token, often in zip(tokens, left, strict=True):
        places = np.flatnonzero(data.ids == token)
        if token == instead or not 0 <= often <= len(places):
            raise ValueError(f"token {token} is seen {len(places)} times in {data.name}: leave at most so many of it.")
        stream = seeds.stream(seed, "thin", data.name, str(token))
        ids[stream.permutation(places)[often:]] = instead
    return replace(data, ids=ids)
