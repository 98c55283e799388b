"""One sentence: what it was, and what to do about it."""

from __future__ import annotations

import difflib
import importlib
import reprlib
import warnings
from collections.abc import Iterable
from numbers import Integral
from typing import Any


class CorpusError(ValueError):
    """Text that cannot be used as it is; the message is one sentence that names the place and the remedy."""

    def _render_traceback_(self) -> list[str]:
        return [f"CorpusError: {self}"]


class TooLittle(CorpusError):
    """Text that is sound, and too short or too poor for what is asked of it; a page leaves out what asks."""

    def _render_traceback_(self) -> list[str]:
        return [f"TooLittle: {self}"]


def brief(value: object) -> str:
    """A value as a sentence says it: its repr, on one line, of at most 80 characters.

    >>> brief("a"), len(brief("a" * 1000)), brief("a\\nb")
    ("'a'", 80, "'a\\\\nb'")
    """
    said = " ".join(_SHORT.repr(value).split())
    return said if len(said) <= 80 else f"{said[:40]}...{said[-37:]}"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def one_of(what: str, value: object, allowed: Iterable[object], otherwise: str = "") -> None:
    """Raise ValueError, naming the choices, unless `value` is one of `allowed`; `otherwise` says what else is taken.

    >>> one_of("scale", "papr", ["smoke", "paper"])
    Traceback (most recent call last):
    ValueError: scale is 'papr' (did you mean 'paper'?): pass one of 'smoke', 'paper'.
    """
    allowed = list(allowed)
    if value not in allowed:
        hint = closest(value, [each for each in allowed if isinstance(each, str)]) if isinstance(value, str) else ""
        raise ValueError(f"{what} is {brief(value)}{hint}: pass one of {', '.join(map(repr, allowed))}{otherwise}.")


def whole(what: str, value: object, least: int | None = None) -> int:
    """A whole number, of at least `least`, numpy's too, as a Python integer; raises ValueError for anything else.

    >>> whole("distance", 1.5, 1)
    Traceback (most recent call last):
    ValueError: distance is 1.5: pass a whole number of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or (least is not None and value < least):
        raise ValueError(
            f"{what} is {brief(value)}: pass a whole number{'' if least is None else f' of at least {least}'}."
        )
    return int(value)


def closest(name: str, names: list[str]) -> str:
    """The hint ` (did you mean 'x'?)` for the nearest of `names`, or nothing.

    >>> closest("sed", ["seed", "scale"])
    " (did you mean 'seed'?)"
    """
    found = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def needed(module: str, name: str) -> Any:
    """A name of a library that only some of this package needs, imported now.

    Raises ImportError, with the line that installs the library, where it is not there.

    >>> needed("absent", "anything")
    Traceback (most recent call last):
    ImportError: This needs the package absent: run `pip install absent`.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="IProgress")  # of a library that looks for a notebook's widgets
            return getattr(importlib.import_module(module), name)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(f"This needs the package {package}: run `pip install {package}`.") from error
