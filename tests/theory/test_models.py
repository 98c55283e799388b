"""Hidden maps against torch, their pullbacks against the definition of a transpose, and the readings of the init."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from probsig.theory.activations import ACTIVATIONS, Activation, quadratic
from probsig.theory.models import FeedForward, LinearModel, initial_weights

TORCH = {
    "identity": lambda s: s,
    "quadratic": lambda s: s + s**2 / 2,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": torch.nn.functional.gelu,
    "square": torch.square,
    "silu": torch.nn.functional.silu,
    "logistic": torch.sigmoid,
    "centred logistic": lambda s: torch.sigmoid(s) - 0.5,
    "softplus": lambda s: torch.nn.functional.softplus(s, threshold=100),
}
numbers = st.floats(-40, 40, allow_subnormal=False)


def test_every_activation_has_a_reference():
    assert set(TORCH) == set(ACTIVATIONS)
    assert all(activation.name == name for name, activation in ACTIVATIONS.items())


@pytest.mark.parametrize("name", TORCH)
@given(arrays(float, 5, elements=numbers))
def test_activation_and_derivative_agree_with_autograd(name, s):
    """On numpy arrays and on torch tensors, which keep their type."""
    leaf = torch.tensor(s, requires_grad=True)
    value = TORCH[name](leaf)
    (slope,) = torch.autograd.grad(value.sum(), leaf)
    np.testing.assert_allclose(ACTIVATIONS[name].function(s), value.detach().numpy(), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(ACTIVATIONS[name].derivative(s), slope.numpy(), rtol=1e-12, atol=1e-12)
    short = s.astype(np.float32)
    for part in (ACTIVATIONS[name].function, ACTIVATIONS[name].derivative):
        single = part(torch.tensor(short))
        assert single.dtype == torch.float32 and part(short).dtype == np.float32
        np.testing.assert_allclose(single.numpy(), part(short.astype(float)), rtol=1e-4, atol=1e-4)


def test_large_sums_raise_no_warning():
    for activation in ACTIVATIONS.values():
        assert np.isfinite(activation.derivative(np.array([-1e3, 0.0, 1e3]))).all()


def test_quadratic_is_the_paper_s_by_default():
    s = np.array([-1.0, 0.5, 2.0])
    assert quadratic().function(s).tolist() == [-0.5, 0.625, 4.0]
    assert quadratic(2, 3).derivative(s).tolist() == [-4.0, 5.0, 14.0]


@pytest.mark.parametrize("model", [LinearModel(), *map(FeedForward, ACTIVATIONS)])
def test_pullback_is_the_transpose_of_the_derivative(model):
    """<g, G(E + hV) - G(E - hV)> / 2h = <pullback(g), V> + O(h^2): the residual falls by 4 when h is halved."""
    rng = np.random.default_rng(0)
    E, V, g = rng.normal(size=(3, 2, 4)), rng.normal(size=(3, 2, 4)), rng.normal(size=(3, 4))
    exact = (model.pullback(E, g) * V).sum()
    residual = [
        abs(((model.hidden(E + h * V) - model.hidden(E - h * V)) * g).sum() / 2 / h - exact) for h in (1e-2, 5e-3)
    ]
    assert residual[0] < 1e-12 or residual[0] / residual[1] == pytest.approx(4, abs=0.05)


def test_linear_is_feed_forward_with_the_identity():
    rng = np.random.default_rng(1)
    E, g = rng.normal(size=(5, 3, 2)), rng.normal(size=(5, 2))
    assert (LinearModel().hidden(E) == FeedForward("identity").hidden(E)).all()
    assert (LinearModel().pullback(E, g) == FeedForward("identity").pullback(E, g)).all()
    assert LinearModel().pullback(E, g).shape == E.shape


def test_an_activation_of_one_s_own():
    cube = FeedForward(Activation("cube", lambda s: s**3, lambda s: 3 * s**2))
    E = np.array([[[1.0], [1.0]]])
    assert cube.hidden(E).tolist() == [[8.0]]
    assert cube.pullback(E, np.array([[1.0]])).tolist() == [[[12.0], [12.0]]]


@pytest.mark.parametrize(("init", "sd"), [("sd", 200**-0.8), ("variance", 200**-0.4), (0.3, 0.3), ("torch", 1.0)])
def test_readings_of_the_init(init, sd):
    W_E, W_U = initial_weights(200, 200, init, seed=5)
    assert W_E.shape == W_U.shape == (200, 200)
    error = 4 / np.sqrt(2 * W_E.size)  # four standard errors of a standard deviation
    assert W_E.std() == pytest.approx(sd, rel=error)
    if init == "torch":
        assert 0.999 * 200**-0.5 < abs(W_U).max() <= 200**-0.5
        assert W_U.std() == pytest.approx((3 * 200) ** -0.5, rel=error)
    else:
        assert W_U.std() == pytest.approx(sd, rel=error)


def test_streams_of_the_init():
    weights = initial_weights(6, 4, "sd", seed=2)
    for scaled, base in zip(initial_weights(6, 4, "variance", seed=2), weights, strict=True):
        np.testing.assert_allclose(scaled, 4**0.4 * base, rtol=1e-14)
    assert (initial_weights(6, 4, "sd", seed=2)[1] == weights[1]).all()
    others = [
        weights[1],
        *initial_weights(6, 4, "sd", seed=3),
        *initial_weights(6, 4, "sd", seed=2, stream=("init", "add")),
    ]
    assert all((other != weights[0]).all() for other in others)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: FeedForward("swish"),
            "activation is 'swish'",
        ),
        (
            lambda: initial_weights(3, 3, "xavier"),
            "init is 'xavier': pass one of 'sd', 'variance', 'torch', or a positive",
        ),
        (lambda: initial_weights(3, 3, -0.1), "init is -0.1: "),
        (lambda: initial_weights(3, 3, True), "init is True: "),
        (lambda: initial_weights(3, 3, float("nan")), "init is nan: "),
        (lambda: initial_weights(0, 3), "vocab_size is 0: pass an integer of at least 1"),
        (lambda: initial_weights(3, 0), "hidden_size is 0: pass an integer of at least 1"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)


def test_neither_torch_nor_transformers_is_imported():
    loaded = "{'torch', 'transformers'} & set(sys.modules)"
    code = f"import sys, probsig.theory.models, probsig.theory.flow; assert not {loaded}"
    subprocess.run([sys.executable, "-c", code], check=True)
