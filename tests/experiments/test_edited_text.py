"""The runs on edited texts: what they hold, against a training and signatures of one's own; found again, resumed."""

import functools

import numpy as np
import pytest

from probsig.experiments import edited_text
from probsig.experiments.texts import opened, unpack
from probsig.geometry import small
from probsig.language import training
from probsig.language.networks import SHAPES, build, embeddings
from probsig.language.training import Recipe
from probsig.runs import drafts
from probsig.runs import results as runs_results
from probsig.text import edits
from probsig.text.training_set import training_set

HOW = edited_text.SCALES["smoke"]
SHAPE = (4, HOW.groups, HOW.size)


@functools.cache
def corpus():
    return opened("cc", text="stand-in", scale="smoke", seed=0, tokenizer="qwen2.5", max_tokens=None)


@functools.cache
def both():
    """The text and its edit."""
    data = training_set(corpus(), HOW.tokens, HOW.keep, 0, "cc")
    of = {"groups": HOW.groups, "size": HOW.size, "ranks": (HOW.first, HOW.last), "least": HOW.least}
    return data, edits.edit(data, edits.choose(data, seed=0, **of), 0)


def never():
    raise AssertionError("the text was opened")


@pytest.fixture(scope="module")
def stored(place):
    return edited_text.trained("cc", corpus, scale="smoke", seed=0)


def test_what_is_stored(stored):
    data, edit = both()
    n, d = edit.chosen.size, SHAPES[HOW.shape].hidden
    rows = {f"{when}/{W}": ((n, d), "f2") for when in ("start", *edited_text.TEXTS) for W in ("W_E", "W_U")}
    expected = rows | {"frequency": (SHAPE, "i8"), "moved": (SHAPE, "i8"), "share": ((1,), "f8"), "size": ((3,), "i8")}
    for text in edited_text.TEXTS:
        expected |= {f"{text}/steps": ((edited_text.LOOKS,), "i8"), f"{text}/losses": ((edited_text.LOOKS,), "f8")}
        expected[f"{text}/digest"] = ((32,), "u1")
        for name in edited_text.SIGNATURES:
            expected[f"{text}/{name}"] = ((n * (n - 1) // 2,), "f2")
            expected[f"{text}/{name} raw"] = ((*SHAPE[:2], HOW.size * (HOW.size - 1) // 2), "f2")
    found = {key.removeprefix("edit/"): array for key, array in stored.arrays.items()}
    assert found.pop("words").dtype == np.uint8
    assert found.pop("likeness").shape == (2, n) and len(found.pop("others")) == 2
    assert {key: (array.shape, array.dtype.str[1:]) for key, array in found.items()} == expected
    assert found["size"].tolist() == [HOW.tokens, len(data.offsets) - 1, data.vocab_size]
    assert found["frequency"].tolist() == data.frequency[edit.chosen].tolist()
    words = unpack(stored.arrays["edit/words"])
    assert [corpus().tokenizer.id(word) for word in words] == data.kept[edit.chosen.ravel()].tolist()


@pytest.mark.parametrize("which", edited_text.TEXTS)
def test_both_models_are_trained_from_the_same_weights_each_on_its_text(stored, which):
    """A training of one's own gives the same rows at the start and at the end, to the bits that are kept."""
    data, edit = both()
    text, chosen = {"original": data, "edited": edit.data}[which], edit.chosen.ravel()
    model = build("qwen2.5", SHAPES[HOW.shape], data.vocab_size, seed=0, original=data.original)
    for W, key in zip(embeddings(model), ("W_E", "W_U"), strict=True):
        assert (stored.arrays[f"edit/start/{key}"] == W[chosen].astype(np.float16)).all()
    recipe = Recipe(batch=HOW.batch, length=HOW.length, lr=HOW.lr)
    training.train(model, text, recipe, seed=0, device="cpu", progress=False)
    for W, key in zip(embeddings(model), ("W_E", "W_U"), strict=True):
        assert (stored.arrays[f"edit/{which}/{key}"] == W[chosen].astype(np.float16)).all()
    losses = stored.arrays[f"edit/{which}/losses"]
    assert losses[0] < 1.2 * np.log(data.vocab_size) and losses[-1] < losses[0]


@pytest.mark.parametrize(("name", "step"), [("next", 1), ("previous", -1)])
def test_signatures_are_those_of_each_text(stored, name, step):
    """Cosines of laws counted place by place, raw within groups and about the mean of all chosen tokens."""
    data, edit = both()
    for which, text in zip(edited_text.TEXTS, (data, edit.data), strict=True):
        document = np.repeat(np.arange(len(text.offsets) - 1), np.diff(text.offsets))
        joined = document[1:] == document[:-1]
        here, there = (text.ids[:-1][joined], text.ids[1:][joined])[::step]
        laws = np.array([np.bincount(there[here == t], minlength=text.vocab_size) for t in edit.chosen.ravel()])
        laws = laws / laws.sum(axis=1, keepdims=True)
        whole = small.pairs(small.cosine(laws - laws.mean(axis=0)))
        np.testing.assert_allclose(stored.arrays[f"edit/{which}/{name}"], whole, atol=1e-3)
        inside = [small.pairs(small.cosine(group)) for group in laws.reshape(-1, HOW.size, text.vocab_size)]
        np.testing.assert_allclose(
            stored.arrays[f"edit/{which}/{name} raw"].reshape(len(inside), -1), inside, atol=1e-3
        )


def test_likeness_is_one_where_nothing_was_edited(stored):
    """By arm: phi^next is kept but where followers move, varphi^pre but where what precedes does."""
    likeness = stored.arrays["edit/likeness"].astype(float).reshape(2, 4, -1)
    kept = np.array([[False, True, False, True], [True, False, True, True]])
    assert (likeness[kept] > 0.999).all() and (likeness[~kept].mean(axis=1) < 0.95).all()
    assert (stored.arrays["edit/others"].astype(float).mean(axis=1) < 1).all()


def test_the_attention_signature_moves_less_than_the_next_token(stored):
    moved = {
        name: np.mean(stored.arrays[f"edit/edited/{name} raw"][0] - stored.arrays[f"edit/original/{name} raw"][0])
        for name in edited_text.SIGNATURES
    }
    assert moved["next"] > 0.1 and abs(moved["attention"]) < moved["next"] / 2 and abs(moved["previous"]) < 0.01


def test_a_run_is_found_again_without_its_text(stored):
    again = edited_text.trained("cc", never, scale="smoke", seed=0)
    assert again.origin == "runs" and again.name == stored.name
    with pytest.raises(AssertionError, match="the text was opened"):
        edited_text.trained("cc", never, scale="smoke", seed=1)


def test_an_interrupted_run_goes_on_to_the_same_numbers(stored, tmp_path, monkeypatch):
    """Stopped in the middle of the second training, with the state saved at every step: each text takes up its own."""
    loss, taken = training.chunked_loss, []

    def step(*parts):
        taken.append(1)
        if len(taken) == 71:
            raise KeyError("power")
        return loss(*parts)

    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    monkeypatch.setattr(drafts, "EVERY", -1.0)
    monkeypatch.setattr(training, "chunked_loss", step)
    with pytest.raises(KeyError, match="power"):
        edited_text.trained("cc", corpus, scale="smoke", seed=0)
    done = edited_text.trained("cc", corpus, scale="smoke", seed=0)
    assert len(taken) == 71 + 1 + (2 * 46 - 70)  # a finished training takes its last step again
    assert done.origin == "new" and done.arrays.keys() == stored.arrays.keys()
    assert all((done.arrays[key] == stored.arrays[key]).all() for key in done.arrays)


def test_scales_fit_their_texts():
    assert set(edited_text.SCALES) == {"smoke", "laptop"}
    for how in edited_text.SCALES.values():
        assert how.shape in SHAPES and 4 * how.groups * how.size <= how.last - how.first and how.size % 2 == 0


def test_an_unknown_scale_is_one_sentence():
    with pytest.raises(ValueError, match=r"^scale is 'paper': pass one of 'smoke', 'laptop'\.$"):
        edited_text.trained("cc", never, scale="paper", seed=0)
    assert runs_results.find("language-edit", {"scale": "paper"}) is None
