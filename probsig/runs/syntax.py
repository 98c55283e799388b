"""A Python source without running it: what it defines, imports and does at its top, and what a function binds."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

Names = Mapping[str, str | None]  # local name: the full name of what it was imported from, or None
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
QUIET = DEFINITION | ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Import | ast.ImportFrom


@dataclass(frozen=True)
class Module:
    """A module's definitions by name, what it imports by local name, its statements with effects."""

    name: str
    folder: str
    own: Mapping[str, list[ast.stmt]]
    imported: Mapping[str, str]
    effects: list[ast.stmt]


def read(source: str, name: str = "", folder: str = "", handed_on: str = "") -> Module:
    """A module from its source and its full name, the folder that it lies in, and the stub that says what it hands on.

    Raises SyntaxError where the source is not Python.

    >>> found = read("from math import pi\\nx, y = pi, 2\\nprint(x)")
    >>> list(found.own), found.imported, len(found.effects)
    (['x', 'y'], {'pi': 'math.pi'}, 1)
    """
    own: dict[str, list[ast.stmt]] = {}
    effects: list[ast.stmt] = []
    imported = imports(ast.walk(ast.parse(handed_on)), folder)
    for node in ast.parse(source).body:
        match node:
            case ast.If(test=test) if "__main__" in ast.unparse(test):
                continue
            case ast.If(test=test) if "TYPE_CHECKING" in ast.unparse(test):
                imported |= imports(ast.walk(node), folder)
                continue
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                continue
        imported |= imports(_here(node), folder)
        changed = _changed(node)
        for each in dict.fromkeys([*names(node), *changed]):
            own.setdefault(each, []).append(node)
        if changed or not isinstance(node, QUIET):
            effects.append(node)
    return Module(name, folder, own, imported, effects)


def _here(node: ast.AST) -> Iterator[ast.AST]:
    """A node and what is below it in the same scope."""
    yield node
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        yield from (part.target for part in ast.walk(node) if isinstance(part, ast.NamedExpr))
    elif not isinstance(node, DEFINITION | ast.Lambda):
        for part in ast.iter_child_nodes(node):
            yield from _here(part)


def names(node: ast.AST) -> list[str]:
    """The names that a node binds in the scope where it stands, imports left out."""
    found: list[str] = []
    for part in _here(node):
        match part:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                found.append(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.append(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                found.append(name)
            case ast.MatchMapping(rest=str(name)):
                found.append(name)
    return found


def _changed(node: ast.AST) -> list[str]:
    """The names of which a node sets an item or an attribute."""
    found = []
    for part in _here(node):
        if isinstance(part, ast.Subscript | ast.Attribute) and isinstance(part.ctx, ast.Store | ast.Del):
            start: ast.expr = part
            while isinstance(start, ast.Subscript | ast.Attribute):
                start = start.value
            found += [start.id] if isinstance(start, ast.Name) else []
    return found


def imports(nodes: Iterable[ast.AST], folder: str) -> dict[str, str]:
    """What some nodes of a module in a folder import: local name, full name."""
    found: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                found[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            parts = folder.split(".")
            up = parts[: len(parts) - node.level + 1] if node.level else []
            for alias in node.names:
                found[alias.asname or alias.name] = ".".join([*up, *filter(None, [node.module]), alias.name])
    return found


def bound(function: Function, folder: str) -> dict[str, str | None]:
    """The names that a function binds, and what stands behind those that it imports."""
    given = function.args
    everyone = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    body = function.body if isinstance(function.body, list) else [function.body]
    nodes = [part for node in body for part in _here(node)]
    found: dict[str, str | None] = dict.fromkeys(each.arg for each in everyone if each is not None)
    found |= dict.fromkeys(name for node in body for name in names(node))
    found |= imports(nodes, folder)
    declared = {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
    return {name: path for name, path in found.items() if name not in declared}
