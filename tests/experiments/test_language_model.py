"""A language model's run: what it is of, what it stores; found again, gone on with after an interruption; how it is
read; and a text of one's own, edited.
"""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probsig import seeds
from probsig.experiments import language_model, makers
from probsig.experiments.language_model import at, course, data, epoch, last, looks, over, rows, trained
from probsig.experiments.makers import Means
from probsig.experiments.texts import GROUPS, Texts
from probsig.language import training, updates
from probsig.language.measures import LEADERS, Measures, small
from probsig.language.networks import SHAPES, build, embeddings
from probsig.runs import drafts
from probsig.runs import results as runs_results
from probsig.text.tokenizers import Tokenizer

pytestmark = pytest.mark.slow

TOKENS, BESIDE = 2_500, ("arxiv", "cc")
SMOKE = {"scale": "smoke", "tokens": TOKENS, "beside": BESIDE}
EPOCH = 19  # steps


@pytest.fixture(scope="module")
def models(place, texts):
    return trained(["arxiv"], [0, 1], texts, epochs=2, **SMOKE)["arxiv"]


@pytest.fixture(scope="module")
def sets(texts):
    how = language_model.SCALES["smoke"]
    return texts.sets(BESIDE, TOKENS, how.keep, how.held)


@pytest.fixture(scope="module")
def measures(sets):
    return Measures(sets.of("arxiv"), sets.sets, sets.groups, 32, 0)


@given(st.integers(1, 5000), st.integers(1, 6), st.integers(1, 30))
def test_looks_are_some_in_each_decade_and_the_ends_of_the_first_epoch_and_the_last(steps, epochs, number):
    found, end = looks(steps, epochs, number), steps * epochs
    assert found == sorted(set(found)) and all(type(step) is int for step in found)
    assert {0, steps, end} <= set(found) and found[-1] == end
    number = round(number * np.log10(end)) if end > 1 else 0
    grid = end ** (np.arange(number + 1) / max(number, 1))
    for wanted in grid[1:]:
        assert min(abs(wanted - step) for step in found) <= 0.5 + 1e-6
    for step in set(found) - {0, steps, end}:
        assert min(abs(wanted - step) for wanted in grid) <= 0.5 + 1e-6


def test_looks_by_hand():
    """Three in a decade: the powers of the cube root of ten, 2.15, rounded."""
    assert looks(1000, 1, 3) == [0, 1, 2, 5, 10, 22, 46, 100, 215, 464, 1000]
    assert looks(1, 1, 6) == [0, 1] and looks(2, 3, 1) == [0, 1, 2, 6]


def test_scales_name_shapes_and_the_papers_numbers():
    assert all(scale.shape in SHAPES for scale in language_model.SCALES.values())
    paper = language_model.SCALES["paper"]
    assert (paper.tokens, paper.keep, paper.shape, paper.length, paper.lr) == (None, None, "paper", 2048, 1e-4)


def test_one_run_a_text_and_a_seed(models):
    assert [run.config["seed"] for run in models] == [0, 1] and [run.origin for run in models] == ["new", "new"]
    assert len({run.name for run in models}) == 2


def test_what_is_stored(models, sets, measures):
    """Names, types and shapes: n tokens are compared, at one size; groups of 10, 12, 7 and 10 tokens; two looks in full
    after the start."""
    stored, own = models[0], sets.of("arxiv")
    n, m, d = len(measures.tokens), len(looks(EPOCH, 2, 4)), SHAPES["smoke"].hidden
    kept = len(measures.kept_rows)
    assert 10 < n < 40 and n < kept < own.vocab_size
    expected = {
        "steps": (m,), "training/loss": (m, 1), "training/held": (m, 1), "rcos": (m, 2, 2, 1), "spearman": (m, 2, 1),
        "percentiles": (m, 2, 10), "leaders": (m, 2, 2, len(LEADERS)), "norms": (m, 2), "data/sizes": (1,),
        "data/watched": (1,), "data/least": (1,), "data/ceilings": (2, 1), "data/top": (n,), "data/kept": (kept,),
        "data/frequency": (kept,), "data/size": (3,), "data/epoch": (1,), "data/cross_tokens": (2,),
        "data/common_tokens": (1,),
    }  # fmt: skip
    for group in GROUPS:
        k = len(sets.groups[group])
        pairs = k * (k - 1) // 2
        expected |= {f"{group}/{key}": (m, pairs) for key in ("W_E", "W_U")} | {f"data/{group}/count": (k,)}
        expected |= {f"data/{group}/{key}": (pairs,) for key in ("next", "previous")}
        expected[f"data/names/{group}"] = (len(json.dumps(list(sets.groups[group]))),)
    assert [len(sets.groups[group]) for group in ("digits", "months", "slashes", "letters")] == [10, 12, 7, 10]
    full = {
        "rcos": (2, 1), "bootstrap": (1, 2), "shuffled": (1, 20), "matched": (1, 20), "by_token": (n,),
        "similarity": (n,), "table": (10, 50), "means": (10,), "zeros": (2,), "heat": (2, n, n),
    }  # fmt: skip
    for step in (0, EPOCH, 2 * EPOCH):
        expected |= {f"{step}/{side}/{key}": shape for side in ("next", "previous") for key, shape in full.items()}
        expected |= {f"{step}/others/{key}": (2, 2) for key in ("cross", "common")}
        if step:
            expected |= {f"{step}/{W}/rows": (kept, d) for W in ("W_E", "W_U")}
            expected |= {f"{step}/{W}/scale": (kept,) for W in ("W_E", "W_U")}
    assert {name: array.shape for name, array in stored.arrays.items()} == {
        f"model/{k}": s for k, s in expected.items()
    }
    assert stored.arrays[f"model/{EPOCH}/W_E/rows"].dtype == np.int8
    assert stored.record["inputs"] == sets.digest()


def test_facts_of_the_text(models, sets, measures):
    stored, own = models[0], sets.of("arxiv")
    assert data(stored, "size").tolist() == [TOKENS, len(own.offsets) - 1, own.vocab_size]
    for key, array in measures.about().items():
        np.testing.assert_array_equal(data(stored, key), array, err_msg=key)
    assert json.loads(data(stored, "names/digits").tobytes()) == list("0123456789")
    assert epoch(stored) == EPOCH == (TOKENS - 1) // 32 // 4 and last(stored) == 2 * EPOCH


def test_the_start_is_that_of_the_initial_weights(models, sets, measures):
    """The model of the scale's shape and seed, its embedding's variance that of the tokenizer's vocabulary."""
    own = sets.of("arxiv")
    W = embeddings(build("qwen2.5", SHAPES["smoke"], own.vocab_size, seed=0, original=own.original))
    expected = measures.watched(*(one[measures.watched_rows] for one in W))
    for name, array in expected.items():
        np.testing.assert_array_equal(models[0].arrays[f"model/{name}"][0], array, err_msg=name)
    for side, one in zip(("next", "previous"), W, strict=True):
        for name, array in measures.analysed(side, one[measures.tokens]).items():
            np.testing.assert_array_equal(at(models[0], 0, f"{side}/{name}"), array, err_msg=name)
    for name, array in measures.crossed(*(one[measures.crossed_rows] for one in W)).items():
        np.testing.assert_array_equal(at(models[0], 0, f"others/{name}"), array, err_msg=name)


def test_the_end_is_that_of_a_training_of_ones_own(models, sets, measures):
    own = sets.of("arxiv")
    model = build("qwen2.5", SHAPES["smoke"], own.vocab_size, seed=0, original=own.original)
    recipe = updates.Recipe(epochs=2, batch=4, length=32, lr=1e-2)
    training.train(model, own, recipe, seed=0, device="cpu")
    for key, W in zip(("W_E", "W_U"), embeddings(model), strict=True):
        rounded, scale = small(W[measures.kept_rows])
        np.testing.assert_array_equal(at(models[0], 2 * EPOCH, f"{key}/rows"), rounded)
        np.testing.assert_array_equal(rows(models[0], key), rounded * scale[:, None].astype(float))
        np.testing.assert_allclose(rows(models[0], key), W[measures.kept_rows], atol=np.abs(W).max() / 250)
    assert not np.array_equal(rows(models[0], "W_E", EPOCH), rows(models[0], "W_E"))


def test_a_model_learns(models):
    loss, held = (models[0].arrays[f"model/training/{key}"][:, 0] for key in ("loss", "held"))
    assert np.isnan(loss[0]) and loss[-1] < loss[1] - 0.5 and held[-1] < held[0] - 0.5


def test_arrays_are_read_where_they_stand(models):
    run = models[0]
    assert np.array_equal(at(run, EPOCH, "next/heat"), run.arrays[f"model/{EPOCH}/next/heat"])
    values = over(models, "next/rcos")
    assert values.shape == (2, 2, 1)
    np.testing.assert_array_equal(values[1], models[1].arrays[f"model/{last(run)}/next/rcos"])
    np.testing.assert_array_equal(over(models, "next/rcos", 0)[0], run.arrays["model/0/next/rcos"])
    steps, many = course(models, "rcos")
    assert steps.tolist() == looks(EPOCH, 2, 4) and many.shape == (2, len(steps), 2, 2, 1)
    np.testing.assert_allclose(many[:, -1, 0], values, atol=1e-12)
    assert np.array_equal(many[0, steps.tolist().index(EPOCH), 1], at(run, EPOCH, "previous/rcos"))


def test_two_texts_share_what_all_share(models):
    cross, common = (at(models[0], 2 * EPOCH, f"others/{key}") for key in ("cross", "common"))
    assert np.array_equal(cross[:, 1], common[:, 1]) and not np.isclose(cross[:, 0], common[:, 0]).any()


def test_two_seeds_differ_in_weights_and_order_and_not_in_the_text(models):
    one, other = (run.arrays for run in models)
    for name in one:
        if name.startswith("model/data/") or name == "model/steps":
            assert np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f"), name
    for name in ("0/next/rcos", "38/previous/rcos", "38/others/cross", "digits/W_E", "38/W_E/rows"):
        assert (one[f"model/{name}"] != other[f"model/{name}"]).any(), name
    assert (one["model/training/loss"][1:] != other["model/training/loss"][1:]).all()


def test_a_run_is_found_again_without_opening_a_text(models, untouched):
    again = trained(["arxiv"], [0], untouched(scale="smoke"), epochs=2, **SMOKE)["arxiv"][0]
    assert again.origin == "runs" and again.name == models[0].name and again.code == "this"
    for name, array in models[0].arrays.items():
        assert np.array_equal(again.arrays[name], array, equal_nan=array.dtype.kind == "f"), name


def test_the_config_says_what_a_run_is_of(models):
    assert models[0].config == {
        "corpus": "arxiv", "text": "stand-in", "architecture": "qwen2.5", "scale": "smoke", "seed": 0, "epochs": 2,
        "init": "vocab", "tokens": TOKENS, "held": 500, "keep": 200, "shape": "smoke", "batch": 4, "length": 32,
        "lr": 0.01, "looks": 4,
    }  # fmt: skip
    plain = {"name": "arxiv", "seed": 0, "scale": "smoke", "tokens": TOKENS}
    others = [
        {"name": "cc"},
        {"seed": 1},
        {"architecture": "llama-2"},
        {"init": "hidden"},
        {"init": 0.1},
        {"epochs": 3},
    ]
    others += [
        {"tokens": TOKENS + 1},
        {"tokens": None},
        {"shape": "laptop"},
        {"attention": "itself"},
        {"scale": "laptop"},
    ]
    names = [run_name(**plain | other) for other in ({}, *others)]
    assert len(set(names)) == len(names)
    assert run_name(**plain, means=Means("cuda"), beside=("arxiv", "cc")) == names[0]  # where it ran is not what it is


def run_name(name, seed, **options):
    """The name that a run would have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language_model.runs, "run", lambda kind, config, *_, **__: runs_results.name_of(kind, config))
        return trained([name], [seed], Texts(scale="smoke"), **options)[name][0]


def test_a_model_of_a_text_of_none_is_crossed_with_its_own_texts(monkeypatch):
    """`beside` is what models are crossed with where the texts are among them."""
    asked = []

    class Noted(Texts):
        def sets(self, names, *numbers):
            asked.append((names, numbers))

    monkeypatch.setattr(language_model.runs, "run", lambda *_, inputs, **__: inputs())
    for names, beside in ((["cc"], ("cc", "arxiv")), (["cc", "yours"], ("cc", "arxiv"))):
        trained(names, [0, 1], Noted(scale="smoke"), scale="smoke", beside=beside)
    trained(["cc"], [0], Noted(scale="smoke"), scale="smoke", tokens=99)
    assert asked == [
        (("cc", "arxiv"), (6_000, 200, 500)),
        (("cc", "yours"), (6_000, 200, 500)),
        (language_model.NAMES, (99, 200, 500)),
    ]


def test_interrupted_a_run_goes_on_to_the_same_bits(place, tmp_path, texts, models, monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    monkeypatch.setattr(drafts, "EVERY", -1.0)  # save before every step
    steps, plain = [], updates.Update.__call__

    def step(update, *arguments):
        steps.append(len(steps))
        if len(steps) == 25:
            raise KeyboardInterrupt
        return plain(update, *arguments)

    monkeypatch.setattr(updates.Update, "__call__", step)
    with pytest.raises(KeyboardInterrupt):
        trained(["arxiv"], [0], texts, epochs=2, **SMOKE)
    assert not (tmp_path / models[0].name).exists()
    done = trained(["arxiv"], [0], texts, epochs=2, **SMOKE)["arxiv"][0]
    assert len(steps) == 25 + 38 - 24 and done.origin == "new" and done.name == models[0].name
    assert done.arrays.keys() == models[0].arrays.keys()
    for name, array in models[0].arrays.items():
        assert np.array_equal(done.arrays[name], array, equal_nan=array.dtype.kind == "f"), name


def test_llama_2_at_one_epoch_keeps_the_start_and_the_end(place, texts, sets):
    one = trained(["cc"], [0], texts, architecture="llama-2", init="hidden", **SMOKE)["cc"][0]
    assert {name.split("/")[1] for name in one.arrays if name.split("/")[1].isdigit()} == {"0", "19"}
    assert one.arrays["model/steps"].tolist() == looks(EPOCH, 1, 4)
    own = sets.of("cc")
    W_E, _ = embeddings(build("llama-2", SHAPES["smoke"], own.vocab_size, init="hidden", seed=0))
    there = own.new_ids(np.array(list(sets.groups["digits"].values())))
    near = W_E[there] / np.linalg.norm(W_E[there], axis=1, keepdims=True)
    pairs = (near @ near.T)[np.triu_indices(10, 1)]
    np.testing.assert_allclose(one.arrays["model/digits/W_E"][0], pairs, atol=1e-3)  # kept in float16


def test_the_stream_of_the_order_is_the_seeds(models, sets):
    """The first loss of a run is that of the first rows in the order of its seed."""
    own = sets.of("arxiv")
    model = build("qwen2.5", SHAPES["smoke"], own.vocab_size, seed=0, original=own.original)
    inputs, goals = (torch.from_numpy(part).long() for part in own.rows(32))
    first = torch.from_numpy(seeds.stream(0, "order", "0").permutation(len(inputs))[:4])
    logits = model(input_ids=inputs[first]).logits.reshape(-1, own.vocab_size)
    loss = torch.nn.functional.cross_entropy(logits, goals[first].reshape(-1))
    assert models[0].arrays["model/steps"][1] == 1
    assert models[0].arrays["model/training/loss"][1, 0] == pytest.approx(loss.item(), rel=1e-6)


def letters():
    return Tokenizer(
        "letters", "letters" * 4, [bytes([i]) for i in range(256)], {}, 256, lambda text: list(text.encode())
    )


def test_a_file_of_ones_own_is_found_by_what_stands_in_it(place, tmp_path, monkeypatch):
    """Run, run again under another name, edit, run: the first twice, then new numbers; and the start is that of the
    text, not of the model's seed."""
    monkeypatch.setenv("PROBSIG_CACHE", str(tmp_path / "cache"))
    stream = seeds.stream(0, "letters")
    words = ["".join(stream.choice(list("abcdefgh"), 5, p=np.arange(8, 0, -1) / 36)) for _ in range(80)]
    documents = [" ".join(stream.choice(words, 12)) for _ in range(50)]

    def run(path):
        texts = Texts(path, scale="smoke", tokenizer=letters)
        return trained(texts.names(BESIDE), [0], texts, scale="smoke", tokens=2_000)["yours"][0]

    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text("".join(json.dumps({"text": document}) + "\n" for document in documents))
    first = run(one)
    assert first.origin == "new" and first.config["text"] == "yours" and "one" not in json.dumps(first.config)
    two.write_text(one.read_text())
    monkeypatch.setattr(makers, "language_model", lambda *_: pytest.fail("it was trained again"))
    again = run(two)
    assert (again.origin, again.name) == ("runs", first.name)
    monkeypatch.undo()
    monkeypatch.setenv("PROBSIG_CACHE", str(tmp_path / "another cache"))
    two.write_text(two.read_text().replace(words[0], words[0].upper()))
    edited = run(two)
    assert edited.origin == "new" and edited.name != first.name
    assert not np.array_equal(edited.arrays["model/rcos"], first.arrays["model/rcos"])
    assert {key for key in edited.config if edited.config[key] != first.config[key]} == {"inputs"}


@pytest.mark.parametrize("scale", ["laptop", "paper"])
@pytest.mark.parametrize("says", ["1", "true"])
def test_ci_trains_nothing_long(place, monkeypatch, scale, says, untouched):
    monkeypatch.setenv("CI", says)
    with pytest.raises(runs_results.MissingRun, match=f"language-model-{scale}-seed0-.* is not in results/"):
        trained(["arxiv"], [0], untouched(scale=scale), scale=scale)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "gpt-2"}, "architecture is 'gpt-2': pass one of 'qwen2.5', 'llama-2'"),
        ({"scale": "huge"}, "scale is 'huge': pass one of 'smoke', 'laptop', 'paper'"),
        ({"tokens": 0}, "tokens is 0: pass 2 or more, or None for the scale's own"),
        ({"tokens": 1}, "tokens is 1: pass 2 or more, or None for the scale's own"),
        ({"init": "xavier"}, "init is 'xavier': pass one of"),
        ({"shape": "huge"}, "shape is 'huge'.*: pass one of 'smoke', 'laptop', 'middle', 'paper'"),
        ({"attention": "none"}, "attention is 'none': pass one of 'causal', 'itself'"),
        ({"means": Means("tpu")}, "device is 'tpu': pass 'auto', 'cpu' or 'cuda'"),
        ({"epochs": 0}, "epochs is 0: pass a positive number"),
        ({"epochs": 1.5}, "epochs is 1.5: pass a whole number"),
        ({"tokens": 60}, "arxiv has 0 tokens seen 50 times or more: take more text"),
    ],
)
def test_errors_name_the_culprit(place, texts, options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        trained(["arxiv"], [5], texts, **SMOKE | options)
