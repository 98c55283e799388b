"""The first steps of stored runs, made again by today's code and compared with what is stored.

A run costs minutes to hours, and any repair changes its code's digest. A replay shows what a repair left as it was: the
pieces of the run are made again for a few steps, from the same inputs, and every array that both have is compared
row by row, where a row is a step that both know. The certificate says for which code that was seen (`runs.replays`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from probsig.errors import one_of
from probsig.experiments import KINDS, addition, causes, makers, rivals, sweeps
from probsig.experiments.edited_text import TEXTS
from probsig.experiments.texts import FURTHER, NAMES, Sets, Texts
from probsig.runs import code, machine

STEPS = 200
"""How many steps are made again, or up to the first measurement after the start where that is later."""
NEAR = 1e-5
"""How far a number may be from the stored one, relative to the largest of its array: another processor adds up anew."""
INDICES = ("steps", "clock", "checkpoints", "kept", "explained_steps")
"""Arrays that say at which steps others were measured, each with a row for one."""

Arrays = Mapping[str, np.ndarray]
Pieces = Iterator[tuple[str, Arrays]]


class Differs(ValueError):
    """A number that today's code does not give; the message is one sentence."""


def replay(record: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    """The certificate of a stored run: the digest of today's code and that of the run's arrays, how many numbers were
    compared, and how far the farthest is from the stored one, relative to the largest of its array (0.0: to the bit).

    Raises Differs where one is farther than NEAR, an array is missing or the inputs are others; ValueError for a kind
    of run that is made again as a whole.
    """
    one_of("kind", record["kind"], AGAIN)
    compared, far = 0, 0.0
    for piece, again in AGAIN[record["kind"]](record):
        stored = {key.removeprefix(f"{piece}/"): a for key, a in arrays.items() if key.startswith(f"{piece}/")}
        for name, one, other in _pairs(piece, again, stored):
            off = _apart(one, other)
            if not off <= NEAR:
                raise Differs(f"{record['name']}: {piece}/{name} is off by {off:.1e} of its largest number.")
            compared, far = compared + one.size, max(far, off)
    return {
        "code": code.digest(KINDS[record["kind"]]),
        "arrays": record["arrays"]["sha256"],
        "numbers": compared,
        "apart": float(f"{far:.1e}"),
        "hardware": machine.hardware(),
    }


def _pairs(piece: str, again: Arrays, stored: Arrays) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """What both have of each array: the rows of the steps that both know, else the whole."""
    for name, made in again.items():
        if name not in stored:
            raise Differs(f"{piece}/{name} is made today and is not stored.")
        known = stored[name]
        for index in INDICES:
            if index in again and len(again[index]) == len(made) and len(stored[index]) == len(known):
                both = np.intersect1d(again[index], stored[index])
                yield name, made[np.isin(again[index], both)], known[np.isin(stored[index], both)]
                break
        else:
            if made.shape != known.shape:
                raise Differs(f"{piece}/{name} has the shape {made.shape} today and {known.shape} where it is stored.")
            yield name, made, known


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, relative to the largest number; inf where shapes, types or what is not finite differ.

    >>> _apart(np.array([1.0, 2.0]), np.array([1.0, 2.5])), _apart(np.array([np.nan]), np.array([1.0]))
    (0.2, inf)
    """
    if one.shape != other.shape or one.dtype != other.dtype:
        return np.inf
    if one.dtype.kind != "f":
        return 0.0 if np.array_equal(one, other) else np.inf
    if not np.array_equal(np.isfinite(one), np.isfinite(other)):
        return np.inf
    a, b = (array[np.isfinite(array)].astype(float) for array in (one, other))
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)) if a.size else 0.0


def _addition(record: Mapping[str, Any]) -> Pieces:
    config = record["config"]
    for name, piece in addition.addition(config).items():
        yield name, addition.piece(*piece.arguments, steps=min(STEPS, config["steps"]))


def _longer(record: Mapping[str, Any]) -> Pieces:
    for task in ("add", "add_same"):
        made = addition.piece(record["config"], task, "linear", steps=STEPS)
        yield task, {name: made[name] for name in ("steps", "accuracy", "sample_accuracy", "R_order")}


def _sweep(record: Mapping[str, Any]) -> Pieces:
    points = record["config"]["points"]
    for point, trainings in record["config"]["trainings"].items():
        first = sweeps.times(points[point])[1]
        for training in trainings:
            made = sweeps.piece(points[point], *training.split("/"), steps=max(STEPS, first))
            yield f"{point}/{training}", made


def _causes(record: Mapping[str, Any]) -> Pieces:
    options = {name: value for name, value in record["config"].items() if name != "scale"}
    for name in causes.NAMES:
        if name != "swapped":  # trained in two halves
            made = causes.follow(name, **options | {"steps": options["steps"] // 30})
            yield name, {key: made[key] for key in ("steps", "R_base", "R_edit", "mean_cosine")}


def _rivals(record: Mapping[str, Any]) -> Pieces:
    config = record["config"]
    for model in rivals.training.MODELS:
        for name, shifts in rivals.WORLDS.items():
            made, _ = rivals.follow(config | {"steps": config["every"]}, rivals.shifted(*shifts), model, None)
            yield f"{model}/{name}", made


def _language(maker: Callable[..., Arrays], piece: str, record: Mapping[str, Any], *more: Any) -> Pieces:
    yield piece, maker(record["config"], *more, inputs=_inputs(record), means=makers.Means("cpu", until=STEPS))


def _edit(record: Mapping[str, Any]) -> Pieces:
    yield "edit", makers.edit(record["config"], _inputs(record))
    for which in TEXTS:
        yield from _language(makers.edited_model, which, record, which)


@functools.lru_cache(maxsize=1)
def _opened(names: tuple[str, ...], architecture: str, scale: str, tokens: int, keep: int, held: int) -> Sets:
    return Texts(scale=scale, tokenizer=architecture, usual=architecture).sets(names, tokens, keep, held)


def _inputs(record: Mapping[str, Any]) -> Sets:
    """What a language run was made from; models were crossed with all texts of the book."""
    config = record["config"]
    every = (*NAMES, *FURTHER) if record["kind"] == "language-model" else (config["corpus"],)
    how = [config[name] for name in ("scale", "tokens", "keep", "held")]
    sets = _opened(every, config["architecture"], *how)
    if record["inputs"] not in (None, sets.digest()):
        raise Differs(f"{record['name']} was made from other texts than are here.")
    return sets


AGAIN: dict[str, Callable[[Mapping[str, Any]], Pieces]] = {
    "addition": _addition,
    "longer": _longer,
    "sweep": _sweep,
    "variant": _sweep,
    "causes": _causes,
    "rivals": _rivals,
    "language-model": functools.partial(_language, makers.language_model, "model"),
    "language-velocity": functools.partial(_language, makers.velocity, "velocity"),
    "language-heads": functools.partial(_language, makers.heads, "heads"),
    "language-edit": _edit,
}
"""What makes the first steps of each kind of run again, piece by piece."""
