"""Ranks and frequency: against scipy and an independent regression, by hand, and where there is nothing left."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from probsig.geometry.confounds import ranked, without, without_frequency
from probsig.geometry.large import Cosines, correlations, cosines

SEEDS = st.integers(0, 2**32 - 1)


def two(seed, n=40):
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((n, 5))
    return cosines(W), cosines(W + 0.7 * rng.standard_normal((n, 5))), rng.integers(1, 5000, n)


def controls(frequency):
    """1, the sum, the distance and the product of two tokens' log frequencies, a row a pair."""
    i, j = np.triu_indices(len(frequency), k=1)
    level = np.log(frequency)
    return np.stack([np.ones(i.size), level[i] + level[j], np.abs(level[i] - level[j]), level[i] * level[j]], axis=1)


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.sampled_from([3, 10, 40]), st.booleans())
def test_ranks_against_scipy_with_ties(seed, n, coarse):
    values = np.random.default_rng(seed).standard_normal(n * (n - 1) // 2).astype(np.float32)
    values = values.round(1) + np.float32(0) if coarse else values
    assert np.allclose(ranked(Cosines(values, n)).pairs, (rankdata(values) - 0.5) / values.size, atol=1e-6)


def test_the_correlation_of_ranks_is_spearmans():
    a, b, _ = two(1)
    assert abs(correlations(ranked(a), ranked(b)).overall - spearmanr(a.pairs, b.pairs).statistic) < 1e-6


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.sampled_from([5, 12, 40]))
def test_what_is_left_is_the_residual_of_a_regression(seed, n):
    a, _, frequency = two(seed, n)
    X = controls(frequency)
    residual = a.pairs - X @ np.linalg.lstsq(X, a.pairs.astype(float), rcond=None)[0]
    assert np.allclose(without_frequency(a, frequency).pairs, residual, atol=2e-6)


def test_the_partial_correlation_is_that_of_the_inverse_covariance():
    a, b, frequency = two(3)
    precision = np.linalg.inv(np.cov(np.column_stack([a.pairs, b.pairs, controls(frequency)[:, 1:]]), rowvar=False))
    partial = -precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1])
    found = correlations(*(without_frequency(side, frequency) for side in (a, b))).overall
    assert abs(found - partial) < 1e-6


def test_an_alignment_by_frequency_alone_is_taken_out():
    rng = np.random.default_rng(0)
    frequency = np.exp(rng.uniform(4, 10, 200))
    level = np.log(frequency)
    i, j = np.triu_indices(200, k=1)
    a, b = (
        Cosines((0.05 * (level[i] + level[j]) + 0.1 * rng.standard_normal(i.size)).astype(np.float32), 200)
        for _ in range(2)
    )
    assert correlations(a, b).overall > 0.5
    assert abs(correlations(*(without_frequency(side, frequency) for side in (a, b))).overall) < 0.03


def test_where_frequency_explains_everything_nothing_is_left_and_no_correlation():
    frequency = np.array([2.0, 5.0, 11.0, 40.0, 90.0])
    i, j = np.triu_indices(5, k=1)
    a = Cosines((0.1 * np.log(frequency[i] * frequency[j])).astype(np.float32), 5)
    left = without_frequency(a, frequency)
    assert not left.pairs.any()
    assert np.isnan(correlations(left, two(0, 5)[1]).overall)


def test_one_frequency_for_all_takes_out_the_mean():
    a, _, _ = two(4)
    assert np.allclose(without_frequency(a, np.full(40, 7)).pairs, a.pairs - a.pairs.mean(), atol=1e-6)


@pytest.mark.parametrize("frequency", [[1, 2], [1, 2, 0], [1, 2, np.nan], [1, 2, -3]])
def test_a_frequency_that_is_none_is_refused(frequency):
    with pytest.raises(ValueError, match="one positive number for each of 3 tokens"):
        without_frequency(Cosines(np.zeros(3, dtype=np.float32), 3), frequency)


@given(SEEDS)
def test_a_side_without_another_is_the_residual_of_a_regression(seed):
    c, other, _ = two(seed)
    left = without(c, other)
    line = np.polyfit(other.pairs.astype(float), c.pairs.astype(float), 1)
    assert np.allclose(left.pairs, c.pairs - np.polyval(line, other.pairs.astype(float)), atol=1e-6)
    assert abs(correlations(left, other).overall) < 1e-4
    with pytest.raises(ValueError, match=r"^40 and 5 tokens have different pairs"):
        without(c, other.first(5))


def test_a_side_without_one_that_is_the_same_everywhere_only_loses_its_mean():
    c = Cosines(np.array([0.25, 0.5, 0.75], dtype=np.float32), 3)
    assert without(c, Cosines(np.full(3, 0.5, dtype=np.float32), 3)).pairs.tolist() == [-0.25, 0, 0.25]
