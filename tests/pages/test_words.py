"""Tokens and numbers as a page says them: nothing that a page would read as its own, nothing that cannot be seen.

Worked by hand: the token `" the\\n"` is shown as `␣the⏎`; the numbers 0.1 and 0.3 are said as 0.20 ± 0.14, since their
mean is 0.2 and their deviation 0.1 times the root of 2.
"""

import html
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probsig.pages import words

SIGNS = "ab1 <>&|*_`$\\[]()#!~^'\"-+=,;{}.:/%\n\r\té日\u00a0\u200b"


@given(st.one_of(st.text(), st.text(SIGNS)))
def test_what_is_visible_can_be_read(text):
    """No blanks, no unusual letters, no bare dollar; and each sign says which letter it stands for."""
    shown = words.visible(text)
    assert all((ord(c) < 0x250 or c in "␣⏎⇥␍") and c.isprintable() and not c.isspace() for c in shown)
    assert shown.count("$") == shown.count(r"\$") == text.count("$")
    assert shown == "".join(map(words.visible, text))
    named = {"␣": " ", "⏎": "\n", "⇥": "\t", "␍": "\r", r"\$": "$"}
    for c in text:
        sign = words.visible(c)
        assert (chr(int(sign[2:], 16)) if sign.startswith("U+") else named.get(sign, sign)) == c


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", ""), ("\u00a0", "U+00A0"), ("\x00", "U+0000"), ("ɏɐ", "ɏU+0250"), ("😀", "U+1F600"), ("\r\n", "␍⏎")],
)
def test_unusual_letters_by_their_number(text, shown):
    assert words.visible(text) == shown


@given(st.one_of(st.text(), st.text(SIGNS)))
def test_a_cell_is_the_text_escaped(text):
    found = words.cell(text)
    assert found.startswith("<code>") and found.endswith("</code>")
    inside = found.removeprefix("<code>").removesuffix("</code>")
    assert html.unescape(inside) == "".join("$" if c == "$" else words.visible(c) for c in text)
    bare = re.sub(r"&(#\d+|#x[0-9a-f]+|[a-z]+);", "", inside)
    assert not set(bare) & set("<>&|*`$\\_[]\"'") and not re.search(r"\s", inside)


@pytest.mark.slow
@settings(max_examples=200)
@given(st.lists(st.text(SIGNS, min_size=1), min_size=1, max_size=3))
def test_a_page_shows_the_cells_and_reads_nothing_else_in_them(texts):
    """A table's row through the book's own parser: one cell, and no emphasis, mathematics, code or link."""
    pytest.importorskip("myst_parser")
    from markdown_it.renderer import RendererHTML
    from myst_parser.config.main import MdParserConfig
    from myst_parser.parsers.mdit import create_md_parser

    extensions = {"amsmath", "colon_fence", "deflist", "dollarmath", "linkify", "substitution", "tasklist"}
    parser = create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)
    tokens = parser.parse("| a | b |\n|---|---|\n| " + " ".join(map(words.cell, texts)) + " | end |\n")
    cells = [token for token in tokens if token.type == "inline"][2:]
    assert [cell.children[0].content for cell in cells[1:]] == ["end"] and len(cells) == 2
    assert {child.type for child in cells[0].children} <= {"html_inline", "text"}
    raw = "".join(c.content for c in cells[0].children if c.type == "text").split(" ")
    assert raw == ["".join("$" if c == "$" else words.visible(c) for c in text) for text in texts]


def test_a_whole_number_has_all_its_digits():
    assert [words.plain(one) for one in (28512.0, 2.0**52 + 1, 1e15, 0.1, 1e300)] == [
        *("28512", "4503599627370497", "1000000000000000", "0.1", "1e+300")
    ]


def test_a_mean_says_its_spread():
    assert (words.spread([1.0]), words.spread(np.array([0.0, 2.0]))) == ("1.00", "1.00 ± 1.41")


@pytest.mark.parametrize(
    ("values", "digits", "told"),
    [([0.1, 0.304], 2, "0.10 to 0.30"), ([-0.001, 0.002], 2, "0.00"), ([[2500.4], [12.0]], 0, "12 to 2,500")],
)
def test_a_span_is_one_number_where_its_ends_print_alike(values, digits, told):
    assert words.span(values, digits) == told
