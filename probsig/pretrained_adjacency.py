r"""Adjacency or similarity: what predicts the cosines of a tied embedding.

The paper compares cos(W_s, W_s') with cos(phi~_s, phi~_s'), the similarity of what surrounds two tokens. The flow of a
tied matrix is W M_s, with M_s = N + N^T - (1 n^T + n 1^T) / V the centred frequency of standing side by side, so from
small random weights cosines follow M_s to first order: adjacency (`expansions.tied`, appendix C.2). Both, and the
frequency of the tokens, are held against the products of a given embedding, one by one and together.

Axes: pairs i < j of the C tokens; arrays follow TARGETS and PREDICTORS.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from probsig import geometry, reliability, token_signatures
from probsig.alignment import Cosines, cosines
from probsig.bigrams import Bigrams

Arrays = dict[str, NDArray]
TARGETS = ("cosine", "centred cosine", "inner product", "centred inner product")
PREDICTORS = ("similarity", "adjacency", "lift", "frequency")


def adjacency(
    embeddings: Mapping[str, NDArray],
    counts: Bigrams,
    tokens: NDArray[np.int64],
    seed: int,
    draws: int,
) -> Arrays:
    """What predicts the products of the embeddings of C tokens, "raw" and "centred" (C, d) each.

    PREDICTORS of a pair: cos(phi~); M_s, the centred frequency of standing side by side (`expansions.tied`); lift,
    log(1 + that frequency over the one of independent tokens); log frequency of both, added.
    pearson, spearman (4, 4): TARGETS x PREDICTORS. bootstrap (4, draws): Spearman of the centred cosine with each.
    weights (4, 4): for each target, the standardised weights of the four predictors together, all as ranks, and
    explained (4,) the share of variance. by (5, 5): mean centred cosine in fifths of similarity x fifths of lift (pairs
    that never stand side by side are the first), by_pairs (5, 5). times, closed (2, t): Pearson and Spearman of the raw
    cosine with that of exp(2 t M_s), by 2 t times the largest eigenvalue.
    """
    C, upper = len(tokens), np.triu_indices(len(tokens), 1)
    table, total = counts.to_scipy(), float(counts.counts.sum())
    block = table[tokens][:, tokens].toarray() / total
    before, after = counts.row_totals() / total, counts.transpose().row_totals() / total
    both = block + block.T
    n = before[tokens]
    M = both - (n[:, None] + n) / counts.vocab_size
    chance = np.outer(n, after[tokens])
    lift = np.log1p(both / (chance + chance.T))
    logs = np.log(n)
    similarity = cosines(token_signatures.tied(counts, tokens)).pairs.astype(float)
    predictors = [similarity, M[upper], lift[upper], (logs[:, None] + logs)[upper]]
    rows = [embeddings["raw"], embeddings["centred"]]
    ordered = [cosines(W).pairs.astype(float) for W in rows] + [(W @ W.T)[upper] for W in rows]
    ranks = {"x": [rankdata(x) for x in predictors], "y": [rankdata(y) for y in ordered]}
    standard = {key: [(r - r.mean()) / r.std() for r in values] for key, values in ranks.items()}
    X = np.column_stack(standard["x"])
    weights = np.array([np.linalg.lstsq(X, y, rcond=None)[0] for y in standard["y"]])
    explained = [1 - float(np.mean((y - X @ w) ** 2)) for y, w in zip(standard["y"], weights, strict=True)]
    kept = [Cosines((x / x.max()).astype(np.float32), C) for x in (ranks["y"][1], *ranks["x"])]
    fifths, beside = np.quantile(similarity, [0.2, 0.4, 0.6, 0.8]), lift[upper]
    some = beside > 0
    edges = np.quantile(beside[some], [0.25, 0.5, 0.75]) if some.any() else np.zeros(3)
    row = np.searchsorted(fifths, similarity, side="right")
    column = np.where(some, 1 + np.searchsorted(edges, beside, side="right"), 0)
    held = np.bincount(5 * row + column, minlength=25).reshape(5, 5)
    sums = np.bincount(5 * row + column, weights=ordered[1], minlength=25).reshape(5, 5)
    values, vectors = np.linalg.eigh(M)
    times = np.geomspace(0.01, 100, 13)
    closed = np.empty((2, times.size))
    for i, time in enumerate(times):
        root = vectors * np.exp(time * (values / values[-1] - 1) / 2)  # exp(2 t M_s) up to a factor is root root^T
        c = cosines(root).pairs.astype(float)
        closed[:, i] = geometry.pearson(c, ordered[0]), geometry.pearson(rankdata(c), ranks["y"][0])
    return {
        "pearson": np.array([[geometry.pearson(y, x) for x in predictors] for y in ordered]),
        "spearman": np.array([[geometry.pearson(y, x) for x in ranks["x"]] for y in ranks["y"]]),
        "bootstrap": np.array([reliability.bootstrap(kept[0], x, draws, seed) for x in kept[1:]]),
        "weights": weights,
        "explained": np.array(explained),
        "by": np.divide(sums, held, out=np.full((5, 5), np.nan), where=held > 0),
        "by_pairs": held,
        "beside": np.array([np.mean(some)]),
        "times": times,
        "closed": closed,
    }
