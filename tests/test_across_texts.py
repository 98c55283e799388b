"""Models of several texts against the signatures of all: what a run keeps, and the tables made of it."""

import numpy as np
import pytest

from probsig.experiments import across_texts, language_model
from probsig.geometry import small
from probsig.language import networks, training
from probsig.runs import results as runs_results
from probsig.signatures import tokens as signatures_tokens
from probsig.text.training_set import renumbered

NAMES = ("one", "two", "few")
SIGNATURES = (signatures_tokens.next_token, signatures_tokens.previous_token)


def made_up(name, ids, rng):
    """A text of documents of 50 tokens over some ids of 20, each token's followers its own."""
    law = rng.dirichlet(np.full(len(ids), 0.3), size=len(ids))
    here, found = 0, []
    for _ in range(3000):
        here = rng.choice(len(ids), p=law[here] * 0.9 + 0.1 / len(ids))
        found.append(ids[here])
    return renumbered(np.array(found), np.arange(0, 3001, 50), 20, None, name)


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    return [made_up("one", range(14), rng), made_up("two", range(2, 16), rng), made_up("few", range(5, 10), rng)]


@pytest.fixture(scope="module")
def stored(texts, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROBSIG_RUNS", str(tmp_path_factory.mktemp("runs")))
        options = {"narrow": "few", "scale": "smoke", "seed": 3, "device": "cpu"}
        run = across_texts.run(NAMES, lambda: (texts, lambda id: f"<{id}>"), **options)
        again = across_texts.run(NAMES, lambda: pytest.fail("it is trained again"), **options)
        assert again.name == run.name and again.origin == "runs"
        with pytest.raises(ValueError, match=r"^narrow is 'none': pass one of 'one', 'two', 'few'\.$"):
            across_texts.run(NAMES, lambda: pytest.fail("opened"), **{**options, "narrow": "none"})
    return again


def test_tokens_are_those_that_all_but_the_narrow_text_share(texts, stored):
    ids = stored.arrays["tokens/ids"]
    often = [set(one.kept[one.frequency >= 20].tolist()) for one in texts]
    assert set(ids.tolist()) == often[0] & often[1] and len(ids) > 8
    assert set(ids[stored.arrays["tokens/everywhere"]].tolist()) == often[0] & often[1] & often[2]
    assert across_texts.token_names(stored, NAMES[:2]) == [f"<{id}>" for id in ids]
    assert across_texts.token_names(stored, ["few"]) == [f"<{id}>" for id in ids if 5 <= id < 10]


def test_what_is_kept_of_a_text(texts, stored):
    """Its own trained rows, its signatures and how often each token occurs, in the order of the tokens."""
    how, ids = language_model.SCALES["smoke"], stored.arrays["tokens/ids"]
    for one in texts:
        model = networks.build("qwen2.5", networks.SHAPES["smoke"], one.vocab_size, seed=3, original=one.original)
        recipe = training.Recipe(batch=how.batch, length=how.length, lr=how.lr)
        log = training.train(
            model, one, recipe, seed=3, device="cpu", measure=lambda *_: {}, measure_at=range(24), progress=False
        )
        new = one.new_ids(ids)
        there = new >= 0
        assert there.all() == (one.name != "few")
        pairs = np.triu_indices(len(ids), 1)
        for side, W in enumerate(networks.embeddings(model)):
            rows = stored.arrays[f"{one.name}/rows"][side]
            np.testing.assert_array_equal(rows[there], W[new[there]].astype(np.float16))
            assert not rows[~there].any()
            square = np.zeros((len(ids), len(ids)))
            square[np.ix_(there, there)] = small.cosine(SIGNATURES[side](one.counts, new[there]).toarray())
            np.testing.assert_allclose(stored.arrays[f"{one.name}/signatures"][side], square[pairs], atol=5e-4)
        last = [row["loss"] for step, row in zip(log.steps, log.metrics, strict=True) if step > 20]
        np.testing.assert_allclose(stored.arrays[f"{one.name}/loss"], np.mean(last), rtol=1e-5)
        assert stored.arrays[f"{one.name}/seen"].tolist() == [int((one.kept[one.ids] == id).sum()) for id in ids]
        assert stored.arrays[f"{one.name}/size"].tolist() == [3000, 60, one.vocab_size]
    assert stored.arrays["one/digest"].tolist() != stored.arrays["two/digest"].tolist()


@pytest.mark.parametrize("names", [NAMES, NAMES[:2]])
@pytest.mark.parametrize("side", [0, 1])
def test_tables_are_correlations_of_cosines_over_the_shared_tokens(names, side, texts, stored):
    models, signatures = across_texts.tables(stored, names, side)
    ids = stored.arrays["tokens/ids"]
    chosen = stored.arrays["tokens/everywhere"] if "few" in names else np.ones(len(ids), dtype=bool)
    rows = [stored.arrays[f"{name}/rows"][side][chosen] for name in names]
    known = [SIGNATURES[side](one.counts, one.new_ids(ids[chosen])).toarray() for one in texts if one.name in names]
    by_hand = [[small.cosine_correlation(a, b) for b in known] for a in rows]
    np.testing.assert_allclose(models, by_hand, atol=2e-3)
    by_hand = [[small.cosine_correlation(a, b) for b in known] for a in known]
    np.testing.assert_allclose(signatures, by_hand, atol=2e-3)
    np.testing.assert_allclose(np.diag(signatures), 1.0, atol=1e-6)


def test_the_null_shuffles_tokens_of_a_similar_frequency(stored):
    found = across_texts.shuffled(stored, NAMES, 0, 6)
    assert found.shape == (3, 3, 6) and np.array_equal(found, across_texts.shuffled(stored, NAMES, 0, 6))
    # a run whose matrices are its signatures: 1 where nothing is moved, less in every shuffle
    rng = np.random.default_rng(1)
    W = rng.standard_normal((8, 4))
    arrays = {"tokens/everywhere": np.ones(8, dtype=bool)}
    for name in ("a", "b"):
        arrays |= {f"{name}/rows": np.array([W, W]), f"{name}/seen": np.array([9, 9, 9, 9, 2, 2, 2, 2])}
        arrays[f"{name}/signatures"] = np.array([small.pairs(small.cosine(W))] * 2)
    run = runs_results.Run("by hand", {"narrow": "b", "seed": 0}, arrays, {}, "new", ())
    np.testing.assert_allclose(across_texts.tables(run, ("a", "b"), 0), 1.0, atol=1e-6)
    assert across_texts.shuffled(run, ("a", "b"), 0, 20).max() < 0.99
