r"""Language models with several heads: each predicts the token a distance ahead, with an unembedding of its own.

The trunk, its init and its first head are those of `language_models.build`, and the rows, their order, AdamW and the
cosine are those of `language_training`, so a model with one head at distance 1 is the plain one, to the same bits. The
loss is the mean over heads of their mean cross entropies; a head predicts no token of another document. All runs on
the CPU, float32, one thread.

Axes: W_E (V, d), heads W_U (k, V, d), targets (R, k, length).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from probsig import seeds
from probsig.language import networks
from probsig.language.networks import Shape, chunked_loss
from probsig.language.training import Recipe
from probsig.runs.drafts import Draft
from probsig.text.training_set import IGNORED, TrainingSet

Arrays = dict[str, NDArray[Any]]
Keep = Callable[[int, NDArray, NDArray], Mapping[str, NDArray]]


def build(
    architecture: str, shape: Shape, vocab_size: int, heads: int, *, seed: int, original: int | None = None
) -> Any:
    """The model of `language_models.build` with `heads` unembeddings: its own, and `heads` - 1 more in `more_heads`,
    drawn from N(0, 1/d) and streams of their own.

    Raises ValueError for fewer than 1 head and what `language_models.build` raises.

    >>> model = build("llama-2", language_models.SHAPES["smoke"], 10, heads=3, seed=0)
    >>> unembeddings(model).shape
    (3, 10, 32)
    """
    if heads < 1:
        raise ValueError(f"heads is {heads}: pass 1 or more.")
    model = networks.build(architecture, shape, vocab_size, seed=seed, original=original)
    model.more_heads = torch.nn.ModuleList()
    for j in range(1, heads):
        drawn = seeds.stream(seed, "language model", f"head {j}").standard_normal(
            (vocab_size, shape.hidden), np.float32
        )
        head = torch.nn.Linear(shape.hidden, vocab_size, bias=False)
        head.weight = torch.nn.Parameter(torch.from_numpy(drawn * np.float32(shape.hidden**-0.5)))
        model.more_heads.append(head)
    return model


def unembeddings(model: Any) -> NDArray[np.float32]:
    """W_U of every head, (k, V, d), a copy."""
    return np.stack([head.weight.detach().numpy() for head in _heads(model)])


def _heads(model: Any) -> list[Any]:
    return [model.get_output_embeddings(), *model.more_heads]


def targets(data: TrainingSet, length: int, distances: Sequence[int]) -> NDArray[np.int32]:
    """What each head predicts in the rows of `data.rows(length)`, (R, k, length): the token `distance` places ahead, or
    IGNORED where that is in another document or behind the end.

    Raises ValueError for a distance below 1, one that comes twice, none, and too little text.

    >>> from probsig.text.training_set import renumbered
    >>> few = renumbered(np.array([0, 1, 2, 0, 1]), np.array([0, 3, 5]), 3, None, "by hand")
    >>> few.ids.tolist(), targets(few, 4, [1, 2]).tolist()
    ([0, 1, 2, 0, 1], [[[1, 2, -100, 1], [2, -100, -100, -100]]])
    """
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


def losses(model: Any, ids: torch.Tensor, goals: torch.Tensor) -> list[torch.Tensor]:
    """The mean cross entropy of each head, k numbers: ids (B, T), goals (B, k, T). Differentiate them once."""
    trunk = model.model(input_ids=ids)
    return [_loss(trunk, head, ids, goal) for head, goal in zip(_heads(model), goals.unbind(1), strict=True)]


def _loss(trunk: Any, head: Any, ids: torch.Tensor, goals: torch.Tensor) -> torch.Tensor:
    """The loss of one head, given the output of the trunk that all share."""
    alone = SimpleNamespace(model=lambda input_ids: trunk, get_output_embeddings=lambda: head)
    return chunked_loss(alone, ids, goals)


def train(
    model: Any,
    data: TrainingSet,
    distances: Sequence[int],
    recipe: Recipe,
    *,
    seed: int,
    keep: Keep,
    keep_at: Iterable[int],
    draft: Draft | None = None,
    progress: bool = True,
) -> Arrays:
    """Train a model in place, one head a distance; gives what `keep(step, W_E, W_U)` said at the steps `keep_at`, as
    "step/name", and "loss" (steps, k), each head's loss before each update.

    With a `draft` the state is saved about every minute, and a run that was stopped or killed goes on from it to the
    same bits. Raises ValueError where the heads are not as many as distances, for a step outside the run, and what
    `targets` raises; drafts.Stopped when asked to stop.
    """
    if len(_heads(model)) != len(distances):
        raise ValueError(f"{len(_heads(model))} heads meet {len(distances)} distances: build one head for each.")
    steps, each = recipe.steps(data), recipe.epoch(data)
    looks = sorted(set(keep_at))
    if looks and not 0 <= looks[0] <= looks[-1] <= steps:
        raise ValueError(f"steps {looks} are asked for in a run of {steps}: ask for steps of the run.")
    inputs, goals = data.rows(recipe.length)[0], targets(data, recipe.length, distances)
    orders = [seeds.stream(seed, "order", str(epoch)).permutation(len(inputs)) for epoch in range(recipe.epochs)]
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    identity = {"data": data.name, "tokens": len(data.ids), "seed": seed, "distances": list(distances)}
    identity |= asdict(recipe)
    kept: Arrays = {"loss": np.full((steps, len(distances)), np.nan)}
    begun, found = 0, draft.load(identity) if draft else None
    if found:
        begun, kept = found[0], _load(found[1], model, optimizer)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model.train()
    bar = tqdm(
        total=steps, initial=begun, desc=data.name, unit="step", mininterval=2, disable=not progress, leave=False
    )
    try:
        for done in range(begun, steps + 1):
            if done in looks and not any(name.startswith(f"{done}/") for name in kept):
                W_E = model.get_input_embeddings().weight.detach().numpy().copy()
                kept |= {f"{done}/{name}": array for name, array in keep(done, W_E, unembeddings(model)).items()}
            if done == steps:
                break
            if draft and draft.due():
                draft.save(identity, done, _state(model, optimizer, kept))
            rows = orders[done // each][done % each * recipe.batch : (done % each + 1) * recipe.batch]
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr * 0.5 * (1 + math.cos(math.pi * done / steps))
            optimizer.zero_grad(set_to_none=True)
            both = (torch.from_numpy(array[rows].astype(np.int64)) for array in (inputs, goals))
            by_head = losses(model, *both)
            (sum(by_head[1:], start=by_head[0]) / len(by_head)).backward()
            optimizer.step()
            kept["loss"][done] = [float(loss.detach()) for loss in by_head]
            bar.update()
    finally:
        bar.close()
        torch.set_num_threads(threads)
    model.eval()
    return kept


def _state(model: Any, optimizer: Any, kept: Arrays) -> Arrays:
    state = {f"weight/{name}": value.detach().numpy() for name, value in model.named_parameters()}
    for i, moments in optimizer.state_dict()["state"].items():
        state |= {f"moment/{i}/{name}": value.numpy() for name, value in moments.items()}
    return state | {f"kept/{name}": array for name, array in kept.items()}


def _load(arrays: Mapping[str, NDArray], model: Any, optimizer: Any) -> Arrays:
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(torch.from_numpy(arrays[f"weight/{name}"].copy()))
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, array in arrays.items():
        if key.startswith("moment/"):
            _, i, name = key.split("/")
            moments.setdefault(int(i), {})[name] = torch.from_numpy(array.copy())
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return {name.removeprefix("kept/"): array.copy() for name, array in arrays.items() if name.startswith("kept/")}
