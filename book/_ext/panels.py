"""The 54 panels of the paper's two versions, and where this book shows them.

A figure of ours shows a panel when its caption names it literally, as in `v1 Fig. 2A / v2 Fig. 10`; captions live in
the metadata of the notebooks' cells.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import nbformat


class Row(NamedTuple):
    """Panels of the first and of the revised version that show one thing."""

    first: str
    revised: str
    shows: str


ROWS = (
    Row("1A 7", "8", "the distributions behind the signatures of the three addition tasks"),
    Row("3A", "2A 3A", "cosines between the anchors' signatures"),
    Row("1B", "9", "training accuracy of the linear and the feed-forward model"),
    Row("2A", "2B 3B", "cosines between the anchors' embeddings in training"),
    Row("2B", "10", "the order correlation over training"),
    Row("3B", "", "not described in the text at hand"),
    Row("3C 8", "4", "principal components of the signatures and of the anchors' embeddings"),
    Row("4A 4B 4C", "5A 5B 5C", "unembeddings of the linear model against the inverse signature"),
    Row("9A 9B", "11A 11B", "unembeddings of the feed-forward model"),
    Row("5A 10", "6A 12 13", "cosines of embeddings and next-token signatures, by subset"),
    Row("5B", "6B", "cosine correlation by subset"),
    Row("5C", "14A", "correlation of a token against its mean similarity"),
    Row("5D 11", "14B", "percentiles of signature cosines within intervals of embedding cosines"),
    Row("5E", "14C", "mean percentile by interval"),
    Row("12", "15", "the tokens /a, /b, /c, /d in the mathematics subset"),
    Row("13", "16A 16B 16C 16D 16E", "all of it with Llama-2"),
    Row("6A", "7A", "a pretrained model's embeddings against the tied signature"),
    Row("6B", "1 7B", "the digits"),
)
_NAME = re.compile(r"(v[12]) Fig\. (\d+[A-E]?)(?![0-9A-Za-z])")


def all_panels() -> list[tuple[str, str]]:
    """Every panel as (name, what it shows), named as captions name it; by version, then by number.

    >>> len(all_panels()), all_panels()[0][0], all_panels()[-1][0]
    (54, 'v1 Fig. 1A', 'v2 Fig. 16E')
    """
    pairs = [(f"v1 Fig. {panel}", row.shows) for row in ROWS for panel in row.first.split()]
    pairs += [(f"v2 Fig. {panel}", row.shows) for row in ROWS for panel in row.revised.split()]
    return sorted(pairs, key=lambda pair: (pair[0][:2], int(re.search(r"Fig\. (\d+)", pair[0])[1]), pair[0]))


def named_in(caption: str) -> list[str]:
    """The panels that a caption names.

    >>> named_in("Heatmaps. (v1 Fig. 2A / v2 Fig. 10)")
    ['v1 Fig. 2A', 'v2 Fig. 10']
    """
    return [f"{version} Fig. {number}" for version, number in _NAME.findall(caption)]


def figures(notebook: Path) -> list[tuple[str, str]]:
    """The figures of a notebook: (name, caption) of each cell that has both."""
    found = []
    for cell in nbformat.read(notebook, as_version=4).cells:
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if figure.get("name"):
            found.append((figure["name"], figure.get("caption", "")))
    return found


def shown(notebooks: Iterable[Path]) -> dict[str, list[str]]:
    """Panel -> names of our figures whose captions name it, over all notebooks in the order given."""
    found: dict[str, list[str]] = {}
    for notebook in notebooks:
        for name, caption in figures(notebook):
            for panel in dict.fromkeys(named_in(caption)):
                found.setdefault(panel, []).append(name)
    return found
