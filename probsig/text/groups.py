"""Groups of tokens whose order or kinship everyone knows, by name: what a picture of an embedding is first held to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GROUPS: dict[str, tuple[str, ...]] = {
    "digits": tuple("0123456789"),
    "months": tuple(
        f" {month}"
        for month in ("January February March April May June July August September October November December".split())
    ),
    "slashes": ("/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h"),
    "weekdays": tuple(f" {day}" for day in "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()),
    "numbers": tuple(f" {word}" for word in "one two three four five six seven eight nine ten eleven twelve".split()),
    "letters": tuple(f" {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
}
"""Groups of tokens that the chapters look at; "slashes" is the group of v1 Fig. 12 / v2 Fig. 15 and its neighbours."""
RINGS = ("months", "weekdays")
"""The groups whose order comes back to its start."""


def gaps(at: NDArray[np.int64], ring: int) -> NDArray[np.int64]:
    """The distances in a group's order of members at some places, (k, k); ring: its length, 0 for a line.

    >>> gaps(np.array([0, 2, 11]), 12).tolist()
    [[0, 2, 1], [2, 0, 3], [1, 3, 0]]
    """
    line = np.abs(np.subtract.outer(at, at))
    return np.minimum(line, ring - line) if ring else line
