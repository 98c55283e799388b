"""The softmax near the uniform law: its series, a bound of what the series leaves out, and centring."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig.errors import one_of

Array = NDArray[np.float64]


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


FORMS_SOFTMAX: dict[str, str] = {
    "printed": "(1 + f) / V, the line of D.3",
    "first_order": "(1 + f~) / V, with the mean over labels taken off",
    "second_order": "and Pi f~^2 / 2V",
}
"""Forms of the softmax expansion; orders of their errors in |f|: 1, 2, 3."""


def softmax_series(f: ArrayLike, form: str = "first_order") -> Array:
    r"""softmax(f) along the last axis by one of `FORMS_SOFTMAX`, with f~ = Pi f = f - mean(f); any shape (..., V).

    The paper uses (1 + f) / V and calls the rest O(f / V^2) (D.3). The rest is -mean(f) / V, linear in f, and
    (1/2V) Pi f~^2 + O(f^3). Raises ValueError on an unknown form.

    >>> softmax_series([0.0, 0.2], "printed").tolist(), softmax_series([0.0, 0.2]).round(12).tolist()
    ([0.5, 0.6], [0.45, 0.55])
    """
    one_of("form", form, FORMS_SOFTMAX)
    f = np.asarray(f, dtype=float)
    if form == "printed":
        return (1 + f) / f.shape[-1]
    f = f - f.mean(axis=-1, keepdims=True)
    first = (1 + f) / f.shape[-1]
    if form == "first_order":
        return first
    return first + (f**2 - (f**2).mean(axis=-1, keepdims=True)) / (2 * f.shape[-1])


def softmax_bound(m: ArrayLike) -> Array:
    """g(m) with |V softmax(f) - 1 - f~| <= g(m) in every entry, m = max |f~|: m^2/2 + O(m^3), at every V.

    It is the smaller of (e^{3m} - 1 - 3m) / 9, which is sharp for small m, and 4 (e^m - 1 - m).

    >>> softmax_bound([0.0, 0.01]).round(8).tolist()
    [0.0, 5.05e-05]
    """
    m = np.asarray(m, dtype=float)
    return np.minimum((np.expm1(3 * m) - 3 * m) / 9, 4 * (np.expm1(m) - m))


def softmax(F: ArrayLike) -> Array:
    """exp(F) over its sum along the last axis, computed after subtracting the maximum.

    >>> softmax([[0.0, 0.0], [1000.0, -1000.0]]).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    F = np.asarray(F, dtype=float)
    powers = np.exp(F - F.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
