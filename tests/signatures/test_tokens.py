"""Token signatures against fractions from a list of pairs, by hand, and their invariances."""

from collections import Counter
from fractions import Fraction
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probsig.counts import bigrams
from probsig.counts.bigrams import frequent
from probsig.signatures import tokens as signatures_tokens

TEXT = [0, 1, 0, 2, 0, 1, 3, 3, 0]
IDS = st.lists(st.integers(0, 5), min_size=2, max_size=40)


def count(ids, V=6, distance=1, cyclic=False):
    ids = list(ids) + (list(ids)[:distance] if cyclic else [])
    return bigrams.count(np.array(ids, dtype=np.uint16), V, distance=distance)


def laws(ids, V=6, distance=1, direction="next"):
    """Rows of fractions: the law of the other token of a pair, from the list of pairs."""
    pairs = list(zip(ids, ids[distance:], strict=False))
    if direction == "previous":
        pairs = [(b, a) for a, b in pairs]
    seen = Counter(a for a, _ in pairs)
    both = Counter(pairs)
    return [[Fraction(both[s, t], max(seen[s], 1)) for t in range(V)] for s in range(V)]


def pmi(ids, V=6, distance=1, direction="next"):
    """PPMI by Python's log, with exact zeros decided in integers."""
    pairs = list(zip(ids, ids[distance:], strict=False))
    if direction == "previous":
        pairs = [(b, a) for a, b in pairs]
    row, column, both = Counter(a for a, _ in pairs), Counter(b for _, b in pairs), Counter(pairs)
    result = np.zeros((V, V))
    for (s, t), n in both.items():
        if n * len(pairs) > row[s] * column[t]:
            result[s, t] = log(Fraction(n * len(pairs), row[s] * column[t]))
    return result


def exactly(fractions):
    return np.array([[float(p) for p in row] for row in fractions])


@settings(deadline=None)  # the first call compiles
@given(
    IDS, st.permutations(range(6)), st.integers(1, 6), st.integers(1, 4), st.sampled_from(signatures_tokens.DIRECTIONS)
)
def test_every_kind_against_fractions(ids, order, k, distance, direction):
    tokens, counts = order[:k], count(ids, distance=distance)
    law = exactly(laws(ids, distance=distance, direction=direction))[tokens]
    raw = signatures_tokens.skip(counts, tokens, "raw", direction)
    assert raw.dtype == np.float64 and (raw.toarray() == law).all()  # one division: the nearest float64
    assert (signatures_tokens.skip(counts, tokens, "support", direction).toarray() == (law > 0)).all()
    expected = pmi(ids, distance=distance, direction=direction)[tokens]
    found = signatures_tokens.skip(counts, tokens, "ppmi", direction)
    assert np.abs(found.toarray() - expected).max() < 1e-14
    assert ((found.toarray() > 0) == (expected > 0)).all() and (found.data > 0).all()
    present = law.sum(axis=1) > 0
    if present.any():
        centred = signatures_tokens.skip(counts, tokens, "centred", direction)
        assert np.abs(centred.toarray() - (law - law[present].mean(axis=0)) * present[:, None]).max() < 1e-15


def test_by_hand():
    counts = count(TEXT)  # 01 10 02 20 01 13 33 30
    assert signatures_tokens.next_token(counts, [0, 3]).toarray().tolist() == [
        [0, 2 / 3, 1 / 3, 0, 0, 0],
        [0.5, 0, 0, 0.5, 0, 0],
    ]
    assert signatures_tokens.previous_token(counts, [0]).toarray().tolist() == [[0, 1 / 3, 1 / 3, 1 / 3, 0, 0]]
    assert signatures_tokens.tied(counts, [1]).toarray().tolist() == [[1.5, 0, 0, 0.5, 0, 0]]
    assert signatures_tokens.next_token(counts, [5]).nnz == 0


@pytest.mark.parametrize("kind", ["raw", "ppmi", "support"])
def test_tied_is_the_sum_of_its_parts(kind):
    counts, tokens = count(TEXT), [3, 1, 0]
    parts = signatures_tokens.next_token(counts, tokens, kind) + signatures_tokens.previous_token(counts, tokens, kind)
    assert (signatures_tokens.tied(counts, tokens, kind).toarray() == parts.toarray()).all()


def test_centred_tied():
    counts, tokens = count(TEXT), [3, 1, 0]
    raw = signatures_tokens.tied(counts, tokens).toarray()
    assert np.abs(signatures_tokens.tied(counts, tokens, "centred").toarray() - (raw - raw.mean(axis=0))).max() < 1e-15


def test_centred_about_the_uniform_law():
    law = signatures_tokens.next_token(count(TEXT), [0, 5])
    about = signatures_tokens.centred(law, np.full(6, 1 / 6)).toarray()
    assert (about[0] == law.toarray()[0] - 1 / 6).all() and (about[1] == 0).all()


def test_integers_beyond_float32_and_2_to_the_32_are_divided_once():
    big = np.array([2**40 + 1, 3], dtype=np.int64)
    counts = bigrams.Bigrams(np.array([0, 2, 2]), np.array([0, 1], dtype=np.uint32), big, 2, 1)
    assert signatures_tokens.next_token(counts, [0]).toarray()[0].tolist() == [
        (2**40 + 1) / (2**40 + 4),
        3 / (2**40 + 4),
    ]
    assert signatures_tokens.previous_token(counts, [1]).toarray()[0].tolist() == [1.0, 0.0]


@given(st.lists(st.integers(0, 3), min_size=3, max_size=9), st.integers(2, 5))
@settings(max_examples=40, deadline=None)
def test_attention_is_the_double_sum_of_a_stationary_law(ids, length):
    """The law: a cyclic text read from a uniformly drawn place, so every P(X_i = s, X_{i+k} = s') is stationary."""
    V, n = 4, len(ids)
    A = np.zeros((V, V))
    for start in range(n):
        X = [ids[(start + t) % n] for t in range(length)]
        for t in range(1, length):
            for i in range(1, t + 1):
                A[X[i - 1], X[t]] += 1 / (t * length * n)
    distances = list(range(1, length))
    counts = [count(ids * (1 + length // n), V, k, cyclic=True) for k in distances]
    tokens = sorted(set(ids))
    weights = signatures_tokens.harmonic_weights(distances, length)
    for direction, table in (("next", A), ("previous", A.T)):
        found = signatures_tokens.attention(counts, tokens, weights, direction=direction).toarray()
        expected = table[tokens] / table[tokens].sum(axis=1, keepdims=True)
        assert np.abs(found - expected).max() < 1e-14
        with np.errstate(divide="ignore"):
            ratio = A * A.sum() / np.outer(A.sum(axis=1), A.sum(axis=0)) if len(tokens) == V else None
        if ratio is not None:
            ratio = ratio if direction == "next" else ratio.T
            found = signatures_tokens.attention(counts, tokens, weights, "ppmi", direction).toarray()
            assert np.abs(found - np.log(np.maximum(ratio, 1))).max() < 1e-13


def test_attention_at_one_distance_is_skip():
    counts = count(TEXT, distance=2)
    assert np.allclose(
        signatures_tokens.attention([counts], [0, 3], [0.7]).toarray(),
        signatures_tokens.skip(counts, [0, 3]).toarray(),
        atol=1e-15,
    )


def test_harmonic_weights_sum_to_the_share_of_positions_that_have_a_next():
    for length in (2, 7, 100):
        weights = signatures_tokens.harmonic_weights(np.arange(1, length), length)
        assert abs(weights.sum() - (length - 1) / length) < 1e-14 and (np.diff(weights) < 0).all()


@settings(deadline=None)  # the first call compiles
@given(IDS, st.permutations(range(6)))
def test_renaming_ids_renames_columns(ids, name):
    renamed = signatures_tokens.next_token(count([name[i] for i in ids]), name).toarray()
    assert (renamed[:, name] == signatures_tokens.next_token(count(ids), range(6)).toarray()).all()


def test_the_order_of_frequent_tokens():
    frequency = np.array([3, 60, 50, 49, 60, 10**12], dtype=np.uint64)
    assert frequent(frequency).tolist() == [5, 1, 4, 2]
    assert frequent(frequency, most=2).tolist() == [5, 1]
    assert frequent(frequency, least=0, most=9).tolist() == [5, 1, 4, 2, 3, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: signatures_tokens.next_token(c, [6]), "token 6 is unknown: ids of these counts are 0..5"),
        (lambda c: signatures_tokens.previous_token(c, [0, -1]), "token -1 is unknown"),
        (lambda c: signatures_tokens.tied(c, [2, 0, 2]), "token 2 is asked for twice"),
        (lambda c: signatures_tokens.next_token(c, [0.5]), "pass a list of integer ids"),
        (
            lambda c: signatures_tokens.next_token(c, [0], "center"),
            "kind is 'center' (did you mean 'centred'?): pass one of 'raw', 'centred'",
        ),
        (
            lambda c: signatures_tokens.skip(c, [0], direction="back"),
            "direction is 'back': pass one of 'next'",
        ),
        (lambda c: signatures_tokens.next_token(count(TEXT, distance=2), [0]), "counts are at distance 2: use skip"),
        (lambda c: signatures_tokens.attention([c, c], [0], [1, 1]), "repeat a distance"),
        (lambda c: signatures_tokens.attention([c], [0], [1, 1]), "pass one positive number for each"),
        (lambda c: signatures_tokens.attention([c], [0], [0.0]), "pass one positive number for each"),
        (lambda c: signatures_tokens.attention([], [0], []), "0 counts come with weights"),
        (lambda c: signatures_tokens.harmonic_weights([5], 5), "do not fit a sequence of 5"),
        (lambda c: signatures_tokens.harmonic_weights([1.9], 3), "distances holds values of type float64"),
        (lambda c: signatures_tokens.harmonic_weights([1], 2.5), "length is 2.5: pass a whole number"),
        (lambda c: signatures_tokens.window([c, c, count(TEXT, distance=2)], [0]), "counts repeat a distance"),
        (lambda c: signatures_tokens.window((c, c.transpose()), [0]), "counts repeat a distance"),
        (lambda c: signatures_tokens.window([c, count([0, 1], 2, distance=2)], [0]), "counts differ in vocabulary"),
        (lambda c: frequent(np.array([2**63 + 5, 60], np.uint64)), "pass how often each token was seen, as whole"),
        (lambda c: frequent([60.5, 60.2]), "frequency holds a number that no int64 is"),
        (lambda c: frequent([60, np.nan]), "frequency holds nan"),
        (lambda c: signatures_tokens.centred(signatures_tokens.next_token(c, [5])), "no row has an entry"),
        (lambda c: signatures_tokens.centred(signatures_tokens.next_token(c, [0]), [1.0]), "pass one number each"),
    ],
)
def test_bad_input_is_one_sentence(call, message):
    with pytest.raises(ValueError) as caught:
        call(count(TEXT))
    assert message in str(caught.value) and "\n" not in str(caught.value)
