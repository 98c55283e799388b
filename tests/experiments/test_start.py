"""Networks from counts and from chance: their first weights, their courses, and the numbers read off them."""

import numpy as np
import pytest
import torch

from probsig.counts.bigrams import count
from probsig.experiments import start, start_makers
from probsig.experiments.makers import Means
from probsig.experiments.texts import Texts
from probsig.language import networks, starts
from probsig.language.yardsticks import yardsticks
from probsig.runs import drafts

CONFIG = {"corpus": "cc", "architecture": "qwen2.5", "seed": 4, "shape": "smoke", "batch": 4, "length": 16, "looks": 3}
CONFIG |= {"rates": {arm: 1e-2 for arm in start.ARMS}}


@pytest.fixture(scope="module")
def sets():
    return Texts(scale="smoke").sets(["cc"], 2_000, 130, 300)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROBSIG_RUNS", str(tmp_path_factory.mktemp("runs")))
        return start.trained("cc", Texts(scale="smoke"), scale="smoke", seed=1)


@pytest.fixture(scope="module")
def begun(sets):
    return {arm: start_makers._begun(CONFIG, arm, sets.of("cc")) for arm in start.ARMS}


def test_only_the_two_matrices_are_from_the_counts(begun, sets):
    """All others are the library's, to the bit."""
    usual = dict(begun["library"].named_parameters())
    for arm in ("signature", "shuffled"):
        apart = [name for name, W in begun[arm].named_parameters() if not torch.equal(W, usual[name])]
        assert apart == ["model.embed_tokens.weight", "lm_head.weight"]


def test_their_rows_are_those_of_the_counts_with_the_norm_that_rows_usually_have(begun, sets):
    data, W = sets.of("cc"), {arm: networks.embeddings(model) for arm, model in begun.items()}
    rows = starts.from_counts(count(data), 32, seed=4)
    for k in (0, 1):
        norms = np.linalg.norm(W["signature"][k], axis=1)
        assert np.allclose(norms, np.linalg.norm(W["library"][k], axis=1).mean(), rtol=1e-5)
        assert np.allclose(W["signature"][k] / norms[:, None], rows[k], atol=1e-5)


def test_shuffled_rows_are_the_same_pairs_of_rows_of_other_tokens(begun, sets):
    whose = starts.dealt(sets.of("cc").frequency, 4)
    ours, theirs = (networks.embeddings(begun[arm]) for arm in ("shuffled", "signature"))
    assert all(np.array_equal(one, other[whose]) for one, other in zip(ours, theirs, strict=True))


def test_the_usual_starts_are_those_of_the_networks(begun, sets):
    data = sets.of("cc")
    for arm, init in (("library", "library"), ("paper", "vocab")):
        model = networks.build(
            "qwen2.5", networks.SHAPES["smoke"], data.vocab_size, init=init, seed=4, original=data.original
        )
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), begun[arm].parameters(), strict=True))


def test_a_run_holds_a_course_for_every_start_and_what_it_cost(run):
    for arm in start.ARMS:
        steps, held = run.arrays[f"{arm}/steps"], run.arrays[f"{arm}/training/held"]
        assert held.shape == (len(steps), 1) and np.isfinite(held).all() and held[-1, 0] < held[0, 0]
        assert np.array_equal(steps, run.arrays["signature/steps"])
    assert (run.arrays["cost/seconds"] > 0).all() and run.arrays["cost/seconds"].shape == (3,)
    data = Texts(scale="smoke").sets(["cc"], 6_000, 200, 500).of("cc")
    known = yardsticks(data)
    assert run.arrays["cost/nats"].tolist() == [known.entropy, known.unigram, known.bigram]
    assert run.arrays["cost/size"].tolist() == [6_000, len(data.offsets) - 1, data.vocab_size]


@pytest.mark.parametrize("arm", ["signature", "paper"])
def test_a_start_gives_the_same_bits_again_and_after_a_stop(tmp_path, stops, sets, arm):
    once = start_makers.network(CONFIG, arm, sets)
    with pytest.raises(drafts.Stopped):
        start_makers.network(CONFIG, arm, sets, draft=stops(tmp_path / "state", 18))
    again = start_makers.network(CONFIG, arm, sets, draft=drafts.Draft(tmp_path / "state"))
    assert once.keys() == again.keys() and all(np.array_equal(once[k], again[k], equal_nan=True) for k in once)


def test_every_start_has_a_rate_of_its_own(sets):
    fast = CONFIG | {"rates": CONFIG["rates"] | {"paper": 3e-2}}
    means = Means(until=8)
    one, other = (start_makers.network(config, "paper", sets, means=means) for config in (CONFIG, fast))
    assert (
        one["training/held"][0] == other["training/held"][0] and one["training/held"][-1] != other["training/held"][-1]
    )
    same = (start_makers.network(config, "library", sets, means=means) for config in (CONFIG, fast))
    assert len({array["training/held"].tobytes() for array in same}) == 1


def test_an_unknown_scale_is_said_in_one_sentence():
    with pytest.raises(ValueError, match="scale"):
        start.trained("cc", Texts(scale="smoke"), scale="large", seed=0)
