"""The theorems of the theory chapters, each checked by code other than the chapter's where that is possible."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from probsig.laws import distribution, tasks
from probsig.theory import flow, models, orders, softmax
from probsig.theory.trajectory import LinearPopulation, adamw, gradient_flow

ANCHORS, Z = np.arange(11, 21), np.arange(101, 141)
ENTROPY = 2.7937720842487974
LINEAR = models.LinearModel()


@pytest.fixture(scope="module")
def mod():
    return tasks.modular_addition()


def weights(seed, scale, hidden_size=16, vocab_size=200):
    return tuple(scale * np.random.default_rng(seed).standard_normal((2, vocab_size, hidden_size)))


def noise_task():
    rows = [(z, a, b, 101 + (z + c + e) % 40) for z in Z for a, b, c, e in product(ANCHORS[:3], repeat=4)]
    rows = np.array(rows)
    return distribution.Distribution(
        X=rows[:, :3], y=rows[:, 3], weight=np.ones(len(rows), np.int64), vocab_size=200
    ).merged()


# What the linear model sees


@pytest.mark.parametrize("scale", [0.05, 2.0])
def test_modular_addition_is_noise_to_a_linear_model_and_not_to_a_relu(scale):
    small, noise = tasks.modular_addition(anchors=range(11, 14)).merged(), noise_task()
    W = weights(0, scale)
    assert flow.loss(small, *W, LINEAR) == pytest.approx(flow.loss(noise, *W, LINEAR), rel=1e-12)
    for one, other in zip(flow.velocity(small, *W, LINEAR), flow.velocity(noise, *W, LINEAR), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-13 * np.abs(one).max())
    relu = models.FeedForward("relu")
    gap = flow.velocity(small, *W, relu)[0] - flow.velocity(noise, *W, relu)[0]
    assert np.linalg.norm(gap) > 0.02 * np.linalg.norm(flow.velocity(small, *W, relu)[0])


def test_entropy_bound_is_the_infimum(mod):
    ways = np.convolve(np.ones(10), np.ones(10)) / 100
    assert -np.sum(ways * np.log(ways)) == pytest.approx(ENTROPY, abs=1e-12)
    whole = LinearPopulation.of(mod)
    part = LinearPopulation(whole.counts, whole.probability, whole.joint[101:141], whole.tokens)

    def objective(flat):
        loss, M = part.error(flat.reshape(40, 50))
        return loss, -M.ravel()

    options = {"maxiter": 400, "ftol": 1e-16, "gtol": 1e-11, "maxcor": 30}
    best = minimize(objective, np.zeros(2000), jac=True, method="L-BFGS-B", options=options)
    assert best.fun == pytest.approx(ENTROPY, abs=1e-8)
    predicted = 101 + np.argmax(mod.counts()[:, whole.tokens] @ best.x.reshape(40, 50).T, axis=1)
    assert np.mean(predicted == mod.y) == 0.1


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 3), hidden_size=st.integers(1, 30))
def test_no_linear_model_beats_the_entropy(mod, seed, scale, hidden_size):
    assert flow.loss(mod, *weights(seed, scale, hidden_size), LINEAR) >= ENTROPY


# Contraction


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 2), a=st.integers(11, 20), b=st.integers(11, 20))
def test_contraction_identity_and_sign(mod, seed, scale, a, b):
    if a == b:
        return
    W_E, W_U = weights(seed, scale)
    dW_E, _ = flow.velocity(mod, W_E, W_U, LINEAR)
    D = W_E[a] - W_E[b]
    left = 2 * D @ (dW_E[a] - dW_E[b])
    rest = (W_E[Z][:, None] + W_E[ANCHORS]).reshape(-1, 16)
    gap = softmax.softmax((rest + W_E[a]) @ W_U.T) - softmax.softmax((rest + W_E[b]) @ W_U.T)
    assert left == pytest.approx(-4 / 4000 * np.sum(gap @ (W_U @ D)), rel=1e-9)
    assert left < 0


@pytest.mark.slow
def test_addition_violates_the_hypothesis_and_anchors_part():
    path = gradient_flow(LinearPopulation.of(tasks.addition()), *weights(1, 0.3), [50.0, 150.0], 2.0)
    first, second = np.triu_indices(10, 1)
    early, late = (np.linalg.norm(W_E[ANCHORS][first] - W_E[ANCHORS][second], axis=1) for W_E, _ in path)
    assert np.sum(late > early) > 20


@pytest.mark.parametrize("name", ["identity", "quadratic", "relu", "tanh"])
def test_dual_contraction_in_any_architecture(mod, name):
    model = models.FeedForward(name)
    W_E, W_U = weights(2, 0.5)
    _, dW_U = flow.velocity(mod, W_E, W_U, model)
    f = flow.logits(mod, W_E, W_U, model)
    probability = softmax.softmax(f)
    right = -2 * mod.probability @ ((probability[:, 3] - probability[:, 180]) * (f[:, 3] - f[:, 180]))
    assert 2 * (W_U[3] - W_U[180]) @ (dW_U[3] - dW_U[180]) == pytest.approx(right, rel=1e-10)
    assert right < 0


# The best accuracy


def width_two():
    residue = (Z + 22) % 40
    W_E, W_U = np.zeros((200, 2)), np.tile([0.0, -1e4], (200, 1))
    W_E[Z] = np.stack([np.where(residue <= 30, residue, residue - 40), np.ones(40)], axis=1)
    W_E[ANCHORS, 0] = ANCHORS - 11
    W_U[101:141] = np.stack([2.0 * np.arange(40), -(np.arange(40) ** 2.0)], axis=1)
    return W_E, W_U


def test_a_linear_model_of_width_two_reaches_the_maximum(mod):
    assert flow.accuracy(mod, *width_two(), LINEAR) == pytest.approx(0.9175, abs=1e-12)
    deviation = np.abs(mod.X[:, 1] + mod.X[:, 2] - 31).mean()
    assert 1 - deviation / 40 == pytest.approx(0.9175, abs=1e-12)


def test_no_linear_model_does_better_by_the_linear_programme_over_all_couples():
    pairs = list(product(range(10), repeat=2))
    rows, least = [], []
    for i, j in product(range(100), repeat=2):
        difference = sum(pairs[j]) - sum(pairs[i])
        if difference > 0:
            row = np.zeros(100)
            row[[i, j]] = -1
            rows.append(row)
            least.append(-np.gcd(difference, 40) / 40)
    assert 1 - linprog(np.ones(100), A_ub=np.array(rows), b_ub=least).fun / 100 == pytest.approx(0.9175, abs=1e-9)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), size=st.floats(0, 0.3))
def test_every_couple_has_its_forced_errors(mod, seed, size):
    moved = [W + size * noise for W, noise in zip(width_two(), weights(seed, 1.0, 2), strict=True)]
    f = flow.logits(mod, *moved, LINEAR)
    label = f[np.arange(4000), mod.y]
    f[np.arange(4000), mod.y] = -np.inf
    right = np.zeros((40, 10, 10), bool)
    right[mod.X[:, 0] - 101, mod.X[:, 1] - 11, mod.X[:, 2] - 11] = label > f.max(axis=1)
    pairs = list(product(range(10), repeat=2))
    for P, Q in product(pairs, repeat=2):
        k = sum(Q) - sum(P)
        if k > 0 and 40 % k == 0:
            assert np.sum(~(right[:, *P] & right[:, *Q])) >= k


# AdamW and heads


@pytest.mark.parametrize("name", list(tasks.TASKS))
def test_first_adamw_step_follows_the_arcsine_law(name):
    part = LinearPopulation.of(tasks.TASKS[name]())
    W = weights(4, 3e-3, 2000)
    end, _ = adamw(part.velocity, *W, 1e-5, 1)[1]
    moved = (end - W[0])[part.tokens]
    q = (part.joint / part.token_rate).T - 1 / 200

    def cosines(rows):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return np.clip((unit @ unit.T)[np.triu_indices(len(rows), 1)], -1, 1)

    centred = cosines(q)
    deviation = np.sqrt(np.mean((cosines(moved) - 2 / np.pi * np.arcsin(centred)) ** 2))
    assert deviation < 1.5 * 2000**-0.5
    assert np.sqrt(np.mean((cosines(moved) - centred) ** 2)) > 3 * deviation


def test_first_order_signs_are_wrong_for_a_share_of_order_two():
    law = tasks.modular_addition()
    part = LinearPopulation.of(law)
    q = (part.joint / part.token_rate).T - 1 / 200

    def wrong(scale, seed):
        D_E, D_U = orders.directions(law, 200, seed)
        exact = part.velocity(scale * D_E, scale * D_U)[0][part.tokens]
        return np.mean(np.sign(exact) != np.sign(q @ D_U))

    order = orders.residual_order(wrong, [0.12, 0.08, 0.055, 0.04, 0.03], range(6))
    assert abs(order.slope - 2) < 3 * order.stderr + 0.1


def trigrams(even_weight):
    chain = np.array([[1, 5, 2], [2, 1, 5], [5, 2, 1]])
    tokens = np.array(list(np.ndindex(6, 6, 6)))
    classes, parity = tokens // 2, (tokens % 2).sum(axis=1) % 2
    weight = chain[classes[:, 0], classes[:, 1]] * chain[classes[:, 1], classes[:, 2]]
    return tokens, weight * np.where(parity == 0, even_weight, 4 - even_weight)


@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_heads_cannot_tell_trigram_laws_with_equal_pair_marginals(activation):
    model, rng = models.FeedForward(activation), np.random.default_rng(5)
    W, U = rng.standard_normal((2, 6, 8))
    wide, joint_head = np.vstack([W, np.zeros((30, 8))]), rng.standard_normal((36, 8))
    (tokens, even), (_, odd) = trigrams(3), trigrams(1)
    assert np.abs(even - odd).sum() / even.sum() / 2 == 0.5
    for j in (1, 2):
        one, other = (
            distribution.Distribution(X=tokens[:, :1], y=tokens[:, j], weight=w, vocab_size=6).merged()
            for w in (even, odd)
        )
        np.testing.assert_array_equal(flow.velocity(one, W, U, model)[0], flow.velocity(other, W, U, model)[0])
    one, other = (
        distribution.Distribution(X=tokens[:, :1], y=6 * tokens[:, 1] + tokens[:, 2], weight=w, vocab_size=36)
        for w in (even, odd)
    )
    seen = flow.velocity(one, wide, joint_head, model)[0]
    assert np.linalg.norm(seen - flow.velocity(other, wide, joint_head, model)[0]) > 0.05 * np.linalg.norm(seen)


# Discrete time


@pytest.fixture(scope="module")
def field(mod):
    M_0 = LinearPopulation.of(mod).centred_joint()
    return lambda W_E, W_U: (M_0.T @ W_U, M_0 @ W_E)


def test_adamw_at_first_order_has_error_of_order_two(mod, field):
    part = LinearPopulation.of(mod)

    def residual(scale, seed):
        start = weights(seed, 1.0, 8)
        exact = adamw(part.velocity, *(scale * W for W in start), 0.05 * scale, 5, eps=0.0)[-1]
        theory = adamw(field, *start, 0.05, 5, eps=0.0)[-1]
        return np.linalg.norm(np.concatenate(exact) / scale - np.concatenate(theory))

    assert orders.residual_order(residual, [2e-3, 1e-3, 5e-4, 2.5e-4], range(3)).slope == pytest.approx(2, abs=0.05)


def test_adamw_leaves_the_straight_line_at_second_order(field):
    start = weights(7, 1.0)
    v = field(*start)
    h = field(*np.sign(v))
    steps = 5

    def mean_index(beta, j):
        powers = beta ** (j - 1.0 - np.arange(j))
        return np.arange(j) @ powers / powers.sum()

    c = sum(mean_index(0.9, j) - mean_index(0.999, j) for j in range(1, steps + 1))
    rhos, errors = np.array([4e-3, 2e-3, 1e-3, 5e-4]), []
    for rho in rhos:
        end = adamw(field, *start, rho, steps, eps=0.0)[-1]
        on = v[1] != 0
        line = (end[1] - start[1] - steps * rho * np.sign(v[1]))[on]
        errors.append([np.median(np.abs(line)), np.median(np.abs(line - c * rho**2 * h[1][on] / np.abs(v[1][on])))])
    straight, bent = np.polyfit(np.log(rhos), np.log(errors), 1)[0]
    assert straight == pytest.approx(2, abs=0.25)
    assert bent == pytest.approx(3, abs=0.25)


def test_adamw_stays_on_the_ray(mod, field):
    p, q = np.zeros((200, 1)), -np.ones((200, 1))
    p[mod.occurs()] = 1.0
    q[101:141] = 1.0
    end_E, end_U = adamw(field, p, q, 0.05, 30, eps=0.0, weight_decay=0.1)[-1]
    size = end_U[101, 0]
    np.testing.assert_allclose(end_E, size * p, rtol=1e-12)
    np.testing.assert_allclose(end_U, size * q, rtol=1e-12)
    off = q.copy()
    off[101] = -1.0
    _, bent = adamw(field, p, off, 0.05, 30, eps=0.0, weight_decay=0.1)[-1]
    assert np.ptp(np.abs(bent)) > 0.1
