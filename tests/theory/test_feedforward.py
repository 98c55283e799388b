"""Corollary 2 and its kernel law: brute-force values, the order of every residual, the law by sampling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probsig.laws import distribution, tasks
from probsig.signatures import laws as signatures_laws
from probsig.theory import activations, feedforward, flow, models, orders

SCALES = (0.01, 0.005, 0.0025)


def small_law(seed=0, vocab_size=7, atoms=9, length=3):
    """A law with repeated tokens, unequal weights and a token that is never a label."""
    rng = np.random.default_rng(seed)
    X, y = rng.integers(0, vocab_size, (atoms, length)), rng.integers(0, vocab_size - 1, atoms)
    X[0, 1] = X[0, 0]
    return distribution.Distribution(X, y, rng.integers(1, 6, atoms), vocab_size, "small")


def order(law, model, formula, scales=SCALES, seeds=range(3)):
    def residual(scale, seed):
        weights = [scale * D for D in orders.directions(law, 8, seed)]
        return np.linalg.norm(flow.velocity(law, *weights, model)[0] - formula(law, *weights))

    return orders.residual_order(residual, scales, seeds).slope


@pytest.mark.parametrize(
    ("form", "integer"),
    [
        ("printed", 1), ("printed_with_mean", 1), ("uncentred_joint", 2),
        ("second_order", 3), ("third_order", 4), ("fourth_order", 5),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("c1", "c2"), [(1.0, 0.5), (0.7, -0.4)])
def test_orders_of_corollary_2(form, integer, c1, c2):
    model = models.FeedForward(activations.quadratic(c1, c2))
    slope = order(small_law(), model, lambda *a: feedforward.corollary_2(*a, form, c1, c2))
    assert abs(slope - integer) < 0.1


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "quadratic"])
@pytest.mark.parametrize(("form", "integer"), [("first_order", 3), ("third_order", 5)])
def test_orders_of_the_gated_form(activation, form, integer):
    sigma = activations.ACTIVATIONS[activation]
    slope = order(
        small_law(), models.FeedForward(sigma), lambda *a: feedforward.gated(*a, sigma, form), (0.04, 0.02, 0.01)
    )
    assert abs(slope - integer) < 0.1


@pytest.mark.parametrize(("form", "convention"), [("printed", "membership"), ("third_order", "count")])
def test_the_formula_is_made_of_the_signatures(form, convention):
    """Equation (2) and its correction, contracted from Definition 2's arrays."""
    law = small_law()
    W_E, W_U = orders.directions(law, 5, 1)
    V, rest = law.vocab_size, {"convention": convention}
    label, pair, joint = (
        f(law, **rest) for f in (signatures_laws.label, signatures_laws.cooccurrence, signatures_laws.joint)
    )
    counts = law.counts() if convention == "count" else law.counts() > 0
    n = law.probability @ counts
    second_moment = W_U.T @ W_U / V
    if convention == "count":
        label, joint = label - 1 / V, joint - pair[:, None, :] / V
        second_moment = feedforward.covariance(W_U)
    tensor = W_U[:, None, :] * W_E  # [nu, x', coordinate]
    expected = label @ W_U + np.einsum("xnk,nkd->xd", joint, tensor) - pair @ W_E @ second_moment
    assert np.allclose(feedforward.corollary_2(law, W_E, W_U, form), n[:, None] * expected, atol=1e-14)


def test_membership_and_counts_agree_when_no_token_repeats():
    law = distribution.Distribution([[0, 1], [1, 2], [2, 0]], [3, 4, 4], [1, 2, 3], 5)
    W_E, W_U = orders.directions(law, 4, 0)
    W_U = W_U - W_U.mean(axis=0)  # and then nothing is left to centre
    assert np.allclose(
        feedforward.corollary_2(law, W_E, W_U, "printed"),
        feedforward.corollary_2(law, W_E, W_U, "third_order"),
        atol=1e-15,
    )


@settings(max_examples=20)
@given(st.floats(0.2, 3), st.floats(-2, 2).filter(lambda c: abs(c) > 0.1))
def test_the_coefficients_are_two_learning_rates(c1, c2):
    """sigma = c1 s + c2 s^2 is the paper's activation at weights lambda W_E and mu W_U."""
    law = small_law(2)
    W_E, W_U = (0.3 * D for D in orders.directions(law, 4, 0))
    lam, mu = 2 * c2 / c1, c1**2 / (2 * c2)
    ours = flow.velocity(law, W_E, W_U, models.FeedForward(activations.quadratic(c1, c2)))
    papers = flow.velocity(law, lam * W_E, mu * W_U, models.FeedForward("quadratic"))
    assert np.allclose(ours[0], lam * papers[0], atol=1e-12)
    assert np.allclose(ours[1], mu * papers[1], atol=1e-12)


@pytest.mark.parametrize("R", [1.0, 0.1, 0.01])
def test_best_quadratics_of_relu(R):
    s = np.linspace(-R, R, 4001)
    relu = np.maximum(s, 0)
    for norm in ("sup", "squares"):
        c0, c1, c2, error = feedforward.relu_quadratic(R, norm)
        residual = relu - c0 - c1 * s - c2 * s**2
        assert np.isclose(np.abs(residual).max(), error)
        if norm == "squares":  # a least-squares residual is orthogonal to 1, s, s^2
            assert np.allclose([np.mean(residual * s**k) / R ** (k + 1) for k in range(3)], 0, atol=1e-3)
        else:  # Chebyshev: the error is attained with alternating signs at more than three points
            signs = np.sign(residual[np.isclose(np.abs(residual), error, rtol=1e-6)])
            assert np.count_nonzero(np.diff(signs)) >= 3


@pytest.mark.parametrize(("kind", "activation"), [("linear", "identity"), ("quadratic", "quadratic"), ("relu", "relu")])
def test_kernel_law_is_the_mean_of_sampled_grams(kind, activation):
    law = small_law(3)
    tokens, scale = [0, 2, 3, 5], 0.5
    expected = feedforward.kernel_law(law, tokens, kind, scale)
    drawn = feedforward.sampled_grams(law, tokens, activations.ACTIVATIONS[activation], scale, 500, 200, seed=0)
    spread = drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - expected) < 5 * spread + 1e-12).all()


def test_relu_kernel_is_that_of_its_gates():
    """kappa is the probability that two gates are open, by counting signs."""
    law = distribution.Distribution([[0, 1], [1, 2], [2, 2]], [0, 0, 0], [1, 1, 1], 3)
    open_ = law.counts() @ np.random.default_rng(0).standard_normal((3, 200_000)) > 0
    assert np.allclose(feedforward.kernel(law, "relu"), open_.astype(float) @ open_.T / open_.shape[1], atol=5e-3)


def test_linear_kernel_law_is_the_gram_of_centred_label_signatures():
    law = tasks.modular_addition(range(1, 4), range(10, 15), vocab_size=20)
    tokens = [1, 2, 3]
    n = law.probability @ law.counts()[:, tokens]
    label = n[:, None] * (signatures_laws.label(law, tokens) - 1 / law.vocab_size)
    assert np.allclose(feedforward.kernel_law(law, tokens, "linear"), label @ label.T, atol=1e-15)


def test_unknown_names_are_told():
    law = small_law()
    W = orders.directions(law, 3, 0)
    with pytest.raises(ValueError, match="form is 'wrong': pass one of 'printed'"):
        feedforward.corollary_2(law, *W, "wrong")
    with pytest.raises(ValueError, match="form is 'wrong': pass one of 'first_order'"):
        feedforward.gated(law, *W, activations.ACTIVATIONS["relu"], "wrong")
    with pytest.raises(ValueError, match="kind is 'wrong': pass one of 'linear'"):
        feedforward.kernel(law, "wrong")
    with pytest.raises(ValueError, match="norm is 'wrong': pass one of 'sup', 'squares'"):
        feedforward.relu_quadratic(1.0, "wrong")
    with pytest.raises(ValueError, match="R is 0: pass a positive number"):
        feedforward.relu_quadratic(0, "sup")
