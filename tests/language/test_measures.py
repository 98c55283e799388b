"""W_E and W_U against the signatures of a text: every number against dense matrices and plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probsig import seeds
from probsig.geometry import small
from probsig.geometry.large import Cosines, correlations, cosines
from probsig.geometry.percentiles import percentile_table
from probsig.language import analysis
from probsig.text.training_set import REST, TrainingSet, renumbered

V, LENGTH, DOCUMENT = 160, 5, 100
RNG = 2e-6  # cosines are kept in float32


def text(seed=0, tokens=30_000, keep=None, also=(), name="made up"):
    """A Markov chain over 160 tokens, 120 of them frequent, in documents of 100; `seed` is its stream, not its law."""
    law, stream = seeds.stream(0, "law"), seeds.stream(seed, "walk")
    heavy = np.where(np.arange(V - 10) < 120, 1.0, 0.01)  # the last ten never come
    sums = np.cumsum(law.dirichlet(0.1 * heavy, V), axis=1)
    ids, here = [], 0
    for chance in stream.random(tokens):
        here = int(np.searchsorted(sums[here], chance * sums[here, -1]))
        ids.append(here)
    offsets = np.append(np.arange(0, tokens, DOCUMENT), tokens)
    return renumbered(np.array(ids), offsets, V, keep, name, also)


@pytest.fixture(scope="module")
def data():
    return text()


@pytest.fixture(scope="module")
def reference(data):
    return analysis.Reference(data, LENGTH)


def table(data, distance=1):
    """Counts of pairs at a distance, (V, V), by a loop over documents."""
    N = np.zeros((data.vocab_size,) * 2)
    for document in np.split(data.ids, data.offsets[1:-1]):
        np.add.at(N, (document[:-distance], document[distance:]), 1)
    return N


def law(N):
    N, sums = N.astype(float), N.sum(axis=1, keepdims=True)
    return np.divide(N, sums, out=np.zeros_like(N), where=sums > 0)


def ppmi(N):
    with np.errstate(divide="ignore", invalid="ignore"):
        pmi = np.log(N * N.sum() / (N.sum(axis=1, keepdims=True) * N.sum(axis=0)))
    return np.where(pmi > 1e-12, pmi, 0)


def support(N):
    return (N > 0).astype(float)


@pytest.fixture(scope="module")
def dense(data):
    """Each of LEADERS as a dense matrix (V, V), not yet centred."""
    N, far = table(data), [table(data, k) for k in range(1, LENGTH)]
    weights = [sum(1 / t for t in range(k, LENGTH)) for k in range(1, LENGTH)]
    seen = sum(w * M / M.sum() for w, M in zip(weights, far, strict=True))
    raw = {"next": law(N), "previous": law(N.T), "tied": law(N) + law(N.T), "attention": law(seen)}
    return raw | {
        "next ppmi": ppmi(N),
        "next support": support(N),
        "skip 2": law(far[1]),
        **{f"{name} centred": rows for name, rows in raw.items()},
    }


@pytest.fixture(scope="module")
def matrices(data, dense):
    """The signatures of the two sides in 20 random directions, with noise."""
    stream = seeds.stream(1, "matrices")
    turned = [dense[side] @ stream.standard_normal((data.vocab_size, 20)) for side in ("next", "previous")]
    return tuple((W + 0.1 * stream.standard_normal(W.shape)).astype(np.float32) for W in turned)


def centred(rows):
    return rows - rows.mean(axis=0)


@pytest.fixture(scope="module")
def found(matrices, reference):
    return analysis.analyse(*matrices, reference, seed=0)


def test_the_tokens_are_those_seen_often(data, reference):
    often = sorted((id for id in range(data.vocab_size) if data.frequency[id] >= 50), key=lambda i: -data.frequency[i])
    assert data.frequency[reference.tokens].tolist() == data.frequency[often].tolist()
    assert set(reference.tokens.tolist()) == set(often) and 100 < len(often) < data.vocab_size
    assert reference.sizes == [50, 100, len(often)]
    capped = analysis.Reference(text(keep=60), LENGTH)
    assert capped.data.kept[-1] == REST and capped.data.frequency[-1] > 1000
    assert capped.sizes == [50, 59] and 59 not in capped.tokens


def test_r_cos_is_that_of_dense_matrices(matrices, reference, dense, found):
    assert found["rcos"].shape == (2, 2, 3) and (found["rcos"] > 0.2).all()
    for s, (W, name) in enumerate(zip(matrices, ("next", "previous"), strict=True)):
        for c, C in enumerate(reference.sizes):
            tokens = reference.tokens[:C]
            raw = small.cosine_correlation(W[tokens], dense[name][tokens])
            without_mean = small.cosine_correlation(centred(W[tokens].astype(float)), centred(dense[name][tokens]))
            np.testing.assert_allclose(found["rcos"][s, :, c], [raw, without_mean], atol=RNG)


def test_what_is_measured_in_training_is_the_same(matrices, reference, found):
    measured = reference.measure(7, *matrices)
    last = len(reference.tokens)
    assert sorted(measured) == sorted(f"{side}/{C}" for side in analysis.SIDES for C in (100, last))
    for s, side in enumerate(analysis.SIDES):
        both = [measured[f"{side}/100"], measured[f"{side}/{last}"]]
        np.testing.assert_allclose(both, found["rcos"][s, 0, 1:], atol=1e-12)


def test_by_token_table_and_heat_are_of_dense_matrices(matrices, reference, dense, found):
    n = len(reference.tokens)
    assert found["table"].shape == (2, 10, analysis.COLUMNS) and found["heat"].shape == (
        2,
        2,
        analysis.HEAT,
        analysis.HEAT,
    )
    for s, (W, name) in enumerate(zip(matrices, ("next", "previous"), strict=True)):
        own, other = small.cosine(W[reference.tokens]), small.cosine(dense[name][reference.tokens])
        rest = ~np.eye(n, dtype=bool)
        by_token = [np.corrcoef(own[i][rest[i]], other[i][rest[i]])[0, 1] for i in range(n)]
        np.testing.assert_allclose(found["by_token"][s], by_token, atol=1e-3)  # kept in float16
        similarity = [own[i][rest[i]].mean() for i in range(n)]
        np.testing.assert_allclose(found["similarity"][s], similarity, atol=1e-3)
        np.testing.assert_allclose(
            found["heat"][s],
            [own[: analysis.HEAT, : analysis.HEAT], other[: analysis.HEAT, : analysis.HEAT]],
            atol=1e-3,
        )
        pairs = small.pairs(own), small.pairs(other).astype(np.float32)
        assert found["table"][s].sum() == len(pairs[0]) and np.ptp(found["table"][s].sum(axis=1)) <= 4
        np.testing.assert_allclose(found["zeros"][s], [0, np.mean(pairs[1] == 0)], atol=1e-12)
        below = np.searchsorted(np.sort(pairs[1]), pairs[1], "left") + np.searchsorted(
            np.sort(pairs[1]), pairs[1], "right"
        )
        place = np.argsort(np.argsort(pairs[0])) * 10 // len(pairs[0])
        means = [(below[place == i] / (2 * len(below))).mean() for i in range(10)]
        np.testing.assert_allclose(found["means"][s], means, atol=2e-3)  # a pair on the border of two intervals


def test_nulls_and_bootstrap(reference, found):
    sizes = len(reference.sizes)
    assert found["shuffled"].shape == found["matched"].shape == (2, sizes, analysis.DRAWS)
    assert np.abs(found["shuffled"].mean(axis=2)).max() < 0.03 and found["shuffled"].std(axis=2).min() > 0
    assert found["bootstrap"].shape == (2, sizes, 2)
    low, high = found["bootstrap"][..., 0], found["bootstrap"][..., 1]
    assert (low < found["rcos"][:, 0]).all() and (found["rcos"][:, 0] < high).all()
    # fifty tokens are one group of fifty: there the matched null is the plain one
    assert np.array_equal(found["matched"][:, 0], found["shuffled"][:, 0])
    assert not np.array_equal(found["matched"][:, 1], found["shuffled"][:, 1])


def test_signatures_as_embeddings(reference, dense):
    """R_cos is 1, the percentiles rise, every token agrees, a shuffle does not."""
    found = analysis.analyse(dense["next"], dense["previous"], reference, seed=0)
    np.testing.assert_allclose(found["rcos"], 1, atol=1e-6)
    np.testing.assert_allclose(found["by_token"], 1, atol=1e-3)
    np.testing.assert_allclose(found["bootstrap"], 1, atol=1e-6)
    rising = np.diff(found["means"], axis=1)
    assert (rising[~np.isnan(rising)] > 0).all() and np.isfinite(found["means"]).sum() > 10
    assert np.abs(found["shuffled"].mean(axis=2)).max() < 0.03 and found["shuffled"].max() < 0.5
    swapped = analysis.analyse(dense["previous"], dense["next"], reference, seed=0)
    assert swapped["rcos"][:, 0].max() < 0.5  # the sides are not the same


@given(st.integers(2, 12), st.data())
def test_first_are_the_cosines_of_the_first(n, drawn):
    rows = np.random.default_rng(n).standard_normal((n, 3))
    C = drawn.draw(st.integers(2, n))
    some = analysis.first(cosines(rows), C)
    assert isinstance(some, Cosines) and some.size == C
    assert np.array_equal(some.square(), cosines(rows).square()[:C, :C])
    np.testing.assert_allclose(some.pairs, cosines(rows[:C]).pairs, atol=1e-7)


def test_the_leaderboard_is_that_of_dense_matrices(matrices, reference, dense):
    C = 60
    tokens, board = reference.tokens[:C], analysis.leaderboard(*matrices, reference, C)
    assert board.shape == (2, 2, len(analysis.LEADERS)) and dense.keys() == set(analysis.LEADERS)
    for s, W in enumerate(matrices):
        for k, own in enumerate((W[tokens], centred(W[tokens].astype(float)))):
            for j, name in enumerate(analysis.LEADERS):
                rows = dense[name][tokens]
                expected = small.cosine_correlation(own, centred(rows) if "centred" in name else rows)
                assert board[s, k, j] == pytest.approx(expected, abs=RNG), name


@pytest.mark.parametrize("name", analysis.LEADERS)
def test_a_signatures_own_column_is_one(reference, dense, name):
    board = analysis.leaderboard(dense[name], dense[name], reference, 60)[:, int("centred" in name)]
    own = analysis.LEADERS.index(name)
    np.testing.assert_allclose(board[:, own], 1, atol=1e-6)
    assert np.delete(board, own, axis=1).max() < 0.9999


def test_a_text_crossed_with_itself_gives_its_own_r_cos(matrices, data, reference, found):
    names = seeds.stream(0, "names").permutation(data.vocab_size)  # the same text, its rows in another order
    renamed = TrainingSet("renamed", names[data.ids], data.offsets, data.kept[np.argsort(names)], V)
    tokens = analysis.shared([data, renamed], 500, least=analysis.LEAST)
    assert tokens.tolist() == data.kept[reference.tokens].tolist()
    values = analysis.cross(*matrices, data, [data, renamed], [tokens, tokens])
    np.testing.assert_allclose(values, found["rcos"][:, 0, [-1, -1]], atol=1e-9)
    few = analysis.cross(*matrices, data, [data], [analysis.shared([data], 50)])
    np.testing.assert_allclose(few[:, 0], found["rcos"][:, 0, 0], atol=1e-9)


def test_crossed_with_another_text(matrices, data):
    """The tokens stand in both 20 times or more, and come by the lower of the two frequencies; REST is none of them."""
    other, tiny = text(seed=5, tokens=9_000, keep=70), text(seed=6, tokens=150)
    chosen = [analysis.shared([data, one], 40) for one in (other, tiny)]
    values = analysis.cross(*matrices, data, [other, tiny], chosen)
    ours = {int(id): row for row, id in enumerate(data.kept)}
    theirs = {int(id): row for row, id in enumerate(other.kept) if id != REST}
    low = {id: min(data.frequency[ours[id]], other.frequency[theirs[id]]) for id in ours.keys() & theirs.keys()}
    both = sorted((id for id in low if low[id] >= 20), key=lambda id: (-low[id], id))[:40]
    assert chosen[0].tolist() == both and len(both) == 40 and len(chosen[1]) < 3 and np.isnan(values[:, 1]).all()
    assert set(analysis.shared([data, other, tiny], 500, least=1)) <= set(analysis.shared([data, other], 500, least=1))
    N = table(other)
    for s, (W, M) in enumerate(zip(matrices, (N, N.T), strict=True)):
        rows = law(M)[[theirs[id] for id in both]]
        assert values[s, 0] == pytest.approx(small.cosine_correlation(W[[ours[id] for id in both]], rows), abs=RNG)


def test_a_group_with_tokens_that_are_absent():
    """b is read and followed, e only ends the text, n is a row that nothing reads, and x has no row."""
    ids = {"a": 3, "b": 5, "e": 8, "n": 9, "x": 1}
    data = renumbered(np.array([3, 5, 3, 5, 5, 3, 8]), np.array([0, 7]), 10, None, "by hand", [9])
    W_E = np.random.default_rng(0).standard_normal((data.vocab_size, 4))
    found = analysis.group(W_E, data, ids)
    assert found["count"].tolist() == [3, 3, 1, 0, 0]
    rows = [int(np.flatnonzero(data.kept == ids[name])[0]) for name in "aben"]
    np.testing.assert_allclose(found["embedding"][:4, :4], small.cosine(W_E[rows]), atol=1e-6)
    assert np.isnan(found["embedding"][4]).all() and np.isnan(found["embedding"][:, 4]).all()
    cos = 4 / np.sqrt(5 * 5)  # a: 5 5 8, b: 3 5 3; phi = (0, 2, 1)/3 and (2, 1, 0)/3, cosine 2/5
    assert found["next"][0, 1] == pytest.approx(cos / 2) and found["next"][0, 0] == found["next"][1, 1] == 1
    assert np.isnan(found["next"][2:]).all() and np.isnan(found["next"][:, 2:]).all()
    lone = analysis.group(W_E, data, {"a": 3, "x": 1})
    assert np.isnan(lone["embedding"]).all() and lone["count"].tolist() == [3, 0]


def test_ceilings_are_the_roots_of_the_reliability(data, reference):
    found = reference.ceilings(3)
    assert found.shape == (2, 3) and ((0 < found) & (found <= 1)).all()
    halves = [half.to_scipy().toarray() for half in data.halves(3)]
    for s, (a, b) in enumerate((halves, [half.T for half in halves])):
        for c, C in enumerate(reference.sizes):
            r = small.cosine_correlation(law(a)[reference.tokens[:C]], law(b)[reference.tokens[:C]])
            assert found[s, c] == pytest.approx(np.sqrt(2 * r / (1 + r)), abs=1e-5)
    short = analysis.Reference(text(tokens=8_000), LENGTH).ceilings(3)
    assert short[0, 0] < found[0, 0]  # less text, more noise
    one = TrainingSet("one document", data.ids, np.array([0, len(data.ids)]), data.kept, V)
    assert np.isnan(analysis.Reference(one, LENGTH).ceilings(3)).all()


def test_the_table_is_that_of_percentiles(matrices, reference, found):
    own, other = (
        cosines(matrices[0][reference.tokens].astype(float)),
        reference.cosines_of("next", len(reference.tokens)),
    )
    table = percentile_table(own, other, columns=analysis.COLUMNS)
    assert np.array_equal(table.counts, found["table"][0])
    assert correlations(own, other).overall == found["rcos"][0, 0, -1]
