"""The reproduction and errata pages: who said it, what became of it, folded, with nothing lost."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import reproduction
from nbformat import v4

from probsig.pages import claims, errata

pytestmark = pytest.mark.slow

CONF = """
import sys
extensions = ["myst_nb", "sphinx_external_toc", "sphinx_proof", "reproduction"]
external_toc_path = "_toc.yml"
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
numfig = True
myst_enable_extensions = ["dollarmath"]
suppress_warnings = ["mystnb.unknown_mime_type"]  # the records, which probsig_book knows
html_static_path = ["static"]
html_js_files = ["folds.js", "claims.js"]
"""
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PYTHON = {"language_info": {"name": "python", "pygments_lexer": "python"}}
PAGE = """# Title

```{paper-statements}
Corollary 1 | Corollary 1; D.3
Training | 4.1
```

```{claims-table}
```

```{errata-table} conclusion
```

```{errata-table} slip
```
"""


def cell(shown):
    return v4.new_code_cell("c", outputs=[v4.new_output("execute_result", data=shown._repr_mimebundle_())])


def paper(key, place, measured, **more):
    return claims.claim(
        key, f"Statement {key} with $x<1$", paper=place, says="a slope", measured=measured, interval=(4.9, 5.1), **more
    )


def wrong(key, tier, **more):
    words = {
        "where": "v2 D.3",
        "printed": "a<b",
        "corrected": "b",
        "why": "because $x$",
        "size": "half",
        "proof": "thm",
    }
    return errata.erratum(key, tier, **words, **more)


@pytest.fixture
def book(tmp_path):
    shown = [
        paper("held", "v2 Corollary 1", [5.0, 5.01]),
        paper("mended", "v1 and v2 appendix D.3", [5.0, 5.01], corrected="the mean kept"),
        paper("small", "v2 section 4.1, Corollary 1", [4.0, 4.01], setting="reduced", differs="width 50"),
        claims.claim("ours", "Our theorem", about="v2 C.2", measured=1, interval=(0, 2), setting="theory"),
        wrong("grave", "conclusion", changes="The collapse depends on the start"),
        wrong("pen", "slip"),
    ]
    text = "# Chapter\n\n```{prf:theorem} T\n:label: thm\n\nText.\n```\n"
    (tmp_path / "notebooks" / "theory").mkdir(parents=True)
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell(text), *map(cell, shown)], metadata=PYTHON)
    (tmp_path / "notebooks" / "theory" / "one.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    (tmp_path / "_toc.yml").write_text(
        "root: index\nsubtrees:\n- entries:\n  - file: notebooks/theory/one\n", encoding="utf-8"
    )
    (tmp_path / "conf.py").write_text(CONF, encoding="utf-8")
    (tmp_path / "static").mkdir()
    for name in ("folds.js", "claims.js"):
        shutil.copy(Path(reproduction.__file__).parents[1] / "_static" / name, tmp_path / "static")
    return tmp_path


def build(book, page):
    """The HTML of the page and Sphinx's warnings."""
    (book / "index.md").write_text(page, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "sphinx", "-b", "html", "-E", "-q", str(book), str(book / "html")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(reproduction.__file__).parent), os.getcwd()])},
    )
    assert run.returncode == 0, run.stderr
    return (book / "html" / "index.html").read_text(encoding="utf-8"), run.stderr


def words(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_the_score_counts_both_sides(book):
    html, warnings = build(book, "# Door\n\n```{score}\n```\n\n```{toctree}\nnotebooks/theory/one\n```\n")
    assert "ERROR" not in warnings, warnings
    score = words(html.split('class="score', 1)[1])
    assert "The paper’s statements: 3 1 holds 1 holds once corrected 1 not tested at its setting" in score
    assert "This book’s own: 1 1 kept" in score


def test_the_pages(book):
    html, warnings = build(book, PAGE)
    assert "WARNING" not in warnings and "ERROR" not in warnings, warnings
    summary, rest = html.split('class="all-claims', 1)
    assert "Corollary 1 1 1 Training" in words(summary)  # one holds, one holds once corrected
    assert "Training 1 Claims in all" in words(summary)  # the claim's first place decides
    assert "Claims in all 1 1 1" in words(summary)
    assert "This book's own theorems and predictions, 1: 1 kept." in words(summary)
    rows = re.findall(r'<tr class="([^"]*claim[^"]*)" id="([^"]+)">', rest)
    assert [name for _, name in rows] == ["claim-held", "claim-mended", "claim-small", "claim-ours"]
    assert {"of-paper", "is-holds-once-corrected", "at-paper"} <= set(rows[1][0].split())
    assert {"of-book", "is-kept", "at-theory"} <= set(rows[3][0].split())
    assert "not tested at its setting; fails here" in words(rest)
    assert html.count("<details") == html.count("</details>") == html.count("<summary") == 3
    assert (
        "Chapter the paper: 1 holds, 1 holds once corrected, 1 not tested at its setting; this book: 1 kept"
        in words(rest)
    )
    assert "The collapse depends on the start. v2 D.3 half" in words(rest)
    assert "1 slips" in words(rest) and "x&lt;1" in rest and "a&lt;b" in rest


def test_a_statement_of_the_paper_that_no_row_takes_is_a_warning(book):
    page = "# Title\n\n```{paper-statements}\nCorollary 1 | Corollary 1\n```\n"
    _, warnings = build(book, page)
    assert "no row takes the claim mended (v1 and v2 appendix D.3)" in warnings
    assert "claim small" not in warnings  # its second place is in the row


def test_an_unknown_tier_is_a_warning(book):
    _, warnings = build(book, "# Title\n\n```{errata-table} formula\n```\n")
    assert "there are no errata of tier formula" in warnings


@pytest.mark.browser
def test_the_filters_hide_what_is_not_asked_for(book):
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: install Debian's package chromium to judge the pages")
    from playwright.sync_api import sync_playwright

    build(book, PAGE)
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(offline=True).new_page()
        wrong = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto((book / "html" / "index.html").as_uri())
        rows, parts = page.locator("tr.claim"), page.locator(".all-claims details")
        whose, verdict, _ = (page.locator(".claims-filter select").nth(i) for i in range(3))
        assert rows.locator("visible=true").count() == 0 and page.locator("output").inner_text() == "4 claims"
        whose.select_option("of-paper")
        verdict.select_option("is-holds")
        assert page.locator("output").inner_text() == "1 of 4 claims" and parts.get_attribute("open") is not None
        assert rows.locator("visible=true").count() == 1 and page.locator("#claim-held").is_visible()
        page.get_by_label("Words").fill("no such words")
        assert not parts.is_visible()
        page.get_by_role("button", name="Show all").click()
        assert page.locator("output").inner_text() == "4 claims" and parts.get_attribute("open") is None
        page.goto((book / "html" / "index.html").as_uri() + "#claim-ours")
        page.reload()
        assert page.locator("#claim-ours").is_visible()
        browser.close()
    assert wrong == []
