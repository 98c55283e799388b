r"""Adjacency or similarity: what predicts the cosines of a tied embedding.

The paper compares cos(W_s, W_s') with cos(phi~_s, phi~_s'), the similarity of what surrounds two tokens. The flow of a
tied matrix is W M_s, with M_s = N + N^T - (1 n^T + n 1^T) / V the centred frequency of standing side by side, so from
small random weights cosines follow M_s to first order: adjacency (`theory.tied`, appendix C.2). Both, and the
frequency of the tokens, are held against the products of a given embedding, one by one and together.

Axes: pairs i < j of the C tokens; arrays are (target, predictor), predictors in the order of PREDICTORS.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from probsig.counts.bigrams import Bigrams
from probsig.geometry import reliability
from probsig.geometry import small as geometry_small
from probsig.geometry.large import Cosines, cosines
from probsig.signatures import tokens as signatures_tokens

Arrays = dict[str, NDArray]
PREDICTORS = ("similarity", "adjacency", "side by side", "lift", "frequency")
TOGETHER = ("similarity", "adjacency", "lift", "frequency")  # lift says what "side by side" does, zeros included


def adjacency(
    embeddings: Mapping[str, NDArray],
    counts: Bigrams,
    tokens: NDArray[np.int64],
    seed: int,
    draws: int,
) -> Arrays:
    """What predicts the products of the embeddings of C tokens, given in F forms, (C, d) each.

    PREDICTORS of a pair: cos(phi~); M_s, the centred frequency of standing side by side (`theory.tied`); that
    frequency without the centring; lift, log(1 + that frequency over the one of independent tokens); log frequency of
    both, added. Targets are the cosines of each form, then the inner products of each.
    pearson, spearman (2 F, 5): targets x PREDICTORS. weights (2 F, 4): the standardised weights of TOGETHER, all as
    ranks, and explained (2 F,) their share of the variance. Of the cosines of each form: bootstrap (F, 5, draws) of
    Spearman's over tokens; by (F, 5, 5), their mean in fifths of similarity x side by side (never, then quarters of
    the lift), with by_pairs (5, 5) pairs; closed (F, 2, t), Pearson and Spearman with the cosines of exp(2 t M_s), with
    times (t,), which are 2 t times the largest eigenvalue. beside (1,): the share of pairs that stand side by side.
    """
    C, upper = len(tokens), np.triu_indices(len(tokens), 1)
    table, total = counts.to_scipy(), float(counts.entries.sum())
    block = table[tokens][:, tokens].toarray() / total
    before, after = counts.row_totals() / total, counts.transpose().row_totals() / total
    both = block + block.T
    n = before[tokens]
    M = both - (n[:, None] + n) / counts.vocab_size
    chance = np.outer(n, after[tokens])
    lift = np.log1p(both / (chance + chance.T))
    logs = np.log(n)
    similarity = cosines(signatures_tokens.tied(counts, tokens)).pairs.astype(float)
    predictors = [similarity, M[upper], both[upper], lift[upper], (logs[:, None] + logs)[upper]]
    forms = list(embeddings.values())
    ordered = [cosines(W).pairs.astype(float) for W in forms] + [(W @ W.T)[upper] for W in forms]
    ranks = {"x": [rankdata(x) for x in predictors], "y": [rankdata(y) for y in ordered]}
    standard = {key: [(r - r.mean()) / r.std() for r in values] for key, values in ranks.items()}
    X = np.column_stack([standard["x"][PREDICTORS.index(name)] for name in TOGETHER])
    weights = np.array([np.linalg.lstsq(X, y, rcond=None)[0] for y in standard["y"]])
    explained = [1 - float(np.mean((y - X @ w) ** 2)) for y, w in zip(standard["y"], weights, strict=True)]
    kept = {key: [Cosines((r / r.max()).astype(np.float32), C) for r in values] for key, values in ranks.items()}
    fifths, beside = np.quantile(similarity, [0.2, 0.4, 0.6, 0.8]), lift[upper]
    some = beside > 0
    edges = np.quantile(beside[some], [0.25, 0.5, 0.75]) if some.any() else np.zeros(3)
    row = np.searchsorted(fifths, similarity, side="right")
    column = np.where(some, 1 + np.searchsorted(edges, beside, side="right"), 0)
    held = np.bincount(5 * row + column, minlength=25).reshape(5, 5)
    sums = [np.bincount(5 * row + column, weights=y, minlength=25).reshape(5, 5) for y in ordered[: len(forms)]]
    values, vectors = np.linalg.eigh(M)
    times = np.geomspace(0.01, 100, 13)
    closed = np.empty((len(forms), 2, times.size))
    for i, time in enumerate(times):
        root = vectors * np.exp(time * (values / values[-1] - 1) / 2)  # exp(2 t M_s) up to a factor is root root^T
        c = cosines(root).pairs.astype(float)
        r = rankdata(c)
        for f in range(len(forms)):
            closed[f, :, i] = geometry_small.pearson(c, ordered[f]), geometry_small.pearson(r, ranks["y"][f])
    return {
        "pearson": np.array([[geometry_small.pearson(y, x) for x in predictors] for y in ordered]),
        "spearman": np.array([[geometry_small.pearson(y, x) for x in ranks["x"]] for y in ranks["y"]]),
        "bootstrap": np.array(
            [[reliability.bootstrap(y, x, draws, seed) for x in kept["x"]] for y in kept["y"][: len(forms)]]
        ),
        "weights": weights,
        "explained": np.array(explained),
        "by": np.divide(sums, held, out=np.full((len(forms), 5, 5), np.nan), where=held > 0),
        "by_pairs": held,
        "beside": np.array([np.mean(some)]),
        "times": times,
        "closed": closed,
    }
