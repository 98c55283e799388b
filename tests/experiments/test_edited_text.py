"""The runs on edited texts: what they hold, against a training and signatures of one's own; found again, resumed; and
the numbers of the chapter, against loops and cases that are known.

Worked by hand: two groups of two in one arm, with cosines 0.2 and 0.4 within them and 0 between: `within` gives 0.2 and
0.4; dealt out anew, a group holds two of one old group in one of three deals.
"""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probsig import seeds
from probsig.experiments import edited_text
from probsig.experiments.edited_text import CHOSEN, SIGNATURES, TEXTS
from probsig.experiments.language_model import SCALES, looks
from probsig.experiments.texts import Texts, unpack
from probsig.geometry import small
from probsig.language import training, updates
from probsig.language.networks import SHAPES, build, embeddings
from probsig.language.signatures import TextSignatures
from probsig.language.training import Recipe
from probsig.runs import drafts
from probsig.text import edits

HOW, OF = SCALES["smoke"], CHOSEN["smoke"]
SHAPE = (4, OF["groups"], OF["size"])
EPOCH = 46  # steps


TEXT = Texts(scale="smoke")


@functools.cache
def both():
    """The text, and its edit."""
    data = TEXT.sets(["cc"], HOW.tokens, HOW.keep, HOW.held).of("cc")
    of = {"groups": OF["groups"], "size": OF["size"], "ranks": (OF["first"], OF["last"]), "least": OF["least"]}
    return data, edits.edit(data, edits.choose(data, seed=0, **of), 0)


@pytest.fixture(scope="module")
def stored(place):
    return edited_text.trained("cc", TEXT, scale="smoke", seed=0)


def test_what_is_stored(stored):
    data, edit = both()
    n, d, m = edit.chosen.size, SHAPES[HOW.shape].hidden, len(looks(EPOCH, 1, HOW.looks))
    expected = {"edit/frequency": (SHAPE, "i8"), "edit/moved": (SHAPE, "i8"), "edit/share": ((1,), "f8")}
    expected |= {"edit/size": ((3,), "i8"), "edit/likeness": ((2, n), "f2")}
    expected |= {f"original/start/{W}": ((n, d), "f2") for W in ("W_E", "W_U")}  # both start alike
    for which in TEXTS:
        expected |= {f"{which}/{W}": ((n, d), "f2") for W in ("W_E", "W_U")}
        expected |= {f"{which}/steps": ((m,), "i8"), f"{which}/training/loss": ((m, 1), "f8")}
        expected |= {f"{which}/training/held": ((m, 1), "f8")}
        for name in SIGNATURES:
            expected[f"edit/{which}/{name}"] = ((n * (n - 1) // 2,), "f2")
            expected[f"edit/{which}/{name} raw"] = ((*SHAPE[:2], OF["size"] * (OF["size"] - 1) // 2), "f2")
    found = dict(stored.arrays)
    assert found.pop("edit/words").dtype == np.uint8 and len(found.pop("edit/others")) == 2
    assert {key: (array.shape, array.dtype.str[1:]) for key, array in found.items()} == expected
    assert found["edit/size"].tolist() == [HOW.tokens, len(data.offsets) - 1, data.vocab_size]
    assert found["edit/frequency"].tolist() == data.frequency[edit.chosen].tolist()
    assert found["edit/moved"].tolist() == edit.moved.tolist()
    words = unpack(stored.arrays["edit/words"])
    tokenizer = TEXT.corpus("cc").tokenizer
    assert [tokenizer.id(word) for word in words] == data.kept[edit.chosen.ravel()].tolist()


@pytest.mark.parametrize("which", TEXTS)
def test_both_models_are_trained_from_the_same_weights_each_on_its_text(stored, which):
    """A training of one's own gives the same rows at the start and at the end, to the bits that are kept; both are
    held against the same documents, which no edit has touched."""
    data, edit = both()
    text, chosen = {"original": data, "edited": edit.data}[which], edit.chosen.ravel()
    model = build("qwen2.5", SHAPES[HOW.shape], data.vocab_size, seed=0, original=data.original)
    for W, key in zip(embeddings(model), ("W_E", "W_U"), strict=True):
        assert (stored.arrays[f"original/start/{key}"] == W[chosen].astype(np.float16)).all()
    recipe = Recipe(batch=HOW.batch, length=HOW.length, lr=HOW.lr)
    log = training.train(model, text, recipe, seed=0, held=data.held, look_at=looks(EPOCH, 1, HOW.looks), device="cpu")
    for W, key in zip(embeddings(model), ("W_E", "W_U"), strict=True):
        assert (stored.arrays[f"{which}/{key}"] == W[chosen].astype(np.float16)).all()
    for key, array in log.arrays().items():
        np.testing.assert_array_equal(stored.arrays[f"{which}/{key}"], array)
    assert log.arrays()["training/held"][-1] < log.arrays()["training/held"][0] < 1.2 * np.log(data.vocab_size)


def dense(name, text, tokens):
    """The law of the next or the previous token of some tokens, counted place by place."""
    document = np.repeat(np.arange(len(text.offsets) - 1), np.diff(text.offsets))
    joined = document[1:] == document[:-1]
    here, there = (text.ids[:-1][joined], text.ids[1:][joined])[:: 1 if name == "next" else -1]
    laws = np.array([np.bincount(there[here == t], minlength=text.vocab_size) for t in tokens])
    return laws / laws.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_those_of_each_text(stored, name):
    """Cosines of laws, raw within groups and about the mean of all chosen tokens."""
    data, edit = both()
    for which, text in zip(TEXTS, (data, edit.data), strict=True):
        chosen = edit.chosen.ravel()
        laws = TextSignatures(text, HOW.length).rows(name, chosen).toarray()
        if name != "attention":
            np.testing.assert_allclose(laws, dense(name, text, chosen), atol=1e-15)
        whole = small.pairs(small.cosine(laws - laws.mean(axis=0)))
        np.testing.assert_allclose(stored.arrays[f"edit/{which}/{name}"], whole, atol=1e-3)
        inside = [small.pairs(small.cosine(group)) for group in laws.reshape(-1, OF["size"], text.vocab_size)]
        raw = stored.arrays[f"edit/{which}/{name} raw"].reshape(len(inside), -1)
        np.testing.assert_allclose(raw, inside, atol=1e-3)


def test_likeness_is_one_where_nothing_was_edited(stored):
    """By arm: phi^next is kept but where followers move, varphi^pre but where what precedes does."""
    data, edit = both()
    likeness = stored.arrays["edit/likeness"].astype(float).reshape(2, 4, -1)
    kept = np.array([[False, True, False, True], [True, False, True, True]])
    assert (likeness[kept] > 0.999).all() and (likeness[~kept].min(axis=1) < 0.95).all()
    chosen = edit.chosen.ravel()
    for side, found in zip(("next", "previous"), likeness.reshape(2, -1), strict=True):
        a, b = (dense(side, text, chosen) for text in (data, edit.data))
        expected = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        np.testing.assert_allclose(found, expected, atol=1e-3)
    others = np.setdiff1d(np.flatnonzero(data.frequency >= 50), chosen)
    assert stored.arrays["edit/others"].shape == (2, len(others))
    assert (stored.arrays["edit/others"].astype(float).mean(axis=1) < 1).all()


def test_the_attention_signature_moves_less_than_the_next_token(stored):
    moved = {
        name: np.mean(stored.arrays[f"edit/edited/{name} raw"][0] - stored.arrays[f"edit/original/{name} raw"][0])
        for name in SIGNATURES
    }
    assert moved["next"] > 0.1 and abs(moved["attention"]) < moved["next"] / 2 and abs(moved["previous"]) < 0.01


def test_a_run_is_found_again_without_its_text(stored, untouched):
    untouched = untouched(scale="smoke")
    again = edited_text.trained("cc", untouched, scale="smoke", seed=0)
    assert again.origin == "runs" and again.name == stored.name
    with pytest.raises(AssertionError, match="a text was opened"):
        edited_text.trained("cc", untouched, scale="smoke", seed=1)
    assert stored.config == {
        "corpus": "cc", "architecture": "qwen2.5", "scale": "smoke", "seed": 0, "tokens": 6_000, "held": 500,
        "keep": 200, "shape": "smoke", "batch": 4, "length": 32, "lr": 0.01, "looks": 4, "groups": 2, "size": 4,
        "first": 5, "last": 56, "least": 10, "text": "stand-in",
    }  # fmt: skip


def test_an_interrupted_run_goes_on_to_the_same_numbers(stored, tmp_path, monkeypatch):
    """Cut off in the middle of the trainings, with the state saved at every step: each text takes up its own."""
    plain, taken = updates.Update.__call__, []

    def step(update, *parts):
        taken.append(1)
        if len(taken) == 41:
            raise KeyError("power")
        return plain(update, *parts)

    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    monkeypatch.setattr(drafts, "EVERY", -1.0)
    monkeypatch.setattr(updates.Update, "__call__", step)
    with pytest.raises(KeyError, match="power"):
        edited_text.trained("cc", TEXT, scale="smoke", seed=0)
    before = len(taken)
    done = edited_text.trained("cc", TEXT, scale="smoke", seed=0)
    assert len(taken) - before <= 2 * EPOCH - 40 + 1 and done.origin == "new"
    assert done.arrays.keys() == stored.arrays.keys()
    for key, array in done.arrays.items():
        assert np.array_equal(array, stored.arrays[key], equal_nan=array.dtype.kind == "f"), key


def test_scales_fit_their_texts():
    assert set(CHOSEN) == {"smoke", "laptop"} < SCALES.keys()
    for of in CHOSEN.values():
        assert 4 * of["groups"] * of["size"] <= of["last"] - of["first"] and of["size"] % 2 == 0


def test_an_unknown_scale_is_one_sentence(untouched):
    with pytest.raises(ValueError, match=r"^scale is 'paper': pass one of 'smoke', 'laptop'\.$"):
        edited_text.trained("cc", untouched(scale="smoke"), scale="paper", seed=0)


ARMS = (4, 3, 4)
N = 48


def symmetric(name, n=N):
    A = seeds.stream(0, name).standard_normal((n, n))
    return A + A.T


@given(st.integers(2, 20))
def test_square_is_the_way_back_from_pairs(n):
    C = small.cosine(seeds.stream(n, "rows").standard_normal((n, 5)))
    np.testing.assert_array_equal(edited_text.square(small.pairs(C)), C)


def test_cosines_about_the_mean_forget_a_common_vector():
    W = seeds.stream(0, "W").standard_normal((6, 4))
    found = edited_text.cosines_about_mean(W)
    np.testing.assert_allclose(found, edited_text.cosines_about_mean(W + np.arange(4.0)), atol=1e-12)
    np.testing.assert_allclose(found, small.cosine(W - W.mean(axis=0)), atol=1e-12)


def test_within_is_the_mean_over_the_pairs_of_a_group():
    C = symmetric("C")
    found = edited_text.within(C, ARMS)
    for a, g in itertools.product(range(4), range(3)):
        start = (3 * a + g) * 4
        expected = np.mean([C[i, j] for i, j in itertools.combinations(range(start, start + 4), 2)])
        assert found[a, g] == pytest.approx(expected, rel=1e-12)


def test_labels_move_within_an_arm_and_average_to_its_pairs():
    """A block of ones in one arm is seen by that arm alone; over draws the mean is that of all the arm's pairs."""
    blocks = np.zeros((N, N))
    blocks[12:16, 12:16] = 1  # the first group of the second arm
    draws = edited_text.relabelled(blocks, ARMS, 2000, seed=0)
    assert edited_text.within(blocks, ARMS).mean(axis=1).tolist() == [0, 1 / 3, 0, 0]
    assert (draws[:, [0, 2, 3]] == 0).all() and draws[:, 1].max() <= 1 / 3
    assert draws[:, 1].mean() == pytest.approx(6 / 66, abs=4 * draws[:, 1].std() / np.sqrt(2000))
    assert (draws == edited_text.relabelled(blocks, ARMS, 2000, seed=0)).all()


def test_names_change_within_a_stratum_only():
    """What depends on strata alone is blind to new names; where a stratum is one token nothing can change."""
    a, stratum = symmetric("a"), np.tile(np.repeat(np.arange(3), 4), 4)
    b = np.subtract.outer(stratum, stratum) ** 2.0
    value = small.pearson(small.pairs(a), small.pairs(b))
    np.testing.assert_allclose(edited_text.renamed(a, b, ARMS, 5, seed=0), value, rtol=1e-12)
    np.testing.assert_allclose(edited_text.renamed(a, a, (1, N, 1), 3, seed=0), 1.0, rtol=1e-12)


def test_new_names_undo_a_correlation():
    a = symmetric("a")
    draws = edited_text.renamed(a, a, ARMS, 200, seed=0)
    assert np.abs(draws).max() < 0.5 and abs(draws.mean()) < 0.05


def test_profiles_that_are_kept_lost_and_exchanged():
    C, others = symmetric("C"), np.arange(36, 48)
    one, two = np.array([24, 26]), np.array([25, 27])
    order = np.arange(N)
    order[[24, 25, 26, 27]] = [25, 24, 26, 27]  # the first pair trades places
    np.testing.assert_allclose(edited_text.exchanged(C, C[np.ix_(order, order)], one, two, others), [-1, 1], rtol=1e-12)
    half = (C + C[np.ix_(order, order)]) / 2
    np.testing.assert_allclose(edited_text.exchanged(C, half, one, two, others), [0, 1], atol=1e-12)


def test_a_pair_is_left_out_of_its_own_profile():
    """Whatever the cosine of the two with each other and with themselves, the number is the same."""
    C, tokens = symmetric("C"), np.arange(36, 48)
    later = symmetric("later")
    found = edited_text.exchanged(C, later, tokens[::2], tokens[1::2], tokens)
    for a, b in zip(tokens[::2], tokens[1::2], strict=True):
        C[np.ix_([a, b], [a, b])] += 7
        later[np.ix_([a, b], [a, b])] -= 5
    rest = edited_text.exchanged(C, later, tokens[:1], tokens[1:2], np.arange(38, 48))
    changed = edited_text.exchanged(C, later, tokens[:1], tokens[1:2], tokens)
    assert changed[0] == pytest.approx(found[0], rel=1e-12) == rest[0]


def test_new_names_are_permutations_within_strata():
    found = edited_text.names(ARMS, 50, seed=1)
    stratum = np.tile(np.repeat(np.arange(3), 4), 4)
    assert (np.sort(found, axis=1) == np.arange(N)).all() and (stratum[found] == stratum).all()
    assert len(np.unique(found[:, 0])) > 10  # a token takes names of every arm


def test_the_joint_fit_finds_what_moves_were_made_of():
    parts = [symmetric(name) for name in ("one", "two", "three")]
    made = 0.5 * parts[0] - 2 * parts[2] + 3
    np.testing.assert_allclose(edited_text.joint(made, parts), [0.5, 0, -2], atol=1e-12)
    noise = symmetric("noise")
    residual = small.pairs(noise) - sum(
        c * small.pairs(S) for c, S in zip(edited_text.joint(noise, parts), parts, strict=True)
    )
    for part in parts:  # normal equations
        assert abs(small.pearson(residual, small.pairs(part))) < 1e-12
