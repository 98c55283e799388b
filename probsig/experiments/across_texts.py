r"""Models of several texts, each held against the signatures of all of them, over the tokens that the texts share.

A run trains a model on each text, all from one seed, and keeps of each the rows of W_E and W_U of the shared tokens,
and beside them the cosines of the text's own two signatures: enough to compare any model with any text afterwards, and
the texts with each other, over one set of tokens. A text may share far fewer tokens than the others do; it is named
`narrow`, and the tokens are those that all other texts share. Comparisons in which it stands use those that it shares
too.

A side is 0 for (W_E, phi^next) and 1 for (W_U, varphi^pre). C tokens, d the hidden size, n texts.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from probsig import runs
from probsig.experiments import language_model
from probsig.geometry import reliability
from probsig.geometry.large import Cosines, correlations, cosines
from probsig.language.analysis import SIDES, SIGNATURE, shared
from probsig.runs.drafts import Draft
from probsig.text.training_set import TrainingSet

MOST = 500  # tokens that are compared, at most
GROUP = 10  # tokens of a similar frequency that a null shuffles among themselves
BUILDING = threading.Lock()  # transformers cannot be imported by two threads at once
Texts = tuple[Sequence[TrainingSet], Callable[[int], str]]


def run(
    names: Sequence[str],
    texts: Callable[[], Texts],
    *,
    narrow: str,
    scale: str,
    seed: int,
    text: str = "stand-in",
    device: str = "auto",
) -> runs.Run:
    """The run of one seed: found, or a Qwen2.5 trained now on each of the texts, for one epoch, and stored.

    texts: gives the training sets of `names`, in that order, made with the scale's tokens and ids, and the text of a
    token by its id. The piece "tokens" holds ids (C,) of the tokenizer, everywhere (C,) whether `narrow` shares it, and
    names (their texts, UTF-8); a piece a text, rows (2, C, d) of W_E and W_U, signatures (2, C (C - 1) / 2) the cosines
    of all pairs (0 for a token that the text has not), seen (C,) how often, size (tokens, documents, ids), loss (nats,
    over the last tenth of the steps) and digest (SHA-256 of the ids). Raises ValueError for a `narrow` that is none of
    the names, and what training raises.
    """
    if narrow not in names:
        raise ValueError(f"narrow is {narrow!r}: pass one of {', '.join(map(repr, names))}.")
    how = asdict(language_model.SCALES[scale])
    del how["looks"]
    config = {"texts": [*names], "narrow": narrow, "text": text, "architecture": "qwen2.5", "scale": scale}
    config |= {"seed": seed, **how}

    def tokens(draft: Draft) -> dict[str, NDArray]:
        sets, name_of = texts()
        ids = _tokens(sets, narrow)
        said = "\0".join(map(name_of, ids.tolist())).encode()
        everywhere = np.isin(ids, shared(sets, len(ids)))
        return {"ids": ids, "everywhere": everywhere, "names": np.frombuffer(said, dtype=np.uint8)}

    def trained(name: str) -> Callable[[Draft], dict[str, NDArray]]:
        def piece(draft: Draft) -> dict[str, NDArray]:
            sets, _ = texts()
            return _piece(
                next(one for one in sets if one.name == name), _tokens(sets, narrow), scale, seed, device, draft
            )

        return piece

    pieces = {"tokens": tokens, **{name: trained(name) for name in names}}
    return runs.run("across-texts", config, pieces, modules=["probsig.across_texts"])


def _tokens(sets: Sequence[TrainingSet], narrow: str) -> NDArray[np.int64]:
    return shared([one for one in sets if one.name != narrow], MOST)


def _piece(
    data: TrainingSet, tokens: NDArray[np.int64], scale: str, seed: int, device: str, draft: Draft
) -> dict[str, NDArray]:
    from probsig.language import networks, training

    how = language_model.SCALES[scale]
    sizes = {"vocab_size": data.vocab_size, "original": data.original}
    with BUILDING:
        model = networks.build("qwen2.5", networks.SHAPES[how.shape], seed=seed, **sizes)
    recipe = training.Recipe(batch=how.batch, length=how.length, lr=how.lr)
    steps = recipe.steps(data)
    looks = {"measure": lambda *_: {}, "measure_at": [steps * 9 // 10, steps]}  # only the loss
    log = training.train(model, data, recipe, seed=seed, device=device, draft=draft, **looks)
    new = data.new_ids(tokens)
    there = new >= 0
    signatures = np.zeros((2, len(new), len(new)))
    for square, side in zip(signatures, SIDES, strict=True):
        rows = SIGNATURE[side](data.counts, new[there])
        square[np.ix_(there, there)] = cosines(rows, absent="zero").square()
    upper = np.triu_indices(len(new), 1)
    matrices = networks.embeddings(model)
    return {
        "rows": np.array([np.where(there[:, None], W[new], 0) for W in matrices], dtype=np.float16),
        "signatures": np.array([square[upper] for square in signatures], dtype=np.float16),
        "seen": np.where(there, data.frequency[new], 0),
        "size": np.array([len(data.ids), len(data.offsets) - 1, data.vocab_size], dtype=np.int64),
        "loss": np.array([log.metrics[-1]["loss"]]),
        "digest": np.frombuffer(hashlib.sha256(data.ids.tobytes()).digest(), dtype=np.uint8),
    }


def token_names(run: runs.Run, names: Sequence[str]) -> list[str]:
    """The texts of the tokens over which `names` are compared."""
    every = run.arrays["tokens/names"].tobytes().decode().split("\0")
    return [name for name, there in zip(every, _compared(run, names), strict=True) if there]


def _compared(run: runs.Run, names: Sequence[str]) -> NDArray[np.bool_]:
    everywhere = run.arrays["tokens/everywhere"]
    return everywhere if run.config["narrow"] in names else np.ones_like(everywhere)


def _both(run: runs.Run, names: Sequence[str], side: int) -> tuple[list[Cosines], list[Cosines]]:
    """The cosines of the compared tokens: of each text's matrix, and of its signature."""
    there = _compared(run, names)
    upper = np.ix_(there, there)
    first, second = np.triu_indices(there.sum(), 1)

    def chosen(pairs: NDArray) -> Cosines:
        square = Cosines(pairs.astype(np.float32), len(there)).square()[upper]
        return Cosines(square[first, second], len(square))

    matrices = [cosines(run.arrays[f"{name}/rows"][side][there].astype(float), absent="zero") for name in names]
    return matrices, [chosen(run.arrays[f"{name}/signatures"][side]) for name in names]


def tables(run: runs.Run, names: Sequence[str], side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """R_cos of each model's matrix (row) with each text's signature (column), and of the signatures with each other,
    (n, n) both, over the tokens that all of `names` share."""
    matrices, signatures = _both(run, names, side)
    found = [[[correlations(a, b).overall for b in signatures] for a in rows] for rows in (matrices, signatures)]
    return np.array(found[0]), np.array(found[1])


def shuffled(run: runs.Run, names: Sequence[str], side: int, draws: int) -> NDArray[np.float64]:
    """The first of `tables` after shuffles among tokens of a similar frequency in the model's text, (n, n, draws)."""
    matrices, signatures = _both(run, names, side)
    seen = [run.arrays[f"{name}/seen"][_compared(run, names)] for name in names]
    seed = run.config["seed"]
    return np.array(
        [
            [reliability.matched_null(a, b, often, draws, seed, GROUP) for b in signatures]
            for a, often in zip(matrices, seen, strict=True)
        ]
    )
