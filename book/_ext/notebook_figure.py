"""Pages of prose quote the notebooks: a figure by its name, a measured number by its claim's key.

    ```{notebook-figure} fig-task-signatures
    A caption of one's own.
    ```

    The loss stays above {measured}`theory-linear-bound`.

Both are read from the committed notebooks while the book is built, so that no copy can drift, and both link to where
they were made. A name or key that no notebook has is a warning, which `-W` makes an error.
"""

import base64
import os
from collections.abc import Sequence
from math import floor, log10
from pathlib import Path
from statistics import stdev
from typing import NamedTuple

import nbformat
import records
import tables
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from probsig.runs import files as runs_files

logger = logging.getLogger(__name__)


class Picture(NamedTuple):
    """A figure's PNG and its alternative text."""

    png: bytes
    alt: str


def find(notebook: Path, name: str) -> Picture | None:
    """The named figure of a notebook, or None where it has no such figure or no picture in its outputs."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        shown = cell.metadata.get("mystnb", {})
        if shown.get("figure", {}).get("name") == name:
            pictures = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
            return Picture(base64.b64decode(pictures[0]), shown.get("image", {}).get("alt", "")) if pictures else None
    return None


class NotebookFigure(tables.BookDirective):
    """`{notebook-figure} name`, with the caption as content."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Called by docutils."""
        name = self.arguments[0]
        found = next((picture for path in self.notebooks() if (picture := find(path, name))), None)
        if found is None:
            logger.warning("no notebook of the book shows a figure named %s", name, location=self.get_location())
            return []
        file = Path(self.env.app.doctreedir, "notebook_figures", f"{name}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        runs_files.write_whole(file, found.png)
        page = Path(self.env.doc2path(self.env.docname)).parent
        image = nodes.image(uri=Path(os.path.relpath(file, page)).as_posix(), alt=found.alt)
        source = " ".join([*self.content, f"({{numref}}`{name}`)"])
        legend = nodes.legend("", *self.myst(source))  # not a caption: the figure has its number in its chapter
        return [nodes.figure("", image, legend, align="center")]


def in_prose(mean: float | str, values: Sequence[float] = ()) -> str:
    """A mean as a sentence quotes it: whole numbers whole, others to 4 digits, words such as "< 1e-12" as they are.

    Of replications it has the decimal place of their standard deviation, two at least, and three digits at most.

    >>> in_prose(28510.0), in_prose(2.7937720842), in_prose("< 1e-12")
    ('28510', '2.794', '< 1e-12')
    >>> in_prose(0.9996, [0.98, 0.99, 1.03]), in_prose(0.38, [0.37, 0.39])
    ('1.00', '0.38')
    """
    if isinstance(mean, str):
        return mean
    if mean.is_integer():
        return f"{mean:.0f}"
    spread = stdev(values) if len(values) > 1 else 0.0
    if not spread:
        return f"{mean:.4g}"
    places = max(0, min(2 - floor(log10(abs(mean))), max(2, -round(log10(spread)))))
    return f"{round(mean, places) + 0.0:.{places}f}"  # + 0.0: no -0.00


class Measured(SphinxRole):
    """``{measured}`key` ``: the mean that a claim measured, as its spread allows, without its unit, as a link."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Called by docutils."""
        made, _ = records.collect(Path(self.env.srcdir, "notebooks"))
        record = next((record for record in made if record["key"] == self.text), None)
        if record is None:
            logger.warning("no notebook makes the claim %s", self.text, location=self.get_location())
            return [nodes.Text("(left out)")], []  # of a rerun on a short text
        page = f"notebooks/{record['notebook']}"
        self.env.note_dependency(str(Path(self.env.srcdir, f"{page}.ipynb")))
        link = addnodes.pending_xref(
            "", refdomain="std", reftype="doc", reftarget=f"/{page}", refexplicit=True, refdoc=self.env.docname
        )
        values = [] if record["exact"] else [value for value in record["values"] if not isinstance(value, str)]
        link += nodes.inline("", in_prose(record["mean"], values))
        return [link], []


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.add_directive("notebook-figure", NotebookFigure)
    app.add_role("measured", Measured())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
