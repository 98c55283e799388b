"""What is promoted is what it says that it is, and is in results/ whole or not at all."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import promote
import pytest

from probsig import runs
from probsig.experiments import equal_pairs
from probsig.runs import files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of today's code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROBSIG_RUNS", str(tmp_path_factory.mktemp("made")))
        patch.setattr(files, "checkout", lambda: None)
        return runs.folder() / equal_pairs.course(scale="smoke", seed=5).name


@pytest.fixture
def run(made, tmp_path, monkeypatch):
    """A copy of it in the runs/ of an empty checkout."""
    monkeypatch.setattr(files, "checkout", lambda: tmp_path)
    monkeypatch.delenv("PROBSIG_RUNS", raising=False)
    (tmp_path / "results").mkdir()
    return Path(shutil.copytree(made, tmp_path / "runs" / made.name))


def refused(run, capsys):
    """The one sentence with which it is refused; nothing has moved."""
    results = files.checkout() / "results"
    before = sorted(results.iterdir())
    assert promote.main([run.name]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"{run.name} is not promoted: ") and said.err.endswith(".\n")
    assert said.err.count("\n") == 1 and sorted(results.iterdir()) == before
    return said.err


def edit(run, **changes):
    """Change the record as someone would who makes it fit again."""
    path = run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes))


def rewrite(run, **arrays):
    """Store other arrays under the same record."""
    record, old = files.read_run(run)
    files.write_run(run, record, old | arrays)


def test_a_run_of_todays_code_is_moved(run, capsys):
    bytes_of = {path.name: path.read_bytes() for path in run.iterdir()}
    (run / "notes.txt").write_text("of the reader's own")
    assert promote.main([run.name]) == 0
    target = files.checkout() / "results" / run.name
    assert capsys.readouterr().out == f"{target}\n"
    assert {path.name: path.read_bytes() for path in target.iterdir()} == bytes_of
    assert os.listdir(run.parent) == [] and os.listdir(target.parent) == [run.name]


@pytest.mark.parametrize(
    "lacks", ["kind", "name", "config", "inputs", "code", "date", "versions", "hardware", "seconds"]
)
def test_a_record_that_lacks_something_is_refused(lacks, run, capsys):
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    del record[lacks]
    (run / "run.json").write_text(json.dumps(record))
    assert lacks in refused(run, capsys)


@pytest.mark.parametrize("record", ["{}", "[]", "", "null", "{"])
def test_what_is_no_record_is_refused(record, run, capsys):
    (run / "run.json").write_text(record)
    assert "is damaged" in refused(run, capsys)


def test_another_config_than_its_name_is_refused(run, capsys):
    config = json.loads((run / "run.json").read_text(encoding="utf-8"))["config"]
    edit(run, config=config | {"steps": 10})
    assert "a run of its config is called language-equal-pairs-smoke-seed5-" in refused(run, capsys)


def test_another_folder_than_its_name_is_refused(run, capsys):
    other = run.rename(run.with_name(run.name.replace("seed5", "seed6")))
    assert f"a run of its config is called {run.name}" in refused(other, capsys)


def test_changed_arrays_are_refused(run, capsys):
    (path,) = run.glob("arrays-*")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "its SHA-256 differs" in refused(run, capsys)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(value, run, capsys):
    rewrite(run, **{"apart/token one": np.array([1.0, value])})
    assert "its array apart/token one holds 1 numbers that are not finite" in refused(run, capsys)
    rewrite(run, **{"apart/token one": np.ones(2), "apart/loss": np.array([np.inf])})
    assert "apart/loss holds 1" in refused(run, capsys)


def test_what_may_be_undefined_is_let_in(run):
    rewrite(run, **{"apart/loss": np.array([np.nan, 1.0])})
    assert promote.main([run.name]) == 0


@pytest.mark.parametrize("arrays", [{}, {"x": np.zeros(promote.LARGEST // 8)}], ids=["none", "too many"])
def test_no_arrays_and_too_many_are_refused(arrays, run, capsys):
    files.write_run(run, files.read_record(run), arrays)
    assert f"{len(arrays)} arrays" in refused(run, capsys)


def test_an_unknown_kind_is_refused(run, capsys):
    edit(run, kind="language-equal-pair")
    assert "no run is of the kind 'language-equal-pair' (did you mean 'language-equal-pairs'?)" in refused(run, capsys)


@pytest.mark.parametrize("digest", ["0" * 64, None])
def test_other_code_than_todays_is_refused(digest, run, capsys):
    made_by = json.loads((run / "run.json").read_text(encoding="utf-8"))["code"]
    edit(run, code=made_by | {"digest": digest})
    assert "was made by other code than today's" in refused(run, capsys)
    edit(run, code={name: value for name, value in made_by.items() if name != "makers"})
    assert "does not name what makes a run of the kind" in refused(run, capsys)


@pytest.mark.parametrize("name", ["language-equal-pairs-smoke-seed5", "../runs", "/", "results"])
def test_a_name_that_is_no_run_is_refused(name, run, capsys):
    assert promote.main([name]) == 1
    assert "there is no such run in " in capsys.readouterr().err


def test_nothing_named_is_told(run, capsys):
    assert promote.main([]) == 1
    assert capsys.readouterr().err == "Name a run, from a checkout, as in: make promote RUN=name\n"


def test_what_is_there_stays(run, capsys):
    (files.checkout() / "results" / run.name).mkdir()
    assert "is there already: remove it first" in refused(run, capsys)


@pytest.mark.parametrize("at", range(8))
def test_wherever_it_breaks_off_results_has_the_run_or_nothing(full, at, run, monkeypatch, capsys):
    """Two files are opened, brought to the disk and renamed, then their folder is renamed, then the old one goes."""
    fails, seen = full(at)
    with monkeypatch.context() as patch:
        for home, name in [(os, "fsync"), (os, "replace"), (os, "rename"), (promote.shutil, "rmtree")]:
            patch.setattr(home, name, fails(getattr(home, name)))
        patch.setattr(files, "open", fails(open), raising=False)
        assert promote.main([run.name]) == 1
    results = files.checkout() / "results"
    assert [path.name for path in results.glob("[!.]*")] == ([run.name] if at == 7 else [])
    assert (run / "run.json").exists() and len(seen) == at + 1
    if at < 7:
        assert promote.main([run.name]) == 0
        assert os.listdir(results) == [run.name] and not run.exists()
    assert files.read_run(results / run.name)


def test_across_file_systems(run, monkeypatch):
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == run.stat().st_dev:
        pytest.skip("there is one file system here")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        shutil.copytree(run, Path(folder) / run.name)
        monkeypatch.setenv("PROBSIG_RUNS", folder)
        assert promote.main([run.name]) == 0
        assert os.listdir(folder) == [] and files.read_run(files.checkout() / "results" / run.name)
