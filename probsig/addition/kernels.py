r"""Compiled minibatch steps of the paper's two models under Adam: the formulas of `gradients.gradient`, in one loop.

What a step costs is three matrix products; everything else is fused around them. In the linear model F = C M with
M = W^E W^{U,T}, so the products are over the T tokens that occur and not over the batch: a sequence adds rows of M, and
the gradient in M collects its error in the same rows. In the feed-forward model the products are over the batch.

The kernels hold no lock of the interpreter, so runs train side by side in threads; the products run on one BLAS thread.
Compiled code is cached beside this file, or where NUMBA_CACHE_DIR says.

Axes: E and its moments are (T tokens that occur, d), U and its moments (V, d), tokens (n atoms, L positions) holds
indices into the T rows, order (steps, batch) atoms. Everything that trains is float32.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

REDUCE = {"reassoc", "nsz", "nnan", "ninf", "contract"}  # sums and maxima may be split over vector lanes
LOG2E, HIGH, LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
ONE, HALF, FLOOR = np.float32(1), np.float32(0.5), np.float32(-87)
P0, P1, P2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
P3, P4, P5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)


@njit(inline="always")
def exponential(x):
    """exp(x) in float32 for x <= 0, to two units in the last place; below -87 it is exp(-87), about 1.6e-38.

    Written out so that the compiler can vectorise it: x = n log 2 + r, a polynomial in r (the Cephes library's
    coefficients), and the exponent n set in the bits.
    """
    x = max(x, FLOOR)
    n = np.floor(x * LOG2E + HALF)
    r = (x - n * HIGH) - n * LOW
    p = ((((P0 * r + P1) * r + P2) * r + P3) * r + P4) * r + P5
    return (p * r * r + r + ONE) * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@njit(fastmath=REDUCE, error_model="numpy", nogil=True, cache=True)
def error(row, label, share):
    """Turn a row of logits (V,) into share * (softmax - one-hot of the label), in place."""
    top = row[0]
    for j in range(row.size):
        top = max(top, row[j])
    total = np.float32(0)
    for j in range(row.size):
        row[j] = exponential(row[j] - top)
    for j in range(row.size):
        total += row[j]
    scale = share / total
    for j in range(row.size):
        row[j] *= scale
    row[label] -= share


@njit(error_model="numpy", nogil=True, cache=True)
def adam(W, gradient, mean, square, shrink, new_mean, old_square, new_square, rise, root, eps):
    """One AdamW update of the flat arrays W, mean, square. new_mean is 1 - beta_1, old_square beta_2 and new_square
    1 - beta_2, each rounded once; rise is the rate over the mean's correction, root the square's correction."""
    for i in range(W.size):
        g = gradient[i]
        mean[i] += (g - mean[i]) * new_mean
        square[i] = square[i] * old_square + g * g * new_square
        W[i] = W[i] * shrink - rise * (mean[i] / (np.sqrt(square[i]) * root + eps))


@njit(error_model="numpy", nogil=True, cache=True)
def linear(E, U, products, gradient_E, gradient_U, tokens, labels, atoms, share, row):
    """The gradient of the linear model on one batch; `products` (2, T, V) and `row` (V,) are work space."""
    M, Q = products[0], products[1]
    np.dot(E, U.T, M)
    Q[:] = 0
    for atom in atoms:
        row[:] = M[tokens[atom, 0]]
        for i in range(1, tokens.shape[1]):
            m = M[tokens[atom, i]]
            for j in range(row.size):
                row[j] += m[j]
        error(row, labels[atom], share)
        for i in range(tokens.shape[1]):
            q = Q[tokens[atom, i]]
            for j in range(row.size):
                q[j] += row[j]
    np.dot(Q, U, gradient_E)
    np.dot(Q.T, E, gradient_U)


@njit(error_model="numpy", nogil=True, cache=True)
def feed_forward(E, U, hidden, errors, gradient_E, gradient_U, tokens, labels, atoms, share):
    """The gradient of the feed-forward ReLU model on one batch; hidden (2, B, d) and errors (B, V) are work space."""
    H, back = hidden[0], hidden[1]
    for b in range(atoms.size):
        h = H[b]
        h[:] = E[tokens[atoms[b], 0]]
        for i in range(1, tokens.shape[1]):
            e = E[tokens[atoms[b], i]]
            for j in range(h.size):
                h[j] += e[j]
        for j in range(h.size):
            h[j] = max(h[j], np.float32(0))
    np.dot(H, U.T, errors)
    for b in range(atoms.size):
        error(errors[b], labels[atoms[b]], share)
    np.dot(errors.T, H, gradient_U)
    np.dot(errors, U, back)
    gradient_E[:] = 0
    for b in range(atoms.size):
        g, h = back[b], H[b]
        for j in range(g.size):
            g[j] = g[j] if h[j] > 0 else np.float32(0)
        for i in range(tokens.shape[1]):
            e = gradient_E[tokens[atoms[b], i]]
            for j in range(g.size):
                e[j] += g[j]


@njit(nogil=True, cache=True)
def advance(is_linear, split, W, mean, square, absent, tokens, labels, order, done, rate, betas, eps, decay):
    """Take len(order) AdamW steps in place, from step `done` on.

    W, mean, square are flat: E (T, d) in the first `split` entries, then U (V, d); absent (k, d) are the rows of W^E of
    tokens that occur nowhere, which only decay. rate, betas, eps, decay are AdamW's, in float64.
    """
    d = absent.shape[1]
    steps, batch = order.shape
    E, U = W[:split].reshape(-1, d), W[split:].reshape(-1, d)
    gradient = np.zeros_like(W)
    gradient_E, gradient_U = gradient[:split].reshape(-1, d), gradient[split:].reshape(-1, d)
    T, V = E.shape[0], U.shape[0]
    products, row = np.empty((2, T, V), np.float32), np.empty(V, np.float32)
    hidden, errors = np.empty((2, batch, d), np.float32), np.empty((batch, V), np.float32)
    share, shrink = np.float32(1 / batch), np.float32(1 - rate * decay)
    new_mean, old_square, new_square = np.float32(1 - betas[0]), np.float32(betas[1]), np.float32(1 - betas[1])
    for s in range(steps):
        if is_linear:
            linear(E, U, products, gradient_E, gradient_U, tokens, labels, order[s], share, row)
        else:
            feed_forward(E, U, hidden, errors, gradient_E, gradient_U, tokens, labels, order[s], share)
        t = done + s + 1
        rise = np.float32(rate / (1 - betas[0] ** t))
        root = np.float32(1 / math.sqrt(1 - betas[1] ** t))
        adam(W, gradient, mean, square, shrink, new_mean, old_square, new_square, rise, root, np.float32(eps))
        flat = absent.reshape(-1)
        for i in range(flat.size):
            flat[i] *= shrink
