"""The order of a residual: how fast it falls when all weights are made smaller together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from probsig import seeds
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


def residual_order(residual: Callable[[float, int], float], scales: Sequence[float], seeds: Sequence[int]) -> Order:
    """Measure residual(scale, seed) on every scale and seed and fit the slope by least squares, seed by seed.

    A velocity at weights of scale eps has slope 1, so a formula whose residual has slope 1 is wrong at leading order.
    Raises ValueError with fewer than two distinct positive scales, no seed, or a residual that is not positive.

    >>> order = residual_order(lambda scale, seed: (1 + seed) * scale**3, [0.1, 0.2, 0.4], seeds=[0, 1])
    >>> round(order.slope, 9), order.values.shape, order.stderr < 1e-9
    (3.0, (2, 3), True)
    """
    scales = np.asarray(scales, dtype=float)
    if len(np.unique(scales)) < 2 or not (scales > 0).all():
        raise ValueError(f"scales are {scales.tolist()}: pass at least two distinct positive numbers")
    if len(seeds) == 0:
        raise ValueError("seeds is empty: pass at least one seed")
    values = np.array([[float(residual(float(scale), seed)) for scale in scales] for seed in seeds])
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
