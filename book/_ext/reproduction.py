"""What became of the paper's statements and of this book's, and what the paper prints otherwise: tables of the records.

All of it is computed from the records in the notebooks' outputs while the book is built. Long parts are folded, as
`details` that every browser opens without a script; `_static/claims.js` adds filters to them.
"""

import re
from collections import Counter
from collections.abc import Iterable

import records
import tables
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from tables import Cell, row, table, text

from probsig.pages import errata, verdicts

logger = logging.getLogger(__name__)
TONES = {
    verdicts.HOLDS: "good",
    verdicts.KEPT: "good",
    verdicts.CORRECTED: "partly",
    verdicts.FAILS: "bad",
    verdicts.MISSED: "bad",
}


class Details(nodes.General, nodes.Element):
    """A part that is folded until it is opened; its first child is a `Summary`."""


class Summary(nodes.General, nodes.TextElement):
    """The line that stays visible of a folded part."""


def folded(summary: list[nodes.Node], content: Iterable[nodes.Node], **attributes: object) -> Details:
    """A folded part; `summary` is inline."""
    return Details("", Summary("", "", *summary), *content, **attributes)


def slug(words: str) -> str:
    """Words as a class name.

    >>> slug("not tested at its setting")
    'not-tested-at-its-setting'
    """
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def capital(words: str) -> str:
    """Words with a capital letter first.

    >>> capital("holds once corrected")
    'Holds once corrected'
    """
    return words[:1].upper() + words[1:]


def places(claim: dict) -> list[str]:
    """The places in the revised version that a claim names, without the word "section" or "appendix"; one of the first
    version, which numbers otherwise, keeps its "v1".

    >>> places({"paper": "v2 section 4.1, Fig. 2A"}), places({"paper": "v1 and v2 appendix B.1 (not shown there)"})
    (['4.1', 'Fig. 2A'], ['B.1'])
    >>> places({"paper": "v1 Fig. 5C / v2 Fig. 14A, eq. (1)"})
    ['v1 Fig. 5C', 'Fig. 14A', 'equation 1']
    """
    words = re.sub(r"\b(eq\.|equation) \((\d)\)", r"equation \2", claim["paper"])
    words = re.sub(r"\(.*?\)", "", words).replace("v1 and v2", "v2")
    found, version = [], ""
    for part in re.split(r"[,;/]| and ", words):
        version = (re.match(r"\s*(v1|v2)\b", part) or [version, version])[1]
        place = re.sub(r"\b(v1|v2|sections?|appendix)\b", "", part, flags=re.IGNORECASE)
        if place.strip():
            found.append(("v1 " if version == "v1" else "") + " ".join(place.split()))
    return found


def at(place: str, named: str) -> bool:
    """Whether a place is the named one or a part of it.

    >>> at("4.1", "4.1"), at("Fig. 2A", "Fig. 2"), at("4.1", "4"), at("Fig. 16A", "Fig. 1")
    (True, True, False, False)
    """
    return re.fullmatch(re.escape(named) + r"[A-Z]?", place) is not None


def row_of(claim: dict, rows: list[tuple[str, list[str]]]) -> int | None:
    """The row of the paper's statements that a claim belongs to, by the first of its places that some row names."""
    for place in places(claim):
        for index, (_, named) in enumerate(rows):
            if any(at(place, name) for name in named):
                return index
    return None


class Judged(tables.BookDirective):
    """A directive over the claims and errata of the book, in the order of the table of contents."""

    def collected(self) -> tuple[list[dict], list[dict]]:
        """Claims and errata; each says its `notebook`."""
        folder = self.book.ledger.parent
        order = [path.relative_to(folder).with_suffix("").as_posix() for path in self.notebooks()]
        found = [[each for each in kind if each["notebook"] in order] for kind in records.collect(folder)]
        made, errors = (sorted(kind, key=lambda record: order.index(record["notebook"])) for kind in found)
        return made, errors

    def inline(self, source: str) -> list[nodes.Node]:
        """MyST of one paragraph, as the nodes inside it."""
        return self.myst(source)[0].children

    def counts(self, claims: list[dict], words: Iterable[str]) -> str:
        """How many claims have each verdict, in words."""
        found = Counter(claim["verdict"] for claim in claims)
        return ", ".join(f"{found[word]} {word}" for word in words if found[word])


class PaperStatements(Judged):
    """`{paper-statements}`: the paper's statements, a row each, with the number of claims by verdict.

    A line of the content is a row, `statement | place; place`; a claim that no row takes is a warning.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Called by docutils."""
        lines = [line.rsplit("|", 1) for line in self.content if line.strip()]
        rows = [(title.strip(), [name.strip() for name in named.split(";")]) for title, named in lines]
        made = self.collected()[0]
        members: dict[int, list[dict]] = {index: [] for index in range(len(rows))}
        for claim in made:
            if claim["whose"] == "paper":
                found = row_of(claim, rows)
                if found is None:
                    logger.warning(
                        "no row takes the claim %s (%s)", claim["key"], claim["paper"], location=self.get_location()
                    )
                else:
                    members[found].append(claim)
        shown = [self.row(rows[index], claims) for index, claims in members.items()]
        own = [claim for claim in made if claim["whose"] == "book"]
        total = [claim for claims in members.values() for claim in claims]
        last = [[nodes.paragraph("", "", nodes.strong("", "Claims in all"))], *self.numbers(total)]
        headers = ["What the paper says", *map(capital, verdicts.PAPER)]
        said = f"This book's own theorems and predictions, {len(own)}: {self.counts(own, verdicts.BOOK)}."
        return [table(headers, [*shown, last], [46, 8, 10, 7, 9, 10, 10]), *text(said)]

    def row(self, titled: tuple[str, list[str]], claims: list[dict]) -> list[Cell]:
        """A statement, which links the chapter with most of its claims, and its numbers."""
        chapters = Counter(claim["notebook"] for claim in claims)
        link = f"{{doc}}`{titled[0]} </notebooks/{chapters.most_common(1)[0][0]}>`" if chapters else titled[0]
        return [self.myst(link), *self.numbers(claims)]

    def numbers(self, claims: list[dict]) -> list[Cell]:
        """A cell for each verdict on the paper, empty where there is none."""
        found = Counter(claim["verdict"] for claim in claims)
        return [text(found[word] or "") for word in verdicts.PAPER]


class Score(Judged):
    """`{score}`: how many of the paper's statements came out how, and of this book's own, in a row of a table each."""

    def run(self) -> list[nodes.Node]:
        """Called by docutils."""
        made = self.collected()[0]
        shown: list[nodes.Node] = []
        for whose, title, words in (
            ("paper", "The paper's statements", verdicts.PAPER),
            ("book", "This book's own", verdicts.BOOK),
        ):
            found = Counter(claim["verdict"] for claim in made if claim["whose"] == whose)
            parts = [[nodes.strong("", str(found[word])), nodes.Text(f" {word}")] for word in words if found[word]]
            items = [nodes.list_item("", nodes.paragraph("", "", *part)) for part in parts]
            head = nodes.paragraph("", "", nodes.strong("", f"{title}: {sum(found.values())}"))
            shown.append(nodes.container("", head, nodes.bullet_list("", *items), classes=["score-side"]))
        return [nodes.container("", *shown, classes=["score"])]


class ClaimsTable(Judged):
    """`{claims-table}`: every claim of the book, a folded table per chapter, with a column for the paper's statements
    and one for this book's own."""

    def run(self) -> list[nodes.Node]:
        """Called by docutils."""
        made = self.collected()[0]
        shown: list[nodes.Node] = []
        for notebook in dict.fromkeys(claim["notebook"] for claim in made):
            claims = [claim for claim in made if claim["notebook"] == notebook]
            sides = []
            for whose, name, words in (("paper", "the paper", verdicts.PAPER), ("book", "this book", verdicts.BOOK)):
                if told := self.counts([claim for claim in claims if claim["whose"] == whose], words):
                    sides.append(f"{name}: {told}")
            title = [*self.title(notebook), nodes.inline("", f" {'; '.join(sides)}", classes=["counts"])]
            headers = ["Statement", "We measure", "Setting", "The paper's", "This book's"]
            rows = [self.row(claim) for claim in claims]
            inside = [*self.chapter(notebook), table(headers, rows, [42, 28, 10, 10, 10])]
            shown.append(folded(title, inside, classes=["claims"]))
        return [nodes.container("", *shown, classes=["all-claims"])]

    def row(self, claim: dict) -> nodes.row:
        """A claim; its classes are what the filters read."""
        said = [self.myst(claim["statement"])]
        if claim["whose"] == "paper":
            said.append(self.myst(f"*The paper* ({claim['paper']}): {claim['says']}"))
        said += [self.myst(f"*Corrected* {claim['corrected']}")] if claim["corrected"] else []
        said += [self.myst(f"*About* {claim['about']}")] if claim["about"] else []
        measured = [f"{claim['measured']}; accepted {claim['accepted']}", claim["reach"], claim["note"]]
        family = f"one of {claim['family'][1]}: {claim['family'][0]}" if claim["family"] else ""
        word = self.verdict(claim)
        cells = [
            [node for cell in said for node in cell],
            [node for words in (*measured, family) if words for node in self.myst(words)],
            self.myst(claim["place"]),
            *((word, []) if claim["whose"] == "paper" else ([], word)),
        ]
        classes = ["claim", f"of-{claim['whose']}", f"is-{slug(claim['verdict'])}", f"at-{slug(claim['setting'])}"]
        return row(cells, classes=classes, ids=[f"claim-{claim['key']}"])

    def verdict(self, claim: dict) -> Cell:
        """A verdict as words with a coloured edge."""
        words = f"{claim['verdict']}; {claim['here']}" if claim["here"] else claim["verdict"]
        classes = ["verdict", f"verdict-{TONES.get(claim['verdict'], 'open')}"]
        return [nodes.paragraph("", "", nodes.inline("", words, classes=classes))]


class ErrataTable(Judged):
    """`{errata-table} tier`: the errata of one tier; the first in a short table with links, the others folded."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Called by docutils."""
        tier = self.arguments[0]
        found = [erratum for erratum in self.collected()[1] if erratum["tier"] == tier]
        if tier not in errata.TIERS or not found:
            logger.warning("there are no errata of tier %s", tier, location=self.get_location())
        if tier == "slip":
            rows = [[self.myst(each["where"]), *self.sides(each), self.myst(each["why"])] for each in found]
            title = [nodes.Text(f"{len(found)} slips")]
            return [folded(title, [table(["Where", "Printed", "Meant", "Why"], rows, [14, 32, 32, 22])])]
        blocks = [self.block(each) for each in found]
        if tier != "conclusion":
            return blocks
        headers = ["What changes", "Where in the paper", "Size", "Proof"]
        rows = [
            [
                self.myst(f"{capital(each['changes']).rstrip('.')}."),
                self.myst(each["where"]),
                self.myst(each["size"]),
                self.proof(each),
            ]
            for each in found
        ]
        return [table(headers, rows, [46, 14, 24, 16]), *blocks]

    def proof(self, erratum: dict) -> Cell:
        """A link to the block that proves it and to its chapter."""
        return self.myst(f"{{prf:ref}}`{erratum['proof']}` in {{doc}}`/notebooks/{erratum['notebook']}`")

    def sides(self, erratum: dict) -> list[Cell]:
        """Both formulas."""
        return [tables.formula(erratum["printed"]), tables.formula(erratum["corrected"])]

    def block(self, erratum: dict) -> nodes.Node:
        """An erratum, folded: what it is about, and inside both formulas, the size and the proof."""
        pairs = zip(("Printed", "Corrected"), self.sides(erratum), strict=True)
        sides = [nodes.container("", *text(title), *cell, classes=["erratum-formula"]) for title, cell in pairs]
        where, why = (self.inline(words) for words in (erratum["where"], f"{capital(erratum['why']).rstrip('.')}."))
        title = [nodes.strong("", "", *where), nodes.Text(": "), *why]
        return folded(
            title, [*sides, *self.myst(f"Size: {erratum['size']}."), *self.proof(erratum)], classes=["erratum"]
        )


def visit(tag: str):
    """How a node becomes an HTML element of its own."""

    def open_tag(translator, node: nodes.Element) -> None:
        translator.body.append(translator.starttag(node, tag, ""))

    def close_tag(translator, node: nodes.Element) -> None:
        translator.body.append(f"</{tag}>\n")

    return open_tag, close_tag


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.add_directive("paper-statements", PaperStatements)
    app.add_directive("score", Score)
    app.add_directive("claims-table", ClaimsTable)
    app.add_directive("errata-table", ErrataTable)
    app.add_node(Details, html=visit("details"))
    app.add_node(Summary, html=visit("summary"))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
