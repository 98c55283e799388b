"""A text and a model as a command line names them, opened.

A model is what `answers.given.opened` opens: a model of any form, word vectors, or a .npy file with a matrix that has
one row per id of the tokenizer that is named, and so has a model's file that brings no tokenizer. Its text is read by
its own tokenizer unless another one is named; then a token finds its row by what it says, as the words of word vectors
always do.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from probsig.answers.given import opened
from probsig.language.checkpoints import Checkpoint
from probsig.language.vectors import WordVectors
from probsig.text.accelerated import accelerated
from probsig.text.corpora import Corpus, open_corpus

USUAL = "qwen2.5"  # the tokenizer of a text without a model


def corpus(text: str, tokenizer: Any, max_tokens: int | None, column: str, skip_damaged: bool) -> Corpus:
    """The text by its path or name; raises what `open_corpus` raises."""
    problem = "skip" if skip_damaged else "stop"
    by = USUAL if tokenizer is None else tokenizer
    return open_corpus(text, accelerated(by), column=column, max_tokens=max_tokens, problem=problem)


def both(
    text: str,
    model: str,
    tokenizer: str | None,
    max_tokens: int | None,
    column: str,
    skip_damaged: bool,
    tensor: str | None = None,
) -> tuple[Any, Corpus]:
    """A model's embedding and the text, the model first, since it costs less to miss.

    Raises ValueError for a matrix without a tokenizer, for a file that holds no matrix of numbers or another number of
    rows than the tokenizer's ids need, and what opening either raises.
    """
    W = opened(model, tensor)
    if tensor is not None and not isinstance(W, Checkpoint):
        raise ValueError(f"{Path(model).name} holds one matrix, and no tensor {tensor!r}: leave out --tensor.")
    if isinstance(W, WordVectors):
        return W, corpus(text, tokenizer or "words", max_tokens, column, skip_damaged)
    name = Path(model).name
    if isinstance(W, Checkpoint) and (tokenizer is None or _brings_a_tokenizer(W)):
        return W, corpus(text, tokenizer or W.tokenizer, max_tokens, column, skip_damaged)
    if isinstance(W, Checkpoint):
        warnings.warn(f"{name} brings no tokenizer: its rows are taken to be those of {tokenizer}'s ids.", stacklevel=2)
        W = W.rows()
    if tokenizer is None:
        raise ValueError(f"{name} is a matrix, and nothing says what its rows are: pass --tokenizer.")
    read = corpus(text, tokenizer, max_tokens, column, skip_damaged)
    if read.ids.size and int(read.ids.max()) >= len(W):
        raise ValueError(
            f"{name} has {len(W):,} rows, and the text has an id {int(read.ids.max())}: pass the tokenizer that its "
            "rows are numbered by."
        )
    return W, read


def _brings_a_tokenizer(W: Checkpoint) -> bool:
    try:
        return W.tokenizer is not None
    except ValueError:
        return False
