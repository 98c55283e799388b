r"""A language model's W_E and W_U against the signatures of the text that it was trained on (section 6, appendix C).

R_cos(W_E, phi^next) is Pearson's correlation of the cosines of all pairs of C tokens, and R_cos(W_U, varphi^pre) the
same on the other side. It depends on C more than on anything else, so it is taken over a sweep of C; beside it stand
what a shuffle of the tokens gives (among all, and among tokens of a similar frequency), the spread of a bootstrap over
tokens, and the ceiling that the noise of the signature sets (`reliability`).

Arrays have a first axis of two sides where they have one: 0 is (W_E, phi^next), 1 is (W_U, varphi^pre).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from probsig import reliability, token_signatures
from probsig.alignment import Cosines, correlations, cosines, percentile_table
from probsig.bigrams import Bigrams, count
from probsig.language_data import REST, TrainingSet

Arrays = dict[str, NDArray]
SIDES = ("next", "previous")
SIGNATURE = {"next": token_signatures.next_token, "previous": token_signatures.previous_token}
SIZES = (50, 100, 200, 500, 1000, 2000, 5000, 10_000)
LEAST = 50  # a token must have been seen so often
LEADERS = ("next", "next centred", "next ppmi", "next support", "previous", "previous centred", "tied", "tied centred")
LEADERS += ("skip 2", "attention", "attention centred")
LEADERS += ("window 1-1 ppmi", "window 2-4 ppmi", "window 5-16 ppmi", "window 17-64 ppmi")
REACH, HEAT, COLUMNS, DRAWS = 8, 40, 50, 20


@dataclass(frozen=True, eq=False)
class Reference:
    """The signatures of a training set that embeddings are compared with; each is made once, when it is asked for.

    `length` is the sequence length of the model, for the weights of the attention signature.

    >>> from probsig.language_data import renumbered
    >>> ids = np.tile([0, 1, 2, 0, 2, 1, 1, 0], 60)
    >>> few = Reference(renumbered(ids, np.array([0, 480]), 3, None, "by hand"), length=16)
    >>> few.tokens.tolist(), few.sizes
    ([0, 1, 2], [3])
    """

    data: TrainingSet
    length: int

    @cached_property
    def tokens(self) -> NDArray[np.int64]:
        """The tokens that are compared, at most 10,000, seen LEAST times or more, most frequent first."""
        return self.data.often(SIZES[-1], LEAST)

    @property
    def sizes(self) -> list[int]:
        """The numbers of tokens C: those of SIZES that are there, and all of the tokens."""
        return [C for C in SIZES if C < len(self.tokens)] + [len(self.tokens)]

    @cached_property
    def distances(self) -> list[Bigrams]:
        """Counts at distances 1 to REACH, which the attention signature adds up."""
        far = range(2, min(REACH, self.length - 1) + 1)
        more = [count(self.data.ids, self.data.vocab_size, offsets=self.data.offsets, distance=k) for k in far]
        return [self.data.counts, *more]

    def signature(self, name: str, C: int) -> Cosines:
        """Cosines of one of LEADERS over the C most frequent tokens."""
        kind = name.partition(" ")[2] or "raw"
        tokens, counts = self.tokens[:C], self.data.counts
        if name.startswith("window"):
            low, high = map(int, name.split()[1].split("-"))
            near = (
                count(self.data.ids, self.data.vocab_size, offsets=self.data.offsets, distance=k)
                for k in range(low, high + 1)
            )
            rows = token_signatures.window(near, tokens, kind=name.split()[2])
        elif name == "skip 2":
            rows = token_signatures.skip(self.distances[1], tokens)
        elif name.startswith("attention"):
            weights = token_signatures.harmonic_weights([c.distance for c in self.distances], self.length)
            rows = token_signatures.attention(self.distances, tokens, weights, kind)
        elif name.startswith("tied"):
            rows = token_signatures.tied(counts, tokens, kind)
        else:
            rows = SIGNATURE[name.partition(" ")[0]](counts, tokens, kind)
        return cosines(rows, absent="zero")

    @cached_property
    def _whole(self) -> dict[str, Cosines]:
        return {side: self.signature(side, len(self.tokens)) for side in SIDES}

    def cosines_of(self, side: str, C: int) -> Cosines:
        """Cosines of phi^next or varphi^pre over the C most frequent tokens."""
        return first(self._whole[side], C)

    def ceilings(self, seed: int) -> NDArray[np.float64]:
        """(2, sizes): the square root of the reliability of each side's cosines, from random halves of the documents;
        nan where too few tokens occur in both."""
        halves = self.data.halves(seed)
        out = np.full((2, len(self.sizes)), np.nan)
        for s, side in enumerate(SIDES):
            for c, C in enumerate(self.sizes):
                try:
                    out[s, c] = reliability.split_half(*halves, self.tokens[:C], SIGNATURE[side]).ceiling
                except ValueError:  # fewer than 3 tokens in both halves
                    continue
        return out


def first(whole: Cosines, C: int) -> Cosines:
    """The cosines of the first C of the tokens.

    >>> first(Cosines(np.arange(6, dtype=np.float32), 4), 3).pairs.tolist()
    [0.0, 1.0, 3.0]
    """
    n = whole.size
    if C == n:
        return whole
    starts = np.arange(C - 1) * n - np.arange(C - 1) * np.arange(1, C) // 2
    return Cosines(np.concatenate([whole.pairs[s : s + C - 1 - i] for i, s in enumerate(starts)]), C)


def analyse_side(side: str, W: NDArray, reference: Reference, seed: int) -> Arrays:
    """Everything the figures need of one matrix, its rows those of `reference.tokens`; side: "next" for W_E, "previous"
    for W_U.

    rcos (2, sizes): raw and centred (the mean row of the C tokens subtracted, of the embedding and of the signature).
    bootstrap (sizes, 2): 2.5 and 97.5 % over tokens. shuffled, matched (sizes, 20): nulls. by_token, similarity (C,):
    each token's correlation over its pairs and its mean cosine to the others. table (10, COLUMNS), means (10,), zeros
    (2,): of `percentile_table`. heat (2, 40, 40): cosines of embeddings and signatures of the most frequent tokens.
    """
    rows = np.asarray(W, dtype=np.float64)
    whole, other = cosines(rows), reference.cosines_of(side, len(rows))
    frequency = reference.data.frequency[reference.tokens]
    pairs = [(first(whole, C), first(other, C), C) for C in reference.sizes]
    centred = [
        correlations(cosines(rows[:C] - rows[:C].mean(axis=0)), reference.signature(f"{side} centred", C)).overall
        for C in reference.sizes
    ]
    found, table = correlations(whole, other), percentile_table(whole, other, columns=COLUMNS)
    top = min(HEAT, len(rows))
    out = {
        "rcos": [[correlations(a, b).overall for a, b, _ in pairs], centred],
        "bootstrap": [np.nanquantile(reliability.bootstrap(a, b, 200, seed), [0.025, 0.975]) for a, b, _ in pairs],
        "shuffled": [reliability.matched_null(a, b, frequency[:C], DRAWS, seed, C) for a, b, C in pairs],
        "matched": [reliability.matched_null(a, b, frequency[:C], DRAWS, seed, 50) for a, b, C in pairs],
        "by_token": found.by_token,
        "similarity": found.mean_a,
        "table": table.counts,
        "means": table.means,
        "zeros": table.zero_fractions,
        "heat": [first(whole, top).square(), first(other, top).square()],
    }
    small = {"by_token": np.float16, "similarity": np.float16, "heat": np.float16, "table": np.int32}
    return {name: np.array(values).astype(small.get(name, np.float64)) for name, values in out.items()}


def shared(sets: Sequence[TrainingSet], most: int, least: int = 20) -> NDArray[np.int64]:
    """The tokenizer's ids of the tokens that occur `least` times in every one of some training sets: the `most` that
    stand highest in the lowest of their frequencies, most frequent first.

    >>> from probsig.language_data import renumbered
    >>> texts = ([7, 7, 7, 2, 2, 3], [7, 2, 2, 2, 4, 4])
    >>> both = [renumbered(np.array(ids), np.array([0, 6]), 9, None, "by hand") for ids in texts]
    >>> shared(both, most=5, least=1)
    array([2, 7])
    """
    low = np.full(max(one.original for one in sets), np.iinfo(np.int64).max)
    for one in sets:
        frequency, there = np.zeros_like(low), one.kept != REST
        frequency[one.kept[there]] = one.frequency[there]
        low = np.minimum(low, frequency)
    return token_signatures.frequent(low, most, least)
