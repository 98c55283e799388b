r"""Exact gradient-flow velocities in closed form, and the order of a residual.

For the cross-entropy of F(X) = W^U G(W_{x_1}, ..., W_{x_L}) under any law of (X, y), population or sample alike,

    dW^E_x / dt  = E[ sum over positions i with x_i = x of  J_i^T W^{U,T} (e_y - p) ]     (Proposition 1, corrected)
    dW^U_nu / dt = E[ (1{y = nu} - p_nu) G ]                                             (Proposition 2)

with p = softmax(F(X)) and J_i = dG / dW_{x_i}. Nothing is approximated and nothing is differentiated numerically:
G and J_i^T come from a model of `theory.models`.

Axes: W_E, W_U and the velocities are (V token ids, d); logits are (n atoms, V labels).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from probsig.laws.distribution import Distribution
from probsig.theory.models import EmbeddingModel
from probsig.theory.softmax import Array, softmax

BLOCK = 2**22  # numbers per working array: atoms are taken in blocks, so that memory does not grow with n


def _weights(law: Distribution, W_E: ArrayLike, W_U: ArrayLike) -> tuple[Array, Array]:
    if not isinstance(law, Distribution):
        raise ValueError(f"law is {law!r}: pass a Distribution, such as laws.tasks.addition() gives")
    W_E, W_U = np.asarray(W_E, dtype=float), np.asarray(W_U, dtype=float)
    for name, W in (("W_E", W_E), ("W_U", W_U)):
        if W.ndim != 2 or len(W) != law.vocab_size:
            raise ValueError(
                f"{name} has shape {W.shape}: pass ({law.vocab_size}, hidden size), one row per token id of the law"
            )
    if W_E.shape != W_U.shape:
        raise ValueError(f"W_E is {W_E.shape} and W_U is {W_U.shape}: pass matrices of one hidden size")
    return W_E, W_U


def _hidden(model: EmbeddingModel, E: Array) -> Array:
    G = model.hidden(E)
    if G.shape != (E.shape[0], E.shape[2]):
        raise ValueError(f"model.hidden maps embeddings {E.shape} to {G.shape}: it must return (n, d)")
    return G


def _blocks(law: Distribution, W_E: Array) -> Iterator[slice]:
    rows = max(1, BLOCK // max(law.length * W_E.shape[1], law.vocab_size))
    return (slice(start, start + rows) for start in range(0, len(law.X), rows))


def logits(law: Distribution, W_E: ArrayLike, W_U: ArrayLike, model: EmbeddingModel) -> Array:
    """F(X) = W^U G of every atom, (n, V); raises ValueError if a weight matrix does not fit the law or each other."""
    W_E, W_U = _weights(law, W_E, W_U)
    return np.concatenate([_hidden(model, W_E[law.X[b]]) @ W_U.T for b in _blocks(law, W_E)])


def loss(law: Distribution, W_E: ArrayLike, W_U: ArrayLike, model: EmbeddingModel) -> float:
    """The expected cross-entropy E[-log p_y] in nats, of weights W_E and W_U, each (V, d).

    (The loss of section 3.1 of the paper.) Raises ValueError as `velocity` does.

    >>> from probsig.theory.models import LinearModel
    >>> law = Distribution(X=[[0, 1]], y=[1], weight=[1], vocab_size=2)
    >>> round(loss(law, np.zeros((2, 3)), np.zeros((2, 3)), LinearModel()), 6)
    0.693147
    """
    F = logits(law, W_E, W_U, model)
    F = F - F.max(axis=1, keepdims=True)
    surprise = np.log(np.exp(F).sum(axis=1)) - F[np.arange(len(F)), law.y]
    return float(law.probability @ surprise)


def accuracy(law: Distribution, W_E: ArrayLike, W_U: ArrayLike, model: EmbeddingModel) -> float:
    """The probability that y is the label of the largest logit; of equal logits the smallest id is the answer."""
    return float(law.probability @ (logits(law, W_E, W_U, model).argmax(axis=1) == law.y))


def velocity(law: Distribution, W_E: ArrayLike, W_U: ArrayLike, model: EmbeddingModel) -> tuple[Array, Array]:
    """The exact gradient flow (dW_E/dt, dW_U/dt), each (V, d): Propositions 1 and 2, minus the gradient of `loss`.

    `model` is any object with `hidden` and `pullback`. A token that repeats in a sequence collects the pullback of
    every position it fills. Raises ValueError if a shape does not fit.

    A law of one atom, [0, 1] with label 1, at W = 0.5 everywhere and d = 1: p = 1/2, and only W^U has a force.

    >>> from probsig.theory.models import LinearModel
    >>> law = Distribution(X=[[0, 1]], y=[1], weight=[1], vocab_size=2)
    >>> W = np.full((2, 1), 0.5)
    >>> [dW.tolist() for dW in velocity(law, W, W, LinearModel())]
    [[[0.0], [0.0]], [[-0.5], [0.5]]]
    """
    W_E, W_U = _weights(law, W_E, W_U)
    probability = law.probability
    dW_E, dW_U = np.zeros_like(W_E), np.zeros_like(W_U)
    for block in _blocks(law, W_E):
        X, y = law.X[block], law.y[block]
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
