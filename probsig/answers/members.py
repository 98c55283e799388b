"""A group's members as tokens of a text: which there are, how far apart in its order, and what shuffles give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from probsig import guards, seeds
from probsig.answers import given
from probsig.errors import one_of
from probsig.geometry.small import pairs, pearson
from probsig.text.groups import GROUPS, RINGS, gaps

SEEN = 50  # a member that was seen less often is a doubt


@dataclass
class Members:
    """`ids` (k,) of the members that are tokens, in the group's order; `length` of the whole order, and whether it
    comes back to its start (`ring`); `missing`, the names of those that were left out."""

    name: str
    length: int
    ring: bool
    named: dict[int, tuple[int, str]]  # by id, the place in the order and the name
    missing: list[str] = field(default_factory=list)

    @property
    def ids(self) -> given.Ids:
        """The members' ids, in the group's order, (k,)."""
        return np.array([*self.named], dtype=np.int64)

    @property
    def shape(self) -> str:
        """ "line" or "ring"."""
        return "ring" if self.ring else "line"

    def keep(self, tokens: given.Ids) -> None:
        """Leave out all but some."""
        there = set(tokens.tolist())
        self.missing += [name for token, (_, name) in self.named.items() if token not in there]
        self.named = {token: known for token, known in self.named.items() if token in there}

    def gaps(self) -> NDArray[np.int64]:
        """The distances of the members in the group's order, (k, k)."""
        return gaps(np.array([at for at, _ in self.named.values()]), self.length if self.ring else 0)


def members(tokens: str | Sequence[int | str], source: given.Text, ring: bool | None = None) -> Members:
    """The members of a group by name (`text.groups`) or of a list, in its order, that are tokens of a text.

    ring: None for the groups of RINGS. Raises ValueError for an unknown group, what is no list of ids and names, a
    token that stands twice, and names where no tokenizer is known.
    """
    guards.members(tokens, source.id)
    if isinstance(tokens, str):
        one_of("tokens", tokens, GROUPS)
    name, wanted = (tokens, GROUPS[tokens]) if isinstance(tokens, str) else ("tokens of a list", tokens)
    found = Members(name, len(wanted), name in RINGS if ring is None else ring, {})
    for at, member in enumerate(wanted):
        try:
            found.named[source.id(member)] = (at, str(member))
        except ValueError:
            if source.tokenizer is None and isinstance(member, str):
                raise
            found.missing.append(str(member))
    return found


def shuffled(
    square: NDArray[np.float64], other: NDArray[np.float64] | NDArray[np.int64], draws: int, seed: int, what: str
) -> tuple[float, NDArray[np.float64]]:
    """The correlation of the pairs of two squares (k, k), and (draws,) that of shuffles of the second's names.

    >>> gap = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    >>> value, null = shuffled(1.0 - gap, gap, 9, 0, "order")
    >>> round(value, 12), null.shape
    (-1.0, (9,))
    """
    guards.at_least("draws", draws, 1)
    fixed, stream = pairs(square), seeds.stream(seed, "group", what)
    orders = (stream.permutation(len(other)) for _ in range(draws))
    null = [pearson(fixed, pairs(other[np.ix_(order, order)])) for order in orders]
    return pearson(fixed, pairs(other)), np.array(null)


def doubts(missing: Sequence[str], labels: Sequence[str], frequency: NDArray[np.int64]) -> list[str]:
    """Why numbers of a group may mean little: members left out, rare ones, too few."""
    out = []
    if missing:
        out.append(f"{', '.join(map(repr, missing))} left out: no single token, or without a row or a signature.")
    rare = [label for label, count in zip(labels, frequency, strict=True) if count < SEEN]
    if rare:
        out.append(f"{', '.join(map(repr, rare))} seen fewer than {SEEN} times.")
    if len(labels) < 5:
        pairs_of = len(labels) * (len(labels) - 1) // 2
        out.append(f"{len(labels)} tokens have {pairs_of} pairs, too few for a correlation.")
    return out
