"""From a name or a path to ids: where text is looked for, what is kept, what is refused."""

import gzip
import json
import os
import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from probsig.errors import CorpusError
from probsig.runs.files import StorageError
from probsig.text import corpora, store
from probsig.text.sources import packages, pile
from probsig.text.tokenizers import Tokenizer

DATA = os.environ.get("PROBSIG_DATA")
DEVELOPMENT = {
    "arxiv": (999, 4_491_862),
    "dm-mathematics": (812, 3_308_191),
    "cc": (3_397, 2_631_054),
    "pubmed-central": (217, 2_038_473),
    "wikipedia-en": (17_066, 6_650_713),
}


def letters(name="letters", rows=256):
    return Tokenizer(name, name * 4, [bytes([i]) for i in range(256)], {}, rows, lambda text: list(text.encode()))


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBSIG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("PROBSIG_DATA", raising=False)


def jsonl(path, texts, **meta):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps({"text": text, **meta}) + "\n" for text in texts).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_a_file_of_ones_own(tmp_path):
    path = jsonl(tmp_path / "mine.jsonl", ["one", "naïve"])
    corpus = corpora.open_corpus(path, letters())
    assert bytes(corpus.document(1).astype(np.uint8)).decode() == "naïve" and corpus.offsets.tolist() == [0, 3, 9]
    assert (corpus.name, corpus.place, corpus.vocab_size, corpus.ids.dtype) == ("mine.jsonl", "file", 256, np.uint16)
    again = corpora.open_corpus(str(path), letters())
    assert again.digest == corpus.digest and isinstance(again.ids, np.memmap)
    assert corpora.open_corpus(path, letters(rows=70_000)).ids.dtype == np.uint16  # one digest, one folder
    assert corpora.open_corpus(path, letters("other", 70_000)).ids.dtype == np.uint32
    with pytest.raises(IndexError, match=r"^mine\.jsonl has no document 2: pass a number from 0 to 1\.$"):
        corpus.document(2)


def test_a_touched_file_opens_and_a_changed_one_is_tokenised_anew(tmp_path, monkeypatch):
    path = jsonl(tmp_path / "mine.jsonl", ["one", "two"])
    corpora.open_corpus(path, letters())
    os.utime(path, (1, 1))
    with monkeypatch.context() as patch:
        patch.setattr(store, "write", lambda *given, **known: pytest.fail("a touch is no change"))
        first = corpora.open_corpus(path, letters())
    jsonl(path, ["one", "sixty"])
    again = corpora.open_corpus(path, letters())
    assert bytes(again.ids.astype(np.uint8)) == b"onesixty" and again.digest != first.digest
    assert bytes(first.ids.astype(np.uint8)) == b"onetwo"  # what was opened before stays what it was
    jsonl(path, [])
    with pytest.raises(CorpusError, match=r"^The corpus \S+mine\.jsonl is empty"):
        corpora.open_corpus(path, letters())


@pytest.mark.parametrize("folder", [False, True])
def test_another_text_of_the_same_size_and_time_is_refused_until_it_is_touched(folder, tmp_path):
    path = jsonl(tmp_path / "texts" / "mine.jsonl", ["one"])
    asked, was = path.parent if folder else path, path.stat()
    corpora.open_corpus(asked, letters())
    jsonl(path, ["two"])
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    with pytest.raises(CorpusError, match=r"is another text than the one that was read, of the same size and time"):
        corpora.open_corpus(asked, letters())
    path.touch()
    assert bytes(corpora.open_corpus(asked, letters()).ids.astype(np.uint8)) == b"two"


def test_a_file_of_another_kind_in_a_folder_is_another_text(tmp_path):
    path = tmp_path / "texts" / "a.txt"
    path.parent.mkdir()
    path.write_text('{"text": "one"}\n')
    assert len(corpora.open_corpus(path.parent, letters()).ids) == 16
    path.rename(path.with_suffix(".jsonl"))
    assert len(corpora.open_corpus(path.parent, letters()).ids) == 3


def test_a_killed_second_tokenising_is_done_again(tmp_path, monkeypatch):
    path = jsonl(tmp_path / "mine.jsonl", ["one", "two"])
    corpora.open_corpus(path, letters())
    jsonl(path, ["three"])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        corpora.open_corpus(path, letters())
    assert len(corpora.open_corpus(path, letters()).ids) == 5


@pytest.mark.parametrize("spelt", ["mine.jsonl", "./mine.jsonl", "~/mine.jsonl", "{whole}"])
def test_however_a_path_is_spelt(spelt, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    path = jsonl(tmp_path / "mine.jsonl", ["one"])
    assert len(corpora.open_corpus(spelt.format(whole=path), letters()).ids) == 3


@pytest.mark.parametrize("spelt", ["data", "~/data"])
def test_however_the_folder_of_data_is_spelt(spelt, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROBSIG_DATA", spelt)
    monkeypatch.setenv("PROBSIG_CACHE", spelt.replace("data", "kept"))
    jsonl(tmp_path / "data" / "cc.jsonl", ["one"])
    assert len(corpora.open_corpus("cc", letters()).ids) == 3
    assert [folder.name[:3] for folder in (tmp_path / "kept" / "corpora").iterdir() if folder.is_dir()] == ["cc-"]


def test_names_are_looked_for_in_the_folder_of_data(tmp_path, monkeypatch):
    data = tmp_path / "data"
    monkeypatch.setenv("PROBSIG_DATA", str(data))
    jsonl(data / "cc" / "a.jsonl", ["folder"])
    assert len(corpora.open_corpus("cc", letters()).ids) == 6
    (data / "cc.txt").write_text("plain text")
    assert len(corpora.open_corpus("cc", letters()).ids) == 10
    jsonl(data / "cc.jsonl.gz", ["packed lines"])
    corpus = corpora.open_corpus("cc", letters(), place="file")
    assert len(corpus.ids) == 12 and corpus.place == "file"


@pytest.mark.slow
def test_the_hub_gives_the_documents_of_one_subset(tmp_path):
    pytest.importorskip("datasets")
    rows = [("ArXiv", "an article"), ("Pile-CC", "a page"), ("Pile-CC", "another page"), ("Github", "code")]
    lines = [json.dumps({"text": text, "meta": {"pile_set_name": name}}) for name, text in rows]
    (tmp_path / "pile").mkdir()
    (tmp_path / "pile" / "train.jsonl").write_text("\n".join(lines) + "\n")
    options = {"place": "hub", "repository": str(tmp_path / "pile")}
    corpus = corpora.open_corpus("cc", letters(), max_tokens=100, **options)
    assert corpus.place == "hub" and corpus.offsets.tolist() == [0, 6, 18]
    assert list(pile.pile(options["repository"], "arxiv")) == ["an article"]
    assert len(corpora.open_corpus("cc", letters(), max_tokens=8, **options).ids) == 8
    with pytest.raises(
        CorpusError, match=r"^The Pile's cc is too large to read whole from the hub: pass max_tokens\.$"
    ):
        corpora.open_corpus("cc", letters(), **options)


def test_what_the_hub_gave_opens_without_it(tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    row = {"text": "a page", "meta": {"pile_set_name": "Pile-CC"}}
    jsonl(tmp_path / "pile" / "train.jsonl", ["a page"], meta=row["meta"])
    options = {"repository": str(tmp_path / "pile"), "max_tokens": 4}
    first = corpora.open_corpus("cc", letters(), place="hub", **options)
    monkeypatch.setattr(pile, "_stream", lambda *repository: pytest.fail("the hub was asked"))
    again = corpora.open_corpus("cc", letters(), **options)
    assert (again.place, again.digest, again.ids.tolist()) == ("hub", first.digest, list(b"a pa"))


def rows_of(texts, broken=None):
    """A stream of the hub, which breaks off after some rows."""
    for i, text in enumerate(texts):
        if i == broken:
            raise ConnectionError("Connection reset by peer.\nRetrying.")
        yield {"text": text, "meta": {"pile_set_name": "Pile-CC"}}


def test_a_stream_that_breaks_off_is_one_sentence_and_goes_on(monkeypatch):
    texts, asked = ["a page", "another page", "the last"], {"place": "hub", "max_tokens": 100}
    monkeypatch.setattr(pile, "_stream", lambda *repository: rows_of(texts, 2))
    begins = r"^The stream of cc \(Pile-CC\) from monology/pile-uncopyrighted broke off \(Connection reset by peer\)"
    with pytest.raises(CorpusError, match=rf"{begins} after 18 tokens, which are kept: run again, and it goes on from"):
        corpora.open_corpus("cc", letters(), **asked)
    monkeypatch.setattr(pile, "_stream", lambda *repository: rows_of(texts))
    read = []
    by = letters()
    monkeypatch.setattr(
        type(by), "encode", lambda self, text, **options: read.append(text) or np.array([*text.encode()])
    )
    corpus = corpora.open_corpus("cc", by, **asked)
    assert read == ["the last"] and corpus.offsets.tolist() == [0, 6, 18, 26]
    assert bytes(corpus.ids.astype(np.uint8)) == "".join(texts).encode()


def test_a_stream_that_breaks_off_at_once_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(pile, "unreachable", lambda *repository: None)
    monkeypatch.setattr(pile, "_stream", lambda *repository: rows_of(["a page"], 0))
    with pytest.raises(CorpusError, match=r"broke off \(Connection reset by peer\): run again\.$"):
        corpora.open_corpus("cc", letters(), place="hub", max_tokens=100)
    assert [path.suffix for path in (tmp_path / "cache" / "corpora").iterdir()] == [".lock"]


def test_another_repository_is_one_sentence(tmp_path):
    pytest.importorskip("datasets")
    jsonl(tmp_path / "pile" / "train.jsonl", ["a page"], meta={"source": "web"})
    with pytest.raises(
        CorpusError, match=r"^The rows of \S+pile have no text and meta\.pile_set_name .*: name another\.$"
    ):
        corpora.open_corpus("cc", letters(), place="hub", repository=str(tmp_path / "pile"), max_tokens=4)
    (tmp_path / "none").mkdir()
    with pytest.raises(
        CorpusError,
        match=r"^There is no text for cc: the hub gives no \S+none \(.+\); set PROBSIG_DATA to a folder with it\.$",
    ):
        corpora.open_corpus("cc", letters(), place="hub", repository=str(tmp_path / "none"), max_tokens=4)


def test_the_cache_damaged_or_unwritable_is_one_sentence(tmp_path, monkeypatch):
    path = jsonl(tmp_path / "mine.jsonl", ["one"])
    corpora.open_corpus(path, letters())
    (folder,) = (tmp_path / "cache" / "corpora").glob("mine.jsonl-*[0-9a-f]")
    (folder / "ids").write_bytes(b"\0")
    with pytest.raises(
        StorageError, match=r"^\S+ids has 1 bytes where corpus\.json says 6: remove .* and run again\.$"
    ):
        corpora.open_corpus(path, letters())
    monkeypatch.setenv("PROBSIG_CACHE", str(path))
    with pytest.raises(
        StorageError,
        match=r"^The folder \S+ of the cache cannot be written \(.+\): make room, or name another with PROBS",
    ):
        corpora.open_corpus(path, letters())


def test_a_finished_corpus_opens_from_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    path = jsonl(tmp_path / "mine.jsonl", ["one"])
    corpora.open_corpus(path, letters())
    monkeypatch.setattr(store, "FileLock", lambda name: pytest.fail("a lock was asked for"))
    assert corpora.open_corpus(path, letters()).ids.tolist() == list(b"one")


def test_a_cap_problem_and_special_tokens_have_folders_of_their_own(tmp_path):
    path = jsonl(tmp_path / "mine.jsonl", ["one", "two"])
    by = Tokenizer(
        "around", "a" * 64, [bytes([i]) for i in range(256)], {}, 256, lambda t: list(t.encode()), ((1,), (2,))
    )
    found = {
        "all": corpora.open_corpus(path, by),
        "capped": corpora.open_corpus(path, by, max_tokens=np.int64(4)),
        "special": corpora.open_corpus(path, by, special_tokens=True),
    }
    assert [one.ids.tolist() for one in found.values()] == [
        list(b"onetwo"),
        list(b"onet"),
        [1, *b"one", 2, 1, *b"two", 2],
    ]
    assert len({one.digest for one in found.values()}) == 3
    assert corpora.open_corpus(path, by, problem="skip").digest == found["all"].digest  # the same text


@pytest.mark.slow
def test_an_offline_hub_falls_to_the_package_or_is_named(monkeypatch):
    pytest.importorskip("datasets")
    with pytest.raises(
        CorpusError,
        match=r"^There is no text for arxiv: the hub gives no no/such-repository \(.+\) and no package ships it; set",
    ):
        corpora.open_corpus("arxiv", letters(), max_tokens=9, repository="no/such-repository")


def test_without_a_hub_the_package_is_taken_or_named(tmp_path, monkeypatch):
    monkeypatch.setattr(pile, "unreachable", lambda repository, revision: "no network")
    with pytest.raises(
        CorpusError,
        match=r"^There is no text for cc: the hub gives no monology/pile-uncopyrighted \(no network\); set PROBS",
    ):
        corpora.open_corpus("cc", letters(), place="hub")
    with pytest.raises(
        CorpusError,
        match=r"^There is no text for cc: the hub gives no monology/pile-uncopyrighted \(no network\) and no pack",
    ):
        corpora.open_corpus("cc", letters())
    monkeypatch.setattr(packages, "missing", lambda name: None)
    monkeypatch.setattr(packages, "read", lambda name, folder: iter(["shipped"]))
    assert corpora.open_corpus("wikipedia-en", letters()).place == "package"


@pytest.mark.parametrize("name", packages.FURTHER)
def test_what_is_no_subset_of_the_pile_is_not_asked_of_the_hub(name, tmp_path, monkeypatch):
    monkeypatch.setattr(pile, "_stream", lambda *repository: pytest.fail("the hub was asked"))
    monkeypatch.setattr(packages, "missing", lambda name: None)
    monkeypatch.setattr(packages, "read", lambda name, folder: iter(["shipped", "twice"]))
    corpus = corpora.open_corpus(name, letters())
    assert corpus.place == "package" and corpus.offsets.tolist() == [0, 7, 12]
    assert corpus.record["source"]["path"] == packages.origin(name)
    with pytest.raises(CorpusError, match=rf"^The hub has no {name}, which is no subset of the Pile: pass place="):
        corpora.open_corpus(name, letters(), place="hub")
    monkeypatch.setenv("PROBSIG_DATA", str(tmp_path / "data"))
    jsonl(tmp_path / "data" / f"{name}.jsonl", ["mine"])
    assert corpora.open_corpus(name, letters()).place == "file"


def test_empty_and_damaged_documents_are_counted_and_said(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(b'{"text": "ab"}\n{"text": ""}\n{"text": "c\n{"text": "d"}\n')
    with pytest.raises(CorpusError, match=r"^Line 3 of \S+mine\.jsonl is no JSON"):
        corpora.open_corpus(path, letters())
    with pytest.warns(
        UserWarning, match=r"^Documents of \S+ that are left out: 1 empty and 1 damaged \(the first: Line 3"
    ):
        corpus = corpora.open_corpus(path, letters(), problem="skip")
    assert corpus.offsets.tolist() == [0, 2, 3]


def test_what_cannot_be_opened_is_one_sentence(tmp_path):
    cases = [
        (("wikipedia-e",), {}, r"^There is no corpus 'wikipedia-e' \(did you mean 'wikipedia-en'\?\): pass the path"),
        (("cc",), {"place": "file"}, r"^PROBSIG_DATA names no folder with cc\.jsonl\.gz or the like: "),
        (("cc",), {"place": "cloud"}, r"^place is 'cloud': pass one of 'file', 'hub', 'package', or None\.$"),
        (
            ("cc",),
            {"max_tokens": 1e8},
            r"^max_tokens is 100000000\.0: pass a positive whole number, or None for all\.$",
        ),
        (("cc",), {"problem": "ignore", "place": "hub"}, r"^problem is 'ignore': pass one of 'stop', 'skip'\.$"),
        (("cc",), {"max_tokens": 0}, r"^max_tokens is 0: pass a positive whole number, or None for all\.$"),
    ]
    for args, known, sentence in cases:
        with pytest.raises(ValueError, match=sentence):
            corpora.open_corpus(*args, letters(), **known)


def test_two_at_once_do_not_spoil_each_other(tmp_path):
    path = jsonl(tmp_path / "mine.jsonl", [f"document {i}" for i in range(3000)])
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: corpora.open_corpus(path, letters()), range(4)))
    assert len({corpus.digest for corpus in opened}) == 1
    assert all(np.array_equal(corpus.ids, opened[0].ids) for corpus in opened)


@pytest.mark.slow
@pytest.mark.parametrize("name", DEVELOPMENT)
def test_the_development_corpora(name, monkeypatch):
    if not DATA or not os.path.exists(os.path.join(DATA, f"{name}.jsonl.gz")):
        pytest.skip(f"PROBSIG_DATA names no folder with {name}.jsonl.gz, the development corpus")
    if not packages._files("dashscope"):
        pytest.skip("dashscope is not installed: pip install --no-deps -r requirements-data.txt")
    monkeypatch.setenv("PROBSIG_DATA", DATA)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        corpus = corpora.open_corpus(name)
    assert (len(corpus.offsets) - 1, len(corpus.ids)) == DEVELOPMENT[name]
    text = corpus.tokenizer.pieces
    whole = b"".join(text[i] for i in corpus.document(3).tolist())
    assert np.array_equal(corpus.tokenizer.encode(whole.decode()), corpus.document(3))


def test_empty_documents_alone_are_no_obstacle(tmp_path):
    path = jsonl(tmp_path / "mine.jsonl", ["", "a"])
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"^Documents of \S+ that are left out: 1 empty\.$"):
            assert len(corpora.open_corpus(path, letters()).ids) == 1
    with pytest.raises(ValueError, match=r"^The name of the corpus is empty: pass a path or one of arxiv"):
        corpora.open_corpus(" ", letters())


def test_texts_in_a_list_and_in_a_data_set_are_what_a_file_of_them_is(tmp_path):
    texts = ["one", "naïve", "one"]
    kept = corpora.open_corpus(jsonl(tmp_path / "mine.jsonl", texts), letters())
    given = [texts, tuple(texts), np.array(texts), (text for text in texts)]
    if (datasets := _datasets()) is not None:
        table = datasets.Dataset.from_dict({"text": texts, "other": ["x"] * 3})
        given += [table, table.to_iterable_dataset()]
        assert corpora.open_corpus(table, letters(), column="other").ids.tolist() == list(b"xxx")
    for one in given:
        found = corpora.open_corpus(one, letters())
        assert found.place == "memory" and found.digest == kept.digest, type(one)
        assert np.array_equal(found.ids, kept.ids) and np.array_equal(found.offsets, kept.offsets)
    assert corpora.open_corpus(texts, letters(), max_tokens=4).ids.tolist() == list(b"onen")
    for place in ("nowhere", "hub"):
        with pytest.raises(
            ValueError, match=f"^place is '{place}', and texts in memory are read where they are: leave"
        ):
            corpora.open_corpus(texts, letters(), place=place)


@pytest.mark.parametrize(
    ("library", "make", "remedy"),
    [
        ("pandas", lambda library: library.DataFrame({"text": ["one", "two"], "n": [1, 2]}), r"df['text']."),
        ("pyarrow", lambda library: library.table({"text": ["one", "two"]}), r"table['text'].to_pylist()."),
    ],
)
def test_a_table_is_refused_and_its_column_is_read(library, make, remedy):
    table = make(pytest.importorskip(library))
    with pytest.raises(CorpusError, match=rf"such as {re.escape(remedy)}$"):
        corpora.open_corpus(table, letters())
    column = eval(remedy.rstrip("."), {"df": table, "table": table})
    assert corpora.open_corpus(column, letters()).ids.tolist() == list(b"onetwo")


def _datasets():
    try:
        return pytest.importorskip("datasets")
    except pytest.skip.Exception:
        return None


def test_what_holds_no_texts_is_one_sentence_without_what_it_holds():
    kept = corpora.open_corpus(["one"], letters())
    cases = [
        (3, r"^The text is a int: pass a path, a name, texts in a list"),
        (kept, r"^The text is a Corpus: pass a path"),
        (b"bytes", r"^The text is a bytes: pass"),
        ({"train": ["a"], "test": ["b"]}, r"^The text is a dict of train, test: pass one of them\.$"),
        (["a", 7], r"^Document 2 is a int and no text: mend it, or pass problem='skip' to leave it out\.$"),
        ([], r"^The corpus the given texts is empty"),
    ]
    for given, sentence in cases:
        with pytest.raises(CorpusError, match=sentence):
            corpora.open_corpus(given, letters())
    with pytest.warns(UserWarning, match=r"^Documents of the given texts that are left out: 1 empty and 1 damaged"):
        assert len(corpora.open_corpus(["a", 7, ""], letters(), problem="skip").ids) == 1
    if (datasets := _datasets()) is not None:
        table = datasets.Dataset.from_dict({"body": ["a"]})
        with pytest.raises(CorpusError, match=r"^The data set has no column 'text' but body: pass column= with one of"):
            corpora.open_corpus(table, letters())


def test_a_data_set_of_the_hub_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = []
    rows = [{"body": "one"}, {"body": None}, {"body": "two"}]
    monkeypatch.setattr(pile, "_stream", lambda *given: asked.append(given) or iter(rows))
    with pytest.warns(UserWarning, match=r"1 damaged \(the first: Row 2 of owner/name:fine holds no text"):
        corpus = corpora.open_corpus("owner/name:fine", letters(), column="body", problem="skip", revision="a1")
    assert bytes(corpus.ids.astype(np.uint8)) == b"onetwo" and asked[-1] == ("owner/name:fine", "a1")
    with pytest.raises(CorpusError, match=r"^owner/name has no column 'text' but body: pass column="):
        corpora.open_corpus("owner/name", letters())
    (tmp_path / "texts").mkdir()
    for path in ("texts/none", "texts/none.txt", "other/none.jsonl", "./owner/name"):
        with pytest.raises(CorpusError, match=r"^There is no corpus "):
            corpora.open_corpus(path, letters())


def test_a_hub_that_does_not_answer_is_told_at_once(monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setattr(pile, "hub_answers", lambda: False)
    with pytest.raises(
        CorpusError, match=r"^There is no text for owner/name: the hub gives no \S+ \(it does not answer"
    ):
        corpora.open_corpus("owner/name", letters())


def test_files_of_other_kinds_in_a_folder_are_said(tmp_path):
    jsonl(tmp_path / "texts" / "a.jsonl", ["one"])
    (tmp_path / "texts" / "notes.md").write_text("x")
    with pytest.warns(
        UserWarning, match=r"^Files that are left out: 1 of \S+texts are of no kind that is read \(\.md\)\.$"
    ):
        corpora.open_corpus(tmp_path / "texts", letters())


def test_two_columns_of_a_table_are_two_texts(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,body\none,two!\n")
    assert len(corpora.open_corpus(path, letters()).ids) == 3
    assert len(corpora.open_corpus(path, letters(), column="body").ids) == 4


@pytest.mark.parametrize("name", ["a b $x$ 'q\" .txt", "n" * 240 + ".txt", b"\xff\xfe.txt"])
def test_names_of_any_kind(name, tmp_path):
    path = os.fsdecode(os.path.join(os.fsencode(tmp_path), name if isinstance(name, bytes) else name.encode()))
    with open(path, "w") as file:
        file.write("one")
    found = corpora.open_corpus(path, letters())
    assert found.ids.tolist() == list(b"one") and found.name.encode()
