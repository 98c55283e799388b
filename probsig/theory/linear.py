r"""Corollaries 1 and 3: the flow of the linear model, printed and corrected, order by order in the init scale.

The model is F(X) = W_U sum_{x in X} W_x (sections 4.1 and 5, D.3 and D.5 of the paper). Its exact flow is

    dW_E = M^T W_U,   dW_U = M W_E,   M = E[(e_y - p) c^T],

with c the count vector of a sequence. Expanding p around the uniform law for weights of scale eps gives the forms
below; the name of a form says which terms it keeps, and its residual has the order in eps that the tables state.
n_x = E[c_x], Sigma_U and u are covariance and mean of the unembedding rows, S = E[c c^T], f~ the centred logits.

Axes: W_E, W_U and every flow are (V token ids, d); M is (V labels nu, V tokens x).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from probsig.errors import one_of
from probsig.laws.distribution import Distribution
from probsig.signatures import laws as signatures_laws
from probsig.theory import flow, softmax
from probsig.theory.models import LinearModel
from probsig.theory.softmax import Array, centred, covariance, softmax_bound

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


def token_weight(law: Distribution, convention: str = "count") -> Array:
    """n_x = E[c_x] (V,), or with "membership" the printed r_x = P(x in X).

    >>> law = Distribution(X=[[0, 0], [0, 1]], y=[0, 1], weight=[1, 1], vocab_size=2)
    >>> token_weight(law).tolist(), token_weight(law, "membership").tolist()
    ([1.5, 0.5], [1.0, 0.5])
    """
    counts = law.counts()
    return law.probability @ (counts if convention == "count" else counts > 0)


def label_weight(law: Distribution) -> Array:
    """r^out_nu = P(y = nu), (V,)."""
    return np.bincount(law.y, weights=law.probability, minlength=law.vocab_size).astype(float)


def matrix(law: Distribution, W_E: ArrayLike, W_U: ArrayLike) -> Array:
    """M = E[(e_y - p) c^T] (V, V) of the linear model: its exact flow is dW_E = M^T W_U and dW_U = M W_E.

    >>> law = Distribution(X=[[0]], y=[1], weight=[1], vocab_size=2)
    >>> matrix(law, np.zeros((2, 1)), np.zeros((2, 1))).tolist()
    [[-0.5, 0.0], [0.5, 0.0]]
    """
    error = -softmax.softmax(flow.logits(law, W_E, W_U, LinearModel()))
    error[np.arange(len(law.y)), law.y] += 1
    return (error * law.probability[:, None]).T @ law.counts()


def corollary_1(law: Distribution, W_E: ArrayLike, W_U: ArrayLike, form: str = "corrected") -> Array:
    r"""The flow of the embedding rows (V, d) by one of `FORMS_1` (Corollary 1, equation (1), D.3).

    "printed" is r_x W_U^T (phi^y_x - (1/V) W_U W_E phi^X_x) with r_x and the signatures of membership; it drops
    -(1/V) 1, which is of leading order, and the centring of the softmax, of third. "corrected" is
    n_x [W_U^T (phi^y_x - 1/V) - Sigma_U W_E phi^X_x] with those of counts; it drops O(eps^5).
    "second_order" subtracts (1/2V) W_U^T Pi E[c_x f~^2] as well and drops O(eps^7). Rows of tokens that never occur
    are zero. Raises ValueError on an unknown form.

    One sequence [0, 0] with label 1: n_0 = 2, phi^X_0 = 2 e_0, Sigma_U = 1, so 2 [(3 - 2) - 1 * 2 * 0.25] = 1.

    >>> law = Distribution(X=[[0, 0]], y=[1], weight=[1], vocab_size=2)
    >>> corollary_1(law, [[0.25], [0.0]], [[1.0], [3.0]])[0].tolist()
    [1.0]
    """
    one_of("form", form, FORMS_1)
    W_E, W_U = np.asarray(W_E, dtype=float), np.asarray(W_U, dtype=float)
    convention = "membership" if form.startswith("printed") else "count"
    n = token_weight(law, convention)[:, None]
    label = signatures_laws.label(law, convention=convention) @ W_U
    mean = W_U.mean(axis=0)
    if form == "label_only":
        return n * (label - mean)
    context = signatures_laws.cooccurrence(law, convention=convention) @ W_E
    moment = W_U.T @ W_U / len(W_U)
    if form in ("printed", "counts"):
        return n * (label - context @ moment)
    if form in ("printed_with_mean", "uncentred"):
        return n * (label - mean - context @ moment)
    first = n * (label - mean - context @ covariance(W_U))
    if form == "corrected":
        return first
    squared = (law.counts() @ W_E @ centred(W_U).T) ** 2  # f~^2, (n, V)
    return first - (law.counts() * law.probability[:, None]).T @ squared @ centred(W_U) / (2 * len(W_U))


def corollary_3(law: Distribution, W_E: ArrayLike, W_U: ArrayLike, form: str = "corrected") -> Array:
    r"""The flow of the unembedding rows (V, d) by one of `FORMS_3` (Corollary 3, equation (3), D.5).

    "printed" is L r_nu (W_E phi_nu)^T with membership; it counts the length twice and drops the mean term, which is of
    leading order. "corrected" is r_nu (W_E phi_nu)^T - (1/V)(W_E n)^T with counts and drops O(eps^3); "third_order"
    subtracts (1/V)(W_U - u) W_E S W_E^T and drops O(eps^5); "fifth_order" subtracts (1/2V) E[Pi f~^2 s^T] and drops
    O(eps^7). Raises ValueError on an unknown form.

    One sequence [0, 0] with label 1: s = 0.5, so the label gets 0.5 and every row loses 0.5 / 2; printed doubles.

    >>> law = Distribution(X=[[0, 0]], y=[1], weight=[1], vocab_size=2)
    >>> corollary_3(law, [[0.25], [0.0]], [[1.0], [3.0]]).tolist()
    [[-0.25], [0.25]]
    """
    one_of("form", form, FORMS_3)
    W_E, W_U = np.asarray(W_E, dtype=float), np.asarray(W_U, dtype=float)
    V = len(W_U)
    convention = "membership" if form.startswith("printed") or form == "membership" else "count"
    label = label_weight(law)[:, None] * (signatures_laws.inverse(law, convention=convention) @ W_E)
    if form.startswith("printed"):
        sign = {"printed": 0, "printed_plus": 1, "printed_minus": -1}[form]
        return law.length * label + sign * W_E.sum(axis=0) / V
    if form == "counts":
        return label - W_E.sum(axis=0) / V
    first = label - token_weight(law) @ W_E / V
    if form in ("membership", "corrected"):
        return first
    sums = law.counts() @ W_E  # s_X, (n, d)
    weighted = sums * law.probability[:, None]
    third = first - (W_U if form == "uncentred" else centred(W_U)) @ (sums.T @ weighted) / V
    if form != "fifth_order":
        return third
    squared = (sums @ centred(W_U).T) ** 2
    return third - (squared - squared.mean(axis=1, keepdims=True)).T @ weighted / (2 * V)


def error_bound(law: Distribution, W_E: ArrayLike, W_U: ArrayLike) -> tuple[Array, float]:
    r"""Rigorous bounds on |exact - corrected| of every embedding row, (V,), and on |exact - third_order| of any
    unembedding row: |Sigma_U|^{1/2} E[c_x g(m)] and (1/V) E[g(m) |s|], with m(X) = max |f~(X)|, g = `softmax_bound`.

    They hold for weights of any size; they say something where the centred logits are below one.

    >>> law = Distribution(X=[[0]], y=[1], weight=[1], vocab_size=2)
    >>> bound_E, bound_U = error_bound(law, [[0.5], [0.0]], [[0.0], [0.02]])
    >>> (bound_E * 1e6).round(3).tolist(), round(bound_U * 1e6, 3)
    ([0.126, 0.0], 3.141)
    """
    W_E, W_U = np.asarray(W_E, dtype=float), np.asarray(W_U, dtype=float)
    sums = law.counts() @ W_E
    g = law.probability * softmax_bound(np.abs(sums @ centred(W_U).T).max(axis=1))
    spread = np.sqrt(np.linalg.norm(covariance(W_U), 2))
    return spread * (g @ law.counts()), float(g @ np.linalg.norm(sums, axis=1) / len(W_U))
