r"""What stands beside a token in a text, and which tokens have the same beside them: a signature, told for one token.

No model is needed. How well the answer is known is told too: by how often the token was seen, by the branches of its
law (1 / |phi|^2, the number of tokens that a uniform law of the same spread has), and by what two halves of the text
agree on. A token that was seen less often than its law has branches has cosines that are mostly noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from probsig import guards
from probsig.answers import given
from probsig.answers.neighbours import first_near, in_halves
from probsig.answers.shown import Answer, signature_of
from probsig.errors import TooLittle
from probsig.geometry.large import cosines

DRAWN = ("next", "previous")  # signatures whose counts are draws from the law


@dataclass(frozen=True, eq=False, repr=False)
class Beside(Answer):
    """What `beside` found; `str` says it in sentences.

    `token` and `label`: of which token, an id of the text and what it says; `count`, how often it was seen; `branches`
    of its law (inf where no two draws agree, nan for a signature that is no plain law). `tokens` (k,), `labels` and
    `weights` (k,): the largest entries of the signature. `near_tokens` (m,), `near_labels` and `near_cosines` (m,): the
    nearest of the `n` - 1 other tokens; two halves of the text share `halves` of them (nan where it cannot be halved).
    `doubts`: why this may mean little.
    """

    text: str
    signature: str
    token: int
    label: str
    count: int
    branches: float
    tokens: given.Ids
    labels: tuple[str, ...]
    weights: NDArray[np.float64]
    n: int
    near_tokens: given.Ids
    near_labels: tuple[str, ...]
    near_cosines: NDArray[np.float64]
    halves: float
    doubts: tuple[str, ...]

    def __str__(self) -> str:
        of = signature_of(self.signature, "raw", self.text)
        law, near = (
            ", ".join(f"{label!r} {value:.2f}" for label, value in zip(labels, values, strict=True))
            for labels, values in ((self.labels, self.weights), (self.near_labels, self.near_cosines))
        )
        many = "" if np.isnan(self.branches) else f"; its law has {self.branches:.0f} branches"
        halves = "" if np.isnan(self.halves) else f" Two halves of the text agree on {self.halves:.0f} of these."
        return "\n".join(
            [
                f"{self.label!r}, seen {self.count:,} times{many}.",
                f"In {of}: {law}.",
                f"Alike in it, of {self.n - 1:,} other tokens: {near}.{halves}",
                *(f"Doubt: {doubt}" for doubt in self.doubts),
            ]
        )

    def table(self) -> dict[str, NDArray[Any]]:
        """The signature's largest entries: token, text, weight, (k,) each."""
        return {"token": self.tokens, "text": np.array(self.labels, dtype=object), "weight": self.weights}

    def plot(self) -> NDArray[Any]:
        """Two Matplotlib axes: the largest entries of the signature; the nearest tokens with their cosines."""
        from probsig.pages import answered  # here, so that a list needs no Matplotlib

        return answered.beside(self)


def beside(
    token: int | str,
    text: Any,
    *,
    signature: str = "next",
    number: int = 10,
    most: int = 2000,
    least: int = 50,
    seed: int = 0,
) -> Beside:
    """A token's signature: what stands beside it most often, and the tokens whose signatures are nearest to its own.

    - `token`: an id of the text, or what the token says, blanks included (" March"), where the text has a tokenizer.
    - `text`, `signature`, `most`, `least`: as for `align`; `number`, at most so many are listed; `seed` of the halves.

    Raises ValueError for a token that is none or has no signature, an unknown signature, a stack, `number` below 1, and
    where no other token was seen `least` times. (The signatures: eq. (4), C.2 and D.6 of the paper.)

    >>> from probsig.text.sources.toy import ToyCorpus
    >>> print(beside(" March", ToyCorpus.of(seed=0), number=3))
    ' March', seen 176 times; its law has 3 branches.
    In next of toy: '1' 0.53, '2' 0.19, '3' 0.09.
    Alike in it, of 58 other tokens: ' May' 1.00, '+' 1.00, '**' 1.00. Two halves of the text agree on 0 of these.
    """
    guards.at_least("number", number, 1)
    if str(signature).startswith("stack"):
        raise ValueError(f"{signature!r} is several laws side by side: pass one of them, as in 'next 2'.")
    source = given.text(text)
    chosen = source.id(token)
    law: Any = source.signatures.rows(signature, [chosen])
    if not law.nnz:
        raise TooLittle(f"The token {token!r} has no {signature} in {source.name}: pass one that the text has.")
    order = np.lexsort((law.indices, -law.data))[:number]
    others = source.frequent(most, least)
    tokens = np.concatenate([[chosen], others[others != chosen]])
    rows: Any = source.signatures.rows(signature, tokens.tolist())
    tokens, rows = tokens[(there := np.diff(rows.indptr) > 0)], rows[there]
    if len(tokens) < 2:
        raise TooLittle(f"No other token of {source.name} was seen {least} times: pass a smaller `least`.")
    near, by = first_near(cosines(rows, absent="zero"), 0, min(number, len(tokens) - 1))
    halves = in_halves(source, tokens, signature, "raw", seed)
    lists = [first_near(cosines(half, absent="zero"), 0, len(near))[0] for half in halves]
    seen, branches = int(source.data.frequency[chosen]), _branches(law, signature, int(source.data.frequency[chosen]))
    label, doubts = source.said(chosen), []
    if seen < least:
        doubts.append(f"{label!r} was seen {seen:,} times, which is few.")
    if seen < branches:
        doubts.append(f"{label!r} was seen less often than its law has branches, so its cosines are mostly noise.")
    return Beside(
        text=source.name,
        signature=signature,
        token=chosen,
        label=label,
        count=seen,
        branches=branches,
        tokens=law.indices[order].astype(np.int64),
        labels=tuple(source.said(int(one)) for one in law.indices[order]),
        weights=law.data[order].astype(float),
        n=len(tokens),
        near_tokens=tokens[near],
        near_labels=tuple(source.said(int(one)) for one in tokens[near]),
        near_cosines=by,
        halves=float(len(np.intersect1d(lists[0], lists[1]))) if lists else float("nan"),
        doubts=tuple(doubts),
    )


def _branches(law: sp.csr_array, signature: str, n: int) -> float:
    """1 / |phi|^2 of the law that `n` draws were counted of, without the bias of their number."""
    if signature.partition(" ")[0] not in DRAWN:
        return float("nan")
    again = n * float((law.data**2).sum()) - 1
    return (n - 1) / again if again > 1e-9 else float("inf")
