"""Ids in files: the same bytes however often the work was killed, and one sentence for what is damaged."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from probsig.errors import CorpusError
from probsig.runs.files import StorageError
from probsig.text import store


class Letters:
    """A tokenizer whose tokens are the bytes of a text."""

    name, digest = "letters", "d" * 64

    def __init__(self, embedding_rows=256):
        self.embedding_rows = embedding_rows

    def encode(self, text, *, special_tokens=False):
        data = text.encode()
        return np.frombuffer(b"<" + data if special_tokens else data, dtype=np.uint8)


TEXTS = ["one", "", "naïve", "last one"]
SOURCE = {"path": "somewhere", "name": "somewhere"}


def write(folder, texts=TEXTS, by=None, **options):
    return store.write(folder, texts, by or Letters(), SOURCE, **options)


def test_bytes_on_disk_are_what_the_page_says(tmp_path):
    record = write(tmp_path)
    whole = "".join(TEXTS).encode()
    assert (tmp_path / "ids").read_bytes() == np.frombuffer(whole, np.uint8).astype("<u2").tobytes()
    assert (tmp_path / "offsets").read_bytes() == np.array([0, 3, 9, 17], dtype="<i8").tobytes()
    assert {path.name for path in tmp_path.iterdir()} == {"ids", "offsets", "corpus.json"}
    assert (record["tokens"], record["documents"], record["empty"], record["characters"]) == (17, 3, 1, 16)
    wide = tmp_path / "wide"
    assert write(wide, by=Letters(70_000))["dtype"] == "<u4" and (wide / "ids").stat().st_size == 4 * 17


def test_two_bytes_are_enough_up_to_65536_ids(tmp_path):
    class Last(Letters):
        def encode(self, text, **options):
            return np.array([self.embedding_rows - 1], dtype=np.uint32)

    for rows, dtype in ((1 << 16, "<u2"), ((1 << 16) + 1, "<u4")):
        assert write(tmp_path / str(rows), ["x"], Last(rows))["dtype"] == dtype
        assert store.read(tmp_path / str(rows))[1].tolist() == [rows - 1]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=8),
    st.none() | st.integers(1, 30),
    st.booleans(),
)
def test_ids_and_offsets_are_those_of_each_document_by_itself(tmp_path_factory, texts, most, special):
    folder = tmp_path_factory.mktemp("corpus")
    ids, starts, empty, read = b"", [0], 0, 0
    for text in texts:  # one after the other, by hand
        read += 1
        piece = (b"<" if special else b"") + text.encode()
        ids += piece[: len(piece) if most is None else most - len(ids)]
        starts += [len(ids)] * bool(piece)
        empty += not piece
        if len(ids) == most:
            break
    if not ids:
        with pytest.raises(CorpusError, match=r" is empty: not one of its documents gives a token\.$"):
            write(folder / "x", texts, max_tokens=most, special_tokens=special)
        return
    record = write(folder / "x", texts, max_tokens=most, special_tokens=special)
    _, found, offsets = store.read(folder / "x")
    assert bytes(found.astype(np.uint8)) == ids and offsets.tolist() == starts
    assert (record["empty"], record["characters"]) == (empty, sum(map(len, texts[:read])))


def test_reading_maps_what_was_written(tmp_path):
    assert store.read(tmp_path) is None
    written = write(tmp_path)
    record, ids, offsets = store.read(tmp_path)
    assert record == written and isinstance(ids, np.memmap) and isinstance(offsets, np.memmap)
    assert bytes(ids[offsets[1] : offsets[2]].astype(np.uint8)).decode() == "naïve"


def test_a_cap_cuts_where_it_says(tmp_path):
    for most in (1, 3, 4, 17, 100):
        record = write(tmp_path / str(most), max_tokens=most)
        assert record["tokens"] == min(most, 17)
        offsets = store.read(tmp_path / str(most))[2]
        assert offsets[-1] == record["tokens"] and (np.diff(offsets) > 0).all()


def test_the_digest_is_of_text_boundaries_tokenizer_and_options(tmp_path):
    other = Letters()
    other.digest = "e" * 64
    digests = {
        "same": write(tmp_path / "0")["digest"],
        "again": write(tmp_path / "1")["digest"],
        "text": write(tmp_path / "2", [*TEXTS[:-1], "last One"])["digest"],
        "boundary": write(tmp_path / "3", ["on", "e", *TEXTS[1:]])["digest"],
        "tokenizer": write(tmp_path / "4", by=other)["digest"],
        "special": write(tmp_path / "5", special_tokens=True)["digest"],
    }
    assert digests["same"] == digests.pop("again") and len(set(digests.values())) == 5
    elsewhere = store.write(tmp_path / "6", TEXTS, Letters(), {"path": "elsewhere"}, left_out=["one"])
    assert elsewhere["digest"] == digests["same"] and elsewhere["left_out"] == ["one"]


def test_special_tokens_are_asked_of_the_tokenizer(tmp_path):
    write(tmp_path, ["ab", ""], special_tokens=True)
    assert bytes(store.read(tmp_path)[1].astype(np.uint8)) == b"<ab<"


def test_nothing_is_left_of_an_empty_corpus(tmp_path):
    for texts in ([], ["", ""]):
        with pytest.raises(
            CorpusError, match=r"^The corpus somewhere is empty: not one of its documents gives a token\.$"
        ):
            write(tmp_path / "corpus", texts)
        assert not (tmp_path / "corpus").exists()


def test_a_folder_that_holds_other_files_keeps_them(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(CorpusError):
        write(tmp_path, [""])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def many(number=400):
    return [f"document {i} " + "x" * (i % 37) for i in range(number)]


def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "EVERY", 1000)
    write(tmp_path / "whole", many())

    def broken():
        yield from many()[:250]
        raise KeyboardInterrupt

    encoded = []

    class Counting(Letters):
        def encode(self, text, **options):
            encoded.append(text)
            return super().encode(text, **options)

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "part", broken())
    assert store.read(tmp_path / "part") is None and (tmp_path / "part" / "draft.json").is_file()
    write(tmp_path / "part", many(), by=Counting())
    assert 150 <= len(encoded) < 190  # what was done was not done again, but for the last stretch
    for name in ("ids", "offsets", "corpus.json"):
        assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "part" / "draft.json").exists()


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
import test_store as t
from probsig.text import store
store.EVERY = 1000
def slow():
    for text in t.many():
        time.sleep(0.01)
        yield text
t.write({folder!r}, slow())
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    folder = tmp_path / "killed"
    script = SCRIPT.format(tests=os.path.dirname(__file__), folder=str(folder))
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    begun = time.monotonic()
    while not (folder / "draft.json").exists() and time.monotonic() - begun < 60:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert (folder / "draft.json").exists() and store.read(folder) is None
    monkeypatch.setattr(store, "EVERY", 1000)
    for name in (".draft.json.12.3f", ".corpus.json.draft.12.3f"):
        (folder / name).touch()  # what a kill leaves between two writes
    write(folder, many())
    write(tmp_path / "whole", many())
    for name in ("ids", "offsets", "corpus.json"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert len(list(folder.iterdir())) == 3


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), min_size=1, max_size=8), st.data())
def test_a_stream_that_broke_off_goes_on_to_the_same_bytes(tmp_path_factory, texts, data):
    folder = tmp_path_factory.mktemp("corpus")
    texts, part = ["x", *texts], folder / "part"
    for end in data.draw(st.lists(st.integers(1, len(texts) - 1), min_size=1, max_size=3)):

        def broken(end=end):
            yield from texts[:end]
            raise store.BrokenStream("The stream broke off")

        kept = json.loads((part / "draft.json").read_bytes())["tokens"] if (part / "draft.json").exists() else 0
        seen = max(kept, len("".join(texts[:end]).encode()))
        with pytest.raises(
            CorpusError, match=rf"^The stream broke off after {seen} tokens, which are kept: run again, "
        ):
            write(part, broken())
    for name in ("part", "whole"):
        write(folder / name, texts)
    for name in ("ids", "offsets", "corpus.json"):
        assert (part / name).read_bytes() == (folder / "whole" / name).read_bytes()


def test_a_draft_that_lost_its_end_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "EVERY", 1000)
    write(tmp_path / "whole", many())

    def broken():
        yield from many()[:250]
        raise KeyboardInterrupt

    for name in ("ids", "offsets"):
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / name, broken())
        draft = tmp_path / name / f"{name}.draft"
        draft.write_bytes(draft.read_bytes()[:20])
        write(tmp_path / name, many())
        assert (tmp_path / name / "ids").read_bytes() == (tmp_path / "whole" / "ids").read_bytes()


def test_a_state_never_speaks_of_the_files_of_another_text(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "EVERY", 1000)

    def broken(texts):
        yield from texts
        raise KeyboardInterrupt

    def begin(texts, source):
        with pytest.raises(KeyboardInterrupt):
            store.write(tmp_path / "part", broken(texts), Letters(), source)

    begin(many()[:250], SOURCE)
    monkeypatch.setattr(store, "EVERY", 1 << 30)  # stopped before its first state, further on than the other
    begin(["Z" * 40] * 400, {"path": "of another text"})
    write(tmp_path / "part", many())
    write(tmp_path / "whole", many())
    assert (tmp_path / "part" / "ids").read_bytes() == (tmp_path / "whole" / "ids").read_bytes()


def test_text_that_changed_meanwhile_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "EVERY", 1000)

    def broken():
        yield from many()[:200]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "part", broken())
    changed = ["Document 0", *many()[1:]]
    with pytest.raises(CorpusError, match=r"^The text of somewhere has changed since a part of it .* and run again\.$"):
        write(tmp_path / "part", changed)
    with pytest.raises(CorpusError, match=r"^The text of somewhere has become shorter since .* and run again\.$"):
        write(tmp_path / "part", many()[:20])


def test_a_full_disk_is_one_sentence_and_what_is_done_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "EVERY", 1000)
    write(tmp_path / "whole", many())
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 12:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(store.os, "fsync", full)
        with pytest.raises(StorageError, match=r"(?i)disk is full.*(run again; what is done is kept|was left)\.$"):
            write(tmp_path / "part", many())
    assert (tmp_path / "part" / "draft.json").is_file() and store.read(tmp_path / "part") is None
    write(tmp_path / "part", many())
    assert (tmp_path / "part" / "ids").read_bytes() == (tmp_path / "whole" / "ids").read_bytes()


@pytest.mark.parametrize("name", ["ids.draft", "offsets.draft", "draft.json", "corpus.json.draft"])
def test_whichever_file_finds_the_disk_full_the_rerun_gives_the_same_bytes(name, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "EVERY", 1000)
    write(tmp_path / "whole", many())
    true, part, seen = os.fsync, tmp_path / "part", []

    def fsync(descriptor):  # a system says at the latest here that there was no room
        node = os.fstat(descriptor).st_ino
        (path,) = [path for path in part.iterdir() if path.stat().st_ino == node]
        if path.name == name or path.name.startswith(f".{name}."):  # the second is a draft of write_whole
            seen.append(path)
            if len(seen) > {"corpus.json.draft": 0}.get(name, 3):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        true(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(
            StorageError,
            match=r"^The disk is full while somewhere is tokenised into \S+: .* run again; what is done is kept\.$",
        ):
            write(tmp_path / "part", many())
    assert store.read(tmp_path / "part") is None
    kept = json.loads((tmp_path / "part" / "draft.json").read_bytes())
    encoded = []

    class Counting(Letters):
        def encode(self, text, **options):
            encoded.append(text)
            return super().encode(text, **options)

    write(tmp_path / "part", many(), by=Counting())
    assert kept["read"] > 0 and encoded == many()[kept["read"] :]
    for file in ("ids", "offsets", "corpus.json"):
        assert (tmp_path / "part" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert len(list((tmp_path / "part").iterdir())) == 3


def test_damaged_files_are_one_sentence(tmp_path):
    write(tmp_path)
    ids = (tmp_path / "ids").read_bytes()
    (tmp_path / "ids").write_bytes(ids[:-3])
    with pytest.raises(StorageError, match=r"^\S+ids has 31 bytes where corpus\.json says 34: remove .* run again\.$"):
        store.read(tmp_path)
    (tmp_path / "ids").write_bytes(ids)
    (tmp_path / "offsets").unlink()
    with pytest.raises(StorageError, match=r"^\S+offsets has 0 bytes where"):
        store.read(tmp_path)
    record = json.loads((tmp_path / "corpus.json").read_bytes())
    for damaged in (json.dumps(record)[:-4], "[]", "", json.dumps(record | {"dtype": "<z2"}), '{"tokens": 3}'):
        (tmp_path / "corpus.json").write_text(damaged)
        with pytest.raises(StorageError, match=r"^\S+corpus\.json is damaged: remove .* run again\.$"):
            store.read(tmp_path)


@pytest.mark.parametrize("name", ["ids", "offsets"])
@settings(max_examples=20)
@given(data=st.data())
def test_every_flipped_bit_is_one_sentence(name, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("corpus")
    write(folder)
    whole = bytearray((folder / name).read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (folder / name).write_bytes(whole)
    with pytest.raises(StorageError, match=rf"^\S+{name} is not the file that corpus\.json describes .* run again\.$"):
        store.read(folder)


def test_a_corpus_of_an_older_format_is_made_anew(tmp_path):
    record = write(tmp_path)
    (tmp_path / "corpus.json").write_text(json.dumps(record | {"format": "probsig corpus 1"}))
    assert store.read(tmp_path) is None
    assert write(tmp_path) == record and store.read(tmp_path)[1].tolist() == [*b"onena\xc3\xafvelast one"]


def test_an_id_beyond_the_rows_is_one_sentence(tmp_path):
    with pytest.raises(
        CorpusError, match=r"^letters gives the id 110 in document 1 and has 100 rows: pass the tokenizer"
    ):
        write(tmp_path / "corpus", ["n"], by=Letters(100))
    assert not (tmp_path / "corpus").exists()
