r"""Embedding-based models: a hidden map G, its pullback J_i^T g, and the initial weights.

A model of Definition 1 (section 3.1 of the paper) is F(X) = W^U G(W_{x_1}, ..., W_{x_L}).
What the gradient flow needs of G is two things: its value, and for every position i the transposed Jacobian
J_i = dG / dW_{x_i} applied to a vector. Any object with these two methods is a model here: the linear and the
feed-forward map below, an attention layer, a torch module.

Axes: embeddings E are (n atoms, L positions, d), hidden vectors (n, d), weights W_E and W_U (V token ids, d).
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from probsig import seeds
from probsig.errors import one_of
from probsig.theory.activations import ACTIVATIONS, Activation

Array = NDArray[np.float64]


class EmbeddingModel(Protocol):
    """The hidden map G of Definition 1 and its transposed Jacobians; float64 in and out."""

    def hidden(self, E: Array) -> Array:
        """G of the embeddings E (n, L, d), as (n, d)."""
        ...

    def pullback(self, E: Array, g: Array) -> Array:
        """J_i^T g for every position i, (n, L, d), with J_i[a, b] = dG_a / dE_{i, b} and g (n, d)."""
        ...


class LinearModel:
    """F_lin of section 3.1: G is the sum of the embeddings over positions, so every J_i is the identity.

    >>> LinearModel().hidden(np.array([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
    [[4.0, 6.0]]
    """

    def hidden(self, E: Array) -> Array:
        """The sum over positions, (n, d)."""
        return E.sum(axis=1)

    def pullback(self, E: Array, g: Array) -> Array:
        """g at every position, a read-only (n, L, d) view."""
        return np.broadcast_to(g[:, None, :], E.shape)


class FeedForward:
    """F_ffn of section 3.1: G = sigma(sum of the embeddings), so every J_i is diag(sigma'(s)).

    `activation` is an Activation or a name in ACTIVATIONS; raises ValueError for an unknown name.

    >>> FeedForward("relu").hidden(np.array([[[1.0, -2.0], [3.0, -4.0]]])).tolist()
    [[4.0, 0.0]]
    """

    def __init__(self, activation: Activation | str):
        if not isinstance(activation, Activation):
            one_of("activation", activation, ACTIVATIONS)
            activation = ACTIVATIONS[activation]
        self.activation = activation

    def hidden(self, E: Array) -> Array:
        """sigma of the sum over positions, (n, d)."""
        return self.activation.function(E.sum(axis=1))

    def pullback(self, E: Array, g: Array) -> Array:
        """sigma'(s) * g at every position, a read-only (n, L, d) view."""
        return np.broadcast_to((self.activation.derivative(E.sum(axis=1)) * g)[:, None, :], E.shape)


def initial_weights(
    vocab_size: int,
    hidden_size: int,
    init: str | float = "sd",
    seed: int = 0,
    stream: Sequence[str] = ("init",),
) -> tuple[Array, Array]:
    """Random weights W_E and W_U, each (vocab_size, hidden_size), from the streams (seed, *stream, "W_E" | "W_U").

    The paper's Appendix A writes N(0, d^-0.8). `init="sd"` reads it as the standard deviation d^-0.8, "variance" as the
    variance (standard deviation d^-0.4), "torch" takes the defaults of nn.Embedding, N(0, 1), and of nn.Linear, uniform
    within +-d^-1/2, and a positive number is a standard deviation. Both Gaussian readings scale the same directions.
    Raises ValueError for an unknown init or a size below 1.

    >>> W_E, W_U = initial_weights(4, 3, init=0.5, seed=1)
    >>> W_E.shape, bool(np.allclose(W_E, 0.5 * initial_weights(4, 3, init=1.0, seed=1)[0]))
    ((4, 3), True)
    """
    for name, size in (("vocab_size", vocab_size), ("hidden_size", hidden_size)):
        if size < 1:
            raise ValueError(f"{name} is {size}: pass an integer of at least 1")
    scales = {"sd": hidden_size**-0.8, "variance": hidden_size**-0.4, "torch": 1.0}
    if isinstance(init, numbers.Real) and not isinstance(init, bool) and 0 < init < math.inf:
        scale = float(init)
    else:
        one_of("init", init, scales, ", or a positive standard deviation")
        scale = scales[str(init)]
    shape = (vocab_size, hidden_size)
    W_E = scale * seeds.stream(seed, *stream, "W_E").standard_normal(shape)
    rng = seeds.stream(seed, *stream, "W_U")
    bound = hidden_size**-0.5
    W_U = rng.uniform(-bound, bound, shape) if init == "torch" else scale * rng.standard_normal(shape)
    return W_E, W_U
