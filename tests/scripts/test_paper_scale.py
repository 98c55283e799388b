"""Pack, run, stop, go on, bring back: at the scale of seconds, on one processor."""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import paper_scale
import pytest
import rerun
import staleness
import tables
import torch
from paper_scale import FIVE, Experiment

from probsig.experiments import language_model
from probsig.experiments.language_readers import FEWEST, Shown
from probsig.experiments.texts import STAND_IN, YOURS, Texts
from probsig.runs import drafts, files
from probsig.text import tokenizers

pytestmark = pytest.mark.slow

FEW = [Experiment("cc", tokens=1500), Experiment("cc", "llama-2", tokens=1500), Experiment("arxiv", tokens=1500)]
STEPS = 11  # 1500 tokens in 4 rows of 33
SMOKE = {"scale": "smoke", "device": "cpu", "workers": 1, "minutes": 5}
DRIVER = """
import sys, time
import paper_scale

def slow(*arguments, **options):
    options["stop"].wait()
    time.sleep(3600)

paper_scale.language_model.trained = slow
paper_scale.main(sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def one_process(request, monkeypatch):
    """What `run` sets for its process is taken back; the process goes on where it would end, and measures itself."""
    if "whole" in request.fixturenames:
        request.getfixturevalue("whole")  # in processes
        monkeypatch.setattr(paper_scale, "ProcessPoolExecutor", lambda number, **known: ThreadPoolExecutor(number))
    monkeypatch.setenv("PROBSIG_RUNS", "unset")
    monkeypatch.setattr(drafts, "EVERY", drafts.EVERY)
    monkeypatch.setattr(paper_scale, "_leave", lambda out, ends, left: None)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    size = paper_scale.pack(folder, "smoke", {"qwen2.5": None, "llama-2": 2000}, None)
    assert size == sum(path.stat().st_size for path in folder.iterdir())
    return folder


@pytest.fixture(scope="module")
def whole(packed, tmp_path_factory):
    """Every run of FEW, made by one process without a stop, unpacked from its tar."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROBSIG_RUNS", "unset")
        patch.setattr(drafts, "EVERY", drafts.EVERY)
        assert paper_scale.run(packed, folder, chosen=FEW, **SMOKE) == 0
    assert len(brought_back(folder)) == 3
    return folder / "here"


def brought_back(out):
    """The arrays of each run in the tars of a folder."""
    found = {}
    for path in sorted(out.glob("finished*.tar")):
        with tarfile.open(path) as tar:
            tar.extractall(out / "here", filter="data")
            names = {name.partition("/")[0] for name in tar.getnames()}
        assert not names & found.keys()
        found |= {name: files.read_run(out / "here" / name)[1] for name in names}
    return found


def same(found, whole, number):
    """Some runs are those of one process without a stop, bit for bit."""
    assert len(found) == number
    for name, arrays in found.items():
        known = files.read_run(whole / name)[1]
        assert arrays.keys() == known.keys()
        for key, array in known.items():
            np.testing.assert_array_equal(arrays[key], array, err_msg=f"{name} {key}")


def test_what_is_packed_comes_out_again(packed):
    how = language_model.SCALES["smoke"]
    found = paper_scale.Packed(packed, "qwen2.5").sets(FIVE, 2000, how.keep, how.held)
    known = Texts(scale="smoke").sets(FIVE, 2000, how.keep, how.held)
    assert found.groups == known.groups and found.digest() == known.digest()
    assert [one.name for one in found.sets] == list(FIVE)


def test_a_limit_keeps_the_documents_up_to_it(packed):
    arrays = paper_scale.Packed(packed, "llama-2").arrays
    for name in FIVE:
        corpus = Texts(scale="smoke").corpus(name)
        *before, end = offsets = arrays[f"{name}/offsets"].tolist()
        assert offsets == corpus.offsets[: len(offsets)].tolist() and before[-1] < 2000 <= end
        ids = arrays[f"{name}/known"][arrays[f"{name}/ids"]]
        np.testing.assert_array_equal(ids, corpus.ids[:end])


def test_what_came_back_is_found_where_it_is_asked_for(whole, monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", str(whole))
    monkeypatch.setattr(Texts, "_corpus", lambda self, name: pytest.fail("a text was opened"))
    for each in FEW:
        texts = Texts(scale="smoke", tokenizer=each.architecture, usual=each.architecture)
        options = {"architecture": each.architecture, "scale": "smoke", "tokens": each.tokens}
        (run,) = language_model.trained([each.corpus], [each.seed], texts, **options)[each.corpus]
        assert run.origin == "runs" and run.config["corpus"] == each.corpus and run.code == "this"


def test_two_processes_make_the_runs_of_one(packed, whole, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        assert paper_scale.run(packed, tmp_path, chosen=FEW, **SMOKE) == 0
    assert sorted(path.name for path in tmp_path.glob("*.tar")) == ["finished-0.tar", "finished-1.tar"]
    with tarfile.open(tmp_path / "finished-1.tar") as tar:
        assert len({name.partition("/")[0] for name in tar.getnames()}) == 1
    same(brought_back(tmp_path), whole, 3)


@pytest.mark.parametrize("where", ["a step", "a save"])
def test_what_is_stopped_in_the_middle_loses_nothing(where, packed, whole, tmp_path, monkeypatch):
    """The signal comes while torch is in a backward pass, or while the state is written."""
    backward, write, steps, killed = torch.Tensor.backward, files.write_run, [], []

    def kill():
        if not killed:
            killed.append(os.kill(os.getpid(), signal.SIGTERM))
            time.sleep(0.3)  # the main thread handles it meanwhile

    def counted(*args, **known):
        steps.append(1)
        if len(steps) == 5:
            if where == "a save":
                monkeypatch.setattr(drafts, "EVERY", 0.0)
            else:
                kill()
        return backward(*args, **known)

    def written(folder, *args):
        if where == "a save" and Path(folder).name == "state":
            kill()
        return write(folder, *args)

    monkeypatch.setattr(torch.Tensor, "backward", counted)
    monkeypatch.setattr(files, "write_run", written)
    assert paper_scale.run(packed, tmp_path, chosen=FEW[:1], **SMOKE) == 1
    assert len(killed) == 1 and brought_back(tmp_path) == {} and 5 <= len(steps) < STEPS
    assert paper_scale.run(packed, tmp_path, chosen=FEW[:1], **SMOKE) == 0
    assert len(steps) == STEPS  # none twice, none left out
    same(brought_back(tmp_path), whole, 1)


def test_the_process_ends_in_time_whatever_its_threads_are_at(packed, tmp_path):
    options = ["--minutes", "0.02", "--scale", "smoke", "--device", "cpu", "--workers", "1"]
    command = [sys.executable, "-c", DRIVER, "run", packed, tmp_path / "out", *options]
    place = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(paper_scale.__file__).parent), *sys.path])}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, env=place)
    left = len(paper_scale.experiments(paper_scale.FIVE))
    assert (done.returncode, done.stdout) == (0, f"{left} left: run the same command again on this machine\n")
    assert (tmp_path / "out" / "finished.tar").is_file()


def test_one_that_fails_is_named_and_the_others_go_on(packed, whole, tmp_path, capsys):
    wrong = Experiment("cc", tokens=1500, shape="square")
    assert paper_scale.run(packed, tmp_path, chosen=[wrong, FEW[0]], **SMOKE) == 1
    assert f"{wrong} failed: Traceback" in capsys.readouterr().err
    same(brought_back(tmp_path), whole, 1)


def test_a_text_that_was_not_packed_is_no_experiment_and_the_list_ends(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(paper_scale, "EXPERIMENTS", [Experiment(paper_scale.LONG), FEW[0]])
    assert paper_scale.run(packed, tmp_path, **SMOKE) == 0


def test_no_pack_is_one_sentence(tmp_path):
    with pytest.raises(files.StorageError, match=r"qwen2\.5\.npz\.xz is not there: run `pack \S+` where the texts"):
        paper_scale.run(tmp_path, tmp_path, chosen=FEW, **SMOKE)


def test_what_comes_back_is_in_files_of_some_size(tmp_path, monkeypatch, capsys):
    sizes = {"a": 9_000, "b": 9_000, "c": 40_000, "d": 500, "e": 9_000}
    for name, size in sizes.items():
        files.write_run(tmp_path / "runs" / name, {}, {"x": np.zeros(size, dtype=np.uint8)})
    monkeypatch.setattr(paper_scale, "TAR", 30_720)
    paper_scale._collect(tmp_path, "finished-3", [*sizes, "found elsewhere"])
    found = {}
    for path in tmp_path.glob("*.tar"):
        assert path.stat().st_size <= 30_720
        with tarfile.open(path) as tar:
            found[path.name] = sorted(name for name in tar.getnames() if "/" not in name)
    assert found == {"finished-3.tar": ["a"], "finished-3-2.tar": ["b", "d"], "finished-3-3.tar": ["e"]}
    assert capsys.readouterr().err.endswith("c has 0.0 MiB, too much for a tar: fetch the folder itself.\n")


def test_each_process_has_its_gpu(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setenv("WORLD_SIZE", "4")
    for rank in range(4):  # two machines of two
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("LOCAL_RANK", str(rank % 2))
        assert paper_scale._place("auto") == (rank, 4)
    assert chosen == [0, 1, 0, 1]
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match=r"^This process wants GPU 2 of 2: pass torchrun --nproc-per-node 2\.$"):
        paper_scale._place("auto")
    assert paper_scale._place("cpu") == (3, 4) and len(chosen) == 4


def test_the_command_line(tmp_path, monkeypatch, capsys):
    asked = []
    for name, answer in (("run", 3), ("pack", 3 * 2**20)):
        monkeypatch.setattr(
            paper_scale, name, lambda *args, answer=answer, **known: asked.append((args, known)) or answer
        )
    paper_scale.main(["run", "packed", str(tmp_path), "--scale", "smoke"])
    paper_scale.main(["pack", "packed", "--llama-tokens", "70", "--long", "more.jsonl.gz"])
    known = {"minutes": 8.0, "scale": "smoke", "device": "auto", "workers": None}
    limits = {"qwen2.5": None, "llama-2": 70}
    packing = ((Path("packed"), "paper", limits, "more.jsonl.gz", "stand-in"), {})
    assert asked == [((Path("packed"), tmp_path), known), packing]
    assert capsys.readouterr().out == "3 left: run the same command again on this machine\npacked: 3.0 MiB\n"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Three texts of one's own in a folder, and the book's two tokenizers, where their packages are."""
    monkeypatch.setenv("PROBSIG_CACHE", str(tmp_path / "cache"))
    try:
        for name in language_model.ARCHITECTURES:
            tokenizers.tokenizer(name)
    except ImportError as error:
        pytest.skip(str(error))
    (tmp_path / "texts").mkdir()
    for number, word in enumerate(("sun", "rain", "snow")):
        lines = [json.dumps({"text": f"{word} {i % 7} and {i % 11} or the {word} . " * 20}) + "\n" for i in range(60)]
        (tmp_path / "texts" / f"{number}.jsonl").write_text("".join(lines))
    return tmp_path


@pytest.mark.parametrize(("text", "kind"), [("texts/1.jsonl", {}), ("texts", {"several": True})])
def test_a_text_of_ones_own_comes_back_where_its_chapter_looks(text, kind, own, monkeypatch):
    monkeypatch.chdir(own)
    assert paper_scale.pack(own / "packed", "smoke", {"qwen2.5": None, "llama-2": None}, text=text) > 0
    names = paper_scale.Packed(own / "packed", "qwen2.5").about["names"]
    assert names == ([YOURS] if not kind else ["0.jsonl", "1.jsonl", "2.jsonl"])
    assert (
        paper_scale.run(own / "packed", own / "out", chosen=paper_scale.experiments(names)[: len(names)], **SMOKE) == 0
    )
    monkeypatch.setenv("PROBSIG_RUNS", str(own / "out" / "runs"))
    given = {"text": text, "tokenizer": "", "scale": "smoke", "seed": 0, "repeats": 1, "device": "cpu"}
    found = Shown(SimpleNamespace(**given), **kind).main
    assert [run.origin for runs in found.values() for run in runs] == ["runs"] * len(names)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("short.txt", "The text short.txt is too short: a model is trained on 352 tokens or more and compared on 12"),
        ("nowhere.jsonl", "There is no corpus 'nowhere.jsonl'"),
        ("one", "The parameter 'text' was 'one', which holds 1 texts: pass a folder with 3 texts or more."),
        ("cut.jsonl", "Line 1 of"),
    ],
)
def test_what_cannot_be_packed_is_one_sentence_and_nothing_is_written(text, says, own, monkeypatch, capsys):
    monkeypatch.chdir(own)
    (own / "short.txt").write_text("a few words and no more than that")
    (own / "cut.jsonl").write_text('{"text": "a')
    (own / "one").mkdir()
    (own / "one" / "a.txt").write_text("a")
    assert paper_scale.main(["pack", "packed", "--scale", "smoke", "--text", text]) == 1
    said = capsys.readouterr().err
    assert said.startswith(says) and said.count("\n") == 1 and not (own / "packed").exists()


def test_it_runs_at_the_scale_that_it_was_packed_at(packed, tmp_path, capsys):
    assert paper_scale.main(["run", str(packed), str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith(" was packed at --scale smoke: run it at that, or pack it anew.\n")


PAGE = (Path(paper_scale.__file__).parents[1] / "book" / "paper_scale.md").read_text("utf-8")


@pytest.mark.parametrize(
    "line", re.findall(r"^(?:(?:\.venv/bin/)?python|torchrun .*?) scripts/paper_scale.py (.*)$", PAGE, re.MULTILINE)
)
def test_the_commands_of_the_page_are_the_scripts(line, monkeypatch):
    asked = []
    for name in ("pack", "run"):
        monkeypatch.setattr(paper_scale, name, lambda *args, name=name, **known: asked.append(name) or 0)
    assert paper_scale.main(line.split()) == 0 and asked == line.split()[:1]


def test_the_reruns_of_the_page_are_the_chapters(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-texts").mkdir()
    found = re.findall(r'make rerun NB=(\S+) PARAMS="(.*)"', PAGE)
    for name, given in found:
        defaults, paths = rerun.takes(name, staleness.Book())
        assert rerun.parse(given.split(), defaults, paths).keys() - {"seed"} == {"text", "scale", "repeats"}
    assert len(found) == 5


def test_each_model_of_a_text_of_ones_own_has_a_line_that_shows_it():
    shown = re.findall(r'NB=language/(\S+) PARAMS="text=my-file', PAGE)
    made = [{"qwen2.5": "models", "llama-2": "llama"}[one.architecture] for one in paper_scale.experiments([YOURS])]
    assert sorted(shown) == sorted(made)


def test_the_stored_runs_of_the_page_are_of_one_machine():
    folders = tables.of_the_papers_shape(staleness.Book().root / "results")
    records = [json.loads((folder / files.RECORD).read_text("utf-8")) for folder in folders]
    (machine,) = {record["hardware"] for record in records}
    assert "all made on one H200 with 16 cores" in PAGE and machine.endswith("16 cores, NVIDIA H200")


def test_every_stored_run_of_the_scale_is_of_the_list():
    """The script makes anew what the book shows, the smaller networks of language/longer among it."""
    listed = set()
    for one in paper_scale.experiments(FIVE, long=True):
        how = language_model.scaled("paper", one.tokens, one.shape)
        listed.add((one.corpus, one.architecture, one.seed, one.epochs, how.tokens, how.shape))
    keys = ("corpus", "architecture", "seed", "epochs", "tokens", "shape")
    for path in (staleness.Book().root / "results").glob(f"language-model-paper-*/{files.RECORD}"):
        config = json.loads(path.read_text("utf-8"))["config"]
        assert tuple(config[key] for key in keys) in listed, path.parent.name
        usual = asdict(language_model.scaled("paper", config["tokens"], config["shape"]))
        assert {key: config[key] for key in usual} == usual and config["text"] == STAND_IN


def test_what_the_page_counts_is_what_the_script_has():
    usual, long = (paper_scale.experiments(FIVE, long) for long in (False, True))
    assert f"the book's list {len(usual)}, and with `--long` one more;" in PAGE and len(long) == len(usual) + 1
    assert "has four models, each text of a folder three," in PAGE
    assert len(paper_scale.experiments([YOURS])) == 4 and len(paper_scale.experiments(["a", "b", "c"])) == 3 * 3
    assert "eleven rows of 2,048" in PAGE and language_model.SCALES["paper"].length == 2048 and FEWEST == 12
