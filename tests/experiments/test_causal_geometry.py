"""The texts of a made geometry and the numbers that are read off it, against plain loops and made-up rows."""

import numpy as np
import pytest

from probsig.experiments import causal_geometry
from probsig.experiments.texts import Texts, unpack
from probsig.geometry import small as geometry_small
from probsig.text.training_set import TrainingSet

OPTIONS = {"ring": 5, "ranks": (4, 20), "least": 30, "width": 1.0}


def random_text(vocab_size=24, documents=20, length=400):
    stream = np.random.default_rng(0)
    weights = 1 / np.arange(1, vocab_size + 1)
    ids = stream.choice(vocab_size, p=weights / weights.sum(), size=documents * length)
    return TrainingSet("by hand", ids, np.arange(0, documents * length + 1, length), np.arange(vocab_size), vocab_size)


def test_the_exchanged_are_the_members_and_nobody_takes_from_itself():
    made = causal_geometry.make(random_text(), [0, 1, 2, 3, 5], seed=3, **OPTIONS)
    assert made.exchanged.tolist() == [0, 1, 2, 3, 5]
    assert sorted(made.takes.tolist()) == [0, 1, 2, 3, 4] and (made.takes != np.arange(5)).all()
    assert len(made.ring) == 5 and not set(made.ring.tolist()) & {0, 1, 2, 3, 5}


def test_where_members_are_few_the_most_frequent_tokens_exchange_their_followers():
    made = causal_geometry.make(random_text(), [22, 23, -1], seed=0, **OPTIONS)
    assert made.exchanged.tolist() == random_text().frequent(10, 30).tolist()


def test_both_texts_have_the_length_of_the_original_and_the_same_tokens_of_the_ring():
    data = random_text()
    made = causal_geometry.make(data, [0, 1, 2, 3], seed=0, **OPTIONS)
    for one in made.texts.values():
        assert len(one.ids) == len(data.ids) and np.array_equal(one.offsets, data.offsets)


def test_a_text_with_too_few_tokens_says_so():
    with pytest.raises(ValueError, match="a ring needs 5: take more text"):
        causal_geometry.make(random_text(), [0, 1, 2, 3], seed=0, **{**OPTIONS, "least": 500})


def test_the_gram_matrix_has_the_cosines_of_the_rows_about_their_mean():
    rows = np.random.default_rng(1).standard_normal((6, 4))
    expected = geometry_small.cosine(rows - rows.mean(axis=0))
    assert np.allclose(causal_geometry.cosines(causal_geometry.gram(rows)), expected)


def test_a_ring_of_rows_is_found_turned_and_mirrored():
    angles = 2 * np.pi * np.arange(8) / 8
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    inside = np.linalg.qr(np.random.default_rng(2).standard_normal((5, 5)))[0][:2]
    gram = causal_geometry.gram(3 * circle @ inside + 1)
    points, shares = causal_geometry.plane(gram)
    assert np.allclose(points, circle) and np.allclose(shares[:2], 0.5)
    mirrored = circle * [1, -1]
    assert np.allclose(causal_geometry.plane(gram, like=mirrored)[0], mirrored)
    assert causal_geometry.ring_order(gram) < -0.97


def test_order_round_the_ring_is_pearsons_correlation_by_a_loop():
    gram = causal_geometry.gram(np.random.default_rng(3).standard_normal((7, 3)))
    C, x, y = causal_geometry.cosines(gram), [], []
    for a in range(7):
        for b in range(a):
            x.append(C[a, b])
            y.append(min(a - b, 7 - a + b))
    assert causal_geometry.ring_order(gram) == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_rows_that_took_each_others_place_are_alike_when_renamed():
    rows = np.random.default_rng(4).standard_normal((9, 5))
    takes = np.random.default_rng(5).permutation(9)
    one, other = causal_geometry.gram(rows[takes]), causal_geometry.gram(rows)
    assert causal_geometry.likeness(one, other, takes) == pytest.approx(1)
    assert abs(causal_geometry.likeness(one, other)) < 0.6


@pytest.mark.parametrize("null", [causal_geometry.dealt_order, None])
def test_chance_lies_around_zero(null):
    rows = np.random.default_rng(6).standard_normal((12, 20))
    gram = causal_geometry.gram(rows)
    draws = null(gram, 300, 0) if null else causal_geometry.chance(gram, causal_geometry.gram(rows[::-1]), 300, 0)
    assert draws.shape == (300,) and abs(draws.mean()) < 0.05 and draws.std() > 0.05


def test_a_run_at_smoke_keeps_what_it_names(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    run = causal_geometry.trained("dm-mathematics", Texts(scale="smoke"), scale="smoke", seed=1)
    words, takes = unpack(run.arrays["texts/words"]), run.arrays["texts/takes"]
    assert len(words) == 12 + len(takes)
    for which in causal_geometry.TEXTS:
        assert run.arrays[f"{which}/ring/W_E"].shape == (len(run.arrays[f"{which}/steps"]), 12, 12)
        assert not run.arrays[f"{which}/exchanged/W_U"][0].any()  # nothing is learned at the start
    assert causal_geometry.ring_order(run.arrays["texts/dealt/ring/next"]) < -0.3
    assert abs(causal_geometry.ring_order(run.arrays["texts/control/ring/next"])) < 0.4


def test_an_unknown_scale_is_said_in_one_sentence():
    with pytest.raises(ValueError, match="scale"):
        causal_geometry.trained("dm-mathematics", Texts(scale="smoke"), scale="large", seed=0)
