"""Pair counts of corpora larger than memory, on one machine or on a Dask cluster, with the same table in the end.

The idea: the corpora are cut into shards, a shard's counts are written to a folder of their own, and folders are added
up as a tree, `FAN_IN` at a time and a block of rows at a time, until one is left. A shard owns the pairs whose first
token it holds and reads a few ids beyond its end, so any cut gives the same sum. Every node of the tree depends on its
inputs alone and appears under its name in one step, whole. So a task that is killed, or done twice, loses and changes
nothing, and a second call does only what is missing.

Memory: a shard has at most (memory - tables) / 16 tokens, which pays for its ids, its sorted pairs and its counts
(4 + 4 + 8 bytes a token at worst, and 8 more on several threads); a merge holds blocks of 24 bytes an entry.
The interpreter with its libraries, and the pages of mapped files, which the system takes back when it needs them,
come on top.

The folder holds `plan.json` (what is counted and how it is cut), a folder for each node while the work goes on, and at
the end `counts`, a table as `counts.files` describes it. One call at a time works in a folder, and others wait.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from probsig.counts.bigrams import Bigrams, checked_ids, checked_offsets
from probsig.counts.files import RECORD, write_table
from probsig.counts.kernels import pair_counts
from probsig.counts.merging import ENTRIES, FAN_IN, merged_blocks
from probsig.errors import whole
from probsig.runs.files import StorageError, lock, write_whole

PLAN, RESULT, LOCK = "plan.json", "counts", "lock"


@dataclass(frozen=True)
class Ids:
    """Ids in memory or in a memory map, for `count_sharded`; a `text.corpora.Corpus` is used in the same way.

    `ids` (N,) uint16 or uint32; `offsets` (D + 1,) starts of documents, then N; `digest` stands for the ids, if known.
    """

    ids: ArrayLike
    vocab_size: int
    offsets: ArrayLike | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Stretch:
    """Places lo to hi of a memory-mapped array, as a few words that another process or machine can open."""

    path: str
    dtype: str
    offset: int
    length: int

    def open(self) -> np.ndarray:
        """The places as a read-only memory map; raises StorageError when this machine does not see the file whole."""
        if self.length == 0:
            return np.empty(0, self.dtype)
        try:
            return np.memmap(self.path, self.dtype, "r", self.offset, (self.length,))
        except (OSError, ValueError) as error:
            raise StorageError(
                f"A worker could not map {self.length} ids of {self.path} ({error}): keep the corpus and the counts on "
                "a file system that every worker mounts under the same path, and tokenise again if the file was cut."
            ) from error


@dataclass(frozen=True)
class Node:
    """One folder of the tree: a shard's counts, or the sum of other nodes."""

    name: str
    above: tuple[str, ...]  # sums that hold this node: when one is done, the node is not needed
    children: tuple[str, ...] = ()
    shard: tuple[Any, Any, int, int] | None = None  # ids, starts of documents, first place, end


def count_sharded(
    sources: Any,
    folder: Path | str,
    *,
    distance: int = 1,
    memory: int = 2**30,
    threads: int = 1,
    cluster: Any = None,
) -> Bigrams:
    """Count the pairs of one or several corpora under a memory budget; returns the table, memory-mapped from `folder`.

    `sources`: a Corpus, an `Ids`, or a sequence of them with one vocabulary. `distance` >= 1. `memory`: bytes.
    `cluster=None` counts in this process, one shard at a time on `threads` threads.
    `cluster="local"` starts a Dask cluster of `threads` processes on this machine, each with its part of `memory`.
    `cluster="tcp://host:port"`, or a `distributed.Client`, takes a running one; then `memory` holds for each task, and
    `folder` and the corpora's files must be at the same path for every worker. Ids in memory are
    first written to `folder`. Both need `pip install dask[distributed]`; a script that starts processes needs
    `if __name__ == "__main__":`.

    The table does not depend on `memory`, `threads`, `cluster` or the order of the sources. Shards and sums that an
    earlier call finished in this folder are not done again. Progress is shown by nodes of the tree.

    Raises ValueError for bad sources, a distance below 1, a budget below what a row needs or below what the folder was
    begun with, and a folder that holds other counts; StorageError when a disk is full and when the finished table is
    damaged; ImportError without Dask.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pairs = count_sharded([Ids([0, 1, 0], 3), Ids([1, 2, 0, 1], 3, offsets=[0, 2, 4])], folder)
    ...     pairs.to_scipy().toarray().tolist()
    [[0, 2, 0], [1, 0, 1], [0, 0, 0]]
    """
    distance, threads, memory = whole("distance", distance, 1), whole("threads", threads, 1), whole("memory", memory, 1)
    folder, sources = Path(folder).absolute(), _checked(sources)
    vocab_size = sources[0].vocab_size
    local = cluster == "local"
    share = memory // threads if local else memory
    places, entries = budget(share, vocab_size, 1 if local else threads)
    taken = folder / LOCK
    with lock(taken):
        plan = _planned(folder, sources, distance, places)
        found = (folder / RESULT / RECORD).exists()
        if not found:
            if cluster is not None:
                sources = [_in_files(source, folder / f"ids-{i}") for i, source in enumerate(sources)]
            nodes = tree(sources, plan["places"], distance)
            work = [node for node in nodes if not done(folder, node)]
            kernel_threads = threads if cluster is None else 1
            task = (str(folder), vocab_size, distance, kernel_threads, entries)
            finished = _here(task, work) if cluster is None else _on_dask(task, work, cluster, threads)
            for _ in tqdm(finished, "counting", len(nodes), initial=len(nodes) - len(work), mininterval=1, delay=3):
                pass
        for path in folder.iterdir():
            if path.name not in (PLAN, RESULT, LOCK):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            taken.unlink()  # whoever waits for it finds the table
    return Bigrams.load(folder / RESULT, check=found)


def budget(memory: int, vocab_size: int, threads: int = 1) -> tuple[int, int]:
    """How many tokens a shard and how many entries a block of a merge may have under `memory` bytes.

    Raises ValueError when one row of every input of a merge does not fit.

    >>> budget(2**30, 151_936)
    (65437568, 262144)
    """
    tables = 8 * vocab_size * (2 * FAN_IN + 4 + 2 * threads)
    least = tables + 24 * FAN_IN * vocab_size
    if memory < least:
        raise ValueError(
            f"memory is {memory} bytes, and adding up rows of {vocab_size} tokens takes {least}: pass at least "
            "that for each process."
        )
    return (memory - tables) // (16 if threads == 1 else 24), min(ENTRIES, (memory - tables) // 24)


def tree(sources: Sequence[Ids], places: int, distance: int) -> list[Node]:
    """The nodes, each after its children: shards of at most `places` places, sums of `FAN_IN`, last the result.

    >>> source = Ids(np.zeros(20, np.uint16), 2, np.array([0, 20]))
    >>> [node.name for node in tree([source], places=2, distance=1)][-3:]
    ['shard-000009', 'sum-1-000001', 'counts']
    """
    shards = []
    for source in sources:
        ids, offsets = source.ids, source.offsets
        for start in range(0, max(1, len(ids)), places):  # type: ignore[arg-type]
            stop = min(len(ids), start + places)  # type: ignore[arg-type]
            first, last = np.searchsorted(offsets, [start, min(len(ids), stop + distance)], side="right")  # type: ignore[arg-type, call-overload]
            first, last = max(0, first - 1), min(len(offsets), last + 1)  # type: ignore[arg-type]
            reach = _portable(ids, start, min(len(ids), stop + distance)), _portable(offsets, first, last)  # type: ignore[arg-type]
            shards.append((*reach, start, stop))
    levels = [[f"shard-{i:06d}" for i in range(len(shards))]]
    while len(levels[-1]) > 1:
        size = -(-len(levels[-1]) // FAN_IN)
        levels.append([f"sum-{len(levels)}-{i:06d}" for i in range(size)])
    levels[-1] = [RESULT]

    def descend(level: int, i: int, above: tuple[str, ...]) -> Iterator[Node]:
        name = levels[level][i]
        if level == 0:
            yield Node(name, above, shard=shards[i])
            return
        below = range(i * FAN_IN, min(len(levels[level - 1]), (i + 1) * FAN_IN))
        for j in below:
            yield from descend(level - 1, j, (name, *above))
        yield Node(name, above, children=tuple(levels[level - 1][j] for j in below))

    return list(descend(len(levels) - 1, 0, ()))


def done(folder: Path, node: Node) -> bool:
    """Whether the node, or a sum that already holds it, stands finished in the folder."""
    return any((folder / name / RECORD).exists() for name in (node.name, *node.above))


def run_node(task: tuple[str, int, int, int, int], node: Node, *children: str) -> str:
    """Make a node's folder and remove its children's; returns its name. Safe to kill, to repeat, to run twice at once.

    `children` are the results of the nodes that must come first; a scheduler sees the dependence in them.
    """
    where, vocab_size, distance, threads, entries = task
    folder = Path(where)
    if not done(folder, node):
        draft = folder / f"draft-{node.name}-{os.getpid()}-{os.urandom(4).hex()}"
        try:
            blocks = _shard_blocks(node.shard, vocab_size, distance, threads) if node.shard else None
            if blocks is None:
                parts = [Bigrams.load(folder / child) for child in node.children]
                blocks = merged_blocks(parts, entries)
            write_table(draft, vocab_size, distance, blocks)
            os.rename(draft, folder / node.name)
        except OSError:
            if not done(folder, node):  # no other attempt at this node was faster
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    for child in node.children:
        shutil.rmtree(folder / child, ignore_errors=True)
    return node.name


def _shard_blocks(shard: tuple[Any, Any, int, int], vocab_size: int, distance: int, threads: int) -> list[Any]:
    ids, offsets, start, stop = shard
    ids, offsets = (part.open() if isinstance(part, Stretch) else part for part in (ids, offsets))
    inside = np.clip(offsets - start, 0, len(ids))
    indptr, columns, counts = pair_counts(ids, vocab_size, inside, distance, 0, stop - start, threads, start)
    return [(np.diff(indptr), columns, counts)]


def _here(task: tuple[str, int, int, int, int], nodes: Sequence[Node]) -> Iterator[str]:
    for node in nodes:
        yield run_node(task, node, *node.children)


def _on_dask(task: tuple[str, int, int, int, int], nodes: Sequence[Node], cluster: Any, threads: int) -> Iterator[str]:
    """Give every node to Dask, which runs it when its children are there and again when its worker dies."""
    try:
        from distributed import Client, LocalCluster, as_completed
    except ImportError as error:
        raise ImportError("Counting on a cluster needs Dask: pip install 'dask[distributed]'.") from error
    own: list[Any] = []
    if isinstance(cluster, Client):
        client = cluster
    else:
        if cluster == "local":
            limit = {"memory_limit": 0, "dashboard_address": None}  # the shards' sizes keep to the budget
            own.append(LocalCluster(n_workers=threads, threads_per_worker=1, processes=True, **limit))
        client = Client(own[0] if own else cluster)
        own.insert(0, client)
    futures: dict[str, Any] = {}
    run = os.urandom(8).hex()
    try:
        for node in nodes:
            waited = [futures[child] for child in node.children if child in futures]
            futures[node.name] = client.submit(run_node, task, node, *waited, key=f"{node.name}-{run}", pure=False)
        for future in as_completed(list(futures.values())):
            yield future.result()
    finally:
        client.cancel(list(futures.values()))
        for mine in own:
            mine.close()


def _checked(sources: Any) -> list[Ids]:
    """The sources as `Ids` of checked arrays; raises ValueError for none, for bad ones, for different vocabularies."""
    sources = [sources] if hasattr(sources, "ids") else list(sources)
    sizes = {whole("vocab_size", source.vocab_size, 1) for source in sources}
    if len(sizes) != 1:
        found = f"The sources have the vocabulary sizes {sorted(sizes)}"
        raise ValueError(f"{found}: pass one or more sources of one tokenizer.")
    checked = []
    for source in sources:
        ids = checked_ids(source.ids)
        offsets = checked_offsets(source.offsets, len(ids))
        checked.append(Ids(ids, int(source.vocab_size), offsets, getattr(source, "digest", None)))
    return checked


def _planned(folder: Path, sources: Sequence[Ids], distance: int, places: int) -> dict[str, Any]:
    """The plan in the folder, or a new one; raises ValueError when the folder was made for something else."""
    plan = {"format": "probsig sharded counts 1", "vocab_size": sources[0].vocab_size, "distance": distance}
    plan["sources"] = [{"tokens": len(source.ids), "digest": _identity(source)} for source in sources]  # type: ignore[arg-type]
    path = folder / PLAN
    try:
        old = json.loads(path.read_text("utf-8"))
        old_places = int(old.pop("places"))
    except FileNotFoundError:
        write_whole(path, (json.dumps({**plan, "places": places}, indent=1, sort_keys=True) + "\n").encode())
        return {**plan, "places": places}
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is no plan of a count: remove the folder {folder} and count again.") from error
    if old != plan:
        raise ValueError(f"The folder {folder} holds counts of other ids or another distance: choose another folder.")
    if old_places > places and not (folder / RESULT / RECORD).exists():
        raise ValueError(
            f"The folder {folder} was begun with shards of {old_places} tokens and this memory allows {places}: pass "
            "as much memory as before, or another folder."
        )
    return {**plan, "places": old_places}


def _identity(source: Ids) -> str:
    """The digest that the source carries, else the SHA-256 of its ids and offsets."""
    if source.digest:
        return source.digest
    sha = hashlib.sha256(source.ids.dtype.str.encode())  # type: ignore[union-attr]
    for array in (source.ids, source.offsets):
        for start in range(0, len(array), 2**24):  # type: ignore[arg-type]
            sha.update(np.ascontiguousarray(array[start : start + 2**24]).view(np.uint8).data)  # type: ignore[index]
    return sha.hexdigest()


def _in_files(source: Ids, folder: Path) -> Ids:
    """The source with its arrays in files, which other processes can map; writes those that are not in files yet."""
    arrays = []
    for name, array in (("ids", source.ids), ("offsets", source.offsets)):
        if not isinstance(_portable(array, 0, len(array)), Stretch) and len(array):  # type: ignore[arg-type]
            path = write_whole(folder / name, np.ascontiguousarray(array).view(np.uint8).data)  # type: ignore[arg-type]
            array = np.memmap(path, array.dtype, "r")  # type: ignore[call-overload, union-attr]
        arrays.append(array)
    return Ids(arrays[0], source.vocab_size, arrays[1], source.digest)  # type: ignore[arg-type]


def _portable(array: NDArray[Any], start: int, stop: int) -> Any:
    """array[start:stop] as a `Stretch` when it lies in a memory-mapped file, else as a view."""
    root: Any = array
    while isinstance(root, np.ndarray) and not (isinstance(root, np.memmap) and not isinstance(root.base, np.ndarray)):
        root = root.base
    if not isinstance(root, np.memmap) or root.filename is None or not array.flags.c_contiguous:
        return array[start:stop]
    offset = root.offset + array.ctypes.data - root.ctypes.data + start * array.itemsize
    return Stretch(str(Path(root.filename).absolute()), array.dtype.str, int(offset), int(stop - start))
