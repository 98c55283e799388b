"""The runs of windows: against loops and closed cases on made-up text; the leaderboard's numbers by hand."""

from dataclasses import replace

import numpy as np
import pytest

from probsig.experiments import leaderboard, pretrained, windows
from probsig.experiments.texts import Texts, in_pieces, unpack
from probsig.geometry import small
from probsig.geometry.large import Cosines
from probsig.language.checkpoints import Checkpoint
from probsig.text.sources.toy import ToyCorpus
from probsig.text.training_set import training_set

TEXTS = Texts(scale="smoke")


@pytest.fixture(scope="module")
def of_texts():
    return windows.of_texts(["arxiv", "cc"], TEXTS, scale="smoke", furthest=16)


def test_a_shorter_reach_leaves_far_windows_out_and_ends_the_others(of_texts):
    assert windows.within(16) == [(1, 1), (2, 4), (5, 16)] and windows.within(1) == [(1, 1)]
    names = [name for name, _ in windows.statistics(16)]
    assert "uniform 17-64" not in names and len(names) == 15
    assert of_texts.arrays["arxiv/pairs"].shape[0] == 15 == len(of_texts.arrays["arxiv/ceilings"])


def test_groups_have_the_orders_of_their_stored_cosines(of_texts):
    gap = small.pairs(windows.gaps(of_texts.arrays["arxiv/digits/at"], 0))
    stored = of_texts.arrays["arxiv/digits/cosines"]
    assert unpack(of_texts.arrays["arxiv/digits/texts"]) == list("0123456789")
    for kind in range(2):
        for window in range(3):
            assert of_texts.arrays["arxiv/digits/order"][kind, window] == pytest.approx(
                small.pearson(stored[kind, window], gap), abs=1e-6
            )
    low, high = np.moveaxis(of_texts.arrays["arxiv/digits/null"], -1, 0)
    assert (low < 0).all() and (high > 0).all()


def test_four_parts_share_no_document_and_make_the_whole():
    corpus = ToyCorpus.of(0, documents=30)
    parts = windows.parts_of(corpus, seed=0)
    assert sum(len(part.ids) for part in parts) == len(corpus.ids)
    assert sorted(len(part.offsets) - 1 for part in parts) == [7, 7, 8, 8]
    assert np.array_equal(sum(np.bincount(part.ids, minlength=67) for part in parts), np.bincount(corpus.ids))


def test_the_cosines_of_the_next_token_are_stored_as_they_are_but_for_their_mean(of_texts):
    corpus = TEXTS.sets(["arxiv", "cc"], 6000, 200, 500).of("arxiv")
    rows = corpus.counts.to_scipy().toarray()[corpus.frequent(150, 50)].astype(float)
    pairs = small.pairs(small.cosine(rows / rows.sum(axis=1, keepdims=True)))
    stored = leaderboard.statistics_of(of_texts, "arxiv")[windows.STATISTICS.index(("next", "raw"))]
    assert np.abs(stored - (pairs - pairs.mean())).max() < np.abs(stored).max() / 200
    assert (of_texts.arrays["arxiv/ceilings"][:4] > 0.5).all()


def test_a_model_whose_rows_are_a_windows_signature_follows_it(monkeypatch):
    corpus = ToyCorpus.of(0)
    found = windows.near(corpus, range(67), (2, 4))
    rows = np.zeros((67, 67), np.float32)
    rows += windows.together(found, "mstar", range(10, 22)).toarray().astype(np.float32)
    checkpoint = Checkpoint("by hand", rows.shape, True, lambda ids: rows[ids], lambda: corpus.tokenizer)
    opened = pretrained.Opened(checkpoint, Texts(scale="smoke", seed=0).corpora(["arxiv"]))
    opened.corpora.corpora["arxiv"] = corpus
    arrays = windows.of_pretrained(["arxiv"], 16, 0, opened)
    assert arrays["months/follows"][0].argmax() == 1 and arrays["months/follows"][0, 1] > 0.99
    assert arrays["months/W_order"][0] == pytest.approx(arrays["months/order"][0, 1], abs=1e-3)


def test_a_window_beyond_the_documents_is_one_sentence():
    with pytest.raises(ValueError, match="longer than every document"):
        windows.leaders(training_set(in_pieces(ToyCorpus.of(0), 40), None, None, 0, "toy"), 32, 64)


def test_all_together_beat_the_best_one_where_two_add_up_and_not_where_one_is_all():
    stream = np.random.default_rng(1)
    a, b, noise = stream.standard_normal((3, 40 * 39 // 2))
    weights, both, single = leaderboard.fitted(a + b, np.array([a, b, noise]), 40, seed=0)
    assert both > 0.99 and single == pytest.approx(0.5**0.5, abs=0.1)
    assert weights[0] == pytest.approx(weights[1], abs=0.1) and abs(weights[2]) < 0.05
    _, both, single = leaderboard.fitted(a, np.array([a, b, noise]), 40, seed=0)
    assert single == pytest.approx(1.0) and both > 0.99


def test_a_standing_of_two_like_seeds_has_the_ceiling_of_the_text():
    stream = np.random.default_rng(2)
    target, other = stream.standard_normal((2, 30 * 29 // 2))
    own = [Cosines(target.astype(np.float32), 30)] * 2
    found = leaderboard.of_rows(own, np.array([target, other]), np.arange(30, 0, -1), np.array([0.9, 0.8]))
    assert found.each[:, 0] == pytest.approx([1.0, 1.0]) and found.each.shape == (2, 2)
    assert found.ceiling == pytest.approx([0.9, 0.8]) and found.null[0] < 0.5 and found.tokens == 30
    alone = leaderboard.of_rows(own[:1], np.array([target, other]), np.arange(30, 0, -1), np.array([0.9, 0.8]))
    assert np.isnan(alone.ceiling).all()


def test_pairs_of_tokens_that_are_left_out_are_left_out():
    there = np.array([True, True, False, True])
    assert leaderboard.kept_pairs(there).tolist() == [True, False, True, False, True, False]


def test_one_long_document_is_cut_so_that_it_has_parts():
    corpus = ToyCorpus.of(0, documents=60)
    one = replace(corpus, offsets=np.array([0, len(corpus.ids)]))
    assert len(windows.pooled([one]).offsets) == 41 and len(windows.pooled([corpus]).offsets) == 61
    both = windows.pooled([corpus, corpus])
    assert both.offsets[60] == len(corpus.ids) and both.offsets[-1] == 2 * len(corpus.ids)
