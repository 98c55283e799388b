"""What it costs to count the pairs of a large corpus: rates measured on texts at hand, and the growth of the table.

Three rates, each of one core: tokenising (bytes of text a second, reading and writing included), counting (tokens a
second, from ids in a file), adding up tables (entries a second). And the number of distinct pairs in ever larger parts
of the texts, whose growth says how large the table of a corpus becomes that nobody has at hand.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import runs, seeds
from probsig.counts.bigrams import Bigrams, counted, merged
from probsig.counts.files import write_table
from probsig.counts.merging import FAN_IN, merged_blocks
from probsig.counts.sharded import Ids, count_sharded
from probsig.experiments.texts import Corpora, Texts, decoded
from probsig.runs.files import write_whole
from probsig.text import store
from probsig.text.training_set import Tokens, documents

Arrays = dict[str, NDArray]
SHARES = 0.5 ** np.arange(6, -1, -1)  # of the documents, the last is all
COUNTED = 20_000_000  # tokens that are counted to measure the rate
TURNS = 3
SHOWN = 4_000_000  # characters that are tokenised once more to measure the rate


def stored(names: Sequence[str], texts: Texts) -> runs.Run:
    """The rates on some corpora: found, or measured now and stored (piece "rates")."""
    config = {"corpora": list(names), "scale": texts.scale, "seed": texts.seed, "max_tokens": texts.max_tokens}
    config |= texts.identity(names)
    pieces = {"rates": runs.Piece("probsig.experiments.costs:measured", (list(names), texts.seed))}
    with texts.enough():
        return runs.run("language-cost", config, pieces, inputs=functools.partial(texts.corpora, names))


def measured(names: Sequence[str], seed: int, inputs: Corpora) -> Arrays:
    """`measure` of some corpora."""
    opened = [inputs.corpora[name] for name in names]
    return measure(opened, [decoded(one) for one in opened], seed)


def measure(corpora: Sequence[Tokens], texts: Sequence[Iterable[str]], seed: int) -> Arrays:
    """The rates and the growth on some corpora of one tokenizer, whose documents' texts are given beside them.

    bytes, tokens, seconds (corpora,): of tokenising about SHOWN characters of each. count_tokens, count_seconds (1,):
    of counting ids from a file into a table on disk. add_entries, add_seconds (1,): of adding up tables on disk.
    growth_tokens, growth_pairs (SHARES,): the distinct pairs in random parts of the documents of all corpora.
    Raises ValueError where there are no corpora or vocabularies differ.
    """
    if not corpora or len({corpus.vocab_size for corpus in corpora}) != 1:
        raise ValueError("The corpora must be one or more, of one tokenizer: open them with the same one.")
    tokenised = [_tokenise(corpus, some) for corpus, some in zip(corpora, texts, strict=True)]
    out: Arrays = {
        name: np.array([row[i] for row in tokenised]) for i, name in enumerate(("bytes", "tokens", "seconds"))
    }
    vocab_size = corpora[0].vocab_size
    out["count_tokens"], out["count_seconds"] = _count(corpora, vocab_size)
    out["add_entries"], out["add_seconds"] = _add(corpora, vocab_size, seed)
    grown = [_growth(corpora, share, seed) for share in SHARES]
    return out | {name: np.array([row[i] for row in grown]) for i, name in enumerate(("growth_tokens", "growth_pairs"))}


def _tokenise(corpus: Tokens, texts: Iterable[str]) -> tuple[int, int, float]:
    """Bytes, tokens and seconds of tokenising some of a corpus's texts into files."""
    few, size = [], 0
    for text in texts:
        few.append(text)
        size += len(text)
        if size >= SHOWN:
            break
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        record = store.write(folder, few, corpus.tokenizer, {"name": "a measurement"})
        seconds = time.perf_counter() - begun
    return sum(len(text.encode()) for text in few), record["tokens"], seconds


def _count(corpora: Sequence[Tokens], vocab_size: int) -> tuple[NDArray, NDArray]:
    """Tokens and seconds (best of TURNS) of counting from a file to a table on disk, the corpora repeated until there
    are COUNTED tokens."""
    lengths = np.concatenate([np.diff(corpus.offsets) for corpus in corpora])
    once = np.concatenate([np.asarray(corpus.ids) for corpus in corpora])
    again = -(-COUNTED // len(once))
    ids, offsets = np.tile(once, again), np.concatenate([[0], np.cumsum(np.tile(lengths, again))])
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_whole(place / "ids", ids.view(np.uint8).data)
        source = Ids(np.memmap(place / "ids", ids.dtype, "r"), vocab_size, offsets)
        count_sharded(Ids(once[:1000], vocab_size), place / "warm")  # compiles
        spent = [_timed(lambda i=i: count_sharded(source, place / f"{i}", memory=2**29)) for i in range(TURNS)]
    return np.array([len(ids)]), np.array([min(spent)])


def _add(corpora: Sequence[Tokens], vocab_size: int, seed: int) -> tuple[NDArray, NDArray]:
    """Entries read and written, and seconds (best of TURNS), of adding up FAN_IN tables on disk into one on disk, as
    `count_sharded` does it; the tables are of random parts of the documents of all corpora."""
    with tempfile.TemporaryDirectory() as folder:
        place, parts = Path(folder), []
        for k in range(FAN_IN):
            tables = []
            for i, corpus in enumerate(corpora):
                order = seeds.stream(seed, "parts", str(i)).permutation(len(corpus.offsets) - 1)
                tables.append(counted(documents(corpus, np.sort(np.array_split(order, FAN_IN)[k]))))
            merged(tables).save(place / f"part-{k}")
            parts.append(Bigrams.load(place / f"part-{k}"))
        spent = [
            _timed(lambda i=i: write_table(place / f"sum-{i}", vocab_size, 1, merged_blocks(parts)))
            for i in range(TURNS + 1)  # the first compiles
        ]
        entries = sum(part.entries.size for part in parts) + Bigrams.load(place / "sum-0").entries.size
    return np.array([entries]), np.array([min(spent[1:])])


def _timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _growth(corpora: Sequence[Tokens], share: float, seed: int) -> tuple[int, int]:
    """Tokens and distinct pairs in a random share of the documents of every corpus."""
    tokens, tables = 0, []
    for i, corpus in enumerate(corpora):
        number = len(corpus.offsets) - 1
        order = seeds.stream(seed, "growth", str(i)).permutation(number)
        part = documents(corpus, np.sort(order[: max(1, round(share * number))]))
        tokens += len(part.ids)
        tables.append(counted(part))
    return tokens, merged(tables).entries.size


def power(tokens: NDArray, pairs: NDArray) -> tuple[float, float]:
    """The law pairs = a tokens^b through the last three points, as (a, b), by least squares of logarithms.

    >>> power(np.array([1.0, 100.0, 10_000.0]), np.array([2.0, 20.0, 200.0]))
    (2.0, 0.5)
    """
    b, log_a = np.polyfit(np.log(tokens[-3:]), np.log(pairs[-3:]), 1)
    return round(float(np.exp(log_a)), 9), round(float(b), 9)
