"""Texts of the language chapters: bytes and back, tokens as a page shows them, training sets at the scale "smoke"."""

import html
import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probsig.experiments import texts as experiments_texts
from probsig.pages import words
from probsig.text import corpora
from probsig.text.sources.toy import ToyCorpus, ToyTokenizer
from probsig.text.training_set import REST

SIGNS = "ab1 <>&|*_`$\\[]()#!~^'\"-+=,;{}.:/%\n\r\té日\u00a0\u200b"
SMOKE = {"text": "stand-in", "scale": "smoke", "seed": 0, "tokenizer": "qwen2.5"}


@given(st.lists(st.text()))
def test_pack_and_back(texts):
    packed = experiments_texts.pack(texts)
    assert packed.dtype == np.uint8 and packed.ndim == 1
    assert experiments_texts.unpack(packed) == texts and experiments_texts.unpack(packed.copy()) == texts
    assert experiments_texts.unpack(experiments_texts.pack(iter(texts))) == texts


def test_what_is_packed_is_utf_8():
    assert experiments_texts.pack(["日"]).tobytes() == '["日"]'.encode()


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


def test_at_smoke_a_text_is_made_up_and_elsewhere_opened(monkeypatch):
    asked = []
    monkeypatch.setattr(corpora, "open_corpus", lambda *where, **options: asked.append((where, options)) or "corpus")
    for text, scale in (("stand-in", "smoke"), ("a/folder", "smoke")):
        made = experiments_texts.opened("cc", text=text, scale=scale, seed=3, tokenizer="qwen2.5", max_tokens=None)
        assert np.array_equal(made.ids, ToyCorpus.of(3, name="cc").ids)
    assert not asked
    for text in ("stand-in", "open", "a/folder"):
        experiments_texts.opened("cc", text=text, scale="laptop", seed=3, tokenizer="llama-2", max_tokens=7)
    most = {"max_tokens": 7}
    assert asked[0] == (("cc", "llama-2"), {**most, "place": "file"})
    assert asked[1:] == [((where, "llama-2"), most) for where in ("cc", "a/folder")]


def test_texts_beyond_the_pile_come_from_packages(monkeypatch):
    asked = []
    monkeypatch.setattr(corpora, "open_corpus", lambda *where, **options: asked.append((where, options)))
    assert experiments_texts.FURTHER == corpora.packaged_text.FURTHER and not set(experiments_texts.FURTHER) & set(
        experiments_texts.NAMES
    )
    for text in ("stand-in", "open"):
        experiments_texts.opened("wikipedia-fr", text=text, scale="laptop", seed=0, tokenizer="qwen2.5", max_tokens=7)
    assert [options.get("place") for _, options in asked] == ["package", None]
    assert [where for where, _ in asked] == [("wikipedia-fr", "qwen2.5")] * 2


def test_texts_of_a_corpus_are_its_tokens_joined():
    corpus = ToyCorpus.of(0, documents=4)
    found, name = list(experiments_texts.texts(corpus)), ToyTokenizer().text
    ends = corpus.offsets.tolist()
    assert found == ["".join(name(i) for i in corpus.ids[a:b]) for a, b in itertools.pairwise(ends)]
    assert len(found) == 4


def test_training_sets_at_smoke():
    sets, groups = experiments_texts.training_sets(experiments_texts.NAMES, 900, 45, **SMOKE)
    assert [one.name for one in sets] == list(
        experiments_texts.NAMES
    ) and groups.keys() == experiments_texts.GROUPS.keys()
    tokenizer = ToyTokenizer()
    assert list(groups["digits"]) == list("0123456789") and len(groups["months"]) == 12
    assert (
        "/e" in experiments_texts.GROUPS["slashes"] and "/e" not in groups["slashes"]
    )  # the toy text has no such token
    named = {text: id for members in groups.values() for text, id in members.items()}
    assert all(tokenizer.text(id) == text for text, id in named.items())
    for one in sets:
        assert len(one.ids) == 900 and one.vocab_size == 45 and one.kept[-1] == REST
        assert (one.new_ids(np.array(list(named.values()))) >= 0).all()  # kept, even where it is rare
    assert not np.array_equal(sets[0].kept[sets[0].ids], sets[1].kept[sets[1].ids])


def test_documents_are_the_same_whatever_else_is_asked_for():
    (all_of_them, _), (alone, _) = (
        experiments_texts.training_sets(experiments_texts.NAMES, 900, 45, **SMOKE),
        experiments_texts.training_sets(["cc"], 900, 45, **SMOKE),
    )
    together = next(one for one in all_of_them if one.name == "cc")
    assert np.array_equal(together.ids, alone[0].ids) and np.array_equal(together.offsets, alone[0].offsets)
    assert np.array_equal(together.kept, alone[0].kept)
