"""The files of a table of pair counts: written in blocks of rows, read as memory maps.

A stored table is a folder: `indptr.i64` ((V + 1) x 8 bytes), `columns.u32` (nnz x 4) and `counts.i64` (nnz x 8), all
little-endian without a header, and `bigrams.json`, written last: format, vocab_size, distance, stored (nnz), and the
size and SHA-256 of each file. A folder without `bigrams.json` is no table.
The blocks of rows come one at a time, so a table larger than memory is written with the memory of one block.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from probsig import guards
from probsig.counts.kernels import Counts
from probsig.runs.files import FULL, StorageError, place, read_whole, write_whole

FILES = {"indptr": ("indptr.i64", "<i8"), "columns": ("columns.u32", "<u4"), "entries": ("counts.i64", "<i8")}
RECORD, FORMAT = "bigrams.json", "probsig bigrams 1"


def write_table(folder: Path | str, vocab_size: int, distance: int, blocks: Iterable[Counts]) -> Path:
    """Write blocks (sizes of the next rows, columns, counts) as a table in `folder`; returns the folder.

    A table that was there is no table from the first byte on, and there is one again only when all is written.
    Raises ValueError for a folder that begins with ~, and StorageError when the disk is full or the folder cannot be
    written; the files of a failed write are removed.

    >>> import tempfile
    >>> block = np.array([2, 0]), np.array([0, 1], np.uint32), np.array([5, 1])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     record = read_record(write_table(folder, 2, 1, [block]))
    >>> record["stored"], record["files"]["columns.u32"]["bytes"]
    (2, 8)
    """
    guards.sure(Path(folder).parts[:1] != ("~",), f"{folder} begins with ~: write it out, as {place(folder)}.")
    folder, stored = Path(folder), 0
    paths = {name: folder / file for name, (file, _) in FILES.items()}
    open_files: dict[str, Any] = {}
    sums = {name: hashlib.sha256() for name in FILES}
    written = dict.fromkeys(FILES, 0)

    def append(name: str, array: np.ndarray) -> None:
        data = np.ascontiguousarray(array, FILES[name][1]).view(np.uint8).data
        open_files[name].write(data)
        sums[name].update(data)
        written[name] += len(data)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECORD).unlink(missing_ok=True)
        for name, path in paths.items():
            path.unlink(missing_ok=True)  # an open memory map keeps the old file
            open_files[name] = open(path, "xb")
        append("indptr", np.zeros(1, np.int64))
        for sizes, columns, counts in blocks:
            append("indptr", stored + np.cumsum(sizes))
            append("columns", columns)
            append("entries", counts)
            stored += len(columns)
            del sizes, columns, counts  # before the next block is made
        for file in open_files.values():
            os.fsync(file.fileno())
            file.close()
        files = {FILES[name][0]: {"bytes": written[name], "sha256": sums[name].hexdigest()} for name in FILES}
        record = {"format": FORMAT, "vocab_size": vocab_size, "distance": distance, "stored": stored, "files": files}
        write_whole(folder / RECORD, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    except BaseException as error:
        for name, file in open_files.items():
            with contextlib.suppress(OSError):  # what is still buffered does not fit either
                file.close()
            paths[name].unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, StorageError):
            reason = "the disk is full" if error.errno in FULL else str(error.strerror or error)
            raise StorageError(
                f"Could not write counts to {folder} because {reason}: make room or choose another folder, then run "
                "again; nothing half-written was left."
            ) from error
        raise
    return folder


def read_record(folder: Path | str) -> dict[str, Any]:
    """`bigrams.json` of a stored table; raises FileNotFoundError without one, StorageError when it is damaged."""
    path = Path(folder) / RECORD
    guards.sure(not Path(folder).is_file(), f"{folder} is a file: pass the folder with {RECORD}.", FileNotFoundError)
    try:
        record = json.loads(read_whole(path))
        if record["format"] != FORMAT or set(record["files"]) != {file for file, _ in FILES.values()}:
            raise ValueError("another format")
        guards.sure(
            all(type(record[key]) is int for key in ("vocab_size", "distance"))
            and all(
                record["files"][file]["sha256"] and type(record["files"][file]["bytes"]) is int
                for file, _ in FILES.values()
            )
            and record["distance"] != 0
            and record["files"]["indptr.i64"]["bytes"] == 8 * (record["vocab_size"] + 1),
            "another table",
        )
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{folder} holds no stored counts (no {RECORD}): save them there first.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is no record of {FORMAT}: remove the folder {folder} and count again.") from error
    return record


def map_arrays(folder: Path | str, check: bool = True) -> dict[str, np.ndarray]:
    """The arrays of a stored table as read-only memory maps; with `check` after comparing every file's SHA-256, and
    whether they are sorted rows of counts at all.

    Raises FileNotFoundError when `folder` holds no table, StorageError when a file is missing, cut, changed or no such.
    """
    folder = Path(folder)
    files, arrays = read_record(folder)["files"], {}
    for name, (file, dtype) in FILES.items():
        path, promised = folder / file, files[file]
        size = path.stat().st_size if path.exists() else -1
        if size != promised["bytes"]:
            has = "is missing" if size < 0 else f"has {size} bytes where {RECORD} says {promised['bytes']}"
            raise StorageError(f"{path} {has}: remove the folder {folder} and count again.")
        if check and _sha256(path) != promised["sha256"]:
            raise StorageError(
                f"{path} is not the file that {RECORD} describes (its SHA-256 differs): remove the folder {folder} "
                "and count again."
            )
        arrays[name] = np.memmap(path, dtype, "r") if size else np.empty(0, dtype)
    guards.stored_rows(folder, (arrays["indptr"], arrays["columns"], arrays["entries"]), check)
    return arrays


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
