r"""Corollaries 1 and 3: the flow of the linear model, printed and corrected, order by order in the init scale.

The model is F(X) = W_U sum_{x in X} W_x (sections 4.1 and 5, D.3 and D.5 of the paper). Its exact flow is

    dW_E = M^T W_U,   dW_U = M W_E,   M = E[(e_y - p) c^T],

with c the count vector of a sequence. Expanding p around the uniform law for weights of scale eps gives the forms
below; the name of a form says which terms it keeps, and its residual has the order in eps that the tables state.
n_x = E[c_x], Sigma_U and u are covariance and mean of the unembedding rows, S = E[c c^T], f~ the centred logits.

Axes: W_E, W_U and every flow are (V token ids, d); M is (V labels nu, V tokens x).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig import flow, signatures
from probsig.models import LinearModel
from probsig.tasks import Distribution

Array = NDArray[np.float64]

FORMS_1: dict[str, str] = {
    "printed": "equation (1): membership signatures, eta dropped",
    "printed_with_mean": "equation (1) with the -1/V of eta that D.3 writes out",
    "counts": "count signatures, no mean term",
    "uncentred": "count signatures and mean, second moment (1/V) W^U^T W^U instead of the covariance",
    "label_only": "count label signature and mean, no co-occurrence",
    "corrected": "count signatures, mean and covariance: the corollary",
    "second_order": "with the triple signature of the softmax's second order",
}
"""Forms of Corollary 1; orders of their residuals: 1, 1, 1, 3, 3, 5, 7."""

FORMS_3: dict[str, str] = {
    "printed": "equation (3): factor L, membership, eta dropped",
    "printed_plus": "the same with eta = +(1/V) W^E 1, the sign of D.5",
    "printed_minus": "the same with eta = -(1/V) W^E 1, the sign of the main text",
    "membership": "no factor L, membership, -(1/V) W^E n",
    "counts": "no factor L, counts, -(1/V) W^E 1",
    "corrected": "no factor L, counts, -(1/V) W^E n: the corollary's first order",
    "uncentred": "with -(1/V) W^U W^E S W^E^T, not centred",
    "third_order": "with the centred decay -(1/V) (W^U - u) W^E S W^E^T",
    "fifth_order": "with the softmax's second order",
}
"""Forms of Corollary 3; orders of their residuals: 1, 1, 1, 1, 1, 3, 3, 5, 7."""


def check_form(form: str, forms: dict[str, str]) -> None:
    """Raise ValueError, naming the choices, unless `form` is one of `forms`."""
    if form not in forms:
        raise ValueError(f"form is {form!r}: choose one of {', '.join(forms)}")


def centred(W_U: ArrayLike) -> Array:
    """The rows minus their mean over the vocabulary, (V, d)."""
    W_U = np.asarray(W_U, dtype=float)
    return W_U - W_U.mean(axis=0)


def covariance(W_U: ArrayLike) -> Array:
    """Sigma_U, the covariance (d, d) of the unembedding rows under the uniform law over the vocabulary.

    >>> covariance([[1.0, 0.0], [3.0, 0.0]]).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    return centred(W_U).T @ centred(W_U) / len(np.asarray(W_U))


def token_weight(dist: Distribution, convention: str = "count") -> Array:
    """n_x = E[c_x] (V,), or with "membership" the printed r_x = P(x in X).

    >>> law = Distribution(X=[[0, 0], [0, 1]], y=[0, 1], weight=[1, 1], vocab_size=2)
    >>> token_weight(law).tolist(), token_weight(law, "membership").tolist()
    ([1.5, 0.5], [1.0, 0.5])
    """
    counts = dist.counts()
    return dist.probability @ (counts if convention == "count" else counts > 0)


def label_weight(dist: Distribution) -> Array:
    """r^out_nu = P(y = nu), (V,)."""
    return np.bincount(dist.y, weights=dist.probability, minlength=dist.vocab_size)


def matrix(dist: Distribution, W_E: ArrayLike, W_U: ArrayLike) -> Array:
    """M = E[(e_y - p) c^T] (V, V) of the linear model: its exact flow is dW_E = M^T W_U and dW_U = M W_E.

    >>> law = Distribution(X=[[0]], y=[1], weight=[1], vocab_size=2)
    >>> matrix(law, np.zeros((2, 1)), np.zeros((2, 1))).tolist()
    [[-0.5, 0.0], [0.5, 0.0]]
    """
    error = -flow.softmax(flow.logits(dist, W_E, W_U, LinearModel()))
    error[np.arange(len(dist.y)), dist.y] += 1
    return (error * dist.probability[:, None]).T @ dist.counts()


@lru_cache(maxsize=24)
def _signature(dist: Distribution, name: str, convention: str) -> Array:
    """A signature of all tokens, kept: an order is fitted over many weights of one law."""
    return getattr(signatures, name)(dist, convention=convention)


def corollary_1(dist: Distribution, W_E: ArrayLike, W_U: ArrayLike, form: str = "corrected") -> Array:
    r"""The flow of the embedding rows (V, d) by one of `FORMS_1` (Corollary 1, D.3).

    "corrected" is n_x [W_U^T (phi^y_x - 1/V) - Sigma_U W_E phi^X_x] with count signatures, residual O(eps^5);
    "second_order" subtracts (1/2V) W_U^T Pi E[c_x f~^2], residual O(eps^7). Raises ValueError on an unknown form.
    """
    check_form(form, FORMS_1)
    W_E, W_U = np.asarray(W_E, dtype=float), np.asarray(W_U, dtype=float)
    convention = "membership" if form.startswith("printed") else "count"
    n = token_weight(dist, convention)[:, None]
    label = _signature(dist, "label", convention) @ W_U
    context = _signature(dist, "cooccurrence", convention) @ W_E
    mean, moment = W_U.mean(axis=0), W_U.T @ W_U / len(W_U)
    if form == "label_only":
        return n * (label - mean)
    if form in ("printed", "counts"):
        return n * (label - context @ moment)
    if form in ("printed_with_mean", "uncentred"):
        return n * (label - mean - context @ moment)
    flow_1 = n * (label - mean - context @ covariance(W_U))
    if form == "second_order":
        squared = (dist.counts() @ W_E @ centred(W_U).T) ** 2  # f~^2, (n, V)
        flow_1 -= (dist.counts() * dist.probability[:, None]).T @ squared @ centred(W_U) / (2 * len(W_U))
    return flow_1


def corollary_3(dist: Distribution, W_E: ArrayLike, W_U: ArrayLike, form: str = "corrected") -> Array:
    r"""The flow of the unembedding rows (V, d) by one of `FORMS_3` (Corollary 3, D.5).

    "corrected" is r_nu W_E phi_nu - (1/V) W_E n, residual O(eps^3); "third_order" subtracts
    (1/V)(W_U - u) W_E S W_E^T, residual O(eps^5); "fifth_order" subtracts (1/2V) E[Pi f~^2 s^T], residual O(eps^7).
    Raises ValueError on an unknown form.
    """
    check_form(form, FORMS_3)
    W_E, W_U = np.asarray(W_E, dtype=float), np.asarray(W_U, dtype=float)
    V = len(W_U)
    convention = "membership" if form.startswith("printed") or form == "membership" else "count"
    label = label_weight(dist)[:, None] * (_signature(dist, "inverse", convention) @ W_E)
    if form.startswith("printed"):
        sign = {"printed": 0, "printed_plus": 1, "printed_minus": -1}[form]
        return dist.length * label + sign * W_E.sum(axis=0) / V
    if form == "counts":
        return label - W_E.sum(axis=0) / V
    flow_3 = label - token_weight(dist) @ W_E / V
    if form in ("membership", "corrected"):
        return flow_3
    sums = dist.counts() @ W_E  # s_X, (n, d)
    weighted = sums * dist.probability[:, None]
    flow_3 -= (W_U if form == "uncentred" else centred(W_U)) @ (sums.T @ weighted) / V
    if form == "fifth_order":
        squared = (sums @ centred(W_U).T) ** 2
        flow_3 -= (squared - squared.mean(axis=1, keepdims=True)).T @ weighted / (2 * V)
    return flow_3


def error_bound(dist: Distribution, W_E: ArrayLike, W_U: ArrayLike) -> Array:
    """A rigorous bound (V,) on |exact - corrected| of every embedding row: 2 n_x m^2 e^m (1/V) sum_nu |W_U[nu] - u|.

    m is the largest centred logit over the law. It needs no small weights, but says little unless m is below one.
    """
    W_E, W_U = np.asarray(W_E, dtype=float), np.asarray(W_U, dtype=float)
    m = np.abs(dist.counts() @ W_E @ centred(W_U).T).max()
    return 2 * token_weight(dist) * m**2 * np.exp(m) * np.linalg.norm(centred(W_U), axis=1).mean()
