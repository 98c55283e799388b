"""One sentence: what it was, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CorpusError(ValueError):
    """Text that cannot be used as it is; the message is one sentence that names the place and the remedy."""

    def _render_traceback_(self) -> list[str]:
        return [f"CorpusError: {self}"]


def one_of(what: str, value: object, allowed: Iterable[object], otherwise: str = "") -> None:
    """Raise ValueError, naming the choices, unless `value` is one of `allowed`; `otherwise` says what else is taken.

    >>> one_of("scale", "papr", ["smoke", "paper"])
    Traceback (most recent call last):
    ValueError: scale is 'papr' (did you mean 'paper'?): pass one of 'smoke', 'paper'.
    """
    allowed = list(allowed)
    if value not in allowed:
        hint = closest(value, [each for each in allowed if isinstance(each, str)]) if isinstance(value, str) else ""
        raise ValueError(f"{what} is {value!r}{hint}: pass one of {', '.join(map(repr, allowed))}{otherwise}.")


def closest(name: str, names: list[str]) -> str:
    """The hint ` (did you mean 'x'?)` for the nearest of `names`, or nothing.

    >>> closest("sed", ["seed", "scale"])
    " (did you mean 'seed'?)"
    """
    found = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
