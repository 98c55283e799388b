"""The velocity of W_E of real language models along one epoch, and what each formula explains of it: the stored runs.

One run is one network on one text: its architecture, its init, its seed, with the norm layers as they are or with the
identity in their place. It is looked at ever further apart, and keeps what `language.shares.Judge` measures.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from probsig import runs
from probsig.errors import one_of
from probsig.experiments.language_model import ARCHITECTURES, scaled
from probsig.experiments.texts import Texts

ROWS = {"smoke": None, "laptop": 100}
"""Over how many rows the gradient is taken at each scale (None: all)."""


def looks(last: int) -> list[int]:
    """The steps at which the gradient is looked at: 0, 4, 8, 16, ..., and the last.

    >>> looks(40)
    [0, 4, 8, 16, 32, 40]
    """
    return [0, *(1 << k for k in range(2, 40) if 1 << k < last), last]


def held_until(steps: ArrayLike, shares: ArrayLike) -> float:
    """The first of the steps at which a share is under half of the first one; inf where it never is, nan where the
    first is not positive.

    >>> held_until([0, 4, 8], [0.6, 0.4, 0.2]), held_until([0, 4], [0.6, 0.5]), held_until([0, 4], [-0.1, 0.5])
    (8.0, inf, nan)
    """
    steps, shares = np.asarray(steps), np.asarray(shares)
    if not shares[0] > 0:
        return float("nan")
    under = np.flatnonzero(shares < shares[0] / 2)
    return float(steps[under[0]]) if under.size else float("inf")


def asked(
    name: str, texts: Texts, *, architecture: str, scale: str, seed: int, init: str | float, **others: Any
) -> tuple[dict[str, Any], Callable[[], Any]]:
    """The config of a model of the text `name` whose velocity is looked at, and the promise of its training sets.

    others: tokens, shape and lr, where they are not the scale's (`language_model.scaled`).
    """
    one_of("architecture", architecture, ARCHITECTURES)
    one_of("scale", scale, ROWS)
    how = scaled(scale, **others)
    config = {"corpus": name, "architecture": architecture, "scale": scale, "seed": seed, "init": init}
    config |= asdict(how) | {"rows": ROWS[scale], **texts.identity([name])}
    return config, functools.partial(texts.sets, [name], how.tokens, how.keep, how.held)


def velocities(
    name: str,
    texts: Texts,
    *,
    architecture: str,
    norms: bool,
    scale: str,
    seed: int,
    init: str | float = "vocab",
    means: Any = None,
    **others: Any,
) -> runs.Run:
    """The run of the velocities of a model on the text `name`, at the start and along one epoch: found, or made now.

    norms: False puts the identity for every RMSNorm. others: as in `asked`.

    The piece "velocity" holds steps (m,), what `Judge.measure` gives with a first axis of m, epoch (1,), often (V,) and
    size (tokens of the text, ids, places of the rows that have a target).
    Raises ValueError for an unknown architecture, scale or text, and what training raises.
    """
    config, inputs = asked(name, texts, architecture=architecture, scale=scale, seed=seed, init=init, **others)
    config["norms"] = norms
    pieces = {"velocity": runs.Piece("probsig.experiments.makers:velocity", (config,))}
    with texts.enough():
        return runs.run("language-velocity", config, pieces, inputs=inputs, means=means)
