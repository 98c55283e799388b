r"""The engines of the addition tasks: what takes the steps of a run, on one core, or on a GPU for many runs together.

Three agree to rounding: `kernels` (compiled, one core a run) for the paper's protocol on a CPU, and the formulas of
`gradients` on numpy arrays for everything else there, or on torch tensors on a GPU. An engine has `advance(steps)`,
`weights()`, and `save()` and `load()` for a run that stops and goes on to the same bits.
Tokens that occur in no sequence have no gradient: AdamW's weight decay alone shrinks them.

Axes: W_E and W_U are (V token ids, d); batches are (n sequences, T tokens that occur).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import seeds
from probsig.addition import gradients
from probsig.addition.gradients import Optimiser
from probsig.errors import one_of, whole
from probsig.laws.distribution import Distribution
from probsig.theory.activations import ACTIVATIONS

DEVICES = ("auto", "cpu", "cuda")
Start = tuple[NDArray, NDArray, NDArray]
Starts = Sequence[Start]
STRIDE = 2500  # batches drawn at a time when a resumed run lets the batches it has seen pass


@dataclass(frozen=True)
class Protocol:
    """How a model is trained. `batch` None takes the exact gradient of the population every step; a number takes that
    many of `samples` independent draws, reshuffled every epoch. `depth` counts hidden layers of the feed-forward model.

    Raises ValueError for a choice that is not there, steps or samples that are no whole numbers, a learning rate that
    is not positive, or a batch that does not divide the samples.
    """

    steps: int
    learning_rate: float = 1e-4
    batch: int | None = 100
    samples: int = 50_000
    optimiser: str = "adamw"
    activation: str = "relu"
    depth: int = 1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, np.generic):  # a number of numpy's as Python's own
                object.__setattr__(self, name, value.item())
        one_of("optimiser", self.optimiser, gradients.OPTIMISERS)
        one_of("activation", self.activation, ACTIVATIONS)
        one_of("depth", self.depth, (1, 2))
        whole("steps", self.steps, 0)
        whole("samples", self.samples, 1)
        if isinstance(self.learning_rate, str) or not 0 < self.learning_rate < np.inf:
            raise ValueError(f"learning_rate is {self.learning_rate!r}: pass a positive number")
        if self.batch is not None and (self.batch < 1 or self.samples % self.batch):
            raise ValueError(
                f"samples {self.samples} are no multiple of batch {self.batch}: choose a batch that divides them"
            )


def resolve_device(device: str) -> str:
    """ "cpu" or "cuda": the GPU where "auto" finds one. Raises ValueError for an unknown or absent device.

    >>> resolve_device("cpu")
    'cpu'
    """
    one_of("device", device, DEVICES)
    if device == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise ValueError("device is 'cuda' and torch finds no GPU: pass 'auto' or 'cpu'.")
    return "cpu"


class Order:
    """The batches of a run: a sample of (seed, "data", stream), every epoch in a new order of (seed, "order", stream).

    >>> law = Distribution(X=[[1], [2]], y=[1, 2], weight=[3, 1], vocab_size=3)
    >>> Order(law, seed=0, batch=2, samples=4).take(2).shape
    (2, 2)
    """

    def __init__(self, law: Distribution, seed: int, batch: int, samples: int):
        self.drawn, self.stream = law.draw(samples, seed), seeds.stream(seed, "order", law.stream)
        self.batch, self.left = batch, np.empty((0, batch), dtype=np.int64)

    def take(self, steps: int) -> NDArray[np.int64]:
        """The atoms of the next `steps` batches, (steps, batch)."""
        parts = [self.left]
        while sum(map(len, parts)) < steps:
            parts.append(self.drawn[self.stream.permutation(len(self.drawn))].reshape(-1, self.batch))
        whole = np.concatenate(parts)
        self.left = whole[steps:]
        return whole[:steps]

    def skip(self, steps: int) -> None:
        """Let `steps` batches pass, as a resumed run does."""
        for start in range(0, steps, STRIDE):
            self.take(min(STRIDE, steps - start))


class ArrayEngine:
    """Runs side by side on numpy arrays or torch tensors: any protocol, any float type. `xp` is the library, and `to`
    makes its array of a numpy array."""

    def __init__(
        self,
        law: Distribution,
        model: str,
        protocol: Protocol,
        starts: Starts,
        run_seeds: Sequence[int],
        xp: Any = np,
        to: Callable[[NDArray], Any] = np.array,
    ):
        self.model, self.protocol, self.xp, self.to = model, protocol, xp, to
        self.occurs = law.occurs()
        start_E, start_U, inner = (np.stack([start[i] for start in starts]) for i in range(3))
        self.W_E, E = start_E.copy(), start_E[:, self.occurs]
        self.blocks = [E, start_U] + ([inner] if model == "ffn" and protocol.depth == 2 else [])
        flat = to(np.concatenate([block.reshape(len(starts), -1) for block in self.blocks], axis=1))
        self.optimiser = Optimiser(protocol.optimiser, flat, protocol.learning_rate, xp)
        self.state = {"W": flat, "mean": self.optimiser.mean, "square": self.optimiser.square}
        self.done = 0
        if protocol.batch is None:
            merged = law.merged()
            counts = merged.counts()[:, self.occurs].astype(start_E.dtype)
            self.population = to(counts), to(merged.y), to(merged.probability.astype(start_E.dtype))
        else:
            self.counts, self.y = to(law.counts()[:, self.occurs].astype(start_E.dtype)), to(law.y)
            self.share = to(np.full(protocol.batch, 1 / protocol.batch, dtype=start_E.dtype))
            self.orders = [Order(law, seed, protocol.batch, protocol.samples) for seed in run_seeds]

    def _views(self, flat: Any) -> list[Any]:
        ends = np.cumsum([block[0].size for block in self.blocks])
        return [
            flat[:, end - block[0].size : end].reshape(block.shape)
            for end, block in zip(ends.tolist(), self.blocks, strict=True)
        ]

    def advance(self, steps: int) -> None:
        orders = [] if self.protocol.batch is None else self.to(np.stack([order.take(steps) for order in self.orders]))
        W, absent = self._views(self.state["W"]), self.W_E.dtype.type(self.optimiser.shrink)
        for step in range(steps):
            if self.protocol.batch is None:
                batch = self.population
            else:
                atoms = orders[:, step]  # type: ignore[call-overload]
                batch = self.counts[atoms], self.y[atoms], self.share
            parts = gradients.gradient(self.model, *batch, W, self.protocol.activation, self.xp)
            flat = self.xp.concatenate([part.reshape(len(self.W_E), -1) for part in parts], 1)
            self.optimiser.step(flat)
            self.W_E *= absent  # what is left of it where a token occurs is overwritten in `weights`
        self.done += steps

    def weights(self) -> list[tuple[NDArray, ...]]:
        """W_E, W_U and the inner matrix, if there is one, of every run."""
        E, *others = (_numpy(block) for block in self._views(self.state["W"]))
        self.W_E[:, self.occurs] = E
        return [tuple(block[run].copy() for block in (self.W_E, *others)) for run in range(len(E))]

    def save(self) -> dict[str, NDArray]:
        return {"W_E": self.W_E, **{name: _numpy(array) for name, array in self.state.items()}}

    def load(self, arrays: Mapping[str, NDArray], done: int) -> None:
        self.W_E[:] = arrays["W_E"]
        for name, array in self.state.items():
            array[:] = self.to(arrays[name])
        self.done = self.optimiser.steps = done
        if self.protocol.batch is not None:
            for order in self.orders:
                order.skip(done)


class KernelEngine:
    """One run in float32 by compiled steps: the linear or the one-layer ReLU model under AdamW or Adam."""

    def __init__(self, law: Distribution, model: str, protocol: Protocol, starts: Starts, run_seeds: Sequence[int]):
        from probsig.addition import kernels

        self.advance_by, self.linear, self.protocol = kernels.advance, model == "linear", protocol
        self.occurs = law.occurs()
        start_E, start_U, _ = starts[0]
        self.absent_ids = np.setdiff1d(np.arange(law.vocab_size), self.occurs)
        self.tokens, self.y = np.searchsorted(self.occurs, law.X).astype(np.int32), law.y.astype(np.int32)
        self.W_E, self.split = start_E.copy(), start_E[self.occurs].size
        flat = np.concatenate([start_E[self.occurs].ravel(), start_U.ravel()])
        self.state = {"W": flat, "mean": np.zeros_like(flat), "square": np.zeros_like(flat)}
        self.state["absent"] = start_E[self.absent_ids]
        self.optimiser = Optimiser(protocol.optimiser, np.zeros(1), protocol.learning_rate)
        self.order = Order(law, run_seeds[0], protocol.batch, protocol.samples)  # type: ignore[arg-type]
        self.done = 0

    def advance(self, steps: int) -> None:
        rule, order = self.optimiser, self.order.take(steps)
        W, mean, square, absent = (self.state[name] for name in ("W", "mean", "square", "absent"))
        fixed = rule.learning_rate, rule.betas, rule.eps, rule.weight_decay
        self.advance_by(self.linear, self.split, W, mean, square, absent, self.tokens, self.y, order, self.done, *fixed)
        self.done += steps

    def weights(self) -> list[tuple[NDArray, NDArray]]:
        d = self.W_E.shape[1]
        W_E = self.W_E.copy()
        W_E[self.occurs] = self.state["W"][: self.split].reshape(-1, d)
        W_E[self.absent_ids] = self.state["absent"]
        return [(W_E, self.state["W"][self.split :].reshape(-1, d).copy())]

    def save(self) -> dict[str, NDArray]:
        return self.state

    def load(self, arrays: Mapping[str, NDArray], done: int) -> None:
        for name, array in self.state.items():
            array[:] = arrays[name]
        self.order.skip(done)
        self.done = done


def _numpy(array: Any) -> NDArray:
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def engine(
    law: Distribution, model: str, protocol: Protocol, starts: Starts, run_seeds: Sequence[int], device: str
) -> ArrayEngine | KernelEngine:
    """What takes the steps of these runs: compiled for one run of the paper's protocol on a CPU, else on arrays.

    starts holds W_E, W_U and an inner matrix of each run, in the type they are trained in; device "cpu" or "cuda".
    """
    if device == "cuda":
        import torch

        return ArrayEngine(law, model, protocol, starts, run_seeds, torch, lambda a: torch.tensor(a, device="cuda"))
    usual = (protocol.activation, protocol.depth) == ("relu", 1) or model == "linear"
    compiled = protocol.batch is not None and usual and protocol.optimiser != "sgd"
    if compiled and len(starts) == 1 and starts[0][0].dtype == np.float32:
        return KernelEngine(law, model, protocol, starts, run_seeds)
    return ArrayEngine(law, model, protocol, starts, run_seeds)
