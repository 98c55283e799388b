"""One sentence: what it was, and what to do about it."""

from __future__ import annotations

import difflib


class CorpusError(ValueError):
    """Text that cannot be used as it is; the message is one sentence that names the place and the remedy."""

    def _render_traceback_(self) -> list[str]:
        return [f"CorpusError: {self}"]


def check_form(form: str, forms: dict[str, str]) -> None:
    """Raise ValueError, naming the choices, unless `form` is one of `forms`."""
    if form not in forms:
        raise ValueError(f"form is {form!r}: choose one of {', '.join(forms)}")


def closest(name: str, names: list[str]) -> str:
    """The hint ` (did you mean 'x'?)` for the nearest of `names`, or nothing.

    >>> closest("sed", ["seed", "scale"])
    " (did you mean 'seed'?)"
    """
    found = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
