"""Stored runs of the addition tasks side by side: read where they stand, by seed."""

import numpy as np
import pytest

from probsig.experiments import addition
from probsig.geometry import small
from probsig.runs import results as runs_results


def run(seed):
    stream = np.random.default_rng(seed)
    made = {"steps": np.array([0, 3, 7, 20]), "checkpoints": np.array([0, 7, 20]), "R_order": stream.normal(size=4)}
    return {f"{task}/linear/{name}": array for task in ("add", "mod") for name, array in made.items()}


def test_seeds_stand_side_by_side():
    runs = [run(seed) for seed in range(3)]
    over = runs_results.Over(runs)
    assert np.array_equal(over("mod", "linear", "R_order"), [one["mod/linear/R_order"] for one in runs])
    for which, place in ((0, 0), (1, 2), (-1, 3)):
        assert np.array_equal(over.at("add", "linear", "R_order", which), over("add", "linear", "R_order")[:, place])
    with pytest.raises(KeyError):
        over("add", "ffn", "R_order")


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_the_stage_of_the_papers_figures_is_a_checkpoint(scale):
    config = addition.addition_config(scale, 0)
    clock = addition.Clock.of(config)
    kept = addition.checkpoints(config)
    stage = clock.stage(config, -1)
    assert kept[stage] * config["learning_rate"] == pytest.approx(0.6)
    assert clock.stage(config, kept[-1] // clock.per_epoch) == len(kept) - 1
    with pytest.raises(
        ValueError, match=rf"^epoch 99999 was not kept: choose one of .* \({clock.unit}s of this scale\)\.$"
    ):
        clock.stage(config, 99_999)


def test_a_null_is_small_where_names_say_nothing_and_absent_without_variance():
    stream = np.random.default_rng(0)
    W, other = stream.normal(size=(2, 12, 30))
    assert 0 < small.null_size(W, other, seed=1) < 0.6
    assert small.null_size(W, other, seed=1) == small.null_size(W, other, seed=1)
    assert np.isnan(small.null_size(W, np.ones((12, 3)), seed=1))


def test_a_plane_is_of_the_principal_components():
    rows = np.random.default_rng(1).normal(size=(9, 5))
    coords, share = small.plane(rows)
    expected, expected_share = small.pca(rows)
    assert np.array_equal(coords, expected) and np.array_equal(share, expected_share)
