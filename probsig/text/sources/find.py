"""From a name or a path to documents: a file, the Pile on the hub, or what a package ships."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probsig.errors import CorpusError, closest, one_of
from probsig.runs import files as runs_files
from probsig.text.sources import files as sources_files
from probsig.text.sources import packages
from probsig.text.sources import pile as sources_pile
from probsig.text.sources.pile import PILE, REPOSITORY
from probsig.text.store import cache

NAMES = (*PILE, *packages.FURTHER)
PLACES = ("file", "hub", "package")


@dataclass(frozen=True)
class Source:
    """Where the text of a name is: `place`, one of PLACES, and `path`, a file or folder, a repository of the hub, or a
    package. `stamp` changes when its files do; `otherwise` is what to take where this cannot be read.

    >>> find("python-source").identity["place"]
    'package'
    """

    name: str
    place: str
    path: str
    revision: str | None = None
    stamp: Any = None
    otherwise: Source | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What tells this source from others, as plain JSON."""
        found = {"place": self.place, "path": self.path, "name": self.name}
        return found | {"revision": self.revision} if self.place == "hub" else found

    def missing(self) -> str | None:
        """Why the text cannot be read, in a few words, or None where it can; the hub is asked."""
        if self.place == "hub":
            why = sources_pile.unreachable(self.path, self.revision)
            return f"the hub gives no {self.path} ({why})" if why else None
        return packages.missing(self.name) if self.place == "package" else None

    def documents(self, problem: str, left_out: list[str]) -> Iterator[str]:
        """The documents; under `problem` "skip" a sentence on each that is damaged goes to `left_out`."""
        if self.place == "file":
            return sources_files.read(self.path, problem, left_out.append)
        if self.place == "hub":
            return sources_pile.pile(self.path, self.name, self.revision)
        return packages.read(self.name, cache())

    def content(self) -> str | None:
        """The SHA-256 of the endings, sizes and bytes of its files, one after the other; None for what is no file."""
        if self.place != "file":
            return None
        sha = hashlib.sha256()
        for path in sources_files.files(self.path):
            sha.update(f"{sources_files.kind(path)} {path.stat().st_size} ".encode())
            with open(path, "rb") as file:
                while block := file.read(1 << 22):
                    sha.update(block)
        return sha.hexdigest()


def find(
    name: str | Path, place: str | None = None, *, repository: str = REPOSITORY, revision: str | None = None
) -> Source:
    """The source of a name (of NAMES) or of a path: in `place`, or in the first of PLACES that has it.

    repository, revision: of the hub, or a folder of the same form. The hub is not asked yet.
    Raises CorpusError, one sentence, where there is none, and ValueError for another place and an empty name.
    """
    if place is not None:
        one_of("place", place, PLACES, ", or None")
    name = str(name)
    if not name.strip():
        raise ValueError(f"The name of the corpus is empty: pass a path or one of {', '.join(NAMES)}.")
    path = _file(name)
    if path is not None and place in (None, "file"):
        files = sources_files.files(path)
        stamp = [[str(file.relative_to(path.parent)), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
        return Source(name, "file", str(path.absolute()), stamp=stamp)
    if name not in NAMES:
        raise CorpusError(
            f"There is no corpus {name!r}{closest(name, [*NAMES])}: pass the path of a file or folder, or one of "
            f"{', '.join(NAMES)}."
        )
    if place == "file":
        raise CorpusError(f"PROBSIG_DATA names no folder with {name}.jsonl.gz or the like: set it, or name a path.")
    if place == "hub" and name not in PILE:
        raise CorpusError(f"The hub has no {name}, which is no subset of the Pile: pass place='package' or None.")
    package = Source(name, "package", packages.origin(name))
    if place == "package" or name not in PILE:
        return package
    return Source(name, "hub", repository, revision, otherwise=None if place == "hub" else package)


def _file(name: str) -> Path | None:
    """The file or folder of a name: a path as it is, else in PROBSIG_DATA."""
    if name not in NAMES:
        return path if (path := runs_files.place(name)).exists() else None
    where = runs_files.named("PROBSIG_DATA")
    endings = (*sources_files.KINDS, "")
    return next((p for e in endings if where and (p := where / f"{name}{e}").exists()), None)
