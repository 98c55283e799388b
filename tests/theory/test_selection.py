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


class Norm(torch.nn.Module):
    """A sum of embeddings behind a normalisation."""

    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, E):
        return self.norm(E.sum(dim=1))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            lambda E: 2 * E,
            r"The module returns a tensor \(9, 3, 8\) of float64: it must return \(n, d\), here \(9, 8\)",
        ),
        (lambda E: E.sum(dim=1)[:, :3], r"returns a tensor \(9, 3\) of float64"),
        (lambda E: E.sum(dim=1).float(), r"returns a tensor \(9, 8\) of float32: .*, in float64"),
        (
            lambda E: (E.sum(dim=1), None),
            r"returns a tuple: it must return a tensor \(n, d\), here \(9, 8\)",
        ),
        (lambda E: E.sum(dim=1).detach().numpy(), "returns a ndarray"),
        (lambda E: E.sum(dim=1).detach(), "has no gradient with respect to the embeddings"),
        (lambda E: torch.ones(len(E), 8, dtype=E.dtype, requires_grad=True), "has no gradient with respect"),
        (lambda E: E.mul_(2).sum(dim=1), "changes the embeddings"),
        (Norm(torch.nn.BatchNorm1d(8)), "depends on the other sequences of the batch, .* call module.eval"),
        (lambda E: E.sum(dim=1) - E.sum(dim=1).mean(dim=0), "depends on the other sequences"),
        (lambda E: E.sum(dim=1).cumsum(dim=0), "depends on the other sequences"),
        (
            lambda E: E.sum(dim=1) / E.sum(dim=1).norm(dim=1, keepdim=True),
            "not finite: pass one that is defined",
        ),
        (
            torch.nn.Embedding(16, 8),
            r"Given embeddings \(9, 3, 8\) in float64, the module raises RuntimeError",
        ),
        ("gpt2", "module is 'gpt2': pass a torch module or a function"),
    ],
)
def test_what_is_no_map_of_one_sequence_is_refused_in_one_sentence(module, message):
    law = tasks.TASKS["mod"](range(3), range(5, 8), vocab_size=16)
    law = type(law)(law.X[:9], law.y[:9], law.weight[:9], 16)
    with pytest.raises(ValueError, match=message) as caught:
        selection.compare(law, module, 8)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, -1, 2.5, "8", True])
def test_a_hidden_size_is_a_whole_number(size):
    with pytest.raises(ValueError, match=r"hidden_size is .*: pass a whole number of at least 1"):
        selection.compare(small(), lambda E: E.sum(dim=1), size)


def test_no_seed_is_named():
    with pytest.raises(ValueError, match="seeds is empty: pass at least one seed"):
        selection.compare(small(), lambda E: E.sum(dim=1), 8, seeds=[])


@pytest.mark.parametrize(
    ("module", "matched"),
    [
        (Norm(torch.nn.LayerNorm(8)), (0, 0)),  # at small weights it is no function of them: no order is seen
        (Norm(torch.nn.BatchNorm1d(8).eval()), (2, 2)),  # a linear map
        (lambda E: torch.exp(E.sum(dim=1)), (1, 2)),
        (lambda E: E.sum(dim=1) ** 2, (0, 4)),  # the flow is of order 2, and of labels alone nothing is seen
        (lambda E: E.sum(dim=1) ** 3, (0, 0)),  # a residual that is the velocity itself
        (lambda E: E.abs().sum(dim=1), (0, 0)),
    ],
    ids=["LayerNorm", "BatchNorm", "exp", "square", "cube", "abs"],
)
def test_a_match_is_a_residual_of_whole_order_below_the_velocity(module, matched):
    found = selection.compare(small(), module, 8)
    assert tuple(found.matches(form) for form in selection.FORMS) == matched
    assert found.proposition_1 < 1e-10


def test_fused_attention_has_second_derivatives_here():
    torch.manual_seed(0)
    attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    module = torch.nn.Sequential()
    module.forward = lambda E: attention.double()(E, E, E, need_weights=False)[0].mean(dim=1)
    found = selection.compare(small(), module, 8)
    assert abs(found.orders["labels and pairs"].slope - 3) < 0.02
    assert found.matches("labels and pairs") == 2
