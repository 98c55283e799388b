"""A chapter with other parameters, as a page that reads like the book.

    python book/_ext/rerun.py addition/training seed=3 scale=smoke

papermill runs the committed notebook with the parameters into a folder of its own below `runs/`; then the whole book is
built there with that notebook in the chapter's place, so that every reference on the page leads somewhere.
"""

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError
from staleness import QUIET, Book, parameters

from probsig.pages.parameters import ParameterError, known

PARTS = ("_config.yml", "_toc.yml", "book", "notebooks", "probsig", "results", "pyproject.toml")


class RerunError(RuntimeError):
    """A rerun that cannot be made; one sentence."""


def takes(name: str, book: Book) -> dict:
    """The parameters of a chapter and their defaults."""
    if not book.notebook(name).is_file():
        others = ", ".join(other for other in book.names() if book.notebook(other).is_file()) or "none"
        raise RerunError(f"There is no notebook {name!r}; the notebooks are: {others}.")
    return parameters(nbformat.read(book.notebook(name), as_version=4))


def parse(pairs: list[str], defaults: dict) -> dict:
    """Parameters from `name=value` words, every name one of the chapter's: papermill would run any other as code.

    A value is read as the chapter's cell would read it, and is a text where that fails or the default is a text.

    >>> parse(["seed=3", "text=@a.txt"], {"seed": 0, "text": "stand-in"})
    {'seed': 3, 'text': '@a.txt'}
    """
    for pair in pairs:
        if "=" not in pair:
            raise RerunError(f"A parameter is written name=value, as in seed=3; {pair!r} is not.")
    given = {name: value for name, _, value in (pair.partition("=") for pair in pairs)}
    known({name: repr(value) for name, value in given.items()}, defaults)
    return {name: value if isinstance(defaults[name], str) else _read(value) for name, value in given.items()}


def _read(word: str) -> object:
    try:
        return ast.literal_eval(word)
    except (ValueError, TypeError, SyntaxError):
        return word


def folder_name(name: str, parameters: dict) -> str:
    """Name of the rerun's folder, safe on every file system.

    >>> folder_name("addition/training", {"seed": 3, "scale": "smoke"})
    'rerun-addition-training-seed-3-scale-smoke'
    """
    words = ["rerun", *name.split("/"), *(str(part) for pair in parameters.items() for part in pair)]
    return "-".join("".join(c if c.isalnum() or c in "._" else "_" for c in word) for word in words)


def execute(name: str, parameters: dict, target: Path, book: Book) -> Path:
    """Run the chapter with the parameters; returns the notebook written into the target folder."""
    target.mkdir(parents=True, exist_ok=True)
    output = target / f"{Path(name).name}.ipynb"
    quiet = {"progress_bar": False, "log_output": False, "extra_arguments": QUIET}
    try:
        papermill.execute_notebook(
            book.notebook(name), output, parameters, cwd=book.notebook(name).parent, kernel_name="python3", **quiet
        )
    except PapermillExecutionError as error:
        if error.ename == "ParameterError":
            output.unlink(missing_ok=True)
            if not any(target.iterdir()):
                target.rmdir()
            raise RerunError(f"{name}: {error.evalue}") from None
        raise RerunError(f"{name} failed in a cell, {error.ename}: {error.evalue}; see {output}.") from None
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
    """Build the book with the rerun in the chapter's place; returns the page to open."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "book")
        stage(book, source)
        shutil.copy(output, source / "notebooks" / f"{name}.ipynb")
        jupyter_book = Path(sys.executable).with_name("jupyter-book")
        made = subprocess.run([jupyter_book, "build", source, "--quiet"], capture_output=True, text=True)
        html = source / "_build" / "html"
        if made.returncode or not html.is_dir():
            raise RerunError(f"The rerun is in {output}, but its page could not be built:\n{made.stderr[-3000:]}")
        shutil.rmtree(target / "html", ignore_errors=True)
        shutil.move(html, target / "html")
    return target / "html" / "notebooks" / f"{name}.html"


def main(arguments: list[str], book: Book | None = None) -> int:
    """The command line; returns the exit status."""
    book = book or Book()
    name = arguments[0]
    try:
        given = parse(arguments[1:], takes(name, book))
        target = Path(os.environ.get("PROBSIG_RUNS") or book.root / "runs") / folder_name(name, given)
        output = execute(name, given, target, book)
        print(f"Wrote {output}")
        print(f"Open {build(name, output, target, book)}")
    except ParameterError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except RerunError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
