"""One update of a language model: how fast, on which loss, and the step itself, on a CPU or as a graph on a GPU.

AdamW with torch's defaults, one cosine from the learning rate to zero over the whole run, no warm-up, no clipping,
no dropout: the paper names the optimiser, its rate and the cosine, and nothing else. On a GPU the layers are compiled,
their products run in bfloat16 under autocast (weights, gradients and moments stay float32), and from the fourth step
on the whole update is one CUDA graph; a batch that is too large for its memory is cut in two, again and again, which
changes nothing but rounding.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from probsig.language.networks import cross_entropy, hidden_states, unembeddings
from probsig.text.training_set import TrainingSet

Rows = tuple[NDArray[np.int32], NDArray[np.int32]]
WARM = 3  # steps on a GPU before the update becomes a graph


@dataclass(frozen=True)
class Recipe:
    """How long and how fast: `epochs` times over the rows, `batch` rows of `length` tokens a step.

    Raises ValueError for numbers that are not positive, and for counts that are not whole.

    >>> Recipe(epochs=1.5)
    Traceback (most recent call last):
    ValueError: epochs is 1.5: pass a whole number.
    """

    epochs: int = 1
    batch: int = 2
    length: int = 256
    lr: float = 1e-4
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (math.isfinite(value) and value > 0) and not (name == "weight_decay" and value == 0):
                raise ValueError(f"{name} is {value}: pass a positive number.")
            if name in ("epochs", "batch", "length") and value != int(value):
                raise ValueError(f"{name} is {value}: pass a whole number.")

    def steps(self, data: TrainingSet) -> int:
        """The number of updates, the last rows of an epoch that fill no batch left out; 1 an epoch at least."""
        return self.epochs * self.epoch(data)

    def epoch(self, data: TrainingSet) -> int:
        """The number of updates of one epoch."""
        return max(1, (len(data.ids) - 1) // self.length // self.batch)

    def rate(self, done: int, steps: int) -> float:
        """The learning rate of the update after `done` of `steps`.

        >>> [round(Recipe(lr=1.0).rate(done, 4), 3) for done in range(4)]
        [1.0, 0.854, 0.5, 0.146]
        """
        return self.lr * 0.5 * (1 + math.cos(math.pi * done / steps))


def losses(model: Any, ids: torch.Tensor, goals: torch.Tensor) -> torch.Tensor:
    """The mean cross entropy of each head in nats, (k,): ids (B, T), goals (B, k, T). Differentiate it once."""
    hidden = hidden_states(model, ids)
    heads = zip(unembeddings(model), goals.unbind(1), strict=True)
    return torch.stack([cross_entropy(hidden, W_U, goal) for W_U, goal in heads])


class Update:
    """One update a call, from some rows; the gradient in as many parts as the memory asks for."""

    def __init__(self, model: Any, rows: Rows, recipe: Recipe, where: torch.device) -> None:
        self.model, self.where, self.parts = model, where, 1
        self.rows = [torch.from_numpy(part.astype(np.int64)).to(where) for part in rows]
        self.optimizer = self._adamw(recipe)

    def _adamw(self, recipe: Recipe) -> torch.optim.AdamW:
        return torch.optim.AdamW(self.model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)

    def ready(self) -> None:
        """Do what the device is not needed for alone."""

    def __call__(self, batch: NDArray[np.int64], rate: float) -> torch.Tensor:
        """The loss of each head before the update, (k,)."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        by_head = self._gradient(torch.from_numpy(batch))
        self.optimizer.step()
        return by_head

    def _gradient(self, batch: torch.Tensor) -> torch.Tensor:
        """Leave the gradient over a batch in the model; the losses, (k,)."""
        ids, goals = (part[batch] for part in self.rows)
        each = (goals >= 0).sum(dim=(0, 2)).clamp(min=1)
        while True:
            self.optimizer.zero_grad(set_to_none=True)
            total = torch.zeros(goals.shape[1], device=self.where)
            try:
                for some, wanted in zip(ids.tensor_split(self.parts), goals.tensor_split(self.parts), strict=True):
                    with torch.autocast("cuda", torch.bfloat16, self.where.type == "cuda", cache_enabled=False):
                        by_head = losses(self.model, some, wanted)
                    share = ((wanted >= 0).sum(dim=(0, 2)) / each).to(by_head.dtype)
                    (by_head * share).mean().backward()
                    total = total + by_head.detach() * share
                return total
            except torch.OutOfMemoryError as error:
                if self.parts >= len(ids):
                    shape = f"one row of {ids.shape[1]} tokens"
                    raise MemoryError(
                        f"The GPU's memory is too small for {shape}: pass shorter rows or a smaller model; what was "
                        "saved is kept."
                    ) from error
                self.parts = min(2 * self.parts, len(ids))


class CompiledUpdate(Update):
    """The same on a GPU: compiled layers, bfloat16 products, and after WARM steps one graph an update."""

    def __init__(self, model: Any, rows: Rows, recipe: Recipe, where: torch.device) -> None:
        self.rate = torch.tensor(recipe.lr, dtype=torch.float32, device=where)
        super().__init__(model, rows, recipe, where)
        self.taken, self.graph = 0, None
        self.batch = torch.zeros(min(recipe.batch, len(rows[0])), dtype=torch.int64, device=where)
        for layer in model.model.layers:
            layer.compile()

    def _adamw(self, recipe: Recipe) -> torch.optim.AdamW:
        known = {"lr": self.rate, "weight_decay": recipe.weight_decay, "fused": True, "capturable": True}
        return torch.optim.AdamW(self.model.parameters(), **known)  # type: ignore[arg-type]

    def ready(self) -> None:
        """Compile, by a gradient that is thrown away."""
        self._gradient(self.batch)
        self.optimizer.zero_grad(set_to_none=True)

    def __call__(self, batch: NDArray[np.int64], rate: float) -> torch.Tensor:
        self.batch.copy_(torch.from_numpy(batch))
        self.rate.fill_(rate)
        if self.graph is None and self.taken >= WARM and self.parts == 1:
            self._capture()
        if self.graph is not None:
            self.graph.replay()
            return self.out.clone()
        aside = torch.cuda.Stream()  # what is captured later must have run on another stream than the first
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            by_head = self._gradient(self.batch)
            self.optimizer.step()
        torch.cuda.current_stream().wait_stream(aside)
        self.taken += 1
        return by_head

    def _capture(self) -> None:
        self.graph = torch.cuda.CUDAGraph()  # type: ignore[assignment]
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):  # type: ignore[arg-type]
            self.out = self._gradient(self.batch)
            self.optimizer.step()
