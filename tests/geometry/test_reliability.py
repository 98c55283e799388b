"""Bootstrap, null and split halves against plain numpy on square matrices, by hand, and on what they must show."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from probsig import seeds
from probsig.counts.bigrams import count
from probsig.geometry import small
from probsig.geometry.large import correlations, cosines
from probsig.geometry.reliability import bootstrap, matched_null, of_mean, spearman_brown, split_half
from probsig.signatures import tokens as signatures_tokens

SEEDS = st.integers(0, 2**32 - 1)


def two(seed, n=30, noise=0.5):
    """Cosines of some vectors and of the same with noise."""
    W = np.random.default_rng(seed).standard_normal((n, 4))
    return cosines(W), cosines(W + noise * np.random.default_rng(seed + 1).standard_normal((n, 4)))


@settings(deadline=None, max_examples=20)  # the first call compiles
@given(SEEDS, st.sampled_from([5, 30, 64, 65]))
def test_bootstrap_against_repeated_rows(seed, n):
    a, b = two(seed, n)
    A, B = a.square().astype(float), b.square().astype(float)
    weights = seeds.stream(seed, "bootstrap over tokens").multinomial(n, np.full(n, 1 / n), size=3)
    for weight, found in zip(weights, bootstrap(a, b, draws=3, seed=seed), strict=True):
        drawn = np.repeat(np.arange(n), weight)
        i, j = np.triu_indices(n, k=1)
        i, j = drawn[i], drawn[j]
        i, j = i[i != j], j[i != j]
        x, y = A[i, j], B[i, j]
        if np.unique(x).size > 2:
            assert abs(found - np.corrcoef(x, y)[0, 1]) < 1e-9


@pytest.mark.parametrize("kind", [np.uint8, np.uint32, np.uint64, np.int8, np.int64, float])
def test_the_type_of_the_frequencies_says_nothing(kind):
    a, b = two(0, n=6)
    frequency = np.array([3, 2, 1, 9, 5, 6], kind)
    found = matched_null(a, b, frequency, 5, 0, group=3)
    assert np.array_equal(found, matched_null(a, b, frequency.tolist(), 5, 0, group=3))


def test_the_bootstrap_spread_is_that_of_new_tokens():
    new = [correlations(*two(1000 + 2 * s, n=40)).overall for s in range(200)]
    drawn = [bootstrap(*two(5000 + 2 * s, n=40), draws=50, seed=s).std() for s in range(20)]
    assert 0.7 < np.mean(drawn) / np.std(new) < 1.4


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.sampled_from([2, 7, 20, 70]), st.sampled_from([5, 64, 70]))
def test_matched_null_against_permuted_square_matrices(seed, group, n):
    a, b = two(seed, n)
    frequency = np.random.default_rng(seed).integers(1, 9, n)
    stream = seeds.stream(seed, "frequency-matched null")
    order = sorted(range(n), key=lambda i: (-frequency[i], i))
    groups = [order[k : k + group] for k in range(0, n, group)]
    if len(groups) > 1 and 2 * len(groups[-1]) < group:
        groups[-2:] = [groups[-2] + groups[-1]]
    for found in matched_null(a, b, frequency, draws=3, seed=seed, group=group):
        moved = np.arange(n)
        for members in groups:
            moved[members] = stream.permutation(members)
        plain = small.pearson(small.pairs(a.square()), small.pairs(b.square()[np.ix_(moved, moved)]))
        assert abs(found - plain) < 1e-9


def test_an_alignment_by_frequency_alone_survives_the_null_and_another_does_not():
    rng = np.random.default_rng(0)
    level = np.repeat(np.arange(10.0), 20)  # tokens of one frequency level share a direction, and nothing else
    shared = 3 * rng.standard_normal((10, 20))[level.astype(int)]
    a, b = (cosines(shared + rng.standard_normal((200, 20))) for _ in range(2))
    real = correlations(a, b).overall
    null = matched_null(a, b, level, draws=10, seed=0, group=20)
    assert abs(null.mean() - real) < 0.02 and real > 0.9
    assert np.abs(matched_null(a, b, level, draws=10, seed=0, group=200)).max() < 0.2


def corpus(seed, size):
    """A first-order text over 40 tokens whose rows differ."""
    rng = np.random.default_rng(seed)
    law = np.random.default_rng(99).dirichlet(np.full(40, 0.1), size=40) * 0.9 + 0.1 / 40
    edges, ids, draws = np.cumsum(law, axis=1), np.zeros(size, dtype=np.uint16), rng.random(size)
    for t in range(1, size):
        ids[t] = min(np.searchsorted(edges[ids[t - 1]], draws[t]), 39)
    return count(ids, 40)


def test_split_half_predicts_the_correlation_with_a_second_corpus_and_grows_with_size():
    reliabilities = []
    for size in (1500, 12_000):
        first, second, third, fourth = (corpus(s, size) for s in range(4))
        split = split_half(first, second, range(40))
        whole = [
            cosines(signatures_tokens.next_token(x + y, split.tokens)) for x, y in ((first, second), (third, fourth))
        ]
        assert abs(split.reliability - correlations(*whole).overall) < 0.04
        assert split.ceiling == pytest.approx(split.reliability**0.5)
        reliabilities.append(split.reliability)
    assert reliabilities[0] < reliabilities[1]


@pytest.mark.parametrize("kind", ["raw", "centred", "ppmi", "support"])
def test_split_half_is_the_correlation_of_the_halves_in_every_kind(kind):
    halves = [corpus(s, 600) for s in (0, 1)]
    split = split_half(*halves, range(40), signatures_tokens.tied, kind=kind)
    rows = [signatures_tokens.tied(h, split.tokens, kind).toarray() for h in halves]
    assert abs(split.halves.overall - small.cosine_correlation(*rows)) < 1e-5
    assert np.allclose(split.by_token, spearman_brown(split.halves.by_token), equal_nan=True)


def test_tokens_without_a_signature_in_a_half_are_left_out():
    first, second = (count(np.array(ids, dtype=np.uint16), 6) for ids in ([0, 1, 2, 3, 0, 2, 1], [3, 2, 1, 0, 4, 3, 1]))
    assert split_half(first, second, [4, 0, 1, 2, 3, 5]).tokens.tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="2 of 3 tokens have a signature in both halves"):
        split_half(first, second, [0, 5, 1])


def test_spearman_brown_at_its_ends():
    assert spearman_brown([-1, 0, 1]).tolist() == [-np.inf, 0, 1]


A = cosines(np.eye(4) + 0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap(A, A, 0, 0), "draws is 0"),
        (lambda: matched_null(A, A, [1, 2, 3], 1, 0), "pass one number for each"),
        (lambda: matched_null(A, A, [1, 2, 3, 4], 1, 0, group=1), "pass 2 tokens or more a group"),
        (lambda: matched_null(A, A, np.array([3, 2, 1, 0], np.uint8), 1, 0), "frequency is of type uint8, whose zeros"),
        (lambda: matched_null(A, A, np.array([3, 2, 1, 0], np.uint64), 1, 0), "pass frequency.astype(np.int64)"),
        (lambda: matched_null(A, A, [True, True, False, True], 1, 0), "pass frequency.astype(np.int64)"),
        (lambda: bootstrap(A, cosines(sp.eye_array(3).tocsr() + sp.csr_array(np.ones((3, 3)))), 1, 0), "4 tokens meet"),
    ],
)
def test_bad_input_is_one_sentence(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert message in str(caught.value) and "\n" not in str(caught.value)


@given(r=st.floats(0, 1), n=st.integers(1, 20))
def test_the_reliability_of_a_mean_is_that_of_two_means_of_noisy_copies(r, n):
    covariance, variance = r, (1 + (n - 1) * r) / n  # of two means of n copies that correlate by r, and of one
    assert of_mean(r, n) == pytest.approx(covariance / variance)
    assert of_mean(r, 2) == pytest.approx(float(spearman_brown(r))) and of_mean(-r, n) == 0
