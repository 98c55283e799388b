"""What a page says of data: names, paths, tokens and records as Markdown that shows them and does nothing else.

A page is Markdown that MyST, Jupyter and code hosts each read in their own way, with HTML, TeX, roles and directives in
it, so whatever is no sentence of the book's own goes through `literal` on its way there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from probsig.runs import Run

PLACES = {"results": "stored in `results/`", "runs": "stored in `runs/`", "new": "computed now"}
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


class Line(str):
    """A line of Markdown that a notebook shows as such."""

    def _repr_markdown_(self) -> str:
        return str(self)


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> Line:
    r"""A table from its head and its rows; cells are Markdown already (`literal` or `words.cell` for what is data).

    >>> table(["task", "accuracy"], [["add", 0.5]])
    '| task | accuracy |\n|---|---|\n| add | 0.5 |'
    """
    head = list(head)
    lines = [head, *map(list, rows)]
    told = [f"| {' | '.join(map(str, line))} |" for line in lines]  # type: ignore[call-overload]
    return Line("\n".join([told[0], "|" + "---|" * len(head), *told[1:]]))


def describe(runs: Run | Iterable[Run]) -> Line:
    """One line about a run or several of one kind: scale, seeds, where stored, hardware, seconds, and the first digits
    of the digest of the code that made each (the page "Status" says how that stands to today's)."""
    runs = [runs] if isinstance(runs, Run) else list(runs)

    def distinct(values: Iterable[Any]) -> str:
        return ", ".join(dict.fromkeys(str(value) for value in values))

    seconds = sum(run.record["seconds"] for run in runs)
    took = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    seeds = distinct(literal(run.config["seed"]) for run in runs if "seed" in run.config)
    facts = [
        f"Scale {distinct(literal(run.config.get('scale', 'unnamed')) for run in runs)}",
        *([f"seed{'s' if ',' in seeds else ''} {seeds}"] if seeds else []),
        distinct(PLACES[run.origin] for run in runs),
        f"on {distinct(literal(run.record['hardware']) for run in runs)}",
        took,
        f"code {distinct(run.record.get('code', {}).get('digest', 'of this page')[:12] for run in runs)}",
    ]
    return Line("; ".join(facts) + ".")
