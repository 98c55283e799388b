"""What nbval does not see: pairs agree, every cell ran, nothing is stale, outputs are clean, figures have captions."""

import json
import re

import jupytext
import nbformat
import panels
import pytest
import staleness
from jupytext.compare import compare_notebooks

from probsig.pages import claims, drawn, errata

BOOK = staleness.Book()
NAMES = BOOK.names()
chapters = pytest.mark.parametrize("name", NAMES)


def code_cells(name):
    cells = json.loads(BOOK.notebook(name).read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_there_are_chapters():
    assert NAMES


def test_every_notebook_has_a_text():
    folder = BOOK.root / "notebooks"
    assert {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.ipynb")} == set(NAMES)
    assert set(BOOK.records()) == set(NAMES)


@chapters
def test_pair_agrees(name):
    notebook = jupytext.read(BOOK.notebook(name))
    text = jupytext.read(BOOK.text(name))
    compare_notebooks(notebook, text, fmt="md:myst", allow_expected_differences=True)


@chapters
def test_not_stale(name):
    assert BOOK.reasons(name) == []


@chapters
def test_outputs_are_complete_and_clean(name):
    cells = code_cells(name)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            assert output.get("name") != "stderr", output.get("text")
            shown = json.dumps([output.get("text", ""), output.get("data", {}).get("text/plain", "")])
            assert not re.search(r"(?<![\w.])/(home|root|tmp|opt|work|Users)/|0x[0-9a-f]{6,}", shown), shown


KINDS = {
    *("text/plain", "text/markdown", "image/png", drawn.MIME, "application/papermill.record/text/plain"),
    *(claims.MIME, errata.MIME),
}
TAGS = {"parameters", "hide-input", "hide-cell", "hide-output"}


@chapters
def test_outputs_are_of_kinds_that_something_compares(name):
    """nbval and the collected claims compare texts, the ledger pictures with their numbers; no tag leaves out any."""
    for cell in code_cells(name):
        assert set(cell["metadata"].get("tags", [])) <= TAGS and "NBVAL" not in "".join(cell["source"]).upper()
        for output in cell["outputs"]:
            assert output["output_type"] in ("stream", "execute_result", "display_data")
            assert set(output.get("data", {})) <= KINDS


@chapters
def test_metadata_is_bare(name):
    nb = nbformat.read(BOOK.notebook(name), as_version=4)
    nbformat.validate(nb)
    assert set(nb.metadata) == {"kernelspec", "language_info"}
    assert nb.metadata.kernelspec.name == "python3" and "version" not in nb.metadata.language_info
    assert not any("execution" in cell.metadata or "papermill" in cell.metadata for cell in nb.cells)


@chapters
def test_one_cell_of_annotated_parameters(name):
    tagged = [cell for cell in code_cells(name) if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1
    for line in "".join(tagged[0]["source"]).splitlines():
        assert re.match(r"\w+: \w.* = .+  # .+", line), line


@chapters
def test_figures_have_a_caption_a_name_alternative_text_and_their_numbers(name):
    for cell in code_cells(name):
        pictures = [output["data"] for output in cell["outputs"] if "image/png" in output.get("data", {})]
        if pictures:
            assert all(drawn.unpacked(data[drawn.MIME]).count(b"\n") > 1 for data in pictures)
            shown = cell["metadata"]["mystnb"]
            assert shown["figure"]["caption"] and shown["figure"]["name"].startswith("fig-")
            assert len(shown["image"]["alt"]) > 10


@chapters
def test_captions_name_panels_that_exist(name):
    known = {panel for panel, _ in panels.all_panels()}
    for _, caption in panels.figures(BOOK.notebook(name)):
        assert set(panels.named_in(caption)) <= known
        loose = re.sub(r"v[12] Fig\. \d+[A-E]?", "", caption)
        assert not re.search(r"v[12],? Fig", loose), f"written otherwise than 'v1 Fig. 2A': {caption}"


def test_panels_of_both_versions():
    names = [name for name, _ in panels.all_panels()]
    assert len(set(names)) == 54
    assert sum(name.startswith("v1") for name in names) == 25
    assert panels.named_in("v1 Fig. 2A / v2 Fig. 10; not v1 Fig. 2AB, not v3 Fig. 1") == ["v1 Fig. 2A", "v2 Fig. 10"]


def test_chapters_describe_runs_escaped():
    for name in NAMES:
        assert not re.search(r"runs\.describe\(|\.provenance\(", BOOK.text(name).read_text(encoding="utf-8")), name
