r"""Addition tasks in which label law, context law and function give the anchors different orders.

Three integer maps of the anchors make a task. With c uniform over 101..140 and two independent uniform anchors a, b

    z = c + u(a) + u(b),   y = c + v(a) + v(b),   so   y = z + w(a) + w(b) with w = v - u.

The label signature of an anchor is a shift by v(a) of one law, whatever u is. The co-occurrence signature (companion
convention) is a shift by u(a) of another, whatever v is. The function that a model has to learn is w. The paper's f_add
is (v, u) = (id, 0) and its f~_add is (0, -id); in both of them w = id, so there the order of the anchors has two names.
Changing v alone leaves the law of X as it is; changing u alone leaves all laws of y given an anchor.

Tasks here have one stream name, so those of a seed start from the same weights and draw the same (c, a, b).

Axes: shifts are (10 anchors,), cosines (m, 45) over pairs as in `geometry.small.pairs`, against (m, 10, 10).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig import runs
from probsig.addition import training
from probsig.geometry import small as geometry_small
from probsig.laws.distribution import Distribution
from probsig.laws.shifted import ANCHORS, PAIR, WORLDS, shifted, traded
from probsig.theory.activations import ACTIVATIONS

CONTINUED = ("traded", "same")
"""What goes on from the end of "label" with a fresh optimiser: the anchors of `PAIR` trade their v, or none do."""


def order(cosines: ArrayLike, positions: ArrayLike) -> NDArray[np.float64]:
    """R_order by these positions of every row of stored cosines (..., 45), as `geometry.order_correlation` reads it.

    >>> turn = np.cos(np.deg2rad(9.0 * np.subtract.outer(np.arange(10), np.arange(10))))
    >>> order(geometry_small.pairs(turn), np.arange(10)).round(2).item()
    -0.98
    """
    cosines, at = np.asarray(cosines, dtype=float), np.asarray(positions, dtype=float)
    apart = geometry_small.pairs(np.abs(at[:, None] - at))
    return np.apply_along_axis(lambda row: geometry_small.pearson(row, apart), -1, cosines)


def weight_of_context(cosines: ArrayLike, v: ArrayLike, u: ArrayLike) -> float:
    """The k of 0, 0.01, ..., 1 for which the cosines (45,) are best ordered by the positions v - k u.

    0 is the order of the label laws, 1 the order of the function w = v - u.

    >>> v, u = np.arange(10.0), np.arange(10.0) ** 2 % 7
    >>> at = v - 0.25 * u
    >>> weight_of_context(-geometry_small.pairs(np.abs(np.subtract.outer(at, at))), v, u)
    0.25
    """
    grid = np.arange(101) / 100
    v, u = np.asarray(v), np.asarray(u)
    return float(grid[np.argmin([order(cosines, v - k * u) for k in grid])])


def piece(config: Mapping[str, Any], model: str) -> dict[str, NDArray]:
    """Train one model on every world, and on both continuations of "label"; what is kept of each, as "world/array".

    config has seed, steps (of each part), learning_rate, batch, samples, hidden_size and every (steps between two
    measurements). Kept are steps (m,), cosines (m, 45), accuracy (m,) over all sequences, and residual (m, 10): of each
    anchor the mean label under phi^y less that under phi^p, p being the model's prediction. Of a continuation also
    against (m, 10, 10): cosines of the anchors now (rows) with those at its start, and displacement (m,):
    <D, D0> / <D0, D0> with D the difference of the two anchors of `PAIR` and D0 that at its start.
    Float32, and int64 for steps.

    >>> tiny = {"seed": 0, "steps": 4, "every": 2, "learning_rate": 1e-3, "batch": 5, "samples": 50, "hidden_size": 6}
    >>> found = piece(tiny, "linear")
    >>> found["rivals/cosines"].shape, found["traded/displacement"][0].item()
    ((3, 45), 1.0)
    """
    found: dict[str, dict[str, NDArray]] = {}
    start = None
    parts = {name: shifted(*shifts) for name, shifts in WORLDS.items()}
    v, u = WORLDS["label"]
    parts |= {"traded": shifted(traded(v), u), "same": parts["label"]}
    for name, law in parts.items():
        continued = name in CONTINUED
        kept, last = follow(config, law, model, start if continued else None)
        start = last if name == "label" else start
        found[name] = kept
    return {f"{name}/{key}": array for name, arrays in found.items() for key, array in arrays.items()}


def follow(
    config: Mapping[str, Any], law: Distribution, model: str, start: tuple[NDArray, NDArray] | None
) -> tuple[dict[str, NDArray], tuple[NDArray, NDArray]]:
    """Train on one law from `start` (W_E, W_U), or from the beginning; what is kept of it, and the last weights."""
    seen, residuals, ids = [], [], np.arange(law.vocab_size)
    counts, relu = law.counts().astype(np.float32), ACTIVATIONS["relu"].function
    of_anchor = (law.counts()[:, ANCHORS] / law.counts()[:, ANCHORS].sum(axis=0)).T

    def measure(step: int, W_E: NDArray, W_U: NDArray) -> dict[str, float]:
        seen.append(W_E[ANCHORS].astype(float))
        s = counts @ W_E
        f = (relu(s) if model == "ffn" else s) @ W_U.T
        p = np.exp((f - f.max(axis=1, keepdims=True)).astype(float))
        expected = p @ ids / p.sum(axis=1)
        residuals.append(of_anchor @ (law.y - expected))
        return {"accuracy": float((f.argmax(axis=1) == law.y).mean())}

    at = list(range(0, config["steps"] + 1, config["every"]))
    options = {name: config[name] for name in ("seed", "steps", "learning_rate", "batch", "samples", "hidden_size")}
    begin = {} if start is None else {"init": start}
    run = training.train(law, model, measure=measure, measure_at=at, **options, **begin)
    kept = {
        "steps": run.steps,
        "cosines": np.array([geometry_small.pairs(geometry_small.cosine(A)) for A in seen]),
        "accuracy": run.metrics["accuracy"],
        "residual": np.array(residuals),
    }
    if start is not None:
        one, two = np.searchsorted(ANCHORS, PAIR)
        first = seen[0]
        D = np.array([A[one] - A[two] for A in seen])
        kept |= {
            "against": np.array([geometry_small.cosine(A, first) for A in seen]),
            "displacement": D @ D[0] / (D[0] @ D[0]),
        }
    kept = {key: array if key == "steps" else array.astype(np.float32) for key, array in kept.items()}
    return kept, (run.W_E[-1], run.W_U[-1])


SCALES: dict[str, dict[str, Any]] = {
    "smoke": {"learning_rate": 1e-3, "steps": 600, "batch": 100, "samples": 10_000, "every": 20},
    "paper": {"learning_rate": 1e-5, "steps": 60_000, "batch": 100, "samples": 50_000, "every": 2_000},
}
"""The paper's protocol to epoch 120, and a hundred times its learning rate for as long a time."""


def stored(scale: str, seed: int, hidden_size: int = 200) -> runs.Run:
    """The run of both models on all worlds with one seed: found, or trained now and stored.

    Its arrays are "model/world/array"; a model that was stopped half-way begins anew.
    Raises KeyError for a scale that is not in `SCALES`.
    """
    config = {"scale": scale, "seed": seed, "hidden_size": hidden_size, **SCALES[scale]}
    pieces = {model: runs.Piece("probsig.experiments.rivals:piece", (config, model)) for model in training.MODELS}
    return runs.run("rivals", config, pieces)
