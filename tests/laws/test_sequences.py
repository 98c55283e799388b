"""Laws of sequences: pair frequencies against loops, the exact flow against autograd, errors."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probsig import seeds
from probsig.laws import sequences
from probsig.theory import modules
from probsig.theory import sequences as theory_sequences

torch.set_num_threads(1)


def chain(seed=0, V=4, L=4):
    rng = seeds.stream(seed, "chain")
    return sequences.markov(rng.dirichlet(np.ones(V)), rng.dirichlet(np.ones(V), size=(V, V)), L)


def naive(law, distance):
    N = np.zeros((law.vocab_size, law.vocab_size))
    for x, w in zip(law.X, law.probability, strict=True):
        for t in range(law.length - distance):
            N[x[t], x[t + distance]] += w / law.length
    return N


@given(st.integers(0, 50), st.integers(1, 3))
def test_bigrams_equal_a_loop(seed, distance):
    law = chain(seed, V=3)
    assert np.allclose(law.bigrams(distance), naive(law, distance), atol=1e-15)


def test_attention_signature_is_the_harmonic_mean_of_skips():
    law = chain()
    A = np.zeros((4, 4))
    for x, w in zip(law.X, law.probability, strict=True):
        for t in range(1, law.length):
            for tau in range(t):
                A[x[tau], x[t]] += w / law.length / t
    assert np.allclose(law.attention_signature(), A, atol=1e-15)
    assert np.allclose(A.sum(axis=0), law.bigrams().sum(axis=0), atol=1e-15)


def test_union_ratio_by_hand():
    law = sequences.SequenceLaw([[0, 1, 0], [1, 1, 0]], [0.5, 0.5], 2)
    # token 0 is an input of the first sequence only, followed by 1; token 1 of both, by 0 in both and by 1 in one
    assert law.union_ratio().tolist() == [[0.0, 1.0], [1.0, 0.5]]
    assert law.contains().tolist() == [0.5, 1.0]


def test_a_law_of_sequences_keeps_its_own_arrays():
    X, probability = np.array([[0, 1, 0], [1, 1, 0]]), np.array([0.5, 0.5])
    law = sequences.SequenceLaw(X, probability, 2)
    was = law.bigrams()
    X[:], probability[:] = 0, 0
    assert np.array_equal(law.bigrams(), was) and law.probability.tolist() == [0.5, 0.5]


def test_markov_enumerates_every_sequence_once():
    law = chain()
    assert len(law.X) == 4**4
    assert abs(law.probability.sum() - 1) < 1e-12


@pytest.mark.parametrize("norm", [None, "pre"])
def test_velocity_equals_autograd(norm):
    law, d = chain(), 6
    g = seeds.stream(0, "weights")
    W_E, W_U = g.standard_normal((4, d)), g.standard_normal((4, d))
    block = modules.CausalBlocks(d, 0.5, g, heads=2, blocks=2, mlp_size=5, norm=norm)
    found = theory_sequences.velocity(law, W_E, W_U, modules.TorchModel(block))
    E, U = (torch.tensor(W, requires_grad=True) for W in (W_E, W_U))
    X = torch.as_tensor(law.X)
    log_p = (block(E[X])[:, :-1] @ U.T).log_softmax(-1)
    nll = -log_p.gather(-1, X[:, 1:, None])[..., 0].sum(1) / law.length
    value = torch.as_tensor(law.probability) @ nll
    value.backward()
    for mine, theirs in zip(found, (E.grad, U.grad), strict=True):
        assert np.linalg.norm(mine + theirs.numpy()) < 1e-12 * np.linalg.norm(mine)


def test_attention_is_causal():
    block = modules.CausalBlocks(4, 1.0, seeds.stream(0, "block"), blocks=2, mlp_size=3)
    model = modules.TorchModel(block)
    E = seeds.stream(0, "E").standard_normal((1, 5, 4))
    changed = E.copy()
    changed[0, 3] += 1
    same = np.abs(model.hidden(changed) - model.hidden(E)).max(axis=(0, 2))
    assert (same[:3] == 0).all()
    assert (same[3:] > 0).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([[0, 5]], [1.0], 3), "token id 5 is outside 0..2"),
        (([[0, 1]], [0.5], 3), "sum to 0.5"),
        (([[0, 1]], [0.5, 0.5], 3), "one number for each of 1 atoms"),
        (([0, 1], [1.0], 3), "give .n, L. token ids"),
    ],
)
def test_bad_laws(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        sequences.SequenceLaw(*arguments)


def test_bad_distance_and_size():
    with pytest.raises(ValueError, match=r"lies in 1\.\.3"):
        chain().bigrams(4)
    with pytest.raises(ValueError, match="too many to enumerate"):
        sequences.markov(np.full(100, 0.01), np.full((100, 100), 0.01), 5)
    for symbols in (1, 2):
        with pytest.raises(ValueError, match=rf"^{symbols}\^{2**70} sequences are too many to enumerate: take "):
            sequences.markov(np.full(symbols, 1 / symbols), np.full((symbols, symbols), 1 / symbols), 2**70)
