"""A model of a reader's own is found by its rows, and not by its path."""

import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from probsig import runs
from probsig.experiments import pretrained
from probsig.experiments.texts import Texts


@pytest.fixture
def configs(monkeypatch):
    """The configs of the runs that were asked for."""
    found = []
    monkeypatch.setattr(runs, "run", lambda kind, config, pieces, **more: found.append(config))
    return found


def model(folder, rows, tied=True):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(f'{{"tie_word_embeddings": {str(tied).lower()}}}')
    save_file({"model.embed_tokens.weight": np.asarray(rows, dtype=np.float32)}, folder / "model.safetensors")
    return folder


def test_a_model_is_found_by_its_rows(tmp_path, monkeypatch, configs):
    monkeypatch.chdir(tmp_path)
    texts = Texts(scale="laptop", usual=None, tokenizer=None)
    one = model(tmp_path / "one", np.eye(3, 2))
    shutil.copytree(one, tmp_path / "b" / "two")
    for path in (one, "one", "./b/two"):
        pretrained.stored(str(path), texts)
    assert configs[0] == configs[1] == configs[2]
    for changed in (np.eye(3, 2) + 1e-6, np.eye(2, 3)):
        model(one, changed)
        pretrained.stored(str(one), texts)
    assert len({config["rows"] for config in configs}) == 3


def test_the_books_own_model_is_found_without_it(monkeypatch, configs):
    monkeypatch.setattr(pretrained, "open_checkpoint", lambda *_: pytest.fail("opened"))
    pretrained.stored("smollm2", Texts(scale="laptop"))
    pretrained.stored("anything", Texts(scale="smoke"))
    assert [config["model"] for config in configs] == ["smollm2", "anything"]
