"""Claims: each verdict can occur, records survive noise and JSON, and the notebooks' records are collected."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.formatters import DisplayFormatter
from nbformat import v4, validate

from book._ext import records
from probsig.pages import claims
from probsig.pages.claims import CLAIM_MIME, ERRATUM_MIME, NOT_TESTED

INF = math.inf


def make(measured=5.0, interval=(4.9, 5.1), **more):
    return claims.claim(
        "a-claim", "The slope is 5", **({"paper": "v2 Corollary 1"} | more), measured=measured, interval=interval
    )


def make_erratum(**more):
    fields = {
        "where": "v2 D.5",
        "printed": r"\tfrac1VW^E\mathbf 1",
        "corrected": r"\tfrac1V(W^En)^\top",
        "why": "The mean count is dropped",
        "size": "relative residual 5.84",
        "proof": "cor-unembedding-linear",
    }
    return claims.erratum("an-erratum", **(fields | more))


@pytest.mark.parametrize(
    ("measured", "interval", "outcome", "verdict"),
    [
        ([5.0, 5.1, 4.9], (4.9, 5.1), "holds", "reproduced"),
        (5.0, (5.0, 5.0), "holds", "reproduced"),
        (np.float32(7), (5, INF), "holds", "reproduced"),
        (True, (1, 1), "holds", "reproduced"),
        ([5.0, 5.2], (4.9, 5.1), "partly", "partly"),
        ([4.0, 6.0], (4.9, 5.1), "partly", "partly"),
        ([5.0, 5.3], (4.9, 5.1), "fails", "not reproduced"),
        (4.0, (4.9, 5.1), "fails", "not reproduced"),
        (math.nan, (-INF, 1), "fails", "not reproduced"),
        ([0.5, math.nan], (-INF, 1), "fails", "not reproduced"),
        (INF, (1, INF), "holds", "reproduced"),
        ([3.0, INF], (1, INF), "holds", "reproduced"),
        ([-INF, INF], (1, INF), "fails", "not reproduced"),
    ],
)
def test_each_verdict_occurs(measured, interval, outcome, verdict):
    for setting in ("paper", "theory"):
        claim = make(measured, interval, setting=setting)
        assert (claim.outcome, claim.verdict) == (outcome, verdict)
        assert repr(claim).startswith(f"a-claim: {verdict}; measured")
    for setting in ("reduced", "stand-in data", "stand-in model"):
        claim = make(measured, interval, setting=setting)
        assert (claim.outcome, claim.verdict) == (outcome, NOT_TESTED)
        assert f"**Not tested at the paper's setting; {outcome} " in claim._repr_mimebundle_()["text/markdown"]


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=8), st.floats(-10, 10), st.floats(0, 5))
def test_a_wider_interval_never_worsens_the_outcome(values, low, width):
    rank = ["fails", "partly", "holds"]
    narrow, wide = make(values, (low, low + width)), make(values, (low - 1, low + width + 1))
    assert rank.index(narrow.outcome) <= rank.index(wide.outcome)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"measured": []}, "measures an array of shape (0,): pass one number, or one a seed"),
        ({"measured": [[1.0]]}, "measures an array of shape (1, 1)"),
        ({"interval": (2, 1)}, "accepts (2, 1): give low <= high, with at most one end infinite"),
        ({"interval": (math.nan, 1)}, "accepts (nan, 1)"),
        ({"interval": (-INF, INF)}, "accepts (-inf, inf)"),
        ({"setting": "laptop"}, "has setting 'laptop': choose one of 'paper', 'theory', 'reduced'"),
        ({"floor": -1.0}, "has floor -1: pass a size of rounding noise, 0 or more"),
        ({"paper": " "}, "'a-claim' has an empty `paper`: write it"),
    ],
)
def test_a_bad_claim_names_its_fault(change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make(**change)


@pytest.mark.parametrize("key", ["", "A-claim", "two words", "under_score", "-a", "a--b", "a\n"])
def test_keys_are_lower_case_words_joined_by_hyphens(key):
    for build in (
        lambda: claims.claim(key, "S", paper="v1", measured=0, interval=(0, 1)),
        lambda: claims.erratum(key, where="v1", printed="a", corrected="b", why="c", size="d", proof="e"),
    ):
        with pytest.raises(ValueError, match="is not lower-case words joined by hyphens"):
            build()


@pytest.mark.parametrize(
    ("measured", "more", "words"),
    [
        ([5.002, 4.998], {}, "5.000 ± 0.003 (n = 2)"),
        (0.9175, {}, "0.9175"),
        (0, {"unit": "violations"}, "0 violations"),
        ([3e-15, -2e-16], {"floor": 1e-12}, "< 1e-12 (n = 2)"),
        (3e-15, {"floor": 1e-12, "unit": "nats"}, "< 1e-12 nats"),
        ([1e-6, 3e-6], {}, "2e-06 ± 1.414e-06 (n = 2)"),
        ([100, 120.5, 110], {}, "110.2 ± 10.3 (n = 3)"),
        ([120000, 140000], {}, "130000 ± 14100 (n = 2)"),
        ([-0.004 + 0.17, -0.004 - 0.17], {}, "-0.0040 ± 0.2404 (n = 2)"),
        ([math.nan, 1.0], {}, "nan (n = 2)"),
        ([math.inf, 1.0], {}, "inf (n = 2)"),
    ],
)
def test_measured_in_words(measured, more, words):
    assert make(measured, **more).measured == words


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((4.9, 5.1), "4.9 to 5.1 nats"),
        ((0, 0), "exactly 0 nats"),
        ((-INF, 0.1), "at most 0.1 nats"),
        ((2, INF), "at least 2 nats"),
        ((2.7937720841, 2.7937720943), "2.7937720841 to 2.7937720943 nats"),
    ],
)
def test_interval_in_words(interval, words):
    assert make(0, interval, unit="nats").accepted == words


def test_the_mean_and_spread_of_three_seeds_by_hand():
    """1, 2, 6: mean 3, sum of squared deviations 4 + 1 + 9 = 14, variance 7."""
    record = make([1, 2, 6], unit="nats").record()
    assert (record["mean"], record["sd"]) == (3.0, 2.646)
    assert record["measured"] == "3.000 ± 2.646 nats (n = 3)"


def test_record_of_one_claim():
    claim = make([1 / 3, 5.00004], (0, INF), setting="reduced", says="a slope", note="few seeds")
    assert claim.record() == {
        "key": "a-claim",
        "statement": "The slope is 5",
        "paper": "v2 Corollary 1",
        "says": "a slope",
        "values": [0.3333, 5.0],
        "mean": 2.667,
        "sd": 3.3,
        "measured": "2.667 ± 3.300 (n = 2)",
        "interval": [0.0, None],
        "accepted": "at least 0",
        "setting": "reduced",
        "outcome": "holds",
        "verdict": NOT_TESTED,
        "unit": "",
        "note": "few seeds",
    }


def test_record_hides_noise_under_the_floor_and_survives_json():
    first = make([1e-15, 0.0, 2.0, math.nan, INF], (0, 1), floor=1e-12).record()
    assert first["values"] == ["< 1e-12", "< 1e-12", 2.0, "nan", "inf"]
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    noise = [make([3.1e-15 * factor], (0, 1e-12), floor=1e-12).record() for factor in (1, 0.2, -3)]
    assert noise[0] == noise[1] and noise[2]["measured"] == "< 1e-12"
    assert noise[2]["outcome"] == "fails"  # the verdict looks at the value itself


@given(st.lists(st.floats(1.0, 9.0), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_record_is_the_same_after_noise_in_the_last_bits(values, seed):
    values = [round(value, 3) for value in values]  # away from where rounding to 4 digits jumps
    noisy = np.array(values) * (1 + 2e-16 * np.random.default_rng(seed).choice([-1, 0, 1], len(values)))
    mean = abs(math.fsum(values) / len(values) * 1e3 % 1 - 0.5)
    spread = abs(np.std(values, ddof=len(values) > 1) * 1e3 % 1 - 0.5)
    if mean > 1e-9 and spread > 1e-9:
        assert make(noisy).record() == make(values).record()


def test_noise_alone_has_no_spread():
    assert make([5.0, 5.0 + 8.9e-16, 5.0]).measured == "5.000 ± 0.000 (n = 3)"


def test_narrow_intervals_get_the_digits_that_resolve_them():
    claim = make(2.79377208421, (2.7937720841, 2.7937720943), unit="nats")
    assert claim.record()["values"] == [2.7937720842] and claim.measured == "2.7937720842 nats"


def test_shown_in_markdown():
    bundle = make([5.0, 5.004], says=r"$O(\epsilon^5)$", note="Few.")._repr_mimebundle_()
    assert bundle["text/plain"] == "a-claim: reproduced; measured 5.002 ± 0.003 (n = 2), accepted 4.9 to 5.1"
    lines = bundle["text/markdown"].split("\\\n")  # hard line breaks
    assert all(line.startswith(">") for line in lines)
    assert lines[0] == "> **Reproduced:** The slope is 5."
    assert r"> *The paper* (v2 Corollary 1): $O(\epsilon^5)$" in lines and "> *Note* Few." in lines


def test_erratum_shows_both_formulas_and_links_its_proof():
    erratum = make_erratum(why="The mean count\n  is dropped")
    assert "> **Erratum** (v2 D.5): The mean count is dropped." in erratum._repr_mimebundle_()["text/markdown"]
    bundle = erratum._repr_mimebundle_()
    assert bundle["text/plain"] == "an-erratum: erratum to v2 D.5; relative residual 5.84"
    assert r"> $$\tfrac1VW^E\mathbf 1$$" in bundle["text/markdown"].split("\n")
    assert "{prf:ref}`cor-unembedding-linear`" in bundle["text/markdown"]
    assert bundle[ERRATUM_MIME] == erratum.record() == json.loads(json.dumps(erratum.record()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"printed": "$a$"}, "has a dollar sign in `printed`: pass the bare TeX"),
        ({"corrected": "a$"}, "has a dollar sign in `corrected`"),
        ({"size": ""}, "has an empty `size`: write it"),
        ({"proof": ""}, "has an empty `proof`"),
    ],
)
def test_a_bad_erratum_names_its_fault(change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make_erratum(**change)


def store(path, *shown):
    """A notebook whose cells show the given values."""
    cells = [v4.new_markdown_cell("text"), v4.new_code_cell("print()", outputs=[v4.new_output("stream", text="x\n")])]
    cells += [
        v4.new_code_cell("x", outputs=[v4.new_output("execute_result", data=one._repr_mimebundle_())]) for one in shown
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = v4.new_notebook(cells=cells)
    validate(notebook)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def test_collect_reads_every_notebook_under_the_folder(tmp_path):
    second = claims.claim("b", "B", paper="v1", measured=1, interval=(0, 1))
    store(tmp_path / "theory" / "one.ipynb", make(), make_erratum())
    store(tmp_path / "addition" / "two.ipynb", second)
    store(tmp_path / ".ipynb_checkpoints" / "two.ipynb", second)
    found, errata = records.collect(tmp_path)
    assert [(record["key"], record["notebook"]) for record in found] == [
        ("b", "addition/two"),
        ("a-claim", "theory/one"),
    ]
    assert found[1] == {**make().record(), "notebook": "theory/one"}
    assert errata == [{**make_erratum().record(), "notebook": "theory/one"}]


@pytest.mark.parametrize("places", [("a.ipynb", "b.ipynb"), ("a.ipynb", "a.ipynb")])
def test_collect_wants_each_key_once(tmp_path, places):
    if places[0] == places[1]:
        store(tmp_path / places[0], make(), make())
    else:
        for place in places:
            store(tmp_path / place, make())
    first, second = (place.removesuffix(".ipynb") for place in places)
    with pytest.raises(ValueError, match=f"the key 'a-claim' is used in {first} and in {second}"):
        records.collect(tmp_path)


def test_collect_names_what_it_cannot_read(tmp_path):
    with pytest.raises(ValueError, match="is no folder"):
        records.collect(tmp_path / "none")
    for content in ("{", "[]", "{}"):
        (tmp_path / "broken.ipynb").write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=r"broken\.ipynb is no notebook: execute it again"):
            records.collect(tmp_path)


def test_ipython_stores_the_record_of_a_cells_last_expression():
    data, _ = DisplayFormatter().format(make())
    assert data[CLAIM_MIME] == make().record()
    assert set(data) == {"text/plain", "text/markdown", CLAIM_MIME}
