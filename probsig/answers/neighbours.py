r"""What stands near a token, in the embedding and in the signatures of a text, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import guards
from probsig.answers import given
from probsig.answers.given import SIDES
from probsig.answers.shown import Answer, signature_of
from probsig.errors import TooLittle
from probsig.geometry.large import Cosines, cosines, row


@dataclass(frozen=True, eq=False, repr=False)
class Nearest(Answer):
    """What `nearest` found; `str` says it in a sentence.

    `token` and `label`: of which token, an id of the text and what it says; `count`, how often it was seen; `n`, the
    tokens that were compared with it. By side, "embedding" and "signature": `tokens` (k,) the nearest, nearest first,
    `labels` what they say, `cosines` (k,).
    `shared` of the k are in both lists; chance gives `chance` of them, and two halves of the text share `halves` in
    their signatures (nan where the text cannot be halved).
    """

    name: str
    text: str
    signature: str
    kind: str
    token: int
    label: str
    count: int
    n: int
    tokens: dict[str, given.Ids]
    labels: dict[str, tuple[str, ...]]
    cosines: dict[str, NDArray[np.float64]]
    halves: float

    @property
    def of(self) -> str:
        """The signature and the text in words."""
        return signature_of(self.signature, self.kind, self.text)

    @property
    def number(self) -> int:
        """How many tokens a list has."""
        return len(self.labels["embedding"])

    @property
    def shared(self) -> int:
        """How many tokens are in both lists."""
        return len(np.intersect1d(self.tokens["embedding"], self.tokens["signature"]))

    @property
    def chance(self) -> float:
        """How many tokens two lists would share if one were drawn at random."""
        return self.number**2 / (self.n - 1)

    def __str__(self) -> str:
        sides = (self.name, self.of)
        lists = [
            f"In {of}: " + ", ".join(f"{label!r} {cosine:.2f}" for label, cosine in zip(*near, strict=True)) + "."
            for of, near in zip(sides, zip(self.labels.values(), self.cosines.values(), strict=True), strict=True)
        ]
        halves = "" if np.isnan(self.halves) else f"; the lists of two halves of the text share {self.halves:.0f}"
        return "\n".join(
            [
                f"{self.label!r}, seen {self.count:,} times: {self.shared} of the {self.number} nearest "
                f"in {sides[0]} are among the nearest in {sides[1]}.",
                *lists,
                f"Of {self.n - 1:,} other tokens chance gives {self.chance:.1f}{halves}.",
            ]
        )

    def table(self) -> dict[str, NDArray[Any]]:
        """Of each side, nearest first: token, text, cosine, (k,) each."""
        out: dict[str, NDArray[Any]] = {}
        for side in SIDES:
            out[f"{side} token"] = self.tokens[side]
            out[f"{side} text"] = np.array(self.labels[side], dtype=object)
            out[f"{side} cosine"] = self.cosines[side]
        return out

    def plot(self) -> NDArray[Any]:
        """Two Matplotlib axes: the nearest tokens of each side with their cosines."""
        from probsig.pages import answered  # here, so that a list needs no Matplotlib

        return answered.nearest(self)


def nearest(
    token: int | str,
    W: Any,
    text: Any,
    *,
    signature: str = "next",
    kind: str = "raw",
    number: int = 10,
    most: int = 2000,
    least: int = 50,
    seed: int = 0,
) -> Nearest:
    """The tokens nearest to one, by the cosines of an embedding's rows and by those of a text's signatures.

    - `token`: an id of the text, or what the token says, blanks included (" March"), where the text has a tokenizer.
    - `W`, `text`, `signature`, `kind`, `most`, `least`: as for `align`; the `number` nearest (all, where they are
      fewer) are looked for among the `most` tokens.

    Raises ValueError as `align` does, for a token that is none or has no row or signature, for `number` below 1, and
    where no other token has a row and a signature.

    >>> import numpy as np
    >>> from probsig.text.sources.toy import ToyCorpus
    >>> W = np.random.default_rng(0).standard_normal((69, 8))
    >>> print(nearest(" March", W, ToyCorpus.of(seed=0), number=3))
    ' March', seen 176 times: 0 of the 3 nearest in W are among the nearest in next of toy.
    In W: ' October' 0.61, ' November' 0.59, ' September' 0.58.
    In next of toy: ' May' 1.00, '+' 1.00, '**' 1.00.
    Of 58 other tokens chance gives 0.2; the lists of two halves of the text share 0.
    """
    guards.at_least("number", number, 1)
    space = given.embedding(W)
    source = given.text(text, space.tokenizer)
    chosen = source.id(token)
    tokens = source.frequent(most, least)
    if chosen not in tokens:
        tokens = np.append(tokens, chosen)
    found = given.both(space, source, tokens, signature, kind)
    at = np.flatnonzero(found.tokens == chosen)
    if not at.size:
        raise ValueError(f"The token {token!r} has no row or no signature: pass one that the text has.")
    others = len(found.tokens) - 1
    if not others:
        raise TooLittle(f"No other token of {source.name} has a row and a signature: pass a lower `least`.")
    number = min(number, others)
    names, values = {}, {}
    for side, all_cosines in zip(SIDES, found.cosines(), strict=True):
        near, by = first_near(all_cosines, int(at[0]), number)
        names[side], values[side] = found.tokens[near], by
    halves = in_halves(source, found.tokens, signature, kind, seed)
    lists = [first_near(cosines(rows, absent="zero"), int(at[0]), number)[0] for rows in halves]
    return Nearest(
        name=space.name,
        text=source.name,
        signature=signature,
        kind=kind,
        token=chosen,
        label=source.said(chosen),
        count=int(source.data.frequency[chosen]),
        n=len(found.tokens),
        tokens=names,
        labels={side: tuple(source.said(int(one)) for one in near) for side, near in names.items()},
        cosines=values,
        halves=float(len(np.intersect1d(lists[0], lists[1]))) if lists else float("nan"),
    )


def in_halves(source: given.Text, tokens: given.Ids, signature: str, kind: str, seed: int) -> list[Any]:
    """The signatures of tokens in two halves of a text; none where it has none, or no document as long as theirs."""
    try:
        return [half.rows(signature, tokens.tolist(), kind) for half in source.halves(seed)]
    except ValueError:
        return []


def first_near(c: Cosines, at: int, number: int) -> tuple[given.Ids, NDArray[np.float64]]:
    """The rows nearest to one, nearest first (of equals the first), and their cosines."""
    own = row(c, at)
    own[at] = -np.inf
    order = np.argsort(-own, kind="stable")[:number]
    return order, own[order]
