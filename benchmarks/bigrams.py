"""Counting bigrams: our kernels against their peers, one core against two, memory, and the machine's copy bandwidth.

Run as `python benchmarks/bigrams.py [tokens ...]` (10^7 and 10^8 by default; 10^8 needs 5 GB of memory).
Every measurement is a process of its own: it loads the ids, warms up on 1,000 of them, counts once, and reports seconds
and the peak of its memory. Methods take turns and each keeps its best of `TURNS`, so that a busy moment decides little.
Synthetic ids: Zipf over V = 151,936 permuted ids, where every second token is one of a few followers of the one before
(pairs that repeat, as in text; hard for caches). Real ids: the Python sources of this environment, cut into words.
Peers on words get the real ids as words; packages of tables are held to ours by CPU seconds, on the first size.
`pip install -r benchmarks/requirements.txt` installs them. Writes benchmarks/bigrams.md.
"""

import importlib.metadata
import itertools
import json
import os
import re
import resource
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import numba
import numpy as np
import scipy
import scipy.sparse as sp

from probsig.counts import kernels
from probsig.counts.bigrams import count
from probsig.counts.sharded import Ids, count_sharded
from probsig.runs import machine

V, TURNS, WORDS, BUDGET = 151_936, 5, 10**6, 256 * 2**20
FORMAT = "| {} | {:.2f} | {:.0f} | {:.1f} | {:.1f} | {:.1f} |"


@numba.njit
def _draw(table, state, ids):
    """Fill `ids`: a token of the table, or in half of the places one of the followers of the token before."""
    previous = np.uint64(0)
    for i in range(len(ids)):
        state += np.uint64(0x9E3779B97F4A7C15)  # splitmix64
        z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        place = z >> np.uint64(40)
        if z & np.uint64(1):  # follower number 0, 1, ... with probability 1/2, 1/4, ...
            follower, bits = np.uint64(1), z >> np.uint64(1)
            while bits & np.uint64(1):
                follower, bits = follower + np.uint64(1), bits >> np.uint64(1)
            place = ((previous * np.uint64(31) + follower) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
        ids[i] = table[place]
        previous = np.uint64(ids[i])


def synthetic(tokens):
    """Zipf ids with collocations, uint32."""
    rng = np.random.default_rng(0)
    law = np.cumsum(1 / (np.arange(V) + 2.7))
    ranks = np.searchsorted(law, (np.arange(2**24) + 0.5) / 2**24 * law[-1])
    ids = np.empty(tokens, np.uint32)
    _draw(rng.permutation(V).astype(np.uint32)[ranks], np.uint64(1), ids)
    return ids


def real(tokens):
    """Ids of installed Python sources cut into words, numbers, signs and spaces, at most `tokens` of them, uint32.

    The first V - 1 different pieces have ids of their own, the rest share the last.
    """
    known, ids = {}, []
    for path in sorted(Path(sysconfig.get_path("purelib")).rglob("*.py")):
        for piece in re.findall(r" ?[^\W\d_]+|\d| ?[^\w\s]+|_|\s+", path.read_text("utf-8", errors="replace")):
            ids.append(min(known.setdefault(piece, len(known)), V - 1))
        if len(ids) >= tokens:
            break
    return np.array(ids[:tokens], np.uint32)


def compressed(keys, counts):
    """Sorted keys row * V + column as compressed rows."""
    rows = keys // V  # divided by a scalar in vector instructions; np.divmod takes four times as long
    columns = (keys - rows * V).astype(np.uint32)
    return np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=V)))), columns, counts


def unique_keys(ids):
    return np.unique(ids[:-1].astype(np.int64) * V + ids[1:], return_counts=True)


def by_unique(ids):
    return compressed(*unique_keys(ids))


def by_sort(ids):
    keys = np.sort(ids[:-1].astype(np.int64) * V + ids[1:])
    ends = np.flatnonzero(np.concatenate((keys[1:] != keys[:-1], [True])))
    return compressed(keys[ends], np.diff(ends, prepend=-1))


def by_scipy(ids):
    ones = np.ones(len(ids) - 1, np.int64)
    table = sp.coo_array((ones, (ids[:-1], ids[1:])), (V, V)).tocsr()
    table.sort_indices()
    return table.indptr, table.indices, table.data


def arrays(pairs):
    return pairs.indptr, pairs.columns, pairs.entries


def by_polars(ids):
    os.environ["POLARS_MAX_THREADS"] = "1"
    import polars

    pairs = polars.DataFrame({"a": ids[:-1], "b": ids[1:]}).group_by("a", "b").len().sort("a", "b")
    return pairs["a"].to_numpy(), pairs["b"].to_numpy(), pairs["len"].to_numpy()


def by_duckdb(ids):
    import duckdb

    base = duckdb.connect(config={"threads": 1})
    base.register("pairs", {"a": ids[:-1], "b": ids[1:]})
    return tuple(base.sql("SELECT a, b, count(*) AS n FROM pairs GROUP BY a, b ORDER BY a, b").fetchnumpy().values())


METHODS = {
    "ours": lambda ids: arrays(count(ids, V)),
    "ours, two cores": lambda ids: arrays(count(ids, V, threads=2)),
    "ours, chunks of 16 M": lambda ids: arrays(count(ids, V, chunk=2**24)),
    "np.sort of keys, run lengths, to rows": by_sort,
    "np.unique of keys, to rows": by_unique,
    "np.unique of keys alone": unique_keys,
    "scipy coo_array.tocsr": by_scipy,
}


ON_IDS = {"polars group_by, sort": ("polars", by_polars), "duckdb GROUP BY, ORDER BY": ("duckdb", by_duckdb)}


def by_sklearn(words):
    from sklearn.feature_extraction.text import CountVectorizer

    options = {"tokenizer": str.split, "token_pattern": None, "lowercase": False}
    return CountVectorizer(ngram_range=(2, 2), **options).fit([" ".join(words)])


def by_gensim(words):
    from gensim.models.phrases import Phrases

    return Phrases([words], min_count=1, max_vocab_size=10**9)


def by_nltk(words):
    import nltk

    return nltk.FreqDist(nltk.bigrams(words))


ON_WORDS = {
    "Counter(pairwise(words))": ("collections", lambda words: Counter(itertools.pairwise(words))),
    "scikit-learn CountVectorizer": ("sklearn", by_sklearn),
    "gensim Phrases": ("gensim", by_gensim),
    "nltk FreqDist(bigrams)": ("nltk", by_nltk),
}


def status(field):
    """A line of /proc/self/status in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


def measure(method, path):
    """In a process of its own: seconds, CPU seconds, bytes of peak memory beyond the ids, and bytes of the result."""
    if method in ON_WORDS:
        words = [str(i) for i in np.load(path, mmap_mode="r")[:WORDS]]
        run, given = ON_WORDS[method][1], words
        run(words[:1000])
    else:
        given, run = np.load(path), METHODS[method] if method in METHODS else ON_IDS[method][1]
        run(given[:1000])
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before, begun, busy = status("VmRSS"), time.perf_counter(), time.process_time()
    result = run(given)
    seconds, busy = time.perf_counter() - begun, time.process_time() - busy
    held = sum(part.nbytes for part in result) if isinstance(result, tuple) else 0
    took = {"seconds": seconds, "cpu": busy, "peak": status("VmHWM") - before}
    return took | {"held": held, "stored": len(result[1]) if held else 0}


def sharded(path):
    """In a process of its own: seconds and the most anonymous memory of a count under a budget, ids in a file."""
    ids, most, over = np.load(path, mmap_mode="r"), [0], threading.Event()
    count(ids[:1000], V)
    before = status("RssAnon")

    def watch():
        while not over.wait(0.002):
            most[0] = max(most[0], status("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as folder:
        begun = time.perf_counter()
        count_sharded(Ids(ids, V, digest="benchmark"), folder, memory=BUDGET)
        seconds = time.perf_counter() - begun
    over.set()
    watcher.join()
    return {"seconds": seconds, "peak": most[0] - before}


def copy():
    """In a process of its own: bytes read and written a second by a copy of 512 MiB, best of several."""
    source = np.ones(2**27, np.uint32)
    target, best = np.zeros_like(source), np.inf
    for _ in range(10):
        begun = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - begun)
    return {"rate": 2 * source.nbytes / best}


def parts(path):
    """In a process of its own, by CPU time, best of three: the shares of one core's count that aren't divided among
    threads, that two threads add, and that the system takes; and how much faster the work alone lets two be."""
    ids, spent, each, best = np.load(path), {}, kernels._each, {}

    def timed(task, items, threads):
        def one(item):
            begun = time.thread_time()
            result = task(item)
            spent.setdefault(task.__name__, []).append(time.thread_time() - begun)
            return result

        return each(one, items, threads)

    kernels._each = timed
    count(ids[:1000], V, threads=2)
    for threads in (1, 2) * 3:
        spent.clear()
        before = resource.getrusage(resource.RUSAGE_SELF)
        count(ids, V, threads=threads)
        after = resource.getrusage(resource.RUSAGE_SELF)
        system = after.ru_stime - before.ru_stime
        cpu = after.ru_utime - before.ru_utime + system
        alone = cpu - sum(map(sum, spent.values()))
        path = alone + sum(max(sum(took) / threads, max(took)) for took in spent.values())
        if cpu < best.get(threads, {"cpu": np.inf})["cpu"]:
            best[threads] = {"cpu": cpu, "alone": alone, "path": path, "system": system}
            best[threads]["added"] = sum(spent.get("gather", ()))
    one, two = best[1], best[2]
    shares = {"alone": one["alone"], "added": two["added"], "system": one["system"]}
    return {name: share / one["cpu"] for name, share in shares.items()} | {"bound": one["cpu"] / two["path"]}


def why(path):
    """Why two cores aren't twice as fast, in a line."""
    found = child("parts", path)
    alone, added, system = (f"{100 * found[name]:.0f} %" for name in ("alone", "added", "system"))
    return (
        f"- Why not twice: not for want of work to share. By the CPU time of its parts two cores could be "
        f"{found['bound']:.1f} times as fast: {alone} of the work of one isn't divided, and two add {added}, to put "
        "their pieces together. What is missing shows only while both run, so most likely they wait for the memory "
        f"that they share: {system} of the CPU time of one is the system's already, most of it handing out new memory."
    )


def phases(path):
    """In a process of its own: nanoseconds of CPU time a token of each pass on one core, best of three."""
    ids = np.load(path)
    offsets, best = np.array([0, len(ids)]), {}
    count(ids[:1000], V)
    for _ in range(3):
        clock = [time.thread_time()]
        tally = np.zeros(V, np.uint32)
        kernels._tally(ids, offsets, 0, 0, len(ids), 1, tally)
        clock.append(time.thread_time())
        layout = kernels._layout(tally.astype(np.int64))
        columns, where = np.empty(layout.pairs, np.uint32), layout.starts.astype(np.uint64)
        kernels._scatter(ids, offsets, 0, 0, len(ids), 1, layout.bucket, layout.bits, where, columns)
        clock.append(time.thread_time())
        kernels._count_rows(layout, columns, 1)
        clock.append(time.thread_time())
        for name, took in zip(("check and tally", "scatter", "rows"), np.diff(clock), strict=True):
            best[name] = min(best.get(name, np.inf), took / len(ids) * 1e9)
    return best


def child(*arguments):
    """Run this file with the arguments in a new process; the last line that it prints is the answer."""
    command = [sys.executable, __file__, "--child", *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(answer.stderr)
    return json.loads(answer.stdout.splitlines()[-1])


def table(path, name, tokens):
    """The lines of one set of ids, and ours' numbers."""
    best = {}
    for _ in range(TURNS):
        for method in METHODS:
            took = child("measure", method, path)
            if took["seconds"] < best.get(method, {"seconds": np.inf})["seconds"]:
                best[method] = took
    ours = best["ours"]
    lines = [
        f"{name}: {tokens / 1e6:.1f} M ids, {ours['stored'] / 1e6:.1f} M distinct pairs.",
        "",
        "| method | seconds | M tokens/s | times ours | peak beyond the ids, bytes a token | and beyond the result |",
        "|---|---|---|---|---|---|",
    ]
    for method, took in best.items():
        peak, seconds = took["peak"] / tokens, took["seconds"]
        cells = (method, seconds, tokens / seconds / 1e6, seconds / ours["seconds"], peak, peak - took["held"] / tokens)
        lines.append(FORMAT.format(*cells))
    budget = child("sharded", path)
    rate = child("copy")["rate"]
    moved = 20 * tokens + 12 * ours["stored"]
    cost = child("phases", path)
    tallied = ", ".join(f"{name} {took:.2f}" for name, took in cost.items())
    speed = tokens / budget["seconds"] / 1e6
    lines += [
        "",
        f"- Two cores are {ours['seconds'] / best['ours, two cores']['seconds']:.2f} times as fast as one.",
        why(path),
        f"- From a file under a budget of {BUDGET / 2**20:.0f} MiB, one core, counts written to disk: "
        f"{budget['seconds']:.1f} s, {speed:.0f} M tokens/s, peak {budget['peak'] / 2**20:.0f} MiB.",
        f"- A copy moves {rate / 1e9:.1f} GB/s (read and written) on one core. Ours moves {moved / 1e9:.2f} GB at "
        f"least, {moved / rate:.3f} s at that rate, and takes {ours['seconds'] * rate / moved:.1f} times as long. "
        f"Nanoseconds of CPU time a token: {tallied}.",
        "- Why: only the check of the range streams. The tally adds to one of 151,936 numbers, the scatter writes to "
        "one of some 1,600 places, the rows are counted in an accumulator of 600 KB. So each token waits a few cycles "
        "for the second cache, and the system clears new memory first.",
        "",
    ]
    return lines, ours["seconds"] / tokens


def tables(path, tokens):
    """The lines of packages of tables on ids, beside ours."""
    lines = [f"On {tokens / 1e6:.1f} M synthetic ids, one thread each:", "", "| method | CPU seconds | times ours |"]
    took = {method: child("measure", method, path)["cpu"] for method in ("ours", *ON_IDS)}
    lines += ["|---|---|---|", *(f"| {name} | {cpu:.2f} | {cpu / took['ours']:.1f} |" for name, cpu in took.items())]
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package, _ in ON_IDS.values())
    return [*lines, "", f"{versions}. KenLM's package reads models and counts nothing.", ""]


def main(sizes):
    load = os.getloadavg()[0]
    lines = [f"Counting bigrams, V = {V:,}, ids (uint32) in memory, best of {TURNS}, one core unless said.", ""]
    with tempfile.TemporaryDirectory() as folder:
        for tokens in sizes:
            path = f"{folder}/synthetic.npy"
            np.save(path, synthetic(tokens))
            lines += table(path, "Synthetic, Zipf with collocations", tokens)[0]
            if tokens == sizes[0]:
                lines += tables(path, tokens)
        ids = real(2 * 10**7)
        path = f"{folder}/real.npy"
        np.save(path, ids)
        more, ours = table(path, "Real, Python sources cut into words and signs", len(ids))
        lines += [*more, f"On words, the first {WORDS:,} of the real ids:", ""]
        lines += ["| method | M tokens/s | times ours on ids |", "|---|---|---|"]
        for method in ON_WORDS:
            seconds = min(child("measure", method, path)["seconds"] for _ in range(2))
            lines.append(f"| {method} | {WORDS / seconds / 1e6:.2f} | {seconds / WORDS / ours:.0f} |")
    versions = f"numpy {np.__version__}, numba {numba.__version__}, scipy {scipy.__version__}"
    busy = f"The machine's load was {load:.1f} at the start"
    busy += "." if load < 0.5 else ": other work shared its cores, and the rows for two cores say little."
    lines += ["", f"{machine.hardware()}; {versions}. {busy}"]
    text = "\n".join(lines) + "\n"
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        task = {"measure": measure, "sharded": sharded, "copy": copy, "phases": phases, "parts": parts}[sys.argv[2]]
        print(json.dumps(task(*sys.argv[3:])))
    else:
        main([int(float(size)) for size in sys.argv[1:]] or [10**7, 10**8])
