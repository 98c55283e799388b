"""School mathematics as the Pile has it: questions and answers of DeepMind's generator, cut into documents.

The generator (`mathematics-dataset` 1.0.1, Apache-2.0; Saxton, Grefenstette, Hill and Kohli, ICLR 2019) is older than
the sympy, numpy and Python that it meets here. Four things moved since: `base_solution_linear` of sympy lies one level
deeper, `np.object` and `ndarray.itemset` are gone from numpy, and `random.randint` takes no floats from Python 3.12 on.
And about once in 10^5 questions the generator stops at an assertion: shares of entropy that ought to be zero are drawn
from a Dirichlet law with weights of 1e-9, and 6 in a million of them come out positive. Here they are zero.
The sources of four of its files are mended as they are loaded. No file changes on the disk, nor does sympy or numpy.

The Pile's DM Mathematics is the generator's training split: "train-easy", "train-medium" and "train-hard". A file of it
is of one module at one difficulty, and all have as many questions: lines of a question and its answer in turn. It is
cut after the answer with which a document passes 8,192 characters, line ends not counted. The short document at the end
of a file has no counterpart here.

Seeds do not make the generator repeat itself, because it also depends on the order of objects in sets: so what was
generated is kept in a file, with its digest.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import heapq
import importlib
import importlib.machinery
import importlib.util
import io
import json
import numbers
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from probsig import seeds
from probsig.errors import closest, one_of
from probsig.runs.files import write_whole

PACKAGE = "mathematics-dataset==1.0.1"
DIFFICULTIES = ("easy", "medium", "hard")
SIZE = 8192  # characters after which a document ends with its answer
LONGEST_QUESTION, LONGEST_ANSWER = 160, 30  # the generator's own limits
MODULES = {
    "algebra": "linear_1d linear_1d_composed linear_2d linear_2d_composed polynomial_roots polynomial_roots_composed "
    "sequence_next_term sequence_nth_term",
    "arithmetic": "add_or_sub add_or_sub_in_base add_sub_multiple div mixed mul mul_div_multiple nearest_integer_root "
    "simplify_surd",
    "calculus": "differentiate differentiate_composed",
    "comparison": "closest closest_composed kth_biggest kth_biggest_composed pair pair_composed sort sort_composed",
    "measurement": "conversion time",
    "numbers": "base_conversion div_remainder div_remainder_composed gcd gcd_composed is_factor is_factor_composed "
    "is_prime is_prime_composed lcm lcm_composed list_prime_factors list_prime_factors_composed place_value "
    "place_value_composed round_number round_number_composed",
    "polynomials": "add coefficient_named collect compose evaluate evaluate_composed expand simplify_power",
    "probability": "swr_p_level_set swr_p_sequence",
}
MENDED = {  # what is replaced in which file of the generator, in the order in which they are loaded
    "mathematics_dataset.sample.polynomials": (
        ("from sympy.solvers.diophantine import", "from sympy.solvers.diophantine.diophantine import"),
        ("dtype=np.object)", "dtype=object)"),
        ("coeffs.itemset(index, value)", "coeffs[index] = value"),
        ("expanded_coefficients.itemset(power, coeffs)", "expanded_coefficients[power] = coeffs"),
        ("np.maximum(1e-9, counts - 1))", "np.maximum(1e-9, counts - 1)) * (counts > 1)"),
    ),
    "mathematics_dataset.sample.linear_system": (
        ("np.maximum(1e-9, counts - 1))", "np.maximum(1e-9, counts - 1)) * (counts > 1)"),
    ),
    "mathematics_dataset.sample.arithmetic": (
        ("np.maximum(1e-9, count_split))", "np.maximum(1e-9, count_split)) * (np.asarray(count_split) > 0)"),
    ),
    "mathematics_dataset.modules.numbers": (("remainder_divisor / 2", "remainder_divisor // 2"),),
}


def modules() -> list[str]:
    """The names of the 56 modules of the training split, sorted.

    >>> len(modules()), modules()[:2], "polynomials__simplify_power" in modules()
    (56, ['algebra__linear_1d', 'algebra__linear_1d_composed'], True)
    """
    return sorted(f"{area}__{name}" for area, names in MODULES.items() for name in names.split())


def questions(module: str, difficulty: str, seed: int) -> Iterator[tuple[str, str]]:
    """Questions and answers from the training split of a module, at "easy", "medium" or "hard", without end.

    Questions of more than 160 and answers of more than 30 characters are drawn again, as by the generator's own script.
    The same seed need not give the same questions. The global random states of Python and numpy are as they were
    whenever a question is handed out.
    Raises ValueError for an unknown module or difficulty and a seed that is no integer of at least 0, and ImportError
    where the generator is not installed; all at the call.

    >>> questions("numbers__gdc", "easy", seed=0)
    Traceback (most recent call last):
    ValueError: There is no module 'numbers__gdc' (did you mean 'numbers__gcd'?): see mathematics.modules().
    """
    if module not in modules():
        raise ValueError(f"There is no module {module!r}{closest(module, modules())}: see mathematics.modules().")
    one_of("difficulty", difficulty, DIFFICULTIES)
    for_python, for_numpy = seeds.stream(seed, "mathematics", module, difficulty).integers(2**32, size=2).tolist()
    return _asking(_makers(difficulty)[module], for_python, for_numpy)


def documents(characters: int, seed: int) -> Iterator[tuple[str, str]]:
    """Documents as the Pile cuts them, an id and a text each, until they have at least `characters` characters.

    A document is whole, and of one module at one difficulty. Next is always the module and difficulty with the fewest
    questions so far, so that all come to have about as many, as in the Pile. Where several have as few, chance (`seed`)
    decides. In less than about 1.4 million characters not every module has a document at every difficulty.
    Raises as `questions` does, and ValueError when `characters` is no integer of at least 1; all at the call.

    >>> documents(0, seed=0)
    Traceback (most recent call last):
    ValueError: characters is 0: pass an integer of at least 1.
    """
    if isinstance(characters, bool) or not isinstance(characters, numbers.Integral) or characters < 1:
        raise ValueError(f"characters is {characters!r}: pass an integer of at least 1.")
    streams = [
        (f"train-{difficulty}/{module}", questions(module, difficulty, seed))
        for difficulty in DIFFICULTIES
        for module in modules()
    ]
    return _taking_turns(characters, seed, streams)


def cut(pairs: Iterator[tuple[str, str]]) -> str:
    r"""The next document of questions and answers: a line each, in turn, ended by the answer with which the lines pass
    SIZE characters, line ends not counted.

    >>> pairs = iter([("1 + 1", "2"), ("Add " + "2 and " * 2000 + "2.", "4002"), ("3*3", "9")])
    >>> cut(pairs).split("\n")[-1], next(pairs)
    ('4002', ('3*3', '9'))
    """
    lines: list[str] = []
    characters = 0
    while characters <= SIZE:
        pair = next(pairs)
        lines += pair
        characters += sum(map(len, pair))
    return "\n".join(lines)


def generate(path: Path | str, characters: int, seed: int) -> dict[str, Any]:
    """Write `documents` to a .jsonl.gz file, whole or not at all, a line {"text", "source", "id"} each.

    An id says where a document comes from, e.g. "train-easy/numbers__gcd#0". Six million characters take some five
    minutes of one core. Since seeds do not make the generator repeat itself, this file is what to keep.
    Returns a record, also written beside it to `path` with .json behind: characters, documents, the SHA-256 of the
    texts (each followed by a zero byte), seed, the versions of the packages, the date.
    Raises as `documents` does, ValueError for another kind of file, and StorageError when the folder cannot be written,
    which is tried before the work begins.

    >>> generate("mathematics.txt", 100_000, seed=0)
    Traceback (most recent call last):
    ValueError: mathematics.txt is no .jsonl.gz file by its name: end the name in .jsonl.gz.
    """
    path = Path(path)
    if not path.name.endswith(".jsonl.gz"):
        raise ValueError(f"{path} is no .jsonl.gz file by its name: end the name in .jsonl.gz.")
    made = documents(characters, seed)
    write_whole(path.with_name(f".{path.name}.trial"), b"").unlink()  # better known now than after the work
    packed, sha, total, number = io.BytesIO(), hashlib.sha256(), 0, 0
    bar = tqdm(total=characters, unit="char", unit_scale=True, mininterval=1, delay=3, desc="mathematics", leave=False)
    with bar, gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        for name, text in made:
            line = {"text": text, "source": f"{PACKAGE} generated", "id": name}
            file.write((json.dumps(line) + "\n").encode())
            sha.update(text.encode() + b"\0")
            total, number = total + len(text), number + 1
            bar.update(len(text))
    record = {
        "characters": total,
        "documents": number,
        "sha256": sha.hexdigest(),
        "seed": int(seed),
        "versions": {name: version(name) for name in ("mathematics-dataset", "sympy", "numpy")},
        "date": datetime.date.today().isoformat(),
    }
    beside = path.with_name(path.name + ".json")
    beside.unlink(missing_ok=True)  # a record without its file would speak of the one before
    write_whole(path, packed.getvalue())
    write_whole(beside, (json.dumps(record, indent=1) + "\n").encode())
    return record


def _taking_turns(
    characters: int, seed: int, streams: Sequence[tuple[str, Iterator[tuple[str, str]]]]
) -> Iterator[tuple[str, str]]:
    order = seeds.stream(seed, "mathematics", "order").permutation(len(streams))
    turns = [(0, place, 0, *streams[which]) for place, which in enumerate(order.tolist())]  # sorted: a heap
    while characters > 0:
        asked, place, number, name, pairs = turns[0]
        text = cut(pairs)
        asked += (text.count("\n") + 1) // 2
        heapq.heapreplace(turns, (asked, place, number + 1, name, pairs))
        characters -= len(text)
        yield f"{name}#{number}", text


def _asking(make: Callable[[], Any], for_python: int, for_numpy: int) -> Iterator[tuple[str, str]]:
    """What a maker of problems asks when Python's and numpy's global random states belong to it alone."""
    states = [random.Random(for_python).getstate(), np.random.RandomState(for_numpy).get_state()]
    while True:
        with _swapped(states):
            problem = make()
            question, answer = str(problem.question), str(problem.answer)
        if len(question) <= LONGEST_QUESTION and len(answer) <= LONGEST_ANSWER:
            yield question, answer


@contextmanager
def _swapped(states: list[Any]) -> Iterator[None]:
    """Python's and numpy's global random states are `states` for a while; `states` then holds what they became."""
    before = random.getstate(), np.random.get_state()
    random.setstate(states[0])
    np.random.set_state(states[1])
    try:
        yield
    finally:
        states[:] = [random.getstate(), np.random.get_state()]
        random.setstate(before[0])
        np.random.set_state(before[1])


@cache
def _makers(difficulty: str) -> dict[str, Callable[[], Any]]:
    """What makes a problem of each module at a difficulty: a third of the range of each module's entropy."""
    level, levels = DIFFICULTIES.index(difficulty), len(DIFFICULTIES)

    def third(whole: tuple[float, float]) -> tuple[float, float]:
        start, length = whole[0], whole[1] - whole[0]
        return start + level / levels * length, start + (level + 1) / levels * length

    flat: dict[str, Callable[[], Any]] = {}

    def add(below: dict[str, Any], prefix: str) -> None:
        for name, entry in below.items():
            if isinstance(entry, dict):
                add(entry, f"{prefix}{name}__")
            else:
                flat[prefix + name] = entry

    add(_generator().train(third), "")
    return flat


def _generator() -> Any:
    """The generator's module of modules, with the mended ones under it."""
    try:
        for name, replacements in MENDED.items():
            if name not in sys.modules:
                _load_mended(name, replacements)
        return importlib.import_module("mathematics_dataset.modules.modules")
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        raise ImportError(
            f"The mathematics generator cannot be used because {missing} is not installed: run "
            f"`pip install absl-py six sympy` and `pip install --no-deps {PACKAGE}`."
        ) from error


def _load_mended(name: str, replacements: Sequence[tuple[str, str]]) -> None:
    """Import a module of the generator from its source with the replacements made."""
    parent, _, child = name.rpartition(".")
    package = importlib.import_module(parent)
    spec = importlib.util.find_spec(name)
    loader = spec.loader if spec else None
    source = loader.get_source(name) if isinstance(loader, importlib.machinery.SourceFileLoader) else None
    if spec is None or source is None:
        raise ImportError(f"The mathematics generator has no source of {name}: install {PACKAGE} anew.")
    for old, new in replacements:
        if old not in source:
            raise ImportError(
                f"The mathematics generator is of another version ({name} has no {old!r}): "
                f"run `pip install --no-deps {PACKAGE}`."
            )
        source = source.replace(old, new)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(compile(source, str(spec.origin), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    setattr(package, child, module)
