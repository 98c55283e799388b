"""A run is found, shown, refused when damaged, marked when older code made it, and not redone in pieces."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from probsig.runs import files as runs_files
from probsig.runs import machine
from probsig.runs import results as runs_results

CONFIG = {"scale": "laptop", "seed": 2, "rate": 0.1}
MODULES = ["probsig.seeds"]
STORED = sorted(Path(__file__).parents[1].glob("results/*/run.json"))


@pytest.fixture
def house(tmp_path, monkeypatch):
    """An empty checkout with its own results/ and runs/, outside CI; pieces one after the other."""
    monkeypatch.setattr(runs_results, "_cores", lambda: 1)
    monkeypatch.setattr(runs_files, "checkout", lambda: tmp_path)
    monkeypatch.delenv("PROBSIG_RUNS", raising=False)
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


def work(calls, name="one", fails=False):
    def piece(draft):
        calls.append(name)
        if fails:
            raise KeyboardInterrupt
        return {"loss": np.array([2.0, 1.0])}

    return {name: piece}


def test_done_stored_and_found_again(house):
    calls = []
    first = runs_results.run("toy", CONFIG, work(calls), modules=MODULES)
    again = runs_results.run("toy", CONFIG, work(calls), modules=MODULES)
    assert calls == ["one"] and (first.origin, again.origin) == ("new", "runs")
    assert os.listdir(house / "runs") == [first.name] and first.name.startswith("toy-laptop-seed2-")
    assert again.arrays["one/loss"].tolist() == [2.0, 1.0] and again.outdated == ()
    assert set(again.record) >= {"config", "versions", "hardware", "seconds", "modules"}
    assert runs_results.run("toy", CONFIG | {"rate": 0.2}, work(calls), modules=MODULES).origin == "new"


def test_a_committed_result_comes_first(house):
    name = runs_results.run("toy", CONFIG, work([]), modules=MODULES).name
    (house / "results").mkdir()
    (house / "runs" / name).rename(house / "results" / name)
    assert runs_results.find("toy", CONFIG).origin == "results"
    runs_files.write_run(house / "runs" / name, {"kind": "toy", "config": CONFIG, "modules": {}}, {})
    assert runs_results.find("toy", CONFIG).origin == "results"


def test_runs_are_moved_by_the_environment(house, monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", str(house / "elsewhere"))
    name = runs_results.run("toy", CONFIG, work([]), modules=MODULES).name
    assert os.listdir(house / "elsewhere") == [name] and not (house / "runs").exists()


def test_tuples_and_lists_are_one_config(house):
    assert runs_results.name_of("toy", {"at": (1, 2)}) == runs_results.name_of("toy", {"at": [1, 2]})
    runs_results.run("toy", {"at": (1, 2)}, work([]), modules=MODULES)
    assert runs_results.find("toy", {"at": [1, 2]}).config == {"at": [1, 2]}


def test_truncated_is_refused_and_not_redone(house):
    name = runs_results.run("toy", CONFIG, work([]), modules=MODULES).name
    file = house / "runs" / name / "arrays.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(runs_files.StorageError, match=r"arrays\.safetensors has .* remove the folder"):
        runs_results.run("toy", CONFIG, work([]), modules=MODULES)


def test_a_renamed_run_is_refused(house):
    name = runs_results.run("toy", CONFIG, work([]), modules=MODULES).name
    other = CONFIG | {"seed": 3}
    (house / "runs" / name).rename(house / "runs" / runs_results.name_of("toy", other))
    with pytest.raises(runs_files.StorageError, match="is of another config than its name"):
        runs_results.find("toy", other)


def test_older_code_is_named(house, monkeypatch):
    new = runs_results.run("toy", CONFIG, work([]), modules=MODULES)
    assert "this code" in new.provenance() and "older" not in new.provenance()
    record = house / "runs" / new.name / "run.json"
    content = json.loads(record.read_text())
    content["modules"] |= {"probsig.seeds": "0" * 64, "probsig.vanished": "1" * 64}
    record.write_text(json.dumps(content))
    old = runs_results.find("toy", CONFIG)
    assert old.outdated == ("probsig.seeds", "probsig.vanished")
    assert "**made by older code** (`probsig.seeds`, `probsig.vanished` changed since)" in old.provenance()


def test_an_interrupted_run_goes_on_with_the_next_piece(house):
    calls = []
    with pytest.raises(KeyboardInterrupt):
        runs_results.run("toy", CONFIG, work(calls, "a/b") | work(calls, "c", fails=True), modules=MODULES)
    assert runs_results.find("toy", CONFIG) is None
    done = runs_results.run("toy", CONFIG, work(calls, "a/b") | work(calls, "c"), modules=MODULES)
    assert calls == ["a/b", "c", "c"] and sorted(done.arrays) == ["a/b/loss", "c/loss"]
    assert os.listdir(house / "runs") == [done.name]


def test_a_piece_of_older_code_is_done_again(house, monkeypatch):
    calls = []
    with pytest.raises(KeyboardInterrupt):
        runs_results.run("toy", CONFIG, work(calls, "a") | work(calls, "b", fails=True), modules=MODULES)
    runs_results.run("toy", CONFIG, work(calls, "a") | work(calls, "b"), modules=["probsig.laws.distribution"])
    assert calls == ["a", "b", "a", "b"]


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_ci_computes_nothing_long(house, monkeypatch, scale):
    monkeypatch.setenv("CI", "true")
    config = CONFIG | {"scale": scale}
    with pytest.raises(runs_results.MissingRun) as caught:
        runs_results.run("toy", config, work([]), modules=MODULES)
    assert runs_results.name_of("toy", config) in str(caught.value)
    assert caught.value._render_traceback_() == [f"MissingRun: {caught.value}"]
    assert runs_results.run("toy", CONFIG | {"scale": "smoke"}, work([]), modules=MODULES).origin == "new"


def test_provenance_of_several_seeds_is_one_line(house):
    several = [runs_results.run("toy", CONFIG | {"seed": seed}, work([]), modules=MODULES) for seed in (0, 1)]
    line = runs_results.describe(several)
    assert line.startswith("Scale laptop; seeds 0, 1; computed now; on ") and line._repr_markdown_() == line
    assert machine.hardware() in line and "\n" not in line


def test_an_interrupted_piece_is_asked_to_stop_and_goes_on(house, monkeypatch):
    """The other pieces save their state and stop; a second run gives them their state back."""
    monkeypatch.setattr(runs_results, "_cores", lambda: 2)
    begun, calls = threading.Event(), []

    def slow(draft):
        found = draft.load({"piece": "slow"})
        calls.append(found and found[0])
        if found:
            return {"x": found[1]["x"]}
        begun.set()
        while True:
            draft.save({"piece": "slow"}, 3, {"x": np.arange(2)})
            time.sleep(0.01)

    def interrupted(draft):
        begun.wait()
        raise KeyboardInterrupt

    compute = {"slow": slow, "interrupted": interrupted}
    with pytest.raises(KeyboardInterrupt):
        runs_results.run("toy", CONFIG, dict(reversed(compute.items())), modules=MODULES)
    done = runs_results.run("toy", CONFIG, compute | {"interrupted": lambda draft: {"y": np.ones(1)}}, modules=MODULES)
    assert calls == [None, 3] and done.arrays["slow/x"].tolist() == [0, 1]
    assert os.listdir(house / "runs") == [done.name]


def test_outside_a_checkout_runs_go_to_the_working_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("PROBSIG_RUNS", raising=False)
    monkeypatch.setattr(runs_files, "checkout", lambda: None)
    monkeypatch.chdir(tmp_path)
    assert runs_results.folder() == tmp_path / "runs" and runs_results.find("toy", CONFIG) is None


# What may be nan in a language run: a token without a law, a band without tokens, the loss before the first step.
UNDEFINED = {"by_token", "next", "previous", "loss", "null", "bootstrap", "branches", "below"}
UNDEFINED |= {"absent", "absent_independent", "error", "independent"}


@pytest.mark.parametrize("record", STORED, ids=lambda path: path.parent.name)
def test_every_stored_run_has_the_name_of_its_config_and_finite_numbers(record):
    described, arrays = runs_files.read_run(record.parent)
    assert record.parent.name == runs_results.name_of(described["kind"], described["config"])
    assert described["arrays"]["bytes"] < 3e6 and described["seconds"] > 0
    for key, array in arrays.items():
        name = key.rsplit("/", 1)[1]
        undefined = name.startswith("phi_")  # a constant signature has no correlation
        if described["kind"].startswith("language-") and name in UNDEFINED:
            undefined = not np.isinf(array).any()
        assert undefined or array.dtype.kind in "iu" or np.isfinite(array).all(), key


def test_the_results_keep_to_their_budget():
    """25 MB for the addition tasks, 15 MB for language."""
    size = {"addition": 0, "language": 0}
    for record in STORED:
        language = json.loads(record.read_text(encoding="utf-8"))["kind"].startswith("language")
        size["language" if language else "addition"] += sum(path.stat().st_size for path in record.parent.iterdir())
    assert size["addition"] < 25e6 and size["language"] < 15e6
