r"""Exact gradient-flow velocities in closed form, and the order of a residual.

For the cross-entropy of F(X) = W^U G(W_{x_1}, ..., W_{x_L}) under any law of (X, y), population or sample alike,

    dW^E_x / dt  = E[ sum over positions i with x_i = x of  J_i^T W^{U,T} (e_y - p) ]     (Proposition 1, corrected)
    dW^U_nu / dt = E[ (1{y = nu} - p_nu) G ]                                             (Proposition 2)

with p = softmax(F(X)) and J_i = dG / dW_{x_i}. Nothing is approximated and nothing is differentiated numerically:
G and J_i^T come from a model of `probsig.models`.

Axes: W_E, W_U and the velocities are (V token ids, d); logits are (n atoms, V labels).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from probsig import seeds
from probsig.models import EmbeddingModel
from probsig.tasks import Distribution

Array = NDArray[np.float64]
BLOCK = 2**22  # numbers per working array: atoms are taken in blocks, so that memory does not grow with n


def softmax(F: ArrayLike) -> Array:
    """exp(F) over its sum along the last axis, computed after subtracting the maximum.

    >>> softmax([[0.0, 0.0], [1000.0, -1000.0]]).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    F = np.asarray(F, dtype=float)
    powers = np.exp(F - F.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _weights(dist: Distribution, W_E: ArrayLike, W_U: ArrayLike) -> tuple[Array, Array]:
    W_E, W_U = np.asarray(W_E, dtype=float), np.asarray(W_U, dtype=float)
    for name, W in (("W_E", W_E), ("W_U", W_U)):
        if W.ndim != 2 or len(W) != dist.vocab_size:
            raise ValueError(
                f"{name} has shape {W.shape}: pass ({dist.vocab_size}, hidden size), one row per token id of the law"
            )
    if W_E.shape != W_U.shape:
        raise ValueError(f"W_E is {W_E.shape} and W_U is {W_U.shape}: pass matrices of one hidden size")
    return W_E, W_U


def _hidden(model: EmbeddingModel, E: Array) -> Array:
    G = model.hidden(E)
    if G.shape != (E.shape[0], E.shape[2]):
        raise ValueError(f"model.hidden maps embeddings {E.shape} to {G.shape}: it must return (n, d)")
    return G


def _blocks(dist: Distribution, W_E: Array) -> Iterator[slice]:
    rows = max(1, BLOCK // max(dist.length * W_E.shape[1], dist.vocab_size))
    return (slice(start, start + rows) for start in range(0, len(dist.X), rows))


def logits(dist: Distribution, W_E: ArrayLike, W_U: ArrayLike, model: EmbeddingModel) -> Array:
    """F(X) = W^U G of every atom, (n, V); raises ValueError if a weight matrix does not fit the law or each other."""
    W_E, W_U = _weights(dist, W_E, W_U)
    return np.concatenate([_hidden(model, W_E[dist.X[b]]) @ W_U.T for b in _blocks(dist, W_E)])


def loss(dist: Distribution, W_E: ArrayLike, W_U: ArrayLike, model: EmbeddingModel) -> float:
    """The expected cross-entropy E[-log p_y] in nats.

    >>> from probsig.models import LinearModel
    >>> law = Distribution(X=[[0, 1]], y=[1], weight=[1], vocab_size=2)
    >>> round(loss(law, np.zeros((2, 3)), np.zeros((2, 3)), LinearModel()), 6)
    0.693147
    """
    F = logits(dist, W_E, W_U, model)
    F = F - F.max(axis=1, keepdims=True)
    surprise = np.log(np.exp(F).sum(axis=1)) - F[np.arange(len(F)), dist.y]
    return float(dist.probability @ surprise)


def accuracy(dist: Distribution, W_E: ArrayLike, W_U: ArrayLike, model: EmbeddingModel) -> float:
    """The probability that y is the label of the largest logit; of equal logits the smallest id is the answer."""
    return float(dist.probability @ (logits(dist, W_E, W_U, model).argmax(axis=1) == dist.y))


def velocity(dist: Distribution, W_E: ArrayLike, W_U: ArrayLike, model: EmbeddingModel) -> tuple[Array, Array]:
    """The exact gradient flow (dW_E/dt, dW_U/dt), each (V, d): Propositions 1 and 2, minus the gradient of `loss`.

    `model` is any object with `hidden` and `pullback`. A token that repeats in a sequence collects the pullback of
    every position it fills. Raises ValueError if a shape does not fit.

    A law of one atom, [0, 1] with label 1, at W = 0.5 everywhere and d = 1: p = 1/2, and only W^U has a force.

    >>> from probsig.models import LinearModel
    >>> law = Distribution(X=[[0, 1]], y=[1], weight=[1], vocab_size=2)
    >>> W = np.full((2, 1), 0.5)
    >>> [dW.tolist() for dW in velocity(law, W, W, LinearModel())]
    [[[0.0], [0.0]], [[-0.5], [0.5]]]
    """
    W_E, W_U = _weights(dist, W_E, W_U)
    probability = dist.probability
    dW_E, dW_U = np.zeros_like(W_E), np.zeros_like(W_U)
    for block in _blocks(dist, W_E):
        X, y = dist.X[block], dist.y[block]
        E = W_E[X]
        G = _hidden(model, E)
        error = -softmax(G @ W_U.T)  # e_y - p (Lemma 1), weighted by the atom's probability
        error[np.arange(len(y)), y] += 1
        error *= probability[block, None]
        dW_U += error.T @ G
        pulled = model.pullback(E, error @ W_U)
        if pulled.shape != E.shape:
            raise ValueError(
                f"model.pullback returned {pulled.shape} for embeddings {E.shape}: it must return (n, L, d)"
            )
        dW_E += _collect(X, len(W_E)) @ pulled.reshape(X.size, -1)
    return dW_E, dW_U


def _collect(X: NDArray[np.int64], vocab_size: int) -> csr_array:
    """The (V, n L) matrix that adds what stands at position i of an atom to the token x_i."""
    return csr_array((np.ones(X.size), (X.ravel(), np.arange(X.size))), shape=(vocab_size, X.size))


def directions(dist: Distribution, hidden_size: int, seed: int) -> tuple[Array, Array]:
    """Fixed standard normal directions (D_E, D_U), each (V, hidden_size); weights of scale eps are eps * D.

    The streams are those of (seed, "directions", "W_E" | "W_U"): tasks of one vocabulary share their directions.
    """
    shape = (dist.vocab_size, hidden_size)
    D_E, D_U = (seeds.stream(seed, "directions", name).standard_normal(shape) for name in ("W_E", "W_U"))
    return D_E, D_U


@dataclass(frozen=True, eq=False)
class Order:
    """A residual's order: `values` (seeds, scales) and the slope of log value on log scale, per seed and over seeds.

    `slope` is the mean over seeds, `stderr` its standard error (nan for a single seed).
    """

    scales: Array
    values: Array
    slopes: Array
    slope: float
    stderr: float


def residual_order(residual: Callable[[float, int], float], scales: Sequence[float], seeds: Sequence[int]) -> Order:
    """Measure residual(scale, seed) on every scale and seed and fit the slope by least squares, seed by seed.

    A velocity at weights of scale eps has slope 1, so a formula whose residual has slope 1 is wrong at leading order.
    Raises ValueError with fewer than two distinct positive scales, no seed, or a residual that is not positive.

    >>> order = residual_order(lambda scale, seed: (1 + seed) * scale**3, [0.1, 0.2, 0.4], seeds=[0, 1])
    >>> round(order.slope, 9), order.values.shape, order.stderr < 1e-9
    (3.0, (2, 3), True)
    """
    scales = np.asarray(scales, dtype=float)
    if len(np.unique(scales)) < 2 or not (scales > 0).all():
        raise ValueError(f"scales are {scales.tolist()}: pass at least two distinct positive numbers")
    if len(seeds) == 0:
        raise ValueError("seeds is empty: pass at least one seed")
    values = np.array([[float(residual(float(scale), seed)) for scale in scales] for seed in seeds])
    if not ((values > 0) & np.isfinite(values)).all():
        row, column = np.argwhere(~((values > 0) & np.isfinite(values)))[0]
        raise ValueError(
            f"the residual at scale {scales[column]} and seed {seeds[row]} is {values[row, column]}: "
            "a slope needs positive finite residuals"
        )
    x = np.log(scales) - np.log(scales).mean()
    slopes = np.log(values) @ x / (x @ x)
    stderr = float(slopes.std(ddof=1) / np.sqrt(len(slopes))) if len(slopes) > 1 else float("nan")
    return Order(scales, values, slopes, float(slopes.mean()), stderr)
