"""The boxes of claims, errata and proofs on a page: one line that stays, and the rest, which opens."""

from docutils import nodes
from probsig_book import FoldedBoxes, FoldedProofs


def folded(*paragraphs):
    return FoldedBoxes.fold(nodes.block_quote("", *paragraphs))


def test_the_first_line_of_a_claim_stays_and_its_other_lines_open():
    line_end = nodes.raw("", "<br />\n", format="html")
    box = folded(
        nodes.paragraph(
            "", "", nodes.strong("", "This book: kept."), nodes.Text(" It holds."), line_end, nodes.Text("Measured 1")
        )
    )
    summary, rest = box.children
    assert summary.astext() == "This book: kept. It holds."
    assert rest.astext() == "Measured 1"


def test_the_first_paragraph_of_an_erratum_stays_and_its_formulas_open():
    paragraphs = [nodes.paragraph("", words) for words in ("Erratum, slip: a sign.", "Printed", "Corrected")]
    box = folded(*paragraphs)
    assert [child.astext() for child in box.children] == ["Erratum, slip: a sign.", "Printed", "Corrected"]


def test_one_line_alone_opens_on_nothing():
    assert len(folded(nodes.paragraph("", "The paper: holds. That is all.")).children) == 1


def test_a_folded_proof_says_its_word_once():
    proof = nodes.admonition("", nodes.paragraph("", "Proof. Expand."), nodes.paragraph("", "Sum."))
    assert [child.astext() for child in FoldedProofs.fold(proof).children] == ["Proof", "Expand.", "Sum."]
