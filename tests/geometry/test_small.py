"""Geometry against scipy and numpy, a case by hand, and its invariances."""

import re

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from probsig.geometry import small
from probsig.geometry.small import cosine, cosine_correlation, order_correlation, pairs, pca, pearson, permutation_null

NUMBERS = st.integers(-50, 50).map(float)
SEEDS = st.integers(0, 2**32 - 1)


def gaussian(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def orthogonal(seed, d):
    return np.linalg.qr(gaussian(seed, d, d))[0]


def test_cosine_against_scipy():
    A, B = gaussian(0, 7, 4), gaussian(1, 5, 4)
    assert np.abs(cosine(A, B) - (1 - cdist(A, B, "cosine"))).max() < 1e-14
    assert np.abs(cosine(A) - (1 - cdist(A, A, "cosine"))).max() < 1e-14


def test_cosine_with_itself_is_symmetric_with_ones_on_the_diagonal():
    C = cosine(gaussian(2, 9, 3))
    assert (C == C.T).all() and (np.diag(C) == 1).all() and np.abs(C).max() <= 1


def test_cosines_of_parallel_rows_are_within_one_where_rounding_would_not_be():
    A = np.outer(np.r_[1.0:60.0, -60.0:0.0], gaussian(3, 7))
    for C in (cosine(A), cosine(A, A)):
        assert np.abs(np.abs(C) - 1).max() < 1e-15 and np.abs(C).max() <= 1
    unit = A / np.linalg.norm(A, axis=1, keepdims=True)
    assert np.abs(unit @ unit.T).max() > 1


def test_cosine_of_rows_of_any_length():
    A = np.array([[3e-200, 4e-200], [3e200, 4e200], [0.0, 1.0]])
    assert np.abs(cosine(A) - [[1, 1, 0.8], [1, 1, 0.8], [0.8, 0.8, 1]]).max() < 1e-15


@pytest.mark.parametrize(
    ("A", "B", "words"),
    [
        ([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]], None, "A is zero in rows 1, 2, which have no direction: leave them out"),
        ([[1.0], [2.0]], [[0.0]], "B is zero in rows 0, which have no direction: leave them out"),
        (np.zeros((9, 2)), None, "rows 0, 1, 2, 3, 4 and 4 more"),
        ([[1.0, np.nan], [1.0, 1.0]], None, "A has a nan or an infinity in rows 0: leave them out"),
        ([[1.0, 2.0]], [[1.0]], "rows of A have 2 entries and rows of B 1: pass rows of one length"),
        ([1.0, 2.0], None, "A has shape (2,): pass a matrix with one row a token"),
    ],
)
def test_cosine_names_what_is_wrong(A, B, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        cosine(A, B)


def test_pairs_has_each_unordered_pair_once_and_no_diagonal():
    M = np.arange(25.0).reshape(5, 5)
    assert pairs(M).tolist() == [M[i, j] for i in range(5) for j in range(i + 1, 5)]
    with pytest.raises(ValueError, match="square"):
        pairs(np.ones((2, 3)))


def test_pearson_against_scipy():
    a, b = gaussian(3, 2, 40)
    assert abs(pearson(a, b) - scipy.stats.pearsonr(a, b).statistic) < 1e-14


def test_pearson_of_a_constant_is_nan_even_with_rounding_noise():
    b = np.arange(10.0)
    assert np.isnan(pearson(np.full(10, 0.1), b)) and np.isnan(pearson(b, np.zeros(10)))
    assert np.isnan(pearson(1 + 1e-16 * gaussian(0, 10), b))
    assert np.isnan(pearson([1.0, np.nan, 2.0], [1.0, 2.0, 3.0]))
    assert abs(pearson(1e-300 * b, b) - 1) < 1e-14


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0]), ([1.0, 2.0], [1.0, 2.0, 3.0])])
def test_pearson_needs_two_samples_of_one_size(a, b):
    with pytest.raises(ValueError, match="two samples of one size"):
        pearson(a, b)


def test_order_correlation_by_hand():
    # pairs (0, 1), (0, 2), (1, 2): cosines 0.8, 0, 0.6 with mean 1.4 / 3, distances 1, 2, 1 with mean 4 / 3
    W = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]
    c, d = np.array([0.8, 0.0, 0.6]), np.array([1.0, 2.0, 1.0])
    c, d = c - 1.4 / 3, d - 4 / 3
    assert abs(order_correlation(W) - c @ d / np.sqrt((c @ c) * (d @ d))) < 1e-14
    assert abs(order_correlation(W) - -0.9707253433941511) < 1e-12


def test_order_correlation_leaves_the_diagonal_out():
    """An untrained model reads about 0, and about -0.45 if the diagonal counts."""
    read = [order_correlation(gaussian(seed, 10, 200)) for seed in range(200)]
    distance = np.abs(np.subtract.outer(np.arange(10), np.arange(10)))
    with_diagonal = [pearson(cosine(gaussian(seed, 10, 200)), distance) for seed in range(200)]
    assert abs(np.mean(read)) < 4 * np.std(read) / np.sqrt(200)
    assert -0.5 < np.mean(with_diagonal) < -0.4


def test_order_correlation_is_minus_one_where_cosines_fall_linearly():
    gram = 1 - np.abs(np.subtract.outer(np.arange(6), np.arange(6))) / 10
    assert abs(order_correlation(np.linalg.cholesky(gram)) + 1) < 1e-12


@given(SEEDS, st.permutations(range(6)))
def test_order_correlation_follows_the_tokens_not_their_rows(seed, order):
    W, positions = gaussian(seed, 6, 3), np.array([1.0, 2.0, 4.0, 8.0, 9.0, 15.0])
    moved = order_correlation(W[order], positions[order])
    assert abs(moved - order_correlation(W, positions)) < 1e-9


@given(SEEDS, st.lists(st.floats(1e-3, 1e3), min_size=5, max_size=5))
def test_measures_ignore_lengths_and_rotations(seed, lengths):
    W, B, Q = gaussian(seed, 5, 4), gaussian(seed + 1, 5, 7), orthogonal(seed, 4)
    turned = np.array(lengths)[:, None] * W @ Q
    assert np.abs(cosine(turned) - cosine(W)).max() < 1e-12
    assert abs(order_correlation(turned) - order_correlation(W)) < 1e-9
    assert abs(cosine_correlation(turned, B) - cosine_correlation(W, B)) < 1e-9


@given(SEEDS, st.permutations(range(6)))
def test_cosine_correlation_is_symmetric_and_ignores_a_common_order(seed, order):
    A, B = gaussian(seed, 6, 3), gaussian(seed + 1, 6, 4)
    assert abs(cosine_correlation(A, B) - cosine_correlation(B, A)) < 1e-12
    assert abs(cosine_correlation(A[order], B[order]) - cosine_correlation(A, B)) < 1e-9


def test_cosine_correlation_against_scipy():
    A, B = gaussian(5, 12, 4), gaussian(6, 12, 30)
    i, j = np.triu_indices(12, 1)
    a, b = (1 - cdist(M, M, "cosine")[i, j] for M in (A, B))
    assert abs(cosine_correlation(A, B) - scipy.stats.pearsonr(a, b).statistic) < 1e-12


@pytest.mark.parametrize("call", [lambda A, B: cosine_correlation(A, B), lambda A, B: permutation_null(A, B, 3, 0)])
def test_comparisons_need_the_same_tokens(call):
    with pytest.raises(ValueError, match="R_cos compares 4 rows with 5: pass the same tokens, 3 or more, in both"):
        call(np.ones((4, 2)), np.ones((5, 2)))
    with pytest.raises(ValueError, match="3 or more"):
        call(np.ones((2, 2)), np.ones((2, 2)))


def test_order_correlation_needs_three_rows_and_a_position_each():
    with pytest.raises(ValueError, match="3 rows or more"):
        order_correlation(np.eye(2))
    with pytest.raises(ValueError, match="one position each"):
        order_correlation(np.eye(3), [1, 2])


@given(arrays(float, (6, 4), elements=NUMBERS).filter(lambda W: (np.ptp(W, axis=0) > 0).any()))
def test_pca_explains_the_variance_of_the_covariance(W):
    coords, share = pca(W, 3)
    values = np.linalg.eigvalsh(np.cov(W.T, bias=True))[::-1]
    assert np.abs(coords.mean(axis=0)).max() < 1e-9
    assert np.abs((coords**2).mean(axis=0) - values[:3]).max() < 1e-9 * values.sum()
    assert np.abs(share - values[:3] / values.sum()).max() < 1e-9


def test_pca_keeps_all_distances_with_all_components():
    W = gaussian(7, 5, 3)
    coords, share = pca(W, 3)
    assert np.abs(cdist(coords, coords) - cdist(W, W)).max() < 1e-13
    assert abs(share.sum() - 1) < 1e-14


@given(SEEDS)
def test_pca_gives_each_axis_the_sign_of_its_largest_entry(seed):
    W = gaussian(seed, 6, 4)
    coords, _ = pca(W, 2)
    axes = np.linalg.lstsq(coords, W - W.mean(axis=0), rcond=None)[0]  # (2, 4), the directions
    assert (np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1) > 0).all()


def test_pca_sign_is_stable_where_entries_tie():
    """Both entries of the direction are equal in size: the first one decides, whatever the last bit says."""
    W = np.outer([0.0, 1.0, 3.0], [1.0, -1.0])
    for noise in (0.0, 1e-15, -1e-15):
        coords, _ = pca(W + noise * np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), 1)
        assert coords[2, 0] > 0


@pytest.mark.parametrize(
    ("W", "components", "words"),
    [
        (np.eye(3), 3, "W of shape (3, 3) has no 3 components"),
        (np.eye(3), 0, "components is 0: pass a whole number of at least 1"),
        (np.full((4, 2), 0.1), 1, "all rows of W are equal"),
        (np.array([[np.inf, 1.0], [1.0, 2.0]]), 1, "W has a nan or an infinity in rows 0"),
    ],
)
def test_pca_names_what_is_wrong(W, components, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        pca(W, components)


def test_permutation_null_is_the_statistic_of_permuted_rows():
    """On three tokens the six permutations are all there are."""
    A, B = gaussian(8, 3, 5), gaussian(9, 3, 5)
    orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    possible = sorted(cosine_correlation(A, B[order]) for order in orders)
    null = permutation_null(A, B, 300, seed=1)
    nearest = np.abs(null[:, None] - possible).argmin(axis=1)
    assert np.abs(null - np.array(possible)[nearest]).max() < 1e-12
    assert np.bincount(nearest, minlength=6).min() > 20  # 50 expected of each


def test_permutation_null_repeats_with_its_seed_only():
    A, B = gaussian(10, 8, 3), gaussian(11, 8, 3)
    assert (permutation_null(A, B, 20, seed=4) == permutation_null(A, B, 20, seed=4)).all()
    assert (permutation_null(A, B, 20, seed=4) != permutation_null(A, B, 20, seed=5)).any()
    assert (permutation_null(A, B, 20, seed=4)[:5] == permutation_null(A, B, 5, seed=4)).all()
    with pytest.raises(ValueError, match="ask for 1 permutation or more"):
        permutation_null(A, B, 0, seed=0)


def test_a_null_is_small_where_names_say_nothing_and_absent_without_variance():
    stream = np.random.default_rng(0)
    W, other = stream.normal(size=(2, 12, 30))
    assert 0 < small.null_size(W, other, seed=1) < 0.6
    assert small.null_size(W, other, seed=1) == small.null_size(W, other, seed=1)
    assert np.isnan(small.null_size(W, np.ones((12, 3)), seed=1))


def test_a_plane_is_of_the_principal_components():
    rows = np.random.default_rng(1).normal(size=(9, 5))
    coords, share = small.plane(rows)
    expected, expected_share = small.pca(rows)
    assert np.array_equal(coords, expected) and np.array_equal(share, expected_share)
    with pytest.raises(
        ValueError, match="too small to be drawn: divide all of them by one number, such as the largest"
    ):
        small.plane(rows * 1e-14)
    for equal in (np.zeros((3, 2)), np.full((3, 2), 1e-14), np.add(0.1, [[0.0], [1e-17], [0.0]])):
        assert not small.plane(equal)[0].any()
