"""The two tokenizers of the paper, run by gigatoken where that is installed: the same ids, several times as fast.

The idea: an id decides what a signature counts, so a faster way is taken only as far as it is seen to give the same
ids. The first million characters of a text are encoded both ways, and where one id differs the text is left to the
usual way. Tests hold the two ways together on whole corpora; the usual way is the one that they were tested against.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib.util
import json
import tempfile
import unicodedata
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from probsig.errors import needed
from probsig.runs.files import digest
from probsig.text import rules, tokenizers

CHECKED = 1_000_000  # characters


def accelerated(given: Any) -> Any:
    """For "qwen2.5" and "llama-2" their Tokenizer with gigatoken in it, made anew for each text; else what is given.

    Where gigatoken is not installed (`pip install gigatoken`), a name is handed back as well. The digest names
    gigatoken and its version, so that ids which it made are never taken for the usual way's. Raises what
    `tokenizers.tokenizer` raises.

    >>> accelerated(str.split) is str.split
    True
    """
    if not isinstance(given, str) or given not in tokenizers.FILES or importlib.util.find_spec("gigatoken") is None:
        return given
    usual = tokenizers.tokenizer(given)
    backend = _qwen(usual) if given == "qwen2.5" else _llama()
    made = digest(f"{usual.digest} by gigatoken {version('gigatoken')}".encode())
    return dataclasses.replace(usual, digest=made, encoder=checked(backend, usual.encoder, CHECKED))


def checked(fast: Callable[[str], Any], slow: Callable[[str], Any], most: int) -> Callable[[str], Any]:
    """An encoder that is `fast`, as long as that gives what `slow` does for the first `most` characters that it meets;
    from a difference on, and in the text that has it, it is `slow`. Half of a surrogate pair raises UnicodeEncodeError.

    >>> encode = checked(lambda text: [len(text)], lambda text: [min(len(text), 3)], most=100)
    >>> encode("ab"), encode("abcd"), encode("abcde")
    ([2], [3], [3])
    """
    way, left = fast, most

    def encode(text: str) -> Any:
        nonlocal way, left
        text.encode()
        if left > 0:
            head = text[:left]
            left -= len(head)
            if not np.array_equal(fast(head), slow(head)):
                way, left = slow, 0
        return way(text)

    return encode


def _qwen(usual: tokenizers.Tokenizer) -> Callable[[str], Any]:
    pieces = usual.pieces[: min(usual.special.values())]  # special tokens come last
    lines = (b"%s %d\n" % (base64.b64encode(piece), rank) for rank, piece in enumerate(pieces))
    with tempfile.TemporaryDirectory(prefix="probsig-") as folder:
        path = Path(folder) / "qwen.tiktoken"
        path.write_bytes(b"".join(lines))
        encode = needed("gigatoken", "Tokenizer").from_tiktoken(str(path), "qwen2").encode
    return lambda text: encode(unicodedata.normalize("NFC", text))


def _llama() -> Callable[[str], Any]:
    path = rules.packaged(*tokenizers.FILES["llama-2"])
    backend = rules.from_file(path) if path else rules.backend(rules.published("llama-2"))
    what = {**json.loads(backend.to_str()), "added_tokens": [], "post_processor": None}  # "<s>" is three characters
    return needed("gigatoken", "Tokenizer").from_json(json.dumps(what)).encode
