"""A run is found, refused when damaged, marked when older code made it, and made once and not again in pieces."""

import json
import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from probsig import runs
from probsig.runs import code, files, results
from probsig.runs.drafts import Stopped

CONFIG = {"scale": "laptop", "seed": 2, "rate": 0.1}
TOYS = """
import time
import numpy as np
from pathlib import Path

def note(log, word):
    with open(log, "a") as file:
        file.write(word + "\\n")

def loss(log, name="one"):
    note(log, name)
    return {"loss": np.array([2.0, 1.0])}

def other(log, name="one"):
    note(log, f"other {name}")
    return {"loss": np.array([2.0, 1.0])}

def interrupted(log, name):
    note(log, name)
    raise KeyboardInterrupt

def slow(log, name, draft):
    found = draft.load({"piece": name})
    note(log, f"{name} from {found[0] if found else 0}")
    if found:
        return {"x": found[1]["x"]}
    while True:
        draft.save({"piece": name}, 3, {"x": np.arange(2)})
        time.sleep(0.01)

def waits(log, name, draft):
    while "slow" not in Path(log).read_text():
        time.sleep(0.01)
    raise KeyboardInterrupt

def given(inputs, means, at):
    return {"x": np.array([inputs.number, means, at])}

def late(log, seconds):
    note(log, "begun")
    time.sleep(seconds)
    note(log, "made")
    return {"x": np.ones(1)}
"""


@pytest.fixture
def house(tmp_path, monkeypatch):
    """An empty checkout with its own results/ and runs/, outside CI, and a package of makers; one core."""
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "__init__.py").write_text("")
    (tmp_path / "toys" / "makers.py").write_text(TOYS)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("toys", "toys.makers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    true = code.digest
    for cached in (code.definitions, code._digest):
        cached.cache_clear()
    monkeypatch.setattr(results.code, "digest", lambda makers: true(makers, tmp_path / "toys", ()))
    monkeypatch.setattr(results, "_cores", lambda: 1)
    monkeypatch.setattr(files, "checkout", lambda: tmp_path)
    monkeypatch.delenv("PROBSIG_RUNS", raising=False)
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


@pytest.fixture
def log(house):
    (house / "log").write_text("")
    return house / "log"


def pieces(log, *names, **others):
    """Pieces that give a loss, and others by the name of their maker."""
    made = {name: runs.Piece("toys.makers:loss", (str(log), name)) for name in names}
    return made | {name: runs.Piece(f"toys.makers:{maker}", (str(log), name)) for name, maker in others.items()}


def edit(house, old, new):
    """Change the makers' source, as if another process were begun."""
    path = house / "toys" / "makers.py"
    path.write_text(path.read_text().replace(old, new))
    for cached in (code.definitions, code._digest):
        cached.cache_clear()


def test_done_stored_and_found_again(house, log):
    first = runs.run("toy", CONFIG, pieces(log, "one"))
    again = runs.run("toy", CONFIG, pieces(log, "one"))
    assert log.read_text() == "one\n" and (first.origin, again.origin) == ("new", "runs")
    assert os.listdir(house / "runs") == [first.name] and first.name.startswith("toy-laptop-seed2-")
    assert again.arrays["one/loss"].tolist() == [2.0, 1.0] and first.code == again.code == "this"
    assert first.record.keys() | {"arrays"} == again.record.keys()
    assert again.record["code"]["makers"] == ["toys.makers:loss"] and again.record["inputs"] is None
    assert runs.run("toy", CONFIG | {"rate": 0.2}, pieces(log, "one")).origin == "new"


def test_a_committed_result_comes_first(house, log):
    name = runs.run("toy", CONFIG, pieces(log, "one")).name
    (house / "results").mkdir()
    (house / "runs" / name).rename(house / "results" / name)
    assert runs.find("toy", CONFIG, pieces(log, "one")).origin == "results"
    files.write_run(house / "runs" / name, {"kind": "toy", "config": CONFIG}, {})
    assert runs.find("toy", CONFIG, pieces(log, "one")).origin == "results"


def test_a_piece_gets_what_it_asks_for(house):
    class Opened:
        number = 5

        def digest(self):
            return "d" * 64

    made = {"one": runs.Piece("toys.makers:given", options={"at": 7})}
    run = runs.run("toy", CONFIG, made, inputs=Opened, means=6)
    assert run.arrays["one/x"].tolist() == [5, 6, 7] and run.record["inputs"] == "d" * 64
    run = runs.run("toy", CONFIG, made, inputs=lambda: pytest.fail("opened for a run that is there"))
    assert run.origin == "runs"


def test_runs_are_moved_by_the_environment(house, log, monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", "elsewhere")
    monkeypatch.chdir(house)
    name = runs.run("toy", CONFIG, pieces(log, "one")).name
    assert os.listdir(house / "elsewhere") == [name] and not (house / "runs").exists()
    monkeypatch.setenv("PROBSIG_RUNS", "~/elsewhere")
    monkeypatch.setenv("HOME", str(house))
    monkeypatch.chdir(house.parent)
    assert runs.find("toy", CONFIG, pieces(log, "one")).name == name


def test_outside_a_checkout_runs_go_to_the_working_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("PROBSIG_RUNS", raising=False)
    monkeypatch.setattr(files, "checkout", lambda: None)
    monkeypatch.chdir(tmp_path)
    assert runs.folder() == tmp_path / "runs"


def test_runs_that_are_a_plain_file_are_refused_in_a_sentence(house, log):
    (house / "runs").write_text("")
    with pytest.raises(files.StorageError, match=r"^Could not make the folder .*runs because .*PROBSIG_RUNS.*\.$"):
        runs.run("toy", CONFIG, pieces(log, "one"))


def test_tuples_and_lists_are_one_config(house, log):
    assert runs.name_of("toy", {"at": (1, 2)}) == runs.name_of("toy", {"at": [1, 2]})
    runs.run("toy", {"at": (1, 2)}, pieces(log, "one"))
    assert runs.find("toy", {"at": [1, 2]}, pieces(log, "one")).config == {"at": [1, 2]}


def test_truncated_is_refused_and_not_redone(house, log):
    name = runs.run("toy", CONFIG, pieces(log, "one")).name
    (file,) = (house / "runs" / name).glob("arrays-*")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(files.StorageError, match=r"arrays-\w+\.safetensors has .* remove the folder"):
        runs.run("toy", CONFIG, pieces(log, "one"))
    assert log.read_text() == "one\n"


def test_a_renamed_run_is_refused(house, log):
    name = runs.run("toy", CONFIG, pieces(log, "one")).name
    other = CONFIG | {"seed": 3}
    (house / "runs" / name).rename(house / "runs" / runs.name_of("toy", other))
    with pytest.raises(files.StorageError, match="is of another config than its name"):
        runs.find("toy", other, pieces(log, "one"))


def test_older_code_is_known(house, log):
    runs.run("toy", CONFIG, pieces(log, "one"))
    edit(house, "def loss", "# a remark\ndef loss")
    assert runs.find("toy", CONFIG, pieces(log, "one")).code == "this"
    edit(house, "[2.0, 1.0]", "[2.0, 1.5]")
    assert runs.find("toy", CONFIG, pieces(log, "one")).code == "older"


@pytest.mark.parametrize("code", [{}, None, {"digest": None}, {"commit": "abc"}])
def test_a_record_without_its_code_is_of_older_code(code, house, log):
    name = runs.run("toy", CONFIG, pieces(log, "one")).name
    record = house / "runs" / name / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"code": code}))
    assert runs.find("toy", CONFIG, pieces(log, "one")).code == "older"


def test_an_interrupted_run_goes_on_with_the_next_piece(house, log):
    with pytest.raises(KeyboardInterrupt):
        runs.run("toy", CONFIG, pieces(log, "a/b", c="interrupted"))
    assert runs.find("toy", CONFIG, pieces(log, "a/b", c="interrupted")) is None
    done = runs.run("toy", CONFIG, pieces(log, "a/b", "c"))
    assert log.read_text().split() == ["a/b", "c", "c"] and sorted(done.arrays) == ["a/b/loss", "c/loss"]
    assert os.listdir(house / "runs") == [done.name]


def test_a_piece_of_older_code_is_done_again(house, log):
    with pytest.raises(KeyboardInterrupt):
        runs.run("toy", CONFIG, pieces(log, "a", b="interrupted"))
    edit(house, "[2.0, 1.0]", "[2.0, 1.5]")
    runs.run("toy", CONFIG, pieces(log, "a", "b"))
    assert log.read_text().split() == ["a", "b", "a", "b"]


def test_a_piece_of_other_inputs_is_done_again(house, log):
    class Opened:
        def __init__(self, number):
            self.number = number

        def digest(self):
            return str(self.number)

    with pytest.raises(KeyboardInterrupt):
        runs.run("toy", CONFIG, pieces(log, "a", b="interrupted"), inputs=lambda: Opened(1))
    done = runs.run("toy", CONFIG, pieces(log, "a", "b"), inputs=lambda: Opened(2))
    assert log.read_text().split() == ["a", "b", "a", "b"] and done.record["inputs"] == "2"


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_ci_computes_nothing_long(house, log, monkeypatch, scale):
    monkeypatch.setenv("CI", "true")
    config = CONFIG | {"scale": scale}
    with pytest.raises(runs.MissingRun) as caught:
        runs.run("toy", config, pieces(log, "one"))
    assert runs.name_of("toy", config) in str(caught.value)
    assert caught.value._render_traceback_() == [f"MissingRun: {caught.value}"]
    assert runs.run("toy", CONFIG | {"scale": "smoke"}, pieces(log, "one")).origin == "new"


def test_an_interrupted_piece_is_asked_to_stop_and_goes_on(house, log, monkeypatch):
    """The other pieces save their state and stop; a second run gives them their state back."""
    monkeypatch.setattr(results, "_cores", lambda: 2)
    with pytest.raises(KeyboardInterrupt):
        runs.run("toy", CONFIG, pieces(log, other="waits", slow="slow"))
    done = runs.run("toy", CONFIG, pieces(log, "other", slow="slow"))
    assert log.read_text().splitlines() == ["slow from 0", "other", "slow from 3"] or (
        log.read_text().splitlines() == ["slow from 0", "slow from 3", "other"]
    )
    assert done.arrays["slow/x"].tolist() == [0, 1] and os.listdir(house / "runs") == [done.name]


def test_work_is_stopped_from_outside(house, log):
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(Stopped):
        runs.run("toy", CONFIG, pieces(log, slow="slow"), stop=stop)
    assert runs.run("toy", CONFIG, pieces(log, slow="slow")).arrays["slow/x"].tolist() == [0, 1]


def test_one_run_that_fails_does_not_stop_its_callers_others(house, log):
    stop = threading.Event()
    with pytest.raises(KeyboardInterrupt):
        runs.run("toy", CONFIG, pieces(log, one="interrupted"), stop=stop)
    assert not stop.is_set()


def test_several_seeds_are_read_together(house, log):
    both = [runs.run("toy", CONFIG | {"seed": seed}, pieces(log, "one")) for seed in (0, 1)]
    assert runs.over(both, "one/loss").tolist() == [[2.0, 1.0]] * 2
    with pytest.raises(KeyError, match=r"holds no 'one/los' \(did you mean 'one/loss'\?\)"):
        runs.over(both, "one/los")


PROCESS = """
import sys, time
from pathlib import Path
sys.path.insert(0, {place!r})
from probsig import runs
from probsig.runs import code, files
code.digest = lambda makers: "0" * 64
files.checkout = lambda: None
place, me, other = Path({place!r}), sys.argv[1], sys.argv[2]
for round in range({rounds}):
    (place / f"{{me}}-{{round}}").touch()
    while not (place / f"{{other}}-{{round}}").exists():
        time.sleep(0.001)
    one = runs.Piece("toys.makers:late", (str(place / "log"), {seconds}))
    made = runs.run("toy", {{"scale": "smoke", "round": round}}, {{"one": one}})
    assert made.arrays["one/x"].tolist() == [1.0]
    print(made.origin)
"""


def process(house, me, other, rounds=20, seconds=0.01):
    script = PROCESS.format(place=str(house), rounds=rounds, seconds=seconds)
    environment = os.environ | {"PROBSIG_RUNS": str(house / "runs")}
    command = [sys.executable, "-c", script, me, other]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_on_one_config_make_it_once(house, log):
    """Twenty configs, which both ask for at the same moment."""
    both = [process(house, "a", "b"), process(house, "b", "a")]
    said = [one.communicate(timeout=120) for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert log.read_text().split() == ["begun", "made"] * 20
    for pair in zip(*(out.split() for out, _ in said), strict=True):
        assert "new" in pair and set(pair) <= {"new", "runs"} and pair != ("new", "new")
    assert sorted(os.listdir(house / "runs")) == sorted(
        runs.name_of("toy", {"scale": "smoke", "round": round}) for round in range(20)
    )


def test_the_lock_of_a_killed_process_holds_nobody_up(house, log):
    (house / "b-0").touch()
    killed = process(house, "a", "b", 1, seconds=600)
    while log.read_text() != "begun\n":
        assert killed.poll() is None
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    (house / "a-0").touch()
    after = process(house, "b", "a", 1)
    assert after.communicate(timeout=60)[0] == "new\n"
    assert log.read_text().split() == ["begun", "begun", "made"]
    assert os.listdir(house / "runs") == [runs.name_of("toy", {"scale": "smoke", "round": 0})]


def test_arrays_keep_their_types(house, log):
    edit(house, "np.array([2.0, 1.0])", "np.array([2, 1], dtype=np.float16)")
    runs.run("toy", CONFIG, pieces(log, "one"))
    found = runs.find("toy", CONFIG, pieces(log, "one"))
    assert found.arrays["one/loss"].dtype == np.float16
    assert runs.over([found], "one/loss").dtype == np.float64
    assert textwrap.shorten(found.name, 60) == found.name
