"""Shares of a velocity: least squares' own, shuffles that keep frequencies, and a judge that knows the right answer.

Worked by hand: the velocity (3, 4) and the formula (0, 2) have the cosine 4/5, so the best multiple of the formula,
twice it, leaves (3, 0): 16/25 of the square is explained.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probsig import seeds
from probsig.geometry import small
from probsig.language import shares
from probsig.language.networks import SHAPES, build
from probsig.language.velocity import FORMS, velocity_and_formulas, without_norms
from probsig.text.training_set import IGNORED

V = 40


@pytest.fixture(scope="module")
def judge():
    """Ten rows of twelve tokens of a law that falls as 1 / rank, some places without a target; the last id never."""
    law = 1 / np.arange(1, V)
    X = seeds.stream(0, "rows").choice(V - 1, (10, 13), p=law / law.sum())
    targets = X[:, 1:].copy()
    targets[[0, 2, 2], [3, 0, 8]] = IGNORED
    return shares.Judge(X[:, :-1], targets, V, seed=0)


@given(st.integers(0, 1000), st.floats(-3, 3))
def test_the_squared_cosine_is_the_share_at_the_best_scale(seed, slant):
    g = seeds.stream(seed, "cosine")
    v = g.standard_normal((4, 3))
    f = slant * v + g.standard_normal((4, 3))
    best = np.linalg.lstsq(f.reshape(-1, 1), v.ravel(), rcond=None)[0]
    share = 1 - ((v - best * f) ** 2).sum() / (v**2).sum()
    assert shares.cosine(v, f) ** 2 == pytest.approx(share, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=150).filter(any), st.sampled_from([None, 1, 3]))
def test_a_shuffle_keeps_frequencies_and_laws(often, group):
    often = np.array(often)
    f = often[:, None] * np.arange(1.0, 1 + 2 * often.size).reshape(-1, 2)  # n_s times a law of its own
    moved = shares.shuffled(f, often, group, seeds.stream(0, "shuffle"))
    there = often > 0
    assert not moved[~there].any()
    per_place = moved[there] / often[there, None]
    assert np.allclose(np.sort(per_place, axis=0), np.sort(f[there] / often[there, None], axis=0))
    if group == 1:
        assert np.allclose(moved, f)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=1200))
def test_bands_are_all_tokens_that_occur_in_order(often):
    parts = shares.bands(often)
    everything = np.concatenate(parts)
    assert sorted(everything) == [s for s, n in enumerate(often) if n]
    assert (np.diff(np.array(often)[everything]) <= 0).all()
    assert [part.size for part in parts[:2]] == [min(10, everything.size), min(90, max(0, everything.size - 10))]


def test_a_linear_map_is_found_and_a_wrong_formula_is_not():
    g = seeds.stream(0, "map")
    often = g.integers(0, 20, 400)
    f = often[:, None] * g.standard_normal((400, 6))
    v = f @ g.standard_normal((6, 5))
    noise = np.sqrt(often)[:, None] * g.standard_normal((400, 5))
    assert shares.mapped(v, f, often, 0) > 0.999
    assert shares.cosine(v, f[:, :5]) ** 2 < 0.5
    assert abs(shares.mapped(noise, f, often, 0)) < 0.03
    power = [(w[often > 0] ** 2 / often[often > 0, None]).sum() for w in (v, v + noise)]
    assert shares.mapped(v + noise, f, often, 0) == pytest.approx(power[0] / power[1], abs=0.05)


def network(init):
    return without_norms(build("qwen2.5", SHAPES["smoke"], V, init=init, seed=0))


@pytest.fixture(scope="module")
def measured(judge):
    return {init: judge.measure(network(init)) for init in (0.01, 0.5)}


def test_a_judge_counts_places_that_have_a_target(judge):
    counted = [0] * V
    for row, goal in zip(judge.inputs.tolist(), judge.targets.tolist(), strict=True):
        for s, target in zip(row, goal, strict=True):
            counted[s] += target >= 0
    assert judge.often.tolist() == counted
    assert judge.often[-1] == 0
    assert set(judge.tokens) >= set(np.flatnonzero(judge.often >= shares.LEAST))
    assert (judge.often[judge.tokens[3:]] >= shares.LEAST).all()
    assert len(judge.tokens) >= 3


def test_shapes_of_a_look(measured):
    n, m = len(FORMS), len(shares.MAPS)
    for look in measured.values():
        assert {name: array.shape for name, array in look.items()} == {
            "cosine": (n,), "raw": (n,), "scale": (n,), "two": (3,), "band": (4, n), "weight": (4,), "null": (2, 5, n),
            "map": (m,), "map_null": (m,), "rcos": (4,), "parts_rcos": (2, 4), "parts": (2,), "ratio": (1,),
            "length": (1,), "loss": (1,),
        }  # fmt: skip
        assert all(np.isfinite(array).all() for array in look.values())


def test_where_the_formula_is_right_a_judge_says_so(measured):
    """At small weights the third order and the stack are the velocity, with nothing of their own scale."""
    start = measured[0.01]
    for form in ("centred", "third_order", "stack", "skip", "place"):
        k = FORMS.index(form)
        assert start["cosine"][k] == pytest.approx(1, abs=1e-3)
        assert start["raw"][k] == pytest.approx(1, abs=1e-3)
        assert start["scale"][k] == pytest.approx(1, abs=1e-2)
        assert start["band"][0, k] == pytest.approx(1, abs=1e-3)
    assert start["two"][0] == pytest.approx(1, abs=1e-3)
    assert start["null"][:, :, FORMS.index("centred")].max() < 0.9
    assert start["loss"][0] == pytest.approx(np.log(V), abs=1e-3)


def test_numbers_of_a_look_are_what_they_are_called(judge, measured):
    """Every number against the velocity itself, at weights where no formula is right."""
    model, look = network(0.5), measured[0.5]
    said = velocity_and_formulas(model, judge.inputs, judge.targets)
    v, power = said["velocity"], (said["velocity"] ** 2).sum()
    for k, form in enumerate(FORMS):
        f = said[form]
        assert look["raw"][k] == pytest.approx(1 - ((v - f) ** 2).sum() / power)
        assert look["cosine"][k] ** 2 == pytest.approx(1 - ((v - look["scale"][k] * f) ** 2).sum() / power)
    two = np.stack([said["centred"].ravel(), said["attention"].ravel()], axis=1)
    best, left, *_ = np.linalg.lstsq(two, v.ravel(), rcond=None)
    np.testing.assert_allclose(look["two"], [1 - left[0] / power, *best], rtol=1e-6)
    assert look["two"][0] >= (look["cosine"][[FORMS.index("centred"), FORMS.index("attention")]] ** 2).max()
    assert look["weight"].sum() == pytest.approx(1)
    assert look["ratio"][0] == pytest.approx(np.linalg.norm(v - said["skip"]) / np.linalg.norm(said["skip"]))
    W = model.get_input_embeddings().weight.detach().numpy()[judge.often > 0]
    assert look["length"][0] == pytest.approx(np.linalg.norm(W, axis=1).mean())
    moving = v[judge.tokens]
    own = small.pairs(small.cosine(moving - moving.mean(axis=0)))
    for name, there in (("next centred", judge.pairs[2]), ("attention centred", judge.pairs[3])):
        assert look["rcos"][shares.GEOMETRY.index(name)] == pytest.approx(np.corrcoef(own, there)[0, 1])


def test_parts_of_a_look_are_the_own_place_and_the_later_ones(judge, measured):
    """Their lengths over that of the velocity, and the correlations of their rows' cosines with the signatures'."""
    look, said = measured[0.5], velocity_and_formulas(network(0.5), judge.inputs, judge.targets)
    v, place = said["velocity"], said["place"]
    lengths = np.array([np.linalg.norm(place), np.linalg.norm(v - place)]) / np.linalg.norm(v)
    np.testing.assert_allclose(look["parts"], lengths, rtol=1e-12)
    assert look["parts_rcos"].shape == (2, 4) and lengths.min() > 0.05
    for k, part in enumerate((place, v - place)):
        rows = part[judge.tokens]
        for centred in (False, True):
            own = small.pairs(small.cosine(rows - rows.mean(axis=0) if centred else rows))
            for name in ("next centred", "attention centred") if centred else ("next", "attention"):
                g = shares.GEOMETRY.index(name)
                assert look["parts_rcos"][k, g] == pytest.approx(np.corrcoef(own, judge.pairs[g])[0, 1])


def test_a_look_is_the_same_every_time(judge, measured):
    again = judge.measure(network(0.5))
    assert all(np.array_equal(again[name], value) for name, value in measured[0.5].items())


def test_rows_without_a_target_have_no_judge(judge):
    with pytest.raises(ValueError, match="has a target"):
        shares.Judge(judge.inputs, np.full_like(judge.targets, IGNORED), V, seed=0)
