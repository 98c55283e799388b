r"""How much of a language model's velocity of W_E a formula explains, and what of that a shuffle explains too.

The share at the best scale is the squared cosine of the two matrices; beside it stand the share as the formula stands,
bands of frequency, shuffles of tokens that keep frequencies, the share up to one linear map of the hidden space, and
the correlation of the cosines of tokens' velocities with those of their signatures. Velocities and formulas are those
of `language.velocity`.

Axes: velocities and formulas are (V, d), rows tokens; often (V,) is how often each token has a target after it, the
n_s of the formulas times the number of places.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig import seeds
from probsig.geometry import small as geometry_small
from probsig.language.velocity import FORMS, signatures, velocity_and_formulas

Array = NDArray[np.float64]
MAPS = {"next": ("centred",), "attention": ("context",), "both": ("centred", "context")}
"""What a free linear map is given: W_U^T of the centred N, of the centred A, or both side by side."""
GEOMETRY = ("next", "attention", "next centred", "attention centred")
"""What the cosines of the velocity's rows are set beside: the rows of N, of A, and both about their means."""
BANDS = (10, 100, 1000)  # ranks by frequency where a band ends
DRAWS, GROUP = 5, 50  # shuffles of each kind; tokens of a similar frequency that are shuffled among themselves
LEAST, MOST = 20, 500  # of the tokens whose geometry is compared: how often each is seen, and how many they are
FOLDS, PENALTIES = 4, (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)  # of `mapped`


def cosine(v: Array, f: Array) -> float:
    """The cosine of two matrices; 0 where one of them is 0. Its square is the share of v that f explains at its best
    scale, 1 - min_c |v - c f|^2 / |v|^2.

    >>> cosine(np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]]))
    0.8
    """
    size = np.sqrt((v**2).sum() * (f**2).sum())
    return float((v * f).sum() / size) if size else 0.0


def bands(often: ArrayLike) -> list[NDArray[np.int64]]:
    """The tokens that occur, most frequent first, in bands of rank 1 to 10, 11 to 100, 101 to 1000 and the rest.

    >>> [band.tolist() for band in bands([2, 0, 5])]
    [[2, 0], [], [], []]
    """
    often = np.asarray(often)
    order = np.argsort(-often, kind="stable")[: np.count_nonzero(often)]
    return np.split(order, [min(end, order.size) for end in BANDS])


def shuffled(f: Array, often: ArrayLike, group: int | None, stream: np.random.Generator) -> Array:
    """A formula (V, k) with its tokens shuffled: s gets n_s f_r / n_r of another token r and keeps its frequency.

    group: r is among `group` neighbours in frequency; None takes any token that occurs. Others' rows are 0.

    >>> shuffled(np.array([[4.0], [2.0], [0.0]]), [4, 1, 0], None, seeds.stream(0, "d")).ravel().tolist()
    [8.0, 1.0, 0.0]
    """
    often = np.asarray(often, dtype=float)
    order = np.concatenate(bands(often))
    size = group or max(order.size, 1)
    moved = np.concatenate([stream.permutation(order[a : a + size]) for a in range(0, order.size, size)])
    out = np.zeros_like(f)
    out[order] = f[moved] * (often[order] / often[moved])[:, None]
    return out


def mapped(v: Array, f: Array, often: ArrayLike, seed: int) -> float:
    """The share of v that a formula f (V, k) explains up to a linear map of the hidden space, one for all tokens.

    The map is fitted by ridge regression on three quarters of the tokens that occur and judged on the rest, four times;
    errors weigh 1 / n_s, since v_s adds up n_s places. A penalty is in units of the mean squared singular value of the
    weighed f, and the best of the PENALTIES counts. Under 0 where the map is worse on new tokens than none.

    >>> f = np.arange(1.0, 9).reshape(8, 1)
    >>> round(mapped(f @ [[2.0, 3.0]], f, np.ones(8), 0), 3)
    1.0
    """
    often = np.asarray(often, dtype=float)
    there = np.flatnonzero(often)
    weight = np.sqrt(1 / often[there])[:, None]
    X, Y = f[there] * weight, v[there] * weight
    left = np.zeros(len(PENALTIES))
    for part in np.array_split(seeds.stream(seed, "folds").permutation(there.size), FOLDS):
        X_in, Y_in = np.delete(X, part, axis=0), np.delete(Y, part, axis=0)
        values, vectors = np.linalg.eigh(X_in.T @ X_in)
        turned, goal = X[part] @ vectors, vectors.T @ (X_in.T @ Y_in)
        for i, penalty in enumerate(PENALTIES):
            fitted = goal / (values + penalty * values.mean())[:, None]
            left[i] += ((Y[part] - turned @ fitted) ** 2).sum()
    return float(1 - left.min() / (Y**2).sum())


class Judge:
    """Some rows of a text, inputs and targets (R, T), and how formulas are judged on them; `seed` is of the shuffles.

    `often` (V,) is that of these rows, `tokens` those whose geometry is compared: the most frequent, at most MOST, that
    are seen LEAST times, and 3 in any case, `pairs` the cosines of their signatures in the four ways of GEOMETRY.
    Raises ValueError where no place has a target.
    """

    def __init__(self, inputs: NDArray, targets: NDArray, vocab_size: int, seed: int):
        self.inputs, self.targets, self.seed = inputs, targets, seed
        self.often = np.bincount(inputs[targets >= 0], minlength=vocab_size)
        order = np.concatenate(bands(self.often))[:MOST]
        self.tokens = order[: max(3, np.count_nonzero(self.often[order] >= LEAST))]
        both = signatures(inputs, targets, self.tokens, vocab_size)
        self.pairs = _all_cosines(*both)

    def measure(self, model: Any) -> dict[str, NDArray]:
        """What is kept of one look at the model.

        cosine, raw, scale (11,): of FORMS, the cosine with v, 1 - |v - f|^2 / |v|^2 and the best c. two (3,): the share
        of the best c f + c' f' of centred and attention, and both scales. band (4, 11): cosines in each of `bands`, and
        weight (4,) its part of |v|^2. null (2, 5, 11): cosines after a shuffle of all tokens, of tokens of a similar
        frequency. map (3,): `mapped` with each of MAPS, map_null (3,) with tokens of a similar frequency shuffled.
        rcos (4,) of GEOMETRY: correlation of the cosines of the tokens' velocities with those of N and A, all about
        their means in the last two; parts_rcos (2, 4): the same of what comes from the token's own place, and of what
        comes from later ones; parts (2,): their lengths over |v|. ratio (1,): |v - skip| / |skip|; length (1,): the
        mean of a row of W_E; loss (1,).
        """
        said = velocity_and_formulas(model, self.inputs, self.targets)
        v, forms, parts = said["velocity"], [said[name] for name in FORMS], bands(self.often)
        power, side_by_side = (v**2).sum(), np.concatenate(forms, axis=1)
        two = np.stack([said["centred"].ravel(), said["attention"].ravel()])
        best = np.linalg.lstsq(two @ two.T, two @ v.ravel(), rcond=None)[0]
        null = [
            [
                [cosine(v, f) for f in np.split(shuffled(side_by_side, self.often, group, stream), len(FORMS), axis=1)]
                for stream in (seeds.stream(self.seed, name, str(draw)) for draw in range(DRAWS))
            ]
            for name, group in (("shuffled", None), ("matched", GROUP))
        ]
        fed = [np.concatenate([said[block] for block in blocks], axis=1) for blocks in MAPS.values()]
        wrong = [shuffled(block, self.often, GROUP, seeds.stream(self.seed, "map")) for block in fed]
        length = np.linalg.norm(model.get_input_embeddings().weight.detach().cpu().numpy()[self.often > 0], axis=1)
        found: dict[str, Any] = {
            "cosine": [cosine(v, f) for f in forms],
            "raw": [1 - ((v - f) ** 2).sum() / power for f in forms],
            "scale": [(v * f).sum() / (f**2).sum() if f.any() else 0.0 for f in forms],
            "two": [1 - ((v.ravel() - best @ two) ** 2).sum() / power, *best],
            "band": [[cosine(v[part], f[part]) for f in forms] for part in parts],
            "weight": [(v[part] ** 2).sum() / power for part in parts],
            "null": null,
            "map": [mapped(v, block, self.often, self.seed) for block in fed],
            "map_null": [mapped(v, block, self.often, self.seed) for block in wrong],
            "rcos": [
                geometry_small.pearson(own, pair)
                for own, pair in zip(_all_cosines(v[self.tokens], v[self.tokens]), self.pairs, strict=True)
            ],
            "parts_rcos": [
                [geometry_small.pearson(own, pair) for own, pair in zip(_all_cosines(w, w), self.pairs, strict=True)]
                for w in (said["place"][self.tokens], (v - said["place"])[self.tokens])
            ],
            "parts": [np.linalg.norm(part) / np.sqrt(power) for part in (said["place"], v - said["place"])],
            "ratio": [np.linalg.norm(v - said["skip"]) / np.linalg.norm(said["skip"])],
            "length": [length.mean()],
            "loss": [said["loss"]],
        }
        return {name: np.asarray(value, dtype=np.float64) for name, value in found.items()}


def _all_cosines(N: Array, A: Array) -> list[Array]:
    """The cosines of all pairs of rows of N, of A, and of both about their mean rows."""
    return [
        geometry_small.pairs(geometry_small.cosine(rows)) for rows in (N, A, N - N.mean(axis=0), A - A.mean(axis=0))
    ]
