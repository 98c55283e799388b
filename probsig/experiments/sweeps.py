"""Sweeps: the addition experiment at many settings, with only its metrics kept.

A point is a name and the config of one setting (`addition.addition_config`). All points of one seed are one stored
run, so a sweep of dozens of trainings is a folder of a hundred kilobytes. A piece is trained as in `addition`, and
measured evenly in the logarithm of the clock (learning rate x steps), because a small start is ordered within the first
fiftieth of training and a large one late or never.

Axes: clock and metrics (m measured times,), cosines (k kept times, n anchors, n).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig import runs
from probsig.addition.training import MODELS, train
from probsig.errors import one_of
from probsig.experiments import addition
from probsig.geometry import small as geometry_small
from probsig.runs.drafts import Draft

METRICS = ("loss", "accuracy", "R_order", "mean_cosine", "norm_E", "norm_U")
"""What a piece keeps of `addition.measurement`, in float32."""

KEPT = (0.0, 0.25, 0.6, 5.0)
"""The clock at which a piece keeps the cosines of the anchors; 0.6 is the paper's epoch 120."""

PER_DECADE = 25
"""Times at which a piece is measured, of each factor of ten."""

Points = Mapping[str, Mapping[str, Any]]


def init_points(scale: str, seed: int, exponents: Sequence[float], hidden_size: int = 200) -> dict[str, dict[str, Any]]:
    """The points of a sweep of the initial scale: standard deviation d^-gamma for each gamma, and torch's defaults.

    >>> points = init_points("laptop", 0, [0.4, 0.8])
    >>> {name: point["init"] if name == "torch" else round(point["init"], 4) for name, point in points.items()}
    {'0.4': 0.1201, '0.8': 0.0144, 'torch': 'torch'}
    """
    inits = {f"{gamma:g}": float(hidden_size**-gamma) for gamma in exponents} | {"torch": "torch"}
    return {name: addition.addition_config(scale, seed, init, hidden_size) for name, init in inits.items()}


def variant_config(scale: str, seed: int, init: str = "sd", hidden_size: int = 200, **variant) -> dict[str, Any]:
    """`addition.addition_config` with a vocabulary that holds the labels: 200 ids, or as many as they need.

    >>> variant_config("laptop", 0, first_anchor=21, anchors=16, modulus=60)["vocab_size"]
    233
    """
    config = addition.addition_config(scale, seed, init, hidden_size, **variant)
    largest = config["first_z"] + config["modulus"] - 1 + 2 * (config["first_anchor"] + config["anchors"] - 1)
    return {**config, "vocab_size": max(config["vocab_size"], largest + 1)} if "vocab_size" not in variant else config


def times(config: Mapping[str, Any]) -> list[int]:
    """The steps at which a piece is measured: 0, and evenly in the logarithm of time from a thousandth of the run on.

    >>> chosen = times({"steps": 5000})
    >>> chosen[:4], chosen[-2:], len(chosen)
    ([0, 5, 6, 7], [4560, 5000], 74)
    """
    first = max(1.0, config["steps"] / 1000)
    count = 1 + round(PER_DECADE * np.log10(max(config["steps"] / first, 10.0)))
    return sorted({0, *np.geomspace(first, config["steps"], count).round().astype(int).tolist()})


def piece(
    config: Mapping[str, Any], task: str, model: str, *, steps: int | None = None, draft: Draft | None = None
) -> dict[str, NDArray]:
    """Train one model on one task and return clock, the `METRICS`, kept and cosines (float16) of one config.

    `steps` cuts the run short, with the same first steps.
    """
    law = addition.law_of(config, task)
    metrics, last = addition.measurement(law, model, config), config["steps"] if steps is None else steps

    def measure(step: int, *weights: NDArray) -> dict[str, float]:
        found = metrics(step, *weights)
        return {name: found[name] for name in METRICS}

    sampled = {} if config["batch"] is None else {"samples": config["samples"]}
    trained = train(
        law,
        model,
        seed=config["seed"],
        init=config["init"],
        hidden_size=config["hidden_size"],
        measure=measure,
        measure_at=[step for step in times(config) if step <= last],
        checkpoints=[step for step in _kept(config) if step <= last],
        steps=last,
        draft=draft,
        **{name: config[name] for name in ("batch", "learning_rate", "optimiser", "activation", "depth")},
        **sampled,
    )
    anchors = list(law.groups["anchors"])
    return {
        "clock": trained.steps * config["learning_rate"],
        **{name: values.astype(np.float32) for name, values in trained.metrics.items()},
        "kept": trained.checkpoints * config["learning_rate"],
        "cosines": np.array([geometry_small.cosine(W_E[anchors]) for W_E in trained.W_E], dtype=np.float16),
    }


def _kept(config: Mapping[str, Any]) -> list[int]:
    """The steps of `KEPT`, as shares of the scale's run, so that another learning rate keeps as many."""
    whole = addition.SCALES[config["scale"]]
    shares = [time / (whole["learning_rate"] * whole["steps"]) for time in KEPT]
    return sorted({round(share * config["steps"]) for share in shares if share <= 1} | {config["steps"]})


def stored(kind: str, points: Points, trainings: Mapping[str, Sequence[str]]) -> runs.Run:
    """The run of all points of one seed and scale: found, or trained now and stored.

    trainings names for each point what is trained, as "task/model"; the run's arrays are "point/task/model/metric".
    Raises ValueError where the points differ in scale or seed, a point has no training, or a model is unknown.

    >>> stored("sweep", {"a": addition.addition_config("smoke", 0)}, {})
    Traceback (most recent call last):
    ValueError: point 'a' has no training: name some, as in 'mod/linear'
    """
    shared = {(point["scale"], point["seed"]) for point in points.values()}
    if len(shared) != 1:
        raise ValueError(
            f"the points have the scales and seeds {sorted(shared)}: pass points of one scale and one seed"
        )
    pieces = {}
    for name, point in points.items():
        if not trainings.get(name):
            raise ValueError(f"point {name!r} has no training: name some, as in 'mod/linear'")
        for training in trainings[name]:
            task, _, model = training.partition("/")
            one_of(f"the model of training {training!r}", model, MODELS)
            addition.law_of(point, task)  # refuse an impossible task before anything is trained
            pieces[f"{name}/{training}"] = runs.Piece("probsig.experiments.sweeps:piece", (point, task, model))
    scale, seed = shared.pop()
    config = {
        "scale": scale,
        "seed": seed,
        "points": {name: dict(point) for name, point in points.items()},
        "trainings": {name: list(trainings[name]) for name in points},
    }
    return runs.run(kind, config, pieces)


def first_time(clock: ArrayLike, reached: ArrayLike) -> NDArray:
    """The clock at which each row of `reached` (seeds, m) is first true, (seeds,); inf where it never is.

    >>> first_time([0.0, 0.1, 0.2], [[False, True, True], [False, False, False]]).tolist()
    [0.1, inf]
    """
    reached = np.atleast_2d(reached)
    return np.where(reached.any(axis=1), np.asarray(clock, dtype=float)[reached.argmax(axis=1)], np.inf)
