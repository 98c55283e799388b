"""A page of HTML that is one file: no script, nothing fetched, pictures within, and data that is shown as it is.

`page` puts parts together; `heading`, `paragraph`, `sentences`, `table` and `picture` make them. Whatever is handed to
any of these is text: signs of HTML in it are escaped, and what cannot be seen is named by its number.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from probsig.pages.words import visible

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; } h3 { font-size: 1.05rem; }
figure { margin: 1rem 0; } figcaption { font-size: 0.9rem; opacity: 0.85; }
img { max-width: 100%; height: auto; background: white; }
div.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.92rem; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.7rem 0.25rem 0; border-bottom: 1px solid #8886; }
code { background: #8882; border-radius: 3px; padding: 0 0.2em; white-space: pre-wrap; }
.doubt { border-left: 4px solid #d55e00; padding-left: 0.8rem; }
"""


class Token(str):
    """What a token says; a table shows it as code, with its blanks and line ends as signs."""


def escaped(text: object) -> str:
    """Text in a page: as it is, with signs of HTML escaped and controls named by their number.

    >>> escaped("a <b> & 'c'"), escaped("\\x00")
    ('a &lt;b&gt; &amp; &#x27;c&#x27;', 'U+0000')
    """
    return html.escape("".join(c if c.isprintable() or c == "\n" else f"U+{ord(c):04X}" for c in str(text)))


def heading(text: str, level: int = 2) -> str:
    """A heading of level 2 or 3.

    >>> heading("Digits")
    '<h2>Digits</h2>'
    """
    return f"<h{level}>{escaped(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph, of the class `kind` ("doubt") where one is given."""
    return f'<p class="{kind}">{escaped(text)}</p>' if kind else f"<p>{escaped(text)}</p>"


def sentences(answer: object) -> str:
    """What an answer says, a paragraph for each line; doubts are set apart.

    >>> sentences("R is 1.\\nDoubt: 59 tokens are few.")
    '<p>R is 1.</p>\\n<p class="doubt">Doubt: 59 tokens are few.</p>'
    """
    lines = str(answer).split("\n")
    return "\n".join(paragraph(line, "doubt" if line.startswith("Doubt:") else "") for line in lines)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; a cell is a text or a number, a `Token`, or a list of both.

    >>> table(["token"], [[Token(" <b>")]]).splitlines()[2]
    '<tr><td><code>␣&lt;b&gt;</code></td></tr>'
    """
    lines = ["<tr>" + "".join(f"<th>{escaped(one)}</th>" for one in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{_cell(one)}</td>" for one in row) + "</tr>" for row in rows]
    return "\n".join(['<div class="wide"><table>', *lines, "</table></div>"])


def picture(axes: Any, alt: str, caption: str) -> str:
    """The figure of some Matplotlib axes as a PNG within the page; the figure is closed."""
    figure, file = np.ravel(axes)[0].get_figure(root=True), io.BytesIO()
    figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
    plt.close(figure)
    data = base64.b64encode(file.getvalue()).decode()
    shown = f'<img alt="{escaped(alt)}" src="data:image/png;base64,{data}">'
    return f"<figure>{shown}<figcaption>{escaped(caption)}</figcaption></figure>"


def page(title: str, parts: Iterable[str]) -> str:
    """The whole page of some parts.

    >>> "<h1>a &amp; b</h1>" in page("a & b", [])
    True
    """
    head = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">",
        f"<title>{escaped(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escaped(title)}</h1>",
    ]
    return "\n".join([*head, *parts, "</body>\n</html>\n"])


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_cell, value))
    if isinstance(value, Token):  # a figure's dollar sign is escaped, a page's is not
        return f"<code>{escaped(visible(value).replace(chr(92) + '$', '$'))}</code>"
    return escaped(value)
