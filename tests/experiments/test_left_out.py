"""Networks without a part of the text: the plan, the numbers that are read off, by loops and on planted changes."""

import numpy as np
import pytest

from probsig.experiments import left_out
from probsig.experiments.texts import Texts, unpack
from probsig.geometry import small as geometry_small

OPTIONS = {"parts": 5, "compared": 20, "least": 10, "length": 16}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROBSIG_RUNS", str(tmp_path_factory.mktemp("runs")))
        return left_out.trained("dm-mathematics", Texts(scale="smoke"), scale="smoke", seed=0)


@pytest.fixture(scope="module")
def data():
    return Texts(scale="smoke").sets(["cc"], 6_000, 200).of("cc")


def test_what_is_compared_is_seen_outside_every_part(data):
    plan = left_out.plan(data, seed=0, **OPTIONS)
    rows = plan.parts.data.ids[:-1].reshape(-1, 16)
    for k in range(5):
        rest = rows[plan.parts.part != k]
        assert min(np.count_nonzero(rest == token) for token in plan.tokens) >= 10
    often = plan.parts.data.frequency[plan.tokens]
    assert (np.diff(often) <= 0).all() and len(plan.tokens) == 20


def test_every_retraining_lacks_about_a_fifth_and_the_last_one_at_random(data):
    plan = left_out.plan(data, seed=0, **OPTIONS)
    assert (plan.gone[:5].sum(axis=0) == 1).all()
    assert plan.gone[5].sum() == round(len(plan.parts.part) / 5)
    assert not np.array_equal(plan.gone[5], left_out.plan(data, seed=1, **OPTIONS).gone[5])
    assert np.array_equal(plan.gone[:5], left_out.plan(data, seed=1, **OPTIONS).gone[:5])


def test_the_text_of_every_network_has_one_length_and_none_of_what_is_left_out(data):
    plan = left_out.plan(data, seed=0, **OPTIONS)
    texts = {which: plan.text(which, 0) for which in left_out.arms(5)}
    assert {len(one.ids) for one in texts.values()} == {len(plan.parts.data.ids)}
    assert texts["full"] is plan.parts.data
    for k in range(5):
        left = texts[f"without {k}"].ids[:-1].reshape(-1, 16)
        stay = {row.tobytes() for row in plan.parts.data.ids[:-1].reshape(-1, 16)[plan.parts.part != k]}
        assert {row.tobytes() for row in left} == stay


def test_a_text_with_too_few_tokens_says_so(data):
    with pytest.raises(ValueError, match="outside every part, and 10 are needed: take more text"):
        left_out.plan(data, seed=0, **{**OPTIONS, "least": 5000})


def test_a_run_at_smoke_keeps_what_it_names(run):
    n, parts = len(unpack(run.arrays["text/words"])), run.config["parts"]
    pairs = n * (n - 1) // 2
    assert run.arrays["text/share"].shape == (parts, n) and np.allclose(run.arrays["text/share"].sum(axis=0), 1)
    assert len(unpack(run.arrays["text/marks"])) == parts * left_out.MARKS
    for key, law in left_out.LAW.items():
        assert run.arrays[f"text/{law}/change"].shape == (parts + 1, pairs)
        measured, whole = left_out.over([run], key)
        assert measured.shape == (1, parts + 1, pairs) and whole.shape == (1, pairs)
        assert (np.abs(measured).max(axis=2) > 0.01).all()


def test_what_is_foretold_is_what_the_counts_of_the_text_do(run):
    """Rows that are read twice hardly change laws."""
    for law in left_out.LAW.values():
        assert np.median(run.arrays[f"text/{law}/counted"]) > 0.7


def test_networks_of_one_seed_start_alike_and_end_differently(run):
    ends = {which: run.arrays[f"{which}/training/loss"][-1, 0] for which in left_out.arms(run.config["parts"])}
    assert len(set(ends.values())) == len(ends)


def planted(noise, seed=0, parts=6, n=20):
    stream = np.random.default_rng(seed)
    foretold = stream.standard_normal((parts, n * (n - 1) // 2))
    return foretold, foretold + noise * stream.standard_normal(foretold.shape)


def test_a_change_that_follows_its_prediction_is_its_own_and_no_others():
    foretold, measured = planted(1.0)
    own, others, place = left_out.own_and_others(left_out.correlations(measured, foretold))
    assert own.min() > 0.5 and np.abs(others).max() < 0.2 and place.tolist() == [1.0] * 6
    assert own[2] == pytest.approx(np.corrcoef(measured[2], foretold[2])[0, 1])


def test_a_change_that_follows_nothing_places_its_prediction_anywhere():
    foretold, _ = planted(0)
    places = [
        left_out.own_and_others(left_out.correlations(planted(1, s)[0], foretold))[2].mean() for s in range(1, 40)
    ]
    assert abs(np.mean(places) - 0.5) < 0.06


def test_hits_and_precision_are_shares_by_loops():
    stream = np.random.default_rng(3)
    one, other = stream.integers(4, size=200), stream.integers(4, size=200)
    chosen = stream.random(200) < 0.5
    found, chance = left_out.hits(one, other, chosen)
    a, b = one[chosen], other[chosen]
    assert found == pytest.approx(sum(x == y for x, y in zip(a, b, strict=True)) / len(a))
    assert chance == pytest.approx(np.mean([[x == y for y in b] for x in a]))
    named = left_out.precision(one, other, 5)
    assert named[1] == pytest.approx(
        np.mean([y == 1 for x, y in zip(one, other, strict=True) if x == 1]) - np.mean(other == 1)
    )
    assert np.isnan(named[4])


def test_the_part_without_which_the_cosine_falls_most_makes_a_pair_alike():
    foretold, measured = planted(0)
    assert (left_out.makes_alike(measured) == [column.tolist().index(min(column)) for column in foretold.T]).all()
    assert left_out.hits(left_out.makes_alike(foretold), left_out.makes_alike(measured))[0] == 1


def test_the_ceiling_is_what_a_perfect_prediction_reaches():
    stream = np.random.default_rng(4)
    truth = stream.standard_normal((2, 50_000))
    measured = truth + np.array([[1.0], [2.0]]) * stream.standard_normal((3, 2, 50_000))
    for k, found in enumerate(left_out.ceilings(measured)):
        assert found == pytest.approx(np.corrcoef(truth[k], measured.mean(axis=0)[k])[0, 1], abs=0.02)
    assert np.isnan(left_out.ceilings(measured[:1])).all()


def test_a_renaming_takes_the_pairs_of_a_token_along():
    names = np.arange(6)
    first, second = np.triu_indices(6, 1)
    for places in left_out.renamings(15, 5, 0):
        order = [
            next(t for t in names if all({first[p], second[p]} & {t} for p in places[(first == k) | (second == k)]))
            for k in names
        ]
        assert sorted(order) == names.tolist()
        for k, (a, b) in enumerate(zip(first, second, strict=True)):
            assert {order[a], order[b]} == {first[places[k]], second[places[k]]}


def test_renamed_tokens_correlate_with_nothing():
    foretold, measured = planted(0, n=15)
    draws = left_out.shuffled(measured[0], foretold[0], 200, 0)
    assert draws.shape == (200,) and abs(draws.mean()) < 0.03 < draws.std()
    assert geometry_small.pearson(measured[0], foretold[0]) > draws.max()


def test_an_unknown_scale_is_said_in_one_sentence():
    with pytest.raises(ValueError, match="scale"):
        left_out.trained("cc", Texts(scale="smoke"), scale="large", seed=0)
