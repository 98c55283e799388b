"""The house: which folder stands on which floor, and that part of CONTRIBUTING.md, written from the sources.

    python scripts/house.py      # writes it anew

A file imports from its own folder and from the floors below. What a folder or a file is about is the first paragraph of
its docstring.
"""

from __future__ import annotations

import ast
from pathlib import Path

from probsig.runs import syntax
from probsig.runs.code import Definitions

ROOT = Path(__file__).resolve().parents[1]
FLOORS = (
    ("errors", "seeds"),
    ("runs",),
    ("guards",),
    ("laws", "counts"),
    ("text", "signatures"),
    ("theory", "geometry"),
    ("addition", "language", "pages"),
    ("answers",),
    ("cli", "experiments"),
)
"""From the ground up."""
BEGIN, END = "<!-- begin: python scripts/house.py -->\n", "<!-- end -->\n"


def part(module: str) -> str:
    """The folder of the package in which a module lies, or the module itself where it lies in none.

    >>> part("probsig.laws.tasks"), part("probsig.seeds"), part("probsig")
    ('laws', 'seeds', '')
    """
    return module.partition(".")[2].partition(".")[0]


def path_of(module: str, root: Path = ROOT) -> Path:
    """The file of a module."""
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def arrows(root: Path = ROOT) -> set[tuple[str, str]]:
    """Which file imports from which, by module, wherever in the file it does; what a folder hands on is imported from
    where it is defined. The files that only hand on are left out."""
    package, found = Definitions(root / "probsig", silent=()), set()
    for name, module in package.modules.items():
        path = path_of(name, root)
        if path.name == "__init__.py" and not module.own.keys() - {"__getattr__", "__dir__", "__all__"}:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            plain = [alias.name for alias in node.names] if isinstance(node, ast.Import) else None
            for said in plain or syntax.imports([node], module.folder).values():
                if said.partition(".")[0] == package.package:
                    home, _ = package.resolve(said)
                    found.add((name, home[0]))
    return {(one, other) for one, other in found if one != other}


def about(module: str) -> str:
    """The first paragraph of a module's docstring, as a line."""
    said = ast.get_docstring(ast.parse(path_of(module).read_text("utf-8"))) or ""
    return " ".join(said.partition("\n\n")[0].split())


def drawing() -> str:
    """The floors, the highest first, with each folder's sentence."""
    lines = ["```"]
    for number, names in reversed([*enumerate(FLOORS, 1)]):
        for name in names:
            shown = f"{name}/" if (ROOT / "probsig" / name).is_dir() else f"{name}.py"
            lines.append(f"{number if name == names[0] else ' '}  {shown:13} {about(f'probsig.{name}')}")
    return "\n".join([*lines, "```"]) + "\n"


def table() -> str:
    """The files of each folder, and what each is about."""
    lines = []
    for name in (name for names in FLOORS for name in names if (ROOT / "probsig" / name).is_dir()):
        lines += [f"**`{name}/`** {about(f'probsig.{name}')}", "", "| file | is about |", "|---|---|"]
        for path in sorted((ROOT / "probsig" / name).rglob("*.py")):
            if path.name != "__init__.py":
                inside = path.relative_to(ROOT).with_suffix("")
                said = about(".".join(inside.parts)).rstrip(".").replace("|", "\\|")
                lines.append(f"| `{'/'.join(inside.parts[2:])}` | {said} |")
        lines.append("")
    return "\n".join(lines)


def written(text: str) -> str:
    """CONTRIBUTING.md with this part as it is today."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{drawing()}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    path = ROOT / "CONTRIBUTING.md"
    path.write_text(written(path.read_text("utf-8")), "utf-8")
