"""The built book as PDF: every page printed by a headless Chromium, in the order of the contents, joined into one file.

    python scripts/pdf.py                 # _build/pdf/book.pdf and _build/pdf/summary.pdf, the first page alone

The pages are those of `make book`; folded parts stay folded, as on the screen.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from pypdf import PdfWriter

ROOT = Path(__file__).resolve().parents[1]
READY = "async () => { if (window.MathJax && MathJax.startup) await MathJax.startup.promise; }"
PAPER = {"format": "A4", "margin": {"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"}}


def contents(toc: str) -> list[str]:
    """The pages of a table of contents, in its order.

    >>> contents("root: book/index\\nparts:\\n  - chapters:\\n    - file: notebooks/theory/idea\\n")
    ['book/index', 'notebooks/theory/idea']
    """
    return re.findall(r"(?:file|root): (\S+)", toc)


def printed(page: Page, source: Path, target: Path, scale: float = 0.8) -> str:
    """Print a built page; its title."""
    page.goto(source.as_uri())
    page.evaluate(READY)
    page.pdf(path=target, scale=scale, **PAPER)  # type: ignore[arg-type]
    return page.inner_text("h1").removesuffix("#").strip()


def main() -> int:
    """Print the book; 1 where it is not built or no browser is found."""
    site, target = ROOT / "_build" / "html", ROOT / "_build" / "pdf"
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None or not (site / "index.html").is_file():
        print(
            "No chromium on this machine." if chromium is None else "The book is not built: make book", file=sys.stderr
        )
        return 1
    target.mkdir(parents=True, exist_ok=True)
    book = PdfWriter()
    with sync_playwright() as engine, tempfile.TemporaryDirectory() as folder:
        browser = engine.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(offline=True, color_scheme="light").new_page()
        for number, name in enumerate(contents((ROOT / "_toc.yml").read_text(encoding="utf-8"))):
            file = Path(folder, f"{number}.pdf")
            title = printed(page, site / f"{name}.html", file)
            book.append(file, outline_item=title)
            if number == 0:
                printed(page, site / f"{name}.html", target / "summary.pdf", scale=0.68)  # two pages
        browser.close()
    book.compress_identical_objects()
    book.write(target / "book.pdf")
    print(f"{len(book.pages)} pages: {target / 'book.pdf'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
