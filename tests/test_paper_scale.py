"""Pack, run, stop, go on, bring back: at the scale of seconds."""

import tarfile

import numpy as np
import pytest

from probsig import language_experiments, language_texts, paper_scale, runs, storage

FEW = [("cc", "qwen2.5", 0, 1), ("cc", "llama-2", 0, 1)]


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    size = paper_scale.pack(folder, "smoke", 2000)
    assert size == sum(path.stat().st_size for path in folder.iterdir())
    return folder


def test_what_is_packed_comes_out_again(packed):
    sets, groups = paper_scale.unpack(packed, "qwen2.5")
    options = {"text": "stand-in", "scale": "smoke", "seed": 0, "tokenizer": "qwen2.5"}
    known, members = language_texts.training_sets(language_texts.NAMES, 2000, 150, **options)
    assert groups == members and [one.name for one in sets] == [one.name for one in known]
    for one, other in zip(sets, known, strict=True):
        for part in ("ids", "offsets", "kept"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
        assert one.original == other.original and one.ids.dtype == other.ids.dtype


def test_a_run_ends_and_its_results_travel(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", "unset")
    options = {"minutes": 5, "scale": "smoke", "tokens": 2000, "device": "cpu", "experiments": FEW}
    assert paper_scale.run(packed, tmp_path, **options) == 0
    with tarfile.open(tmp_path / "finished.tar") as tar:
        names = {name.partition("/")[0] for name in tar.getnames()}
        tar.extractall(tmp_path / "here", filter="data")
    assert len(names) == 2
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path / "here"))
    again = language_experiments.model(
        "cc", lambda: pytest.fail("it is trained again"), architecture="qwen2.5", scale="smoke", seed=0, tokens=2000
    )
    assert again.origin == "runs" and again.name in names


def test_time_that_is_up_stops_between_and_within_runs(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", "unset")
    options = {"minutes": 0.01, "scale": "smoke", "tokens": 2000, "device": "cpu"}
    calls = []

    def model(name, sets, **known):
        calls.append(name)
        while True:  # until the alarm
            pass

    with monkeypatch.context() as patch:
        patch.setattr(language_experiments, "model", model)
        assert paper_scale.run(packed, tmp_path, experiments=FEW, **options) == 2
    assert calls == ["cc"] and (tmp_path / "finished.tar").is_file()
    assert runs.folder() == tmp_path / "runs"


def test_too_much_to_travel_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(paper_scale, "LARGEST", 1000)
    with pytest.raises(storage.StorageError, match=r"MiB and 0 may travel: pass fewer --tokens\.$"):
        paper_scale.pack(tmp_path, "smoke", 2000)


def test_the_command_line(packed, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PROBSIG_RUNS", "unset")
    monkeypatch.setattr(paper_scale, "EXPERIMENTS", FEW[:1])
    monkeypatch.setattr(paper_scale, "run", lambda *args, **known: 3)
    paper_scale.main(["run", str(packed), str(tmp_path), "--scale", "smoke", "--tokens", "2000"])
    assert "3 left" in capsys.readouterr().out
    paper_scale.main(["pack", str(tmp_path / "more"), "--scale", "smoke", "--tokens", "2000"])
    assert "MiB" in capsys.readouterr().out
