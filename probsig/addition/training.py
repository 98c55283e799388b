r"""The optimiser loop of the addition tasks: measured, with checkpoints, seeded and resumable, on a CPU or a GPU.

The steps are taken by an engine (`engines`). The loop knows nothing of geometry: the caller passes
`measure(step, W_E, W_U) -> dict of numbers`, with the inner matrix of a second hidden layer, if any, as a fourth.
One BLAS thread is used, so the bits do not depend on the number of threads.

Axes: W_E and W_U are (V token ids, d).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from probsig.addition import engines
from probsig.errors import one_of, whole
from probsig.laws.distribution import Distribution
from probsig.runs.drafts import Draft
from probsig.theory.models import initial_weights

MODELS = ("linear", "ffn")
PROTOCOL = tuple(field.name for field in fields(engines.Protocol))
DTYPES = (None, "float32", "float64", np.float32, np.float64)
CHUNK = 2500  # steps between two looks at the clock
Measure = Callable[..., Mapping[str, float]]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What one training run left.

    steps (m,) and metrics (each (m,)) are what `measure` gave; checkpoints (k,) are steps with weights W_E and W_U,
    both (k, V, d) in the type they were trained in.
    """

    steps: NDArray[np.int64]
    metrics: dict[str, NDArray[np.float64]]
    checkpoints: NDArray[np.int64]
    W_E: NDArray
    W_U: NDArray


@dataclass
class _Log:
    """What has been measured and kept so far, of every run."""

    steps: list[int] = field(default_factory=list)
    metrics: list[list[Mapping[str, float]]] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    weights: list[list[tuple[NDArray, NDArray]]] = field(default_factory=list)

    def names(self) -> list[str]:
        """What was measured at some step; at the others it is nan."""
        return list(dict.fromkeys(name for rows in self.metrics for name in rows[0]))

    def arrays(self) -> dict[str, NDArray]:
        """The log as arrays: steps, kept, metric/<name> (runs, m), W_E and W_U (k, runs, V, d)."""
        out = {"steps": np.array(self.steps, dtype=np.int64), "kept": np.array(self.kept, dtype=np.int64)}
        for name in self.names():
            out[f"metric/{name}"] = np.array([[row.get(name, np.nan) for row in rows] for rows in self.metrics]).T
        if self.weights:
            out |= {n: np.array([[W[i] for W in row] for row in self.weights]) for i, n in enumerate(("W_E", "W_U"))}
        return out

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray]) -> _Log:
        log = cls(arrays["steps"].tolist(), kept=arrays["kept"].tolist())
        names = [name for name in arrays if name.startswith("metric/")]
        for i in range(len(log.steps)):
            columns = {name.removeprefix("metric/"): arrays[name][:, i] for name in names}
            log.metrics.append([{n: float(c[r]) for n, c in columns.items()} for r in range(len(arrays[names[0]]))])
        if log.kept:
            log.weights = [list(zip(E, U, strict=True)) for E, U in zip(arrays["W_E"], arrays["W_U"], strict=True)]
        return log


def train(law: Distribution, model: str, *, seed: int, measure: Measure | None = None, **options) -> Trajectory:
    """Train one model on one law from the streams (seed, "data" | "init" | "order", law.stream).

    `options` are those of `train_together` and the fields of `engines.Protocol`; errors as there. (Section 4.1 and
    appendix A of the paper.)

    >>> from probsig.laws.tasks import addition
    >>> law = addition(anchors=range(1, 3), z=range(5, 8), vocab_size=12)
    >>> run = train(law, "linear", seed=0, steps=2, hidden_size=4, batch=None)
    >>> run.checkpoints.tolist(), run.W_E.shape, run.W_E.dtype.name
    ([2], (1, 12, 4), 'float64')
    """
    return train_together(law, model, seeds=[seed], measures=[measure] if measure else None, **options)[0]


def train_together(
    law: Distribution,
    model: str,
    *,
    seeds: Sequence[int],
    init: str | float | tuple[NDArray, NDArray] | Sequence[str | float] = "sd",
    hidden_size: int = 200,
    dtype: DTypeLike = None,  # type: ignore[assignment]
    device: str = "cpu",
    measures: Sequence[Measure] | None = None,
    measure_at: Iterable[int] = (),
    checkpoints: Iterable[int] | None = None,
    draft: Draft | None = None,
    **protocol,
) -> list[Trajectory]:
    """Train one model on one task with several seeds, side by side; the Trajectory of each.

    init is a reading of the paper's init, a standard deviation, or a pair of matrices (W_E, W_U) to go on from with a
    fresh optimiser; a list holds one a seed. dtype is float64 for the population gradient, else float32. A step number
    s means "after s updates", so 0 is the start; `checkpoints` defaults to the last step. Both models start from the
    same weights and see the same batches. device "auto" takes a GPU if there is one.
    With a `draft` the state is saved about every minute, and a run that was stopped goes on from it to the same bits; a
    draft of another law, start, protocol, or of other steps to measure or to keep, is not taken up.
    Raises ValueError for an unknown model or device, an impossible step, or what `Protocol` refuses.

    >>> from probsig.laws.tasks import addition
    >>> law = addition(anchors=range(1, 3), z=range(5, 8), vocab_size=12)
    >>> [run.W_U.shape for run in train_together(law, "ffn", seeds=[0, 1], steps=1, hidden_size=4, batch=None)]
    [(1, 12, 4), (1, 12, 4)]
    """
    one_of("model", model, MODELS)
    if not isinstance(law, Distribution):
        raise ValueError(f"law is {law!r}: pass a Distribution, such as laws.tasks.addition() gives")
    for name in protocol:
        one_of("an option", name, PROTOCOL, " or a parameter of train_together")
    how, hidden_size = engines.Protocol(**protocol), whole("hidden_size", hidden_size, 1)
    measure_at = {whole("step", step) for step in measure_at} if measures is not None else set()
    kept = {how.steps} if checkpoints is None else {whole("step", step) for step in checkpoints}
    outside = sorted(step for step in measure_at | kept if not 0 <= step <= how.steps)
    if outside:
        raise ValueError(f"step {outside[0]} is outside 0..{how.steps}: ask for steps of the run")
    one_of("dtype", str(dtype) if isinstance(dtype, str) else dtype, DTYPES)
    dtype = np.dtype(dtype or (np.float64 if how.batch is None else np.float32))
    inits = init if isinstance(init, list) else [init] * len(seeds)
    starts = [_start(law, hidden_size, one, seed, dtype) for one, seed in zip(inits, seeds, strict=True)]
    engine = engines.engine(law, model, how, starts, seeds, engines.resolve_device(device))

    what = {"measured": sorted(measure_at), "kept": sorted(kept), "dtype": dtype.str, **asdict(how)}
    log, identity = _Log(), {"model": model, "seeds": list(map(int, seeds)), "of": _digest(law, starts, what)}
    found = draft.load(identity) if draft else None
    if found:
        parts = {"state": {}, "log": {}}  # type: ignore[var-annotated]
        for name, array in found[1].items():
            part, _, key = name.partition("/")
            parts[part][key] = array
        engine.load(parts["state"], found[0])
        log = _Log.of(parts["log"])

    def save() -> None:
        if draft and draft.due():
            parts = {"state": engine.save(), "log": log.arrays()}
            arrays = {f"{part}/{key}": array for part, named in parts.items() for key, array in named.items()}
            draft.save(identity, engine.done, arrays)

    told = {"total": how.steps, "initial": engine.done, "desc": f"{law.name} {model}", "unit": " steps"}
    bar = tqdm(**told, mininterval=2, delay=3, leave=False)
    with threadpool_limits(1, user_api="blas"), bar:
        for event in sorted(step for step in measure_at | kept | {how.steps} if step >= engine.done):
            while engine.done < event:
                save()
                steps = min(CHUNK, event - engine.done)
                engine.advance(steps)
                bar.update(steps)
            if event in measure_at | kept:
                weights = engine.weights()
                if event in measure_at and event not in log.steps:
                    log.steps.append(event)
                    log.metrics.append([measure(event, *W) for measure, W in zip(measures, weights, strict=True)])  # type: ignore[arg-type]
                if event in kept and event not in log.kept:
                    log.kept.append(event)
                    log.weights.append([(W_E, W_U) for W_E, W_U, *_ in weights])
    return [_trajectory(log, i, law.vocab_size, hidden_size, dtype) for i in range(len(seeds))]


def _digest(law: Distribution, starts: engines.Starts, what: Mapping[str, Any]) -> str:
    """The SHA-256 of all that decides where a run stands after so many steps."""
    sha = hashlib.sha256(json.dumps([what, law.stream, int(law.vocab_size), len(law.X), law.length]).encode())
    for part in (law.X, law.y, law.weight, *(block for start in starts for block in start)):
        sha.update(np.ascontiguousarray(part).tobytes())
    return sha.hexdigest()


def _start(law: Distribution, hidden_size: int, init: Any, seed: int, dtype: np.dtype) -> engines.Start:
    """W_E, W_U and the inner matrix of a second hidden layer, in the type they are trained in."""
    given = isinstance(init, tuple)
    if given and any(np.shape(W) != (law.vocab_size, hidden_size) for W in init):
        shapes = " and ".join(str(np.shape(W)) for W in init)
        raise ValueError(f"init has matrices {shapes}: pass W_E and W_U, both {(law.vocab_size, hidden_size)}")
    W_E, W_U = init if given else initial_weights(law.vocab_size, hidden_size, init, seed, ("init", law.stream))
    of_inner = "variance" if given else init
    inner, _ = initial_weights(hidden_size, hidden_size, of_inner, seed, ("init", law.stream, "inner"))
    return np.array(W_E, dtype=dtype), np.array(W_U, dtype=dtype), np.array(inner, dtype=dtype)


def _trajectory(log: _Log, run: int, vocab_size: int, hidden_size: int, dtype: np.dtype) -> Trajectory:
    none = np.empty((0, vocab_size, hidden_size), dtype=dtype)
    return Trajectory(
        steps=np.array(log.steps, dtype=np.int64),
        metrics={name: np.array([rows[run].get(name, np.nan) for rows in log.metrics]) for name in log.names()},
        checkpoints=np.array(log.kept, dtype=np.int64),
        W_E=np.array([row[run][0] for row in log.weights]) if log.kept else none,
        W_U=np.array([row[run][1] for row in log.weights]) if log.kept else none,
    )
