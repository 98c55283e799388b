"""Whole files or none: atomic writes, digests, and run folders.

A run folder holds `run.json` (what was run, and the name, size and SHA-256 of the file of arrays) and that file, whose
name carries its digest. The arrays are written first, under their own name, and then `run.json` takes the place of the
one before in one step: so a folder without `run.json` is no run, and one that is written again is the old run or the
new one whenever the work is cut off. Reading compares the arrays with what `run.json` says of them, so a truncated file
is refused and never half read.

A file that is read under `results/` of a checkout is noted, by its path from the root of the repository,
in the file that the environment variable PROBSIG_READ_LOG names; so a tool can learn what a chapter was made from.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

RECORD = "run.json"
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # a full disk, a full quota


class StorageError(OSError):
    """A file that could not be written or must not be trusted; the message is one sentence with a remedy."""


def checkout() -> Path | None:
    """The root of the repository that this package runs from, or None when it is installed elsewhere."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else None


def digest(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal.

    >>> digest(b"signature")[:16]
    '1a2fc26dc7ea5a2a'
    """
    return hashlib.sha256(data).hexdigest()


def digest_text(text: str) -> str:
    """The SHA-256 of a text, the same whichever way its lines end.

    >>> digest_text("one\\r\\ntwo\\n") == digest_text("one\\ntwo\\n")
    True
    """
    return digest(text.replace("\r\n", "\n").encode())


def digest_file(path: Path) -> str:
    """The SHA-256 of a file, a JSON file's whichever way its lines end; FileNotFoundError where there is none."""
    return digest_text(path.read_text("utf-8")) if path.suffix == ".json" else digest(path.read_bytes())


def write_whole(path: Path | str, data: bytes) -> Path:
    """Write `data` to `path` so that the file is there whole or (still) as it was.

    The bytes go to a new file in the same folder, to the disk, and then under the name `path` in one step.
    Raises StorageError when the disk is full or the folder cannot be written; nothing half-written stays behind.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(draft, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        reason = "the disk is full" if error.errno in FULL else str(error.strerror or error)
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StorageError(
            f"Could not write {path} ({len(data)} bytes) because {reason}: make room or choose another folder with "
            "PROBSIG_RUNS, then run again; nothing half-written was left."
        ) from error
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return path


def make_folder(path: Path) -> Path:
    """A folder, made where it is not there; raises StorageError where it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"Could not make the folder {path} because {error.strerror or error}: choose another with PROBSIG_RUNS."
        ) from error
    return path


def read_whole(path: Path | str) -> bytes:
    """The bytes of a file; a file under `results/` of the checkout is noted in PROBSIG_READ_LOG.

    Raises FileNotFoundError, as open does.
    """
    path = Path(path)
    data = path.read_bytes()
    log, root = os.environ.get("PROBSIG_READ_LOG"), checkout()
    if log and root is not None and path.resolve().is_relative_to(root / "results"):
        with open(log, "a", encoding="utf-8") as file:
            file.write(path.resolve().relative_to(root).as_posix() + "\n")
    return data


def write_run(folder: Path | str, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Path:
    """Store a run: `record` (plain JSON values, finite numbers) and named arrays; returns the folder.

    `run.json` gets the arrays' file, size and SHA-256 under the key `arrays`. What the folder held before stays until
    the new record is there. Raises StorageError as write_whole does.
    """
    folder = Path(folder)
    data = safetensors.save({name: np.asarray(array, order="C") for name, array in sorted(arrays.items())})
    sha = digest(data)
    described = {**record, "arrays": {"file": f"arrays-{sha[:12]}.safetensors", "bytes": len(data), "sha256": sha}}
    text = json.dumps(described, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    write_whole(folder / described["arrays"]["file"], data)
    write_whole(folder / RECORD, text.encode())
    for old in folder.glob("arrays*.safetensors"):
        if old.name != described["arrays"]["file"]:
            old.unlink(missing_ok=True)
    return folder


def read_record(folder: Path | str) -> dict[str, Any]:
    """The record (`run.json`) of a run folder; raises StorageError when it is damaged."""
    path = Path(folder) / RECORD
    try:
        record = json.loads(read_whole(path))
        arrays = record["arrays"]
        if not (isinstance(arrays["sha256"], str) and isinstance(arrays["bytes"], int)):
            raise TypeError("no digest")
        if arrays["file"] != f"arrays-{arrays['sha256'][:12]}.safetensors":
            raise ValueError("a file of another name")
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is damaged (it is no complete JSON record of a run): {remedy(path)}.") from error
    return record


def read_run(folder: Path | str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The record and the arrays of a run folder.

    Raises StorageError, one sentence that names the file and what to do, when a file is missing, cut or changed.
    """
    record = read_record(folder)
    promised = record["arrays"]
    path = Path(folder) / promised["file"]
    try:
        data = read_whole(path)
    except FileNotFoundError as error:
        raise StorageError(f"{path} is missing beside its {RECORD}: {remedy(path)}.") from error
    if len(data) != promised["bytes"]:
        has = f"has {len(data)} bytes where {RECORD} says {promised['bytes']}"
        raise StorageError(f"{path} {has}: {remedy(path)}.")
    if digest(data) != promised["sha256"]:
        raise StorageError(f"{path} is not the file that {RECORD} describes (its SHA-256 differs): {remedy(path)}.")
    try:
        return record, safetensors.load(data)
    except SafetensorError as error:
        raise StorageError(f"{path} is no safetensors file: {remedy(path)}.") from error


def remedy(path: Path) -> str:
    """What to do about a damaged file of a run: restore it from git, or remove its folder and run again.

    >>> remedy(Path("runs/addition/run.json"))
    'remove the folder runs/addition and run again'
    """
    root = checkout()
    if root is not None and path.resolve().is_relative_to(root / "results"):
        return f"restore it with `git checkout -- {path.resolve().relative_to(root).as_posix()}`"
    return f"remove the folder {path.parent.as_posix()} and run again"
