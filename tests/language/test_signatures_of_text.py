"""All signatures of a text by their names: each against pairs that are counted in a loop.

Worked by hand: the documents 0 1 0 2 | 0 1. Two places after 0 stands 0 once, two places after 1 stands 2 once, so
"next 2" of 0 is (1, 0, 0) and of 1 is (0, 0, 1); across the border of the documents nothing is counted. Beside 1, on
either side and at distance 1, stand 0, 0 and 0: "window 1" is (1, 0, 0).
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probsig import seeds
from probsig.counts.bigrams import count
from probsig.geometry import small
from probsig.geometry.large import cosines
from probsig.language import signatures
from probsig.language.signatures import TextSignatures
from probsig.signatures import tokens as laws
from probsig.text.training_set import REST, TrainingSet, renumbered

V, LENGTH = 8, 16


@pytest.fixture(scope="module")
def few():
    ids = np.cumsum(seeds.stream(0, "few").integers(1, 4, 900)) % V
    return renumbered(ids, np.array([0, 300, 500, 900]), V, None, "few")


@pytest.fixture(scope="module")
def text(few):
    return TextSignatures(few, LENGTH)


def pairs(data, distance):
    """How often s' stands `distance` after s within a document, (V, V), in a loop."""
    N = np.zeros((data.vocab_size,) * 2)
    for start, end in zip(data.offsets[:-1], data.offsets[1:], strict=True):
        for place in range(start, end - distance):
            N[data.ids[place], data.ids[place + distance]] += 1
    return N


def law(N):
    sums = N.sum(axis=1, keepdims=True)
    return np.divide(N, sums, out=np.zeros_like(N), where=sums > 0)


def ppmi(N):
    with np.errstate(divide="ignore", invalid="ignore"):
        pmi = np.log(N * N.sum() / (N.sum(axis=1, keepdims=True) * N.sum(axis=0)))
    return np.where(pmi > 1e-12, pmi, 0)


def of_kind(N, kind):
    """One table of counts as a signature, not centred."""
    return {"raw": law, "ppmi": ppmi, "support": lambda N: (N > 0).astype(float)}[kind](N)


def by_hand(data, name, kind, length=LENGTH):
    """Every signature of every token, from counts in a loop, (V, columns), not centred."""
    which, _, rest = name.partition(" ")
    low, _, high = rest.partition("-")
    low, high = int(low or 1), int(high or low or 1)
    if which == "next":
        return of_kind(pairs(data, low), kind)
    if which == "previous":
        return of_kind(pairs(data, low).T, kind)
    if which == "tied":
        return of_kind(pairs(data, 1), kind) + of_kind(pairs(data, 1).T, kind)
    if which == "window":
        return of_kind(sum(pairs(data, k) + pairs(data, k).T for k in range(low, high + 1)), kind)
    if which == "stack":
        return np.concatenate([of_kind(pairs(data, k), kind) for k in range(low, high + 1)], axis=1)
    assert which == "attention"
    far = [(low + m, sum(1 / t for t in range(m + 1, length))) for m in range(min(8, length - 1))]
    return of_kind(sum(w * pairs(data, k) / pairs(data, k).sum() for k, w in far), kind)


NAMES = ("next", "next 3", "previous", "previous 2", "tied", "window 1", "window 2-4", "attention", "attention 2")


@pytest.mark.parametrize("kind", laws.KINDS)
@pytest.mark.parametrize("name", [*NAMES, "stack 1-4", "stack 2"])
def test_every_name_against_pairs_in_a_loop(few, text, name, kind):
    tokens = [3, 0, 5]
    expected = by_hand(few, name, "raw" if kind == "centred" else kind)[tokens]
    if kind == "centred":
        expected = expected - expected.mean(axis=0)
    found = text.rows(name, tokens, kind)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-14)


def test_a_case_by_hand():
    data = TrainingSet("by hand", np.array([0, 1, 0, 2, 0, 1]), np.array([0, 4, 6]), np.arange(3), 3)
    text = TextSignatures(data, 4)
    assert text.rows("next 2", [0, 1]).toarray().tolist() == [[1, 0, 0], [0, 0, 1]]
    assert text.rows("window 1", [1]).toarray().tolist() == [[1, 0, 0]]
    assert text.rows("stack 1-2", [0]).toarray().tolist() == [[0, 2 / 3, 1 / 3, 1, 0, 0]]


def test_attention_reaches_no_further_than_the_models_rows(few):
    for length in (2, 3, 6, 30):
        found = TextSignatures(few, length).rows("attention 2", [1, 4]).toarray()
        np.testing.assert_allclose(found, by_hand(few, "attention 2", "raw", length)[[1, 4]], atol=1e-14)
    short = TextSignatures(few, 2).rows("attention", [1, 4]).toarray()
    assert np.array_equal(short, TextSignatures(few, 2).rows("next", [1, 4]).toarray())


@given(
    st.lists(st.lists(st.integers(0, 5), max_size=9), min_size=1, max_size=4),
    st.permutations(range(6)),
    st.lists(st.tuples(st.integers(1, 5), st.floats(0.1, 3)), min_size=1, max_size=3, unique_by=lambda pair: pair[0]),
    st.sampled_from(("raw", "ppmi", "support")),
)
def test_a_window_is_the_sum_of_its_distances_on_both_sides(documents, tokens, weighed, kind):
    """`signatures.tokens.window` against a loop, with and without weights."""
    ids = np.array([id for document in documents for id in document], dtype=np.uint16)
    offsets = np.cumsum([0, *map(len, documents)])
    data = TrainingSet("any", ids, offsets, np.arange(6), 6)
    near = {k: pairs(data, k) + pairs(data, k).T for k, _ in weighed}
    tables = [count(ids, 6, offsets=offsets, distance=k) for k, _ in weighed]
    for weights in (None, [w for _, w in weighed]):
        expected = sum(near[k] * (w if weights else 1) for k, w in weighed)
        found = laws.window(iter(tables), tokens[:4], weights, kind).toarray()
        np.testing.assert_allclose(found, of_kind(expected, kind)[tokens[:4]], atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda one: laws.window([], [0]), "there is no table of counts: pass one for each distance"),
        (lambda one: laws.window([one], [0], [0.0]), r"a weight is 0\.0: pass one positive number for each table"),
        (lambda one: laws.window([one], [0], [1.0], "pmi"), "kind is 'pmi' .*: pass one of 'raw'"),
        (lambda one: laws.window([one], [V]), "token 8 is unknown"),
        (lambda one: laws.window([one], [0], [1.0, 2.0]), "zip"),
    ],
)
def test_windows_that_are_none(few, call, message):
    with pytest.raises(ValueError, match=message):
        call(few.counts)


def test_the_tokens_are_those_seen_often():
    often = [300, 200, 120, 80, 50, 49, 3]
    ids = seeds.stream(0, "order").permutation(np.repeat(np.arange(7), often))
    text = TextSignatures(renumbered(ids, np.array([0, len(ids)]), 7, None, "made up"), LENGTH)
    assert text.tokens.tolist() == [0, 1, 2, 3, 4] and text.sizes == [5]
    capped = TextSignatures(renumbered(ids, np.array([0, len(ids)]), 7, 4, "made up"), LENGTH)
    assert capped.data.kept[-1] == REST and capped.data.frequency[-1] == 182 and capped.tokens.tolist() == [0, 1, 2]


def test_sizes_are_those_that_are_there_and_all(monkeypatch):
    monkeypatch.setattr(signatures, "SIZES", (5, 10, 20, 40))
    for number, sizes in ((4, [4]), (5, [5]), (6, [5, 6]), (30, [5, 10, 20, 30]), (40, [5, 10, 20, 40])):
        data = TrainingSet("made up", np.repeat(np.arange(number), 50), np.array([0, 50 * number]), np.arange(99), 99)
        assert TextSignatures(data, LENGTH).sizes == sizes
    data = TrainingSet("made up", np.repeat(np.arange(60), 50), np.array([0, 3000]), np.arange(99), 99)
    assert len(TextSignatures(data, LENGTH).tokens) == 40  # never more than the largest


def test_cosines_are_of_the_most_frequent_and_made_once(few, text, monkeypatch):
    for name, kind in (("next", "raw"), ("stack 1-4", "centred"), ("window 2-4", "ppmi")):
        expected = cosines(text.rows(name, text.tokens[:5], kind), absent="zero")
        first = text.cosines(name, 5, kind)
        assert first.size == 5 and np.array_equal(first.pairs, expected.pairs)
        assert text.cosines(name, 5, kind) is first
    asked = []
    monkeypatch.setattr(signatures, "counted", lambda *_, **known: asked.append(known["distance"]) or few.counts)
    fresh = TextSignatures(few, LENGTH)
    for name in ("next 3", "previous 3", "tied", "next 1"):
        fresh.rows(name, [0, 1])
    assert asked == [3]  # the pairs of neighbours are the training set's


def test_gram_matrices_add_as_the_theorem_of_several_heads_says(few, text):
    """Cosines of first-order velocities with wide random heads are those of the stacked rows less 1/V."""
    width, often = 40_000, few.frequency
    phi = [text.rows(f"next {k}", range(V)).toarray() - 1 / V for k in (1, 2, 3, 4)]
    stream = seeds.stream(0, "wide heads")
    velocity = sum((often[:, None] / 4) * (rows @ stream.standard_normal((V, width))) for rows in phi)
    expected = cosines(np.concatenate(phi, axis=1)).pairs
    assert np.abs(cosines(velocity).pairs - expected).max() < 0.03
    assert np.abs(cosines(phi[0]).pairs - expected).max() > 0.1


def documents_of(tokens=6_000, seed=0):
    """A Markov chain in documents of fifty; its law is the same for every seed."""
    sums = np.cumsum(seeds.stream(0, "law").dirichlet(0.3 * np.ones(V), V), axis=1)
    ids, here = [], 0
    for chance in seeds.stream(seed, "walk").random(tokens):
        here = int(np.searchsorted(sums[here], chance * sums[here, -1]))
        ids.append(here)
    offsets = np.append(np.arange(0, tokens, 50), tokens)
    return renumbered(np.array(ids), offsets, V, None, "chain")


@pytest.mark.parametrize("kind", ["raw", "centred"])
def test_ceilings_are_the_roots_of_the_reliability(kind):
    data, names, sizes = documents_of(), ("next", "previous", "attention 2"), [4, 8]
    text = TextSignatures(data, LENGTH)
    found = text.ceilings(names, sizes, kind, seed=3)
    halves = data.halves(3)
    for n, name in enumerate(names):
        for c, C in enumerate(sizes):
            a, b = (by_hand(half, name, "raw")[text.tokens[:C]] for half in halves)
            if kind == "centred":
                a, b = a - a.mean(axis=0), b - b.mean(axis=0)
            r = small.cosine_correlation(a, b)
            assert found[n, c] == pytest.approx(np.sqrt(2 * r / (1 + r)), abs=1e-5)
    less = TextSignatures(documents_of(1_000), LENGTH).ceilings(["next"], [8], seed=3)
    assert less[0, 0] < text.ceilings(["next"], [8], seed=3)[0, 0]  # less text, more noise


@pytest.mark.parametrize(
    ("names", "kind", "message"),
    [
        (["nxt"], "raw", "There is no signature 'nxt'"),
        (["next", "window 1-900"], "raw", "reaches beyond every document"),
        (["next"], "centered", "kind is 'centered'"),
    ],
)
def test_a_ceiling_of_what_the_text_has_not_is_refused(text, names, kind, message):
    with pytest.raises(ValueError, match=message):
        text.ceilings(names, [8], kind)


def test_one_document_has_no_halves_and_no_ceiling():
    data = documents_of()
    one = TrainingSet("one document", data.ids, np.array([0, len(data.ids)]), data.kept, V)
    assert np.isnan(TextSignatures(one, LENGTH).ceilings(["next"], [8])).all()


NONE = ("", "text", "Next", "next x", "next 0", "next 1-4", "next -3", "tied 2", "window", "window 3-2")


@pytest.mark.parametrize("name", [*NONE, "attention 2-4", "stack", "stack 1-", "stack 1-2-3"])
def test_a_name_that_is_none_is_one_sentence(text, name):
    with pytest.raises(ValueError, match=rf"^There is no signature {name!r}: pass one as the head of [\w.]+ says\.$"):
        text.rows(name, [0])


def test_errors_name_the_culprit(few, text):
    with pytest.raises(ValueError, match="kind is 'pmi'"):
        text.rows("stack 1-4", [0, 1], "pmi")
    with pytest.raises(ValueError, match="token 8 is unknown"):
        text.rows("next", [8])
    rare = TrainingSet("rare", np.repeat([0, 1, 2], [90, 60, 49]), np.array([0, 199]), np.arange(3), 3)
    with pytest.raises(ValueError, match=r"^rare has 2 tokens seen 50 times or more: take more text\.$"):
        assert not TextSignatures(rare, LENGTH).sizes
