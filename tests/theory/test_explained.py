"""The explained share: by hand, its order as weights shrink, and what the printed forms miss at any size."""

import numpy as np
import pytest

from probsig.laws import distribution, tasks
from probsig.theory import orders
from probsig.theory.explained import FFN_E, LINEAR_E, LINEAR_U, explained, formulas

SCALES = (0.2, 0.14, 0.1)


@pytest.fixture(scope="module")
def law():
    return tasks.addition(anchors=range(1, 4), z=range(6, 10), vocab_size=17)


def weights(law, scale, seed=0):
    return [scale * D for D in orders.directions(law, 6, seed)]


def test_by_hand():
    # One atom [0] -> 1 with V = 2, d = 1: logits are (0, 0.2), so p_1 = 1 / (1 + exp(-0.2)) and 1 - p_1 = q.
    # dW_E_0 = q (1 - 0) and dW_U = 0.2 q (-1, 1). Corrected: 1/2 - 0.2 / 4 and 0.2 (-1/2, 1/2).
    # Equation (1) says 1 - (1/2) 0.2, and equation (3), with L = 1 and eta dropped, 0.2 (0, 1).
    one = distribution.Distribution(X=[[0]], y=[1], weight=[1], vocab_size=2)
    q = 1 / (1 + np.exp(0.2))
    share = explained(one, "linear", np.array([[0.2], [0.0]]), np.array([[0.0], [1.0]]))
    assert share["E/corrected/share"] == pytest.approx(1 - (q - 0.45) ** 2 / q**2)
    assert share["E/printed/share"] == pytest.approx(1 - (q - 0.9) ** 2 / q**2)
    assert share["U/corrected/share"] == pytest.approx(1 - (0.2 * q - 0.1) ** 2 / (0.2 * q) ** 2)
    third = (0.2 * q - 0.1 + 0.01) ** 2 / (0.2 * q) ** 2
    assert share["U/third_order/share"] == pytest.approx(1 - third)
    printed = ((0.2 * q) ** 2 + (0.2 * q - 0.2) ** 2) / (2 * (0.2 * q) ** 2)
    assert share["U/printed/share"] == pytest.approx(1 - printed)
    assert share["E/corrected/cosine"] == pytest.approx(1)
    assert share["U/printed/cosine"] == pytest.approx(np.sqrt(0.5))


def test_the_names_are_those_listed(law):
    W = weights(law, 0.1)
    assert list(formulas(law, "linear", *W)) == [f"E/{form}" for form in LINEAR_E] + [f"U/{form}" for form in LINEAR_U]
    assert list(formulas(law, "ffn", *W)) == [f"E/{form}" for form in FFN_E]


@pytest.mark.parametrize(
    ("model", "form", "slope"),
    [
        ("linear", "E/corrected", 8),  # residual eps^5 over velocity eps, squared: the fourth power of the logits
        ("linear", "E/second_order", 12),
        ("linear", "E/uncentred", 4),
        ("linear", "U/corrected", 4),
        ("linear", "U/third_order", 8),
        ("linear", "U/fifth_order", 12),
        ("ffn", "E/gated_first", 4),
        ("ffn", "E/gated_third", 8),
        ("linear", "E/printed", 0),
        ("linear", "E/printed_with_mean", 0),
        ("linear", "U/printed", 0),
        ("linear", "U/printed_minus", 0),
        ("ffn", "E/printed", 0),
        ("ffn", "E/fitted_second_order", 0),  # ReLU has no slope at 0: the fit's error shrinks as fast as its range
    ],
)
def test_order_of_the_unexplained_share(law, model, form, slope):
    # Steep orders need larger scales, or what is unexplained is rounding noise.
    scales = [scale / (4 if slope < 10 else 2) for scale in SCALES]
    order = orders.residual_order(
        lambda scale, seed: 1 - explained(law, model, *weights(law, scale, seed))[f"{form}/share"], scales, range(3)
    )
    assert order.slope == pytest.approx(slope, abs=0.25)


@pytest.mark.parametrize("model", ["linear", "ffn"])
def test_printed_forms_stay_below_one(law, model):
    share = explained(law, model, *weights(law, 1e-3))
    printed = [name for name in share if "/printed" in name and name.endswith("/share")]
    assert printed
    for name in printed:
        assert share[name] < 0.995, name


def test_a_share_is_at_most_the_squared_cosine(law):
    # f = a v + w with w orthogonal to v explains 1 - (1 - a)^2 - |w|^2 / |v|^2, at best the squared cosine.
    for model in ("linear", "ffn"):
        found = explained(law, model, *weights(law, 0.7, seed=1))
        for name in (name.removesuffix("/share") for name in found if name.endswith("/share")):
            assert found[f"{name}/share"] <= found[f"{name}/cosine"] ** 2 + 1e-12


def test_the_order_of_tokens_in_an_atom_does_not_matter(law):
    turned = distribution.Distribution(law.X[:, ::-1], law.y, law.weight, law.vocab_size)
    W = weights(law, 0.3)
    for model in ("linear", "ffn"):
        a, b = explained(law, model, *W), explained(turned, model, *W)
        assert all(a[name] == pytest.approx(b[name], abs=1e-12) for name in a)
