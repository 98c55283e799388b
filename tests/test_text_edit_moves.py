"""The numbers of the chapter on edited texts, against loops and cases that are known."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probsig import seeds
from probsig.experiments import edited_text
from probsig.geometry import small

SHAPE = (4, 3, 4)
N = 48


def symmetric(name, n=N):
    A = seeds.stream(0, name).standard_normal((n, n))
    return A + A.T


@given(st.integers(2, 20))
def test_square_is_the_way_back_from_pairs(n):
    C = small.cosine(seeds.stream(n, "rows").standard_normal((n, 5)))
    np.testing.assert_array_equal(edited_text.square(small.pairs(C)), C)


def test_centred_cosines_forget_a_common_vector():
    W = seeds.stream(0, "W").standard_normal((6, 4))
    np.testing.assert_allclose(edited_text.centred(W), edited_text.centred(W + np.arange(4.0)), atol=1e-12)


def test_within_is_the_mean_over_the_pairs_of_a_group():
    C = symmetric("C")
    found = edited_text.within(C, SHAPE)
    for a, g in itertools.product(range(4), range(3)):
        start = (3 * a + g) * 4
        expected = np.mean([C[i, j] for i, j in itertools.combinations(range(start, start + 4), 2)])
        assert found[a, g] == pytest.approx(expected, rel=1e-12)


def test_labels_move_within_an_arm_and_average_to_its_pairs():
    """A block of ones in one arm is seen by that arm alone; over draws the mean is that of all the arm's pairs."""
    blocks = np.zeros((N, N))
    blocks[12:16, 12:16] = 1  # the first group of the second arm
    draws = edited_text.relabelled(blocks, SHAPE, 2000, seed=0)
    assert edited_text.within(blocks, SHAPE).mean(axis=1).tolist() == [0, 1 / 3, 0, 0]
    assert (draws[:, [0, 2, 3]] == 0).all() and draws[:, 1].max() <= 1 / 3
    assert draws[:, 1].mean() == pytest.approx(6 / 66, abs=4 * draws[:, 1].std() / np.sqrt(2000))
    assert (draws == edited_text.relabelled(blocks, SHAPE, 2000, seed=0)).all()


def test_names_change_within_a_stratum_only():
    """What depends on strata alone is blind to new names; where a stratum is one token nothing can change."""
    a, stratum = symmetric("a"), np.tile(np.repeat(np.arange(3), 4), 4)
    b = np.subtract.outer(stratum, stratum) ** 2.0
    value = small.pearson(small.pairs(a), small.pairs(b))
    np.testing.assert_allclose(edited_text.renamed(a, b, SHAPE, 5, seed=0), value, rtol=1e-12)
    np.testing.assert_allclose(edited_text.renamed(a, a, (1, N, 1), 3, seed=0), 1.0, rtol=1e-12)


def test_new_names_undo_a_correlation():
    a = symmetric("a")
    draws = edited_text.renamed(a, a, SHAPE, 200, seed=0)
    assert np.abs(draws).max() < 0.5 and abs(draws.mean()) < 0.05


def test_profiles_that_are_kept_lost_and_exchanged():
    C, others = symmetric("C"), np.arange(36, 48)
    one, two = np.array([24, 26]), np.array([25, 27])
    order = np.arange(N)
    order[[24, 25, 26, 27]] = [25, 24, 26, 27]  # the first pair trades places
    np.testing.assert_allclose(edited_text.exchanged(C, C[np.ix_(order, order)], one, two, others), [-1, 1], rtol=1e-12)
    half = (C + C[np.ix_(order, order)]) / 2
    np.testing.assert_allclose(edited_text.exchanged(C, half, one, two, others), [0, 1], atol=1e-12)


def test_a_pair_is_left_out_of_its_own_profile():
    """Whatever the cosine of the two with each other and with themselves, the number is the same."""
    C, tokens = symmetric("C"), np.arange(36, 48)
    later = symmetric("later")
    found = edited_text.exchanged(C, later, tokens[::2], tokens[1::2], tokens)
    for a, b in zip(tokens[::2], tokens[1::2], strict=True):
        C[np.ix_([a, b], [a, b])] += 7
        later[np.ix_([a, b], [a, b])] -= 5
    rest = edited_text.exchanged(C, later, tokens[:1], tokens[1:2], np.arange(38, 48))
    changed = edited_text.exchanged(C, later, tokens[:1], tokens[1:2], tokens)
    assert changed[0] == pytest.approx(found[0], rel=1e-12) == rest[0]


def test_new_names_are_permutations_within_strata():
    found = edited_text.names(SHAPE, 50, seed=1)
    stratum = np.tile(np.repeat(np.arange(3), 4), 4)
    assert (np.sort(found, axis=1) == np.arange(N)).all() and (stratum[found] == stratum).all()
    assert len(np.unique(found[:, 0])) > 10  # a token takes names of every arm


def test_the_joint_fit_finds_what_moves_were_made_of():
    parts = [symmetric(name) for name in ("one", "two", "three")]
    made = 0.5 * parts[0] - 2 * parts[2] + 3
    np.testing.assert_allclose(edited_text.joint(made, parts), [0.5, 0, -2], atol=1e-12)
    noise = symmetric("noise")
    residual = small.pairs(noise) - sum(
        c * small.pairs(S) for c, S in zip(edited_text.joint(noise, parts), parts, strict=True)
    )
    for part in parts:  # normal equations
        assert abs(small.pearson(residual, small.pairs(part))) < 1e-12


def test_without_its_leading_direction_a_matrix_has_none_of_it():
    stream = seeds.stream(0, "rows")
    strong, rest = stream.standard_normal((30, 1)) * 9, stream.standard_normal((30, 5))
    W = strong @ stream.standard_normal((1, 5)) + 0.1 * rest + 7
    found, (left, sizes, right) = edited_text.without_leading(W), np.linalg.svd(W - W.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(found, left[:, 1:] * sizes[1:] @ right[1:], atol=1e-10)
    assert np.abs(found @ right[0]).max() < 1e-10 and np.abs(found.sum(axis=0)).max() < 1e-10
