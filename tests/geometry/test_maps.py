"""The map from signatures to rows against normal equations, loops and texts whose law is known."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp

from probsig.counts.bigrams import count
from probsig.geometry import maps


def test_signatures_are_ppmi_of_both_sides_by_a_loop():
    ids = np.random.default_rng(0).integers(5, size=400)
    N = np.zeros((5, 5))
    for a, b in pairwise(ids):
        N[a, b] += 1
    table = np.log(N * N.sum() / np.outer(N.sum(axis=1), N.sum(axis=0))).clip(0)
    found = maps.signatures(count(ids, 5), [3, 1]).toarray()
    assert np.allclose(found, np.hstack([table[[3, 1]], table.T[[3, 1]]]))
    fewer = maps.signatures(count(ids, 5), [3, 1], 2).toarray()
    assert np.allclose(fewer, np.hstack([table[[3, 1], :2], table.T[[3, 1], :2]]))


def test_the_basis_is_that_of_the_singular_vectors_and_readings_have_size_one():
    table = sp.csr_array(np.random.default_rng(1).random((20, 9)))
    found = maps.basis(table, components=4)
    expected = np.linalg.svd(table.toarray())[2][:4]
    assert np.allclose(np.abs(found.directions @ expected.T), np.eye(4), atol=1e-6)
    read = found.features(table, np.arange(20))
    assert read[:, :-1].std(axis=0).mean() == pytest.approx(1)
    assert np.allclose(read[:, -1], np.log1p(np.arange(20)))


def test_the_map_solves_the_normal_equations_at_the_best_penalty_by_leaving_out():
    stream = np.random.default_rng(2)
    X, noise = stream.standard_normal((60, 5)), stream.standard_normal((60, 3))
    W = X @ stream.standard_normal((5, 3)) + 2 * noise + 7
    Xc, Y = X - X.mean(axis=0), W - W.mean(axis=0)
    scores = {}
    for penalty in maps.PENALTIES:
        hat = Xc @ np.linalg.solve(Xc.T @ Xc + penalty * np.eye(5), Xc.T)
        scores[penalty] = ((Y - hat @ Y) ** 2).sum() / (len(X) - 1 - np.trace(hat)) ** 2
    best = min(scores, key=scores.get)
    weights = np.linalg.solve(Xc.T @ Xc + best * np.eye(5), Xc.T @ Y)
    new = stream.standard_normal((4, 5))
    assert np.allclose(maps.fitted(X, W).rows(new), (new - X.mean(axis=0)) @ weights + W.mean(axis=0))


def test_rows_without_a_law_are_not_predicted():
    stream = np.random.default_rng(3)
    X, W = stream.standard_normal((300, 10)), stream.standard_normal((300, 6))
    found = maps.held_out(X, W, np.arange(300))
    assert found.r2 < 0.02 and abs(np.median(found.ranks) - 150) < 25


def test_what_frequency_alone_predicts_is_credited_to_it_and_survives_the_shuffle():
    stream = np.random.default_rng(4)
    frequency = np.exp(stream.uniform(3, 9, size=600))
    W = np.outer(np.log(frequency), stream.standard_normal(5)) + 0.1 * stream.standard_normal((600, 5))
    found = maps.held_out(np.column_stack([stream.standard_normal((600, 3)), np.log1p(frequency)]), W, frequency)
    assert found.frequency > 0.9 and found.shuffled > 0.9 and found.r2 > 0.9


def test_each_prediction_is_of_a_map_that_has_not_seen_its_row():
    stream = np.random.default_rng(5)
    X, W = stream.standard_normal((50, 2)), stream.standard_normal((50, 3))
    found = maps.held_out(X, W, np.ones(50), seed=1)
    changed = W.copy()
    changed[7] += 100
    again = maps.held_out(X, changed, np.ones(50), seed=1)
    assert np.array_equal(again.predicted[7], found.predicted[7])
    assert not np.allclose(again.predicted, found.predicted)


def test_ranks_and_cosines_are_those_of_a_loop():
    stream = np.random.default_rng(6)
    X = stream.standard_normal((40, 3))
    W = X @ stream.standard_normal((3, 4)) + stream.standard_normal((40, 4))
    found = maps.held_out(X, W, np.ones(40), folds=4)
    own, other = W - W.mean(axis=0), found.predicted - W.mean(axis=0)
    for k in range(40):
        near = [row @ other[k] / np.linalg.norm(row) / np.linalg.norm(other[k]) for row in own]
        assert found.cosines[k] == pytest.approx(near[k])
        assert found.ranks[k] == sum(one > near[k] + 1e-12 for one in near)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: maps.basis(sp.csr_array(np.eye(2))), "2 tokens"),
        (lambda: maps.basis(sp.csr_array(np.zeros((4, 4)))), "0 neighbours"),
        (lambda: maps.fitted(np.eye(4), np.eye(3)), "pass one row for each token"),
        (lambda: maps.held_out(np.eye(30), np.eye(30), np.ones(30)), "too few for 5 folds"),
    ],
)
def test_what_cannot_be_mapped_is_said_in_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
