r"""A group of tokens whose order or kinship is known, such as digits or months, in the embedding and in the signatures.

A group is small, so its numbers are held against shuffles of the group itself: R_cos against a shuffle of the names of
one side, R_order (the correlation of cosines with the distance in the group's order) against a shuffle of the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import guards
from probsig.answers import given
from probsig.answers.given import SIDES
from probsig.answers.members import doubts, members, shuffled
from probsig.answers.shown import Answer, number, signature_of, span
from probsig.errors import TooLittle
from probsig.geometry.small import plane
from probsig.signatures.tokens import Centred


@dataclass(frozen=True, eq=False, repr=False)
class Group(Answer):
    """What `group` found; `str` says it in sentences.

    `tokens` (k,) ids of the text in the group's order, `labels` what they say, `frequency` (k,); `left_out`, members
    that are no token, or have no row or no signature. By side, "embedding" and "signature": `cosines` (k, k), `points`
    (k, 2) and `shares` (2,) of the first two principal components, `order`, R_order along the `shape` ("line" or
    "ring").
    `r_cos` over the k (k - 1) / 2 pairs, `null` (draws,), that of shuffled names, and `ceiling`, what it can be
    expected to reach at most (nan where that is not known); `order_null` by side (draws,), R_order of shuffled orders.
    `doubts`: why the numbers may mean little.
    """

    group: str
    name: str
    text: str
    signature: str
    kind: str
    shape: str
    tokens: given.Ids
    labels: tuple[str, ...]
    frequency: NDArray[np.int64]
    left_out: tuple[str, ...]
    cosines: dict[str, NDArray[np.float64]]
    points: dict[str, NDArray[np.float64]]
    shares: dict[str, NDArray[np.float64]]
    order: dict[str, float]
    order_null: dict[str, NDArray[np.float64]]
    r_cos: float
    null: NDArray[np.float64]
    ceiling: float
    doubts: tuple[str, ...]

    @property
    def of(self) -> str:
        """The signature and the text in words."""
        return signature_of(self.signature, self.kind, self.text)

    def __str__(self) -> str:
        sides = (self.name, self.of)
        order = [f"{number(self.order[side])} in {of}" for side, of in zip(SIDES, sides, strict=True)]
        return "\n".join(
            [
                f"R_cos of {sides[0]} with {sides[1]} over {len(self.tokens)} {self.group} is {number(self.r_cos)}.",
                f"Shuffled names give {span(self.null)}; the noise of the text allows at most {number(self.ceiling)}.",
                f"R_order along a {self.shape} is {' and '.join(order)}.",
                f"Shuffled orders give {' and '.join(span(self.order_null[side]) for side in SIDES)}.",
                *(f"Doubt: {doubt}" for doubt in self.doubts),
            ]
        )

    def table(self) -> dict[str, NDArray[Any]]:
        """Of each pair i < j: the two texts, and its cosine on each side, (k (k - 1) / 2,) each."""
        i, j = np.triu_indices(len(self.tokens), k=1)
        said = np.array(self.labels, dtype=object)
        return {"first": said[i], "second": said[j], **{f"{side} cosine": self.cosines[side][i, j] for side in SIDES}}

    def plot(self) -> NDArray[Any]:
        """Four Matplotlib axes, (2, 2): the cosines of each side, and its tokens in the plane of two components."""
        from probsig.pages import answered  # here, so that a number needs no Matplotlib

        return answered.group(self)


def group(
    tokens: str | Sequence[int | str],
    W: Any,
    text: Any,
    *,
    signature: str = "next",
    kind: str = "raw",
    ring: bool | None = None,
    draws: int = 999,
    seed: int = 0,
) -> Group:
    """A group of tokens in an embedding and in a text's signatures: cosines, principal components, order, nulls.

    - `tokens`: the name of a group of `text.groups` ("digits", "months", "weekdays", ...), or a list, in its order, of
      ids or of what tokens say, blanks included.
    - `W`, `text`, `signature`, `kind`: as for `align`. `draws`: shuffles for each null.
    - `ring`: whether the order comes back to its start; None: for months and weekdays.

    Raises ValueError as `align` does, for an unknown group, a member that stands twice, an embedding of one column, and
    where fewer than 3 members have a row and a signature.

    >>> import numpy as np
    >>> from probsig.text.sources.toy import ToyCorpus
    >>> W = np.random.default_rng(0).standard_normal((69, 8))
    >>> print(group("digits", W, ToyCorpus.of(seed=0)))
    R_cos of W with next of toy over 10 digits is 0.07.
    Shuffled names give -0.35 to 0.28; the noise of the text allows at most 0.99.
    R_order along a line is 0.10 in W and -0.21 in next of toy.
    Shuffled orders give -0.34 to 0.25 and -0.33 to 0.28.
    """
    guards.at_least("draws", draws, 1)
    if draws < 1:
        raise ValueError(f"draws is {draws}: ask for 1 or more.")
    space = given.embedding(W)
    source = given.text(text, space.tokenizer)
    chosen = members(tokens, source, ring)
    found = given.both(space, source, chosen.ids, signature, kind)
    k = len(found.tokens)
    if k < 3:
        raise TooLittle(f"{k} of {chosen.name} have a row and a signature in {source.name}: a group needs 3 or more.")
    chosen.keep(found.tokens)
    square = dict(zip(SIDES, (c.square().astype(float) for c in found.cosines()), strict=True))
    law = found.law.rows if isinstance(found.law, Centred) else found.law  # principal components are centred anyway
    guards.sure(
        found.rows.shape[1] > 1,
        f"{space.name} has one column, and a group is drawn in a plane: put a column of zeros beside it.",
    )
    guards.sure(
        len(np.unique(law.indices)) > 1 or np.ptp(law.data) < 1e-12,
        f"The signatures of {chosen.name} have one column in {source.name}, and are drawn in a plane: take more text.",
        TooLittle,
    )
    planes = {"embedding": plane(found.rows), "signature": plane(law.toarray()[:, np.unique(law.indices)])}
    gap = chosen.gaps()
    r_cos, null = shuffled(square["embedding"], square["signature"], draws, seed, "names")
    order = {side: shuffled(square[side], gap, draws, seed, "order") for side in SIDES}
    frequency = np.asarray(source.data.frequency)[found.tokens]
    labels = tuple(source.said(int(token)) for token in found.tokens)
    return Group(
        group=chosen.name,
        name=space.name,
        text=source.name,
        signature=signature,
        kind=kind,
        shape=chosen.shape,
        tokens=found.tokens,
        labels=labels,
        frequency=frequency,
        left_out=tuple(chosen.missing),
        cosines=square,
        points={side: points for side, (points, _) in planes.items()},
        shares={side: shares for side, (_, shares) in planes.items()},
        order={side: value for side, (value, _) in order.items()},
        order_null={side: values for side, (_, values) in order.items()},
        r_cos=r_cos,
        null=null,
        ceiling=given.ceiling(source, found.tokens, signature, kind, seed),
        doubts=tuple(doubts(chosen.missing, labels, frequency)),
    )
