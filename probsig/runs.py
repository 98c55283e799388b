"""A run is a config and its results: found in `results/`, else in `runs/`, else done and stored in `runs/`.

The name of a run is its kind, scale and seed, and eight digits of the digest of its whole config, so a run is found by
what it is of. `results/` is committed and only read; `runs/` is the reader's own, and PROBSIG_RUNS moves it.
A long run is done in pieces, one a core: each is stored when it is done, so an interrupted run goes on with the others,
and a piece may save its own state in between.
A result remembers the digests of the modules that made it; one that older code made is shown, and says so.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from probsig import provenance, storage
from probsig.drafts import Draft

Arrays = dict[str, np.ndarray]
Work = Callable[[Draft], Arrays]


class MissingRun(LookupError):
    """A stored result that is not there where nothing long may be computed; the message is one sentence."""

    def _render_traceback_(self) -> list[str]:
        return [f"MissingRun: {self}"]


class Line(str):
    """A line of Markdown that a notebook shows as such."""

    def _repr_markdown_(self) -> str:
        return str(self)


@dataclass(frozen=True, eq=False)
class Run:
    """A run's name, config, arrays and record (what `run.json` holds).

    origin is "results", "runs" or "new"; outdated lists the modules whose code has changed since the run was made.
    """

    name: str
    config: dict[str, Any]
    arrays: Arrays
    record: dict[str, Any]
    origin: str
    outdated: tuple[str, ...]

    def provenance(self) -> Line:
        """One line for under a figure: scale, seed, hardware, seconds, and whether today's code made it."""
        return describe([self])


def describe(runs: Iterable[Run]) -> Line:
    """One line about several runs of one kind: scale, seeds, where stored, hardware, seconds, the state of the code."""
    runs = list(runs)

    def distinct(values: Iterable[Any]) -> str:
        return ", ".join(dict.fromkeys(str(value) for value in values))

    seconds = sum(run.record["seconds"] for run in runs)
    took = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    old = sorted({module for run in runs for module in run.outdated})
    code = (
        f"**made by older code** ({', '.join(f'`{module}`' for module in old)} changed since)" if old else "this code"
    )
    seeds = distinct(run.config["seed"] for run in runs if "seed" in run.config)
    places = {"results": "stored in `results/`", "runs": "stored in `runs/`", "new": "computed now"}
    facts = [
        f"Scale {distinct(run.config.get('scale', 'unnamed') for run in runs)}",
        *([f"seed{'s' if ',' in seeds else ''} {seeds}"] if seeds else []),
        distinct(places[run.origin] for run in runs),
        f"on {distinct(run.record['hardware'] for run in runs)}",
        took,
        code,
    ]
    return Line("; ".join(facts) + ".")


def folder() -> Path:
    """Where new runs go: PROBSIG_RUNS, else `runs` of the checkout, else `runs` of the working directory."""
    moved = os.environ.get("PROBSIG_RUNS")
    return Path(moved) if moved else (storage.checkout() or Path.cwd()) / "runs"


def name_of(kind: str, config: Mapping[str, Any]) -> str:
    """The name of a run: kind, scale, seed and a digest of the config.

    >>> name_of("addition", {"scale": "laptop", "seed": 0})
    'addition-laptop-seed0-89f71c1f'
    """
    canonical = json.dumps(config, sort_keys=True, allow_nan=False)
    parts = [kind, config.get("scale"), f"seed{config['seed']}" if "seed" in config else None]
    return "-".join([str(part) for part in parts if part is not None] + [storage.digest(canonical.encode())[:8]])


def find(kind: str, config: Mapping[str, Any]) -> Run | None:
    """The stored run of this kind and config, from `results/` of the checkout, then from `runs/`; None where there is
    none. Raises StorageError, with the file and what to do, for one that is damaged."""
    config, name, root = json.loads(json.dumps(config)), name_of(kind, config), storage.checkout()
    places = ([("results", root / "results")] if root else []) + [("runs", folder())]
    for origin, place in places:
        if (place / name / storage.RECORD).is_file():
            record, arrays = storage.read_run(place / name)
            if record.get("config") != config or record.get("kind") != kind:
                path = place / name / storage.RECORD
                raise storage.StorageError(f"{path} is of another config than its name: {storage.remedy(path)}.")
            return Run(name, config, arrays, record, origin, _outdated(record["modules"]))
    return None


def _outdated(made_by: Mapping[str, str]) -> tuple[str, ...]:
    changed = []
    for module, digest in made_by.items():
        try:
            same = provenance.digest_module(module) == digest
        except ModuleNotFoundError:
            same = False
        if not same:
            changed.append(module)
    return tuple(sorted(changed))


def may_compute(config: Mapping[str, Any]) -> bool:
    """Whether a missing result of this config may be computed here: under CI only at the scale "smoke"."""
    return os.environ.get("CI", "").lower() not in ("true", "1") or config.get("scale", "smoke") == "smoke"


def run(
    kind: str,
    config: Mapping[str, Any],
    compute: Mapping[str, Work],
    *,
    modules: Iterable[str],
    stop: threading.Event | None = None,
) -> Run:
    """The run of this kind and config: found, or else done piece by piece and stored.

    config holds plain JSON values; "scale" and "seed" become part of the name. compute maps the name of each piece to
    what computes its arrays, which the run holds as "piece/array"; it is called with a `Draft`, where it may save its
    state to go on after an interruption. The pieces are done side by side, one a core.
    modules are the modules that make the result (what they import is added). Where the environment says CI, a missing
    result above the scale "smoke" raises MissingRun instead of hours of work. Raises StorageError when a stored run is
    damaged or the disk is full.
    """
    found = find(kind, config)
    if found is not None:
        return found
    config, name = json.loads(json.dumps(config)), name_of(kind, config)
    if not may_compute(config):
        raise MissingRun(
            f"The result {name} is not in results/, and under CI nothing above the scale 'smoke' is computed: "
            f"run the chapter at that scale elsewhere and promote {name}."
        )
    made_by = provenance.digest_modules(modules)
    drafts = folder() / f"{name}.pieces"
    code = storage.digest(json.dumps(made_by, sort_keys=True).encode())[:8]
    stop = stop or threading.Event()
    with ThreadPoolExecutor(min(len(compute), _cores())) as pool:
        done = [
            pool.submit(_piece, drafts / f"{piece.replace('/', '-')}-{code}", made_by, work, stop)
            for piece, work in compute.items()
        ]
        try:
            finished = [future.result() for future in done]
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    arrays = {
        f"{piece}/{key}": value
        for piece, (_, part) in zip(compute, finished, strict=True)
        for key, value in part.items()
    }
    seconds = sum(record["seconds"] for record, _ in finished)
    facts = {"versions": provenance.versions(), "hardware": provenance.hardware(), "seconds": round(seconds, 1)}
    record = {"kind": kind, "name": name, "config": config, "modules": made_by, **facts}
    storage.write_run(folder() / name, record, arrays)
    shutil.rmtree(drafts, ignore_errors=True)
    return Run(name, config, arrays, record, "new", ())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _piece(place: Path, made_by: dict[str, str], work: Work, stop: threading.Event) -> tuple[dict[str, Any], Arrays]:
    if (place / storage.RECORD).is_file():
        return storage.read_run(place)
    begun = time.perf_counter()
    arrays = work(Draft(place / "state", stop))
    record = {"modules": made_by, "seconds": time.perf_counter() - begun}
    storage.write_run(place, record, arrays)
    shutil.rmtree(place / "state", ignore_errors=True)
    return record, arrays
