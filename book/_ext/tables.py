"""Tables of the book that are computed while it is built: claims, errata, panels, status.

Cells are docutils nodes.
Texts that authors write in MyST (a claim's statement or unit) are parsed as MyST; whatever else a record holds (tokens,
numbers, names of machines) becomes a text node as it is, so that no character of it can act as markup.
Each directive notes the notebooks and the ledger as dependencies, so that a changed one rebuilds its page.
"""

from pathlib import Path

import panels
from docutils import nodes
from sphinx.util.docutils import SphinxDirective
from staleness import Book

from book._ext import records as _ext_records
from probsig.pages import claims

Cell = list[nodes.Node]
TONES = {"reproduced": "good", "partly": "partly", "not reproduced": "bad"}


def text(value: object) -> Cell:
    """A cell that shows a value as it is, markup characters and plain quotes included."""
    return [nodes.paragraph("", "", nodes.Text(str(value)), support_smartquotes=False)]


def formula(tex: str) -> Cell:
    """A cell with one displayed formula."""
    return [nodes.math_block(tex, tex, nowrap=False, number=None, label=None)]


def table(headers: list[str], rows: list[list[Cell]], widths: list[int] | None = None) -> nodes.Node:
    """A table whose cells are lists of nodes, with relative column widths; it scrolls sideways inside its page."""
    widths = widths or [1] * len(headers)
    group = nodes.tgroup(cols=len(headers))
    group += [nodes.colspec(colwidth=width) for width in widths]
    group += nodes.thead("", _row([text(header) for header in headers]))
    group += nodes.tbody("", *[_row(cells) for cells in rows])
    classes = ["colwidths-given"] if len(set(widths)) > 1 else []
    return nodes.container("", nodes.table("", group, classes=classes), classes=["probsig-table"])


def _row(cells: list[Cell]) -> nodes.row:
    return nodes.row("", *[nodes.entry("", *cell) for cell in cells])


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


class ClaimsTable(BookDirective):
    """`{claims-table}`: every claim of the book with its verdict, a table a chapter."""

    def run(self) -> list[nodes.Node]:
        made = collected(self)[0]
        shown: list[nodes.Node] = []
        for notebook in dict.fromkeys(claim["notebook"] for claim in made):
            rows = [self.row(claim) for claim in made if claim["notebook"] == notebook]
            shown += [nodes.rubric("", "", *self.chapter(notebook)[0].children)]
            shown += [table(["Claim", "We measure", "Setting", "Verdict"], rows, [46, 28, 10, 16])]
        return shown or [nodes.paragraph("", "No chapter makes a claim yet.")]

    def row(self, claim: dict) -> list[Cell]:
        says = f": {claim['says']}" if claim["says"] else ""
        measured = self.myst(f"{claim['measured']}; accepted {claim['accepted']}")
        return [
            self.myst(claim["statement"]) + self.myst(f"*The paper ({claim['paper']}){says}*"),
            measured + (self.myst(claim["note"]) if claim["note"] else []),
            text(claims.SETTINGS[claim["setting"]]),
            verdict(claim),
        ]


class ErrataTable(BookDirective):
    """`{errata-table}`: every printed formula that does not hold, with its correction and proof, a block each."""

    def run(self) -> list[nodes.Node]:
        return [self.block(erratum) for erratum in collected(self)[1]] or [
            nodes.paragraph("", "No chapter records an erratum yet.")
        ]

    def block(self, erratum: dict) -> nodes.Node:
        sides = [
            nodes.container("", *text(title), *formula(erratum[title.lower()]), classes=["erratum-formula"])
            for title in ("Printed", "Corrected")
        ]
        proof = f"{{prf:ref}}`{erratum['proof']}` in {{doc}}`/notebooks/{erratum['notebook']}`"
        where, why = erratum["where"], erratum["why"].rstrip(".")
        parts = [nodes.rubric("", where[0].upper() + where[1:]), *self.myst(f"{why[0].upper()}{why[1:]}."), *sides]
        return nodes.container("", *parts, *self.myst(f"Size: {erratum['size']}. Proof: {proof}."), classes=["erratum"])


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
            runs = len({Path(file).parent for file in record.get("results", {})})
            rows.append([self.chapter(name), *map(text, made), text(f"{runs} stored runs" if runs else "live")])
            versions = ", ".join(f"{key} {value}" for key, value in record.get("versions", {}).items())
            software.setdefault(versions, []).append(name)
        headers = ["Chapter", "Seconds", "Seed", "Scale", "Hardware", "Numbers"]
        shown: list[nodes.Node] = [table(headers, rows, [36, 10, 8, 10, 20, 16])]
        for versions, names in software.items():
            whose = "All chapters" if len(software) == 1 else ", ".join(names)
            shown += text(f"{whose} ran with {versions}.")
        return shown


def collected(directive: BookDirective) -> tuple[list[dict], list[dict]]:
    """Claims and errata of the book's notebooks, in the order of the table of contents."""
    folder = directive.book.ledger.parent
    order = [path.relative_to(folder).with_suffix("").as_posix() for path in directive.notebooks()]
    found = [[record for record in records if record["notebook"] in order] for records in _ext_records.collect(folder)]
    made, errata = (sorted(records, key=lambda record: order.index(record["notebook"])) for records in found)
    return made, errata


def verdict(claim: dict) -> Cell:
    """A verdict as words with a coloured edge; away from the paper's setting the outcome follows it."""
    words = claim["verdict"]
    if words not in TONES:
        words = f"{words}: {claim['outcome']} at {claims.SETTINGS[claim['setting']]}"
    classes = ["verdict", f"verdict-{TONES.get(claim['verdict'], 'open')}"]
    return [nodes.paragraph("", "", nodes.inline("", words, classes=classes))]


DIRECTIVES = {
    "claims-table": ClaimsTable,
    "errata-table": ErrataTable,
    "panel-index": PanelIndex,
    "status-table": StatusTable,
}
