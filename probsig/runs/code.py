"""What makes a result, definition by definition: a digest that a move, a rename or a better sentence leaves as it is.

The digest of a definition (a function, a class, a constant of a module) is taken over its syntax tree, in which every
name that leads to another definition of the package is replaced by that definition's digest, and every name of another
library by its full name there. So it covers all that the definition uses, directly or not, and nothing else: not its
comments, docstrings, layout and the words of its errors, not its name and its place, and no way of importing. Of its
annotations the classes of this package count, because it may be handed objects of them. What a module does when it is
imported belongs to each of its definitions. A text "module:function" that names one of them counts as a use. Sources
are read and never imported, and Python from 3.11 on gives the same digests.

It does not see what else a definition is handed at run time: inputs (their digest is part of a run), and objects of
classes that no definition names. A test enters each maker under a tracer for that reason. What stands in SILENT shapes
no number, and counts as one word; a statement that only calls a check of GUARDS counts as none, for a result that is
there is the same without it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from probsig.runs.syntax import Module, Names, bound, names, read

PACKAGE = Path(__file__).resolve().parents[1]
SILENT = ("probsig.runs", "probsig.errors", "probsig.guards")
"""What finds and keeps results, what says what went wrong, and checks."""
GUARDS = "guards"
"""The module of the package that raises or does nothing; where it is silent, a statement that only calls one of its
functions says nothing."""
EFFECTS, WHOLE = "*", ""
"""The names under which a module's statements with effects, and a module used as a whole, are definitions."""
NOTES = ("annotation", "returns")  # fields of a syntax tree
NO_CODE = {*NOTES, "ctx", "kind", "type_comment"}
FIELD_KINDS = ("ClassVar", "InitVar", "KW_ONLY")  # annotations of a class that do something

Home = tuple[str, str]  # module, name


class Definitions:
    """The definitions of a package, read from its folder.

    >>> home = ("probsig.seeds", "stream")
    >>> len(Definitions().digests([home])[home])
    64
    """

    def __init__(self, root: Path | str = PACKAGE, silent: Iterable[str] = SILENT):
        root = Path(root)
        self.package, self.silent = root.name, tuple(silent)
        self.modules: dict[str, Module] = {}
        for path in sorted(root.rglob("*.py")):
            parts = [self.package, *path.relative_to(root).with_suffix("").parts]
            name, stub = ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path.with_suffix(".pyi")
            handed_on = stub.read_text("utf-8") if stub.is_file() else ""  # what a folder hands on lazily
            self.modules[name] = read(path.read_text("utf-8"), name, ".".join(parts[:-1]), handed_on)

    def homes(self) -> list[Home]:
        """Every definition of the package."""
        return [(module.name, name) for module in self.modules.values() for name in module.own]

    def digests(self, homes: Iterable[Home]) -> dict[Home, str]:
        """The digest of each of the definitions, and of all that they use.

        Raises KeyError for a definition that is not there.
        """
        waiting, uses = set(homes), {}
        while waiting:
            home = waiting.pop()
            uses[home] = {word for word in self._words(home) if isinstance(word, tuple)} | self._classes(home)
            waiting |= uses[home] - uses.keys()
        reached = {home: _reached(home, uses) for home in uses}
        made: dict[Home, str] = {}

        def digest(home: Home) -> str:
            if home not in made:
                circle = {other for other in reached[home] if home in reached[other]} | {home}
                known = dict.fromkeys(circle, "<circle>")
                for _ in circle:  # after as many rounds each speaks of all others
                    known = {each: said(each, known) for each in circle}
                made.update(known)
            return made[home]

        def said(home: Home, known: Mapping[Home, str]) -> str:
            words = [known.get(w) or digest(w) if isinstance(w, tuple) else w for w in self._words(home)]
            return _sha([*words, *sorted(known.get(each) or digest(each) for each in self._classes(home))])

        return {home: digest(home) for home in uses}

    def used_by(self, source: str) -> dict[str, str]:
        """The definitions that a source outside the package uses directly, by full name, and their digests.

        Raises SyntaxError where the source is not Python.

        >>> list(Definitions().used_by("from probsig import seeds\\nstream = seeds.stream(0)"))
        ['probsig.seeds.stream']
        """
        outside = read(source)
        words = _Words(self, outside, ("", "")).whole([ast.parse(source)])
        homes = {word for word in words if isinstance(word, tuple)}
        made = self.digests(homes)
        return dict(sorted((".".join(filter(None, home)), made[home]) for home in homes))

    @functools.cache  # noqa: B019 one object reads its package once
    def _words(self, home: Home) -> tuple[str | Home, ...]:
        """A definition as words, with the homes of what it refers to in their places."""
        module, name = self.modules[home[0]], home[1]
        effects = [(module.name, EFFECTS)] if module.effects and name != EFFECTS else []
        if name == WHOLE:
            return (*(word for own in sorted(module.own) for word in (own, (module.name, own))), *effects)
        return (*_Words(self, module, home).whole(self._statements(home)), *effects)

    @functools.cache  # noqa: B019
    def _classes(self, home: Home) -> set[Home]:
        """The classes of the package that a definition only has in annotations: of what it is handed."""
        parts = [part for node in self._statements(home) for part in ast.walk(node)]
        notes = [getattr(part, field, None) for part in parts for field in NOTES]
        words = _Words(self, self.modules[home[0]], home).whole(note for note in notes if note is not None)
        homes = {word for word in words if isinstance(word, tuple)} - {home}
        classes = {each for each in homes if any(isinstance(n, ast.ClassDef) for n in self._statements(each))}
        return classes - {word for word in self._words(home) if isinstance(word, tuple)}

    def is_silent(self, home: Home) -> bool:
        """Whether a definition shapes no number."""
        path = f"{home[0]}."
        return any(path.startswith(f"{name}.") for name in self.silent)

    def _statements(self, home: Home) -> list[ast.stmt]:
        module = self.modules[home[0]]
        return {EFFECTS: module.effects, WHOLE: []}[home[1]] if home[1] in (EFFECTS, WHOLE) else module.own[home[1]]

    def resolve(self, path: str) -> tuple[str | Home, list[str]]:
        """Where a full name is defined, through what others hand on, and what is left of it: the attributes of what is
        defined there. The name itself where it is not of this package; one word for what is silent."""
        parts = path.split(".")
        if parts[0] != self.package:
            return path, []
        if self.is_silent((path, "")):
            return "<silent>", []
        last = max((n for n in range(1, len(parts) + 1) if ".".join(parts[:n]) in self.modules), default=0)
        if not last:
            return path, []
        module, rest = self.modules[".".join(parts[:last])], parts[last:]
        if not rest:
            return (module.name, WHOLE), []
        if rest[0] in module.own:
            return (module.name, rest[0]), rest[1:]
        if rest[0] in module.imported:
            return self.resolve(".".join([module.imported[rest[0]], *rest[1:]]))
        return (module.name, WHOLE), rest


class _Words:
    """The statements of a definition as words: its own tree, and homes where it names something of the package."""

    def __init__(self, package: Definitions, module: Module, home: Home):
        self.package, self.module, self.home = package, module, home
        self.top: Names = {}  # the scope of what stands in no function and no class
        self.maker = re.compile(rf"{re.escape(package.package)}(\.\w+)+:\w+")

    def whole(self, nodes: Iterable[ast.AST]) -> Iterator[str | Home]:
        """The words of some statements of a module."""
        for node in nodes:
            yield from self.of(node, self.top)

    def of(self, node: ast.AST, scope: Names) -> Iterator[str | Home]:
        """The words of a node; `scope` are the names that the functions around it bind themselves."""
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Pass() | ast.Expr(value=ast.Constant()):
                return
            case ast.Expr(value=ast.Call(func=ast.Name() | ast.Attribute() as called)) if self._guard(called, scope):
                return
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from self._fields(node, scope, {**scope, **bound(node, self.module.folder)})
            case ast.ClassDef():
                yield from self._fields(node, scope, {**scope})
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                yield from self._comprehension(node, scope)
            case ast.AnnAssign(value=None):
                return
            case ast.Raise(exc=ast.Call(func, args, keywords), cause=cause):
                said = [each for each in args if not isinstance(each, ast.JoinedStr | ast.Constant)]
                yield from self._fields(ast.Raise(ast.Call(func, said, keywords), cause), scope)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                yield from self._fields(ast.Assign([target], value), scope)
            case ast.Name() | ast.Attribute():
                yield from self._reference(node, scope)
            case ast.Constant(value=value):
                yield f"{type(value).__name__} {value!a}"
                if isinstance(value, str) and self.maker.fullmatch(value):
                    yield self.package.resolve(value.replace(":", "."))[0]
            case _:
                yield from self._fields(node, scope)

    def _fields(self, node: ast.AST, scope: Names, inside: Names | None = None) -> Iterator[str | Home]:
        """A node's fields one after the other; its body in the scope `inside`, if it has one of its own."""
        yield f"{type(node).__name__}("
        for field, value in ast.iter_fields(node):
            if field in NO_CODE or value is None or value == []:
                continue
            yield f"{field}="
            where = inside if inside is not None and field == "body" else scope
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, ast.AnnAssign) and isinstance(node, ast.ClassDef):
                    yield from ["field", *(kind for kind in FIELD_KINDS if kind in ast.unparse(part.annotation))]
                    yield from (word for each in (part.target, part.value) if each for word in self.of(each, where))
                elif isinstance(part, ast.AST):
                    yield from self.of(part, where)
                else:
                    yield self._bind(part, scope) if field == "name" else ascii(part)
        yield ")"

    def _comprehension(self, node: Any, scope: Names) -> Iterator[str | Home]:
        yield f"{type(node).__name__}("
        for part in node.generators:
            yield from self.of(part.iter, scope)
            scope = {**scope, **dict.fromkeys(names(part.target))}
            yield from self.of(part.target, scope)
            yield f"{part.is_async} if"
            for condition in part.ifs:
                yield from self.of(condition, scope)
        for field in ("key", "value", "elt"):
            if hasattr(node, field):
                yield from self.of(getattr(node, field), scope)
        yield ")"

    def _reference(self, node: ast.Name | ast.Attribute, scope: Names) -> Iterator[str | Home]:
        """A name, or a chain of attributes behind one, as far as it leads out of the definition."""
        attributes: list[str] = []
        start: ast.expr = node
        while isinstance(start, ast.Attribute):
            attributes.insert(0, start.attr)
            start = start.value
        if not isinstance(start, ast.Name):
            yield from self._fields(node, scope)
        elif not isinstance(start.ctx, ast.Load):
            yield self._bind(start.id, scope)
        else:
            for path in self._paths(start.id, scope):
                word, rest = self.package.resolve(".".join([path, *attributes])) if path else (start.id, attributes)
                yield "<self>" if word == self.home else word
                yield from (f".{attribute}" for attribute in rest)

    def _guard(self, called: ast.Name | ast.Attribute, scope: Names) -> bool:
        """Whether a function that is called is a check, and checks are silent here."""
        first, *rest = ast.unparse(called).split(".")
        paths = [".".join([path, *rest]) for path in self._paths(first, scope) if path]
        guards = f"{self.package.package}.{GUARDS}."
        return bool(paths) and all(path.startswith(guards) and self.package.is_silent((path, "")) for path in paths)

    def _paths(self, name: str, scope: Names) -> list[str | None]:
        """The full names of what a local name stands for; None for a name of the function's own, or of Python's."""
        if name in scope:
            return [scope[name]]
        module = self.module
        own = [f"{module.name}.{name}"] if module.name and name in module.own else []
        return [*own, *([module.imported[name]] if name in module.imported else [])] or [None]

    def _bind(self, name: str, scope: Names) -> str:
        """A name where it is bound: that of a definition says nothing."""
        if scope is not self.top or name not in self.module.own:
            return name
        return "<name>" if name == self.home[1] else "<other>"


def _reached(home: Home, uses: Mapping[Home, set[Home]]) -> set[Home]:
    """What a definition uses, directly or not; itself only in a circle."""
    found: set[Home] = set()
    waiting = list(uses[home])
    while waiting:
        if (each := waiting.pop()) not in found:
            found.add(each)
            waiting += uses[each]
    return found


def _sha(words: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


@functools.cache
def definitions(root: Path = PACKAGE, silent: tuple[str, ...] = SILENT) -> Definitions:
    """The definitions of a package, read once."""
    return Definitions(root, silent)


def digest(makers: Iterable[str], root: Path | str = PACKAGE, silent: Iterable[str] = SILENT) -> str:
    """One digest of some makers, each "module:function", in any order.

    Raises KeyError, with the maker, where there is none such.

    >>> len(digest(["probsig.seeds:stream"]))
    64
    """
    return _digest(frozenset(makers), Path(root), tuple(silent))


@functools.cache
def _digest(makers: frozenset[str], root: Path, silent: tuple[str, ...]) -> str:
    package, homes = definitions(root, silent), []
    for maker in makers:
        module, _, name = maker.partition(":")
        if module not in package.modules or name not in package.modules[module].own:
            raise KeyError(f"{maker} is no definition of {package.package}: name it as module:function.")
        homes.append((module, name))
    made = package.digests(homes)
    return _sha(sorted(made[home] for home in homes))
