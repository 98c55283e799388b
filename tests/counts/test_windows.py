"""near: against the tables of pair counts, by hand, in parts, and what it refuses."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from probsig.counts.bigrams import count
from probsig.counts.windows import near
from probsig.text.sources.toy import ToyCorpus
from probsig.text.training_set import Part, halves

TOY = ToyCorpus.of(seed=2, documents=40)


def by_tables(corpus, tokens, low, high, weights):
    """The same from the tables of all pairs, dense."""
    tables = [
        w * count(corpus, distance=k).to_scipy().toarray() for k, w in zip(range(low, high + 1), weights, strict=True)
    ]
    both = sum(table + table.T for table in tables)
    return both[tokens], both.sum(axis=1)


@pytest.mark.parametrize("window", [(1, 1), (2, 4), (3, 7)])
def test_rows_and_ends_are_those_of_the_tables_of_all_pairs(window):
    tokens, weights = [3, 40, 7], np.arange(1, window[1] - window[0] + 2) / 2
    found = near(TOY, tokens, window, weights)
    rows, ends = by_tables(TOY, tokens, *window, weights)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.ends, ends)


@hypothesis.given(st.data())
def test_any_small_text_has_the_rows_of_its_tables(data):
    V, lengths = data.draw(st.integers(1, 4)), data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    hypothesis.assume(max(lengths) > 1)
    ids = np.array(data.draw(st.lists(st.integers(0, V - 1), min_size=sum(lengths), max_size=sum(lengths))), dtype=int)
    text = Part(ids, np.cumsum([0, *lengths]), V)
    high = data.draw(st.integers(1, max(lengths) - 1))
    low = data.draw(st.integers(1, high))
    found = near(text, list(range(V)), (low, high))
    rows, ends = by_tables(text, np.arange(V), low, high, np.ones(high - low + 1))
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_array_equal(found.ends, ends)
    np.testing.assert_array_equal(found.rows, found.rows.T)


def test_the_parts_of_a_text_add_up_to_it_and_rows_are_chosen_by_token():
    tokens = [5, 1, 30]
    first, second = (near(part, tokens, (2, 5)) for part in halves(TOY, np.arange(40)))
    whole = near(TOY, tokens, (2, 5))
    np.testing.assert_array_equal((first + second).rows, whole.rows)
    np.testing.assert_array_equal((first + second).ends, whole.ends)
    np.testing.assert_array_equal(whole.of([30, 5]).rows, whole.rows[[2, 0]])
    with pytest.raises(ValueError, match="different tokens"):
        first + near(TOY, [1, 5, 30], (2, 5))


def test_pairs_never_cross_a_document():
    text = Part(np.array([0, 1, 1, 0]), np.array([0, 2, 4]), 2)
    assert near(text, [0], (1, 1)).rows.tolist() == [[0.0, 2.0]]


@pytest.mark.parametrize(
    ("tokens", "window", "weights", "says"),
    [
        ([0], (0, 1), None, "0 to 1 is none"),
        ([0], (3, 2), None, "3 to 2 is none"),
        ([], (1, 1), None, "different ids"),
        ([1, 1], (1, 1), None, "different ids"),
        ([69], (1, 1), None, "ids from 0 to 66"),
        ([0], (1, 2), [1.0], "2 positive weights"),
        ([0], (1, 1), [0.0], "1 positive weights"),
        ([0], (1, 500), None, "longer than every document"),
    ],
)
def test_what_it_refuses_in_one_sentence(tokens, window, weights, says):
    with pytest.raises(ValueError, match=says):
        near(TOY, tokens, window, weights)


def test_an_id_beyond_the_vocabulary_is_refused():
    with pytest.raises(ValueError, match="not below the vocabulary's size 2"):
        near(Part(np.array([0, 5, 0]), np.array([0, 3]), 2), [0], (1, 1))
