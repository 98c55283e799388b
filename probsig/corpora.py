"""Corpora as token ids: the five subsets of the Pile that the paper uses, or any text.

The idea: a name or a path leads to documents, a tokenizer to ids, and a folder keeps the ids (`token_store`), so that
a corpus is tokenised once and mapped into memory ever after. Documents keep their boundaries: `offsets` says where
each starts, and a count that is given them pairs no two documents.

A name is looked for in three places, in this order:
    file      <name>.jsonl, .jsonl.gz, .jsonl.zst, .txt, .txt.gz, .txt.zst, .parquet or a folder <name> in the folder
              that PROBSIG_DATA names
    hub       the Pile, streamed with `datasets`, of which the documents whose meta.pile_set_name is the subset's
    package   text that an installable package or Python itself ships (`packaged_text`)

python-source and wikipedia-fr are names too, which the hub is not asked for: the paper has no text like them.

Text is used as it is: what a tokenizer normalises (Qwen2.5: NFC) is its own affair, and special tokens are added only
when asked for. PROBSIG_CACHE moves the folder of the ids.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import documents, packaged_text, token_store
from probsig.documents import CorpusError
from probsig.parameters import closest
from probsig.storage import digest
from probsig.tokenizers import Tokenizer, tokenizer

PILE = {
    "arxiv": "ArXiv",
    "dm-mathematics": "DM Mathematics",
    "cc": "Pile-CC",
    "pubmed-central": "PubMed Central",
    "wikipedia-en": "Wikipedia (en)",
}
"""The five subsets by the book's names, and what the Pile calls them."""
NAMES = (*PILE, *packaged_text.FURTHER)
REPOSITORY = "monology/pile-uncopyrighted"
PLACES = ("file", "hub", "package")


@dataclass(frozen=True, eq=False)
class Corpus:
    """The token ids of documents.

    ids (N,) uint16 or uint32 and offsets (D + 1,) int64, both mapped from files; vocab_size, the rows of the model's
    embedding; `digest` of text, tokenizer and options; `place`, where the text was found; `record` of the store.
    """

    name: str
    ids: NDArray[Any]
    offsets: NDArray[np.int64]
    tokenizer: Tokenizer
    place: str
    digest: str
    record: dict[str, Any] = field(repr=False)

    @property
    def vocab_size(self) -> int:
        """The rows of the embedding that the tokenizer's model has; every id is below it."""
        return self.tokenizer.embedding_rows

    def document(self, number: int) -> NDArray[Any]:
        """The ids of one document; raises IndexError where there is none."""
        if not 0 <= number < len(self.offsets) - 1:
            raise IndexError(f"{self.name} has no document {number}: pass a number from 0 to {len(self.offsets) - 2}.")
        return self.ids[self.offsets[number] : self.offsets[number + 1]]


def cache() -> Path:
    """The folder of tokenised corpora: PROBSIG_CACHE, else probsig in XDG_CACHE_HOME or ~/.cache."""
    named = os.environ.get("PROBSIG_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "probsig"


def open_corpus(
    name: str | Path,
    by: str | Path | Tokenizer = "qwen2.5",
    *,
    max_tokens: int | None = None,
    place: str | None = None,
    problem: str = "stop",
    special_tokens: bool = False,
    repository: str = REPOSITORY,
    revision: str | None = None,
) -> Corpus:
    """A corpus by its name (of NAMES) or by the path of a file or folder; tokenised when it is not yet.

    by: a tokenizer or its name. max_tokens ends the corpus there; the hub needs it, since a subset has up to 10^10.
    place: one of PLACES, else the first that has the name. problem: "stop" at a damaged document, or "skip" and warn.
    special_tokens: put the model's own tokens around each document. repository, revision: of the hub, or a folder.
    Raises CorpusError (one sentence) for an unknown name, damaged or empty text, for text that changed since it was
    tokenised, and where the hub's stream breaks off (what was tokenised is kept, and the next call goes on from there);
    StorageError for a damaged or full cache; ValueError and ImportError as `tokenizer` does.
    """
    if max_tokens is not None:
        if not isinstance(max_tokens, Integral) or max_tokens < 1:
            raise ValueError(f"max_tokens is {max_tokens}: pass a positive whole number, or None for all.")
        max_tokens = int(max_tokens)
    if place is not None and place not in PLACES:
        raise ValueError(f"place is {place!r}: pass one of {', '.join(map(repr, PLACES))}, or None.")
    if not str(name).strip():
        raise ValueError(f"The name of the corpus is empty: pass a path or one of {', '.join(NAMES)}.")
    if problem not in documents.PROBLEMS:
        raise ValueError(f"problem is {problem!r}: pass one of {', '.join(map(repr, documents.PROBLEMS))}.")
    by = by if isinstance(by, Tokenizer) else tokenizer(by)
    options = [max_tokens, special_tokens, problem]

    def folder_of(source: dict[str, Any]) -> Path:
        key = digest(repr([sorted(source.items()), by.digest, options]).encode())[:16]
        return cache() / "corpora" / f"{re.sub('[^A-Za-z0-9.-]+', '-', Path(name).name) or 'corpus'}-{key}"

    source, stamp = _found(str(name), place, max_tokens, repository, revision, folder_of)
    folder = folder_of(source)
    stored = token_store.read(folder)
    if stored is None:
        with token_store.lock(folder):  # another process or thread may be at the same text
            if (stored := token_store.read(folder)) is None:
                left_out: list[str] = []
                texts = _documents(source, problem, left_out)
                described = {**source, "stamp": stamp, "sha256": _content(source)}
                chosen = {"max_tokens": max_tokens, "special_tokens": special_tokens, "left_out": left_out}
                token_store.write(folder, texts, by, described, **chosen)
                stored = token_store.read(folder)
    assert stored is not None
    if stored[0]["source"]["stamp"] != stamp:  # copied or touched, or changed
        if stored[0]["source"]["sha256"] != _content(source):
            raise CorpusError(
                f"{source['path']} has changed since it was tokenised: remove the folder {folder} to tokenise it again."
            )
    record, ids, offsets = stored
    if record["left_out"] or record["empty"]:
        bad = record["left_out"]
        both = [f"{record['empty']} empty"] if record["empty"] else []
        both += [f"{len(bad)} damaged (the first: {bad[0]})"] if bad else []
        warnings.warn(f"Documents of {name} that are left out: {' and '.join(both)}.", stacklevel=2)
    return Corpus(Path(name).name, ids, offsets, by, source["place"], record["digest"], record)


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
        files = documents.files(path)
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
        if token_store.read(folder_of(source)) is not None:
            return source, None
        refused = _unreachable(repository, revision)
        if refused is None:
            if max_tokens is None:
                raise CorpusError(f"The Pile's {PILE[name]} is too large to read whole from the hub: pass max_tokens.")
            return source, None
        if place == "hub":
            raise CorpusError(f"The hub gives no {repository} ({refused}): set PROBSIG_DATA to a folder with the text.")
    missing = packaged_text.missing(name)
    if missing:
        why = f"the hub cannot be reached ({refused}) and " if refused else ""
        raise CorpusError(f"There is no text for {name}: {why}{missing}; or set PROBSIG_DATA to a folder with it.")
    return {"place": "package", "path": packaged_text.origin(name), "name": name}, None


def _file(name: str) -> Path | None:
    """The file or folder of a name: a path as it is, else in PROBSIG_DATA."""
    if name not in NAMES:
        return Path(name) if Path(name).exists() else None
    where = os.environ.get("PROBSIG_DATA")
    endings = (*documents.KINDS, "")
    return next((p for e in endings if where and (p := Path(where) / f"{name}{e}").exists()), None)


def _content(source: dict[str, Any]) -> str | None:
    """The SHA-256 of the bytes of a corpus's files, one after the other."""
    if source["place"] != "file":
        return None
    sha = hashlib.sha256()
    for path in documents.files(source["path"]):
        with open(path, "rb") as file:
            while block := file.read(1 << 22):
                sha.update(block)
    return sha.hexdigest()


def _documents(source: dict[str, Any], problem: str, left_out: list[str]) -> Iterator[str]:
    if source["place"] == "file":
        return documents.read(source["path"], problem, left_out.append)
    if source["place"] == "hub":
        return pile(source["path"], source["name"], source["revision"])
    return packaged_text.read(source["name"], cache())


def pile(repository: str, name: str, revision: str | None = None) -> Iterator[str]:
    """The documents of a subset of the Pile, streamed from the hub or from a folder of JSONL files of the same form.

    Raises CorpusError where a row has no `text` or no `meta.pile_set_name`, and where the stream breaks off.
    """
    for row in _rows(repository, name, revision):
        try:
            subset, text = row["meta"]["pile_set_name"], row["text"]
        except (KeyError, TypeError) as error:
            raise CorpusError(
                f"The rows of {repository} have no text and meta.pile_set_name as the Pile's have: name another."
            ) from error
        if subset == PILE[name]:
            yield text


def _rows(repository: str, name: str, revision: str | None) -> Iterator[Any]:
    stream = _stream(repository, revision)
    try:
        yield from stream
    except Exception as error:  # as in `_unreachable`
        raise token_store.BrokenStream(
            f"The stream of {name} ({PILE[name]}) from {repository} broke off ({_reason(error)})"
        ) from error


def _stream(repository: str, revision: str | None) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise ImportError("The hub needs the package datasets: run `pip install datasets`.") from error
    return datasets.load_dataset(repository, split="train", streaming=True, revision=revision)


def _unreachable(repository: str, revision: str | None) -> str | None:
    """Why the repository cannot be streamed, in a few words, or None when it can."""
    try:
        next(iter(_stream(repository, revision)))
    except Exception as error:  # datasets, its file systems and the hub's client have no common error
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    """What an error says, in a few words."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
