"""Torch modules as embedding-based models: a hidden map written in torch, its pullback by autograd.

Everything in `theory.flow` and `theory.sequences` takes an object with ``hidden`` and ``pullback`` in numpy
float64. :class:`TorchModel` wraps any module that maps embeddings (n, L, d) to hidden vectors, (n, d) for a labelled
sequence or (n, L, d) for a causal model. :class:`CausalBlocks` is a small residual stack of causal attention and MLP,
the architecture of Corollary 4.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from probsig.errors import brief
from probsig.laws.distribution import Distribution
from probsig.theory.softmax import Array

HiddenMap = Callable[[torch.Tensor], torch.Tensor]
"""Embeddings (n, L, d) to hidden vectors, (n, d) or (n, L, d): a torch module, or a function of tensors."""


class TorchModel:
    """Adapter of a torch module over embeddings, (n, L, d) to (n, d), or to (n, L, d) where it is causal.

    The module is converted to float64 in place, its own weights stay fixed. (G of the paper's Definition 1, in torch.)

    Raises ValueError for what cannot be called, what the module raises, and RuntimeError in ``pullback`` where torch
    has no gradient of it.

    >>> model = TorchModel(lambda E: E.sum(dim=1).tanh())
    >>> model.hidden(np.zeros((1, 2, 3))).tolist()
    [[0.0, 0.0, 0.0]]
    """

    def __init__(self, module: HiddenMap):
        if not callable(module):
            raise ValueError(f"module is {brief(module)}: pass a torch module or a function of tensors")
        self.module: HiddenMap = module.double() if isinstance(module, nn.Module) else module

    def hidden(self, E: ArrayLike) -> Array:
        """Hidden vectors of embeddings ``E`` (n, L, d), as numpy float64."""
        with torch.no_grad():
            return self.module(torch.as_tensor(np.asarray(E, dtype=np.float64))).numpy()

    def pullback(self, E: ArrayLike, g: ArrayLike) -> Array:
        """``J_i^T g`` for every position i, shape of ``E``: the vector-Jacobian product of the module."""
        E = torch.as_tensor(np.asarray(E, dtype=np.float64)).requires_grad_()
        H = self.module(E)
        (pulled,) = torch.autograd.grad(H, E, torch.as_tensor(np.asarray(g, dtype=np.float64)))
        return pulled.numpy()


def rms_norm(x: torch.Tensor) -> torch.Tensor:
    """``x / rms(x)`` along the last axis, without a gain."""
    return x / x.pow(2).mean(-1, keepdim=True).sqrt()


class CausalBlocks(nn.Module):
    """Residual blocks of causal softmax attention and an optional MLP, ``h <- h + attention(h)``, ``h <- h + MLP(h)``.

    Weights are ``std * N(0, 1)`` from a numpy generator. ``norm`` is None or "pre" (an RMSNorm before each branch and
    a last one, as Qwen2.5 and Llama-2 have it). Shapes: (n, L, d) to (n, L, d).
    """

    def __init__(self, hidden_size, std, rng, *, heads=1, head_size=None, blocks=1, mlp_size=None, norm=None):
        super().__init__()
        head_size = head_size or hidden_size // heads
        inner = heads * head_size

        def weight(*shape):
            return nn.Parameter(torch.as_tensor(std * rng.standard_normal(shape)))

        self.heads, self.head_size, self.norm = heads, head_size, norm
        self.attention = nn.ModuleList()
        self.mlp = nn.ModuleList()
        for _ in range(blocks):
            shapes = {"query": (inner, hidden_size), "key": (inner, hidden_size), "value": (inner, hidden_size)}
            parameters = {name: weight(*shape) for name, shape in shapes.items()}
            self.attention.append(nn.ParameterDict(parameters | {"output": weight(hidden_size, inner)}))
            if mlp_size:
                up, down = weight(mlp_size, hidden_size), weight(hidden_size, mlp_size)
                self.mlp.append(nn.ParameterDict({"up": up, "down": down}))

    def _normed(self, x):
        return rms_norm(x) if self.norm == "pre" else x

    def _attend(self, x, weights):
        n, L, _ = x.shape
        query, key, value = (
            (x @ weights[name].T).view(n, L, self.heads, self.head_size).transpose(1, 2)  # (n, heads, L, head_size)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(-1, -2) / self.head_size**0.5
        future = torch.ones(L, L, dtype=torch.bool).triu(1)
        mixed = scores.masked_fill(future, -torch.inf).softmax(-1) @ value
        return mixed.transpose(1, 2).reshape(n, L, -1) @ weights["output"].T

    def residual_stream(self, E):
        """The hidden states (n, L, d) before the last norm: the embeddings plus what every branch added."""
        h = E
        for i, weights in enumerate(self.attention):
            h = h + self._attend(self._normed(h), weights)
            if len(self.mlp):
                x = self._normed(h)
                h = h + torch.tanh(x @ self.mlp[i]["up"].T) @ self.mlp[i]["down"].T  # type: ignore[index]
        return h

    def forward(self, E):
        return self._normed(self.residual_stream(E))

    def value_map(self) -> np.ndarray:
        """``W^OV`` of the first block summed over heads, (d, d)."""
        with torch.no_grad():
            return (self.attention[0]["output"] @ self.attention[0]["value"]).numpy()  # type: ignore[index]

    def mlp_map(self) -> np.ndarray:
        """Linearisation of the first block's MLP at zero, ``W_down W_up`` (d, d)."""
        with torch.no_grad():
            return (self.mlp[0]["down"] @ self.mlp[0]["up"]).numpy()  # type: ignore[index]


def by_autograd(law: Distribution, W_E: ArrayLike, W_U: ArrayLike, module: HiddenMap) -> tuple[Array, Array]:
    """Minus the gradient of the expected loss, end to end by autograd with the whole law as one batch: (dW_E, dW_U)."""
    E, U = (torch.tensor(np.asarray(W, dtype=np.float64), requires_grad=True) for W in (W_E, W_U))
    X, y, probability = (torch.tensor(a) for a in (law.X, law.y, law.probability))
    log_p = (module(E[X]) @ U.T).log_softmax(-1)
    loss = -probability @ log_p[torch.arange(len(y)), y]
    dE, dU = torch.autograd.grad(loss, (E, U))
    return -dE.numpy(), -dU.numpy()
