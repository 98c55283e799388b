"""Corollary 4 and tied embeddings: the order of each residual, over five directions of the weights."""

import numpy as np
import pytest
import torch

from probsig import flow, seeds, sequences, torch_models
from probsig.expansions import language, tied

torch.set_num_threads(1)
V, L, D = 4, 4, 16
SCALES = np.geomspace(0.03, 0.004, 5)


def law():
    rng = seeds.stream(1, "chain")
    return sequences.markov(rng.dirichlet(np.ones(V)), rng.dirichlet(np.ones(V), size=(V, V)), L)


def weights(scale, direction):
    g = seeds.stream(1, "weights", str(direction))
    W_E, W_U = scale * g.standard_normal((V, D)), scale * g.standard_normal((V, D))
    return W_E, W_U, torch_models.CausalBlocks(D, scale, g, heads=2, mlp_size=D)


def order(side, form):
    chain = law()

    def residual(scale, direction):
        W_E, W_U, block = weights(scale, direction)
        exact = sequences.velocity(chain, W_E, W_U, torch_models.TorchModel(block))[side]
        expand = (language.corollary_4_embedding, language.corollary_4_unembedding)[side]
        return np.linalg.norm(exact - expand(chain, W_E, W_U, form, block.value_map(), block.mlp_map()))

    return flow.residual_order(residual, SCALES, range(5)).slope


@pytest.mark.parametrize(
    ("side", "form", "integer"),
    [
        (0, "printed", 1), (0, "bigram", 1), (0, "first_order", 3), (0, "third_order_no_attention", 3),
        (0, "third_order_no_mlp", 3), (0, "third_order", 5),
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

    assert abs(flow.residual_order(residual, SCALES, range(5)).slope - integer) < 0.1


def test_tied_flow_is_the_sum_of_both_flows():
    chain = law()
    W = weights(0.5, 0)[0]
    both = sequences.velocity(chain, W, W, sequences.BigramModel())
    assert np.allclose(tied.velocity(chain.bigrams(), W), sum(both), atol=1e-15)


def test_tied_trajectory_follows_the_full_flow_to_second_order():
    N = law().bigrams()

    def error(scale, direction):
        W = weights(scale, direction)[0]
        moved = tied.integrate(N, W, 2.0) - W
        return np.linalg.norm(tied.trajectory(N, W, 2.0) - W - moved) / np.linalg.norm(moved)

    assert abs(flow.residual_order(error, SCALES, range(5)).slope - 2) < 0.1


def test_unknown_forms_are_named():
    chain = law()
    W_E, W_U, _ = weights(0.1, 0)
    for call in (
        lambda: language.corollary_4_embedding(chain, W_E, W_U, "wrong"),
        lambda: language.corollary_4_unembedding(chain, W_E, W_U, "wrong"),
        lambda: tied.tied(chain.bigrams(), W_E, "wrong"),
    ):
        with pytest.raises(ValueError, match="form is 'wrong'; choose one of printed"):
            call()
