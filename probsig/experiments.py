"""The experiment of the addition tasks: three tasks, two models, one protocol at three scales.

`addition(config)` names its six pieces, one for each task and model, as `runs.run` takes them.
A piece measures, along training, what the paper's sections 4.1, 4.2, 5 and B.2 look at, and keeps the rows of W^E of
the anchors and the rows of W^U of the labels at named checkpoints.

Axes: a metric is (m measured steps,), anchors is (k checkpoints, 10 anchors, d), labels is (k, number of labels, d).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from probsig import flow, geometry, signatures
from probsig.models import FeedForward, LinearModel
from probsig.tasks import TASKS, Distribution
from probsig.training import MODELS, Measure, train

SCALES: dict[str, dict[str, Any]] = {
    "smoke": {
        "learning_rate": 1e-2,
        "batch": None,
        "samples": None,
        "steps": 160,
        "every": 4,
        "checkpoints": [0, 10, 25, 60, 100, 160],
    },
    "laptop": {
        "learning_rate": 1e-4,
        "batch": 100,
        "samples": 50_000,
        "steps": 50_000,
        "every": 500,
        "checkpoints": [0, 1000, 2500, 6000, 10_000, 25_000, 50_000],
    },
    "paper": {
        "learning_rate": 1e-5,
        "batch": 100,
        "samples": 50_000,
        "steps": 500_000,
        "every": 2500,
        "checkpoints": [0, 10_000, 25_000, 60_000, 100_000, 250_000, 500_000],
    },
}
"""The protocols; "every" is the number of steps between two measurements, 500 steps of 100 samples are one epoch.

AdamW moves an entry by about the learning rate a step, so learning rate times steps is a clock that scales share;
the checkpoints stand at about the same times of it (0.1, 0.25, 0.6, 1, 2.5 and 5), 0.6 being the paper's epoch 120."""

PREFIX = 200
"""A run is measured at this step too, so that a test can do the first steps again and compare."""


def addition_config(scale: str, seed: int, init: str = "sd", hidden_size: int = 200) -> dict[str, Any]:
    """The config of the experiment at a scale; raises KeyError for an unknown scale.

    >>> addition_config("laptop", seed=1)["learning_rate"]
    0.0001
    """
    return {"scale": scale, "seed": seed, "init": init, "hidden_size": hidden_size, **SCALES[scale]}


def addition(config: dict[str, Any], progress: bool = False) -> dict[str, Callable[[], dict[str, np.ndarray]]]:
    """The six pieces of a config, "task/model" -> what trains it and returns its arrays, for `runs.run`.

    >>> list(addition(addition_config("smoke", seed=0)))[:2]
    ['add/linear', 'add/ffn']
    """
    pieces = [(task, model) for task in TASKS for model in MODELS]
    return {f"{task}/{model}": partial(piece, config, task, model, progress=progress) for task, model in pieces}


def piece(
    config: dict[str, Any], task: str, model: str, *, steps: int | None = None, progress: bool = False
) -> dict[str, np.ndarray]:
    """Train one model on one task and return its arrays; `steps` cuts the run short, with the same first steps.

    The keys are steps, the metrics of `measurement`, checkpoints, anchors and labels (float32).
    """
    dist, last = TASKS[task](), steps or config["steps"]
    options = {"batch": None} if config["batch"] is None else {"batch": config["batch"], "samples": config["samples"]}
    trained = train(
        dist,
        model,
        seed=config["seed"],
        steps=last,
        init=config["init"],
        hidden_size=config["hidden_size"],
        learning_rate=config["learning_rate"],
        dtype=np.float32,
        measure=measurement(dist, model, config),
        measure_at=[step for step in {*range(0, last + 1, config["every"]), PREFIX} if step <= last],
        checkpoints=[step for step in config["checkpoints"] if step <= last],
        progress=progress,
        **options,
    )
    return {
        "steps": trained.steps,
        **trained.metrics,
        "checkpoints": trained.checkpoints,
        "anchors": trained.W_E[:, dist.groups["anchors"]].astype(np.float32),
        "labels": trained.W_U[:, dist.groups["labels"]].astype(np.float32),
    }


def measurement(dist: Distribution, model: str, config: dict[str, Any]) -> Measure:
    """What a piece measures of (step, W_E, W_U).

    loss (nats) and accuracy over all sequences, exactly; sample_accuracy over the sample trained on;
    R_order, mean_cosine of the anchors; phi_y, phi_X, phi_Xy: the correlation of their cosines with those of each
    signature; varphi_X: the same of the labels' unembeddings; distance, ring: the correlation of those cosines with
    |nu - nu'| and with the distance around the ring of labels; norm_E, norm_U: Frobenius norms of W_E and W_U.
    """
    anchors, labels = np.array(dist.groups["anchors"]), np.array(dist.groups["labels"])
    law, hidden = dist.merged(), LinearModel() if model == "linear" else FeedForward("relu")
    sample = dist.probability
    if config["batch"] is not None:
        sample = np.bincount(dist.draw(config["samples"], config["seed"]), minlength=len(dist.X)) / config["samples"]
    # the atoms of `law` are multisets; what the sample holds of each is the sum over its orders
    rows = {tuple(row): i for i, row in enumerate(np.column_stack([law.X, law.y]).tolist())}
    index = [rows[tuple(row)] for row in np.column_stack([np.sort(dist.X, axis=1), dist.y]).tolist()]
    sample = np.bincount(index, weights=sample, minlength=len(law.X))
    phi = {
        "phi_y": signatures.label(dist, anchors),
        "phi_X": signatures.cooccurrence(dist, anchors),
        "phi_Xy": signatures.joint(dist, anchors).reshape(len(anchors), -1),
    }
    inverse = signatures.inverse(dist, labels)
    apart = np.abs(labels[:, None] - labels)
    ring = np.minimum(apart, len(labels) - apart)

    def measure(step: int, W_E: np.ndarray, W_U: np.ndarray) -> dict[str, float]:
        F = flow.logits(law, W_E, W_U, hidden)
        top = F.max(axis=1)
        of_label = F[np.arange(len(F)), law.y]
        surprise = top + np.log(np.exp(F - top[:, None]).sum(axis=1)) - of_label
        right = F.argmax(axis=1) == law.y
        A, U = W_E[anchors].astype(float), W_U[labels].astype(float)
        cosine_U = geometry.pairs(geometry.cosine(U))
        return {
            "loss": float(law.probability @ surprise),
            "accuracy": float(law.probability @ right),
            "sample_accuracy": float(sample @ right),
            "R_order": geometry.order_correlation(A),
            "mean_cosine": float(geometry.pairs(geometry.cosine(A)).mean()),
            **{name: geometry.cosine_correlation(A, signature) for name, signature in phi.items()},
            "varphi_X": geometry.cosine_correlation(U, inverse),
            "distance": geometry.pearson(cosine_U, geometry.pairs(apart)),
            "ring": geometry.pearson(cosine_U, geometry.pairs(ring)),
            "norm_E": float(np.linalg.norm(W_E.astype(float))),
            "norm_U": float(np.linalg.norm(W_U.astype(float))),
        }

    return measure
