"""Prose pages quote the notebooks: the right picture, the right number, and a warning where there is none."""

import base64
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import notebook_figure
import pytest
from nbformat import v4
from PIL import Image

from probsig.pages import claims

pytestmark = pytest.mark.slow

CONF = """
import sys
extensions = ["myst_nb", "sphinx_external_toc", "notebook_figure"]
external_toc_path = "_toc.yml"
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
numfig = True
suppress_warnings = ["mystnb.unknown_mime_type"]  # the records of claims, which probsig_book knows
"""
PYTHON = {"language_info": {"name": "python", "pygments_lexer": "python"}}
PAGE = """# Title

```{notebook-figure} fig-one
A *caption*.
```

Found {measured}`a-claim`, {measured}`small` and {measured}`count`.
"""


def png(colour):
    file = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(file, format="png")
    return file.getvalue()


def picture(colour):
    return v4.new_output("display_data", data={"image/png": base64.b64encode(png(colour)).decode()})


def shown(key, measured, **more):
    claim = claims.claim(key, "S", measured=measured, interval=(0, 1), setting="theory", **more)
    return v4.new_code_cell("c", outputs=[v4.new_output("execute_result", data=claim._repr_mimebundle_())])


@pytest.fixture
def book(tmp_path):
    named = {"mystnb": {"figure": {"name": "fig-one", "caption": "C"}, "image": {"alt": "a red square"}}}
    empty = {"mystnb": {"figure": {"name": "fig-none", "caption": "C"}}}
    cells = [
        v4.new_markdown_cell("# Chapter"),
        v4.new_code_cell("a", outputs=[picture("blue")]),
        v4.new_code_cell("b", metadata=named, outputs=[v4.new_output("stream", text="x\n"), picture("red")]),
        v4.new_code_cell("c", metadata=empty),
        shown("a-claim", [0.123456, 0.123458]),
        shown("small", 1e-15, floor=1e-12),
        shown("count", 28510),
    ]
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "one.ipynb").write_text(
        json.dumps(v4.new_notebook(cells=cells, metadata=PYTHON)), encoding="utf-8"
    )
    (tmp_path / "_toc.yml").write_text(
        "root: index\nsubtrees:\n- entries:\n  - file: notebooks/one\n", encoding="utf-8"
    )
    (tmp_path / "conf.py").write_text(CONF, encoding="utf-8")
    return tmp_path


def build(book, page):
    """The HTML of the page, Sphinx's warnings and the folder of the built book."""
    (book / "index.md").write_text(page, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "sphinx", "-b", "html", "-E", "-q", str(book), str(book / "html")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(notebook_figure.__file__).parent)},
    )
    assert run.returncode == 0, run.stderr
    return (book / "html" / "index.html").read_text(encoding="utf-8"), run.stderr, book / "html"


def test_find_takes_the_picture_of_the_named_cell(book):
    notebook = book / "notebooks" / "one.ipynb"
    assert notebook_figure.find(notebook, "fig-one") == (png("red"), "a red square")
    assert notebook_figure.find(notebook, "fig-none") is None
    assert notebook_figure.find(notebook, "fig-two") is None


@pytest.mark.parametrize(
    ("mean", "words"), [(28510.0, "28510"), (2.7937720842, "2.794"), (-0.05105, "-0.05105"), ("< 1e-12", "< 1e-12")]
)
def test_numbers_as_prose_quotes_them(mean, words):
    assert notebook_figure.in_prose(mean) == words


@pytest.mark.parametrize(
    ("mean", "values", "words"),
    [
        (0.9996, [0.9896, 0.9886, 1.0207], "1.00"),
        (0.06444, [0.0629, 0.0659, 0.0646], "0.064"),
        (0.38, [0.37, 0.39], "0.38"),
        (0.56, [0.555, 0.565], "0.56"),
        (0.5574, [0.48, 0.62], "0.56"),
        (-0.9908, [-0.9911, -0.9905], "-0.991"),
        (-0.004, [-0.04, 0.032], "0.00"),
        (0.12345, [0.12345, 0.12345], "0.1235"),
        (1517.2, [1002.0, 2032.4], "1517"),
        (4.0, [3.0, 5.0], "4"),
    ],
)
def test_a_mean_is_quoted_as_its_spread_allows(mean, values, words):
    assert notebook_figure.in_prose(mean, values) == words


def test_a_page_shows_the_figure_and_the_numbers_and_links_to_their_chapter(book):
    html, warnings, folder = build(book, PAGE)
    assert "WARNING" not in warnings
    (image,) = re.findall(r'<img[^>]*alt="a red square"[^>]*>', html)
    assert (folder / re.search(r'src="([^"]+)"', image)[1]).read_bytes() == png("red")
    legend = re.search(r'<div class="legend">(.*?)</div>', html, re.DOTALL)[1]
    assert "A <em>caption</em>." in legend and 'href="notebooks/one.html#fig-one"' in legend
    quoted = re.findall(r'<a[^>]*href="notebooks/one.html"[^>]*><span[^>]*>([^<]*)</span></a>', html)
    assert quoted == ["0.1235", "&lt; 1e-12", "28510"]


def test_a_name_that_no_notebook_has_is_a_warning(book):
    page = "# Title\n\n```{notebook-figure} fig-two\n```\n\nFound {measured}`another`.\n"
    _, warnings, _ = build(book, page)
    assert "no notebook of the book shows a figure named fig-two" in warnings
    assert "no notebook makes the claim another" in warnings
