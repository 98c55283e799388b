"""A function as a tokenizer: words by hand, ids as they are, the same text from files and lists, refusals."""

import re
from collections import Counter

import numpy as np
import pytest

from probsig.answers.alignment import align
from probsig.answers.beside import beside
from probsig.errors import CorpusError
from probsig.text import rules, tokenizers
from probsig.text.corpora import open_corpus

TEXTS = ["the cat saw the dog", "a dog saw the cat"]


def words(text):
    return re.findall(r"\w+", text)


def test_words_are_numbered_as_they_occur():
    corpus = open_corpus(TEXTS, words)
    assert corpus.ids.tolist() == [0, 1, 2, 0, 3, 4, 3, 2, 0, 1] and corpus.offsets.tolist() == [0, 5, 10]
    assert (corpus.vocab_size, corpus.tokenizer.name, corpus.tokenizer.text(4)) == (5, "words", "a")
    assert corpus.tokenizer.id("dog") == 3 and corpus.tokenizer.id("horse") is None
    assert beside("saw", corpus, least=1, number=1).labels == ("the",)


def test_words_of_a_text_are_counted_as_by_hand():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice([*"abcdefg"], 50)) for _ in range(20)]
    corpus = open_corpus(texts, str.split)
    counted = Counter(word for text in texts for word in text.split())
    found = {corpus.tokenizer.text(i): n for i, n in enumerate(np.bincount(corpus.ids).tolist())}
    assert found == counted


def test_ids_are_those_that_the_function_gives():
    corpus = open_corpus(TEXTS, lambda text: [ord(c) for c in text])
    assert corpus.ids.tolist() == [ord(c) for text in TEXTS for c in text] and corpus.vocab_size == 1 + ord("w")
    W = np.random.default_rng(0).standard_normal((corpus.vocab_size, 4))
    assert align(W, corpus, least=1, draws=2).n == len(set("".join(TEXTS)))
    for kind in (tuple, np.array, lambda ids: {"input_ids": ids}):
        assert np.array_equal(open_corpus(TEXTS, lambda text, kind=kind: kind([ord(c) for c in text])).ids, corpus.ids)


def test_a_file_read_by_a_function_is_read_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBSIG_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.txt"
    path.write_text(TEXTS[0])
    assert open_corpus(path, words).digest == open_corpus([TEXTS[0]], words).digest != open_corpus(path, list).digest
    assert open_corpus(path, words).name == "a.txt"
    path.write_text("the cat")
    assert open_corpus(path, words).ids.tolist() == [0, 1] and not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda text: 1 / 0, r"The tokenizer <lambda>, given document 1, raises ZeroDivisionError"),
        (lambda text: 7, r"gives a int: let it give a list of ids, or of texts\.$"),
        (lambda text: [1, "a"], r"gives a list: let it"),
        (lambda text: [-1], r"gives a list: let it"),
        (lambda text: [0.5], r"gives a list: let it"),
        (lambda text: [], r"The corpus the given texts is empty"),
        (lambda text: [np.int64(1), np.int64(2)], r"let it give \[int\(id\) for id in ids\]\.$"),
        (lambda text: [True, False], r"given document 1, gives numbers that are no int of Python's own"),
        (lambda text: ["x"] if text == TEXTS[0] else [0, 5], r"document 2, gives ids and gave texts before: let it"),
        (lambda text: ["x"] if text == TEXTS[1] else [0, 5], r"document 2, gives texts and gave ids before: let it"),
    ],
)
def test_what_gives_no_ids_is_one_sentence(function, says):
    with pytest.raises(CorpusError, match=says):
        open_corpus(TEXTS, function)
    with pytest.raises(ValueError, match="has no special tokens: let it add them"):
        open_corpus(TEXTS, words, special_tokens=True)


def test_objects_of_the_libraries_are_tokenizers_and_no_functions(tmp_path):
    backends = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    one = backends.Tokenizer(backends.models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=one)
    one.save(str(tmp_path / "mine.json"))
    read = [open_corpus(["abba"], by) for by in (one, fast, str(tmp_path / "mine.json"), tmp_path / "mine.json")]
    assert [corpus.ids.tolist() for corpus in read] == [[2, 1, 0]] * 4
    assert read[0].tokenizer.digest == read[2].tokenizer.digest == read[3].tokenizer.digest
    with pytest.raises(ValueError, match=r"^A dict is no tokenizer with a tokenizer\.json"):
        tokenizers.tokenizer({})


def test_what_a_file_carries_to_cut_fill_up_or_draw_lots_plays_no_part(tmp_path):
    backends = pytest.importorskip("tokenizers")
    plain = backends.Tokenizer(backends.models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    told = backends.Tokenizer(backends.models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], dropout=0.5))
    told.enable_truncation(3)
    told.enable_padding(length=64)
    told.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')
    text = "abbaab" * 50
    expected = plain.encode(text).ids
    for given in (told, tmp_path, tmp_path / "tokenizer.json"):
        mine = tokenizers.tokenizer(given)
        assert all(mine.encode(text).tolist() == expected for _ in range(3))


@pytest.mark.parametrize("name", ["nowhere/", "./none", "~/none", "none.json", "a/b/c", "my tokenizer"])
def test_a_path_that_is_not_there_is_told_without_asking_the_hub(name, monkeypatch):
    monkeypatch.setattr(tokenizers.rules, "hub_answers", lambda: pytest.fail("the hub was asked"))
    with pytest.raises(
        ValueError, match=r"^There is no tokenizer '.*', and no file or folder .*: .*pass a tokenizer\.json"
    ):
        tokenizers.tokenizer(name)


def test_a_file_that_is_no_tokenizer_is_one_sentence(tmp_path):
    pytest.importorskip("tokenizers")
    (tmp_path / "none.json").write_text("{}")
    with pytest.raises(ValueError, match=r"^\S+none\.json is no tokenizer\.json \(.+\): save the tokenizer again\.$"):
        tokenizers.tokenizer(tmp_path / "none.json")


def test_no_code_of_a_folder_or_a_repository_is_asked_for(tmp_path, monkeypatch):
    asked = []

    class AutoTokenizer:
        @staticmethod
        def from_pretrained(where, **options):
            asked.append(options.get("trust_remote_code"))
            raise ValueError("it has code of its own")

    monkeypatch.setattr(rules, "needed", lambda module, name: AutoTokenizer)
    monkeypatch.setattr(rules, "hub_answers", lambda: True)
    monkeypatch.setattr(rules, "_of_the_hub", lambda name, offline: None)
    for name in (str(tmp_path), "owner/name"):
        with pytest.raises(ValueError, match="it has code of its own"):
            rules.own(name)
    assert asked == [False, False]
