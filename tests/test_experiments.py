"""The addition experiment: its measurements against the modules that define them, and what smoke must show."""

import numpy as np
import pytest

from probsig import experiments, flow, geometry, signatures
from probsig.models import FeedForward, LinearModel, initial_weights
from probsig.tasks import TASKS

MODEL = {"linear": LinearModel(), "ffn": FeedForward("relu")}


@pytest.mark.parametrize("model", MODEL)
@pytest.mark.parametrize("task", TASKS)
def test_measurements_equal_their_definitions(task, model):
    config = experiments.addition_config("laptop", seed=4)
    dist = TASKS[task]()
    W_E, W_U = initial_weights(200, 30, 0.5, 7)
    W_E[list(dist.groups["anchors"])] += 0.1 * np.arange(10)[:, None]  # some order among the anchors
    found = experiments.measurement(dist, model, config)(0, W_E, W_U)
    sample = dist.sample(50_000, 4)
    for law, name in ((dist, "accuracy"), (sample, "sample_accuracy")):
        assert found[name] == pytest.approx(flow.accuracy(law, W_E, W_U, MODEL[model]), abs=1e-12)
    assert found["loss"] == pytest.approx(flow.loss(dist, W_E, W_U, MODEL[model]), abs=1e-12)
    anchors, labels = list(dist.groups["anchors"]), list(dist.groups["labels"])
    cosine = geometry.cosine(W_E[anchors])
    upper = [(i, j) for i in range(10) for j in range(i + 1, 10)]
    by_hand = np.corrcoef([cosine[pair] for pair in upper], [j - i for i, j in upper])[0, 1]
    assert found["R_order"] == pytest.approx(by_hand, abs=1e-12)
    varphi = signatures.inverse(dist, labels)
    assert found["varphi_X"] == pytest.approx(geometry.cosine_correlation(W_U[labels], varphi), abs=1e-12)
    constant = {"add": ["phi_X"], "add_same": ["phi_y"], "mod": ["phi_y", "phi_X"]}[task]
    assert [name for name in ("phi_y", "phi_X", "phi_Xy") if np.isnan(found[name])] == constant


def test_distances_around_the_ring():
    dist = TASKS["mod"]()
    angle = 2 * np.pi * np.arange(40) / 40
    W = np.zeros((200, 2))
    W[list(dist.groups["labels"])] = np.column_stack([np.cos(angle), np.sin(angle)])
    config = experiments.addition_config("smoke", seed=0)
    found = experiments.measurement(dist, "linear", config)(0, W + 1e-9, W)
    assert found["ring"] < -0.97 and found["distance"] > -0.9


def test_a_cut_piece_has_the_first_steps_of_the_whole():
    config = experiments.addition_config("smoke", seed=0, hidden_size=16) | {"steps": 20, "checkpoints": [0, 4, 20]}
    whole, cut = (experiments.piece(config, "mod", "ffn", steps=steps) for steps in (None, 8))
    assert cut["steps"].tolist() == [0, 4, 8] and cut["checkpoints"].tolist() == [0, 4]
    for name in ("loss", "norm_E"):
        assert np.array_equal(cut[name], whole[name][:3])
    assert np.array_equal(cut["anchors"], whole["anchors"][:2]) and cut["labels"].shape == (2, 40, 16)


def test_a_piece_at_the_protocol_follows_its_seed():
    def first(seed):
        return experiments.piece(experiments.addition_config("laptop", seed, hidden_size=8), "add", "linear", steps=200)

    a, b, c = first(0), first(0), first(1)
    assert np.array_equal(a["loss"], b["loss"]) and a["steps"].tolist() == [0, 200]
    assert not np.array_equal(a["loss"], c["loss"]) and a["anchors"].dtype == np.float32


def test_smoke_shows_the_events():
    """A linear model learns f_add and not f_mod, whose anchors collapse; seconds, another seed than the chapter's."""
    config = experiments.addition_config("smoke", seed=11)
    add, mod = (experiments.piece(config, task, "linear") for task in ("add", "mod"))
    assert add["accuracy"][-1] > 0.7 and add["R_order"].min() < -0.95
    assert mod["accuracy"][-1] < 0.15 and mod["mean_cosine"][-1] > 0.95 and mod["loss"].min() > 2.79377
    assert mod["ring"][-1] < -0.95
