"""A replay sees what today's code gives otherwise, and nothing else."""

import numpy as np
import pytest

from probsig import runs
from probsig.experiments import addition, heads, language_model, replays
from probsig.experiments.texts import Texts
from probsig.runs import files


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    monkeypatch.setattr(replays, "STEPS", 8)
    return tmp_path


def stored(run, folder):
    return files.read_run(folder / run.name)


def of_addition(folder):
    config = addition.addition_config("smoke", 0, hidden_size=5, steps=12)
    return stored(runs.run("addition", config, addition.addition(config)), folder)


def test_the_same_code_gives_the_same_bits(folder):
    record, arrays = of_addition(folder)
    seen = replays.replay(record, arrays)
    assert seen["apart"] == 0.0 and seen["arrays"] == record["arrays"]["sha256"]
    assert seen["code"] == record["code"]["digest"] and seen["numbers"] > 6 * 3 * 10


@pytest.mark.parametrize("name", ["add/linear/R_order", "mod/ffn/anchors"])
def test_another_number_is_seen(name, folder):
    record, arrays = of_addition(folder)
    changed = arrays | {name: arrays[name].copy()}
    changed[name][0] += 1e-3
    with pytest.raises(replays.Differs, match=f"{name} is off by"):
        replays.replay(record, changed)


def test_what_comes_after_the_first_steps_is_not_looked_at(folder):
    record, arrays = of_addition(folder)
    changed = arrays | {"add/linear/R_order": np.append(arrays["add/linear/R_order"][:-1], 7.0)}
    assert replays.replay(record, changed)["apart"] == 0.0


def test_a_language_model_is_replayed_from_its_texts(folder, monkeypatch):
    texts = Texts(scale="smoke")
    one = language_model.trained(["cc"], [0], texts, scale="smoke", beside=(*replays.NAMES, *replays.FURTHER))["cc"][0]
    two = heads.trained("cc", texts, distances=[1, 2], scale="smoke", seed=0)
    for run in (one, two):
        record, arrays = stored(run, folder)
        assert replays.replay(record, arrays)["apart"] == 0.0
    with pytest.raises(replays.Differs, match="other texts"):
        replays.replay(record | {"inputs": "0" * 64}, arrays)


def test_a_kind_without_a_replay_is_named():
    with pytest.raises(ValueError, match="'language-cost'"):
        replays.replay({"kind": "language-cost"}, {})
