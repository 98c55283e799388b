"""From a name or a path to documents: a file, the Pile on the hub, or what a package ships."""

from __future__ import annotations

import hashlib
import re
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
OWNED = re.compile(r"[\w-][\w.-]*/[\w.-]+(:[\w.-]+)?")
COLUMN = "text"  # the key or column of a document, unless another is named


@dataclass(frozen=True)
class Source:
    """Where the text of a name is: `place`, one of PLACES, and `path`, a file or folder, a repository of the hub, or a
    package. `stamp` changes when its files do; `otherwise` is what to take where this cannot be read. `column` has the
    text; `unread`, files of a folder that are of no kind that is read.

    >>> find("python-source").identity["place"]
    'package'
    """

    name: str
    place: str
    path: str
    revision: str | None = None
    stamp: Any = None
    otherwise: Source | None = None
    column: str = COLUMN
    unread: tuple[str, ...] = ()

    @property
    def identity(self) -> dict[str, Any]:
        """What tells this source from others, as plain JSON."""
        found = {"place": self.place, "path": shown(self.path), "name": shown(self.name)}
        if self.column != COLUMN:
            found["column"] = self.column
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
            return sources_files.read(self.path, problem, left_out.append, self.column)
        if self.place == "hub":
            return sources_files.sound(self._streamed(), problem, left_out.append)
        return packages.read(self.name, cache())

    def _streamed(self) -> Iterator[str | CorpusError]:
        if self.name in PILE:
            return sources_pile.pile(self.path, self.name, self.revision)
        return sources_pile.rows_of(self.path, self.column, self.revision)

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


def shown(name: str) -> str:
    """The name of a file as text, whatever its bytes are.

    >>> shown("a\\udcff.txt")
    'a\\\\udcff.txt'
    """
    return name.encode("utf-8", "backslashreplace").decode()


def find(
    name: str | Path,
    place: str | None = None,
    *,
    column: str = COLUMN,
    repository: str = REPOSITORY,
    revision: str | None = None,
) -> Source:
    """The source of a name (of NAMES), of a path, or of a data set of the hub ("owner/name", "owner/name:config"): in
    `place`, or in the first of PLACES that has it.

    column: the key or column that has the text. repository: where the Pile is on the hub, or a folder of the same form;
    revision: of it, or of the data set. The hub is not asked yet.
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
        stamp = [
            [shown(str(file.relative_to(path.parent))), file.stat().st_size, file.stat().st_mtime_ns] for file in files
        ]
        unread = tuple(shown(str(file.relative_to(path))) for file in sources_files.unread(path))
        return Source(name, "file", str(path.absolute()), stamp=stamp, column=column, unread=unread)
    if place in (None, "hub") and _of_the_hub(name):
        return Source(name, "hub", name, revision, column=column)
    if name not in NAMES:
        raise CorpusError(
            f"There is no corpus {name!r}{closest(name, [*NAMES])}: pass the path of a file or folder, a data set of "
            f"the hub such as 'owner/name', or one of {', '.join(NAMES)}."
        )
    if place == "file":
        raise CorpusError(f"PROBSIG_DATA names no folder with {name}.jsonl.gz or the like: set it, or name a path.")
    if place == "hub" and name not in PILE:
        raise CorpusError(f"The hub has no {name}, which is no subset of the Pile: pass place='package' or None.")
    package = Source(name, "package", packages.origin(name))
    if place == "package" or name not in PILE:
        return package
    return Source(name, "hub", repository, revision, otherwise=None if place == "hub" else package)


def _of_the_hub(name: str) -> bool:
    """Whether a name that is no path here may be a data set's: "owner/name", where there is no folder owner."""
    owner, _, rest = name.partition("/")
    return bool(OWNED.fullmatch(name)) and sources_files.kind(Path(rest)) is None and not Path(owner).exists()


def _file(name: str) -> Path | None:
    """The file or folder of a name: a path as it is, else in PROBSIG_DATA."""
    if name not in NAMES:
        return path if (path := runs_files.place(name)).exists() else None
    where = runs_files.named("PROBSIG_DATA")
    endings = (*sources_files.KINDS, "")
    return next((p for e in endings if where and (p := where / f"{name}{e}").exists()), None)
