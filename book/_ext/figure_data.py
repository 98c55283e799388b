"""Under each figure of a chapter: its numbers as a file, and the command that makes it again.

The numbers are those that the notebook keeps beside the picture (`probsig.pages.drawn`), so an execution writes both.
A rerun says at its top with what it was made; its figures have their numbers only.
"""

import csv
import os
from pathlib import Path

import nbformat
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from probsig.pages import drawn
from probsig.runs import files

FOLDER = "notebooks/"


def kept(notebook: Path) -> dict[str, bytes]:
    """The numbers of each figure of a notebook: its name -> the file."""
    found = {}
    for cell in nbformat.read(notebook, as_version=4).cells:
        name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        packed = [output.data[drawn.MIME] for output in cell.get("outputs", []) if drawn.MIME in output.get("data", {})]
        if name and packed:
            found[name] = drawn.unpacked(packed[0])
    return found


def is_thinned(numbers: bytes) -> bool:
    """Whether a series is without some of its points."""
    return any(row["every"] != "1" for row in csv.DictReader(numbers.decode().splitlines(keepends=True)))


class FigureData(SphinxTransform):
    """A line under each figure of a notebook."""

    default_priority = 699

    def apply(self) -> None:
        """Called by Sphinx for each page."""
        notebook = Path(self.env.srcdir, f"{self.env.docname}.ipynb")
        if not notebook.is_file():
            return
        numbers = kept(notebook)
        is_rerun = "papermill" in nbformat.read(notebook, as_version=4).metadata
        for figure in self.document.findall(nodes.figure):
            for name in numbers.keys() & set(figure["names"]):
                figure += nodes.legend("", self.line(name, numbers[name], is_rerun), classes=["figure-data"])

    def line(self, name: str, numbers: bytes, is_rerun: bool) -> nodes.paragraph:
        """A link to the file, which is written here, and the command."""
        file = Path(self.env.app.doctreedir, "figure_data", f"{name}.csv")
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(file, numbers)
        page = Path(self.env.doc2path(self.env.docname)).parent
        words = "Data (CSV, thinned)" if is_thinned(numbers) else "Data (CSV)"
        link = addnodes.download_reference(
            "", "", nodes.Text(words), reftarget=Path(os.path.relpath(file, page)).as_posix(), refdoc=self.env.docname
        )
        if is_rerun:
            return nodes.paragraph("", "", link)
        command = f"make execute-one NB={self.env.docname.removeprefix(FOLDER)}"
        return nodes.paragraph("", "", link, nodes.Text(" · Make it again: "), nodes.literal("", command))


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.add_transform(FigureData)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
