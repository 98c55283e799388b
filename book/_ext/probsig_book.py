"""The book's Sphinx extension: honest pages, computed tables, no script that needs a network.

What a cell put out is shown sign by sign: typographic quotes and dashes are for prose.
The box of a claim or an erratum is a line that opens, and so is a proof of class `dropdown`.

A page whose notebook is stale (see `staleness`) is a warning, so that `-W` fails, and says so at its top.
A page made by papermill, with other parameters than the book's, says that instead, and leaves out what states the
book's findings: a `finding` block, the bold sentence that a figure's caption begins with, its alternative text.

    :::{finding}
    The digits are ordered in four of five texts.
    :::
"""

import re
from pathlib import Path

import docstrings
import nbformat
import reference
import reproduction
import staleness
import tables
import trust
from docutils import nodes
from myst_nb.core.render import load_mime_renders
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx_codeautolink import extension as code_links

from probsig.pages import claims, drawn, errata

logger = logging.getLogger(__name__)
FOLDER = "notebooks/"
CODE = re.compile(
    r'<div class="(?:highlight-|doctest)[^"]*"><div class="highlight"><pre>.*?</pre></div>\s*</div>', re.DOTALL
)
BETWEEN = "\n<!--code-->\n"  # code is escaped and holds no comment


def link_names(document: str, html: str, *arguments, link=code_links.link_html, **options) -> str:
    """Link the names in the code of a page: only the code is parsed and written anew, so that the rest keeps
    its blanks and takes no time."""
    linked = iter(link(document, BETWEEN.join(CODE.findall(html)), *arguments, **options).split(BETWEEN))
    return CODE.sub(lambda _: next(linked), html)


code_links.link_html = link_names


def reasons(srcdir: Path | str, page: str) -> list[str]:
    """Why the notebook of a page is stale; empty for a fresh one, a rerun or a page of prose."""
    name = page.removeprefix(FOLDER)
    book = staleness.Book(Path(srcdir))
    if not page.startswith(FOLDER) or not book.text(name).is_file() or rerun_of(srcdir, page) is not None:
        return []
    return book.reasons(name)


def rerun_of(srcdir: Path | str, page: str) -> dict | None:
    """The parameters given to papermill, or None for a notebook of the book itself."""
    path = Path(srcdir, f"{page}.ipynb")
    if not path.is_file():
        return None
    return nbformat.read(path, as_version=4).metadata.get("papermill", {}).get("parameters")


def reread(app: Sphinx, env, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """Pages to read again: those that are stale now, or were when they were last read."""
    stale = {page: why for page in env.found_docs if (why := reasons(app.srcdir, page))}
    before, env.probsig_why = getattr(env, "probsig_why", {}), stale
    return sorted((stale.keys() | before.keys()) & env.found_docs)


def mark(app: Sphinx, doctree: nodes.document) -> None:
    """Put a box under the title of a stale page or a rerun; warn about a stale one."""
    page = app.env.docname
    parameters = rerun_of(app.srcdir, page) if page.startswith(FOLDER) else None
    if parameters is not None:
        given = ", ".join(f"{key} = {value!r}" for key, value in parameters.items()) or "the default parameters"
        named = "a caption or a sentence that names models, texts, seeds or sizes means the book's"
        _box(doctree, nodes.note, f"This page is a rerun with {given}; the book's own outputs differ, and {named}.")
        leave_out_findings(doctree)
    elif why := app.env.probsig_why.get(page):
        sentence = f"This page is stale: {'; '.join(why)}. `make book` makes it anew."
        logger.warning("%s", sentence, location=page, type="probsig", subtype="stale")
        _box(doctree, nodes.warning, sentence)


def leave_out_findings(doctree: nodes.document) -> None:
    """Take from a page what states the book's findings; the alternative text of a figure then names its caption."""
    for found in list(doctree.findall(lambda node: "finding" in getattr(node, "attributes", {}).get("classes", []))):
        found.parent.remove(found)
    for figure in doctree.findall(nodes.figure):
        for caption in figure.findall(nodes.caption):
            if caption.children and isinstance(caption[0], nodes.strong):
                caption.pop(0)
            for image in figure.findall(nodes.image):
                image["alt"] = "The caption says what is drawn."


def _box(doctree: nodes.document, kind: type[nodes.Element], sentence: str) -> None:
    section = next(iter(doctree.findall(nodes.section)), doctree)
    title = section.first_child_matching_class(nodes.title)
    section.insert(0 if title is None else title + 1, kind("", nodes.paragraph("", sentence)))


class Finding(SphinxDirective):
    """``:::{finding}``: sentences about the book's own numbers, which a rerun leaves out."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Called by docutils."""
        return [nodes.container("", *self.parse_content_to_nodes(), classes=["finding"])]


class PlainOutputs(SphinxTransform):
    """Keep typographic quotes, dashes and dots out of what cells put out."""

    default_priority = 700  # before the transform that puts them in

    def apply(self) -> None:
        """Called by Sphinx for each page."""
        for node in self.document.findall(nodes.container):
            if "cell_output" in node["classes"]:
                node["support_smartquotes"] = False


class ShortEntries(SphinxTransform):
    """Mark the short entries of tables, so that no number is broken at its minus sign."""

    default_priority = 699
    longest = 18

    def apply(self) -> None:
        """Called by Sphinx for each page."""
        for entry in self.document.findall(nodes.entry):
            if len(entry.astext()) <= self.longest and not any(entry.findall(nodes.math)):
                entry["classes"].append("short")


class FoldedBoxes(SphinxTransform):
    """Fold the boxes of claims and errata: the verdict and the statement stay, the rest opens."""

    default_priority = 699
    heads = ("The paper:", "This book:", "Erratum,")

    def apply(self) -> None:
        """Called by Sphinx for each page."""
        outputs = [node for node in self.document.findall(nodes.container) if "cell_output" in node["classes"]]
        for quote in [quote for output in outputs for quote in output.findall(nodes.block_quote)]:
            if quote.astext().startswith(self.heads):
                quote.parent.replace(quote, self.fold(quote))

    @staticmethod
    def fold(quote: nodes.block_quote) -> nodes.Element:
        """The first line of the first paragraph as a summary, the other lines below it."""
        first, *others = quote.children
        end = next((i for i, node in enumerate(first.children) if isinstance(node, nodes.raw)), len(first.children))
        title, rest = first.children[:end], first.children[end + 1 :]
        return reproduction.folded(
            title, [*([nodes.paragraph("", "", *rest)] if rest else []), *others], classes=["box"]
        )


class FoldedProofs(SphinxTransform):
    """Fold the proofs of class `dropdown`; their directive gives them no title that a theme could fold under."""

    default_priority = 699

    def apply(self) -> None:
        """Called by Sphinx for each page."""
        for proof in list(self.document.findall(nodes.admonition)):
            if {"proof", "dropdown"} <= set(proof["classes"]):
                proof.parent.replace(proof, self.fold(proof))

    @staticmethod
    def fold(proof: nodes.admonition) -> nodes.Element:
        """The word "Proof" as a summary, and the proof without it."""
        first = next(proof.findall(nodes.Text))
        first.parent.replace(first, nodes.Text(first.removeprefix("Proof. ")))
        return reproduction.folded([nodes.Text("Proof")], proof.children, classes=["box", "folded-proof"])


def drop_thebe(app: Sphinx, config: Config) -> None:
    """Silence sphinx-thebe, which Jupyter Book always loads: live cells need a server and a script of another host."""
    for event in ("env-before-read-docs", "doctree-resolved"):
        listeners = app.events.listeners.get(event, [])
        listeners[:] = [one for one in listeners if one.handler.__module__ != "sphinx_thebe"]


def name_roles(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    """Entries of the bibliography are items of its list: docutils gives them a role that a list must not hold."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


class Records:
    """A renderer for the records of claims and errata, and for the numbers of figures: the reader sees the Markdown or
    the picture that stands beside each."""

    mime_priority_overrides = ()

    @staticmethod
    def handle_mime(renderer, data, inline: bool) -> list[nodes.Element] | None:
        """Called by myst-nb for each output."""
        return [] if data.mime_type in (claims.MIME, errata.MIME, drawn.MIME) else None


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.add_directive("panel-index", tables.PanelIndex)
    app.add_directive("status-table", tables.StatusTable)
    app.add_directive("run-table", tables.RunTable)
    app.add_directive("scale-table", tables.ScaleTable)
    app.add_directive("kill-table", trust.Kills)
    app.add_directive("rerun-table", trust.Reruns)
    app.add_directive("bad-inputs", trust.BadInputs)
    app.add_directive("finding", Finding)
    app.add_directive("api-names", reference.Names)
    app.add_directive("api-module", reference.Module)
    app.add_transform(PlainOutputs)
    app.add_transform(ShortEntries)
    app.add_transform(FoldedBoxes)
    app.add_transform(FoldedProofs)
    app.connect("env-get-outdated", reread)
    app.connect("html-page-context", name_roles)
    app.connect("doctree-read", mark)
    if Records not in load_mime_renders():  # the list that myst-nb keeps; its other door is an entry point of a package
        load_mime_renders().append(Records)
    app.connect("autodoc-process-docstring", docstrings.process)
    app.connect("config-inited", drop_thebe)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
