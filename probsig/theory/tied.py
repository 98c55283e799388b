r"""Tied embeddings (C.2): one matrix W is embedding and unembedding of the bigram path, ``F(x) = W W_x``.

Exactly ``dW = (M + M^T) W`` with ``M = E[e_x (e_y - p)^T]``; to first order M is the centred bigram matrix, and
``W(t) = exp(t M_s) W(0)``. Rows of W are tokens.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from probsig.errors import one_of
from probsig.theory.language import centred
from probsig.theory.softmax import Array, softmax

FORMS = {
    "printed": "r_s phi~_s: N + N^T without centring",
    "first_order": "M_s = N + N^T, centred",
    "third_order": "with -(Q + Q^T), Q = diag(n) W W^T Pi / V",
}


def symmetrised(N: Array) -> Array:
    r"""``M_s = N + N^T - (1/V)(1 n^T + n 1^T)``, the centred symmetrised bigram matrix (V, V).

    >>> symmetrised(np.array([[0.0, 0.5], [0.5, 0.0]])).tolist()
    [[-0.5, 0.5], [0.5, -0.5]]
    """
    C = centred(N)
    return C + C.T


def velocity(N: Array, W: Array) -> Array:
    """Exact flow of the tied matrix W (V, d) under the pair frequencies ``N[token, next]`` (V, V)."""
    M = N - softmax(W @ W.T) * N.sum(axis=1, keepdims=True)
    return (M + M.T) @ W


def tied(N: Array, W: Array, form: str) -> Array:
    """The flow of W (V, d) by one of ``FORMS``; raises ValueError on an unknown form."""
    one_of("form", form, FORMS)
    if form == "printed":
        return (N + N.T) @ W
    M = symmetrised(N)
    if form == "third_order":
        Q = centred(W @ W.T) * N.sum(axis=1, keepdims=True) / len(N)
        M = M - Q - Q.T
    return M @ W


def trajectory(N: Array, W: Array, time: float) -> Array:
    """Closed form ``exp(t M_s) W(0)``, valid while the logits stay small."""
    return expm(time * symmetrised(N)) @ W


def integrate(N: Array, W: Array, time: float) -> Array:
    """The full nonlinear flow from W to ``time`` (DOP853, relative tolerance 1e-9).

    The flow moves W inside the span of its rows, so d columns are first reduced to V by a QR factorisation: a
    vocabulary of 20 in 20,000 dimensions costs no more than in 20.
    """
    Q, R = np.linalg.qr(W.T)  # W = R.T @ Q.T with Q orthonormal, (d, k)
    start = R.T
    solution = solve_ivp(
        lambda _, w: velocity(N, w.reshape(start.shape)).ravel(),
        (0, time),
        start.ravel(),
        method="DOP853",
        rtol=1e-9,
        atol=1e-12 * np.abs(start).max(),
    )
    return solution.y[:, -1].reshape(start.shape) @ Q.T
