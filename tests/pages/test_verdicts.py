"""The rule: a t-interval inside, outside or across; each verdict can occur, and none says more than its evidence."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from probsig.pages import verdicts

INF = math.inf
values = st.lists(st.integers(-1000, 1000).map(lambda whole: whole / 100), min_size=2, max_size=8)
levels = st.floats(0.5, 0.999)
RANK = [verdicts.OUTSIDE, verdicts.UNDECIDED, verdicts.INSIDE]


def test_a_case_by_hand():
    """0.90, 0.92, 0.94: mean 0.92, standard deviation 0.02, so the mean lies in 0.92 ± 4.303 * 0.02 / 3 ** 0.5."""
    low, high = verdicts.t_interval([0.90, 0.92, 0.94])
    assert (round(low, 4), round(high, 4)) == (0.8703, 0.9697)
    assert verdicts.finding([0.90, 0.92, 0.94], (0.87, INF), exact=False) == "inside"
    assert verdicts.finding([0.90, 0.92, 0.94], (0.88, INF), exact=False) == "undecided"  # though each is above
    assert verdicts.finding([0.90, 0.92, 0.94], (0.97, INF), exact=False) == "outside"


@given(values, levels)
def test_the_interval_is_students(found, level):
    found = np.array(found)
    if np.ptp(found) == 0:
        return
    expected = stats.t.interval(level, len(found) - 1, loc=found.mean(), scale=stats.sem(found))
    assert np.allclose(verdicts.t_interval(found.tolist(), level), expected, rtol=1e-9, atol=1e-9)


@given(values, st.floats(-10, 10), st.floats(0, 5), levels)
def test_a_wider_acceptance_never_worsens_the_finding(found, low, width, level):
    narrow = verdicts.finding(found, (low, low + width), False, level)
    wide = verdicts.finding(found, (low - 1, low + width + 1), False, level)
    if narrow == "inside":
        assert wide == "inside"
    if wide == "outside":
        assert narrow == "outside"


@given(values, st.floats(-10, 10), st.floats(0, 5))
def test_a_higher_level_never_decides_what_a_lower_one_leaves_open(found, low, width):
    interval = (low, low + width)
    at_95, at_99 = (verdicts.finding(found, interval, False, level) for level in (0.95, 0.99))
    assert at_99 in (at_95, "undecided")


@given(values, st.floats(-10, 10))
def test_a_statement_and_its_opposite_are_not_both_decided_for(found, end):
    below = verdicts.finding(found, (-INF, end), False)
    above = verdicts.finding(found, (end, INF), False)
    mirrored = {"inside": {"outside", "undecided"}, "outside": {"inside"}, "undecided": {"undecided", "inside"}}
    if np.ptp(found) > 0:
        assert above in mirrored[below]


def test_one_replication_decides_nothing_and_an_exact_value_does():
    assert verdicts.finding([5.0], (4.9, 5.1), exact=False) == "undecided"
    assert verdicts.finding([5.0], (4.9, 5.1), exact=True) == "inside"
    assert verdicts.finding([5.0, 5.2], (4.9, 5.1), exact=True) == "outside"  # each case must lie inside


def test_equality_needs_its_interval_inside_the_bounds():
    """Three seeds at -0.198, 0.298 and -0.296: a mean of -0.07 is no evidence of being within 0.33 of zero."""
    assert verdicts.finding([-0.198, 0.298, -0.296], (-0.33, 0.33), exact=False) == "undecided"
    assert verdicts.finding([-0.02, 0.03, -0.01], (-0.33, 0.33), exact=False) == "inside"


@pytest.mark.parametrize(
    ("found", "interval", "expected"),
    [
        ([INF, INF], (1, INF), "inside"),
        ([INF, INF], (-INF, 5), "outside"),
        ([3.0, INF], (-INF, 5), "undecided"),
        ([3.0, INF], (1, INF), "inside"),
        ([math.nan, 2.0], (1, 3), "undecided"),
        ([math.nan, math.nan], (1, 3), "undecided"),
    ],
)
def test_values_that_are_not_finite(found, interval, expected):
    assert verdicts.t_interval(found) is None
    assert verdicts.finding(found, interval, exact=False) == expected


def test_what_is_undefined_is_outside_where_it_was_to_be_exact():
    assert verdicts.finding([math.nan], (-INF, 1), exact=True) == "outside"


def test_equal_replications_have_an_interval_of_one_point():
    assert verdicts.finding([4.0, 4.0, 4.0], (4, 4), exact=False) == "inside"
    assert verdicts.finding([4.0, 4.0, 4.0], (-INF, 3), exact=False) == "outside"


def test_every_verdict_on_the_paper_is_reached_and_no_other():
    reached = {
        verdicts.of_paper(found, tested=tested, corrected=corrected, untrained=untrained)
        for found in RANK
        for tested in (True, False)
        for corrected in (True, False)
        for untrained in (True, False)
    }
    assert reached == set(verdicts.PAPER)


def test_every_verdict_on_this_book_is_reached_and_no_other():
    reached = {verdicts.of_book(found, untrained=untrained) for found in RANK for untrained in (True, False)}
    assert reached == set(verdicts.BOOK)


def test_the_paper_fails_nowhere_but_at_its_own_setting():
    for found in RANK:
        verdict = verdicts.of_paper(found, tested=False, corrected=False, untrained=False)
        assert verdict == "not tested at its setting"


@pytest.mark.parametrize(
    ("found", "tested", "corrected", "untrained", "paper", "book"),
    [
        ("inside", True, False, False, "holds", "kept"),
        ("inside", True, True, False, "holds once corrected", "kept"),
        ("outside", True, False, False, "fails", "missed"),
        ("outside", True, True, False, "fails", "missed"),
        ("undecided", True, False, False, "undecided", "undecided"),
        ("inside", False, False, False, verdicts.NOT_TESTED, "kept"),
        ("inside", True, False, True, verdicts.UNTRAINED, verdicts.UNTRAINED),
        ("outside", False, True, True, verdicts.UNTRAINED, verdicts.UNTRAINED),
    ],
)
def test_the_table_of_verdicts(found, tested, corrected, untrained, paper, book):
    assert verdicts.of_paper(found, tested=tested, corrected=corrected, untrained=untrained) == paper
    assert verdicts.of_book(found, untrained=untrained) == book


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_both_ends_of_an_acceptance_belong_to_it(value):
    assert verdicts.finding([value], (0, 1), exact=True) == "inside"
    assert verdicts.finding([value, value], (0, 1), exact=False) == "inside"
    assert verdicts.finding([value, value], (2, 3), exact=False) == "outside"
