"""A stopped training goes on from its own draft to the same bits, and takes up no other's."""

import numpy as np
import pytest

from probsig.addition.training import train
from probsig.laws.distribution import Distribution
from probsig.laws.tasks import addition
from probsig.runs import drafts
from probsig.runs.drafts import Draft

LAW = addition(anchors=range(1, 3), z=range(5, 8), vocab_size=12)
OPTIONS = {
    "seed": 0,
    "init": 0.3,
    "hidden_size": 4,
    "batch": 2,
    "samples": 8,
    "steps": 8,
    "learning_rate": 0.1,
    "checkpoints": [0, 4, 8],
    "measure_at": [0, 2, 4, 6, 8],
}
CHANGES = {
    "another init": {"init": 0.2},
    "another reading of the init": {"init": "torch"},
    "other weights to go on from": {"init": (np.ones((12, 4)), np.ones((12, 4)))},
    "another seed": {"seed": 1},
    "another law of that name": {"law": Distribution(LAW.X, LAW.y, LAW.weight + np.arange(len(LAW.X)), 12, LAW.name)},
    "another name of that law": {"law": Distribution(LAW.X, LAW.y, LAW.weight, 12, "other")},
    "a larger vocabulary": {"law": Distribution(LAW.X, LAW.y, LAW.weight, 13, LAW.name)},
    "other checkpoints": {"checkpoints": [1, 8]},
    "other steps to measure": {"measure_at": [1, 3, 8]},
    "another hidden size": {"hidden_size": 5},
    "another type": {"dtype": np.float64},
    "another model": {"model": "ffn"},
    "more steps": {"steps": 9, "checkpoints": [0, 4, 9]},
    "another rate": {"learning_rate": 0.2},
    "another batch": {"batch": 4},
    "another sample": {"samples": 10},
    "the whole law": {"batch": None},
    "another optimiser": {"optimiser": "sgd"},
}


def trained(draft=None, stop=None, measured=None, **changes):
    """Train a tiny model; `stop` is the step at which its measure breaks off, `measured` collects the steps."""

    def measure(step, W_E, W_U):
        if measured is not None:
            measured.append(step)
        if step == stop:
            raise KeyboardInterrupt
        return {"norm": float(np.linalg.norm(W_E)), "sum": float(W_U.sum())}

    options = {"law": LAW, "model": "linear", **OPTIONS, **changes}
    return train(options.pop("law"), options.pop("model"), measure=measure, draft=draft, **options)


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("steps", "checkpoints", "W_E", "W_U")
    ) and (
        one.metrics.keys() == other.metrics.keys()
        and all(np.array_equal(one.metrics[name], other.metrics[name]) for name in one.metrics)
    )


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """The draft of a training that broke off after six of eight steps."""
    monkeypatch.setattr(drafts, "EVERY", -1)
    with pytest.raises(KeyboardInterrupt):
        trained(Draft(tmp_path / "draft"), stop=6)
    return Draft(tmp_path / "draft")


def test_its_own_draft_is_taken_up_to_the_same_bits(stopped):
    measured = []
    assert same(trained(stopped, measured=measured), trained()) and measured == [6, 8]


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_the_draft_of_another_training_is_not_taken_up(changes, stopped):
    measured = []
    found = trained(stopped, measured=measured, **changes)
    assert same(found, trained(**changes)) and measured == changes.get("measure_at", OPTIONS["measure_at"])
