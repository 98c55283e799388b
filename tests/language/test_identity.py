"""A stopped training of a language model goes on from its own draft to the same bits, and takes up no other's."""

from dataclasses import replace

import numpy as np
import pytest

from probsig.language import networks, training, updates
from probsig.runs import drafts
from probsig.runs.drafts import Draft
from probsig.text.sources.toy import ToyCorpus
from probsig.text.training_set import training_set

DATA = training_set(ToyCorpus.of(0), 400, 150, 0, "toy", held=40)
SHAPE = networks.Shape(layers=1, heads=2, head_dim=4, hidden=8, ffn=8)
RECIPE = updates.Recipe(batch=2, length=16, lr=1e-2)
OTHER = replace(DATA, ids=np.roll(DATA.ids, 1))
CHANGES = {
    "another text of that name and size": {"data": OTHER},
    "other borders of its documents": {"data": replace(DATA, offsets=DATA.offsets[[0, *range(2, len(DATA.offsets))]])},
    "other documents held out": {"held": replace(DATA.held, ids=np.roll(DATA.held.ids, 1))},
    "none held out": {"held": None},
    "another init": {"init": 0.3},
    "another seed of the weights": {"drawn": 1},
    "another seed": {"seed": 1},
    "more heads in the same matrices": {"shape": replace(SHAPE, heads=4, head_dim=2)},
    "another shape": {"shape": replace(SHAPE, ffn=12)},
    "another architecture": {"architecture": "llama-2"},
    "other looks": {"look_at": [1, 12]},
    "another rate": {"recipe": replace(RECIPE, lr=2e-2)},
    "two epochs": {"recipe": replace(RECIPE, epochs=2)},
    "longer rows": {"recipe": replace(RECIPE, length=20), "look_at": [0, 4, 8]},
    "another distance": {"distances": (2,)},
}


def trained(draft=None, stop=None, seen=None, **changes):
    """Train a tiny network; `stop` is the step at which its look breaks off, `seen` collects the steps."""
    told = {"data": DATA, "architecture": "qwen2.5", "shape": SHAPE, "init": "vocab", "drawn": 0, "seed": 0}
    told |= {"held": DATA.held, "recipe": RECIPE, "look_at": [0, 4, 8, 12], "distances": (1,), **changes}

    def look(step, model):
        if seen is not None:
            seen.append(step)
        if step == stop:
            raise KeyboardInterrupt
        return {"": {"W_E": model.get_input_embeddings().weight.detach().numpy().copy()}}

    sizes = {"vocab_size": told["data"].vocab_size, "original": told["data"].original}
    model = networks.build(told["architecture"], told["shape"], init=told["init"], seed=told["drawn"], **sizes)
    options = {name: told[name] for name in ("seed", "held", "look_at", "distances")}
    return training.train(model, told["data"], told["recipe"], look=look, device="cpu", draft=draft, **options).arrays()


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key], equal_nan=True) for key in one)


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """The draft of a training that broke off after eight of twelve steps."""
    monkeypatch.setattr(drafts, "EVERY", -1)
    with pytest.raises(KeyboardInterrupt):
        trained(Draft(tmp_path / "draft"), stop=8)
    return Draft(tmp_path / "draft")


def test_its_own_draft_is_taken_up_to_the_same_bits(stopped):
    seen = []
    assert same(trained(stopped, seen=seen), trained()) and seen == [8, 12]


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_the_draft_of_another_training_is_not_taken_up(changes, stopped):
    seen = []
    found = trained(stopped, seen=seen, **changes)
    assert same(found, trained(**changes)) and seen == changes.get("look_at", [0, 4, 8, 12])
