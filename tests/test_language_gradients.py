"""Gradients of language models: the velocity is autograd's, the formulas are Corollary 4's, at its orders."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probsig import language_gradients as G
from probsig import seeds, sequences
from probsig.expansions import language
from probsig.language_data import IGNORED, training_set
from probsig.language_models import ARCHITECTURES, SHAPES, Shape, build
from probsig.toy_corpus import ToyCorpus

V, TINY = 12, Shape(layers=2, heads=2, head_dim=4, hidden=8, ffn=12)
SCALES = np.array([0.1, 0.07, 0.05])


def network(architecture="qwen2.5", norms=True, init=0.5, seed=0):
    model = build(architecture, TINY, V, init=init, seed=seed).double()
    return model if norms else G.without_norms(model)


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
    found = G.velocity_and_formulas(model, inputs, targets, at_once=3)
    logits = model(input_ids=torch.from_numpy(inputs).long()).logits
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, V), torch.from_numpy(targets).long().reshape(-1))
    loss.backward()
    expected = -model.get_input_embeddings().weight.grad.numpy()
    assert relative(expected, found["velocity"]) < 1e-6  # norms and rope are float32 inside
    assert found["loss"] == pytest.approx(loss.item(), rel=1e-6)
    assert len(model.model.norm._forward_hooks) == 0


def test_formulas_are_those_of_the_corollary(whole):
    inputs, targets, law = whole
    model = network(norms=False)
    found = G.velocity_and_formulas(model, inputs, targets)
    W_E, W_U = (layer.weight.detach().numpy() for layer in (model.model.embed_tokens, model.lm_head))
    maps, unit = values(model).detach().numpy(), law.length / (law.length - 1)  # the paper divides by L, not L - 1
    for ours, theirs in (
        ("printed", "bigram"),
        ("centred", "first_order"),
        ("third_order", "third_order_no_mlp"),
    ):
        expected = unit * language.corollary_4_embedding(law, W_E, W_U, theirs, maps)
        np.testing.assert_allclose(found[ours], expected, atol=1e-14)
    N, A = unit * law.bigrams(), unit * law.attention_signature()
    np.testing.assert_allclose(found["context"], language.centred(A).T @ W_U, atol=1e-14)
    np.testing.assert_allclose(found["unigram"], (N - np.outer(N.sum(axis=1), N.sum(axis=0))).T @ W_U, atol=1e-14)
    np.testing.assert_allclose(found["own"], found["skip"], atol=1e-14)  # without a last norm there is nothing between


def test_what_comes_through_the_skip_path(rows):
    """Branches that give nothing leave the last norm alone, whose flow is known in closed form (prop-rmsnorm)."""
    model = network()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    found = G.velocity_and_formulas(model, *rows)
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
        found = G.velocity_and_formulas(network(architecture, norms=False, init=float(scale)), inputs, targets)
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
        found = G.velocity_and_formulas(model, *rows)
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
    found = G.velocity_and_formulas(model, *rows)
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
    found = G.signatures(inputs, targets, tokens, V)
    np.testing.assert_allclose(found[0], N[tokens], atol=1e-15)
    np.testing.assert_allclose(found[1], A[tokens], atol=1e-15)


def test_formulas_come_from_these_signatures(rows):
    """Also where a place has no target, the centred form and the context are N and A less their means, through W_U."""
    model = network()
    found = G.velocity_and_formulas(model, *rows)
    W_U = model.lm_head.weight.detach().numpy()
    for S, form in zip(G.signatures(*rows, range(V), V), ("centred", "context"), strict=True):
        np.testing.assert_allclose(found[form], (S - S.mean(axis=1, keepdims=True)) @ W_U, atol=1e-14)


@given(st.integers(0, 1000), st.floats(-3, 3))
def test_the_squared_cosine_is_the_share_at_the_best_scale(seed, slant):
    g = seeds.stream(seed, "cosine")
    v = g.standard_normal((4, 3))
    f = slant * v + g.standard_normal((4, 3))
    best = np.linalg.lstsq(f.reshape(-1, 1), v.ravel(), rcond=None)[0]
    share = 1 - ((v - best * f) ** 2).sum() / (v**2).sum()
    assert G.cosine(v, f) ** 2 == pytest.approx(share, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=150).filter(any), st.sampled_from([None, 1, 3]))
def test_a_shuffle_keeps_frequencies_and_laws(often, group):
    often = np.array(often)
    f = often[:, None] * np.arange(1.0, 1 + 2 * often.size).reshape(-1, 2)  # n_s times a law of its own
    moved = G.shuffled(f, often, group, seeds.stream(0, "shuffle"))
    there = often > 0
    assert not moved[~there].any()
    per_place = moved[there] / often[there, None]
    assert np.allclose(np.sort(per_place, axis=0), np.sort(f[there] / often[there, None], axis=0))
    if group == 1:
        assert np.allclose(moved, f)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=1200))
def test_bands_are_all_tokens_that_occur_in_order(often):
    parts = G.bands(often)
    everything = np.concatenate(parts)
    assert sorted(everything) == [s for s, n in enumerate(often) if n]
    assert (np.diff(np.array(often)[everything]) <= 0).all()
    assert [part.size for part in parts[:2]] == [min(10, everything.size), min(90, max(0, everything.size - 10))]


def test_a_linear_map_is_found_and_a_wrong_formula_is_not():
    g = seeds.stream(0, "map")
    often = g.integers(0, 20, 400)
    f = often[:, None] * g.standard_normal((400, 6))
    v = f @ g.standard_normal((6, 5))
    noise = np.sqrt(often)[:, None] * g.standard_normal((400, 5))
    assert G.mapped(v, f, often, 0) > 0.999
    assert G.cosine(v, f[:, :5]) ** 2 < 0.5
    assert abs(G.mapped(noise, f, often, 0)) < 0.03
    power = [(w[often > 0] ** 2 / often[often > 0, None]).sum() for w in (v, v + noise)]
    assert G.mapped(v + noise, f, often, 0) == pytest.approx(power[0] / power[1], abs=0.05)


def test_when_a_share_has_fallen():
    assert G.held_until([0, 4, 8, 16], [0.8, 0.5, 0.39, 0.6]) == 8
    assert G.held_until([0, 4], [0.8, 0.4]) == np.inf
    assert np.isnan(G.held_until([0, 4], [0.0, 0.4]))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The two smoke runs of one text, and how often it was opened."""
    opened = []

    def sets():
        opened.append(1)
        return [training_set(ToyCorpus.of(0, name=name), 6_000, 150, 0, name) for name in ("other", "toy")]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROBSIG_RUNS", str(tmp_path_factory.mktemp("runs")))
        made = [
            G.gradients("toy", sets, architecture="llama-2", norms=norms, scale="smoke", seed=3)
            for norms in (True, False, True)
        ]
    return made, len(opened)


def test_a_run_is_made_once_and_found_again(stored):
    (normed, bare, again), opened = stored
    assert [run.origin for run in (normed, bare, again)] == ["new", "new", "runs"]
    assert opened == 2
    assert normed.name != bare.name
    assert normed.name == again.name
    for run in (normed, bare):
        steps = run.arrays["gradient/steps"]
        assert steps.tolist() == [0, 4, 8, 16, 32, 46]
        for name, shape in {
            "cosine": (10,), "raw": (10,), "scale": (10,), "two": (3,), "band": (4, 10), "weight": (4,), "rcos": (4,),
            "null": (2, 5, 10), "map": (3,), "map_null": (3,), "ratio": (), "length": (), "loss": (),
        }.items():  # fmt: skip
            array = run.arrays[f"gradient/{name}"]
            assert array.shape == (len(steps), *shape)
            assert np.isfinite(array).all()
        assert np.allclose(run.arrays["gradient/weight"].sum(axis=1), 1)
        assert run.arrays["gradient/loss"][-1] < run.arrays["gradient/loss"][0]
    assert sum(array.nbytes for array in normed.arrays.values()) < 50_000


def test_without_norms_the_stack_explains_the_start(stored):
    (_, bare, _), _ = stored
    start = dict(zip(G.FORMS, bare.arrays["gradient/raw"][0], strict=True))
    assert start["stack"] > 0.9
    assert start["third_order"] > start["centred"]
    assert (bare.arrays["gradient/cosine"][0] > bare.arrays["gradient/null"][0].max(axis=(0, 1)))[[1, 5, 6]].all()


def test_errors_name_the_culprit(rows):
    with pytest.raises(ValueError, match=r"scale is 'huge'"):
        G.gradients("toy", list, architecture="qwen2.5", norms=True, scale="huge", seed=0)
    with pytest.raises(ValueError, match="no RMSNorm"):
        G.without_norms(network(norms=False))
    inputs, targets = rows
    with pytest.raises(ValueError, match="has a target"):
        G.velocity_and_formulas(network(), inputs, np.full_like(targets, IGNORED))


def test_the_shapes_of_the_scales_are_there():
    assert {how.shape for how in G.SCALES.values()} <= SHAPES.keys()
