"""The front: how long `import probsig` and a first call take, and `align` against plain numpy and scipy.

The plain way is what one writes without the package: counts as a sparse matrix of scipy, square matrices of cosines,
`rankdata`, a regression on all pairs, and 200 draws each of the bootstrap and of both nulls by fancy indexing. Both run
on one thread, in a process of their own, and their numbers are compared. Seconds are CPU seconds, best of two.

Usage: python benchmarks/front.py; writes benchmarks/front.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
os.environ.update(dict.fromkeys(THREADS, "1"))

import numpy as np  # noqa: E402

TOKENS, DRAWS, GROUP = 2000, 200, 50
SIZE, VOCABULARY, DOCUMENT, WIDTH = 4_000_000, 50_000, 1000, 300
IMPORT = "import time; start = time.perf_counter(); import probsig; print(time.perf_counter() - start)"
FIRST = """
import time
start = time.perf_counter()
import numpy as np, probsig as ps
from probsig.text.sources.toy import ToyCorpus
toy = ToyCorpus.of(seed=0)
ps.align(np.random.default_rng(0).standard_normal((toy.vocab_size, 8)), toy)
print(time.perf_counter() - start)
"""


def corpus() -> SimpleNamespace:
    """A text of documents with Zipf's law, in which half of the tokens follow from the one before."""
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, VOCABULARY + 1)
    ids = np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(SIZE)).clip(0, VOCABULARY - 1)
    bound = np.flatnonzero(rng.random(SIZE - 1) < 0.5) + 1
    ids[bound] = (ids[bound - 1] * 7919 + rng.geometric(0.1, bound.size)) % VOCABULARY
    ids = rng.permutation(VOCABULARY).astype(np.uint16)[ids]
    return SimpleNamespace(name="text", ids=ids, offsets=np.arange(0, SIZE + 1, DOCUMENT), vocab_size=VOCABULARY)


def embedding() -> np.ndarray:
    """Rows that partly follow phi^next: a random projection of the counts, and noise."""
    from scipy import sparse

    X, rng = counts(corpus()), np.random.default_rng(1)
    to = sparse.csr_array(
        (rng.choice([-1.0, 1.0], VOCABULARY), (np.arange(VOCABULARY), rng.integers(0, WIDTH, VOCABULARY))),
        (VOCABULARY, WIDTH),
    )
    W = (X @ to).toarray() / np.maximum(X.sum(axis=1), 1)[:, None]
    return (W / W.std() + 2.0 * rng.standard_normal(W.shape)).astype(np.float32)


def counts(text: SimpleNamespace):
    """The pairs of neighbours as a sparse matrix of scipy."""
    from scipy import sparse

    inside = np.ones(len(text.ids) - 1, dtype=bool)
    inside[text.offsets[1:-1] - 1] = False
    pairs = text.ids[:-1][inside], text.ids[1:][inside]
    return sparse.coo_array((np.ones(inside.sum()), pairs), (text.vocab_size,) * 2).tocsr()


def ours(W: np.ndarray, text: SimpleNamespace) -> dict[str, object]:
    """With probsig."""
    import probsig as ps

    found = ps.align(W, text, most=TOKENS, draws=DRAWS)
    names = ("r_cos", "spearman", "partial", "ceiling", "by_token", "bootstrap", "null", "partial_null")
    return {name: getattr(found, name) for name in names}


def plain(W: np.ndarray, text: SimpleNamespace) -> dict[str, object]:
    """With numpy and scipy."""
    from scipy.stats import rankdata

    def cosines(rows) -> np.ndarray:
        if not isinstance(rows, np.ndarray):
            square = (rows @ rows.T).toarray()
            size = np.sqrt(square.diagonal())
            return square / size[:, None] / size
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return rows @ rows.T

    def half(documents: np.ndarray) -> SimpleNamespace:
        ids = text.ids.reshape(-1, DOCUMENT)[documents].ravel()
        return SimpleNamespace(ids=ids, offsets=np.arange(0, len(ids) + 1, DOCUMENT), vocab_size=text.vocab_size)

    rng, frequency = np.random.default_rng(0), np.bincount(text.ids, minlength=text.vocab_size)
    tokens = np.argsort(-frequency, kind="stable")[:TOKENS]
    A, B = cosines(W[tokens].astype(float)), cosines(counts(text)[tokens])
    i, j = np.triu_indices(TOKENS, k=1)
    a, b = A[i, j], B[i, j]
    level = np.log(frequency[tokens])
    X = np.stack([np.ones(i.size), level[i] + level[j], np.abs(level[i] - level[j]), level[i] * level[j]], axis=1)
    u, v = (side - X @ np.linalg.lstsq(X, side, rcond=None)[0] for side in (a, b))
    V = np.zeros_like(B)
    V[i, j] = V[j, i] = v
    bootstrap, null, partial_null = np.empty(DRAWS), np.empty(DRAWS), np.empty(DRAWS)
    for draw in range(DRAWS):
        drawn = np.sort(rng.integers(0, TOKENS, TOKENS))
        p, q = drawn[i], drawn[j]
        apart = p != q
        bootstrap[draw] = np.corrcoef(A[p[apart], q[apart]], B[p[apart], q[apart]])[0, 1]
        moved = np.concatenate([s + rng.permutation(GROUP) for s in range(0, TOKENS, GROUP)])
        null[draw] = np.corrcoef(a, B[np.ix_(moved, moved)][i, j])[0, 1]
        partial_null[draw] = np.corrcoef(u, V[np.ix_(moved, moved)][i, j])[0, 1]
    order = rng.permutation(len(text.offsets) - 1)
    halves = [cosines(counts(half(part))[tokens])[i, j] for part in np.array_split(order, 2)]
    r = np.corrcoef(*halves)[0, 1]
    others = ~np.eye(TOKENS, dtype=bool)
    return {
        "r_cos": np.corrcoef(a, b)[0, 1],
        "spearman": np.corrcoef(rankdata(a), rankdata(b))[0, 1],
        "partial": np.corrcoef(u, v)[0, 1],
        "ceiling": np.sqrt(2 * r / (1 + r)),
        "by_token": [np.corrcoef(A[t, others[t]], B[t, others[t]])[0, 1] for t in range(TOKENS)],
        "bootstrap": bootstrap,
        "null": null,
        "partial_null": partial_null,
    }


METHODS = {"probsig": ours, "numpy and scipy": plain}


def child(name: str, folder: Path) -> None:
    """Measure one method in this process: the result to `folder`, the seconds to standard output."""
    W, text = np.load(folder / "W.npy"), corpus()
    if name == "probsig":
        exec(FIRST, {})  # compiles, and loads what is imported late
    start = time.process_time()
    np.savez(folder / f"{name}.npz", **METHODS[name](W, text))
    print(time.process_time() - start)


def seconds(code: str, **environment: str) -> float:
    """What a piece of code prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={**os.environ, **environment}
    )
    return float(done.stdout.split()[-1])


def processor() -> str:
    """What the machine calls its processor."""
    path = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in path.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.folder)
        return
    import numba
    import scipy

    lines = [
        "# The front",
        "",
        f"One thread of {processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"numpy {np.__version__}, scipy {scipy.__version__}, numba {numba.__version__}. "
        "Made by `python benchmarks/front.py`.",
        "",
        "| wall seconds | best of three |",
        "|---|---|",
        f"| `import probsig` | {min(seconds(IMPORT) for _ in range(3)):.3f} |",
    ]
    with tempfile.TemporaryDirectory() as cache:
        lines.append(f"| first `align`, of 59 tokens, that compiles (once a machine) | {first(cache):.1f} |")
        lines.append(f"| first `align` in a new process | {min(first(cache) for _ in range(3)):.1f} |")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        np.save(folder / "W.npy", embedding())
        took = {}
        for name in METHODS:
            command = [sys.executable, __file__, "--child", name, "--folder", temporary]
            runs = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2)]
            took[name] = min(float(out.split()[-1]) for out in runs)
        new, old = (dict(np.load(folder / f"{name}.npz")) for name in METHODS)
    mine, theirs = took.values()
    apart = np.nanmax(np.abs(new["by_token"] - old["by_token"]))
    both = {name: f"{float(new[name]):.4f} and {float(old[name]):.4f}" for name in ("r_cos", "partial", "ceiling")}
    both |= {name: f"{span(new[name])} and {span(old[name])}" for name in ("bootstrap", "null", "partial_null")}
    lines += [
        "",
        f"## {TOKENS:,} tokens of a synthetic text of {SIZE:,}, {DRAWS} draws of each of three kinds",
        "",
        "| | " + " | ".join(f"{name}: CPU seconds" for name in METHODS) + " | ratio |",
        "|---|---|---|---|",
        f"| **align**, from ids to all its numbers | {mine:.1f} | {theirs:.1f} | **{theirs / mine:.1f}** |",
        "",
        "Both ways, with other halves and other draws: "
        + "; ".join(f"{name.replace('_', ' ')} {values}" for name, values in both.items())
        + f". Largest difference of a token's correlation: {apart:.0e}.",
        "",
    ]
    text = "\n".join(lines)
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


def span(values: np.ndarray) -> str:
    """The central 95 % of values in words."""
    return "{:.4f} to {:.4f}".format(*np.quantile(values, [0.025, 0.975]))


def first(cache: str) -> float:
    """A first call, with the compiled code kept in a folder."""
    return seconds(FIRST, NUMBA_CACHE_DIR=cache)


if __name__ == "__main__":
    main()
