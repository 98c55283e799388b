"""The linear model's trajectories: against the general velocity code, scipy's integrator, torch-free AdamW by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from probsig.laws import distribution
from probsig.theory import flow, models
from probsig.theory.trajectory import (
    LinearPopulation,
    adamw,
    closed_form,
    descent,
    gradient_descent,
    gradient_flow,
    gram,
    propagate,
)


def small_law(seed: int, vocab_size: int = 6) -> distribution.Distribution:
    rng = np.random.default_rng(seed)
    return distribution.Distribution(
        X=rng.integers(0, vocab_size - 1, (9, 3)),
        y=rng.integers(0, vocab_size, 9),
        weight=rng.integers(1, 5, 9),
        vocab_size=vocab_size,
    )


def weights(seed: int, scale: float = 1.0, vocab_size: int = 6, hidden_size: int = 4):
    return tuple(scale * np.random.default_rng(seed).standard_normal((2, vocab_size, hidden_size)))


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 3))
def test_population_velocity_and_loss_are_those_of_the_general_code(seed, scale):
    law, W = small_law(seed), weights(seed, scale)
    population, model = LinearPopulation.of(law), models.LinearModel()
    for mine, general in zip(population.velocity(*W), flow.velocity(law, *W, model), strict=True):
        np.testing.assert_allclose(mine, general, atol=1e-13)
    assert population.loss(*W) == pytest.approx(flow.loss(law, *W, model), rel=1e-13)


def test_population_does_not_see_the_order_of_tokens():
    law = small_law(3)
    turned = distribution.Distribution(X=law.X[:, ::-1], y=law.y, weight=law.weight, vocab_size=law.vocab_size)
    one, other = LinearPopulation.of(law), LinearPopulation.of(turned)
    for name in ("counts", "probability", "joint", "tokens"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_centred_joint_has_zero_column_sums_and_is_the_velocity_at_zero_logits():
    law = small_law(4)
    M_0 = LinearPopulation.of(law).centred_joint()
    np.testing.assert_allclose(M_0.sum(axis=0), 0, atol=1e-15)
    W_E, W_U = np.zeros((6, 4)), weights(1)[1]
    dW_E, dW_U = flow.velocity(law, W_E, W_U, models.LinearModel())
    np.testing.assert_allclose(dW_E, M_0.T @ W_U, atol=1e-14)
    np.testing.assert_array_equal(dW_U, 0)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), t=st.floats(0, 5))
def test_closed_form_is_the_matrix_exponential(seed, t):
    M_0 = LinearPopulation.of(small_law(seed)).centred_joint()
    W_E, W_U = weights(seed)
    zero = np.zeros_like(M_0)
    both = expm(t * np.block([[zero, M_0.T], [M_0, zero]])) @ np.concatenate([W_E, W_U])
    np.testing.assert_allclose(np.concatenate(closed_form(M_0, W_E, W_U, t)), both, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("rate", "steps"), [(0.3, 0), (0.3, 1), (2.0, 7)])
def test_descent_is_the_linear_recursion(rate, steps):
    M_0 = LinearPopulation.of(small_law(5)).centred_joint()
    start = W_E, W_U = weights(5)
    for _ in range(steps):
        W_E, W_U = W_E + rate * M_0.T @ W_U, W_U + rate * M_0 @ W_E
    for mine, loop in zip(descent(M_0, *start, rate, steps), (W_E, W_U), strict=True):
        np.testing.assert_allclose(mine, loop, rtol=1e-11, atol=1e-12)


def test_propagate_by_one_changes_nothing():
    W = weights(6)
    M_0 = LinearPopulation.of(small_law(6)).centred_joint()
    for mine, before in zip(propagate(M_0, *W, lambda s: (np.ones_like(s), np.ones_like(s))), W, strict=True):
        np.testing.assert_allclose(mine, before, atol=1e-14)


def test_gram_is_the_mean_over_initial_weights():
    M_0 = 5 * LinearPopulation.of(small_law(7)).centred_joint()
    W_E, W_U = np.random.default_rng(0).standard_normal((2, 6, 200_000))
    end, _ = closed_form(M_0, W_E, W_U, 1.0)
    expected = gram(M_0, 1.0)
    assert np.linalg.norm(end @ end.T / 200_000 - expected) < 0.02 * np.linalg.norm(expected)


def test_gradient_flow_against_scipy_and_its_order():
    law = small_law(8)
    population, W = LinearPopulation.of(law), weights(8, 0.4)

    def velocity(_, flat):
        return np.concatenate([g.ravel() for g in flow.velocity(law, *flat.reshape(2, 6, 4), models.LinearModel())])

    exact = solve_ivp(velocity, (0, 4), np.ravel(W), rtol=1e-12, atol=1e-12, method="DOP853").y[:, -1]
    steps = np.array([0.2, 0.1, 0.05, 0.025])
    errors = [np.linalg.norm(np.ravel(gradient_flow(population, *W, [4.0], h)[0]) - exact) for h in steps]
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(4, abs=0.3)


def test_gradient_flow_passes_through_its_times_and_conserves():
    population, W = LinearPopulation.of(small_law(9)), weights(9)
    path = gradient_flow(population, *W, [0.0, 1.0, 2.0], 0.01)
    np.testing.assert_array_equal(path[0][0], W[0])
    once = gradient_flow(population, *W, [2.0], 0.01)[0]
    np.testing.assert_allclose(path[-1][0], once[0], rtol=1e-12)
    for W_E, W_U in path:
        np.testing.assert_allclose(W_E.T @ W_E - W_U.T @ W_U, W[0].T @ W[0] - W[1].T @ W[1], atol=1e-6)


@pytest.mark.parametrize(("times", "step"), [([1.0], 0.0), ([2.0, 1.0], 0.1), ([-1.0], 0.1)])
def test_gradient_flow_refuses_bad_times(times, step):
    with pytest.raises(ValueError, match="positive step and increasing times"):
        gradient_flow(LinearPopulation.of(small_law(1)), *weights(1), times, step)


def test_gradient_descent_is_gradient_flow_for_small_rates():
    population, W = LinearPopulation.of(small_law(10)), weights(10, 0.5)
    exact = np.concatenate(gradient_flow(population, *W, [2.0], 0.05)[0])
    rates = np.array([0.2, 0.1, 0.05, 0.025])
    errors = [np.linalg.norm(np.concatenate(gradient_descent(population, *W, r, round(2 / r))) - exact) for r in rates]
    assert np.polyfit(np.log(rates), np.log(errors), 1)[0] == pytest.approx(1, abs=0.05)


def test_adamw_is_torch_adamw():
    torch = pytest.importorskip("torch")
    W = weights(11)
    target = weights(12)
    one, two = (torch.nn.Parameter(torch.tensor(w)) for w in W)
    optimiser = torch.optim.AdamW([one, two], lr=0.03, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)
    for _ in range(7):
        optimiser.zero_grad()
        loss = sum(((w - torch.tensor(t)) ** 4).sum() for w, t in zip((one, two), target, strict=True))
        loss.backward()
        optimiser.step()
    path = adamw(
        lambda a, b: (-4 * (a - target[0]) ** 3, -4 * (b - target[1]) ** 3),
        *W,
        0.03,
        7,
        betas=(0.8, 0.95),
        eps=1e-6,
        weight_decay=0.1,
    )
    assert len(path) == 8
    np.testing.assert_allclose(path[-1][0], one.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(path[-1][1], two.detach().numpy(), rtol=1e-12)


def test_adamw_leaves_entries_without_gradient_to_the_decay():
    W = np.ones((1, 2))
    path = adamw(lambda a, b: (np.array([[0.0, 1.0]]), b), W, W, 0.1, 1, eps=0.0, weight_decay=0.5)
    np.testing.assert_allclose(path[1][0], [[0.95, 1.05]])
