"""The mechanical expansion: coefficients by contour integrals, terms against Corollary 2 and power series, and laws
that differ in one signature only.
"""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from scipy.special import erf

from probsig.laws import distribution
from probsig.theory import feedforward, flow, models, orders
from probsig.theory.activations import ACTIVATIONS
from probsig.theory.mechanical import TAYLOR, Signature, contract, cumulant, entries, evaluate, moment, terms

COMPLEX = {
    "identity": lambda s: s,
    "quadratic": lambda s: s + s**2 / 2,
    "square": lambda s: s**2,
    "tanh": np.tanh,
    "centred logistic": lambda s: 1 / (1 + np.exp(-s)) - 0.5,
    "gelu": lambda s: s * (1 + erf(s / np.sqrt(2))) / 2,
    "silu": lambda s: s / (1 + np.exp(-s)),
    "logistic": lambda s: 1 / (1 + np.exp(-s)),
    "softplus": lambda s: np.log1p(np.exp(s)),
}


def small_law(seed=0, vocab_size=6, atoms=8, length=3):
    rng = np.random.default_rng(seed)
    X, y = rng.integers(0, vocab_size, (atoms, length)), rng.integers(0, vocab_size, atoms)
    X[0, 1] = X[0, 0]
    return distribution.Distribution(X, y, rng.integers(1, 6, atoms), vocab_size, "small")


def parity(bits, coin=False):
    """The parity of `bits` bits, each with two tokens of its own, or a fair coin in its place."""
    rows = [
        ([2 * i + bit for i, bit in enumerate(row)], label)
        for row in product((0, 1), repeat=bits)
        for label in ((0, 1) if coin else (sum(row) % 2,) * 2)
    ]
    X, y = zip(*rows, strict=True)
    return distribution.Distribution(X, [2 * bits + label for label in y], [1] * len(y), 2 * bits + 2, f"parity {bits}")


@pytest.mark.parametrize("name", TAYLOR)
def test_coefficients_by_a_contour_integral(name):
    circle = np.exp(2j * np.pi * np.arange(64) / 64)
    found = (np.fft.fft(COMPLEX[name](circle)) / 64)[:9]
    assert np.allclose(found, [float(c) for c in TAYLOR[name]], atol=1e-12)
    s = np.linspace(-2, 2, 9)
    assert np.allclose(ACTIVATIONS[name].function(s), COMPLEX[name](s), atol=1e-14)
    step = 1e-5
    slope = (ACTIVATIONS[name].function(s + step) - ACTIVATIONS[name].function(s - step)) / (2 * step)
    assert np.allclose(ACTIVATIONS[name].derivative(s), slope, atol=1e-9)


@pytest.mark.parametrize("name", TAYLOR)
def test_residual_is_of_the_next_order_that_has_a_term(name):
    law, model, scales = small_law(), models.FeedForward(ACTIVATIONS[name]), (0.04, 0.03, 0.02, 0.015)
    weights = {seed: orders.directions(law, 8, seed) for seed in range(3)}
    parts = {seed: [evaluate(law, *W, terms(TAYLOR[name], k)) for k in range(1, 6)] for seed, W in weights.items()}
    for k in range(1, 6):
        expected = next(j for j in range(k + 1, 9) if terms(TAYLOR[name], j))

        def residual(scale, seed, k=k):
            exact = flow.velocity(law, *(scale * D for D in weights[seed]), model)[0]
            return np.linalg.norm(exact - sum(scale ** (j + 1) * parts[seed][j] for j in range(k)))

        at = scales if expected > 3 else [scale / 8 for scale in scales]
        assert abs(orders.residual_order(residual, at, range(3)).slope - expected) < 0.1, (name, k)


@pytest.mark.parametrize("name", ["quadratic", "gelu", "softplus"])
def test_terms_against_power_series_of_the_softmax(name):
    """The same order-k flow from truncated power series in eps: exp, division and products, no cumulants."""
    law, K = small_law(1), 5
    W_E, W_U = orders.directions(law, 3, 0)
    c = [float(x) for x in TAYLOR[name]]
    s = law.counts() @ W_E
    logits = [np.zeros((len(s), law.vocab_size))] + [c[j] * s**j @ W_U.T for j in range(K)]
    power = [np.ones_like(logits[0])]  # exp of the logits: k e_k = sum_i i f_i e_{k-i}
    for k in range(1, K + 1):
        power.append(sum(i * logits[i] * power[k - i] for i in range(1, k + 1)) / k)
    total = [e.sum(axis=1, keepdims=True) for e in power]
    p = []  # division of the series
    for k in range(K + 1):
        p.append((power[k] - sum(p[i] * total[k - i] for i in range(k))) / total[0])
    for k in range(1, K + 1):
        force = np.zeros_like(s)
        for a in range(k):
            error = (np.eye(law.vocab_size)[law.y] if a == k - 1 else 0) - p[k - 1 - a]
            force += (a + 1) * c[a + 1] * s**a * (error @ W_U)
        expected = law.counts().T @ (law.probability[:, None] * force)
        assert np.allclose(evaluate(law, W_E, W_U, terms(TAYLOR[name], k)), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["tanh", "gelu", "logistic"])
def test_the_signatures_are_all_that_is_needed(name):
    law = small_law(2)
    W = orders.directions(law, 4, 1)
    chosen = [term for k in range(1, 6) for term in terms(TAYLOR[name], k)]
    moments = {signature: moment(law, signature) for signature in {term.signature for term in chosen}}
    assert np.allclose(contract(moments, *W, chosen), evaluate(law, *W, chosen), rtol=1e-11, atol=1e-11)


def test_moments_against_powers_of_counts():
    law = small_law(3)
    c = law.counts()
    dense = np.zeros((6, 6, 6, 6))
    found = moment(law, Signature(labelled=True, degree=2))
    dense[(found.label, *found.tokens.T)] = found.value
    assert np.allclose(dense, np.einsum("n,ny,na,nb,nc->yabc", law.probability, np.eye(6)[law.y], c, c, c), atol=1e-14)


def test_quadratic_terms_are_corollary_2():
    law = small_law()
    W = orders.directions(law, 4, 0)
    parts = [evaluate(law, *W, terms(TAYLOR["quadratic"], k)) for k in (1, 2, 3, 4)]
    for count, form in ((2, "second_order"), (3, "third_order"), (4, "fourth_order")):
        assert np.allclose(sum(parts[:count]), feedforward.corollary_2(law, *W, form), atol=1e-12)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_cumulants_are_derivatives_of_the_log_partition_function(m):
    """kappa_{m+1}(v, ..., v, .) is m! times the t^m coefficient of W_U^T softmax(t W_U v)."""
    W_U = np.random.default_rng(0).standard_normal((7, 3))
    v = np.random.default_rng(1).standard_normal((1, 3))
    circle = 0.3 * np.exp(2j * np.pi * np.arange(64) / 64)
    power = np.exp(circle[:, None] * (W_U @ v[0]))
    means = power @ W_U / power.sum(axis=1, keepdims=True)
    coefficient = (np.fft.fft(means, axis=0) / 64)[m] / 0.3**m
    assert np.allclose(cumulant(W_U, [v] * m)[0], coefficient.real * np.prod(range(1, m + 1)), atol=1e-10)


def test_odd_activations_have_odd_orders_only():
    assert [bool(terms(TAYLOR["tanh"], k)) for k in range(1, 9)] == [True, False] * 4


def test_entries_of_a_generic_activation():
    """With no zero coefficient but c_0, label signatures enter at degree + 1 and companion laws at degree + 2."""
    found = entries([Fraction(0)] + [Fraction(1)] * 5, 5)
    expected = {Signature(True, a): a + 1 for a in range(5)} | {Signature(False, r): r + 2 for r in range(1, 4)}
    assert found == expected


@pytest.mark.parametrize(("name", "bits", "expected"), [("quadratic", 2, 2), ("gelu", 3, 4), ("tanh", 3, 3)])
def test_parity_shows_at_the_first_coefficient_from_its_number_of_bits(name, bits, expected):
    law, coin, model = parity(bits), parity(bits, coin=True), models.FeedForward(ACTIVATIONS[name])

    def apart(scale, seed):
        W = [scale * D for D in orders.directions(law, 8, seed)]
        return np.linalg.norm(flow.velocity(law, *W, model)[0] - flow.velocity(coin, *W, model)[0])

    assert abs(orders.residual_order(apart, (0.04, 0.02, 0.01), range(3)).slope - expected) < 0.1


@pytest.mark.parametrize(("name", "degree"), [("identity", 1), ("quadratic", 2), ("square", 2)])
def test_a_polynomial_cannot_tell_parity_of_more_bits_from_a_coin(name, degree):
    law, coin, model = parity(degree + 1), parity(degree + 1, coin=True), models.FeedForward(ACTIVATIONS[name])
    W = orders.directions(law, 8, 0)
    assert abs(flow.loss(law, *W, model) - flow.loss(coin, *W, model)) < 1e-13
    assert flow.loss(law, *W, model) >= np.log(2)
    for ours, coins in zip(flow.velocity(law, *W, model), flow.velocity(coin, *W, model), strict=True):
        assert np.allclose(ours, coins, atol=1e-13)
    seen = models.FeedForward("gelu")
    assert abs(flow.loss(law, *W, seen) - flow.loss(coin, *W, seen)) > 1e-3


def test_requests_that_cannot_be_met_are_refused():
    with pytest.raises(ValueError, match="order is 0: the flow begins at order 1"):
        terms(TAYLOR["tanh"], 0)
    with pytest.raises(ValueError, match="9 Taylor coefficients do not reach order 9: pass c_0 to c_9"):
        terms(TAYLOR["tanh"], 9)
