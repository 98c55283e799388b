"""A text in parts and without one of them: against an exact decomposition, on texts whose parts are known, by hand."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from probsig.text import parts
from probsig.text.training_set import TrainingSet


def text(kinds=4, documents=24, length=30, seed=0):
    """Documents of `kinds` kinds, in turn, each kind with five tokens of its own beside three that all share."""
    stream = np.random.default_rng(seed)
    found = [
        np.append(stream.integers(5, size=length - 3) * kinds + 3 + k % kinds, [0, 1, 2]) for k in range(documents)
    ]
    V = 3 + 5 * kinds
    return TrainingSet("by hand", np.concatenate(found), np.arange(0, documents * length + 1, length), np.arange(V), V)


def kind_of(rows, kinds=4):
    own = np.where(rows >= 3, (rows - 3) % kinds, -1).max(axis=1)
    same = np.where(rows >= 3, (rows - 3) % kinds == own[:, None], True)
    return own, same.all(axis=1)


def test_documents_that_share_tokens_come_into_one_part():
    found = parts.in_parts(text(), 4, 10)
    own, pure = kind_of(found.data.ids[:-1].reshape(-1, 10))
    assert pure.all()
    for k in range(4):
        assert len(set(own[found.part == k])) == 1
    assert len({*own}) == 4 and np.bincount(found.part).tolist() == [18] * 4


def test_the_leading_direction_is_that_of_the_singular_value_decomposition():
    rows = np.random.default_rng(0).standard_normal((12, 7)) * [3, 1, 1, 1, 1, 1, 1]
    centred = rows - rows.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    expected = left[:, 0] * values[0]
    found = parts.leading(sp.csr_array(rows))
    assert np.allclose(found * np.sign(found @ expected), expected, atol=1e-6)
    assert found[np.abs(found).argmax()] > 0


def test_rows_that_are_all_alike_have_no_direction_and_are_cut_all_the_same():
    rows = sp.csr_array(np.ones((6, 2)))
    assert parts.leading(rows).tolist() == [0] * 6
    assert np.bincount(parts.alike(rows, np.ones(6, dtype=int), 3)).tolist() == [2, 2, 2]


@given(st.lists(st.integers(1, 50), min_size=8, max_size=40), st.integers(2, 8), st.integers(0, 5))
def test_no_part_is_empty_and_each_is_within_its_documents_of_an_equal_share(lengths, number, seed):
    rows = sp.csr_array(np.random.default_rng(seed).random((len(lengths), 3)))
    lengths = np.array(lengths)
    part = parts.alike(rows, lengths, number)
    assert np.bincount(part, minlength=number).all() and part.max() == number - 1


def test_a_row_is_a_stretch_of_its_part_and_no_pair_crosses_a_border():
    data = text()
    found = parts.in_parts(data, 4, 10)
    whole = data.ids.tolist()
    for row in found.data.ids[:-1].reshape(-1, 10).tolist():
        assert any(whole[at : at + 10] == row for at in range(len(whole)))
    inside = sum(9 for _ in found.part)
    borders = sum(1 for at in found.data.offsets[1:-1] if at % 10)
    assert found.data.counts.total == inside - borders


def test_fewer_documents_than_four_a_part_are_cut_into_stretches():
    ids = np.tile([0, 1, 1, 0], 50)
    found = parts.in_parts(TrainingSet("one", ids, np.array([0, 200]), np.arange(2), 2), 5, 8)
    assert len(found.part) == 25 and (found.of_documents == np.append(found.part, -1)).all()


def test_without_nothing_the_text_is_itself():
    found = parts.in_parts(text(), 4, 10)
    same = found.without(np.zeros(len(found.part), dtype=bool), np.random.default_rng(0))
    assert np.array_equal(same.ids, found.data.ids) and np.array_equal(same.offsets, found.data.offsets)
    assert same.counts == found.data.counts


def test_without_a_part_its_tokens_are_gone_and_all_other_rows_stay_where_they_were():
    found = parts.in_parts(text(), 4, 10)
    gone = found.part == 2
    rest = found.without(gone, np.random.default_rng(1))
    before, after = (one.ids[:-1].reshape(-1, 10) for one in (found.data, rest))
    assert np.array_equal(before[~gone], after[~gone]) and len(rest.ids) == len(found.data.ids)
    lost = kind_of(before[gone])[0][0]
    assert lost not in kind_of(after)[0]
    instead, stayed = after[gone].tolist(), before[~gone].tolist()
    assert all(row in stayed for row in instead)


def test_rows_come_twice_before_any_comes_three_times():
    ids = np.arange(40)
    few = parts.Parts(
        TrainingSet("by hand", np.append(ids, 0), np.append(np.arange(0, 41, 4), 41), np.arange(40), 40),
        np.arange(10),
        4,
    )
    gone = np.arange(10) >= 4
    read = few.without(gone, np.random.default_rng(2)).ids[:-1].reshape(-1, 4)[:, 0] // 4
    assert sorted(np.bincount(read, minlength=10)[:4].tolist()) == [2, 2, 3, 3]


def test_what_stands_between_documents_within_a_row_moves_with_it():
    ids = np.array([0, 1, 2, 3, 4, 5, 0])
    made = parts.Parts(TrainingSet("by hand", ids, np.array([0, 1, 3, 6, 7]), np.arange(6), 6), np.array([0, 1]), 3)
    rest = made.without(np.array([False, True]), np.random.default_rng(0))
    assert rest.ids.tolist() == [0, 1, 2, 0, 1, 2, 0] and rest.offsets.tolist() == [0, 1, 3, 4, 6, 7]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: parts.in_parts(text(), 1, 10), "number is 1: ask for 2 parts or more"),
        (lambda: parts.in_parts(text(documents=1, length=7), 4, 5), "2 documents for 4 parts: take more text"),
        (lambda: parts.in_parts(text(), 4, 1000), "less than one row of 1000 tokens: take more text"),
        (lambda: parts.in_parts(text(), 4, 10).without(np.ones(72, dtype=bool), None), "leave out less"),
    ],
)
def test_what_cannot_be_parted_says_so(call, words):
    with pytest.raises(ValueError, match=words):
        call()
