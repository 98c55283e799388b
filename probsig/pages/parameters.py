"""The parameters of a chapter, checked before anything runs.

A chapter's cell tagged `parameters` holds plain assignments; papermill puts a second such cell behind it.
The next cell calls `check(globals(), ...)` with one rule a parameter.
Whatever plain value (number, string, list, ...) then stands among the globals without a rule is an unknown parameter,
and so is whatever else papermill's cell holds: a misspelt `-p sed 3` is an error and not a silent run of the default.
papermill writes a name into its cell as it is given, code or not, so `make rerun` asks `known` before it runs anything.
"""

from __future__ import annotations

import ast
import math
import numbers
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

from probsig.errors import closest

PLAIN = (bool, int, float, complex, str, bytes, list, tuple, set, dict, type(None))
SHELL = frozenset({"In", "Out"})  # the plain globals that IPython itself keeps
PAPERMILL = "# Parameters"  # how papermill's cell begins


class ParameterError(ValueError):
    """A parameter that the chapter does not take; its message is one sentence, and IPython shows only that."""

    def _render_traceback_(self) -> list[str]:
        return [f"ParameterError: {self}"]


class Rule(Protocol):
    """What a parameter may be: `accept` returns its value or raises ValueError with what is allowed."""

    def accept(self, value: Any) -> Any: ...


@dataclass(frozen=True)
class Integer:
    """An integer from `low` to `high`, both included; a bool is not an integer.

    >>> Integer(0, 9).accept(3)
    3
    """

    low: int
    high: int

    def accept(self, value: Any) -> int:
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not (whole and self.low <= int(value) <= self.high):
            raise ValueError(f"an integer from {self.low} to {self.high}")
        return int(value)


@dataclass(frozen=True)
class Number:
    """A finite number from `low` to `high`, both included; a bool is not a number.

    >>> Number(0, 1).accept(1)
    1.0
    """

    low: float
    high: float

    def accept(self, value: Any) -> float:
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not self.low <= value <= self.high:
            raise ValueError(f"a number from {self.low} to {self.high}")
        return float(value)


class Choice:
    """One of a few values, compared with their types (True is not 1).

    >>> Choice("smoke", "laptop").accept("smoke")
    'smoke'
    """

    def __init__(self, *options: Any):
        self.options = options

    def accept(self, value: Any) -> Any:
        for option in self.options:
            if type(option) is type(value) and option == value:
                return option
        near = closest(value, [o for o in self.options if isinstance(o, str)]) if isinstance(value, str) else ""
        raise ValueError("one of " + ", ".join(map(repr, self.options)) + near)


class Text:
    """A text of at least one letter: a name or a path.

    >>> Text().accept("wikipedia-en")
    'wikipedia-en'
    """

    def accept(self, value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            raise ValueError("a text: a name or a path")
        return value


def known(given: Mapping[str, str], names: Iterable[str]) -> None:
    """Raise ParameterError for the first of the given parameters (name -> value in words) that is not among the names.

    >>> known({"sed": "3"}, ["seed"])
    Traceback (most recent call last):
    probsig.pages.parameters.ParameterError: Unknown parameter 'sed' = 3 (did you mean 'seed'?); this chapter takes seed.
    """
    takes = list(names)
    for name, value in given.items():
        if name not in takes:
            said = f" = {value}" if value else ""
            raise ParameterError(
                f"Unknown parameter {name!r}{said}{closest(name, takes)}; this chapter takes {', '.join(takes)}."
            )


def check(namespace: Mapping[str, Any], /, **rules: Rule) -> SimpleNamespace:
    """The checked parameters of a chapter.

    namespace: the chapter's `globals()` right after its parameters; names that begin with an underscore, modules,
    functions and classes are no parameters, unless papermill's cell gave them. rules: the rule of each parameter.
    Raises ParameterError (one sentence: which parameter, what it was, what is allowed) for an unknown or missing name,
    a wrong type or a value out of range.

    >>> check({"seed": 3, "scale": "smoke"}, seed=Integer(0, 9), scale=Choice("smoke", "laptop"))
    namespace(seed=3, scale='smoke')
    >>> check({"sed": 3}, seed=Integer(0, 9))
    Traceback (most recent call last):
    probsig.parameters.ParameterError: Unknown parameter 'sed' = 3 (did you mean 'seed'?); this chapter takes seed.
    """
    given = {k: v for k, v in namespace.items() if not k.startswith("_") and k not in SHELL and isinstance(v, PLAIN)}
    known({name: repr(value) for name, value in given.items()} | _injected(), rules)
    takes = ", ".join(rules)
    checked = {}
    for name, rule in rules.items():
        if name not in namespace:
            raise ParameterError(f"The parameter {name!r} is missing; this chapter takes {takes}.")
        try:
            checked[name] = rule.accept(namespace[name])
        except ValueError as allowed:
            kind = type(namespace[name]).__name__
            message = f"The parameter {name!r} was {namespace[name]!r} ({kind}), but must be {allowed}."
            raise ParameterError(message) from None
    return SimpleNamespace(**checked)


def _injected() -> dict[str, str]:
    """What papermill's cell holds, where it ran just before the cell that runs now: name -> value, both in source.

    The globals do not show all of it: not a name that IPython keeps or that an import has bound again.
    Anything but the assignment of a value to a name counts as a name without a value.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    before = "".join(shell.history_manager.input_hist_parsed[-2:-1]) if shell else ""
    found = {}
    for node in ast.parse(before).body if before.startswith(PAPERMILL) else ():
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = ast.unparse(value)
            case _:
                found[ast.unparse(node)] = ""
    return found
