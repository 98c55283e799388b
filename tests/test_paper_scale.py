"""Pack, run, stop, go on, bring back: at the scale of seconds, in one process and in several."""

import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from probsig.experiments import language_model, texts
from probsig.runs import drafts
from probsig.runs import files as runs_files
from probsig.runs import results as runs_results
from scripts import paper_scale

FEW = [("cc", "qwen2.5", 0, 1), ("cc", "llama-2", 0, 1), ("arxiv", "qwen2.5", 1, 1)]
SMOKE = {"scale": "smoke", "tokens": 2000, "device": "cpu"}


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", "unset")  # `run` sets it, and this takes it back
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    size = paper_scale.pack(folder, "smoke", 2000)
    assert size == sum(path.stat().st_size for path in folder.iterdir())
    return folder


@pytest.fixture(scope="module")
def whole(packed, tmp_path_factory):
    """Every run of FEW, made by one process without a stop, unpacked from its tar."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROBSIG_RUNS", "unset")
        assert paper_scale.run(packed, folder, minutes=5, experiments=FEW, **SMOKE) == 0
    arrays_of(folder)
    return folder / "here"


def arrays_of(out):
    """The arrays of each run in the tars of a folder."""
    found = {}
    for path in sorted(out.glob("finished*.tar")):
        with tarfile.open(path) as tar:
            tar.extractall(out / "here", filter="data")
            names = {name.partition("/")[0] for name in tar.getnames()}
        assert not names & found.keys()
        found |= {name: runs_files.read_run(out / "here" / name)[1] for name in names}
    return found


def same(found, whole, number):
    """Some runs are those of one process without a stop, bit for bit."""
    assert len(found) == number
    for name, arrays in found.items():
        known = runs_files.read_run(whole / name)[1]
        assert arrays.keys() == known.keys()
        for key, array in known.items():
            np.testing.assert_array_equal(arrays[key], array, err_msg=f"{name} {key}")


def driver(folder, experiments, before=""):
    """A script that is this command line with other experiments."""
    path = folder / "driver.py"
    path.write_text(
        f"from probsig import language_experiments, paper_scale\n{before}\n"
        f"paper_scale.EXPERIMENTS[:] = {experiments!r}\npaper_scale.main()\n"
    )
    return path


def test_what_is_packed_comes_out_again(packed):
    sets, groups = paper_scale.unpack(packed, "qwen2.5")
    options = {"text": "stand-in", "scale": "smoke", "seed": 0, "tokenizer": "qwen2.5"}
    known, members = texts.training_sets(texts.NAMES, 2000, 150, **options)
    assert groups == members and [one.name for one in sets] == [one.name for one in known]
    for one, other in zip(sets, known, strict=True):
        for part in ("ids", "offsets", "kept"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
        assert one.original == other.original and one.ids.dtype == other.ids.dtype


def test_what_came_back_is_found_where_it_is_asked_for(whole, monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", str(whole))
    for corpus, architecture, seed, epochs in FEW:
        known = {"architecture": architecture, "seed": seed, "epochs": epochs, "scale": "smoke", "tokens": 2000}
        found = language_model.model(corpus, lambda: pytest.fail("it is trained again"), **known)
        assert found.origin == "runs" and found.config["corpus"] == corpus


def test_two_processes_make_the_runs_of_one(packed, whole, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = ["--minutes", "5", "--scale", "smoke", "--tokens", "2000", "--device", "cpu"]
    command = [*torchrun, driver(tmp_path, FEW), "run", packed, tmp_path / "out", *options]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "out").glob("*.tar"))
    assert names == ["finished-0.tar", "finished-1.tar"] and done.stdout.count("done\n") == 2
    with tarfile.open(tmp_path / "out" / "finished-1.tar") as tar:
        assert len({name.partition("/")[0] for name in tar.getnames()}) == 1
    same(arrays_of(tmp_path / "out"), whole, 3)


@pytest.mark.parametrize("number", [signal.SIGALRM, signal.SIGTERM])
@pytest.mark.parametrize("where", ["backward", "save"])
def test_what_is_stopped_in_the_middle_loses_nothing(where, number, packed, whole, tmp_path, monkeypatch):
    """The signal comes while torch is in a backward pass, or while the state is written."""
    backward, write, steps, at = torch.Tensor.backward, runs_files.write_run, [], iter(range(10**6))

    def interrupted(original, *args, **known):
        if next(at) == 4:
            os.kill(os.getpid(), number)
            time.sleep(0.3)  # the main thread handles it meanwhile
        return original(*args, **known)

    def counted(*args, **known):
        steps.append(1)
        return interrupted(backward, *args, **known) if where == "backward" else backward(*args, **known)

    def written(folder, *args):
        saving = where == "save" and Path(folder).name == "state"
        return interrupted(write, folder, *args) if saving else write(folder, *args)

    monkeypatch.setattr(drafts, "EVERY", 0.0 if where == "save" else 60.0)
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", counted)
        patch.setattr(runs_files, "write_run", written)
        assert paper_scale.run(packed, tmp_path, minutes=5, experiments=FEW[:1], **SMOKE) == 1
        before = len(steps)
        assert arrays_of(tmp_path) == {} and 4 <= before < 15
        assert paper_scale.run(packed, tmp_path, minutes=5, experiments=FEW[:1], **SMOKE) == 0
    assert len(steps) == 15  # none twice, none left out
    assert signal.getsignal(number) == signal.SIG_DFL
    same(arrays_of(tmp_path), whole, 1)


def test_time_that_is_up_does_not_wait_for_something_long(packed, whole, tmp_path, monkeypatch):
    free, analyse = threading.Event(), language_model.analyse

    def long(*args):
        free.wait()
        return analyse(*args)

    with monkeypatch.context() as patch:
        patch.setattr(language_model, "analyse", long)
        began = time.monotonic()
        assert paper_scale.run(packed, tmp_path, minutes=0.05, experiments=FEW[:2], **SMOKE) == 2
        assert time.monotonic() - began < 30 and (tmp_path / "finished.tar").is_file()
        free.set()
        for thread in threading.enumerate():
            if thread.name.startswith("ThreadPool"):
                thread.join()
    assert paper_scale.run(packed, tmp_path, minutes=5, experiments=FEW[:2], **SMOKE) == 0
    same(arrays_of(tmp_path), whole, 2)


def test_the_process_itself_ends_in_time(packed, tmp_path):
    """A thread that hears no stop does not keep it alive."""
    slow = "import time\nlanguage_experiments.analyse = lambda *args: time.sleep(3600)"
    options = ["--minutes", "0.05", "--scale", "smoke", "--tokens", "2000", "--device", "cpu"]
    command = [sys.executable, driver(tmp_path, FEW[:1], slow), "run", packed, tmp_path / "out", *options]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "1 left: run the same command again on this machine\n")
    assert (tmp_path / "out" / "finished.tar").is_file()


def test_time_that_was_up_before_leaves_the_rest(packed, tmp_path):
    assert paper_scale.run(packed, tmp_path, minutes=0, experiments=FEW, **SMOKE) == 3
    assert runs_results.folder() == tmp_path / "runs"


def test_another_pack_than_asked_for_is_one_sentence(packed, tmp_path):
    for asked, sentence in (
        ({"tokens": None}, r"tokens 2000, not None: ask for what was packed, or pack again\.$"),
        ({"tokens": 3000, "scale": "laptop"}, r"scale 'smoke', not 'laptop' and tokens 2000, not 3000: ask for what"),
        ({"text": "open"}, r"text 'stand-in', not 'open': ask for what was packed, or pack again\.$"),
    ):
        with pytest.raises(ValueError, match=rf"^\S+ was packed with {sentence}"):
            paper_scale.run(packed, tmp_path, minutes=5, **{**SMOKE, **asked})
    assert not (tmp_path / "runs").exists()
    with pytest.raises(
        runs_files.StorageError, match=r"qwen2\.5\.npz is not there: run `pack \S+` where the texts are\.$"
    ):
        paper_scale.run(tmp_path, tmp_path, minutes=5, **SMOKE)
    np.savez(tmp_path / "qwen2.5.npz", ids=np.arange(3))
    with pytest.raises(runs_files.StorageError, match=r"does not say what it was made of: run `pack \S+` where"):
        paper_scale.run(tmp_path, tmp_path, minutes=5, **SMOKE)


def test_what_comes_back_is_in_files_of_some_size(tmp_path, monkeypatch, capsys):
    sizes = {"a": 9_000, "b": 9_000, "c": 40_000, "d": 500, "e": 9_000}
    for name, size in sizes.items():
        runs_files.write_run(tmp_path / "runs" / name, {}, {"x": np.zeros(size, dtype=np.uint8)})
    monkeypatch.setattr(paper_scale, "TAR", 30_720)
    paper_scale._collect(tmp_path, "finished-3", [*sizes, "found elsewhere"])
    found = {}
    for path in tmp_path.glob("*.tar"):
        assert path.stat().st_size <= 30_720
        with tarfile.open(path) as tar:
            found[path.name] = sorted(tar.getnames())
    parts = {"finished-3.tar": "a", "finished-3-2.tar": "bd", "finished-3-3.tar": "e"}
    files = ("", "/arrays.safetensors", "/run.json")
    assert found == {name: sorted(run + file for run in some for file in files) for name, some in parts.items()}
    assert capsys.readouterr().err.endswith("c has 0.0 MiB, too much for a tar: fetch the folder itself.\n")


def test_each_process_takes_its_share_and_its_gpu(packed, tmp_path, monkeypatch):
    chosen, asked = [], []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)

    def model(name, sets, **known):
        asked.append((name, known["architecture"], known["seed"], known["epochs"]))
        return runs_results.Run("none", {}, {}, {"seconds": 0.0}, "new")

    monkeypatch.setattr(language_model, "model", model)
    options = {"minutes": 5, "scale": "smoke", "tokens": 2000}
    for rank in range(4):  # two machines of two
        for name, value in (("RANK", rank), ("WORLD_SIZE", 4), ("LOCAL_RANK", rank % 2)):
            monkeypatch.setenv(name, str(value))
        assert paper_scale.run(packed, tmp_path, **options) == 0
    assert chosen == [0, 1, 0, 1]
    assert asked[:9] == paper_scale.EXPERIMENTS[::4] and sorted(asked) == sorted(paper_scale.EXPERIMENTS)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match=r"^This process wants GPU 2 of 2: pass torchrun --nproc-per-node 2\.$"):
        paper_scale.run(packed, tmp_path, **options)
    paper_scale.run(packed, tmp_path, device="cpu", **options)
    assert len(chosen) == 4


def test_too_much_to_travel_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(paper_scale, "LARGEST", 1000)
    monkeypatch.setattr(texts, "NAMES", ("cc",))
    with pytest.raises(runs_files.StorageError, match=r"MiB and 0 may travel: pass fewer --tokens\.$"):
        paper_scale.pack(tmp_path, "smoke", 2000)


def test_the_command_line(packed, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(paper_scale, "run", lambda *args, **known: asked.append((args, known)) or 3)
    paper_scale.main(["run", str(packed), str(tmp_path), "--scale", "smoke", "--tokens", "2000"])
    assert "3 left" in capsys.readouterr().out
    known = {"minutes": 8.0, "scale": "smoke", "tokens": 2000, "text": "stand-in", "device": "auto"}
    assert asked == [((packed, tmp_path), known)]
    monkeypatch.setattr(texts, "NAMES", ("cc",))
    paper_scale.main(["pack", str(tmp_path / "more"), "--scale", "smoke", "--tokens", "2000"])
    assert "MiB" in capsys.readouterr().out
