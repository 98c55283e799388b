"""Addition tasks in which label law, context law and function order the anchors differently, as laws.

z = c + u(a) + u(b) and y = c + v(a) + v(b), for integer maps u and v of the anchors: `shifted` makes the law, WORLDS
names the maps that the book uses, `traded` gives two anchors each other's labels. All of them are one stream, so those
of a seed start from the same weights and draw the same (c, a, b).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig import guards
from probsig.laws import edited
from probsig.laws.distribution import Distribution

ANCHORS = np.arange(11, 21)
CENTRES = np.arange(101, 141)
ZERO = np.zeros(10, dtype=np.int64)
PERMUTED = ANCHORS[edited.permutation()]
PAIR = (12, 19)

WORLDS: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {
    "label": (ANCHORS, ZERO),
    "context": (ZERO, -ANCHORS),
    "bystander": (ANCHORS, ANCHORS),
    "rivals": (ANCHORS, -PERMUTED),
}
"""(v, u) of each task: f_add; f~_add; labels and contexts ordered but y = z; and contexts ordered by a permutation."""


def shifted(v: ArrayLike, u: ArrayLike) -> Distribution:
    """The task with label shifts v and context shifts u, (10,) integers each, over 4,000 equally likely sequences.

    Raises ValueError where a shift is not one integer an anchor, or moves a z onto an anchor or out of the vocabulary.

    >>> law = shifted(ANCHORS, ZERO)
    >>> law.X[0].tolist(), int(law.y[0]), law.groups["labels"][-1]
    ([101, 11, 11], 123, 180)
    """
    v, u = np.asarray(v), np.asarray(u)
    for name, shift in (("v", v), ("u", u)):
        if shift.shape != ANCHORS.shape or not np.issubdtype(shift.dtype, np.integer):
            raise ValueError(f"{name} has shape {shift.shape} and type {shift.dtype}: pass 10 integers, one an anchor")
    i, j, c = (part.ravel() for part in np.meshgrid(np.arange(10), np.arange(10), CENTRES, indexing="ij"))
    z, y = c + u[i] + u[j], c + v[i] + v[j]
    shared = np.intersect1d(z, ANCHORS)
    if shared.size:
        raise ValueError(f"u moves a z onto the anchor {shared[0]}: choose shifts that keep z away from 11..20")
    X = np.column_stack([z, ANCHORS[i], ANCHORS[j]])
    groups = {"anchors": ANCHORS, "z": np.unique(z), "labels": np.unique(y)}
    return Distribution(X, y, np.ones(len(y), dtype=np.int64), 200, groups=groups, stream="rivals")  # type: ignore[arg-type]


def traded(v: ArrayLike) -> NDArray[np.int64]:
    """v with the entries of the anchors `PAIR` exchanged. Raises ValueError unless it has ten.

    >>> traded(ANCHORS).tolist()
    [11, 19, 13, 14, 15, 16, 17, 18, 12, 20]
    """
    guards.entries("v", v, len(ANCHORS))
    v, (one, two) = np.array(v), np.searchsorted(ANCHORS, PAIR)
    v[[one, two]] = v[[two, one]]
    return v
