"""Documents of text out of files, and what is wrong with a file that cannot be read, in one sentence.

A line of a .jsonl file is a JSON object that has a document under its key `column` ("text", as in the Pile). A row of a
.csv, .tsv or .parquet file is a document by its column of that name; the first row of .csv and .tsv names the columns.
A .txt file is one document. All but Parquet may be packed as .gz, .zst or .xz. A folder is all such files in it, at any
depth, in the order of their paths; hidden files and folders are no part of it. Endings count in any case. Text is
UTF-8, with or without a mark of its order of bytes.

`problem` decides what happens to a document that is damaged: "stop" raises CorpusError, "skip" leaves it out. A file
that ends early is damaged at its end; what stands before is whole. Files are read as streams, and a document of more
than LARGEST bytes is damaged too: a small file that unpacks to a huge one needs no more memory than that.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from probsig import guards
from probsig.errors import CorpusError, one_of
from probsig.text.store import PROBLEMS

PLAIN = (".jsonl", ".csv", ".tsv", ".txt")
MAGIC = {".gz": (b"\x1f\x8b",), ".zst": (b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"), ".xz": (b"\xfd7zXZ\0",)}
KINDS = (*(plain + packed for plain, packed in itertools.product(PLAIN, ("", *MAGIC))), ".parquet")
SAID = ".jsonl, .csv, .tsv, .txt (each also .gz, .zst or .xz) or .parquet"
DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError)
MARK = b"\xef\xbb\xbf"  # what some editors put before UTF-8
LARGEST = 1 << 28  # bytes of a document (256 MiB), and characters of a cell of .csv
TOO_LARGE = "is larger than 256 MiB"


def files(path: Path | str) -> list[Path]:
    """The files of a corpus: the file itself, or those of a folder in the order of their paths.

    Raises CorpusError when there is none, when the file is of another kind, and for a link to nothing in the folder.
    """
    path = Path(path)
    if path.is_dir():
        guards.all_seen(path)
        guards.sure(
            not (
                lost := [
                    file for file in path.rglob("*") if kind(file) and not file.exists() and not _hidden(file, path)
                ]
            ),
            f"{min(lost, default=path)} is a link to nothing: mend it, or take it out of the folder.",
            CorpusError,
        )
        found = sorted(file for file in _shown(path) if kind(file) is not None)
        if not found:
            raise CorpusError(f"The folder {path} holds no file of the kinds {SAID}: put the text there.")
        return found
    if not path.is_file():
        raise CorpusError(f"There is no file or folder {path}: check the path.")
    if kind(path) is None:
        raise CorpusError(f"{path} is of no kind that is read here: name it {SAID}.")
    return [path]


def unread(path: Path | str) -> list[Path]:
    """The files of a folder that are of no kind that is read, in the order of their paths; of a file none."""
    return sorted(file for file in _shown(Path(path)) if kind(file) is None) if Path(path).is_dir() else []


def _shown(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts):
            yield file


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def kind(path: Path) -> str | None:
    """The kind of a file by the end of its name, or None.

    >>> kind(Path("pile/00.jsonl.zst")), kind(Path("A.TXT")), kind(Path("notes.doc"))
    ('.jsonl.zst', '.txt', None)
    """
    return next((kind for kind in KINDS if path.name.lower().endswith(kind)), None)


def read(
    path: Path | str,
    problem: str = "stop",
    left_out: Callable[[str], Any] = lambda why: None,
    column: str = "text",
) -> Iterator[str]:
    """The documents of a file or a folder, one after the other.

    Under problem="skip" every damaged document is left out and `left_out` is called with the sentence.
    Raises CorpusError under "stop", and for what `files` refuses; ValueError for another `problem`.
    """
    one_of("problem", problem, PROBLEMS)
    readers = {".jsonl": _lines, ".csv": _rows, ".tsv": _rows, ".parquet": _parquet}
    for file in files(path):
        reader = readers.get("." + (kind(file) or "").split(".")[1])
        yield from sound(_refusals(reader(file, column) if reader else _plain(file)), problem, left_out)


def _refusals(documents: Iterator[str | CorpusError]) -> Iterator[str | CorpusError]:
    """Documents, and last the error of a file that cannot be opened as its name says."""
    try:
        yield from documents
    except CorpusError as error:
        yield error


def sound(documents: Iterable[str | CorpusError], problem: str, left_out: Callable[[str], Any]) -> Iterator[str]:
    """Of documents, those that are whole: a damaged one, which stands there as its error, is raised under "stop", and
    told to `left_out` under "skip"."""
    for document in documents:
        if not isinstance(document, CorpusError):
            yield document
        elif problem == "stop":
            raise document
        else:
            left_out(str(document))


def opened(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked as its name says; raises CorpusError where it is not packed that way."""
    packed = next((ending for ending in MAGIC if path.name.lower().endswith(ending)), None)
    try:
        with open(path, "rb") as file:
            start = file.read(6)
    except OSError as error:
        raise CorpusError(f"{path} cannot be opened ({error.strerror or error}): check its permissions.") from error
    if packed and start and not start.startswith(MAGIC[packed]):
        raise CorpusError(f"{path} is not packed as {packed}: take {packed} off its name, or pack it.")
    if packed == ".gz":
        return gzip.open(path)  # type: ignore[return-value]
    if packed == ".xz":
        return lzma.open(path)  # type: ignore[return-value]
    if packed == ".zst":
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


def _no_column(path: Path, column: str, names: Iterable[str]) -> CorpusError:
    return CorpusError(f"{path} has no column {column!r} but {', '.join(names)}: pass column= with one of them.")


def bounded(file: Any, most: int) -> Iterator[Any]:
    """The lines of a file; of one longer than `most`, one more than that of its bytes or characters, the rest unread.

    >>> list(bounded(io.BytesIO(b"one\\na long line\\nlast"), 5))
    [b'one\\n', b'a long', b'last']
    """
    while line := file.readline(most + 1):
        yield line
        while len(line) > most and line[-1:] not in (b"\n", "\n", "\r"):
            if not (line := file.readline(most + 1)):
                return


class _Rows:
    """The lines of a table; one longer than LARGEST is an error of csv, and the next comes after it."""

    def __init__(self, file: Any):
        self.lines = bounded(file, LARGEST)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        if len(line) > LARGEST:
            raise csv.Error(f"a line {TOO_LARGE}")
        return line


def _lines(path: Path, column: str) -> Iterator[str | CorpusError]:
    """The documents of a JSONL file, each parsed strictly; a damaged one as the error that names its line."""
    number = 0
    with opened(path) as file:
        lines = bounded(file, LARGEST)
        while True:
            try:
                line = next(lines, b"")
            except DAMAGE:
                yield _ends_early(path, f"after line {number}")
                return
            if not line:
                return
            number += 1
            line = line.removeprefix(MARK) if number == 1 else line
            if line.strip():
                yield _document(line, path, number, column)


def _document(line: bytes, path: Path, number: int, column: str) -> str | CorpusError:
    remedy = "mend the line, or pass problem='skip' to leave it out"
    if len(line) > LARGEST:
        return CorpusError(f"Line {number} of {path} {TOO_LARGE}: {remedy}.")
    try:
        text = json.loads(line)[column]
        guards.sure(
            line.count(json.dumps(column, ensure_ascii=False).encode()) < 2 or _once(line, column), "twice", KeyError
        )
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
        other = "" if column != "text" else ", or pass column= with the key that has it"
        return CorpusError(f"Line {number} of {path} is no JSON object with a text under {column!r}: {remedy}{other}.")
    except (ValueError, RecursionError):
        return CorpusError(f"Line {number} of {path} has too long a number or is nested too deeply: {remedy}.")
    return text


def _once(line: bytes, column: str) -> bool:
    """Whether a key stands once in an object of JSON, and not a second time."""
    return [key for key, _ in json.loads(line, object_pairs_hook=list)].count(column) == 1


def _rows(path: Path, column: str) -> Iterator[str | CorpusError]:
    """The documents of a .csv or .tsv file, by the column of that name; a damaged one as the error that names its row,
    of which the first after the names of the columns is row 1."""
    remedy, row = "mend the row, or pass problem='skip' to leave it out", 0
    csv.field_size_limit(max(LARGEST, csv.field_size_limit()))
    delimiter = "\t" if (kind(path) or "").startswith(".tsv") else ","
    with io.TextIOWrapper(opened(path), "utf-8-sig", "surrogateescape", newline="") as file:
        rows = csv.reader(_Rows(file), delimiter=delimiter, strict=True)
        try:
            names = next(rows, [])
        except (csv.Error, *DAMAGE):
            yield _ends_early(path, "in its first row, which names the columns")
            return
        guards.sure(names.count(column) < 2, f"{path} has two columns {column!r}: rename one of them.", CorpusError)
        if column not in names:
            yield _no_column(path, column, names)
            return
        at = names.index(column)
        while True:
            try:
                cells = next(rows, None)
            except csv.Error as error:
                row += 1
                yield CorpusError(f"Row {row} of {path} (line {rows.line_num}) is no CSV ({error}): {remedy}.")
                continue
            except DAMAGE:
                yield _ends_early(path, f"after row {row}")
                return
            if cells is None:
                return
            if not cells:  # a blank line
                continue
            row += 1
            if len(cells) != len(names):
                yield CorpusError(f"Row {row} of {path} has {len(cells)} cells and not {len(names)}: {remedy}.")
                continue
            try:
                cells[at].encode()
            except UnicodeEncodeError as error:
                yield CorpusError(f"Row {row} of {path} is no UTF-8 (character {error.start} of the text): {remedy}.")
                continue
            yield cells[at]


def _plain(path: Path) -> Iterator[str | CorpusError]:
    unpacked = opened(path)
    try:
        with unpacked as file:
            data = file.read(LARGEST + 1)
    except DAMAGE:
        yield _ends_early(path, "its one document is cut")
        return
    if len(data) > LARGEST:
        yield CorpusError(f"{path} {TOO_LARGE}: cut it into files, or pass problem='skip' to leave it out.")
        return
    try:
        yield data.removeprefix(MARK).decode()
    except UnicodeDecodeError as error:
        remedy = "convert the file to UTF-8, or pass problem='skip' to leave it out"
        yield CorpusError(f"{path} is no UTF-8 (byte {error.start}): {remedy}.")


def _parquet(path: Path, column: str) -> Iterator[str | CorpusError]:
    parquet, row = _arrow().parquet, 0
    try:
        names = parquet.read_schema(path).names
        repeated = [column] if column in names else []  # a text that stands there often is unpacked once
        file = parquet.ParquetFile(path, read_dictionary=repeated)
    except (OSError, ValueError):
        yield _ends_early(path, "it has no footer")
        return
    with file:
        guards.sure(names.count(column) < 2, f"{path} has two columns {column!r}: rename one of them.", CorpusError)
        if column not in names:
            yield _no_column(path, column, names)
            return
        batches = file.iter_batches(batch_size=256, columns=[column])
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
    if not isinstance(text, str):
        return CorpusError(f"Row {row} of {path} holds no text: {remedy}.")
    return text if len(text) <= LARGEST else CorpusError(f"Row {row} of {path} {TOO_LARGE}: {remedy}.")
