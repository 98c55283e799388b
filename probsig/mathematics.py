"""School mathematics as the Pile has it: questions and answers of DeepMind's generator, cut into documents.

The generator (`mathematics-dataset` 1.0.1, Apache-2.0) dates from 2019. Three things moved since, and are mended in
memory when it is first used; no file of it changes: `base_solution_linear` of sympy lies one level deeper, `np.object`
and `ndarray.itemset` are gone from numpy (both in one file, whose source is rewritten as it is loaded).

The Pile's DM Mathematics is the generator's training split: one module at one difficulty a file, lines of a question
and its answer in turn, cut after the answer with which a document passes 8,192 characters (line ends not counted).

Seeds do not make the generator repeat itself, because it also depends on the order of objects in sets: so what was
generated is kept in a file, with its digest.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import importlib
import importlib.util
import io
import json
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from tqdm import tqdm

from probsig.parameters import closest
from probsig.storage import write_whole

DIFFICULTIES = ("easy", "medium", "hard")
SIZE = 8192  # characters after which a document ends with its answer
LONGEST_QUESTION, LONGEST_ANSWER = 160, 30  # the generator's own limits
OLD = "mathematics_dataset.sample.polynomials"
MENDED = (
    ("dtype=np.object)", "dtype=object)"),
    ("coeffs.itemset(index, value)", "coeffs[index] = value"),
    ("expanded_coefficients.itemset(power, coeffs)", "expanded_coefficients[power] = coeffs"),
)


def modules() -> list[str]:
    """The names of the 56 modules of the training split, such as "polynomials__simplify_power".

    Raises ImportError where the generator is not installed.
    """
    return sorted(_problems("easy"))


def questions(module: str, difficulty: str, number: int, seed: int) -> Iterator[tuple[str, str]]:
    """`number` questions and their answers; questions of more than 160 and answers of more than 30 characters are drawn
    again, as the generator's own script does.

    Raises ValueError for an unknown module or difficulty, ImportError where the generator is not installed.
    """
    make = _problem(module, difficulty)
    _seeded(seed, module, difficulty)
    for _ in range(number):
        yield _drawn(make)


def documents(characters: int, seed: int, only: Sequence[str] | None = None) -> Iterator[str]:
    """Documents as the Pile cuts them, until there are about `characters`: the modules (or those of `only`) take turns,
    each at the three difficulties. Raises as `questions` does."""
    turns = [(module, difficulty) for module in only or modules() for difficulty in DIFFICULTIES]
    makers = {turn: _problem(*turn) for turn in turns}
    done = number = 0
    while done < characters:
        turn = turns[number % len(turns)]
        _seeded(seed, *turn, str(number))
        text = _document(makers[turn])
        done, number = done + len(text), number + 1
        yield text


def generate(path: Path | str, characters: int, seed: int, only: Sequence[str] | None = None) -> dict[str, Any]:
    """Write documents to a .jsonl.gz file with a line {"text", "source", "id"} each, whole or not at all.

    Returns a record, also written to `path` with .json behind it: characters, documents, the SHA-256 of the documents
    (each followed by a zero byte), versions, the date. Raises as `questions` does, and StorageError for a full disk.
    """
    path, sha, total, number = Path(path), hashlib.sha256(), 0, 0
    packed = io.BytesIO()
    bar = tqdm(total=characters, unit="char", unit_scale=True, mininterval=1, delay=3, desc="mathematics", leave=False)
    with bar, gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        for number, text in enumerate(documents(characters, seed, only), 1):
            line = {"text": text, "source": "mathematics-dataset==1.0.1", "id": str(number - 1)}
            file.write((json.dumps(line) + "\n").encode())
            sha.update(text.encode() + b"\0")
            total += len(text)
            bar.update(len(text))
    record = {
        "characters": total,
        "documents": number,
        "sha256": sha.hexdigest(),
        "seed": seed,
        "only": list(only or []),
        "versions": {name: version(name) for name in ("mathematics-dataset", "sympy", "numpy")},
        "date": datetime.date.today().isoformat(),
    }
    write_whole(path, packed.getvalue())
    write_whole(path.with_name(path.name + ".json"), (json.dumps(record, indent=1) + "\n").encode())
    return record


def _document(make: Callable[[], Any]) -> str:
    """Questions and answers, a line each, until they pass SIZE characters without their line ends."""
    lines: list[str] = []
    while sum(map(len, lines)) <= SIZE:
        lines += _drawn(make)
    return "\n".join(lines)


def _drawn(make: Callable[[], Any]) -> tuple[str, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of calls that sympy and numpy would rather see otherwise
        while True:
            problem = make()
            question, answer = str(problem.question), str(problem.answer)
            if len(question) <= LONGEST_QUESTION and len(answer) <= LONGEST_ANSWER:
                return question, answer


def _seeded(seed: int, *names: str) -> None:
    """Seed what the generator draws from; it has no generator of its own."""
    number = int.from_bytes(hashlib.sha256("/".join((str(seed), *names)).encode()).digest()[:4], "little")
    random.seed(number)
    np.random.seed(number)


def _problem(module: str, difficulty: str) -> Callable[[], Any]:
    if difficulty not in DIFFICULTIES:
        raise ValueError(f"difficulty is {difficulty!r}: pass one of {', '.join(map(repr, DIFFICULTIES))}.")
    known = _problems(difficulty)
    if module not in known:
        raise ValueError(f"There is no module {module!r}{closest(module, list(known))}: see mathematics.modules().")
    return known[module]


@cache
def _problems(difficulty: str) -> dict[str, Callable[[], Any]]:
    """What makes a problem of each module at a difficulty: a third of the range of each module's entropy."""
    low = DIFFICULTIES.index(difficulty) / len(DIFFICULTIES)
    high = low + 1 / len(DIFFICULTIES)

    def third(whole: tuple[float, float]) -> tuple[float, float]:
        start, length = whole[0], whole[1] - whole[0]
        return start + low * length, start + high * length

    flat: dict[str, Callable[[], Any]] = {}

    def add(below: dict[str, Any], prefix: str) -> None:
        for name, entry in below.items():
            if isinstance(entry, dict):
                add(entry, f"{prefix}{name}__")
            else:
                flat[prefix + name] = entry

    add(_generator().train(third), "")
    return flat


@cache
def _generator() -> ModuleType:
    """The generator's modules, mended."""
    if importlib.util.find_spec("mathematics_dataset") is None:
        raise ImportError(
            "The mathematics generator is not installed: run `pip install absl-py six sympy` and "
            "`pip install --no-deps mathematics-dataset==1.0.1`."
        )
    moved = importlib.import_module("sympy.solvers.diophantine.diophantine")  # the name leads to a function of sympy

    package = sys.modules["sympy.solvers.diophantine"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package.base_solution_linear = moved.base_solution_linear  # type: ignore[attr-defined]
        if OLD not in sys.modules:
            _load_mended()
        from mathematics_dataset.modules import modules as generator
    return generator


def _load_mended() -> None:
    spec = importlib.util.find_spec(OLD)
    source = spec.loader.get_source(OLD)  # type: ignore[union-attr]
    for old, new in MENDED:
        if old not in source:
            raise ImportError("mathematics-dataset is not of version 1.0.1: install mathematics-dataset==1.0.1.")
        source = source.replace(old, new)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules[OLD] = module
    exec(compile(source, spec.origin, "exec"), module.__dict__)  # type: ignore[union-attr,arg-type]
    parent, _, child = OLD.rpartition(".")
    setattr(sys.modules[parent], child, module)
