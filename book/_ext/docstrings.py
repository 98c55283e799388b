"""Docstrings as they are written here, made readable for Sphinx.

Our docstrings are plain text with Markdown's habits: code in single backticks, bars and stars that mean themselves,
lists and tables without blank lines around them.
reStructuredText reads much of that otherwise, so autodoc's lines are rewritten before it parses them.
"""

import re

_CODE = re.compile(r"(`+)(.+?)\1")
_MARKS = re.compile(r"(?<!\\)([*|\\]|_(?!\w))")


def to_rst(lines: list[str]) -> list[str]:
    r"""The lines of a docstring as reStructuredText.

    >>> to_rst(["Sum of |x| over `W_E`, x* first."])
    ['Sum of \\|x\\| over ``W_E``, x\\* first.']
    >>> to_rst(["Two:", "- one", "so it is", "", ">>> 2*3", "6"])
    ['Two:', '', '- one', '  so it is', '', '>>> 2*3', '6']
    """
    made: list[str] = []
    kind = ""  # of the block that the line belongs to: "", "list", "table", "display" (indented), "doctest"
    for line in lines:
        bare = line.strip()
        if not bare:
            kind = ""
        elif kind != "doctest" and bare.startswith(">>>"):
            made, kind = _apart(made), "doctest"
        elif kind != "doctest" and bare.startswith("- "):
            made, kind = (made if kind == "list" else _apart(made)), "list"
        elif kind == "" and re.fullmatch(r"\|.*\|", bare):
            made, kind = [*_apart(made), "::", ""], "table"
        elif kind == "" and line.startswith("    "):
            made, kind = [*_apart(made), "::", ""], "display"
        if bare and kind in ("table", "display"):
            made.append(f"    {line}")
        elif kind == "doctest":
            made.append(line)
        elif kind == "list" and not bare.startswith("- "):
            made.append(f"  {_escaped(bare)}")
        else:
            made.append(_escaped(line))
    return made


def _apart(made: list[str]) -> list[str]:
    return [*made, ""] if made and made[-1].strip() else made


def _escaped(line: str) -> str:
    """Code in double backticks, everything else without markup."""
    parts, last = [], 0
    for match in _CODE.finditer(line):
        parts += [_MARKS.sub(r"\\\1", line[last : match.start()]), f"``{match[2]}``"]
        last = match.end()
    return "".join([*parts, _MARKS.sub(r"\\\1", line[last:])])


def process(app, what, name, obj, options, lines: list[str]) -> None:
    """Called by autodoc with the lines of each docstring, which it changes in place."""
    lines[:] = to_rst(lines)
