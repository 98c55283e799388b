"""The gradients by hand and the optimisers: against the exact flow, by hand, and the same on torch tensors."""

import numpy as np
import pytest

from probsig.addition.gradients import Optimiser, gradient
from probsig.addition.training import MODELS
from probsig.laws.tasks import TASKS, modular_addition
from probsig.theory import flow
from probsig.theory.activations import ACTIVATIONS
from probsig.theory.models import FeedForward, LinearModel, initial_weights

torch = pytest.importorskip("torch")
HIDDEN = {"linear": LinearModel(), "ffn": FeedForward("relu")}


def law():
    return modular_addition(anchors=range(1, 5), z=range(10, 17), vocab_size=30)


def population(dist):
    return dist.counts()[:, dist.occurs()].astype(float), dist.y, dist.probability


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("task", TASKS)
def test_the_population_gradient_is_minus_the_exact_velocity(task, model):
    dist = TASKS[task]()
    W_E, W_U = initial_weights(200, 20, 0.5, 1)
    dE, dU = gradient(model, *population(dist.merged()), [W_E[dist.occurs()], W_U])
    vE, vU = flow.velocity(dist, W_E, W_U, HIDDEN[model])
    np.testing.assert_allclose(-dE, vE[dist.occurs()], atol=1e-14)
    np.testing.assert_allclose(-dU, vU, atol=1e-14)


def test_a_batch_of_the_whole_sample_is_the_gradient_of_the_empirical_law():
    dist = law()
    atoms, W = dist.draw(300, 5), initial_weights(30, 8, 0.5, 1)
    counts, y, _ = population(dist)
    dE, dU = gradient("ffn", counts[atoms], y[atoms], np.full(300, 1 / 300), [W[0][dist.occurs()], W[1]])
    vE, vU = flow.velocity(dist.sample(300, 5), *W, HIDDEN["ffn"])
    np.testing.assert_allclose(-dE, vE[dist.occurs()], atol=1e-14)
    np.testing.assert_allclose(-dU, vU, atol=1e-14)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("inner", [0, 1])
def test_torch_tensors_give_the_numbers_of_numpy_arrays(activation, inner):
    dist = law()
    occurs = dist.occurs()
    rng = np.random.default_rng(0)
    W = [rng.standard_normal((2, n, 6)) for n in (len(occurs), 30, *[6] * inner)]  # two runs side by side
    batch = population(dist)
    ours = gradient("ffn", *batch, W, activation)
    tensors = [torch.tensor(part) for part in batch]
    theirs = gradient("ffn", *tensors, [torch.tensor(block) for block in W], activation, torch)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other.numpy(), atol=1e-14)
    alone = gradient("ffn", *batch, [block[1] for block in W], activation)
    for mine, one in zip(ours, alone, strict=True):
        np.testing.assert_allclose(mine[1], one, atol=1e-14)


def test_adamw_by_hand():
    """Two steps with gradients 2 and -1 at rate 0.1, worked on paper: decay, then the corrected moments."""
    W = np.array([1.0])
    optimiser = Optimiser("adamw", W, 0.1)
    optimiser.step(np.array([2.0]))
    assert W[0] == pytest.approx(1 * 0.999 - 0.1 * 2 / (2 + 1e-8), abs=1e-15)
    before = W[0]
    optimiser.step(np.array([-1.0]))
    mean, square = (0.9 * 0.2 - 0.1) / (1 - 0.81), (0.999 * 0.004 + 0.001) / (1 - 0.998001)
    assert W[0] == pytest.approx(before * 0.999 - 0.1 * mean / (square**0.5 + 1e-8), abs=1e-12)


def test_adam_is_adamw_without_decay_and_sgd_is_a_step_down():
    W = np.array([1.0])
    Optimiser("adam", W, 0.1).step(np.array([2.0]))
    assert W[0] == pytest.approx(1 - 0.1 * 2 / (2 + 1e-8), abs=1e-15)
    Optimiser("sgd", W, 0.1).step(np.array([2.0]))
    assert W[0] == pytest.approx(0.9 - 0.2, abs=1e-8)
    with pytest.raises(ValueError, match="optimiser is 'rprop': pass one of 'adamw', 'adam', 'sgd'"):
        Optimiser("rprop", W, 0.1)
