"""What row do the counts of a text suggest for a token, and how far is that to be trusted?

A map from signatures to rows (`geometry.maps`) is fitted on the tokens whose rows are known, and read at the others: a
token that is added to a model, or one whose own row is in doubt. Beside the rows stands how well the map does on rows
that it has not seen; below 0.05 or so of R^2 a suggestion is hardly more than the mean row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import guards
from probsig.answers import given
from probsig.answers.shown import Answer, number
from probsig.geometry import maps


@dataclass(frozen=True, eq=False, repr=False)
class Suggested(Answer):
    """What `suggest` found; `str` says it in sentences.

    `name`, `text`: of what. `tokens` (k,) ids of the text, `labels` what they say, `frequency` (k,), `rows` (k, d);
    `nearest` (k,), what the fitted token says whose row is nearest, by the cosine about the mean row. `fitted`: from
    how many tokens; `r2` of rows that the map has not seen, `shuffled`, of its predictions dealt among tokens of a like
    frequency, and `alone`, of frequency alone.
    """

    name: str
    text: str
    tokens: given.Ids
    labels: tuple[str, ...]
    frequency: NDArray[np.int64]
    rows: NDArray[np.float64]
    nearest: tuple[str, ...]
    fitted: int
    r2: float
    shuffled: float
    alone: float

    def __str__(self) -> str:
        return (
            f"{len(self.tokens):,} rows of {self.name} from the counts of {self.text}, by a map from {self.fitted:,} "
            f"tokens.\nOn rows that it has not seen the map's R^2 is {number(self.r2)} (dealt among tokens of a like "
            f"frequency: {number(self.shuffled)}; from frequency alone: {number(self.alone)})."
        )

    def table(self) -> dict[str, NDArray[Any]]:
        """token, text, count, norm (of the suggested row) and nearest, (k,) each."""
        return {
            "token": self.tokens,
            "text": np.array(self.labels, dtype=object),
            "count": self.frequency,
            "norm": np.linalg.norm(self.rows, axis=1),
            "nearest": np.array(self.nearest, dtype=object),
        }


def suggest(
    W: Any,
    text: Any,
    tokens: Sequence[int | str],
    *,
    most: int = 8000,
    least: int = 50,
    components: int = 200,
    folds: int = 5,
    seed: int = 0,
) -> Suggested:
    """The rows that the counts of a text suggest for some tokens, whether or not the embedding has rows for them.

    - `W`, `text`: as for `align`. A text with new tokens has their ids behind those of the embedding's rows
      (`text.vocabulary.merge` makes one).
    - `tokens`: ids of the text, or what they say.
    - `most`, `least`: the map is fitted on the `most` tokens that were seen most often, each `least` times or more,
      those of `tokens` left out. `components`: the directions of the signatures that it reads. `folds`, `seed`: of the
      test on rows that it has not seen.

    Raises ValueError for a token that the text doesn't have, no token, fewer than 10 known tokens a fold, and what
    `align` raises for W and text.

    >>> from probsig.counts.bigrams import count
    >>> kind = np.tile([0, 1, 2], 2000)  # a text of 30 tokens of three kinds, in turn
    >>> ids = kind + 3 * np.random.default_rng(0).integers(10, size=6000)
    >>> W = np.eye(3)[np.arange(30) % 3]  # a row says its token's kind
    >>> found = suggest(W[:29], count(ids, 30), [29], folds=2)
    >>> (found.rows.round(2) + 0.0).tolist(), f"{found.r2:.2f}", found.fitted
    ([[0.0, 0.01, 0.99]], '1.00', 29)
    """
    space = given.embedding(W)
    source = given.text(text, space.tokenizer)
    guards.listed("tokens", tokens)
    if not len(tokens):
        raise ValueError("tokens is empty: pass the ids of some tokens, or what they say.")
    asked = np.array([source.id(token) for token in tokens], dtype=np.int64)
    known = np.setdiff1d(source.frequent(most, least), asked)
    place = given.places(space, source, known)
    known, place = known[place >= 0], place[place >= 0]
    counts, frequency = source.data.counts, np.asarray(source.data.frequency)
    read = maps.signatures(counts, np.concatenate([known, np.unique(asked)]).tolist())
    rows = np.asarray(space.rows(place), dtype=np.float64)
    found = maps.basis(read[: len(known)], components, seed)
    features = found.features(read[: len(known)], frequency[known])
    held = maps.held_out(features, rows, frequency[known], folds=folds, seed=seed)
    wanted = found.features(read[len(known) :], frequency[np.unique(asked)])[np.searchsorted(np.unique(asked), asked)]
    suggested = maps.fitted(features, rows).rows(wanted)
    centre = rows.mean(axis=0)
    near = maps.unit(suggested - centre) @ maps.unit(rows - centre).T
    return Suggested(
        space.name,
        source.name,
        asked,
        tuple(source.said(int(token)) for token in asked),
        frequency[asked].astype(np.int64),
        suggested,
        tuple(source.said(int(known[k])) for k in near.argmax(axis=1)),
        len(known),
        held.r2,
        held.shuffled,
        held.frequency,
    )
