r"""What is measured of a language model on one text: cheaply at every look, in full at a few.

`Measures` has three methods that take rows of W_E and W_U and give arrays. They need no network, so they can run in
another process while the training goes on. Which rows each asks for is in `watched_rows`, `analysed_rows` and
`crossed_rows`, numbers of the training set's ids.

R_cos(W_E, phi^next) is Pearson's correlation of the cosines of all pairs of C tokens, and R_cos(W_U, varphi^pre) the
same on the other side. It depends on C more than on anything else, so it is taken over a sweep of C; beside it stand
what a shuffle of the tokens gives (among all, and among tokens of a similar frequency), the spread of a bootstrap over
tokens, and the ceiling that the noise of the signature sets (`geometry.reliability`).

Arrays have a first axis of two sides where they have one: 0 is (W_E, phi^next), 1 is (W_U, varphi^pre).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from probsig.geometry import reliability
from probsig.geometry.large import correlations, cosines
from probsig.geometry.percentiles import percentile_table
from probsig.language.signatures import SIDES, TextSignatures
from probsig.text.training_set import TrainingSet, shared

Arrays = dict[str, NDArray[Any]]
WATCHED = (100, 500, 1000, 2000)  # numbers of tokens C at every look
RANKED, LED, STORED, SHARED = 1000, 500, 300, 500
HEAT, COLUMNS, DRAWS = 40, 50, 20
LEADERS = (
    *(("next", kind) for kind in ("raw", "centred", "ppmi", "support")),
    *((name, kind) for name in ("previous", "tied") for kind in ("raw", "centred")),
    ("next 2", "raw"),
    *(("attention", kind) for kind in ("raw", "centred")),
    *((f"window {distances}", "ppmi") for distances in ("1-1", "2-4", "5-16", "17-64")),
)
"""The signatures, each in a kind, that are compared with each other at every look."""


class Measures:
    """What is measured of models of `data`, which are also held against the signatures of `others`.

    groups: names, and the tokenizer's ids of their members by text. length: of the model's rows. seed: of nulls and
    bootstraps.
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
        self.text = TextSignatures(data, length)
        self.tokens = self.text.tokens
        self.sizes = [C for C in WATCHED if C < len(self.tokens)]
        if len(self.sizes) < len(WATCHED):
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
        common = shared([other for o, other in enumerate(self.others) if o != narrow or len(self.others) < 3], STORED)
        groups = [new[new >= 0] for new in self._members.values()]
        new = self.data.new_ids(common)
        return np.unique(np.concatenate([self.tokens[:STORED], *groups, new[new >= 0]]))

    @cached_property
    def crossed_rows(self) -> NDArray[np.int64]:
        """Every token that is shared with another text."""
        return np.unique(self.data.new_ids(np.concatenate(self._crossed)))

    def watched(self, W_E: NDArray, W_U: NDArray) -> Arrays:
        """Of `watched_rows`: rcos (2, 2, sizes), raw and centred (the mean row of the C tokens subtracted, of embedding
        and signature); spearman (2, sizes up to RANKED); percentiles (2, 10), the mean percentile of the cosines of the
        signature in each interval of the embedding's; leaders (2, 2, LEADERS) over LED tokens; norms (2,), the mean
        norm of a row; and of each group <name>/W_E and <name>/W_U, the cosines of all pairs of its members, float16,
        nan where one has no row."""
        n = self.sizes[-1]
        out: dict[str, Any] = {name: [] for name in ("rcos", "spearman", "percentiles", "leaders", "norms")}
        for side, rows in zip(SIDES, (W_E, W_U), strict=True):
            W = np.asarray(rows[:n], dtype=np.float64)
            whole, other = cosines(W), self.text.cosines(side, n)
            centred = [cosines(W[:C] - W[:C].mean(axis=0)) for C in self.sizes]
            own = [correlations(whole.first(C), other.first(C)).overall for C in self.sizes]
            about = [self.text.cosines(side, C, "centred") for C in self.sizes]
            out["rcos"].append([own, [correlations(a, b).overall for a, b in zip(centred, about, strict=True)]])
            out["spearman"].append(
                [
                    float(np.corrcoef(rankdata(whole.first(C).pairs), self._ranks(side, C))[0, 1])
                    for C in self.sizes
                    if C <= RANKED
                ]
            )
            C = min(RANKED, n)
            out["percentiles"].append(percentile_table(whole.first(C), other.first(C), columns=10).means)
            C = min(LED, n)
            pair = whole.first(C), cosines(W[:C] - W[:C].mean(axis=0))
            leaders = [
                [correlations(a, self.text.cosines(name, C, kind)).overall for name, kind in LEADERS] for a in pair
            ]
            out["leaders"].append(leaders)
            out["norms"].append(np.linalg.norm(W, axis=1).mean())
            start = n
            for name, new in self._members.items():
                there = new >= 0
                members = rows[start : start + there.sum()]
                out[f"{name}/{'W_E' if side == SIDES[0] else 'W_U'}"] = _pairs(there, members)
                start += len(members)
        return {name: np.asarray(value) for name, value in out.items()}

    def analysed(self, side: str, W: NDArray) -> Arrays:
        """Everything the figures need of one matrix, of `analysed_rows`; side: "next" for W_E, "previous" for W_U.

        rcos (2, sizes): raw and centred. bootstrap (sizes, 2): 2.5 and 97.5 % over tokens. shuffled, matched (sizes,
        DRAWS): nulls. by_token, similarity (C,): each token's correlation over its pairs and its mean cosine to the
        others. table (10, COLUMNS), means (10,), zeros (2,): of `percentile_table`. heat (2, 40, 40): cosines of
        embeddings and signatures of the most frequent tokens.
        """
        rows = np.asarray(W, dtype=np.float64)
        whole, other, sizes = cosines(rows), self.text.cosines(side, len(rows)), self.text.sizes
        frequency = self.data.frequency[self.tokens]
        pairs = [(whole.first(C), other.first(C), C) for C in sizes]
        about = [
            correlations(cosines(rows[:C] - rows[:C].mean(axis=0)), self.text.cosines(side, C, "centred")).overall
            for C in sizes
        ]
        found, table = correlations(whole, other), percentile_table(whole, other, columns=COLUMNS)
        top, seed = min(HEAT, len(rows)), self.seed
        out = {
            "rcos": [[correlations(a, b).overall for a, b, _ in pairs], about],
            "bootstrap": [np.nanquantile(reliability.bootstrap(a, b, 200, seed), [0.025, 0.975]) for a, b, _ in pairs],
            "shuffled": [reliability.matched_null(a, b, frequency[:C], DRAWS, seed, C) for a, b, C in pairs],
            "matched": [reliability.matched_null(a, b, frequency[:C], DRAWS, seed, 50) for a, b, C in pairs],
            "by_token": found.by_token,
            "similarity": found.mean_a,
            "table": table.counts,
            "means": table.means,
            "zeros": table.zero_fractions,
            "heat": [whole.first(top).square(), other.first(top).square()],
        }
        small = {"by_token": np.float16, "similarity": np.float16, "heat": np.float16, "table": np.int32}
        return {name: np.array(values).astype(small.get(name, np.float64)) for name, values in out.items()}

    def crossed(self, W_E: NDArray, W_U: NDArray) -> Arrays:
        """Of `crossed_rows`: cross and common (2, others), R_cos with the signatures of the other texts, over what the
        two texts share and over what all share; nan where that is fewer than 3 tokens."""
        place = {int(new): at for at, new in enumerate(self.crossed_rows)}
        out = {name: np.full((2, len(self.others)), np.nan) for name in ("cross", "common")}
        for o, other in enumerate(self.others):
            theirs = TextSignatures(other, self.text.length)
            for name, old in (("cross", self._crossed[o]), ("common", self._crossed[-1])):
                if len(old) < 3:
                    continue
                own, new = [place[int(token)] for token in self.data.new_ids(old)], other.new_ids(old)
                for s, (side, W) in enumerate(zip(SIDES, (W_E, W_U), strict=True)):
                    signature = cosines(theirs.rows(side, new), absent="zero")  # type: ignore[arg-type]
                    out[name][s, o] = correlations(cosines(W[own]), signature).overall
        return out

    def about(self) -> Arrays:
        """Of the text: sizes and watched sizes, least (how often the rarest of C was seen), ceilings, top (the
        tokenizer's ids of the most frequent tokens), kept and frequency (of `kept_rows`: their ids and counts), size
        (tokens, documents, ids), cross_tokens (others,) and common_tokens (1,), and of each group <name>/count and
        <name>/next and <name>/previous, the cosines of all pairs of its members' signatures, float16."""
        sizes = self.text.sizes
        out = {
            "sizes": np.array(sizes, dtype=np.int64),
            "watched": np.array(self.sizes, dtype=np.int64),
            "least": self.data.frequency[self.tokens[np.array(sizes) - 1]],
            "ceilings": self.text.ceilings(SIDES, sizes),
            "top": self.data.kept[self.tokens[:STORED]],
            "kept": self.data.kept[self.kept_rows],
            "frequency": self.data.frequency[self.kept_rows],
            "size": np.array([len(self.data.ids), len(self.data.offsets) - 1, self.data.vocab_size], dtype=np.int64),
            "cross_tokens": np.array([len(old) for old in self._crossed[:-1]], dtype=np.int64),
            "common_tokens": np.array([len(self._crossed[-1])], dtype=np.int64),
        }
        totals = self.data.counts.row_totals(), self.data.counts.transpose().row_totals()
        for name, new in self._members.items():
            out[f"{name}/count"] = np.where(new >= 0, self.data.frequency[new], 0)
            for side, total in zip(SIDES, totals, strict=True):
                there = np.where(new >= 0, total[new], 0) > 0
                out[f"{name}/{side}"] = _pairs(there, self.text.rows(side, new[there]))  # type: ignore[arg-type]
        return out

    @cached_property
    def _ranked(self) -> dict[tuple[str, int], NDArray[np.float64]]:
        return {}

    def _ranks(self, side: str, C: int) -> NDArray[np.float64]:
        if (side, C) not in self._ranked:
            self._ranked[side, C] = rankdata(self.text.cosines(side, C).pairs)
        return self._ranked[side, C]


def _pairs(there: NDArray[np.bool_], rows: Any) -> NDArray[np.float16]:
    """The cosines of all pairs of a group, of whose members some have rows; nan for the others."""
    square = np.full((len(there), len(there)), np.nan, dtype=np.float32)
    if there.sum() > 1:
        square[np.ix_(there, there)] = cosines(rows).square()
    return square[np.triu_indices(len(there), 1)].astype(np.float16)


def small(W: NDArray) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Rows in 8 bits, and the number that each row is to be multiplied with.

    An entry moves by 1/254 of the largest of its row, at most; the cosines of rows in which no entry stands out stay
    within 0.01 of what they are.

    >>> rows, scale = small(np.array([[1.0, -2.0], [0.0, 0.5]]))
    >>> rows.tolist(), (rows * scale[:, None].astype(float)).round(2).tolist()
    ([[64, -127], [0, 127]], [[1.01, -2.0], [0.0, 0.5]])
    """
    scale = np.maximum(np.abs(W).max(axis=1), np.finfo(np.float32).tiny) / 127
    return np.rint(W / scale[:, None]).astype(np.int8), scale.astype(np.float32)
