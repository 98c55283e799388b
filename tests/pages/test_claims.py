"""Claims: each verdict can occur in its words, records survive noise and JSON, and the notebooks' are collected."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from IPython.core.formatters import DisplayFormatter
from nbformat import v4, validate

from book._ext import records
from probsig.pages import claims, errata, verdicts

INF = math.inf
PAPER = {"paper": "v2 Corollary 1", "says": "a slope"}
SMALL = {"setting": "reduced", "differs": "width 50 of 200"}


def make(measured=5.0, interval=(4.9, 5.1), **more):
    return claims.claim(
        "a-claim", "The slope is 5", measured=measured, interval=interval, **({"setting": "theory"} | more)
    )


def make_erratum():
    return errata.erratum(
        "an-erratum",
        "slip",
        where="v2 D.5",
        printed="a",
        corrected="b",
        why="c",
        size="d",
        proof="cor-unembedding-linear",
    )


@pytest.mark.parametrize(
    ("measured", "more", "verdict"),
    [
        ([5.0, 5.01, 4.99], PAPER, "holds"),
        ([5.0, 5.01, 4.99], PAPER | {"corrected": "the mean is kept"}, "holds once corrected"),
        ([5.0, 5.01, 4.99], PAPER | SMALL, "not tested at its setting"),
        ([5.0, 5.01, 4.99], PAPER | {"loss": [6.7, 6.8, 6.5], "yardstick": 6.76}, "too little training to tell"),
        ([5.0, 5.2], PAPER, "undecided"),
        (5.0, PAPER | {"setting": "paper"}, "undecided"),
        ([1.0, 1.1], PAPER, "fails"),
        (4.0, PAPER, "fails"),
        (np.float32(5), {}, "kept"),
        (True, {"interval": (1, 1)}, "kept"),
        ([5.0, 5.01, 4.99], SMALL, "kept"),
        ([5.0, 5.2], {}, "undecided"),
        (4.0, {}, "missed"),
        (5.0, SMALL | {"exact": True}, "kept"),
        ([5.0, 5.2], {"exact": True}, "missed"),
        ([5.0, 5.01], SMALL | {"loss": 6.8, "yardstick": 6.76}, "too little training to tell"),
        ([5.0, 5.01, 5.0], SMALL | {"loss": 6.7, "yardstick": 6.76}, "kept"),
    ],
)
def test_each_verdict_occurs(measured, more, verdict):
    claim = make(measured, **more)
    assert claim.verdict == verdict
    assert claim.verdict in (verdicts.PAPER if claim.paper else verdicts.BOOK)
    whose = "The paper" if claim.paper else "This book"
    assert claim._repr_mimebundle_()["text/markdown"].startswith(f"> **{whose}: {verdict}")


@pytest.mark.parametrize(
    ("measured", "here"),
    [([5.0, 5.01], "holds here"), ([1.0, 1.1], "fails here"), ([5.0, 5.2], "undecided here")],
)
def test_away_from_the_papers_setting_the_outcome_is_told_as_one_of_here(measured, here):
    claim = make(measured, **PAPER | SMALL)
    assert (claim.verdict, claim.here) == ("not tested at its setting", here)
    shown = claim._repr_mimebundle_()["text/markdown"]
    assert shown.startswith(f"> **The paper: not tested at its setting ({here}).** The slope is 5.")
    assert "*setting* reduced (width 50 of 200)" in shown
    assert make(measured, **SMALL).here == make(measured, **PAPER).here == ""


@given(st.sampled_from(sorted(claims.SETTINGS)), st.lists(st.floats(-10, 10), min_size=1, max_size=5))
def test_what_is_said_of_the_paper_is_never_more_than_its_setting_bears(setting, values):
    more = {"setting": setting} | ({} if setting in claims.TESTED else {"differs": "another size"})
    if setting != "own":
        assert (make(values, **PAPER | more).verdict in ("holds", "fails", "undecided")) == (setting in claims.TESTED)
    assert make(values, **more).verdict in verdicts.BOOK


def test_one_of_a_family_is_judged_at_a_stricter_level():
    """Four claims: 1 - 0.05 / 4. The mean of 0.90, 0.92, 0.94 is in 0.92 ± 0.0497 at 95 % and ± 0.1023 at 98.75 %."""
    alone = make([0.90, 0.92, 0.94], (0.85, INF))
    one = make([0.90, 0.92, 0.94], (0.85, INF), family=("edited laws", 4))
    assert (alone.verdict, one.verdict) == ("kept", "undecided")
    assert one.level == 0.9875 and one.reach == "mean between 0.8177 and 1.022 at 98.75 %"
    assert "> *Family* one of 4: edited laws" in one._repr_mimebundle_()["text/markdown"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"measured": []}, "measures an array of shape (0,): pass one number per replication"),
        ({"measured": [[1.0]]}, "measures an array of shape (1, 1)"),
        ({"interval": (2, 1)}, "accepts (2, 1): give low <= high, with at most one end infinite"),
        ({"interval": (math.nan, 1)}, "accepts (nan, 1)"),
        ({"interval": (-INF, INF)}, "accepts (-inf, inf)"),
        ({"setting": "laptop"}, "setting of claim 'a-claim' is 'laptop': pass one of 'paper', 'theory', 'reduced'"),
        ({"floor": -1.0}, "has floor -1: pass a size of rounding noise, 0 or more"),
        ({"paper": "v2 D.3"}, "is a statement of the paper without its words: give `says`, or drop `paper`"),
        ({"paper": "D.3", "says": "x"}, "is at 'D.3': begin with the version"),
        ({"says": "x"}, "has `says` or `corrected` without `paper`"),
        ({"corrected": "x"}, "has `says` or `corrected` without `paper`"),
        (PAPER | {"about": "v2 D.3"}, "has both `paper` and `about`"),
        (PAPER | {"setting": "own", "differs": "a task"}, "tests the paper in this book's own experiment"),
        ({"setting": "reduced"}, "has the setting 'reduced': say in `differs`"),
        ({"differs": "width 50"}, "has the setting 'theory': say in `differs`"),
        ({"family": ("alone", 1)}, "has a family that is none"),
        ({"measured": INF, "interval": (0, INF)}, "measures an infinite value: say in `infinite` what that means"),
        ({"loss": 6.0}, "a loss says something beside its yardstick only: give both, or neither"),
    ],
)
def test_a_bad_claim_names_its_fault(change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make(**change)


@pytest.mark.parametrize("key", ["", "A-claim", "two words", "under_score", "-a", "a--b", "a\n"])
def test_keys_are_lower_case_words_joined_by_hyphens(key):
    for build in (
        lambda: claims.claim(key, "S", measured=0, interval=(0, 1)),
        lambda: errata.erratum(key, "slip", where="v1 D", printed="a", corrected="b", why="c", size="d", proof="e"),
    ):
        with pytest.raises(ValueError, match="is not lower-case words joined by hyphens"):
            build()


@pytest.mark.parametrize(
    ("measured", "more", "words"),
    [
        ([5.002, 4.998], {}, "5.000 ± 0.003 (n = 2)"),
        ([5.0], {}, "5 (n = 1)"),
        (0.9175, {}, "0.9175"),
        (28512, {"unit": "cells"}, "28512 cells"),
        (0, {"unit": "violations"}, "0 violations"),
        ([0.91, 0.95, 0.93], {"exact": True}, "0.91 to 0.95"),
        ([3e-15, -2e-16], {"floor": 1e-12}, "< 1e-12 (n = 2)"),
        (3e-15, {"floor": 1e-12, "unit": "nats"}, "< 1e-12 nats"),
        ([1e-6, 3e-6], {}, "2e-06 ± 1.414e-06 (n = 2)"),
        ([100, 120.5, 110], {}, "110.2 ± 10.3 (n = 3)"),
        ([120000, 140000], {}, "130000 ± 14100 (n = 2)"),
        ([-0.004 + 0.17, -0.004 - 0.17], {}, "-0.0040 ± 0.2404 (n = 2)"),
        ([math.nan, 1.0], {}, "1, not defined in 1 of 2 (n = 2)"),
        ([INF, 2.0, 4.0], {"infinite": "never"}, "3.000 ± 1.414, never in 1 of 3 (n = 3)"),
        ([-INF, -INF], {"infinite": "below -99"}, "below -99 in 2 of 2 (n = 2)"),
        (INF, {"infinite": "never"}, "never"),
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


def test_the_interval_of_three_seeds_by_hand():
    """1, 2, 6: mean 3, variance (4 + 1 + 9) / 2 = 7, and 4.303 * (7 / 3) ** 0.5 = 6.57."""
    claim = make([1, 2, 6], unit="nats")
    assert claim.measured == "3.000 ± 2.646 nats (n = 3)"
    assert claim.reach == "mean between -3.572 and 9.572 at 95 %"
    assert make(3.0).reach == make([3.0]).reach == ""


def test_record_of_one_claim():
    claim = make([1 / 3, 5.00004], (0, INF), note="few seeds", **PAPER | SMALL)
    assert claim.record() == {
        "key": "a-claim",
        "statement": "The slope is 5",
        "whose": "paper",
        "paper": "v2 Corollary 1",
        "says": "a slope",
        "corrected": "",
        "about": "",
        "values": [0.3333, 5.0],
        "mean": 2.667,
        "exact": False,
        "measured": "2.667 ± 3.300 (n = 2)",
        "reach": "mean between -26.98 and 32.31 at 95 %",
        "interval": [0.0, None],
        "accepted": "at least 0",
        "setting": "reduced",
        "place": "reduced (width 50 of 200)",
        "family": None,
        "finding": "undecided",
        "verdict": "not tested at its setting",
        "here": "undecided here",
        "unit": "",
        "note": "few seeds",
    }


def test_record_hides_noise_under_the_floor_and_survives_json():
    first = make([1e-15, 0.0, 2.0, math.nan, INF], (0, 1), floor=1e-12, infinite="never").record()
    assert first["values"] == ["< 1e-12", "< 1e-12", 2.0, "not defined", "never"]
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    noise = [make(3.1e-15 * factor, (0, 1e-12), floor=1e-12).record() for factor in (1, 0.2, -3)]
    assert noise[0] == noise[1] and noise[2]["measured"] == "< 1e-12"
    assert noise[2]["verdict"] == "missed"  # the verdict looks at the value itself


@given(st.lists(st.floats(1.0, 9.0), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_record_is_the_same_after_noise_in_the_last_bits(values, seed):
    values = [round(value, 3) for value in values]
    noisy = np.array(values) * (1 + 2e-16 * np.random.default_rng(seed).choice([-1, 0, 1], len(values)))
    reach = verdicts.t_interval(values) or (0.0, 0.0)
    rounded = [math.fsum(values) / len(values), float(np.std(values, ddof=len(values) > 1)), *reach]
    # a number half way between two that can be printed has no rounding that noise leaves alone
    assume(all(abs(x * 10.0**place % 1 - 0.5) > 1e-6 for x in rounded for place in range(5)))
    assert make(noisy).record() == make(values).record()


def test_noise_alone_has_no_spread():
    assert make([5.0, 5.0 + 8.9e-16, 5.0]).measured == "5.000 ± 0.000 (n = 3)"


def test_narrow_intervals_get_the_digits_that_resolve_them():
    claim = make(2.79377208421, (2.7937720841, 2.7937720943), unit="nats")
    assert claim.record()["values"] == [2.7937720842] and claim.measured == "2.7937720842 nats"


def test_shown_in_markdown():
    bundle = make([5.0, 5.004], paper="v2 D.3", says=r"$O(\epsilon^5)$", note="Few.")._repr_mimebundle_()
    assert bundle["text/plain"] == "a-claim: paper, holds; measured 5.002 ± 0.003 (n = 2), accepted 4.9 to 5.1"
    lines = bundle["text/markdown"].split("\\\n")  # hard line breaks
    assert all(line.startswith(">") for line in lines)
    assert lines[0] == "> **The paper: holds.** The slope is 5."
    assert r"> *The paper* (v2 D.3): $O(\epsilon^5)$" in lines and "> *Note* Few." in lines
    assert "mean between 4.977 and 5.027 at 95 %" in lines[1]
    assert "> *About* v2 C.2" in make(about="v2 C.2")._repr_mimebundle_()["text/markdown"].split("\\\n")


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
    second = claims.claim("b", "B", measured=1, interval=(0, 1), setting="theory")
    store(tmp_path / "theory" / "one.ipynb", make(), make_erratum())
    store(tmp_path / "addition" / "two.ipynb", second)
    store(tmp_path / ".ipynb_checkpoints" / "two.ipynb", second)
    found, wrong = records.collect(tmp_path)
    assert [(record["key"], record["notebook"]) for record in found] == [
        ("b", "addition/two"),
        ("a-claim", "theory/one"),
    ]
    assert found[1] == {**make().record(), "notebook": "theory/one"}
    assert wrong == [{**make_erratum().record(), "notebook": "theory/one"}]


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


@pytest.mark.parametrize("said", [2, 3])
def test_collect_counts_a_family(tmp_path, said):
    members = [
        claims.claim(key, "S", measured=1, interval=(0, 1), setting="theory", family=("both", said)) for key in "ab"
    ]
    store(tmp_path / "a.ipynb", *members)
    if said == 2:
        assert len(records.collect(tmp_path)[0]) == 2
    else:
        with pytest.raises(ValueError, match="the family 'both' has 2 claims, and they say 3"):
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
    assert data[claims.MIME] == make().record()
    assert set(data) == {"text/plain", "text/markdown", claims.MIME}
