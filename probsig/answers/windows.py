r"""How far from its words does a text hold the order of a group, and which distance does an embedding follow?

A signature of what stands directly beside a token is one window of many. Here a group whose order is known (months
around the year, number words along a line) is held against its signatures at growing distances. The order of a window
is R_order, the correlation of the cosines with the distance in the group's order: negative where neighbours are alike.
Each is held against shuffles of the order, and R_cos with an embedding against shuffles of the names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import guards
from probsig.answers import given
from probsig.answers.members import doubts, members, shuffled
from probsig.answers.shown import Answer, ends, number, span
from probsig.counts.windows import near
from probsig.errors import brief, whole
from probsig.geometry.large import cosines
from probsig.signatures.windows import together
from probsig.signatures.windows import weights as weights_of

WITHIN = ((1, 1), (2, 4), (5, 16), (17, 64))


@dataclass(frozen=True, eq=False, repr=False)
class Windows(Answer):
    """What `windows` found; `str` says it in sentences.

    `tokens` (k,), `labels`, `frequency` (k,) in the group's order; `left_out`, members that are no single token, do not
    occur, or have no row. By window, n of them: `cosines` (n, k, k), `order` (n,), R_order along the `shape` ("line" or
    "ring"), and `null` (n, draws), that of shuffled orders. With an embedding: `own` (k, k) its cosines, `own_order`
    and `own_null` (draws,), and `r_cos` (n,) and `r_null` (n, draws), with shuffled names; else `name` is "" and these
    are nan. `doubts`: why the numbers may mean little.
    """

    group: str
    text: str
    name: str
    kind: str
    weights: str
    shape: str
    within: tuple[tuple[int, int], ...]
    tokens: given.Ids
    labels: tuple[str, ...]
    frequency: NDArray[np.int64]
    left_out: tuple[str, ...]
    cosines: NDArray[np.float64]
    order: NDArray[np.float64]
    null: NDArray[np.float64]
    own: NDArray[np.float64]
    own_order: float
    own_null: NDArray[np.float64]
    r_cos: NDArray[np.float64]
    r_null: NDArray[np.float64]
    doubts: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The windows in words, as in "2 to 4"."""
        return [str(low) if low == high else f"{low} to {high}" for low, high in self.within]

    @property
    def strongest(self) -> int:
        """The window in which the order is clearest, the first where it has no order at all."""
        return int(np.argmin(np.nan_to_num(self.order, nan=np.inf)))

    def __str__(self) -> str:
        said = ", ".join(f"{name}: {number(r)}" for name, r in zip(self.names, self.order, strict=True))
        best = self.strongest
        chance = ends(self.null[best])[0]
        clear = "clearest" if self.order[best] < chance else "clearest, though no clearer than chance,"
        lines = [
            f"R_order of {len(self.tokens)} {self.group} in {self.text}, along a {self.shape}, by distance: {said}."
        ]
        if np.isfinite(self.order[best]):
            lines += [f"The order is {clear} at {self.names[best]}; shuffled orders give {span(self.null[best])}."]
        if self.name:
            follows = int(np.argmax(np.nan_to_num(self.r_cos, nan=-np.inf)))
            like = f"most like those at {self.names[follows]}: R_cos {number(self.r_cos[follows])}"
            like += f" (shuffled {span(self.r_null[follows])})"
            if not np.isfinite(self.r_cos[follows]):
                like = "like those at no distance: R_cos is undefined"
            own = f"{number(self.own_order)} (shuffled {span(self.own_null)})"
            lines += [f"In {self.name} R_order is {own}; its cosines are {like}."]
        return "\n".join([*lines, *(f"Doubt: {doubt}" for doubt in self.doubts)])

    def table(self) -> dict[str, NDArray[Any]]:
        """By window: its distances, R_order, R_cos, and the central 95 % of both nulls, (n,) each."""
        spans = [np.array([ends(one) for one in null]).T for null in (self.null, self.r_null)]
        return {
            "window": np.array(self.names, dtype=object),
            "order": self.order,
            "shuffled from": spans[0][0],
            "shuffled to": spans[0][1],
            "r_cos": self.r_cos,
            "names shuffled from": spans[1][0],
            "names shuffled to": spans[1][1],
        }

    def plot(self) -> NDArray[Any]:
        """Matplotlib axes: R_order and, with an embedding, R_cos by window with their nulls, (1,) or (2,)."""
        from probsig.pages import answered  # here, so that a number needs no Matplotlib

        return answered.windows(self)


def windows(
    tokens: str | Sequence[int | str],
    text: Any,
    W: Any = None,
    *,
    within: Sequence[tuple[int, int]] = WITHIN,
    kind: str = "mstar",
    weights: str = "uniform",
    ring: bool | None = None,
    draws: int = 999,
    seed: int = 0,
) -> Windows:
    """A group of tokens in a text's signatures at growing distances, with or without an embedding beside them.

    - `tokens`: the name of a group of `text.groups`, or a list, in its order, of ids or of what tokens say.
    - `text`, `W`: as for `align`; without W the text is a corpus or a training set. Rows of W are centred over the
      group, as signatures are. Members' own columns are left out.
    - `within`: windows, as (nearest, furthest) distance. `kind`: "mstar", "ppmi" or "raw"; `weights`: "uniform",
      "harmonic" or "falling" (`signatures.windows`).
    - `ring`: whether the order comes back to its start; None: for months and weekdays.

    Raises ValueError for an unknown group, kind or weights, for a member that stands twice, for a window longer than
    every document, where fewer than 3 members are single tokens that occur (and have a row), and for counts, which have
    no order of places.

    >>> from probsig.text.sources.toy import ToyCorpus
    >>> print(windows("months", ToyCorpus.of(seed=0), within=[(1, 1), (2, 4)]))
    R_order of 12 months in toy, along a ring, by distance: 1: 0.10, 2 to 4: -0.04.
    The order is clearest, though no clearer than chance, at 2 to 4; shuffled orders give -0.29 to 0.19.
    """
    draws = whole("draws", draws, 1)
    asked = [_distances(one) for one in within] if np.iterable(within) else []
    if not asked:
        raise ValueError(f"within is {brief(within)}: pass one window or more, as (1, 1) or (2, 4).")
    space = None if W is None else given.embedding(W)
    source = given.text(text, space.tokenizer if space else None)
    if source.documents is None:
        raise ValueError("Counts have no places, and so no windows: pass the corpus or a training set.")
    group = members(tokens, source, ring)
    there = np.asarray(source.data.frequency)[group.ids] > 0
    rows = np.zeros((len(there), 1))
    if space:
        place = given.places(space, source, group.ids)
        rows = np.asarray(space.rows(np.maximum(place, 0)), dtype=np.float64)
        there &= (place >= 0) & np.isfinite(rows).all(axis=1) & (rows != 0).any(axis=1)
    group.keep(group.ids[there])
    ids, rows, gap = group.ids, rows[there], group.gaps()
    if len(ids) < 3:
        left_out = f" ({', '.join(map(repr, group.missing[:4]))} left out)" if group.missing else ""
        held = f"{source.name} holds and that have a row in {space.name}" if space else f"{source.name} holds"
        raise ValueError(
            f"{len(ids)} of {group.name} are single tokens that {held}: a group needs 3 or more{left_out}."
        )
    squares = []
    for low, high in asked:
        guards.window_fits(f"window {low}-{high}", source.data)
        found = near(source.data, ids.tolist(), (low, high), weights_of(weights, (low, high)))
        squares.append(cosines(together(found, kind, ids.tolist()), absent="zero").square().astype(float))
    orders = [shuffled(square, gap, draws, seed, "order") for square in squares]
    own, own_order, like = np.full((len(ids), len(ids)), np.nan), (np.nan, np.full(draws, np.nan)), []
    if space:
        own = cosines(rows - rows.mean(axis=0), absent="zero").square().astype(float)
        own_order = shuffled(own, gap, draws, seed, "order")
        like = [shuffled(own, square, draws, seed, "names") for square in squares]
    frequency = np.asarray(source.data.frequency)[ids]
    labels = tuple(source.said(int(token)) for token in ids)
    nothing = [(np.nan, np.full(draws, np.nan))] * len(squares)
    return Windows(
        group=group.name,
        text=source.name,
        name=space.name if space else "",
        kind=kind,
        weights=weights,
        shape=group.shape,
        within=tuple(asked),
        tokens=ids,
        labels=labels,
        frequency=frequency,
        left_out=tuple(group.missing),
        cosines=np.array(squares),
        order=np.array([value for value, _ in orders]),
        null=np.array([null for _, null in orders]),
        own=own,
        own_order=own_order[0],
        own_null=own_order[1],
        r_cos=np.array([value for value, _ in like or nothing]),
        r_null=np.array([null for _, null in like or nothing]),
        doubts=tuple(doubts(group.missing, labels, frequency)),
    )


def _distances(window: Any) -> tuple[int, int]:
    """A window's two distances, as whole numbers."""
    if np.shape(window) != (2,):
        raise ValueError(f"within holds {brief(window)}: pass windows as pairs of distances, as (1, 1) or (2, 4).")
    low, high = (whole("a distance of within", one, 1) for one in window)
    return low, high
