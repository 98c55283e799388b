"""Every bad input of `bad_inputs.toml` ends in the one sentence that stands there, and leaves no new file behind."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

import probsig as ps
from probsig import language, seeds
from probsig.addition import training
from probsig.counts import bigrams, sharded
from probsig.experiments import addition
from probsig.geometry import large, percentiles, small
from probsig.laws import tasks
from probsig.pages import claims, parameters
from probsig.runs import files
from probsig.text import corpora, store
from probsig.theory import orders

INPUTS = tomllib.loads(Path(__file__).with_name("bad_inputs.toml").read_text("utf-8"))["input"]
NAMES = {
    **{"ps": ps, "np": np, "seeds": seeds, "training": training, "bigrams": bigrams, "sharded": sharded},
    **{"addition": addition, "claims": claims, "parameters": parameters, "files": files, "corpora": corpora},
    **{"store": store, "orders": orders, "large": large, "small": small, "percentiles": percentiles, "tasks": tasks},
    "language": language,
    "law": tasks.addition(anchors=range(1, 3), z=range(5, 8), vocab_size=12),
}


@pytest.mark.parametrize("row", INPUTS, ids=lambda row: row["call"])
def test_a_bad_input_ends_in_one_sentence(row, tmp_path, monkeypatch):
    monkeypatch.setenv("PROBSIG_CACHE", str(tmp_path / "cache"))

    def write(name, data):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    with pytest.raises((ValueError, OSError)) as caught:
        eval(row["call"], NAMES | {"folder": tmp_path, "write": write})
    said = f"{type(caught.value).__name__}: {caught.value}".replace(str(tmp_path), "<folder>")
    assert said == row["ends"] and "\n" not in said


def test_the_list_grows():
    assert len(INPUTS) >= 250 and len({row["call"] for row in INPUTS}) == len(INPUTS)
