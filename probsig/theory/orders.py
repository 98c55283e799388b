"""The order of a residual: how fast it falls when all weights are made smaller together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from probsig import seeds
from probsig.errors import brief
from probsig.laws.distribution import Distribution
from probsig.theory.softmax import Array


def directions(law: Distribution, hidden_size: int, seed: int) -> tuple[Array, Array]:
    """Fixed standard normal directions (D_E, D_U), each (V, hidden_size); weights of scale eps are eps * D.

    The streams are those of (seed, "directions", "W_E" | "W_U"): tasks of one vocabulary share their directions.
    """
    shape = (law.vocab_size, hidden_size)
    D_E, D_U = (seeds.stream(seed, "directions", name).standard_normal(shape) for name in ("W_E", "W_U"))
    return D_E, D_U


@dataclass(frozen=True, eq=False)
class Order:
    """A residual's order: `values` (seeds, scales) and the slope of log value on log scale, per seed and over seeds.

    `slope` is the mean over seeds, `stderr` its standard error (nan for a single seed).
    """

    scales: Array
    values: Array
    slopes: Array
    slope: float
    stderr: float


def checked(scales: Sequence[float], seeds: Sequence[int]) -> tuple[Array, list[int]]:
    """Scales as an array and seeds as a list; raises ValueError unless there are two distinct positive scales, all
    finite, and a seed."""
    try:
        found = np.asarray(scales, dtype=float)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.ndim != 1 or len(np.unique(found)) < 2 or not ((found > 0) & np.isfinite(found)).all():
        raise ValueError(f"scales are {brief(found.tolist() or scales)}: pass at least two distinct positive numbers")
    if not np.iterable(seeds) or isinstance(seeds, str):
        raise ValueError(f"seeds is {brief(seeds)}: pass seeds in a list")
    if not len(listed := list(seeds)):
        raise ValueError("seeds is empty: pass at least one seed")
    return found, listed


def residual_order(residual: Callable[[float, int], float], scales: Sequence[float], seeds: Sequence[int]) -> Order:
    """Measure residual(scale, seed) on every scale and seed and fit the slope by least squares, seed by seed.

    A velocity at weights of scale eps has slope 1, so a formula whose residual has slope 1 is wrong at leading order.
    Raises ValueError with fewer than two distinct positive scales, no seed, or a residual that is not positive.

    >>> order = residual_order(lambda scale, seed: (1 + seed) * scale**3, [0.1, 0.2, 0.4], seeds=[0, 1])
    >>> round(order.slope, 9), order.values.shape, order.stderr < 1e-9
    (3.0, (2, 3), True)
    """
    scales, seeds = checked(scales, seeds)
    with tqdm(total=len(seeds) * len(scales), desc="residuals", mininterval=1, delay=3, leave=False) as bar:
        values = np.empty((len(seeds), len(scales)))
        for at in np.ndindex(values.shape):
            values[at] = residual(float(scales[at[1]]), seeds[at[0]])
            bar.update()
    if not ((values > 0) & np.isfinite(values)).all():
        row, column = np.argwhere(~((values > 0) & np.isfinite(values)))[0]
        raise ValueError(
            f"the residual at scale {scales[column]} and seed {seeds[row]} is {values[row, column]}: "
            "a slope needs positive finite residuals"
        )
    x = np.log(scales) - np.log(scales).mean()
    slopes = np.log(values) @ x / (x @ x)
    stderr = float(slopes.std(ddof=1) / np.sqrt(len(slopes))) if len(slopes) > 1 else float("nan")
    return Order(scales, values, slopes, float(slopes.mean()), stderr)
