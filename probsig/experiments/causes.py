"""Training on an edited task, and the order of its anchors along the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import runs
from probsig.addition import training
from probsig.geometry import small as geometry_small
from probsig.laws.distribution import Distribution
from probsig.laws.edited import NAMES, edit
from probsig.laws.tasks import addition
from probsig.runs.drafts import Draft

SCALES: dict[str, dict[str, Any]] = {
    "smoke": {"learning_rate": 1e-3, "steps": 600, "batch": 100, "samples": 10_000},
    "paper": {"learning_rate": 1e-5, "steps": 60_000, "batch": 100, "samples": 50_000},
}
"""The paper's protocol to epoch 120, and a hundred times its learning rate for as long a time."""


def stored(scale: str, seed: int, hidden_size: int = 200) -> runs.Run:
    """The run of every edit with one seed: found, or trained now and stored.

    Its arrays are "edit/array"; "swapped" takes the steps of the scale twice.
    Raises KeyError for a scale that is not in `SCALES`.
    """
    protocol = {"seed": seed, "hidden_size": hidden_size, **SCALES[scale]}
    twice = protocol | {"steps": 2 * protocol["steps"]}
    options = {name: twice if name == "swapped" else protocol for name in NAMES}
    pieces = {name: runs.Piece("probsig.experiments.causes:follow", (name,), options[name]) for name in NAMES}
    return runs.run("causes", {"scale": scale, **protocol}, pieces)


def follow(name: str, draft: Draft | None = None, **options) -> dict[str, NDArray]:
    """Train on an edit and follow its anchors; "swapped" spends half of the steps on f_add first, then the rest on it.

    `options` are those of `training.train` (seed, steps, ...). Returns steps, R_base and R_edit (m,), the order
    correlations by the anchors' own numbers and by the edit's positions, mean_cosine, and checkpoints with the
    anchors' embeddings (k, anchors, d) at the start, a third, the middle and the end.
    A fresh optimiser starts the second half of "swapped".
    """
    found, steps = edit(name), options.pop("steps")
    anchors = np.array(found.law.groups["anchors"])

    def measure(step: int, W_E: NDArray, W_U: NDArray) -> dict[str, float]:
        A = W_E[anchors].astype(float)
        return {
            "R_base": geometry_small.order_correlation(A, anchors),
            "R_edit": geometry_small.order_correlation(A, found.positions),
            "mean_cosine": float(geometry_small.pairs(geometry_small.cosine(A)).mean()),
        }

    def run(law: Distribution, last: int, keep: list[int], **more) -> training.Trajectory:
        at = sorted({round(last * part / 30) for part in range(31)})
        return training.train(
            law, found.model, steps=last, measure=measure, measure_at=at, checkpoints=keep, **options, **more
        )

    if name != "swapped":
        parts = [run(found.law, steps, [0, steps // 3, steps // 2, steps], draft=draft)]
    else:
        before = replace(addition(), stream="swapped-before")
        first = run(before, steps // 2, [0, steps // 3, steps // 2])
        parts = [first, run(found.law, steps - steps // 2, [steps - steps // 2], init=(first.W_E[-1], first.W_U[-1]))]
    begins = np.cumsum([0, *(part.steps[-1] for part in parts[:-1])])
    return {
        "steps": np.concatenate([part.steps + begin for part, begin in zip(parts, begins, strict=True)]),
        **{key: np.concatenate([part.metrics[key] for part in parts]) for key in parts[0].metrics},
        "checkpoints": np.concatenate([part.checkpoints + b for part, b in zip(parts, begins, strict=True)]),
        "anchors": np.concatenate([part.W_E[:, anchors] for part in parts]).astype(np.float32),
    }
