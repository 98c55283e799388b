"""Rows from counts against a dense decomposition, the flow of two random matrices, and groups by hand."""

from itertools import pairwise

import numpy as np
import pytest

from probsig import seeds
from probsig.counts.bigrams import count
from probsig.language import starts

V = 12


@pytest.fixture(scope="module")
def ids():
    stream = np.random.default_rng(0)
    laws = stream.dirichlet(0.3 * np.ones(V), size=V)
    out = [0]
    for _ in range(4000):
        out.append(stream.choice(V, p=laws[out[-1]]))
    return np.array(out)


def centred(ids):
    N = np.zeros((V, V))
    for one, other in pairwise(ids):
        N[one, other] += 1 / (len(ids) - 1)
    return N - N.sum(axis=1, keepdims=True) / V


@pytest.mark.parametrize("hidden", [1, 4, 11])
def test_products_are_those_of_a_dense_decomposition_with_rows_of_one_norm(ids, hidden):
    left, sizes, right = np.linalg.svd(centred(ids))
    E, U = left[:, :hidden] * np.sqrt(sizes[:hidden]), right[:hidden].T * np.sqrt(sizes[:hidden])
    E, U = (2 * E.T / np.linalg.norm(E, axis=1)).T, (3 * U.T / np.linalg.norm(U, axis=1)).T
    W_E, W_U = starts.from_counts(count(ids, V), hidden, norms=(2, 3))
    assert W_E.shape == W_U.shape == (V, hidden)
    for one, other, ours, theirs in ((E, U, W_E, W_U), (E, E, W_E, W_E), (U, U, W_U, W_U)):
        assert np.allclose(one @ other.T, ours @ theirs.T, atol=1e-7)


def test_a_step_of_two_random_matrices_takes_their_product_along_c(ids):
    """The statement of the module: the mean over draws is d (a^2 + b^2) C."""
    C, d, stream = centred(ids), 6, np.random.default_rng(1)
    mean = np.zeros((V, V))
    for _ in range(4000):
        W_E, W_U = 0.2 * stream.standard_normal((V, d)), 0.1 * stream.standard_normal((V, d))
        mean += (C @ W_U @ W_U.T + W_E @ W_E.T @ C) / 4000
    expected = d * (0.2**2 + 0.1**2) * C
    assert np.abs(mean - expected).max() < 0.03 * np.abs(expected).max()


def test_another_seed_turns_both_matrices_alike(ids):
    counts = count(ids, V)
    one, other = (starts.from_counts(counts, 5, seed=seed) for seed in (0, 1))
    assert np.allclose(one[0] @ one[1].T, other[0] @ other[1].T, atol=1e-9)
    assert np.abs(one[0] - other[0]).max() > 0.1
    again = starts.from_counts(counts, 5, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(again, other, strict=True))


def test_the_turn_spreads_the_first_component_over_all_coordinates():
    ids = np.random.default_rng(2).choice(60, p=1 / np.arange(1, 61) / np.sum(1 / np.arange(1, 61)), size=5000)
    sizes = np.abs(starts.from_counts(count(ids, 60), 16)[0].mean(axis=0))
    assert np.count_nonzero(sizes > 0.1 * sizes.max()) > 8


def test_a_network_wider_than_the_vocabulary_gets_all_directions(ids):
    counts = count(ids, V)
    wide, whole = starts.from_counts(counts, 40), starts.from_counts(counts, V - 1)
    assert wide[0].shape == (V, 40)
    assert np.allclose(wide[0] @ wide[1].T, whole[0] @ whole[1].T, atol=1e-9)


def test_a_token_that_nothing_follows_gets_a_random_row_of_the_same_norm():
    counts = count(np.array([0, 1, 2, 0, 2, 1, 0, 3]), 4)  # nothing follows 3
    (W_E, W_U), (other, _) = (starts.from_counts(counts, 3, norms=(0.5, 0.5), seed=seed) for seed in (0, 1))
    assert np.allclose(np.linalg.norm(W_E, axis=1), 0.5) and np.allclose(np.linalg.norm(W_U, axis=1), 0.5)
    drawn = seeds.stream(0, "no row", "W_E").standard_normal((1, 3))[0]
    assert np.allclose(W_E[3], 0.5 * drawn / np.linalg.norm(drawn)) and not np.allclose(W_E[3], other[3])


def test_what_comes_next_has_the_larger_product(ids):
    """What the start is for: the products of a token with what follows it are larger than with what doesn't."""
    W_E, W_U = starts.from_counts(count(ids, V), 8)
    C, products = centred(ids), W_E @ W_U.T
    own = np.array([np.corrcoef(C[s], products[s])[0, 1] for s in range(V)])
    assert (own > 0.6).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden": 0}, r"^hidden is 0: pass the width"),
        ({"hidden": 1.5}, r"^hidden is 1\.5: pass the width"),
        ({"norms": (1, 0)}, r"^norms are \(1, 0\): pass two positive numbers"),
        ({"norms": (1,)}, r"^norms are \(1,\): pass two positive numbers"),
        ({"counts": count(np.array([0, 1, 0, 1]), 3, distance=2)}, r"^counts are at distance 2: count pairs"),
        ({"counts": count(np.array([0, 1, 0]), 2)}, r"^2 tokens with 2 pairs have no directions: take more text\.$"),
        ({"counts": count(np.array([1]), 5)}, r"^5 tokens with 0 pairs have no directions: take more text\.$"),
    ],
)
def test_what_gives_no_start_is_said_in_one_sentence(ids, change, words):
    given = {"counts": count(ids, V), "hidden": 4} | change
    with pytest.raises(ValueError, match=words):
        starts.from_counts(given.pop("counts"), given.pop("hidden"), **given)


def test_rows_are_dealt_among_tokens_of_a_like_frequency_and_nobody_keeps_its_own():
    frequency = np.random.default_rng(3).integers(1, 10_000, size=137)
    whose = starts.dealt(frequency, seed=5)
    assert sorted(whose.tolist()) == list(range(137)) and (whose != np.arange(137)).all()
    place = np.empty(137, dtype=int)
    place[np.argsort(-frequency, kind="stable")] = np.arange(137)
    groups = np.minimum(place // 10, 12)  # the last takes the 7 that are left over
    assert np.array_equal(groups[whose], groups)
    assert not np.array_equal(whose, starts.dealt(frequency, seed=6))


@pytest.mark.parametrize(("frequency", "group"), [([3, 2, 1], 1), ([3], 10)])
def test_rows_that_cannot_be_dealt_are_said(frequency, group):
    with pytest.raises(ValueError, match="are dealt among 2 tokens or more"):
        starts.dealt(frequency, 0, group)
