"""The texts of the language chapters: from a chapter's parameters to corpora and to training sets.

Five names, each a subset of the Pile or what stands in for it; at the scale "smoke" all of them are made up on the spot
(`toy_corpus`). This is the only way from a chapter to `corpora`, so that a stored result depends on the ids of a text,
whose digest it keeps, and not on the code that reads files.
"""

from __future__ import annotations

import html
import importlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig.language_data import Tokens, TrainingSet, training_set
from probsig.toy_corpus import ToyCorpus

NAMES = ("arxiv", "dm-mathematics", "cc", "pubmed-central", "wikipedia-en")
FURTHER = ("python-source", "wikipedia-fr")
"""Texts that are no subset of the Pile, which packages ship everywhere."""
GROUPS: dict[str, tuple[str, ...]] = {
    "digits": tuple("0123456789"),
    "months": tuple(
        f" {month}"
        for month in ("January February March April May June July August September October November December".split())
    ),
    "slashes": ("/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h"),
    "weekdays": tuple(f" {day}" for day in "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()),
    "numbers": tuple(f" {word}" for word in "one two three four five six seven eight nine ten eleven twelve".split()),
    "letters": tuple(f" {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
}
"""Groups of tokens that the chapters look at; "slashes" is the group of v1 Fig. 12 / v2 Fig. 15 and its neighbours."""


def pack(texts: Iterable[str]) -> NDArray[np.uint8]:
    """Texts as an array of bytes (UTF-8 JSON).

    >>> unpack(pack(["a", "é"]))
    ['a', 'é']
    """
    return np.frombuffer(json.dumps(list(texts), ensure_ascii=False).encode(), dtype=np.uint8)


def unpack(data: NDArray[np.uint8]) -> list[str]:
    """The texts of `pack`."""
    return json.loads(data.tobytes())


def visible(text: str) -> str:
    """A token as a figure or a terminal shows it: blanks and line ends as signs, unusual letters by their number, and
    no dollar sign that would begin mathematics.

    >>> visible(" the\\n"), visible("$x"), visible("日")
    ('␣the⏎', '\\\\$x', 'U+65E5')
    """
    signs = {" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍", "$": r"\$"}
    return "".join(signs.get(c, c if c.isprintable() and ord(c) < 0x250 else f"U+{ord(c):04X}") for c in text)


def cell(text: str) -> str:
    """A token in a Markdown table: as `visible` shows it, with nothing that Markdown, HTML or TeX would read.

    >>> cell("a|<b>")
    '<code>a&#124;&lt;b&gt;</code>'
    """
    shown = html.escape(visible(text).replace(r"\$", "$"))
    return "<code>" + "".join(f"&#{ord(c)};" if c in "|*_`$\\[]{}.:/~^%" else c for c in shown) + "</code>"


def opened(name: str, *, text: str, scale: str, seed: int, tokenizer: str, max_tokens: int | None) -> Tokens:
    """The corpus of a chapter's parameters.

    At the scale "smoke" it is made up (`toy_corpus`). Else `text` says where it is from: "stand-in", a file of that
    name in the folder of PROBSIG_DATA (the stored numbers are of the stand-ins), or the package for one of FURTHER;
    "open", what `corpora.open_corpus`
    finds under the name, the Pile on the hub among it (which needs `max_tokens`); anything else is a file or folder.
    Raises what `open_corpus` raises.
    """
    if scale == "smoke":
        return ToyCorpus.of(seed, name=name)
    corpora = importlib.import_module("probsig.corpora")  # not an import that `provenance` follows, see above
    if text == "stand-in":
        place = "package" if name in FURTHER else "file"
        return corpora.open_corpus(name, tokenizer, max_tokens=max_tokens, place=place)
    return corpora.open_corpus(name if text == "open" else text, tokenizer, max_tokens=max_tokens)


def texts(corpus: Any) -> Iterator[str]:
    """The texts of a corpus's documents, put together from the bytes of its tokens, one after the other.

    >>> next(texts(ToyCorpus.of(0)))[:4].strip() != ""
    True
    """
    pieces = corpus.tokenizer.pieces
    for start, end in itertools.pairwise(corpus.offsets.tolist()):
        yield b"".join(pieces[i] for i in corpus.ids[start:end].tolist()).decode(errors="ignore")


def training_sets(
    names: Sequence[str], tokens: int | None, keep: int | None, held: int = 0, **options: Any
) -> tuple[list[TrainingSet], dict[str, dict[str, int]]]:
    """The training sets of some names (documents drawn with seed 0, whatever the model's seed), and for each of GROUPS
    its members that are tokens, with their ids. `options` are those of `opened`, `max_tokens` left out.

    >>> options = {"text": "stand-in", "scale": "smoke", "seed": 0, "tokenizer": "qwen2.5"}
    >>> sets, groups = training_sets(["arxiv"], tokens=500, keep=100, **options)
    >>> len(sets[0].ids), groups["slashes"].keys() - {"/e"} == groups["slashes"].keys()
    (500, True)

    Raises ValueError for `tokens` below 2 and what `opened` and `training_set` raise.
    """
    if tokens is not None and tokens < 2:
        raise ValueError(f"tokens is {tokens}: pass 2 or more, or None for all.")
    most = tokens if options["text"] == "open" else None  # the hub gives no whole subset
    corpora = [opened(name, max_tokens=most, **options) for name in names]
    groups = {
        group: {text: id for text in texts if (id := corpora[0].tokenizer.id(text)) is not None}
        for group, texts in GROUPS.items()
    }
    named = [id for members in groups.values() for id in members.values()]
    sets = [training_set(one, tokens, keep, 0, name, named, held) for name, one in zip(names, corpora, strict=True)]
    return sets, groups
