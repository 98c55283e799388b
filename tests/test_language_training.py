"""The loop of language models: against a plain loop in torch, and stopped or killed anywhere to the same bits."""

import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from probsig import seeds
from probsig.language import training
from probsig.language.networks import Shape, build, embeddings
from probsig.runs import drafts
from probsig.text.training_set import IGNORED, renumbered

V, TINY = 10, Shape(layers=2, heads=2, head_dim=4, hidden=8, ffn=12)
RECIPE = training.Recipe(epochs=2, batch=4, length=6, lr=1e-2)


def network(seed=0, vocab_size=V, **options):
    return build("qwen2.5", TINY, vocab_size, init="hidden", seed=seed, **options)


def words(tokens=300, name="made up"):
    """Tokens that prefer the next number, in documents of 25."""
    stream = seeds.stream(0, "words")
    ids = np.cumsum(stream.integers(1, 4, tokens)) % V
    return renumbered(ids, np.append(np.arange(0, tokens, 25), tokens), V, None, name)


def weights(model):
    return {name: weight.detach().numpy().copy() for name, weight in model.named_parameters()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[n], other[n], equal_nan=True) for n in one)


def trained(recipe=RECIPE, seed=0, double=False, data=None, **options):
    model = network(seed)
    model = model.double() if double else model
    log = training.train(model, data or words(), recipe, seed=seed, device="cpu", progress=False, **options)
    return weights(model), log


def plainly(recipe, seed, double):
    """The same in a loop that has nothing of ours but the rows and the names of the streams."""
    model, data = network(seed), words()
    model = model.double() if double else model
    inputs, targets = (torch.from_numpy(rows).long() for rows in data.rows(recipe.length))
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=False)
    each = len(inputs) // recipe.batch
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs * each)
    losses = []
    for epoch in range(recipe.epochs):
        order = torch.from_numpy(seeds.stream(seed, "order", str(epoch)).permutation(len(inputs)))
        for batch in order[: each * recipe.batch].split(recipe.batch):
            logits = model(input_ids=inputs[batch]).logits
            loss = torch.nn.functional.cross_entropy(
                logits.reshape(-1, V), targets[batch].reshape(-1), ignore_index=IGNORED
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cosine.step()
            losses.append(loss.item())
    return weights(model), np.array(losses)


def every_step(recipe=RECIPE):
    """Options that measure nothing at every step, so that the log has each step's loss."""
    return {"measure": lambda *_: {}, "measure_at": range(recipe.steps(words()) + 1)}


@pytest.mark.parametrize("double", [False, True])
def test_24_steps_are_those_of_a_plain_loop(double):
    found, log = trained(seed=4, double=double, **every_step())
    expected, losses = plainly(RECIPE, 4, double)
    ours = log.arrays()["metric/loss"]
    assert log.steps == list(range(25)) and np.isnan(ours[0]) and len(losses) == 24
    assert losses[-4:].mean() < losses[:4].mean() - 0.1  # it does learn
    np.testing.assert_allclose(ours[1:], losses, rtol=1e-6 if double else 1e-5)
    start = weights(network(4))
    for name, array in expected.items():
        moved = np.abs(array - start[name]).max()
        assert np.abs(found[name] - array).max() < (3e-6 if double else 1e-3) * max(moved, 1e-3), name


@pytest.mark.parametrize("refused", [{1}, {1, 3}, {2, 3}])  # which calls of the loss find the memory too small
def test_a_batch_too_large_for_the_memory_is_cut_and_gives_the_same(monkeypatch, refused):
    """Documents of 25 tokens leave the parts of a batch unequally many targets; a part that is refused after another
    was differentiated leaves nothing behind."""
    one, whole = trained(double=True, **every_step())
    sizes, plain = [], training.chunked_loss

    def small(model, ids, targets):
        sizes.append(len(ids))
        if len(sizes) in refused:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return plain(model, ids, targets)

    monkeypatch.setattr(training, "chunked_loss", small)
    other, log = trained(double=True, **every_step())
    assert sizes[0] == 4 and set(sizes[6:]) == {4 // 2 ** len(refused)}
    np.testing.assert_allclose(log.arrays()["metric/loss"], whole.arrays()["metric/loss"], rtol=1e-6)
    for name, array in one.items():
        assert np.abs(other[name] - array).max() < 1e-6, name
    data, shares = words(), set()
    targets = data.rows(RECIPE.length)[1]
    for batch in training._batches(len(targets), RECIPE, 0, 0, 24):
        shares.add(tuple((targets[batch].reshape(2, -1) >= 0).sum(axis=1)))
    assert any(a != b for a, b in shares)


def test_the_order_is_anew_in_each_epoch_and_by_seed():
    rows, recipe = 49, training.Recipe(epochs=3, batch=4, length=6)
    batches = list(training._batches(rows, recipe, 0, 0, 36))
    assert len(batches) == 36 and {len(batch) for batch in batches} == {4}
    epochs = [np.concatenate(batches[12 * e : 12 * e + 12]) for e in range(3)]
    assert all(len(set(epoch.tolist())) == 48 for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 3
    later = list(training._batches(rows, recipe, 0, 17, 36))
    assert np.array_equal(later, batches[17:])
    assert not np.array_equal(list(training._batches(rows, recipe, 1, 0, 36)), batches)


def test_a_text_of_less_than_a_batch_is_one_step_an_epoch():
    data, recipe = words(20), training.Recipe(epochs=3, batch=8, length=6, lr=1e-3)
    assert (recipe.epoch(data), recipe.steps(data)) == (1, 3)
    _, log = trained(recipe, data=data, measure=lambda *_: {}, measure_at=[3])
    assert log.steps == [3] and np.isfinite(log.metrics[0]["loss"])


def test_steps_of_a_recipe():
    data = words()  # 300 tokens: 49 rows of 6
    assert [training.Recipe(epochs=e, batch=b, length=6).steps(data) for e, b in ((1, 1), (1, 4), (3, 10))] == [
        49,
        12,
        12,
    ]
    last = training.Recipe(batch=1, length=299)
    assert last.steps(data) == len(data.rows(299)[0]) == 1


def test_what_is_measured_is_of_the_step_it_names():
    seen = {}

    def measure(step, W_E, W_U):
        seen[step] = W_E.copy(), W_U.copy()
        return {"norm": float(np.linalg.norm(W_U)), **({"odd": 1.0} if step % 2 else {})}

    def keep(step, W_E, W_U):
        return {"W_E": W_E, "of/step": np.array([step])}

    start = embeddings(network())
    model = network()
    options = {"measure": measure, "measure_at": [24, 0, 5, 6], "keep": keep, "keep_at": [6, 24]}
    log = training.train(model, words(), RECIPE, seed=0, device="cpu", progress=False, **options)
    arrays = log.arrays()
    assert arrays["steps"].tolist() == [0, 5, 6, 24] and sorted(seen) == [0, 5, 6, 24]
    assert np.array_equal(seen[0][0], start[0]) and np.array_equal(seen[0][1], start[1])
    assert np.array_equal(seen[24][0], embeddings(model)[0]) and np.array_equal(seen[24][1], embeddings(model)[1])
    assert np.isnan(arrays["metric/odd"]).tolist() == [True, False, True, True]
    assert sorted(log.kept) == ["24/W_E", "24/of/step", "6/W_E", "6/of/step"]
    assert np.array_equal(arrays["kept/6/W_E"], seen[6][0]) and arrays["kept/6/of/step"].tolist() == [6]
    losses = trained(**every_step())[1].arrays()["metric/loss"]
    means = [losses[1:6].mean(), losses[6], losses[7:].mean()]  # since the last event
    np.testing.assert_allclose(arrays["metric/loss"][1:], means, rtol=1e-6)
    assert not model.training


def test_one_thread_on_a_cpu_and_then_as_before():
    def threads(*_):
        return {"threads": torch.get_num_threads()}

    before, found = torch.get_num_threads(), []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            found.append(trained(measure=threads, measure_at=[0, 24]))
            assert torch.get_num_threads() == number
            with pytest.raises(ZeroDivisionError):
                trained(measure=lambda *_: 1 / 0, measure_at=[1])
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(before)
    assert same(found[0][0], found[1][0])
    assert [log.arrays()["metric/threads"].tolist() for _, log in found] == [[1, 1], [1, 1]]


LOOKS = {
    "measure": lambda step, W_E, W_U: {"x": float(W_E.sum()), **({"late": float(W_U[0, 0])} if step > 8 else {})},
    "measure_at": [0, 3, 8, 15, 24],
    "keep": lambda step, W_E, W_U: {"both/W": np.stack([W_E, W_U])},
    "keep_at": [0, 12, 24],
}


@pytest.fixture(scope="module")
def whole():
    return trained(**LOOKS)


@pytest.mark.parametrize("at", [1, 2, 9, 13, 24])  # 13: after the first epoch
def test_stopped_anywhere_a_run_goes_on_to_the_same_bits(tmp_path, stops, whole, at):
    with pytest.raises(drafts.Stopped):
        trained(draft=stops(tmp_path / "state", at), **LOOKS)
    begun = []
    options = {**LOOKS, "measure": lambda step, *W: begun.append(step) or LOOKS["measure"](step, *W)}
    found, log = trained(draft=drafts.Draft(tmp_path / "state"), **options)
    assert begun == [step for step in LOOKS["measure_at"] if step > at - 1]  # it did go on, not begin anew
    assert same(found, whole[0]) and same(log.arrays(), whole[1].arrays())


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from probsig import drafts
import test_language_training as here

drafts.EVERY = -1.0  # save before every step

def measure(step, W_E, W_U):
    if step == 15:
        os.kill(os.getpid(), signal.SIGKILL)
    return here.LOOKS["measure"](step, W_E, W_U)

here.trained(draft=drafts.Draft(Path(sys.argv[1])), **{**here.LOOKS, "measure": measure})
"""


def test_killed_a_run_goes_on_to_the_same_bits(tmp_path, whole):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "state"), os.path.dirname(__file__)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    begun = []
    options = {**LOOKS, "measure": lambda step, *W: begun.append(step) or LOOKS["measure"](step, *W)}
    found, log = trained(draft=drafts.Draft(tmp_path / "state"), **options)
    assert begun == [15, 24]
    assert same(found, whole[0]) and same(log.arrays(), whole[1].arrays())


def test_the_state_of_another_run_is_not_taken_up(tmp_path, stops):
    with pytest.raises(drafts.Stopped):
        trained(draft=stops(tmp_path / "state", 9))
    for options in (
        {"seed": 1},
        {"recipe": training.Recipe(**{**vars(RECIPE), "lr": 1e-3})},
        {"data": words(name="other")},
    ):
        found, _ = trained(draft=drafts.Draft(tmp_path / "state"), **options)
        assert same(found, trained(**options)[0])


def test_seeds_differ(whole):
    one, other = trained(seed=1)[0], network(0)
    training.train(other, words(), RECIPE, seed=1, device="cpu", progress=False)
    assert not np.array_equal(one["lm_head.weight"], whole[0]["lm_head.weight"])
    assert not np.array_equal(weights(other)["lm_head.weight"], whole[0]["lm_head.weight"])  # only the order differs


def test_spare_rows_of_the_model_only_decay():
    """A model with more rows than the text has ids; the weight decay is that of the cosine's rates."""
    model = network(vocab_size=V + 3)
    start = embeddings(model)[0][V:]
    training.train(model, words(), RECIPE, seed=0, device="cpu", progress=False)
    rates = [RECIPE.lr * (1 + math.cos(math.pi * step / 24)) / 2 for step in range(24)]
    expected = start * math.prod(1 - rate * RECIPE.weight_decay for rate in rates)
    np.testing.assert_allclose(embeddings(model)[0][V:], expected, rtol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_stopped_on_a_gpu_a_run_goes_on(tmp_path, stops):
    options = {**LOOKS, "device": "cuda", "progress": False, "seed": 0}
    with pytest.raises(drafts.Stopped):
        training.train(network(), words(), RECIPE, draft=stops(tmp_path / "state", 7), **options)
    log = training.train(network(), words(), RECIPE, draft=drafts.Draft(tmp_path / "state"), **options)
    straight = training.train(network(), words(), RECIPE, **options)
    np.testing.assert_allclose(log.arrays()["metric/loss"], straight.arrays()["metric/loss"], rtol=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": network(vocab_size=4)}, "made up has 10 ids and the model 4 rows: build the model for it"),
        ({"measure_at": [3, 25]}, r"step 25 is outside 0\.\.24: ask for steps of the run"),
        ({"keep_at": [-1, 3]}, r"step -1 is outside 0\.\.24: ask for steps of the run"),
        (
            {"recipe": training.Recipe(length=300)},
            "made up has 300 tokens, shorter than one sequence of 300: take more text",
        ),
        ({"device": "tpu"}, "device is 'tpu': pass 'auto', 'cpu' or 'cuda'"),
    ],
)
def test_errors_name_the_culprit(options, message):
    options = {"measure": LOOKS["measure"], "keep": LOOKS["keep"], "device": "cpu"} | options
    model, recipe = options.pop("model", None) or network(), options.pop("recipe", RECIPE)
    before = weights(model)
    with pytest.raises(ValueError, match=message):
        training.train(model, words(), recipe, seed=0, progress=False, **options)
    assert same(weights(model), before)


def test_devices(monkeypatch):
    for there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert (
            training.device_of("auto") == torch.device("cuda" if there else "cpu")
            and training.device_of("cpu").type == "cpu"
        )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device is 'cuda', but torch finds no GPU here: pass 'auto' or 'cpu'"):
        training.train(network(), words(), RECIPE, seed=0, device="cuda")


def test_too_small_a_memory_is_one_sentence(monkeypatch):
    sizes = []

    def full(_, ids, targets):
        sizes.append(len(ids))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(training, "chunked_loss", full)
    with pytest.raises(MemoryError, match="too small for one row of 6 tokens: pass shorter rows or a smaller mod") as e:
        trained()
    assert isinstance(e.value.__cause__, torch.OutOfMemoryError) and sizes == [4, 2, 1]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"epochs": 0}, "epochs is 0: pass a positive number"),
        ({"batch": -2}, "batch is -2: pass a positive number"),
        ({"length": 0}, "length is 0: pass a positive number"),
        ({"lr": math.nan}, "lr is nan: pass a positive number"),
        ({"lr": math.inf}, "lr is inf: pass a positive number"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1: pass a positive number"),
        ({"epochs": 1.5}, "epochs is 1.5: pass a whole number"),
        ({"batch": 2.5}, "batch is 2.5: pass a whole number"),
        ({"length": 6.5}, "length is 6.5: pass a whole number"),
    ],
)
def test_recipes_that_are_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        training.Recipe(**numbers)
    assert training.Recipe(weight_decay=0).weight_decay == 0
