"""Models of several texts against the signatures of all: what a run keeps, and the tables made of it."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

from probsig.experiments import across_texts, language_model
from probsig.experiments.texts import Sets
from probsig.geometry.large import cosines
from probsig.runs.results import Run
from probsig.text.training_set import renumbered

NAMES = ("one", "two", "few")


def made_up(name, ids, rng):
    """A text of documents of 50 tokens over some ids of 20, each token's followers its own."""
    law = rng.dirichlet(np.full(len(ids), 0.3), size=len(ids))
    here, found = 0, []
    for _ in range(3000):
        here = rng.choice(len(ids), p=law[here] * 0.9 + 0.1 / len(ids))
        found.append(ids[here])
    return renumbered(np.array(found), np.arange(0, 3001, 50), 20, None, name)


@pytest.fixture(scope="module")
def sets():
    rng = np.random.default_rng(0)
    return [made_up("one", range(14), rng), made_up("two", range(2, 16), rng), made_up("few", range(5, 10), rng)]


@pytest.fixture(scope="module")
def known(sets, place):
    """The run of the signatures, which is found again without opening a text."""
    given = Sets(sets, {}, lambda id: f"<{id}>")
    texts = SimpleNamespace(
        identity=lambda names: {"text": "by hand"}, sets=lambda *_: given, enough=contextlib.nullcontext
    )
    closed = SimpleNamespace(
        identity=texts.identity, sets=lambda *_: pytest.fail("a text was opened"), enough=contextlib.nullcontext
    )
    made = across_texts.signatures(NAMES, texts, narrow="few", scale="smoke")
    again = across_texts.signatures(NAMES, closed, narrow="few", scale="smoke")
    assert again.name == made.name and again.origin == "runs"
    with pytest.raises(
        ValueError, match=r"^narrow is 'none' \(did you mean 'one'\?\): pass one of 'one', 'two', 'few'\.$"
    ):
        across_texts.signatures(NAMES, closed, narrow="none", scale="smoke")
    return again


def model(one, rng):
    """A run that keeps random rows of all but the last of a text's tokens, as `language_model` reads it."""
    kept = one.kept[:-1]
    arrays = {"model/data/epoch": np.array([7]), "model/data/kept": kept}
    for key in ("W_E", "W_U"):
        arrays[f"model/7/{key}/rows"] = rng.integers(-127, 128, (len(kept), 6)).astype(np.int8)
        arrays[f"model/7/{key}/scale"] = rng.uniform(0.1, 1, len(kept)).astype(np.float32)
    return Run(one.name, {"epochs": 1}, arrays, {}, "new", "this")


@pytest.fixture(scope="module")
def compared(sets, known):
    rng = np.random.default_rng(1)
    return across_texts.Comparison({one.name: [model(one, rng), model(one, rng)] for one in sets}, known)


def law(one, side, token, order):
    """How often each of `order` stands after or before a token of the tokenizer, counted in a loop."""
    old = one.kept[one.ids].tolist()
    row = dict.fromkeys(order, 0)
    for start, end in zip(one.offsets[:-1], one.offsets[1:], strict=True):
        for a, b in zip(old[start : end - 1], old[start + 1 : end], strict=True):
            here, there = (a, b) if side == "next" else (b, a)
            if here == token:
                row[there] += 1
    return list(row.values())


def by_hand(one, side, ids):
    """The cosines of all pairs of tokens, 0 where one is not in the text."""
    rows = np.array([law(one, side, token, range(20)) for token in ids], dtype=float)
    norms = np.linalg.norm(rows, axis=1)
    rows /= np.where(norms > 0, norms, 1)[:, None]
    return (rows @ rows.T)[np.triu_indices(len(ids), 1)]


def test_tokens_are_those_that_all_but_the_narrow_text_share(sets, known, compared):
    ids = known.arrays["tokens/ids"]
    often = [set(one.kept[one.frequency >= 20].tolist()) for one in sets]
    assert set(ids.tolist()) == often[0] & often[1] and len(ids) > 8
    assert set(ids[known.arrays["tokens/everywhere"]].tolist()) == often[0] & often[1] & often[2]
    assert compared.tokens(NAMES[:2]) == [f"<{id}>" for id in ids]
    assert compared.tokens(["few"]) == [f"<{id}>" for id in ids if 5 <= id < 10]


def test_what_is_kept_of_a_text(sets, known):
    ids = known.arrays["tokens/ids"]
    for one in sets:
        often = np.argsort(-one.frequency, kind="stable")
        often = one.kept[often[one.frequency[often] >= 50]]
        for row, side in enumerate(("next", "previous")):
            expected = by_hand(one, side, ids)
            np.testing.assert_allclose(known.arrays[f"{one.name}/signatures"][row], expected, atol=1e-3)
            np.testing.assert_allclose(known.arrays[f"{one.name}/own"][row], by_hand(one, side, often), atol=1e-3)
        assert known.arrays[f"{one.name}/seen"].tolist() == [int((one.kept[one.ids] == id).sum()) for id in ids]
        assert known.arrays[f"{one.name}/size"].tolist() == [3000, 60, one.vocab_size]


@pytest.mark.parametrize("names", [NAMES, NAMES[:2]])
@pytest.mark.parametrize(("side", "key"), [(0, "W_E"), (1, "W_U")])
def test_tables_are_correlations_of_cosines_over_the_shared_tokens(names, side, key, sets, known, compared):
    ids = (
        known.arrays["tokens/ids"][known.arrays["tokens/everywhere"]] if "few" in names else known.arrays["tokens/ids"]
    )
    texts = [by_hand(one, ("next", "previous")[side], ids) for one in sets if one.name in names]
    matrices = []
    for name in names:
        run = compared.models[name][1]
        rows, kept = language_model.rows(run, key), language_model.data(run, "kept").tolist()
        chosen = np.array([rows[kept.index(id)] if id in kept else np.zeros(6) for id in ids])
        norms = np.linalg.norm(chosen, axis=1)
        chosen /= np.where(norms > 0, norms, 1)[:, None]
        matrices.append((chosen @ chosen.T)[np.triu_indices(len(ids), 1)])
    models, signatures = compared.tables(names, side, 1)
    n = len(names)
    np.testing.assert_allclose(models, np.corrcoef(matrices, texts)[:n, n:], atol=5e-3)
    np.testing.assert_allclose(signatures, np.corrcoef(texts), atol=5e-3)


def test_the_null_shuffles_tokens_of_a_similar_frequency(known, compared):
    found = compared.shuffled(NAMES, 0, 0, 6)
    assert found.shape == (3, 3, 6) and np.array_equal(found, compared.shuffled(NAMES, 0, 0, 6))
    # models whose rows have the cosines of their text's signature: 1 where nothing is moved, less in every shuffle
    rng = np.random.default_rng(1)
    W = rng.integers(-127, 128, (24, 4)).astype(np.int8)
    ids = np.arange(24)
    arrays = {"tokens/everywhere": np.ones(24, dtype=bool), "tokens/ids": ids}
    alike = {"model/data/epoch": np.array([1]), "model/data/kept": ids}
    alike |= {"model/1/W_E/rows": W, "model/1/W_E/scale": np.ones(24)}
    for name in ("a", "b"):
        arrays |= {f"{name}/seen": np.repeat([9, 2], 12)}
        arrays[f"{name}/signatures"] = np.array([cosines(W.astype(float)).pairs] * 2)
    run = Run("by hand", {"narrow": "b"}, arrays, {}, "new", "this")
    models = {name: [Run(name, {"epochs": 1}, alike, {}, "new", "this")] for name in ("a", "b")}
    both = across_texts.Comparison(models, run)
    np.testing.assert_allclose(both.tables(("a", "b"), 0, 0)[0], 1.0, atol=1e-5)
    shuffled = both.shuffled(("a", "b"), 0, 0, 20)
    assert shuffled.max() < 0.9
