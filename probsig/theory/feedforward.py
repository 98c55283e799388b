r"""Corollary 2: the embedding flow of the feed-forward model, printed, corrected and gated, and the kernel law.

For sigma(s) = c1 s + c2 s^2 (sections 4.2 and D.4 of the paper: c1 = 1, c2 = 1/2) and weights of scale eps,

    dW^E_x / dt = n_x { c1 W_U^T (phi^y - 1/V) + 2 c2 T : (phi^{X|y} - (1/V) 1 phi^{X,T}) - c1^2 Sigma_U W_E phi^X }
                  - c1 c2 E[c_x (Sigma_U s^2 + 2 s * Sigma_U s)] + O(eps^5),

orders 1, 2, 3 in the braces and 4 after them. Here s = W_E c is the sum of the embeddings, n_x = E[c_x], the signatures
are those of the count convention, T[:, nu, x'] = W_U[nu] * W_E[x'] and Sigma_U is the covariance of the unembedding
rows. An activation without a second-order Taylor expansion, such as ReLU, keeps its gate sigma'(s): see `gated`.

Axes: W_E, W_U and every flow are (V token ids, d).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from probsig import seeds
from probsig.errors import one_of
from probsig.laws.distribution import Distribution
from probsig.theory.activations import Activation
from probsig.theory.softmax import covariance

Array = NDArray[np.float64]

FORMS_2: dict[str, str] = {
    "printed": "equation (2): membership signatures, epsilon dropped",
    "printed_with_mean": "equation (2) with D.4's -(1/V) W^U^T 1, the part of epsilon that is written out",
    "uncentred_joint": "count signatures and the mean, with the joint term and the decay as printed",
    "second_order": "count signatures, centred label and joint terms",
    "third_order": "with the decay -n_x Sigma_U W^E phi^X",
    "fourth_order": "with the triple signature",
}
FORMS_GATED: dict[str, str] = {
    "first_order": "the label force through the gate sigma'(s)",
    "third_order": "with the response -Sigma_U sigma(s) through the gate",
}
KERNELS: tuple[str, ...] = ("linear", "quadratic", "relu")


def corollary_2(
    law: Distribution, W_E: ArrayLike, W_U: ArrayLike, form: str, c1: float = 1.0, c2: float = 0.5
) -> Array:
    """The embedding flow (V, d) of the feed-forward model with sigma = c1 s + c2 s^2, by one of `FORMS_2`.

    The printed forms are the paper's, whose c1 and c2 are 1 and 1/2; with other values they get the factors that the
    corrected formula has. Raises ValueError for an unknown form. (Corollary 2 of the paper, D.4.)

    One atom [0, 1] with label 1, W = 0.5 for every token, d = 1: the two unembeddings are equal, so nothing moves,
    but the printed form says 0.5 + 0.5 * 1 - 0.5 * 0.5 * 1 for both tokens.

    >>> law = Distribution(X=[[0, 1]], y=[1], weight=[1], vocab_size=2)
    >>> W = np.full((2, 1), 0.5)
    >>> [corollary_2(law, W, W, form).ravel().tolist() for form in ("printed", "fourth_order")]
    [[0.75, 0.75], [0.0, 0.0]]
    """
    one_of("form", form, FORMS_2)
    W_E, W_U = np.asarray(W_E, dtype=float), np.asarray(W_U, dtype=float)
    c = law.counts().astype(float)
    if form.startswith("printed"):
        c = np.minimum(c, 1.0)  # x in X, not how often
    s, mean = c @ W_E, W_U.mean(axis=0)
    label = W_U[law.y]
    if form != "printed":
        label = label - mean
    joint = label if form.endswith("_order") else W_U[law.y]
    force = c1 * label + 2 * c2 * joint * s
    if form.startswith("printed") or form == "uncentred_joint":
        force = force - c1**2 * s @ (W_U.T @ W_U / len(W_U))
    elif form != "second_order":
        sigma = covariance(W_U)
        force = force - c1**2 * s @ sigma
        if form == "fourth_order":
            force = force - c1 * c2 * (s**2 @ sigma + 2 * s * (s @ sigma))
    return c.T @ (law.probability[:, None] * force)


def gated(law: Distribution, W_E: ArrayLike, W_U: ArrayLike, activation: Activation, form: str) -> Array:
    """The embedding flow (V, d) of any elementwise activation, with its gate sigma'(s) unexpanded; see `FORMS_GATED`.

    E[c_x sigma'(s) * (W_U[y] - mean of W_U)], and in third order - E[c_x sigma'(s) * Sigma_U sigma(s)] as well.
    With sigma(0) = 0 the residuals are O(eps^3) and O(eps^5); no derivative of sigma beyond the first is used.
    Raises ValueError for an unknown form.
    """
    one_of("form", form, FORMS_GATED)
    W_E, W_U = np.asarray(W_E, dtype=float), np.asarray(W_U, dtype=float)
    c = law.counts().astype(float)
    s = c @ W_E
    force = W_U[law.y] - W_U.mean(axis=0)
    if form == "third_order":
        force = force - activation.function(s) @ covariance(W_U)
    return c.T @ (law.probability[:, None] * activation.derivative(s) * force)


def relu_quadratic(R: float, norm: str) -> tuple[float, float, float, float]:
    """The best quadratic for ReLU on [-R, R]: (C0, C1, C2, largest error).

    `norm` is "sup", which makes the largest error smallest, or "squares", least squares over the interval.
    Raises ValueError for an unknown norm or an R that is not positive.

    >>> relu_quadratic(2.0, "sup")
    (0.125, 0.5, 0.25, 0.125)
    >>> relu_quadratic(2.0, "squares")
    (0.1875, 0.5, 0.234375, 0.1875)
    """
    if not R > 0:
        raise ValueError(f"R is {R}: pass a positive number")
    one_of("norm", norm, ("sup", "squares"))
    if norm == "sup":
        return R / 16, 0.5, 1 / (2 * R), R / 16
    return 3 * R / 32, 0.5, 15 / (32 * R), 3 * R / 32


def kernel(law: Distribution, kind: str, scale: float = 1.0) -> Array:
    """kappa(X, X') = E[sigma'(s_X) sigma'(s_X')] of every pair of atoms, (n, n), for normal embeddings.

    `kind` is one of `KERNELS`: 1, 1 + scale^2 c.c', and (pi - angle between c and c') / 2 pi, where sigma is s,
    s + s^2/2 and ReLU. `scale` is the standard deviation of the embeddings. Raises ValueError for an unknown kind.

    >>> law = Distribution(X=[[0, 1], [0, 0]], y=[0, 0], weight=[1, 1], vocab_size=2)
    >>> kernel(law, "relu").round(4).tolist(), kernel(law, "quadratic")[0].tolist()
    ([[0.5, 0.375], [0.375, 0.5]], [3.0, 3.0])
    """
    one_of("kind", kind, KERNELS)
    c = law.counts()
    if kind == "linear":
        return np.ones((len(c), len(c)))
    there: Array = c[:, c.any(axis=0)].astype(float)
    overlap = there @ there.T
    if kind == "quadratic":
        return 1 + scale**2 * overlap
    length = np.sqrt(np.diag(overlap))
    overlap /= length[:, None]
    overlap /= length
    return 0.5 - np.arccos(np.clip(overlap, -1, 1)) / (2 * np.pi)


def kernel_law(law: Distribution, tokens: Sequence[int], kind: str, scale: float = 1.0) -> Array:
    """The expected Gram matrix (k, k) of the first velocities of `tokens`, divided by d eps^2 (R5 of the book).

    Sum over pairs of atoms of pi pi' c_x(X) c_x'(X') kappa(X, X') (1{y = y'} - 1/V), for normal weights.
    Raises ValueError for an unknown kind.
    """
    law = law.merged()
    force = kernel(law, kind, scale)
    force *= (law.y[:, None] == law.y) - 1 / law.vocab_size
    share = law.probability[:, None] * law.counts()[:, list(tokens)]
    return share.T @ force @ share


def sampled_grams(
    law: Distribution, tokens: Sequence[int], activation: Activation, scale: float, width: int, draws: int, seed: int
) -> Array:
    """Gram matrices (draws, k, k) of first velocities at random weights over width * eps^2: `kernel_law`, sampled.

    A draw has `width` hidden coordinates, normal W_E of standard deviation `scale` and, as the first velocity is
    proportional to it, normal W_U of standard deviation 1. Coordinates are independent, so the mean of m draws is a
    draw of width m * width. The stream is that of (seed, "sampled grams"). Memory is that of one draw.
    """
    law, rng = law.merged(), seeds.stream(seed, "sampled grams")
    present = law.occurs()
    c = csr_array(law.counts()[:, present].astype(float))
    share = (law.probability[:, None] * law.counts()[:, list(tokens)]).T
    grams = np.empty((draws, len(share), len(share)))
    for gram in grams:
        W_E = scale * rng.standard_normal((len(present), width))
        W_U = rng.standard_normal((law.vocab_size, width))
        v = share @ (activation.derivative(c @ W_E) * (W_U - W_U.mean(axis=0))[law.y])
        gram[:] = v @ v.T / width
    return grams
