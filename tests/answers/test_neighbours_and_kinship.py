"""nearest and group: against plain numpy, by hand, with their nulls, and what they refuse."""

import numpy as np
import pytest

import probsig as ps
from probsig.answers.kinship import group
from probsig.answers.neighbours import nearest
from probsig.errors import TooLittle
from probsig.geometry import small
from probsig.text.groups import GROUPS
from probsig.text.sources.toy import ToyCorpus
from probsig.text.training_set import training_set

TOY = ToyCorpus.of(seed=0)
V = TOY.vocab_size
W = np.random.default_rng(0).standard_normal((V, 8))
COUNTS = ps.count(TOY.ids, V, offsets=TOY.offsets)
SEEN = np.bincount(TOY.ids, minlength=V)
DATA = training_set(TOY, tokens=None, keep=20, seed=0, name="toy")


def law(tokens):
    return ps.signatures.next_token(COUNTS, list(tokens)).toarray()


def test_the_nearest_are_those_of_largest_cosine_on_either_side():
    found = nearest(" March", W, TOY, number=4)
    token = TOY.tokenizer.id(" March")
    others = np.array([t for t in np.flatnonzero(SEEN >= 50) if t != token])
    for side, rows in (("embedding", W), ("signature", law(range(V)))):
        by = small.cosine(rows[[token]], rows[others])[0]
        assert np.allclose(found.cosines[side], np.sort(by)[::-1][:4], atol=1e-6)
        assert np.allclose(found.cosines[side], small.cosine(rows[[token]], rows[found.tokens[side]])[0], atol=1e-6)
        assert found.labels[side] == tuple(TOY.tokenizer.text(int(t)) for t in found.tokens[side])
    assert found.count == SEEN[token] and found.n == len(others) + 1
    assert found.shared == len({*found.tokens["embedding"]} & {*found.tokens["signature"]})
    assert found.chance == pytest.approx(16 / len(others))


def test_the_signature_has_its_own_neighbours_and_halves_of_the_text_know_how_many_to_expect():
    found = nearest("7", law(range(V)), TOY, number=5)
    assert found.shared == 5 and 0 <= found.halves <= 5
    assert f"5 of the 5 nearest in W are among the nearest in {found.of}" in str(found)
    assert np.isnan(nearest(7, W, COUNTS, number=5).halves)


def test_a_token_that_is_rare_is_looked_up_all_the_same():
    rare = int(np.flatnonzero(SEEN == SEEN[SEEN > 0].min())[0])
    found = nearest(rare, W, TOY, number=3, least=int(SEEN[rare]) + 1)
    assert found.token == rare and found.count == SEEN[rare] and rare not in found.tokens["embedding"]


def test_a_list_is_as_long_as_there_are_tokens():
    few = ps.open_corpus(["a b c d"] * 60, "words")
    found = nearest("a", np.eye(4), few)
    assert found.number == 2 and found.n == 3 and found.chance == 2.0  # nothing follows "d"


@pytest.mark.parametrize("signature", ["next 300", "window 2-300"])
def test_halves_whose_documents_are_too_short_for_a_signature_say_nothing(signature):
    """One document of 1500 tokens is halved in pieces of 100, in which nothing stands 300 places on."""
    text = ps.open_corpus(["a b c " * 500], "words")
    assert np.isnan(nearest("a", np.eye(3), text, signature=signature).halves)
    assert np.isnan(ps.beside("a", text, signature=signature).halves)


def test_a_column_of_zeros_makes_a_plane_of_one_column():
    one = W[:, :1]
    found = group("digits", np.hstack([one, np.zeros((V, 1))]), TOY, draws=9)
    digits = one[[TOY.tokenizer.id(digit) for digit in GROUPS["digits"]], 0]
    assert np.allclose(np.abs(found.points["embedding"][:, 0]), np.abs(digits - digits.mean()))
    assert set(np.round(found.cosines["embedding"].ravel(), 6)) == {-1.0, 1.0}


def test_a_signature_of_one_column_is_drawn_where_it_is_one_point_and_refused_elsewhere():
    text = ps.open_corpus(["z a z", "z b z", "c z"], "words")
    assert not group(list("abc"), np.eye(4), text, draws=3).points["signature"].any()
    with pytest.raises(TooLittle, match="have one column in the given texts"):
        group(list("abc"), np.eye(4), text, signature="tied", draws=3)  # 2, 2 and 1 of z


def test_a_group_against_the_functions_of_small_geometry():
    found = group("digits", W, TOY, draws=99)
    tokens = [TOY.tokenizer.id(digit) for digit in GROUPS["digits"]]
    assert found.tokens.tolist() == tokens and found.labels == GROUPS["digits"] and not found.left_out
    for side, rows in (("embedding", W[tokens]), ("signature", law(tokens))):
        assert np.allclose(found.cosines[side], small.cosine(rows), atol=1e-6)
        assert found.order[side] == pytest.approx(small.order_correlation(rows), abs=1e-5)
        assert np.allclose(np.abs(found.points[side]), np.abs(small.pca(rows)[0]), atol=1e-9)
        assert np.allclose(found.shares[side], small.pca(rows)[1])
        assert abs(found.order_null[side].mean()) < 0.1
    assert found.r_cos == pytest.approx(small.cosine_correlation(W[tokens], law(tokens)), abs=1e-5)
    assert abs(found.null.mean()) < 0.1 and 0 < found.ceiling < 1


def turned(step):
    """Rows in which each month is `step` degrees from the one before."""
    angles = np.deg2rad(step * np.arange(12))
    months = [TOY.tokenizer.id(month) for month in GROUPS["months"]]
    rows = np.random.default_rng(1).standard_normal((V, 2))
    rows[months] = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return rows, months


@pytest.mark.parametrize(("step", "ring", "shape"), [(30, None, "ring"), (10, False, "line")])
def test_months_around_a_circle_or_along_an_arc_have_the_order_of_their_angles(step, ring, shape):
    found = group("months", turned(step)[0], TOY, ring=ring, draws=99)
    assert found.shape == shape and f"R_order along a {shape} is -" in str(found)
    assert found.order["embedding"] < -0.98 and found.order["embedding"] < found.order_null["embedding"].min()


def test_a_member_that_is_left_out_keeps_its_place_in_the_order():
    rows, months = turned(30)
    rows[months[1:5]] = np.nan
    found = group("months", rows, TOY, draws=9)
    at = np.array([0, *range(5, 12)])
    line = np.abs(np.subtract.outer(at, at))
    gap = np.minimum(line, 12 - line)[np.triu_indices(8, 1)]
    alike = np.cos(np.deg2rad(30 * gap))
    assert found.left_out == tuple(GROUPS["months"][1:5])
    assert found.order["embedding"] == pytest.approx(np.corrcoef(alike, gap)[0, 1], abs=1e-6)


def test_a_list_of_your_own_says_what_it_leaves_out():
    found = group([" snow", " rain", " sun", "/e", " cold", " warm"], W, TOY, draws=9)
    assert found.labels == (" snow", " rain", " sun", " cold", " warm") and found.left_out == ("/e",)
    assert any("'/e' left out" in doubt for doubt in found.doubts)
    assert group([3, 1, 2], W, COUNTS, draws=9).tokens.tolist() == [3, 1, 2]


def test_answers_as_tables_files_and_pictures(tmp_path):
    near, kin = nearest(" March", W, TOY, number=4), group("digits", W, TOY, draws=9)
    assert {len(column) for column in near.table().values()} == {4}
    assert {len(column) for column in kin.table().values()} == {45}
    assert kin.table()["embedding cosine"][0] == pytest.approx(small.cosine(W[[0, 1]])[0, 1])
    assert near.to_csv(tmp_path / "near.csv").read_text(encoding="utf-8").count("\n") == 5
    assert near.plot().shape == (2,) and kin.plot().shape == (2, 2)
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.mark.parametrize("sign", ["$x$", "a_b^c", "\n", "\\alpha", "\N{SNOWMAN}"])
def test_a_picture_shows_what_a_token_says_sign_by_sign(sign):
    from types import SimpleNamespace

    import matplotlib.pyplot as plt

    names = {0: sign, 1: "b", 2: "c", 3: "d"}
    by = SimpleNamespace(digest="x", text=lambda t: names[int(t)], id=lambda s: None)
    ids = np.random.default_rng(0).integers(0, 4, 400).astype(np.uint16)
    corpus = SimpleNamespace(name=sign, ids=ids, offsets=np.array([0, 200, 400]), vocab_size=4, tokenizer=by)
    axes = nearest(1, np.random.default_rng(0).standard_normal((4, 3)), corpus, number=3, least=1).plot()
    axes[0].get_figure().savefig("/dev/null", format="png")
    plt.close("all")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: nearest("/e", W, TOY), "'/e' is no token of toy"),
        (lambda: nearest(V, W, TOY), f"There is no token {V}: pass an id from 0 to {V - 1}"),
        (lambda: nearest("7", W, COUNTS), "No tokenizer is known of the counts: pass the id of '7'"),
        (lambda: nearest("7", W, TOY, number=0), "number is 0: pass a whole number of at least 1"),
        (lambda: nearest("7", np.zeros((V, 2)), TOY), "has no row or no signature"),
        (lambda: nearest("7", W, TOY, least=10**6), "No token of toy is seen 1000000 times"),
        (lambda: nearest("7", np.eye(V)[:, [TOY.tokenizer.id("7")]], TOY), "No other token of toy has a row"),
        (lambda: group(["7", "8", TOY.tokenizer.id("7")], W, TOY), "tokens lists [0-9]+ twice: list each token once"),
        (lambda: group((digit for digit in "789"), W, TOY), "tokens is <generator"),
        (lambda: group("digits", W[:, :1], TOY), "W has one column"),
        (lambda: nearest("7", {"7": [1.0, 2.0]}, DATA), "a TrainingSet has ids alone: pass the corpus"),
        (lambda: group("digit", W, TOY), "did you mean 'digits'"),
        (lambda: group(["7", "8"], W, TOY), "a group needs 3 or more"),
        (lambda: group("digits", W, TOY, draws=0), "draws is 0"),
        (lambda: group("digits", W, COUNTS), "No tokenizer is known"),
    ],
)
def test_bad_input_is_one_sentence_naming_culprit_and_remedy(call, says):
    with pytest.raises(ValueError, match=says):
        call()
