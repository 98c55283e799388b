"""The comparison of a torch model with the theory: exact cases, orders, and a model that must fail."""

import numpy as np
import pytest
import torch

from probsig.laws import tasks
from probsig.theory import flow, models, modules, orders, selection

torch.set_num_threads(1)


def small(name="mod"):
    return tasks.TASKS[name](range(3), range(5, 10), vocab_size=16)


class Recurrent(torch.nn.Module):
    """A hand-written gated recurrence: position-dependent, not elementwise, with G(0) = 0 or not."""

    def __init__(self, hidden_size, bias):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.inner, self.outer = (
            torch.nn.Parameter(torch.randn(hidden_size, hidden_size, generator=generator) / hidden_size**0.5)
            for _ in range(2)
        )
        self.bias = bias

    def forward(self, E):
        h = torch.zeros_like(E[:, 0])
        for i in range(E.shape[1]):
            gate = torch.sigmoid(E[:, i] @ self.inner.T)
            h = gate * h + torch.tanh(E[:, i] @ self.outer.T + self.bias)
        return h


@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_orders_of_a_recurrent_model(bias):
    found = selection.compare(small(), Recurrent(12, bias), 12)
    assert found.proposition_1 < 1e-12
    assert found.proposition_2 < 1e-12
    assert found.hadamard > 0.5
    assert abs(found.orders["velocity"].slope - 1) < 0.1
    assert found.matches("labels") == 1
    assert found.matches("labels and pairs") == 2
    assert abs(found.orders["labels and pairs"].slope - 3) < 0.1
    assert "matches through order 2" in str(found)


def test_order_one_form_of_a_sum_model_is_the_zeroth_corollary():
    law = small("add")
    W_E, W_U = orders.directions(law, 8, 0)
    counts, p = law.counts(), law.probability
    labels = np.zeros((16, 16))
    np.add.at(labels.T, law.y, counts * p[:, None])  # [x, nu] = E[c_x e_y]
    expected = (labels - labels.sum(axis=1, keepdims=True) / 16) @ W_U
    found = selection.expansion(law, W_E, W_U, lambda E: E.sum(dim=1), "labels")
    assert np.allclose(found, expected, atol=1e-14)


def test_autograd_is_the_velocity():
    law = small()
    W_E, W_U = orders.directions(law, 8, 1)
    ours = flow.velocity(law, W_E, W_U, models.FeedForward("tanh"))
    theirs = modules.by_autograd(law, W_E, W_U, lambda E: torch.tanh(E.sum(dim=1)))
    for a, b in zip(ours, theirs, strict=True):
        assert np.linalg.norm(a - b) < 1e-12 * np.linalg.norm(b)


def test_dropout_fails_and_says_so():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(1), torch.nn.Dropout(0.5), torch.nn.Linear(24, 8))
    found = selection.compare(small(), module, 8)
    assert found.proposition_1 > 0.01
    assert str(found).startswith("Proposition 1 FAILS")


def test_unknown_form():
    law = small()
    W_E, W_U = orders.directions(law, 4, 0)
    with pytest.raises(ValueError, match=r"form is 'pairs'.*: pass one of 'labels', 'labels and pairs'"):
        selection.expansion(law, W_E, W_U, lambda E: E.sum(dim=1), "pairs")
