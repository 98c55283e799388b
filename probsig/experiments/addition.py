"""The experiment of the addition tasks: three tasks, two models, one protocol at three scales, and its variants.

`addition(config)` names its six pieces, one for each task and model, as `runs.run` takes them.
A piece measures, along training, what the paper's sections 4.1, 4.2, 5 and B.2 look at, keeps the rows of W^E of the
anchors and the rows of W^U of the labels at named checkpoints, and asks what share of the exact velocity the
corollaries explain. The whole matrices are never stored.

Axes: a metric is (m measured steps,), anchors (k checkpoints, number of anchors, d), labels (k, number of labels, d).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import runs
from probsig.addition import engines
from probsig.addition.training import MODELS, Measure, Trajectory, train_together
from probsig.geometry import small as geometry_small
from probsig.laws.distribution import Distribution
from probsig.laws.tasks import TASKS
from probsig.runs.drafts import Draft
from probsig.runs.machine import hardware
from probsig.signatures import laws as signatures_laws
from probsig.theory.activations import ACTIVATIONS
from probsig.theory.explained import explained

SCALES: dict[str, dict[str, Any]] = {
    "smoke": {"learning_rate": 1e-2, "batch": None, "samples": None, "steps": 160, "every": 4},
    "laptop": {"learning_rate": 1e-4, "batch": 100, "samples": 50_000, "steps": 50_000, "every": 500},
    "paper": {"learning_rate": 1e-5, "batch": 100, "samples": 50_000, "steps": 500_000, "every": 2500},
}
"""The protocols; "every" is the number of steps between two measurements, 500 steps of 100 samples are one epoch.

AdamW moves an entry by about the learning rate a step, so learning rate times steps is a clock that scales share;
0.6 of it is the paper's epoch 120, and 5 its end."""

CLOCK = (0.0, 0.1, 0.25, 0.6, 1.0, 2.5, 5.0)
"""Where a piece keeps weights: learning rate times steps, epochs 0, 20, 50, 120, 200, 500 and 1000 of the paper."""

EXPLAINED = (0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2, 2.5, 3, 4, 5)
"""Where a piece compares the exact velocity with the formulas, on the same clock."""

VARIANT: dict[str, Any] = {
    "first_anchor": 11,
    "anchors": 10,
    "first_z": 101,
    "modulus": 40,
    "vocab_size": 200,
    "optimiser": "adamw",
    "activation": "relu",
    "depth": 1,
}
"""The paper's tasks and models; "modulus" is the number of values of z (of y in f~_add), and vocab_size None takes only
the ids that occur."""

PREFIX = 200
"""A run is measured at this step too, so that a test can do the first steps again and compare."""


def addition_config(scale: str, seed: int, init: str = "sd", hidden_size: int = 200, **variant) -> dict[str, Any]:
    """The config of the experiment at a scale; `variant` replaces entries of `VARIANT` or of the scale.

    Raises KeyError for an unknown scale and TypeError for an unknown entry.

    >>> addition_config("laptop", seed=1)["learning_rate"], addition_config("smoke", seed=0, modulus=7)["modulus"]
    (0.0001, 7)
    """
    config = {"scale": scale, "seed": seed, "init": init, "hidden_size": hidden_size, **VARIANT, **SCALES[scale]}
    for name in variant:
        if name not in config:
            raise TypeError(f"unknown entry {name!r} of an addition config: choose one of {', '.join(config)}")
    return config | variant


def checkpoints(config: dict[str, Any], clock: Sequence[float] = CLOCK) -> list[int]:
    """The steps of a config at which learning rate x steps passes `clock`.

    >>> checkpoints(addition_config("paper", seed=0))
    [0, 10000, 25000, 60000, 100000, 250000, 500000]
    """
    steps = {round(time / config["learning_rate"]) for time in clock}
    return sorted({step for step in steps if step <= config["steps"]} | {config["steps"]})


def law_of(config: dict[str, Any], task: str) -> Distribution:
    """The task of a config.

    Raises ValueError where anchors and z overlap, the modulus is 0, or an id does not fit the vocabulary.

    >>> law_of(addition_config("smoke", seed=0, vocab_size=None), "mod").vocab_size
    50
    """
    a, z = config["first_anchor"], config["first_z"]
    sets = range(a, a + config["anchors"]), range(z, z + config["modulus"])
    if config["vocab_size"] is None:
        return TASKS[task](*sets, vocab_size=a + z + 2 * sum(map(len, sets)) + 2 * a).compact()[0]
    return TASKS[task](*sets, vocab_size=config["vocab_size"])


def addition(config: dict[str, Any]) -> dict[str, runs.Piece]:
    """The six pieces of a config, "task/model" -> the call that trains it, for `runs.run`.

    >>> list(addition(addition_config("smoke", seed=0)))[:2]
    ['add/linear', 'add/ffn']
    """
    return {
        f"{task}/{model}": runs.Piece("probsig.experiments.addition:piece", (config, task, model))
        for task in TASKS
        for model in MODELS
    }


def faster(config: dict[str, Any]) -> runs.Run:
    """The run of the linear model on the two additions at a config of another learning rate, of which only the
    accuracies and the order are kept: found, or trained now and stored."""
    pieces = {
        task: runs.Piece("probsig.experiments.addition:accuracies", (config, task)) for task in ("add", "add_same")
    }
    return runs.run("longer", config, pieces)


def addition_runs(configs: Sequence[dict[str, Any]], device: str = "auto") -> list[runs.Run]:
    """The stored runs of these configs; what is missing is trained and stored.

    On a CPU the pieces of a config train side by side, one a core. On a GPU every piece trains for all missing configs
    together, which therefore may differ in seed and init only. device is "auto", "cpu" or "cuda".
    """
    found = [runs.find("addition", config, addition(config)) for config in configs]
    missing = [config for config, run in zip(configs, found, strict=True) if run is None]
    done: dict[str, list[dict[str, np.ndarray]]] = {}
    begun = time.perf_counter()
    if missing and runs.may_compute(missing[0]) and engines.resolve_device(device) == "cuda":
        for task in TASKS:
            for model in MODELS:
                done[f"{task}/{model}"] = pieces(missing, task, model, device="cuda")
    seconds = (time.perf_counter() - begun) / max(1, len(missing) * len(done))
    for at, config in enumerate(missing if done else ()):
        parts = {name: (seconds, arrays[at]) for name, arrays in done.items()}
        runs.store("addition", config, addition(config), parts)
    return [run or runs.run("addition", config, addition(config)) for config, run in zip(configs, found, strict=True)]


def live(config: dict[str, Any], names: Sequence[str] = ()) -> runs.Run:
    """The pieces of a config, all or those of some names, trained now and stored nowhere.

    >>> found = live(addition_config("smoke", 0, hidden_size=2, steps=2), ["add/linear"])
    >>> found.arrays["add/linear/steps"].tolist(), found.origin
    ([0, 1, 2], 'new')
    """
    begun, chosen = time.perf_counter(), addition(config)
    made = {name: chosen[name].make() for name in names or chosen}
    arrays = {f"{name}/{key}": array for name, part in made.items() for key, array in part.items()}
    record = {"seconds": time.perf_counter() - begun, "hardware": hardware()}
    return runs.Run("live", config, arrays, record, "new")


def at_stage(found: Sequence[runs.Run], piece: str, name: str, stage: int) -> NDArray[np.float64]:
    """A metric of a piece at one of its checkpoints, by number, of every run: (seeds,)."""
    step = runs.over(found, f"{piece}/checkpoints")[0][stage]
    at = np.searchsorted(runs.over(found, f"{piece}/steps")[0], step)
    return runs.over(found, f"{piece}/{name}")[:, at]


def piece(
    config: dict[str, Any], task: str, model: str, draft: Draft | None = None, **options
) -> dict[str, np.ndarray]:
    """Train one model on one task and return its arrays: `pieces` of one config, on a CPU.

    `draft` holds the state of a run that may be stopped.
    """
    return pieces([config], task, model, draft=draft, **options)[0]


def accuracies(config: dict[str, Any], task: str, draft: Draft | None = None) -> dict[str, np.ndarray]:
    """Steps, accuracies and R_order of `piece` for the linear model."""
    trained = piece(config, task, "linear", draft=draft)
    return {name: trained[name] for name in ("steps", "accuracy", "sample_accuracy", "R_order")}


def pieces(
    configs: Sequence[dict[str, Any]],
    task: str,
    model: str,
    *,
    steps: int | None = None,
    draft: Draft | None = None,
    device: str = "cpu",
) -> list[dict[str, np.ndarray]]:
    """Train one model on one task for configs that differ in seed and init; the arrays of each.

    The keys are steps, the metrics of `measurement`, checkpoints, anchors (float32), labels (float16, so a cosine is
    right to 1e-4), explained_steps and, where the model is one of the paper's, "explained/<formula>/share | cosine".
    `steps` cuts the run short, with the same first steps.
    """
    config, law = configs[0], law_of(configs[0], task)
    last = config["steps"] if steps is None else steps
    sampled = {} if config["batch"] is None else {"samples": config["samples"]}
    described = model == "linear" or (config["activation"], config["depth"]) == ("relu", 1)
    at = [step for step in checkpoints(config, EXPLAINED) if step <= last] if described else []

    def measured(one: dict[str, Any]) -> Measure:
        metrics = measurement(law, model, one)

        def measure(step: int, *weights: np.ndarray) -> dict[str, float]:
            shares = explained(law, model, *weights) if step in at else {}
            return metrics(step, *weights) | {f"explained/{name}": share for name, share in shares.items()}

        return measure

    trained = train_together(
        law,
        model,
        seeds=[one["seed"] for one in configs],
        init=[one["init"] for one in configs],
        hidden_size=config["hidden_size"],
        device=device,
        measures=[measured(one) for one in configs],
        measure_at=[step for step in {*range(0, last + 1, config["every"]), PREFIX, *at} if step <= last],
        checkpoints=[step for step in checkpoints(config) if step <= last],
        draft=draft,
        steps=last,
        batch=config["batch"],
        **{name: config[name] for name in ("learning_rate", "optimiser", "activation", "depth")},
        **sampled,
    )
    return [_arrays(law, one, at) for one in trained]


def _arrays(law: Distribution, trained: Trajectory, at: Sequence[int]) -> dict[str, np.ndarray]:
    rows = np.searchsorted(trained.steps, at)
    compared = {name: values[rows] for name, values in trained.metrics.items() if name.startswith("explained/")}
    return {
        "steps": trained.steps,
        **trained.metrics,
        "explained_steps": np.array(at, dtype=np.int64),
        **compared,
        "checkpoints": trained.checkpoints,
        "anchors": trained.W_E[:, law.groups["anchors"]].astype(np.float32),
        "labels": trained.W_U[:, law.groups["labels"]].astype(np.float16),
    }


def measurement(law: Distribution, model: str, config: dict[str, Any]) -> Measure:
    """What a piece measures of (step, W_E, W_U).

    loss (nats) and accuracy over all sequences, exactly; sample_accuracy over the sample trained on;
    R_order, mean_cosine of the anchors; phi_y, phi_X, phi_Xy: the correlation of their cosines with those of each
    signature; varphi_X: the same of the labels' unembeddings, and with both means taken out, varphi_X_centred;
    distance, ring: the correlation of those cosines with |nu - nu'| and with the distance around the ring of labels;
    norm_E, norm_U: Frobenius norms of W_E and W_U.
    """
    anchors, labels = np.array(law.groups["anchors"]), np.array(law.groups["labels"])
    merged = law.merged()
    counts = merged.counts().astype(float)
    sample = law.probability
    if config["batch"] is not None:
        sample = np.bincount(law.draw(config["samples"], config["seed"]), minlength=len(law.X)) / config["samples"]
    # the atoms of `merged` are multisets; what the sample holds of each is the sum over its orders
    rows = {tuple(row): i for i, row in enumerate(np.column_stack([merged.X, merged.y]).tolist())}
    index = [rows[tuple(row)] for row in np.column_stack([np.sort(law.X, axis=1), law.y]).tolist()]
    sample = np.bincount(index, weights=sample, minlength=len(merged.X))
    phi = {
        "phi_y": signatures_laws.label(law, anchors),
        "phi_X": signatures_laws.cooccurrence(law, anchors),
        "phi_Xy": signatures_laws.joint(law, anchors).reshape(len(anchors), -1),
    }
    inverse, sigma = signatures_laws.inverse(law, labels), ACTIVATIONS[config["activation"]]
    apart = np.abs(labels[:, None] - labels)
    ring = np.minimum(apart, len(labels) - apart)

    def measure(step: int, W_E: np.ndarray, W_U: np.ndarray, *inner: np.ndarray) -> dict[str, float]:
        H = counts @ W_E.astype(float)
        if model == "ffn":
            H = sigma.function(H)
            for W in inner:
                H = sigma.function(H @ W.T)
        F = H @ W_U.T.astype(float)
        top = F.max(axis=1)
        of_label = F[np.arange(len(F)), merged.y]
        surprise = top + np.log(np.exp(F - top[:, None]).sum(axis=1)) - of_label
        right = F.argmax(axis=1) == merged.y
        A, U = W_E[anchors].astype(float), W_U[labels].astype(float)
        cosine_U = geometry_small.pairs(geometry_small.cosine(U))
        return {
            "loss": float(merged.probability @ surprise),
            "accuracy": float(merged.probability @ right),
            "sample_accuracy": float(sample @ right),
            "R_order": geometry_small.order_correlation(A),
            "mean_cosine": float(geometry_small.pairs(geometry_small.cosine(A)).mean()),
            **{name: geometry_small.cosine_correlation(A, signature) for name, signature in phi.items()},
            "varphi_X": geometry_small.cosine_correlation(U, inverse),
            "varphi_X_centred": geometry_small.cosine_correlation(U - U.mean(axis=0), inverse - inverse.mean(axis=0)),
            "distance": geometry_small.pearson(cosine_U, geometry_small.pairs(apart)),
            "ring": geometry_small.pearson(cosine_U, geometry_small.pairs(ring)),
            "norm_E": float(np.linalg.norm(W_E.astype(float))),
            "norm_U": float(np.linalg.norm(W_U.astype(float))),
        }

    return measure


@dataclass(frozen=True)
class Clock:
    """What a config's steps are called and counted in: `unit` "epoch" or "step", `per_epoch` steps in one of them.

    >>> Clock.of(addition_config("paper", 0))
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

        >>> config = addition_config("paper", 0)
        >>> Clock.of(config).stage(config, -1) == Clock.of(config).stage(config, 120)
        True
        """
        kept = checkpoints(config)
        wanted = round(0.6 / config["learning_rate"]) if epoch < 0 else epoch * self.per_epoch
        if wanted not in kept[1:]:
            listed = ", ".join(str(step // self.per_epoch) for step in kept[1:])
            raise ValueError(f"epoch {epoch} was not kept: choose one of {listed} ({self.unit}s of this scale).")
        return kept.index(wanted)
