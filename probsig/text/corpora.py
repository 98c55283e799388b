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

import re
import warnings
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig.runs.files import digest
from probsig.text import store
from probsig.text.sources import files as sources_files
from probsig.text.sources.find import NAMES, PLACES, _content, _documents, _found
from probsig.text.sources.pile import REPOSITORY
from probsig.text.store import cache
from probsig.text.tokenizers import Tokenizer, tokenizer


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
    Text that has changed is tokenised again.
    Raises CorpusError (one sentence) for an unknown name, damaged or empty text, and where the hub's stream breaks off
    (what was tokenised is kept, and the next call goes on from there); StorageError for a damaged or full cache;
    ValueError and ImportError as `tokenizer` does.

    >>> import tempfile
    >>> from unittest import mock
    >>> letters = Tokenizer("letters", "0", [b"a", b"b"], {}, 2, lambda text: ["ab".index(c) for c in text])
    >>> with tempfile.TemporaryDirectory() as folder, mock.patch.dict("os.environ", PROBSIG_CACHE=folder):
    ...     _ = Path(folder, "text.txt").write_text("abba")
    ...     corpus = open_corpus(Path(folder, "text.txt"), letters)
    >>> corpus.name, corpus.ids.tolist(), corpus.offsets.tolist(), corpus.vocab_size
    ('text.txt', [0, 1, 1, 0], [0, 4], 2)
    """
    if max_tokens is not None:
        if not isinstance(max_tokens, Integral) or max_tokens < 1:
            raise ValueError(f"max_tokens is {max_tokens}: pass a positive whole number, or None for all.")
        max_tokens = int(max_tokens)
    if place is not None and place not in PLACES:
        raise ValueError(f"place is {place!r}: pass one of {', '.join(map(repr, PLACES))}, or None.")
    if not str(name).strip():
        raise ValueError(f"The name of the corpus is empty: pass a path or one of {', '.join(NAMES)}.")
    if problem not in sources_files.PROBLEMS:
        raise ValueError(f"problem is {problem!r}: pass one of {', '.join(map(repr, sources_files.PROBLEMS))}.")
    by = by if isinstance(by, Tokenizer) else tokenizer(by)
    options = [max_tokens, special_tokens, problem]

    def folder_of(source: dict[str, Any]) -> Path:
        key = digest(repr([sorted(source.items()), by.digest, options]).encode())[:16]
        return cache() / "corpora" / f"{re.sub('[^A-Za-z0-9.-]+', '-', Path(name).name) or 'corpus'}-{key}"

    source, stamp = _found(str(name), place, max_tokens, repository, revision, folder_of)
    folder = folder_of(source)
    stored = _current(folder, source, stamp)
    if stored is None:
        with store.lock(folder):  # another process or thread may be at the same text
            if (stored := _current(folder, source, stamp)) is None:
                left_out: list[str] = []
                texts = _documents(source, problem, left_out)
                described = {**source, "stamp": stamp, "sha256": _content(source)}
                chosen: dict[str, Any] = {"max_tokens": max_tokens, "special_tokens": special_tokens}
                chosen["left_out"] = left_out
                (folder / store.RECORD).unlink(missing_ok=True)  # of the text as it was
                store.write(folder, texts, by, described, **chosen)  # type: ignore[arg-type]  # by is read only
                stored = store.read(folder)
    assert stored is not None
    record, ids, offsets = stored
    if record["left_out"] or record["empty"]:
        bad = record["left_out"]
        both = [f"{record['empty']} empty"] if record["empty"] else []
        both += [f"{len(bad)} damaged (the first: {bad[0]})"] if bad else []
        warnings.warn(f"Documents of {name} that are left out: {' and '.join(both)}.", stacklevel=2)
    return Corpus(Path(name).name, ids, offsets, by, source["place"], record["digest"], record)


def _current(folder: Path, source: dict[str, Any], stamp: Any) -> Any:
    """What the store holds of a text as its files are today; files that were only copied or touched are the same."""
    stored = store.read(folder)
    if stored is None or stored[0]["source"]["stamp"] == stamp:
        return stored
    return stored if stored[0]["source"]["sha256"] == _content(source) else None
