"""What is measured of W_E and W_U on a text: every number against dense matrices and plain loops.

Worked by hand, in `test_a_group_with_tokens_that_are_absent`: in the text 3 5 3 5 5 3 8 the token 3 is followed by
5, 5, 8 and the token 5 by 3, 5, 3; the cosine of (0, 2, 1) and (2, 1, 0) is 2/5.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from probsig import seeds
from probsig.geometry import small as dense_geometry
from probsig.geometry.large import correlations, cosines
from probsig.geometry.percentiles import percentile_table
from probsig.language import measures
from probsig.language.measures import LEADERS, Measures, small
from probsig.language.signatures import SIDES
from probsig.text.training_set import REST, TrainingSet, renumbered, shared

V, LENGTH, DOCUMENT, WIDTH = 160, 5, 100, 20
NEAR = 2e-6  # cosines are kept in float32
GROUPS = {
    "few": {"a": 3, "b": 5, "c": 8},
    "rare": {"x": 155, "y": 7, "none": 159},
    "one": {"z": 11},
    "nobody": {},
    "last": {"p": 20, "q": 4},
}


def chain(seed=0, tokens=30_000, keep=None, also=(), name="made up"):
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
    return chain(also=[155])


@pytest.fixture(scope="module")
def others(data):
    """The text itself, another with a small vocabulary, and one of a few tokens."""
    return [data, chain(seed=5, tokens=9_000, keep=70, name="other"), chain(seed=6, tokens=150, name="tiny")]


@pytest.fixture(scope="module")
def made(data, others):
    return Measures(data, others, GROUPS, LENGTH, seed=3)


def pairs(data, distance=1):
    """Counts of pairs at a distance, (V, V), document by document."""
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


@pytest.fixture(scope="module")
def dense(data):
    """Each of LEADERS as a dense matrix (V, V), not yet centred."""
    far = {k: pairs(data, k) for k in range(1, 65)}
    N, weights = far[1], [sum(1 / t for t in range(k, LENGTH)) for k in range(1, LENGTH)]
    seen = sum(w * far[k] / far[k].sum() for k, w in enumerate(weights, start=1))
    raw = {
        "next": law(N),
        "previous": law(N.T),
        "tied": law(N) + law(N.T),
        "attention": law(seen),
        "next 2": law(far[2]),
    }
    out = {(name, kind): rows for name, rows in raw.items() for kind in ("raw", "centred")}
    out |= {("next", "ppmi"): ppmi(N), ("next", "support"): (N > 0).astype(float)}
    for low, high in ((1, 1), (2, 4), (5, 16), (17, 64)):
        out[f"window {low}-{high}", "ppmi"] = ppmi(sum(far[k] + far[k].T for k in range(low, high + 1)))
    return {leader: out[leader] for leader in LEADERS}


@pytest.fixture(scope="module")
def matrices(data, dense):
    """The signatures of the two sides in 20 random directions, with noise, (V, 20) float32."""
    stream = seeds.stream(1, "matrices")
    turned = [dense[side, "raw"] @ stream.standard_normal((V, WIDTH))[: data.vocab_size] for side in SIDES]
    return tuple((W + 0.1 * stream.standard_normal(W.shape)).astype(np.float32) for W in turned)


def centred(rows):
    return rows - rows.mean(axis=0)


def r_cos(W, rows, kind="raw"):
    W, rows = np.asarray(W, dtype=float), np.asarray(rows, dtype=float)
    if kind == "centred":
        W, rows = centred(W), centred(rows)
    return dense_geometry.cosine_correlation(W, rows)


@pytest.fixture(scope="module")
def watched(made, matrices):
    return made.watched(*(W[made.watched_rows] for W in matrices))


@pytest.fixture(scope="module")
def analysed(made, matrices):
    return [made.analysed(side, W[made.analysed_rows]) for side, W in zip(SIDES, matrices, strict=True)]


def test_sizes_and_rows_that_are_asked_for(data, made):
    """The most frequent tokens; then of each group those that have a row."""
    often = np.flatnonzero(data.frequency >= 50)
    n = len(often)
    assert set(made.tokens.tolist()) == set(often.tolist()) and 100 < n < 130
    assert (np.diff(data.frequency[made.tokens]) <= 0).all()
    assert made.sizes == [100, n] and made.text.sizes == [50, 100, n]
    members = [int(np.flatnonzero(data.kept == id)[0]) for id in (3, 5, 8, 155, 7, 11, 20, 4)]
    assert made.watched_rows.tolist() == [*made.tokens, *members]
    assert np.array_equal(made.analysed_rows, made.tokens)


@pytest.mark.parametrize(
    ("number", "sizes"),
    [
        (60, [60]),
        (100, [100]),
        (1300, [100, 500, 1000, 1300]),
        (2000, [100, 500, 1000, 2000]),
        (2100, [100, 500, 1000, 2000]),
    ],
)
def test_sizes_of_larger_texts(number, sizes):
    data = TrainingSet(
        "made up", np.repeat(np.arange(number), 50), np.array([0, 50 * number]), np.arange(number), number
    )
    made = Measures(data, [data], {}, LENGTH, seed=0)
    assert made.sizes == sizes and len(made.watched_rows) == sizes[-1] and len(made.analysed_rows) == number


def test_watched_numbers_are_those_of_dense_matrices(made, matrices, dense, watched):
    sizes = made.sizes
    assert watched["rcos"].shape == (2, 2, 2) and watched["spearman"].shape == (2, 2) and watched["norms"].shape == (2,)
    for s, (W, side) in enumerate(zip(matrices, SIDES, strict=True)):
        for c, C in enumerate(sizes):
            tokens = made.tokens[:C]
            expected = [r_cos(W[tokens], dense[side, "raw"][tokens], kind) for kind in ("raw", "centred")]
            np.testing.assert_allclose(watched["rcos"][s, :, c], expected, atol=NEAR)
            own, signature = (
                dense_geometry.pairs(dense_geometry.cosine(rows[tokens])).astype(np.float32)
                for rows in (W.astype(float), dense[side, "raw"])
            )
            assert watched["spearman"][s, c] == pytest.approx(spearmanr(own, signature).statistic, abs=1e-4)
        assert watched["norms"][s] == pytest.approx(np.linalg.norm(W[made.tokens], axis=1).mean(), rel=1e-6)


def test_leaders_are_those_of_dense_matrices(made, matrices, dense, watched, monkeypatch):
    """Beside each matrix, raw and about its mean row; over LED tokens, here fewer."""
    monkeypatch.setattr(measures, "LED", 60)
    few = made.watched(*(W[made.watched_rows] for W in matrices))["leaders"]
    assert few.shape == watched["leaders"].shape == (2, 2, len(LEADERS))
    for C, board in ((60, few), (len(made.tokens), watched["leaders"])):
        tokens = made.tokens[:C]
        for s, W in enumerate(matrices):
            for k, own in enumerate((W[tokens].astype(float), centred(W[tokens].astype(float)))):
                for j, leader in enumerate(LEADERS):
                    rows = dense[leader][tokens]
                    rows = centred(rows) if leader[1] == "centred" else rows
                    assert board[s, k, j] == pytest.approx(dense_geometry.cosine_correlation(own, rows), abs=NEAR), (
                        leader
                    )


@pytest.mark.parametrize("leader", [("next", "raw"), ("tied", "centred"), ("window 2-4", "ppmi"), ("attention", "raw")])
def test_a_signature_leads_where_it_is_the_embedding(made, dense, leader):
    W = np.zeros((len(made.watched_rows), made.data.vocab_size))
    W[: len(made.tokens)] = dense[leader][made.tokens]
    W[len(made.tokens) :] = 1
    board = made.watched(W, W)["leaders"][:, int(leader[1] == "centred")]
    own = LEADERS.index(leader)
    np.testing.assert_allclose(board[:, own], 1, atol=1e-6)
    assert np.delete(board, own, axis=1).max() < 0.9999


def by_rank(own, signature, columns):
    """The table and the means of percentiles, by sorting: intervals of the first, mid-ranks of the second."""
    place = np.argsort(np.argsort(own, kind="stable"), kind="stable") * 10 // len(own)
    ordered = np.sort(signature)
    below = np.searchsorted(ordered, signature, "left") + np.searchsorted(ordered, signature, "right")
    percentile = below / (2 * len(signature))
    return [percentile[place == i].mean() for i in range(10)]


def test_percentiles_of_a_look(made, matrices, dense, watched):
    for s, (W, side) in enumerate(zip(matrices, SIDES, strict=True)):
        own, signature = (
            dense_geometry.pairs(dense_geometry.cosine(rows[made.tokens])) for rows in (W, dense[side, "raw"])
        )
        np.testing.assert_allclose(watched["percentiles"][s], by_rank(own, signature.astype(np.float32), 10), atol=2e-3)


def test_an_analysis_has_what_a_look_has(made, watched, analysed):
    for s, found in enumerate(analysed):
        np.testing.assert_allclose(found["rcos"][:, 1:], watched["rcos"][s], atol=1e-12)


def test_an_analysis_is_that_of_dense_matrices(made, matrices, dense, analysed):
    n = len(made.tokens)
    rest = ~np.eye(n, dtype=bool)
    for W, side, found in zip(matrices, SIDES, analysed, strict=True):
        own, other = (dense_geometry.cosine(rows[made.tokens]) for rows in (W.astype(float), dense[side, "raw"]))
        for c, C in enumerate(made.text.sizes):
            tokens = made.tokens[:C]
            expected = [r_cos(W[tokens], dense[side, "raw"][tokens], kind) for kind in ("raw", "centred")]
            np.testing.assert_allclose(found["rcos"][:, c], expected, atol=NEAR)
        by_token = [np.corrcoef(own[i][rest[i]], other[i][rest[i]])[0, 1] for i in range(n)]
        np.testing.assert_allclose(found["by_token"], by_token, atol=1e-3)  # kept in float16
        np.testing.assert_allclose(found["similarity"], [own[i][rest[i]].mean() for i in range(n)], atol=1e-3)
        top = measures.HEAT
        np.testing.assert_allclose(found["heat"], [own[:top, :top], other[:top, :top]], atol=1e-3)
        pair = dense_geometry.pairs(own), dense_geometry.pairs(other).astype(np.float32)
        assert found["table"].shape == (10, measures.COLUMNS) and found["table"].sum() == len(pair[0])
        assert np.ptp(found["table"].sum(axis=1)) <= 4
        np.testing.assert_allclose(found["zeros"], [0, np.mean(pair[1] == 0)], atol=1e-12)
        np.testing.assert_allclose(found["means"], by_rank(*pair, measures.COLUMNS), atol=2e-3)
        table = percentile_table(cosines(W[made.tokens].astype(float)), made.text.cosines(side, n), columns=50)
        assert np.array_equal(table.counts, found["table"])
        types = {name: array.dtype for name, array in found.items() if array.dtype != np.float64}
        assert types == {"by_token": "f2", "similarity": "f2", "heat": "f2", "table": "i4"}


def test_nulls_and_bootstrap(made, analysed):
    sizes = len(made.text.sizes)
    for found in analysed:
        assert found["shuffled"].shape == found["matched"].shape == (sizes, measures.DRAWS)
        assert np.abs(found["shuffled"].mean(axis=1)).max() < 0.03 and found["shuffled"].std(axis=1).min() > 0
        low, high = found["bootstrap"].T
        assert (low < found["rcos"][0]).all() and (found["rcos"][0] < high).all()
        # fifty tokens are one group of fifty: there the matched null is the plain one
        assert np.array_equal(found["matched"][0], found["shuffled"][0])
        assert not np.array_equal(found["matched"][1], found["shuffled"][1])


def test_signatures_as_embeddings(made, dense):
    """R_cos is 1, the percentiles rise, every token agrees, a shuffle does not; the sides are not the same."""
    for side, other in (SIDES, SIDES[::-1]):
        found = made.analysed(side, dense[side, "raw"][made.tokens])
        np.testing.assert_allclose(found["rcos"], 1, atol=1e-6)
        np.testing.assert_allclose(found["by_token"], 1, atol=1e-3)
        np.testing.assert_allclose(found["bootstrap"], 1, atol=1e-6)
        rising = np.diff(found["means"])
        assert (rising[~np.isnan(rising)] > 0).all() and np.isfinite(found["means"]).sum() >= 5
        assert np.abs(found["shuffled"].mean(axis=1)).max() < 0.03 and found["shuffled"].max() < 0.5
        assert made.analysed(other, dense[side, "raw"][made.tokens])["rcos"][0].max() < 0.5


def test_a_group_of_rows(data, made, matrices, watched):
    """All pairs in the order of the group; nan where a member has no row."""
    row = {int(id): new for new, id in enumerate(data.kept)}
    for s, key in enumerate(("W_E", "W_U")):
        few = dense_geometry.cosine(matrices[s][[row[3], row[5], row[8]]])
        assert watched[f"few/{key}"].dtype == np.float16
        np.testing.assert_allclose(watched[f"few/{key}"], [few[0, 1], few[0, 2], few[1, 2]], atol=1e-3)
        there = dense_geometry.cosine(matrices[s][[row[155], row[7]]])
        np.testing.assert_allclose(watched[f"rare/{key}"], [there[0, 1], np.nan, np.nan], atol=1e-3)
        assert watched[f"one/{key}"].shape == watched[f"nobody/{key}"].shape == (0,)
        last = dense_geometry.cosine(matrices[s][[row[20], row[4]]])
        np.testing.assert_allclose(watched[f"last/{key}"], last[0, 1], atol=1e-3)


def test_a_group_with_tokens_that_are_absent(monkeypatch):
    """b is read and followed, e only ends the text, n is a row that nothing reads, and x has no row."""
    monkeypatch.setattr("probsig.language.signatures.LEAST", 1)
    groups = {"group": {"a": 3, "b": 5, "e": 8, "n": 9, "x": 1}, "lone": {"a": 3, "x": 1}}
    data = renumbered(np.array([3, 5, 3, 5, 5, 3, 8]), np.array([0, 7]), 10, None, "by hand", [9])
    found = Measures(data, [data], groups, LENGTH, seed=0).about()
    assert found["group/count"].tolist() == [3, 3, 1, 0, 0] and found["lone/count"].tolist() == [3, 0]
    # the pairs are ab ae an ax be bn bx en ex nx; only a and b have a next token
    no = np.nan
    np.testing.assert_allclose(found["group/next"], [2 / 5] + [no] * 9, atol=1e-3)
    # before a stand b, b; before b stand a, a, b; before e stands a: laws (0, 1), (2, 1) / 3 and (1, 0)
    before = [1 / 5**0.5, 0, no, no, 2 / 5**0.5, no, no, no, no, no]
    np.testing.assert_allclose(found["group/previous"], before, atol=1e-3)
    assert np.isnan(found["lone/next"]).tolist() == [True]


def test_a_text_crossed_with_itself_gives_its_own_r_cos(data, matrices, analysed, monkeypatch):
    """The same text, its rows in another order; and over the fifty most frequent tokens."""
    names = seeds.stream(0, "names").permutation(data.vocab_size)
    renamed = TrainingSet("renamed", names[data.ids], data.offsets, data.kept[np.argsort(names)], V)
    monkeypatch.setattr(measures, "SHARED", 50)
    for texts in ([data, renamed], [renamed]):
        made = Measures(data, texts, {}, LENGTH, seed=0)
        found = made.crossed(*(W[made.crossed_rows] for W in matrices))
        assert found["cross"].shape == (2, len(texts))
        for s in range(2):
            np.testing.assert_allclose(found["cross"][s], analysed[s]["rcos"][0, 0], atol=1e-9)
        np.testing.assert_allclose(found["common"], found["cross"], atol=1e-12)


def test_crossed_with_other_texts(data, others, made, matrices):
    """Over the tokens that two texts share, and over those that all do; fewer than three are nan."""
    found = made.crossed(*(W[made.crossed_rows] for W in matrices))
    assert found["cross"].shape == found["common"].shape == (2, 3)
    ours = {int(id): row for row, id in enumerate(data.kept)}
    other = others[1]
    theirs = {int(id): row for row, id in enumerate(other.kept) if id != REST}
    both = shared([data, other], measures.SHARED)
    assert len(both) == 69 and set(both.tolist()) <= ours.keys() & theirs.keys()
    N = pairs(other)
    for s, (W, M) in enumerate(zip(matrices, (N, N.T), strict=True)):
        rows = law(M)[[theirs[int(id)] for id in both]]
        assert found["cross"][s, 1] == pytest.approx(r_cos(W[[ours[int(id)] for id in both]], rows), abs=NEAR)
    assert np.isnan(found["cross"][:, 2]).all() and np.isnan(found["common"]).all()  # the tiny one shares with none
    two = Measures(data, others[:2], {}, LENGTH, seed=0)
    again = two.crossed(*(W[two.crossed_rows] for W in matrices))
    np.testing.assert_allclose(again["cross"], found["cross"][:, :2], atol=1e-12)
    np.testing.assert_allclose(again["common"][:, 1], again["cross"][:, 1], atol=1e-12)
    own = [r_cos(W[[ours[int(id)] for id in both]], law(M)[[ours[int(id)] for id in both]])
           for W, M in zip(matrices, (pairs(data), pairs(data).T), strict=True)]  # fmt: skip
    np.testing.assert_allclose(again["common"][:, 0], own, atol=NEAR)


def test_rows_of_what_is_crossed_are_of_shared_tokens(data, others, made):
    old = set(data.kept[made.crossed_rows].tolist())
    assert old == {id for one in others for id in shared([data, one], measures.SHARED).tolist()}


def test_rows_that_are_kept(data, others, made, monkeypatch):
    """The most frequent tokens, the groups' members, and what all share but the text of the smallest vocabulary."""
    assert [one.vocab_size for one in others].index(min(one.vocab_size for one in others)) == 1
    monkeypatch.setattr(measures, "STORED", 5)
    turned = TrainingSet("turned", data.ids, data.offsets, data.kept[::-1].copy(), V)  # the rare are its frequent ones
    rows = Measures(data, [turned, others[1], data], GROUPS, LENGTH, seed=0).kept_rows
    named = data.new_ids(np.array([3, 5, 8, 155, 7, 11, 20, 4]))
    common = data.new_ids(shared([turned, data], 5))
    assert not {*made.tokens[:5].tolist(), *named.tolist()} & {*common.tolist()}
    assert rows.tolist() == sorted({*made.tokens[:5].tolist(), *named.tolist(), *common.tolist()})
    two = Measures(data, others[:2], {}, LENGTH, seed=0)
    assert set(two.kept_rows) == {*made.tokens[:5], *data.new_ids(shared([data, others[1]], 5))}
    narrow = Measures(others[1], [data, others[2], others[1]], {}, LENGTH, seed=0).kept_rows  # tokens it may not have
    assert narrow.min() >= 0 and narrow.max() < others[1].vocab_size - 1


def test_facts_of_the_text(data, others, made):
    found = made.about()
    n = len(made.tokens)
    assert found["sizes"].tolist() == [50, 100, n] and found["watched"].tolist() == [100, n]
    assert found["least"].tolist() == [data.frequency[made.tokens[C - 1]] for C in (50, 100, n)]
    assert found["least"][-1] == min(data.frequency[made.tokens]) >= 50
    assert found["size"].tolist() == [30_000, 300, data.vocab_size]
    assert found["top"].tolist() == data.kept[made.tokens[: measures.STORED]].tolist()
    assert np.array_equal(found["kept"], data.kept[made.kept_rows])
    assert np.array_equal(found["frequency"], data.frequency[made.kept_rows])
    assert found["cross_tokens"].tolist() == [len(shared([data, one], measures.SHARED)) for one in others]
    assert found["common_tokens"].tolist() == [len(shared([data, *others], measures.SHARED))]
    assert np.array_equal(found["ceilings"], made.text.ceilings(SIDES, made.text.sizes))
    assert ((found["ceilings"] > 0) & (found["ceilings"] <= 1)).all()


def test_what_is_measured_is_the_same_every_time(data, others, made, matrices, watched, analysed):
    again = Measures(data, others, GROUPS, LENGTH, seed=3)
    found = again.watched(*(W[again.watched_rows] for W in matrices))
    assert all(np.array_equal(found[name], array, equal_nan=True) for name, array in watched.items())
    one = again.analysed("next", matrices[0][again.analysed_rows])
    assert all(np.array_equal(one[name], array, equal_nan=True) for name, array in analysed[0].items())
    other = Measures(data, others, GROUPS, LENGTH, seed=4).analysed("next", matrices[0][again.analysed_rows])
    assert np.array_equal(other["rcos"], one["rcos"]) and not np.array_equal(other["matched"], one["matched"])


def test_a_text_too_short_to_be_measured_is_one_sentence(others):
    with pytest.raises(ValueError, match=r"^tiny has \d tokens seen 50 times or more: take more text\.$"):
        Measures(others[2], others, {}, LENGTH, seed=0)


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_in_8_bits_an_entry_moves_by_half_a_step_at_most(n, d, drawn):
    size = drawn.draw(st.sampled_from([1e-30, 1e-3, 1.0, 1e6, 1e30]))
    entries = st.lists(st.floats(-1, 1, width=32), min_size=n * d, max_size=n * d)
    W = np.array(drawn.draw(entries), dtype=np.float32).reshape(n, d) * np.float32(size)
    rounded, scale = small(W)
    assert rounded.dtype == np.int8 and scale.dtype == np.float32 and rounded.shape == W.shape and scale.shape == (n,)
    back = rounded * scale[:, None].astype(float)
    largest = np.abs(W).max(axis=1, keepdims=True)
    assert (np.abs(back - W) <= largest.astype(float) / 254 * (1 + 1e-4) + 1e-37).all()
    assert (np.abs(rounded).max(axis=1)[largest[:, 0] > 1e-30] == 127).all()


@given(
    st.integers(0, 10**6), st.integers(2, 600), st.sampled_from([1.0, 3.0, 10.0]), st.sampled_from([1e-4, 1.0, 50.0])
)
def test_in_8_bits_cosines_stay_within_a_hundredth(seed, width, wide, size):
    """Rows of any length, entries normal or (divided by small numbers) with some that are far larger."""
    stream = seeds.stream(seed, "rows")
    W = stream.standard_normal((12, width)) / stream.uniform(1 / wide, 1, (12, width))
    W = (size * stream.lognormal(size=(12, 1)) * W).astype(np.float32)
    rounded, scale = small(W)
    before, after = (dense_geometry.cosine(rows) for rows in (W.astype(float), rounded * scale[:, None].astype(float)))
    assert np.abs(before - after).max() < 0.01


def test_r_cos_survives_8_bits(made, matrices, dense):
    rounded, scale = small(matrices[0][made.tokens])
    kept = correlations(cosines(rounded * scale[:, None].astype(float)), made.text.cosines("next", len(made.tokens)))
    assert kept.overall == pytest.approx(r_cos(matrices[0][made.tokens], dense["next", "raw"][made.tokens]), abs=2e-3)
