"""Corollary 4 and tied embeddings: the order of each residual, over five directions of the weights."""

import numpy as np
import pytest
import torch

from probsig import seeds
from probsig.laws import sequences
from probsig.theory import language as theory_language
from probsig.theory import modules, orders, softmax, tied
from probsig.theory import sequences as theory_sequences

torch.set_num_threads(1)
V, L, D = 4, 4, 16
SCALES = np.geomspace(0.03, 0.004, 5)


def law():
    rng = seeds.stream(1, "chain")
    return sequences.markov(rng.dirichlet(np.ones(V)), rng.dirichlet(np.ones(V), size=(V, V)), L)


def weights(scale, direction):
    g = seeds.stream(1, "weights", str(direction))
    W_E, W_U = scale * g.standard_normal((V, D)), scale * g.standard_normal((V, D))
    return W_E, W_U, modules.CausalBlocks(D, scale, g, heads=2, mlp_size=D)


def order(side, form):
    chain = law()

    def residual(scale, direction):
        W_E, W_U, block = weights(scale, direction)
        exact = theory_sequences.velocity(chain, W_E, W_U, modules.TorchModel(block))[side]
        expand = (theory_language.corollary_4_embedding, theory_language.corollary_4_unembedding)[side]
        return np.linalg.norm(exact - expand(chain, W_E, W_U, form, block.value_map(), block.mlp_map()))

    return orders.residual_order(residual, SCALES, range(5)).slope


@pytest.mark.parametrize(
    ("side", "form", "integer"),
    [
        (0, "printed", 1), (0, "bigram", 1), (0, "printed_eta", 1), (0, "first_order", 3),
        (0, "third_order_no_attention", 3), (0, "third_order_no_mlp", 3), (0, "third_order", 5),
        (1, "printed", 1), (1, "printed_plus", 1), (1, "first_order", 3), (1, "third_order", 5),
    ],
)  # fmt: skip
def test_order_of_corollary_4(side, form, integer):
    assert abs(order(side, form) - integer) < 0.1


@pytest.mark.parametrize(("form", "integer"), [("printed", 1), ("first_order", 3), ("third_order", 5)])
def test_order_of_the_tied_flow(form, integer):
    N = law().bigrams()

    def residual(scale, direction):
        W = weights(scale, direction)[0]
        return np.linalg.norm(tied.velocity(N, W) - tied.tied(N, W, form))

    assert abs(orders.residual_order(residual, SCALES, range(5)).slope - integer) < 0.1


def test_tied_flow_is_the_sum_of_both_flows():
    chain = law()
    W = weights(0.5, 0)[0]
    both = theory_sequences.velocity(chain, W, W, modules.TorchModel(lambda E: E))
    assert np.allclose(tied.velocity(chain.bigrams(), W), sum(both), atol=1e-15)


def test_a_last_norm_turns_the_embeddings_as_the_proposition_says():
    chain = law()
    W_E, W_U, _ = weights(0.5, 0)
    exact, _ = theory_sequences.velocity(chain, W_E, W_U, modules.TorchModel(modules.rms_norm))
    N, size = chain.bigrams(), np.linalg.norm(W_E, axis=1, keepdims=True)
    unit = W_E / size
    force = (N - N.sum(axis=1)[:, None] * softmax.softmax(np.sqrt(D) * unit @ W_U.T)) @ W_U
    closed = np.sqrt(D) / size * (force - unit * np.sum(unit * force, axis=1, keepdims=True))
    assert np.linalg.norm(exact - closed) < 1e-12 * np.linalg.norm(closed)
    assert np.abs(np.sum(W_E * exact, axis=1)).max() < 1e-14


@pytest.mark.parametrize(("branch", "gamma"), [("attention", 0.5), ("mlp", 0.5), ("mlp", 0.8)])
def test_neglected_over_kept_falls_as_the_power_of_the_width(branch, gamma):
    chain = law()
    N = chain.bigrams()
    signature = chain.attention_signature() if branch == "attention" else N

    def ratio(width, direction):
        g = seeds.stream(1, "rate", branch, str(gamma), str(direction))
        W_U, *maps = (g.standard_normal((int(size), int(width))) for size in (V, width, width))
        neglected = theory_language.centred(signature) @ W_U @ maps[0] @ maps[1] * width ** (-2 * gamma)
        return np.linalg.norm(neglected) / np.linalg.norm(theory_language.centred(N) @ W_U)

    assert abs(orders.residual_order(ratio, [32, 64, 128, 256], range(5)).slope - (1 - 2 * gamma)) < 0.1


def test_alternating_process_neighbours_align_and_equal_signatures_do_not():
    half, time = 5, 10.0
    N = np.zeros((2 * half, 2 * half))
    N[:half, half:] = N[half:, :half] = 0.5 / half**2
    W = 1e-3 * seeds.stream(1, "alternating").standard_normal((2 * half, 20_000))
    gram = tied.integrate(N, W, time)
    gram = gram @ gram.T / (np.linalg.norm(gram, axis=1)[:, None] * np.linalg.norm(gram, axis=1))
    # M_s = -b c c^T with the unit contrast c and b = 1 / half: entries of exp(2 t M_s) by hand
    shrink = (1 - np.exp(-2 * time / half)) / (2 * half)
    expected = shrink / (1 - shrink)
    within = gram[:half, :half][np.triu_indices(half, 1)].mean()
    assert within == pytest.approx(-expected, abs=0.003)
    assert gram[:half, half:].mean() == pytest.approx(expected, abs=0.003)


def test_tied_trajectory_follows_the_full_flow_to_second_order():
    N = law().bigrams()

    def error(scale, direction):
        W = weights(scale, direction)[0]
        moved = tied.integrate(N, W, 2.0) - W
        return np.linalg.norm(tied.trajectory(N, W, 2.0) - W - moved) / np.linalg.norm(moved)

    assert abs(orders.residual_order(error, SCALES, range(5)).slope - 2) < 0.1


def test_unknown_forms_are_named():
    chain = law()
    W_E, W_U, _ = weights(0.1, 0)
    for call in (
        lambda: theory_language.corollary_4_embedding(chain, W_E, W_U, "wrong"),
        lambda: theory_language.corollary_4_unembedding(chain, W_E, W_U, "wrong"),
        lambda: tied.tied(chain.bigrams(), W_E, "wrong"),
    ):
        with pytest.raises(ValueError, match="form is 'wrong': pass one of 'printed'"):
            call()
