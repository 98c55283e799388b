"""A run is a config and its results: found in `results/`, else in `runs/`, else made and stored in `runs/`.

The name of a run is its kind, scale and seed, and eight digits of the digest of its whole config, so a run is found by
what it is of. `results/` is committed and only read; `runs/` is the reader's own, and PROBSIG_RUNS moves it.
A run is made in pieces, one a core. A piece is the name of a function and its arguments: the function is imported only
where something must be made, and its definition, with all that it leads to, is the run's code (`runs.code`). Each piece
is stored when it is done, so an interrupted run goes on with the others, and a piece may save its own state in between.

What is opened only to make a run, such as a text, is its inputs; their digest is stored with the result. For inputs
that are none of the book's the digest belongs in the config, so that other inputs are another run.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from probsig.errors import closest
from probsig.runs import code, files, machine, replays
from probsig.runs.drafts import Draft

Arrays = dict[str, np.ndarray]


class Inputs(Protocol):
    """What a piece is made from beside its arguments."""

    def digest(self) -> str:
        """The SHA-256 of all of it, in hexadecimal."""
        ...


class MissingRun(LookupError):
    """A stored result that is not there where nothing long may be computed; the message is one sentence."""

    def _render_traceback_(self) -> list[str]:
        return [f"MissingRun: {self}"]


@dataclass(frozen=True)
class Piece:
    """The call that makes a piece: "module:function" of this package, and its arguments.

    The function is called with the arguments and with those of `inputs` (what was opened), `draft` (a `Draft`, where it
    may save its state) and `means` (how, not what: a device) for which it has a parameter; it returns named arrays.
    """

    maker: str
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def make(self, **given: Any) -> Arrays:
        """Call it."""
        function = self.function()
        known = inspect.signature(function).parameters
        return function(*self.arguments, **self.options, **{name: v for name, v in given.items() if name in known})

    def function(self) -> Callable[..., Arrays]:
        """The function, imported now."""
        module, _, name = self.maker.partition(":")
        return getattr(importlib.import_module(module), name)


Pieces = Mapping[str, Piece]


@dataclass(frozen=True, eq=False)
class Run:
    """A run's name, config, arrays and record (what `run.json` holds), what makes it, and its origin: "results", "runs"
    or "new"."""

    name: str
    config: dict[str, Any]
    arrays: Arrays
    record: dict[str, Any]
    origin: str
    makers: Sequence[str] = ()

    @cached_property
    def code(self) -> str:
        """How the code that made it stands to today's: "this", the same; "replayed", other code, of whose first steps
        today's gave the same; else "older"."""
        return replays.state(self.record, code.digest(self.makers))


def folder() -> Path:
    """Where new runs go: PROBSIG_RUNS, else `runs` of the checkout, else `runs` of the working directory."""
    return files.named("PROBSIG_RUNS") or (files.checkout() or Path.cwd()) / "runs"


def name_of(kind: str, config: Mapping[str, Any]) -> str:
    """The name of a run: kind, scale, seed and a digest of the config.

    >>> name_of("addition", {"scale": "laptop", "seed": 0})
    'addition-laptop-seed0-89f71c1f'
    """
    canonical = json.dumps(config, sort_keys=True, allow_nan=False, default=files.plain)
    parts = [kind, config.get("scale"), f"seed{config['seed']}" if "seed" in config else None]
    return "-".join([str(part) for part in parts if part is not None] + [files.digest(canonical.encode())[:8]])


def find(kind: str, config: Mapping[str, Any], pieces: Pieces) -> Run | None:
    """The stored run of this kind and config, from `results/` of the checkout, then from `runs/`; None where there is
    none. Raises StorageError, with the file and what to do, for one that is damaged."""
    config, name, root = _plain(config), name_of(kind, config), files.checkout()
    places = ([("results", root / "results")] if root else []) + [("runs", folder())]
    for origin, place in places:
        if (place / name / files.RECORD).exists():
            record, arrays = files.read_run(place / name)
            if record.get("config") != config or record.get("kind") != kind:
                path = place / name / files.RECORD
                raise files.StorageError(f"{path} is of another config than its name: {files.remedy(path)}.")
            return Run(name, config, arrays, record, origin, _makers(pieces))
    return None


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config as JSON gives it back."""
    return json.loads(json.dumps(config, default=files.plain))


def _makers(pieces: Pieces) -> list[str]:
    return sorted({piece.maker for piece in pieces.values()})


def may_compute(config: Mapping[str, Any]) -> bool:
    """Whether a missing result of this config may be computed here: under CI only at the scale "smoke"."""
    return os.environ.get("CI", "").lower() not in ("true", "1") or config.get("scale", "smoke") == "smoke"


def run(
    kind: str,
    config: Mapping[str, Any],
    pieces: Pieces,
    *,
    inputs: Callable[[], Inputs] | None = None,
    means: Any = None,
    stop: threading.Event | None = None,
) -> Run:
    """The run of this kind and config: found, or else made piece by piece and stored.

    config holds plain JSON values; "scale" and "seed" become part of the name. The run holds the arrays of a piece as
    "piece/array"; pieces are made side by side, one a core, each once where two processes ask for the same run.
    `inputs` is called only where something must be made; `stop` asks the work to save and to stop.
    Where the environment says CI, a missing result above the scale "smoke" raises MissingRun instead of hours of work.
    Raises StorageError when a stored run is damaged or the disk is full, and what the pieces raise.
    """
    found = find(kind, config, pieces)
    if found is not None:
        return found
    name = name_of(kind, config)
    if not may_compute(config):
        raise MissingRun(
            f"The result {name} is not in results/, and under CI nothing above the scale 'smoke' is computed: "
            f"run the chapter at that scale elsewhere and promote {name}."
        )
    unfinished, taken = folder() / f"{name}.pieces", folder() / f"{name}.lock"
    with files.lock(taken):
        found = find(kind, config, pieces)  # another process may have made it meanwhile
        if found is None:
            opened = inputs() if inputs else None
            seen = opened.digest() if opened is not None else None
            parts = _made(pieces, unfinished, seen, {"inputs": opened, "means": means}, _Stop(stop))
            found = store(kind, config, pieces, parts, seen)
        shutil.rmtree(unfinished, ignore_errors=True)
        with contextlib.suppress(OSError):
            taken.unlink()  # whoever waits for it finds the run
    return found


def store(
    kind: str,
    config: Mapping[str, Any],
    pieces: Pieces,
    parts: Mapping[str, tuple[float, Arrays]],
    inputs: str | None = None,
) -> Run:
    """Store what the pieces gave, of each its seconds and arrays; `inputs` is the digest of what was opened."""
    config, name, makers = _plain(config), name_of(kind, config), _makers(pieces)
    arrays = {f"{piece}/{key}": value for piece, (_, part) in parts.items() for key, value in part.items()}
    record = {
        "kind": kind,
        "name": name,
        "config": config,
        "inputs": inputs,
        "code": {"digest": code.digest(makers), "makers": makers, "commit": machine.commit()},
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "versions": machine.versions(),
        "hardware": machine.hardware(),
        "seconds": round(sum(seconds for seconds, _ in parts.values()), 1),
    }
    files.write_run(folder() / name, record, arrays)
    return Run(name, config, arrays, record, "new", makers)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Stop(threading.Event):
    """Set for the pieces of one run where one of them fails, and for all runs of a caller where the caller's own is."""

    def __init__(self, outer: threading.Event | None):
        super().__init__()
        self.outer = outer

    def is_set(self) -> bool:
        return super().is_set() or (self.outer is not None and self.outer.is_set())


def _made(
    pieces: Pieces, unfinished: Path, seen: str | None, given: Mapping[str, Any], stop: threading.Event
) -> dict[str, tuple[float, Arrays]]:
    """Every piece's seconds and arrays. What is kept of unfinished work is of this code and these inputs."""

    def place(name: str, piece: Piece) -> Path:
        made_from = files.digest(f"{code.digest([piece.maker])} {seen}".encode())
        return unfinished / f"{name.replace('/', '-')}-{made_from[:8]}"

    for piece in pieces.values():
        piece.function()  # imported in this thread
    with ThreadPoolExecutor(min(len(pieces), _cores())) as pool:
        done = {name: pool.submit(_piece, place(name, piece), piece, given, stop) for name, piece in pieces.items()}
        try:
            return {name: future.result() for name, future in done.items()}
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _piece(place: Path, piece: Piece, given: Mapping[str, Any], stop: threading.Event) -> tuple[float, Arrays]:
    if (place / files.RECORD).exists():
        record, arrays = files.read_run(place)
        return record["seconds"], arrays
    begun = time.perf_counter()
    arrays = piece.make(**given, draft=Draft(place / "state", stop))
    seconds = time.perf_counter() - begun
    files.write_run(place, {"seconds": seconds}, arrays)
    shutil.rmtree(place / "state", ignore_errors=True)
    return seconds, arrays


def over(found: Iterable[Run], name: str) -> np.ndarray:
    """An array of several runs, one a seed, (seeds, ...), in float64 where it holds floats.

    Raises KeyError, with the array's name, for what a run does not hold.
    """
    arrays = []
    for one in found:
        if name not in one.arrays:
            raise KeyError(f"{one.name} holds no {name!r}{closest(name, list(one.arrays))}.")
        arrays.append(one.arrays[name])
    stacked = np.stack(arrays)
    return stacked.astype(float) if stacked.dtype.kind == "f" else stacked
