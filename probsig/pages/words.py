"""Tokens and numbers as a page says them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from probsig.pages.markdown import literal


def spread(values: ArrayLike, digits: int = 2) -> str:
    """Mean and standard deviation over seeds in words; of one seed its value.

    >>> spread([0.1, 0.3]), spread([1234.0], 0), spread([-0.001])
    ('0.20 ± 0.14', '1,234', '0.00')
    """
    values = np.ravel(values)
    told = f"{round(float(values.mean()), digits) + 0.0:,.{digits}f}"  # + 0.0: no -0.00
    return told if len(values) == 1 else f"{told} ± {values.std(ddof=1):.{digits}f}"


def bracketed(values: ArrayLike, digits: int = 3) -> str:
    """Mean over seeds, with the least and the greatest in brackets; of times, inf is never.

    >>> bracketed([1.0, 2.0]), bracketed([1.0, np.inf])
    ('1.500 [1.000, 2.000]', 'never in 1 of 2')
    """
    values = np.asarray(values, dtype=float)
    if np.isinf(values).any():
        return "never" if np.isinf(values).all() else f"never in {np.isinf(values).sum()} of {len(values)}"
    return f"{values.mean():.{digits}f} [{values.min():.{digits}f}, {values.max():.{digits}f}]"


def span(values: ArrayLike, digits: int = 2) -> str:
    """From the least to the greatest of some numbers in words; one number where they are the same as printed.

    >>> span([0.304, 0.1]), span([0.304, 0.296]), span([16, 8192], 0)
    ('0.10 to 0.30', '0.30', '16 to 8,192')
    """
    ends = [round(float(end), digits) + 0.0 for end in (np.min(values), np.max(values))]  # + 0.0: no -0.00
    return " to ".join(dict.fromkeys(f"{end:,.{digits}f}" for end in ends))


def number_of(number: int, one: str) -> str:
    """How many of something there are, in words.

    >>> number_of(1, "seed"), number_of(3, "seed")
    ('1 seed', '3 seeds')
    """
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def significant(value: float, digits: int) -> float:
    """A number to some significant digits; a whole number is a count and stays as it is, and so is what is not finite.

    >>> significant(0.123456, 4), significant(28512.0, 4)
    (0.1235, 28512.0)
    """
    return value if not math.isfinite(value) or value.is_integer() else float(f"{value:.{digits}g}")


def plain(value: float) -> str:
    """A number as a page prints it: a whole one with every digit, others with at most 12.

    >>> plain(0.25), plain(28512.0), plain(1234567890123456.0), plain(1 / 3)
    ('0.25', '28512', '1234567890123456', '0.333333333333')
    """
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 2**53 else f"{value:.12g}"


def plus_minus(values: Sequence[float], digits: int) -> str:
    """Mean ± standard deviation (n - 1), both to the decimal place of the larger one's last significant digit; of one
    value the value.

    >>> plus_minus([5.002, 4.998], 4), plus_minus([1e-6, 3e-6], 4), plus_minus([2.0], 4)
    ('5.000 ± 0.003', '2e-06 ± 1.414e-06', '2')
    """
    if len(values) == 1:
        return plain(significant(values[0], digits))
    mean, sd = math.fsum(values) / len(values), float(np.std(values, ddof=1))
    size = max(abs(mean), sd)
    places = digits - 1 - math.floor(math.log10(size)) if size else 0
    mean, sd = round(mean, places) + 0.0, round(sd, places) + 0.0  # + 0.0: no -0.0
    if not 1e-4 <= size < 10 ** (digits - 1):
        return f"{plain(mean)} ± {plain(sd)}"
    return f"{mean:.{places}f} ± {sd:.{places}f}"


def visible(text: str) -> str:
    """A token as a figure or a terminal shows it: blanks and line ends as signs, unusual letters by their number, and
    no dollar sign that would begin mathematics.

    >>> visible(" the\\n"), visible("$x"), visible("日")
    ('␣the⏎', '\\\\$x', 'U+65E5')
    """
    signs = {" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍", "$": r"\$"}
    return "".join(signs.get(c, c if c.isprintable() and ord(c) < 0x250 else f"U+{ord(c):04X}") for c in text)


def cell(text: str) -> str:
    """A token in a Markdown table: as `visible` shows it, with nothing that Markdown, HTML or TeX would read.

    >>> cell("a|<b>")
    '<code>a&#124;&#60;b&#62;</code>'
    """
    return f"<code>{literal(visible(text).replace(chr(92) + '$', '$'))}</code>"
