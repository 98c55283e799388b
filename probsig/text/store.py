r"""Token ids of a corpus in files: made once, mapped into memory ever after.

A folder holds one tokenised corpus:

    ids           the ids of all documents, one after the other, little-endian uint16 where every id of the embedding
                  fits (V <= 65,536), else uint32; no header
    offsets       where documents start and, last, where the ids end: D + 1 little-endian int64; no header
    corpus.json   written last: what was tokenised (`source`), by what (`tokenizer`, with its digest), numbers of
                  tokens, documents and of what was left out, the SHA-256 of the two files and of the documents' text,
                  and `digest`, of text, tokenizer and options: two corpora with one digest have the same ids

Whoever reads a folder compares the two files with what the record says of them, so a flipped bit is no other token.

The digest of the text is taken over every document's length in bytes (8 bytes, little-endian) and its UTF-8 bytes, so
it also says where documents end. While the work goes on the two files have the ending .draft and `draft.json`, written
about every `EVERY` characters and where a stream breaks off, says how much of them counts; a run that was killed or
broke off goes on from there to the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from tqdm import tqdm

from probsig import guards
from probsig.errors import CorpusError
from probsig.runs.files import FULL, StorageError, digest, named, write_whole

RECORD, STATE, FORMAT = "corpus.json", "draft.json", "probsig corpus 2"
PROBLEMS = ("stop", "skip")
EVERY = 1 << 24  # characters between two saved states


class BrokenStream(CorpusError):
    """Text that broke off for a reason outside it, `what` in words; what was read of it counts.

    >>> str(BrokenStream("The stream of cc broke off (no network)"))
    'The stream of cc broke off (no network): run again.'
    """

    def __init__(self, what: str):
        super().__init__(f"{what}: run again.")
        self.what = what


class Encoder(Protocol):
    """What the store needs of a tokenizer."""

    name: str
    digest: str
    embedding_rows: int

    def encode(self, text: str, *, special_tokens: bool = False) -> NDArray[Any]: ...


def write(
    folder: Path | str,
    documents: Iterable[str],
    tokenizer: Encoder,
    source: Mapping[str, Any],
    *,
    max_tokens: int | None = None,
    special_tokens: bool = False,
    left_out: Iterable[str] = (),
) -> dict[str, Any]:
    """Tokenise documents into a folder, or go on where a killed run stopped; returns the record.

    Documents without a token are left out and counted. `max_tokens` ends the corpus there, within a document if need
    be. `source` (plain JSON) says where the text is from; `left_out` is what the reader left out, read at the end.
    Raises CorpusError when no token comes of it, or when text that was already tokenised has changed since; and where
    `documents` raises BrokenStream, with the number of tokens so far: they are kept, and the next run goes on from
    there. Raises StorageError when the disk is full: what was tokenised stays.
    """
    folder = Path(folder)
    dtype = np.dtype("<u2" if tokenizer.embedding_rows <= 1 << 16 else "<u4")
    plan = {
        "format": FORMAT,
        "source": dict(source),
        "tokenizer": {"name": tokenizer.name, "digest": tokenizer.digest, "embedding_rows": tokenizer.embedding_rows},
        "options": {"max_tokens": max_tokens, "special_tokens": special_tokens},
        "dtype": dtype.str,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        state = _state(folder, plan)
        with open(folder / "ids.draft", "ab") as ids, open(folder / "offsets.draft", "ab") as offsets:
            ids.truncate(state["tokens"] * dtype.itemsize)
            offsets.truncate(state["documents"] * 8)
            state |= _tokenise(folder, plan, state, documents, tokenizer, ids, offsets)
            if not state["tokens"]:
                raise CorpusError(f"The corpus {_name(source)} is empty: not one of its documents gives a token.")
            offsets.write(np.int64(state["tokens"]).astype("<i8").tobytes())
            for file in (ids, offsets):
                file.flush()
                os.fsync(file.fileno())
        counted = {key: state[key] for key in ("tokens", "documents", "characters", "empty")}
        sums = {name: _sha256(folder / f"{name}.draft") for name in ("ids", "offsets")}
        record = {**plan, **counted, "left_out": list(left_out), "text_sha256": state["text_sha256"], "files": sums}
        what = [record["text_sha256"], plan["tokenizer"], plan["options"]]
        record["digest"] = digest(json.dumps(what, sort_keys=True).encode())
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        write_whole(folder / f"{RECORD}.draft", text.encode())  # all that needs room is done before a file is renamed
        for name in ("ids", "offsets", RECORD):
            os.replace(folder / f"{name}.draft", folder / name)
    except CorpusError:
        if not (folder / STATE).exists():  # nothing to go on from
            for name in ("ids", "offsets"):
                (folder / f"{name}.draft").unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    except OSError as error:
        reason = error.__cause__ if isinstance(error, StorageError) else error
        if getattr(reason, "errno", None) not in FULL:
            raise
        raise StorageError(
            f"The disk is full while {_name(source)} is tokenised into {folder}: make room, or move the folder with "
            "PROBSIG_CACHE, and run again; what is done is kept."
        ) from error
    for left in (folder / STATE, *folder.glob(f".{STATE}.*"), *folder.glob(f".{RECORD}.*")):  # halves of killed runs
        left.unlink(missing_ok=True)
    return record


def read(folder: Path | str) -> tuple[dict[str, Any], NDArray[Any], NDArray[np.int64]] | None:
    """The record, the ids (mapped) and the offsets (mapped) of a folder, or None where no corpus of today's format is.

    Raises StorageError, one sentence, for a damaged record and for files that are not those which it describes.
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / RECORD).read_bytes())
        if record["format"] != FORMAT:
            return None
        promised = {name: str(record["files"][name]) for name in ("ids", "offsets")}
        dtypes = {"ids": np.dtype(record["dtype"]), "offsets": np.dtype("<i8")}
        lengths = {"ids": int(record["tokens"]), "offsets": int(record["documents"]) + 1}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{folder / RECORD} is damaged: {_remedy(folder)}.") from error
    arrays = []
    for name, dtype in dtypes.items():
        path, should = folder / name, lengths[name] * dtype.itemsize
        size = path.stat().st_size if path.is_file() else 0
        if size != should:
            raise StorageError(f"{path} has {size} bytes where {RECORD} says {should}: {_remedy(folder)}.")
        if _sha256(path) != promised[name]:
            raise StorageError(
                f"{path} is not the file that {RECORD} describes (its SHA-256 differs): {_remedy(folder)}."
            )
        arrays.append(np.memmap(path, dtype, "r"))
    return record, arrays[0], arrays[1]


def lock(path: Path | str) -> Any:
    """A lock beside a file or folder that processes and threads must not make twice: held, until it is released or
    the block that it begins ends. Raises StorageError when it cannot be written."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(f"{path}.lock").acquire()
    except OSError as error:
        raise StorageError(
            f"The folder {path.parent} of the cache cannot be written ({error.strerror or error}): make room, or "
            "name another with PROBSIG_CACHE, and run again."
        ) from error


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remedy(folder: Path) -> str:
    return f"remove the folder {folder} and run again"


def _name(source: Mapping[str, Any]) -> str:
    return str(source.get("path") or source.get("name") or "given")


def _state(folder: Path, plan: Mapping[str, Any]) -> dict[str, Any]:
    """How far an earlier run came, if it was of the same plan and its files are as long as it says."""
    start = {"tokens": 0, "documents": 0, "read": 0, "characters": 0, "empty": 0, "text_sha256": None}
    try:
        old = json.loads((folder / STATE).read_bytes())
        least = {"ids": old["tokens"] * np.dtype(plan["dtype"]).itemsize, "offsets": old["documents"] * 8}
        long = all((folder / f"{name}.draft").stat().st_size >= size for name, size in least.items())
        if old.pop("plan") == plan and long:
            return start | old
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    (folder / STATE).unlink(missing_ok=True)  # it must not speak of files that are begun anew
    return start


def _tokenise(
    folder: Path, plan: Mapping[str, Any], state: dict[str, Any], documents: Iterable[str], tokenizer: Encoder, *files
) -> dict[str, Any]:
    """Append the ids and starts of the documents from `state` on; returns the state at the end."""
    ids, offsets = files
    most, special = plan["options"]["max_tokens"], plan["options"]["special_tokens"]
    sha, done, now, saved = hashlib.sha256(), state["read"], dict(state, read=0), state["characters"]
    name, told = f"tokens of {_name(plan['source'])}", f"The text of {_name(plan['source'])}"
    bar = tqdm(unit="char", unit_scale=True, mininterval=1, delay=3, desc=name, leave=False)

    def keep() -> None:
        for file in files:
            file.flush()
            os.fsync(file.fileno())
        kept = {**now, "text_sha256": sha.hexdigest(), "plan": plan}
        write_whole(folder / STATE, json.dumps(kept).encode())

    with bar:
        try:
            for text in documents:
                guards.text_of(_name(plan["source"]), now["read"] + 1, text)
                data = text.encode()
                sha.update(len(data).to_bytes(8, "little"))
                sha.update(data)
                now["read"] += 1
                bar.update(len(text))
                if now["read"] <= done:
                    if now["read"] == done and sha.hexdigest() != state["text_sha256"]:
                        raise CorpusError(f"{told} has changed since a part of it was tokenised: {_remedy(folder)}.")
                    continue
                encoded = tokenizer.encode(text, special_tokens=special)
                if most is not None:
                    encoded = encoded[: most - now["tokens"]]
                now["characters"] += len(text)
                if len(encoded) and int(encoded.max()) >= tokenizer.embedding_rows:
                    raise CorpusError(
                        f"{tokenizer.name} gives the id {int(encoded.max())} in document {now['read']} and has "
                        f"{tokenizer.embedding_rows} rows: pass the tokenizer with the rows of its model."
                    )
                if len(encoded):
                    offsets.write(np.int64(now["tokens"]).astype("<i8").tobytes())
                    ids.write(encoded.astype(plan["dtype"], copy=False).tobytes())
                    now["tokens"] += len(encoded)
                    now["documents"] += 1
                else:
                    now["empty"] += 1
                if now["tokens"] == most:
                    break
                if now["characters"] - saved >= EVERY:
                    saved = now["characters"]
                    keep()
        except BrokenStream as error:
            if now["read"] > done:
                keep()
            if not now["tokens"]:
                raise
            raise CorpusError(
                f"{error.what} after {now['tokens']:,} tokens, which are kept: run again, and it goes on from there."
            ) from error
    if now["read"] < done:
        raise CorpusError(f"{told} has become shorter since a part of it was tokenised: {_remedy(folder)}.")
    now["text_sha256"] = sha.hexdigest()
    return now


def cache() -> Path:
    """The folder of tokenised corpora: PROBSIG_CACHE, else probsig in XDG_CACHE_HOME or ~/.cache."""
    return named("PROBSIG_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "probsig"
