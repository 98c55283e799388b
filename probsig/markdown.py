"""What a page says of data: names, paths, tokens and records as Markdown that shows them and does nothing else.

A page is Markdown that MyST, Jupyter and code hosts each read in their own way, with HTML, TeX, roles and directives in
it, so whatever is no sentence of the book's own goes through `literal` on its way there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from probsig import runs

_WORDS = re.compile(r"([^\W_]+(?:(?:,? |-)[^\W_]+)*)|.", re.DOTALL)  # words one blank or hyphen apart; any other sign


def literal(value: object) -> str:
    r"""A value as Markdown that shows it as it is, outside code and formulas: in a sentence, a list or a table.

    Words stay as they are, every other sign becomes a reference to its number, and what cannot be seen (a line end, a
    control character, half of a surrogate pair) is named by its number.

    >>> literal("wikipedia-en"), literal("a_b.txt")
    ('wikipedia-en', 'a&#95;b&#46;txt')
    >>> literal("{{ 7 }}|\n")
    '&#123;&#123;&#32;7&#32;&#125;&#125;&#124;U+000A'
    """
    return _WORDS.sub(lambda found: found[1] or _by_number(found[0]), str(value))


def _by_number(sign: str) -> str:
    return f"&#{ord(sign)};" if sign.isprintable() else f"U+{ord(sign):04X}"


def describe(found: Iterable[runs.Run]) -> runs.Line:
    """The line of `runs.describe` under a figure, whatever text the runs' records hold."""
    return runs.describe(
        replace(
            run,
            config=run.config | {key: literal(run.config[key]) for key in ("scale", "seed") if key in run.config},
            record=run.record | {"hardware": literal(run.record["hardware"])},
            outdated=tuple(re.sub(r"[^\w.]", "?", module) for module in run.outdated),
        )
        for run in found
    )
