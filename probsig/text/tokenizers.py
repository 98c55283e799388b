"""Text to token ids and back: Qwen2.5, Llama-2, or any tokenizer of the Hugging Face hub or of a folder.

The idea: the signatures of section 4 of the paper are counted over ids, so every id must be the one that the model's
own tokenizer gives. The merge rules are the published ones; only the way through them is faster.

Qwen2.5: NFC, then byte-level merges, run by tiktoken. Llama-2: a space becomes ▁ and one ▁ is put in front; no piece of
its vocabulary has ▁ after another character, so no merge crosses the front of a word and a word is merged once for all.
Any other tokenizer runs as its tokenizer.json says, or, where it has none, as `transformers.AutoTokenizer` loads it.

Text never becomes a special token: "<s>" in a text is three characters. None is added either, unless asked for.
"""

from __future__ import annotations

import base64
import codecs
import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig.errors import needed
from probsig.runs.files import digest, place
from probsig.text import rules
from probsig.text.rules import HUB

FILES = {
    "qwen2.5": ("dashscope", "qwen.tiktoken"),
    "llama-2": ("wordllama", "l2_supercat_tokenizer_config.json"),
}
QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_SPECIAL = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|> "
    "<|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|> "
    "<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|>"
).split()
QWEN_ROWS = 151_936  # rows of Qwen2.5's embedding: its 151,665 ids and padding
BYTE = re.compile(r"<0x([0-9A-F]{2})>")
WORDS = re.compile("▁+[^▁]*|[^▁]+")
MOST_WORDS, LONGEST_WORD = 1_000_000, 48  # what the cache of merged words holds


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A tokenizer: `encode` for text, `text` and `id` for single tokens.

    `name`; `digest` of everything that decides an id; `pieces`, the bytes of each token, b"" for an id that no text
    gives; `special`, names of special tokens and their ids; `embedding_rows`, the rows of the model's embedding, which
    is what a table of signatures should have; `around`, the special ids that the model's authors put before and after.

    >>> letters = Tokenizer("letters", "0", [b"a", b"b", b"\\xe2"], {}, 4, lambda text: ["ab".index(c) for c in text])
    >>> letters.encode("abba").tolist(), letters.vocab_size, letters.embedding_rows
    ([0, 1, 1, 0], 3, 4)
    >>> letters.text(1), letters.id("b"), letters.id("no single token")
    ('b', 1, None)
    """

    name: str
    digest: str
    pieces: Sequence[bytes]
    special: Mapping[str, int]
    embedding_rows: int
    encoder: Callable[[str], Any]
    around: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())

    def __repr__(self) -> str:
        return f"Tokenizer({self.name!r}, vocab_size={self.vocab_size}, digest={self.digest[:12]!r})"

    @property
    def vocab_size(self) -> int:
        """The number of ids, special tokens included and the padding of the embedding not."""
        return len(self.pieces)

    @property
    def dtype(self) -> type:
        """uint16 where every id fits, else uint32."""
        return np.uint16 if self.embedding_rows <= 1 << 16 else np.uint32

    def encode(self, text: str, *, special_tokens: bool = False) -> NDArray[Any]:
        """The ids of a text, uint16 or uint32 (`dtype`); `special_tokens` adds `around`, such as Llama-2's <s>.

        Raises ValueError for a text that is no Unicode (half of a surrogate pair).

        >>> Tokenizer("digits", "0", [b"0", b"1"], {}, 2, lambda text: map(int, text)).dtype.__name__
        'uint16'
        """
        try:
            ids = self.encoder(text)
        except UnicodeEncodeError as error:
            raise ValueError(
                f"Character {error.start} of the text is half of a surrogate pair, which is no Unicode: remove it, or "
                "read the file with errors='replace'."
            ) from error
        if special_tokens:
            ids = [*self.around[0], *ids, *self.around[1]]
        return np.asarray(ids, dtype=self.dtype)

    def text(self, id: int) -> str:
        """What one token stands for; bytes that are no UTF-8 by themselves are shown as in "<0xE2>".

        An id that no text gives shows as "<unused 151700>". Raises IndexError beyond the embedding's rows.

        >>> letters = Tokenizer("letters", "0", [b"a", b"\\xe2"], {}, 3, lambda text: [0])
        >>> [letters.text(i) for i in range(3)]
        ['a', '<0xE2>', '<unused 2>']
        """
        id = int(id)
        if not 0 <= id < self.embedding_rows:
            raise IndexError(f"{self.name} has no token {id}: pass an id from 0 to {self.embedding_rows - 1}.")
        if id >= self.vocab_size or not self.pieces[id]:
            return f"<unused {id}>"
        piece = self.pieces[id]
        return piece.decode("utf-8", "probsig-bytes") if self._ids[piece] == id else _escaped(piece)

    def id(self, text: str) -> int | None:
        """The id of a text that is one token, or None; it reads what `text` shows, bytes and special names too.

        >>> Tokenizer("letters", "0", [b"a", b"\\xe2"], {}, 2, lambda text: [0]).id("<0xE2>")
        1
        """
        found = self._ids.get(text.encode("utf-8", "surrogatepass"))
        return self._shown.get(text) if found is None else found

    @cached_property
    def _ids(self) -> dict[bytes, int]:
        """From a token's bytes to its id; where two have the same bytes, the one that encodes them."""
        table: dict[bytes, int] = {}
        for id, piece in enumerate(self.pieces):
            if piece and (piece not in table or (len(piece) == 1 and piece[0] < 128 and self._encodes(piece, id))):
                table[piece] = id
        return table

    def _encodes(self, piece: bytes, id: int) -> bool:
        return self.encoder(piece.decode())[-1] == id

    @cached_property
    def _shown(self) -> dict[str, int]:
        """From "<0xE2>" and the like to ids."""
        return {shown: id for id in range(self.vocab_size) if "<0x" in (shown := self.text(id))}


def tokenizer(given: Any = "qwen2.5") -> Tokenizer:
    """The tokenizer "qwen2.5" or "llama-2", one of the hub by its repository, or a user's own: by its folder, by its
    tokenizer.json, or as an object of `tokenizers` or `transformers`; a Tokenizer is itself.

    The two names are read from a file of an installed package (requirements-data.txt), else from the hub.
    Raises ValueError when there is no such tokenizer or it cannot be reached, ImportError when a package is missing.

    >>> sorted(HUB)
    ['llama-2', 'qwen2.5']
    """
    if isinstance(given, Tokenizer):
        return given
    if not isinstance(given, str | Path):
        return from_transformers(given, str(getattr(given, "name_or_path", "") or "the given tokenizer"))
    name = str(given)
    if name not in _LOADED:
        if name not in HUB:
            return from_transformers(rules.own(name), Path(name).name if place(name).exists() else name)
        path = rules.packaged(*FILES[name])
        if name == "qwen2.5":
            _LOADED[name] = qwen(read_ranks(path.read_bytes()) if path else ranks_of(rules.published(name).get_vocab()))
        else:
            _LOADED[name] = llama(rules.from_file(path) if path else rules.backend(rules.published(name)))
    return _LOADED[name]


_LOADED: dict[str, Tokenizer] = {}


def read_ranks(data: bytes) -> dict[bytes, int]:
    """The ranks in a .tiktoken file: a line is a token in base64, a space and its id.

    >>> read_ranks(b"IQ== 0")
    {b'!': 0}
    """
    lines = (line.split() for line in data.splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def ranks_of(vocabulary: Mapping[str, int], size: int = 151_643) -> dict[bytes, int]:
    """The ranks in a byte-level vocabulary (of a tokenizer.json) whose first `size` ids are in the order of merges."""
    ordered = sorted((id, token) for token, id in vocabulary.items() if id < size)
    return {_unprintable(token): id for id, token in ordered}


def qwen(ranks: Mapping[bytes, int]) -> Tokenizer:
    """Qwen2.5's tokenizer from its 151,643 ranks; raises ValueError for another number."""
    if len(ranks) != 151_643:
        raise ValueError(f"{len(ranks)} ranks are not Qwen2.5's 151,643: install dashscope==2.0.2 without changes.")
    special = {token: len(ranks) + i for i, token in enumerate(QWEN_SPECIAL)}
    coding = needed("tiktoken", "Encoding")(
        "qwen2.5", pat_str=QWEN_WORDS, mergeable_ranks=dict(ranks), special_tokens={}
    )

    def encode(text: str) -> Any:
        normal = unicodedata.normalize("NFC", text)
        normal.encode()  # half a surrogate pair is refused here, not replaced
        try:
            return coding.encode_to_numpy(normal, disallowed_special=())
        except ValueError as error:
            raise ValueError(
                "A run of blanks in the text is too long for Qwen2.5's rules (a million or so): shorten it."
            ) from error

    pieces = [b""] * (len(ranks) + len(special))
    for piece, id in [*ranks.items(), *((token.encode(), id) for token, id in special.items())]:
        pieces[id] = piece
    what = [QWEN_WORDS, "NFC", special, [[piece.hex(), id] for piece, id in sorted(ranks.items())]]
    return Tokenizer("qwen2.5", digest(json.dumps(what).encode()), pieces, special, QWEN_ROWS, encode)


def llama(backend: Any) -> Tokenizer:
    """Llama-2's tokenizer, a `tokenizers.Tokenizer`; raises ValueError when a merge may cross the front of a word."""
    vocabulary = backend.get_vocab(with_added_tokens=True)
    crossing = next((token for token in vocabulary if re.search("[^▁]▁", token)), None)
    if crossing is not None or len(vocabulary) != 32_000:
        raise ValueError(
            f"This vocabulary of {len(vocabulary)} tokens isn't Llama-2's 32,000: open its folder by its path."
        )
    model, merged = backend.model, {}  # type: ignore[var-annotated]

    def encode(text: str) -> list[int]:
        text.encode()
        ids: list[int] = []
        for word in WORDS.findall("▁" + text.replace(" ", "▁")) if text else ():
            known = merged.get(word)
            if known is None:
                known = [token.id for token in model.tokenize(word)]
                if len(word) <= LONGEST_WORD:
                    if len(merged) >= MOST_WORDS:
                        merged.clear()
                    merged[word] = known
            ids += known
        return ids

    special = {token: vocabulary[token] for token in ("<unk>", "<s>", "</s>")}
    pieces = [b""] * len(vocabulary)
    for token, id in vocabulary.items():
        byte = BYTE.fullmatch(token)
        pieces[id] = bytes.fromhex(byte[1]) if byte else token.replace("▁", " ").encode()
    what = digest(json.dumps(["llama-2", sorted(vocabulary.items()), json.loads(backend.to_str())["model"]]).encode())
    return Tokenizer("llama-2", what, pieces, special, len(vocabulary), encode, ((special["<s>"],), ()))


def from_transformers(loaded: Any, name: str, embedding_rows: int | None = None) -> Tokenizer:
    """A tokenizer of `tokenizers`, or a fast one of `transformers`; `embedding_rows` where the model's embedding is
    padded. What is set on it to cut, to fill up or to draw lots plays no part.

    Raises ValueError for one without a fast backend.
    """
    what = json.loads((backend := rules.backend(loaded)).to_str())
    backend.encode_special_tokens = True
    vocabulary = backend.get_vocab(with_added_tokens=True)
    added = {token.content: id for id, token in backend.get_added_tokens_decoder().items()}
    byte_level = '"ByteLevel"' in json.dumps([what["decoder"], what["pre_tokenizer"]])
    pieces = [b""] * (max(vocabulary.values()) + 1)
    for token, id in vocabulary.items():
        byte = BYTE.fullmatch(token)
        if token in added:
            pieces[id] = token.encode()
        elif byte_level:
            pieces[id] = _unprintable(token)
        else:
            pieces[id] = bytes.fromhex(byte[1]) if byte else token.replace("▁", " ").encode()

    def encode(text: str) -> list[int]:
        text.encode()
        return backend.encode(text, add_special_tokens=False).ids

    plain, whole = encode("a"), backend.encode("a", add_special_tokens=True).ids
    start = next((i for i in range(len(whole)) if whole[i : i + len(plain)] == plain), 0)
    around = tuple(whole[:start]), tuple(whole[start + len(plain) :])
    rows = max(len(pieces), embedding_rows or 0)
    return Tokenizer(name, digest(json.dumps([what, rows]).encode()), pieces, added, rows, encode, around)


def _escaped(data: bytes) -> str:
    return "".join(f"<0x{byte:02X}>" for byte in data)


codecs.register_error("probsig-bytes", lambda error: (_escaped(error.object[error.start : error.end]), error.end))  # type: ignore[attr-defined]

_PRINTED = [*range(33, 127), *range(161, 173), *range(174, 256)]  # GPT-2's printable stand-ins for the 256 bytes
_BYTES = {chr(byte): byte for byte in _PRINTED} | {
    chr(256 + i): byte for i, byte in enumerate(sorted({*range(256)} - {*_PRINTED}))
}


def _unprintable(token: str) -> bytes:
    return bytes(_BYTES[char] for char in token) if _BYTES.keys() >= set(token) else token.encode()
