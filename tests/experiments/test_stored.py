"""The stored runs: what they are called, that their numbers are numbers, that their first steps come out again."""

import json
from pathlib import Path

import numpy as np
import promote
import pytest

from probsig import runs
from probsig.experiments import KINDS, addition, edited_text, heads, velocity, velocity_shuffles
from probsig.runs import code, files

STORED = sorted(Path(__file__).parents[2].glob("results/*/run.json"))
ADDITION = [record for record in STORED if record.parent.name.startswith("addition-")]


@pytest.mark.parametrize("record", STORED, ids=lambda path: path.parent.name)
def test_every_stored_run_is_what_it_says(record):
    described, arrays = files.read_run(record.parent)
    promote.check_facts(record.parent.name, described, arrays)
    assert described["seconds"] > 0
    makers = sorted(KINDS.get(described["kind"], ()))
    if makers and described["code"]["digest"] == code.digest(makers):  # older code called them otherwise
        assert described["code"]["makers"] == makers


def test_the_results_keep_to_their_budget():
    """20 MB for the addition tasks, 30 MB for language, 5 MB for laws of texts; and nothing lies beside the runs."""
    size = {"language": 0, "across-texts": 0, "": 0}
    for record in STORED:
        kind = json.loads(record.read_text(encoding="utf-8"))["kind"]
        size[next(part for part in size if kind.startswith(part))] += sum(
            file.stat().st_size for file in record.parent.iterdir()
        )
        assert len(list(record.parent.iterdir())) == 2, record.parent.name
    assert size["language"] < 30e6 and size["across-texts"] < 5e6 and size[""] < 20e6


LANGUAGE = {"scale": "laptop", "seed": 0}
QWEN = {"architecture": "qwen2.5", **LANGUAGE}
ASKED = {
    "heads": lambda texts, **sizes: heads.trained("dm-mathematics", texts, distances=[2], **QWEN, **sizes),
    "edit": lambda texts, **sizes: edited_text.trained("dm-mathematics", texts, **LANGUAGE, **sizes),
    "velocity": lambda texts, **sizes: velocity.velocities("wikipedia-en", texts, norms=True, **QWEN, **sizes),
    "shuffles": lambda texts, **sizes: velocity_shuffles.shuffled("wikipedia-en", texts, **QWEN, **sizes),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_the_scales_own_sizes_are_those_of_the_stored_run_and_others_make_another(ask, untouched, monkeypatch):
    texts = untouched(scale="laptop")
    stored = ask(texts, tokens=None, shape=None, lr=None)
    assert stored.origin == "results"
    monkeypatch.setattr(runs, "run", lambda kind, config, *_, **__: config)
    others = {"tokens": 9_000, "shape": "middle", "lr": 0.5}
    assert ask(texts, **others) == stored.config | others


@pytest.mark.slow
@pytest.mark.parametrize("record", ADDITION, ids=lambda path: path.parent.name)
def test_the_first_steps_of_a_stored_run_can_be_done_again(record):
    """200 steps of one run of either engine, measured again, against what is stored (another CPU may round anew)."""
    described, arrays = files.read_run(record.parent)
    for task, model in (("add_same", "linear"), ("mod", "ffn")):
        stored = {key.rsplit("/", 1)[1]: a for key, a in arrays.items() if key.startswith(f"{task}/{model}/")}
        (again,) = addition.pieces([described["config"]], task, model, steps=addition.PREFIX)
        at = int(np.flatnonzero(stored["steps"] == addition.PREFIX)[0])
        assert again["steps"][-1] == addition.PREFIX
        for name in ("loss", "R_order", "mean_cosine", "norm_E", "norm_U", "varphi_X"):
            assert again[name][-1] == pytest.approx(stored[name][at], abs=1e-6, rel=1e-6), name
        assert np.array_equal(again["anchors"][0], stored["anchors"][0])
