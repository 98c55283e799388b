"""The tokenizer that a GGUF file carries."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from probsig.errors import needed
from probsig.text.tokenizers import QWEN_WORDS, Tokenizer, from_transformers

NORMAL, CONTROL, ADDED = 1, 3, 4  # GGUF's types of tokens; the others are no text


def gguf_tokenizer(value: Callable[..., Any], name: str, rows: int) -> Tokenizer:
    """The byte-level BPE that a GGUF file declares; `value(key, default)` gives an entry of tokenizer.ggml.

    Tokens, merges, special tokens and the rule that cuts text into words ("pre") are the file's: "smollm" takes digits
    one by one and then GPT-2's words, "gpt-2" GPT-2's words, "qwen2" NFC and Qwen's words.
    Raises ValueError for another kind of tokenizer.
    """
    library, regex = (needed("tokenizers", part) for part in ("Tokenizer", "Regex"))
    models, words, decoders = (needed("tokenizers", part) for part in ("models", "pre_tokenizers", "decoders"))
    normalizers, processors = (needed("tokenizers", part) for part in ("normalizers", "processors"))
    gpt2 = words.ByteLevel(add_prefix_space=False)
    bytes_only = words.ByteLevel(add_prefix_space=False, use_regex=False)
    known = {
        "smollm": lambda: words.Sequence([words.Digits(individual_digits=True), gpt2]),
        "gpt-2": lambda: gpt2,
        "qwen2": lambda: words.Sequence([words.Split(regex(QWEN_WORDS), "isolated"), bytes_only]),
    }
    kind, pre = value("model"), value("pre", "none")
    if kind != "gpt2" or pre not in known:
        raise ValueError(
            f"The tokenizer of {name} is of kind {kind!r} with words {pre!r}, and only 'gpt2' with "
            f"{', '.join(known)} can be made from a GGUF file: open the corpus with the tokenizer's own folder."
        )
    tokens = value("tokens")
    types = value("token_type", [NORMAL] * len(tokens))
    vocabulary = {token: id for id, token in enumerate(tokens) if types[id] in (NORMAL, CONTROL, ADDED)}
    merges = [tuple(merge.split(" ")) for merge in value("merges")]
    backend = library(models.BPE(vocabulary, merges))
    backend.pre_tokenizer, backend.decoder = known[pre](), decoders.ByteLevel()
    if pre == "qwen2":
        backend.normalizer = normalizers.NFC()
    backend.add_special_tokens([token for token, type_ in zip(tokens, types, strict=True) if type_ == CONTROL])
    backend.add_tokens([token for token, type_ in zip(tokens, types, strict=True) if type_ == ADDED])
    first = value("bos_token_id")
    if value("add_bos_token", False) and first is not None:
        begin = tokens[first]
        backend.post_processor = processors.TemplateProcessing(single=[begin, "$A"], special_tokens=[(begin, first)])
    return from_transformers(SimpleNamespace(backend_tokenizer=backend), name, rows)
