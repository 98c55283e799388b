"""The exact next-token flow of a model that reads one token, on a finite law of sequences."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from probsig.laws.sequences import SequenceLaw
from probsig.theory.models import EmbeddingModel
from probsig.theory.softmax import Array, softmax


def velocity(law: SequenceLaw, W_E: ArrayLike, W_U: ArrayLike, model: EmbeddingModel) -> tuple[Array, Array]:
    """Exact gradient flow of next-token prediction, ``(dW_E, dW_U)``, each (V, d).

    Propositions 1 and 2 applied to the L - 1 predictions of a sequence; exact for any causal ``model``.

    >>> from probsig.theory.modules import TorchModel
    >>> law, residual_path = SequenceLaw([[0, 1]], [1.0], 2), TorchModel(lambda E: E)
    >>> dE, dU = velocity(law, np.array([[1.0], [0.0]]), np.zeros((2, 1)), residual_path)
    >>> dU.ravel().tolist()  # (e_1 - 1/2) E_0 / L
    [-0.25, 0.25]
    """
    W_E, W_U = np.asarray(W_E, dtype=np.float64), np.asarray(W_U, dtype=np.float64)
    E = W_E[law.X]  # (n, L, d)
    H = model.hidden(E)[:, :-1]
    residual = -softmax(H @ W_U.T)  # e_y - p, (n, L-1, V)
    np.put_along_axis(
        residual, law.X[:, 1:, None], 1 + np.take_along_axis(residual, law.X[:, 1:, None], axis=2), axis=2
    )
    residual *= (law.probability / law.length)[:, None, None]
    g = np.zeros_like(E)
    g[:, :-1] = residual @ W_U
    dW_E = np.zeros_like(W_E)
    np.add.at(dW_E, law.X, model.pullback(E, g))
    dW_U = np.einsum("ntv,ntd->vd", residual, H, optimize=True)
    return dW_E, dW_U
