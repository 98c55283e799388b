"""windows: against plain numpy, a made-up year with a known distance, bad groups and windows, and what it says."""

import numpy as np
import pytest

import probsig as ps
from probsig.answers.windows import windows
from probsig.counts.bigrams import count
from probsig.geometry import small
from probsig.signatures import tokens as signatures_tokens
from probsig.text.groups import GROUPS
from probsig.text.sources.toy import ToyCorpus
from probsig.text.training_set import Part

TOY = ToyCorpus.of(seed=0)
MONTHS = [TOY.tokenizer.id(month) for month in GROUPS["months"]]
W = np.random.default_rng(0).standard_normal((TOY.vocab_size, 8))
RING = np.minimum(gap := np.abs(np.subtract.outer(np.arange(12), np.arange(12))), 12 - gap)


def test_orders_against_plain_numpy():
    found = windows("months", TOY, W, within=[(1, 1), (2, 4)], kind="raw", draws=50)
    for at, (low, high) in enumerate([(1, 1), (2, 4)]):
        tables = (count(TOY, distance=k) for k in range(low, high + 1))
        rows = signatures_tokens.window(tables, MONTHS).toarray()
        rows[:, MONTHS] = 0
        rows -= rows.mean(axis=0)
        own = W[MONTHS] - W[MONTHS].mean(axis=0)
        assert np.allclose(found.cosines[at], small.cosine(rows), atol=1e-6)
        assert found.order[at] == pytest.approx(
            small.pearson(small.pairs(small.cosine(rows)), small.pairs(RING)), abs=1e-5
        )
        assert found.r_cos[at] == pytest.approx(small.cosine_correlation(own, rows), abs=1e-5)
    assert found.shape == "ring" and found.labels == GROUPS["months"] and not found.left_out
    assert found.own_order == pytest.approx(small.pearson(small.pairs(small.cosine(own)), small.pairs(RING)), abs=1e-5)
    assert abs(found.null.mean()) < 0.1 and abs(found.r_null.mean()) < 0.1


def year(distance, seed=0, length=12_000):
    """A text in which the token `distance` places after a month names its season, and all else is noise."""
    stream = np.random.default_rng(seed)
    ids = stream.integers(24, 40, length)
    places = np.arange(20, length - 20, 2 * distance + 7)
    months = stream.integers(0, 12, len(places))
    ids[places] = months
    ids[places + distance] = 12 + (months + stream.integers(0, 4, len(places))) % 12
    return Part(ids, np.array([0, length]), 40)


@pytest.mark.parametrize("distance", [1, 3, 8])
def test_the_order_is_found_at_the_distance_at_which_it_was_put(distance):
    found = windows(range(12), year(distance), within=[(1, 1), (2, 4), (5, 10)], ring=True, draws=99)
    assert found.names[found.strongest] == {1: "1", 3: "2 to 4", 8: "5 to 10"}[distance]
    order = np.sort(found.order)
    assert order[0] < -0.8 and order[0] < found.null[found.strongest].min() and order[1] > -0.5
    assert f"clearest at {found.names[found.strongest]}" in str(found)


def test_an_embedding_that_is_one_windows_signature_follows_that_window():
    text = year(3)
    rows = signatures_tokens.window((count(text, distance=k) for k in (2, 3, 4)), range(12)).toarray()
    embedding = np.zeros((40, 40))
    embedding[:12] = rows
    found = windows(range(12), text, embedding, within=[(1, 1), (2, 4)], kind="raw", ring=True, draws=99)
    assert found.r_cos.argmax() == 1 and found.r_cos[1] > 0.9 > found.r_null[1].max()
    assert "most like those at 2 to 4" in str(found)


def test_a_list_says_what_it_leaves_out_and_distances_are_those_of_the_whole_list():
    words = [" snow", "no token", " rain", " sun", " cold"]
    found = windows(words, TOY, within=[(1, 3)], draws=9)
    assert found.left_out == ("no token",) and found.shape == "line"
    assert any("'no token' left out" in doubt for doubt in found.doubts)
    rows = signatures_tokens.window((count(TOY, distance=k) for k in (1, 2, 3)), found.tokens, kind="ppmi")
    assert rows.shape[0] == 4
    places = np.array([0, 2, 3, 4])
    gap = small.pairs(np.abs(np.subtract.outer(places, places)))
    assert found.order[0] == pytest.approx(small.pearson(small.pairs(found.cosines[0]), gap), abs=1e-9)


def test_a_window_without_an_order_is_not_the_clearest():
    """At distance 2 every month is beside one and the same sign, so its cosines are all equal there."""
    documents = ["m0 p1 q", "m1 p1 q", "m1 p2 q", "m2 p2 q", "m2 p3 q", "m3 p3 q"] * 5
    text = ps.open_corpus(documents, "words")
    found = windows(["m0", "m1", "m2", "m3"], text, within=[(2, 2), (1, 1)], draws=9)
    assert np.isnan(found.order[0]) and found.strongest == 1 and "clearest at 1;" in str(found)
    none = str(windows(["m0", "m1", "m2", "m3"], text, within=[(2, 2)], draws=9))
    assert "by distance: 2: undefined." in none and "clearest" not in none


def test_an_embedding_of_equal_rows_is_like_no_window():
    said = str(windows("digits", TOY, np.ones((TOY.vocab_size, 2)), within=[(1, 2)], draws=3))
    assert "In W R_order is undefined (shuffled undefined); its cosines are like those at no distance" in said


def test_the_table_and_the_record_are_plain():
    found = ps.windows("digits", TOY, draws=9)
    table = found.table()
    assert [len(column) for column in table.values()] == [4] * 7 and table["window"][1] == "2 to 4"
    assert found.record()["own_order"] is None and found.name == ""


def test_its_picture_has_a_panel_for_the_text_and_one_for_the_embedding():
    assert windows("digits", TOY, draws=9).plot().shape == (1,)
    assert windows("digits", TOY, W, draws=9).plot().shape == (2,)


@pytest.mark.parametrize(
    ("group", "options", "says"),
    [
        ("weekdays", {}, "0 of weekdays are single tokens that toy holds"),
        ("month", {}, "'months'"),
        ("digits", {"within": [(1, 900)]}, "'window 1-900' reaches beyond every document"),
        ("digits", {"within": []}, r"within is \[\]: pass one window or more"),
        ("digits", {"draws": 0}, "draws is 0"),
        ("digits", {"kind": "pmi"}, "'mstar'"),
        ("digits", {"weights": "heavy"}, "'uniform'"),
        ([" snow", "/e", "two words"], {}, "a group needs 3 or more"),
    ],
)
def test_what_it_refuses_in_one_sentence(group, options, says):
    with pytest.raises(ValueError, match=says):
        windows(group, TOY, **options)


def test_counts_have_no_places():
    with pytest.raises(ValueError, match="pass the corpus"):
        windows([1, 2, 3], count(TOY), within=[(1, 10**12)])
