r"""The optimiser loop of language models: next-token prediction on rows of a training set, measured and resumable.

A model has one head per distance: the first is its own unembedding, and the usual model has that one, at distance 1.
The loss is the mean over heads of their mean cross entropies; no head predicts a token of another document.

On a CPU all is float32 on one thread, so the bits do not depend on the number of threads, and several runs go side by
side. There the losses that wait for the next look keep freed memory from being used again: 9 GB after 33,000 steps of 4
layers of 128. A run that is stopped and taken up again goes on without it. How an update is made, on a CPU and on a
GPU, is in `updates`.

The loop knows nothing of geometry: `look(step, model)` gives arrays by prefix and name, or, by prefix, the promise of
arrays that are made elsewhere meanwhile. A step number s means "after s updates", so 0 is the start.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from probsig import guards, seeds
from probsig.language.networks import unembeddings
from probsig.language.updates import CompiledUpdate, Recipe, Rows, Update, losses
from probsig.runs.drafts import Draft
from probsig.runs.files import digest, digest_arrays
from probsig.text.training_set import IGNORED, TrainingSet

Arrays = dict[str, NDArray[Any]]
Look = Callable[[int, Any], "Mapping[str, Mapping[str, Any] | Future[Mapping[str, Any]]]"]
TOKENS = 1 << 15  # that are held out and read at a time


@dataclass
class Log:
    """What a run left: by step, the arrays of `look`, and training/loss (k,), each head's mean loss since the look
    before, nan at the start."""

    at: dict[int, Arrays] = field(default_factory=dict)
    promised: dict[int, Mapping[str, Any]] = field(default_factory=dict)  # by step, by prefix
    losses: list[torch.Tensor] = field(default_factory=list)  # (k,) of the steps since the last look, where made

    def settle(self) -> None:
        """Wait for what is promised."""
        for step, parts in self.promised.items():
            self.at[step] = {
                prefix + name: np.asarray(value)
                for prefix, part in parts.items()
                for name, value in (part.result() if isinstance(part, Future) else part).items()
            }
        self.promised = {}

    def arrays(self) -> Arrays:
        """steps (m,), and <name> (m, ...) of what every look gave in one shape, else <step>/<name>."""
        steps = sorted(self.at)
        out: Arrays = {"steps": np.array(steps, dtype=np.int64)}
        for name in dict.fromkeys(name for step in steps for name in self.at[step]):
            found = {step: self.at[step][name] for step in steps if name in self.at[step]}
            if len(found) == len(steps) and len({array.shape for array in found.values()}) == 1:
                out[name] = np.stack(list(found.values()))
            else:
                out |= {f"{step}/{name}": array for step, array in found.items()}
        return out


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


def targets(data: TrainingSet, length: int, distances: Sequence[int]) -> NDArray[np.int32]:
    """What each head predicts in the rows of `data.rows(length)`, (R, k, length): the token `distance` places ahead, or
    IGNORED where that is in another document or behind the end.

    Raises ValueError for a distance that is no whole number above 0, one that comes twice, none, and too little text.

    >>> from probsig.text.training_set import renumbered
    >>> few = renumbered(np.array([0, 1, 2, 0, 1]), np.array([0, 3, 5]), 3, None, "by hand")
    >>> few.ids.tolist(), targets(few, 4, [1, 2]).tolist()
    ([0, 1, 2, 0, 1], [[[1, 2, -100, 1], [2, -100, -100, -100]]])
    """
    guards.made_by("distances", distances, Sequence, "a list of whole numbers above 0")
    guards.integers("distances", distances)
    if not distances or min(distances) < 1 or len(set(distances)) < len(distances):
        raise ValueError(f"distances are {list(distances)}: pass different whole numbers above 0.")
    places = data.rows(length)[0].size
    ends = np.repeat(data.offsets[1:], np.diff(data.offsets))[:places]
    out = np.full((len(distances), places), IGNORED, dtype=np.int32)
    for head, distance in zip(out, distances, strict=True):
        ahead = np.arange(places) + distance
        there = ahead < ends
        head[there] = data.ids[ahead[there]]
    return np.ascontiguousarray(out.reshape(len(distances), -1, length).swapaxes(0, 1))


def train(
    model: Any,
    data: TrainingSet,
    recipe: Recipe,
    *,
    seed: int,
    distances: Sequence[int] = (1,),
    look: Look | None = None,
    look_at: Iterable[int] = (),
    held: TrainingSet | None = None,
    device: str = "auto",
    draft: Draft | None = None,
    turn: contextlib.AbstractContextManager[Any] | None = None,
    until: int | None = None,
) -> Log:
    """Train a model in place on the rows of a training set, in the order of the streams (seed, "order", epoch).

    held: documents that are not trained on, with the same ids; each look then has "held" (k,), their loss.
    turn: entered for as long as the device is needed, such as a lock where several runs share one.
    until: break off after so many steps of the run.
    With a `draft` the state is saved about every minute, and a run that was stopped or killed goes on from it; on a CPU
    to the same bits. A draft of another text, network, start or recipe, or of other looks, is not taken up.
    Raises ValueError for a vocabulary that does not fit, heads that are not as many as distances, a distance beyond
    every document of either text, a step that is none of the run, and what `targets` and `device_of` refuse;
    MemoryError where the GPU is too small; drafts.Stopped when asked to stop.
    """
    rows_of, heads = model.get_input_embeddings().weight.shape[0], len(unembeddings(model))
    if data.vocab_size > rows_of:
        raise ValueError(f"{data.name} has {data.vocab_size} ids and the model {rows_of} rows: build the model for it.")
    if heads != len(distances):
        raise ValueError(f"{heads} heads meet {len(distances)} distances: build one head for each.")
    where, steps = device_of(device), recipe.steps(data)
    rows = data.rows(recipe.length)[0], targets(data, recipe.length, distances)
    looks = set(look_at)
    guards.integers("look_at", [*looks])
    outside = sorted(step for step in looks if not 0 <= step <= steps)
    if outside:
        raise ValueError(f"step {outside[0]} is outside 0..{steps}: ask for steps of the run.")
    unseen = (held.rows(recipe.length)[0], targets(held, recipe.length, distances)) if held else None
    guards.sure(
        all((goals.max(axis=(0, 2)) >= 0).all() for _, goals in filter(None, (rows, unseen))),
        f"One of the distances {list(distances)} reaches beyond every document of {data.name}, or of what is held out: "
        "pass nearer ones.",
    )
    model.to(where).train()
    update = (CompiledUpdate if where.type == "cuda" else Update)(model, rows, recipe, where)
    log, done = Log(), 0
    identity: dict[str, Any] = {"seed": seed, "distances": list(distances), "looks": sorted(looks), **asdict(recipe)}
    if draft:
        identity |= {"data": data.digest().hex(), "held": held.digest().hex() if held else None, **_network(model)}
    found = draft.load(identity) if draft else None
    if found:
        done, log = found[0], _load(found[1], model, update.optimizer)

    def seen() -> None:
        if done not in looks or done in log.at or done in log.promised:
            return
        own: dict[str, Any] = {"loss": _numbers(log.losses).mean(axis=0) if done else np.full(heads, np.nan)}
        if unseen:
            own["held"] = _held_out(model, unseen, where)
        log.promised[done] = {"training/": own} | (dict(look(done, model)) if look else {})
        log.losses.clear()

    bar = tqdm(total=steps, initial=done, desc=data.name, unit="step", mininterval=2, delay=3, leave=False)
    with bar, _one_thread(where):
        with turn or contextlib.nullcontext():
            update.ready()  # torch compiles in one thread at a time
            seen()
            for batch in _batches(len(rows[0]), recipe, seed, done, steps):
                if until is not None and done >= until:
                    break
                if draft and draft.due():
                    log.settle()
                    draft.save(identity, done, _state(model, update.optimizer, log))
                log.losses.append(update(batch, recipe.rate(done, steps)))
                done += 1
                bar.update()
                seen()
        log.settle()
    model.eval()
    return log


def _batches(rows: int, recipe: Recipe, seed: int, done: int, steps: int) -> Iterator[NDArray[np.int64]]:
    """The rows of each step from `done` on."""
    each = steps // recipe.epochs
    for epoch in range(done // each, recipe.epochs):
        order = seeds.stream(seed, "order", str(epoch)).permutation(rows)
        for step in range(max(0, done - epoch * each), each):
            yield order[step * recipe.batch : (step + 1) * recipe.batch]


def _held_out(model: Any, rows: Rows, where: torch.device) -> NDArray[np.float64]:
    """The mean loss of each head over some rows, (k,)."""
    total, count = torch.zeros(rows[1].shape[1], device=where), np.count_nonzero(rows[1] >= 0, axis=(0, 2))
    at_once = max(1, TOKENS // rows[0].shape[1])
    eager = torch.compiler.set_stance("force_eager") if where.type == "cuda" else contextlib.nullcontext()
    with torch.no_grad(), eager:
        for start in range(0, len(rows[0]), at_once):
            ids, goals = (part[start : start + at_once].astype(np.int64) for part in rows)
            predicted = torch.from_numpy(np.count_nonzero(goals >= 0, axis=(0, 2))).to(where)
            with torch.autocast(where.type, torch.bfloat16, enabled=where.type == "cuda"):
                total += losses(model, *(torch.from_numpy(part).to(where) for part in (ids, goals))) * predicted
    return total.double().cpu().numpy() / np.maximum(count, 1)


def _numbers(losses: list[torch.Tensor]) -> NDArray[np.float32]:
    return torch.stack([loss.cpu() for loss in losses]).numpy()  # after a resume some are not on the device


def _network(model: Any) -> dict[str, str]:
    """What a network is before it is trained: the digests of its config and of its weights."""
    names, weights = zip(*model.named_parameters(), strict=True)
    told = [json.loads(model.config.to_json_string(use_diff=False)), names]
    return {
        "network": digest(json.dumps(told, sort_keys=True).encode()),
        "start": digest_arrays(weight.detach().cpu().numpy() for weight in weights),
    }


def _state(model: Any, optimizer: Any, log: Log) -> Arrays:
    weights = {f"weight/{name}": value.detach().cpu().numpy() for name, value in model.named_parameters()}
    moments = {
        f"moment/{i}/{name}": value.cpu().numpy()
        for i, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }
    looks = {f"look/{step}/{name}": array for step, arrays in log.at.items() for name, array in arrays.items()}
    return weights | moments | looks | ({"losses": _numbers(log.losses)} if log.losses else {})


def _load(arrays: Mapping[str, NDArray], model: Any, optimizer: Any) -> Log:
    log = Log(losses=list(torch.from_numpy(arrays["losses"].copy())) if "losses" in arrays else [])
    state: dict[int, dict[str, torch.Tensor]] = {}
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(torch.from_numpy(arrays[f"weight/{name}"].copy()))
    for key, array in arrays.items():
        part, _, rest = key.partition("/")
        number, _, name = rest.partition("/")
        if part == "moment":
            state.setdefault(int(number), {})[name] = torch.from_numpy(array.copy())
        elif part == "look":
            log.at.setdefault(int(number), {})[name] = array.copy()
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate  # on a GPU the tensor that is filled before each update, which was copied just now
    return log


@contextlib.contextmanager
def _one_thread(where: torch.device) -> Iterator[None]:
    before = torch.get_num_threads()
    if where.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
