"""Velocities of language models: autograd's, and the formulas are Corollary 4's, at its orders.

Worked by hand: the row 0 1 with targets 1 0. Half of the places hold 0 before 1, so N = (0, 1/2; 1/2, 0); at the first
place attention sees 0 alone, at the second 0 and 1 by halves, so A = (1/4, 1/2; 1/4, 0).
"""

import numpy as np
import pytest
import torch

from probsig import seeds
from probsig.language import velocity
from probsig.language.networks import ARCHITECTURES, Shape, build
from probsig.laws import sequences
from probsig.text.training_set import IGNORED
from probsig.theory import language as theory_language

V, TINY = 12, Shape(layers=2, heads=2, head_dim=4, hidden=8, ffn=12)
SCALES = np.array([0.1, 0.07, 0.05])


def network(architecture="qwen2.5", norms=True, init=0.5, seed=0):
    model = build(architecture, TINY, V, init=init, seed=seed).double()
    return model if norms else velocity.without_norms(model)


@pytest.fixture(scope="module")
def rows():
    """Seven rows of nine tokens, some places without a target."""
    X = seeds.stream(0, "rows").integers(0, V, (7, 10))
    inputs, targets = X[:, :-1].astype(np.int32), X[:, 1:].astype(np.int32).copy()
    targets[[0, 2, 2], [3, 0, 8]] = IGNORED
    return inputs, targets


@pytest.fixture(scope="module")
def whole():
    """Rows that all have targets, and the law of sequences that they are."""
    X = seeds.stream(1, "rows").integers(0, V, (6, 7))
    return X[:, :-1], X[:, 1:], sequences.SequenceLaw(X, np.full(6, 1 / 6), V)


def values(model):
    return sum((layer.self_attn.o_proj.weight @ layer.self_attn.v_proj.weight) for layer in model.model.layers)


def relative(v, f):
    return np.linalg.norm(v - f) / np.linalg.norm(v)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("norms", [True, False])
def test_the_velocity_is_the_gradient_of_the_mean_loss(rows, architecture, norms):
    model, (inputs, targets) = network(architecture, norms), rows
    found = velocity.velocity_and_formulas(model, inputs, targets, at_once=3)
    logits = model(input_ids=torch.from_numpy(inputs).long()).logits
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, V), torch.from_numpy(targets).long().reshape(-1))
    loss.backward()
    expected = -model.get_input_embeddings().weight.grad.numpy()
    assert relative(expected, found["velocity"]) < 1e-6  # norms and rope are float32 inside
    assert found["loss"] == pytest.approx(loss.item(), rel=1e-6)
    assert not any(module._forward_hooks for module in model.modules())
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("norms", [True, False])
def test_place_is_what_each_places_own_loss_gives_it(rows, architecture, norms):
    """A backward pass for the loss of every place by itself; what later losses give is the rest."""
    model, (inputs, targets) = network(architecture, norms), rows
    found = velocity.velocity_and_formulas(model, inputs, targets, at_once=3)
    own, later = np.zeros((2, *found["place"].shape))
    total = np.count_nonzero(targets >= 0)
    caught = []
    hook = model.get_input_embeddings().register_forward_hook(lambda *call: caught.append(call[2]))
    for row, goal in zip(inputs, targets, strict=True):
        caught.clear()
        logits = model(input_ids=torch.from_numpy(row).long()[None]).logits[0]
        for t in np.flatnonzero(goal >= 0):
            loss = torch.logsumexp(logits[t], 0) - logits[t, goal[t]]
            (gradient,) = torch.autograd.grad(loss, caught[0], retain_graph=True)
            own[row[t]] -= gradient[0, t].numpy() / total
            for i in range(t):
                later[row[i]] -= gradient[0, i].numpy() / total
    hook.remove()
    assert relative(own, found["place"]) < 1e-5  # attention's softmax is float32 there
    assert relative(found["velocity"], own + later) < 1e-5 and relative(found["velocity"], own) > 0.05


def test_a_network_without_attention_has_a_velocity_from_its_own_places_alone(rows):
    model = build("qwen2.5", TINY, V, init=0.5, seed=0, attention="itself").double()
    found = velocity.velocity_and_formulas(model, *rows)
    alone = velocity.velocity_and_formulas(network(), rows[0].reshape(-1, 1), rows[1].reshape(-1, 1))
    assert relative(found["velocity"], alone["velocity"]) < 1e-6


def test_formulas_are_those_of_the_corollary(whole):
    inputs, targets, law = whole
    model = network(norms=False)
    found = velocity.velocity_and_formulas(model, inputs, targets)
    W_E, W_U = (layer.weight.detach().numpy() for layer in (model.model.embed_tokens, model.lm_head))
    maps, unit = values(model).detach().numpy(), law.length / (law.length - 1)  # the paper divides by L, not L - 1
    for ours, theirs in (
        ("printed", "bigram"),
        ("centred", "first_order"),
        ("third_order", "third_order_no_mlp"),
    ):
        expected = unit * theory_language.corollary_4_embedding(law, W_E, W_U, theirs, maps)
        np.testing.assert_allclose(found[ours], expected, atol=1e-14)
    N, A = unit * law.bigrams(), unit * law.attention_signature()
    np.testing.assert_allclose(found["context"], theory_language.centred(A) @ W_U, atol=1e-14)
    np.testing.assert_allclose(found["unigram"], (N - np.outer(N.sum(axis=1), N.sum(axis=0))) @ W_U, atol=1e-14)
    np.testing.assert_allclose(found["own"], found["skip"], atol=1e-14)  # without a last norm there is nothing between


def test_what_comes_through_the_skip_path(rows):
    """Branches that give nothing leave the last norm alone, whose flow is known in closed form (prop-rmsnorm)."""
    model = network()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    found = velocity.velocity_and_formulas(model, *rows)
    np.testing.assert_allclose(found["skip"], found["velocity"], atol=1e-14)
    W = model.model.embed_tokens.weight.detach().numpy()
    size = np.sqrt((W**2).mean(axis=1, keepdims=True) + model.config.rms_norm_eps)
    along = (W * found["own"]).mean(axis=1, keepdims=True) * W / size**2
    np.testing.assert_allclose(found["velocity"], (found["own"] - along) / size, atol=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shares_rise_to_one_at_the_orders_of_the_corollary(whole, architecture):
    """Residuals over the velocity: the centred form's falls as eps^2, the third order's as eps^4."""
    inputs, targets, _ = whole
    left = {"printed": [], "centred": [], "third_order": []}
    for scale in SCALES:
        found = velocity.velocity_and_formulas(network(architecture, norms=False, init=float(scale)), inputs, targets)
        for form, residuals in left.items():
            residuals.append(relative(found["velocity"], found[form]))
    slopes = {form: np.polyfit(np.log(SCALES), np.log(residuals), 1)[0] for form, residuals in left.items()}
    assert slopes["printed"] == pytest.approx(0, abs=0.1)
    assert slopes["centred"] == pytest.approx(2, abs=0.1)
    assert slopes["third_order"] == pytest.approx(4, abs=0.25)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_stack_is_all_of_it_at_small_embeddings(rows, architecture):
    """Only embeddings are small, and the stack's residual falls as their size; other forms' does not."""
    stack, third = [], []
    for scale in (1e-2, 1e-3):
        model = network(architecture, norms=False)
        with torch.no_grad():
            model.model.embed_tokens.weight.mul_(scale)
        found = velocity.velocity_and_formulas(model, *rows)
        stack.append(relative(found["velocity"], found["stack"]))
        third.append(relative(found["velocity"], found["third_order"]))
    assert stack[1] < 1e-2
    assert stack[0] / stack[1] == pytest.approx(10, rel=0.2)
    assert third[1] > 0.05


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("norms", [True, False])
def test_the_normed_stack_lacks_the_pattern_and_the_mlp_alone(rows, architecture, norms):
    """Where attention is uniform and MLPs give nothing, it is the velocity, norms or not, at weights of any size."""
    model = network(architecture, norms)
    with torch.no_grad():
        for k, layer in enumerate(model.model.layers):
            layer.self_attn.q_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
            if norms:
                layer.input_layernorm.weight.mul_(1 + k)
    found = velocity.velocity_and_formulas(model, *rows)
    assert relative(found["velocity"], found["stack_norms"]) < 1e-6
    assert (relative(found["velocity"], found["stack_own"]) < 1e-6) == (not norms)


def test_signatures_against_loops(rows):
    inputs, targets = rows
    N, A = np.zeros((2, V, V))
    total = (targets >= 0).sum()
    for row, goal in zip(inputs, targets, strict=True):
        for t in range(len(row)):
            if goal[t] < 0:
                continue
            N[row[t], goal[t]] += 1 / total
            for i in range(t + 1):
                A[row[i], goal[t]] += 1 / (total * (t + 1))
    tokens = [5, 0, 7]
    found = velocity.signatures(inputs, targets, tokens, V)
    np.testing.assert_allclose(found[0], N[tokens], atol=1e-15)
    np.testing.assert_allclose(found[1], A[tokens], atol=1e-15)


def test_formulas_come_from_these_signatures(rows):
    """Also where a place has no target, the centred form and the context are N and A less their means, through W_U."""
    model = network()
    found = velocity.velocity_and_formulas(model, *rows)
    W_U = model.lm_head.weight.detach().numpy()
    for S, form in zip(velocity.signatures(*rows, range(V), V), ("centred", "context"), strict=True):
        np.testing.assert_allclose(found[form], (S - S.mean(axis=1, keepdims=True)) @ W_U, atol=1e-14)


def test_errors_name_the_culprit(rows):
    with pytest.raises(ValueError, match=r"^The model has no RMSNorm: pass one that networks\.build made\.$"):
        velocity.without_norms(network(norms=False))
    inputs, targets = rows
    nothing = np.full_like(targets, IGNORED)
    with pytest.raises(ValueError, match="has a target"):
        velocity.velocity_and_formulas(network(), inputs, nothing)
    with pytest.raises(ValueError, match="has a target"):
        velocity.signatures(inputs, nothing, [0], V)
