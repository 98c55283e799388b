"""Suggested rows against a map by hand, for embeddings and texts in each form."""

import numpy as np
import pytest

from probsig.answers.suggested import suggest
from probsig.counts.bigrams import count
from probsig.text import vocabulary
from probsig.text.training_set import TrainingSet

KINDS = np.arange(30) % 3


@pytest.fixture
def text():
    ids = np.tile([0, 1, 2], 2000) + 3 * np.random.default_rng(0).integers(10, size=6000)
    return TrainingSet("three kinds", ids, np.arange(0, 6001, 300), np.arange(30), 30)


def test_a_token_gets_the_row_of_its_kind(text):
    W = np.random.default_rng(1).standard_normal((3, 8))[KINDS]
    found = suggest(W, text, [4, 29], folds=2)
    assert np.abs(found.rows - W[[4, 29]]).max() < 0.1
    assert found.r2 > 0.95 and found.shuffled < 0 and found.fitted == 28
    assert [int(near) % 3 for near in found.nearest] == [1, 2]


def test_a_merged_token_gets_a_row_although_the_embedding_has_none(text):
    W = np.eye(3)[KINDS]
    merged = vocabulary.merge(text, [(0, 1)])
    found = suggest(W, merged, [30], folds=2, least=20)
    assert found.frequency.tolist() == [np.count_nonzero(merged.ids == 30)]
    # between what precedes a token of kind 0 and what follows one of kind 1: all of it comes from kinds 0 and 1
    assert found.rows[0, 2] < found.rows[0, :2].max()


def test_the_token_asked_for_is_not_fitted(text):
    W = np.eye(3)[KINDS]
    spoilt = W.copy()
    spoilt[4] = 50
    assert np.allclose(suggest(spoilt, text, [4], folds=2).rows, suggest(W, text, [4], folds=2).rows)


def test_counts_do_and_a_token_may_be_asked_for_twice(text):
    W = np.eye(3)[KINDS]
    found = suggest(W, count(text.ids, 30, offsets=text.offsets), [7, 7], folds=2)
    assert np.array_equal(found.rows[0], found.rows[1])
    assert set(found.table()) == {"token", "text", "count", "norm", "nearest"}
    assert "28" not in str(found) and "29 tokens" in str(found)


@pytest.mark.parametrize(("tokens", "words"), [([], "tokens is empty"), ([99], "no token 99"), (["a"], "tokenizer")])
def test_what_cannot_be_suggested_is_said_in_one_sentence(text, tokens, words):
    with pytest.raises(ValueError, match=words):
        suggest(np.eye(30), text, tokens)


def test_too_few_known_tokens_are_said(text):
    with pytest.raises(ValueError, match="too few for 5 folds"):
        suggest(np.eye(30), text, [0])
