"""Tokenising: the usual way, the library tokenizers, and gigatoken, in one run on one core; and whether ids are equal.

Usage: python benchmarks/tokenizing.py; writes benchmarks/tokenizing.md. PROBSIG_DATA names the folder of the
development corpora, of each of which some 0.5 MB are read. Seconds are CPU seconds of the process, first call included,
so that other work on the machine and a second thread count for nothing. tokenizers reads a tokenizer.json: Llama-2's as
it is, Qwen2.5's with the merges worked out from the published ranks.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import itertools
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

os.environ.update(TOKENIZERS_PARALLELISM="false", RAYON_NUM_THREADS="1")

import tokenizers as library

from probsig.runs import machine
from probsig.text import accelerated, rules, tokenizers

CORPORA = ("arxiv", "cc", "dm-mathematics", "pubmed-central", "wikipedia-en")
SIZE, ODD, NEW, PILE = 500_000, 1000, 9_000_000, 825.18 * 2**30
PARTS = [*"ab 1.\n\r\t▁é", "e\u0301", "\u0323", "\u212b", "가", "🜁", "\x00", "<s>", "</s>", "<|im_end|>", "\u00a0", "ⅷ"]
RUNS = [" " * 70_000, "\t" * 999, "x" * 20_000, "a\u0300" * 2000, "\r\n" * 500, "0123456789" * 300]


def documents(name: str) -> list[str]:
    """About SIZE characters of a corpus, spread over it."""
    path = Path(os.environ["PROBSIG_DATA"]) / f"{name}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    return texts[:: max(1, sum(map(len, texts)) // SIZE)]


def odd() -> list[str]:
    """Short texts of parts that tokenizers stumble over, and of any characters; and long runs."""
    rng = random.Random(0)
    some = [rng.choices([*PARTS, chr(rng.randrange(0xE000, 0x110000))], k=rng.randrange(30)) for _ in range(ODD)]
    return [*map("".join, some), *RUNS]


def qwen() -> library.Tokenizer:
    """Qwen2.5 for the library, from the ranks."""
    char = {byte: c for c, byte in tokenizers._BYTES.items()}
    pieces = tokenizers.tokenizer("qwen2.5").pieces[:151_643]
    ranks = {piece: rank for rank, piece in enumerate(pieces)}

    def halves(token: bytes, rank: int) -> tuple[bytes, ...]:
        parts = [bytes([byte]) for byte in token]
        while len(parts) > 2:
            _, i = min((ranks.get(a + b, rank), i) for i, (a, b) in enumerate(itertools.pairwise(parts)))
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        return tuple(parts)

    said = {piece: "".join(char[byte] for byte in piece) for piece in pieces}
    merges = [tuple("".join(char[b] for b in half) for half in halves(p, r)) for p, r in ranks.items() if len(p) > 1]
    made = library.Tokenizer(library.models.BPE({said[piece]: rank for piece, rank in ranks.items()}, merges))
    words = library.pre_tokenizers.Split(library.Regex(tokenizers.QWEN_WORDS), "isolated")
    level = library.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.normalizer = library.normalizers.NFC()
    made.pre_tokenizer = library.pre_tokenizers.Sequence([words, level])
    return made


def ways(name: str) -> dict:
    """The three, by the name of a tokenizer."""
    backend = qwen() if name == "qwen2.5" else rules.from_file(rules.packaged(*tokenizers.FILES[name]))
    backend.encode_special_tokens = True
    accelerated.CHECKED = 0  # gigatoken alone
    fast, usual = accelerated.accelerated(name), tokenizers.tokenizer(name)
    assert isinstance(fast, tokenizers.Tokenizer), "pip install -r benchmarks/requirements.txt"
    return {
        "tokenizers": lambda text: backend.encode(text, add_special_tokens=False).ids,
        "probsig": usual.encoder,
        "gigatoken": fast.encoder,
    }


def grown(encode: Callable) -> int:
    """By how many bytes the process grows while NEW bytes of random words are encoded."""
    rng = random.Random(1)
    letters = str.maketrans("0123456789", "ghijklmnop")
    words = (" ".join(rng.randbytes(4).hex().translate(letters) for _ in range(NEW // 90)) for _ in range(11))
    pages = []
    for text in words:
        pages.append(int(Path("/proc/self/statm").read_text().split()[1]))
        encode(text)
    return (pages[-1] - pages[0]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    packages = ("tokenizers", "tiktoken", "gigatoken")
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)
    lines = [f"Tokenising on one core, MB of text per CPU second. {machine.hardware()}; {versions}.", ""]
    for name in sorted(tokenizers.FILES, reverse=True):
        encoders, different = ways(name), 0
        rates, sizes = {way: 0.0 for way in encoders}, 0
        lines += [f"| {name} | MB | tokenizers | probsig | with gigatoken | times probsig | documents with other ids |"]
        lines += ["|---|---|---|---|---|---|---|"]
        for corpus in CORPORA:
            texts = documents(corpus)
            size, took, found = sum(len(text.encode()) for text in texts), {}, {}
            for way, encode in encoders.items():
                begun = time.process_time()
                found[way] = [encode(text) for text in texts]
                took[way] = time.process_time() - begun
                rates[way] += took[way]
            sizes += size
            other = sum(len({tuple(map(int, ids)) for ids in each}) > 1 for each in zip(*found.values(), strict=True))
            shown = " | ".join(f"{size / took[way] / 1e6:.1f}" for way in encoders)
            times = took["probsig"] / took["gigatoken"]
            lines.append(f"| {corpus} | {size / 1e6:.1f} | {shown} | {times:.1f} | {other} of {len(texts)} |")
        texts = odd()
        different = sum(len({tuple(map(int, encode(text))) for encode in encoders.values()}) > 1 for text in texts)
        hours = ", ".join(f"{PILE / sizes * seconds / 3600:,.0f} with {way}" for way, seconds in rates.items())
        lines += [
            "",
            f"- Of {len(texts):,} odd texts (runs of blanks, marks that combine, names of special tokens, any "
            f"character) {different} have other ids.",
            f"- The whole Pile at these rates, in core-hours: {hours}.",
            "",
        ]
    lines.append(
        f"gigatoken keeps what it has merged: of {NEW / 1e6:.0f} MB of words that never come again it kept "
        f"{grown(accelerated.accelerated('qwen2.5').encoder) / 1e6:.0f} MB. The package quicktok 0.2.0 trains "
        "tokenizers and reads none that is published."
    )
    text = "\n".join(lines) + "\n"
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
