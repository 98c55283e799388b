r"""Does a text treat a group alike all along its order, and does an embedding show the waves that follow from it?

If the cosines of months depend on their distance in the year alone, whatever the kernel, then the principal components
are waves around the year, and the year is a circle. This asks both of a text, in one window, and of an embedding: what
share of the cosines the distance explains, and how much of the space of the slowest waves the first components fill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import seeds
from probsig.answers.shown import Answer, number, span
from probsig.answers.windows import windows
from probsig.errors import whole
from probsig.geometry.symmetry import explained_by_distance, mode_shares, modes, overlap

WAVES = 2


@dataclass(frozen=True, eq=False, repr=False)
class Symmetry(Answer):
    """What `symmetry` found; `str` says it in sentences.

    `labels` (k,) of the members in their order, `shape` "line" or "ring", `within` the window. By side, "text" and,
    with an embedding, "embedding": `explained`, the share of the variance of the cosines that the distance explains;
    `filled`, how much of the space of the two slowest waves the first two components fill; `shares`, the variance along
    each wave; `explained_null` and `filled_null` (draws,), those of shuffled orders. `doubts`: those of `windows`.
    """

    group: str
    text: str
    name: str
    shape: str
    within: tuple[int, int]
    labels: tuple[str, ...]
    explained: dict[str, float]
    filled: dict[str, float]
    shares: dict[str, NDArray[np.float64]]
    explained_null: dict[str, NDArray[np.float64]]
    filled_null: dict[str, NDArray[np.float64]]
    doubts: tuple[str, ...]

    def __str__(self) -> str:
        low, high = self.within
        lines = [f"{len(self.labels)} {self.group} of {self.text}, along a {self.shape}, at distances {low} to {high}."]
        for side, name in zip(self.explained, (self.text, self.name), strict=False):
            lines += [
                f"In {name} the distance alone explains {number(self.explained[side])} of the variance of the cosines "
                f"(shuffled orders {span(self.explained_null[side])});",
                f"the first {WAVES} components fill {number(self.filled[side])} of the space of the slowest waves "
                f"(shuffled {span(self.filled_null[side])}).",
            ]
        return "\n".join([*lines, *(f"Doubt: {doubt}" for doubt in self.doubts)])

    def table(self) -> dict[str, NDArray[Any]]:
        """Of each wave, slowest first: its share of the variance on each side."""
        waves = np.arange(1, len(next(iter(self.shares.values()))) + 1)
        return {"wave": waves, **{f"share in {side}": shares for side, shares in self.shares.items()}}


def symmetry(
    tokens: str | Sequence[int | str],
    text: Any,
    W: Any = None,
    *,
    within: tuple[int, int] = (17, 64),
    kind: str = "mstar",
    ring: bool | None = None,
    draws: int = 999,
    seed: int = 0,
) -> Symmetry:
    """Translation symmetry of an ordered group, in a text's window and in an embedding; arguments as for `windows`.

    Members are taken as evenly spaced in the order in which they are found. Raises ValueError as `windows` does.

    >>> from probsig.text.sources.toy import ToyCorpus
    >>> print(symmetry("months", ToyCorpus.of(seed=0), within=(1, 4), draws=99))
    12 months of toy, along a ring, at distances 1 to 4.
    In toy the distance alone explains 0.09 of the variance of the cosines (shuffled orders 0.02 to 0.22);
    the first 2 components fill 0.30 of the space of the slowest waves (shuffled 0.04 to 0.48).
    """
    draws = whole("draws", draws, 1)
    found = windows(tokens, text, W, within=[within], kind=kind, ring=ring, draws=1, seed=seed)
    around, k = found.shape == "ring", len(found.tokens)
    gap = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    gap = np.minimum(gap, k - gap) if around else gap
    waves = modes(k, around)[:, :WAVES]
    sides = {"text": found.cosines[0]} | ({"embedding": found.own} if found.name else {})
    stream = seeds.stream(seed, "symmetry", found.group)
    shuffles = [stream.permutation(k) for _ in range(draws)]

    def null(measure: Any, square: NDArray[np.float64], other: Any) -> NDArray[np.float64]:
        return np.array([measure(square[np.ix_(s, s)], other) for s in shuffles])

    return Symmetry(
        group=found.group,
        text=found.text,
        name=found.name,
        shape=found.shape,
        within=found.within[0],
        labels=found.labels,
        explained={side: explained_by_distance(square, gap) for side, square in sides.items()},
        filled={side: overlap(square, waves) for side, square in sides.items()},
        shares={side: mode_shares(square, around) for side, square in sides.items()},
        explained_null={side: null(explained_by_distance, square, gap) for side, square in sides.items()},
        filled_null={side: null(overlap, square, waves) for side, square in sides.items()},
        doubts=found.doubts,
    )
