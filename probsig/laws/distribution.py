"""Finite laws of (X, y) with integer weights, and their seeded samples.

A `Distribution` lists its atoms (a sequence X of token ids and a label y) with a positive integer weight each;
the probability of an atom is its weight over the total. A sample is again a `Distribution`, its weights being the
multiplicities, so whatever is computed from a population is computed from a sample by the same code.
Everything is kept in integers: the only division is the one that turns weights into probabilities.

Axes: X is (n atoms, L positions), y and weight are (n,), counts are (n, V token ids).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig import guards, seeds

Ids = NDArray[np.int64]


def _integers(name: str, values: ArrayLike, dimensions: int) -> Ids:
    try:
        array = np.array(values)
    except ValueError:
        raise ValueError(f"{name} has rows of different lengths: pass sequences of one length") from None
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} holds values of type {array.dtype}: pass integers")
    if array.ndim != dimensions:
        raise ValueError(f"{name} has {array.ndim} axes: pass an array of {dimensions}")
    array = array.astype(np.int64)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Distribution:
    """A law of (X, y) with finitely many atoms and integer weights.

    X (n, L) token ids, y (n,) label ids, weight (n,) positive integers, vocab_size V (ids are 0..V-1),
    `name` for pages, `groups` names sets of ids, `stream` names what is drawn from the law: laws of one stream and seed
    share their draws and initial weights, whatever their names. The arrays are copied and read-only. (The law of
    section 3.1 of the paper.)
    Raises ValueError, in one sentence, for a wrong shape or type, an id outside 0..V-1 or a weight below 1.

    >>> law = Distribution(X=[[1, 2], [2, 2]], y=[3, 0], weight=[3, 1], vocab_size=4)
    >>> law.probability.tolist()
    [0.75, 0.25]
    >>> law.counts().tolist()
    [[0, 1, 1, 0], [0, 0, 2, 0]]
    """

    X: Ids
    y: Ids
    weight: Ids
    vocab_size: int
    name: str = ""
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    stream: str = ""

    def __post_init__(self) -> None:
        for name, dimensions in (("X", 2), ("y", 1), ("weight", 1)):
            object.__setattr__(self, name, _integers(name, getattr(self, name), dimensions))
        n, length = self.X.shape
        if n == 0 or length == 0:
            raise ValueError(f"X has shape {self.X.shape}: pass at least one sequence of at least one token")
        for name in ("y", "weight"):
            if len(getattr(self, name)) != n:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {n} sequences: pass one each")
        if self.weight.min() < 1:
            atom = int(self.weight.argmin())
            raise ValueError(
                f"weight {self.weight[atom]} of atom {atom} is below 1: pass positive integers, drop zeros"
            )
        if self.total * length**2 >= 2**63:
            raise ValueError(f"weights sum to {self.total}, too many for exact 64-bit counts: divide them by their gcd")
        guards.at_least("vocab_size", self.vocab_size, 1)
        guards.groups_of_ids(self.groups)
        groups = {name: tuple(int(i) for i in ids) for name, ids in self.groups.items()}
        object.__setattr__(self, "groups", groups)
        named = [("token", self.X.ravel()), ("label", self.y)]
        for what, ids in named + [(f"group {name!r}", np.array(ids, dtype=np.int64)) for name, ids in groups.items()]:
            wrong = ids[(ids < 0) | (ids >= self.vocab_size)]
            if wrong.size:
                remedy = "use ids of at least 0" if wrong.min() < 0 else f"pass vocab_size >= {wrong.max() + 1}"
                raise ValueError(f"{what} id {wrong[0]} is outside 0..{self.vocab_size - 1}: {remedy}")

    @property
    def total(self) -> int:
        """The sum of the weights."""
        return sum(self.weight.tolist())

    @property
    def probability(self) -> NDArray[np.float64]:
        """The probability of each atom, (n,)."""
        return self.weight / self.total

    @property
    def length(self) -> int:
        """The length L of a sequence."""
        return self.X.shape[1]

    @cached_property
    def _counts(self) -> Ids:
        counts = np.zeros((len(self.X), self.vocab_size), dtype=np.int64)
        np.add.at(counts, (np.arange(len(self.X))[:, None], self.X), 1)
        counts.setflags(write=False)
        return counts

    def counts(self) -> Ids:
        """c_x(X): how often token x stands in the atom's sequence, (n, V), read-only and computed once."""
        return self._counts

    def occurs(self) -> Ids:
        """The token ids that stand in some sequence, sorted."""
        return np.unique(self.X)

    def labels(self) -> Ids:
        """The label ids of positive probability, sorted."""
        return np.unique(self.y)

    def draw(self, size: int, seed: int) -> Ids:
        """`size` independent draws with replacement: the indices of the drawn atoms, (size,).

        They come from (seed, "data", stream), so laws of different streams have independent samples.

        >>> Distribution(X=[[1], [2]], y=[1, 2], weight=[3, 1], vocab_size=3).draw(6, seed=0).tolist()
        [0, 1, 1, 0, 1, 0]
        """
        guards.whole_number("size", size)
        if size < 1:
            raise ValueError(f"size is {size}: draw at least 1 sequence")
        ticket = seeds.stream(seed, "data", self.stream).integers(0, self.total, size)
        return np.searchsorted(np.cumsum(self.weight), ticket, side="right")

    def sample(self, size: int, seed: int) -> Distribution:
        """The empirical law of `draw(size, seed)`: weights are multiplicities, atoms never drawn are left out."""
        multiplicity = np.bincount(self.draw(size, seed), minlength=len(self.X))
        kept = multiplicity > 0
        return replace(self, X=self.X[kept], y=self.y[kept], weight=multiplicity[kept])

    def merged(self) -> Distribution:
        """The law with atoms of the same multiset of tokens and the same label made one (tokens sorted, weights added).

        Every signature, and every model that sees only the sum of the embeddings, is the same for both.

        >>> law = Distribution(X=[[2, 1], [1, 2]], y=[0, 0], weight=[3, 1], vocab_size=3).merged()
        >>> law.X.tolist(), law.weight.tolist()
        ([[1, 2]], [4])
        """
        rows = np.column_stack([np.sort(self.X, axis=1), self.y])
        unique, index = np.unique(rows, axis=0, return_inverse=True)
        weight = np.zeros(len(unique), dtype=np.int64)
        np.add.at(weight, index.ravel(), self.weight)
        return replace(self, X=unique[:, :-1], y=unique[:, -1], weight=weight)

    def compact(self) -> tuple[Distribution, Ids]:
        """The law over the ids that occur as token or label, renumbered 0..k-1 in order, and those ids, (k,).

        >>> law, ids = Distribution(X=[[5, 9]], y=[7], weight=[1], vocab_size=10).compact()
        >>> law.X.tolist(), law.y.tolist(), law.vocab_size, ids.tolist()
        ([[0, 2]], [1], 3, [5, 7, 9])
        """
        ids = np.union1d(self.occurs(), self.labels())
        new = {int(old): i for i, old in enumerate(ids)}
        groups = {name: tuple(new[i] for i in members if i in new) for name, members in self.groups.items()}
        X, y = np.searchsorted(ids, self.X), np.searchsorted(ids, self.y)
        return replace(self, X=X, y=y, vocab_size=len(ids), groups=groups), ids
