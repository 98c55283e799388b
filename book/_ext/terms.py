"""The first time that a chapter uses a word of the glossary, the word leads to it.

Only plain sentences are read: no title, link, code or formula, nothing that a cell put out. The longest word wins, and
a plural counts. Words are taken from the text of `book/glossary.md`, so that there is one list.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

GLOSSARY = "book/glossary.md"
PARTS = ("notebooks/",)
APART = (nodes.reference, nodes.title, nodes.literal, nodes.math, nodes.figure, nodes.term, addnodes.pending_xref)


@cache
def words(text: str) -> list[str]:
    """The words of a glossary's source, the longest first.

    >>> words("```{glossary}\\nnull\\n    What.\\n\\nlabel signature\\n    A list.\\n```")
    ['label signature', 'null']
    """
    return sorted(re.findall(r"^(\w[^\n]*)\n {4}", text, re.MULTILINE), key=len, reverse=True)


class FirstUse(SphinxTransform):
    """Link the first use of each word of the glossary."""

    default_priority = 698

    def apply(self) -> None:
        """Called by Sphinx for each page."""
        source = Path(self.app.srcdir, GLOSSARY)
        if not self.env.docname.startswith(PARTS) or not source.is_file():
            return
        self.env.note_dependency(str(source))
        left = list(words(source.read_text(encoding="utf-8")))
        for text in list(self.texts()):
            if not left:
                return
            found = re.search(rf"\b({'|'.join(map(re.escape, left))})s?\b", text.astext())
            if found:
                left.remove(found[1])
                before, after = text.astext()[: found.start()], text.astext()[found.end() :]
                parts = [nodes.Text(before), self.link(found[1], found[0]), nodes.Text(after)]
                text.parent.replace(text, [part for part in parts if part.astext()])

    def texts(self) -> Iterator[nodes.Text]:
        """The plain sentences of the page."""
        for paragraph in self.document.findall(nodes.paragraph):
            above = paragraph
            while above is not None and "cell" not in getattr(above, "attributes", {}).get("classes", []):
                above = above.parent
            if above is None:
                yield from (node for node in paragraph.findall(nodes.Text) if not self.apart(node.parent, paragraph))

    @staticmethod
    def apart(node: nodes.Node, paragraph: nodes.Node) -> bool:
        """Whether a node lies in one of the kinds that stay as they are."""
        while node is not paragraph:
            if isinstance(node, APART):
                return True
            node = node.parent
        return False

    def link(self, word: str, shown: str) -> nodes.Node:
        """A reference to a word of the glossary."""
        target = addnodes.pending_xref(
            "", refdomain="std", reftype="term", reftarget=word, refexplicit=True, refdoc=self.env.docname, refwarn=True
        )
        target += nodes.inline("", shown, classes=["xref", "std", "std-term"])
        return target


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.add_transform(FirstUse)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
