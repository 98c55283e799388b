"""The addition experiment: its measurements against the modules that define them, and what smoke must show."""

from pathlib import Path

import numpy as np
import pytest

from probsig.addition import engines
from probsig.experiments import addition
from probsig.geometry import small
from probsig.laws.tasks import TASKS
from probsig.runs import files as runs_files
from probsig.signatures import laws as signatures_laws
from probsig.theory import flow
from probsig.theory.models import FeedForward, LinearModel, initial_weights

STORED = sorted(Path(__file__).parents[2].glob("results/addition-*/run.json"))
MODEL = {"linear": LinearModel(), "ffn": FeedForward("relu")}


@pytest.mark.parametrize("model", MODEL)
@pytest.mark.parametrize("task", TASKS)
def test_measurements_equal_their_definitions(task, model):
    config = addition.addition_config("laptop", seed=4)
    dist = TASKS[task]()
    W_E, W_U = initial_weights(200, 30, 0.5, 7)
    W_E[list(dist.groups["anchors"])] += 0.1 * np.arange(10)[:, None]  # some order among the anchors
    found = addition.measurement(dist, model, config)(0, W_E, W_U)
    sample = dist.sample(50_000, 4)
    for law, name in ((dist, "accuracy"), (sample, "sample_accuracy")):
        assert found[name] == pytest.approx(flow.accuracy(law, W_E, W_U, MODEL[model]), abs=1e-12)
    assert found["loss"] == pytest.approx(flow.loss(dist, W_E, W_U, MODEL[model]), abs=1e-12)
    anchors, labels = list(dist.groups["anchors"]), list(dist.groups["labels"])
    cosine = small.cosine(W_E[anchors])
    upper = [(i, j) for i in range(10) for j in range(i + 1, 10)]
    by_hand = np.corrcoef([cosine[pair] for pair in upper], [j - i for i, j in upper])[0, 1]
    assert found["R_order"] == pytest.approx(by_hand, abs=1e-12)
    varphi = signatures_laws.inverse(dist, labels)
    assert found["varphi_X"] == pytest.approx(small.cosine_correlation(W_U[labels], varphi), abs=1e-12)
    centred = [W - W.mean(axis=0) for W in (W_U[labels], varphi)]
    assert found["varphi_X_centred"] == pytest.approx(small.cosine_correlation(*centred), abs=1e-12)
    constant = {"add": ["phi_X"], "add_same": ["phi_y"], "mod": ["phi_y", "phi_X"]}[task]
    assert [name for name in ("phi_y", "phi_X", "phi_Xy") if np.isnan(found[name])] == constant


def test_distances_around_the_ring():
    dist = TASKS["mod"]()
    angle = 2 * np.pi * np.arange(40) / 40
    W = np.zeros((200, 2))
    W[list(dist.groups["labels"])] = np.column_stack([np.cos(angle), np.sin(angle)])
    config = addition.addition_config("smoke", seed=0)
    found = addition.measurement(dist, "linear", config)(0, W + 1e-9, W)
    assert found["ring"] < -0.97 and found["distance"] > -0.9


def test_a_cut_piece_has_the_first_steps_of_the_whole():
    config = addition.addition_config("smoke", seed=0, hidden_size=16, steps=20)
    whole, cut = (addition.piece(config, "mod", "ffn", steps=steps) for steps in (None, 10))
    assert cut["steps"].tolist() == [0, 1, 2, 4, 5, 8, 10] and cut["checkpoints"].tolist() == [0, 10]
    for name in ("loss", "norm_E"):
        assert np.array_equal(cut[name], whole[name][:7])
    shares = "explained/E/gated_third/share"
    assert cut["explained_steps"].tolist() == [0, 1, 2, 5, 10] and np.array_equal(cut[shares], whole[shares][:5])
    assert np.array_equal(cut["anchors"], whole["anchors"][:2]) and cut["labels"].shape == (2, 40, 16)
    assert cut["anchors"].dtype == np.float32 and cut["labels"].dtype == np.float16


def test_a_piece_at_the_protocol_follows_its_seed():
    def first(seed):
        return addition.piece(addition.addition_config("laptop", seed, hidden_size=8), "add", "linear", steps=200)

    a, b, c = first(0), first(0), first(1)
    assert np.array_equal(a["loss"], b["loss"]) and a["steps"].tolist() == [0, 20, 50, 100, 200]
    assert not np.array_equal(a["loss"], c["loss"])


def test_the_clock_of_the_checkpoints():
    paper, laptop, smoke = (addition.addition_config(scale, 0) for scale in ("paper", "laptop", "smoke"))
    epochs = [0, 20, 50, 120, 200, 500, 1000]
    assert addition.checkpoints(paper) == [500 * epoch for epoch in epochs]
    assert addition.checkpoints(laptop) == [50 * epoch for epoch in epochs]
    assert addition.checkpoints(smoke) == [0, 10, 25, 60, 100, 160]  # the end is kept


@pytest.mark.parametrize("task", TASKS)
def test_variants_of_the_task(task):
    config = addition.addition_config("smoke", 0, anchors=5, first_anchor=3, first_z=60, modulus=7, vocab_size=None)
    dist = addition.law_of(config, task)
    assert dist.vocab_size == len(np.union1d(dist.occurs(), dist.labels())) and len(dist.groups["anchors"]) == 5
    assert len(dist.X) == 5 * 5 * 7
    whole = addition.law_of(config | {"vocab_size": 200}, task)
    assert whole.groups["anchors"] == (3, 4, 5, 6, 7) and whole.vocab_size == 200


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"first_z": 15}, "id 15 is an anchor and also a value of z: keep the two sets disjoint"),
        ({"modulus": 0}, r"z is empty, so the modulus \|Z\| is 0"),
        ({"vocab_size": 120}, r"id 120 is outside 0\.\.119: pass vocab_size >= 141"),
    ],
)
def test_impossible_tasks_are_named(variant, message):
    with pytest.raises(ValueError, match=message):
        addition.law_of(addition.addition_config("smoke", 0, **variant), "mod")


def test_an_unknown_entry_is_named():
    with pytest.raises(TypeError, match="unknown entry 'epochs' of an addition config: choose one of scale, seed"):
        addition.addition_config("smoke", 0, epochs=3)


def test_a_deep_variant_is_measured_with_its_inner_matrix():
    config = addition.addition_config("smoke", 0, hidden_size=20, steps=8, depth=2, activation="tanh")
    found = addition.piece(config, "mod", "ffn")
    plain = addition.piece(config | {"depth": 1}, "mod", "ffn")
    assert found["explained_steps"].size == 0 and not np.array_equal(found["loss"], plain["loss"])
    rng = np.random.default_rng(0)
    W_E, W_U, inner = rng.standard_normal((200, 20)), rng.standard_normal((200, 20)), rng.standard_normal((20, 20))
    dist = TASKS["mod"]()
    F = np.tanh(np.tanh(W_E[dist.X].sum(axis=1)) @ inner.T) @ W_U.T
    right = (F.argmax(axis=1) == dist.y).mean()
    measured = addition.measurement(dist, "ffn", config)(0, W_E, W_U, inner)
    assert measured["accuracy"] == pytest.approx(right, abs=1e-12)


@pytest.mark.slow
def test_runs_on_a_gpu_are_stored_one_by_one(monkeypatch, tmp_path):
    """What a GPU trains together is split into the runs of each seed; here the array engine stands in for it."""
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    configs = [addition.addition_config("smoke", seed, hidden_size=6, steps=4) for seed in (0, 1)]
    monkeypatch.setattr(addition.engines, "resolve_device", lambda device: "cuda")
    usual = engines.engine
    monkeypatch.setattr(addition.engines, "engine", lambda *given: usual(*given[:-1], "cpu"))
    together = addition.addition_runs(configs)
    monkeypatch.undo()
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path / "alone"))
    alone = addition.addition_runs(configs, "cpu")
    for one, other in zip(together, alone, strict=True):
        assert one.name == other.name and one.arrays.keys() == other.arrays.keys()
        for name, array in one.arrays.items():
            np.testing.assert_allclose(array, other.arrays[name], atol=2e-3, equal_nan=True, err_msg=name)


@pytest.mark.slow
def test_smoke_shows_the_events():
    """A linear model learns f_add and not f_mod, whose anchors collapse; seconds, another seed than the chapter's."""
    config = addition.addition_config("smoke", seed=11)
    add, mod = (addition.piece(config, task, "linear") for task in ("add", "mod"))
    assert add["accuracy"][-1] > 0.7 and add["R_order"].min() < -0.95
    assert mod["accuracy"][-1] < 0.15 and mod["mean_cosine"][-1] > 0.95 and mod["loss"].min() > 2.79377
    assert mod["ring"][-1] < -0.95


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


@pytest.mark.parametrize("record", STORED, ids=lambda path: path.parent.name)
def test_the_first_steps_of_a_stored_run_can_be_done_again(record):
    """200 steps of one run of either engine, measured again, against what is stored (another CPU may round anew)."""
    described, arrays = runs_files.read_run(record.parent)
    for task, model in (("add_same", "linear"), ("mod", "ffn")):
        stored = {key.rsplit("/", 1)[1]: a for key, a in arrays.items() if key.startswith(f"{task}/{model}/")}
        again = addition.piece(described["config"], task, model, steps=addition.PREFIX)
        at = int(np.flatnonzero(stored["steps"] == addition.PREFIX)[0])
        assert again["steps"][-1] == addition.PREFIX
        for name in ("loss", "R_order", "mean_cosine", "norm_E", "norm_U", "varphi_X"):
            assert again[name][-1] == pytest.approx(stored[name][at], abs=1e-6, rel=1e-6), name
        assert np.array_equal(again["anchors"][0], stored["anchors"][0])
