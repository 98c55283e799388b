"""Tables of pair counts: sums, transposes, files, and one sentence for bad input."""

import errno
import json
from types import SimpleNamespace

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings

from probsig import guards
from probsig.counts import files as counts_files
from probsig.counts import merging
from probsig.counts.bigrams import Bigrams, count, merged
from probsig.runs.files import StorageError

IDS = st.lists(st.integers(0, 8), max_size=60)


def table(dense, distance=1):
    """A table with the given counts, so that any size of count can be injected."""
    sparse = sp.csr_array(np.asarray(dense, np.int64))
    indptr, columns = sparse.indptr.astype(np.int64), sparse.indices.astype(np.uint32)
    return Bigrams(indptr, columns, sparse.data.astype(np.int64), sparse.shape[0], distance)


WRONG = {
    "a column beyond the vocabulary": ([0, 1, 2, 2], [7, 1], [1, 1], 0),
    "the largest column": ([0, 1, 2, 2], [0, 2**32 - 1], [1, 1], 1),
    "columns that fall": ([0, 0, 2, 2], [1, 0], [1, 1], 1),
    "a column twice": ([0, 0, 0, 2], [1, 1], [1, 1], 2),
    "a count of zero": ([0, 1, 2, 2], [0, 1], [1, 0], 1),
    "a negative count": ([0, 1, 2, 2], [0, 1], [-1, 1], 0),
    "rows that fall": ([0, 2, 1, 2], [0, 1], [1, 1], 1),
    "a row past the end": ([0, 9, 1, 2], [0, 1], [1, 1], 0),
    "a start after zero": ([1, 1, 2, 2], [0, 1], [1, 1], 0),
}


@pytest.mark.parametrize(("indptr", "columns", "counts", "row"), WRONG.values(), ids=WRONG)
def test_a_table_whose_rows_are_none_is_refused_where_it_is_made_and_where_it_is_opened(
    indptr, columns, counts, row, tmp_path
):
    """Such a column was an address outside the memory of the process, once the table was transposed."""
    arrays = np.array(indptr, np.int64), np.array(columns, np.uint32), np.array(counts, np.int64)
    with pytest.raises(ValueError, match=f"Row {row} is no row of counts of 3 tokens: columns ascend and are below 3"):
        Bigrams(*arrays, vocab_size=3)
    folder = counts_files.write_table(tmp_path / "table", 3, 1, [(np.diff(arrays[0]), *arrays[1:])])
    if indptr[0] == 0:
        with pytest.raises(StorageError, match=f"{folder} is damaged: row {row} is no row .*count again"):
            Bigrams.load(folder)


@settings(max_examples=50)
@given(st.data())
def test_a_wrong_entry_anywhere_is_found_with_its_row_whatever_the_block(data):
    sizes = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=30))
    indptr = np.cumsum([0, *sizes])
    columns = np.concatenate([np.arange(n) for n in sizes]).astype(np.uint32)
    counts, block = np.ones(len(columns), np.int64), data.draw(st.integers(1, 9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guards, "BLOCK", block)
        V = max(5, len(sizes))
        indptr = np.concatenate([indptr, np.full(V - len(sizes), indptr[-1])])
        guards.sorted_rows(indptr, columns, counts)
        if len(columns):
            at = data.draw(st.integers(0, len(columns) - 1))
            columns[at] = V + data.draw(st.integers(0, 3))
            row = int(np.searchsorted(indptr, at, side="right")) - 1
            with pytest.raises(ValueError, match=f"Row {row} is no row"):
                guards.sorted_rows(indptr, columns, counts)


@settings(deadline=None)  # the first example may compile a kernel
@given(IDS, st.integers(1, 5))
def test_transpose_exchanges_rows_and_columns(ids, distance):
    pairs = count(ids, 9, distance=distance)
    turned = pairs.transpose()
    assert np.array_equal(turned.to_scipy().toarray(), pairs.to_scipy().toarray().T)
    assert turned.distance == -distance and turned.transpose() == pairs
    assert count(ids, 9, distance=-distance) == turned
    assert np.array_equal(turned.row_totals(), pairs.to_scipy().toarray().sum(axis=0))


@settings(deadline=None)
@given(IDS, IDS, IDS)
def test_sums_equal_dense_sums_in_any_order(a, b, c):
    a, b, c = (count(ids, 9) for ids in (a, b, c))
    dense = sum(x.to_scipy().toarray() for x in (a, b, c))
    assert np.array_equal(merged([a, b, c]).to_scipy().toarray(), dense)
    assert merged([a, b, c]) == merged([c, a, b]) == (a + b) + c == a + (c + b)
    assert (a + b + c).total == int(dense.sum())


@given(st.lists(st.lists(st.integers(0, 2), min_size=100, max_size=100), min_size=1, max_size=5), st.integers(1, 40))
@settings(max_examples=50)
def test_long_rows_and_small_blocks_merge_as_one(rows, entries):
    """Rows longer than the insertion sort takes, in blocks of a few entries."""
    parts = [table(np.outer(np.arange(100) % 7 == i, row)) for i, row in enumerate(rows)]
    parts += [table(np.outer(np.arange(100) % 2 == 0, row)) for row in rows]
    blocks = list(merging.merged_blocks(parts, entries))
    sizes, columns, counts = (np.concatenate(part) for part in zip(*blocks, strict=True))
    whole = merged(parts)
    assert np.array_equal(np.cumsum(sizes), whole.indptr[1:])
    assert np.array_equal(columns, whole.columns) and np.array_equal(counts, whole.entries)
    assert np.array_equal(whole.to_scipy().toarray(), sum(part.to_scipy().toarray() for part in parts))


@pytest.mark.parametrize("size", [2**24 - 1, 2**31 - 1, 2**32 - 1, 2**53])
@pytest.mark.parametrize("width", [2, 40])
def test_counts_stay_exact_past_every_smaller_type(size, width):
    """Sums past 2**24 (float32), 2**31, 2**32 (32 bits) and 2**53 (float64), in short and long rows."""
    big, one = table(np.full((width, width), size)), table(np.ones((width, width)))
    total = merged([big, one, one, one])
    assert set(total.entries.tolist()) == {size + 3}
    assert total.row_totals().tolist() == [width * (size + 3)] * width
    assert total.transpose().entries.tolist() == total.entries.tolist()


@pytest.mark.parametrize("width", [2, 40])
def test_a_sum_past_int64_is_refused(width):
    dense = np.zeros((width, width))
    top = table(dense + 1)
    top.entries[:] = 2**63 - 2
    one = table(dense + 1)
    assert set((top + one).entries.tolist()) == {2**63 - 1}
    with pytest.raises(OverflowError, match=r"counts of the pair \(0, 0\) passes 2\*\*63 - 1"):
        merged([top, one, one])
    with pytest.raises(OverflowError, match="counts of row 0 sum to more than"):
        top.row_totals()
    single = table([[0, 1], [0, 1]])
    single.entries[:] = 2**63 - 1
    assert single.total == 2 * (2**63 - 1)


def test_a_vocabulary_of_one_token_is_counted_and_one_of_none_is_refused():
    assert count(np.zeros(4, np.uint16), 1).entries.tolist() == [3]
    with pytest.raises(ValueError, match="vocab_size is 0: pass the number of tokens"):
        count(np.zeros(4, np.uint16), 0)


def test_equality_sees_every_part():
    pairs = count([0, 1, 0, 1, 2], 3)
    assert pairs == count(np.array([0, 1, 0, 1, 2], np.uint16), 3) and pairs != "a table"
    assert pairs != count([0, 1, 0, 1, 2], 4) and pairs != count([0, 1, 0, 1, 1], 3)
    assert pairs != Bigrams(pairs.indptr, pairs.columns, pairs.entries, 3, 2)
    with pytest.raises(TypeError):
        hash(pairs)


@pytest.mark.parametrize("ids", [[], [3], [0, 1, 0, 1, 2]])
def test_a_stored_table_comes_back_as_a_map(tmp_path, ids):
    pairs = count(ids, 5, distance=-1)
    pairs.save(tmp_path / "table")
    back = Bigrams.load(tmp_path / "table")
    assert back == pairs and isinstance(back.indptr, np.memmap)
    assert back + back == pairs + pairs
    assert back.to_scipy().sum() == pairs.total


def test_the_stored_bytes_are_those_that_the_module_says(tmp_path):
    count([0, 1, 0, 1, 2], 3).save(tmp_path)
    assert (tmp_path / "columns.u32").read_bytes() == bytes([1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0])
    assert (tmp_path / "counts.i64").read_bytes() == np.array([2, 1, 1], "<i8").tobytes()
    assert (tmp_path / "indptr.i64").read_bytes() == np.array([0, 1, 3, 3], "<i8").tobytes()


def test_a_damaged_table_is_refused_in_one_sentence(tmp_path):
    folder = count([0, 1, 0, 1, 2], 3).save(tmp_path / "table")
    path = folder / "counts.i64"
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(StorageError, match=r"has 23 bytes where bigrams\.json says 24: remove the folder"):
        Bigrams.load(folder, check=False)
    path.write_bytes(b"\x01" + data[1:])
    with pytest.raises(StorageError, match="SHA-256 differs"):
        Bigrams.load(folder)
    path.unlink()
    with pytest.raises(StorageError, match=r"counts\.i64 is missing"):
        Bigrams.load(folder)
    (folder / "bigrams.json").write_text("{")
    with pytest.raises(StorageError, match="is no record"):
        Bigrams.load(folder)
    with pytest.raises(FileNotFoundError, match="holds no stored counts"):
        Bigrams.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        *({"vocab_size": V} for V in ("2", 2.0, None, 3, -1)),
        *({"distance": k} for k in (None, 1.5, 0, "1", True)),
        {"files": ["indptr.i64", "columns.u32", "counts.i64"]},
        {"files": {file: {"bytes": 24} for file in ("indptr.i64", "columns.u32", "counts.i64")}},
    ],
    ids=str,
)
def test_a_record_of_no_table_is_refused(tmp_path, change):
    folder = count([0, 1, 1], 2).save(tmp_path / "table")
    path = folder / "bigrams.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(StorageError, match=r"bigrams\.json is no record of probsig bigrams 1: remove the folder"):
        Bigrams.load(folder)


def test_a_file_in_the_place_of_a_table_is_refused(tmp_path):
    (tmp_path / "table").write_text("no table")
    with pytest.raises(FileNotFoundError, match=r"table is a file: pass the folder with bigrams\.json\.$"):
        Bigrams.load(tmp_path / "table")


def test_a_save_that_fails_leaves_no_table(tmp_path):
    folder = count([0, 1], 2).save(tmp_path / "table")

    def blocks():
        yield np.array([1, 0]), np.array([1], np.uint32), np.array([1])
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="because the disk is full: make room or choose another folder"):
        counts_files.write_table(folder, 2, 1, blocks())
    assert list(folder.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        Bigrams.load(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Could not write counts to"):
        count([0, 1], 2).save(tmp_path / "file")


def test_a_folder_called_tilde_is_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    with pytest.raises(ValueError, match="~/counts begins with ~: write it out, as ") as caught:
        count([0, 1, 0], 2).save("~/counts")
    assert str(caught.value).endswith(f"{tmp_path / 'home' / 'counts'}.") and not list(tmp_path.iterdir())


def test_a_table_is_saved_over_the_file_that_it_maps(tmp_path):
    pairs = count([0, 1, 0, 1, 2], 3)
    mapped = Bigrams.load(pairs.save(tmp_path))
    assert Bigrams.load(mapped.save(tmp_path)) == pairs == mapped


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: count([0, 1], 2, distance=0), "distance is 0"),
        (lambda: count([0, 2], 2), "The token id 2 at place 1 is not below the vocabulary's size 2"),
        (lambda: count([0, -1], 2), "The token id -1 at place 1 is no id"),
        (lambda: count([0, 2**32], 2), "The token id 4294967296 at place 1 is no id"),
        (lambda: count([0.5], 2), "pass integers of shape"),
        (lambda: count([[0, 1]], 2), "pass integers of shape"),
        (lambda: count([0, 1], 0), "vocab_size is 0"),
        (lambda: count([0, 1], 2, threads=0), "threads is 0"),
        (lambda: count([0, 1], 2, chunk=0), "chunk is 0"),
        (lambda: count([0, 1], 2, offsets=[0, 1]), "offsets must be integers that rise from 0 to the number of ids, 2"),
        (lambda: count([0, 1], 2, offsets=[1, 2]), "offsets must be"),
        (lambda: count([0, 1], 2, offsets=[0, 2, 1, 2]), "offsets must be"),
        (lambda: count([0, 1], 2, offsets=[0.0, 2.0]), "offsets must be"),
        (lambda: count([0, 1], 2, offsets=[]), "offsets must be"),
        (lambda: count(SimpleNamespace(ids=[0, 1], offsets=[0, 2], vocab_size=2), 99), "vocab_size is given beside a"),
        (
            lambda: count(SimpleNamespace(ids=[0, 1], offsets=[0, 2], vocab_size=2), offsets=[0, 1, 2]),
            "offsets is given beside a corpus, which has its own: leave it out, or pass the ids.",
        ),
        (lambda: merged([]), "have no sum"),
        (lambda: count([0, 1], 2) + count([0, 1], 3), "add tables of one kind"),
        (lambda: count([0, 1], 2) + count([0, 1], 2, distance=2), "add tables of one kind"),
        (
            lambda: Bigrams(np.zeros(3, np.int64), np.zeros(1, np.uint32), np.zeros(1, np.int64), 2),
            "no table of 2",
        ),
        (
            lambda: Bigrams(np.zeros(3, np.int32), np.zeros(0, np.uint32), np.zeros(0, np.int64), 2),
            "no table of 2",
        ),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    text = str(caught.value)
    assert text.endswith(".") and ": " in text and "\n" not in text


def test_adding_something_else_is_a_type_error():
    with pytest.raises(TypeError):
        count([0, 1], 2) + 1


def test_numbers_of_numpy_count_as_numbers_and_others_are_refused(tmp_path):
    ids = np.array([0, 1, 0, 2])
    pairs = count(ids, ids.max() + 1, distance=np.int64(1), threads=np.int32(1), chunk=np.uint8(2))
    assert Bigrams.load(pairs.save(tmp_path / "table")) == pairs == count(ids, 3)
    for name, number in {"distance": 1.5, "chunk": 2.0, "threads": True}.items():
        with pytest.raises(ValueError, match=rf"^{name} is {number}: pass a whole number\.$"):
            count(ids, 3, **{name: number})
    with pytest.raises(ValueError, match=r"^vocab_size is 3\.0: pass a whole number\.$"):
        count(ids, 3.0)
