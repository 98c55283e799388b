"""One seed, many independent named random streams.

A run has one integer seed, and each of its uses of chance (the sample, the initial weights, the order of batches)
has a name. The names are hashed into the `spawn_key` of numpy's SeedSequence, so every (seed, names) has its own
independent stream, and adding a new use of chance never changes the draws of an old one.
"""

from __future__ import annotations

import hashlib
import numbers

import numpy as np


def stream(seed: int, *names: str) -> np.random.Generator:
    """The generator of the stream `names` under `seed`.

    Every name is hashed on its own (SHA-256, first 128 bits), so ("ab", "c") and ("a", "bc") are different streams.
    Raises ValueError if `seed` is not an integer of at least 0 or a name is not a string.

    >>> stream(0, "data", "add").integers(0, 100, 4).tolist()
    [31, 49, 27, 71]
    >>> stream(0, "init", "add").integers(0, 100, 4).tolist()
    [5, 43, 61, 10]
    """
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or seed < 0:
        raise ValueError(f"seed is {seed!r}: pass an integer of at least 0")
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"stream name {name!r} is not a string: pass the names of the stream as strings")
    key = tuple(int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little") for name in names)
    return np.random.default_rng(np.random.SeedSequence(int(seed), spawn_key=key))
