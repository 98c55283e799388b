"""Training sets: whole documents, ids by frequency, rows and counts that speak of the same pairs.

Worked by hand, in `test_a_case_by_hand_with_a_token_that_never_occurs`: of 7 2 7 5 2 7 1 5 2 7 with room for four ids,
one of them asked for though it never occurs, 7 and 2 are kept and 5 and 1 share the last.
"""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probsig import seeds
from probsig.counts.bigrams import count
from probsig.text.training_set import (
    IGNORED,
    REST,
    Part,
    TrainingSet,
    documents,
    halves,
    renumbered,
    shared,
    training_set,
)

VOCAB = 12
DOCUMENTS = st.lists(st.lists(st.integers(0, VOCAB - 1), max_size=7), min_size=1, max_size=8)


def joined(texts):
    """ids and offsets of documents that are lists."""
    ids = np.array([id for text in texts for id in text], dtype=np.uint16)
    return ids, np.cumsum([0, *map(len, texts)]).astype(np.int64)


def split(data):
    return [part.tolist() for part in np.split(data.ids, data.offsets[1:-1])]


def corpus(texts, vocab_size=VOCAB):
    ids, offsets = joined(texts)
    return SimpleNamespace(ids=ids, offsets=offsets, vocab_size=vocab_size, tokenizer=None)


@pytest.fixture(scope="module")
def numbered():
    """Sixty documents of two to nine tokens; each of them says at every token which one it is."""
    lengths = seeds.stream(0, "lengths").integers(2, 10, 60)
    return [[document] * int(length) for document, length in enumerate(lengths)]


def old(data):
    """The documents with the tokenizer's own ids."""
    return [[int(data.kept[id]) for id in text] for text in split(data)]


def test_documents_are_whole_different_and_drawn_the_same_at_every_call(numbered):
    source, total = corpus(numbered, 60), sum(map(len, numbered))
    drawn = old(training_set(source, total // 2, None, 0, "text"))
    assert drawn == old(training_set(source, total // 2, None, 0, "text"))
    assert sum(map(len, drawn)) == total // 2
    assert all(text == numbered[text[0]] for text in drawn[:-1])
    assert drawn[-1] == numbered[drawn[-1][0]][: len(drawn[-1])]  # the last is cut
    which = [text[0] for text in drawn]
    assert len(set(which)) == len(which) and which != sorted(which)
    longer = old(training_set(source, total // 2 + 20, None, 0, "text"))
    assert longer[: len(drawn) - 1] == drawn[:-1]  # more of the same
    others = [training_set(source, total // 2, None, seed, name) for seed, name in ((1, "text"), (0, "other"))]
    assert all([text[0] for text in old(other)] != which for other in others)


def test_all_of_a_text_stays_in_its_order(numbered):
    for tokens in (None, 10**6, sum(map(len, numbered))):
        assert old(training_set(corpus(numbered, 60), tokens, None, 3, "text")) == numbered


@settings(deadline=None)
@given(DOCUMENTS, st.integers(2, 40))
def test_the_draw_takes_documents_until_there_are_enough(texts, tokens):
    ids, _ = joined(texts)
    if len(ids) < 2:
        return
    expected, room = [], tokens
    for document in seeds.stream(5, "documents", "x").permutation(len(texts)):
        if room > 0:
            expected.append(texts[document][:room])
            room -= len(texts[document])
    found = training_set(corpus(texts), tokens, VOCAB, 5, "x")
    assert old(found) == (expected if tokens < len(ids) else texts)


def by_hand(flat, keep, also):
    """Which ids are kept, by a dict and sorts; the order of equal frequencies left open."""
    often = {}
    for id in flat:
        often[id] = often.get(id, 0) + 1
    ranked = sorted(often, key=lambda id: (-often[id], id))
    if keep is None or len(set(ranked) | set(also)) <= keep:
        return often, set(ranked) | set(also), False
    free = [id for id in ranked if id not in also]
    return often, set(also) | set(free[: keep - 1 - len(also)]), True


@settings(deadline=None)
@given(
    DOCUMENTS.filter(lambda texts: len({id for text in texts for id in text}) > 1),
    st.one_of(st.none(), st.integers(2, VOCAB)),
    st.sets(st.integers(0, VOCAB - 1), max_size=4),
)
def test_renumbering_is_that_of_a_dictionary(texts, keep, also):
    ids, offsets = joined(texts)
    if keep is not None and keep < len(also) + 2:
        with pytest.raises(ValueError, match=rf"keep is {keep}, too few for the {len(also)} tokens"):
            renumbered(ids, offsets, VOCAB, keep, "x", also)
        return
    found = renumbered(ids, offsets, VOCAB, keep, "x", also)
    often, kept, capped = by_hand(ids.tolist(), keep, also)
    table = {int(id): new for new, id in enumerate(found.kept) if id != REST}
    assert table.keys() == kept and len(found.kept) == len(kept) + capped  # a bijection on the kept ids
    assert (found.kept == REST).tolist() == [False] * len(kept) + [True] * capped  # REST last
    assert found.ids.tolist() == [table.get(id, len(kept)) for id in ids.tolist()]
    numbers = [often.get(id, 0) for id in table]
    assert numbers == sorted(numbers, reverse=True)
    assert found.frequency[: len(kept)].tolist() == numbers and found.frequency.sum() == len(ids)
    if not also:
        assert list(table) == sorted(table, key=lambda id: (-often[id], id))  # ties by the old id
    assert found.new_ids(np.arange(VOCAB)).tolist() == [table.get(id, -1) for id in range(VOCAB)]
    assert found.new_ids(np.array([REST])).tolist() == [-1]
    assert found.original == VOCAB and found.vocab_size == len(found.kept)


def test_a_case_by_hand_with_a_token_that_never_occurs():
    """7 occurs four times, 2 three times, 5 twice, 1 once; 9 is asked for and 1 has no room."""
    ids = np.array([7, 2, 7, 5, 2, 7, 1, 5, 2, 7])
    found = renumbered(ids, np.array([0, 10]), 10, 4, "by hand", [9])
    assert found.kept.tolist() == [7, 2, 9, REST]
    assert found.ids.tolist() == [0, 1, 0, 3, 1, 0, 3, 3, 1, 0]
    assert found.frequency.tolist() == [4, 3, 0, 3]
    assert found.frequent(10, 1).tolist() == [0, 1]  # neither REST nor the one that is never read
    assert found.frequent(1, 1).tolist() == [0] and found.frequent(10, 4).tolist() == [0]
    assert 2 not in found.rows(3)[0] and 2 not in found.rows(3)[1]
    assert found.counts.row_totals()[2] == 0


def test_ids_are_as_small_as_they_can_be():
    few = renumbered(np.arange(1 << 16), np.array([0, 1 << 16]), 1 << 17, None, "x")
    more = renumbered(np.arange((1 << 16) + 1), np.array([0, (1 << 16) + 1]), 1 << 17, None, "x")
    assert few.ids.dtype == np.uint16 and more.ids.dtype == np.uint32 and more.ids[-1] == 1 << 16


@settings(deadline=None)
@given(DOCUMENTS, st.integers(1, 6))
def test_rows_are_the_documents_shifted_by_one(texts, length):
    ids, offsets = joined(texts)
    data = TrainingSet("x", ids, offsets, np.arange(VOCAB), VOCAB)
    number = (len(ids) - 1) // length
    if number < 1:
        with pytest.raises(ValueError, match=rf"x has {len(ids)} tokens, shorter than one sequence of {length}: take"):
            data.rows(length)
        return
    first = [at == 0 for text in texts for at in range(len(text))]
    inputs, targets = data.rows(length)
    assert inputs.shape == targets.shape == (number, length)
    for r in range(number):
        for t in range(length):
            at = r * length + t
            assert inputs[r, t] == ids[at]
            assert targets[r, t] == (IGNORED if first[at + 1] else ids[at + 1])


@settings(deadline=None)
@given(DOCUMENTS.filter(lambda texts: len({id for text in texts for id in text}) > 2), st.integers(2, 4))
def test_counts_are_of_the_pairs_that_are_predicted(texts, keep):
    ids, offsets = joined(texts)
    plain, capped = (renumbered(ids, offsets, VOCAB, most, "x") for most in (None, keep))
    original = count(ids, VOCAB, offsets=offsets).to_scipy().toarray()
    assert np.array_equal(plain.counts.to_scipy().toarray(), original[np.ix_(plain.kept, plain.kept)])
    for data in (plain, capped):
        expected = np.zeros((data.vocab_size,) * 2, dtype=int)
        for text in split(data):
            for pair in itertools.pairwise(text):
                expected[pair] += 1
        assert np.array_equal(data.counts.to_scipy().toarray(), expected)
        inputs, targets = data.rows(1)  # every place is one row
        there = targets[:, 0] != IGNORED
        predicted = np.zeros_like(expected)
        np.add.at(predicted, (inputs[there, 0], targets[there, 0]), 1)
        assert np.array_equal(predicted, expected)


@given(st.integers(0, 60), st.integers(0, 50))
def test_halves_of_an_order_part_the_documents(number, seed):
    source = Part(np.arange(number), np.arange(number + 1), number)
    first, second = (half.ids.tolist() for half in halves(source, np.random.default_rng(seed).permutation(number)))
    assert len(second) - len(first) == number % 2  # the second has the odd one
    assert sorted([*first, *second]) == list(range(number))
    assert first == sorted(first) and second == sorted(second)


def test_halves_part_the_documents(numbered):
    """A document is the only one to speak of its token, so the two halves share none; ids stay as they are."""
    data = training_set(corpus(numbered[:59], 60), None, None, 0, "text", held=20)
    first, second = data.halves(0)
    assert first.counts + second.counts == data.counts and (first.kept == data.kept).all()
    spoken = [set(old_id for text in old(half) for old_id in text) for half in (first, second)]
    assert not spoken[0] & spoken[1]
    assert len(second.offsets) - len(first.offsets) == (len(data.offsets) - 1) % 2
    assert all(text in old(data) for half in (first, second) for text in old(half))
    assert first.held is None and (first.name, first.original) == (data.name, data.original)
    again, other = data.halves(0)[0], data.halves(1)[0]
    assert np.array_equal(again.ids, first.ids) and old(other) != old(first)
    renamed = TrainingSet("other", data.ids, data.offsets, data.kept, data.original).halves(0)[0]
    assert old(renamed) != old(first)


def test_held_out_documents_are_whole_and_in_nothing_else(numbered):
    source, total = corpus(numbered, 60), sum(map(len, numbered))
    data = training_set(source, None, None, 0, "text", held=40)
    trained, aside = old(data), old(data.held)
    assert 40 <= sum(map(len, aside)) < 50 and sum(map(len, aside)) + sum(map(len, trained)) == total
    assert sorted(trained + aside) == sorted(numbered) and [text[0] for text in aside] == sorted(t[0] for t in aside)
    assert data.held.name == "text, held out" and data.held.held is None
    assert np.array_equal(data.held.kept, data.kept) and data.held.vocab_size == data.vocab_size == 60
    again = training_set(source, 100, None, 0, "text", held=40)
    assert old(again.held) == aside and len(again.ids) == 100  # however many are trained on
    assert not any(text in aside for text in old(again)[:-1])
    order = seeds.stream(0, "documents", "text").permutation(60)
    apart = [text[0] for text in aside]
    assert [text[0] for text in old(again)] == [d for d in order if d not in apart][: len(again.offsets) - 1]
    assert old(training_set(source, None, None, 1, "text", held=40).held) != aside


def test_ids_are_numbered_by_the_frequency_in_both(numbered):
    """What stands in a held-out document alone is kept, and its frequency in the training set is 0."""
    data = training_set(corpus(numbered, 60), None, 50, 0, "text", held=40)
    lengths = [len(numbered[id]) for id in data.kept[:-1]]
    assert lengths == sorted(lengths, reverse=True) and data.kept[-1] == REST
    apart = sorted({id for text in old(data.held) for id in text} - {REST})
    assert apart and (data.frequency[data.new_ids(np.array(apart))] == 0).all()
    without = training_set(corpus(numbered, 60), None, 50, 0, "text")
    assert without.held is None and np.array_equal(without.kept, data.kept)


def test_a_digest_is_of_everything_that_shapes_a_training():
    ids, offsets, kept = np.array([0, 1, 0, 1], dtype=np.uint16), np.array([0, 2, 4]), np.array([5, 7])
    held = TrainingSet("held", ids[:2], offsets[:2], kept, 9)

    def digest(**changed):
        parts = {"name": "x", "ids": ids, "offsets": offsets, "kept": kept, "original": 9, "held": held} | changed
        return TrainingSet(**parts).digest()

    assert len(digest()) == 32 and digest(name="y") == digest(ids=ids.astype(np.uint32)) == digest()
    others = [
        digest(ids=ids[::-1]),
        digest(offsets=np.array([0, 1, 4])),
        digest(offsets=np.array([0, 4])),
        digest(kept=np.array([7, 5])),
        digest(kept=np.array([5, 7, REST])),
        digest(original=10),
        digest(held=None),
        digest(held=TrainingSet("held", ids[2:], offsets[:2], kept, 10)),
    ]
    assert len({digest(), *others}) == 1 + len(others)


@given(
    st.lists(st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=30), min_size=1, max_size=3),
    st.integers(1, VOCAB), st.integers(1, 4), st.one_of(st.none(), st.integers(2, VOCAB)),
)  # fmt: skip
def test_shared_tokens_stand_highest_in_the_lowest_of_their_frequencies(texts, most, least, keep):
    sets = [renumbered(np.array(ids), np.array([0, len(ids)]), VOCAB, keep, "any") for ids in texts]
    low = {}
    for id in range(VOCAB):
        counts = [texts[n].count(id) if id in one.kept else 0 for n, one in enumerate(sets)]
        if min(counts) >= least:
            low[id] = min(counts)
    expected = sorted(low, key=lambda id: (-low[id], id))[:most]
    assert shared(sets, most, least).tolist() == expected


def test_documents_come_in_the_order_asked_for():
    ids, offsets = joined([[1, 2], [], [3], [4, 5, 6]])
    source = SimpleNamespace(ids=ids, offsets=offsets, vocab_size=9)
    some = documents(source, np.array([3, 1, 0]))
    assert some.ids.tolist() == [4, 5, 6, 1, 2] and some.offsets.tolist() == [0, 3, 3, 5] and some.vocab_size == 9
    none = documents(source, np.array([], dtype=np.int64))
    assert none.ids.tolist() == [] and none.offsets.tolist() == [0]


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([[1, 2, 3]], {"keep": 1}, "keep is 1: pass 2 ids or more, or None for all that occur"),
        ([[1]], {"keep": None}, "x has 1 tokens: training needs 2 or more"),
        ([[1, 2, 3]], {"keep": 3, "also": [7, 8]}, "keep is 3, too few for the 2 tokens that are to be kept"),
        ([[1, 2, 3]], {"tokens": 0}, "tokens is 0: pass 2 or more, or None for all"),
        ([[1, 2], [3, 4]], {"held": 3}, "x has too few documents to hold 3 tokens out: take more text"),
        ([[1, 2, 3]], {"tokens": -3}, "tokens is -3: pass 2 or more, or None for all"),
        ([[1, 2, 3]], {"also": [2, -1]}, "The id -1 is to be kept and is outside the vocabulary of"),
        ([[1, 2, 3]], {"also": [1.9]}, "also holds values of type float64: pass integers"),
        ([[1, 2, 3]], {"also": "12"}, "also holds values of type <U1: pass integers"),
        ([[1, 2, 3]], {"tokens": 2.0}, r"tokens is 2\.0: pass a whole number"),
        ([[1, 2, 3]], {"keep": 2.5}, r"keep is 2\.5: pass a whole number"),
        ([[1, 2, 3]], {"held": -5}, "held is -5: pass a whole number of at least 0"),
        ([[1, 2, 3]], {"held": 1.5}, r"held is 1\.5: pass a whole number of at least 0"),
        ([[1, 2, 3]], {"also": [2, 10**6]}, "The id 1000000 is to be kept and is outside the vocabulary of"),
    ],
)
def test_errors_name_the_culprit(texts, options, message):
    with pytest.raises(ValueError, match=message):
        training_set(corpus(texts), **{"tokens": None, "keep": None, "seed": 0, "name": "x"} | options)


def test_ties_go_by_the_old_id_with_and_without_a_cap():
    ids, offsets = np.array([7, 7, 7, 2, 2, 2, 1, 1, 0]), np.array([0, 9])
    assert renumbered(ids, offsets, 10, None, "x", [2]).kept.tolist() == [2, 7, 1, 0]
    assert renumbered(ids, offsets, 10, 3, "x", [2]).kept.tolist() == [2, 7, REST]
    assert renumbered(np.array([4, 4]), np.array([0, 2]), 10, None, "x").kept.tolist() == [4]
