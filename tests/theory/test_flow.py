"""Propositions 1 and 2 against autograd, by hand, and by what must hold for every law; orders of residuals."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from probsig.laws.distribution import Distribution
from probsig.laws.tasks import TASKS
from probsig.theory import flow, orders, softmax
from probsig.theory.models import FeedForward, LinearModel, initial_weights

torch.set_num_threads(1)
TORCH = {
    "identity": lambda s: s,
    "quadratic": lambda s: s + s**2 / 2,
    "relu": torch.relu,
    "tanh": torch.tanh,
}
RNG = np.random.default_rng(7)
Q, K = RNG.normal(size=(2, 8, 8)) / np.sqrt(8)
P = RNG.normal(size=(3, 8, 8)) / np.sqrt(8)


class Mixed:
    """G = Q tanh(K s): the Jacobian is dense and not symmetric."""

    def hidden(self, E):
        return np.tanh(E.sum(axis=1) @ K.T) @ Q.T

    def pullback(self, E, g):
        slope = 1 - np.tanh(E.sum(axis=1) @ K.T) ** 2
        return np.broadcast_to((((g @ Q) * slope) @ K)[:, None, :], E.shape)


class Positional:
    """G = tanh(sum_i P_i E_i): every position has a Jacobian of its own."""

    def hidden(self, E):
        return np.tanh(np.einsum("iab,nib->na", P, E))

    def pullback(self, E, g):
        return np.einsum("iab,na->nib", P, g * (1 - self.hidden(E) ** 2))


def autograd(dist, W_E, W_U, hidden):
    """Minus the gradient of the cross-entropy, by torch in float64; `hidden` maps a (n, L, d) tensor to (n, d)."""
    W_E, W_U = (torch.tensor(W, requires_grad=True) for W in (W_E, W_U))
    logits = hidden(W_E[torch.tensor(dist.X)]) @ W_U.T
    each = torch.nn.functional.cross_entropy(logits, torch.tensor(dist.y), reduction="none")
    loss = (torch.tensor(dist.probability) * each).sum()
    return loss.item(), [-g.numpy() for g in torch.autograd.grad(loss, (W_E, W_U))]


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def agree(dist, weights, model, hidden):
    loss, gradients = autograd(dist, *weights, hidden)
    assert flow.loss(dist, *weights, model) == pytest.approx(loss, rel=1e-12)
    for ours, reference in zip(flow.velocity(dist, *weights, model), gradients, strict=True):
        assert relative(ours, reference) < 1e-12


@pytest.mark.parametrize("activation", TORCH)
@pytest.mark.parametrize("task", TASKS)
def test_velocity_is_autograd_s_for_elementwise_models(task, activation):
    dist = TASKS[task]()
    weights = initial_weights(dist.vocab_size, 16, 0.4, seed=3)
    agree(dist, weights, FeedForward(activation), lambda E: TORCH[activation](E.sum(dim=1)))


@pytest.mark.parametrize(
    ("model", "hidden"),
    [
        (Mixed(), lambda E: torch.tanh(E.sum(dim=1) @ torch.tensor(K).T) @ torch.tensor(Q).T),
        (Positional(), lambda E: torch.tanh(torch.einsum("iab,nib->na", torch.tensor(P), E))),
    ],
)
def test_velocity_is_autograd_s_for_models_with_dense_jacobians(model, hidden):
    dist = TASKS["mod"](range(11, 15), range(101, 111), 120)
    agree(dist, initial_weights(120, 8, 0.5, seed=4), model, hidden)


def test_repeated_token_by_hand():
    """X = [0, 0], y = 1, d = 1, a = log(3)/2, u = (0, 1): F = (0, log 3), p = (1/4, 3/4), and token 0 counts twice."""
    dist = Distribution(X=[[0, 0]], y=[1], weight=[1], vocab_size=2)
    W_E, W_U = np.array([[np.log(3) / 2], [5.0]]), np.array([[0.0], [1.0]])
    np.testing.assert_allclose(softmax.softmax(flow.logits(dist, W_E, W_U, LinearModel())), [[0.25, 0.75]], rtol=1e-15)
    dW_E, dW_U = flow.velocity(dist, W_E, W_U, LinearModel())
    np.testing.assert_allclose(dW_E, [[0.5], [0.0]], rtol=1e-15)
    np.testing.assert_allclose(dW_U, [[-np.log(3) / 4], [np.log(3) / 4]], rtol=1e-15)
    assert flow.loss(dist, W_E, W_U, LinearModel()) == pytest.approx(np.log(4 / 3), rel=1e-14)


def test_accuracy_weighs_atoms_and_breaks_ties_downwards():
    dist = Distribution(X=[[0], [1], [2]], y=[0, 1, 0], weight=[1, 2, 5], vocab_size=3)
    W_E, W_U = np.array([[1.0, 0], [1, 0], [0, 0]]), np.array([[1.0, 0], [0, 1], [0, 0]])
    assert flow.accuracy(dist, W_E, W_U, LinearModel()) == 6 / 8


@st.composite
def cases(draw):
    V, L, n, d = (draw(st.integers(1, high)) for high in (5, 3, 6, 3))
    ids = st.integers(0, V - 1)
    X = draw(st.lists(st.lists(ids, min_size=L, max_size=L), min_size=n, max_size=n))
    y = draw(st.lists(ids, min_size=n, max_size=n))
    weight = draw(st.lists(st.integers(1, 9), min_size=n, max_size=n))
    scale = draw(st.sampled_from([0.1, 1.0, 10.0]))
    weights = initial_weights(V, d, scale, seed=draw(st.integers(0, 99)))
    model = FeedForward(draw(st.sampled_from(["identity", "quadratic", "relu", "tanh"])))
    return Distribution(X, y, weight, V), weights, model


def close(a, b, scale=1.0):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12 * max(scale, 1.0))


@given(cases(), st.randoms(use_true_random=False))
def test_renaming_tokens_renames_the_rows(case, random):
    dist, (W_E, W_U), model = case
    new = np.array(random.sample(range(dist.vocab_size), dist.vocab_size))
    old = np.argsort(new)
    renamed = Distribution(new[dist.X], new[dist.y], dist.weight, dist.vocab_size)
    for after, before in zip(
        flow.velocity(renamed, W_E[old], W_U[old], model), flow.velocity(dist, W_E, W_U, model), strict=True
    ):
        close(after[new], before, abs(before).max())


@given(cases())
def test_unembedding_velocities_add_to_zero_and_absent_tokens_rest(case):
    dist, weights, model = case
    dW_E, dW_U = flow.velocity(dist, *weights, model)
    close(dW_U.sum(axis=0), 0, abs(dW_U).max())
    absent = np.setdiff1d(np.arange(dist.vocab_size), dist.occurs())
    assert (dW_E[absent] == 0).all()


@given(cases(), st.integers(2, 5))
def test_only_the_law_matters(case, factor):
    """Scaled weights, merged atoms and the atoms in another order are one law; a sample of it is a law of its own."""
    dist, weights, model = case
    same = [
        Distribution(dist.X, dist.y, factor * dist.weight, dist.vocab_size),
        Distribution(dist.X[::-1], dist.y[::-1], dist.weight[::-1], dist.vocab_size),
        dist.merged(),
    ]
    expected = flow.velocity(dist, *weights, model)
    for law in same:
        for ours, theirs in zip(flow.velocity(law, *weights, model), expected, strict=True):
            close(ours, theirs, abs(theirs).max())


def test_blocks_change_nothing(monkeypatch):
    dist = TASKS["add"](range(11, 14), range(101, 106), 140)
    weights = initial_weights(140, 4, 1.0)
    whole = flow.velocity(dist, *weights, FeedForward("tanh"))
    F = flow.logits(dist, *weights, FeedForward("tanh"))
    monkeypatch.setattr(flow, "BLOCK", 140 * 7)
    assert len(list(flow._blocks(dist, weights[0]))) == 7
    for blocked, once in zip(flow.velocity(dist, *weights, FeedForward("tanh")), whole, strict=True):
        assert relative(blocked, once) < 1e-14
    np.testing.assert_allclose(flow.logits(dist, *weights, FeedForward("tanh")), F, rtol=1e-12)


def test_the_sample_s_velocity_is_the_mean_over_its_draws():
    dist = TASKS["mod"](range(11, 14), range(101, 106), 120)
    weights = initial_weights(120, 4, 0.5)
    drawn = dist.draw(50, seed=9)
    one_by_one = [
        flow.velocity(Distribution(dist.X[[i]], dist.y[[i]], [1], 120), *weights, FeedForward("relu")) for i in drawn
    ]
    for k, ours in enumerate(flow.velocity(dist.sample(50, seed=9), *weights, FeedForward("relu"))):
        assert relative(ours, np.mean([each[k] for each in one_by_one], axis=0)) < 1e-13


def test_a_repeated_anchor_read_once_is_off_by_a_twentieth():
    """Near zero weights the linear model in f_mod loses P(a1 = a2 = a) / E[c_a] = (1/100) / (2/10) of the velocity."""
    dist = TASKS["mod"]()
    W_E, W_U = (0.001 * D for D in orders.directions(dist, 16, seed=0))
    error = -softmax.softmax(flow.logits(dist, W_E, W_U, LinearModel()))
    error[np.arange(len(dist.y)), dist.y] += 1
    once = (dist.counts() > 0).T @ (dist.probability[:, None] * error @ W_U)
    exact = flow.velocity(dist, W_E, W_U, LinearModel())[0]
    anchors, z = list(dist.groups["anchors"]), list(dist.groups["z"])
    assert relative(once[anchors], exact[anchors]) == pytest.approx(1 / 20, rel=1e-4)
    assert relative(once[z], exact[z]) < 1e-12


def test_sampling_error_by_enumerating_every_sample_of_two():
    """E |g_N - g|^2 = (E |g(X, y)|^2 - |g|^2) / N, with N = 2 and all pairs of atoms."""
    dist = Distribution([[0, 1], [1, 1], [2, 0]], [2, 0, 1], [1, 2, 3], 3)
    weights, model = initial_weights(3, 2, 1.0, seed=8), FeedForward("tanh")

    def of(indices):
        empirical = Distribution(dist.X[indices], dist.y[indices], [1] * len(indices), 3)
        return flow.velocity(empirical, *weights, model)[0]

    g, pi = flow.velocity(dist, *weights, model)[0], dist.probability
    pairs = sum(pi[i] * pi[j] * ((of([i, j]) - g) ** 2).sum() for i in range(3) for j in range(3))
    assert pairs == pytest.approx((sum(pi[i] * (of([i]) ** 2).sum() for i in range(3)) - (g**2).sum()) / 2, rel=1e-12)


def test_loss_falls_at_the_rate_of_the_squared_velocity():
    """L(W + h v) - L(W) = -h |v|^2 + O(h^2)."""
    dist = TASKS["add_same"]()
    W = initial_weights(dist.vocab_size, 8, 0.5)
    model = FeedForward("tanh")
    v = flow.velocity(dist, *W, model)
    speed = sum((part**2).sum() for part in v)

    def residual(h, _):
        moved = (weights + h * part for weights, part in zip(W, v, strict=True))
        return abs(flow.loss(dist, *moved, model) - flow.loss(dist, *W, model) + h * speed)

    assert orders.residual_order(residual, [0.02, 0.04, 0.08], [0]).slope == pytest.approx(2, abs=0.05)


def test_the_linear_model_conserves_the_difference_of_its_grams():
    dist = TASKS["mod"]()
    W_E, W_U = initial_weights(dist.vocab_size, 6, 0.7)
    dW_E, dW_U = flow.velocity(dist, W_E, W_U, LinearModel())
    assert relative(W_E.T @ dW_E, (W_U.T @ dW_U).T) < 1e-12


def test_softmax_survives_large_logits_and_ignores_a_constant():
    F = np.array([[0.0, 1.0, -2.0]])
    np.testing.assert_allclose(softmax.softmax(F + 1e6), softmax.softmax(F), rtol=1e-9)
    np.testing.assert_allclose(softmax.softmax(F).sum(), 1, rtol=1e-15)
    dist = Distribution(X=[[0]], y=[1], weight=[1], vocab_size=2)
    assert flow.loss(dist, np.array([[1e3], [0]]), np.array([[1.0], [-1.0]]), LinearModel()) == 2000.0


def test_directions_are_fixed_and_shared_by_tasks():
    (E, U), (E2, U2) = (orders.directions(TASKS[task](), 4, seed=1) for task in ("add", "mod"))
    assert E.shape == U.shape == (200, 4)
    assert (E == E2).all() and (U == U2).all() and (E != U).all()
    assert (orders.directions(TASKS["add"](), 4, seed=2)[0] != E).all()


@given(st.floats(-3, 6), st.floats(0.01, 100))
def test_slope_of_a_power_law(power, factor):
    order = orders.residual_order(lambda eps, seed: factor * (1 + seed) * eps**power, [0.02, 0.04, 0.16], [0, 1, 2])
    np.testing.assert_allclose(order.slopes, power, atol=1e-9)
    assert order.stderr < 1e-9 and order.values.shape == (3, 3)


def test_a_long_measurement_says_how_far_it_is(monkeypatch):
    said = io.StringIO()
    seen = {"disable": False, "delay": 0, "leave": True, "file": said}
    monkeypatch.setattr(orders, "tqdm", lambda **told: tqdm(**told | seen))
    orders.residual_order(lambda e, s: e, [0.1, 0.2, 0.4], [0, 1])
    assert "residuals" in said.getvalue() and "6/6" in said.getvalue()


def test_standard_error_over_seeds():
    order = orders.residual_order(lambda eps, seed: eps ** (1 + seed), [0.1, 1.0], [0, 1, 2])
    assert order.slope == pytest.approx(2) and order.stderr == pytest.approx(1 / np.sqrt(3))
    assert np.isnan(orders.residual_order(lambda eps, seed: eps, [0.1, 1.0], [0]).stderr)


LAW = Distribution(X=[[0, 1]], y=[2], weight=[1], vocab_size=3)
GOOD = np.zeros((3, 2))


class Wrong(LinearModel):
    def __init__(self, part):
        self.part = part

    def hidden(self, E):
        return E if self.part == "hidden" else super().hidden(E)

    def pullback(self, E, g):
        return g if self.part == "pullback" else super().pullback(E, g)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: flow.velocity(LAW, np.zeros((2, 2)), GOOD, LinearModel()),
            "W_E has shape (2, 2): pass (3, hidden size)",
        ),
        (lambda: flow.loss(LAW, GOOD, np.zeros((2, 3)), LinearModel()), "W_U has shape (2, 3): pass (3, hidden size)"),
        (lambda: flow.logits(LAW, np.zeros(3), GOOD, LinearModel()), "W_E has shape (3,): pass (3, hidden size)"),
        (lambda: flow.velocity(LAW, GOOD, np.zeros((3, 4)), LinearModel()), "W_E is (3, 2) and W_U is (3, 4): pass"),
        (
            lambda: flow.velocity(LAW, GOOD, GOOD, Wrong("hidden")),
            "model.hidden maps embeddings (1, 2, 2) to (1, 2, 2)",
        ),
        (lambda: flow.velocity(LAW, GOOD, GOOD, Wrong("pullback")), "model.pullback returned (1, 2) for embeddings"),
        (lambda: orders.residual_order(lambda e, s: e, [0.1, 0.1], [0]), "scales are [0.1, 0.1]: pass at least two"),
        (lambda: orders.residual_order(lambda e, s: e, [0.1, -1], [0]), "scales are [0.1, -1.0]: pass at least two"),
        (lambda: orders.residual_order(lambda e, s: e, [0.1, 1], []), "seeds is empty: pass at least one seed"),
        (lambda: orders.residual_order(lambda e, s: 0.0, [0.1, 1], [4]), "the residual at scale 0.1 and seed 4 is 0.0"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)
