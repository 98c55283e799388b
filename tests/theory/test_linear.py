"""Corollaries 1 and 3: exact matrix form, orders of residuals, sizes, a case by hand, the rigorous bound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from probsig.laws.distribution import Distribution
from probsig.laws.tasks import TASKS
from probsig.signatures import laws as signatures_laws
from probsig.theory import flow, linear, models, orders, softmax

SCALES = np.geomspace(0.01, 0.0025, 5)
LINEAR = models.LinearModel()
LAWS = {name: task().merged() for name, task in TASKS.items()}


def residual(law, side, form, hidden_size=32):
    expand = (linear.corollary_1, linear.corollary_3)[side]
    rows = (law.occurs(), law.labels())[side]

    def of(scale, seed):
        W_E, W_U = (scale * D for D in orders.directions(law, hidden_size, seed))
        exact = flow.velocity(law, W_E, W_U, LINEAR)[side]
        return float(np.linalg.norm((exact - expand(law, W_E, W_U, form))[rows]))

    return of


ORDERS = [
    (0, "printed", 1), (0, "printed_with_mean", 1), (0, "counts", 1), (0, "uncentred", 3), (0, "label_only", 3),
    (0, "corrected", 5),
    (1, "printed", 1), (1, "printed_plus", 1), (1, "printed_minus", 1), (1, "membership", 1), (1, "counts", 1),
    (1, "corrected", 3), (1, "uncentred", 3), (1, "third_order", 5),
]  # fmt: skip


@pytest.mark.parametrize(("side", "form", "integer"), ORDERS)
@pytest.mark.parametrize("name", LAWS)
def test_order_of_the_residual(name, side, form, integer):
    order = orders.residual_order(residual(LAWS[name], side, form), SCALES, range(5))
    assert abs(order.slope - integer) < 0.1


@pytest.mark.parametrize(("side", "form"), [(0, "second_order"), (1, "fifth_order")])
def test_order_seven_above_rounding(side, form):
    scales = np.geomspace(0.1, 0.03, 5)  # smaller weights put the residual below float64's noise
    order = orders.residual_order(residual(LAWS["mod"], side, form), scales, range(5))
    assert abs(order.slope - 7) < 0.1


@pytest.mark.parametrize("name", LAWS)
def test_matrix_form_is_exact(name):
    law = LAWS[name]
    W_E, W_U = (0.3 * D for D in orders.directions(law, 16, 0))
    M = linear.matrix(law, W_E, W_U)
    for mine, exact in zip((M.T @ W_U, M @ W_E), flow.velocity(law, W_E, W_U, LINEAR), strict=True):
        assert np.linalg.norm(mine - exact) < 1e-12 * np.linalg.norm(exact)


def test_by_hand():
    # one sequence [0, 0], label 1, V = 2, d = 1: c = (2, 0), so n_0 = 2 and phi^X_0 = (2, 0)
    law = Distribution(X=[[0, 0]], y=[1], weight=[1], vocab_size=2)
    W_E, W_U = np.array([[0.5], [7.0]]), np.array([[1.0], [3.0]])
    # label 2 (3 - 2) = 2, covariance 1, decay 2 * 1 * (2 * 0.5) = 2
    assert linear.corollary_1(law, W_E, W_U, "label_only").tolist() == [[2.0], [0.0]]
    assert linear.corollary_1(law, W_E, W_U, "corrected").tolist() == [[0.0], [0.0]]
    # printed: r = 1, phi^X = (1, 0), moment 5: 1 * (3 - 5 * 0.5)
    assert linear.corollary_1(law, W_E, W_U, "printed").tolist() == [[0.5], [0.0]]
    # unembedding: s = 1; label (0, 1), mean (1/2, 1/2); decay (1/2)(W_U - 2) * 1 = (-1/2, 1/2)
    assert linear.corollary_3(law, W_E, W_U, "corrected").tolist() == [[-0.5], [0.5]]
    assert linear.corollary_3(law, W_E, W_U, "third_order").tolist() == [[0.0], [0.0]]
    # printed: L = 2, membership: 2 * 0.5 for the label alone
    assert linear.corollary_3(law, W_E, W_U, "printed").tolist() == [[0.0], [1.0]]


@given(st.integers(0, 10_000), st.floats(0.01, 1.5))
@settings(max_examples=25)
def test_the_bounds_are_never_violated(seed, scale):
    law = LAWS["mod"]
    W_E, W_U = (scale * D for D in orders.directions(law, 4, seed))
    exact_E, exact_U = flow.velocity(law, W_E, W_U, LINEAR)
    bound_E, bound_U = linear.error_bound(law, W_E, W_U)
    miss_E = np.linalg.norm(exact_E - linear.corollary_1(law, W_E, W_U), axis=1)
    miss_U = np.linalg.norm(exact_U - linear.corollary_3(law, W_E, W_U, "third_order"), axis=1)
    assert (miss_E <= bound_E * (1 + 1e-9) + 1e-15).all()
    assert (miss_U <= bound_U * (1 + 1e-9) + 1e-15).all()


@given(arrays(float, st.integers(2, 60), elements=st.floats(-6, 6)))
def test_softmax_bound_holds_for_every_vector(f):
    error = len(f) * np.abs(softmax.softmax(f) - softmax.softmax_series(f)).max()
    m = np.abs(f - f.mean()).max()
    assert error <= softmax.softmax_bound(m) * (1 + 1e-9) + 1e-13


def test_softmax_bound_is_sharp_for_small_logits():
    f = np.zeros(1000)
    f[0] = 1e-3
    error = len(f) * np.abs(softmax.softmax(f) - softmax.softmax_series(f)).max()
    assert 0.99 < error / softmax.softmax_bound(np.abs(f - f.mean()).max()) < 1


@pytest.mark.parametrize(("form", "integer"), [("printed", 1), ("first_order", 2), ("second_order", 3)])
def test_orders_of_the_softmax_series(form, integer):
    def error(scale, seed):
        f = scale * (0.5 + np.random.default_rng(seed).uniform(-1, 1, 200))
        return np.abs(softmax.softmax(f) - softmax.softmax_series(f, form)).max()

    assert abs(orders.residual_order(error, np.geomspace(0.1, 0.01, 5), range(5)).slope - integer) < 0.1


@pytest.mark.parametrize(("mean", "form", "slope"), [(0, "printed", -1.5), (1, "printed", -1), (0, "first_order", -1)])
def test_the_softmax_remainder_does_not_fall_as_one_over_v_squared(mean, form, slope):
    def error(V, seed):
        f = 1e-3 * (mean + np.random.default_rng(seed).uniform(-1, 1, (200, int(V))))
        return np.sqrt((np.abs(softmax.softmax(f) - softmax.softmax_series(f, form)).max(axis=1) ** 2).mean())

    assert abs(orders.residual_order(error, [50, 100, 200, 400, 800], range(5)).slope - slope) < 0.1


def test_second_order_term_is_the_triple_signature():
    law = LAWS["add"]
    W_E, W_U = (0.16 * D for D in orders.directions(law, 16, 0))
    x, counts = 11, law.counts()
    triple = (counts * (law.probability * counts[:, x])[:, None]).T @ counts  # E[c_x c c^T]
    u = softmax.centred(W_U)
    b = np.einsum("nd,de,ne->n", u, W_E.T @ triple @ W_E, u)
    term = linear.corollary_1(law, W_E, W_U, "second_order")[x] - linear.corollary_1(law, W_E, W_U)[x]
    np.testing.assert_allclose(term, -u.T @ b / (2 * law.vocab_size), rtol=1e-9)


def test_membership_is_right_for_a_model_that_reads_a_token_once():
    law = LAWS["add"]
    once = (law.counts() > 0).astype(float)

    def residual_once(scale, seed):
        W_E, W_U = (scale * D for D in orders.directions(law, 16, seed))
        error = np.eye(law.vocab_size)[law.y] - softmax.softmax(once @ W_E @ W_U.T)
        exact = (once * law.probability[:, None]).T @ error @ W_U
        r = linear.token_weight(law, "membership")[:, None]
        label, context = (
            sig(law, convention="membership") for sig in (signatures_laws.label, signatures_laws.cooccurrence)
        )
        formula = r * ((label @ W_U - W_U.mean(axis=0)) - context @ W_E @ softmax.covariance(W_U))
        return np.linalg.norm((exact - formula)[law.occurs()])

    assert abs(orders.residual_order(residual_once, np.geomspace(0.08, 0.01, 5), range(5)).slope - 5) < 0.1


def test_the_flow_conserves_the_difference_of_the_gram_matrices():
    law = LAWS["add"]
    W_E, W_U = (0.5 * D for D in orders.directions(law, 8, 1))
    dW_E, dW_U = flow.velocity(law, W_E, W_U, LINEAR)
    one, other = dW_E.T @ W_E + W_E.T @ dW_E, dW_U.T @ W_U + W_U.T @ dW_U
    assert np.linalg.norm(one) > 1e-2
    np.testing.assert_allclose(one, other, atol=1e-14)


@pytest.mark.parametrize("name", ["add_same", "mod"])
def test_anchor_differences_have_no_label_term_where_label_signatures_agree(name):
    law = LAWS[name]
    anchors = list(law.groups["anchors"])
    W_E, W_U = (0.02 * D for D in orders.directions(law, 32, 0))
    label = linear.corollary_1(law, W_E, W_U, "label_only")[anchors]
    exact = flow.velocity(law, W_E, W_U, LINEAR)[0][anchors]
    own = -(linear.token_weight(law)[anchors, None] * W_E[anchors]) @ softmax.covariance(W_U)
    assert np.linalg.norm(label - label.mean(axis=0)) < 1e-14
    gap = exact - exact.mean(axis=0)
    assert np.linalg.norm(gap - (own - own.mean(axis=0))) < 0.05 * np.linalg.norm(gap)


def test_a_mean_unembedding_makes_the_printed_second_moment_worse_than_nothing():
    law = LAWS["add"]
    W_E, W_U = (0.01 * D for D in orders.directions(law, 32, 0))
    W_U = W_U + 0.01
    exact = flow.velocity(law, W_E, W_U, LINEAR)[0]
    miss = {f: np.linalg.norm(exact - linear.corollary_1(law, W_E, W_U, f)) for f in linear.FORMS_1}
    assert miss["uncentred"] > 2 * miss["label_only"] > 1000 * miss["corrected"]


def test_leading_order_misses_are_as_large_as_the_audit_says():
    law = LAWS["add"]
    W_E, W_U = (0.02 * D for D in orders.directions(law, 32, 0))
    exact = np.linalg.norm(flow.velocity(law, W_E, W_U, LINEAR)[0])
    miss = {form: residual(law, 0, form)(0.02, 0) / exact for form in linear.FORMS_1}
    for form, size in {
        "printed": 0.415,
        "printed_with_mean": 0.0465,
        "label_only": 3.5e-3,
        "corrected": 2.7e-6,
    }.items():
        assert size / 2 < miss[form] < 2 * size


def test_unknown_forms_are_named():
    law = LAWS["mod"]
    W_E, W_U = orders.directions(law, 4, 0)
    for expand in (linear.corollary_1, linear.corollary_3):
        with pytest.raises(ValueError, match="form is 'wrong': pass one of 'printed'"):
            expand(law, W_E, W_U, "wrong")


def test_the_bound_of_the_series_at_large_logits():
    """Where the sharp form has outgrown it, 4 (e^m - 1 - m)."""
    np.testing.assert_allclose(softmax.softmax_bound([0.0, 3.0]), [0, 4 * (np.exp(3) - 4)], rtol=1e-14)
