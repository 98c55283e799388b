"""The API reference: a line for each public name, which opens to all of its docstring.

`{api-names}` lists names of the front, as in `Distribution SequenceLaw laws`; `{api-module}` takes a module, shows the
first paragraph of its docstring and lists what it defines: functions and classes that have a docstring, and constants
that a string describes. What opens is autodoc's, so that every name is the target of a reference.
"""

from __future__ import annotations

import importlib
import inspect
import re
from types import ModuleType
from typing import Any

from docutils import nodes
from reproduction import folded
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

FRONT = "probsig"


def first_sentence(docstring: str) -> str:
    """The first sentence of a docstring, on one line, without roles.

    >>> first_sentence("The law, :class:`Law`, of\\n    x, e.g. y. And more.\\n\\nRaises.")
    'The law, `Law`, of x, e.g. y.'
    """
    paragraph = " ".join(inspect.cleandoc(docstring).split("\n\n")[0].split())
    found = re.match(r".*?\.(?<!e\.g\.)(?<!v[12] Fig\.)(?<!eq\.)(?=\s+[A-Z`(]|$)", paragraph)
    return re.sub(r":[a-z:]+:(?=`)", "", found[0] if found else paragraph)


def inline(sentence: str) -> list[nodes.Node]:
    """A sentence as nodes, with what stands in backticks as code.

    >>> [node.astext() for node in inline("`x` < 1")], type(inline("`x`")[0]).__name__
    (['x', ' < 1'], 'literal')
    """
    parts = re.split(r"`+(.+?)`+", sentence)
    return [nodes.literal("", part) if i % 2 else nodes.Text(part) for i, part in enumerate(parts) if part]


def members(module: ModuleType) -> list[tuple[str, str]]:
    """What a module defines, in the order of its source: names with the kind that autodoc calls them.

    >>> from probsig import seeds
    >>> members(seeds)
    [('stream', 'function')]
    """
    analyzer = ModuleAnalyzer.for_module(module.__name__)
    described = {name for scope, name in analyzer.find_attr_docs() if not scope}
    found = {}
    for name, value in vars(module).items():
        own = getattr(value, "__module__", None) == module.__name__ and getattr(value, "__name__", name) == name
        if name.startswith("_") or not (name in described or (own and value.__doc__)):
            continue
        found[name] = "data" if name in described else kind(value)
    return sorted(found.items(), key=lambda item: analyzer.tagorder.get(item[0], 0))


def kind(value: Any) -> str:
    """What autodoc calls a value: "class", "exception" or "function" (a compiled kernel too)."""
    if not inspect.isclass(value):
        return "function"
    return "exception" if issubclass(value, BaseException) else "class"


def line(name: str, sentence: str, inside: list[nodes.Node]) -> nodes.Node:
    """A name and a sentence on a line that opens to nodes."""
    first = [nodes.literal("", name), nodes.Text(" ")] if name else []
    return folded([*first, *inline(sentence)], inside, classes=["probsig-api"])


class Reference(SphinxDirective):
    """A directive that lists names, each of which opens to its docstring."""

    def entry(self, name: str, shown: str, what: str, sentence: str) -> nodes.Node:
        """One name: a line, and behind it what autodoc says."""
        options = "\n   :members:" if what in ("class", "exception") else ""
        inside = self.parse_text_to_nodes(f"```{{eval-rst}}\n.. auto{what}:: {name}{options}\n```")
        return line(shown, sentence, inside)

    def note(self, module: ModuleType) -> None:
        """A changed module rebuilds this page."""
        self.env.note_dependency(str(inspect.getsourcefile(module)))


class Names(Reference):
    """`{api-names}`: names of the front."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        front = importlib.import_module(FRONT)
        shown: list[nodes.Node] = []
        for name in self.arguments[0].split():
            value = getattr(front, name)
            sentence = first_sentence(value.__doc__)
            if isinstance(value, ModuleType):
                self.note(value)
                shown.append(line(name, sentence, self.room(value)))
            else:
                self.note(importlib.import_module(value.__module__))
                shown.append(self.entry(f"{FRONT}.{name}", name, kind(value), sentence))
        return shown

    def room(self, package: ModuleType) -> list[nodes.Node]:
        """The names that a folder hands on, and its page."""
        name = package.__name__.rpartition(".")[2]
        names = ", ".join(f"`{name}.{each}`" for each in package.__all__)
        return self.parse_text_to_nodes(f"{names}.\n\nAll of the folder: {{doc}}`/book/api/{name}`.")


class Module(Reference):
    """`{api-module}`: a module and what it defines."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module = importlib.import_module(self.arguments[0])
        self.note(module)
        said = self.parse_text_to_nodes(f"```{{eval-rst}}\n.. automodule:: {module.__name__}\n```")
        at = next((i for i, node in enumerate(said) if isinstance(node, nodes.paragraph)), len(said) - 1) + 1
        shown = [*said[:at], *([line("", "More", said[at:])] if said[at:] else [])]
        for name, what in members(module):
            value = getattr(module, name)
            told = attribute(module, name) if what == "data" else value.__doc__
            shown.append(self.entry(f"{module.__name__}.{name}", name, what, first_sentence(told)))
        return shown


def attribute(module: ModuleType, name: str) -> str:
    """The string that stands behind a constant of a module."""
    return "\n".join(ModuleAnalyzer.for_module(module.__name__).find_attr_docs()["", name])
