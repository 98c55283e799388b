"""Embeddings made by the tied flow follow adjacency, embeddings made from phi~ similarity; each is told apart."""

import numpy as np
import pytest

from probsig.counts.bigrams import count
from probsig.experiments.adjacency import PREDICTORS, TOGETHER, adjacency
from probsig.geometry import small
from probsig.signatures import tokens as signatures_tokens
from probsig.theory import tied

V = 30
SIMILARITY, ADJACENCY, BESIDE, LIFT, FREQUENCY = range(5)


@pytest.fixture(scope="module")
def counts():
    """A chain with a random law; every token follows some token."""
    rng = np.random.default_rng(0)
    law = rng.dirichlet(np.full(V, 0.3), size=V).cumsum(axis=1)
    ids = [0]
    for u in rng.random(20_000):
        ids.append(min(int(np.searchsorted(law[ids[-1]], u)), V - 1))
    return count(np.array(ids), V)


def pair_frequencies(counts):
    return counts.to_scipy().toarray() / counts.total


def embeddings(gram):
    """Rows with a given matrix of inner products."""
    values, vectors = np.linalg.eigh(gram)
    W = vectors * np.sqrt(np.maximum(values, 0))
    return {"raw": W, "centred": W - W.mean(axis=0)}


def test_the_tied_flow_is_recognised(counts):
    M = tied.symmetrised(pair_frequencies(counts))
    values, vectors = np.linalg.eigh(M)
    time = 1.0  # 2 t lambda_max; one of the times of the grid
    gram = (vectors * np.exp(time * values / values[-1])) @ vectors.T
    found = adjacency(embeddings(gram), counts, np.arange(V), seed=0, draws=10)
    at = int(np.argmin(np.abs(found["times"] - time)))
    assert found["times"][at] == pytest.approx(time)
    np.testing.assert_allclose(found["closed"][0, :, at], 1, atol=1e-6)
    assert found["closed"][0, 1].argmax() == at
    assert found["pearson"][2, ADJACENCY] > 0.5 > found["pearson"][2, SIMILARITY]
    early = embeddings(np.eye(V) + 1e-3 * M / values[-1])
    first_order = adjacency(early, counts, np.arange(V), seed=0, draws=10)
    assert first_order["pearson"][2, ADJACENCY] == pytest.approx(1, abs=1e-6)
    assert first_order["spearman"][2, ADJACENCY] == pytest.approx(1, abs=1e-4)
    assert TOGETHER[first_order["weights"][2].argmax()] == "adjacency" and first_order["explained"][2] > 0.999
    assert first_order["pearson"][2, BESIDE] < 1 - 1e-4  # the centring is part of the theory


def test_similarity_is_recognised(counts):
    phi = signatures_tokens.tied(counts, np.arange(V)).toarray()
    found = adjacency({"raw": phi, "centred": phi}, counts, np.arange(V), seed=0, draws=10)
    assert found["pearson"][0, SIMILARITY] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(found["bootstrap"][1, SIMILARITY], 1, atol=1e-6)
    assert found["bootstrap"][:, ADJACENCY].max() < 0.9
    assert TOGETHER[found["weights"][0].argmax()] == "similarity"


def test_a_product_of_norms_is_frequency(counts):
    n = np.log(counts.row_totals())
    W = np.zeros((V, V + 1))
    W[np.arange(V), np.arange(V)] = 1
    W[:, V] = n - 5.0
    found = adjacency({"raw": W, "centred": W}, counts, np.arange(V), seed=0, draws=10)
    assert found["spearman"][2, FREQUENCY] > 0.95


def test_predictors_are_those_of_their_formulas(counts):
    tokens = np.argsort(-counts.row_totals())[:12]
    W = np.random.default_rng(1).standard_normal((12, 5))
    found = adjacency({"raw": W, "centred": W - 0.1}, counts, tokens, seed=0, draws=10)
    N = pair_frequencies(counts)
    n, r = N.sum(axis=1), N.sum(axis=0)
    lift, logs = np.zeros((V, V)), np.zeros((V, V))
    for s in range(V):
        for t in range(V):
            lift[s, t] = np.log(1 + (N[s, t] + N[t, s]) / (n[s] * r[t] + n[t] * r[s]))
            logs[s, t] = np.log(n[s]) + np.log(n[t])
    similarity = np.eye(V)
    similarity[np.ix_(tokens, tokens)] = small.cosine(signatures_tokens.tied(counts, tokens).toarray())
    block = np.ix_(tokens, tokens)
    for j, predictor in enumerate((similarity, tied.symmetrised(N), N + N.T, lift, logs)):
        for i, target in enumerate((small.cosine(W), small.cosine(W - 0.1), W @ W.T, (W - 0.1) @ (W - 0.1).T)):
            expected = small.pearson(small.pairs(target), small.pairs(predictor[block]))
            assert found["pearson"][i, j] == pytest.approx(expected, abs=1e-5), (i, PREDICTORS[j])


def test_fifths_hold_every_pair_once(counts):
    W = np.random.default_rng(1).standard_normal((V, 5))
    found = adjacency({"raw": W, "centred": W}, counts, np.arange(V), seed=0, draws=10)
    held = found["by_pairs"]
    assert held.sum() == V * (V - 1) // 2 and np.ptp(held.sum(axis=1)) <= 1
    assert found["beside"][0] == pytest.approx(1 - held[:, 0].sum() / held.sum())
    total = np.nansum(found["by"][0] * held)
    assert total / held.sum() == pytest.approx(small.pairs(small.cosine(W)).mean(), abs=1e-6)
