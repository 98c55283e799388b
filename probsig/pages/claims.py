r"""Claims with their verdicts, as values that a notebook's cell shows and the book collects.

A claim is a statement *of the paper*, with the place and the words there, or *of this book*. It names the interval that
accepts it before anything is measured, where a null leaves it; `verdicts` has the rule that decides, and the words.

How a call of the old kind is converted:

- A statement of the paper keeps `paper=` (it begins with "v1", "v2" or "v1 and v2") and `says=` (its words there, with
  their qualifiers). If something had to be put right before it could be tested, `corrected=` says what.
- A theorem or a prediction of this book has neither; `about=` names the place in the paper that it bears on, if any.
- `measured` is one number per independent replication (seeds, and nothing else), or one exact number: a bare number
  with `setting="theory"` is exact, and `exact=True` says so anywhere else. Several exact cases: `exact=True`, all must
  lie inside. A bare number that is not exact is one replication, and undecided.
- The whole t-interval must lie inside. So an end that the quantity cannot pass is no bound: (0.9, 1.0) becomes
  (0.9, np.inf), (-1.0, -0.9) becomes (-np.inf, -0.9), and (0, 0.05) of an error becomes (-np.inf, 0.05).
- `setting` is one of `SETTINGS`; "stand-in data" is now "stand-in text" or, where the genuine generator made the text,
  "genuine generator"; a task of this book is "own". Away from "paper" and "theory", `differs=` says what differs.
- No sentinel: an infinite value is infinite, and `infinite="never"` says what it means; what is undefined is nan.
- Claims that one experiment makes together share `family=("edited label laws", 7)`: a name and their number.
- Where a network is trained, `loss=` is its last loss (per replication, or the worst) and `yardstick=` the entropy that
  a table of frequencies reaches: a network that is not below it decides nothing.

Each value is its cell's last expression. Its record goes into the notebook under a MIME type of its own, with numbers
rounded to 4 significant digits (more where the interval is narrower than that) and counts as they are, so that a rerun
compares equal. Intervals are (low, high), inclusive; an infinite end is None in the record.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from probsig import errors
from probsig.pages import boxes, verdicts, words

MIME = "application/vnd.probsig.claim+json"
SETTINGS = {
    "paper": "the paper's setting",
    "theory": "theory",
    "reduced": "reduced",
    "stand-in text": "stand-in text",
    "genuine generator": "genuine generator",
    "stand-in model": "another model",
    "own": "this book's own experiment",
}
TESTED = ("paper", "theory")  # settings at which a statement of the paper is tested
DIGITS = 4


@dataclass(frozen=True)
class Claim:
    """A statement of the paper or of this book, what was measured, and the verdict. Made by `claim`.

    `paper` is empty for a statement of this book; `values` holds one number per replication, or the exact ones.
    """

    key: str
    statement: str
    values: tuple[float, ...]
    interval: tuple[float, float]
    exact: bool
    paper: str
    says: str
    corrected: str
    about: str
    setting: str
    differs: str
    family: tuple[str, int] | None
    untrained: bool
    unit: str
    note: str
    floor: float
    infinite: str

    @property
    def level(self) -> float:
        """The level of the t-interval: 0.95, and by Bonferroni closer to 1 for one of a family of claims."""
        return 1 - (1 - verdicts.LEVEL) / (self.family[1] if self.family else 1)

    @property
    def finding(self) -> str:
        """ "inside", "outside" or "undecided", whatever the setting."""
        return verdicts.finding(self.values, self.interval, self.exact, self.level)

    @property
    def verdict(self) -> str:
        """One of `verdicts.PAPER` for a statement of the paper, one of `verdicts.BOOK` for one of this book."""
        if not self.paper:
            return verdicts.of_book(self.finding, untrained=self.untrained)
        return verdicts.of_paper(
            self.finding,
            tested=self.setting in TESTED,
            corrected=bool(self.corrected),
            untrained=self.untrained,
        )

    @property
    def here(self) -> str:
        """Where the setting is not the paper's: whether the statement holds there; else empty."""
        if self.verdict != verdicts.NOT_TESTED:
            return ""
        return {"inside": "holds here", "outside": "fails here", "undecided": "undecided here"}[self.finding]

    @property
    def measured(self) -> str:
        """The measurement in words: the exact value, or mean ± standard deviation (n - 1) over n replications."""
        shown = self._exact_words() if self.exact else self._mean_words()
        return f"{shown}{self._unit}" + ("" if self.exact else f" (n = {len(self.values)})")

    @property
    def reach(self) -> str:
        """The t-interval in words, as in "mean between 4.98 and 5.02 at 95 %"; empty where there is none."""
        interval = None if self.exact else verdicts.t_interval(self.values, self.level)
        if interval is None or self._all_noise:
            return ""
        low, high = (words.plain(words.significant(end, self._digits)) for end in interval)
        return f"mean between {low} and {high} at {100 * self.level:.4g} %"

    @property
    def accepted(self) -> str:
        """The acceptance interval in words."""
        low, high = map(words.plain, self.interval)
        if low == high:
            return f"exactly {low}{self._unit}"
        if math.isinf(self.interval[0]):
            return f"at most {high}{self._unit}"
        return f"at least {low}{self._unit}" if math.isinf(self.interval[1]) else f"{low} to {high}{self._unit}"

    @property
    def place(self) -> str:
        """The setting in words, with what differs from the paper's."""
        return SETTINGS[self.setting] + (f" ({self.differs})" if self.differs else "")

    @property
    def whose(self) -> str:
        """ "paper" or "book"."""
        return "paper" if self.paper else "book"

    @property
    def _unit(self) -> str:
        return f" {self.unit}" if self.unit else ""

    @property
    def _digits(self) -> int:
        """Significant digits that resolve the interval: 4, or more where it is narrow."""
        low, high = self.interval
        if math.isinf(low) or math.isinf(high) or low == high:
            return DIGITS
        return min(max(DIGITS, math.ceil(math.log10(max(abs(low), abs(high)) / (high - low))) + 2), 12)

    @property
    def _all_noise(self) -> bool:
        return all(abs(value) < self.floor for value in self.values)

    def _word(self, value: float) -> str:
        if math.isnan(value):
            return "not defined"
        return self.infinite if math.isinf(value) else words.plain(words.significant(value, self._digits))

    def _exact_words(self) -> str:
        if self._all_noise:
            return f"< {self.floor:g}"
        ends = dict.fromkeys(map(self._word, (min(self.values), max(self.values))))
        return " to ".join(ends)

    def _mean_words(self) -> str:
        if self._all_noise:
            return f"< {self.floor:g}"
        finite = tuple(value for value in self.values if math.isfinite(value))
        shown = words.plus_minus(finite, self._digits) if finite else ""
        others = collections.Counter(self._word(value) for value in self.values if not math.isfinite(value))
        often = [f"{word} in {count} of {len(self.values)}" for word, count in others.items()]
        return ", ".join([*([shown] if shown else []), *often])

    def record(self) -> dict[str, Any]:
        """What the notebook stores: plain JSON, rounded; a value under the floor is "< floor", others are words."""
        center = verdicts.mean(self.values)
        return {
            "key": self.key,
            "statement": self.statement,
            "whose": self.whose,
            "paper": self.paper,
            "says": self.says,
            "corrected": self.corrected,
            "about": self.about,
            "values": [self._stored(value) for value in self.values],
            "mean": self._stored(center),
            "exact": self.exact,
            "measured": self.measured,
            "reach": self.reach,
            "interval": [None if math.isinf(end) else end for end in self.interval],
            "accepted": self.accepted,
            "setting": self.setting,
            "place": self.place,
            "family": list(self.family) if self.family else None,
            "finding": self.finding,
            "verdict": self.verdict,
            "here": self.here,
            "unit": self.unit,
            "note": self.note,
        }

    def _stored(self, value: float) -> float | str:
        if abs(value) < self.floor:
            return f"< {self.floor:g}"
        return words.significant(value, self._digits) if math.isfinite(value) else self._word(value)

    def __repr__(self) -> str:
        verdict = f"{self.verdict}, {self.here}" if self.here else self.verdict
        return f"{self.key}: {self.whose}, {verdict}; measured {self.measured}, accepted {self.accepted}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        whose = "The paper" if self.paper else "This book"
        verdict = f"{self.verdict} ({self.here})" if self.here else self.verdict
        reach = f" · {self.reach}" if self.reach else ""
        rows = [
            f"**{whose}: {verdict}.** {boxes.sentence(self.statement)}",
            f"*Measured* {self.measured}{reach} · *accepted* {self.accepted} · *setting* {self.place}",
        ]
        rows += [f"*The paper* ({self.paper}): {self.says}"] if self.paper else []
        rows += [f"*Corrected* {self.corrected}"] if self.corrected else []
        rows += [f"*About* {self.about}"] if self.about else []
        rows += [f"*Family* one of {self.family[1]}: {self.family[0]}"] if self.family else []
        rows += [f"*Note* {self.note}"] if self.note else []
        return boxes.bundle(self, MIME, self.record(), rows, between="\\\n")


def claim(
    key: str,
    statement: str,
    *,
    measured: float | Sequence[float],
    interval: tuple[float, float],
    paper: str = "",
    says: str = "",
    corrected: str = "",
    about: str = "",
    setting: str = "paper",
    differs: str = "",
    exact: bool | None = None,
    family: tuple[str, int] | None = None,
    loss: float | Sequence[float] | None = None,
    yardstick: float | Sequence[float] | None = None,
    unit: str = "",
    note: str = "",
    floor: float = 0.0,
    infinite: str = "",
) -> Claim:
    """A claim, to be the last expression of its cell; the module says what each argument is for.

    `interval` is (low, high), one end may be infinite. Values smaller than `floor` in size are rounding noise and are
    recorded as "< floor". `statement`, `says`, `corrected` and `note` are Markdown with TeX in dollars.

    Raises ValueError for a key that is not lower-case words joined by hyphens, an unknown setting, an empty or more
    than one-dimensional `measured`, an interval that is empty or excludes nothing, and for each fault in `_faults`.

    >>> claim("slope", "The slope is 5.", measured=[5.002, 4.998], interval=(4.9, 5.1), setting="theory")
    slope: book, kept; measured 5.000 ± 0.003 (n = 2), accepted 4.9 to 5.1
    >>> claim("order", "The anchors are ordered.", paper="v2 section 4.1", says="quickly form an ordered structure",
    ...       measured=[-0.99, -0.97, -0.6], interval=(-np.inf, -0.9))
    order: paper, undecided; measured -0.8533 ± 0.2196 (n = 3), accepted at most -0.9
    """
    boxes.check_key(key)
    given = np.atleast_1d(np.asarray(measured))
    if given.dtype.kind not in "buifO":
        raise ValueError(f"claim {key!r} measures {errors.brief(measured)}: pass one number per replication")
    values = given.astype(float)
    if any(isinstance(one, int) and one != float(one) for one in given.ravel().tolist()):
        raise ValueError(f"claim {key!r} measures a count beyond 2**53, which would be rounded: pass it as a float")
    boxes.check_words(key, statement=statement)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"claim {key!r} measures an array of shape {values.shape}: pass one number per replication")
    if np.shape(interval) != (2,) or np.asarray(interval).dtype.kind not in "buif":
        raise ValueError(f"claim {key!r} accepts {errors.brief(interval)}: give two numbers, (low, high)")
    low, high = (float(end) for end in interval)
    if not low <= high or (math.isinf(low) and math.isinf(high)):
        raise ValueError(f"claim {key!r} accepts ({low:g}, {high:g}): give low <= high, with at most one end infinite")
    errors.one_of(f"setting of claim {key!r}", setting, SETTINGS)
    if exact is None:
        exact = setting == "theory" and np.ndim(measured) == 0
    found = Claim(
        key, statement, tuple(values.tolist()), (low, high), exact, paper, says, corrected, about, setting, differs,
        family, _untrained(loss, yardstick), unit, note, float(floor), infinite,
    )  # fmt: skip
    for fault in _faults(found):
        raise ValueError(f"claim {key!r} {fault}")
    return found


def _faults(claim: Claim) -> Iterator[str]:
    """What a claim says that cannot be so, and what to say instead."""
    if claim.paper:
        boxes.check_place(claim.key, claim.paper)
        if not claim.says.strip():
            yield "is a statement of the paper without its words: give `says`, or drop `paper`"
        if claim.about:
            yield "has both `paper` and `about`: the first is for the paper's statements, the second for this book's"
        if claim.setting == "own":
            yield "tests the paper in this book's own experiment: name another setting, or drop `paper`"
    elif claim.says or claim.corrected:
        yield "has `says` or `corrected` without `paper`: say where the paper says it, or drop them"
    if bool(claim.differs.strip()) == (claim.setting in TESTED):
        yield f"has the setting {claim.setting!r}: say in `differs` what differs from the paper's where something does"
    if not 0 <= claim.floor < math.inf:
        yield f"has floor {claim.floor:g}: pass a size of rounding noise, 0 or more"
    if claim.family is not None and not (claim.family[0].strip() and claim.family[1] >= 2):
        yield "has a family that is none: pass its name and the number of its claims, 2 or more"
    if any(map(math.isinf, claim.values)) and not claim.infinite:
        yield "measures an infinite value: say in `infinite` what that means, as in 'never'"


def _untrained(loss: float | Sequence[float] | None, yardstick: float | Sequence[float] | None) -> bool:
    """Whether some loss is not below its yardstick."""
    if (loss is None) != (yardstick is None):
        raise ValueError("a loss says something beside its yardstick only: give both, or neither")
    return loss is not None and bool(np.any(~(np.asarray(loss, float) < np.asarray(yardstick, float))))
