"""Word vectors: a vector for each word of a list, which finds its token by what the token says.

    glove.6B.300d.txt       GloVe: a line is a word and its numbers
    vectors.txt, wiki.vec   word2vec's text form and fastText's .vec: the same below a line with both sizes
    vectors.bin             word2vec's binary form
    an object               gensim's KeyedVectors, or a dict of words and vectors

The text forms may be packed as .gz, .zst or .xz. Words of a text have no blank in front, and most tokens of a language
model do: a token " the" is the word "the". Where two tokens say one word, the first of them has its vector.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from probsig import guards
from probsig.runs.files import StorageError, place
from probsig.text.sources.files import DAMAGE, MAGIC, MARK, bounded, opened

ENDINGS = (".txt", ".vec", ".bin")
LONGEST = 1 << 22  # bytes of a line, or of a word: a small file that unpacks to a huge one costs no more memory
FASTTEXT, TORCH, PICKLE = b"\xba\x16\x4f\x2f", b"PK", b"\x80"  # how files begin that are none of these


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Vectors (V, d) float32 of `words` (V,); `name` of where they are from.

    >>> found = WordVectors("mine", ("the", "cat"), np.eye(2, dtype=np.float32))
    >>> found.places([" cat", "the", " the", "dog"]).tolist()
    [1, 0, -1, -1]
    """

    name: str
    words: Sequence[str]
    vectors: NDArray[np.float32]

    @cached_property
    def index(self) -> dict[str, int]:
        """The row of each word; of a word that stands twice, the first."""
        return {word: row for row, word in reversed([*enumerate(self.words)])}

    def places(self, said: Iterable[str]) -> NDArray[np.int64]:
        """The row of each token by what it says, -1 where there is none or an earlier token has it."""
        rows, taken = [], {-1}
        for token in said:
            row = self.index.get(token, self.index.get(token.strip(), -1))
            rows.append(-1 if row in taken else row)
            taken.add(row)
        return np.array(rows, dtype=np.int64)


def word_vectors(given: Any) -> WordVectors:
    """Word vectors of a file, of gensim's KeyedVectors (or a model that has them as `wv`), or of a dict.

    Raises ValueError for what is none of these, and StorageError for a file that is cut or damaged.

    >>> word_vectors({"a": [1.0, 2.0]}).vectors.tolist()
    [[1.0, 2.0]]
    """
    if isinstance(given, WordVectors):
        return given
    if isinstance(given, str | Path):
        return _file(place(given))
    given = getattr(given, "wv", given)
    if hasattr(given, "key_to_index") and hasattr(given, "vectors"):
        index = given.key_to_index
        words = sorted(index, key=index.__getitem__)
        return _checked("the word vectors", words, [given.vectors[index[word]] for word in words])
    if not isinstance(given, Mapping) or not all(isinstance(word, str) for word in given):
        raise ValueError(f"A {type(given).__name__} holds no word vectors: pass a file, KeyedVectors, or a dict.")
    return _checked("the word vectors", [*given], [*given.values()])


def _checked(name: str, words: Sequence[str], vectors: Any) -> WordVectors:
    try:
        matrix = np.asarray(vectors, dtype=np.float32)
    except (ValueError, TypeError):
        matrix = np.empty(0)
    if matrix.ndim != 2 or not matrix.size:
        raise ValueError(f"{name[0].upper() + name[1:]} are not of one length: pass a vector of numbers for each word.")
    return WordVectors(name, tuple(words), matrix)  # type: ignore[arg-type]


def is_vectors(path: Path) -> bool:
    """Whether a file's name is one of word vectors.

    >>> is_vectors(Path("glove.txt.gz")), is_vectors(Path("model.gguf"))
    (True, False)
    """
    name = path.name.lower()
    return any(name.endswith(ending + packed) for ending in ENDINGS for packed in ("", *MAGIC))


def _file(path: Path) -> WordVectors:
    if not path.is_file():
        raise ValueError(f"There is no file {path}: check the path of the word vectors.")
    try:
        with opened(path) as file:
            first = file.readline(LONGEST)
            _refuse_others(path, first)
            sizes = first.split()
            header = len(sizes) == 2 and all(size.isdigit() for size in sizes)
            most, width = (int(sizes[0]), int(sizes[1])) if header else (None, len(sizes) - 1)
            if ".bin" in path.suffixes:
                if not header:
                    raise StorageError(f"{path} is no word2vec file, whose first line has two sizes: fetch it again.")
                words, vectors = _binary(path, file, int(sizes[0]), width)
            else:
                rest = bounded(file, LONGEST)
                lines = rest if header else itertools.chain([first], rest)
                words, vectors = _lines(path, lines, most, width, 2 if header else 1)
    except DAMAGE as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{path} ends early or is damaged: fetch it again.") from error
    return WordVectors(path.name, words, vectors)


def _refuse_others(path: Path, first: bytes) -> None:
    remedies = {
        FASTTEXT: "fastText's own form: pass its .vec file",
        TORCH: "a pickle of torch: save it as .safetensors",
        PICKLE: "a pickle: load it with the library that wrote it, and pass its KeyedVectors",
    }
    guards.sure(not first.startswith(MARK), f"{path} begins with a byte order mark: save it as UTF-8 without one.")
    for start, what in remedies.items():
        if first.startswith(start):
            raise ValueError(f"{path} is {what}.")
    if not first.strip():
        raise StorageError(f"{path} is empty: fetch it again.")


def _lines(
    path: Path, lines: Iterable[bytes], most: int | None, width: int, number: int
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Words and vectors of lines, the first of which is line `number` of the file."""
    words, rows = [], []
    for at, line in enumerate(tqdm(lines, total=most, delay=3, leave=False, desc=path.name), number):
        parts = line.rstrip().rsplit(b" ", width) if width else []
        try:
            rows.append(np.array(parts[1:], dtype=np.float32))
            words.append(parts[0].decode())
        except (ValueError, IndexError):
            rows.append(np.empty(0))  # type: ignore[arg-type]
        if len(rows[-1]) != width or not width:
            raise StorageError(f"Line {at} of {path} is no word with {width} numbers: fetch the file again.")
    if most is not None and len(rows) != most:
        raise StorageError(f"{path} has {len(rows):,} vectors, and its first line says {most:,}: fetch it again.")
    return tuple(words), np.stack(rows)


def _binary(path: Path, file: Any, most: int, width: int) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    try:
        words, vectors = [], np.empty((most, width), np.float32)
    except (MemoryError, ValueError) as error:
        what = f"says that it holds {most:,} vectors of {width:,} numbers, for which there is no room"
        raise StorageError(f"{path} {what}: fetch it again.") from error
    for row in tqdm(range(most), delay=3, leave=False, desc=path.name):
        word = bytearray()
        while (sign := file.read(1)) != b" ":
            if not sign or len(word) > LONGEST:
                raise StorageError(f"{path} ends after {row:,} of its {most:,} vectors: fetch it again.")
            if sign != b"\n" or word:  # some writers end a vector with a line's end
                word += sign
        data = file.read(4 * width)
        if len(data) != 4 * width:
            raise StorageError(f"{path} ends after {row:,} of its {most:,} vectors: fetch it again.")
        words.append(word.decode(errors="replace"))
        vectors[row] = np.frombuffer(data, "<f4")
    return tuple(words), vectors
