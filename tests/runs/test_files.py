"""Whole files or none, paths as a person writes them, and run folders that are refused when damaged."""

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probsig.runs import files
from probsig.runs.drafts import Draft
from probsig.runs.files import StorageError

ARRAYS = {
    "W_E": np.arange(6, dtype=np.float32).reshape(2, 3),
    "steps": np.array([0, 10]),
    "none": np.zeros((0, 4)),
    "one": np.float32(2),
}


def stored(tmp_path):
    return files.write_run(tmp_path / "run", {"kind": "test", "config": {"seed": 1}}, ARRAYS)


def with_arrays(folder, **facts):
    """The folder of a run whose record says something else of its arrays."""
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps(record | {"arrays": record["arrays"] | facts}))
    return folder


def arrays_of(folder):
    (path,) = folder.glob("arrays-*.safetensors")
    return path


def sentence_of(caught):
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence
    return sentence


def refusal(folder):
    with pytest.raises(StorageError) as caught:
        files.read_run(folder)
    return sentence_of(caught)


def test_round_trip_keeps_names_shapes_types_and_values(tmp_path):
    record, arrays = files.read_run(stored(tmp_path))
    assert record["config"] == {"seed": 1} and list(sorted(arrays)) == ["W_E", "none", "one", "steps"]
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype and arrays[name].shape == array.shape
        assert np.array_equal(arrays[name], array)


def test_a_transposed_view_is_stored_as_it_looks(tmp_path):
    files.write_run(tmp_path, {}, {"view": ARRAYS["W_E"].T})
    assert np.array_equal(files.read_run(tmp_path)[1]["view"], ARRAYS["W_E"].T)


def test_same_run_same_bytes(tmp_path):
    for name in "ab":
        files.write_run(tmp_path / name, {"kind": "test"}, dict(reversed(ARRAYS.items())) if name == "b" else ARRAYS)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.data())
def test_every_truncation_of_either_file_is_refused(tmp_path, data):
    folder = stored(tmp_path)
    file = data.draw(st.sampled_from([arrays_of(folder), folder / "run.json"]))
    whole = file.read_bytes()
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 2))])  # the last byte of run.json is a newline
    sentence = refusal(folder)
    assert file.name in sentence and "remove the folder" in sentence


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.data())
def test_every_flipped_byte_of_the_arrays_is_refused(tmp_path, data):
    file = arrays_of(stored(tmp_path))
    whole = bytearray(file.read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1
    file.write_bytes(whole)
    assert "SHA-256" in refusal(file.parent)


def test_missing_arrays_are_named(tmp_path):
    folder = stored(tmp_path)
    arrays_of(folder).unlink()
    assert "is missing beside its run.json" in refusal(folder)


@pytest.mark.parametrize("name", ["run.json", "arrays-*.safetensors"])
def test_what_cannot_be_read_is_named(name, tmp_path):
    (path,) = stored(tmp_path).glob(name)
    path.unlink()
    path.mkdir()
    assert f"{path.name} cannot be read because Is a directory: remove the folder" in refusal(path.parent)


@pytest.mark.parametrize("file", ["../other.safetensors", "arrays.safetensors", "/etc/hostname", 3, None])
def test_a_record_names_no_other_file(file, tmp_path):
    assert "is damaged (it is no complete JSON record of a run)" in refusal(with_arrays(stored(tmp_path), file=file))


@pytest.mark.parametrize("facts", [{"bytes": "9"}, {"bytes": None}, {"sha256": 3}])
def test_a_record_says_size_and_digest_as_what_they_are(facts, tmp_path):
    assert "is damaged (it is no complete JSON record of a run)" in refusal(with_arrays(stored(tmp_path), **facts))


def test_what_is_no_safetensors_file_is_refused(tmp_path):
    junk = b"x" * 20
    name = f"arrays-{files.digest(junk)[:12]}.safetensors"
    (tmp_path / name).write_bytes(junk)
    record = {"arrays": {"file": name, "bytes": len(junk), "sha256": files.digest(junk)}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert "no safetensors file" in refusal(tmp_path)


def test_not_a_number_has_no_place_in_a_record(tmp_path):
    with pytest.raises(ValueError):
        files.write_run(tmp_path, {"loss": float("nan")}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, fails):
    path = files.write_whole(tmp_path / "file", b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(StorageError, match=r"the disk is full: make room .* nothing half-written was left\.$"):
        files.write_whole(path, b"new and longer")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("write", [lambda path: files.write_whole(path / "a" / "b", b"x"), files.make_folder])
def test_below_a_plain_file_nothing_can_be_written(write, tmp_path):
    (tmp_path / "plain").write_text("a file")
    with pytest.raises(StorageError, match=r"^Could not .*plain.* because .*: choose another folder \(PROBSIG_RUNS"):
        write(tmp_path / "plain")
    assert os.listdir(tmp_path) == ["plain"]


def test_a_lock_below_a_plain_file_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "plain").write_text("a file")
    with pytest.raises(StorageError) as caught, files.lock(tmp_path / "plain" / "lock"):
        pass
    assert "plain" in sentence_of(caught)


@pytest.mark.parametrize("write", ["run", "draft"])
@pytest.mark.parametrize("at", range(6))
def test_wherever_the_disk_is_full_the_old_state_loads(full, at, write, tmp_path, monkeypatch):
    """Two files are opened, brought to the disk and renamed: six points, each of which fails."""
    fails, seen = full(at)
    save, load = writer(write, tmp_path / "run")
    save(1, 3)
    before = sorted(os.listdir(tmp_path / "run"))
    with monkeypatch.context() as patch:
        for name in ("fsync", "replace"):
            patch.setattr(os, name, fails(getattr(os, name)))
        patch.setattr(files, "open", fails(open), raising=False)
        with pytest.raises(StorageError, match="the disk is full"):
            save(2, 4)
    assert len(seen) == at + 1 and load() == (1, 3)
    assert set(before) <= set(os.listdir(tmp_path / "run")) and not list((tmp_path / "run").glob(".*"))
    save(2, 4)
    assert load() == (2, 4) and len(os.listdir(tmp_path / "run")) == 2


def writer(write, folder):
    """How a state of two numbers is written and read, as a run and as a draft."""
    if write == "run":
        return (
            lambda number, more: files.write_run(folder, {"number": number}, {"x": np.full(more, number)}),
            lambda: (lambda record, arrays: (record["number"], len(arrays["x"])))(*files.read_run(folder)),
        )
    draft = Draft(folder)
    return (
        lambda number, more: draft.save({"of": 1}, number, {"x": np.full(more, number)}, at_once=True),
        lambda: (lambda found: (found[0], len(found[1]["x"])))(draft.load({"of": 1})),
    )


KILLS = """
import builtins, os, pathlib, sys
sys.path.insert(0, sys.argv[1])
import test_files as t
from pathlib import Path

def points(last):
    seen = []
    def dies(true):
        def call(*arguments, **options):
            seen.append(true)
            if len(seen) == last:
                os._exit(9)
            done = true(*arguments, **options)
            return done
        return call
    for home, name in [(os, "fsync"), (os, "replace"), (pathlib.Path, "unlink")]:
        setattr(home, name, dies(getattr(home, name)))
    t.files.open = dies(open)

for last in range(1, 20):
    save, load = t.writer(sys.argv[2], Path(sys.argv[3]) / str(last))
    save(1, 3)
    child = os.fork()
    if not child:
        points(last)
        save(2, 4)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    found = load()
    save(3, 5)
    print(last, status, *found, *load(), len(os.listdir(Path(sys.argv[3]) / str(last))))
    if not status:
        break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("write", ["run", "draft"])
def test_wherever_it_is_killed_the_old_state_loads_or_the_new_one(full, write, tmp_path):
    command = [sys.executable, "-c", KILLS, str(Path(__file__).parent), write, str(tmp_path)]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    rows = [tuple(map(int, line.split())) for line in made.stdout.splitlines()]
    died, found = [row[1] for row in rows], [row[2:4] for row in rows]
    assert died == [9] * 7 + [0]  # two files opened, on the disk, renamed; the old arrays removed
    assert found == [(1, 3)] * 6 + [(2, 4)] * 2
    assert {row[4:] for row in rows} == {(3, 5, 2)}  # and what was left behind goes with the next


def test_one_has_a_lock_at_a_time(tmp_path):
    inside, most = [], []

    def enter():
        with files.lock(tmp_path / "lock"):
            inside.append(1)
            most.append(len(inside))
            threading.Event().wait(0.01)
            inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


def test_reads_under_results_are_noted(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "checkout", lambda: tmp_path)
    monkeypatch.setenv("PROBSIG_READ_LOG", str(tmp_path / "log"))
    folder = files.write_run(tmp_path / "results" / "addition" / "one", {}, ARRAYS)
    files.read_run(folder)
    files.read_run(stored(tmp_path))
    one = "results/addition/one/"
    assert (tmp_path / "log").read_text().splitlines() == [one + "run.json", one + arrays_of(folder).name]


def test_the_remedy_for_a_committed_result_is_git(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "checkout", lambda: tmp_path)
    folder = files.write_run(tmp_path / "results" / "one", {}, ARRAYS)
    path = arrays_of(folder)
    path.write_bytes(b"")
    assert f"restore it with `git checkout -- results/one/{path.name}`" in refusal(folder)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("here", "{folder}/here"),
        ("./here/../there", "{folder}/here/../there"),
        ("~/here", "{home}/here"),
        ("~", "{home}"),
        ("/here", "/here"),
        ("~nobody-of-this-name/here", "{folder}/~nobody-of-this-name/here"),
    ],
)
def test_a_path_is_what_a_person_means(said, meant, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    expected = Path(meant.format(folder=tmp_path / "folder", home=tmp_path / "home"))
    assert files.place(said) == files.place(Path(said)) == expected
    for variable in files.FOLDERS:
        monkeypatch.setenv(variable, said)
        assert files.named(variable) == expected
    assert files.named_folders() == dict.fromkeys(files.FOLDERS, str(expected))
    monkeypatch.setenv("PROBSIG_DATA", "")
    assert files.named("PROBSIG_DATA") is None and "PROBSIG_DATA" not in files.named_folders()


def test_what_is_written_stands_where_it_is_read(tmp_path, monkeypatch):
    """~ is the home for writing too, of a file and of a run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(home := tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(home))
    assert files.write_whole("~/a.csv", b"1") == home / "a.csv" and (home / "a.csv").read_bytes() == b"1"
    assert files.write_run("~/run", {}, {"x": np.ones(2)}) == home / "run"
    assert files.read_run(home / "run")[1]["x"].tolist() == [1, 1] and list(tmp_path.iterdir()) == [home]


def test_digests_do_not_see_how_lines_end(tmp_path):
    for name, data in {
        "a.json": b"{\n}\n",
        "b.json": b"{\r\n}\r\n",
        "a.bin": b"{\n}\n",
        "b.bin": b"{\r\n}\r\n",
    }.items():
        (tmp_path / name).write_bytes(data)
    assert files.digest_file(tmp_path / "a.json") == files.digest_file(tmp_path / "b.json")
    assert files.digest_file(tmp_path / "a.bin") == files.digest_file(tmp_path / "a.json")
    assert files.digest_file(tmp_path / "b.bin") != files.digest_file(tmp_path / "a.bin")
    with pytest.raises(FileNotFoundError):
        files.digest_file(tmp_path / "absent")


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=3), max_size=3), st.data())
def test_a_digest_of_arrays_speaks_of_types_shapes_numbers_and_order(lists, data):
    others = data.draw(st.permutations(lists))
    same = files.digest_arrays(map(np.array, lists)) == files.digest_arrays(map(np.array, others))
    assert same == (lists == others)
    if lists:
        first, *rest = map(np.array, lists)
        changed = data.draw(st.sampled_from([first[None], first.astype(np.int32), first + 1]))
        assert files.digest_arrays([first, *rest]) != files.digest_arrays([changed, *rest])
    assert files.digest_arrays([np.arange(6).reshape(2, 3).T]) == files.digest_arrays([[[0, 3], [1, 4], [2, 5]]])
