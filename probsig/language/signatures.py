"""All signatures of one text, each made once: by name, in each kind, over its most frequent tokens.

A name is one of

- "next", "previous": the law of the token after, before (phi^next, varphi^pre), and "next 3": three places on;
- "tied": the sum of both (phi~);
- "window 2-4": the law of a token at these distances, on either side;
- "attention": what one causal attention layer that starts uniform adds to eq. (4), and "attention 2": the same for a
  model that predicts two places on;
- "stack 1-4": the laws at these distances side by side, which is what a model with a head for each follows.

Kinds are those of `signatures.tokens`. Rows are tokens of the training set, numbered as it numbers them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from probsig import guards
from probsig.counts.bigrams import Bigrams, counted
from probsig.geometry import reliability
from probsig.geometry.large import Cosines, cosines
from probsig.signatures import tokens as laws
from probsig.text.training_set import TrainingSet

SIDES = ("next", "previous")
"""What W_E is held against, and what W_U is."""
SIZES = (50, 100, 200, 500, 1000, 2000, 5000, 10_000)
LEAST = 50  # a token must have been seen so often
REACH = 8  # distances of the attention signature


@dataclass(frozen=True, eq=False)
class TextSignatures:
    """The signatures of a training set; `length` is that of the model's rows, for the weights of attention.

    >>> from probsig.text.training_set import renumbered
    >>> ids = np.tile([0, 1, 2, 0, 2, 1, 1, 0], 60)
    >>> few = TextSignatures(renumbered(ids, np.array([0, 480]), 3, None, "by hand"), length=16)
    >>> few.tokens.tolist(), few.sizes, few.rows("next", [2]).toarray().round(3).tolist()
    ([0, 1, 2], [3], [[0.5, 0.5, 0.0]])
    """

    data: TrainingSet
    length: int

    @cached_property
    def tokens(self) -> NDArray[np.int64]:
        """The tokens that are compared, at most 10,000, seen LEAST times or more, most frequent first; raises
        ValueError where they are fewer than 3."""
        found = self.data.frequent(SIZES[-1], LEAST)
        if len(found) < 3:
            raise ValueError(f"{self.data.name} has {len(found)} tokens seen {LEAST} times or more: take more text.")
        return found

    @property
    def sizes(self) -> list[int]:
        """The numbers of tokens C: those of SIZES that are there, and all of the tokens."""
        return [C for C in SIZES if C < len(self.tokens)] + [len(self.tokens)]

    @cached_property
    def _counted(self) -> dict[int, Bigrams]:
        return {1: self.data.counts}

    @cached_property
    def _made(self) -> dict[tuple[str, int, str], Cosines]:
        return {}

    def counts(self, distance: int) -> Bigrams:
        """The pairs at a distance, counted once."""
        if distance not in self._counted:
            self._counted[distance] = self._count(distance)
        return self._counted[distance]

    def _count(self, distance: int) -> Bigrams:
        return counted(self.data.ids, self.data.vocab_size, offsets=self.data.offsets, distance=distance)

    def rows(self, name: str, tokens: Sequence[int], kind: str = "raw") -> sp.csr_array | laws.Centred:
        """The signature of that name of some tokens, sparse (n, V), or (n, V times distances) for a stack.

        Raises ValueError for a name that is none, and for what `signatures.tokens` refuses.
        """
        guards.window_fits(name, self.data)
        which, _, rest = name.partition(" ")
        low, high = _numbers(name, rest)
        if which in SIDES and low == high:
            return laws.skip(self.counts(low), tokens, kind, which)
        if name == "tied":
            return laws.tied(self.counts(1), tokens, kind)
        if which == "window" and rest:
            return laws.window((self._count(k) for k in range(low, high + 1)), tokens, kind=kind)
        if which == "attention" and low == high:
            far = range(low, min(low - 1 + REACH, low - 1 + self.length - 1) + 1)
            weights = laws.harmonic_weights([k - low + 1 for k in far], self.length)
            return laws.attention([self.counts(k) for k in far], tokens, weights, kind)
        if which == "stack" and rest:
            part = "raw" if kind == "centred" else kind
            parts = [laws.skip(self.counts(k), tokens, part) for k in range(low, high + 1)]
            stacked = sp.csr_array(sp.hstack(parts))
            return laws.centred(stacked) if kind == "centred" else stacked
        raise ValueError(f"There is no signature {name!r}: pass one as the head of probsig.language.signatures says.")

    def cosines(self, name: str, C: int, kind: str = "raw") -> Cosines:
        """The cosines of that signature over the C most frequent tokens, made once."""
        if (name, C, kind) not in self._made:
            self._made[name, C, kind] = cosines(self.rows(name, self.tokens[:C], kind), absent="zero")  # type: ignore[arg-type]
        return self._made[name, C, kind]

    def ceilings(self, names: Sequence[str], sizes: Sequence[int], kind: str = "raw", seed: int = 0) -> NDArray:
        """The square root of the reliability of each signature's cosines over each number of tokens, from two random
        halves of the documents, (names, sizes); nan where too few tokens occur in both.

        Raises ValueError for what `rows` refuses of the whole text.
        """
        halves = [TextSignatures(half, self.length) for half in self.data.halves(seed)]
        out = np.full((len(names), len(sizes)), np.nan)
        for n, name in enumerate(names):
            for c, C in enumerate(sizes):
                try:
                    found = reliability.split_half(  # type: ignore[call-arg]
                        *halves, self.tokens[:C], lambda half, tokens, name=name: half.rows(name, tokens, kind)  # type: ignore[arg-type]
                    )  # fmt: skip
                except ValueError:  # fewer than 3 tokens in both halves, or what is refused of the whole text too
                    guards.sure(self.rows(name, self.tokens[:C], kind) is not None, "")  # type: ignore[arg-type]
                    continue
                out[n, c] = found.ceiling
        return out


def _numbers(name: str, rest: str) -> tuple[int, int]:
    """The distances in a name: (1, 1) where it has none."""
    try:
        low, to, high = (rest or "1").partition("-")
        numbers = int(low), int(high if to else low)
    except ValueError:
        numbers = 0, 0
    if not 1 <= numbers[0] <= numbers[1]:
        raise ValueError(f"There is no signature {name!r}: pass one as the head of probsig.language.signatures says.")
    return numbers
