"""Corollaries 1 and 3: exact matrix form, orders of residuals, sizes, a case by hand, the rigorous bound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probsig import flow, models
from probsig.expansions import linear
from probsig.tasks import TASKS, Distribution

SCALES = np.geomspace(0.01, 0.0025, 5)
LINEAR = models.LinearModel()
LAWS = {name: task().merged() for name, task in TASKS.items()}


def residual(law, side, form, hidden_size=32):
    expand = (linear.corollary_1, linear.corollary_3)[side]
    rows = (law.occurs(), law.labels())[side]

    def of(scale, seed):
        W_E, W_U = (scale * D for D in flow.directions(law, hidden_size, seed))
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
    order = flow.residual_order(residual(LAWS[name], side, form), SCALES, range(5))
    assert abs(order.slope - integer) < 0.1


@pytest.mark.parametrize(("side", "form"), [(0, "second_order"), (1, "fifth_order")])
def test_order_seven_above_rounding(side, form):
    scales = np.geomspace(0.1, 0.03, 5)  # smaller weights put the residual below float64's noise
    order = flow.residual_order(residual(LAWS["mod"], side, form), scales, range(5))
    assert abs(order.slope - 7) < 0.1


@pytest.mark.parametrize("name", LAWS)
def test_matrix_form_is_exact(name):
    law = LAWS[name]
    W_E, W_U = (0.3 * D for D in flow.directions(law, 16, 0))
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
@settings(max_examples=25, deadline=None)
def test_the_bound_is_never_violated(seed, scale):
    law = LAWS["mod"]
    W_E, W_U = (scale * D for D in flow.directions(law, 4, seed))
    miss = flow.velocity(law, W_E, W_U, LINEAR)[0] - linear.corollary_1(law, W_E, W_U)
    assert (np.linalg.norm(miss, axis=1) <= linear.error_bound(law, W_E, W_U) * (1 + 1e-9) + 1e-15).all()


def test_leading_order_misses_are_as_large_as_the_audit_says():
    law = LAWS["add"]
    W_E, W_U = (0.02 * D for D in flow.directions(law, 32, 0))
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
    W_E, W_U = flow.directions(law, 4, 0)
    for expand in (linear.corollary_1, linear.corollary_3):
        with pytest.raises(ValueError, match="form is 'wrong': choose one of printed"):
            expand(law, W_E, W_U, "wrong")
