r"""Claims with their verdicts, and errata, as values that a notebook's cell shows and the book collects.

A claim states its acceptance interval in the source, before anything is measured; the verdict follows from the values
over seeds. "reproduced": every value lies in the interval; "partly": the mean does, but not every value;
"not reproduced": the mean does not (nan lies nowhere). Away from the paper's setting the same comparison is an outcome
("holds", "partly", "fails") and the verdict is "not tested at the paper's setting".

Each value is its cell's last expression. Its record goes into the notebook under a MIME type of its own, with numbers
rounded to 4 significant digits (more where the interval is narrower than that), so that a rerun compares equal.
Intervals are (low, high), inclusive; an infinite end is None in the record.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CLAIM_MIME = "application/vnd.probsig.claim+json"
ERRATUM_MIME = "application/vnd.probsig.erratum+json"
SETTINGS = {
    "paper": "the paper's setting",
    "theory": "theory",
    "reduced": "at a reduced setting",
    "stand-in data": "with stand-in data",
    "stand-in model": "with a stand-in model",
}
TESTED = ("paper", "theory")
VERDICTS = {"holds": "reproduced", "partly": "partly", "fails": "not reproduced"}
NOT_TESTED = "not tested at the paper's setting"
DIGITS = 4


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, what was measured, and whether the measurement lies in the acceptance interval.

    Made by `claim`; `values` holds one number a seed.
    """

    key: str
    statement: str
    paper: str
    values: tuple[float, ...]
    interval: tuple[float, float]
    setting: str
    says: str
    unit: str
    note: str
    floor: float

    @property
    def outcome(self) -> str:
        """ "holds", "partly" or "fails", whatever the setting."""
        low, high = self.interval
        inside = [low <= value <= high for value in self.values]
        mean = _mean(self.values)
        return "holds" if all(inside) else "partly" if low <= mean <= high else "fails"

    @property
    def verdict(self) -> str:
        """ "reproduced", "partly", "not reproduced" or "not tested at the paper's setting"."""
        return VERDICTS[self.outcome] if self.setting in TESTED else NOT_TESTED

    @property
    def measured(self) -> str:
        """The measurement in words: mean ± standard deviation (n - 1) over the n values, or the one value."""
        values, count = self.values, len(self.values)
        if all(abs(value) < self.floor for value in values):
            shown = f"< {self.floor:g}"
        else:
            mean, sd = _mean_sd(values, self._digits)
            shown = f"{mean:.12g}" if count == 1 or not math.isfinite(mean) else _spread(mean, sd, self._digits)
        unit = f" {self.unit}" if self.unit else ""
        return f"{shown}{unit}" + (f" (n = {count})" if count > 1 else "")

    @property
    def accepted(self) -> str:
        """The acceptance interval in words."""
        low, high = self.interval
        unit = f" {self.unit}" if self.unit else ""
        if low == high:
            return f"exactly {low:.12g}{unit}"
        if math.isinf(low):
            return f"at most {high:.12g}{unit}"
        return f"at least {low:.12g}{unit}" if math.isinf(high) else f"{low:.12g} to {high:.12g}{unit}"

    @property
    def _digits(self) -> int:
        """Significant digits that resolve the interval: 4, or more where it is narrow."""
        low, high = self.interval
        if math.isinf(low) or math.isinf(high) or low == high:
            return DIGITS
        return min(max(DIGITS, math.ceil(math.log10(max(abs(low), abs(high)) / (high - low))) + 2), 12)

    def record(self) -> dict[str, Any]:
        """What the notebook stores: plain JSON, rounded; a value under the floor is "< floor", a nan is "nan"."""
        mean, sd = _mean_sd(self.values, self._digits)
        return {
            "key": self.key,
            "statement": self.statement,
            "paper": self.paper,
            "says": self.says,
            "values": [self._stored(_significant(value, self._digits), value) for value in self.values],
            "mean": self._stored(mean, _mean(self.values)),
            "sd": None if len(self.values) == 1 else self._stored(sd, sd),
            "measured": self.measured,
            "interval": [None if math.isinf(end) else end for end in self.interval],
            "accepted": self.accepted,
            "setting": self.setting,
            "outcome": self.outcome,
            "verdict": self.verdict,
            "unit": self.unit,
            "note": self.note,
        }

    def _stored(self, rounded: float, exact: float) -> float | str:
        return f"< {self.floor:g}" if abs(exact) < self.floor else rounded if math.isfinite(rounded) else str(rounded)

    def __repr__(self) -> str:
        return f"{self.key}: {self._headline()}; measured {self.measured}, accepted {self.accepted}"

    def _headline(self) -> str:
        return self.verdict if self.setting in TESTED else f"{self.verdict}; {self.outcome} {SETTINGS[self.setting]}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any]:
        headline = self._headline()
        rows = [
            f"**{headline[0].upper()}{headline[1:]}:** {_sentence(self.statement)}",
            f"*Measured* {self.measured} · *accepted* {self.accepted} · *setting* {self.setting}",
            f"*The paper* ({self.paper}){': ' + self.says if self.says else ''}",
        ]
        rows += [f"*Note* {self.note}"] if self.note else []
        return _bundle(self, CLAIM_MIME, rows, between="\\\n")


@dataclass(frozen=True)
class Erratum:
    """A formula as printed, the corrected one, and how much the difference is; made by `erratum`."""

    key: str
    where: str
    printed: str
    corrected: str
    why: str
    size: str
    proof: str

    def record(self) -> dict[str, Any]:
        """What the notebook stores: the fields as they are."""
        return dict(vars(self))

    def __repr__(self) -> str:
        return f"{self.key}: erratum to {self.where}; {self.size}"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any]:
        rows = [
            f"**Erratum** ({self.where}): {_sentence(self.why)}",
            "*Printed*",
            f"$${self.printed}$$",
            f"*Corrected* ({{prf:ref}}`{self.proof}`)",
            f"$${self.corrected}$$",
            f"*Size* {self.size}",
        ]
        return _bundle(self, ERRATUM_MIME, rows, between="\n>\n")


def claim(
    key: str,
    statement: str,
    *,
    paper: str,
    measured: float | Sequence[float],
    interval: tuple[float, float],
    setting: str = "paper",
    says: str = "",
    unit: str = "",
    note: str = "",
    floor: float = 0.0,
) -> Claim:
    """A claim, to be the last expression of its cell.

    `measured` is one number, or one number a seed; `interval` is (low, high), one end may be infinite; `setting` is one
    of `SETTINGS`; `says` is what the paper states, `paper` where. Values smaller than `floor` in size are rounding
    noise and are recorded as "< floor". `statement`, `says` and `note` are Markdown with TeX in dollars.

    Raises ValueError for a key that is not lower-case words joined by hyphens, an empty statement or `paper`, an empty
    or more than one-dimensional `measured`, an interval that is empty or excludes nothing, a negative floor and an
    unknown setting.

    >>> claim("slope", "The slope is 5.", paper="v2 Corollary 1", measured=[5.002, 4.998], interval=(4.9, 5.1))
    slope: reproduced; measured 5.000 ± 0.003 (n = 2), accepted 4.9 to 5.1
    """
    _check_key(key)
    _check_words(key, statement=statement, paper=paper)
    values = np.atleast_1d(np.asarray(measured, dtype=float))
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"claim {key!r} measures an array of shape {values.shape}: pass one number, or one a seed")
    low, high = (float(end) for end in interval)
    if not low <= high or (math.isinf(low) and math.isinf(high)):
        raise ValueError(f"claim {key!r} accepts ({low:g}, {high:g}): give low <= high, with at most one end infinite")
    if setting not in SETTINGS:
        raise ValueError(f"claim {key!r} has setting {setting!r}: choose one of {', '.join(map(repr, SETTINGS))}")
    if not 0 <= floor < math.inf:
        raise ValueError(f"claim {key!r} has floor {floor:g}: pass a size of rounding noise, 0 or more")
    return Claim(key, statement, paper, tuple(values.tolist()), (low, high), setting, says, unit, note, float(floor))


def erratum(key: str, *, where: str, printed: str, corrected: str, why: str, size: str, proof: str) -> Erratum:
    r"""An erratum, to be the last expression of its cell.

    `printed` and `corrected` are TeX without dollars, `why` and `size` one line each (`size` from measured numbers),
    `proof` the label of the block of the book that proves it.
    Raises ValueError for a key that is not lower-case words joined by hyphens, an empty field, or a dollar in the TeX.

    >>> erratum("mean", where="v2 D.5", printed=r"W^E\mathbf 1", corrected="W^En", why="n is dropped.", size="factor 5",
    ...         proof="cor-unembedding-linear")
    mean: erratum to v2 D.5; factor 5
    """
    _check_key(key)
    _check_words(key, where=where, printed=printed, corrected=corrected, why=why, size=size, proof=proof)
    for name, formula in (("printed", printed), ("corrected", corrected)):
        if "$" in formula:
            raise ValueError(f"erratum {key!r} has a dollar sign in `{name}`: pass the bare TeX")
    return Erratum(key, where, printed, corrected, why, size, proof)


def _mean(values: tuple[float, ...]) -> float:
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else sum(values) / len(values)


def _mean_sd(values: tuple[float, ...], digits: int) -> tuple[float, float]:
    """Mean and standard deviation, both rounded to the decimal place of the larger one's last digit."""
    mean = _mean(values)
    if not all(map(math.isfinite, values)):
        return mean, math.nan
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    size = max(abs(mean), sd)
    if size == 0:
        return mean, sd
    places = digits - 1 - math.floor(math.log10(size))
    return round(mean, places) + 0.0, round(sd, places) + 0.0


def _significant(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}") if math.isfinite(value) else value


def _spread(mean: float, sd: float, digits: int) -> str:
    """Mean ± sd with the same decimals: 5.000 ± 0.003; as short as they are where there are none."""
    size = max(abs(mean), sd)
    if not 1e-4 <= size < 10 ** (digits - 1):
        return f"{mean:.12g} ± {sd:.12g}"
    places = digits - 1 - math.floor(math.log10(size))
    return f"{mean:.{places}f} ± {sd:.{places}f}"


def _sentence(words: str) -> str:
    return words if words.rstrip().endswith((".", "!", "?")) else f"{words.rstrip()}."


def _bundle(shown: Claim | Erratum, mime: str, rows: list[str], between: str) -> dict[str, Any]:
    """Plain text, a Markdown quotation (a box in the book, in Jupyter and on code hosts), and the record."""
    return {
        "text/plain": repr(shown),
        "text/markdown": between.join(f"> {' '.join(row.split())}" for row in rows),
        mime: shown.record(),
    }


def _check_key(key: str) -> None:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", key):
        raise ValueError(f"key {key!r} is not lower-case words joined by hyphens, as in 'linear-learns-add'")


def _check_words(key: str, **fields: str) -> None:
    for name, words in fields.items():
        if not words.strip():
            raise ValueError(f"{key!r} has an empty `{name}`: write it")
