"""Documents of text out of files, and what is wrong with a file that cannot be read, in one sentence.

A line of a .jsonl file (.gz and .zst too) is a JSON object whose `text` is a document, as in the Pile. A row of a
Parquet file is one, by its column `text`. A .txt file (.gz and .zst too) is one document. A folder is all such files in
it, at any depth, in the order of their paths. Text is UTF-8.

`problem` decides what happens to a document that is damaged: "stop" raises CorpusError, "skip" leaves it out. A file
that ends early is damaged at its end; what stands before is whole.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from probsig.errors import CorpusError, one_of
from probsig.text.store import PROBLEMS

KINDS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".txt", ".txt.gz", ".txt.zst", ".parquet")


def files(path: Path | str) -> list[Path]:
    """The files of a corpus: the file itself, or those of a folder in the order of their paths.

    Raises CorpusError when there is none, or when the file is of another kind.
    """
    path = Path(path)
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file() and kind(file) is not None)
        if not found:
            raise CorpusError(f"The folder {path} holds no file of the kinds {', '.join(KINDS)}: put the text there.")
        return found
    if not path.is_file():
        raise CorpusError(f"There is no file or folder {path}: check the path.")
    if kind(path) is None:
        raise CorpusError(f"{path} is of no kind that is read here: name it {', '.join(KINDS)}.")
    return [path]


def kind(path: Path) -> str | None:
    """The kind of a file by the end of its name, or None.

    >>> kind(Path("pile/00.jsonl.zst")), kind(Path("notes.doc"))
    ('.jsonl.zst', None)
    """
    return next((kind for kind in KINDS if path.name.endswith(kind)), None)


def read(path: Path | str, problem: str = "stop", left_out: Callable[[str], Any] = lambda why: None) -> Iterator[str]:
    """The documents of a file or a folder, one after the other.

    Under problem="skip" every damaged document is left out and `left_out` is called with the sentence.
    Raises CorpusError under "stop", and for what `files` refuses; ValueError for another `problem`.
    """
    one_of("problem", problem, PROBLEMS)
    for file in files(path):
        suffix = kind(file) or ""
        reader = _parquet if suffix == ".parquet" else _lines if suffix.startswith(".jsonl") else _plain
        documents = reader(file)
        while True:
            try:
                document = next(documents)
            except StopIteration:
                break
            if isinstance(document, CorpusError):
                if problem == "stop":
                    raise document
                left_out(str(document))
            else:
                yield document


def _opened(path: Path) -> BinaryIO:
    if path.name.endswith(".gz"):
        return gzip.open(path)  # type: ignore[return-value]
    if path.name.endswith(".zst"):
        arrow = _arrow()
        return io.BufferedReader(arrow.CompressedInputStream(arrow.OSFile(str(path)), "zstd"))
    return open(path, "rb")


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("Parquet and .zst files need the package pyarrow: run `pip install pyarrow`.") from error
    return pyarrow


def _ends_early(path: Path, where: str) -> CorpusError:
    return CorpusError(
        f"{path} ends early or is damaged ({where}): fetch it again, or pass problem='skip' to use what stands before."
    )


def _lines(path: Path) -> Iterator[str | CorpusError]:
    """The documents of a JSONL file, each parsed strictly; a damaged one as the error that names its line."""
    number = 0
    with _opened(path) as file:
        while True:
            try:
                line = file.readline()
            except (EOFError, OSError, zlib.error):
                yield _ends_early(path, f"after line {number}")
                return
            if not line:
                return
            number += 1
            if line.strip():
                yield _document(line, path, number)


def _document(line: bytes, path: Path, number: int) -> str | CorpusError:
    remedy = "mend the line, or pass problem='skip' to leave it out"
    try:
        text = json.loads(line)["text"]
        text.encode()  # JSON can spell half of a surrogate pair
    except UnicodeDecodeError as error:
        return CorpusError(f"Line {number} of {path} is no UTF-8 (byte {error.start} of the line): {remedy}.")
    except UnicodeEncodeError as error:
        return CorpusError(
            f"Line {number} of {path} holds half of a surrogate pair (character {error.start}): {remedy}."
        )
    except json.JSONDecodeError as error:
        what = "is cut" if not line.endswith(b"\n") else f"is no JSON (at character {error.pos})"
        return CorpusError(f"Line {number} of {path} {what}: {remedy}.")
    except (KeyError, TypeError, AttributeError):
        return CorpusError(f"Line {number} of {path} is no JSON object with a text under 'text': {remedy}.")
    except (ValueError, RecursionError):
        return CorpusError(f"Line {number} of {path} has too long a number or is nested too deeply: {remedy}.")
    return text


def _plain(path: Path) -> Iterator[str | CorpusError]:
    try:
        with _opened(path) as file:
            data = file.read()
    except (EOFError, OSError, zlib.error):
        yield _ends_early(path, "its one document is cut")
        return
    try:
        yield data.decode()
    except UnicodeDecodeError as error:
        remedy = "convert the file to UTF-8, or pass problem='skip' to leave it out"
        yield CorpusError(f"{path} is no UTF-8 (byte {error.start}): {remedy}.")


def _parquet(path: Path) -> Iterator[str | CorpusError]:
    parquet, row = _arrow().parquet, 0
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError):
        yield _ends_early(path, "it has no footer")
        return
    with file:
        if "text" not in file.schema_arrow.names:
            yield CorpusError(f"{path} has no column 'text' but {', '.join(file.schema_arrow.names)}: rename one.")
            return
        batches = file.iter_batches(batch_size=256, columns=["text"])
        while True:
            try:
                texts = next(batches).column(0)
            except StopIteration:
                return
            except (OSError, ValueError):
                yield _ends_early(path, f"after row {row}")
                return
            for text in texts:
                row += 1
                yield _cell(text, path, row)


def _cell(value: Any, path: Path, row: int) -> str | CorpusError:
    remedy = "mend the row, or pass problem='skip' to leave it out"
    try:
        text = value.as_py()
    except UnicodeDecodeError as error:
        return CorpusError(f"Row {row} of {path} is no UTF-8 (byte {error.start} of the text): {remedy}.")
    return text if isinstance(text, str) else CorpusError(f"Row {row} of {path} holds no text: {remedy}.")
