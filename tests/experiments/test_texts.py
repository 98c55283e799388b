"""Texts of the language chapters: bytes and back, what a run says of its texts, training sets at the scale "smoke".

What is held here of a reader's own text: a run is found by what stands in it, not by where it lies or how its path is
spelt; an edited file is another text.
"""

import ast
import gzip
import itertools
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probsig import language
from probsig import text as reading
from probsig.cli.main import in_options
from probsig.counts import bigrams
from probsig.errors import CorpusError
from probsig.experiments import texts as experiments_texts
from probsig.experiments.texts import FURTHER, GROUPS, NAMES, Corpora, Sets, Texts, content, decoded
from probsig.text import corpora
from probsig.text.sources import find
from probsig.text.sources.toy import ToyCorpus, ToyTokenizer
from probsig.text.tokenizers import Tokenizer
from probsig.text.training_set import REST, renumbered

LINES = ["one two three", "naïve", "one more line of text"]


def letters(name="letters", rows=256):
    return Tokenizer(name, name * 4, [bytes([i]) for i in range(256)], {}, rows, lambda text: list(text.encode()))


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBSIG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("PROBSIG_DATA", raising=False)


def jsonl(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps({"text": line}) + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@given(st.lists(st.text()))
def test_pack_and_back(texts):
    packed = experiments_texts.pack(texts)
    assert packed.dtype == np.uint8 and packed.ndim == 1
    assert experiments_texts.unpack(packed) == texts and experiments_texts.unpack(packed.copy()) == texts
    assert experiments_texts.unpack(experiments_texts.pack(iter(texts))) == texts


def test_what_is_packed_is_utf_8():
    assert experiments_texts.pack(["日"]).tobytes() == '["日"]'.encode()


def own(where, by=letters, **options):
    """The config's part for a text of one's own."""
    texts = Texts(where, scale="laptop", tokenizer=by, **options)
    return texts.identity(texts.names(NAMES))


def test_one_text_under_any_name_in_any_folder_however_spelt_is_one_run(tmp_path, monkeypatch):
    path = jsonl(tmp_path / "mine.jsonl", LINES)
    identity = own(path)
    assert identity.keys() == {"text", "inputs"} and identity["text"] == "yours" and len(identity["inputs"]) == 16
    monkeypatch.chdir(tmp_path)
    for spelt in ("mine.jsonl", "./mine.jsonl", f"../{tmp_path.name}/mine.jsonl", str(path), path):
        assert own(spelt) == identity
    for elsewhere in ("other-name.jsonl", "deeper/folder/mine.jsonl", "packed.jsonl.gz"):
        assert own(jsonl(tmp_path / elsewhere, LINES)) == identity
    jsonl(tmp_path / "parts" / "a.jsonl", LINES[:2])
    jsonl(tmp_path / "parts" / "b.jsonl", LINES[2:])
    assert own("parts") == identity  # the same documents in two files of a folder
    assert Texts(path, scale="smoke", tokenizer=letters).identity(["yours"]) == identity


def test_an_edited_text_is_another_run(tmp_path, monkeypatch):
    identity = own(jsonl(tmp_path / "mine.jsonl", LINES))
    others = [
        [*LINES[:2], "one more line of texT"],
        [*LINES, "and a last one"],
        LINES[::-1],
        ["".join(LINES)],  # the same letters in one document
        [LINES[0][:3], LINES[0][3:], *LINES[1:]],
    ]
    found = [identity["inputs"]]
    for number, lines in enumerate(others):
        monkeypatch.setenv("PROBSIG_CACHE", str(tmp_path / f"cache {number}"))
        found.append(own(jsonl(tmp_path / "mine.jsonl", lines))["inputs"])
    assert len(set(found)) == len(found)
    assert own(jsonl(tmp_path / "cut.jsonl", LINES), max_tokens=20)["inputs"] not in found


def test_another_tokenizer_is_another_run(tmp_path):
    path = jsonl(tmp_path / "mine.jsonl", LINES)
    found = {own(path, by)["inputs"] for by in (letters, lambda: letters("other"), lambda: letters(rows=300))}
    assert len(found) == 3
    assert Texts(scale="laptop", tokenizer=letters).identity(NAMES) == {
        "text": "stand-in",
        "tokenizer": "letters" * 2 + "le",
    }


def never(*_, **__):
    raise AssertionError("a text was opened")


@pytest.fixture
def asked(monkeypatch):
    """What the corpora were asked for, which are made up."""
    found = []

    def opened(*where, **options):
        found.append((where, options))
        return ToyCorpus.of(0, documents=30, name=str(where[0]))

    for module in (corpora, experiments_texts):
        monkeypatch.setattr(module, "open_corpus", opened, raising=False)
    monkeypatch.setattr(experiments_texts, "STAND_INS", {})  # what is made up has no record
    return found


def test_a_run_on_the_books_own_texts_is_found_without_them(asked):
    assert Texts(scale="paper").identity(NAMES) == {"text": "stand-in"}
    assert Texts(scale="laptop", tokenizer="llama-2", usual="llama-2").identity(NAMES) == {"text": "stand-in"}
    assert Texts(scale="smoke", tokenizer="another").identity(NAMES) == {"text": "stand-in"}  # the toy has its own
    assert not asked
    found = Texts("open", scale="laptop", tokenizer=letters).identity(["cc", "arxiv"])
    assert found["text"] == "open" and [where[0] for where, _ in asked] == ["cc", "arxiv"]
    assert found != Texts("open", scale="laptop", tokenizer=letters).identity(["arxiv", "cc"])


def test_the_toy_stands_in_at_smoke_and_only_for_the_stand_in(asked):
    made = Texts(scale="smoke", seed=3).corpus("cc")
    assert np.array_equal(made.ids, ToyCorpus.of(3, name="cc").ids) and not asked
    for text, scale, name in (("open", "smoke", "cc"), ("a/file", "smoke", "yours"), ("stand-in", "laptop", "cc")):
        Texts(text, scale=scale, tokenizer=letters).corpus(name)
    assert [where[0] for where, _ in asked] == ["cc", "a/file", "cc"]


def test_where_a_text_is_looked_for(asked):
    """Stand-ins in the folder of PROBSIG_DATA or, those beyond the Pile, in packages; "open" wherever it is found."""
    assert set(FURTHER) == set(find.packages.FURTHER) and not set(FURTHER) & set(NAMES)
    for text, name in (("stand-in", "cc"), ("stand-in", "wikipedia-fr"), ("open", "cc"), ("open", "wikipedia-fr")):
        Texts(text, scale="laptop", tokenizer=letters, max_tokens=7).corpus(name)
    Texts("a/file", scale="laptop", tokenizer=letters, max_tokens=7).corpus("yours")
    assert [where[0] for where, _ in asked] == ["cc", "wikipedia-fr", "cc", "wikipedia-fr", "a/file"]
    assert {where[1].name for where, _ in asked} == {"letters"}
    assert [options["place"] for _, options in asked] == ["file", "package", None, None, None]
    assert {options["max_tokens"] for _, options in asked} == {7}


def test_a_text_is_opened_once(asked):
    texts = Texts("a/file", scale="laptop", tokenizer=letters)
    assert texts.corpus("yours") is texts.corpus("yours") and len(asked) == 1
    texts.identity(["yours"])
    texts.sets(["yours"], 500, None)
    assert len(asked) == 1


def test_names_and_titles(tmp_path):
    assert Texts(scale="laptop").names(NAMES) == Texts("open", scale="laptop").names(NAMES) == NAMES
    mine = Texts(tmp_path / "my texts.jsonl.gz", scale="laptop")
    assert mine.names(NAMES) == ("yours",) and mine.title("yours") == "my texts.jsonl.gz"
    assert Texts(scale="laptop").title("cc") == "cc"


def test_content_is_of_ids_documents_and_tokenizer():
    """In blocks or at once, in whichever type the ids are held."""
    base = ToyCorpus.of(0, documents=3)

    def changed(**parts):
        return content(ToyCorpus(**{**vars(base), **parts}))

    assert content(base) == changed(ids=base.ids.astype(np.uint32)) == changed(name="another")
    ids = base.ids.copy()
    ids[[0, 1]] = ids[[1, 0]]
    offsets = base.offsets.copy()
    offsets[1] += 1
    others = [
        changed(ids=ids),
        changed(ids=base.ids[:-1]),
        changed(offsets=offsets),
        changed(vocab_size=base.vocab_size + 1),
        changed(tokenizer=ToyTokenizer(digest="other")),
    ]
    assert len({content(base), *others}) == 1 + len(others)


def test_texts_of_a_corpus_are_its_tokens_joined():
    corpus = ToyCorpus.of(0, documents=4)
    found, name = list(decoded(corpus)), ToyTokenizer().text
    ends = corpus.offsets.tolist()
    assert found == ["".join(name(i) for i in corpus.ids[a:b]) for a, b in itertools.pairwise(ends)]
    assert len(found) == 4


def test_a_letter_of_two_tokens_is_whole_again(tmp_path):
    """é is two bytes, so two tokens here; a document that was cut within a letter loses that letter."""
    path = jsonl(tmp_path / "mine.jsonl", ["né", "é"])
    assert list(decoded(corpora.open_corpus(path, letters()))) == ["né", "é"]
    assert list(decoded(corpora.open_corpus(path, letters(), max_tokens=2))) == ["n"]


def test_counts_are_made_once_whoever_asks(monkeypatch):
    made, gate = [], threading.Event()

    def slow(*arguments, **options):
        made.append(1)
        gate.wait(0.2)
        return bigrams.counted(*arguments, **options)

    monkeypatch.setattr(experiments_texts, "counted", slow)
    some = Texts(scale="smoke").corpora(["cc", "arxiv"])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(some.counts, ["cc"] * 4))
    assert len(made) == 1 and all(one is found[0] for one in found)
    corpus = some.corpora["cc"]
    assert found[0] == bigrams.count(corpus.ids, corpus.vocab_size, offsets=corpus.offsets)
    assert some.counts("arxiv") != found[0]


def test_digests_of_corpora_and_of_sets():
    texts, other = Texts(scale="smoke"), Texts(scale="smoke", seed=1)
    assert texts.corpora(["cc"]).digest() == Texts(scale="smoke").corpora(["cc"]).digest()
    assert len({Corpora({}).digest(), *(t.corpora([n]).digest() for t in (texts, other) for n in ("cc", "arxiv"))}) == 5
    one, two = (renumbered(np.arange(4), np.array([0, end, 4]), 4, None, "x") for end in (1, 2))
    groups = {"digits": {"1": 0, "2": 1}}
    assert Sets([one], groups).digest() == Sets([one], {"digits": {"1": 0, "2": 1}}).digest()
    others = [Sets([two], groups), Sets([one, two], groups), Sets([one], {}), Sets([one], {"digits": {"2": 1, "1": 0}})]
    assert len({sets.digest() for sets in [Sets([one], groups), *others]}) == 5


def test_training_sets_at_smoke():
    texts, names = Texts(scale="smoke"), ["cc", "arxiv"]
    found = texts.sets(names, 900, 75)
    assert [one.name for one in found.sets] == names and found.groups.keys() == GROUPS.keys()
    tokenizer = ToyTokenizer()
    assert list(found.groups["digits"]) == list("0123456789") and len(found.groups["months"]) == 12
    assert "/e" in GROUPS["slashes"] and "/e" not in found.groups["slashes"]  # the toy text has no such token
    named = {text: id for members in found.groups.values() for text, id in members.items()}
    assert all(tokenizer.text(id) == text == found.text(id) for text, id in named.items())
    for one in found.sets:
        assert len(one.ids) == 900 and one.held is None
        assert (one.new_ids(np.array(list(named.values()))) >= 0).all()  # kept, even where it is rare
        assert found.of(one.name) is one
    assert not np.array_equal(found.sets[0].kept[found.sets[0].ids], found.sets[1].kept[found.sets[1].ids])
    capped = texts.sets(["cc"], 900, len(named) + 3).sets[0]
    assert capped.vocab_size == len(named) + 3 and capped.kept[-1] == REST
    held = texts.sets(["cc"], 900, 75, held=100).of("cc")
    assert 100 <= len(held.held.ids) < 600 and len(held.ids) == 900


@pytest.mark.parametrize("words", [30, 4_000])
def test_of_one_document_a_tenth_at_most_is_held_out(words, tmp_path):
    file = jsonl(tmp_path / "one.jsonl", [" ".join(f"w{i % 7}" for i in range(words))])
    texts = Texts(file, scale="smoke", tokenizer=letters, usual="letters")
    whole = texts.corpus("yours").ids
    found = texts.sets(["yours"], None, None, held=500).of("yours")
    assert len(found.held.ids) == min(500, len(whole) // 10)
    assert sorted([*found.ids, *found.held.ids]) == sorted(found.new_ids(np.asarray(whole)))


def test_documents_are_the_same_whatever_else_is_asked_for():
    together, alone = (Texts(scale="smoke").sets(names, 900, 75, 100).of("cc") for names in (["arxiv", "cc"], ["cc"]))
    assert together.digest() == alone.digest()


def test_errors_name_the_culprit(tmp_path):
    texts = Texts(scale="smoke")
    with pytest.raises(ValueError, match=r"^There is no text 'nowhere' among 'arxiv', 'cc': pass one of them\.$"):
        texts.sets(["arxiv", "cc"], 500, None).of("nowhere")
    with pytest.raises(ValueError, match=r"^tokens is 1: pass 2 or more, or None for all\.$"):
        Texts("open", scale="laptop", tokenizer=never).sets(["cc"], 1, None)
    with pytest.raises(CorpusError, match=r"^There is no corpus '\S+': pass the path of a file or folder, a data set"):
        own(tmp_path / "not-there.jsonl")
    with pytest.raises(CorpusError, match=r"^PROBSIG_DATA names no folder with cc\.jsonl\.gz or the like: set"):
        Texts(scale="laptop", tokenizer=letters).corpus("cc")


def sentences():
    """Every text in the modules that read texts, tokenizers and models, docstrings aside."""
    for folder in (*reading.__path__, *language.__path__):
        for path in Path(folder).rglob("*.py"):
            tree = ast.parse(path.read_text("utf-8"))
            said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
                    yield node.value


NAMED = re.compile(r"pass (problem|column|tensor|max_tokens)\b|'words'")


def test_no_advice_names_an_argument_where_nobody_can_pass_it():
    """Neither in a chapter nor at the command line."""
    found = {sentence for sentence in sentences() if NAMED.search(sentence)}
    assert len(found) >= 9
    for sentence in found:
        with pytest.raises(CorpusError) as error, experiments_texts.in_a_chapter():
            raise CorpusError(sentence)
        assert not NAMED.search(str(error.value)) or "where a chapter takes it" in str(error.value), sentence
        assert "=" not in in_options(sentence) and "max_tokens" not in in_options(sentence), sentence


def test_a_chapters_text_that_is_damaged_is_told_what_to_do_with_it(tmp_path):
    (tmp_path / "cut.jsonl").write_text('{"text": "one"}\n{"text": "t')
    with pytest.raises(CorpusError, match=r"^Line 2 of \S+ is cut: mend the line, or take it out\.$"):
        Texts(tmp_path / "cut.jsonl", scale="smoke", tokenizer=letters).corpus("yours")
    (tmp_path / "other.csv").write_text("id,body\n1,one\n")
    with pytest.raises(CorpusError, match=r"has no column 'text' but id, body: call the one with the text 'text'"):
        Texts(tmp_path / "other.csv", scale="smoke", tokenizer=letters).corpus("yours")
