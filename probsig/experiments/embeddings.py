r"""A pretrained embedding held against the tied signature of a text: the numbers of one chapter.

The paper compares cos(W_s, W_s') of an open model, whose W is embedding and unembedding, with cos(phi~_s, phi~_s') of
phi~ = phi^next + varphi^pre over all its subsets (appendix C.2, v1 Fig. 6, v2 Figs. 1 and 7). Here:

- `alignment_by_size`: R_cos over the C most frequent tokens with bootstrap, nulls and ceiling, raw and centred;
- `groups`: cosines, order and principal components of the digits, months, weekdays, number words and letters;
- `by_corpus`: each corpus's own phi~ against that of all;
- `pretrained_adjacency`: what else predicts the cosines.

Embeddings stand as they are ("raw"), minus the mean row of the vocabulary ("centred"), and minus the mean row of the
frequent tokens ("frequent"), which is how phi~ is centred: a vocabulary has no mean phi~, since most of it is not seen.

Axes: squares (C, C) are by rank of frequency; arrays over variants follow EMBEDDINGS and SIGNATURES.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.stats import rankdata

from probsig import seeds
from probsig.counts.bigrams import Bigrams, counted, frequent, merged
from probsig.experiments.adjacency import adjacency
from probsig.experiments.texts import GROUPS, pack
from probsig.geometry import reliability
from probsig.geometry import small as geometry_small
from probsig.geometry.large import Cosines, correlations, cosines
from probsig.language.checkpoints import Checkpoint
from probsig.signatures import tokens as signatures_tokens
from probsig.text.training_set import Tokens, halves

Arrays = dict[str, NDArray]
Means = Mapping[str, NDArray]
EMBEDDINGS = ("raw", "centred", "frequent")
SIGNATURES = {
    "tied": (signatures_tokens.tied, "raw"),
    "tied, centred": (signatures_tokens.tied, "centred"),
    "tied, PPMI": (signatures_tokens.tied, "ppmi"),
    "tied, support": (signatures_tokens.tied, "support"),
    "next": (signatures_tokens.next_token, "raw"),
    "previous": (signatures_tokens.previous_token, "raw"),
}
SIZES = (50, 100, 200, 500, 1000, 2000, 5000, 10_000)
HEAD = 1000  # the "frequent tokens" of most figures
SHOWN, EACH = 40, 500  # tokens that are shown, and those that a corpus of its own is asked about
LEAST, FEWEST = 50, 12  # a token is used when it was seen so often; so many tokens are needed
SQUARES = ("raw", "centred", "frequent", "phi", "phi_centred")
ENGLISH = {
    "digits": GROUPS["digits"],
    "digits 1 to 9": GROUPS["digits"][1:],
    "number words": tuple(f" {word}" for word in "zero one two three four five six seven eight nine ten".split()),
    "months": GROUPS["months"],
    "weekdays": tuple(f" {day}" for day in "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()),
    "letters": tuple("abcdefghijklmnopqrstuvwxyz"),
}
"""Groups of tokens in their order; a member that is no single token, or is seen too rarely, is left out."""


def halved(corpora: Sequence[Tokens], seed: int) -> tuple[Bigrams, Bigrams]:
    """The counts of two random halves of the documents of all corpora, each corpus halved on its own."""
    both = []
    for i, corpus in enumerate(corpora):
        order = seeds.stream(seed, "halves", str(i)).permutation(len(corpus.offsets) - 1)
        both.append([counted(half) for half in halves(corpus, order)])
    first, second = (merged(half) for half in zip(*both, strict=True))
    return first, second


def embedding_rows(model: Checkpoint, tokens: Sequence[int], means: Means) -> dict[str, NDArray]:
    """The rows of some tokens as they are and minus each of the means, (k, d) float64."""
    rows = model.rows(tokens).astype(float)
    return {"raw": rows, **{name: rows - mean for name, mean in means.items()}}


def signature(counts: Bigrams, tokens: Sequence[int], name: str) -> sp.csr_array | signatures_tokens.Centred:
    """One of SIGNATURES of some tokens, (k, V)."""
    function, kind = SIGNATURES[name]
    return function(counts, tokens, kind)


def mean_signature(counts: Bigrams, tokens: Sequence[int]) -> NDArray[np.float64]:
    """The mean phi~ of some tokens, (V,)."""
    rows = signatures_tokens.tied(counts, tokens)
    return np.asarray(rows.sum(axis=0)).ravel() / rows.shape[0]


def alignment_by_size(
    model: Checkpoint,
    means: Means,
    counts: Bigrams,
    both: tuple[Bigrams, Bigrams],
    ranked: NDArray[np.int64],
    frequency: NDArray[np.int64],
    seed: int,
    draws: int,
) -> Arrays:
    """R_cos of the embedding with the signatures over the C = sizes[k] most frequent tokens.

    all (3, 6, k): EMBEDDINGS x SIGNATURES, "frequent" being the C. Of phi~ with each of EMBEDDINGS, (3, k, draws):
    bootstrap over tokens; matched, tokens shuffled among those of a similar frequency; random, rows of the embedding
    drawn anywhere in the vocabulary. ceiling (k,), the square root of the reliability of cos(phi~); least (k,), how
    often the rarest of the C was seen; zeros (k,), the share of pairs with cos(phi~) = 0.
    """
    sizes = [C for C in SIZES if C <= ranked.size] or [ranked.size]
    k, stream = len(sizes), seeds.stream(seed, "random rows")
    out: Arrays = {
        "sizes": np.array(sizes),
        "all": np.empty((len(EMBEDDINGS), len(SIGNATURES), k)),
        "ceiling": np.empty(k),
        "zeros": np.empty(k),
        "least": frequency[ranked[np.array(sizes) - 1]],
        **{name: np.empty((len(EMBEDDINGS), k, draws)) for name in ("bootstrap", "matched", "random")},
    }
    for i, C in enumerate(sizes):
        tokens = ranked[:C]
        own = {**means, "frequent": model.rows(tokens).mean(axis=0, dtype=float)}
        rows = {name: cosines(E) for name, E in embedding_rows(model, tokens, own).items()}
        for j, name in enumerate(SIGNATURES):
            phi = cosines(signature(counts, tokens, name), absent="zero")
            for e, E in enumerate(EMBEDDINGS):
                out["all"][e, j, i] = correlations(rows[E], phi).overall
        phi = cosines(signatures_tokens.tied(counts, tokens))
        out["zeros"][i] = phi.zero_fraction
        out["ceiling"][i] = reliability.split_half(*both, tokens, signatures_tokens.tied).ceiling
        for e, E in enumerate(EMBEDDINGS):
            out["bootstrap"][e, i] = reliability.bootstrap(rows[E], phi, draws, seed)
            group = max(2, min(100, C // 10))
            out["matched"][e, i] = reliability.matched_null(rows[E], phi, frequency[tokens], draws, seed, group)
        few = min(C, HEAD)  # more tokens would only narrow this null
        phi = cosines(signatures_tokens.tied(counts, tokens[:few]))
        for draw in range(draws):
            anywhere = stream.choice(model.shape[0], few, replace=False)
            own = {**means, "frequent": model.rows(anywhere).mean(axis=0, dtype=float)}
            for e, E in enumerate(embedding_rows(model, anywhere, own).values()):
                out["random"][e, i, draw] = correlations(cosines(E, absent="zero"), phi).overall
    return out


def partial(x: NDArray, y: NDArray, given: NDArray) -> float:
    """The correlation of x and y when a linear part of `given` is taken from both.

    >>> given = np.array([0.0, 1.0, 2.0, 3.0])
    >>> round(partial(given + [0, 1, 0, 1], 5 * given - [0, 1, 0, 1], given), 9)
    -1.0
    """
    a, b, c = geometry_small.pearson(x, y), geometry_small.pearson(x, given), geometry_small.pearson(y, given)
    return (a - b * c) / float(np.sqrt((1 - b * b) * (1 - c * c)))


def group_numbers(
    model: Checkpoint,
    means: Means,
    counts: Bigrams,
    texts: Sequence[str],
    members: Mapping[str, int],
    ranked: NDArray[np.int64],
    frequency: NDArray[np.int64],
    seed: int,
    draws: int,
) -> Arrays:
    """The k members of a group that occur; `members` maps the text of each to its id, in the order of `texts`.

    Squares (k, k) of cosines, as SQUARES: phi_centred is phi~ minus its mean over the frequent tokens.
    order (5, 2, 2): for each square, Pearson and Spearman of the cosine with the distance along the line and around the
    ring of all `texts`; bootstrap (5, draws): Pearson's along the line, over tokens; shuffled (5, 2, draws): Pearson's
    with the order of the tokens shuffled. by_frequency (5, 2): Pearson of the cosine with the distance in log
    frequency, and with the distance along the line when that is held fixed (partial correlation). agree (3,): R_cos of
    raw with phi, centred with phi, frequent with phi_centred; agree_null (draws,): the last with tokens shuffled.
    together (5,): the mean cosine; together_null (5, draws / 10): that of as many tokens of similar frequency.
    pca, pca_phi (k, 2). All that has draws is in 16 bits.
    """
    tokens, at = np.array(list(members.values())), np.array([texts.index(text) for text in members])
    k, stream = len(tokens), seeds.stream(seed, "group", *members)
    phi, centre = signatures_tokens.tied(counts, tokens), mean_signature(counts, ranked[:HEAD])

    def squares(ids: NDArray[np.int64]) -> list[NDArray]:
        own = signatures_tokens.tied(counts, ids)
        rows = [*embedding_rows(model, ids, means).values(), own, signatures_tokens.centred(own, centre)]
        return [cosines(part, absent="zero").square().astype(float) for part in rows]

    found = squares(tokens)
    line = np.abs(np.subtract.outer(at, at))
    distances = [geometry_small.pairs(d) for d in (line, np.minimum(line, len(texts) - line))]
    logs = np.log(frequency[tokens])
    gap = geometry_small.pairs(np.abs(np.subtract.outer(logs, logs)))
    pairs = [geometry_small.pairs(square) for square in found]
    out: Arrays = {
        "texts": pack(members),
        "count": frequency[tokens],
        **{name: square.astype(np.float32) for name, square in zip(SQUARES, found, strict=True)},
        "order": np.array(
            [
                [[geometry_small.pearson(c, d), geometry_small.pearson(rankdata(c), rankdata(d))] for d in distances]
                for c in pairs
            ]
        ).transpose(0, 2, 1),
        "by_frequency": np.array([[geometry_small.pearson(c, gap), partial(c, distances[0], gap)] for c in pairs]),
        "agree": np.array([geometry_small.pearson(pairs[a], pairs[b]) for a, b in ((0, 3), (1, 3), (2, 4))]),
        "together": np.array([c.mean() for c in pairs]),
        "pca": geometry_small.pca(model.rows(tokens))[0],
        "pca_phi": geometry_small.pca(phi.toarray()[:, np.unique(phi.indices)])[0],
        "bootstrap": np.array(
            [
                reliability.bootstrap(*(Cosines(x.astype(np.float32), k) for x in (c, distances[0])), draws, seed)
                for c in pairs
            ]
        ),
    }
    shuffled, agree, together = np.empty((5, 2, draws)), np.empty(draws), np.full((5, draws // 10), np.nan)
    place = np.flatnonzero(np.isin(ranked, tokens))
    for draw in range(draws):
        order = stream.permutation(k)
        moved = [geometry_small.pairs(square[np.ix_(order, order)]) for square in found]
        shuffled[:, :, draw] = [[geometry_small.pearson(c, d) for d in distances] for c in moved]
        agree[draw] = geometry_small.pearson(moved[2], pairs[4])
    for draw in range(draws // 10):  # each needs signatures of its own
        near = np.clip(place + stream.integers(-20, 21, k), 0, ranked.size - 1)
        others = np.setdiff1d(ranked[np.unique(near)], tokens)
        if others.size > 1:
            together[:, draw] = [geometry_small.pairs(square).mean() for square in squares(others)]
    drawn = {"bootstrap": out["bootstrap"], "shuffled": shuffled, "agree_null": agree, "together_null": together}
    return out | {name: draws_of.astype(np.float16) for name, draws_of in drawn.items()}


def by_corpus(
    model: Checkpoint, means: Means, pooled: Bigrams, each: Sequence[Bigrams], seed: int, draws: int
) -> Arrays:
    """R_cos of the centred embedding over the EACH most frequent tokens of each corpus.

    own, pooled (n,): with phi~ of that corpus, and of all; matched (n, draws): own, with the frequency-matched shuffle;
    tokens (n,): how many.
    """
    n = len(each)
    out: Arrays = {
        "own": np.empty(n),
        "pooled": np.empty(n),
        "matched": np.empty((n, draws)),
        "tokens": np.empty(n, int),
    }
    for i, counts in enumerate(each):
        frequency = counts.row_totals()
        tokens = frequent(np.minimum(frequency, counts.transpose().row_totals()), EACH, LEAST)
        E = cosines(embedding_rows(model, tokens, means)["centred"])
        own, every = (cosines(signatures_tokens.tied(c, tokens)) for c in (counts, pooled))
        out["tokens"][i] = tokens.size
        out["own"][i], out["pooled"][i] = correlations(E, own).overall, correlations(E, every).overall
        group = max(2, min(100, tokens.size // 10))
        out["matched"][i] = reliability.matched_null(E, own, frequency[tokens], draws, seed, group)
    return out


def survey(model: Checkpoint, corpora: Sequence[Tokens], seed: int, draws: int) -> Arrays:
    """All numbers of the chapter, the arrays of each part under "part/name".

    frequent: texts, count and the squares SQUARES of the SHOWN most frequent tokens. model: shape (2,), tied (1,),
    mean_share (1,) (the mean row's part of the mean squared norm), corpora (n, 2) tokens and documents; ranks (b + 1,)
    and toward (b,), the mean cosine of a row with the mean row between two ranks. Then size, adjacency, corpus, and
    group/<name> for each of ENGLISH with 4 members that are seen. Raises ValueError for fewer than FEWEST tokens.
    """
    each = [counted(corpus) for corpus in corpora]
    counts, both = merged(each), halved(corpora, seed)
    mean, square = model.mean()
    frequency = np.minimum(counts.row_totals(), counts.transpose().row_totals())
    often = frequent(frequency, counts.vocab_size, LEAST)
    if often.size < FEWEST:
        raise ValueError(
            f"The text holds {often.size} tokens {LEAST} times, and an embedding is compared on {FEWEST} or more: take "
            "more text."
        )
    ranked, head = often[: max(SIZES)], often[:HEAD]
    means = {"centred": mean, "frequent": model.rows(head).mean(axis=0, dtype=float)}
    text = model.tokenizer.text
    top = ranked[:SHOWN]
    phi, centre = signatures_tokens.tied(counts, top), mean_signature(counts, head)
    rows = [*embedding_rows(model, top, means).values(), phi, signatures_tokens.centred(phi, centre)]
    ranks = [0, *([C for C in SIZES if C <= ranked.size] or [ranked.size])]
    known_rows = model.rows(ranked).astype(float)
    along = known_rows @ mean / (np.linalg.norm(known_rows, axis=1) * np.linalg.norm(mean))
    parts: dict[str, Arrays] = {
        "model": {
            "shape": np.array(model.shape),
            "tied": np.array([model.tied]),
            "mean_share": np.array([mean @ mean / square]),
            "ranks": np.array(ranks),
            "toward": np.array([along[a:b].mean() for a, b in itertools.pairwise(ranks)]),
            "corpora": np.array([[len(c.ids), len(c.offsets) - 1] for c in corpora]),
            "often": np.array([often.size]),
        },
        "frequent": {
            "texts": pack(text(int(token)) for token in top),
            "count": frequency[top],
            **{name: cosines(part).square() for name, part in zip(SQUARES, rows, strict=True)},
        },
        "size": alignment_by_size(model, means, counts, both, ranked, frequency, seed, draws),
        "adjacency": adjacency(embedding_rows(model, head, means), counts, head, seed, draws),
        "corpus": by_corpus(model, means, counts, each, seed, draws),
    }
    known = set(often.tolist())
    for name, texts in ENGLISH.items():
        members = {t: id for t in texts if (id := model.tokenizer.id(t)) is not None and id in known}
        if len(members) >= 4:
            wide = (model, means, counts, texts, members, often, frequency, seed)
            parts[f"group/{name}"] = group_numbers(*wide, draws=10 * draws)
    return {f"{part}/{key}": value for part, arrays in parts.items() for key, value in arrays.items()}
