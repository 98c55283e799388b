"""Change one operator, number or condition of a module at a time, and see whether the module's own tests notice.

    python scripts/mutants.py probsig/pages/verdicts.py tests/pages/test_verdicts.py [--most 40] [--seed 0]

Prints the line of each change that no test noticed, and the share of those that one did. A survivor is to be read: some
changes change nothing that anybody could see. A change under which the tests take more than SECONDS by the clock counts
as noticed, so that one that hangs is: run this where nothing else keeps the machine busy.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.machinery
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy  # noqa: F401 loaded before the fork
import pytest

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60
SWAPS = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And},
    **{
        ast.Add: ast.Sub,
        ast.Sub: ast.Add,
        ast.Mult: ast.Div,
        ast.Div: ast.Mult,
        ast.Pow: ast.Mult,
        ast.MatMult: ast.Mult,
    },
}


def changes(tree: ast.Module) -> Iterator[tuple[int, str, ast.Module]]:
    """Line, words and tree of every change."""
    for place, node in enumerate(ast.walk(tree)):
        for field in ("op", "ops", "value", "test"):
            changed = copy.deepcopy(tree)
            twin = next(each for i, each in enumerate(ast.walk(changed)) if i == place)
            old = getattr(twin, field, None)
            if field == "op" and type(old) in SWAPS:
                twin.op = SWAPS[type(old)]()  # type: ignore[attr-defined]
            elif field == "ops" and old and type(old[0]) in SWAPS:
                twin.ops = [SWAPS[type(old[0])](), *old[1:]]  # type: ignore[attr-defined]
            elif field == "value" and isinstance(node, ast.Constant) and isinstance(old, int | float):
                twin.value = not old if isinstance(old, bool) else old + 1  # type: ignore[attr-defined]
            elif field == "test" and isinstance(node, ast.If | ast.IfExp):
                twin.test = ast.UnaryOp(ast.Not(), old)  # type: ignore[attr-defined]
            else:
                continue
            yield (
                node.lineno,
                f"{ast.unparse(node)[:70]} -> {ast.unparse(twin)[:70]}",
                ast.fix_missing_locations(changed),
            )


def noticed(path: Path, tree: ast.Module, tests: list[str]) -> bool:
    """Whether the tests fail, in a process of their own, with the tree in the module's place."""
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        true = importlib.machinery.SourceFileLoader.get_code

        def get_code(self, name):
            return compile(tree, str(path), "exec") if Path(self.path) == path else true(self, name)

        importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1), os.dup2(nowhere, 2)
        os._exit(pytest.main(["-q", "-x", "--assert=plain", "-p", "no:cacheprovider", *tests]) != 0)
    return os.waitpid(child, 0)[1] != 0


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Change a module in one place at a time and run its tests.")
    parser.add_argument("module", help="a file of the package")
    parser.add_argument("tests", nargs="+", help="the files of its tests, beside its own doctests")
    parser.add_argument("--most", type=int, default=40, help="so many changes, drawn by chance")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    path = (ROOT / chosen.module).resolve()
    tree, tests = ast.parse(path.read_text("utf-8")), [chosen.module, *chosen.tests]
    if noticed(path, tree, tests):
        print(f"The tests of {chosen.module} fail as it stands.", file=sys.stderr)
        return 1
    found = list(changes(tree))
    tried = sorted(random.Random(chosen.seed).sample(found, min(chosen.most, len(found))), key=lambda one: one[0])
    survivors = [(line, words) for line, words, changed in tried if not noticed(path, changed, tests)]
    for line, words in survivors:
        print(f"{chosen.module}:{line}: {words}")
    print(f"{chosen.module}: {len(tried) - len(survivors)} of {len(tried)} changes noticed, of {len(found)} possible")
    return 0


if __name__ == "__main__":
    sys.exit(main())
