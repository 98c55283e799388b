r"""How much of the exact velocity a formula explains, at weights met in training.

With v the exact flow of Propositions 1 and 2 over the population and f what a corollary says, the share is
1 - |v - f|^2 / |v|^2, over the rows of the tokens that occur (W^E) or over all rows (W^U): 1 for a formula that is
right, 0 for one as good as saying nothing, negative for one that is worse. The cosine of v and f forgives a wrong size.

ReLU has no Taylor polynomial at 0, so Corollary 2 is taken with the least-squares quadratic for ReLU on [-R, R], where
R is the largest size of a hidden sum; the gated forms need no such fit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from probsig.laws.distribution import Distribution
from probsig.theory import feedforward, flow, linear
from probsig.theory.activations import ACTIVATIONS
from probsig.theory.models import FeedForward, LinearModel

LINEAR_E = ("printed", "printed_with_mean", "uncentred", "corrected", "second_order")
LINEAR_U = ("printed", "printed_minus", "corrected", "third_order", "fifth_order")
FFN_E = ("printed", "fitted_printed", "fitted_second_order", "fitted_fourth_order", "gated_first", "gated_third")


def formulas(law: Distribution, model: str, W_E: NDArray, W_U: NDArray) -> dict[str, NDArray]:
    """What the corollaries say of the velocity at these weights: "E/<form>" and "U/<form>", each (V, d).

    For model "linear" the forms of Corollary 1 in `LINEAR_E` and of Corollary 3 in `LINEAR_U`; for "ffn" (ReLU) those
    of Corollary 2 in `FFN_E`.

    >>> law = Distribution(X=[[0, 1]], y=[1], weight=[1], vocab_size=2)
    >>> sorted(formulas(law, "linear", np.ones((2, 1)), np.ones((2, 1))))[:2]
    ['E/corrected', 'E/printed']
    """
    if model == "linear":
        said = {f"E/{form}": linear.corollary_1(law, W_E, W_U, form) for form in LINEAR_E}
        return said | {f"U/{form}": linear.corollary_3(law, W_E, W_U, form) for form in LINEAR_U}
    R = np.abs(law.counts() @ W_E).max()
    _, c1, c2, _ = feedforward.relu_quadratic(R, "squares")
    relu = ACTIVATIONS["relu"]
    return {
        "E/printed": feedforward.corollary_2(law, W_E, W_U, "printed"),
        **{
            f"E/fitted_{form}": feedforward.corollary_2(law, W_E, W_U, form, c1, c2)
            for form in ("printed", "second_order", "fourth_order")
        },
        "E/gated_first": feedforward.gated(law, W_E, W_U, relu, "first_order"),
        "E/gated_third": feedforward.gated(law, W_E, W_U, relu, "third_order"),
    }


def explained(law: Distribution, model: str, W_E: NDArray, W_U: NDArray) -> dict[str, float]:
    """The share and the cosine of every formula: "E/<form>/share", "E/<form>/cosine", the same for U.

    At tiny weights the linear model's corrected formula is all there is to say:

    >>> from probsig.laws.tasks import modular_addition
    >>> from probsig.theory import orders
    >>> law = modular_addition(anchors=range(1, 4), z=range(5, 9), vocab_size=12)
    >>> W_E, W_U = (1e-3 * D for D in orders.directions(law, 8, seed=0))
    >>> shares = explained(law, "linear", W_E, W_U)
    >>> round(shares["E/corrected/share"], 6), round(shares["U/corrected/share"], 6)
    (1.0, 1.0)
    """
    law, (W_E, W_U) = law.merged(), (np.asarray(W, dtype=float) for W in (W_E, W_U))
    hidden = LinearModel() if model == "linear" else FeedForward("relu")
    dW_E, dW_U = flow.velocity(law, W_E, W_U, hidden)
    rows, out = law.occurs(), {}
    for name, said in formulas(law, model, W_E, W_U).items():
        v, f = (dW_E[rows], said[rows]) if name.startswith("E/") else (dW_U, said)
        out[f"{name}/share"] = float(1 - ((v - f) ** 2).sum() / (v**2).sum())
        out[f"{name}/cosine"] = float((v * f).sum() / np.sqrt((v**2).sum() * (f**2).sum()))
    return out
