"""Language models: the shapes, the init, several heads, the loss in parts, what a place attends to, and a vocabulary
cut to the ids that occur.

Worked by hand: two ids, one place, hidden state (1,), W_U = (log 3, 0). The logits are log 3 and 0, so p = (3/4, 1/4);
the loss of the first id is log(4/3), its gradient by the hidden state (p - e_0) W_U = -log(3) / 4.
"""

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch.nn import functional

from probsig import seeds
from probsig.language import networks
from probsig.text.training_set import IGNORED

V, TINY = 12, networks.Shape(layers=2, heads=2, head_dim=4, hidden=8, ffn=12)
WIDE = networks.Shape(layers=2, heads=3, head_dim=8, hidden=16, ffn=20)  # 3 x 8 is not 16, as 12 x 64 is not 512


def ids_of(rows=3, length=9, vocab=V, seed=0):
    return torch.from_numpy(seeds.stream(seed, "ids").integers(0, vocab, (rows, length)))


def same(one, other):
    pairs = zip(one.named_parameters(), other.named_parameters(), strict=True)
    return all(n == m and torch.equal(a, b) for (n, a), (m, b) in pairs)


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
@pytest.mark.parametrize("scale", networks.SHAPES)
def test_every_shape_has_its_sizes(architecture, scale):
    shape = networks.SHAPES[scale]
    model = networks.build(architecture, shape, 10, seed=0)
    inner, biases = shape.heads * shape.head_dim, 3 if architecture == "qwen2.5" else 0
    layer = 4 * inner * shape.hidden + biases * inner + 3 * shape.hidden * shape.ffn + 2 * shape.hidden
    expected = 2 * 10 * shape.hidden + shape.layers * layer + shape.hidden
    assert sum(weights.numel() for weights in model.parameters()) == expected
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}
    assert [W.shape for W in networks.embeddings(model)] == [(10, shape.hidden)] * 2
    with torch.no_grad():
        logits = model(input_ids=ids_of(1, 3, 10)).logits
    assert logits.shape == (1, 3, 10) and torch.isfinite(logits).all()


def test_the_papers_shape_is_the_papers():
    assert networks.SHAPES["paper"] == networks.Shape(layers=12, heads=12, head_dim=64, hidden=512, ffn=1024)


def test_llama_2_is_the_network_of_llama():
    """At a shape that LlamaConfig takes; both compute norms in float32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    ours = networks.build("llama-2", TINY, V, init=0.5, seed=3).double()
    config = LlamaConfig(
        vocab_size=V,
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4},
        attention_bias=False,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        use_cache=False,
        attn_implementation="sdpa",
    )
    theirs = LlamaForCausalLM(config).double()
    left = theirs.load_state_dict(ours.state_dict(), strict=True)
    assert not left.missing_keys and not left.unexpected_keys
    ids = ids_of(2, 300)  # long enough for a window or another theta to show
    with torch.no_grad():
        a, b = ours(input_ids=ids).logits, theirs(input_ids=ids).logits
        other = networks.build("qwen2.5", TINY, V, init=0.5, seed=3).double()(input_ids=ids).logits
    assert a.std() > 0.5 and (a - b).abs().max() < 1e-9
    assert (a - other).abs().max() > 1e-3


def by_hand(weights, ids, *, shape, theta, epsilon):
    """Logits (T, V) of one row of ids in numpy, place by place and head by head."""
    layers, heads, D = shape.layers, shape.heads, shape.head_dim

    def normed(x, gain):
        return gain * x / np.sqrt((x**2).mean() + epsilon)

    def turned(x, place):
        angle = place * theta ** (-2 * np.arange(D // 2) / D)
        left, right = x[: D // 2], x[D // 2 :]
        return np.append(left * np.cos(angle) - right * np.sin(angle), right * np.cos(angle) + left * np.sin(angle))

    h = [weights["model.embed_tokens.weight"][i] for i in ids]
    for layer in range(layers):
        w = {n.removeprefix(f"model.layers.{layer}."): a for n, a in weights.items() if f".{layer}." in n}
        keys, values, out = [], [], []
        for place, x in enumerate(h):
            x = normed(x, w["input_layernorm.weight"])
            q, k, v = (
                (w[f"self_attn.{n}.weight"] @ x + w.get(f"self_attn.{n}.bias", 0)).reshape(heads, D)
                for n in ("q_proj", "k_proj", "v_proj")
            )
            keys.append([turned(one, place) for one in k])
            values.append(v)
            mixed = []
            for head in range(heads):
                scores = np.array([turned(q[head], place) @ key[head] for key in keys]) / np.sqrt(D)
                attention = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
                mixed.append(sum(a * value[head] for a, value in zip(attention, values, strict=True)))
            out.append(h[place] + w["self_attn.o_proj.weight"] @ np.concatenate(mixed))
        h = []
        for x in out:
            y = normed(x, w["post_attention_layernorm.weight"])
            gate, up = w["mlp.gate_proj.weight"] @ y, w["mlp.up_proj.weight"] @ y
            h.append(x + w["mlp.down_proj.weight"] @ (gate / (1 + np.exp(-gate)) * up))
    return np.array([weights["lm_head.weight"] @ normed(x, weights["model.norm.weight"]) for x in h])


@pytest.mark.parametrize(("architecture", "theta", "epsilon"), [("qwen2.5", 1e6, 1e-6), ("llama-2", 1e4, 1e-5)])
def test_the_network_is_the_one_written_by_hand_where_heads_are_not_the_hidden_size(architecture, theta, epsilon):
    """Biases and gains are drawn too, since 0 and 1 would hide them; transformers has norms and rope in float32."""
    model, draw = networks.build(architecture, WIDE, V, init=0.5, seed=4).double(), seeds.stream(4, "biases and gains")
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 1:
                weight += torch.from_numpy(0.5 * draw.standard_normal(len(weight)))
        ids = ids_of(1, 12)
        logits = model(input_ids=ids).logits[0].numpy()
    weights = {name: weight.detach().numpy() for name, weight in model.named_parameters()}
    expected = by_hand(weights, ids[0].tolist(), shape=WIDE, theta=theta, epsilon=epsilon)
    assert expected.std() > 0.5 and np.abs(logits - expected).max() < 1e-5
    assert np.abs(by_hand(weights, ids[0].tolist(), shape=WIDE, theta=50.0, epsilon=epsilon) - expected).max() > 1e-3


def test_rope_attention_window_and_norms_are_the_architectures():
    places = 2 * torch.arange(4, dtype=torch.float64) / 8
    for architecture, theta, epsilon in (("qwen2.5", 1e6, 1e-6), ("llama-2", 1e4, 1e-5)):
        model = networks.build(architecture, WIDE, V, seed=0)
        found = [buffer for name, buffer in model.named_buffers() if name.endswith("inv_freq")]
        assert found and all(torch.allclose(f.double(), theta**-places, rtol=1e-6) for f in found)
        assert {layer.input_layernorm.variance_epsilon for layer in model.model.layers} == {epsilon}
        assert model.model.norm.variance_epsilon == epsilon
        assert not getattr(model.config, "sliding_window", None) and not model.config.tie_word_embeddings
        biased = {name.split(".")[-2] for name, _ in model.named_parameters() if name.endswith("bias")}
        assert biased == ({"q_proj", "k_proj", "v_proj"} if architecture == "qwen2.5" else set())


READINGS = {  # the variance of a matrix of d_in inputs, and of the embedding
    "vocab": (lambda d_in: 1 / d_in, 1 / 300),
    "hidden": (lambda d_in: 1 / d_in, 1 / 16),
    "library": (lambda d_in: 0.02**2, 0.02**2),
    0.3: (lambda d_in: 0.3**2, 0.3**2),
}


@pytest.mark.parametrize("init", READINGS)
@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
def test_matrices_have_the_variance_of_the_reading(architecture, init):
    """The sum of squares over the variance is chi-squared; 30 matrices, each outside with 2 x 10^-7."""
    model = networks.build(architecture, WIDE, 300, init=init, seed=1)
    of_inputs, of_embedding = READINGS[init]
    for name, weight in model.named_parameters():
        w = weight.detach().double().numpy()
        if w.ndim == 1:
            assert (w == (0 if name.endswith("bias") else 1)).all()
            continue
        variance = of_embedding if "embed_tokens" in name else of_inputs(w.shape[1])
        low, high = chi2.ppf([1e-7, 1 - 1e-7], w.size)
        assert low < (w**2).sum() / variance < high, name
        assert abs(w.mean()) < 6 * (variance / w.size) ** 0.5, name


def test_a_cut_vocabulary_has_the_rows_of_the_whole():
    """With `original`, the first rows and every other matrix are those of the model of the whole vocabulary."""
    whole, cut = networks.build("qwen2.5", TINY, V, seed=2), networks.build("qwen2.5", TINY, 7, seed=2, original=V)
    for (name, a), (_, b) in zip(whole.named_parameters(), cut.named_parameters(), strict=True):
        assert torch.equal(a[: len(b)] if "embed_tokens" in name or "lm_head" in name else a, b), name
    without = networks.build("qwen2.5", TINY, 7, seed=2)
    ratio = without.get_input_embeddings().weight / cut.get_input_embeddings().weight
    assert torch.allclose(ratio, torch.tensor((V / 7) ** 0.5), rtol=1e-6)
    assert torch.equal(without.lm_head.weight, cut.lm_head.weight)  # its inputs are hidden units


def test_seeds_and_threads():
    one = networks.build("llama-2", TINY, V, seed=5)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert same(one, networks.build("llama-2", TINY, V, seed=5))
    finally:
        torch.set_num_threads(before)
    torch.manual_seed(1)
    assert same(one, networks.build("llama-2", TINY, V, seed=5))  # torch's own stream is not used
    other = networks.build("llama-2", TINY, V, seed=6)
    both = [(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True) if a.ndim == 2]
    assert all((a != b).all() for a, b in both)
    matrices = [a.flatten()[:64] for a, _ in both if a.numel() >= 64]
    assert np.abs(np.corrcoef(torch.stack(matrices).detach()) - np.eye(len(matrices))).max() < 0.7  # not one stream


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
def test_no_place_sees_a_later_one(architecture):
    model, ids = networks.build(architecture, TINY, V, init=0.5, seed=0).eval(), ids_of(1, 10)
    changed = ids.clone()
    changed[0, 6] = (ids[0, 6] + 1) % V
    with torch.no_grad():
        a, b = (model(input_ids=i).logits[0] for i in (ids, changed))
    assert torch.equal(a[:6], b[:6]) and all((a[t] - b[t]).abs().max() > 1e-3 for t in range(6, 10))


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
@pytest.mark.parametrize("length", [1, 10])
def test_hidden_states_are_those_of_transformers_to_the_bit(architecture, length):
    model, ids = networks.build(architecture, WIDE, V, init=0.5, seed=0), ids_of(3, length)
    with torch.no_grad():
        assert torch.equal(networks.hidden_states(model, ids), model.model(input_ids=ids).last_hidden_state)


def test_a_place_that_attends_to_itself_alone_sees_no_other():
    """The hidden state of a place does not move when another token does; "causal" at one place is the same network."""
    model = networks.build("qwen2.5", TINY, V, init=0.5, seed=0, attention="itself")
    ids = ids_of(1, 9)
    with torch.no_grad():
        whole = networks.hidden_states(model, ids)
        for place in range(9):
            changed = ids.clone()
            changed[0, place] = (ids[0, place] + 1) % V
            moved = (networks.hidden_states(model, changed) != whole).any(dim=2)[0]
            assert moved.tolist() == [t == place for t in range(9)]
        causal = networks.build("qwen2.5", TINY, V, init=0.5, seed=0)
        alone = networks.hidden_states(causal, ids.T)[:, 0]
        assert torch.allclose(alone, whole[0], atol=1e-5) and same(model, causal)


def own_gradients(model, ids, goals):
    """dL_t/dx_t and dL_t/dx_i for all i, (T, T, d), by a backward pass for the loss of each place t of one row."""
    caught = []
    hook = model.get_input_embeddings().register_forward_hook(lambda *call: caught.append(call[2]))
    hidden = networks.hidden_states(model, ids)
    hook.remove()
    logits = hidden @ model.lm_head.weight.T
    each = functional.cross_entropy(logits[0], goals[0], reduction="none")
    return torch.stack([torch.autograd.grad(loss, caught[0], retain_graph=True)[0][0] for loss in each])


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
@pytest.mark.parametrize("shape", [TINY, WIDE])
def test_own_place_is_each_places_own_gradient_and_the_rest_comes_from_later(architecture, shape):
    """The gradient by the embedding at a place of the loss there alone, and with the losses of later places the whole;
    attention has its softmax in float32."""
    model, ids, goals = networks.build(architecture, shape, V, init=0.5, seed=1).double(), ids_of(1), ids_of(1, seed=1)
    each = own_gradients(model, ids, goals)
    T = len(each)
    found = {}
    for attention in ("causal", "own place"):
        caught = []
        hook = model.get_input_embeddings().register_forward_hook(lambda *call, caught=caught: caught.append(call[2]))
        with networks.attending(model, attention):
            loss = networks.chunked_loss(model, ids, goals) * T
        hook.remove()
        found[attention] = loss.item(), torch.autograd.grad(loss, caught[0])[0][0]
    own = each[range(T), range(T)]
    later = torch.stack([each[t + 1 :, t].sum(dim=0) for t in range(T)])
    size = each.abs().max()
    assert found["own place"][0] == pytest.approx(found["causal"][0], rel=1e-6)
    assert (found["own place"][1] - own).abs().max() < 1e-5 * size
    assert (found["causal"][1] - own - later).abs().max() < 1e-5 * size
    assert all((each[t, t + 1 :] == 0).all() for t in range(T)) and later[:-1].abs().max() > 0.05 * size
    assert model.config._attn_implementation == "sdpa"  # as before


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


@pytest.mark.parametrize("held", [1, 5 * V, 1 << 25])  # logits: one place, five places (the last part shorter), all
@pytest.mark.parametrize("ignored", [0, 7])
def test_the_loss_in_parts_is_cross_entropy(monkeypatch, held, ignored):
    monkeypatch.setattr(networks, "LOGITS", held)
    model, ids, targets = networks.build("qwen2.5", TINY, V, init=0.5, seed=0).double(), ids_of(), ids_of(seed=1)
    targets.view(-1)[torch.arange(ignored) * 3] = IGNORED
    loss = networks.chunked_loss(model, ids, targets)
    plain = functional.cross_entropy(
        model(input_ids=ids).logits.reshape(-1, V), targets.reshape(-1), ignore_index=IGNORED
    )
    assert loss.item() == pytest.approx(plain.item(), rel=1e-13)
    ours, theirs = gradients(model, 3 * loss), gradients(model, 3 * plain)
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).abs().max() < 1e-12 * gradient.abs().max(), name
    with torch.no_grad():
        assert networks.chunked_loss(model, ids, targets).item() == loss.item()


def test_only_a_part_of_the_logits_is_held(monkeypatch):
    monkeypatch.setattr(networks, "LOGITS", 4 * V)
    held, plain = [], torch.log_softmax
    monkeypatch.setattr(torch, "log_softmax", lambda x, **options: held.append(tuple(x.shape)) or plain(x, **options))
    networks.chunked_loss(networks.build("qwen2.5", TINY, V, seed=0), ids_of(), ids_of(seed=1))
    assert held == [(4, V)] * 6 + [(3, V)]


def test_cross_entropy_by_hand():
    hidden = torch.ones(1, 1, 1, dtype=torch.float64, requires_grad=True)
    W_U = torch.tensor([[np.log(3.0)], [0.0]], dtype=torch.float64, requires_grad=True)
    loss = networks.cross_entropy(hidden, W_U, torch.tensor([[0]]))
    loss.backward()
    assert loss.item() == pytest.approx(np.log(4 / 3), rel=1e-14)
    assert hidden.grad.item() == pytest.approx(-np.log(3) / 4, rel=1e-14)
    assert W_U.grad.ravel().tolist() == pytest.approx([-1 / 4, 1 / 4], rel=1e-14)


def test_without_targets_the_loss_and_its_gradient_are_zero():
    model, ids = networks.build("llama-2", TINY, V, seed=0), ids_of()
    loss = networks.chunked_loss(model, ids, torch.full_like(ids, IGNORED))
    assert loss.item() == 0 and all((g == 0).all() for g in gradients(model, loss).values())


def test_under_autocast_products_are_short_and_the_loss_long():
    model, ids, targets = networks.build("qwen2.5", TINY, V, init=0.5, seed=0), ids_of(), ids_of(seed=1)
    long = networks.chunked_loss(model, ids, targets)
    exact = gradients(model, long)
    with torch.autocast("cpu", torch.bfloat16):
        short = networks.chunked_loss(model, ids, targets)
    rough = gradients(model, short)
    assert short.dtype == torch.float32 and 0 < abs(short.item() - long.item()) < 0.05
    assert {g.dtype for g in rough.values()} == {torch.float32}
    error = max((rough[n] - g).norm() / g.norm() for n, g in exact.items() if g.norm() > 1e-4)
    assert 1e-4 < error < 0.1


def test_rows_of_ids_that_are_not_read_have_no_gradient():
    model, ids, targets = networks.build("qwen2.5", TINY, V, seed=0), ids_of(vocab=8), ids_of(vocab=8, seed=1)
    by = gradients(model, networks.chunked_loss(model, ids, targets))
    inputs, outputs = by["model.embed_tokens.weight"], by["lm_head.weight"]
    seen = torch.isin(torch.arange(V), ids)
    assert (inputs[~seen] == 0).all() and (inputs[seen].abs().sum(dim=1) > 0).all() and not seen[8:].any()
    assert (outputs.abs().sum(dim=1) > 0).all()  # a softmax pushes every output row


def test_a_cut_vocabulary_differs_by_the_columns_left_out():
    """Four output rows of zero add 4 to the normaliser, exp(0) each: the whole model's loss is log(Z + 4) minus the
    target's logit, with the cut model's logits; so are its gradients."""
    extra, shown = 4, V - 4
    whole = networks.build("llama-2", TINY, V, init=0.5, seed=0).double()
    cut = networks.build("llama-2", TINY, shown, init=0.5, seed=0).double()
    with torch.no_grad():
        whole.lm_head.weight[shown:] = 0
    ids, targets = ids_of(vocab=shown), ids_of(vocab=shown, seed=1)
    logits = cut(input_ids=ids).logits
    both = whole(input_ids=ids).logits
    assert torch.allclose(both[..., :shown], logits, rtol=0, atol=1e-12) and (both[..., shown:] == 0).all()
    normaliser = torch.logaddexp(torch.logsumexp(logits, -1), torch.tensor(float(extra), dtype=torch.float64).log())
    formula = (normaliser - logits.gather(-1, targets[..., None])[..., 0]).mean()
    loss = networks.chunked_loss(whole, ids, targets)
    assert loss.item() == pytest.approx(formula.item(), rel=1e-12)
    by_whole, by_cut = gradients(whole, loss), gradients(cut, formula)
    for name, gradient in by_cut.items():
        rows = by_whole[name][: len(gradient)] if len(by_whole[name]) == V else by_whole[name]
        assert (rows - gradient).abs().max() < 1e-6 * gradient.abs().max(), name
    assert (by_whole["model.embed_tokens.weight"][shown:] == 0).all()
    alone = gradients(cut, networks.chunked_loss(cut, ids, targets))["model.embed_tokens.weight"]
    assert (alone - by_cut["model.embed_tokens.weight"]).norm() > 0.01 * alone.norm()  # the normaliser does matter


def test_the_first_head_starts_as_the_plain_one_and_the_others_apart():
    plain, model = (networks.build("qwen2.5", TINY, V, seed=3, heads=heads) for heads in (1, 3))
    W_U = networks.unembeddings(model)
    assert len(networks.unembeddings(plain)) == 1 and len(W_U) == 3
    assert all(torch.equal(weight, dict(model.named_parameters())[name]) for name, weight in plain.named_parameters())
    flat = torch.stack(W_U).detach().numpy().reshape(3, -1)
    assert np.abs(np.corrcoef(flat)[np.triu_indices(3, 1)]).max() < 0.5
    assert np.abs(flat.std(axis=1) * TINY.hidden**0.5 - 1).max() < 0.25


def test_rows_are_those_asked_for():
    model, numbers = networks.build("qwen2.5", TINY, V, seed=0, heads=3), np.array([7, 0, 3])
    W_E, W_U = networks.embeddings(model)
    for found, whole in zip(networks.rows(model, numbers), (W_E, W_U), strict=True):
        assert np.array_equal(found, whole[numbers]) and found.dtype == np.float32
    every = networks.rows(model, numbers, heads=True)
    assert len(every) == 4 and np.array_equal(every[1], W_U[numbers])
    for found, head in zip(every[2:], model.more_heads, strict=True):
        assert np.array_equal(found, head.weight.detach().numpy()[numbers])
    every[0][:] = 0  # a copy
    assert np.array_equal(networks.rows(model, numbers)[0], W_E[numbers])


def test_embeddings_are_copies():
    model = networks.build("qwen2.5", TINY, V, seed=0)
    W_E, W_U = networks.embeddings(model)
    start = W_E.copy(), W_U.copy()
    assert not np.array_equal(W_E, W_U)
    with torch.no_grad():
        model.get_input_embeddings().weight.zero_()
        model.lm_head.weight.zero_()
    assert np.array_equal(W_E, start[0]) and np.array_equal(W_U, start[1]) and W_E.dtype == np.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "gpt-2"}, "architecture is 'gpt-2': pass one of 'qwen2.5', 'llama-2'"),
        ({"init": "xavier"}, "init is 'xavier': pass one of 'vocab', 'hidden', 'library', or a positive number"),
        ({"init": 0.0}, "init is 0.0: pass one of"),
        ({"init": float("nan")}, "init is nan: pass one of"),
        ({"attention": "own place"}, "attention is 'own place': pass one of 'causal', 'itself'"),
        ({"heads": 0}, "heads is 0: pass 1 or more"),
        ({"vocab_size": 1}, "vocab_size is 1: a language model needs 2 ids or more"),
        ({"vocab_size": 30, "original": 29}, "original is 29, below the 30 ids that were kept of it: pass what it was"),
    ],
)
def test_errors_name_the_culprit(options, message):
    with pytest.raises(ValueError, match=message):
        networks.build(**{"architecture": "qwen2.5", "shape": TINY, "vocab_size": V, "seed": 0} | options)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"layers": 0}, "layers is 0: pass a whole number above 0"),
        ({"ffn": 2.5}, r"ffn is 2\.5: pass a whole number above 0"),
        ({"head_dim": 7}, "head_dim is 7: pass an even number, rope turns its coordinates in pairs"),
    ],
)
def test_shapes_that_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        networks.Shape(**{**vars(TINY), **sizes})
