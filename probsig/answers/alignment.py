r"""Does this embedding follow this text? One correlation, and what chance, frequency and noise make of it.

R_cos is Pearson's correlation of the cosines of all pairs of tokens, of the embedding's rows on one side and of the
text's signatures on the other (v2 Fig. 6B). It means nothing by itself, so `align` puts beside it

- the spread when the tokens are drawn anew (`geometry.reliability.bootstrap`), and Spearman's correlation of ranks;
- what a shuffle of the tokens among tokens of a similar frequency gives (`matched_null`);
- what is left when frequency is taken out of both sides (`geometry.confounds`), and what the same shuffle gives then;
- what the noise of the text's own counts allows at most, from two halves of its documents (`split_half`);
- doubts, in sentences, where the number means little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import guards
from probsig.answers import given
from probsig.answers.shown import Answer, ends, number, signature_of, span
from probsig.errors import TooLittle
from probsig.geometry.confounds import ranked, without_frequency
from probsig.geometry.large import correlations
from probsig.geometry.reliability import bootstrap, matched_null

GROUP = 50  # tokens of a similar frequency that are shuffled among each other, fewer where there are few tokens
FEW_TOKENS, FEW_DOCUMENTS, NOISY = 100, 20, 0.5


@dataclass(frozen=True, eq=False, repr=False)
class Alignment(Answer):
    """What `align` found; `str` says it in sentences.

    `name`, `text`, `signature`, `kind`: of what. `tokens` (n,) ids of the text, most frequent first, `labels` what they
    say, `frequency` (n,) how often each was seen; `asked`, the tokens of the text that were looked for, `matched`, the
    share of them that is among the n.
    `r_cos` and `spearman` over the n (n - 1) / 2 pairs; `bootstrap` (draws,), R_cos of tokens drawn anew, and its
    central 95 %, `interval`; `null` (draws,), of tokens shuffled among tokens of a similar frequency; `partial`, with
    frequency taken out of both sides, and its `partial_null` (draws,), of the same shuffles; `by_token` (n,), each
    token's correlation over its n - 1 pairs.
    `ceiling`: what R_cos can be expected to reach at most, nan where it is not known; `documents` of the text, None for
    counts. `doubts`: why the number may mean little.
    """

    name: str
    text: str
    signature: str
    kind: str
    tokens: given.Ids
    labels: tuple[str, ...]
    frequency: NDArray[np.int64]
    asked: int
    r_cos: float
    spearman: float
    bootstrap: NDArray[np.float64]
    null: NDArray[np.float64]
    partial: float
    partial_null: NDArray[np.float64]
    by_token: NDArray[np.float64]
    ceiling: float
    documents: int | None
    doubts: tuple[str, ...]

    @property
    def of(self) -> str:
        """The signature and the text in words."""
        return signature_of(self.signature, self.kind, self.text)

    @property
    def n(self) -> int:
        """The number of tokens that are compared."""
        return len(self.tokens)

    @property
    def matched(self) -> float:
        """The share of the tokens looked for that have a row and a signature."""
        return self.n / self.asked

    @property
    def interval(self) -> tuple[float, float]:
        """The central 95 % of R_cos when the tokens are drawn anew."""
        return ends(self.bootstrap)

    def __str__(self) -> str:
        allows = f"The noise of the text allows at most {number(self.ceiling)}"
        if self.documents is None:
            allows = "Counts alone do not say what the noise of the text allows"
        elif not np.isfinite(self.ceiling):
            allows = "The text is too short to say what its noise allows"
        elif self.documents == 1:
            allows += " (from stretches of its one document)"
        return "\n".join(
            [
                f"R_cos of {self.name} with {self.of} over {self.n:,} tokens is {number(self.r_cos)} "
                f"(tokens drawn anew: {span(self.bootstrap)}; of ranks: {number(self.spearman)}).",
                f"Tokens shuffled among tokens of a similar frequency give {span(self.null)}.",
                f"With frequency taken out it is {number(self.partial)} (shuffled: {span(self.partial_null)}).",
                f"{allows}.",
                f"{self.n:,} of the {self.asked:,} tokens that were looked for have a row and a signature.",
                *(f"Doubt: {doubt}" for doubt in self.doubts),
            ]
        )

    def table(self) -> dict[str, NDArray[Any]]:
        """token, text, count and correlation (over the token's pairs), (n,) each, the most frequent token first."""
        return {
            "token": self.tokens,
            "text": np.array(self.labels, dtype=object),
            "count": self.frequency,
            "correlation": self.by_token,
        }

    def plot(self) -> NDArray[Any]:
        """Two Matplotlib axes: R_cos between its null and its ceiling; each token's correlation by its count."""
        from probsig.pages import answered  # here, so that a number needs no Matplotlib

        return answered.alignment(self)


def align(
    W: Any,
    text: Any,
    *,
    signature: str = "next",
    kind: str = "raw",
    most: int = 2000,
    least: int = 50,
    draws: int = 200,
    seed: int = 0,
) -> Alignment:
    """Does an embedding follow a text? R_cos of its rows with the text's signatures, with nulls and a ceiling.

    - `W`: (V, d), an array or a torch tensor with row x that of the text's id x; or what `load_embeddings` gives, whose
      rows are found by the model's own tokenizer.
    - `text`: a corpus (`open_corpus`), a training set, counts of neighbours (`count`: without a ceiling, and a token
      counts as seen where another follows it), or, with a model, the path or the name of a text.
    - `signature`: "next", "previous", "tied", "attention", "next 3", "window 2-4" and so on, as in
      `language.signatures`; `kind`: "raw", "centred" (the mean row taken off both sides), "ppmi" or "support".
    - `most`, `least`: the `most` tokens that were seen most often, each `least` times or more.
    - `draws`, `seed`: of the bootstrap, of both nulls and of the halves of the text.

    Raises ValueError for what is no matrix or no text, for an unknown signature or kind, for `draws` below 1, and where
    fewer than 3 tokens have a row and a signature. (R_cos: section 6 of the paper; the signatures: eq. (4), C.2, D.6.)

    >>> from probsig.counts.bigrams import count
    >>> from probsig.text.sources.toy import ToyCorpus
    >>> toy = ToyCorpus.of(seed=0)
    >>> counts = count(toy.ids, toy.vocab_size, offsets=toy.offsets).to_scipy().toarray()
    >>> print(align(counts, toy, draws=50))  # rows of counts have the directions of the signatures themselves
    R_cos of W with next of toy over 59 tokens is 1.00 (tokens drawn anew: 1.00 to 1.00; of ranks: 1.00).
    Tokens shuffled among tokens of a similar frequency give 0.06 to 0.29.
    With frequency taken out it is 1.00 (shuffled: 0.03 to 0.27).
    The noise of the text allows at most 1.00.
    59 of the 59 tokens that were looked for have a row and a signature.
    Doubt: 59 tokens are few; take a longer text, or a lower `least`.
    """
    space = given.embedding(W)
    source = given.text(text, space.tokenizer)
    guards.at_least("draws", draws, 1)
    tokens = source.frequent(most, least)
    found = given.both(space, source, tokens, signature, kind)
    n = len(found.tokens)
    if n < 3:
        raise TooLittle(
            f"{n} of the {len(tokens)} tokens of {source.name} have a row and a signature: R_cos needs 3 or more."
        )
    a, b = found.cosines()
    frequency = np.asarray(source.data.frequency)[found.tokens]
    whole = correlations(a, b)
    group = max(2, min(GROUP, n // 10))
    null = matched_null(a, b, frequency, draws, seed, group)
    left = [without_frequency(side, frequency) for side in (a, b)]
    ceiling = given.ceiling(source, found.tokens, signature, kind, seed)
    return Alignment(
        name=space.name,
        text=source.name,
        signature=signature,
        kind=kind,
        tokens=found.tokens,
        labels=tuple(source.said(int(token)) for token in found.tokens),
        frequency=frequency,
        asked=len(tokens),
        r_cos=whole.overall,
        spearman=correlations(ranked(a), ranked(b)).overall,
        bootstrap=bootstrap(a, b, draws, seed),
        null=null,
        partial=correlations(*left).overall,
        partial_null=matched_null(left[0], left[1], frequency, draws, seed, group),
        by_token=whole.by_token,
        ceiling=ceiling,
        documents=source.documents,
        doubts=tuple(_doubts(found, source, space, len(tokens), whole.overall, null, ceiling)),
    )


def _doubts(
    found: given.Both,
    source: given.Text,
    space: given.Embedding,
    asked: int,
    r_cos: float,
    null: NDArray[np.float64],
    ceiling: float,
) -> list[str]:
    n, low, high = len(found.tokens), *ends(null)
    out = []
    if not np.isfinite(r_cos):
        out.append("the cosines of one side are all equal, so there is no correlation.")
    elif low <= r_cos <= high:
        out.append("R_cos is within what frequency alone gives.")
    if n < FEW_TOKENS:
        out.append(f"{n} tokens are few; take a longer text, or a lower `least`.")
    if found.missing > 0.1 * asked:
        out.append(f"{found.missing:,} of the {asked:,} tokens have no row; is this the text's vocabulary?")
    if found.empty:
        out.append(f"{found.empty:,} tokens are left out because their row or their signature is zero or not finite.")
    if found.repeated > 0.1 * n:
        out.append(f"{found.repeated:,} of the {n:,} rows repeat another row, as rows that were never trained do.")
    if space.tokenizer is None and space.size < source.data.vocab_size:
        out.append(f"W has {space.size:,} rows and the text {source.data.vocab_size:,} ids; is row x that of id x?")
    if source.documents is None:
        out.append("counts have no documents, so the noise of the text is not known.")
    elif source.documents < FEW_DOCUMENTS:
        many = "one document" if source.documents == 1 else f"{source.documents} documents"
        out.append(f"the text is {many}; its ceiling and its tokens are those of a narrow matter.")
    if ceiling < NOISY:
        out.append("two halves of the text hardly agree with each other; take a longer text, or fewer tokens.")
    return out
