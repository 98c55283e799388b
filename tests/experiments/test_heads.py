"""Stored runs of models with several heads: what a run holds, against a training and signatures of one's own."""

import numpy as np
import pytest

from probsig import seeds
from probsig.experiments import heads
from probsig.experiments.language_model import SCALES
from probsig.geometry import small
from probsig.language import networks, training, updates
from probsig.language.networks import SHAPES, build
from probsig.language.signatures import TextSignatures

pytestmark = pytest.mark.slow

HOW = SCALES["smoke"]
STEPS = 46


@pytest.fixture(scope="module")
def stored(place, texts):
    return [heads.trained("cc", texts, distances=d, scale="smoke", seed=1) for d in ([2], [1, 4])]


@pytest.fixture(scope="module")
def text(texts):
    return TextSignatures(texts.sets(["cc"], HOW.tokens, HOW.keep, HOW.held).of("cc"), HOW.length)


def arrays(run):
    return {name.removeprefix("heads/"): array for name, array in run.arrays.items()}


def test_a_run_is_made_once_and_found_without_its_text(stored, untouched):
    one, two = stored
    assert [run.origin for run in stored] == ["new", "new"] and one.name != two.name
    again = heads.trained("cc", untouched(scale="smoke"), distances=(2,), scale="smoke", seed=1)
    assert (again.origin, again.name) == ("runs", one.name)
    with pytest.raises(AssertionError, match="a text was opened"):
        heads.trained("cc", untouched(scale="smoke"), distances=[2], scale="smoke", seed=2)
    assert two.config == {
        "corpus": "cc", "architecture": "qwen2.5", "scale": "smoke", "seed": 1, "distances": [1, 4], "tokens": 6_000,
        "held": 500, "keep": 200, "shape": "smoke", "batch": 4, "length": 32, "lr": 0.01, "looks": 4,
        "text": "stand-in",
    }  # fmt: skip


def test_what_is_stored(stored, text):
    n = len(heads.SIGNATURES)
    for run, k in zip(stored, (1, 2), strict=True):
        got = arrays(run)
        m = len(got["steps"])
        assert got["steps"][0] == 0 and got["steps"][-1] == got["epoch"][0] == STEPS
        assert {name: array.shape for name, array in got.items()} == {
            "steps": (m,), "rcos": (m, 2, 2, n), "unembedding": (m, k, 2, 2, 6), "0/null": (2, 2, n, 20),
            f"{STEPS}/null": (2, 2, n, 20), "training/loss": (m, k), "training/held": (m, k), "between": (2, 2, n, n),
            "ceilings": (2, 2, n), "sizes": (2,), "size": (3,), "epoch": (1,),
        }  # fmt: skip
        assert all(np.isfinite(array[1:] if name == "training/loss" else array).all() for name, array in got.items())
        assert (got["training/loss"][-1] < got["training/loss"][1] - 0.5).all()
        np.testing.assert_allclose(np.diagonal(got["between"], axis1=2, axis2=3), 1, atol=1e-6)
        assert got["sizes"].tolist() == [len(text.tokens)] * 2
        assert got["size"].tolist() == [HOW.tokens, len(text.data.offsets) - 1, text.data.vocab_size]
        assert sum(array.nbytes for array in got.values()) < 100_000
    one, two = (arrays(run) for run in stored)
    for name in ("between", "ceilings", "size"):
        assert np.array_equal(one[name], two[name])


def about_mean(rows, kind):
    rows = np.asarray(rows, dtype=float)
    return rows - rows.mean(axis=0) if kind == "centred" else rows


def test_the_last_look_is_that_of_a_training_of_ones_own(stored, text):
    """R_cos of W_E with every signature and of each head's W_U with what stands before a token, in dense matrices."""
    data = text.data
    model = build("qwen2.5", SHAPES["smoke"], data.vocab_size, seed=1, original=data.original, heads=2)
    recipe = updates.Recipe(batch=HOW.batch, length=HOW.length, lr=HOW.lr)
    training.train(model, data, recipe, seed=1, distances=[1, 4], device="cpu")
    W_E, *W_U = networks.rows(model, text.tokens, heads=True)
    got = arrays(stored[1])
    for k, kind in enumerate(heads.KINDS):
        for j, name in enumerate(heads.SIGNATURES):
            rows = about_mean(text.rows(name, text.tokens).toarray(), kind)
            expected = small.cosine_correlation(about_mean(W_E, kind), rows)
            assert got["rcos"][-1, k, 0, j] == pytest.approx(expected, abs=1e-5), name
            for i, other in enumerate(heads.SIGNATURES):
                other_rows = about_mean(text.rows(other, text.tokens).toarray(), kind)
                expected = small.cosine_correlation(rows, other_rows)
                assert got["between"][k, 1, j, i] == pytest.approx(expected, abs=1e-5), (name, other)
        for h, W in enumerate(W_U):
            for j, name in enumerate(heads.BEFORE):
                rows = about_mean(text.rows(name, text.tokens).toarray(), kind)
                expected = small.cosine_correlation(about_mean(W, kind), rows)
                assert got["unembedding"][-1, h, k, 0, j] == pytest.approx(expected, abs=1e-5), name
        np.testing.assert_array_equal(
            got["ceilings"][k].T, text.ceilings(heads.SIGNATURES, [len(text.tokens)] * 2, kind)
        )


def test_arms_start_alike_and_part(stored):
    one, two = (arrays(run) for run in stored)
    start, end = (np.abs(one["rcos"][k] - two["rcos"][k]).max() for k in (0, -1))
    assert start == 0 and end > 0.01
    assert np.array_equal(one["0/null"], two["0/null"])


def test_a_null_is_a_shuffle_of_tokens_of_a_similar_frequency(stored, text):
    """At one size of fewer than fifty tokens that is a shuffle of all; it is drawn anew for each kind's cosines."""
    got = arrays(stored[0])["0/null"]
    assert len(text.tokens) < 50 and np.array_equal(got[:, 0], got[:, 1])
    W = networks.rows(
        build("qwen2.5", SHAPES["smoke"], text.data.vocab_size, seed=1, original=text.data.original), text.tokens
    )
    own, rows = small.cosine(W[0].astype(float)), text.rows("next 1", text.tokens).toarray()
    order = seeds.stream(1, "frequency-matched null").permutation(len(text.tokens))
    by_frequency = np.argsort(-text.data.frequency[text.tokens], kind="stable")
    moved = np.empty(len(order), dtype=int)
    moved[by_frequency] = by_frequency[order]
    expected = np.corrcoef(small.pairs(own), small.pairs(small.cosine(rows[moved])))[0, 1]
    assert got[0, 0, 0, 0] == pytest.approx(expected, abs=1e-5)


def test_errors_name_the_culprit(place, texts):
    def asked(**changed):
        return heads.trained("cc", texts, **{"distances": [1], "scale": "smoke", "seed": 0} | changed)

    with pytest.raises(ValueError, match=r"^scale is 'paper': pass one of 'smoke', 'laptop'\.$"):
        asked(scale="paper")
    with pytest.raises(ValueError, match=r"^architecture is 'gpt': pass one of 'qwen2\.5', 'llama-2'\.$"):
        asked(architecture="gpt")
    with pytest.raises(ValueError, match="different whole numbers"):
        asked(distances=[0])
    with pytest.raises(ValueError, match=r"^heads is 0: pass 1 or more\.$"):
        asked(distances=[])
