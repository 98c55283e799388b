"""The loop of language models: against a plain loop in torch, and stopped or killed anywhere to the same bits.

Worked by hand: the text 3 1 2 0 | 0 | 1 3 2 1 3 in rows of three. Two places ahead of its first three tokens stand 2, 0
and nothing, since the document ends; so a head at distance 2 predicts 2, 0 and is not asked at the third place.
"""

import math
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from probsig import seeds
from probsig.language import training, updates
from probsig.language.networks import Shape, build, chunked_loss, embeddings, unembeddings
from probsig.runs import drafts
from probsig.text.training_set import IGNORED, renumbered

V, TINY = 10, Shape(layers=2, heads=2, head_dim=4, hidden=8, ffn=12)
RECIPE = updates.Recipe(epochs=2, batch=4, length=6, lr=1e-2)
STEPS = 24


def network(seed=0, vocab_size=V, **options):
    return build("qwen2.5", TINY, vocab_size, **{"init": "hidden", "seed": seed} | options)


def words(tokens=300, name="made up", stream="words"):
    """Tokens that prefer the next number, in documents of 25."""
    ids = np.cumsum(seeds.stream(0, stream).integers(1, 4, tokens)) % V
    return renumbered(ids, np.append(np.arange(0, tokens, 25), tokens), V, None, name)


def weights(model):
    return {name: weight.detach().numpy().copy() for name, weight in model.named_parameters()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[n], other[n], equal_nan=True) for n in one)


def trained(recipe=RECIPE, seed=0, double=False, data=None, distances=(1,), **options):
    model = network(seed, heads=len(distances))
    model = model.double() if double else model
    log = training.train(model, data or words(), recipe, seed=seed, distances=distances, device="cpu", **options)
    return weights(model), log


def plainly(recipe, seed, double, distances=(1,)):
    """The same in a loop that has nothing of ours but the rows and the names of the streams."""
    model, data = network(seed, heads=len(distances)), words()
    model = model.double() if double else model
    inputs = torch.from_numpy(data.rows(recipe.length)[0]).long()
    goals = torch.from_numpy(ahead(data, recipe.length, distances)).long()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=False)
    each = len(inputs) // recipe.batch
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs * each)
    losses = []
    for epoch in range(recipe.epochs):
        order = torch.from_numpy(seeds.stream(seed, "order", str(epoch)).permutation(len(inputs)))
        for batch in order[: each * recipe.batch].split(recipe.batch):
            by_head = logits_losses(model, inputs[batch], goals[batch])
            optimizer.zero_grad()
            by_head.mean().backward()
            optimizer.step()
            cosine.step()
            losses.append(by_head.tolist())
    return weights(model), np.array(losses)


def logits_losses(model, ids, goals):
    """The loss of each head, by all logits of transformers at once."""
    hidden = model.model(input_ids=ids).last_hidden_state
    return torch.stack(
        [
            functional.cross_entropy((hidden @ W.T).reshape(-1, V), goals[:, j].reshape(-1), ignore_index=IGNORED)
            for j, W in enumerate(unembeddings(model))
        ]
    )


def ahead(data, length, distances):
    """What each head predicts, place by place, (R, k, length)."""
    number = (len(data.ids) - 1) // length
    document = np.repeat(np.arange(len(data.offsets) - 1), np.diff(data.offsets))
    out = np.full((number, len(distances), length), IGNORED)
    for r, j, t in np.ndindex(out.shape):
        here = r * length + t
        there = here + distances[j]
        if there < len(data.ids) and document[here] == document[there]:
            out[r, j, t] = data.ids[there]
    return out


EVERY_STEP = {"look_at": range(STEPS + 1)}


@pytest.mark.parametrize("distances", [(1,), (3, 1)])
@pytest.mark.parametrize("double", [False, True])
def test_24_steps_are_those_of_a_plain_loop(double, distances):
    found, log = trained(seed=4, double=double, distances=distances, **EVERY_STEP)
    expected, losses = plainly(RECIPE, 4, double, distances)
    arrays = log.arrays()
    ours = arrays["training/loss"]
    assert arrays["steps"].tolist() == list(range(25)) and np.isnan(ours[0]).all() and losses.shape == (24, len(ours.T))
    assert losses[-4:].mean() < losses[:4].mean() - 0.1  # it does learn
    np.testing.assert_allclose(ours[1:], losses, rtol=1e-6 if double else 1e-5)
    start = weights(network(4, heads=len(distances)))
    for name, array in expected.items():
        moved = np.abs(array - start[name]).max()
        assert np.abs(found[name] - array).max() < (3e-6 if double else 1e-3) * max(moved, 1e-3), name


def test_one_head_at_distance_one_is_the_plain_model_to_the_bit():
    """A model without `more_heads`, trained on the targets of `TrainingSet.rows`."""
    found, _ = trained(distances=[1])
    model, data = network(), words()
    del model.more_heads
    inputs, goals = (torch.from_numpy(rows).long() for rows in data.rows(RECIPE.length))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RECIPE.lr, weight_decay=RECIPE.weight_decay, fused=True)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for step, batch in enumerate(training._batches(len(inputs), RECIPE, 0, 0, STEPS)):
            optimizer.param_groups[0]["lr"] = RECIPE.lr * 0.5 * (1 + math.cos(math.pi * step / STEPS))
            optimizer.zero_grad()
            chunked_loss(model, inputs[batch], goals[batch]).backward()
            optimizer.step()
    finally:
        torch.set_num_threads(before)
    assert same(found, weights(model))


@pytest.mark.parametrize("distances", [(1,), (1, 4)])
@pytest.mark.parametrize("refused", [{1}, {1, 3}, {2, 3}])  # which calls of the loss find the memory too small
def test_a_batch_too_large_for_the_memory_is_cut_and_gives_the_same(monkeypatch, refused, distances):
    """Documents of 25 tokens leave the parts of a batch unequally many targets; a part that is refused after another
    was differentiated leaves nothing behind."""
    one, whole = trained(double=True, distances=distances, **EVERY_STEP)
    sizes, plain = [], updates.losses

    def small(model, ids, goals):
        sizes.append(len(ids))
        if len(sizes) in refused:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return plain(model, ids, goals)

    monkeypatch.setattr(updates, "losses", small)
    other, log = trained(double=True, distances=distances, **EVERY_STEP)
    assert sizes[0] == 4 and set(sizes[6:]) == {4 // 2 ** len(refused)}
    np.testing.assert_allclose(log.arrays()["training/loss"], whole.arrays()["training/loss"], rtol=1e-6)
    for name, array in one.items():
        assert np.abs(other[name] - array).max() < 1e-6, name
    goals, shares = training.targets(words(), RECIPE.length, distances), set()
    for batch in training._batches(len(goals), RECIPE, 0, 0, STEPS):
        shares.add(tuple((goals[batch].reshape(2, -1) >= 0).sum(axis=1)))
    assert any(a != b for a, b in shares)


def test_targets_by_hand():
    ids = [3, 1, 2, 0, 0, 1, 3, 2, 1, 3]
    few = renumbered(np.array(ids), np.array([0, 4, 5, 10]), 4, None, "by hand")
    new = {int(old): i for i, old in enumerate(few.kept)}
    no = IGNORED
    expected = {
        1: [1, 2, 0, no, no, 3, 2, 1, 3],
        2: [2, 0, no, no, no, 2, 1, 3, no],
        3: [0, no, no, no, no, 1, 3, no, no],
        5: [no] * 9,
    }
    found = training.targets(few, 3, list(expected))
    assert found.shape == (3, 4, 3)
    for j, old in enumerate(expected.values()):
        assert found[:, j].ravel().tolist() == [no if one == no else new[one] for one in old]


@given(st.lists(st.integers(0, 7), min_size=2, max_size=12), st.integers(1, 5), st.integers(1, 9))
def test_targets_are_the_pairs_of_the_counts(lengths, length, distance):
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    if offsets[-1] <= length:
        return
    data = renumbered(seeds.stream(0, "any").integers(0, 5, offsets[-1]), offsets, 5, None, "any")
    distances = [distance, distance + 1]
    assert np.array_equal(training.targets(data, length, distances), ahead(data, length, distances))
    assert np.array_equal(training.targets(data, length, [1])[:, 0], data.rows(length)[1])


def test_losses_and_gradients_against_all_logits_at_once():
    model, data = network(heads=3), words()
    ids = torch.from_numpy(data.rows(6)[0][:4]).long()
    goals = torch.from_numpy(training.targets(data, 6, [1, 3, 4])[:4]).long()
    found = updates.losses(model, ids, goals)
    found.mean().backward()
    mine = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    plain = logits_losses(model, ids, goals)
    plain.mean().backward()
    assert found.tolist() == pytest.approx(plain.tolist(), rel=1e-5)
    for name, weight in model.named_parameters():
        assert torch.allclose(mine[name], weight.grad, atol=1e-6), name


def test_a_head_that_predicts_nothing_in_a_batch_adds_nothing():
    """Documents of 25 tokens have no pair at distance 25: the loss of that head is 0 and its matrix only decays."""
    data, start = words(), weights(network(heads=2))["more_heads.0.weight"]
    rows = data.rows(RECIPE.length)[0], training.targets(data, RECIPE.length, [1, 25])
    for decay in (0.0, RECIPE.weight_decay):
        model, recipe = network(heads=2), updates.Recipe(**{**vars(RECIPE), "weight_decay": decay})
        update = updates.Update(model, rows, recipe, torch.device("cpu"))
        for step in range(STEPS):
            loss = update(np.arange(4), recipe.rate(step, STEPS))
            assert loss[0] > 0 and loss[1] == 0
        left = decayed() if decay else 1.0
        np.testing.assert_allclose(weights(model)["more_heads.0.weight"], start * left, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"distances": [25]}, r"distances \[25\] reaches beyond every document of made up"),
        ({"distances": [1, 60]}, r"distances \[1, 60\] reaches beyond every document of made up"),
        ({"distances": [24], "held": words(300, "held", "held")}, None),
        ({"distances": [5], "held": renumbered(np.arange(30) % V, np.arange(0, 31, 5), V, None, "short")}, "held out"),
        ({"distances": [1.5]}, r"^distances holds values of type float64: pass integers\.$"),
        ({"distances": np.array([1])}, r"^distances is array\(\[1\]\): pass a list of whole numbers above 0\.$"),
        ({"look_at": [1.5]}, r"^look_at holds values of type float64: pass integers\.$"),
        ({"look_at": ["1"]}, r"^look_at holds values of type <U1: pass integers\.$"),
    ],
    ids=str,
)
def test_what_would_never_be_learnt_or_looked_at_is_refused(options, says):
    if says is None:
        assert trained(**options)[1].arrays()["steps"].size == 0
    else:
        with pytest.raises(ValueError, match=says):
            trained(**options)


def decayed():
    """What is left of a weight without a gradient after the cosine's rates."""
    rates = [RECIPE.lr * (1 + math.cos(math.pi * step / STEPS)) / 2 for step in range(STEPS)]
    return math.prod(1 - rate * RECIPE.weight_decay for rate in rates)


def test_spare_rows_of_the_model_only_decay():
    """A model with more rows than the text has ids."""
    model = network(vocab_size=V + 3)
    start = embeddings(model)[0][V:]
    training.train(model, words(), RECIPE, seed=0, device="cpu")
    np.testing.assert_allclose(embeddings(model)[0][V:], start * decayed(), rtol=1e-5)


@pytest.mark.parametrize("at_once", [1, 12, 1 << 15])  # tokens: a row, two rows (the last by itself), all
def test_the_held_out_loss_is_that_of_all_its_places(monkeypatch, at_once):
    monkeypatch.setattr(training, "TOKENS", at_once)
    held = renumbered(np.arange(41) * 7 % V, np.array([0, 15, 41]), V, None, "aside")
    model = network(heads=2)
    found, log = trained(double=True, distances=[2, 1], held=held, look_at=[0, 5, STEPS])
    assert same(found, trained(double=True, distances=[2, 1])[0])  # to look changes nothing
    ids, goals = torch.from_numpy(held.rows(6)[0]).long(), torch.from_numpy(ahead(held, 6, [2, 1])).long()
    assert len(ids) == 6
    for row, state in ((0, weights(model)), (2, found)):
        model = network(heads=2).double()
        model.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()}, strict=False)
        with torch.no_grad():
            expected = logits_losses(model, ids, goals).numpy()
        np.testing.assert_allclose(log.arrays()["training/held"][row], expected, rtol=1e-6)
    assert "training/held" not in trained(look_at=[0])[1].arrays()


def test_the_order_is_anew_in_each_epoch_and_by_seed():
    rows, recipe = 49, updates.Recipe(epochs=3, batch=4, length=6)
    batches = list(training._batches(rows, recipe, 0, 0, 36))
    assert len(batches) == 36 and {len(batch) for batch in batches} == {4}
    epochs = [np.concatenate(batches[12 * e : 12 * e + 12]) for e in range(3)]
    assert all(len(set(epoch.tolist())) == 48 for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 3
    for done in (0, 1, 11, 12, 17, 35, 36):
        later = list(training._batches(rows, recipe, 0, done, 36))
        assert len(later) == 36 - done and all(map(np.array_equal, later, batches[done:]))
    assert not np.array_equal(list(training._batches(rows, recipe, 1, 0, 36)), batches)


def test_a_text_of_less_than_a_batch_is_one_step_an_epoch():
    data, recipe = words(20), updates.Recipe(epochs=3, batch=8, length=6, lr=1e-3)
    assert (recipe.epoch(data), recipe.steps(data)) == (1, 3)
    arrays = trained(recipe, data=data, look_at=[3])[1].arrays()
    assert arrays["steps"].tolist() == [3] and np.isfinite(arrays["training/loss"]).all()


def test_steps_of_a_recipe():
    data = words()  # 300 tokens: 49 rows of 6
    numbers = ((1, 1), (1, 4), (3, 10))
    assert [updates.Recipe(epochs=e, batch=b, length=6).steps(data) for e, b in numbers] == [49, 12, 12]
    last = updates.Recipe(batch=1, length=299)
    assert last.steps(data) == len(data.rows(299)[0]) == 1


def both(model):
    return dict(zip(("W_E", "W_U"), embeddings(model), strict=True))


def test_what_is_looked_at_is_of_the_step_it_names():
    seen = {}

    def look(step, model):
        seen[step] = both(model)
        odd = {"odd": np.array(step)} if step % 2 else {}
        return {"of/": {"W_E": seen[step]["W_E"], "step": np.array([step])}, "": odd}

    model = network()
    start = both(model)
    log = training.train(model, words(), RECIPE, seed=0, device="cpu", look=look, look_at=[24, 0, 5, 6])
    arrays = log.arrays()
    assert arrays["steps"].tolist() == [0, 5, 6, 24] and sorted(seen) == [0, 5, 6, 24]
    assert same(seen[0], start) and same(seen[24], both(model))
    assert arrays.keys() == {"steps", "of/W_E", "of/step", "5/odd", "training/loss"}
    assert arrays["5/odd"] == 5 and arrays["of/step"].ravel().tolist() == [0, 5, 6, 24]
    assert np.array_equal(arrays["of/W_E"], [seen[step]["W_E"] for step in (0, 5, 6, 24)])
    losses = trained(**EVERY_STEP)[1].arrays()["training/loss"][:, 0]
    means = [losses[1:6].mean(), losses[6], losses[7:].mean()]  # since the last look
    np.testing.assert_allclose(arrays["training/loss"][1:, 0], means, rtol=1e-6)
    assert not model.training


def test_what_changes_its_shape_is_kept_by_step():
    """One name in two shapes is <step>/<name>; in one shape at every look it is one array."""
    arrays = trained(look=lambda step, _: {"": {"grows": np.zeros(step), "stays": np.ones(2)}}, look_at=[1, 3])[
        1
    ].arrays()
    assert {name: array.shape for name, array in arrays.items()} == {
        "steps": (2,), "training/loss": (2, 1), "1/grows": (1,), "3/grows": (3,), "stays": (2, 2),
    }  # fmt: skip


def test_one_thread_on_a_cpu_and_then_as_before():
    def threads(*_):
        return {"": {"threads": torch.get_num_threads()}}

    before, found = torch.get_num_threads(), []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            found.append(trained(look=threads, look_at=[0, 24]))
            assert torch.get_num_threads() == number
            with pytest.raises(ZeroDivisionError):
                trained(look=lambda *_: 1 / 0, look_at=[1])
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(before)
    assert same(found[0][0], found[1][0])
    assert [log.arrays()["threads"].tolist() for _, log in found] == [[1, 1], [1, 1]]


def test_runs_side_by_side_are_the_runs_alone():
    """Two threads train at a time; each has the bits that it has by itself."""
    alone = [trained(seed=seed)[0] for seed in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda seed: trained(seed=seed)[0], (0, 1)))
    assert all(map(same, found, alone))


def test_turn_is_held_while_the_device_is_needed():
    """From the first look to the last, and no longer: what was promised is waited for outside."""
    told = []

    class Turn:
        def __enter__(self):
            told.append("in")

        def __exit__(self, *_):
            told.append("out")

    class Later(Future):
        def result(self, timeout=None):
            told.append("waited")
            return {"x": np.zeros(1)}

    def look(step, _):
        told.append(step)
        return {"": Later()}

    trained(look=look, look_at=[0, 5, 24], turn=Turn())
    assert told == ["in", 0, 5, 24, "out", "waited", "waited", "waited"]


def look_at_both(step, model):
    W = both(model)
    late = {"late": W["W_U"][0, 0]} if step > 8 else {}
    return {"": {"x": W["W_E"].sum(), **late}, "matrix/": W if step in (0, 12, 24) else {}}


LOOKS = {"look": look_at_both, "look_at": [0, 3, 8, 12, 15, 24]}


def counted(look):
    """A look that notes at which steps it was asked."""
    begun = []

    def noted(step, model):
        begun.append(step)
        return look(step, model)

    return begun, noted


@pytest.fixture(scope="module")
def whole():
    return trained(**LOOKS)


class Asked(Future):
    """The promise of arrays that are made when somebody asks for them; notes when that is."""

    def __init__(self, arrays, asked):
        super().__init__()
        self.arrays, self.asked = arrays, asked

    def result(self, timeout=None):
        self.asked.append(self)
        return self.arrays


def promised(asked):
    """`look_at_both`, of which nothing is there yet but an empty part."""

    def look(step, model):
        parts = {prefix: Asked(arrays, asked) for prefix, arrays in look_at_both(step, model).items()}
        return parts | {"empty/": {}}

    return look


def test_arrays_that_are_made_elsewhere_are_the_same(whole):
    """By another thread, which is held up until the last step is done; part of each look is there at once."""
    gate, asked = threading.Event(), []

    def late(arrays):
        gate.wait()
        return arrays

    with ThreadPoolExecutor(1) as pool:

        def look(step, model):
            parts = look_at_both(step, model)
            asked.append(step)
            if step == 24:
                gate.set()
            return {"": pool.submit(late, parts[""]), "matrix/": parts["matrix/"]}

        found, log = trained(look=look, look_at=LOOKS["look_at"])
    assert asked == LOOKS["look_at"] and not log.promised
    assert same(found, whole[0]) and same(log.arrays(), whole[1].arrays())


def test_nobody_waits_for_a_promise_before_the_end():
    asked = []
    training_done = []

    def look(step, model):
        training_done.append((step, len(asked)))
        return promised(asked)(step, model)

    trained(look=look, look_at=LOOKS["look_at"])
    assert training_done == [(step, 0) for step in LOOKS["look_at"]] and len(asked) == 12


def test_a_promise_that_fails_is_the_runs_failure():
    def look(*_):
        failed = Future()
        failed.set_exception(KeyError("elsewhere"))
        return {"": failed}

    with pytest.raises(KeyError, match="elsewhere"):
        trained(look=look, look_at=[3])


@pytest.mark.parametrize("at", [1, 2, 9, 13, 24])  # 13: after the first epoch
@pytest.mark.parametrize("elsewhere", [False, True])
def test_stopped_anywhere_a_run_goes_on_to_the_same_bits(tmp_path, stops, whole, at, elsewhere):
    """Also where what was looked at is only promised: it is waited for, saved, and not asked for again."""
    asked = []
    options = LOOKS | ({"look": promised(asked)} if elsewhere else {})
    with pytest.raises(drafts.Stopped):
        trained(draft=stops(tmp_path / "state", at), **options)
    assert len(asked) == (2 * len([step for step in LOOKS["look_at"] if step < at]) if elsewhere else 0)
    begun, look = counted(options["look"])
    found, log = trained(draft=drafts.Draft(tmp_path / "state"), **options | {"look": look})
    assert begun == [step for step in LOOKS["look_at"] if step > at - 1]  # it did go on, not begin anew
    assert same(found, whole[0]) and same(log.arrays(), whole[1].arrays())


@pytest.mark.parametrize("at", [1, 7, 24])
def test_several_heads_and_what_is_held_out_are_resumed_too(tmp_path, stops, at):
    held, heads = words(60, "aside", "others"), {"distances": [2, 3], "look_at": [0, 6, 24], "look": look_at_both}
    straight = trained(held=held, **heads)
    with pytest.raises(drafts.Stopped):
        trained(held=held, draft=stops(tmp_path / "state", at), **heads)
    resumed = trained(held=held, draft=drafts.Draft(tmp_path / "state"), **heads)
    assert same(straight[0], resumed[0]) and same(straight[1].arrays(), resumed[1].arrays())
    arrays = straight[1].arrays()
    assert arrays["training/loss"].shape == arrays["training/held"].shape == (3, 2)
    assert (arrays["training/loss"][-1] < arrays["training/held"][0]).all()


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from probsig.runs import drafts
import test_training as here

drafts.EVERY = -1.0  # save before every step

def look(step, model):
    if step == 15:
        os.kill(os.getpid(), signal.SIGKILL)
    return here.look_at_both(step, model)

here.trained(draft=drafts.Draft(Path(sys.argv[1])), **{**here.LOOKS, "look": look})
"""


@pytest.mark.slow
def test_killed_a_run_goes_on_to_the_same_bits(tmp_path, whole):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "state"), os.path.dirname(__file__)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    begun, look = counted(look_at_both)
    found, log = trained(draft=drafts.Draft(tmp_path / "state"), **LOOKS | {"look": look})
    assert begun == [15, 24]
    assert same(found, whole[0]) and same(log.arrays(), whole[1].arrays())


def test_broken_off_after_some_steps_a_run_has_taken_those(whole):
    """The rates are those of the whole run; a look behind the end is not there."""
    found, log = trained(until=8, **LOOKS)
    arrays, straight = log.arrays(), whole[1].arrays()
    assert arrays["steps"].tolist() == [0, 3, 8]
    assert np.array_equal(arrays["x"], straight["x"][:3])
    assert np.array_equal(arrays["training/loss"], straight["training/loss"][:3], equal_nan=True)
    assert not same(found, whole[0]) and same(trained(until=24, **LOOKS)[0], whole[0])
    assert same(trained(until=0)[0], weights(network()))


@pytest.mark.parametrize("other", [{"seed": 1}, {"recipe": updates.Recipe(2, 4, 6, 1e-3)}, {"distances": [2]}])
def test_the_state_of_another_run_is_not_taken_up(tmp_path, stops, other):
    with pytest.raises(drafts.Stopped):
        trained(draft=stops(tmp_path / "state", 9))
    found, alone = trained(draft=drafts.Draft(tmp_path / "state"), **other), trained(**other)
    assert same(found[0], alone[0])


def test_the_optimizer_keeps_the_rate_that_is_set_before_each_update(tmp_path, stops, monkeypatch):
    """On a GPU the rate is a tensor in the graph, filled anew before each step: a state must not put another there."""
    with pytest.raises(drafts.Stopped):
        trained(draft=stops(tmp_path / "state", 9))
    arrays = drafts.runs_files.read_run(tmp_path / "state")[1]
    model, data, recipe = network(), words(), RECIPE
    rows = data.rows(recipe.length)[0], training.targets(data, recipe.length, [1])
    monkeypatch.setattr(torch.nn.Module, "compile", lambda layer: None)  # not for a CPU
    update = updates.CompiledUpdate(model, rows, recipe, torch.device("cpu"))
    training._load(arrays, model, update.optimizer)
    update.rate.fill_(0.25)
    assert [group["lr"].item() for group in update.optimizer.param_groups] == [0.25]
    assert len(update.optimizer.state) == len(list(model.parameters()))


def test_seeds_differ(whole):
    one, other = trained(seed=1)[0], network(0)
    training.train(other, words(), RECIPE, seed=1, device="cpu")
    assert not np.array_equal(one["lm_head.weight"], whole[0]["lm_head.weight"])
    assert not np.array_equal(weights(other)["lm_head.weight"], whole[0]["lm_head.weight"])  # only the order differs


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
compiles = pytest.mark.filterwarnings("default")  # the compiler warns of its own affairs


@needs_gpu
@compiles
def test_on_a_gpu_a_run_learns_what_it_learns_on_a_cpu():
    """Twenty steps beyond the captured graph: the losses are those of a CPU up to bfloat16."""
    held = words(60, "aside", "others")
    on = {
        where: training.train(network(), words(), RECIPE, seed=0, device=where, held=held, look_at=range(25)).arrays()
        for where in ("cpu", "cuda")
    }
    for name in ("training/loss", "training/held"):
        np.testing.assert_allclose(on["cuda"][name][1:], on["cpu"][name][1:], rtol=2e-2)


@needs_gpu
@compiles
@pytest.mark.parametrize("at", [2, 7, 20])
def test_stopped_on_a_gpu_a_run_goes_on(tmp_path, stops, at):
    options = {**EVERY_STEP, "device": "cuda", "seed": 0}
    with pytest.raises(drafts.Stopped):
        training.train(network(), words(), RECIPE, draft=stops(tmp_path / "state", at), **options)
    log = training.train(network(), words(), RECIPE, draft=drafts.Draft(tmp_path / "state"), **options)
    straight = training.train(network(), words(), RECIPE, **options)
    np.testing.assert_allclose(log.arrays()["training/loss"], straight.arrays()["training/loss"], rtol=1e-2)


def wrong(**options):
    return {"look_at": LOOKS["look_at"], "look": look_at_both, "recipe": RECIPE} | options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (wrong(vocab_size=4), r"made up has 10 ids and the model 4 rows: build the model for it\."),
        (wrong(look_at=[3, 25]), r"step 25 is outside 0\.\.24: ask for steps of the run\."),
        (wrong(look_at=[-1, 3]), r"step -1 is outside 0\.\.24: ask for steps of the run\."),
        (
            wrong(recipe=updates.Recipe(length=300), look_at=[]),
            "made up has 300 tokens, shorter than one sequence of 300: take more text or a shorter sequence",
        ),
        (wrong(held=words(6, "aside")), "aside has 6 tokens, shorter than one sequence of 6: take more text"),
        (wrong(device="tpu"), r"device is 'tpu': pass 'auto', 'cpu' or 'cuda'\."),
        (wrong(distances=[1, 2]), r"1 heads meet 2 distances: build one head for each\."),
        (wrong(distances=[0]), r"distances are \[0\]: pass different whole numbers above 0\."),
    ],
)
def test_errors_name_the_culprit(options, message):
    model, recipe = network(vocab_size=options.pop("vocab_size", V)), options.pop("recipe")
    before = weights(model)
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        training.train(model, words(), recipe, **{"seed": 0, "device": "cpu"} | options)
    assert "\n" not in str(caught.value) and same(weights(model), before)


@pytest.mark.parametrize("distances", [[], [0, 1], [2, 2]])
def test_distances_that_are_none(distances):
    with pytest.raises(ValueError, match="different whole numbers above 0"):
        training.targets(words(), 6, distances)


def test_devices(monkeypatch):
    for there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert training.device_of("auto") == torch.device("cuda" if there else "cpu")
        assert training.device_of("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device is 'cuda', but torch finds no GPU here: pass 'auto' or 'cpu'"):
        training.train(network(), words(), RECIPE, seed=0, device="cuda")


def test_too_small_a_memory_is_one_sentence(monkeypatch):
    sizes = []

    def full(_, ids, goals):
        sizes.append(len(ids))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(updates, "losses", full)
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
        updates.Recipe(**numbers)
    assert updates.Recipe(weight_decay=0).weight_decay == 0
