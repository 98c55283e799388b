"""What made a result: digests of the source modules behind it, the versions, the hardware.

A result is as old as the code that made it.
The digest of a module is taken over its tokens without comments, docstrings and blank lines, so that a better sentence
makes nothing stale, and over source text rather than a dumped syntax tree, so that every version of Python agrees.
Imports are read from the syntax tree, those inside functions too; only modules of this package count.
"""

import ast
import hashlib
import importlib.metadata
import io
import itertools
import os
import platform
import subprocess
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_LAYOUT = {tokenize.INDENT: "<indent>", tokenize.DEDENT: "<dedent>", tokenize.NEWLINE: "<newline>"}
_SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_FSTRING_START = getattr(tokenize, "FSTRING_START", None)  # Python 3.12 and later split an f-string into tokens
_FSTRING_END = getattr(tokenize, "FSTRING_END", None)
_LIBRARIES = ("numpy", "scipy", "matplotlib", "torch", "transformers", "safetensors", "probsig")


def digest_text(text: str) -> str:
    """SHA-256 of a text, the same whichever way its lines end.

    >>> digest_text("one\\r\\ntwo\\n") == digest_text("one\\ntwo\\n")
    True
    """
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes; `FileNotFoundError` where there is none."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_source(source: str) -> str:
    """SHA-256 of what a Python source does: comments, docstrings, blank lines and line breaks inside brackets left out.

    >>> digest_source("def f(x):\\n    'Double x.'\\n    return 2 * x  # twice\\n") == digest_source(
    ...     "def f(x):\\n\\n    return 2 * x\\n")
    True
    >>> digest_source("x = 2\\n") == digest_source("x = 3\\n")
    False
    """
    return digest_text("\n".join(_code_tokens(source)))


def imports_of(source: str, package: str = "probsig", root: Path = PACKAGE, inside: str | None = None) -> set[str]:
    """Modules of the package that a Python source imports directly, their parent packages included.

    `inside` names the package of the source itself, for relative imports.
    A source that is not Python raises `SyntaxError`.

    >>> sorted(imports_of("from probsig import provenance\\nimport numpy as np\\n"))
    ['probsig', 'probsig.provenance']
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            candidates = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = (inside or package).split(".")
                base = ".".join([*parent[: len(parent) - node.level + 1], *filter(None, [node.module])])
            candidates = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in candidates:
            parts = name.split(".")
            if parts[0] == package:
                above = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
                found.update(module for module in above if _file_of(module, package, root))
    return found


def digest_module(name: str, package: str = "probsig", root: Path = PACKAGE) -> str:
    """Digest of one module of the package, given by its full name such as `"probsig.flow"`.

    `ModuleNotFoundError` where the package has no such module.

    >>> len(digest_module("probsig.provenance"))
    64
    """
    return digest_source(_read(name, package, root))


def digest_modules(names: Iterable[str], package: str = "probsig", root: Path = PACKAGE) -> dict[str, str]:
    """Digests of the named modules and of every module of the package that they import, directly or not.

    `root` is the folder of the package; the names of the result are sorted.
    `ModuleNotFoundError` where the package has no such module.

    >>> list(digest_modules(["probsig.provenance"]))
    ['probsig', 'probsig.provenance']
    """
    seen: dict[str, str] = {}
    waiting = {package, *names}
    while waiting:
        name = waiting.pop()
        source = _read(name, package, root)
        seen[name] = digest_source(source)
        is_package = _file_of(name, package, root).name == "__init__.py"
        inside = name if is_package else name.rpartition(".")[0]
        waiting |= imports_of(source, package, root, inside) - seen.keys()
    return dict(sorted(seen.items()))


def versions() -> dict[str, str]:
    """Versions of Python and of the installed libraries that shape a number.

    >>> sorted(versions())[:3]
    ['matplotlib', 'numpy', 'probsig']
    """
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> str:
    """One line about this machine: processor, the cores this process may use, the accelerator if the driver shows one.

    >>> "core" in hardware()
    True
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    line = f"{_processor()}, {cores} core{'s' if cores > 1 else ''}"
    accelerators = _ask("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    return ", ".join([line, *accelerators])


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return _ask("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or platform.machine()


def _ask(*command: str) -> str:
    """First answer of a program, or nothing where it is absent or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _file_of(name: str, package: str, root: Path) -> Path | None:
    first, *rest = name.split(".")
    if first != package:
        return None
    base = root.joinpath(*rest)
    options = [base / "__init__.py"] + ([base.with_name(base.name + ".py")] if rest else [])
    return next((path for path in options if path.is_file()), None)


def _read(name: str, package: str, root: Path) -> str:
    path = _file_of(name, package, root)
    if path is None:
        raise ModuleNotFoundError(f"{package} has no module {name!r}; give a full name such as '{package}.flow'.")
    return path.read_text(encoding="utf-8")


def _code_tokens(source: str) -> Iterator[str]:
    """The tokens that do something; a string that is a whole statement (a docstring) does nothing."""
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type not in _SILENT]
    lines = source.splitlines(keepends=True)
    at_start, depth, begin, skip_newline = True, 0, (1, 0), False
    for token, following in itertools.zip_longest(tokens, tokens[1:]):
        if token.type == _FSTRING_START:
            begin, depth = (token.start if depth == 0 else begin), depth + 1
        elif token.type == _FSTRING_END and (depth := depth - 1) == 0:
            yield _between(lines, begin, token.end)
        elif depth == 0:
            if token.type == tokenize.NEWLINE and skip_newline:
                skip_newline = False
                continue
            alone = following is None or following.type == tokenize.NEWLINE
            plain = token.type == tokenize.STRING and "f" not in token.string[:2].lower()
            if at_start and alone and plain:
                skip_newline = True
                continue
            yield _LAYOUT.get(token.type, token.string)
        at_start = token.type in _LAYOUT


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """Source text from one (line, column) to another."""
    (first, left), (last, right) = start, end
    if first == last:
        return lines[first - 1][left:right]
    return "".join([lines[first - 1][left:], *lines[first : last - 1], lines[last - 1][:right]])
