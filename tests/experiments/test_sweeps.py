"""A point is trained as in `experiments.addition`, with fewer numbers kept; bad points are refused before any work."""

import numpy as np
import pytest

from probsig import runs
from probsig.experiments import addition, sweeps
from probsig.geometry import small
from probsig.laws import tasks

TINY = {"steps": 40, "samples": 2000, "hidden_size": 8}


def tiny(scale="laptop", seed=3, **more):
    return {**sweeps.variant_config(scale, seed, first_anchor=2, anchors=4, first_z=20, modulus=5), **TINY, **more}


@pytest.mark.parametrize("model", ["linear", "ffn"])
def test_a_piece_is_the_training_of_experiments(model):
    config = tiny(every=5)
    whole, kept = addition.piece(config, "mod", model), sweeps.piece(config, "mod", model)
    step = np.rint(kept["clock"] / config["learning_rate"]).astype(int)
    shared = np.intersect1d(step, whole["steps"])
    assert {0, 40} <= set(shared) and set(step) == set(sweeps.times(config))
    for name in sweeps.METRICS:
        here, there = kept[name][np.searchsorted(step, shared)], whole[name][np.searchsorted(whole["steps"], shared)]
        np.testing.assert_array_equal(here, there.astype(np.float32))
    cosines = small.cosine(whole["anchors"][-1])
    np.testing.assert_allclose(kept["cosines"][-1], cosines, atol=1e-3)
    assert kept["kept"][-1] == pytest.approx(40 * config["learning_rate"])


def test_the_exponents_name_standard_deviations():
    points = sweeps.init_points("laptop", 0, [0.4, 0.8, 1.6], hidden_size=100)
    assert [points[name]["init"] for name in ("0.4", "0.8", "1.6")] == pytest.approx([10**-0.8, 10**-1.6, 10**-3.2])
    by_exponent, by_name = (
        sweeps.piece(tiny(init=init), "add", "linear") for init in (float(TINY["hidden_size"] ** -0.8), "sd")
    )
    np.testing.assert_array_equal(by_exponent["R_order"], by_name["R_order"])


def test_times_are_even_in_the_logarithm():
    steps = np.array(sweeps.times(addition.addition_config("laptop", 0)))
    assert steps[0] == 0 and steps[1] == 50 and steps[-1] == 50_000
    ratios = np.diff(np.log10(steps[1:]))
    assert abs(ratios - 0.04).max() < 0.012 and len(steps) == 77
    by_clock = [np.array(sweeps.times(addition.addition_config(s, 0))) for s in ("laptop", "paper")]
    np.testing.assert_allclose(by_clock[0] * 1e-4, by_clock[1] * 1e-5, rtol=0.01)


def test_a_stored_sweep_is_found_again_and_read_by_seed(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    points = {"small": tiny(init=0.01), "large": tiny(init=1.0)}
    trainings = {"small": ["add/linear", "mod/ffn"], "large": ["add/linear"]}
    new, again = (sweeps.stored("sweep", points, trainings) for _ in range(2))
    assert (new.origin, again.origin) == ("new", "runs") and new.config == again.config
    assert {name.rpartition("/")[0] for name in again.arrays} == {
        "small/add/linear",
        "small/mod/ffn",
        "large/add/linear",
    }
    loss = runs.over([new, again], "small/mod/ffn/loss")
    assert loss.shape == (2, len(sweeps.times(points["small"]))) and loss.dtype == float
    np.testing.assert_array_equal(loss[0], sweeps.piece(points["small"], "mod", "ffn")["loss"])


def test_labels_fit_the_vocabulary():
    config = sweeps.variant_config("laptop", 0, first_anchor=21, anchors=16, modulus=60)
    assert addition.law_of(config, "add").labels().max() == config["vocab_size"] - 1 == 101 + 59 + 2 * 36
    assert sweeps.variant_config("laptop", 0)["vocab_size"] == 200 == tasks.addition().vocab_size
    assert sweeps.variant_config("laptop", 0, vocab_size=None)["vocab_size"] is None


@pytest.mark.parametrize(
    ("points", "trainings", "message"),
    [
        ({"a": tiny(), "b": tiny(seed=4)}, {"a": ["add/linear"]}, "one scale and one seed"),
        ({"a": tiny()}, {"a": []}, "has no training"),
        (
            {"a": tiny()},
            {"a": ["add/cubic"]},
            "the model of training 'add/cubic' is 'cubic': pass one of 'linear', 'ffn'",
        ),
        ({"a": tiny(first_z=4)}, {"a": ["mod/ffn"]}, "is an anchor and also a value of z"),
        ({"a": tiny(modulus=0)}, {"a": ["mod/ffn"]}, "modulus"),
    ],
)
def test_bad_points_are_refused_before_anything_is_trained(points, trainings, message, tmp_path, monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    with pytest.raises(ValueError, match=message):
        sweeps.stored("sweep", points, trainings)
    assert list(tmp_path.iterdir()) == []


def test_first_time():
    clock = np.array([0.0, 0.1, 0.3])
    values = np.array([[0.0, -0.95, -0.5], [0.0, -0.1, -0.92], [0.0, 0.0, 0.0]])
    assert sweeps.first_time(clock, values < -0.9).tolist() == [0.1, 0.3, np.inf]


@pytest.mark.slow
def test_the_collapse_outgrows_the_start():
    """The chapter's law: the peak of the mean cosine is s^2 / (s^2 + sigma^2) with one s for every start."""
    points = sweeps.init_points("smoke", 5, [0.4, 0.5, 0.8])
    short = {name: point | {"steps": 60} for name, point in points.items()}
    peaks = np.array([sweeps.piece(short[n], "mod", "linear")["mean_cosine"].max() for n in ("0.4", "0.5", "0.8")])
    moved = 200.0 ** -np.array([0.4, 0.5, 0.8]) * np.sqrt(peaks / (1 - peaks))
    assert peaks[0] < 0.8 < peaks[1] < 0.9 < peaks[2]
    np.testing.assert_allclose(moved, 0.16, rtol=0.1)
