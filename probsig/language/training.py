"""The optimiser loop of language models: next-token prediction on rows of a training set, measured and resumable.

AdamW with torch's defaults, one cosine from the learning rate to zero over the whole run, no warm-up, no clipping,
no dropout: the paper names the optimiser, its rate and the cosine, and nothing else. On a GPU the matrix products run
in bfloat16 under autocast and weights, gradients and moments stay float32; a batch that is too large for its memory is
cut in two, again and again, which changes nothing but rounding. On a CPU all is float32 on one thread, so the bits do
not depend on the number of threads, and several runs go side by side.

The loop knows nothing of geometry: `measure(step, W_E, W_U)` gives numbers, `keep(step, W_E, W_U)` arrays. A step
number s means "after s updates", so 0 is the start. W_E and W_U are (V, d), float32.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from probsig import seeds
from probsig.language.networks import chunked_loss, embeddings
from probsig.runs.drafts import Draft
from probsig.text.training_set import TrainingSet

Measure = Callable[[int, NDArray, NDArray], Mapping[str, float]]
Keep = Callable[[int, NDArray, NDArray], Mapping[str, NDArray]]


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


@dataclass
class Log:
    """What a run left: `steps` and `metrics` (of `measure`, and `loss`, the mean over the steps since the last event),
    and `kept`, the arrays of `keep` by "step/name"."""

    steps: list[int] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)
    kept: dict[str, NDArray] = field(default_factory=dict)
    losses: list[torch.Tensor] = field(default_factory=list)  # of the steps since the last event, where they were made

    def arrays(self) -> dict[str, NDArray]:
        """steps (m,), metric/<name> (m,), nan where it was not measured, and kept/<step>/<name>."""
        names = dict.fromkeys(name for row in self.metrics for name in row)
        return {
            "steps": np.array(self.steps, dtype=np.int64),
            **{f"metric/{name}": np.array([row.get(name, np.nan) for row in self.metrics]) for name in names},
            **{f"kept/{name}": array for name, array in self.kept.items()},
        }

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray]) -> Log:
        """The log of `arrays` and the losses beside them."""
        log = cls(arrays["steps"].tolist(), losses=list(torch.from_numpy(arrays["losses"].copy())))
        columns = {n.removeprefix("metric/"): a.tolist() for n, a in arrays.items() if n.startswith("metric/")}
        log.metrics = [{name: column[i] for name, column in columns.items()} for i in range(len(log.steps))]
        log.kept = {n.removeprefix("kept/"): a for n, a in arrays.items() if n.startswith("kept/")}
        return log


def device_of(name: str) -> torch.device:
    """The device "auto" (a GPU if there is one), "cpu" or "cuda"; raises ValueError where there is none such.

    >>> device_of("cpu")
    device(type='cpu')
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device is {name!r}: pass 'auto', 'cpu' or 'cuda'.")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ValueError("device is 'cuda', but torch finds no GPU here: pass 'auto' or 'cpu'.")
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def train(
    model: Any,
    data: TrainingSet,
    recipe: Recipe,
    *,
    seed: int,
    measure: Measure | None = None,
    measure_at: Iterable[int] = (),
    keep: Keep | None = None,
    keep_at: Iterable[int] = (),
    device: str = "auto",
    draft: Draft | None = None,
    progress: bool = True,
) -> Log:
    """Train a model in place on the rows of a training set, in the order of the streams (seed, "order", epoch).

    With a `draft` the state is saved about every minute, and a run that was stopped or killed goes on from it; on a CPU
    to the same bits. Raises ValueError for a vocabulary that does not fit, a step outside the run, too little text, and
    what `device_of` refuses; MemoryError where the GPU is too small; drafts.Stopped when asked to stop.
    """
    rows_of = model.get_input_embeddings().weight.shape[0]
    if data.vocab_size > rows_of:
        raise ValueError(f"{data.name} has {data.vocab_size} ids and the model {rows_of} rows: build the model for it.")
    where, steps = device_of(device), recipe.steps(data)
    inputs, targets = data.rows(recipe.length)
    measured, kept = set(measure_at if measure else ()), set(keep_at if keep else ())
    outside = sorted(step for step in measured | kept if not 0 <= step <= steps)
    if outside:
        raise ValueError(f"step {outside[0]} is outside 0..{steps}: ask for steps of the run.")
    model.to(where).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    identity = {"data": data.name, "tokens": len(data.ids), "vocab": data.vocab_size, "seed": seed, **asdict(recipe)}
    log, done = Log(), 0
    step = _Steps(model, optimizer, where)
    found = draft.load(identity) if draft else None
    if found:
        done, log = found[0], _load(found[1], model, optimizer)

    def look() -> None:
        W_E, W_U = embeddings(model)
        if done in measured and done not in log.steps:
            loss = {"loss": float(_numbers(log.losses).mean())} if log.losses else {}
            log.steps.append(done)
            log.metrics.append({**loss, **measure(done, W_E, W_U)})
            log.losses.clear()
        if done in kept and not any(name.startswith(f"{done}/") for name in log.kept):
            log.kept |= {f"{done}/{name}": np.atleast_1d(array) for name, array in keep(done, W_E, W_U).items()}

    bar = tqdm(total=steps, initial=done, desc=data.name, unit="step", mininterval=2, disable=not progress, leave=False)
    with bar, _one_thread(where):
        look()
        for batch in _batches(len(inputs), recipe, seed, done, steps):
            if draft and draft.due():
                draft.save(identity, done, _state(model, optimizer, log))
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr * 0.5 * (1 + math.cos(math.pi * done / steps))
            log.losses.append(step(inputs[batch], targets[batch]))
            done += 1
            bar.update()
            if done in measured | kept:
                look()
    model.eval()
    return log


def _batches(rows: int, recipe: Recipe, seed: int, done: int, steps: int) -> Iterator[NDArray[np.int64]]:
    """The rows of each step from `done` on."""
    each = steps // recipe.epochs
    for epoch in range(done // each, recipe.epochs):
        order = seeds.stream(seed, "order", str(epoch)).permutation(rows)
        for step in range(max(0, done - epoch * each), each):
            yield order[step * recipe.batch : (step + 1) * recipe.batch]


class _Steps:
    """The updates, each in as many parts as the memory of the device asks for."""

    def __init__(self, model: Any, optimizer: Any, where: torch.device) -> None:
        self.model, self.optimizer, self.where, self.parts = model, optimizer, where, 1

    def __call__(self, inputs: NDArray, targets: NDArray) -> torch.Tensor:
        """One update; the mean loss over the tokens that are predicted, a tensor on the device."""
        while True:
            try:
                loss = self._gradient(inputs, targets)
            except torch.OutOfMemoryError as error:
                if self.parts >= len(inputs):
                    shape = f"one row of {inputs.shape[1]} tokens"
                    raise MemoryError(
                        f"The GPU's memory is too small for {shape}: pass shorter rows or a smaller model; what was "
                        "saved is kept."
                    ) from error
                self.parts = min(2 * self.parts, len(inputs))
            else:
                self.optimizer.step()
                return loss

    def _gradient(self, inputs: NDArray, targets: NDArray) -> torch.Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        predicted, total = np.count_nonzero(targets >= 0), torch.zeros((), device=self.where)
        for ids, goal in zip(*(np.array_split(a, self.parts) for a in (inputs, targets)), strict=True):
            share = np.count_nonzero(goal >= 0) / max(predicted, 1)
            if not share:
                continue
            both = (torch.from_numpy(a.astype(np.int64)).to(self.where, non_blocking=True) for a in (ids, goal))
            with torch.autocast("cuda", torch.bfloat16, enabled=self.where.type == "cuda"):
                loss = chunked_loss(self.model, *both)
            (loss * share).backward()
            total += loss.detach() * share
        return total


def _numbers(losses: list[torch.Tensor]) -> NDArray[np.float32]:
    return np.array([float(loss) for loss in losses], dtype=np.float32)  # after a resume some are not on the device


def _state(model: Any, optimizer: Any, log: Log) -> dict[str, NDArray]:
    weights = {f"weight/{name}": value.detach().cpu().numpy() for name, value in model.named_parameters()}
    moments = {
        f"moment/{i}/{name}": value.cpu().numpy()
        for i, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }
    return weights | moments | {f"log/{n}": a for n, a in log.arrays().items()} | {"log/losses": _numbers(log.losses)}


def _load(arrays: Mapping[str, NDArray], model: Any, optimizer: Any) -> Log:
    parts: dict[str, dict[str, NDArray]] = {"weight": {}, "moment": {}, "log": {}}
    for name, array in arrays.items():
        part, _, key = name.partition("/")
        parts[part][key] = array
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(torch.from_numpy(parts["weight"][name].copy()))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in parts["moment"].items():
        i, _, name = key.partition("/")
        state.setdefault(int(i), {})[name] = torch.from_numpy(array.copy())
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return Log.of(parts["log"])


@contextlib.contextmanager
def _one_thread(where: torch.device) -> Iterator[None]:
    before = torch.get_num_threads()
    if where.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
