"""How well the signatures of a corpus are known: halves, parts and bands of frequency."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import seeds
from probsig.counts.bigrams import Bigrams, counted, frequent
from probsig.geometry import reliability
from probsig.signatures import tokens as signatures_tokens
from probsig.text.training_set import Tokens, documents, halves

Arrays = dict[str, NDArray]
PARTS, BANDS, DRAWS = 6, 5, 5
SIGNATURES = {"next": signatures_tokens.next_token, "previous": signatures_tokens.previous_token}


def estimation(corpus: Tokens, counts: Bigrams, seed: int) -> Arrays:
    """How well the signatures are known.

    Tokens with n >= 2 next tokens stand in BANDS bands of n, a factor 10 wide, from 10 on (edges (BANDS + 1,)).
    fractions (PARTS,): 1/2, 1/4, ... of the documents, drawn DRAWS times without replacement; error and independent
    (DRAWS, PARTS, BANDS): the mean over a band's tokens of |phi^ - phi|^2 against the whole corpus, and what
    independent draws would give, of the tokens that occur in the part; absent and absent_independent, the share of
    tokens that do not, and what independent draws would give; tokens (BANDS,) in each band. branches and below
    (BANDS,): the median over a band's tokens of 1/|phi|^2, estimated without bias, and the share that occur less often.
    sizes (k,): numbers of tokens C, most frequent first;
    reliability_next and reliability_previous (DRAWS, k): Spearman-Brown reliability of R_cos from random halves of the
    documents, nan where the text is one; least (k,): how often the rarest of the C was seen.
    """
    stream = seeds.stream(seed, "estimation")
    n = counts.row_totals()
    edges = 10.0 ** np.arange(1, BANDS + 2)
    number = len(corpus.offsets) - 1
    fractions = 0.5 ** np.arange(1, PARTS + 1)
    of_band = [np.flatnonzero((n >= low) & (n < high)) for low, high in itertools.pairwise(edges)]
    whole = signatures_tokens.next_token(counts, np.arange(corpus.vocab_size))
    square = whole.multiply(whole).sum(axis=1)
    error, independent, absent, absent_independent = np.full((4, DRAWS, PARTS, BANDS), np.nan)
    frequency = np.bincount(corpus.ids, minlength=corpus.vocab_size)
    ranked = frequent(frequency, 10_000, 50)
    sizes = [C for C in (50, 100, 200, 500, 1000, 2000, 5000, 10_000) if C <= ranked.size]
    steady = {name: np.full((DRAWS, len(sizes)), np.nan) for name in SIGNATURES}
    for draw in range(DRAWS):
        order = stream.permutation(number)
        for part, fraction in enumerate(fractions):
            small = counted(documents(corpus, np.sort(order[: max(1, round(fraction * number))])))
            m = small.row_totals()
            difference = signatures_tokens.next_token(small, np.arange(corpus.vocab_size)) - whole
            found = difference.multiply(difference).sum(axis=1)
            for band, tokens in enumerate(of_band):
                seen = tokens[m[tokens] > 0]
                if tokens.size:
                    absent[draw, part, band] = 1 - seen.size / tokens.size
                    absent_independent[draw, part, band] = ((1 - m.sum() / n.sum()) ** n[tokens]).mean()
                if seen.size:
                    finite = (1 / m[seen] - 1 / n[seen]) * n[seen] / (n[seen] - 1)
                    error[draw, part, band] = found[seen].mean()
                    independent[draw, part, band] = ((1 - square[seen]) * finite).mean()
        first, second = halves(corpus, order)
        both = counted(first), counted(second)
        for name, signature in SIGNATURES.items():
            steady[name][draw] = [halved(both, ranked[:C], signature) for C in sizes]
    return {
        "edges": edges,
        "tokens": np.array([tokens.size for tokens in of_band], dtype=np.int64),
        "fractions": fractions,
        "error": error,
        "independent": independent,
        "absent": absent,
        "absent_independent": absent_independent,
        **_branches(counts, n, of_band),
        "sizes": np.array(sizes, dtype=np.int64),
        "least": frequency[ranked[np.array(sizes, dtype=np.int64) - 1]],
        **{f"reliability_{name}": values for name, values in steady.items()},
    }


def halved(both: tuple[Bigrams, Bigrams], tokens: NDArray, signature: Callable[..., Any]) -> float:
    """The reliability of the cosines of a signature from the counts of two halves of a text; nan where fewer than 3 of
    the tokens are in both, as in a text that is one document."""
    try:
        return reliability.split_half(*both, tokens, signature).reliability
    except ValueError:
        return float("nan")


def _branches(counts: Bigrams, n: NDArray, of_band: Sequence[NDArray]) -> Arrays:
    """The number of branches of the laws of each band, and the share of tokens that occur less often than that."""
    pairs = np.zeros(len(n))
    again = counts.entries * (counts.entries - 1.0)
    rows = np.flatnonzero(np.diff(counts.indptr))
    pairs[rows] = np.add.reduceat(again, counts.indptr[rows])
    branches = np.divide(n * (n - 1.0), pairs, out=np.full(len(n), np.inf), where=pairs > 0)
    some = [tokens if tokens.size else None for tokens in of_band]
    return {
        "branches": np.array([np.nan if t is None else np.median(branches[t]) for t in some]),
        "below": np.array([np.nan if t is None else (n[t] < branches[t]).mean() for t in some]),
    }
