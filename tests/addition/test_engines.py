"""The engines take the same steps: compiled, on numpy arrays and on torch tensors; and their batches."""

import numpy as np
import pytest

from probsig.addition import engines, kernels
from probsig.addition.engines import ArrayEngine, KernelEngine, Order, Protocol
from probsig.addition.training import MODELS
from probsig.laws.tasks import TASKS, modular_addition
from probsig.theory.models import initial_weights

torch = pytest.importorskip("torch")


def starts(dist, seeds, d=16):
    pairs = [initial_weights(dist.vocab_size, d, "variance", seed) for seed in seeds]
    return [tuple(W.astype(np.float32) for W in (*pair, pair[0][:d])) for pair in pairs]


@pytest.mark.parametrize("optimiser", ["adamw", "adam"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("task", TASKS)
def test_compiled_steps_equal_array_steps(task, model, optimiser):
    dist = TASKS[task]()
    how = Protocol(steps=60, learning_rate=1e-3, batch=50, samples=1000, optimiser=optimiser)
    one, two = (
        KernelEngine(dist, model, how, starts(dist, [1]), [1]),
        ArrayEngine(dist, model, how, starts(dist, [1]), [1], np, np.array),
    )
    for engine in (one, two):
        engine.advance(25)
        engine.advance(35)
    for mine, other in zip(one.weights()[0], two.weights()[0], strict=True):
        assert np.abs(mine - other).max() < 2e-5  # rounding of float32, 60 steps of 1e-3
        assert np.sqrt(((mine - other) ** 2).mean()) < 3e-7
    absent = np.setdiff1d(np.arange(dist.vocab_size), dist.occurs())
    assert np.array_equal(one.weights()[0][0][absent], two.weights()[0][0][absent])


@pytest.mark.parametrize("how", [{"batch": 20, "samples": 100}, {"batch": None}, {"batch": None, "optimiser": "sgd"}])
def test_torch_steps_equal_numpy_steps_and_resume(how):
    """What a GPU runs, here on the CPU: two seeds side by side, stopped once and gone on from its saved state."""
    dist = modular_addition(anchors=range(1, 5), z=range(10, 17), vocab_size=30)
    how = Protocol(steps=40, learning_rate=1e-2, **how)
    seeds = [3, 4]
    begin = [tuple(W.astype(np.float64) for W in start) for start in starts(dist, seeds, 8)]
    with_numpy = ArrayEngine(dist, "ffn", how, begin, seeds, np, np.array)
    with_torch = ArrayEngine(dist, "ffn", how, begin, seeds, torch, torch.tensor)
    with_numpy.advance(40)
    with_torch.advance(15)
    again = ArrayEngine(dist, "ffn", how, begin, seeds, torch, torch.tensor)
    again.load({name: array.copy() for name, array in with_torch.save().items()}, 15)
    for engine in (with_torch, again):
        engine.advance(25)
    for mine, other, resumed in zip(with_numpy.weights(), with_torch.weights(), again.weights(), strict=True):
        for a, b, c in zip(mine, other, resumed, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)
            assert np.array_equal(b, c)


def test_the_engine_that_fits():
    dist = modular_addition(anchors=range(1, 5), z=range(10, 17), vocab_size=30)
    usual = {"steps": 1, "batch": 20, "samples": 100}
    compiled = [("linear", {}), ("ffn", {}), ("linear", {"activation": "tanh"}), ("ffn", {"optimiser": "adam"})]
    arrays = [
        ("ffn", {"activation": "tanh"}),
        ("ffn", {"depth": 2}),
        ("linear", {"optimiser": "sgd"}),
        ("ffn", {"batch": None}),
    ]
    for cases, kind in ((compiled, KernelEngine), (arrays, ArrayEngine)):
        for model, other in cases:
            how = Protocol(**usual | other)
            assert type(engines.engine(dist, model, how, starts(dist, [0], 8), [0], "cpu")) is kind, (model, other)


def test_no_gpu_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert engines.resolve_device("auto") == "cpu"
    with pytest.raises(ValueError, match="device is 'cuda' and torch finds no GPU: pass 'auto' or 'cpu'"):
        engines.resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert engines.resolve_device("auto") == "cuda" == engines.resolve_device("cuda")


def test_the_exponential_is_right_to_two_units_in_the_last_place():
    x = np.linspace(-87, 0, 20_001).astype(np.float32)
    found = np.array([kernels.exponential.py_func(value) for value in x])
    exact = np.exp(x.astype(float))
    assert (np.abs(found - exact) / exact).max() < 2.0**-22 and found.dtype == np.float32
    assert kernels.exponential.py_func(np.float32(-1000)) == pytest.approx(np.exp(-87), rel=1e-6)


def test_the_error_of_a_row_of_logits():
    row = np.array([1.0, -2.0, 30.0, 29.5], dtype=np.float32)
    exact = np.exp(row.astype(float) - 30)
    kernels.error(row, 1, np.float32(0.25))
    np.testing.assert_allclose(row, 0.25 * (exact / exact.sum() - [0, 1, 0, 0]), atol=1e-7)


def test_every_epoch_takes_each_sample_once_in_another_order():
    dist = modular_addition(anchors=range(1, 5), z=range(10, 17), vocab_size=30)
    order = Order(dist, 1, batch=20, samples=60)
    first, second = order.take(3).ravel(), order.take(3).ravel()
    assert not np.array_equal(first, second)
    for epoch in (first, second):
        assert sorted(epoch) == sorted(dist.draw(60, 1))


def test_batches_do_not_depend_on_how_they_are_taken():
    dist = modular_addition(anchors=range(1, 5), z=range(10, 17), vocab_size=30)
    whole, parts, resumed = (Order(dist, 1, batch=20, samples=60) for _ in range(3))
    resumed.skip(5)
    expected = whole.take(11)
    assert np.array_equal(expected, np.concatenate([parts.take(n) for n in (1, 7, 0, 3)]))
    assert np.array_equal(expected[5:], resumed.take(6))
