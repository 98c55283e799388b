r"""Which documents make two tokens alike? Each is left out of the counts in turn, and the cosine looked at again.

Two tokens are alike in a text where what follows them is (or what precedes them). The counts of a document are taken
off those of the text, so one pass over it answers for every document, and nothing is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig import guards
from probsig.answers import given
from probsig.answers.shown import Answer, number
from probsig.errors import TooLittle, one_of
from probsig.geometry.large import cosines
from probsig.signatures.left_out import laws_without
from probsig.signatures.tokens import DIRECTIONS, centred, skip


@dataclass(frozen=True, eq=False, repr=False)
class Behind(Answer):
    """What `behind` found; `str` says it in sentences.

    `pair`: what the two tokens say; `among`, how many tokens the mean is taken of; `cosine`, of the pair's signatures
    about that mean in the whole text. Of each part (P,): `part` its number, `size` its tokens, `without`, the cosine in
    the rest (nan where one of the two doesn't occur there).
    """

    text: str
    signature: str
    pair: tuple[str, str]
    among: int
    cosine: float
    part: NDArray[np.int64]
    size: NDArray[np.int64]
    without: NDArray[np.float64]

    @property
    def change(self) -> NDArray[np.float64]:
        """The cosine in the rest less that in the whole text, (P,)."""
        return self.without - self.cosine

    @property
    def order(self) -> NDArray[np.int64]:
        """The places of the parts, first that without which the pair is least alike; parts without which there is no
        pair come last."""
        return np.argsort(self.without, kind="stable")

    def __str__(self) -> str:
        one, other = self.pair
        change = self.change[self.order]

        def told(places: NDArray[np.int64]) -> str:
            return ", ".join(f"without {self.part[k]} it is {number(self.without[k])}" for k in places[:3]) or "none"

        return (
            f"The cosine of {one!r} and {other!r} by {self.signature} of {self.text}, about the mean of {self.among} "
            f"tokens, is {number(self.cosine)}.\n"
            f"Of {len(self.part)} parts these make the two most alike: {told(self.order[change < 0])}.\n"
            f"And these least: {told(self.order[change > 0][::-1])}."
        )

    def table(self) -> dict[str, NDArray[Any]]:
        """part, size, without and change, (P,) each, the part that makes the pair most alike first."""
        columns = {"part": self.part, "size": self.size, "without": self.without, "change": self.change}
        return {name: column[self.order] for name, column in columns.items()}


def behind(
    text: Any,
    pair: Sequence[int | str],
    *,
    parts: ArrayLike | None = None,
    signature: str = "next",
    most: int = 100,
    least: int = 50,
) -> Behind:
    """Which documents of a text make two tokens alike, by leaving out each.

    - `text`: a corpus or a training set. `pair`: two ids of it, or what two tokens say.
    - `parts`: (D,) the number of each document's part, to leave out several together, -1 for one that always stays;
      None: each document by itself.
    - `signature`: "next" or "previous". The cosine is about the mean of the pair and the `most` tokens that are seen
      most often, each `least` times or more.

    Raises ValueError for counts in the place of a text, for what is no pair, for parts that are not one a document and
    what `align` raises for a text; TooLittle where one of the two has no signature.

    >>> from probsig.text.training_set import Part
    >>> ids = [0, 1, 2, 1] * 3 + [0, 3, 2, 4] * 3 + [0, 3, 2, 3] * 3  # 0 and 2 are followed alike but in document 1
    >>> text = Part(np.array(ids), np.array([0, 12, 24, 36]), 5)
    >>> print(behind(text, [0, 2], least=5))
    The cosine of '0' and '2' by next of the text, about the mean of 4 tokens, is 0.63.
    Of 3 parts these make the two most alike: without 0 it is 0.06, without 2 it is 0.36.
    And these least: without 1 it is 1.00.
    """
    one_of("signature", signature, DIRECTIONS)
    source = given.text(text)
    if source.documents is None:
        raise ValueError("Counts have no documents to leave out: pass the corpus or a training set.")
    guards.listed("pair", pair)
    asked = [source.id(token) for token in pair]
    if len(asked) != 2 or asked[0] == asked[1]:
        raise ValueError(f"pair is {list(pair)}: pass two different tokens.")
    data, number = source.data, source.documents
    part = np.arange(number) if parts is None else np.asarray(parts, dtype=np.int64)
    frequent = source.frequent(most, least)
    tokens = np.concatenate([asked, frequent[~np.isin(frequent, asked)]]).tolist()
    whole: Any = skip(data.counts, tokens, "raw", signature)
    if not np.diff(whole.indptr)[:2].all():
        raise TooLittle(f"One of {list(pair)} has no {signature} token in {source.name}: take more text.")
    cosine = _cosine(whole)
    without = np.array([_cosine(rest) for rest in laws_without(data, part, tokens, signature)])
    lengths, there = np.diff(data.offsets), part >= 0
    size = np.bincount(part[there], lengths[there], minlength=len(without)).astype(np.int64)
    names = (source.said(asked[0]), source.said(asked[1]))
    return Behind(
        source.name, signature, names, len(tokens), cosine, np.arange(len(without), dtype=np.int64), size, without
    )


def _cosine(rows: Any) -> float:
    """The cosine of the first two rows about the mean of all; nan where one has no entry."""
    if not np.diff(rows.indptr)[:2].all():
        return float("nan")
    first = centred(rows)
    return float(cosines(type(first)(first.rows[:2], first.centre), absent="zero").pairs[0])
