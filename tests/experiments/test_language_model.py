"""A language model's run: what it stores; found again, gone on with after an interruption, and its errors."""

import functools
import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from probsig.language.analysis import Reference

from probsig import seeds
from probsig.experiments import language_model
from probsig.experiments.texts import training_sets
from probsig.language import analysis, training
from probsig.language.networks import SHAPES, build, embeddings
from probsig.language.training import Recipe
from probsig.runs import drafts
from probsig.runs import results as runs_results

TOKENS, SETS = 3_000, ("arxiv", "cc")
QWEN = {"architecture": "qwen2.5", "scale": "smoke", "tokens": TOKENS, "device": "cpu"}


@functools.cache
def sets():
    options = {"text": "stand-in", "scale": "smoke", "seed": 0, "tokenizer": "qwen2.5"}
    return training_sets(SETS, TOKENS, language_model.SCALES["smoke"].keep, **options)


def never():
    raise AssertionError("the texts were opened")


@pytest.fixture(scope="module")
def stored(place):
    return language_model.model("arxiv", sets, seed=0, epochs=2, **QWEN)


@pytest.fixture(scope="module")
def second(place):
    return language_model.model("arxiv", sets, seed=1, epochs=2, **QWEN)


@given(st.integers(1, 5000), st.integers(1, 6), st.integers(3, 30))
def test_looks_are_at_the_start_through_the_first_epoch_and_at_each_end(epoch, epochs, number):
    found = language_model.looks(epoch, epochs, number)
    assert found == sorted(set(found)) and all(isinstance(step, int) for step in found)
    assert found[0] == 0 and epoch in found and len([step for step in found if step <= epoch]) <= number
    assert [step for step in found if step > epoch] == [epoch * e for e in range(2, epochs + 1)]


def test_looks_grow_apart():
    found = language_model.looks(1953, 4, 16)
    assert found[:3] == [0, 65, 83] and found[-4:] == [1953, 3906, 5859, 7812] and len(found) == 19
    assert (np.diff(found[1:16], n=2) >= -1).all()
    assert language_model.looks(1, 1, 6) == [0, 1]


def test_scales_name_shapes_and_the_papers_numbers():
    assert all(scale.shape in SHAPES for scale in language_model.SCALES.values())
    paper = language_model.SCALES["paper"]
    assert (paper.tokens, paper.keep, paper.shape, paper.length, paper.lr) == (None, None, "paper", 2048, 1e-4)


def test_what_is_stored(stored):
    """Names, types and shapes: n tokens are compared, at one size; 23 steps an epoch; groups of 10, 12 and 7 tokens."""
    (data, _), groups = sets()
    n, epoch = len(Reference(data, 32).tokens), 23
    assert stored.origin == "new" and epoch == (TOKENS - 1) // 32 // 4 and 10 < n < 40
    expected = {
        "steps": (len(language_model.looks(epoch, 2, 6)),),
        "metric/loss": (7,),
        f"metric/next/{n}": (7,),
        f"metric/previous/{n}": (7,),
        "data/sizes": (1,),
        "data/least": (1,),
        "data/ceilings": (2, 1),
        "data/top": (n,),
        "data/size": (3,),
        "data/epoch": (1,),
        "data/digests": (2, 32),
        "data/cross_tokens": (2,),
        "data/common_tokens": (1,),
        **{f"data/names/{name}": (len(json.dumps(list(members))),) for name, members in groups.items()},
    }
    kept = {
        "rcos": (2, 2, 1),
        "bootstrap": (2, 1, 2),
        "shuffled": (2, 1, 20),
        "matched": (2, 1, 20),
        "by_token": (2, n),
        "similarity": (2, n),
        "table": (2, 10, 50),
        "means": (2, 10),
        "zeros": (2, 2),
        "heat": (2, 2, n, n),
        "leaders": (2, 2, 11),
        "cross": (2, 2),
        "common": (2, 2),
    }
    for name, members in (("digits", 10), ("months", 12), ("slashes", 7)):
        assert len(groups[name]) == members
        kept |= {f"{name}/count": (members,), f"{name}/embedding": (members,) * 2, f"{name}/next": (members,) * 2}
    for step in (0, epoch, 2 * epoch):
        expected |= {f"kept/{step}/{name}": shape for name, shape in kept.items()}
    assert {name: array.shape for name, array in stored.arrays.items()} == {
        f"model/{name}": shape for name, shape in expected.items()
    }


def test_facts_of_the_text(stored):
    (data, other), _ = sets()
    facts = {name.removeprefix("model/data/"): a for name, a in stored.arrays.items() if "/data/" in name}
    tokens = Reference(data, 32).tokens
    assert facts["sizes"].tolist() == [len(tokens)] and facts["epoch"].tolist() == [23]
    assert facts["least"].tolist() == [data.frequency[tokens].min()] and facts["least"] >= 50
    assert facts["size"].tolist() == [TOKENS, len(data.offsets) - 1, data.vocab_size]
    assert facts["top"].tolist() == data.kept[tokens].tolist()
    digests = [hashlib.sha256(one.ids.tobytes()).hexdigest() for one in (data, other)]
    assert [bytes(row).hex() for row in facts["digests"]] == digests
    assert ((facts["ceilings"] > 0) & (facts["ceilings"] <= 1)).all()
    tokens = analysis.shared([data, other], 500)
    assert facts["common_tokens"].tolist() == [len(tokens)] and facts["cross_tokens"][1] == len(tokens)
    assert json.loads(facts["names/digits"].tobytes()) == list("0123456789")


def test_the_start_is_that_of_the_initial_weights(stored):
    """The model of the scale's shape and seed, its embedding's variance that of the tokenizer's vocabulary."""
    (data, other), groups = sets()
    W = embeddings(build("qwen2.5", SHAPES["smoke"], data.vocab_size, seed=0, original=data.original))
    reference = Reference(data, 32)
    expected = analysis.analyse(*W, reference, 0)
    expected["leaders"] = analysis.leaderboard(*W, reference, len(reference.tokens))
    tokens = [analysis.shared([data, one], 500) for one in (data, other)]
    expected["cross"] = analysis.cross(*W, data, [data, other], tokens)
    expected["common"] = analysis.cross(*W, data, [data, other], [tokens[1]] * 2)
    expected["months/embedding"] = analysis.group(W[0], data, groups["months"])["embedding"]
    for name, array in expected.items():
        np.testing.assert_array_equal(stored.arrays[f"model/kept/0/{name}"], array, err_msg=name)
    last = {name: stored.arrays[f"model/kept/46/{name}"] for name in ("cross", "common")}
    assert np.array_equal(last["cross"][:, 1], last["common"][:, 1])  # two texts share what all share
    assert not np.isclose(last["cross"][:, 0], last["common"][:, 0]).any()  # its own text has more tokens than that


def test_a_model_learns_and_metrics_are_those_of_the_arrays(stored):
    n = int(stored.arrays["model/data/sizes"][0])
    assert stored.arrays["model/steps"].tolist() == language_model.looks(23, 2, 6)
    loss = stored.arrays["model/metric/loss"]
    assert np.isnan(loss[0]) and loss[-1] < loss[1] - 0.5
    at = stored.arrays["model/steps"].tolist()
    for s, side in enumerate(("next", "previous")):
        metric = stored.arrays[f"model/metric/{side}/{n}"]
        for step in (0, 23, 46):
            kept = stored.arrays[f"model/kept/{step}/rcos"][s, 0, 0]
            assert metric[at.index(step)] == pytest.approx(kept, abs=1e-12)


def test_a_run_is_found_again_without_opening_a_text(stored):
    again = language_model.model("arxiv", never, seed=0, epochs=2, **QWEN)
    assert again.origin == "runs" and again.name == stored.name and again.outdated == ()
    assert all(np.array_equal(again.arrays[name], array, equal_nan=True) for name, array in stored.arrays.items())
    names = {"probsig.language_" + name for name in ("models", "data", "training", "analysis", "experiments")}
    made_by = set(stored.record["modules"])
    assert names <= made_by
    assert not made_by & {
        "probsig.experiments.texts",
        "probsig.text.corpora",
        "probsig.text.sources.toy",
        "probsig.text.tokenizers",
    }


def test_the_config_says_what_a_run_is_of(stored, second):
    assert stored.config == {
        "corpus": "arxiv",
        "text": "stand-in",
        "architecture": "qwen2.5",
        "scale": "smoke",
        "seed": 0,
        "epochs": 2,
        "init": "vocab",
        "tokens": TOKENS,
        "keep": 150,
        "shape": "smoke",
        "batch": 4,
        "length": 32,
        "lr": 0.01,
    }
    plain = {"seed": 0, **QWEN}
    others = [{"seed": 1}, {"architecture": "llama-2"}, {"init": "hidden"}, {"init": 0.1}, {"epochs": 3}]
    others += [{"tokens": TOKENS + 1}, {"tokens": None}, {"text": "open"}]
    names = {run_name("arxiv", **plain), run_name("cc", **plain)}
    assert len(names | {run_name("arxiv", **{**plain, **other}) for other in others}) == 2 + len(others)
    assert run_name("arxiv", **{**plain, "device": "auto"}) in names  # where it ran is not what it is


def run_name(name, **options):
    """The name that a run would have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs_results, "run", lambda kind, config, *_, **__: runs_results.name_of(kind, config))
        return language_model.model(name, never, **options)


def test_two_seeds_differ_in_weights_and_order_and_not_in_the_text(stored, second):
    assert stored.name != second.name
    for name, array in stored.arrays.items():
        if name.startswith("model/data/") or name.endswith(("/count", "/next", "steps", "tokens")):
            assert np.array_equal(array, second.arrays[name], equal_nan=True), name
    for name in ("kept/0/rcos", "kept/46/rcos", "kept/46/cross", "kept/0/digits/embedding"):
        assert (stored.arrays[f"model/{name}"] != second.arrays[f"model/{name}"]).any(), name
    assert (stored.arrays["model/metric/loss"][1:] != second.arrays["model/metric/loss"][1:]).all()


def test_interrupted_a_run_goes_on_to_the_same_bits(place, tmp_path, stored, monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    monkeypatch.setattr(drafts, "EVERY", -1.0)  # save before every step
    steps, plain = [], training.chunked_loss

    def step(*arguments):
        steps.append(len(steps))
        if len(steps) == 31:
            raise KeyboardInterrupt
        return plain(*arguments)

    monkeypatch.setattr(training, "chunked_loss", step)
    with pytest.raises(KeyboardInterrupt):
        language_model.model("arxiv", sets, seed=0, epochs=2, **QWEN)
    assert runs_results.find("language-model", stored.config) is None
    done = language_model.model("arxiv", sets, seed=0, epochs=2, **QWEN)
    assert len(steps) == 31 + 46 - 30 and done.origin == "new"
    assert done.arrays.keys() == stored.arrays.keys()
    for name, array in stored.arrays.items():
        assert np.array_equal(done.arrays[name], array, equal_nan=True), name


def test_llama_2_at_one_epoch_keeps_the_start_and_the_end(place):
    one = language_model.model("cc", sets, seed=0, init="hidden", **{**QWEN, "architecture": "llama-2"})
    assert {name.split("/")[2] for name in one.arrays if "/kept/" in name} == {"0", "23"}
    assert one.arrays["model/steps"].tolist() == language_model.looks(23, 1, 6)
    W_E, _ = embeddings(build("llama-2", SHAPES["smoke"], sets()[0][1].vocab_size, init="hidden", seed=0))
    expected = analysis.group(W_E, sets()[0][1], sets()[1]["digits"])["embedding"]
    assert np.array_equal(one.arrays["model/kept/0/digits/embedding"], expected)


@pytest.mark.parametrize("scale", ["laptop", "paper"])
@pytest.mark.parametrize("says", ["1", "true"])
def test_ci_trains_nothing_long(place, monkeypatch, scale, says):
    monkeypatch.setenv("CI", says)
    with pytest.raises(runs_results.MissingRun, match=f"language-model-{scale}-seed0-.* is not in results/"):
        language_model.model("arxiv", never, architecture="qwen2.5", scale=scale, seed=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "gpt-2"}, "architecture is 'gpt-2': pass one of 'qwen2.5', 'llama-2'"),
        ({"scale": "huge"}, "scale is 'huge': pass one of 'smoke', 'laptop', 'paper'"),
        ({"init": "xavier"}, "init is 'xavier': pass one of"),
        ({"device": "tpu"}, "device is 'tpu': pass 'auto', 'cpu' or 'cuda'"),
        ({"epochs": 0}, "epochs is 0: pass a positive number"),
        ({"epochs": 1.5}, "epochs is 1.5: pass a whole number"),
        ({"tokens": 0}, "tokens is 0: pass 2 or more, or None for the scale's own"),
        ({"name": "nowhere"}, "There is no text 'nowhere' among 'arxiv', 'cc': pass one of them"),
    ],
)
def test_errors_name_the_culprit(place, options, message):
    with pytest.raises(ValueError, match=message):
        language_model.model(**{"name": "arxiv", "sets": sets, "seed": 5, **QWEN, **options})


def test_the_stream_of_the_order_is_the_seeds(stored):
    """The first loss of a run is that of the first rows in the order of its seed."""
    import torch

    data = sets()[0][0]
    model = build("qwen2.5", SHAPES["smoke"], data.vocab_size, seed=0, original=data.original)
    inputs, targets = (torch.from_numpy(rows).long() for rows in data.rows(32))
    first = torch.from_numpy(seeds.stream(0, "order", "0").permutation(len(inputs))[:4])
    logits = model(input_ids=inputs[first]).logits.reshape(-1, data.vocab_size)
    loss = torch.nn.functional.cross_entropy(logits, targets[first].reshape(-1))
    assert stored.arrays["model/steps"][1] == 1 and Recipe(batch=4, length=32).epoch(data) == 23
    assert stored.arrays["model/metric/loss"][1] == pytest.approx(loss.item(), rel=1e-6)
