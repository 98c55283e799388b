"""What makes a result, definition by definition: a digest that a move, a rename or a better sentence leaves as it is.

The digest of a definition (a function, a class, a constant of a module) is taken over its tokens without comments,
docstrings and blank lines, in which every name that leads to another definition of the package is replaced by that
definition's digest. So it covers all that the definition uses, directly or not, and nothing else; it says nothing of
files, modules and names, so code that moves keeps it. Definitions that use each other in a circle stand by their names
within it. Sources are read and never imported, and every version of Python from 3.11 on gives the same digests.

It does not see what a definition is handed at run time: not the inputs (their digest is part of a run), and not a class
of the package that reaches it only as an object. A test enters each maker under a tracer for that reason. What stands
in SILENT shapes no number, and counts as one word.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import itertools
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
SILENT = ("probsig.runs",)
"""What finds and keeps results."""
LAYOUT = {tokenize.INDENT: "<indent>", tokenize.DEDENT: "<dedent>", tokenize.NEWLINE: "<newline>"}
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
FSTRING = tuple(getattr(tokenize, f"FSTRING_{end}", None) for end in ("START", "END"))  # Python 3.12 parts f-strings
EFFECTS = "*"  # the name under which a module's statements with effects are one definition

Home = tuple[str, str]  # module, name; ("module", name of a module) where a module is used as a whole
Place = tuple[int, int]  # line, byte
Names = dict[str, tuple[str, str | None]]  # local name: module, name in it (None: the module itself)


@dataclass(frozen=True)
class Module:
    """A module's source, its definitions by name, what it imports of the package, its statements with effects."""

    source: str
    own: Mapping[str, list[ast.stmt]]
    imported: Names
    effects: list[ast.stmt]


class Definitions:
    """The definitions of a package, read from its folder.

    >>> home = ("probsig.seeds", "stream")
    >>> len(Definitions().digests([home])[home])
    64
    """

    def __init__(self, root: Path | str = PACKAGE, silent: Iterable[str] = SILENT):
        self.root, self.package, self.silent = Path(root), Path(root).name, tuple(silent)
        self.files: dict[str, Path] = {}
        for path in sorted(self.root.rglob("*.py")):
            parts = [self.package, *path.relative_to(self.root).with_suffix("").parts]
            self.files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        self.modules = {name: self._module(name) for name in self.files}

    def homes(self) -> list[Home]:
        """Every definition of the package."""
        return [(module, name) for module, found in self.modules.items() for name in found.own]

    def digests(self, homes: Iterable[Home]) -> dict[Home, str]:
        """The digest of each of the definitions, and of all that they use.

        Raises KeyError for a definition that is not there.
        """
        waiting, uses = set(homes), {}
        while waiting:
            home = waiting.pop()
            uses[home] = sorted(self.uses(home))
            waiting |= set(uses[home]) - uses.keys()
        made: dict[Home, str] = {}
        for circle in _circles(uses):
            inside = set(circle) if len(circle) > 1 else set()
            for home in sorted(circle):
                words = [self._word(part, home, inside, made) for part in self._words(home)]
                words = sorted(words) if home[0] == "module" else words  # the order of names is no code
                made[home] = hashlib.sha256("\n".join(words).encode()).hexdigest()
        return made

    def used_by(self, source: str) -> dict[str, str]:
        """The definitions that a source outside the package uses directly, by full name, and their digests.

        Raises SyntaxError where the source is not Python.

        >>> list(Definitions().used_by("from probsig import seeds\\nstream = seeds.stream(0)"))
        ['probsig.seeds.stream']
        """
        outside = "<source>"
        self.files[outside] = Path("source.py")
        self.modules[outside] = self._read(source, outside)
        statements = [node for node in ast.parse(source).body if not isinstance(node, ast.Import | ast.ImportFrom)]
        words = (word for node in statements for word in _Statement(self, outside, node).words())
        homes = {word for word in words if isinstance(word, tuple) and word[0] != outside}
        del self.files[outside], self.modules[outside]
        made = self.digests(homes)
        named = {home[1] if home[0] == "module" else ".".join(home): made[home] for home in homes}
        return dict(sorted(named.items()))

    def uses(self, home: Home) -> set[Home]:
        """The definitions that a definition uses directly."""
        return {part for part in self._words(home) if isinstance(part, tuple)} - {home}

    @functools.cache  # noqa: B019 one object reads its package once
    def _words(self, home: Home) -> tuple[str | Home, ...]:
        """The tokens of a definition, with the homes of what it refers to in their places."""
        module, name = home
        if module == "module":
            return tuple(sorted((name, own) for own in self.modules[name].own))
        found = self.modules[module]
        nodes = found.effects if name == EFFECTS else list(dict.fromkeys(found.own[name]))
        words = [word for node in nodes for word in _Statement(self, module, node).words()]
        return (*words, (module, EFFECTS)) if name != EFFECTS and found.effects else tuple(words)

    def _word(self, part: str | Home, home: Home, circle: set[Home], made: Mapping[Home, str]) -> str:
        if isinstance(part, str):
            return part
        return "<self>" if part == home else part[1] if part in circle else made[part]

    def resolve(self, module: str, name: str | None) -> Home | None:
        """Where a name of a module is defined, through what others hand on; None where it is not of the package."""
        if module not in self.modules:
            return None
        if name is None:
            return "module", module
        found = self.modules[module]
        if name in found.own:
            return module, name
        return self.resolve(*found.imported[name]) if name in found.imported else None

    def is_silent(self, home: Home) -> bool:
        """Whether a definition shapes no number."""
        module = home[1] if home[0] == "module" else home[0]
        return any(module == name or module.startswith(f"{name}.") for name in self.silent)

    def _module(self, name: str) -> Module:
        return self._read(self.files[name].read_text("utf-8"), name)

    def _read(self, source: str, name: str) -> Module:
        own: dict[str, list[ast.stmt]] = {}
        effects: list[ast.stmt] = []
        stub = self.files[name].with_suffix(".pyi")  # what a folder hands on lazily
        imported = self.imports(ast.parse(stub.read_text("utf-8")), name) if stub.is_file() else {}
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                own.setdefault(node.name, []).append(node)
            elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    for part in ast.walk(target):
                        if isinstance(part, ast.Name):
                            own.setdefault(part.id, []).append(node)
            elif isinstance(node, ast.Import | ast.ImportFrom) or _says(node, "TYPE_CHECKING"):
                imported |= self.imports(node, name)
            elif not _is_string(node) and not _says(node, "__main__"):
                effects.append(node)
        return Module(source, own, imported, effects)

    def imports(self, node: ast.AST, module: str) -> Names:
        """What a statement in a module imports of the package, by local name."""
        found: Names = {}
        for part in ast.walk(node):
            if isinstance(part, ast.Import):
                for alias in part.names:
                    if alias.name.split(".")[0] == self.package:
                        found[alias.asname or self.package] = (alias.name if alias.asname else self.package, None)
            elif isinstance(part, ast.ImportFrom):
                base = part.module or ""
                if part.level:
                    folder = module if self.files[module].name == "__init__.py" else module.rpartition(".")[0]
                    up = folder.split(".")[: len(folder.split(".")) - part.level + 1]
                    base = ".".join([*up, *filter(None, [part.module])])
                if base.split(".")[0] != self.package:
                    continue
                for alias in part.names:
                    whole = f"{base}.{alias.name}"
                    found[alias.asname or alias.name] = (whole, None) if whole in self.files else (base, alias.name)
        return found


class _Statement:
    """One statement of a module as words: its own tokens, and homes where it names something of the package."""

    def __init__(self, package: Definitions, module: str, node: ast.stmt):
        self.package, self.module, self.known = package, module, package.modules[module]
        self.first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
        lines = self.known.source.splitlines(keepends=True)
        self.lines = lines[self.first - 1 : node.end_lineno]
        self.late: Names = {}  # imported inside functions: bound like the module's own imports, and no code themselves
        self.dropped: set[int] = set()
        for part in ast.walk(node):
            if isinstance(part, ast.Import | ast.ImportFrom) and (inner := package.imports(part, module)):
                self.late |= inner
                self.dropped |= set(range(part.lineno, (part.end_lineno or part.lineno) + 1))
        self.imported = {**self.known.imported, **self.late}
        self.references: dict[Place, tuple[Place, Home]] = {}
        self._visit(node, frozenset())

    def words(self) -> Iterator[str | Home]:
        """The words, silent ones made one."""
        for word in self._tokens():
            silent = isinstance(word, tuple) and self.package.is_silent(word)
            yield "<silent>" if silent else word

    def _visit(self, node: ast.AST, bound: frozenset[str]) -> None:
        """Note what names of the package a node uses; `bound` are the names that its scopes bind themselves."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            everyone = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg]
            notes = [each.annotation for each in [*everyone, node.args.kwarg] if each is not None]
            outside = [*getattr(node, "decorator_list", []), *node.args.defaults, *node.args.kw_defaults, *notes]
            for part in [*outside, getattr(node, "returns", None)]:
                if part is not None:
                    self._visit(part, bound)
            inner = bound | self._binds(node)
            for part in node.body if isinstance(node.body, list) else [node.body]:
                self._visit(part, inner)
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            targets = (part for each in node.generators for part in ast.walk(each.target))
            inner = bound | {part.id for part in targets if isinstance(part, ast.Name)}
            for part in ast.iter_child_nodes(node):
                self._visit(part, inner)
        elif isinstance(node, ast.Attribute) and self._dotted(node, bound):
            return
        elif isinstance(node, ast.Name):
            home = None if node.id in bound else self._home(node.id)
            if home and not isinstance(node.ctx, ast.Store):
                self._note(node, node, home)
        else:
            for part in ast.iter_child_nodes(node):
                self._visit(part, bound)

    def _dotted(self, node: ast.Attribute, bound: frozenset[str]) -> bool:
        """Note `module.definition`, however long the road; False where the chain does not begin at an import."""
        chain: list[ast.Attribute] = []
        start: ast.expr = node
        while isinstance(start, ast.Attribute):
            chain.insert(0, start)
            start = start.value
        if not isinstance(start, ast.Name) or start.id in bound or start.id not in self.imported:
            return False
        if start.id in self.known.own and start.id not in self.late:
            return False
        module, name = self.imported[start.id]
        if name is not None:
            home = self.package.resolve(module, name)
            if home:
                self._note(start, start, home)
            return True
        for step in chain:
            if f"{module}.{step.attr}" in self.package.files:
                module = f"{module}.{step.attr}"
                continue
            home = self.package.resolve(module, step.attr)
            if home:
                self._note(start, step, home)
            break
        return True

    def _home(self, name: str) -> Home | None:
        if name in self.known.own and name not in self.late:
            return self.module, name
        return self.package.resolve(*self.imported[name]) if name in self.imported else None

    def _note(self, start: ast.expr, end: ast.expr, home: Home) -> None:
        until = end.end_lineno or end.lineno, end.end_col_offset or end.col_offset
        self.references[start.lineno, start.col_offset] = (until, home)

    def _binds(self, function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> set[str]:
        """The names that a function binds: parameters, assignments, definitions inside it, foreign imports."""
        given = function.args
        everyone = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        names, globals_ = {each.arg for each in everyone if each is not None}, set()

        def walk(node: ast.AST) -> None:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
                return
            if isinstance(node, ast.Lambda):
                return
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
                names.add(node.id)
            elif isinstance(node, ast.Global):
                globals_.update(node.names)
            elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
                names.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom) and not self.package.imports(node, self.module):
                names.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
            for part in ast.iter_child_nodes(node):
                walk(part)

        for node in function.body if isinstance(function.body, list) else [function.body]:
            walk(node)
        return names - globals_

    def _tokens(self) -> Iterator[str | Home]:
        stream = tokenize.generate_tokens(io.StringIO("".join(self.lines)).readline)
        tokens = [token for token in stream if token.type not in NO_CODE]
        at_start, depth, begin, until, silent_line = True, 0, (1, 0), None, False
        for token, following in itertools.zip_longest(tokens, tokens[1:]):
            start = self._place(token.start)
            if start[0] in self.dropped:  # an import of the package
                continue
            if until is not None and start < until:  # the rest of a reference
                continue
            until = None
            if token.type == FSTRING[0]:
                begin, depth = (token.start if depth == 0 else begin), depth + 1
            elif token.type == FSTRING[1] and (depth := depth - 1) == 0:
                yield from self._fstring(between(self.lines, begin, token.end))
            elif depth == 0:
                if token.type == tokenize.NEWLINE and silent_line:
                    silent_line = False
                    continue
                alone = following is None or following.type == tokenize.NEWLINE
                prefix = re.split("[^A-Za-z]", token.string, maxsplit=1)[0].lower()
                plain = token.type == tokenize.STRING and "f" not in prefix
                if at_start and alone and plain:  # a docstring
                    silent_line = True
                    continue
                if token.type == tokenize.NAME and start in self.references:
                    until, home = self.references[start]
                    yield home
                elif token.type == tokenize.STRING and not plain:
                    yield from self._fstring(token.string)
                else:
                    yield LAYOUT.get(token.type, token.string)
            at_start = token.type in LAYOUT

    def _place(self, at: tuple[int, int]) -> Place:
        """A token's line in the file and byte in that line, as the syntax tree counts."""
        line = at[0] - 1
        return at[0] + self.first - 1, len(self.lines[line][: at[1]].encode()) if line < len(self.lines) else at[1]

    def _fstring(self, text: str) -> Iterator[str | Home]:
        """An f-string as it stands, the module in front of a definition taken off, and then what it refers to."""
        homes: list[Home] = []

        def plain(match: re.Match[str]) -> str:
            module, name = self.imported[match[1]]
            home = self.package.resolve(module, match[2]) if name is None else None
            if home is None:
                return match[0]
            homes.append(home)
            return match[2]

        if self.imported:
            text = re.sub(r"\b(" + "|".join(map(re.escape, self.imported)) + r")\.(\w+)", plain, text)
        yield text
        yield from homes


def digest(makers: Iterable[str], root: Path | str = PACKAGE) -> str:
    """One digest of some makers, each "module:function", in any order.

    Raises KeyError, with the maker, where there is none such.

    >>> len(digest(["probsig.seeds:stream"]))
    64
    """
    package, homes = definitions(Path(root)), []
    for maker in dict.fromkeys(makers):
        module, _, name = maker.partition(":")
        if module not in package.modules or name not in package.modules[module].own:
            raise KeyError(f"{maker} is no definition of {package.package}: name it as module:function.")
        homes.append((module, name))
    made = package.digests(homes)
    return joined(made[home] for home in homes)


def joined(digests: Iterable[str]) -> str:
    """One digest of several, in any order."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


@functools.cache
def definitions(root: Path = PACKAGE, silent: tuple[str, ...] = SILENT) -> Definitions:
    """The definitions of a package, read once."""
    return Definitions(root, silent)


def between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """Source text from one (line, column) to another, lines counted from 1."""
    (first, left), (last, right) = start, end
    if first == last:
        return lines[first - 1][left:right]
    return "".join([lines[first - 1][left:], *lines[first : last - 1], lines[last - 1][:right]])


def _says(node: ast.stmt, word: str) -> bool:
    return isinstance(node, ast.If) and word in ast.dump(node.test)


def _is_string(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _circles(uses: Mapping[Home, list[Home]]) -> list[list[Home]]:
    """The strongly connected parts of a graph, those that others use first (Tarjan 1972)."""
    index: dict[Home, int] = {}
    low: dict[Home, int] = {}
    stack: list[Home] = []
    found: list[list[Home]] = []
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 10_000))

    def visit(home: Home) -> None:
        index[home] = low[home] = len(index)
        stack.append(home)
        for used in uses[home]:
            if used not in index:
                visit(used)
                low[home] = min(low[home], low[used])
            elif used in stack:
                low[home] = min(low[home], index[used])
        if low[home] == index[home]:
            at = stack.index(home)
            found.append(stack[at:])
            del stack[at:]

    for home in sorted(uses):
        if home not in index:
            visit(home)
    sys.setrecursionlimit(before)
    return found
