"""Corpora as token ids: the five subsets of the Pile that the paper uses, or any text.

The idea: a name or a path leads to documents, a tokenizer to ids, and a folder keeps the ids (`text.store`), so that
a corpus is tokenised once and mapped into memory ever after. Documents keep their boundaries: `offsets` says where
each starts, and a count that is given them pairs no two documents.

A name is looked for in three places, in this order:
    file      <name>.jsonl, .jsonl.gz, .jsonl.zst, .txt, .txt.gz, .txt.zst, .parquet or a folder <name> in the folder
              that PROBSIG_DATA names
    hub       the Pile, streamed with `datasets`, of which the documents whose meta.pile_set_name is the subset's
    package   text that an installable package or Python itself ships (`text.sources.packages`)

python-source and wikipedia-fr are names too, which the hub is not asked for: the paper has no text like them.

Text is used as it is: what a tokenizer normalises (Qwen2.5: NFC) is its own affair, and special tokens are added only
when asked for. PROBSIG_CACHE moves the folder of the ids.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig.errors import CorpusError, one_of
from probsig.runs.files import digest
from probsig.text import store, tokenizers
from probsig.text.sources import find
from probsig.text.sources.find import Source
from probsig.text.sources.pile import REPOSITORY
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
    name: str | Path,
    tokenizer: str | Path | Tokenizer = "qwen2.5",
    *,
    max_tokens: int | None = None,
    place: str | None = None,
    problem: str = "stop",
    special_tokens: bool = False,
    repository: str = REPOSITORY,
    revision: str | None = None,
) -> Corpus:
    """A corpus by its name (of `find.NAMES`) or by the path of a file or folder; tokenised when it is not yet, and anew
    when its files have changed.

    max_tokens ends the corpus there; the hub needs it, since a subset has up to 10^10.
    place: one of `find.PLACES`, else the first that has the name. problem: "stop" at a damaged document, or "skip" and
    warn. special_tokens: put the model's own tokens around each document. repository, revision: as `find.find`.
    Raises CorpusError (one sentence) for an unknown name, damaged or empty text, and where the hub's stream breaks off
    (what was tokenised is kept, and the next call goes on from there); StorageError for a damaged or full cache;
    ValueError and ImportError as `tokenizers.tokenizer` does.

    >>> import tempfile
    >>> from unittest import mock
    >>> letters = Tokenizer("letters", "0", [b"a", b"b"], {}, 2, lambda text: ["ab".index(c) for c in text])
    >>> with tempfile.TemporaryDirectory() as folder, mock.patch.dict("os.environ", PROBSIG_CACHE=folder):
    ...     _ = Path(folder, "text.txt").write_text("abba")
    ...     corpus = open_corpus(Path(folder, "text.txt"), letters)
    >>> corpus.name, corpus.ids.tolist(), corpus.offsets.tolist(), corpus.vocab_size
    ('text.txt', [0, 1, 1, 0], [0, 4], 2)
    """
    source = find.find(name, place, repository=repository, revision=revision)
    options: dict[str, Any] = {"max_tokens": max_tokens, "problem": problem, "special_tokens": special_tokens}
    return kept(source, tokenizers.tokenizer(tokenizer), **options)


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
    if max_tokens is not None:
        if not isinstance(max_tokens, Integral) or max_tokens < 1:
            raise ValueError(f"max_tokens is {max_tokens}: pass a positive whole number, or None for all.")
        max_tokens = int(max_tokens)
    one_of("problem", problem, store.PROBLEMS)
    refused: list[str] = []
    while True:
        key = [sorted(source.identity.items()), tokenizer.digest, [max_tokens, special_tokens, problem]]
        name = re.sub("[^A-Za-z0-9.-]+", "-", Path(source.name).name) or "corpus"
        folder = store.cache() / "corpora" / f"{name}-{digest(repr(key).encode())[:16]}"
        stored = store.read(folder)
        if stored is not None or (why := source.missing()) is None:
            break
        refused.append(why)
        if source.otherwise is None:
            raise CorpusError(
                f"There is no text for {source.name}: {' and '.join(refused)}; set PROBSIG_DATA to a folder with it."
            )
        source = source.otherwise
    if stored is None or _changed(stored[0], source):
        if source.place == "hub" and max_tokens is None:
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
    record, ids, offsets = stored
    if record["left_out"] or record["empty"]:
        bad = record["left_out"]
        both = [f"{record['empty']} empty"] if record["empty"] else []
        both += [f"{len(bad)} damaged (the first: {bad[0]})"] if bad else []
        warnings.warn(f"Documents of {source.name} that are left out: {' and '.join(both)}.", stacklevel=3)
    return Corpus(Path(source.name).name, ids, offsets, tokenizer, source.place, record["digest"], record)


def _changed(record: Mapping[str, Any], source: Source) -> bool:
    """Whether a source's files are others than those that were tokenised, by more than a copy or a touch."""
    was = record["source"]
    return was["stamp"] != source.stamp and was["sha256"] != source.content()
