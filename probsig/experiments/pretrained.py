"""Which open model and which texts: their numbers in one stored run, for the chapter on a pretrained model.

The book's own model on the book's own texts is found without either. Any other is part of what a run is of, by the
digest of its rows, so a model that was changed in place is another run.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from probsig import runs, seeds
from probsig.counts.bigrams import Bigrams, merged
from probsig.experiments.embeddings import Arrays, survey
from probsig.experiments.language_readers import Pieces
from probsig.experiments.texts import NAMES, Corpora, Texts, in_a_chapter
from probsig.language.checkpoints import Checkpoint, open_checkpoint
from probsig.signatures import tokens as signatures_tokens
from probsig.text.tokenizers import Tokenizer

BOOK = "smollm2"  # the model of the stored run


@dataclass(frozen=True)
class Opened:
    """What a run is made from: a model's matrix, and the corpora that it is held against."""

    checkpoint: Checkpoint
    corpora: Corpora

    def digest(self) -> str:
        """The SHA-256 of both."""
        return hashlib.sha256(f"{self.checkpoint.digest()} {self.corpora.digest()}".encode()).hexdigest()


@dataclass(frozen=True)
class Model:
    """An open model by its name: "smollm2", a repository of the hub, a folder, or a .gguf file; opened when needed."""

    name: str = BOOK

    @functools.cached_property
    def checkpoint(self) -> Checkpoint:
        """Its matrix; raises what `open_checkpoint` raises."""
        with in_a_chapter():
            return open_checkpoint(self.name)

    def texts(self, text: str, *, scale: str, seed: int, max_tokens: int | None) -> Texts:
        """The texts of a chapter, read by the model's own tokenizer; one of a reader's own that is a few long documents
        is cut, so that halves of it can be compared."""
        usual = self.tokenizer if self.name == BOOK else None
        return Pieces(text, scale=scale, seed=seed, max_tokens=max_tokens, tokenizer=self.tokenizer, usual=usual)

    def tokenizer(self) -> Tokenizer:
        """Its own tokenizer."""
        return self.checkpoint.tokenizer

    def identity(self) -> dict[str, Any]:
        """What a run's config says of it: the name of the book's own, of any other what it is called and the digest of
        its rows, so that a model changed in place is another; a path is called "yours"."""
        if self.name == BOOK:
            return {"model": BOOK}
        called = "yours" if Path(self.name).exists() else self.name
        return {"model": called, "rows": self.checkpoint.digest()[:16]}


def asked(model: Model, texts: Texts) -> tuple[list[str], dict[str, Any], Callable[[], Opened]]:
    """The names of the texts that a model is held against, what a run's config says of both, and what opens them.

    The text that is made up at the scale "smoke" is met by an embedding that is made up too.
    """
    names = [*texts.names(NAMES)]
    config = {"scale": texts.scale, "seed": texts.seed, "max_tokens": texts.max_tokens, **texts.identity(names)}
    config |= {"model": "made up"} if texts.made_up else model.identity()

    def opened() -> Opened:
        corpora = texts.corpora(names)
        if not texts.made_up:
            return Opened(model.checkpoint, corpora)
        counts = merged([corpora.counts(name) for name in names])
        return Opened(made_up(counts, corpora.corpora[names[0]].tokenizer, texts.seed), corpora)

    return names, config, opened


def stored(model: Model, texts: Texts) -> runs.Run:
    """The numbers of a model and of the texts that it made: found, or computed now and stored (piece "survey").

    Raises what opening either raises, and MissingRun under CI.
    """
    names, config, opened = asked(model, texts)
    draws = 20 if texts.scale == "smoke" else 100
    pieces = {"survey": runs.Piece("probsig.experiments.pretrained:surveyed", (names, texts.seed, draws))}
    with texts.enough():
        return runs.run("language-pretrained", config, pieces, inputs=opened)


def surveyed(names: Sequence[str], seed: int, draws: int, inputs: Opened) -> Arrays:
    """`survey` of the opened model on some corpora."""
    return survey(inputs.checkpoint, [inputs.corpora.corpora[name] for name in names], seed, draws)


def made_up(counts: Bigrams, tokenizer: Any, seed: int) -> Checkpoint:
    """An embedding for the scale "smoke": random projections of phi~, noise, and one direction that all rows share."""
    stream, V = seeds.stream(seed, "made-up embedding"), counts.vocab_size
    phi = signatures_tokens.tied(counts, np.arange(V))
    E = phi @ stream.standard_normal((V, 64)) + 0.3 * stream.standard_normal((V, 64))
    E = (E + 0.7 * stream.standard_normal(64)).astype(np.float32)
    return Checkpoint("made-up", E.shape, True, lambda ids: E[ids], lambda: tokenizer)
