"""Which notebooks are out of date, why, and how one is made anew.

jupyter-cache, and with it `execute_notebooks: cache`, keys on the code cells alone: after a change in `probsig/` or in
a stored result it shows old numbers and calls the build a success.
Here a notebook is made from three things, and `notebooks/executed.json` keeps their digests as they were when it ran:

- its text, the `.md` that people edit (the `.ipynb` is generated and never a source);
- the definitions of `probsig` that it uses, with all that they lead to, docstrings and comments left out;
- the result files it read, as `probsig.runs.files` notes them in the file that PROBSIG_READ_LOG names.

A fourth digest is that of the notebook as it was written, with all its outputs and figures.
A notebook whose digests differ today is stale, and `Book.reasons` says why in words.
An execution that changes nothing, neither a digest nor an output, changes no file.

    python book/_ext/staleness.py --stale               # execute what is stale, nothing else
    python book/_ext/staleness.py --all                 # execute everything
    python book/_ext/staleness.py theory/signatures     # execute one chapter
"""

import argparse
import ast
import base64
import functools
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from PIL import Image

from probsig.runs import files as runs_files
from probsig.runs import machine
from probsig.runs.code import Definitions

ROOT = Path(__file__).resolve().parents[2]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS")
QUIET = ["--IPKernelApp.log_level=ERROR"]  # a kernel warns that it talks to us over a local socket
DIGESTS = {"source": str, "code": dict, "results": dict, "written": str}
FRESH = "Every chapter is fresh."


class ExecutionError(RuntimeError):
    """A notebook that did not run to its end; the message names the notebook, the cell and the error."""


@dataclass(frozen=True)
class Book:
    """A checkout: `root` holds `notebooks/`, `probsig/` and `results/`; notebooks are named `part/chapter`."""

    root: Path = ROOT

    @property
    def ledger(self) -> Path:
        """The file that records what each notebook was made from."""
        return self.root / "notebooks" / "executed.json"

    def text(self, name: str) -> Path:
        """The source of a notebook."""
        return self.root / "notebooks" / f"{name}.md"

    def notebook(self, name: str) -> Path:
        """The generated notebook with its outputs."""
        return self.root / "notebooks" / f"{name}.ipynb"

    def names(self) -> list[str]:
        """Every chapter that has a text, in alphabetical order."""
        folder = self.root / "notebooks"
        return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("*/*.md"))

    def records(self) -> dict[str, dict]:
        """What `notebooks/executed.json` says: notebook -> record; raises StorageError where it is damaged."""
        try:
            found = json.loads(self.ledger.read_text(encoding="utf-8")) if self.ledger.is_file() else {}
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise runs_files.StorageError(f"{self.ledger} is damaged: restore it with `git checkout -- {self.ledger}`.")
        return found

    def digests(self, name: str, results: Iterator[str] | list[str]) -> dict:
        """Digests of what the notebook is made from today; `results` are paths below the root."""
        code = "\n".join(_cells(jupytext.read(self.text(name))))
        package = _definitions(self.root / "probsig")
        files = {path: self.root / path for path in sorted(set(results))}
        return {
            "source": runs_files.digest_text(self.text(name).read_text(encoding="utf-8")),
            "code": package.used_by(code),
            "results": {path: runs_files.digest_file(file) if file.is_file() else "" for path, file in files.items()},
        }

    def reasons(self, name: str) -> list[str]:
        """Why the notebook is stale, a sentence a reason; empty when its outputs are those of today's sources."""
        record = self.records().get(name)
        if record is None:
            return [f"{name} was never executed"]
        if not isinstance(record, dict) or not all(isinstance(record.get(key), kind) for key, kind in DIGESTS.items()):
            return ["its record in executed.json is not of today's form"]
        now = self.digests(name, list(record["results"]))
        found = [] if self.notebook(name).is_file() else ["the notebook file is missing"]
        if not found and runs_files.digest_text(self.notebook(name).read_text(encoding="utf-8")) != record["written"]:
            found.append("the notebook file is not as its execution wrote it")
        if now["source"] != record["source"]:
            found.append("the text changed")
        found += [f"{name} changed" for name in _differing(record["code"], now["code"])]
        for path in _differing(record["results"], now["results"]):
            found.append(f"the result {path} " + ("changed" if now["results"][path] else "is missing"))
        return found

    def stale(self) -> dict[str, list[str]]:
        """The stale notebooks and why."""
        return {name: reasons for name in self.names() if (reasons := self.reasons(name))}

    def executed(self, name: str, timeout: int = 3600) -> tuple[nbformat.NotebookNode, list[str]]:
        """A chapter's text run in a fresh kernel, and the result files that it read.

        The kernel starts in the notebook's folder, on one thread, with an empty folder for new runs, so that neither
        the caller's folder nor an earlier run shows in the outputs.
        Raises `ExecutionError` where a cell fails.
        """
        if not self.text(name).is_file():
            known = ", ".join(self.names()) or "none"
            raise ExecutionError(f"There is no chapter {name!r}; the chapters are: {known}.")
        nb = _prepared(self.text(name))
        read = _run(nb, name, self.notebook(name).parent, timeout)
        _lighten(nb)
        nb.metadata.get("language_info", {}).pop("version", None)
        return nb, read

    def execute(self, name: str, timeout: int = 3600) -> bool:
        """Execute a chapter and write its notebook and record; True if a file changed.

        Raises `ExecutionError` where a cell fails, and then writes nothing.
        """
        began = time.monotonic()
        nb, read = self.executed(name, timeout)
        seconds = time.monotonic() - began
        content = nbformat.writes(nb) + "\n"
        record = self.digests(name, read) | {
            **{key: value for key, value in parameters(nb).items() if key in ("seed", "scale")},
            "written": runs_files.digest_text(content),
            "seconds": round(seconds, 1),
            "hardware": machine.hardware(),
            "versions": machine.versions(),
        }
        records = self.records()
        unchanged = self.notebook(name).is_file() and self.notebook(name).read_text(encoding="utf-8") == content
        if unchanged and all(records.get(name, {}).get(key) == record[key] for key in DIGESTS):
            return False
        kept = {other: old for other, old in records.items() if self.text(other).is_file()}
        ledger = json.dumps(kept | {name: record}, indent=1, sort_keys=True) + "\n"
        runs_files.write_whole(self.notebook(name), content.encode())
        runs_files.write_whole(self.ledger, ledger.encode())
        return True


def _definitions(package: Path) -> Definitions:
    stamps = tuple((path, path.stat().st_mtime_ns) for path in sorted(package.rglob("*.py*")) if path.is_file())
    return _read(package, stamps)


@functools.lru_cache(maxsize=2)
def _read(package: Path, stamps: tuple[tuple[Path, int], ...]) -> Definitions:
    return Definitions(package, silent=())  # what shapes no number may shape a page


def parameters(nb: nbformat.NotebookNode) -> dict:
    """The plain values assigned in the cell tagged `pages.parameters`: name -> value."""
    found = {}
    for cell in nb.cells:
        if "parameters" in cell.metadata.get("tags", []):
            for node in ast.parse(cell.source).body:
                target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
                if isinstance(target, ast.Name) and node.value is not None:
                    found[target.id] = ast.literal_eval(node.value)
    return found


def _cells(nb: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in nb.cells if cell.cell_type == "code"]


def _differing(old: dict[str, str], new: dict[str, str]) -> list[str]:
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def _prepared(text: Path) -> nbformat.NotebookNode:
    """The notebook of a text, without outputs; a cell's id follows from what it says, so an edit changes few ids."""
    nb = jupytext.read(text)
    nb.metadata = nbformat.from_dict({key: nb.metadata[key] for key in ("kernelspec",) if key in nb.metadata})
    nb.nbformat, nb.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in nb.cells:
        key = runs_files.digest_text(cell.source)[:12]
        seen[key] = seen.get(key, 0) + 1
        cell.id = f"{key}-{seen[key]}"
    return nb


def _lighten(nb: nbformat.NotebookNode) -> None:
    """Store each figure with a palette of 256 colours, a third of its size; what already has one stays as it is."""
    for data in (output.data for cell in nb.cells for output in cell.get("outputs", []) if "data" in output):
        if "image/png" not in data:
            continue
        picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
        if picture.mode == "P":
            continue
        few = picture.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE)
        packed = io.BytesIO()
        few.save(packed, "PNG", optimize=True)
        data["image/png"] = base64.b64encode(packed.getvalue()).decode()


def environment() -> dict[str, str]:
    """What a kernel is started with: the caller's environment, but one thread, figures on the page whatever MPLBACKEND
    says, no progress bars, and folders as the caller means them, for a kernel starts in its notebook's own."""
    found = os.environ | dict.fromkeys(THREADS, "1") | runs_files.named_folders()
    found.pop("MPLBACKEND", None)
    return found | {"PYTHONHASHSEED": "0", "TQDM_DISABLE": "1"}


def _run(nb: nbformat.NotebookNode, name: str, folder: Path, timeout: int) -> list[str]:
    """Execute the notebook in place and return the result files that it read."""
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch, "read")
        env = environment() | {"PROBSIG_READ_LOG": str(log), "PROBSIG_RUNS": str(Path(scratch, "runs"))}
        env |= {"IPYTHONDIR": str(Path(scratch, "ipython"))}
        client = NotebookClient(
            nb,
            timeout=timeout,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
            record_timing=False,
            coalesce_streams=True,
            extra_arguments=QUIET,
        )
        try:
            client.execute(env=env)
        except CellExecutionError as error:
            raise ExecutionError(f"{name} failed: {error.ename}: {error.evalue}\n{error.traceback}") from None
        except (CellTimeoutError, DeadKernelError) as error:
            raise ExecutionError(f"{name} failed: {error}") from None
        return sorted(set(log.read_text(encoding="utf-8").split("\n")) - {""}) if log.is_file() else []


def main(arguments: list[str] | None = None, book: Book | None = None) -> int:
    """The command line; returns the exit status."""
    book = book or Book()
    parser = argparse.ArgumentParser(description="Execute the book's notebooks, or say which are stale.")
    parser.add_argument("names", nargs="*", help="chapters to execute, such as theory/signatures")
    parser.add_argument("--all", action="store_true", help="execute every chapter")
    parser.add_argument("--stale", action="store_true", help="execute the chapters that are stale")
    chosen = parser.parse_args(arguments)
    try:
        stale = book.stale()
    except runs_files.StorageError as error:
        print(error, file=sys.stderr)
        return 1
    if not (chosen.names or chosen.all or chosen.stale):
        for name, reasons in stale.items():
            print(f"{name} is stale: {'; '.join(reasons)}")
        if not stale:
            print(FRESH)
        return int(bool(stale))
    names = book.names() if chosen.all else sorted({*chosen.names, *(stale if chosen.stale else ())})
    if not names:
        print(FRESH)
    for name in names:
        why = "; ".join(stale.get(name, ["asked for"]))
        print(f"Executing {name} ({why})", flush=True)
        try:
            changed = book.execute(name)
        except ExecutionError as error:
            print(error, file=sys.stderr)
            return 1
        print(f"  {'written' if changed else 'nothing changed'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
