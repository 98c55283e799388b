"""The stored runs of the addition tasks, as chapters read them.

A run of one seed holds every task and model; `Over` puts the seeds side by side. The rest is what the chapters on the
trained weights print and draw of them: a spread over seeds, a plane of principal components, the size of a null.

Axes: seeds first, then what `experiments` stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig import experiments, geometry


@dataclass(frozen=True, eq=False)
class Over:
    """Arrays of the same runs with several seeds; called with a task, a model and a name it gives (seeds, ...).

    Raises KeyError for what the runs don't hold.

    >>> over = Over([{"add/linear/steps": np.array([0, 5])}, {"add/linear/steps": np.array([0, 5])}])
    >>> over("add", "linear", "steps").tolist()
    [[0, 5], [0, 5]]
    """

    arrays: Sequence[Mapping[str, NDArray]]

    def __call__(self, task: str, model: str, name: str) -> NDArray:
        return np.stack([run[f"{task}/{model}/{name}"] for run in self.arrays])

    def at(self, task: str, model: str, name: str, which: int) -> NDArray:
        """A metric at the checkpoint number `which`, (seeds,).

        >>> run = {"steps": np.array([0, 5, 9]), "checkpoints": np.array([0, 9]), "loss": np.array([3.0, 2.0, 1.0])}
        >>> over = Over([{f"add/linear/{name}": array for name, array in run.items()}])
        >>> over.at("add", "linear", "loss", -1).tolist()
        [1.0]
        """
        step = self(task, model, "checkpoints")[0, which]
        return self(task, model, name)[:, np.flatnonzero(self(task, model, "steps")[0] == step)[0]]


@dataclass(frozen=True)
class Clock:
    """What a config's steps are called and counted in: `unit` "epoch" or "step", `per_epoch` steps in one of them.

    >>> Clock.of(experiments.addition_config("paper", 0))
    Clock(unit='epoch', per_epoch=500)
    """

    unit: str
    per_epoch: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Clock:
        """The clock of a config; a population gradient has no epochs."""
        return cls("epoch", config["samples"] // config["batch"]) if config["batch"] else cls("step", 1)

    def stage(self, config: Mapping[str, Any], epoch: int) -> int:
        """The number of the checkpoint at an epoch; -1 takes the epoch of the paper's figures, 0.6 on AdamW's clock.

        Raises ValueError, with those that were kept, where there is none.

        >>> config = experiments.addition_config("paper", 0)
        >>> Clock.of(config).stage(config, -1) == Clock.of(config).stage(config, 120)
        True
        """
        kept = experiments.checkpoints(config)
        wanted = round(0.6 / config["learning_rate"]) if epoch < 0 else epoch * self.per_epoch
        if wanted not in kept[1:]:
            listed = ", ".join(str(step // self.per_epoch) for step in kept[1:])
            raise ValueError(f"epoch {epoch} was not kept: choose one of {listed} ({self.unit}s of this scale).")
        return kept.index(wanted)


def spread(values: ArrayLike) -> str:
    """Mean of the values over seeds, with the least and the greatest in brackets.

    >>> spread([1.0, 2.0])
    '1.500 [1.000, 2.000]'
    """
    values = np.asarray(values, dtype=float)
    return f"{values.mean():.3f} [{values.min():.3f}, {values.max():.3f}]"


def plane(rows: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The first two principal components (n, 2) with their shares, or one point where all rows are equal.

    >>> plane([[1.0, 2.0], [1.0, 2.0]])[0].tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    rows = np.asarray(rows, dtype=float)
    if np.ptp(rows, axis=0).max() < 1e-12:
        return np.zeros((len(rows), 2)), np.zeros(2)
    return geometry.pca(rows)


def null_size(W: ArrayLike, signature: ArrayLike, seed: int, draws: int = 999) -> float:
    """The 95 % quantile of the size of the correlation of cosines when the rows' names are shuffled; nan where there is
    no correlation, because one side is constant.

    >>> null_size(np.eye(4), np.ones((4, 2)), seed=0)
    nan
    """
    if np.isnan(geometry.pearson(*(geometry.pairs(geometry.cosine(one)) for one in (W, signature)))):
        return float("nan")
    return float(np.quantile(np.abs(geometry.permutation_null(W, signature, draws, seed)), 0.95))
