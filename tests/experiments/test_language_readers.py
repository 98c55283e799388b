"""What chapters read beside stored models: yardsticks as runs, a text that is far away, the models of a chapter; the
agreement of several seeds with a signature; models against the signatures of several texts.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from probsig.errors import CorpusError, TooLittle
from probsig.experiments import across_texts, language_model
from probsig.experiments.agreement import agreement, disattenuated, shared, shared_by_seeds, top_rows
from probsig.experiments.language_model import at, data, last, over
from probsig.experiments.language_readers import (
    Closed,
    Several,
    Shown,
    at_loss,
    group,
    held_out,
    measured,
    progress,
    slashes_apart,
)
from probsig.experiments.texts import Texts, pack
from probsig.geometry import small
from probsig.geometry.large import Cosines
from probsig.language.signatures import TextSignatures
from probsig.language.yardsticks import Yardsticks, yardsticks
from probsig.pages.parameters import ParameterError

HOW = language_model.SCALES["smoke"]
PARAMETERS = {"text": "stand-in", "tokenizer": "", "scale": "smoke", "seed": 0, "repeats": 2, "device": "cpu"}
SIDES = ("next", "previous")


@pytest.fixture(scope="module")
def shown(place):
    return Shown(SimpleNamespace(**PARAMETERS))


@pytest.fixture(scope="module")
def sets(shown):
    return shown.texts.sets(shown.names, HOW.tokens, HOW.keep, HOW.held)


@pytest.fixture(scope="module")
def known(shown):
    return shown.signatures(shown.small)


def test_yardsticks_are_found_again_and_are_those_of_the_text_as_the_scale_cuts_it(shown, sets):
    found = shown.yardsticks(shown.main)
    assert found == {name: yardsticks(sets.of(name)) for name in shown.names}
    closed = measured(shown.names, Closed(scale="smoke"), scale="smoke")
    assert closed == found  # found without a text
    with pytest.raises(CorpusError, match=r"^The text arxiv is not in the book: its stored runs alone can be shown\.$"):
        measured(["arxiv"], Closed(scale="smoke"), scale="smoke", tokens=2_000)


@pytest.mark.parametrize(("loss", "expected"), [(5.0, 0.0), (4.0, 0.5), (3.0, 1.0), (2.0, 1.5), (5.4, -0.2)])
def test_progress_is_zero_at_the_unigram_and_one_at_the_bigram(loss, expected):
    assert progress(loss, Yardsticks(9.0, 5.0, 3.0)) == pytest.approx(expected)
    np.testing.assert_allclose(progress(np.full((2, 3), loss), Yardsticks(9.0, 5.0, 3.0)), np.full((2, 3), expected))


def test_the_models_of_a_chapter(shown):
    assert shown.names == ["arxiv", "dm-mathematics"] and not shown.book and shown.long == {}
    assert [run.config["seed"] for run in shown.small["arxiv"]] == [0, 1]
    assert shown.main["arxiv"][0].name == shown.small["arxiv"][0].name
    ((name, (again,)),) = shown.repeated.items()
    assert again.config["epochs"] == 3 and name in shown.names
    assert held_out(shown.small["arxiv"]).shape == (2, len(shown.main["arxiv"][0].arrays["model/steps"]))
    against = shown.against(shown.small)
    assert against["loss"][:2] == held_out(shown.small["arxiv"])[:, -1].tolist() and len(against["loss"]) == 4
    assert against["yardstick"][1] == shown.yardsticks(shown.main)["arxiv"].unigram


def test_networks_of_several_sizes_take_the_same_steps_over_one_text(shown):
    assert [*shown.sizes] == ["smoke", "laptop"]
    (small,), (large,) = shown.sizes.values()
    differs = {key for key in small.config if small.config[key] != large.config[key]}
    assert small.config["corpus"] == "dm-mathematics" and differs == {"shape"}
    assert small.name == shown.main["dm-mathematics"][0].name
    one = Shown(SimpleNamespace(**PARAMETERS, shape="smoke")).sizes  # the largest that a reader asks for
    assert {shape: found[0].name for shape, found in one.items()} == {"smoke": small.name}


def test_slashes_against_the_one_that_is_none_of_them():
    def run(names, pairs):
        return SimpleNamespace(
            arrays={
                "model/data/names/slashes": pack(names),
                "model/data/slashes/count": np.ones(len(names), dtype=np.int64),
                "model/slashes/W_E": np.array([np.zeros(len(pairs)), pairs]),
            }
        )

    among, other, rest = [0.1, 0.2, 0.3, 0.4, 0.5, 0.9], [0.0, -0.1, 0.1, 0.2], 7.0
    order = ["/a", "/b", "/c", "/d", "/e", "/f"]  # pairs: ab ac ad ae af, bc bd be bf, cd ce cf, de df, ef
    ab, ac, ad, bc, bd, cd = among
    pairs = [ab, ac, ad, other[0], rest, bc, bd, other[1], rest, cd, other[2], rest, other[3], rest, rest]
    assert slashes_apart(run(order, pairs)) == pytest.approx(0.4 - 0.05)
    assert np.isnan(slashes_apart(run(["/a", "/b", "/c", "/d"], among)))


def test_options_of_a_chapter_reach_its_models(place):
    few = Shown(SimpleNamespace(**PARAMETERS | {"repeats": 1}, tokens=2_500, learning_rate=0.003, epochs=2))
    config = few.trained(["cc"], [4], "smoke")["cc"][0].config
    assert (config["tokens"], config["lr"], config["epochs"], config["seed"]) == (2_500, 0.003, 2, 4)


def test_what_is_wrong_with_a_file_is_told_as_such_and_not_as_too_short(tmp_path):
    (tmp_path / "source.py").write_text("x = 1\n" * 10_000)
    with pytest.raises(CorpusError, match=r"source\.py is of no kind that is read here"):
        Shown(SimpleNamespace(**PARAMETERS | {"text": str(tmp_path / "source.py")}))
    (tmp_path / "short.txt").write_text("x = 1")
    with pytest.raises(TooLittle, match=r"short\.txt' has 0 tokens seen 50 times"):
        Shown(SimpleNamespace(**PARAMETERS | {"text": str(tmp_path / "short.txt")}))


def test_names_of_tokens_and_members_of_groups(shown, sets):
    run, own = shown.main["arxiv"][0], sets.of("arxiv")
    assert shown.token_names(run, 3) == [sets.text(int(id)) for id in own.kept[own.frequent(3, 1)]]
    members, count = group(run, "digits")
    assert members == list(sets.groups["digits"]) and len(count) == len(members)


def test_a_byte_is_named_by_its_sign(shown):
    few = SimpleNamespace(tokenizer=SimpleNamespace(text=["<0x2E>", "<0xE2>", " a"].__getitem__))
    run = SimpleNamespace(arrays={"model/data/top": np.array([0, 1, 2])})
    assert Shown.token_names(few, run, 3) == [".", "<0xE2>", " a"]


@pytest.mark.parametrize("side", [0, 1])
def test_agreement_against_cosines_by_hand(side, shown, sets, known):
    models, own = shown.small["arxiv"], sets.of("arxiv")
    text = TextSignatures(own, HOW.length)
    C = 12
    found = agreement(models, known, side, C=C)
    rows = [top_rows(run, ("W_E", "W_U")[side], C) for run in models]
    phi = small.pairs(small.cosine(text.rows(SIDES[side], text.tokens[:C]).toarray()))
    cos = np.array([small.pairs(small.cosine(one)) for one in rows])
    np.testing.assert_allclose(found.each, [np.corrcoef(one, phi)[0, 1] for one in cos], atol=2e-3)
    np.testing.assert_allclose(found.averaged, np.corrcoef(cos.mean(axis=0), phi)[0, 1], atol=2e-3)
    np.testing.assert_allclose(found.seeds, np.corrcoef(*cos)[0, 1], atol=1e-5)
    sizes = data(models[0], "sizes")
    expected = data(models[0], "ceilings")[side, np.flatnonzero(sizes >= C)[0]] ** 2
    np.testing.assert_allclose(found.text, expected)
    if found.seeds > 0:
        np.testing.assert_allclose(found.ceiling, np.sqrt(expected * found.seeds))
    assert found.C == C and found.null.shape[0] == 2 and np.isfinite(found.partial).all()


def test_agreement_is_that_of_all_tokens_where_C_is_all(shown, known):
    models = shown.small["arxiv"]
    C = int(data(models[0], "sizes")[-1])
    stored = over(models, "next/rcos")[:, 0, -1]
    np.testing.assert_allclose(agreement(models, known, 0, C=C).each, stored, atol=0.02)  # rows are kept in 8 bits


def test_tables_are_correlations_over_the_shared_tokens(shown, sets, known):
    names = shown.names
    assert known.config["narrow"] == "dm-mathematics"
    both = across_texts.Comparison(shown.small, known)
    ids = known.arrays["tokens/ids"][known.arrays["tokens/everywhere"]]
    assert both.tokens(names) == [sets.text(int(id)) for id in ids] and len(ids) > 10
    for side in (0, 1):
        found, alike = both.tables(names, side, 1)
        laws = [TextSignatures(sets.of(name), HOW.length) for name in names]
        laws = [
            small.pairs(small.cosine(law.rows(SIDES[side], sets.of(name).new_ids(ids)).toarray()))
            for name, law in zip(names, laws, strict=True)
        ]
        cos = [one.pairs for one in both.matrices(names, side, 1)]
        np.testing.assert_allclose(found, [[np.corrcoef(a, b)[0, 1] for b in laws] for a in cos], atol=2e-3)
        np.testing.assert_allclose(alike, np.corrcoef(laws), atol=2e-3)
    null = both.shuffled(names, 0, 1, 6)
    assert null.shape == (2, 2, 6) and np.array_equal(null, both.shuffled(names, 0, 1, 6))
    assert len(both.tokens(["arxiv"])) == len(known.arrays["tokens/ids"])


def test_signatures_of_one_text_alone(place):
    texts = Texts(scale="smoke")
    run = across_texts.signatures(["cc"], texts, narrow="cc", scale="smoke", tokens=3_000)
    assert run.config["tokens"] == 3_000 and run.arrays["tokens/everywhere"].all()
    pairs = run.arrays["cc/own"][0].astype(np.float32)
    n = round((1 + np.sqrt(1 + 8 * len(pairs))) / 2)
    text = TextSignatures(texts.sets(["cc"], 3_000, HOW.keep, HOW.held).of("cc"), HOW.length)
    np.testing.assert_allclose(Cosines(pairs, n).pairs, text.cosines("next", n).pairs, atol=1e-3)
    with pytest.raises(ValueError, match=r"^narrow is 'arxiv': pass 'cc'\.$|^narrow is 'arxiv'"):
        across_texts.signatures(["cc"], texts, narrow="arxiv", scale="smoke")


def test_stored_rows_give_the_stored_cosines_of_groups(shown):
    run = shown.main["arxiv"][0]
    members, count = group(run, "digits")
    ids = dict(zip(data(run, "kept").tolist(), range(len(data(run, "kept"))), strict=True))
    rows = language_model.rows(run, "W_E")[[ids[shown.tokenizer.id(one)] for one in members]]
    expected = run.arrays["model/digits/W_E"][-1]
    np.testing.assert_allclose(small.pairs(small.cosine(rows)), expected, atol=0.03)
    assert at(run, last(run), "W_E/rows").dtype == np.int8 and (count >= 0).all()


def test_a_folder_of_a_readers_is_a_text_for_each_file_and_folder_in_it(tmp_path):
    for name in ("b.txt", "a.jsonl", "c/1.txt", ".hidden.txt", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"text": "x"}\n')
    found = Several(str(tmp_path), scale="smoke")
    assert found.names(["arxiv"]) == ("a.jsonl", "b.txt", "c") and found.title("b.txt") == "b.txt"
    (tmp_path / "b.txt").unlink()
    for given, what in ((tmp_path, "holds 2 texts"), (tmp_path / "a.jsonl", "is no folder")):
        with pytest.raises(ParameterError, match=rf"which {what}: pass a folder with 3 texts or more\.$"):
            Several(str(given), scale="smoke").names(["arxiv"])
    assert Several(scale="smoke").names(["arxiv"]) == ("arxiv",)


def test_what_a_network_is_at_a_loss():
    losses, values = np.array([6.0, 5.0, 3.0, 3.5]), np.array([0.0, 0.5, 0.25, 0.125])
    assert [at_loss(losses, values, nats) for nats in (7.0, 6.0, 5.5, 5.0, 4.0, 3.0)] == [0, 0, 0.25, 0.5, 0.375, 0.25]
    assert np.isnan(at_loss(losses, values, 2.9)) and at_loss(losses, values, 2.9, never=np.inf) == np.inf
    assert at_loss([8.0, 6.0, 6.5, 5.0], [0, 10, 20, 40], 5.75) == 30  # steps, and a loss that rises in between


def test_what_seeds_share_leaves_the_same_seed_out():
    rng = np.random.default_rng(0)
    one, two = ([Cosines(rng.random(10).astype(np.float32), 5) for _ in range(3)] for _ in range(2))
    by_hand = [
        np.mean([np.corrcoef(a.pairs, two[j].pairs)[0, 1] for j in range(3) if j != i]) for i, a in enumerate(one)
    ]
    assert np.allclose(shared(one, two), by_hand, atol=1e-6)
    assert np.isclose(shared(one, one).mean(), shared_by_seeds(one)) and np.isnan(shared(one[:1], two[:1])).all()


def test_noise_of_both_sides_is_taken_out_of_a_correlation():
    rng = np.random.default_rng(0)
    x, other, *noise = rng.standard_normal((6, 200_000))
    y = 0.5 * x + np.sqrt(0.75) * other  # correlates with x by 0.5
    r = np.corrcoef([x + noise[0], x + noise[1], y + noise[2], y + noise[3]])
    assert r[0, 2] < 0.3 and disattenuated(r[0, 2], r[0, 1], r[2, 3]) == pytest.approx(0.5, abs=0.02)
    assert np.isnan(disattenuated(0.1, 0.0, 0.5))
