"""Shape: rings and lines that are symmetric and that are not, spikes and remainders; against numpy's own transforms."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from probsig.geometry import small, symmetry


def ring_gap(n):
    line = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    return np.minimum(line, n - line)


def line_gap(n):
    return np.abs(np.subtract.outer(np.arange(n), np.arange(n)))


@hypothesis.given(st.integers(3, 15), st.integers(0, 100))
def test_the_eigenvalues_of_a_circulant_kernel_are_its_fourier_transform(n, seed):
    K = np.random.default_rng(seed).standard_normal(n // 2 + 1)[ring_gap(n)]
    wave = np.fft.fft(symmetry.centred(K)[0]).real
    by_frequency = [2 * wave[m] if 2 * m != n else wave[m] for m in range(1, n // 2 + 1)]
    hypothesis.assume(abs(wave.sum()) > 1e-3)
    np.testing.assert_allclose(symmetry.mode_shares(K, ring=True), np.array(by_frequency) / wave.sum(), atol=1e-8)


@pytest.mark.parametrize("ring", [True, False])
@pytest.mark.parametrize("n", [3, 6, 7, 12])
def test_waves_are_orthonormal_and_without_a_mean(n, ring):
    U = symmetry.modes(n, ring)
    np.testing.assert_allclose(U.T @ U, np.eye(n - 1), atol=1e-12)
    np.testing.assert_allclose(U.sum(axis=0), 0, atol=1e-12)


def test_half_waves_are_the_components_of_a_long_kernel_on_a_line():
    K = np.exp(-line_gap(40) / 200)
    assert symmetry.overlap(K, symmetry.modes(40, ring=False)[:, :3]) > 0.99
    assert symmetry.mode_shares(K, ring=False)[:3] == pytest.approx(6 / np.pi**2 / np.arange(1, 4) ** 2, abs=0.03)


def test_a_kernel_explains_itself_and_shuffled_orders_have_little_of_it():
    gap = ring_gap(12)
    K = np.exp(-gap / 3)
    assert symmetry.explained_by_distance(K, gap) == pytest.approx(1)
    np.testing.assert_allclose(symmetry.kernel(K, gap), K, atol=1e-15)
    stream, null = np.random.default_rng(0), []
    for _ in range(200):
        s = stream.permutation(12)
        null.append(symmetry.explained_by_distance(K[np.ix_(s, s)], gap))
    assert np.quantile(null, 0.975) < 0.4 and 0.02 < np.mean(null) < 0.15


def test_the_share_explained_is_that_of_groups_of_pairs():
    stream = np.random.default_rng(1)
    S = stream.standard_normal((9, 9))
    S = S + S.T
    x, d = small.pairs(S), small.pairs(line_gap(9))
    left = sum(((x[d == k] - x[d == k].mean()) ** 2).sum() for k in np.unique(d))
    assert symmetry.explained_by_distance(S, line_gap(9)) == pytest.approx(1 - left / ((x - x.mean()) ** 2).sum())


def test_random_directions_fill_as_much_as_chance_says():
    stream, waves = np.random.default_rng(2), symmetry.modes(21, ring=True)[:, :2]
    rows = [stream.standard_normal((21, 30)) for _ in range(300)]
    assert np.mean([symmetry.overlap(row @ row.T, waves) for row in rows]) == pytest.approx(0.1, abs=0.02)


def test_held_out_predictions_are_those_of_ridge_regression_on_the_rows():
    stream = np.random.default_rng(3)
    X, y = stream.standard_normal((20, 5)), stream.standard_normal((20, 2))
    X -= X.mean(axis=0)
    groups = np.arange(20) % 4
    ridge = symmetry.RIDGE * (X**2).sum() / 20
    found = symmetry.predicted(X @ X.T, y, groups)
    for group in range(4):
        train, test = groups != group, groups == group
        mean = y[train].mean(axis=0)
        B = np.linalg.solve(X[train].T @ X[train] + ridge * np.eye(5), X[train].T @ (y[train] - mean))
        np.testing.assert_allclose(found[test], mean + X[test] @ B, atol=1e-9)


def test_a_rank_takes_the_first_components_only():
    stream = np.random.default_rng(4)
    first, second = np.linalg.qr(stream.standard_normal((24, 3)))[0].T[:2]
    first, second = first - first.mean(), second - second.mean()
    S = 100 * np.outer(first, first) + np.outer(second, second)
    vectors = np.linalg.eigh(symmetry.centred(S))[1]
    target = vectors[:, [-2]]
    groups = np.arange(24) % 3
    assert abs(small.pearson(symmetry.predicted(S, target, groups, rank=1)[:, 0], target[:, 0])) < 0.6
    assert small.pearson(symmetry.predicted(S, 1e3 * target, groups)[:, 0], target[:, 0]) > 0.5


def test_remainders_that_all_decades_share_are_read_and_others_are_not():
    n = np.arange(100)
    for modulus in (2, 5, 10):
        same = (n[:, None] % modulus == n % modulus).astype(float)
        assert symmetry.residue_kappa(same, n, modulus) == 1.0
    stream = np.random.default_rng(5)
    null = [symmetry.residue_kappa(row @ row.T, n, 10) for row in stream.standard_normal((50, 100, 20))]
    assert abs(np.mean(null)) < 0.05


def test_kappa_of_one_feature_is_that_of_sklearns_formula():
    n = np.arange(40)
    z = (n % 10 == 0).astype(float)
    found = symmetry.residue_kappa(np.outer(z, z), n, 10)
    assert 0 <= found < 0.25  # round numbers can be told from others, and others not from each other


def test_a_spike_stands_at_its_period_and_white_rows_have_none():
    n = np.arange(100)
    tens = np.outer(n % 10 == 0, n % 10 == 0) + 0.05 * np.eye(100)
    assert symmetry.spike(tens, 10) > 5 and symmetry.spike(tens, 5) > 5
    wave = np.cos(np.pi * n)
    assert symmetry.spike(np.outer(wave, wave) + 0.05 * np.eye(100), 2) > 100
    white = np.random.default_rng(6).standard_normal((100, 4000))
    for period in (2, 5, 10):
        assert symmetry.spike(white @ white.T, period) == pytest.approx(1, abs=0.15)


def test_power_is_that_of_numpys_transform():
    n = np.arange(60)
    rows = np.random.default_rng(7).standard_normal((60, 3)) + 0.1 * n[:, None]
    left = rows - np.array([np.polyval(np.polyfit(n, column, 1), n) for column in rows.T]).T
    power = (np.abs(np.fft.rfft(left, axis=0)) ** 2).sum(axis=1)
    around = [f for f in range(1, 12) if f % 6]
    assert symmetry.spike(rows @ rows.T, 10) == pytest.approx(power[6] / np.median(power[around]))


def test_what_they_refuse_in_one_sentence():
    with pytest.raises(ValueError, match="no multiple"):
        symmetry.spike(np.eye(12), 10)
    with pytest.raises(ValueError, match="one group"):
        symmetry.residue_kappa(np.eye(10), np.arange(10), 2)


def test_an_exponential_kernel_is_found_again_under_noise():
    gap = ring_gap(12)
    stream = np.random.default_rng(8)
    noise = 0.02 * stream.standard_normal((12, 12))
    K = 0.9 * np.exp(-gap / 3) - 0.2 + noise + noise.T
    found, xi = symmetry.exponential(K, gap)
    assert xi == pytest.approx(3, rel=0.3) and np.abs(small.pairs(found - 0.9 * np.exp(-gap / 3) + 0.2)).max() < 0.03
    assert found[0, 0] == pytest.approx(0.7, abs=0.1)
