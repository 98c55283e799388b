"""How an answer shows itself: as a sentence, as a table, as a file of it."""

from __future__ import annotations

import csv
import io
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig.runs.files import write_whole


class Answer:
    """Something that `str` says in a sentence and `table` gives as columns of one length; a dataclass."""

    def __repr__(self) -> str:
        return str(self)

    def table(self) -> dict[str, NDArray[Any]]:
        """The answer's columns by name, (n,) each."""
        raise NotImplementedError

    def record(self) -> dict[str, Any]:
        """The sentences, as "says", and all fields as plain JSON: arrays as lists, what is undefined or infinite as
        None."""
        return {"says": str(self), **{one.name: _plain(getattr(self, one.name)) for one in fields(cast(Any, self))}}

    def to_frame(self) -> Any:
        """`table` as a pandas DataFrame; raises ImportError where pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                "to_frame needs pandas: run `pip install pandas`, or take table() or to_csv()."
            ) from error
        return pandas.DataFrame(self.table())

    def to_csv(self, path: Path | str) -> Path:
        """Write `table` as a file of comma-separated values (UTF-8, whole or not at all); returns its path."""
        columns, lines = self.table(), io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
        return write_whole(path, lines.getvalue().encode())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def signature_of(signature: str, kind: str, text: str) -> str:
    """Which signature, in words.

    >>> signature_of("next", "raw", "arxiv"), signature_of("tied", "ppmi", "arxiv")
    ('next of arxiv', 'tied (ppmi) of arxiv')
    """
    return f"{signature} of {text}" if kind == "raw" else f"{signature} ({kind}) of {text}"


def number(value: float) -> str:
    """A correlation in words: two places, and no minus zero.

    >>> number(-0.001), number(0.314), number(float("nan"))
    ('0.00', '0.31', 'undefined')
    """
    return f"{round(value, 2) + 0.0:.2f}" if np.isfinite(value) else "undefined"


def span(values: ArrayLike) -> str:
    """The central 95 % of values in words.

    >>> span([0.0, 0.5, 1.0]), span([float("nan")])
    ('0.03 to 0.97', 'undefined')
    """
    low, high = ends(values)
    return f"{number(low)} to {number(high)}" if np.isfinite(low) else "undefined"


def ends(values: ArrayLike) -> tuple[float, float]:
    """The 2.5 % and the 97.5 % quantile of values, nan left out; nan where nothing is left.

    >>> ends([0.0, 1.0, float("nan")])
    (0.025, 0.975)
    """
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    if not values.size:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
