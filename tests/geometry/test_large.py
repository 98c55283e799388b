"""Alignment against scipy's product, scipy's ranks and numpy, by hand, and its invariances."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from probsig.geometry import products, small
from probsig.geometry.large import Cosines, correlations, cosines
from probsig.geometry.percentiles import percentile_table
from probsig.signatures.tokens import centred

SEEDS = st.integers(0, 2**32 - 1)


def sparse_rows(seed, n=40, d=60, density=0.08, whole=True):
    """Rows of small counts, none empty, so that many cosines are exactly zero and many are equal."""
    rng = np.random.default_rng(seed)
    X = (rng.random((n, d)) < density) * (rng.integers(1, 4, (n, d)) if whole else rng.standard_normal((n, d)))
    X[np.arange(n), rng.integers(0, d, n)] += 1
    return X.astype(float)


def from_pairs(values):
    n = round((1 + np.sqrt(1 + 8 * len(values))) / 2)
    return Cosines(np.asarray(values, dtype=np.float32), n)


@settings(deadline=None)  # the first call compiles
@given(SEEDS, st.sampled_from([0.02, 0.1, 0.6]), st.booleans())
def test_sparse_cosines_against_scipys_product(seed, density, whole):
    X = sp.csr_array(sparse_rows(seed, density=density, whole=whole))
    unit = sp.csr_array(X / np.sqrt((X * X).sum(axis=1))[:, None])
    plain = small.pairs((unit @ unit.T).toarray())
    found = cosines(X)
    assert found.pairs.dtype == np.float32 and found.size == 40
    assert np.abs(found.pairs - plain).max() < 1e-7
    shared = small.pairs(((X != 0).astype(int) @ (X != 0).astype(int).T).toarray())
    assert (found.pairs[shared == 0] == 0).all() and not np.signbit(found.pairs[found.pairs == 0]).any()


@pytest.mark.parametrize("shared", [0.0, 0.2, 2.0])
@pytest.mark.parametrize("threads", [1, 3])
def test_any_head_block_and_number_of_threads_give_the_same_cosines(monkeypatch, shared, threads):
    X = sp.csr_array(sparse_rows(7, n=90, density=0.3, whole=False))
    expected = small.pairs(small.cosine(X.toarray()))
    monkeypatch.setattr(products, "SHARED", shared)
    monkeypatch.setattr(products, "BLOCK", 7)
    assert np.abs(cosines(X, threads=threads).pairs - expected).max() < 1e-7


@settings(deadline=None)  # the first call compiles
@given(SEEDS)
def test_dense_cosines_against_geometry(seed):
    W = np.random.default_rng(seed).standard_normal((300, 5))
    assert np.abs(cosines(W).pairs - small.pairs(small.cosine(W))).max() < 1e-7


def test_rows_of_any_length_have_a_direction():
    X = np.array([[3e-200, 4e-200], [3e200, 4e200], [0.0, 1.0]])
    for rows in (X, sp.csr_array(X)):
        assert np.abs(cosines(rows).pairs - [1, 0.8, 0.8]).max() < 1e-7


@settings(deadline=None)  # the first call compiles
@given(SEEDS, st.booleans())
def test_centred_rows_are_never_made_dense_but_give_the_dense_cosines(seed, own):
    X = sparse_rows(seed, n=30)
    rows = centred(sp.csr_array(X), np.random.default_rng(seed).random(60) if own else None)
    assert np.abs(cosines(rows).pairs - small.pairs(small.cosine(rows.toarray()))).max() < 1e-7


def test_a_centred_row_without_entries_is_absent():
    rows = centred(sp.csr_array([[1.0, 0.0], [0.0, 0.0], [0.5, 0.5], [0.0, 1.0]]))
    found = cosines(rows, absent="zero").square()
    assert found[1].tolist() == [0, 1, 0, 0] and found[0, 3] == -1


def test_a_centred_row_that_is_the_mean_has_no_direction():
    rows = centred(sp.csr_array([[0.3, 0.1], [0.5, 0.1], [0.1, 0.1]]))
    with pytest.raises(ValueError, match="rows 0 are zero"):
        cosines(rows)


def test_square_is_symmetric_with_ones_and_selects_rows_in_any_order():
    W = np.random.default_rng(3).standard_normal((9, 4))
    whole = cosines(W).square()
    assert (whole == whole.T).all() and (np.diag(whole) == 1).all()
    assert np.abs(whole - small.cosine(W)).max() < 1e-7
    some = [4, 0, 8, 4]
    assert (cosines(W).square(some) == whole[np.ix_(some, some)]).all()


@settings(deadline=None)  # the first call compiles
@given(SEEDS)
def test_correlations_against_numpy(seed):
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((25, 3)) + rng.choice([0, 30])
    a, b = cosines(W), cosines(sp.csr_array(sparse_rows(seed, n=25, d=12)))
    A, B = a.square().astype(float), b.square().astype(float)
    found = correlations(a, b)
    assert abs(found.overall - np.corrcoef(small.pairs(A), small.pairs(B))[0, 1]) < 1e-9
    for i in range(25):
        others = np.arange(25) != i
        assert abs(found.mean_a[i] - A[i, others].mean()) < 1e-12 and abs(found.mean_b[i] - B[i, others].mean()) < 1e-12
        if B[i, others].std() > 0:
            assert abs(found.by_token[i] - np.corrcoef(A[i, others], B[i, others])[0, 1]) < 1e-9
        else:
            assert np.isnan(found.by_token[i])


def test_correlations_far_from_the_first_rows_mean():
    """Row 0 is opposite to all others, whose cosines differ by 1e-5 only; one row of b is constant."""
    rng = np.random.default_rng(0)
    A, B = (1 - 1e-5 * rng.random((30, 30)) for _ in range(2))
    A[0], B[0], A[:, 0], B[:, 0], B[5], B[:, 5] = -1, -1, -1, -1, 0.3, 0.3
    a, b = from_pairs(small.pairs(A)), from_pairs(small.pairs(B))
    A, B = a.square().astype(float), b.square().astype(float)
    found = correlations(a, b)
    assert np.isnan(found.by_token[[0, 5]]).all()
    assert abs(found.overall - np.corrcoef(small.pairs(A), small.pairs(B))[0, 1]) < 1e-9
    for i in set(range(30)) - {0, 5}:
        others = np.arange(30) != i
        assert abs(found.by_token[i] - np.corrcoef(A[i, others], B[i, others])[0, 1]) < 1e-9


def test_the_diagonal_is_never_read():
    """One shared direction and nothing else in common: with the diagonal these would correlate."""
    W, rng = np.ones((50, 1)), np.random.default_rng(0)
    found = correlations(
        cosines(np.c_[W, 1e-3 * rng.standard_normal((50, 40))]), cosines(rng.standard_normal((50, 40)))
    )
    assert abs(found.overall) < 0.15


def plain_table(a, b, intervals, columns):
    """The table from scipy's ranks, in integers: 2 rank - 1 is twice the pairs below plus the pairs that are equal."""
    twice = [(2 * rankdata(x.pairs) - 1).astype(np.int64) for x in (a, b)]
    P = a.pairs.size
    row, column = twice[0] * intervals // (2 * P), twice[1] * columns // (2 * P)
    counts = np.zeros((intervals, columns), dtype=np.int64)
    np.add.at(counts, (row, column), 1)
    return counts, np.bincount(row, weights=twice[1] / (2 * P), minlength=intervals)


@pytest.mark.slow
@settings(deadline=None)  # the first call compiles
@given(SEEDS, st.sampled_from([(10, 100), (3, 7), (1, 254)]))
def test_percentiles_against_rankdata(seed, shape):
    a = cosines(np.random.default_rng(seed).standard_normal((40, 4)))
    b = cosines(sp.csr_array(sparse_rows(seed)))
    table = percentile_table(a, b, intervals=shape[0], columns=shape[1])
    counts, sums = plain_table(a, b, *shape)
    assert table.error.tolist() == [0, 0]
    assert (table.counts == counts).all() and np.abs(table.sums - sums).max() < 1e-9
    assert table.zeros.tolist() == [0, (b.pairs == 0).sum()] and table.pairs == a.pairs.size
    assert table.zero_fractions[1] == b.zero_fraction


SPECIAL = np.array(
    [0, -0.0, 1, -1, 0.5, np.nextafter(np.float32(0.5), np.float32(1)), 1e-45, -1e-45, 1e-38, -0.25, 1e-3]
)


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.sampled_from(SPECIAL.tolist()), min_size=45, max_size=45), st.integers(0, 99))
def test_percentiles_of_special_numbers_are_exact(values, seed):
    a, b = from_pairs(values), from_pairs(np.random.default_rng(seed).permutation(values))
    table = percentile_table(a, b, intervals=5, columns=9)
    counts, sums = plain_table(a, b, 5, 9)
    assert (table.counts == counts).all() and np.abs(table.sums - sums).max() < 1e-12


@pytest.mark.parametrize("bins", [1, 16, 1 << 20])
def test_the_stated_error_bounds_the_percentile_of_every_pair(bins):
    """231 intervals of 231 different numbers hold one pair each, so a mean is the percentile of one pair."""
    rng = np.random.default_rng(5)
    near = 0.5 + 1e-4 * rng.random(231)  # numbers that share their upper bits
    near[:40], near[40:70] = 0, 0.75
    order = rng.permutation(231)
    table = percentile_table(from_pairs(np.linspace(-1, 1, 231)[order]), from_pairs(near), intervals=231, bins=bins)
    exact = np.empty(231)
    exact[order] = (rankdata(near.astype(np.float32)) - 0.5) / 231
    off = np.abs(table.means - exact)
    assert off.max() <= table.error[1] + 1e-12 and (table.error[1] > 0) == (bins < 1 << 20)
    assert off[order[:40]].max() < 1e-12  # zero has a bin of its own
    assert table.error[0] == 0


def test_pooling_adds():
    tables = [percentile_table(cosines(np.random.default_rng(s).standard_normal((12, 3))),
                               cosines(sp.csr_array(sparse_rows(s, n=12)))) for s in (0, 1)]  # fmt: skip
    pooled = tables[0] + tables[1]
    assert pooled.pairs == 132 and (pooled.counts == tables[0].counts + tables[1].counts).all()
    assert abs(pooled.zero_fractions[1] - np.mean([t.zero_fractions[1] for t in tables])) < 1e-15
    held = [t.counts.sum(axis=1) for t in tables]
    assert np.allclose(pooled.means, sum(t.means * h for t, h in zip(tables, held, strict=True)) / sum(held))
    assert np.allclose(pooled.distributions.sum(axis=1), 1)


def test_an_interval_that_a_tie_leaves_empty_is_nan():
    a, b = from_pairs([0, 0, 0, 0, 0, 1]), from_pairs([1, 2, 3, 4, 5, 6])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        means = percentile_table(a, b, intervals=10, columns=10).means
    assert np.flatnonzero(~np.isnan(means)).tolist() == [4, 9]


def test_alignment_of_a_set_with_itself():
    a = cosines(np.random.default_rng(1).standard_normal((60, 6)))
    assert correlations(a, a).overall == pytest.approx(1, abs=1e-12)
    assert np.abs(percentile_table(a, a).means - np.arange(0.05, 1, 0.1)).max() < 1e-3


@settings(deadline=None)  # the first call compiles
@given(SEEDS)
def test_the_order_of_the_tokens_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    W, X, order = rng.standard_normal((20, 4)), sp.csr_array(sparse_rows(seed, n=20)), rng.permutation(20)
    one, other = (cosines(W), cosines(X)), (cosines(W[order]), cosines(X[order]))
    first, second = correlations(*one), correlations(*other)
    assert abs(first.overall - second.overall) < 1e-6
    assert np.allclose(first.by_token[order], second.by_token, atol=1e-6, equal_nan=True)


TWO = Cosines(np.zeros(1, np.float32), 2)
THREE = Cosines(np.array([0.1, 0.2, 0.3], np.float32), 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cosines(sp.csr_array([[1.0, 0], [0, 0]])), "rows 1 are zero and have no direction"),
        (lambda: cosines(np.zeros((7, 2))), "rows 0, 1, 2, 3, 4 and 2 more are zero"),
        (lambda: cosines(np.ones((2, 2)), absent="no"), "absent is 'no'"),
        (lambda: cosines([[1.0, np.nan], [1, 1]]), "a nan or an infinity"),
        (lambda: cosines(sp.csr_array([[1.0, np.inf], [1, 1]])), "a nan or an infinity"),
        (lambda: cosines(np.ones((1, 2))), "there are 1 rows"),
        (lambda: cosines(np.ones(3)), "pass a matrix with one row a token"),
        (lambda: Cosines(np.zeros(2, np.float32), 3), "pass float32, one number for each pair"),
        (lambda: Cosines(np.zeros(3), 3), "come as float64 (3,)"),
        (lambda: THREE.square([0, 3]), "there are rows 0 to 2"),
        (lambda: THREE.square([0.5]), "tokens holds values of type float64: pass integers"),
        (lambda: THREE.square([[0, 1]]), "tokens is [[0, 1]]: pass a list of ids"),
        (lambda: THREE.square([False, True]), "tokens holds values of type bool: pass integers"),
        (lambda: correlations(TWO, THREE), "cosines of 2 tokens meet cosines of 3"),
        (lambda: percentile_table(TWO, TWO), "pass the same tokens, 3 or more"),
        (lambda: percentile_table(THREE, THREE, columns=255), "pass 1 to 254 of each"),
        (lambda: percentile_table(THREE, THREE) + percentile_table(THREE, THREE, columns=9), "can't be pooled"),
    ],
)
def test_bad_input_is_one_sentence(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert message in str(caught.value) and "\n" not in str(caught.value)
