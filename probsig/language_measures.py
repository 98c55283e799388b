r"""What is measured of a language model on one text: cheaply at every look, in full at a few.

`Measures` has three methods that take rows of W_E and W_U and give arrays. They need no network, so they can run in
another process while the training goes on (`means.submit`). Which rows each asks for is in `watched_rows`,
`analysed_rows` and `crossed_rows`, numbers of the training set's ids.

Arrays have a first axis of two sides where they have one: 0 is (W_E, phi^next), 1 is (W_U, varphi^pre).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from probsig.alignment import Cosines, correlations, cosines, percentile_table
from probsig.language_analysis import (
    LEADERS,
    SIDES,
    SIGNATURE,
    Reference,
    analyse_side,
    first,
    shared,
)
from probsig.language_data import TrainingSet

Arrays = dict[str, NDArray[Any]]
WATCHED = (100, 500, 1000, 2000)  # numbers of tokens C at every look
RANKED, LED, STORED, SHARED = 1000, 500, 500, 500


class Measures:
    """What is measured of models of `data`, which are also held against the signatures of `others`.

    groups: names, and the tokenizer's ids of their members by text. length: of the model's rows, for the attention
    signature. seed: of nulls and bootstraps.
    """

    def __init__(
        self,
        data: TrainingSet,
        others: Sequence[TrainingSet],
        groups: Mapping[str, Mapping[str, int]],
        length: int,
        seed: int,
    ):
        self.data, self.others, self.groups, self.seed = data, others, groups, seed
        self.reference = Reference(data, length)
        self.tokens = self.reference.tokens
        self.sizes = [C for C in WATCHED if C < len(self.tokens)] or [len(self.tokens)]
        if len(self.tokens) < WATCHED[-1] and self.sizes[-1] != len(self.tokens):
            self.sizes.append(len(self.tokens))

    @cached_property
    def _members(self) -> dict[str, NDArray[np.int64]]:
        return {name: self.data.new_ids(np.array([*ids.values()], dtype=np.int64)) for name, ids in self.groups.items()}

    @cached_property
    def watched_rows(self) -> NDArray[np.int64]:
        """The tokens of the largest size, then the members of the groups that have a row."""
        groups = [new[new >= 0] for new in self._members.values()]
        return np.concatenate([self.tokens[: self.sizes[-1]], *groups])

    @property
    def analysed_rows(self) -> NDArray[np.int64]:
        """All tokens that are compared, at most 10,000."""
        return self.tokens

    @cached_property
    def _crossed(self) -> list[NDArray[np.int64]]:
        """The tokenizer's ids of what `data` shares with each of the others, and last of what all share."""
        every = [shared([self.data, other], SHARED) for other in self.others]
        return [*every, shared([self.data, *self.others], SHARED)]

    @cached_property
    def kept_rows(self) -> NDArray[np.int64]:
        """What a run keeps of its matrices: the most frequent tokens, the members of the groups, and the tokens that
        all texts share but the one of the smallest vocabulary (those that `data` has)."""
        narrow = min(range(len(self.others)), key=lambda o: self.others[o].vocab_size)
        common = shared([other for o, other in enumerate(self.others) if o != narrow or len(self.others) < 3], SHARED)
        groups = [new[new >= 0] for new in self._members.values()]
        new = self.data.new_ids(common)
        return np.unique(np.concatenate([self.tokens[:STORED], *groups, new[new >= 0]]))

    @cached_property
    def crossed_rows(self) -> NDArray[np.int64]:
        """Every token that is shared with another text."""
        return np.unique(self.data.new_ids(np.concatenate(self._crossed)))

    def watched(self, W_E: NDArray, W_U: NDArray) -> Arrays:
        """Of `watched_rows`: rcos (2, 2, sizes), raw and centred (the mean row of the C tokens subtracted, of embedding
        and signature); spearman (2, sizes up to RANKED); percentiles (2, 10), the mean percentile of the signature's
        cosines in each interval of the embedding's; leaders (2, 2, LEADERS) over LED tokens; norms (2,), the mean norm
        of a row; and of each group <name>/W_E and <name>/W_U, cosines (k, k), nan where a member has no row."""
        n = self.sizes[-1]
        out: dict[str, Any] = {name: [] for name in ("rcos", "spearman", "percentiles", "leaders", "norms")}
        for side, rows in zip(SIDES, (W_E, W_U), strict=True):
            W = np.asarray(rows[:n], dtype=np.float64)
            whole, other = cosines(W), self._known(side, n)
            centred = [cosines(W[:C] - W[:C].mean(axis=0)) for C in self.sizes]
            own = [correlations(first(whole, C), first(other, C)).overall for C in self.sizes]
            about = [self._known(f"{side} centred", C) for C in self.sizes]
            out["rcos"].append([own, [correlations(a, b).overall for a, b in zip(centred, about, strict=True)]])
            out["spearman"].append([self._spearman(first(whole, C), side, C) for C in self.sizes if C <= RANKED])
            C = min(RANKED, n)
            out["percentiles"].append(percentile_table(first(whole, C), first(other, C), columns=10).means)
            C = min(LED, n)
            pair = first(whole, C), cosines(W[:C] - W[:C].mean(axis=0))
            leaders = [[correlations(a, self._known(name, C)).overall for name in LEADERS] for a in pair]
            out["leaders"].append(leaders)
            out["norms"].append(np.linalg.norm(W, axis=1).mean())
            start = n
            for name, new in self._members.items():
                there = np.flatnonzero(new >= 0)
                square = np.full((len(new), len(new)), np.nan, dtype=np.float32)
                if len(there) > 1:
                    square[np.ix_(there, there)] = cosines(rows[start : start + len(there)]).square()
                out[f"{name}/{'W_E' if side == SIDES[0] else 'W_U'}"] = square
                start += len(there)
        return {name: np.asarray(value) for name, value in out.items()}

    def analysed(self, side: str, W: NDArray) -> Arrays:
        """Of `analysed_rows` of one side's matrix: what `analyse_side` gives."""
        return analyse_side(side, W, self.reference, self.seed)

    def crossed(self, W_E: NDArray, W_U: NDArray) -> Arrays:
        """Of `crossed_rows`: cross and common (2, others), R_cos with the signatures of the other texts, over what the
        two texts share and over what all share; nan where that is fewer than 3 tokens."""
        place = {int(new): at for at, new in enumerate(self.crossed_rows)}
        out = {name: np.full((2, len(self.others)), np.nan) for name in ("cross", "common")}
        for o, other in enumerate(self.others):
            for name, old in (("cross", self._crossed[o]), ("common", self._crossed[-1])):
                if len(old) < 3:
                    continue
                own, theirs = [place[int(new)] for new in self.data.new_ids(old)], other.new_ids(old)
                for s, (side, W) in enumerate(zip(SIDES, (W_E, W_U), strict=True)):
                    signature = cosines(SIGNATURE[side](other.counts, theirs), absent="zero")
                    out[name][s, o] = correlations(cosines(W[own]), signature).overall
        return out

    def about(self) -> Arrays:
        """Of the text: sizes and watched sizes, least (how often the rarest of C was seen), ceilings, top (the
        tokenizer's ids of the most frequent tokens), kept and frequency (of `kept_rows`: their ids and counts), size
        (tokens, documents, ids), cross_tokens (others,) and common_tokens (1,), and of each group <name>/count and
        <name>/next and <name>/previous, the cosines of its members' signatures."""
        sizes = self.reference.sizes
        out = {
            "sizes": np.array(sizes, dtype=np.int64),
            "watched": np.array(self.sizes, dtype=np.int64),
            "least": self.data.frequency[self.tokens[np.array(sizes) - 1]],
            "ceilings": self.reference.ceilings(0),
            "top": self.data.kept[self.tokens[:STORED]],
            "kept": self.data.kept[self.kept_rows],
            "frequency": self.data.frequency[self.kept_rows],
            "size": np.array([len(self.data.ids), len(self.data.offsets) - 1, self.data.vocab_size], dtype=np.int64),
            "cross_tokens": np.array([len(old) for old in self._crossed[:-1]], dtype=np.int64),
            "common_tokens": np.array([len(self._crossed[-1])], dtype=np.int64),
        }
        for name, new in self._members.items():
            out[f"{name}/count"] = np.where(new >= 0, self.data.frequency[new], 0)
            for side, totals in (
                ("next", self.data.counts.row_totals()),
                ("previous", self.data.counts.transpose().row_totals()),
            ):
                square = np.full((len(new), len(new)), np.nan, dtype=np.float32)
                there = np.flatnonzero(np.where(new >= 0, totals[new], 0) > 0)
                if len(there) > 1:
                    square[np.ix_(there, there)] = cosines(SIGNATURE[side](self.data.counts, new[there])).square()
                out[f"{name}/{side}"] = square
        return out

    def _known(self, name: str, C: int) -> Cosines:
        """The cosines of one of LEADERS over the C most frequent tokens, made once."""
        made = self.__dict__.setdefault("_made", {})
        if (name, C) not in made:
            made[name, C] = self.reference.signature(name, C)
        return made[name, C]

    def _spearman(self, own: Cosines, side: str, C: int) -> float:
        ranks = self.__dict__.setdefault("_ranks", {})
        if (side, C) not in ranks:
            ranks[side, C] = rankdata(self._known(side, C).pairs)
        return float(np.corrcoef(rankdata(own.pairs), ranks[side, C])[0, 1])


def stored(W: NDArray) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Rows in 8 bits, and the number that each row is to be multiplied with; cosines stay within 0.01 of what they are.

    >>> small, scale = stored(np.array([[1.0, -2.0], [0.0, 0.5]]))
    >>> small.tolist(), (small * scale[:, None].astype(float)).round(2).tolist()
    ([[64, -127], [0, 127]], [[1.01, -2.0], [0.0, 0.5]])
    """
    scale = np.maximum(np.abs(W).max(axis=1), np.finfo(np.float32).tiny) / 127
    return np.rint(W / scale[:, None]).astype(np.int8), scale.astype(np.float32)
