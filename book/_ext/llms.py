"""`llms.txt` beside the built pages, for readers that are programs: the book, and each page with its first sentence."""

import re
from pathlib import Path

from sphinx.application import Sphinx

from probsig.runs import files

SUMMARY = (
    "A worked, checked and rerunnable book about probability signatures: what a token's statistics in the data say "
    "about its embedding. Theory with proofs and numerical checks, the paper's addition tasks trained again, language "
    "models, and tools for a text and a model of one's own."
)


def first_sentence(source: str) -> str:
    """The first sentence of a page's MyST text that needs no role, without links; empty where there is none.

    >>> first_sentence("---\\nx: 1\\n---\\n\\n# A title\\n\\nSee {doc}`there`.\\nOr [here](a.md), $x$.\\nMore.\\n")
    'Or here, $x$.'
    """
    after = re.split(r"^# .+$", source, maxsplit=1, flags=re.MULTILINE)[-1]
    blocks = (" ".join(block.split()) for block in after.split("\n\n"))
    plain = [block for block in blocks if block and not re.match(r"[`:#|\-$]", block)]
    sentences = [sentence for block in plain for sentence in re.split(r"(?<=[.?!])\s", block)]
    said = next((sentence for sentence in sentences if not re.search(r"\{[\w:]+\}`", sentence)), "")
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", said).replace("**", "")


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the file when all pages are written."""
    if error is not None or app.builder.name != "html":
        return
    lines = [f"# {app.config.html_title}", "", f"> {SUMMARY}", "", "## Pages", ""]
    for page in [app.config.root_doc, *(name for name in app.config.external_site_map if name != app.config.root_doc)]:
        name = re.sub(r"\.(md|ipynb)$", "", page)
        source = Path(app.srcdir, f"{name}.md")
        if name in app.env.titles and source.is_file():
            said = first_sentence(source.read_text(encoding="utf-8"))
            lines.append(f"- [{app.env.titles[name].astext()}]({name}.html){f': {said}' if said else ''}")
    files.write_whole(Path(app.outdir, "llms.txt"), ("\n".join(lines) + "\n").encode())


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.connect("build-finished", write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
