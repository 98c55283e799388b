"""The geometry of 10,000 token signatures: probsig against scipy's sparse product, scipy's rankdata and plain numpy.

Both do the same analysis, on one thread: the cosines of all pairs of 10,000 signatures phi^next and of 10,000
embeddings, R_cos over the pairs i < j, each token's correlation and mean similarity, and the percentile table with
mid-ranks. The plain way keeps square float32 matrices (float64 would double its memory); its product of the embeddings
is also measured in float64, and in float32 on half of the square alone. Every measurement has a process of its own; the
best of two is reported. Seconds are CPU seconds, because they change less when something else
runs. Peak memory is what the process held at most beyond what it held before it began (Linux only).

Usage: python benchmarks/geometry.py; writes benchmarks/geometry.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
os.environ.update(dict.fromkeys(THREADS, "1"))

import numpy as np  # noqa: E402
import scipy  # noqa: E402
import scipy.sparse as sp  # noqa: E402

TOKENS, VOCABULARY, WIDTH, INTERVALS, COLUMNS, BLOCK = 10_000, 151_936, 512, 10, 100, 1000
STAGES = ("cosines of the signatures", "cosines of the embeddings", "correlations", "percentile table")


def synthetic_ids(size: int, seed: int = 0) -> np.ndarray:
    """A text with Zipf's law in which half of the tokens follow from the one before; ids are shuffled."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, VOCABULARY + 1)
    ids = np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(size)).clip(0, VOCABULARY - 1)
    bound = np.flatnonzero(rng.random(size - 1) < 0.5) + 1
    ids[bound] = (ids[bound - 1] * 7919 + rng.geometric(0.1, bound.size)) % VOCABULARY
    return rng.permutation(VOCABULARY).astype(np.uint32)[ids]


def inputs(ids: np.ndarray, vocab_size: int, offsets: np.ndarray | None = None) -> tuple[sp.csr_array, np.ndarray]:
    """phi^next of the most frequent tokens, and embeddings that partly follow it (a random projection and noise)."""
    from probsig.counts import bigrams
    from probsig.signatures import tokens as signatures_tokens

    counts = bigrams.count(ids, vocab_size, offsets=offsets)
    X = signatures_tokens.next_token(counts, bigrams.frequent(counts.row_totals(), TOKENS, least=1))
    rng = np.random.default_rng(1)
    signs = rng.choice([-1.0, 1.0], vocab_size)
    to = sp.csr_array((signs, (np.arange(vocab_size), rng.integers(0, WIDTH, vocab_size))), (vocab_size, WIDTH))
    W = (X @ to).toarray()
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    return X, (W + 0.5 * rng.standard_normal(W.shape) / WIDTH**0.5).astype(np.float32)


def ours(X: sp.csr_array, W: np.ndarray, lap) -> dict[str, np.ndarray]:
    """The analysis with probsig."""
    from probsig.geometry.large import correlations, cosines
    from probsig.geometry.percentiles import percentile_table

    phi = cosines(X)
    lap()
    embedding = cosines(W)
    lap()
    found = correlations(embedding, phi)
    lap()
    table = percentile_table(embedding, phi, intervals=INTERVALS, columns=COLUMNS)
    lap()
    return {
        "overall": found.overall, "by_token": found.by_token, "mean": found.mean_a, "means": table.means,
        "counts": table.counts, "zeros": table.zero_fractions[1], "error": table.error,
    }  # fmt: skip


def plain(X: sp.csr_array, W: np.ndarray, lap) -> dict[str, np.ndarray]:
    """The same with scipy and numpy."""
    from scipy.stats import rankdata

    X = X.astype(np.float32)
    X = sp.csr_array(sp.diags_array(1 / np.sqrt((X * X).sum(axis=1))) @ X, dtype=np.float32)
    A = (X @ X.T.tocsr()).toarray()
    lap()
    W = W / np.linalg.norm(W, axis=1, keepdims=True)
    B = W @ W.T
    lap()
    n = len(A)
    above = np.triu(np.ones((n, n), dtype=bool), k=1)
    a, b = A[above], B[above]
    overall = np.corrcoef(a, b)[0, 1]
    for M in (A, B):
        np.fill_diagonal(M, 0)
    mean_a, mean_b = (M.sum(axis=1, keepdims=True) / (n - 1) for M in (A, B))
    A -= mean_a
    B -= mean_b
    for M in (A, B):
        np.fill_diagonal(M, 0)
    by_token = (A * B).sum(axis=1) / np.sqrt((A * A).sum(axis=1) * (B * B).sum(axis=1))
    del A, B, above
    lap()
    row = (rankdata(b) - 0.5) / b.size
    column = (rankdata(a) - 0.5) / a.size
    interval = np.minimum((row * INTERVALS).astype(np.int64), INTERVALS - 1)
    means = np.bincount(interval, weights=column, minlength=INTERVALS) / np.bincount(interval, minlength=INTERVALS)
    cell = interval * COLUMNS + np.minimum((column * COLUMNS).astype(np.int64), COLUMNS - 1)
    counts = np.bincount(cell, minlength=INTERVALS * COLUMNS).reshape(INTERVALS, COLUMNS)
    lap()
    return {
        "overall": overall, "by_token": by_token, "mean": mean_b[:, 0], "means": means, "counts": counts,
        "zeros": (a == 0).mean(), "error": np.zeros(2),
    }  # fmt: skip


def products(W: np.ndarray) -> dict[str, float]:
    """CPU seconds of numpy's product with itself in float64 and in float32, and of plain float32 products of the half
    above the diagonal, in blocks; the largest errors of numpy's float32 cosines and of ours, against float64."""
    from probsig.geometry.large import cosines

    def seconds(make) -> float:
        begun = time.process_time()
        make()
        return time.process_time() - begun

    def half() -> None:
        for first in range(0, len(A), BLOCK):
            A[first : first + BLOCK] @ A[first:].T

    A, exact = (M / np.linalg.norm(M, axis=1, keepdims=True) for M in (W, W.astype(float)))
    found = {"double": seconds(lambda: exact @ exact.T), "single": seconds(lambda: A @ A.T), "half": seconds(half)}
    exact = exact @ exact.T
    errors = {"numpy": A @ A.T - exact, "ours": cosines(W).square() - exact}
    for name, error in errors.items():
        np.fill_diagonal(error, 0)
        found[name] = float(np.abs(error).max())
    return found


METHODS = {"probsig": ours, "scipy product, rankdata, numpy": plain}
PRODUCTS = "products"
CONCLUSION = [
    "## The row below numpy",
    "",
    "numpy hands `W @ W.T` to BLAS as a symmetric product, half of the square near the core's full rate, so what plain "
    "products of that half reach above bounds every way that multiplies all pairs in float32.",
    "probsig sums in float64 and rounds once: its reader pays the ratio to float32 and gets the smaller error, in half "
    "the memory.",
    "",
]


def memory() -> dict[str, float]:
    """Resident memory now and at most, in MB; empty where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return {}
    return {line[:5]: int(line.split()[1]) / 1024 for line in lines if line[:5] in ("VmHWM", "VmRSS")}


def child(name: str, folder: Path) -> None:
    """Measure one method in this process: the result to `folder`, the figures to standard output."""
    X, W = sp.csr_array(sp.load_npz(folder / "X.npz")), np.load(folder / "W.npy")
    if name == PRODUCTS:
        products(W[:400])
        print(json.dumps(products(W)))
        return
    METHODS[name](X[:400], W[:400], lambda: None)  # compiles, and loads what is imported late
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    before, laps = memory(), [time.process_time()]
    result = METHODS[name](X, W, lambda: laps.append(time.process_time()))
    after = memory()
    np.savez(folder / f"{name}.npz", **result)
    peak = after["VmHWM"] - before["VmRSS"] if before else None
    print(json.dumps({"seconds": np.diff(laps).tolist(), "peak": peak}))


def measure(title: str, X: sp.csr_array, W: np.ndarray) -> list[str]:
    """Lines of Markdown for one input."""
    figures: dict[str, list[dict]] = {name: [] for name in (*METHODS, PRODUCTS)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sp.save_npz(folder / "X.npz", sp.csr_matrix(X), compressed=False)
        np.save(folder / "W.npy", W)
        del W
        for _ in range(2):
            for name in figures:
                command = [sys.executable, __file__, "--child", name, "--folder", temporary]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                figures[name].append(json.loads(done.stdout))
        twice = figures.pop(PRODUCTS)
        single, double, half = (min(found[key] for found in twice) for key in ("single", "double", "half"))
        new, old = (dict(np.load(folder / f"{name}.npz")) for name in METHODS)
    (name, best), (peer, worst) = ((n, min(f, key=lambda r: sum(r["seconds"]))) for n, f in figures.items())
    lines = [
        f"## {title}",
        "",
        f"{X.shape[0]:,} tokens, {X.nnz / 1e6:.2f} M stored pairs, zero fraction {float(new['zeros']):.3f}, "
        f"R_cos {float(new['overall']):.4f}.",
        "",
        f"| | {name}: seconds | {peer}: seconds | ratio |",
        "|---|---|---|---|",
    ]
    for k, stage in enumerate(STAGES):
        mine, theirs = best["seconds"][k], worst["seconds"][k]
        lines.append(f"| {stage} | {mine:.2f} | {theirs:.2f} | {theirs / mine:.1f} |")
        if stage == "cosines of the embeddings":
            lines.append(f"| the same in float64 | {mine:.2f} | {double:.2f} | {double / mine:.1f} |")
    mine, theirs = sum(best["seconds"]), sum(worst["seconds"])
    lines.append(f"| **whole analysis** | {mine:.2f} | {theirs:.2f} | **{theirs / mine:.1f}** |")
    if best["peak"]:
        mine, theirs = (min(r["peak"] for r in f) for f in figures.values())
        lines.append(f"| **peak memory** (MB) | {mine:.0f} | {theirs:.0f} | **{theirs / mine:.1f}** |")
    apart = {key: np.nanmax(np.abs(new[key] - old[key])) for key in ("overall", "by_token", "mean", "means")}
    moved = np.abs(new["counts"] - old["counts"]).sum() / 2 / new["counts"].sum()
    lines += [
        "",
        f"Largest differences: R_cos {apart['overall']:.0e}, a token's correlation {apart['by_token']:.0e}, its mean "
        f"similarity {apart['mean']:.0e}, mean percentile of an interval {apart['means']:.0e}; {moved:.0e} of the "
        "pairs stand in another cell, because float32 sums differ. Stated error of one percentile: "
        f"{new['error'][0]:.0e} (embeddings), {new['error'][1]:.0e} (signatures).",
        "",
        f"Cosines of the embeddings: the largest error of numpy's in float32 is {twice[0]['numpy']:.0e}, of probsig's "
        f"{twice[0]['ours']:.0e}. The half above the diagonal as plain float32 products runs at "
        f"{single / half:.0%} of the rate of numpy's `W @ W.T`, before one pair is written out: "
        f"{'less' if single < 1.5 * half else 'more'} than the 1.5 times that would be worth a second way.",
        "",
    ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", choices=[*METHODS, PRODUCTS], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.folder)
        return
    import numba

    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []:
        if line.startswith("model name"):
            processor = line.split(":")[1].strip()
            break
    lines = [
        f"# Geometry at {TOKENS:,} tokens",
        "",
        f"One thread of {processor}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"numpy {np.__version__}, scipy {scipy.__version__}, numba {numba.__version__}. "
        "CPU seconds, best of two. Made by `python benchmarks/geometry.py`.",
        "",
    ]
    for size in (4_000_000, 40_000_000):
        lines += measure(f"Synthetic text of {size:,} tokens", *inputs(synthetic_ids(size), VOCABULARY))
    lines += CONCLUSION
    text = "\n".join(lines)
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
