"""Word vectors in every form against one matrix and against gensim, and what is wrong with them in one sentence."""

import gzip
import lzma
from types import SimpleNamespace

import numpy as np
import pytest

from probsig.answers.alignment import align
from probsig.answers.kinship import group
from probsig.answers.neighbours import nearest
from probsig.counts.bigrams import count
from probsig.language import vectors
from probsig.language.vectors import WordVectors, word_vectors
from probsig.runs.files import StorageError
from probsig.text.corpora import open_corpus
from probsig.text.sources.toy import ToyCorpus

WORDS = ("the", "cat", "naïve", "日本", "don't", "a.b")
M = np.random.default_rng(0).standard_normal((len(WORDS), 5)).astype(np.float32)


def lines(header=True, end="\n"):
    rows = [f"{word} {' '.join(repr(float(x)) for x in row)}" for word, row in zip(WORDS, M, strict=True)]
    return (end.join([*([f"{len(WORDS)} 5"] if header else []), *rows]) + end).encode()


def binary(end=b"\n"):
    rows = (word.encode() + b" " + row.tobytes() + end for word, row in zip(WORDS, M, strict=True))
    return f"{len(WORDS)} 5\n".encode() + b"".join(rows)


FORMS = {
    "word2vec.txt": lines(),
    "blanks.vec": lines(end=" \n"),
    "glove.txt": lines(header=False),
    "glove.txt.gz": gzip.compress(lines(header=False)),
    "word2vec.vec.xz": lzma.compress(lines()),
    "lines.bin": binary(),
    "dense.bin": binary(b""),
    "packed.bin.gz": gzip.compress(binary()),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same(name, tmp_path):
    (tmp_path / name).write_bytes(FORMS[name])
    found = word_vectors(tmp_path / name)
    assert found.words == WORDS and found.name == name and found.vectors.dtype == np.float32
    np.testing.assert_allclose(found.vectors, M, rtol=1e-6)


@pytest.mark.parametrize("name", ["word2vec.txt", "lines.bin", "dense.bin"])
def test_gensim_reads_the_same(name, tmp_path):
    models = pytest.importorskip("gensim.models")
    (tmp_path / name).write_bytes(FORMS[name])
    theirs = models.KeyedVectors.load_word2vec_format(tmp_path / name, binary=name.endswith("bin"))
    found = word_vectors(theirs)
    assert found.words == word_vectors(tmp_path / name).words and np.array_equal(found.vectors, theirs.vectors)


def keyed(words=WORDS, vectors=M):
    """An object with the attributes of gensim's KeyedVectors."""
    return SimpleNamespace(key_to_index={word: i for i, word in enumerate(words)}, vectors=vectors)


def test_objects_give_the_same():
    for given in (keyed(), SimpleNamespace(wv=keyed()), dict(zip(WORDS, M, strict=True)), word_vectors(keyed())):
        found = word_vectors(given)
        assert found.words == WORDS and np.array_equal(found.vectors, M)


def test_a_word_of_glove_may_hold_blanks(tmp_path):
    (tmp_path / "g.txt").write_text("the 1 2\n. . . 3 4\n")
    assert word_vectors(tmp_path / "g.txt").words == ("the", ". . .")


def test_a_token_finds_its_word_once():
    found = WordVectors("w", ("the", "The", "ing", "the"), np.eye(4, dtype=np.float32))
    assert found.places([" the", "the", "The", "ing", "xyz"]).tolist() == [0, -1, 1, 2, -1]


TOY = ToyCorpus.of(seed=0)


def vectors_of_counts(share=1.0):
    """A vector for some tokens' words: their counts of neighbours, whose cosines are those of the signatures."""
    N = count(TOY.ids, TOY.vocab_size, offsets=TOY.offsets).to_scipy().toarray()
    said = [TOY.tokenizer.text(i) for i in range(TOY.vocab_size)]
    words = [word.strip() for word in said]
    keep = [i for i, word in enumerate(words) if word and words.count(word) == 1][: int(share * TOY.vocab_size)]
    return {words[i]: N[i] for i in keep}


def test_tokens_are_matched_by_what_they_say_with_the_share():
    given = vectors_of_counts()
    found = align(given, TOY, draws=5)
    said = [label.strip() for label in found.labels]
    assert found.r_cos > 1 - 1e-6 and set(said) <= set(given) and found.matched == found.n / found.asked
    assert f"{found.n} of the {found.asked} tokens" in str(found)
    few = align(vectors_of_counts(0.5), TOY, draws=5)
    assert few.n < found.n and any("have no row" in doubt for doubt in few.doubts)
    assert len(nearest(found.labels[3], given, TOY, number=2).labels["embedding"]) == 2
    assert "digits" in str(group("digits", given, TOY))


def test_a_text_is_read_by_words_for_word_vectors(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBSIG_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    text = " ".join(rng.choice([*"abcdef"], 4000))
    (tmp_path / "t.txt").write_text(text)
    path = tmp_path / "v.txt"
    path.write_text("\n".join(f"{word} {' '.join(map(str, rng.standard_normal(3)))}" for word in "abcdexyz"))
    found = align(str(path), tmp_path / "t.txt", draws=5)
    assert sorted(found.labels) == [*"abcde"] and found.asked == 6 and found.name == "v.txt"
    corpus = open_corpus([text], lambda text: [ord(c) for c in text])
    with pytest.raises(ValueError, match="says a word: read it with a tokenizer, or by words"):
        align(str(path), corpus, draws=5)


@pytest.mark.parametrize(
    ("name", "data", "error", "says"),
    [
        ("a.txt", b"the 1 2\ncat 3\n", StorageError, r"^Line 2 of \S+ is no word with 2 numbers: fetch"),
        ("a.txt", b"the 1 2\ncat 3 x\n", StorageError, r"^Line 2 of"),
        ("a.txt", b"just a text\n", StorageError, r"^Line 1 of"),
        ("a.txt", b"", StorageError, r"is empty: fetch it again"),
        ("a.txt", lines()[:-40], StorageError, r"^Line 7 of|has 5 vectors, and its first line says 6"),
        ("a.bin", binary()[:-9], StorageError, r"ends after 5 of its 6 vectors"),
        ("a.bin", binary()[:-25], StorageError, r"ends after 5 of its 6 vectors"),
        ("a.bin", b"\xba\x16\x4f\x2f" + b"x" * 9, ValueError, r"is fastText's own form: pass its \.vec file"),
        ("a.bin", b"PK\x03\x04" + b"x" * 9, ValueError, r"is a pickle of torch: save it as \.safetensors"),
        ("a.bin", b"the 1 2\n", StorageError, r"is no word2vec file"),
        ("a.txt.gz", gzip.compress(lines())[:-20], StorageError, r"ends early or is damaged: fetch it again"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(name, data, error, says, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(error, match=says) as caught:
        word_vectors(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_what_holds_no_vectors_is_one_sentence(tmp_path):
    for given, says in [
        (3, "A int holds no word vectors"),
        ({1: [2.0]}, "A dict holds no word vectors"),
        ({"a": [1.0], "b": [1.0, 2.0]}, "The word vectors are not of one length"),
        ({"a": "x"}, "The word vectors are not of one length"),
        (tmp_path / "none.txt", "There is no file"),
    ]:
        with pytest.raises(ValueError, match=says):
            word_vectors(given)


def test_a_header_that_promises_more_than_there_is_room_for(tmp_path):
    (tmp_path / "v.bin").write_bytes(b"900000000000 900000\na ")
    with pytest.raises(StorageError, match=r"v\.bin says that it holds 900,000,000,000 vectors of 900,000 numbers"):
        word_vectors(tmp_path / "v.bin")


def test_a_line_or_a_word_without_an_end_is_read_no_further(tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "LONGEST", 100)
    (tmp_path / "v.txt").write_text("a 1 2\n" + "b " * 500 + "\n")
    with pytest.raises(StorageError, match=r"^Line 2 of \S+ is no word with 2 numbers"):
        word_vectors(tmp_path / "v.txt")
    (tmp_path / "v.bin").write_bytes(b"2 2\n" + b"x" * 5_000)
    with pytest.raises(StorageError, match=r"ends after 0 of its 2 vectors"):
        word_vectors(tmp_path / "v.bin")
