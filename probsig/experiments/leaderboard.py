r"""Which statistic of a text a model's rows follow best: each beside its null and its ceiling, and all together.

The cosines of the statistics are those of a run of `experiments.windows`, over a text's most frequent tokens; the rows
of W_E are those that stored models keep of the same tokens, minus their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probsig import seeds
from probsig.experiments import language_model
from probsig.experiments.agreement import shared_by_seeds
from probsig.geometry import small as geometry_small
from probsig.geometry.large import Cosines, cosines
from probsig.geometry.reliability import matched_null
from probsig.runs import Run

DRAWS, GROUP = 50, 15


@dataclass(frozen=True, eq=False)
class Standing:
    """What one text's models of several seeds have in common with each of n statistics, over C tokens.

    each (seeds, n): R_cos of every seed; null (n,): 97.5 % of shuffles among tokens of a similar frequency, the mean
    over seeds; ceiling (n,): the joint ceiling of one seed, from the text's halves and from what seeds share, nan where
    there is one seed. together and single (seeds,): held-out R_cos of all statistics by `fitted`, and of the best one;
    weights (seeds, n). tokens: C.
    """

    tokens: int
    each: NDArray[np.float64]
    null: NDArray[np.float64]
    ceiling: NDArray[np.float64]
    together: NDArray[np.float64]
    single: NDArray[np.float64]
    weights: NDArray[np.float64]


def statistics_of(known: Run, name: str) -> NDArray[np.float64]:
    """The stored cosines of all statistics of a text, minus their means, (n, pairs)."""
    scale = known.arrays[f"{name}/scale"].astype(float)
    return known.arrays[f"{name}/pairs"] * scale[:, None]


def standing(models: Sequence[Run], known: Run, step: int | None = None) -> Standing:
    """How the embeddings of one text's models stand to the statistics, at a step or at the last.

    `known` is a run of `windows.of_texts` that has the text; tokens whose rows the models do not keep are left out.
    """
    name = str(models[0].config["corpus"])
    place = {int(token): at for at, token in enumerate(language_model.data(models[0], "kept"))}
    tokens = known.arrays[f"{name}/tokens"]
    there = np.array([int(token) in place for token in tokens])
    pairs = statistics_of(known, name)[:, kept_pairs(there)]
    at = [place[int(token)] for token in tokens[there]]
    own = []
    for run in models:
        rows = language_model.rows(run, "W_E", step)[at]
        own.append(cosines(rows - rows.mean(axis=0), absent="zero"))
    frequency = known.arrays[f"{name}/frequency"][there]
    return of_rows(own, pairs, frequency, known.arrays[f"{name}/ceilings"])


def kept_pairs(there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which pairs are of two tokens that are there.

    >>> kept_pairs(np.array([True, False, True])).tolist()
    [False, True, False]
    """
    i, j = np.triu_indices(len(there), 1)
    return there[i] & there[j]


def of_rows(
    own: Sequence[Cosines], pairs: NDArray[np.float64], frequency: NDArray[np.int64], ceilings: NDArray[np.float64]
) -> Standing:
    """The same of given cosines of embeddings, one a seed, and of statistics (n, pairs) with their ceilings (n,)."""
    size, shared = own[0].size, shared_by_seeds(own)
    laws = [Cosines(one.astype(np.float32), size) for one in pairs]
    null = [[np.quantile(matched_null(one, law, frequency, DRAWS, 0, GROUP), 0.975) for law in laws] for one in own]
    fits = [fitted(one.pairs.astype(float), pairs, size, 0) for one in own]
    return Standing(
        size,
        np.array([[geometry_small.pearson(one.pairs, law) for law in pairs] for one in own]),
        np.mean(null, axis=0),
        ceilings * np.sqrt(shared) if shared > 0 else np.full(len(pairs), np.nan),
        np.array([both for _, both, _ in fits]),
        np.array([single for _, _, single in fits]),
        np.array([weights for weights, _, _ in fits]),
    )


def fitted(
    target: NDArray[np.float64],
    predictors: NDArray[np.float64],
    size: int,
    seed: int,
    ridge: float = 0.01,
    draws: int = 10,
) -> tuple[NDArray[np.float64], float, float]:
    """All statistics together: weights (statistics,) of standardised cosines by ridge regression, fitted on the pairs
    among half of the tokens; and on the pairs among the other half, the correlation of that sum and of the statistic
    that was best on the first half, each the mean over `draws` splits.

    `target` (pairs,) and `predictors` (statistics, pairs) are of `size` tokens; `ridge` is a share of the pairs.

    >>> stream = np.random.default_rng(0)
    >>> a, b, noise = stream.standard_normal((3, 190))
    >>> weights, both, single = fitted(a + b + noise, np.array([a, b]), 20, seed=0)
    >>> bool(both > single), weights.shape
    (True, (2,))
    """
    i, j = np.triu_indices(size, 1)
    stream, found = seeds.stream(seed, "fitted windows"), []
    for _ in range(draws):
        half = np.zeros(size, dtype=bool)
        half[stream.permutation(size)[: size // 2]] = True
        train, test = half[i] & half[j], ~half[i] & ~half[j]
        mean, std = (f(predictors[:, train], axis=1, keepdims=True) for f in (np.mean, np.std))
        X, y = (predictors - mean) / np.where(std > 0, std, 1), (target - target[train].mean()) / target[train].std()
        gram = X[:, train] @ X[:, train].T + ridge * train.sum() * np.eye(len(X))
        w = np.linalg.solve(gram, X[:, train] @ y[train])
        single = max(range(len(X)), key=lambda s: geometry_small.pearson(X[s, train], y[train]))
        scores = (geometry_small.pearson(w @ X[:, test], y[test]), geometry_small.pearson(X[single, test], y[test]))
        found.append((w, *scores))
    return tuple(np.mean([one[k] for one in found], axis=0) for k in range(3))
