"""Tables of the page "How far to trust this": kills, reruns, bad inputs, and which test holds what."""

import ast
import json
import tomllib
from pathlib import Path

from docutils import nodes
from tables import BookDirective, table, text

ROOT = Path(__file__).resolve().parents[2]
KILLS, INPUTS = ROOT / "benchmarks" / "kills.json", ROOT / "tests" / "bad_inputs.toml"
RERUNS = ROOT / "benchmarks" / "reruns.json"


def inputs() -> list[dict[str, str]]:
    """The rows of `tests/bad_inputs.toml`: of what, the call, how it ends."""
    return tomllib.loads(INPUTS.read_text("utf-8"))["input"]


def refusals() -> int:
    """How many places of the tests, beside that list, expect a refusal."""
    sources = [path.read_text("utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py"))]
    calls = [node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return sum(ast.unparse(call.func) == "pytest.raises" for call in calls)


class Kills(BookDirective):
    """`{kill-table}`: what `scripts/kills.py` found, from `benchmarks/kills.json`."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(KILLS))
        made = json.loads(KILLS.read_text("utf-8"))
        rows = [
            list(map(text, (kind, row["kills"], f"{row['same']} of {row['rounds']}", row["left"] or "none")))
            for kind, row in made["work"].items()
        ]
        kills = sum(row["kills"] for row in made["work"].values())
        said = f"{kills} kills; moments of seed {made['seed']}; {made['hardware']}."
        return [table(["Work", "Kills", "The same bits", "Files left"], rows, [25, 15, 30, 30]), *text(said)]


class Reruns(BookDirective):
    """`{rerun-table}`: what `benchmarks/reruns.py` measured, from `benchmarks/reruns.json`."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(RERUNS))
        made = json.loads(RERUNS.read_text("utf-8"))
        heads = ["Text", "Tokens", "Seconds", "The chapter holds", "Its page holds", "Open files", "Files left"]
        rows = [
            [
                f"{row['megabytes']} MB",
                f"{row['tokens'] / 1e6:.0f} million",
                row["seconds"],
                f"{row['chapter'] / 1e9:.2f} GB",
                f"{row['page'] / 1e9:.2f} GB",
                row["files"],
                row["temporary"] + row["tree"] or "none",
            ]
            for row in made["reruns"]
        ]
        return [table(heads, [list(map(text, row)) for row in rows]), *text(f"{made['hardware']}.")]


class BadInputs(BookDirective):
    """`{bad-inputs}`: the bad inputs that were tried and how each ends, from `tests/bad_inputs.toml`."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(INPUTS))
        rows = [[[nodes.literal(row["call"], row["call"])], text(row["ends"])] for row in inputs()]
        cells = [[[nodes.paragraph("", "", *call)], ends] for call, ends in rows]
        said = f"{len(rows)} inputs of this list, and {refusals()} more places where a test expects a refusal."
        return [*text(said), table(["What was asked", "How it ended"], cells, [45, 55])]
