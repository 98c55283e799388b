"""One line under a figure: what made its runs, and how their code stands to today's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from probsig.runs.results import Run

PLACES = {"results": "stored in `results/`", "runs": "stored in `runs/`", "new": "computed now"}
CODES = {
    "this": "this code",
    "replayed": "older code, of which today's gives the same first steps",
    "older": "**older code**",
}


class Line(str):
    """A line of Markdown that a notebook shows as such."""

    def _repr_markdown_(self) -> str:
        return str(self)


def describe(runs: Run | Iterable[Run]) -> Line:
    """One line about a run or several of one kind: scale, seeds, where stored, hardware, seconds, state of the code."""
    runs = [runs] if isinstance(runs, Run) else list(runs)

    def distinct(values: Iterable[Any]) -> str:
        return ", ".join(dict.fromkeys(str(value) for value in values))

    seconds = sum(run.record["seconds"] for run in runs)
    took = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    seeds = distinct(run.config["seed"] for run in runs if "seed" in run.config)
    facts = [
        f"Scale {distinct(run.config.get('scale', 'unnamed') for run in runs)}",
        *([f"seed{'s' if ',' in seeds else ''} {seeds}"] if seeds else []),
        distinct(PLACES[run.origin] for run in runs),
        f"on {distinct(run.record['hardware'] for run in runs)}",
        took,
        distinct(CODES[run.code] for run in sorted(runs, key=lambda run: list(CODES).index(run.code))),
    ]
    return Line("; ".join(facts) + ".")
