"""What makes the language runs: each maker twice, with one thread and with two; with its measures made elsewhere;
broken off after some steps, as a replay does it; and what a maker keeps, against a training and measures of one's own.
"""

import contextlib
import inspect
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import threadpoolctl
import torch

from probsig.experiments import makers
from probsig.experiments.language_model import looks
from probsig.experiments.makers import Means
from probsig.experiments.texts import Texts
from probsig.language import networks, training, updates
from probsig.language.measures import Measures, small
from probsig.language.networks import SHAPES, build
from probsig.language.shares import Judge
from probsig.language.signatures import SIDES
from probsig.runs import drafts
from probsig.text import edits

pytestmark = pytest.mark.slow

NUMBERS = {"architecture": "qwen2.5", "seed": 2, "shape": "smoke", "batch": 4, "length": 16, "lr": 1e-2, "looks": 2}
CONFIG = {"corpus": "cc", "epochs": 1, **NUMBERS}
ARMS = {"groups": 1, "size": 4, "first": 5, "last": 56, "least": 10}
RING = {"ring": 6, "first": 5, "last": 56, "least": 5, "width": 1.5}
CALLS = {
    "language_model": ({**CONFIG, "epochs": 2},),
    "velocity": ({**CONFIG, "norms": True, "rows": 10},),
    "heads": ({**CONFIG, "distances": [1, 3]},),
    "edit": (CONFIG | ARMS,),
    "edited_model": (CONFIG | ARMS, "edited"),
    "dealt_texts": (CONFIG | RING,),
    "dealt_model": (CONFIG | RING, "dealt"),
}
TRAIN = [name for name in CALLS if name not in ("edit", "dealt_texts")]
EPOCH = 31  # steps


def same(one, other):
    floats = {name for name, array in one.items() if array.dtype.kind == "f"}
    return one.keys() == other.keys() and all(np.array_equal(one[n], other[n], equal_nan=n in floats) for n in one)


@pytest.fixture(scope="module")
def sets():
    return Texts(scale="smoke").sets(["cc", "arxiv"], 2_000, 130, 300)


def made(name, sets, **options):
    return getattr(makers, name)(*CALLS[name], sets, **options)


@pytest.fixture(scope="module")
def found(sets):
    """What every maker gives."""
    return {name: made(name, sets) for name in CALLS}


def test_every_maker_is_here():
    own = {name for name, one in inspect.getmembers(makers, inspect.isfunction) if one.__module__ == makers.__name__}
    makes = {name for name in own if "inputs" in inspect.signature(getattr(makers, name)).parameters}
    assert {name for name in makes if not name.startswith("_")} == {*CALLS}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", CALLS)
def test_a_maker_gives_the_same_bits_again_on_one_thread_or_two(sets, found, name, threads):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with threadpoolctl.threadpool_limits(threads):
            again = made(name, sets)
    finally:
        torch.set_num_threads(before)
    assert same(found[name], again)


@pytest.mark.parametrize("name", TRAIN)
def test_a_maker_that_was_stopped_goes_on_to_the_same_bits(tmp_path, stops, sets, found, name):
    with pytest.raises(drafts.Stopped):
        made(name, sets, draft=stops(tmp_path / "state", 18))
    assert same(found[name], made(name, sets, draft=drafts.Draft(tmp_path / "state")))


@pytest.mark.parametrize("name", TRAIN)
def test_broken_off_a_maker_has_the_first_looks(sets, found, name):
    """What a replay compares: every array of a look before the end is the run's; none of what is measured in full."""
    early = made(name, sets, means=Means(until=10))
    steps = early["steps"]
    assert steps[0] == 0 and steps[-1] <= 10 and np.array_equal(steps, found[name]["steps"][: len(steps)])
    losses = {"training/loss", "training/held"} if name != "dealt_model" else {"training/loss"}
    assert losses < early.keys() <= found[name].keys()
    for key in early.keys() & found[name].keys():
        whole = found[name][key]
        cut = whole[: len(steps)] if len(early[key]) == len(steps) < len(whole) else whole
        assert np.array_equal(early[key], cut, equal_nan=cut.dtype.kind == "f"), key


def test_the_device_is_held_for_the_training_and_no_longer(sets):
    held = []

    @contextlib.contextmanager
    def turn():
        held.append("in")
        yield
        held.append("out")

    for name in TRAIN:
        made(name, sets, means=Means(turn=turn(), until=2))
    assert held == ["in", "out"] * len(TRAIN)


@pytest.mark.parametrize("name", TRAIN)
def test_an_unknown_device_is_one_sentence(sets, name):
    with pytest.raises(ValueError, match=r"^device is 'tpu': pass 'auto', 'cpu' or 'cuda'\.$"):
        made(name, sets, means=Means(device="tpu"))


def test_measures_that_others_make_are_the_same(sets, found):
    """By measures of their own in another thread, from rows alone; only what is rounded to 8 bits stays here."""
    (config,) = CALLS["language_model"]
    theirs = Measures(sets.of("cc"), sets.sets, sets.groups, config["length"], config["seed"])
    asked = []
    with ThreadPoolExecutor(1) as pool:

        def apart(which, *arguments):
            asked.append(which)
            return pool.submit(getattr(theirs, which), *arguments)

        assert same(found["language_model"], made("language_model", sets, means=Means(apart=apart)))
    assert asked.count("watched") == len(found["language_model"]["steps"])
    assert asked.count("analysed") == 6 and asked.count("crossed") == 3


def test_a_language_model_is_measured_at_the_steps_it_says(sets, found):
    """A training of one's own, looked at with `Measures`: every array of every look, to the bit."""
    (config,), data = CALLS["language_model"], sets.of("cc")
    ours = found["language_model"]
    measures = Measures(data, sets.sets, sets.groups, config["length"], config["seed"])
    model = build("qwen2.5", SHAPES["smoke"], data.vocab_size, seed=2, original=data.original)
    recipe = updates.Recipe(epochs=2, batch=4, length=16, lr=1e-2)
    assert recipe.epoch(data) == EPOCH and ours["data/epoch"].tolist() == [EPOCH]
    expected = {}

    def look(step, model):
        W = networks.embeddings(model)
        own = measures.watched(*(one[measures.watched_rows] for one in W))
        expected.update({f"{step}/{key}": array for key, array in own.items()})
        if step in (0, EPOCH, 2 * EPOCH):
            parts = {
                f"{side}/": measures.analysed(side, one[measures.tokens]) for side, one in zip(SIDES, W, strict=True)
            }
            parts["others/"] = measures.crossed(*(one[measures.crossed_rows] for one in W))
            for key, one in zip(("W_E", "W_U"), W, strict=True):
                rounded, scale = small(one[measures.kept_rows])
                parts |= {f"{key}/": {"rows": rounded, "scale": scale}} if step else {}
            expected.update({f"{step}/{p}{key}": array for p, part in parts.items() for key, array in part.items()})
        return {}

    log = training.train(model, data, recipe, seed=2, look=look, look_at=ours["steps"], held=data.held, device="cpu")
    assert ours["steps"].tolist() == looks(EPOCH, 2, 2) and ours["steps"][-1] == 2 * EPOCH
    for key in ("training/loss", "training/held"):
        assert np.array_equal(ours[key], log.arrays()[key], equal_nan=True)
    rows = {int(step): row for row, step in enumerate(ours["steps"])}
    seen = set()
    for key, array in expected.items():
        step, _, name = key.partition("/")
        stored = ours[name][rows[int(step)]] if name in ours else ours[key]
        assert np.array_equal(stored, array, equal_nan=array.dtype.kind == "f"), key
        seen.add(name if name in ours else key)
    about = {f"data/{key}": array for key, array in measures.about().items()}
    assert all(np.array_equal(ours[key], array, equal_nan=array.dtype.kind == "f") for key, array in about.items())
    names = {f"data/names/{group}" for group in sets.groups}
    assert ours.keys() == seen | about.keys() | names | {"steps", "training/loss", "training/held", "data/epoch"}


def test_a_velocity_is_that_of_a_judge_of_the_chosen_rows(sets, found):
    """Ten rows of the text, the same for every seed; at the start, without norms and with them."""
    data = sets.of("cc")
    read, goals = data.rows(16)
    (config,) = CALLS["velocity"]
    every = made_velocity(config | {"rows": None}, sets)
    assert every["size"][2] == np.count_nonzero(goals >= 0) > found["velocity"]["size"][2] > 100
    assert np.array_equal(every["often"], np.bincount(read[goals >= 0], minlength=data.vocab_size))
    assert every["steps"].tolist() == found["velocity"]["steps"].tolist()[: len(every["steps"])] == [0, 4]
    model = build("qwen2.5", SHAPES["smoke"], data.vocab_size, seed=2, original=data.original)
    look = Judge(read, goals, data.vocab_size, 2).measure(model)
    for name, array in look.items():
        np.testing.assert_allclose(every[name][0], array, rtol=1e-5, atol=1e-8, err_msg=name)
    other = made_velocity(config | {"seed": 3}, sets)
    assert np.array_equal(other["often"], found["velocity"]["often"])
    bare = made_velocity(config | {"norms": False}, sets)
    assert not np.allclose(bare["cosine"][0], found["velocity"]["cosine"][0], atol=1e-3)


def made_velocity(config, sets):
    return makers.velocity(config, sets, means=Means(until=4))


def test_the_edit_is_the_one_of_the_text(sets, found):
    data = sets.of("cc")
    of = {"groups": 1, "size": 4, "ranks": (5, 56), "least": 10}
    done = edits.edit(data, edits.choose(data, seed=2, **of), 2)
    assert np.array_equal(found["edit"]["frequency"], data.frequency[done.chosen])
    assert np.array_equal(found["edit"]["moved"], done.moved) and done.moved.sum() > 10
    assert found["edit"]["share"].tolist() == [np.mean(done.data.ids != data.ids)] and found["edit"]["share"] > 0


def test_a_model_without_attention_is_another_from_the_same_weights(sets, found):
    (config,) = CALLS["language_model"]
    alone = makers.language_model(config | {"attention": "itself"}, sets)
    ours = found["language_model"]
    assert np.array_equal(alone["rcos"][0], ours["rcos"][0]) and np.array_equal(
        alone["0/next/rcos"], ours["0/next/rcos"]
    )
    assert not np.array_equal(alone["training/held"][0], ours["training/held"][0])
    assert not np.array_equal(alone["rcos"][-1], ours["rcos"][-1])
