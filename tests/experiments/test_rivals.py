"""Rival orders: what each shift moves, in exact fractions; and what a run keeps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probsig.addition import training
from probsig.experiments import rivals
from probsig.geometry import small
from probsig.laws import shifted
from probsig.laws.tasks import addition, addition_same_domain
from probsig.signatures import laws as signatures_laws

SHIFTS = st.lists(st.integers(-5, 5), min_size=10, max_size=10).map(np.array)


def read(law, signature):
    return signature(law, shifted.ANCHORS, "companion", exact=True)


def test_two_of_the_worlds_are_the_papers_tasks():
    for name, law in (("label", addition()), ("context", addition_same_domain())):
        made = shifted.shifted(*shifted.WORLDS[name])
        rows = [np.column_stack([one.X, one.y]).tolist() for one in (made, law)]
        assert sorted(rows[0]) == sorted(rows[1])
        assert {key: tuple(map(int, ids)) for key, ids in made.groups.items()} == law.groups


@settings(max_examples=15, deadline=None)
@given(SHIFTS, SHIFTS, SHIFTS)
def test_each_shift_moves_its_own_signature(v, u, other):
    base = shifted.shifted(v, u)
    label_moved, context_moved = shifted.shifted(other, u), shifted.shifted(v, other)
    np.testing.assert_array_equal(label_moved.X, base.X)
    np.testing.assert_array_equal(context_moved.y, base.y)
    np.testing.assert_array_equal(context_moved.X[:, 1:], base.X[:, 1:])
    assert (read(label_moved, signatures_laws.cooccurrence) == read(base, signatures_laws.cooccurrence)).all()
    assert (read(context_moved, signatures_laws.label) == read(base, signatures_laws.label)).all()


@pytest.mark.parametrize("name", shifted.WORLDS)
def test_signatures_are_shifts_of_one_law(name):
    v, u = shifted.WORLDS[name]
    law = shifted.shifted(v, u)
    phi_y, phi_X = read(law, signatures_laws.label), read(law, signatures_laws.cooccurrence)
    contexts = phi_X.copy()
    contexts[:, shifted.ANCHORS] = 0  # the other anchor, which is the same law for all
    for i in range(1, 10):
        assert (phi_y[i] == np.roll(phi_y[0], v[i] - v[0])).all()
        assert (contexts[i] == np.roll(contexts[0], u[i] - u[0])).all()
        assert (phi_X[i, shifted.ANCHORS] == phi_X[0, shifted.ANCHORS]).all()


def test_the_bystander_differs_from_addition_in_the_contexts_alone():
    law, base = shifted.shifted(*shifted.WORLDS["bystander"]), addition()
    assert (law.y == law.X[:, 0]).all()
    assert (read(law, signatures_laws.label) == read(base, signatures_laws.label)).all()
    assert not (read(law, signatures_laws.cooccurrence) == read(base, signatures_laws.cooccurrence)).all()


@pytest.mark.parametrize("v", [3, [11, 12, 13]])
def test_what_has_no_entry_for_each_anchor_is_refused(v):
    with pytest.raises(ValueError, match=r"^v has shape \(3?,?\): pass 10 entries\.$"):
        shifted.traded(v)


def test_traded_anchors_trade_their_label_laws():
    base = read(shifted.shifted(*shifted.WORLDS["label"]), signatures_laws.label)
    law = shifted.shifted(shifted.traded(shifted.ANCHORS), shifted.ZERO)
    one, two = np.searchsorted(shifted.ANCHORS, shifted.PAIR)
    rows = np.arange(10)
    rows[[one, two]] = rows[[two, one]]
    assert (read(law, signatures_laws.label) == base[rows]).all()


def test_the_rival_orders_are_uncorrelated():
    v, u = shifted.WORLDS["rivals"]
    apart = [small.pairs(np.abs(np.subtract.outer(at, at))) for at in (v, u)]
    one, two = apart
    assert 45 * (one @ two) == one.sum() * two.sum()  # in whole numbers


def test_worlds_of_a_seed_draw_the_same_triples():
    drawn = [shifted.shifted(*shifts).draw(50, seed=3) for shifts in shifted.WORLDS.values()]
    assert all((one == drawn[0]).all() for one in drawn)


@pytest.mark.parametrize(
    ("v", "u", "said"),
    [
        (shifted.ZERO[:9], shifted.ZERO, "v has shape"),
        (shifted.ZERO, shifted.ZERO / 2, "u has shape"),
        (shifted.ZERO, shifted.ZERO - 45, "onto the anchor 11"),
        (shifted.ZERO + 60, shifted.ZERO, "pass vocab_size"),
    ],
)
def test_impossible_shifts_are_refused(v, u, said):
    with pytest.raises(ValueError, match=said):
        shifted.shifted(v, u)


def test_order_reads_stored_cosines_as_geometry_reads_weights():
    W = np.random.default_rng(0).standard_normal((3, 10, 7))
    cosines = [small.pairs(small.cosine(one)) for one in W]
    at = shifted.PERMUTED
    np.testing.assert_allclose(rivals.order(cosines, at), [small.order_correlation(one, at) for one in W], atol=1e-12)


def test_the_weight_of_the_context_is_found_again():
    v, u = shifted.WORLDS["rivals"]
    for k in (0.0, 0.4, 1.0):
        at = v - k * u
        cosines = np.cos(small.pairs(np.abs(np.subtract.outer(at, at))) / 30)
        assert rivals.weight_of_context(cosines, v, u) == pytest.approx(k, abs=0.05)


def test_the_residual_is_what_a_loop_over_sequences_gives():
    law = shifted.shifted(*shifted.WORLDS["rivals"])
    config = {"seed": 2, "steps": 30, "every": 30, "learning_rate": 1e-2, "batch": 20, "samples": 200, "hidden_size": 8}
    for model in training.MODELS:
        kept, (W_E, W_U) = rivals.follow(config, law, model, None)
        total, slots, right = np.zeros(10), np.zeros(10), 0
        for X, y in zip(law.X, law.y, strict=True):
            hidden = W_E[X].astype(float).sum(axis=0)
            f = W_U.astype(float) @ (np.maximum(hidden, 0) if model == "ffn" else hidden)
            p = np.exp(f - f.max())
            right += f.argmax() == y
            for anchor in X[1:]:
                total[anchor - 11] += y - p @ np.arange(200) / p.sum()
                slots[anchor - 11] += 1
        np.testing.assert_allclose(kept["residual"][-1], total / slots, atol=1e-3)
        assert kept["accuracy"][-1] == pytest.approx(right / 4000, abs=1e-3)


def test_a_continuation_starts_where_the_label_world_ended():
    config = {"seed": 1, "steps": 40, "every": 20, "learning_rate": 1e-3, "batch": 20, "samples": 200, "hidden_size": 8}
    found = rivals.piece(config, "ffn")
    assert {name.split("/")[0] for name in found} == {*shifted.WORLDS, *rivals.CONTINUED}
    starts = {name: found[f"{name}/cosines"][0] for name in shifted.WORLDS}
    assert all((start == starts["label"]).all() for start in starts.values())
    for name in rivals.CONTINUED:
        np.testing.assert_array_equal(found[f"{name}/cosines"][0], found["label/cosines"][-1])
        np.testing.assert_allclose(np.diag(found[f"{name}/against"][0]), 1, atol=1e-6)
        assert found[f"{name}/displacement"][0] == pytest.approx(1) and len(found[f"{name}/displacement"]) == 3
    assert not (found["traded/cosines"][-1] == found["same/cosines"][-1]).all()
