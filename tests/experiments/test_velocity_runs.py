"""Stored runs of language models' gradients: made once, found again, whole."""

import numpy as np
import pytest

from probsig.experiments import velocity
from probsig.language.networks import SHAPES
from probsig.language.velocity import FORMS
from probsig.text.sources.toy import ToyCorpus
from probsig.text.training_set import training_set


def test_when_a_share_has_fallen():
    assert velocity.held_until([0, 4, 8, 16], [0.8, 0.5, 0.39, 0.6]) == 8
    assert velocity.held_until([0, 4], [0.8, 0.4]) == np.inf
    assert np.isnan(velocity.held_until([0, 4], [0.0, 0.4]))


@pytest.fixture(scope="module")
def stored(place, toys):
    """The two smoke runs of one text, and how often it was opened."""
    sets, opened = toys
    made = [
        velocity.gradients("toy", sets, architecture="llama-2", norms=norms, scale="smoke", seed=3)
        for norms in (True, False, True)
    ]
    return made, len(opened)


def test_a_run_is_made_once_and_found_again(stored):
    (normed, bare, again), opened = stored
    assert [run.origin for run in (normed, bare, again)] == ["new", "new", "runs"]
    assert opened == 2
    assert normed.name != bare.name
    assert normed.name == again.name
    for run in (normed, bare):
        steps = run.arrays["gradient/steps"]
        assert steps.tolist() == [0, 4, 8, 16, 32, 46]
        for name, shape in {
            "cosine": (10,), "raw": (10,), "scale": (10,), "two": (3,), "band": (4, 10), "weight": (4,), "rcos": (4,),
            "null": (2, 5, 10), "map": (3,), "map_null": (3,), "ratio": (1,), "length": (1,), "loss": (1,),
        }.items():  # fmt: skip
            array = run.arrays[f"gradient/{name}"]
            assert array.shape == (len(steps), *shape)
            assert np.isfinite(array).all()
        assert np.allclose(run.arrays["gradient/weight"].sum(axis=1), 1)
        assert run.arrays["gradient/loss"][-1, 0] < run.arrays["gradient/loss"][0, 0]
    assert sum(array.nbytes for array in normed.arrays.values()) < 50_000


def test_without_norms_the_stack_explains_the_start(stored):
    (_, bare, _), _ = stored
    start = dict(zip(FORMS, bare.arrays["gradient/raw"][0], strict=True))
    assert start["stack"] > 0.9
    assert start["third_order"] > start["centred"]
    assert (bare.arrays["gradient/cosine"][0] > bare.arrays["gradient/null"][0].max(axis=(0, 1)))[[1, 5, 6]].all()


def test_errors_name_the_culprit(monkeypatch, tmp_path):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))

    def asked(name="toy", **changed):
        options = {"architecture": "qwen2.5", "norms": True, "scale": "smoke", "seed": 0}
        return velocity.gradients(
            name, lambda: [training_set(ToyCorpus.of(0), 2_000, 50, 0, "toy")], **options | changed
        )

    with pytest.raises(ValueError, match=r"scale is 'huge'"):
        asked(scale="huge")
    with pytest.raises(ValueError, match=r"architecture is 'gpt'"):
        asked(architecture="gpt")
    with pytest.raises(ValueError, match="'web' is not among the texts toy"):
        asked("web")


def test_the_shapes_of_the_scales_are_there():
    assert {how.shape for how in velocity.SCALES.values()} <= SHAPES.keys()
