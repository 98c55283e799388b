"""New tokens and rare ones: the plan, the starts and the detectors, on made-up texts and by loops."""

import numpy as np
import pytest

from probsig.experiments import new_token
from probsig.experiments.pretrained import Model
from probsig.experiments.texts import Texts, unpack


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROBSIG_RUNS", str(tmp_path_factory.mktemp("runs")))
        return new_token.added("wikipedia-en", Texts(scale="smoke"), scale="smoke", seed=0)


def made(tokens=6000):
    return Texts(scale="smoke").sets(["wikipedia-en"], tokens, 200, 500).of("wikipedia-en")


def test_rare_tokens_are_left_as_often_as_the_levels_say_and_are_in_no_pair():
    data, sizes = made(), new_token.SIZES["smoke"]
    plan = new_token.plan(data, sizes, 3)
    assert plan.rare.shape == (len(new_token.LEVELS), sizes.each)
    often = data.frequency[plan.rare]
    assert (often >= sizes.often[0]).all() and (often <= sizes.often[1]).all()
    left = np.minimum(np.array(new_token.LEVELS)[:, None], often)
    assert np.array_equal(plan.thinned.frequency[plan.rare], left)
    assert not np.intersect1d(plan.rare, plan.pairs).size


def test_a_text_too_short_for_it_says_so():
    with pytest.raises(ValueError, match="take more text"):
        new_token.plan(made(tokens=300), new_token.SIZES["smoke"], 0)


def test_a_run_has_a_loss_for_every_start_look_and_place(run):
    sizes = new_token.SIZES["smoke"]
    loss = run.arrays["added/loss"]
    assert loss.shape == (4, len(sizes.at), 3) and np.isfinite(loss).all()
    assert len(unpack(run.arrays["added/words"])) == 2 * len(run.arrays["added/pairs/seen"]) == 2 * sizes.pairs
    assert run.arrays["added/fit"].shape == (2, 3)


def test_at_once_the_starts_differ_where_new_tokens_are_and_hardly_elsewhere(run):
    at_once = run.arrays["added/loss"][:, 0]
    assert np.ptp(at_once[:, 0]) < 0.2 < np.ptp(at_once[:, 1])


def test_those_that_are_told_as_unused_are_not_judged(run):
    level = run.arrays["added/level"]
    each = new_token.SIZES["smoke"].each
    assert np.count_nonzero(level == 0) == each // 2
    assert np.count_nonzero(level == 1) == each
    assert run.arrays["added/detectors"].shape == (2, len(new_token.DETECTORS), len(level))


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    stream = np.random.default_rng(0)
    scores, positive = stream.integers(5, size=30), stream.random(30) < 0.4
    wins = [(a > b) + 0.5 * (a == b) for a in scores[positive] for b in scores[~positive]]
    assert new_token.auc(scores, positive) == pytest.approx(np.mean(wins))
    assert np.isnan(new_token.auc([1.0, 2.0], [True, True]))


def test_the_interval_of_an_area_holds_it_and_is_wider_for_fewer_tokens():
    stream = np.random.default_rng(1)
    scores = np.concatenate([stream.normal(1, 1, 200), stream.normal(0, 1, 200)])
    positive = np.repeat([True, False], 200)
    low, high = new_token.auc_interval(scores, positive, seed=0, draws=199)
    assert low < new_token.auc(scores, positive) < high
    few = new_token.auc_interval(scores[::10], positive[::10], seed=0, draws=199)
    assert few[1] - few[0] > 2 * (high - low)


def test_a_made_up_embedding_of_a_text_is_found_again_from_its_signatures(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    model = Model()
    found = new_token.shipped(model, model.texts("stand-in", scale="smoke", seed=0, max_tokens=None))
    scores = found.arrays["both/scores"]
    assert scores.shape == (3,) and scores[0] > 0.5 > scores[1]
    assert set(new_token.FROM) == {key.split("/")[0] for key in found.arrays}
    assert len(found.arrays["both/ranks"]) == len(found.arrays["both/frequency"])
