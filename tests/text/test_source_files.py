"""Every kind of file gives the same documents, and what is wrong with a file is one sentence."""

import csv
import gzip
import io
import json
import lzma
import os
import random
import signal
import subprocess
import sys

import pytest

from probsig.errors import CorpusError
from probsig.text.sources import files as sources_files

arrow = pytest.importorskip("pyarrow")
TEXTS = ["one", "two\nlines", "", "naïve 日本", "last"]


def lines(texts=TEXTS):
    return "".join(json.dumps({"text": text, "meta": {}}) + "\n" for text in texts).encode()


def zstd(data):
    sink = arrow.BufferOutputStream()
    with arrow.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(data)
    return sink.getvalue().to_pybytes()


def parquet(path, texts=TEXTS, name="text"):
    import pyarrow.parquet

    pyarrow.parquet.write_table(arrow.table({name: texts}), path)
    return path


def write(path, data):
    path.write_bytes(data)
    return path


def test_all_kinds_say_the_same(tmp_path):
    made = [
        write(tmp_path / "a.jsonl", lines()),
        write(tmp_path / "a.jsonl.gz", gzip.compress(lines())),
        write(tmp_path / "a.jsonl.zst", zstd(lines())),
        parquet(tmp_path / "a.parquet"),
    ]
    for path in made:
        assert list(sources_files.read(path)) == TEXTS, path
    assert list(sources_files.read(write(tmp_path / "a.jsonl.xz", lzma.compress(lines())))) == TEXTS
    for suffix, pack in (("txt", bytes), ("txt.gz", gzip.compress), ("txt.zst", zstd), ("txt.xz", lzma.compress)):
        assert list(sources_files.read(write(tmp_path / f"b.{suffix}", pack("é\n2".encode())))) == ["é\n2"]


def test_a_folder_is_its_files_in_the_order_of_their_paths(tmp_path):
    (tmp_path / "z" / "many").mkdir(parents=True)
    write(tmp_path / "z" / "1.txt", b"third")
    write(tmp_path / "b.txt", b"second")
    write(tmp_path / "a.jsonl", lines(["first"]))
    write(tmp_path / "notes.doc", b"not read")
    assert list(sources_files.read(tmp_path)) == ["first", "second", "third"]
    for number in (5, 11, 0, 7, 2, 9, 4, 1, 10, 3, 8, 6):  # as a system may list them
        write(tmp_path / "z" / "many" / f"{number:02}.txt", str(number).encode())
    assert list(sources_files.read(tmp_path / "z" / "many")) == [str(number) for number in range(12)]


def test_blank_lines_are_no_documents(tmp_path):
    assert list(sources_files.read(write(tmp_path / "a.jsonl", b"\n" + lines(["x"]) + b"  \n"))) == ["x"]


GOOD, REST = lines(["good"]), lines(["rest"])
DAMAGED = {
    "cut": (GOOD + b'{"text": "cut of', r"^Line 2 of \S+ is cut: mend the line, or .*\.$"),
    "half a line": (GOOD + b'{"text": "ha\n' + REST, r"^Line 2 of \S+ is no JSON \(at character \d+\): .*\.$"),
    "no UTF-8": (GOOD + b'{"text": "\xff"}\n' + REST, r"^Line 2 of \S+ is no UTF-8 \(byte 10 of the line\): .*\.$"),
    "surrogate": (GOOD + b'{"text": "a\\ud800"}\n' + REST, r"^Line 2 of \S+ holds half of a surrogate pair .*\.$"),
    "no text": (GOOD + b'{"txet": "x"}\n' + REST, r"^Line 2 of \S+ is no JSON object with a text under 'text': .*\.$"),
    "two texts": (
        GOOD + b'{"text": "x", "text": "y"}\n' + REST,
        r"^Line 2 of \S+ is no JSON object with a text under 'text': .*\.$",
    ),
    "no object": (GOOD + b"[1]\n" + REST, r"^Line 2 of \S+ is no JSON object with a text under 'text': .*\.$"),
    "long number": (
        GOOD + b'{"text": "x", "n": ' + b"1" * 5000 + b"}\n" + REST,
        r"^Line 2 of \S+ has too long a number or",
    ),
    "deep": (
        GOOD + b'{"text": "x", "n": ' + b"[" * 100_000 + b"\n" + REST,
        r"^Line 2 of \S+ has too long .* nested too",
    ),
    "UTF-16": (GOOD + '{"text": "x"}'.encode("utf-16") + b"\n" + REST, r"^Line 2 of \S+ is no UTF-8 \(byte \d+ of"),
    "number": (GOOD + b'{"text": 3}\n' + REST, r"^Line 2 of \S+ is no JSON object with a text under 'text': .*\.$"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_line_is_named_and_the_rest_is_kept(what, tmp_path):
    data, sentence = DAMAGED[what]
    path = write(tmp_path / "a.jsonl", data)
    reader = sources_files.read(path)
    assert next(reader) == "good"
    with pytest.raises(CorpusError, match=sentence):
        next(reader)
    left_out = []
    kept = list(sources_files.read(path, "skip", left_out.append))
    assert kept == (["good"] if what == "cut" else ["good", "rest"]) and len(left_out) == 1


@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, "gz"), (zstd, "zst"), (lzma.compress, "xz")])
def test_a_packed_file_that_ends_early_keeps_what_stands_before(pack, suffix, tmp_path):
    texts = [f"{i} " + "".join(chr(33 + (i * j * j) % 90) for j in range(500)) for i in range(2000)]
    data = pack(lines(texts))
    path = write(tmp_path / f"a.jsonl.{suffix}", data[: len(data) // 2])
    with pytest.raises(
        CorpusError, match=r"^\S+ ends early or is damaged \(after line \d+\): fetch it again, or .*\.$"
    ):
        list(sources_files.read(path))
    left_out = []
    kept = list(sources_files.read(path, "skip", left_out.append))
    assert 0 < len(kept) < 2000 and kept == texts[: len(kept)] and len(left_out) == 1


def test_a_packed_file_in_two_parts_is_read_whole(tmp_path):
    for suffix, pack in (("gz", gzip.compress), ("zst", zstd)):
        path = write(tmp_path / f"a.jsonl.{suffix}", pack(lines(["one"])) + pack(lines(["two"])))
        assert list(sources_files.read(path)) == ["one", "two"]


@pytest.mark.parametrize("suffix", ["gz", "zst", "xz"])
def test_a_file_that_is_not_packed_as_its_name_says(suffix, tmp_path):
    path = write(tmp_path / f"a.jsonl.{suffix}", lines(["one"]))
    with pytest.raises(
        CorpusError, match=rf"^\S+ is not packed as \.{suffix}: take \.{suffix} off its name, or pack it"
    ):
        list(sources_files.read(path))
    write(tmp_path / "b.txt", b"rest")
    left_out = []
    assert list(sources_files.read(tmp_path, "skip", left_out.append)) == ["rest"] and len(left_out) == 1


TABLE = [["id", "body", "text"], ["1", "x", "one"], ["2", "y", 'two\nlines, with "quotes"'], ["3", "z", "naïve 日本"]]


def written(rows, **options):
    lines = io.StringIO()
    csv.writer(lines, **options).writerows(rows)
    return lines.getvalue().encode()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, zstd], ids=["", ".gz", ".xz", ".zst"])
@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("tsv", "\t"), ("CSV", ",")])
def test_a_table_gives_the_column_that_is_named(suffix, delimiter, pack, tmp_path, request):
    ending = request.node.callspec.id.rpartition("-")[2]
    path = write(tmp_path / f"a.{suffix}{ending}", pack(written(TABLE, delimiter=delimiter)))
    assert list(sources_files.read(path)) == [row[2] for row in TABLE[1:]]
    assert list(sources_files.read(path, column="body")) == ["x", "y", "z"]


def test_tables_are_read_as_pandas_reads_them(tmp_path):
    pandas = pytest.importorskip("pandas")
    rng = random.Random(0)
    texts = ["".join(rng.choices("ab ,\"\t\n;é日'\\", k=rng.randint(1, 12))) for _ in range(300)]
    for suffix, delimiter in (("csv", ","), ("tsv", "\t")):
        path = tmp_path / f"a.{suffix}"
        pandas.DataFrame({"n": range(300), "text": texts}).to_csv(path, sep=delimiter, index=False)
        assert list(sources_files.read(path)) == texts


def test_a_key_of_lines_and_a_column_of_parquet_by_name(tmp_path):
    path = write(tmp_path / "a.jsonl", b'{"body": "one", "text": 1}\n')
    assert list(sources_files.read(path, column="body")) == ["one"]
    assert list(sources_files.read(parquet(tmp_path / "a.parquet", name="body"), column="body")) == TEXTS
    write(tmp_path / "b.csv", b"body\ntwo\n")
    assert list(sources_files.read(tmp_path, column="body")) == ["one", *TEXTS, "two"]


def test_a_damaged_row_of_a_table_is_named_and_the_rest_is_kept(tmp_path):
    data = b'id,text\n1,good\n2\n3,"half" and half\n4,\xff\n\n5,rest\n'
    path, left_out = write(tmp_path / "a.csv", data), []
    assert list(sources_files.read(path, "skip", left_out.append)) == ["good", "rest"]
    says = ["has 1 cells and not 2", "is no CSV", "is no UTF-8"]
    for row, (sentence, said) in enumerate(zip(left_out, says, strict=True), 2):
        assert sentence.startswith(f"Row {row} of {path}") and said in sentence and "mend the row" in sentence
    with pytest.raises(CorpusError, match=r"^Row 2 of \S+ has 1 cells"):
        list(sources_files.read(path))
    with pytest.raises(CorpusError, match=r"^\S+ has no column 'text' but a;b: pass column= with one of them\.$"):
        list(sources_files.read(write(tmp_path / "b.csv", b"a;b\n1;2\n")))
    with pytest.raises(CorpusError, match=r"^Line 1 of \S+ .* or pass column= with the key"):
        list(sources_files.read(write(tmp_path / "c.jsonl", b'{"content": "x"}\n')))


def test_a_long_cell_is_read_whole(tmp_path):
    long = "ab" * 200_000
    assert list(sources_files.read(write(tmp_path / "a.csv", written([["text"], [long]])))) == [long]


def test_a_mark_of_the_order_of_bytes_is_no_text(tmp_path):
    for name, data in (("a.txt", b"one"), ("b.jsonl", lines(["two"])), ("c.csv", b"text\nthree\n")):
        write(tmp_path / name, b"\xef\xbb\xbf" + data)
    assert list(sources_files.read(tmp_path)) == ["one", "two", "three"]


def test_hidden_files_are_no_text_and_other_kinds_are_listed(tmp_path):
    for name in (".hidden.txt", ".ipynb_checkpoints/a-checkpoint.txt", "B.TXT", "notes.md", "data/x.doc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, name.encode())
    assert list(sources_files.read(tmp_path)) == ["B.TXT"]
    assert [str(path.relative_to(tmp_path)) for path in sources_files.unread(tmp_path)] == ["data/x.doc", "notes.md"]
    assert sources_files.unread(tmp_path / "B.TXT") == []


def test_a_link_to_nothing_is_said(tmp_path):
    write(tmp_path / "a.txt", b"a")
    (tmp_path / ".b.txt").symlink_to(tmp_path / "away.txt")  # hidden, and no part of the text
    (tmp_path / "b.md").symlink_to(tmp_path / "away.txt")  # of no kind that is read
    assert list(sources_files.read(tmp_path)) == ["a"]
    (tmp_path / "b.txt").symlink_to(tmp_path / "away.txt")
    with pytest.raises(CorpusError, match=r"b\.txt is a link to nothing: mend it, or take it out of the folder\.$"):
        sources_files.files(tmp_path)
    write(tmp_path / "away.txt", b"away")
    assert list(sources_files.read(tmp_path)) == ["a", "away", "away"]


def test_a_key_within_a_key_or_a_text_is_no_second_text(tmp_path):
    line = b'{"meta": {"text": "no"}, "text": "say \\"text\\"", "of": "text"}\n'
    assert list(sources_files.read(write(tmp_path / "a.jsonl", line))) == ['say "text"']


@pytest.mark.parametrize(("name", "by"), [("a.csv", b","), ("a.tsv", b"\t")])
def test_two_columns_of_one_name_are_refused(tmp_path, name, by):
    path = write(tmp_path / name, by.join([b"text", b"text"]) + b"\n" + by.join([b"x", b"y"]) + b"\n")
    with pytest.raises(CorpusError, match=r"has two columns 'text': rename one of them\.$"):
        list(sources_files.read(path))


def test_two_columns_of_one_name_in_parquet_are_refused(tmp_path):
    import pyarrow.parquet

    table = arrow.Table.from_arrays([arrow.array(["x"]), arrow.array(["y"])], names=["text", "text"])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(CorpusError, match=r"has two columns 'text': rename one of them\.$"):
        list(sources_files.read(tmp_path / "a.parquet"))


def test_a_folder_that_is_not_looked_into_is_said(tmp_path, monkeypatch):
    write(tmp_path / "a.txt", b"a")
    (tmp_path / "texts" / ".hidden").mkdir(parents=True)
    write(tmp_path / "texts" / "b.txt", b"b")
    link = tmp_path / "texts" / "more"
    link.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert list(sources_files.read(tmp_path / "texts")) == ["b"]  # leads nowhere, as yet
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(CorpusError, match=r"more is a link to a folder, which is not followed: put the folder there"):
        sources_files.files(tmp_path / "texts")
    link.unlink()
    real = os.scandir

    def closed(path):
        if str(path).endswith(("texts", ".hidden")):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(CorpusError, match=r"texts cannot be looked into \(Permission denied\): check its permi"):
        sources_files.files(tmp_path)


def test_rows_of_parquet_that_are_no_text_are_left_out_one_by_one(tmp_path):
    import pyarrow.parquet

    starts = arrow.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0")
    texts = arrow.Array.from_buffers(arrow.string(), 3, [None, starts, arrow.py_buffer(b"a\xffb")])
    pyarrow.parquet.write_table(arrow.table({"text": texts}), tmp_path / "a.parquet")
    with pytest.raises(CorpusError, match=r"^Row 2 of \S+ is no UTF-8 \(byte 0 of the text\): mend the row, or .*\.$"):
        list(sources_files.read(tmp_path / "a.parquet"))
    left_out = []
    assert (
        list(sources_files.read(tmp_path / "a.parquet", "skip", left_out.append)) == ["a", "b"] and len(left_out) == 1
    )
    many = [f"{i} " + "x" * 50 for i in range(700)]  # more than one batch
    many[300] = None
    assert list(sources_files.read(parquet(tmp_path / "b.parquet", many), "skip")) == many[:300] + many[301:]
    with pytest.raises(CorpusError, match=r"^Row 301 of \S+ holds no text: "):
        list(sources_files.read(tmp_path / "b.parquet"))


def test_a_damaged_page_of_parquet_is_one_sentence(tmp_path):
    data = bytearray(parquet(tmp_path / "a.parquet", [f"{i} " * 50 for i in range(5000)]).read_bytes())
    for at in range(200, 260):
        data[at] ^= 255
    with pytest.raises(CorpusError, match=r"^\S+ ends early or is damaged \(after row \d+\): fetch it again, or .*\.$"):
        list(sources_files.read(write(tmp_path / "a.parquet", bytes(data))))


def test_other_damage(tmp_path):
    cut = parquet(tmp_path / "cut.parquet").read_bytes()[:-20]
    cases = [
        (write(tmp_path / "cut.parquet", cut), r"ends early or is damaged \(it has no footer\)"),
        (
            parquet(tmp_path / "other.parquet", name="body"),
            r"has no column 'text' but body: pass column= with one of them\.$",
        ),
        (parquet(tmp_path / "none.parquet", ["a", None]), r"^Row 2 of \S+ holds no text: "),
        (write(tmp_path / "a.txt", b"\xff"), r"^\S+ is no UTF-8 \(byte 0\): convert the file"),
        (write(tmp_path / "b.txt.gz", gzip.compress(b"x" * 100)[:-9]), r"\(its one document is cut\)"),
        (tmp_path / "nowhere.jsonl", r"^There is no file or folder \S+: check the path\.$"),
        (write(tmp_path / "a.doc", b""), r"^\S+ is of no kind that is read here: name it \.jsonl, .*\.$"),
    ]
    for path, sentence in cases:
        with pytest.raises(CorpusError, match=sentence):
            list(sources_files.read(path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=r"^The folder \S+ holds no file of the kinds .*: put the text there\.$"):
        sources_files.files(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"^problem is 'ignore': pass one of 'stop', 'skip'\.$"):
        list(sources_files.read(tmp_path / "a.txt", "ignore"))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, zstd], ids=["", ".gz", ".xz", ".zst"])
def test_what_unpacks_to_more_than_a_document_may_have_is_read_no_further(pack, tmp_path, monkeypatch, request):
    """A bound of 1,000 stands for the real one: one sentence, and the other documents are read."""
    monkeypatch.setattr(sources_files, "LARGEST", 1_000)
    packed, long, left_out = request.node.callspec.id, "x" * 5_000, []
    table = written([["text", "id"], ["one", "1"], [long, "2"], ["two", "3"], ["x" * 900, "y" * 900], ["last", "5"]])
    cases = {
        "a.jsonl": (lines(["one", long, "two", "last"]), r"^Line 2 of \S+ is larger than 256 MiB: mend the line, or"),
        "a.csv": (table, r"^Row 2 of \S+ \(line \d+\) is no CSV \(a line is larger than 256 MiB\): mend the row, or"),
        "a.txt": (long.encode(), r"^\S+ is larger than 256 MiB: cut it into files, or"),
    }
    for name, (data, sentence) in cases.items():
        path = write(tmp_path / f"{name}{packed}", pack(data))
        with pytest.raises(CorpusError, match=sentence):
            list(sources_files.read(path))
        kept = list(sources_files.read(path, "skip", left_out.append))
        assert kept == ([] if name == "a.txt" else ["one", "two", "last"])
    assert len(left_out) == 4  # of the table two rows


def test_a_row_of_parquet_that_is_too_large_is_told_as_such(tmp_path, monkeypatch):
    monkeypatch.setattr(sources_files, "LARGEST", 100)
    path, left_out = parquet(tmp_path / "a.parquet", ["one", "x" * 101, "one"]), []
    assert list(sources_files.read(path, "skip", left_out.append)) == ["one", "one"]
    assert left_out[0].startswith(f"Row 2 of {path} is larger than 256 MiB: mend the row, or")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system tells no process's largest memory")
def test_a_small_file_of_many_blanks_costs_no_more_memory_than_a_document_may(tmp_path):
    """100 kB of gz that are 100 MB of blanks, in a process of its own with a bound of 4 MiB."""
    with gzip.open(tmp_path / "a.jsonl.gz", "wb", 9) as file:
        for _ in range(100):
            file.write(b" " * 1_000_000)
    script = """if True:
        import resource, sys
        from probsig.text.sources import files
        files.LARGEST = 1 << 22
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert list(files.read(sys.argv[1], "skip")) == []
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    found = subprocess.run([sys.executable, "-c", script, tmp_path / "a.jsonl.gz"], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) * (1 if sys.platform == "darwin" else 1024) < 40 << 20
