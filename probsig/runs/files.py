"""Whole files or none: paths, atomic writes, locks, digests, and run folders.

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
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from safetensors import SafetensorError
from safetensors import numpy as safetensors

RECORD = "run.json"
FOLDERS = ("PROBSIG_RUNS", "PROBSIG_CACHE", "PROBSIG_DATA")
"""The environment variables that name a folder."""
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # a full disk, a full quota


class StorageError(OSError):
    """A file that could not be written or must not be trusted; the message is one sentence with a remedy."""


def checkout() -> Path | None:
    """The root of the repository that this package runs from, or None when it is installed elsewhere."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else None


def place(path: Path | str) -> Path:
    """A path as a person writes it, made absolute: ~ is the home, and others begin in the working folder.

    Raises ValueError for what is too long to be the name of any file.

    >>> place("~") == Path.home(), place("texts/a.txt") == Path.cwd() / "texts" / "a.txt"
    (True, True)
    """
    with contextlib.suppress(RuntimeError):  # ~somebody who has no home here is a name like any other
        path = Path(path).expanduser()
    path = Path(path).absolute()
    try:
        path.exists()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError(
                f"{path.name[:40]!r}... is too long for the name of a file: pass a shorter one."
            ) from error
    return path


def named(variable: str) -> Path | None:
    """The folder that an environment variable of FOLDERS names, if it is set."""
    said = os.environ.get(variable)
    return place(said) if said else None


def named_folders() -> dict[str, str]:
    """Those of FOLDERS that are set, absolute: for the environment of a process that begins in another folder."""
    return {variable: str(found) for variable in FOLDERS if (found := named(variable))}


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


def digest_arrays(arrays: Iterable[Any]) -> str:
    """The SHA-256 of some arrays: of their types, shapes and numbers, in this order.

    >>> digest_arrays([[1, 2]]) == digest_arrays([[1], [2]]), digest_arrays([[1, 2]]) == digest_arrays([[1.0, 2.0]])
    (False, False)
    """
    sha = hashlib.sha256()
    for each in map(np.asarray, arrays):
        sha.update(f"{each.dtype.str} {each.shape} ".encode())
        sha.update(np.ascontiguousarray(each).data)
    return sha.hexdigest()


def write_whole(path: Path | str, data: bytes) -> Path:
    """Write `data` to `path` (as `place` reads it) so that the file is there whole or (still) as it was.

    The bytes go to a new file in the same folder, to the disk, and then under the name `path` in one step.
    Raises StorageError when the disk is full or the folder cannot be written; nothing half-written stays behind.
    """
    path = place(path)
    half = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(half, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(half, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            half.unlink(missing_ok=True)
        what, first = f"Could not write {path} ({len(data)} bytes)", "make room or "
        raise _refused(what, error, first if error.errno in FULL else "", "; nothing half-written was left") from error
    except BaseException:
        half.unlink(missing_ok=True)
        raise
    return path


def make_folder(path: Path) -> Path:
    """A folder, made where it is not there; raises StorageError where it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(f"Could not make the folder {path}", error) from error
    return path


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """A file that one process or thread has at a time; what is killed has it no longer.

    Raises StorageError where it cannot be made.
    """
    make_folder(path.parent)
    held = FileLock(path)
    try:
        held.acquire()
    except OSError as error:
        raise _refused(f"Could not make the file {path}", error) from error
    try:
        yield
    finally:
        held.release()


def _refused(what: str, error: OSError, first: str = "", last: str = "") -> StorageError:
    reason = "the disk is full" if error.errno in FULL else str(error.strerror or error)
    return StorageError(
        f"{what} because {reason}: {first}choose another folder (PROBSIG_RUNS moves runs), then run again{last}."
    )


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


def plain(value: Any) -> Any:
    """A number or an array of numpy's as Python's own, for JSON; raises TypeError for what JSON has no word for.

    >>> json.dumps({"seed": np.int64(3), "steps": np.arange(2)}, default=plain)
    '{"seed": 3, "steps": [0, 1]}'
    """
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is nothing that a record holds: pass numbers, strings, lists and mappings")


def write_run(folder: Path | str, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Path:
    """Store a run: `record` (plain JSON values, finite numbers) and named arrays; returns the folder.

    `run.json` gets the arrays' file, size and SHA-256 under the key `arrays`. What the folder held before stays until
    the new record is there. Raises StorageError as write_whole does.
    """
    folder = place(folder)
    data = safetensors.save({name: np.asarray(array, order="C") for name, array in sorted(arrays.items())})
    sha = digest(data)
    described = {**record, "arrays": {"file": f"arrays-{sha[:12]}.safetensors", "bytes": len(data), "sha256": sha}}
    text = json.dumps(described, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False, default=plain) + "\n"
    write_whole(folder / described["arrays"]["file"], data)
    write_whole(folder / RECORD, text.encode())
    half = [file for name in (RECORD, "arrays-") for file in folder.glob(f".{name}*")]  # what a killed process left
    for old in [*folder.glob("arrays-*.safetensors"), *half]:
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
    except OSError as error:
        raise StorageError(f"{path} cannot be read because {error.strerror or error}: {remedy(path)}.") from error
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
    except OSError as error:
        raise StorageError(f"{path} cannot be read because {error.strerror or error}: {remedy(path)}.") from error
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
