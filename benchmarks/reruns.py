"""What a rerun on a text of the reader's own takes: memory, open files and time, and what it leaves behind.

    python benchmarks/reruns.py         # 30, 100 and 300 MB, some twenty minutes; writes benchmarks/reruns.json
    python benchmarks/reruns.py 1       # another size; writes nothing

The text is made up from a seed: words with Zipf's law, half of which follow from the one before. Each size has a folder
of its own for the text, runs, cache and temporary files, and is rerun by the command that `make rerun` calls. Twice a
second memory and open files of the command and all its children are added up: memory that would be free without them
(USS, which counts a mapped file where only one process maps it), files with pipes and sockets. Linux, macOS.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from probsig.runs import files, machine

ROOT = Path(__file__).resolve().parents[1]
TABLE, CHAPTER, SIZES = ROOT / "benchmarks" / "reruns.json", "language/corpora", (30, 100, 300)
WORDS, DOCUMENT, EVERY = 50_000, 600, 0.5


def write_text(path: Path, megabytes: float, seed: int = 0) -> None:
    """Documents of prose of so many bytes in all, a line of JSON each; shorter words are the more frequent ones."""
    rng = np.random.default_rng(seed)
    syllables = [first + vowel for first in "bcdfghjklmnprstvw" for vowel in ("a", "e", "i", "o", "u", "er", "on")]
    words = [
        "".join(rng.choice(syllables, 1 + int(np.log(1 + n) / 4))) + "stnd"[n % 4] * (n % 3 > 0) for n in range(WORDS)
    ]
    weights = np.cumsum(1 / np.arange(1, WORDS + 1))
    left = megabytes * 1e6
    with open(path, "w", encoding="utf-8") as file:
        while left > 0:
            ids = np.searchsorted(weights, rng.random(DOCUMENT) * weights[-1])
            bound = np.flatnonzero(rng.random(DOCUMENT - 1) < 0.5) + 1
            ids[bound] = (ids[bound - 1] * 7919 + rng.geometric(0.1, bound.size)) % WORDS
            chosen = [words[n] for n in ids]
            sentences = [" ".join(chosen[n : n + 12]).capitalize() + "." for n in range(0, DOCUMENT, 12)]
            left -= file.write(json.dumps({"text": " ".join(sentences)}) + "\n")


def held(process: psutil.Process) -> tuple[int, int]:
    """Bytes and open files of a process and all its children at this moment."""
    size = number = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            size, number = size + one.memory_full_info().uss, number + one.num_fds()
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # it ended meanwhile
            pass
    return size, number


def beside(folder: Path) -> set[str]:
    """The files below a folder, without git's own and compiled modules."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return {str(path) for path in found if not {".git", ".venv", "__pycache__"} & set(path.parts)}


def measured(megabytes: float) -> dict[str, object]:
    """One rerun: most bytes while the chapter runs and while its page is built, most files, seconds, what is left."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, before = Path(scratch), beside(ROOT)
        temporary, text, said = files.make_folder(folder / "tmp"), folder / "text.jsonl", folder / "said"
        write_text(text, megabytes)
        env = {"PROBSIG_RUNS": str(folder / "runs"), "PROBSIG_CACHE": str(folder / "cache"), "TMPDIR": str(temporary)}
        command = [sys.executable, ROOT / "book" / "_ext" / "rerun.py", CHAPTER, f"text={text}"]
        begun, chapter, page, most = time.monotonic(), 0, 0, 0
        with open(said, "w") as output:
            process = psutil.Popen(command, env=os.environ | env, stdout=output)
            while process.poll() is None:
                size, number = held(process)
                if "Building its page" in said.read_text():
                    page = max(page, size)
                else:
                    chapter = max(chapter, size)
                most = max(most, number)
                time.sleep(EVERY)
        if process.returncode:
            raise SystemExit(f"The rerun on {megabytes} MB ended with {process.returncode}.")
        seconds = time.monotonic() - begun
        (record,) = folder.glob("cache/**/corpus.json")
        return {
            "megabytes": megabytes,
            "tokens": json.loads(record.read_text("utf-8"))["tokens"],
            "seconds": round(seconds),
            "chapter": chapter,
            "page": page,
            "files": most,
            "temporary": len(beside(temporary)),
            "tree": len(beside(ROOT) - before),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("megabytes", nargs="*", type=float, help="sizes of the text; by default those of the table")
    chosen = parser.parse_args().megabytes
    rows = []
    for megabytes in chosen or SIZES:
        rows.append(measured(megabytes))
        print(json.dumps(rows[-1]), flush=True)
    if not chosen:
        made = {"command": "python benchmarks/reruns.py", "hardware": machine.hardware(), "reruns": rows}
        files.write_whole(TABLE, (json.dumps(made, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
