r"""Gradients of the addition models by hand and the optimisers, on numpy arrays or torch tensors alike.

The models of section 3.1 of the paper see a sequence only through the sum of its embeddings, S = C E with C (n, T) the
counts of the T tokens that occur. With w the weights of the sequences and P = w (softmax(F) - one-hot(y)), (n, V):

    linear         F = C M with M = E U^T           Q = C^T P,  dE = Q U,  dU = Q^T E
    feed-forward   F = H U^T with H = sigma(S)      dU = P^T H,  dE = C^T ((P U) * sigma'(S))

so in the linear model a batch meets only the small matrix M, once a step. A second hidden layer puts
H = sigma(sigma(S) W^T) with an inner matrix W (d, d). The population gradient is the same formula with all sequences
and their probabilities: minus the velocity of Propositions 1 and 2 (`theory.flow.velocity`).

Every array may have leading axes, one run beside another; `xp` is the library, numpy or torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from probsig.errors import one_of
from probsig.theory.activations import ACTIVATIONS

OPTIMISERS = ("adamw", "adam", "sgd")


def gradient(
    model: str, C: Any, y: Any, weight: Any, weights: Sequence[Any], activation: str = "relu", xp: Any = np
) -> list[Any]:
    """The gradient of the weighted cross-entropy in `weights`: E (T, d), U (V, d) and an inner matrix (d, d), if any.

    model "linear" or "ffn"; C (n, T) counts, y (n,) labels, weight (n,) summing to one, all floats of one type.

    >>> one = np.ones((1, 1))
    >>> [g.tolist() for g in gradient("linear", one, np.array([1]), np.ones(1), [one, np.array([[0.0], [0.0]])])]
    [[[0.0]], [[0.5], [-0.5]]]
    """
    E, U, *inner = weights
    turn = lambda A: A.swapaxes(-1, -2)  # noqa: E731
    if model == "linear":
        F = C @ (E @ turn(U))
    else:
        sigma = ACTIVATIONS[activation]
        layers = [(sigma.function(S), sigma.derivative(S)) for S in [C @ E]]
        for W in inner:
            S = layers[-1][0] @ turn(W)
            layers.append((sigma.function(S), sigma.derivative(S)))
        F = layers[-1][0] @ turn(U)
    P = xp.exp(F - xp.amax(F, -1, keepdims=True))
    P = P * (weight / P.sum(-1))[..., None]
    P = P - (y[..., None] == xp.arange(U.shape[-2], **_beside(y, xp))) * weight[..., None]
    if model == "linear":
        Q = turn(C) @ P
        return [Q @ U, turn(Q) @ E]
    dU, dInner, back = turn(P) @ layers[-1][0], [], P @ U  # type: ignore[var-annotated]
    for W, (before, _), (_, slope) in zip(inner[::-1], layers[-2::-1], layers[:0:-1], strict=True):
        back = back * slope
        dInner.insert(0, turn(back) @ before)
        back = back @ W
    return [turn(C) @ (back * layers[0][1]), dU, *dInner]


def _beside(array: Any, xp: Any) -> dict[str, Any]:
    return {} if xp is np else {"device": array.device}


class Optimiser:
    """AdamW, Adam or plain gradient descent on a flat array, in place, with torch's defaults and order of operations.

    A first step of AdamW moves every entry by the learning rate against the sign of its gradient, after the decay.
    Adam is AdamW without the decay. Raises ValueError for an unknown name.

    >>> W = np.array([1.0, -1.0])
    >>> Optimiser("adamw", W, learning_rate=0.1).step(np.array([3.0, -5.0]))
    >>> W.round(6).tolist()
    [0.899, -0.899]
    """

    betas, eps = (0.9, 0.999), 1e-8

    def __init__(self, name: str, W: Any, learning_rate: float, xp: Any = np):
        one_of("optimiser", name, OPTIMISERS)
        self.name, self.W, self.learning_rate, self.xp = name, W, learning_rate, xp
        self.weight_decay = 0.01 if name == "adamw" else 0.0
        self.steps = 0
        self.mean, self.square = xp.zeros_like(W), xp.zeros_like(W)

    @property
    def shrink(self) -> float:
        """The factor by which a step without a gradient shrinks a weight."""
        return 1 - self.learning_rate * self.weight_decay

    def step(self, gradient: Any) -> None:
        """One update of W by its gradient, an array like W."""
        self.steps += 1
        if self.name == "sgd":
            self.W -= self.learning_rate * gradient
            return
        first, second = self.betas
        self.W *= self.shrink
        self.mean += (gradient - self.mean) * (1 - first)
        self.square *= second
        self.square += gradient * gradient * (1 - second)
        size = self.xp.sqrt(self.square) * (1 - second**self.steps) ** -0.5 + self.eps
        self.W -= self.mean / size * (self.learning_rate / (1 - first**self.steps))
