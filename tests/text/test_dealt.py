"""The dealt texts against counts by loops: what is moved, what stays, and which law each token gets."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probsig.text import dealt
from probsig.text.training_set import TrainingSet


def text(documents, vocab_size):
    ids = np.array([token for document in documents for token in document])
    return TrainingSet("by hand", ids, np.cumsum([0, *map(len, documents)]), np.arange(vocab_size), vocab_size)


def random_text(seed, documents=12, length=200, vocab_size=12):
    stream = np.random.default_rng(seed)
    weights = stream.dirichlet(np.ones(vocab_size), size=vocab_size)
    out = []
    for _ in range(documents):
        tokens = [int(stream.integers(vocab_size))]
        while len(tokens) < length:
            tokens.append(int(stream.choice(vocab_size, p=weights[tokens[-1]])))
        out.append(tokens)
    return text(out, vocab_size)


def documents(data):
    return [data.ids[a:b].tolist() for a, b in zip(data.offsets[:-1], data.offsets[1:], strict=True)]


def pairs(data):
    """The pairs of neighbours, by a loop."""
    return Counter(pair for one in documents(data) for pair in pairwise(one))


def law(data, token):
    follow = Counter({b: n for (a, b), n in pairs(data).items() if a == token})
    return np.array([follow[b] for b in range(data.vocab_size)]) / max(1, sum(follow.values()))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 4))
def test_a_ring_keeps_every_count_of_single_tokens_and_what_precedes_its_tokens(seed, width):
    data, tokens = random_text(seed % 7), [0, 1, 2, 3]
    changed = dealt.ring(data, tokens, width=width, seed=seed)
    assert np.array_equal(np.bincount(changed.ids, minlength=12), np.bincount(data.ids, minlength=12))
    assert np.array_equal(changed.offsets, data.offsets)
    assert np.array_equal(np.isin(changed.ids, tokens), np.isin(data.ids, tokens))
    for token in tokens:
        before, after = ({a: n for (a, b), n in pairs(one).items() if b == token} for one in (data, changed))
        assert before == after


def test_only_places_after_a_token_of_the_ring_change_and_none_next_to_another():
    data, tokens = random_text(3), [0, 1, 2, 3]
    changed = dealt.ring(data, tokens, seed=0)
    moved = np.flatnonzero(changed.ids != data.ids)
    assert len(moved) > 100
    starts = set(data.offsets.tolist())
    for place in moved.tolist():
        assert data.ids[place - 1] in tokens and place not in starts
        assert place + 1 in starts or data.ids[place + 1] not in tokens


def test_neighbours_on_the_ring_share_followers_and_opposite_tokens_do_not():
    stream = np.random.default_rng(0)
    many = [
        [t for _ in range(300) for t in (int(stream.integers(8)), int(stream.integers(8, 28)), 28)] for _ in range(4)
    ]
    data = text(many, 29)
    changed = dealt.ring(data, range(8), width=0.7, seed=1)
    laws = np.array([law(changed, token) for token in range(8)])
    laws = laws / np.linalg.norm(laws, axis=1, keepdims=True)
    C = laws @ laws.T
    by_distance = [np.mean([C[i, (i + k) % 8] for i in range(8)]) for k in range(5)]
    assert all(a > b + 0.02 for a, b in pairwise(by_distance[:4]))
    assert by_distance[4] < 0.1 and by_distance[1] > 0.4


def test_without_width_a_token_stands_in_the_middle_of_the_followers_that_it_gets():
    data = text([[0, 3, 6, 1, 4, 6, 2, 5, 6] * 50], 7)
    changed = dealt.ring(data, [0, 1, 2], width=1e-9, seed=0)
    shared = [np.flatnonzero(law(changed, token)).tolist() for token in range(3)]
    assert sorted(shared) == [[3, 4], [3, 5], [4, 5]]  # a kind lies between two tokens


def test_a_token_gets_the_law_of_the_one_that_it_takes_from():
    data = random_text(5, documents=40, length=400)
    takes = [1, 2, 0]
    changed = dealt.reglued(data, [4, 5, 6], takes, seed=0)
    for i, token in enumerate((4, 5, 6)):
        assert np.abs(law(changed, token) - law(data, 4 + takes[i])).max() < 0.03
        assert np.abs(law(changed, token) - law(data, token)).max() > 0.06


def test_with_each_token_taking_from_itself_all_pairs_keep_their_shares():
    data = random_text(6, documents=40, length=400)
    changed = dealt.reglued(data, [4, 5, 6], [0, 1, 2], seed=0)
    for token in range(12):
        assert np.abs(law(changed, token) - law(data, token)).max() < 0.06


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.permutations([0, 1, 2]))
def test_documents_keep_their_length_and_their_first_piece_and_pieces_stay_whole(seed, takes):
    data, tokens = random_text(seed % 5, documents=5, length=60), [4, 5, 6]
    changed = dealt.reglued(data, tokens, takes, seed=seed)
    assert [len(one) for one in documents(changed)] == [len(one) for one in documents(data)]
    followed = {}  # by token, the pieces that follow it in the text
    for one in documents(data):
        cuts = [i + 1 for i, token in enumerate(one) if token in tokens]
        for a, b in pairwise(cuts):
            followed.setdefault(one[a - 1], set()).add(tuple(one[a:b]))
    for before, after in zip(documents(data), documents(changed), strict=True):
        cuts = [i + 1 for i, token in enumerate(after) if token in tokens]
        assert after[: (cuts or [60])[0]] == before[: (cuts or [60])[0]]
        for a, b in pairwise(cuts):
            source = tokens[takes[tokens.index(after[a - 1])]]
            assert tuple(after[a:b]) in followed[source]


def test_documents_without_any_of_the_tokens_and_empty_ones_stay():
    changed = dealt.reglued(text([[1, 2, 1], [], [0, 3, 0, 4, 0, 3, 4, 3, 0, 4], [2, 2]], 5), [0, 4], [0, 1], seed=1)
    assert documents(changed)[0] == [1, 2, 1] and documents(changed)[1] == [] and documents(changed)[3] == [2, 2]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda d: dealt.ring(d, [0, 1], seed=0), "pass 3 or more"),
        (lambda d: dealt.ring(d, [0, 1, 1], seed=0), "each once"),
        (lambda d: dealt.ring(d, [0, 1, 99], seed=0), "token 99 is unknown"),
        (lambda d: dealt.ring(d, [0, 1, 2], width=0, seed=0), "width is 0"),
        (lambda d: dealt.reglued(d, [0, 1], [0, 0], seed=0), "pass each of 0 to 1 once"),
        (lambda d: dealt.reglued(d, [0], [0], seed=0), "pass 2 or more"),
    ],
)
def test_what_cannot_be_dealt_is_said_in_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call(random_text(0))


def test_a_text_with_too_little_to_deal_says_so():
    with pytest.raises(ValueError, match="kinds of tokens can be dealt"):
        dealt.ring(text([[0, 3, 4, 1, 3, 4, 2, 3, 4]], 5), [0, 1, 2], seed=0)
    with pytest.raises(ValueError, match="no piece of text is there to follow the token 1"):
        dealt.reglued(text([[0, 2, 0, 2, 0, 1]], 3), [0, 1], [0, 1], seed=0)
