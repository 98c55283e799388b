r"""Corollary 4: next-token prediction, printed and corrected, as expansions in the scale of all weights.

The model is ``h_t = W_{X_t} + W^OV sum_tau a_{t tau} W_{X_tau} + W^MLP (...)``, logits ``W^U h_t``, with causal softmax
attention and an MLP that is linear at zero. With every weight matrix of size eps, ``W^OV`` and ``W^MLP`` are of order
eps^2. Rows of ``W_E`` and ``W_U`` are tokens; ``N`` and ``A`` are indexed ``[token, next]``
(`laws.SequenceLaw.bigrams`, `attention_signature`), so that row s belongs to token s.
"""

from __future__ import annotations

from probsig.errors import one_of
from probsig.laws.sequences import SequenceLaw
from probsig.theory.softmax import Array, covariance

FORMS_E = {
    "printed": "eq. (4) read as a ratio of events, sequence frequency, eta dropped",
    "bigram": "token frequency and bigram law, eta dropped",
    "printed_eta": "the same plus eta of D.6, a sum of E[p | X_t = s] over t, at leading order",
    "first_order": "centred: W^U^T (N_s - n_s/V)",
    "third_order_no_attention": "centred, with the decay -n Sigma_U W, without attention and MLP",
    "third_order_no_mlp": "with the attention signature, without the MLP",
    "third_order": "with the attention signature and the MLP",
}

FORMS_U = {
    "printed": "r^out (W^E phi^pre), eta dropped",
    "printed_plus": "the same plus eta, with the sign of D.6",
    "first_order": "centred: N^T W^E - (1/V) W^E n",
    "third_order": "with attention values, MLP and the decay",
}


def centred(N: Array) -> Array:
    r"""``N - (1/V) n 1^T``: every row s loses ``n_s / V``; shape (V, V).

    >>> import numpy as np
    >>> centred(np.array([[0.5, 0.0], [0.0, 0.5]])).tolist()
    [[0.25, -0.25], [-0.25, 0.25]]
    """
    return N - N.mean(axis=1, keepdims=True)


def corollary_4_embedding(
    law: SequenceLaw, W_E: Array, W_U: Array, form: str, value_map: Array | None = None, mlp_map: Array | None = None
) -> Array:
    r"""The flow of the embedding rows, (V, d), by one of ``FORMS_E``.

    Third order: ``W^U^T (N_s - n_s/V) - n_s Sigma_U W_s + W^OV^T W^U^T (A_s - a_s/V) + W^MLP^T W^U^T (N_s - n_s/V)``,
    residual O(eps^5). ``value_map`` is W^OV (d, d), ``mlp_map`` W^MLP (d, d); None leaves the branch out.
    Raises ValueError on an unknown form.
    """
    one_of("form", form, FORMS_E)
    N = law.bigrams()
    if form == "printed":
        return law.contains()[:, None] * (law.union_ratio() @ W_U)
    if form == "bigram":
        return N @ W_U
    if form == "printed_eta":
        return (N - (law.length - 1) * N.sum(axis=1, keepdims=True) / len(N)) @ W_U
    label = centred(N) @ W_U
    if form == "first_order":
        return label
    out = label - N.sum(axis=1)[:, None] * (W_E @ covariance(W_U))
    if form != "third_order_no_attention" and value_map is not None:
        out = out + centred(law.attention_signature()) @ W_U @ value_map
    if form == "third_order" and mlp_map is not None:
        out = out + label @ mlp_map
    return out


def corollary_4_unembedding(
    law: SequenceLaw, W_E: Array, W_U: Array, form: str, value_map: Array | None = None, mlp_map: Array | None = None
) -> Array:
    r"""The flow of the unembedding rows, (V, d), by one of ``FORMS_U``.

    Third order: ``(N - n/V)^T W^E + (A - a/V)^T W^E W^OV^T + (N - n/V)^T W^E W^MLP^T`` less
    ``(1/V)(W^U - mean) W^E^T diag(n) W^E``, residual O(eps^5). Raises ValueError on an unknown form.
    """
    one_of("form", form, FORMS_U)
    N = law.bigrams()
    n = N.sum(axis=1)
    if form == "printed":
        return N.T @ W_E
    if form == "printed_plus":
        return N.T @ W_E + n @ W_E / len(n)
    label = centred(N).T @ W_E
    if form == "first_order":
        return label
    out = label - (W_U - W_U.mean(axis=0)) @ (W_E.T * n) @ W_E / len(n)
    if value_map is not None:
        out = out + centred(law.attention_signature()).T @ W_E @ value_map.T
    if mlp_map is not None:
        out = out + label @ mlp_map.T
    return out
