"""The page of `probsig report`: a text's tokens and groups, and where a model is given, how its embedding follows them.

Sections that a text has nothing for are left out, and the page says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from probsig.answers import given
from probsig.answers.alignment import align
from probsig.answers.beside import Beside, beside
from probsig.answers.kinship import group
from probsig.answers.neighbours import nearest
from probsig.errors import TooLittle, one_of
from probsig.geometry.large import cosines
from probsig.pages import figures, html, named
from probsig.signatures.tokens import KINDS
from probsig.text.corpora import Corpus
from probsig.text.groups import GROUPS

FREQUENT, LISTED = 15, 5  # tokens of the table, and how many of their neighbours it lists
READ = (
    "A signature of a token is the law of what stands beside it, counted in the text. R_cos is the correlation of the "
    "cosines of all pairs of tokens, in the embedding on one side and in the signatures on the other. By itself it "
    "means little: compare it with what tokens shuffled among tokens of a similar frequency give (chance), and with "
    "what two halves of the text allow (the ceiling). An embedding has noise of its own, which one model cannot show.",
    "A correlation does not say that the model learned from this text, or from the law of the next token: other texts "
    "have much the same signatures. Rare tokens have noisy signatures; raise --least where the page doubts.",
)


@dataclass(frozen=True)
class Settings:
    """How the page's numbers are made: as the options of the command, and as the arguments of `align`."""

    signature: str = "next"
    kind: str = "raw"
    most: int = 2000
    least: int = 50
    draws: int = 200
    seed: int = 0


def report(corpus: Corpus, W: Any, tokens: Sequence[str], settings: Settings) -> str:
    """The page, HTML, about a text and where `W` is not None about an embedding on it; `tokens`: what is told of
    beside the most frequent ones. Raises ValueError for a token that is none, and for what `align` and `beside`
    refuse."""
    one_of("kind", settings.kind, KINDS)
    figures.without_windows()
    figures.use_style()
    source = given.text(corpus)
    parts: list[str] = [_facts(corpus, source, settings)]
    if W is not None:
        name = given.embedding(W).name
        parts.append(html.heading(f"Does {name} follow this text?"))
        found = align(W, corpus, **asdict(settings))
        caption = (
            "Left: R_cos (with the spread of tokens drawn anew) and with frequency taken out, over the grey range "
        )
        caption += "of its shuffles. Right: each token's own correlation by how often it was seen."
        parts.append(html.sentences(found))
        if np.isfinite(found.by_token).any():
            parts.append(html.picture(found.plot(), str(found).split("\n")[0], caption))
    parts += _tokens(corpus, source, settings)
    for token in tokens:
        parts += _token(token, corpus, W, settings)
    groups = {name: _group(name, members, corpus, source, W, settings) for name, members in GROUPS.items()}
    left = [name for name, section in groups.items() if not section]
    parts += [html.heading("Tokens of known kinds")] if len(left) < len(groups) else []
    parts += [part for section in groups.values() for part in section]
    parts.append(html.heading("How to read this page"))
    parts += map(html.paragraph, READ)
    if left:
        parts.append(html.paragraph(f"Left out, of which there is too little: {', '.join(left)}."))
    made = ", ".join(f"{key} {value}" for key, value in asdict(settings).items())
    parts.append(html.paragraph(f"Made by probsig {version('probsig')} with {made}."))
    return html.page(f"Signatures of {corpus.name}", parts)


def _facts(corpus: Corpus, source: given.Text, settings: Settings) -> str:
    frequency = source.data.frequency
    damaged, empty = len(corpus.record["left_out"]), int(corpus.record["empty"])
    rows = [
        ["tokenizer", html.Token(corpus.tokenizer.name)],
        ["documents", f"{source.documents:,}"],
        ["tokens", f"{len(corpus.ids):,}"],
        ["distinct tokens", f"{np.count_nonzero(frequency):,}"],
        [f"seen {settings.least} times", f"{np.count_nonzero(frequency >= settings.least):,}"],
        ["left out", f"{damaged} damaged documents, {empty} empty ones"],
        ["digest of text and tokenizer", html.Token(corpus.digest[:16])],
    ]
    return html.table(["the text", ""], rows)


def _tokens(corpus: Corpus, source: given.Text, settings: Settings) -> list[str]:
    asked: list[int] = source.frequent(FREQUENT, 1).tolist()
    found = [one for one in (_beside(token, corpus, settings) for token in asked) if one is not None]
    if not found:
        return [html.paragraph(f"No two tokens were seen {settings.least} times, so none is compared.", "doubt")]
    rows = [
        [
            html.Token(one.label),
            f"{one.count:,}",
            _listed(one.labels, one.weights),
            _listed(one.near_labels, one.near_cosines),
        ]
        for one in found
    ]
    head = ["token", "seen", f"in {settings.signature}, with the share", "nearest, with the cosine"]
    return [html.heading("The most frequent tokens"), html.table(head, rows)]


def _beside(token: int | str, corpus: Corpus, settings: Settings, number: int = LISTED) -> Beside | None:
    """`beside`, or None where the text has no other token to compare with, or the last token of all has no next."""
    try:
        return beside(
            token, corpus, signature=settings.signature, number=number, most=settings.most, least=settings.least
        )
    except TooLittle:
        return None


def _listed(labels: Sequence[str], values: np.ndarray) -> list[Any]:
    return [part for label, value in zip(labels, values, strict=True) for part in (html.Token(label), f"{value:.2f}")]


def _token(token: str, corpus: Corpus, W: Any, settings: Settings) -> list[str]:
    shared = {"signature": settings.signature, "most": settings.most, "least": settings.least, "seed": settings.seed}
    found = beside(token, corpus, **shared)  # type: ignore[arg-type]
    caption = "Left: what stands beside it. Right: the tokens that have the same beside them."
    parts = [html.heading(f"The token {token!r}"), html.sentences(found), html.picture(found.plot(), token, caption)]
    if W is not None:
        near = nearest(token, W, corpus, kind=settings.kind, **shared)  # type: ignore[arg-type]
        caption = "The nearest tokens by the embedding and by the signature; those in both lists are in colour."
        parts += [html.sentences(near), html.picture(near.plot(), str(near).split("\n")[0], caption)]
    return parts


def _group(
    name: str, members: Sequence[str], corpus: Corpus, source: given.Text, W: Any, settings: Settings
) -> list[str]:
    """The section of a group; empty where fewer than 3 of its members were seen often enough and have a row."""
    ids = [corpus.tokenizer.id(member) for member in members]
    there = [(one, id) for one, id in zip(members, ids, strict=True) if id is not None]
    there = [(one, id) for one, id in there if source.data.frequency[id] >= settings.least]
    if len(there) < 3:
        return []
    parts = [html.heading(f"The {name}", 3)]
    if W is not None:
        try:
            kin = group(name, W, corpus, signature=settings.signature, kind=settings.kind, seed=settings.seed)
        except TooLittle:  # fewer than 3 of them have a row
            return []
        caption = "Above: cosines, in the order of the names. Below: the first two principal components."
        return [*parts, html.sentences(kin), html.picture(kin.plot(), str(kin).split("\n")[0], caption)]
    rows = source.signatures.rows(settings.signature, [id for _, id in there])
    square = cosines(rows, absent="zero").square().astype(float)
    title = f"{settings.signature} of {corpus.name}".replace("$", r"\$")
    axes = named.heatmaps([square], [title], [[one for one, _ in there]], columns=1).axes
    return [
        *parts,
        html.picture(axes, f"cosines of the {name}", "Cosines of their signatures, in the order of the names."),
    ]
