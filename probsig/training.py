r"""The optimiser loop of the addition tasks: exact population gradient or minibatches, AdamW, hand-written gradients.

Both models of section 3.1 of the paper see a sequence only through the sum of its embeddings, S = C W^E with C (n, T)
the counts of the T tokens that occur. With w the weights of the sequences and P = w (softmax(F) - one-hot(y)), (n, V):

    linear         F = C M with M = W^E W^{U,T}     Q = C^T P,  dW^E = Q W^U,  dW^U = Q^T W^E
    feed-forward   F = H W^{U,T} with H = relu(S)   dW^U = P^T H,  dW^E = C^T ((P W^U) * 1{S > 0})

so in the linear model a batch meets only the small matrix M, once a step. The population gradient is the same formula
with all sequences and their probabilities: minus the velocity of Propositions 1 and 2 (`flow.velocity`).
Tokens that occur in no sequence have no gradient: AdamW's weight decay alone shrinks them.

The loop knows nothing of geometry: the caller passes `measure(step, W_E, W_U) -> dict of numbers`.
One BLAS thread is used, so the bits do not depend on the number of threads.

Axes: W_E and W_U are (V token ids, d); batches are (n sequences, T tokens that occur).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from probsig import seeds
from probsig.models import initial_weights
from probsig.tasks import TASKS, Distribution

MODELS = ("linear", "ffn")
Measure = Callable[[int, NDArray, NDArray], Mapping[str, float]]


class AdamW:
    """AdamW on one flat vector, in place, with torch's defaults and in torch's order of operations.

    A first step moves every entry by the learning rate against the sign of its gradient, after the decay.

    >>> W = np.array([1.0, -1.0])
    >>> AdamW(W, learning_rate=0.1).step(np.array([3.0, -5.0]))
    >>> W.round(6).tolist()
    [0.899, -0.899]
    """

    def __init__(self, W, learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        self.W, self.learning_rate, self.betas, self.eps, self.weight_decay = W, learning_rate, betas, eps, weight_decay
        self.steps = 0
        self.mean, self.square, self._work = np.zeros_like(W), np.zeros_like(W), np.zeros_like(W)

    def step(self, gradient: NDArray) -> None:
        """One update of W by its gradient, an array like W."""
        self.steps += 1
        first, second = self.betas
        work, scalar = self._work, self.W.dtype.type
        self.W *= scalar(1 - self.learning_rate * self.weight_decay)
        np.subtract(gradient, self.mean, out=work)
        work *= scalar(1 - first)
        self.mean += work
        self.square *= scalar(second)
        np.multiply(gradient, gradient, out=work)
        work *= scalar(1 - second)
        self.square += work
        np.sqrt(self.square, out=work)
        work *= scalar((1 - second**self.steps) ** -0.5)
        work += scalar(self.eps)
        np.divide(self.mean, work, out=work)
        work *= scalar(self.learning_rate / (1 - first**self.steps))
        self.W -= work


def gradient(model: str, C: NDArray, y: NDArray, weight: NDArray, E: NDArray, U: NDArray) -> tuple[NDArray, NDArray]:
    """The gradient of the weighted cross-entropy in E (T, d) and U (V, d).

    model "linear" or "ffn"; C (n, T) counts, y (n,) labels, weight (n,) summing to one, all floats of one type.

    >>> one = np.ones((1, 1))
    >>> [g.tolist() for g in gradient("linear", one, np.array([1]), np.ones(1), one, np.array([[0.0], [0.0]]))]
    [[[0.0]], [[0.5], [-0.5]]]
    """
    if model == "linear":
        F = C @ (E @ U.T)
    else:
        S = C @ E
        H = np.maximum(S, 0)
        F = H @ U.T
    F -= F.max(axis=1, keepdims=True)
    np.exp(F, out=F)
    F *= (weight / F.sum(axis=1))[:, None]
    F[np.arange(len(y)), y] -= weight
    if model == "linear":
        Q = C.T @ F
        return Q @ U, Q.T @ E
    return C.T @ ((F @ U) * (S > 0)), F.T @ H


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


def train(
    dist: Distribution,
    model: str,
    *,
    seed: int,
    steps: int,
    init: str | float = "sd",
    hidden_size: int = 200,
    learning_rate: float = 1e-4,
    batch: int | None = 100,
    samples: int = 50_000,
    dtype: DTypeLike = None,
    measure: Measure | None = None,
    measure_at: Iterable[int] = (),
    checkpoints: Iterable[int] | None = None,
    progress: bool = False,
) -> Trajectory:
    """Train one model on one task from the streams (seed, "data" | "init" | "order", dist.name).

    batch None takes the exact gradient of the population every step (float64 unless `dtype` says otherwise); a number
    takes that many of `samples` independent draws, reshuffled every epoch (float32). A step number s means "after s
    updates", so 0 is the start; `checkpoints` defaults to the last step. Both models start from the same weights and
    see the same batches. Raises ValueError for an unknown model or an impossible number of steps or samples.

    >>> from probsig.tasks import addition
    >>> law = addition(anchors=range(1, 3), z=range(5, 8), vocab_size=12)
    >>> run = train(law, "linear", seed=0, steps=2, hidden_size=4, batch=None)
    >>> run.checkpoints.tolist(), run.W_E.shape, run.W_E.dtype.name
    ([2], (1, 12, 4), 'float64')
    """
    if model not in MODELS:
        raise ValueError(f"unknown model {model!r}: choose one of {', '.join(MODELS)}")
    measure_at = set(measure_at) if measure is not None else set()
    kept = {steps} if checkpoints is None else set(checkpoints)
    outside = sorted(step for step in measure_at | kept if not 0 <= step <= steps)
    if steps < 0 or outside:
        raise ValueError(f"step {(outside or [steps])[0]} is outside 0..{steps}: ask for steps of the run")
    if batch is not None and (batch < 1 or samples % batch):
        raise ValueError(f"samples {samples} are no multiple of batch {batch}: choose a batch that divides them")
    dtype = np.dtype(dtype or (np.float64 if batch is None else np.float32))
    start_E, start_U = initial_weights(dist.vocab_size, hidden_size, init, seed, ("init", dist.name))
    W_E, occurs = start_E.astype(dtype), dist.occurs()
    split = len(occurs) * hidden_size
    flat = np.concatenate([W_E[occurs].ravel(), start_U.astype(dtype).ravel()])
    flat_gradient = np.zeros_like(flat)
    (E, U), (dE, dU) = (
        (v[:split].reshape(-1, hidden_size), v[split:].reshape(-1, hidden_size)) for v in (flat, flat_gradient)
    )
    optimiser = AdamW(flat, learning_rate)
    shrink = dtype.type(1 - learning_rate * optimiser.weight_decay)

    rows: list[tuple[int, Mapping[str, float]]] = []
    weights: list[tuple[NDArray, NDArray]] = []
    bar = tqdm(total=steps, desc=f"{dist.name} {model}", unit=" steps", mininterval=2, disable=not progress)
    with threadpool_limits(1, user_api="blas"), bar:
        source = batches(dist, seed, batch, samples, dtype)
        for step in range(steps + 1):
            if step:
                dE[:], dU[:] = gradient(model, *next(source), E, U)
                optimiser.step(flat_gradient)
                W_E *= shrink  # what is left of it where a token occurs is overwritten below
                bar.update()
            if step in measure_at or step in kept:
                W_E[occurs] = E
                W = W_E.copy(), U.copy()
                if step in measure_at:
                    rows.append((step, measure(step, *W)))
                if step in kept:
                    weights.append(W)
    names = rows[0][1] if rows else ()
    return Trajectory(
        steps=np.array([step for step, _ in rows], dtype=np.int64),
        metrics={name: np.array([row[name] for _, row in rows], dtype=np.float64) for name in names},
        checkpoints=np.array(sorted(kept), dtype=np.int64),
        W_E=np.array([W[0] for W in weights]),
        W_U=np.array([W[1] for W in weights]),
    )


def batches(dist: Distribution, seed: int, batch: int | None, samples: int, dtype: np.dtype):
    """Yield (counts (n, T), labels (n,), weights (n,)) without end: the population, or batches of a sample.

    The sample is `dist.draw(samples, seed)`; every epoch takes it in a new order of the stream (seed, "order", name).
    """
    if batch is None:
        law = dist.merged()
        everything = law.counts()[:, dist.occurs()].astype(dtype), law.y, law.probability.astype(dtype)
        while True:
            yield everything
    counts, drawn = dist.counts()[:, dist.occurs()].astype(dtype), dist.draw(samples, seed)
    weight, order = np.full(batch, 1 / batch, dtype=dtype), seeds.stream(seed, "order", dist.name)
    while True:
        epoch = drawn[order.permutation(samples)]
        for start in range(0, samples, batch):
            atoms = epoch[start : start + batch]
            yield counts[atoms], dist.y[atoms], weight


def train_addition(
    tasks: Sequence[str] = tuple(TASKS),
    models: Sequence[str] = MODELS,
    *,
    seed: int,
    measure: Callable[[str, str], Measure] | None = None,
    **options,
) -> dict[tuple[str, str], Trajectory]:
    """Train every task with every model: (task, model) -> Trajectory; `options` are those of `train`.

    `measure(task, model)` returns the `measure` of that run. Raises ValueError for an unknown task, as `train` does.

    >>> runs = train_addition(["mod"], seed=0, steps=1, hidden_size=4, batch=None)
    >>> list(runs)
    [('mod', 'linear'), ('mod', 'ffn')]
    """
    for task in tasks:
        if task not in TASKS:
            raise ValueError(f"unknown task {task!r}: choose one of {', '.join(TASKS)}")
    return {
        (task, model): train(
            TASKS[task](), model, seed=seed, measure=measure(task, model) if measure else None, **options
        )
        for task in tasks
        for model in models
    }
