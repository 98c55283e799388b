"""Corpora as token ids: the five subsets of the Pile that the paper uses, or any text.

The idea: a name or a path leads to documents, a tokenizer to ids, and a folder keeps the ids (`text.store`), so that
a corpus is tokenised once and mapped into memory ever after. Documents keep their boundaries: `offsets` says where
each starts, and a count that is given them pairs no two documents.

A name is looked for in three places, in this order:
    file      <name>.jsonl, .csv, .tsv or .txt (each also .gz, .zst, .xz), .parquet or a folder <name>, in the folder
              that PROBSIG_DATA names
    hub       the Pile, streamed with `datasets`, of which the documents whose meta.pile_set_name is the subset's
    package   text that an installable package or Python itself ships (`text.sources.packages`)

python-source and wikipedia-fr are names too, which the hub is not asked for: the paper has no text like them. Of a
name such as "owner/name" that is no path, the hub is asked for a data set. Texts in a list and data sets of the library
`datasets` are read where they are and kept in memory, as is whatever a function reads in a tokenizer's place.

Text is used as it is: what a tokenizer normalises (Qwen2.5: NFC) is its own affair, and special tokens are added only
when asked for. PROBSIG_CACHE moves the folder of the ids.
"""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import guards
from probsig.errors import CorpusError, one_of
from probsig.runs.files import digest
from probsig.text import store, tokenizers
from probsig.text.callables import Called, words
from probsig.text.sources import files, find, memory
from probsig.text.sources.find import Source
from probsig.text.sources.pile import PILE, REPOSITORY
from probsig.text.tokenizers import Tokenizer


@dataclass(frozen=True, eq=False)
class Corpus:
    """The token ids of documents.

    ids (N,) uint16 or uint32 and offsets (D + 1,) int64, both mapped from files; vocab_size, the rows of the model's
    embedding; `digest` of text, tokenizer and options; `place`, where the text was found; `record` of the store.
    """

    name: str
    ids: NDArray[Any]
    offsets: NDArray[np.int64]
    tokenizer: Any
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
    text: Any,
    tokenizer: Any = "qwen2.5",
    *,
    column: str = find.COLUMN,
    max_tokens: int | None = None,
    place: str | None = None,
    problem: str = "stop",
    special_tokens: bool = False,
    repository: str = REPOSITORY,
    revision: str | None = None,
) -> Corpus:
    """A corpus by its name (of `find.NAMES`), by the path of a file or folder, by the name of a data set of the hub, or
    of texts in a list or in a data set of `datasets`. What has a path or a name is tokenised when it is not yet, and
    anew when its files have changed.

    tokenizer: what `tokenizers.tokenizer` takes, a function from a text to a list of ids or of words, or "words".
    column: the key or the column that has the text, where there are several.
    max_tokens ends the corpus there; the hub needs it, since a subset has up to 10^10.
    place: one of `find.PLACES`, else the first that has the name. problem: "stop" at a damaged document, or "skip" and
    warn. special_tokens: put the model's own tokens around each document. repository, revision: as `find.find`.
    Raises CorpusError (one sentence) for an unknown name, damaged or empty text, and where the hub's stream breaks off
    (what was tokenised is kept, and the next call goes on from there); StorageError for a damaged or full cache;
    ValueError and ImportError as `tokenizers.tokenizer` does.

    >>> letters = Tokenizer("letters", "0", [b"a", b"b"], {}, 2, lambda text: ["ab".index(c) for c in text])
    >>> open_corpus(["abba", "b"], letters).offsets.tolist()
    [0, 4, 5]
    >>> open_corpus(["to be or not to be"], str.split).ids.tolist()
    [0, 1, 2, 3, 0, 1]
    >>> import tempfile
    >>> from unittest import mock
    >>> letters = Tokenizer("letters", "0", [b"a", b"b"], {}, 2, lambda text: ["ab".index(c) for c in text])
    >>> with tempfile.TemporaryDirectory() as folder, mock.patch.dict("os.environ", PROBSIG_CACHE=folder):
    ...     _ = Path(folder, "text.txt").write_text("abba")
    ...     corpus = open_corpus(Path(folder, "text.txt"), letters)
    >>> corpus.name, corpus.ids.tolist(), corpus.offsets.tolist(), corpus.vocab_size
    ('text.txt', [0, 1, 1, 0], [0, 4], 2)
    """
    one_of("problem", problem, store.PROBLEMS)
    guards.whole_or_all("max_tokens", max_tokens)
    guards.sure(
        place is None or _named(text), f"place is {place!r}, and texts in memory are read where they are: leave it out."
    )
    options: dict[str, Any] = {"max_tokens": _whole(max_tokens), "special_tokens": special_tokens}
    source = find.find(text, place, column=column, repository=repository, revision=revision) if _named(text) else None
    what = "" if source else memory.described(text, column)
    tokenizer = words if tokenizer == "words" else tokenizer
    by = Called(tokenizer) if _function(tokenizer) else tokenizers.tokenizer(tokenizer)
    if source is not None and not isinstance(by, Called):
        return kept(source, by, problem=problem, **options)
    left_out: list[str] = []
    if source is None:
        documents = files.sound(memory.read(text, column), problem, left_out.append)
        identity = {"place": "memory", "name": what}
    else:
        source = _there(source)
        documents, identity = source.documents(problem, left_out), source.identity
    return in_memory(documents, by, identity, left_out, unread=source.unread if source else (), **options)


def in_memory(
    documents: Iterable[str],
    tokenizer: Any,
    identity: Mapping[str, Any],
    left_out: Sequence[str] = (),
    unread: Sequence[str] = (),
    **options: Any,
) -> Corpus:
    """The corpus of documents, kept in memory alone; arguments, warnings and errors as `kept`.

    identity: "place" and "name" of the text. left_out: sentences on documents, which may grow while they are read.
    """
    with tempfile.TemporaryDirectory(prefix="probsig-") as folder:
        store.write(folder, documents, tokenizer, identity, left_out=left_out, **options)
        stored = store.read(folder)
        assert stored is not None
        record, ids, offsets = stored[0], np.array(stored[1]), np.array(stored[2])
    if isinstance(tokenizer, Called):
        tokenizer = tokenizer.tokenizer()
        record["digest"] = digest(json.dumps([record["text_sha256"], tokenizer.digest, options]).encode())
    name = Path(str(identity["name"])).name
    _warn(name, record, unread)
    return Corpus(name, ids, offsets, tokenizer, str(identity["place"]), record["digest"], record)


def kept(
    source: Source,
    tokenizer: Any,
    *,
    max_tokens: int | None = None,
    problem: str = "stop",
    special_tokens: bool = False,
) -> Corpus:
    """The corpus of a source, from its folder in the cache; tokenised where there is none, and where its files changed.

    Where a source cannot be read and was never tokenised, its `otherwise` is taken. Warns of documents left out.
    Raises CorpusError where no source can be read, and as `store.write` does; ValueError for impossible options.
    """
    max_tokens = _whole(max_tokens)
    one_of("problem", problem, store.PROBLEMS)
    refused: list[str] = []
    while True:
        key = [sorted(source.identity.items()), tokenizer.digest, [max_tokens, special_tokens, problem]]
        name = re.sub("[^A-Za-z0-9.-]+", "-", Path(source.name).name)[:100] or "corpus"
        folder = store.cache() / "corpora" / f"{name}-{digest(repr(key).encode())[:16]}"
        stored = store.read(folder)
        if stored is not None or (why := source.missing()) is None:
            break
        refused.append(why)
        source = _else(source, refused)
    if stored is None or _changed(stored[0], source):
        if source.place == "hub" and source.name in PILE and max_tokens is None:
            raise CorpusError(f"The Pile's {source.name} is too large to read whole from the hub: pass max_tokens.")
        with store.lock(folder):  # another process or thread may be at the same text
            if (stored := store.read(folder)) is None or _changed(stored[0], source):
                left_out: list[str] = []
                described = {**source.identity, "stamp": source.stamp, "sha256": source.content()}
                chosen: dict[str, Any] = {"max_tokens": max_tokens, "special_tokens": special_tokens}
                chosen["left_out"] = left_out  # which grows while the documents are read
                (folder / store.RECORD).unlink(missing_ok=True)  # of the text as it was
                store.write(folder, source.documents(problem, left_out), tokenizer, described, **chosen)
                stored = store.read(folder)
    assert stored is not None
    guards.as_it_was(source.path, folder / store.RECORD, stored[0]["source"]["sha256"], source.content)
    record, ids, offsets = stored
    _warn(find.shown(source.name), record, source.unread)
    return Corpus(find.shown(Path(source.name).name), ids, offsets, tokenizer, source.place, record["digest"], record)


def _named(text: Any) -> bool:
    return isinstance(text, str | Path)


def _function(tokenizer: Any) -> bool:
    """Whether it is a function, and not a tokenizer that can be called."""
    known = isinstance(tokenizer, Tokenizer) or hasattr(tokenizer, "backend_tokenizer") or hasattr(tokenizer, "to_str")
    return callable(tokenizer) and not known


def _whole(max_tokens: Any) -> int | None:
    if max_tokens is not None and (not isinstance(max_tokens, Integral) or max_tokens < 1):
        raise ValueError(f"max_tokens is {max_tokens}: pass a positive whole number, or None for all.")
    return None if max_tokens is None else int(max_tokens)


def _there(source: Source) -> Source:
    """The source, or the first of those that stand in for it, that can be read."""
    refused: list[str] = []
    while (why := source.missing()) is not None:
        refused.append(why)
        source = _else(source, refused)
    return source


def _else(source: Source, refused: Sequence[str]) -> Source:
    """What to take in a source's place; raises CorpusError where there is nothing."""
    if source.otherwise is None:
        raise CorpusError(
            f"There is no text for {source.name}: {' and '.join(refused)}; set PROBSIG_DATA to a folder with it."
        )
    return source.otherwise


def _warn(name: str, record: Mapping[str, Any], unread: Sequence[str]) -> None:
    """Warn of documents and of files that are left out."""
    bad = record["left_out"]
    both = [f"{record['empty']} empty"] if record["empty"] else []
    both += [f"{len(bad)} damaged (the first: {bad[0]})"] if bad else []
    if both:
        warnings.warn(f"Documents of {name} that are left out: {' and '.join(both)}.", stacklevel=4)
    if unread:
        endings = ", ".join(sorted({Path(file).suffix or "no ending" for file in unread})[:5])
        what = f"{len(unread)} of {name} are of no kind that is read ({endings})"
        warnings.warn(f"Files that are left out: {what}.", stacklevel=4)


def _changed(record: Mapping[str, Any], source: Source) -> bool:
    """Whether a source's files are others than those that were tokenised, by more than a copy or a touch."""
    was = record["source"]
    return was["stamp"] != source.stamp and was["sha256"] != source.content()
