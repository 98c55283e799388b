"""A text and a model as a command line names them, opened.

A model is what `language.checkpoints.open_checkpoint` opens, or a .npy file with a matrix that has one row per id of
the tokenizer that is named. Its text is read by its own tokenizer unless another one is named; then a token finds its
row by what it says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from probsig.language.checkpoints import open_checkpoint
from probsig.runs.files import place
from probsig.text.corpora import Corpus, open_corpus

USUAL = "qwen2.5"  # the tokenizer of a text without a model


def corpus(text: str, tokenizer: Any, max_tokens: int | None, column: str, skip_damaged: bool) -> Corpus:
    """The text by its path or name; raises what `open_corpus` raises."""
    problem = "skip" if skip_damaged else "stop"
    by = USUAL if tokenizer is None else tokenizer
    return open_corpus(text, by, column=column, max_tokens=max_tokens, problem=problem)


def both(
    text: str, model: str, tokenizer: str | None, max_tokens: int | None, column: str, skip_damaged: bool
) -> tuple[Any, Corpus]:
    """A model's embedding and the text, the model first, since it costs less to miss.

    Raises ValueError for a matrix without a tokenizer, for a file that holds no matrix of numbers or another number of
    rows than the tokenizer's ids need, and what opening either raises.
    """
    path = place(model)
    if path.suffix != ".npy":
        checkpoint = open_checkpoint(model)
        return checkpoint, corpus(text, tokenizer or checkpoint.tokenizer, max_tokens, column, skip_damaged)
    W = _matrix(path)
    if tokenizer is None:
        raise ValueError(f"{path.name} is a matrix, and nothing says what its rows are: pass --tokenizer.")
    opened = corpus(text, tokenizer, max_tokens, column, skip_damaged)
    if opened.ids.size and int(opened.ids.max()) >= len(W):
        raise ValueError(
            f"{path.name} has {len(W):,} rows, and the text has an id {int(opened.ids.max())}: pass the tokenizer that "
            "its rows are numbered by."
        )
    return W, opened


def _matrix(path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f"There is no file {path}: check the path of the matrix.")
    try:
        W = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path.name} holds no array of numbers: save one with numpy.save.") from error
    if getattr(W, "ndim", 0) != 2 or W.dtype.kind not in "fiu":
        raise ValueError(f"{path.name} holds no matrix of numbers with one row per token: save one with numpy.save.")
    return W
