"""Stored runs of language models' velocities: made once, found again, whole."""

import numpy as np
import pytest

from probsig.experiments import velocity
from probsig.experiments.language_model import SCALES
from probsig.language.networks import SHAPES, build
from probsig.language.shares import Judge
from probsig.language.velocity import FORMS, without_norms

pytestmark = pytest.mark.slow

HOW = SCALES["smoke"]


@pytest.fixture(scope="module")
def stored(place, texts):
    """The two smoke runs of one text, with norms and without."""
    options = {"architecture": "llama-2", "scale": "smoke", "seed": 3}
    return [velocity.velocities("cc", texts, norms=norms, **options) for norms in (True, False)]


def arrays(run):
    return {name.removeprefix("velocity/"): array for name, array in run.arrays.items()}


def test_when_a_share_has_fallen():
    assert velocity.held_until([0, 4, 8, 16], [0.8, 0.5, 0.39, 0.6]) == 8
    assert velocity.held_until([0, 4], [0.8, 0.4]) == np.inf
    assert np.isnan(velocity.held_until([0, 4], [0.0, 0.4]))


@pytest.mark.parametrize(("last", "steps"), [(1, [0, 1]), (4, [0, 4]), (5, [0, 4, 5]), (64, [0, 4, 8, 16, 32, 64])])
def test_looks_double(last, steps):
    assert velocity.looks(last) == steps


def test_a_run_is_made_once_and_found_without_its_text(stored, untouched):
    normed, bare = stored
    assert [run.origin for run in stored] == ["new", "new"] and normed.name != bare.name
    options = {"architecture": "llama-2", "scale": "smoke", "seed": 3}
    again = velocity.velocities("cc", untouched(scale="smoke"), norms=True, **options)
    assert (again.origin, again.name) == ("runs", normed.name)
    assert bare.config == {
        "corpus": "cc", "architecture": "llama-2", "norms": False, "scale": "smoke", "seed": 3, "init": "vocab",
        "tokens": 6_000, "held": 500, "keep": 200, "shape": "smoke", "batch": 4, "length": 32, "lr": 0.01, "looks": 4,
        "rows": None, "text": "stand-in",
    }  # fmt: skip


def test_what_is_stored(stored, texts):
    data = texts.sets(["cc"], HOW.tokens, HOW.keep, HOW.held).of("cc")
    goals = data.rows(HOW.length)[1]
    for run in stored:
        got = arrays(run)
        m, n = len(got["steps"]), len(FORMS)
        assert got["steps"].tolist() == [0, 4, 8, 16, 32, 46] and got["epoch"].tolist() == [46]
        look = {
            "cosine": (n,), "raw": (n,), "scale": (n,), "two": (3,), "band": (4, n), "weight": (4,), "rcos": (4,),
            "null": (2, 5, n), "map": (3,), "map_null": (3,), "parts": (2,), "parts_rcos": (2, 4), "ratio": (1,),
            "length": (1,), "loss": (1,), "training/loss": (1,), "training/held": (1,),
        }  # fmt: skip
        facts = {"steps": (m,), "epoch": (1,), "often": (data.vocab_size,), "size": (3,)}
        assert {name: array.shape for name, array in got.items()} == {k: (m, *s) for k, s in look.items()} | facts
        assert all(np.isfinite(array[1:] if name == "training/loss" else array).all() for name, array in got.items())
        np.testing.assert_allclose(got["weight"].sum(axis=1), 1)
        assert got["loss"][-1, 0] < got["loss"][0, 0] and got["training/held"][-1, 0] < got["training/held"][0, 0]
        assert got["size"].tolist() == [HOW.tokens, data.vocab_size, np.count_nonzero(goals >= 0)]
        assert got["often"].sum() == got["size"][2]
    assert sum(array.nbytes for array in stored[0].arrays.values()) < 50_000


def test_the_start_is_what_a_judge_says_of_the_initial_weights(stored, texts):
    data = texts.sets(["cc"], HOW.tokens, HOW.keep, HOW.held).of("cc")
    judge = Judge(*data.rows(HOW.length), data.vocab_size, seed=3)
    for run, change in zip(stored, (lambda model: model, without_norms), strict=True):
        model = change(build("llama-2", SHAPES["smoke"], data.vocab_size, seed=3, original=data.original))
        for name, array in judge.measure(model).items():
            np.testing.assert_array_equal(arrays(run)[name][0], array, err_msg=name)


def test_without_norms_the_stack_explains_the_start(stored):
    bare = arrays(stored[1])
    start = dict(zip(FORMS, bare["raw"][0], strict=True))
    assert start["stack"] > 0.9 and start["third_order"] > start["centred"]
    above = bare["cosine"][0] > bare["null"][0].max(axis=(0, 1))
    assert all(above[FORMS.index(form)] for form in ("centred", "third_order", "stack"))


def test_errors_name_the_culprit(place, untouched):
    def asked(**changed):
        options = {"architecture": "qwen2.5", "norms": True, "scale": "smoke", "seed": 0} | changed
        return velocity.velocities("cc", untouched(scale="smoke"), **options)

    with pytest.raises(ValueError, match=r"^scale is 'paper': pass one of 'smoke', 'laptop'\.$"):
        asked(scale="paper")
    with pytest.raises(ValueError, match=r"^architecture is 'gpt': pass one of 'qwen2\.5', 'llama-2'\.$"):
        asked(architecture="gpt")
    with pytest.raises(AssertionError, match="a text was opened"):
        asked()


def test_the_scales_are_those_of_the_models():
    assert velocity.ROWS.keys() < SCALES.keys()
