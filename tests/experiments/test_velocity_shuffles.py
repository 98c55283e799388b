"""Stored shuffles of velocities: what is correlated, and that a shuffle undoes it."""

import numpy as np

from probsig.experiments import velocity, velocity_shuffles
from probsig.experiments.texts import Texts

OPTIONS = {"architecture": "qwen2.5", "scale": "smoke", "seed": 0}


def test_it_is_the_same_training_with_the_same_correlations(place):
    texts = Texts(scale="smoke")
    run = velocity_shuffles.shuffled("cc", texts, **OPTIONS)
    beside = velocity.velocities("cc", texts, norms=True, **OPTIONS)
    steps = run.arrays["shuffles/steps"].tolist()
    assert steps == beside.arrays["velocity/steps"].tolist()
    whole, own, later = run.arrays["shuffles/rcos"].T
    np.testing.assert_allclose(whole, beside.arrays["velocity/rcos"][:, 0], atol=1e-5)
    np.testing.assert_allclose(np.stack([own, later], axis=1), beside.arrays["velocity/parts_rcos"][..., 0], atol=1e-5)


def test_shuffles_are_of_every_look_and_part_and_undo_the_correlation(place):
    run = velocity_shuffles.shuffled("cc", Texts(scale="smoke"), **OPTIONS)
    null = run.arrays["shuffles/null"]
    assert null.shape[:2] == (len(run.arrays["shuffles/steps"]), len(velocity_shuffles.PARTS))
    own = velocity_shuffles.PARTS.index("own place")
    assert run.arrays["shuffles/rcos"][0, own] > null[0, own].max()
