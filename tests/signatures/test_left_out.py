"""Laws without a part of the text, against the laws of the rest, counted by itself."""

import numpy as np
import pytest

from probsig.counts.bigrams import count
from probsig.signatures.left_out import laws_without
from probsig.signatures.tokens import skip
from probsig.text.training_set import Part, documents

PARTS = np.array([0, 1, 2, 1, -1, 0, 2, 2, 0, -1, 1, 1])


@pytest.fixture(scope="module")
def text():
    stream = np.random.default_rng(0)
    lengths = stream.integers(0, 40, size=12)
    return Part(stream.integers(9, size=lengths.sum()), np.append(0, np.cumsum(lengths)), 9)


@pytest.mark.parametrize("direction", ["next", "previous"])
def test_counts_less_a_parts_are_the_counts_of_the_rest(text, direction):
    tokens = [4, 0, 7]
    found = list(laws_without(text, PARTS, tokens, direction))
    assert len(found) == 3
    for k, laws in enumerate(found):
        rest = count(documents(text, np.flatnonzero(PARTS != k)))
        assert np.allclose(laws.toarray(), skip(rest, tokens, "raw", direction).toarray(), rtol=1e-15, atol=0)


def test_a_part_without_the_tokens_changes_nothing(text):
    chosen = np.full(12, -1)
    chosen[[3, 4]] = [0, 1]
    with_other = Part(np.append(text.ids, [8, 8]), np.append(text.offsets, len(text.ids) + 2), 9)
    (laws,) = laws_without(with_other, np.append(np.full(12, -1), 0), [1, 2])
    assert np.array_equal(laws.toarray(), skip(count(text), [1, 2], "raw", "next").toarray())


def test_a_token_that_only_the_part_has_is_left_without_a_law():
    text = Part(np.array([0, 1, 2, 1]), np.array([0, 2, 4]), 3)
    first, second = laws_without(text, [0, 1], [0, 2])
    assert first.toarray().tolist() == [[0, 0, 0], [0, 1, 0]]
    assert second.toarray().tolist() == [[0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("part", "tokens", "direction", "words"),
    [
        ([0, 1], [0], "next", "number each one's part from 0"),
        (np.full(12, -1), [0], "next", "number each one's part from 0"),
        (PARTS, [0, 0], "next", "pass different ids from 0 to 8"),
        (PARTS, [9], "next", "pass different ids from 0 to 8"),
        (PARTS, [0], "after", "direction"),
    ],
)
def test_what_is_refused_is_refused_at_the_call(text, part, tokens, direction, words):
    with pytest.raises(ValueError, match=words):
        laws_without(text, part, tokens, direction)
