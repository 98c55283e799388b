"""Tables of the book that are computed while it is built, and those of them that need no claims: panels, status, runs.

Cells are docutils nodes.
Texts that authors write in MyST (a claim's statement or unit) are parsed as MyST; whatever else a record holds (tokens,
numbers, names of machines) becomes a text node as it is, so that no character of it can act as markup.
Each directive notes the notebooks and the ledger as dependencies, so that a changed one rebuilds its page.
"""

import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import panels
from docutils import nodes
from sphinx.util.docutils import SphinxDirective
from staleness import Book

from probsig.experiments import KINDS
from probsig.runs import code, files, replays

Cell = list[nodes.Node]


def text(value: object) -> Cell:
    """A cell that shows a value as it is, markup characters and plain quotes included."""
    return [nodes.paragraph("", "", nodes.Text(str(value)), support_smartquotes=False)]


def formula(tex: str) -> Cell:
    """A cell with one displayed formula."""
    return [nodes.math_block(tex, tex, nowrap=False, number=None, label=None)]


def table(headers: list[str], rows: list[list[Cell] | nodes.row], widths: list[int] | None = None) -> nodes.Node:
    """A table whose cells are lists of nodes, with relative column widths; it scrolls sideways inside its page.

    A row is its cells, or a `row` node where it has classes or an id.
    """
    widths = widths or [1] * len(headers)
    group = nodes.tgroup(cols=len(headers))
    group += [nodes.colspec(colwidth=width) for width in widths]
    group += nodes.thead("", row([text(header) for header in headers]))
    group += nodes.tbody("", *[each if isinstance(each, nodes.row) else row(each) for each in rows])
    classes = ["colwidths-given"] if len(set(widths)) > 1 else []
    return nodes.container("", nodes.table("", group, classes=classes), classes=["probsig-table"])


def row(cells: list[Cell], **attributes: object) -> nodes.row:
    """One row of a table, with attributes such as `classes` and `ids`."""
    return nodes.row("", *[nodes.entry("", *cell) for cell in cells], **attributes)


class BookDirective(SphinxDirective):
    """A directive without content that reads the notebooks of the book being built."""

    @property
    def book(self) -> Book:
        return Book(Path(self.env.srcdir))

    def notebooks(self) -> list[Path]:
        """The notebooks of the table of contents, in its order; each becomes a dependency of this page."""
        pages = [page.removesuffix(".ipynb") for page in self.config.external_site_map]
        found = [Path(self.env.srcdir, f"{page}.ipynb") for page in pages if page.startswith("notebooks/")]
        for path in found:
            self.env.note_dependency(str(path))
        return [path for path in found if path.is_file()]

    def myst(self, source: str) -> Cell:
        """A cell of one paragraph of MyST."""
        return self.parse_text_to_nodes(" ".join(source.split()))

    def chapter(self, notebook: str) -> Cell:
        """A cell that links a chapter, given as `part/chapter`."""
        return self.myst(f"{{doc}}`/notebooks/{notebook}`")

    def title(self, notebook: str) -> Cell:
        """The title of a chapter, given as `part/chapter`, without a link."""
        cells = json.loads(self.book.notebook(notebook).read_text(encoding="utf-8"))["cells"]
        sources = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        heads = (re.search(r"^# (.+)$", source, re.MULTILINE) for source in sources)
        return self.myst(next((head[1] for head in heads if head), notebook))[0].children


class PanelIndex(BookDirective):
    """`{panel-index}`: the 54 panels of the paper's two versions, each with our figures or "not yet"."""

    def run(self) -> list[nodes.Node]:
        shown = panels.shown(self.notebooks())
        rows = []
        for name, shows in panels.all_panels():
            links = ", ".join(f"{{numref}}`{figure}`" for figure in shown.get(name, []))
            rows.append([text(name), text(shows), self.myst(links) if links else text("not yet")])
        return [table(["Panel", "Shows", "Here"], rows, [16, 60, 24])]


class StatusTable(BookDirective):
    """`{status-table}`: how each stored notebook was made, from `notebooks/executed.json`."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(self.book.ledger))
        records = self.book.records()
        rows, software = [], {}
        for path in self.notebooks():
            name = path.relative_to(self.book.ledger.parent).with_suffix("").as_posix()
            record = records.get(name, {})
            made = [record.get(key, "none") for key in ("seconds", "seed", "scale", "hardware")]
            made = ["several" if one == "" else one for one in made]  # a chapter of all its scales
            runs = len({Path(file).parent for file in record.get("results", {})})
            numbers = f"{runs} stored run{'s' * (runs > 1)}" if runs else "live"
            rows.append([self.chapter(name), *map(text, made), text(numbers)])
            versions = ", ".join(f"{key} {value}" for key, value in record.get("versions", {}).items())
            software.setdefault(versions, []).append(name)
        headers = ["Chapter", "Seconds", "Seed", "Scale", "Hardware", "Numbers"]
        shown: list[nodes.Node] = [table(headers, rows, [36, 10, 8, 10, 20, 16])]
        for versions, names in software.items():
            whose = "All chapters" if len(software) == 1 else ", ".join(names)
            shown += text(f"{whose} ran with {versions}.")
        return shown


class RunTable(BookDirective):
    """`{run-table}`: the stored runs by kind and by the code that made them, and how that stands to today's."""

    def run(self) -> list[nodes.Node]:
        results = self.book.root / "results"
        today = {kind: code.digest(makers) for kind, makers in KINDS.items()}
        groups = defaultdict(list)
        for path in sorted(results.glob(f"*/{files.RECORD}")):
            self.env.note_dependency(str(path))
            record = json.loads(path.read_text("utf-8"))
            made = record["code"]
            state = replays.state(record, today.get(record["kind"], ""))
            groups[record["kind"], made["digest"], made["commit"] or "", state].append(record["seconds"])
        self.env.note_dependency(str(results / replays.LEDGER))
        rows = [
            list(map(text, (kind, len(took), f"{sum(took) / 3600:.1f}", digest[:12], commit[:7], STATES[state])))
            for (kind, digest, commit, state), took in groups.items()
        ]
        return [table(["Kind", "Runs", "Hours", "Code", "Commit", "Today"], rows, [24, 8, 8, 16, 12, 32])]


def of_the_papers_shape(results: Path) -> list[Path]:
    """The folders of the stored language models of the paper's shape; at its scale there are smaller ones, too."""
    found = sorted(results.glob("language-model-paper-*"))
    return [one for one in found if json.loads((one / files.RECORD).read_text("utf-8"))["config"]["shape"] == "paper"]


class ScaleTable(BookDirective):
    """`{scale-table}`: the stored language models of the paper's shape: what each read, how long it took, what came."""

    def run(self) -> list[nodes.Node]:
        rows = []
        for folder in of_the_papers_shape(self.book.root / "results"):
            self.env.note_dependency(str(folder / files.RECORD))
            record, arrays = files.read_run(folder)
            config, tokens = record["config"], int(arrays["model/data/size"][0])
            many = min(int(np.searchsorted(arrays["model/data/watched"], 1000)), len(arrays["model/data/watched"]) - 1)
            read = f"{tokens / 1e6:.1f} million" + (f", {config['epochs']} times" if config["epochs"] > 1 else "")
            rcos = [f"{round(arrays['model/rcos'][look, 0, 0, many], 2) + 0.0:.2f}" for look in (0, -1)]
            said = [config["corpus"], config["architecture"], read, f"{arrays['model/data/size'][2]:,}"]
            loss = f"{arrays['model/training/held'][-1, 0]:.2f}"
            rows.append((said, [*said, f"{record['seconds']:.0f}", loss, " to ".join(rcos)]))
        headers = ["Text", "Architecture", "Tokens read", "Ids", "Seconds", "Held-out loss", "R_cos"]
        each = sum(float(cells[4]) for _, cells in rows) / len(rows)
        price = f"One model took {each:.0f} seconds in the mean: {each / 3600:.3f} of what the card costs per hour."
        shown = table(headers, [list(map(text, cells)) for _, cells in sorted(rows)], [22, 12, 20, 10, 10, 12, 16])
        return [shown, *text(price)]


STATES = {
    "this": "the same code",
    "replayed": "other code, the same first steps",
    "older": "other code",
}
