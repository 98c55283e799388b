"""From a name or a path to documents: a file, the Pile on the hub, or what a package ships."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from probsig.errors import CorpusError, closest
from probsig.runs import files as runs_files
from probsig.text import store
from probsig.text.sources import files as sources_files
from probsig.text.sources import packages
from probsig.text.sources.pile import PILE, _unreachable, pile
from probsig.text.store import cache

NAMES = (*PILE, *packages.FURTHER)
PLACES = ("file", "hub", "package")


def _found(
    name: str,
    place: str | None,
    max_tokens: int | None,
    repository: str,
    revision: str | None,
    folder_of: Callable[[dict[str, Any]], Path],
) -> tuple[dict[str, Any], Any]:
    """Where the text of a name is, and a stamp that changes when its files do.

    The hub is not asked for what was tokenised from it before: that opens without a network.
    """
    path = _file(name)
    if path is not None and place in (None, "file"):
        files = sources_files.files(path)
        stamp = [[str(file.relative_to(path.parent)), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
        return {"place": "file", "path": str(path.absolute()), "name": name}, stamp
    if name not in NAMES:
        raise CorpusError(
            f"There is no corpus {name!r}{closest(name, [*NAMES])}: pass the path of a file or folder, or one of "
            f"{', '.join(NAMES)}."
        )
    if place == "file":
        raise CorpusError(f"PROBSIG_DATA names no folder with {name}.jsonl.gz or the like: set it, or name a path.")
    refused = None
    if place == "hub" and name not in PILE:
        raise CorpusError(f"The hub has no {name}, which is no subset of the Pile: pass place='package' or None.")
    if place in (None, "hub") and name in PILE:
        source = {"place": "hub", "path": repository, "revision": revision, "name": name}
        if store.read(folder_of(source)) is not None:
            return source, None
        refused = _unreachable(repository, revision)
        if refused is None:
            if max_tokens is None:
                raise CorpusError(f"The Pile's {PILE[name]} is too large to read whole from the hub: pass max_tokens.")
            return source, None
        if place == "hub":
            raise CorpusError(f"The hub gives no {repository} ({refused}): set PROBSIG_DATA to a folder with the text.")
    missing = packages.missing(name)
    if missing:
        why = f"the hub cannot be reached ({refused}) and " if refused else ""
        raise CorpusError(f"There is no text for {name}: {why}{missing}; or set PROBSIG_DATA to a folder with it.")
    return {"place": "package", "path": packages.origin(name), "name": name}, None


def _file(name: str) -> Path | None:
    """The file or folder of a name: a path as it is, else in PROBSIG_DATA."""
    if name not in NAMES:
        return path if (path := runs_files.place(name)).exists() else None
    where = runs_files.named("PROBSIG_DATA")
    endings = (*sources_files.KINDS, "")
    return next((p for e in endings if where and (p := where / f"{name}{e}").exists()), None)


def _content(source: dict[str, Any]) -> str | None:
    """The SHA-256 of a corpus's files, one after the other: of their endings, sizes and bytes."""
    if source["place"] != "file":
        return None
    sha = hashlib.sha256()
    for path in sources_files.files(source["path"]):
        sha.update(f"{sources_files.kind(path)} {path.stat().st_size} ".encode())
        with open(path, "rb") as file:
            while block := file.read(1 << 22):
                sha.update(block)
    return sha.hexdigest()


def _documents(source: dict[str, Any], problem: str, left_out: list[str]) -> Iterator[str]:
    if source["place"] == "file":
        return sources_files.read(source["path"], problem, left_out.append)
    if source["place"] == "hub":
        return pile(source["path"], source["name"], source["revision"])
    return packages.read(source["name"], cache())
