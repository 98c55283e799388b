"""A chapter with other parameters, as a page that reads like the book.

    python book/_ext/rerun.py addition/training seed=3 scale=smoke

papermill runs the committed notebook with the parameters into a folder of its own below `runs/`; then the whole book is
built there with that notebook in the chapter's place, so that every reference on the page leads somewhere.
"""

import ast
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import nbformat
import papermill
from leaving_out import NAME
from papermill.exceptions import PapermillExecutionError
from staleness import QUIET, Book, environment, parameters

from probsig.errors import brief
from probsig.experiments.texts import OPEN, STAND_IN
from probsig.pages.parameters import ParameterError, known
from probsig.runs import files as runs_files
from probsig.text.rules import HUB
from probsig.text.sources.find import NAMES, shown

PARTS = ("_config.yml", "_toc.yml", "benchmarks", "book", "notebooks", "probsig", "results", "tests", "pyproject.toml")
WORDS = {STAND_IN, OPEN, *NAMES, *HUB}  # what the chapters read as a name, whatever lies in the caller's folder


class RerunError(RuntimeError):
    """A rerun that cannot be made; one sentence."""


def takes(name: str, book: Book) -> tuple[dict, set[str]]:
    """The parameters of a chapter with their defaults, and those of them that may be a path."""
    there = [other for other in book.names() if book.notebook(other).is_file()]
    if name not in there:
        raise RerunError(f"There is no notebook {brief(name)}; the notebooks are: {', '.join(there) or 'none'}.")
    nb = nbformat.read(book.notebook(name), as_version=4)
    cells = (ast.parse(cell.source) for cell in nb.cells if cell.cell_type == "code" and "check(" in cell.source)
    calls = (node for cell in cells for node in ast.walk(cell) if isinstance(node, ast.Call))
    rules = [rule for call in calls if ast.unparse(call.func) == "parameters.check" for rule in call.keywords]
    return parameters(nb), {rule.arg for rule in rules if "parameters.Text()" in ast.unparse(rule.value)}


def parse(pairs: list[str], defaults: dict, paths: Collection[str] = ()) -> dict:
    """Parameters from `name=value` words, every name one of the chapter's: papermill would run any other as code.

    A value is read as the chapter's cell would read it, and is a text where that fails or the default is a text. One of
    `paths` that names a file or folder is read in the caller's folder, for the chapter runs in another.

    >>> parse(["seed=3", "text=@a.txt"], {"seed": 0, "text": "stand-in"})
    {'seed': 3, 'text': '@a.txt'}
    """
    for pair in pairs:
        if "=" not in pair:
            raise RerunError(f"A parameter is written name=value, as in seed=3; {pair!r} is not.")
    given = {name: value for name, _, value in (pair.partition("=") for pair in pairs)}
    if len(given) < len(pairs):
        raise RerunError(f"A parameter is given twice in {' '.join(pairs)}: give each once.")
    known({name: repr(value) for name, value in given.items()}, defaults)
    for name in given.keys() & set(paths):
        given[name] = _path(name, given[name], defaults[name])
    return {name: value if isinstance(defaults[name], str) else _read(value) for name, value in given.items()}


def _read(word: str) -> object:
    try:
        return ast.literal_eval(word)
    except (ValueError, TypeError, SyntaxError):
        return word


def _path(name: str, word: str, default: object) -> str:
    if not word or word == default or word in WORDS:
        return word
    try:
        path = runs_files.place(word)
    except ValueError as error:
        raise RerunError(f"The parameter {name!r} names no file: {error}") from None
    if path.exists():
        if shown(str(path)) != str(path):
            raise RerunError(f"The parameter {name!r} was {shown(word)}, which no notebook can hold: rename the file.")
        return str(path)
    if word.startswith(("~", ".", os.sep)) or word.endswith(os.sep):
        raise RerunError(f"The parameter {name!r} was {word!r}, and there is no file or folder {path}.")
    return word


def folder_name(name: str, parameters: dict) -> str:
    """Name of the rerun's folder, safe on every file system; of a path the last part, and of what is long the first.

    >>> folder_name("addition/training", {"seed": 3, "scale": "smoke"})
    'rerun-addition-training-seed-3-scale-smoke'
    """
    words = ["rerun", *name.split("/"), *(str(part) for pair in parameters.items() for part in pair)]
    whole = "-".join(words)
    said = "-".join(Path(word).name if os.path.isabs(word) else word for word in words)
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in said).encode()
    if said == whole and len(safe) <= 120:
        return safe.decode()
    return f"{safe[:100].decode(errors='ignore')}-{runs_files.digest(whole.encode())[:8]}"


@contextlib.contextmanager
def _for_kernels() -> Iterator[None]:
    """The environment of this process, which kernels inherit, as `staleness.environment` says."""
    before, wanted = dict(os.environ), environment()
    try:
        _become(wanted)
        yield
    finally:
        _become(before)


def _become(wanted: dict[str, str]) -> None:
    for name in os.environ.keys() - wanted:
        del os.environ[name]
    os.environ.update(wanted)


def execute(name: str, parameters: dict, target: Path, book: Book) -> Path:
    """Run the chapter with the parameters; returns the notebook written into the target folder."""
    runs_files.make_folder(target)
    output = target / f"{Path(name).name}.ipynb"
    told = {"progress_bar": sys.stderr.isatty(), "log_output": False, "extra_arguments": QUIET, "engine_name": NAME}
    try:
        with _for_kernels():
            papermill.execute_notebook(
                book.notebook(name), output, parameters, cwd=book.notebook(name).parent, kernel_name="python3", **told
            )
    except PapermillExecutionError as error:
        if error.ename == "ParameterError":
            output.unlink(missing_ok=True)
            if not any(target.iterdir()):
                target.rmdir()
            raise RerunError(f"{name}: {error.evalue}") from None
        said = error.evalue.removesuffix(".")
        raise RerunError(f"{name} failed in a cell, {error.ename}: {said}; see {output}.") from None
    return output


def stage(book: Book, target: Path) -> None:
    """Copy what a build of the book reads into a new folder."""
    target.mkdir(parents=True)
    for part in PARTS:
        if (book.root / part).is_dir():
            shutil.copytree(book.root / part, target / part, ignore=shutil.ignore_patterns("__pycache__"))
        elif (book.root / part).is_file():
            shutil.copy(book.root / part, target / part)


def build(name: str, output: Path, target: Path, book: Book) -> Path:
    """Build the book with the rerun in the chapter's place; returns the page to open.

    It is built beside its page and not in TMPDIR, so that the next build removes what a killed one left.
    """
    source, taken = target / ".book", target / ".lock"
    with runs_files.lock(taken):
        shutil.rmtree(source, ignore_errors=True)
        try:
            stage(book, source)
            shutil.copy(output, source / "notebooks" / f"{name}.ipynb")
            jupyter_book = Path(sys.executable).with_name("jupyter-book")
            made = subprocess.run([jupyter_book, "build", source, "--quiet"], capture_output=True, text=True)
            html = source / "_build" / "html"
            if made.returncode or not html.is_dir():
                raise RerunError(f"The rerun is in {output}, but its page could not be built:\n{made.stderr[-3000:]}")
            shutil.rmtree(target / "html", ignore_errors=True)
            html.rename(target / "html")
        finally:
            shutil.rmtree(source, ignore_errors=True)
            taken.unlink(missing_ok=True)
    return target / "html" / "notebooks" / f"{name}.html"


def main(arguments: list[str], book: Book | None = None) -> int:
    """The command line; returns the exit status."""
    book = book or Book()
    name = arguments[0] if arguments else ""
    try:
        given = parse(arguments[1:], *takes(name, book))
        target = (runs_files.named("PROBSIG_RUNS") or book.root / "runs") / folder_name(name, given)
        print(f"Running {name}: what is not stored is computed, which takes long at larger scales.", flush=True)
        output = execute(name, given, target, book)
        print(f"Wrote {output}\nBuilding its page.", flush=True)
        print(f"Open {build(name, output, target, book)}")
    except ParameterError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except (RerunError, runs_files.StorageError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename or 'The rerun'} could not be written because {error.strerror or error}"
        print(f"{where}: make room, or name another folder with PROBSIG_RUNS or TMPDIR.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what a build leaves goes
    sys.exit(main(sys.argv[1:]))
