"""Merged and thinned texts against loops over documents."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probsig.text import vocabulary
from probsig.text.training_set import REST, TrainingSet


def text(documents, vocab_size, rest=False):
    ids = np.array([token for document in documents for token in document], dtype=np.uint16)
    kept = np.arange(vocab_size)
    if rest:
        kept[-1] = REST
    return TrainingSet("by hand", ids, np.cumsum([0, *map(len, documents)]), kept, vocab_size)


def documents(data):
    return [data.ids[a:b].tolist() for a, b in zip(data.offsets[:-1], data.offsets[1:], strict=True)]


def by_loop(document, pairs, V):
    out, at = [], 0
    while at < len(document):
        pair = tuple(document[at : at + 2])
        if pair in pairs:
            out.append(V + pairs.index(pair))
            at += 2
        else:
            out.append(document[at])
            at += 1
    return out


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), max_size=12), min_size=1, max_size=5))
def test_merging_is_what_a_loop_over_documents_does(many):
    pairs = [(0, 1), (2, 3)]
    merged = vocabulary.merge(text(many, 6), pairs)
    assert documents(merged) == [by_loop(one, pairs, 6) for one in many]
    assert merged.vocab_size == 8 and merged.kept[-2:].tolist() == [-2, -3]


def test_what_is_held_out_is_merged_too():
    from dataclasses import replace

    data = replace(text([[0, 1, 2]], 3), held=text([[2, 0, 1], [0, 1]], 3))
    assert documents(vocabulary.merge(data, [(0, 1)]).held) == [[2, 3], [3]]


def test_candidates_stand_together_often_and_share_no_token():
    data = text([[0, 1] * 20 + [2, 3] * 10 + [0, 3] * 3 + [4, 4] * 9], 6)
    assert vocabulary.candidates(data, least=5, most=100, share=0.5).tolist() == [[0, 1], [2, 3]]
    assert vocabulary.candidates(data, least=5, most=15, share=0.5).tolist() == [[2, 3]]
    assert vocabulary.candidates(data, least=30, most=99, share=0.5).tolist() == []


def test_the_rest_is_merged_with_nothing():
    assert vocabulary.candidates(text([[0, 1] * 20], 2, rest=True), least=5, most=100, share=0.1).tolist() == []


def test_thinning_leaves_as_many_as_are_asked_for_and_moves_nothing_else():
    data = text([np.random.default_rng(0).integers(6, size=300).tolist()], 7)
    thinned = vocabulary.thin(data, [0, 3], [4, 0], seed=1)
    assert thinned.frequency[[0, 3]].tolist() == [4, 0]
    same = ~np.isin(data.ids, [0, 3])
    assert np.array_equal(thinned.ids[same], data.ids[same])
    assert set(thinned.ids[~same].tolist()) == {0, 6}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda d: vocabulary.merge(d, [(0, 1), (1, 2)]), "share no token"),
        (lambda d: vocabulary.merge(d, [(0, 0)]), "share no token"),
        (lambda d: vocabulary.merge(d, [(0, 9)]), "unknown"),
        (lambda d: vocabulary.thin(d, [0], [99], 0), "leave at most so many"),
        (lambda d: vocabulary.thin(d, [2], [0], 0), "leave at most so many"),
    ],
)
def test_what_cannot_be_changed_is_said_in_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call(text([[0, 1, 2]], 3))
