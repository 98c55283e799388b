r"""One edited text with four kinds of tokens in it: what follows some is pooled, what precedes others, and so on.

A corollary that says "W_E is driven by phi^next" is a statement about causes, so it can be tested by a change of
phi^next alone. Tokens of middling frequency are put into strata of neighbours in frequency, and each stratum gives one
group to each of four arms, by chance:

- "next pooled": the tokens that follow any member of a group go into one pool and are dealt out again, so that its
  members share one phi^next; varphi^pre stays.
- "previous pooled": the same with the tokens before them; phi^next stays.
- "swapped": the members are pairs; as many followers as both have to give change hands.
- "untouched": nothing; what these change by is what an edited text does to any token.

Places of the text are numbered 0 to N - 1. An arm edits the place after ("next pooled", "swapped") or before
("previous pooled") each of its tokens. Such a place is free, and takes part, if it lies in the same document, holds no
token of any arm, and its other neighbour, if it has one in that document, is no token of any arm either. So no token
of an arm moves; a pair of neighbours with a token of an arm in it changes only where it is meant to; and the counts of
all tokens and the borders of documents stay. Pairs of two other tokens do change: a follower takes its place among
new neighbours.

Axes: chosen (4, groups, size) ids of a `TrainingSet`; the arms in the order of ARMS, partners of "swapped" side by
side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from probsig import seeds
from probsig.text.training_set import TrainingSet

ARMS = ("next pooled", "previous pooled", "swapped", "untouched")
SIDES = {"next pooled": 1, "previous pooled": -1, "swapped": 1}
"""Where the place that an arm edits lies from its token."""


@dataclass(frozen=True, eq=False)
class Edit:
    """An edited text, the tokens `chosen` (4, groups, size), and how many places next to each were `moved`, of that
    shape: dealt out anew or exchanged, whether or not they then hold another token."""

    data: TrainingSet
    chosen: NDArray[np.int64]
    moved: NDArray[np.int64]


def choose(
    data: TrainingSet, *, groups: int, size: int, ranks: tuple[int, int], least: int, seed: int
) -> NDArray[np.int64]:
    """The tokens of the four arms, (4, groups, size), from the stream (seed, "arms", name of the text).

    Tokens of rank `ranks[0]` up to `ranks[1]` (0 is the most frequent) that occur `least` times are cut into as many
    strata of neighbours in frequency as there are `groups`; group g of every arm is drawn from stratum g.
    Raises ValueError for fewer than one group, a `size` that is no even number, and a text with too few such tokens.

    >>> ids = np.repeat(np.arange(12), [90, 80, 40, 36, 33, 30, 28, 25, 20, 20, 9, 3])
    >>> text = TrainingSet("by hand", ids, np.array([0, len(ids)]), np.arange(12), 12)
    >>> choose(text, groups=1, size=2, ranks=(2, 11), least=20, seed=0).tolist()
    [[[3, 6]], [[4, 7]], [[9, 5]], [[8, 2]]]
    """
    if groups < 1 or size < 2 or size % 2:
        raise ValueError(f"{groups} groups of {size} tokens are asked for: pass one group or more, of an even size.")
    found = data.frequent(ranks[1], least)[ranks[0] :]
    needed = len(ARMS) * groups * size
    if len(found) < needed:
        raise ValueError(
            f"{data.name} has {len(found)} tokens of ranks {ranks[0]} to {ranks[1]} seen {least} times, and the arms "
            f"need {needed}: take more text, fewer groups or rarer tokens."
        )
    stream = seeds.stream(seed, "arms", data.name)
    strata = [stream.permutation(part)[: len(ARMS) * size] for part in np.array_split(found, groups)]
    return np.stack(strata).reshape(groups, len(ARMS), size).transpose(1, 0, 2)


def edit(data: TrainingSet, chosen: NDArray[np.int64], seed: int) -> Edit:
    """The text edited by all arms at once; chance from the streams (seed, "edit", name of the text, arm, group).

    >>> ids = np.array([4, 8, 9, 5, 10, 11, 4, 7])  # 4 and 5 swap; 7, of another arm, stays where it is
    >>> text = TrainingSet("by hand", ids, np.array([0, 8]), np.arange(12), 12)
    >>> edited = edit(text, np.arange(8).reshape(4, 1, 2), seed=0)
    >>> edited.data.ids.tolist(), edited.moved[2].tolist()
    ([4, 10, 9, 5, 8, 11, 4, 7], [[1, 1]])
    """
    places = _free(data, chosen)
    ids, moved = data.ids.copy(), np.zeros(chosen.shape, dtype=np.int64)
    for a, arm in enumerate(ARMS):
        if arm not in SIDES:
            continue
        for g in range(chosen.shape[1]):
            stream = seeds.stream(seed, "edit", data.name, arm, str(g))
            deal = _swap if arm == "swapped" else _pool
            moved[a, g] = deal(ids, [places[token] for token in chosen[a, g].tolist()], stream)
    return Edit(replace(data, ids=ids), chosen, moved)


def _free(data: TrainingSet, chosen: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """The free places beside each token of the arms that edit."""
    n = len(data.ids)
    document = np.full(n + 4, -1, dtype=np.int64)  # two places on either side belong to no document
    document[2:-2] = np.repeat(np.arange(len(data.offsets) - 1), np.diff(data.offsets))
    taken = np.zeros(n + 4, dtype=bool)
    taken[2:-2] = np.isin(data.ids, chosen)
    out = {}
    for arm, side in SIDES.items():
        for token in chosen[ARMS.index(arm)].ravel().tolist():
            own = np.flatnonzero(data.ids == token) + 2
            place, beyond = own + side, own + 2 * side
            within = document[place] == document[own]
            clear = ~(taken[beyond] & (document[beyond] == document[own]))
            out[token] = (place - 2)[within & ~taken[place] & clear]
    return out


def _pool(ids: NDArray, places: list[NDArray[np.int64]], stream: np.random.Generator) -> list[int]:
    """What the places hold is dealt out among all of them."""
    all_of_them = np.concatenate(places)
    ids[all_of_them] = ids[stream.permutation(all_of_them)]
    return [len(own) for own in places]


def _swap(ids: NDArray, places: list[NDArray[np.int64]], stream: np.random.Generator) -> list[int]:
    """What as many places of one partner as of the other hold changes hands, drawn by chance, pair by pair."""
    moved = []
    for one, two in zip(places[::2], places[1::2], strict=True):
        both = min(len(one), len(two))
        a, b = stream.permutation(one)[:both], stream.permutation(two)[:both]
        ids[a], ids[b] = ids[b], ids[a].copy()
        moved += [both, both]
    return moved
