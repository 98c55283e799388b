r"""Language models that predict several tokens, against the signatures at every distance: the stored runs.

One run is one network on one text with one head a distance. Its W_E and each head's W_U are set beside the laws of the
token at distances 1 to REACH after a token (before it for W_U).

- "stack" is what k heads give at first order. With W_s' = (n_s / k) sum_j U_j^T (phi^(j)_s - 1/V) and heads drawn
  independently, the inner product of the velocities of s and s' is on average a multiple of n_s n_s' times
  sum_j <phi^(j)_s - 1/V, phi^(j)_s' - 1/V>: Gram matrices add, which is the Gram matrix of the rows
  (phi^(1)_s - 1/V, ..., phi^(k)_s - 1/V). Factors n_s leave cosines as they are, and 1/V moves the product of two laws
  by 1/V.
- "from j" is what attention makes of the signature at distance j. Where it is uniform, the token at place i has weight
  1/t in the prediction of place t + j, i <= t: the distances are j and more, distance j + m has the weight that
  `token_signatures.harmonic_weights` gives m + 1, and WIDE of them are added up.

Axes: kinds are raw and centred (mean row of the tokens subtracted), sizes are SIZES, signatures are SIGNATURES.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from probsig import seeds
from probsig.counts.bigrams import Bigrams, count
from probsig.experiments import language_model
from probsig.geometry import reliability
from probsig.geometry.large import Cosines, correlations, cosines
from probsig.language.analysis import LEAST
from probsig import runs
from probsig.runs.drafts import Draft
from probsig.signatures import tokens as signatures_tokens
from probsig.text.training_set import TrainingSet, documents

REACH, STACK, FROM, WIDE = 6, (1, 2, 3, 4), (1, 2, 4), 8
SIZES, DRAWS = (500, 1000), 20
KINDS = ("raw", "centred")
SINGLE = tuple(str(distance) for distance in range(1, REACH + 1))
SIGNATURES = (*SINGLE, "stack", *(f"from {distance}" for distance in FROM))

Side = dict[str, list[list[Cosines]]]


def signature(
    counts: Sequence[Bigrams],
    tokens: Sequence[int],
    name: str,
    length: int,
    kind: str = "raw",
    direction: str = "next",
) -> sp.csr_array | signatures_tokens.Centred:
    """One of SIGNATURES of each token, sparse (n, V) or, stacked, (n, V times distances), from counts at distances 1, 2
    and so on; `length` is that of the model's rows. The rest as `token_signatures.skip`.

    >>> ids = np.array([0, 1, 0, 2, 0, 1, 1, 0], dtype=np.uint16)
    >>> counts = [count(ids, 3, distance=distance) for distance in (1, 2, 3, 4)]
    >>> signature(counts, [2], "1", 8).toarray().tolist(), signature(counts, [2], "stack", 8).toarray().tolist()
    ([[1.0, 0.0, 0.0]], [[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]])
    """
    if name == "stack":
        laws = [signatures_tokens.skip(counts[distance - 1], tokens, "raw", direction) for distance in STACK]
        rows = sp.csr_array(sp.hstack(laws))
        return signatures_tokens.centred(rows) if kind == "centred" else rows
    if name.startswith("from "):
        nearest = int(name.removeprefix("from "))
        weights = signatures_tokens.harmonic_weights(range(1, WIDE + 1), length)
        return signatures_tokens.attention(counts[nearest - 1 : nearest - 1 + WIDE], tokens, weights, kind, direction)
    return signatures_tokens.skip(counts[int(name) - 1], tokens, kind, direction)


class Distances:
    """Cosines of the signatures of a training set at every distance, each made once; `length` is that of the rows.

    `tokens` are the most frequent ones, `sizes` how many are compared: SIZES, or all where there are fewer.
    """

    def __init__(self, data: TrainingSet, length: int):
        self.data, self.length, self.tokens = data, length, data.often(SIZES[-1], LEAST)
        self.sizes = [min(C, len(self.tokens)) for C in SIZES]
        self.counts = _counts(data)

    @cached_property
    def after(self) -> Side:
        """By kind: sizes, SIGNATURES; of the tokens after."""
        return self._all("next", SIGNATURES)

    @cached_property
    def before(self) -> Side:
        """By kind: sizes, SINGLE; of the tokens before."""
        return self._all("previous", SINGLE)

    def _all(self, direction: str, names: Sequence[str]) -> Side:
        def of(name: str, kind: str, C: int) -> Cosines:
            rows = signature(self.counts, self.tokens[:C], name, self.length, kind, direction)
            return cosines(rows, absent="zero")

        return {kind: [[of(name, kind, C) for name in names] for C in self.sizes] for kind in KINDS}

    def alignment(self, W: NDArray, side: Side) -> NDArray[np.float64]:
        """R_cos of the rows W (tokens, d) with each signature of a side, (kinds, sizes, signatures)."""
        return self._over(W, side, lambda own, other: correlations(own, other).overall)

    def null(self, W: NDArray, side: Side, seed: int) -> NDArray[np.float64]:
        """The same after DRAWS shuffles among 50 tokens of a similar frequency, (kinds, sizes, signatures, DRAWS)."""
        often = self.data.frequency[self.tokens]
        return self._over(W, side, lambda a, b: reliability.matched_null(a, b, often[: a.size], DRAWS, seed, 50))

    def _over(self, W: NDArray, side: Side, compared: Callable[[Cosines, Cosines], Any]) -> NDArray[np.float64]:
        rows = np.asarray(W, dtype=np.float64)
        own = {
            "raw": [cosines(rows[:C]) for C in self.sizes],
            "centred": [cosines(rows[:C] - rows[:C].mean(axis=0)) for C in self.sizes],
        }
        return np.array(
            [
                [[compared(a, b) for b in others] for a, others in zip(own[kind], side[kind], strict=True)]
                for kind in KINDS
            ]
        )

    def between(self) -> NDArray[np.float64]:
        """R_cos of the signatures with each other, (kinds, sizes, signatures, signatures)."""
        return np.array(
            [[[[correlations(a, b).overall for b in row] for a in row] for row in self.after[kind]] for kind in KINDS]
        )

    def ceilings(self, seed: int) -> NDArray[np.float64]:
        """The square root of the reliability of each signature's cosines, from random halves of the documents, (kinds,
        sizes, signatures)."""
        order = seeds.stream(seed, "halves", self.data.name).permutation(len(self.data.offsets) - 1)
        parts = [documents(self.data, np.sort(half)) for half in np.array_split(order, 2)]
        halves = [_counts(replace(self.data, ids=ids, offsets=offsets)) for ids, offsets in parts]

        def ceiling(name: str, kind: str, C: int) -> float:
            options = {"name": name, "length": self.length, "kind": kind}
            return reliability.split_half(*halves, self.tokens[:C], signature, **options).ceiling

        return np.array([[[ceiling(name, kind, C) for name in SIGNATURES] for C in self.sizes] for kind in KINDS])


def _counts(data: TrainingSet) -> list[Bigrams]:
    every = range(1, max(*FROM, REACH) + WIDE)
    return [count(data.ids, data.vocab_size, offsets=data.offsets, distance=distance) for distance in every]


def heads(
    name: str,
    sets: Callable[[], Sequence[TrainingSet]],
    *,
    distances: Sequence[int],
    scale: str,
    seed: int,
    architecture: str = "qwen2.5",
    text: str = "stand-in",
) -> runs.Run:
    """The run of a model on the text `name` with a head for each of `distances`: found, or trained now and stored.

    sets: gives the training sets, `name` among them, made with `language_experiments.SCALES[scale]`, whose recipe it
    is. The piece "heads" holds steps (m,), rcos (m, kinds, sizes, signatures) of W_E, unembedding (m, k, kinds, sizes,
    SINGLE) of each head's W_U with the laws before a token, null (2, kinds, sizes, signatures, DRAWS) of W_E at the
    start and the end, loss (m - 1, k), each head's mean over the steps between two looks; and of the text between,
    ceilings, sizes, size (tokens, documents, ids), epoch and the digest of its ids.
    Raises ValueError for an unknown architecture, scale or text, and what training raises.
    """
    if scale not in ("smoke", "laptop"):
        raise ValueError(f"scale is {scale!r}: pass 'smoke' or 'laptop'.")
    how = language_model.SCALES[scale]
    config = {"corpus": name, "text": text, "architecture": architecture, "scale": scale, "seed": seed}
    config |= {"distances": list(distances), **asdict(how)}

    def make(draft: Draft) -> dict[str, NDArray]:
        known = {one.name: one for one in sets()}
        if name not in known:
            raise ValueError(f"{name!r} is not among the texts {', '.join(known)}: name one of them.")
        return _trained(known[name], how, distances, architecture, seed, draft)

    return runs.run("language-heads", config, {"heads": make}, modules=["probsig.heads_experiments"])


def _trained(
    data: TrainingSet,
    how: language_model.Scale,
    distances: Sequence[int],
    architecture: str,
    seed: int,
    draft: Draft,
) -> dict[str, NDArray]:
    from probsig.language import heads as language_heads
    from probsig.language import networks, training

    shape = networks.SHAPES[how.shape]
    sizes = {"vocab_size": data.vocab_size, "original": data.original}
    model = language_heads.build(architecture, shape, heads=len(distances), seed=seed, **sizes)
    recipe = training.Recipe(batch=how.batch, length=how.length, lr=how.lr)
    reference, epoch = Distances(data, how.length), recipe.epoch(data)
    steps = language_model.looks(epoch, 1, how.looks)

    def keep(step: int, W_E: NDArray, W_U: NDArray) -> dict[str, NDArray]:
        rows = W_E[reference.tokens]
        by_head = np.stack([reference.alignment(head[reference.tokens], reference.before) for head in W_U])
        out = {"rcos": reference.alignment(rows, reference.after), "unembedding": by_head}
        return out if step not in (0, epoch) else out | {"null": reference.null(rows, reference.after, seed)}

    kept = language_heads.train(model, data, distances, recipe, seed=seed, keep=keep, keep_at=steps, draft=draft)
    return {
        "steps": np.array(steps, dtype=np.int64),
        **{key: np.stack([kept[f"{step}/{key}"] for step in steps]) for key in ("rcos", "unembedding")},
        "null": np.stack([kept[f"{step}/null"] for step in (0, epoch)]),
        "loss": np.stack([part.mean(axis=0) for part in np.split(kept["loss"], steps[1:-1])]),
        "between": reference.between(),
        "ceilings": reference.ceilings(0),
        "sizes": np.array(reference.sizes, dtype=np.int64),
        "size": np.array([len(data.ids), len(data.offsets) - 1, data.vocab_size], dtype=np.int64),
        "epoch": np.array([epoch], dtype=np.int64),
        "digest": np.frombuffer(hashlib.sha256(data.ids.tobytes()).digest(), dtype=np.uint8).copy(),
    }
