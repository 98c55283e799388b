"""The chapter on a pretrained model with a small model and texts of other kinds: a page, without what they lack."""

import _pydecimal
import json
import random

import nbformat
import numpy as np
import pytest
import rerun
import staleness
import transformers
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models

pytestmark = pytest.mark.slow

CHINESE = "的一是不了人我在有他这中大来上国"
LACKS = "Fewer than 4 of the digits are single tokens seen 50 times"


def chinese(chosen):
    return "。".join("".join(chosen.choices(CHINESE, k=12)) for _ in range(40))


def source(chosen):
    with open(_pydecimal.__file__, encoding="utf-8") as file:
        return file.read()[1000 * (number := chosen.randrange(200)) : 1000 * number + 1000]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tied model whose tokens are letters and signs, its rows random."""
    folder, known = tmp_path_factory.mktemp("model"), sorted({*map(chr, range(9, 127)), *CHINESE, "。"})
    made = Tokenizer(models.BPE({sign: id for id, sign in enumerate(known)}, [], unk_token="?"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="?").save_pretrained(folder)
    (folder / "config.json").write_text('{"tie_word_embeddings": true}')
    rows = np.random.default_rng(0).standard_normal((len(known), 8)).astype(np.float32)
    save_file({"model.embed_tokens.weight": rows}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("kind", [chinese, source])
def test_a_page_without_what_the_text_lacks(kind, model, tmp_path, monkeypatch):
    for variable in ("PROBSIG_RUNS", "PROBSIG_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    chosen, path = random.Random(0), tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps({"text": kind(chosen)}) + "\n" for _ in range(60)), "utf-8")
    given = {"text": str(path), "model": str(model), "scale": "smoke"}
    output = rerun.execute("language/pretrained", given, tmp_path / "out", staleness.Book())
    cells = nbformat.read(output, as_version=4).cells
    shown = [one for cell in cells for one in cell.get("outputs", [])]
    said = [one.get("text") or one.data.get("text/markdown", "") for one in shown]
    pictures = sum("image/png" in one.get("data", {}) for one in shown)
    assert sum("**Left out:**" in one for one in said) == sum(LACKS in one for one in said)
    assert (pictures, sum(LACKS in one for one in said)) == ((5, 0) if kind is source else (3, 2))
    assert not any("digits" in one and "not defined" in one for one in said)
