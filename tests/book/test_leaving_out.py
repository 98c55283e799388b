"""A chapter on a text that is too short for parts of it: what is left out, what is not, and what still stops it."""

import nbformat
import pytest
import rerun
import staleness
from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.utils import new_document
from nbformat import v4
from probsig_book import leave_out_findings

CELLS = [
    'text: str = "stand-in"',
    "from probsig.pages import parameters\np = parameters.check(globals(), text=parameters.Text())",
    "from probsig.errors import TooLittle\nprint('before')",
    "def made():\n    raise TooLittle('Three *tokens* are too few: take more text.')\n\n\nfound, *rest = made()",
    "found + 1",
    "other = {}\nother['a'] = found",
    "print(other['a'])",
    "print('after')",
]


def chapter(tmp_path, cells):
    made = [v4.new_code_cell(cell) for cell in cells]
    made[0].metadata["tags"] = ["parameters"]
    made[4].metadata["mystnb"] = {"figure": {"name": "fig-x", "caption": "y"}}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nb = v4.new_notebook(cells=made, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    (tmp_path / "book" / "notebooks" / "part").mkdir(parents=True)
    nbformat.write(nb, tmp_path / "book" / "notebooks" / "part" / "chapter.ipynb")
    return staleness.Book(tmp_path / "book")


def test_a_page_is_made_without_what_the_text_is_too_short_for(tmp_path):
    book = chapter(tmp_path, CELLS)
    output = rerun.execute("part/chapter", {"text": "mine.txt"}, tmp_path / "target", book)
    cells = [cell for cell in nbformat.read(output, as_version=4).cells if cell.cell_type == "code"][-6:]
    shown = [cell.outputs[0].get("text") or cell.outputs[0].data["text/markdown"] for cell in cells]
    assert (shown[0], shown[5]) == ("before\n", "after\n")
    assert shown[1].startswith("**Left out:** Three") and "*tokens*" not in shown[1]
    assert all(one == "**Left out** for want of what is left out above." for one in shown[2:5])
    assert "mystnb" not in cells[2].metadata


@pytest.mark.parametrize("cell", ["undefined_name", "raise ValueError('Three words are found.')"])
def test_any_other_error_stops_the_chapter(cell, tmp_path):
    cells = [*CELLS[:4], "print('between')", cell]
    with pytest.raises(
        rerun.RerunError, match=r"part/chapter failed in a cell, (Name|Value)Error: .*(defined|found); see "
    ):
        rerun.execute("part/chapter", {}, tmp_path / "target", chapter(tmp_path, cells))


def test_a_rerun_states_no_finding_of_the_book():
    """Neither in a block of its own, nor in the first sentence of a caption, nor in what stands for a picture."""
    page = new_document("page", get_default_settings())
    caption = nodes.caption(
        "", "", nodes.strong("", "Digits are ordered."), nodes.Text(" Cosines of "), nodes.math("", "W")
    )
    page += [
        nodes.container("", nodes.paragraph("", "The digits are ordered."), classes=["finding"]),
        nodes.paragraph("", "", nodes.strong("", "Definition.")),
        nodes.figure("", nodes.image(uri="a.png", alt="A bright diagonal."), caption),
    ]
    leave_out_findings(page)
    assert (caption.astext(), caption.next_node(nodes.strong)) == (" Cosines of W", None)
    assert [type(part) for part in page] == [nodes.paragraph, nodes.figure]
    assert next(page.findall(nodes.image))["alt"] == "The caption says what is drawn."
