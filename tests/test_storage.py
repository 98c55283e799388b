"""Whole files or none, and run folders that are refused when damaged."""

import errno
import json
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probsig.runs import files as runs_files
from probsig.runs.files import StorageError

ARRAYS = {"W_E": np.arange(6, dtype=np.float32).reshape(2, 3), "steps": np.array([0, 10]), "none": np.zeros((0, 4))}


def stored(tmp_path):
    return runs_files.write_run(tmp_path / "run", {"kind": "test", "config": {"seed": 1}}, ARRAYS)


def refusal(folder):
    with pytest.raises(StorageError) as caught:
        runs_files.read_run(folder)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence and "run" in sentence
    return sentence


def test_round_trip_keeps_names_shapes_types_and_values(tmp_path):
    record, arrays = runs_files.read_run(stored(tmp_path))
    assert record["config"] == {"seed": 1} and list(sorted(arrays)) == ["W_E", "none", "steps"]
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype and np.array_equal(arrays[name], array)


def test_a_transposed_view_is_stored_as_it_looks(tmp_path):
    runs_files.write_run(tmp_path, {}, {"view": ARRAYS["W_E"].T})
    assert np.array_equal(runs_files.read_run(tmp_path)[1]["view"], ARRAYS["W_E"].T)


def test_same_run_same_bytes(tmp_path):
    for name in "ab":
        runs_files.write_run(
            tmp_path / name, {"kind": "test"}, dict(reversed(ARRAYS.items())) if name == "b" else ARRAYS
        )
    for file in ("run.json", "arrays.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.data())
def test_every_truncation_of_either_file_is_refused(tmp_path, data):
    folder = stored(tmp_path)
    file = folder / data.draw(st.sampled_from(["arrays.safetensors", "run.json"]))
    whole = file.read_bytes()
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 2))])  # the last byte of run.json is a newline
    sentence = refusal(folder)
    assert file.name in sentence and "remove the folder" in sentence


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.data())
def test_every_flipped_byte_of_the_arrays_is_refused(tmp_path, data):
    file = stored(tmp_path) / "arrays.safetensors"
    whole = bytearray(file.read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1
    file.write_bytes(whole)
    assert "SHA-256" in refusal(file.parent)


def test_missing_arrays_are_named(tmp_path):
    folder = stored(tmp_path)
    (folder / "arrays.safetensors").unlink()
    assert "is missing beside its run.json" in refusal(folder)


def test_what_is_no_safetensors_file_is_refused(tmp_path):
    junk = b"x" * 20
    (tmp_path / "arrays.safetensors").write_bytes(junk)
    record = {"arrays": {"bytes": len(junk), "sha256": runs_files.digest(junk)}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert "no safetensors file" in refusal(tmp_path)


def test_not_a_number_has_no_place_in_a_record(tmp_path):
    with pytest.raises(ValueError):
        runs_files.write_run(tmp_path, {"loss": float("nan")}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, fails):
    path = runs_files.write_whole(tmp_path / "file", b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(StorageError, match=r"the disk is full: make room .* nothing half-written was left\.$"):
        runs_files.write_whole(path, b"new and longer")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file"]


def test_an_interrupted_run_is_no_run(tmp_path, monkeypatch):
    folder = stored(tmp_path)

    def interrupted(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(StorageError):
        runs_files.write_run(folder, {}, {"other": np.ones(3)})
    assert not (folder / "run.json").exists()


def test_reads_under_results_are_noted(tmp_path, monkeypatch):
    monkeypatch.setattr(runs_files, "checkout", lambda: tmp_path)
    monkeypatch.setenv("PROBSIG_READ_LOG", str(tmp_path / "log"))
    runs_files.read_run(runs_files.write_run(tmp_path / "results" / "addition" / "one", {}, ARRAYS))
    runs_files.read_run(stored(tmp_path))
    one = "results/addition/one/"
    assert (tmp_path / "log").read_text().splitlines() == [one + "run.json", one + "arrays.safetensors"]


def test_the_remedy_for_a_committed_result_is_git(tmp_path, monkeypatch):
    monkeypatch.setattr(runs_files, "checkout", lambda: tmp_path)
    folder = runs_files.write_run(tmp_path / "results" / "one", {}, ARRAYS)
    (folder / "arrays.safetensors").write_bytes(b"")
    assert "restore it with `git checkout -- results/one/arrays.safetensors`" in refusal(folder)
