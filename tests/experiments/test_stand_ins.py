"""The texts of a chapter are the book's, or are known by what they are."""

import json
import os

import pytest

from probsig.errors import CorpusError
from probsig.experiments.texts import NAMES, STAND_IN, STAND_INS, Texts

DATA = os.environ.get("PROBSIG_DATA")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder of data in which `cc` is another text than the book's."""
    monkeypatch.setenv("PROBSIG_DATA", str(tmp_path))
    monkeypatch.setenv("PROBSIG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cc.jsonl").write_text("".join(json.dumps({"text": f"a text {n}"}) + "\n" for n in range(9)))
    return tmp_path


def test_another_text_does_not_pass_for_the_books(elsewhere):
    with pytest.raises(CorpusError, match=r"^The text cc that is found is not this book's: pass text='open' to"):
        Texts(scale="laptop").corpus("cc")


def test_another_text_is_known_by_what_it_is(elsewhere):
    before = Texts("open", scale="laptop").identity(["cc"])
    assert before["text"] == "open" and len(before["inputs"]) == 16
    (elsewhere / "cc.jsonl").rename(elsewhere / "cc.jsonl.old")
    (elsewhere / "cc.txt").write_text("another text")
    assert Texts("open", scale="laptop").identity(["cc"])["inputs"] != before["inputs"]
    assert Texts(scale="laptop").identity(["cc"]) == {"text": STAND_IN}  # found without being opened


@pytest.mark.skipif(not DATA, reason="PROBSIG_DATA names no folder of texts to develop with")
@pytest.mark.parametrize("name", NAMES)
def test_the_books_texts_are_the_books(name):
    assert len(Texts(scale="laptop").corpus(name).ids) > 1e6 and name in STAND_INS
