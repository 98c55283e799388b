"""How a measurement decides a statement: the rule, and the words for what comes of it.

A statement names an interval that accepts it before anything is measured. An exact measurement decides by lying in it.
A measurement of replications (seeds, draws: independent, and nothing else) decides by the t-interval of their mean:
inside, outside, or across an end, and then it is undecided. One replication has no such interval and decides nothing.
So a statement of equality to within a bound needs the whole interval inside the bound.

The paper's statements and this book's own have words apart: a theorem of this book that is kept confirms nothing that
the paper says, and a prediction of this book that is missed refutes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.special import stdtrit

LEVEL = 0.95
INSIDE, OUTSIDE, UNDECIDED = "inside", "outside", "undecided"
HOLDS, CORRECTED, FAILS = "holds", "holds once corrected", "fails"
NOT_TESTED = "not tested at its setting"
UNTRAINED = "too little training to tell"
KEPT, MISSED = "kept", "missed"
PAPER = (HOLDS, CORRECTED, FAILS, UNDECIDED, NOT_TESTED, UNTRAINED)
BOOK = (KEPT, MISSED, UNDECIDED, UNTRAINED)


def mean(values: Sequence[float]) -> float:
    """The mean; the same in any order of the values.

    >>> mean([0.1, 0.2, 0.3]) == mean([0.3, 0.2, 0.1]), mean([1.0, math.inf])
    (True, inf)
    """
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else sum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """The standard deviation with n - 1 in the denominator; 0 of one value, nan where a value is not finite.

    >>> deviation([1.0, 3.0]) == 2**0.5, deviation([4.0])
    (True, 0.0)
    """
    if not all(map(math.isfinite, values)):
        return math.nan
    middle = mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / max(len(values) - 1, 1))


def t_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """The interval of Student's t for the mean of independent replications; None of one, or where one is not finite.

    By hand: 1, 2 and 6 have mean 3 and standard deviation 7 ** 0.5, and the quantile for 2 degrees of freedom is 4.303.

    >>> low, high = t_interval([1.0, 2.0, 6.0])
    >>> round(low, 2), round(high, 2), round(4.303 * (7 / 3) ** 0.5, 2)
    (-3.57, 9.57, 6.57)
    """
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    half = float(stdtrit(len(values) - 1, (1 + level) / 2)) * deviation(values) / math.sqrt(len(values))
    return mean(values) - half, mean(values) + half


def finding(values: Sequence[float], interval: tuple[float, float], exact: bool, level: float = LEVEL) -> str:
    """Where a measurement lies: "inside", "outside" or "undecided".

    `values` are the replications, or the values of an exact measurement, each of which must lie inside. Where
    replications are not finite ("never" is infinite) their mean decides nothing: all of them inside, or all outside.

    >>> finding([1.0, 2.0, 6.0], (0, 5), exact=False), finding([1.0, 2.0, 6.0], (-4, 10), exact=False)
    ('undecided', 'inside')
    >>> finding([2.9], (2.9, 3.1), exact=True), finding([3.0], (2.9, 3.1), exact=False)
    ('inside', 'undecided')
    """
    low, high = interval
    inside = [low <= value <= high for value in values]
    if exact:
        return INSIDE if all(inside) else OUTSIDE
    if len(values) < 2 or any(map(math.isnan, values)):
        return UNDECIDED
    reach = t_interval(values, level)
    if reach is None:
        return INSIDE if all(inside) else UNDECIDED if any(inside) else OUTSIDE
    if low <= reach[0] and reach[1] <= high:
        return INSIDE
    return OUTSIDE if reach[1] < low or high < reach[0] else UNDECIDED


def of_paper(found: str, *, tested: bool, corrected: bool, untrained: bool) -> str:
    """The verdict on a statement of the paper, one of `PAPER`.

    `tested` says whether it was measured at the setting that the paper names, `corrected` whether something had to be
    put right before it could be, `untrained` that the model in question knows less than a table of frequencies.

    >>> of_paper("inside", tested=True, corrected=True, untrained=False)
    'holds once corrected'
    """
    if untrained or not tested:
        return UNTRAINED if untrained else NOT_TESTED
    return {INSIDE: CORRECTED if corrected else HOLDS, OUTSIDE: FAILS, UNDECIDED: UNDECIDED}[found]


def of_book(found: str, *, untrained: bool) -> str:
    """The verdict on a theorem or a prediction of this book, one of `BOOK`.

    >>> of_book("outside", untrained=False)
    'missed'
    """
    return UNTRAINED if untrained else {INSIDE: KEPT, OUTSIDE: MISSED, UNDECIDED: UNDECIDED}[found]
