"""Kill work at random moments, begin it again, and compare what comes of it with work that nobody killed.

    python scripts/kills.py                     # 120 kills of six kinds of work; writes benchmarks/kills.json
    python scripts/kills.py --seed 1 counting   # one kind, other moments; writes nothing

Each round begins in an empty folder. The work and all its children get SIGKILL after a random part of the time that it
takes, one to three times, and are begun again each time; then it goes on to its end. What it leaves is compared byte
for byte with that of an uninterrupted round, and whatever lies there beside it counts as left behind, a lock's empty
file too. States are saved far more often than in use, so that kills meet the saving.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import numpy as np
from nbformat import v4

from probsig import runs
from probsig.counts import sharded
from probsig.experiments import addition
from probsig.runs import drafts, files, machine
from probsig.text import store

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "benchmarks" / "kills.json"
CONFIG = addition.addition_config("smoke", 0, anchors=4, modulus=8, hidden_size=32, steps=600, every=200)
V = 500


class Bytes:
    """A tokenizer whose tokens are the bytes of a text."""

    name, digest, embedding_rows = "bytes", "0" * 64, 256

    def encode(self, text: str, *, special_tokens: bool = False) -> np.ndarray:
        return np.frombuffer(text.encode(), dtype=np.uint8)


def training(folder: Path) -> None:
    """A run of two pieces, each with its draft."""
    os.environ["PROBSIG_RUNS"] = str(folder)
    drafts.EVERY = 0.0
    pieces = addition.addition(CONFIG)
    runs.run("addition", CONFIG, {name: pieces[name] for name in ("mod/linear", "mod/ffn")})


def tokenising(folder: Path) -> None:
    """A text of 4 MB, its state saved every 40 kB."""
    store.EVERY = 40_000
    words = random.Random(0).choices(["the", "number", "and", "word", "naïve", "after"], k=600)
    store.write(folder / "corpus", (" ".join(words[n:] + words[:n]) for n in range(1000)), Bytes(), {"name": "words"})


def counting(folder: Path) -> None:
    """Pairs of 200,000 tokens in some forty shards."""
    rng = np.random.default_rng(0)
    ids = np.minimum(rng.zipf(1.3, 200_000) - 1, V - 1).astype(np.uint16)
    source = sharded.Ids(ids, V, np.arange(0, len(ids) + 1, 50))
    sharded.budget = lambda *_: (5000, 20_000)
    sharded.count_sharded(source, folder / "table")


def writing(folder: Path) -> None:
    """Forty runs of 2 MB, each in the place of the one before."""
    for n in range(40):
        files.write_run(folder / "run", {"n": n}, {"W": np.full(250_000, float(n))})


def building(folder: Path) -> None:
    """A book of two pages by Jupyter Book, in a folder that holds what an earlier attempt left."""
    source = folder / "book"
    source.mkdir(exist_ok=True)
    shutil.rmtree(source / "_build" / "html", ignore_errors=True)  # as `make book` does
    (source / "_toc.yml").write_text("format: jb-book\nroot: one\nchapters:\n- file: two\n")
    (source / "_config.yml").write_text("title: Two pages\nexecute:\n  execute_notebooks: 'off'\n")
    for page, words in {"one": "# One\n\nSee {doc}`two` and $x^2$.\n", "two": "# Two\n\nBack to {doc}`one`.\n"}.items():
        (source / f"{page}.md").write_text(words)
    _run(Path(sys.executable).with_name("jupyter-book"), "build", source, "--quiet")


def rerunning(folder: Path) -> None:
    """A chapter of one number with another seed, as a page of a book of its own."""
    book = folder / "book"
    if not (book / "_toc.yml").exists():
        (book / "notebooks" / "part").mkdir(parents=True, exist_ok=True)
        code = [
            "seed: int = 0  # a seed",
            "from probsig.pages import parameters\np = parameters.check(globals(), seed=parameters.Integer(0, 9))",
            "print(p.seed * 191)",
        ]
        cells = [v4.new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(code)]
        cells[0].metadata["tags"] = ["parameters"]
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
        cells.insert(0, v4.new_markdown_cell("# A chapter", id="title"))
        nbformat.write(v4.new_notebook(cells=cells, metadata=metadata), book / "notebooks" / "part" / "chapter.ipynb")
        (book / "_config.yml").write_text("title: One page\nexecute:\n  execute_notebooks: 'off'\n")
        (book / "_toc.yml").write_text("format: jb-book\nroot: notebooks/part/chapter\n")
    os.environ |= {"PROBSIG_RUNS": str(folder / "runs"), "TMPDIR": str(files.make_folder(folder / "tmp"))}
    code = "import sys, rerun, pathlib; sys.exit(rerun.main(['part/chapter', 'seed=7'], rerun.Book(pathlib.Path(%r))))"
    _run(sys.executable, "-c", code % str(book), path=str(ROOT / "book" / "_ext"))


def _run(*command: object, path: str = "") -> None:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [path, str(ROOT), os.environ.get("PYTHONPATH")]))}
    subprocess.run(list(map(str, command)), check=True, capture_output=True, env=env)


WORK: dict[str, tuple[Callable[[Path], None], int]] = {
    "training": (training, 30),
    "tokenising": (tokenising, 30),
    "counting": (counting, 30),
    "writing": (writing, 18),
    "building": (building, 6),
    "rerunning": (rerunning, 6),
}
"""Each kind of work and how often it is killed."""


def outcome(folder: Path) -> dict[str, str]:
    """What the work left: the digest of every file; of a notebook and a record what does not tell the time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.name == files.RECORD:
            record = json.loads(path.read_text("utf-8"))
            found[name] = json.dumps([record.get("config"), record.get("n"), record["arrays"]], sort_keys=True)
        elif path.suffix == ".ipynb":
            cells = nbformat.read(path, as_version=4).cells
            found[name] = json.dumps([[cell.source, cell.get("outputs")] for cell in cells])
        elif path.is_file() and not {".doctrees", ".jupyter"} & set(path.parts):
            found[name] = files.digest(path.read_bytes())
    return found


def _begin(work: Callable[[Path], None], folder: str) -> None:
    os.setsid()  # so that its children are killed with it
    sys.stderr = open(os.devnull, "w")
    work(Path(folder))


def start(work: Callable[[Path], None], folder: Path) -> multiprocessing.process.BaseProcess:
    """The work in a process of its own, which has all modules already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__ if __name__ != "__main__" else Path(__file__).stem])
    process = context.Process(target=_begin, args=(work, str(folder)))
    process.start()
    return process


def finish(work: Callable[[Path], None], folder: Path) -> float:
    """Let the work go on to its end; the seconds that it took."""
    begun = time.monotonic()
    process = start(work, folder)
    process.join()
    if process.exitcode:
        raise SystemExit(f"The work failed with {process.exitcode} in {folder}: its folder is kept.")
    return time.monotonic() - begun


def killed(work: Callable[[Path], None], folder: Path, after: float) -> bool:
    """Begin the work and kill it after so many seconds; whether it was still at it."""
    process = start(work, folder)
    process.join(after)
    alive = process.is_alive()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # type: ignore[arg-type]
    process.kill()
    process.join()
    return alive


def rounds(work: Callable[[Path], None], kills: int, chance: random.Random) -> Iterator[tuple[int, bool, list[str]]]:
    """Of each round: how often it was killed, whether the bits are those of an uninterrupted one, and what lies there
    beside them."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch, "place")  # one place for all: pages may name it
        place.mkdir()
        finish(work, place)  # compiles what is compiled once
        shutil.rmtree(place)
        place.mkdir()
        took = finish(work, place)
        whole = outcome(place)
        while kills > 0:
            shutil.rmtree(place)
            place.mkdir()
            wanted = min(kills, chance.randint(1, 3))
            done = sum(killed(work, place, chance.uniform(0, took)) for _ in range(wanted))
            finish(work, place)
            found = outcome(place)
            yield done, whole.items() <= found.items(), sorted(found.keys() - whole)
            kills -= done


def measured(kind: str, seed: int) -> dict[str, object]:
    """The row of a kind of work."""
    work, kills = WORK[kind]
    found = list(rounds(work, kills, random.Random(f"{seed} {kind}")))
    left = sorted({name for *_, names in found for name in names})
    return {
        "kills": sum(done for done, *_ in found),
        "rounds": len(found),
        "same": sum(same for _, same, _ in found),
        "left": len(left),
        "examples": left[:5],
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status: 1 where bits differ or something is left behind."""
    parser = argparse.ArgumentParser(description="Kill work at random moments and compare what comes of it.")
    parser.add_argument("kinds", nargs="*", help=f"some of {', '.join(WORK)}; all of them where none is named")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    chosen = parser.parse_args(arguments)
    table = {}
    for kind in chosen.kinds or WORK:
        table[kind] = measured(kind, chosen.seed)
        print(kind, json.dumps(table[kind]), flush=True)
    if not chosen.kinds:
        made = {
            "command": "python scripts/kills.py",
            "seed": chosen.seed,
            "hardware": machine.hardware(),
            "work": table,
        }
        files.write_whole(TABLE, (json.dumps(made, indent=1) + "\n").encode())
    return int(any(row["same"] != row["rounds"] or row["left"] for row in table.values()))


if __name__ == "__main__":
    sys.exit(main())
