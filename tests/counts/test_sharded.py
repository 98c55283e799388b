"""Sharded counts: the one-shot table whatever the budget, the cluster, the order, a death in the middle or a rerun."""

import json
import os
import signal
import sys
import threading
import time
import tracemalloc

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from probsig.counts import sharded
from probsig.counts.bigrams import count, merged
from probsig.counts.sharded import Ids, Node, Stretch, count_sharded
from probsig.runs.files import StorageError

V = 500
LEAST = 8 * V * (2 * sharded.FAN_IN + 6) + 24 * sharded.FAN_IN * V  # what `budget` asks for V tokens and one thread


def corpus(tokens, seed=0, vocab_size=V):
    """Zipf ids in documents of about 50 tokens."""
    rng = np.random.default_rng(seed)
    ids = np.minimum(rng.zipf(1.3, tokens) - 1, vocab_size - 1).astype(np.uint16)
    starts = np.sort(rng.integers(0, tokens + 1, tokens // 50))
    return Ids(ids, vocab_size, np.concatenate(([0], starts, [tokens])))


def mapped(source, folder):
    """The same ids in a memory-mapped file, behind a header of 6 bytes."""
    (folder / "ids").write_bytes(b"header" + source.ids.tobytes())
    return Ids(np.memmap(folder / "ids", np.uint16, "r", 6), source.vocab_size, source.offsets, "digest")


def whole(*sources, distance=1):
    return merged([count(s.ids, s.vocab_size, offsets=s.offsets, distance=distance) for s in sources])


@given(st.lists(st.integers(0, 120), min_size=1, max_size=4), st.integers(2, 60), st.integers(1, 5), st.data())
@settings(max_examples=12, deadline=None)
def test_any_cut_of_any_sources_gives_the_table_of_the_whole(tmp_path_factory, lengths, places, distance, data):
    """Shards of a few places, so that documents and pairs cross them; the order of the sources changes nothing."""
    tmp_path = tmp_path_factory.mktemp("cuts")
    sources = [corpus(n, seed) for seed, n in enumerate(lengths)]
    expected = whole(*sources, distance=distance)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharded, "budget", lambda *_: (places, 40))
        patch.setattr(os, "fsync", lambda _: None)  # hundreds of small files
        assert count_sharded(data.draw(st.permutations(sources)), tmp_path, distance=distance) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counts", "plan.json"]


def test_the_tree_holds_every_place_once():
    sources = [corpus(1000), corpus(0), corpus(333)]
    nodes = sharded.tree(sources, 10, 1)
    shards = [node.shard for node in nodes if node.shard]
    assert [stop - start for *_, start, stop in shards] == [10] * 100 + [0] + [10] * 33 + [3]
    seen = set()
    for node in nodes:
        assert set(node.children) <= seen and len(node.children) <= sharded.FAN_IN
        seen.add(node.name)
    assert nodes[-1].name == "counts" and all(node.above[-1] == "counts" for node in nodes[:-1])
    assert [node.name for node in sharded.tree([corpus(3)], 10, 1)] == ["counts"]


def test_memory_stays_under_the_budget(tmp_path, monkeypatch):
    """Every pair distinct, the worst case: 600,000 ids would take 9.6 MB at once."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    rng = np.random.default_rng(0)
    source = mapped(Ids(rng.integers(0, V, 600_000).astype(np.uint16), V, None), tmp_path)
    expected = whole(source)
    for name, memory in (("least", LEAST), ("more", 2_000_000)):
        tracemalloc.start()
        pairs = count_sharded(source, tmp_path / name, memory=memory)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < memory + 300_000, name  # the tree's names and the files' buffers
        assert pairs == expected
    with pytest.raises(ValueError, match=f"memory is {LEAST - 1} bytes, .* of 500 tokens takes {LEAST}: pass"):
        count_sharded(source, tmp_path / "less", memory=LEAST - 1)


def test_a_map_is_found_again_by_its_file_and_place(tmp_path):
    source = mapped(corpus(100), tmp_path)
    part = sharded._portable(np.asarray(source.ids[10:]), 5, 25)
    assert isinstance(part, Stretch) and part.offset == 6 + 2 * 15
    assert np.array_equal(part.open(), source.ids[15:35])
    in_memory = corpus(100).ids
    assert np.shares_memory(sharded._portable(in_memory, 5, 25), in_memory)
    os.truncate(tmp_path / "ids", 50)
    with pytest.raises(StorageError, match=r"could not map 20 ids of .*ids .*: keep the corpus and the counts on"):
        part.open()


def test_a_rerun_does_only_what_is_missing(tmp_path, monkeypatch):
    source, real, names = corpus(20_000), sharded.run_node, []
    monkeypatch.setattr(sharded, "budget", lambda *_: (1000, 4000))

    def dies(task, node, *children):
        if len(names) == 12:
            raise KeyboardInterrupt
        names.append(node.name)
        return real(task, node, *children)

    monkeypatch.setattr(sharded, "run_node", dies)
    with pytest.raises(KeyboardInterrupt):
        count_sharded(source, tmp_path)
    first, names[:] = list(names), []
    assert "sum-1-000000" in first and "shard-000009" in first and not (tmp_path / "shard-000000").exists()
    (tmp_path / "draft-shard-000015-1-ff").mkdir()  # what a kill leaves
    (tmp_path / ".plan.json.12.3f").touch()
    assert count_sharded(source, tmp_path) == whole(source)
    assert not set(names) & set(first) and names[-1] == "counts" and len(names) == 20 + 3 + 1 - 12
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counts", "plan.json"]
    monkeypatch.setattr(sharded, "run_node", None)  # a finished count runs no node at all
    assert count_sharded(source, tmp_path) == whole(source)


@pytest.mark.parametrize("file", ["indptr.i64", "columns.u32", "counts.i64"])
def test_one_flipped_bit_of_a_finished_table_is_named(file, tmp_path):
    source = corpus(2000)
    count_sharded(source, tmp_path)
    path = tmp_path / "counts" / file
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    with pytest.raises(StorageError, match=rf"{file} is not the file that bigrams\.json describes .* count again"):
        count_sharded(source, tmp_path)


def test_numbers_of_numpy_are_numbers(tmp_path):
    source = corpus(2000)
    given = {"distance": np.int64(2), "threads": np.int8(1), "memory": np.int64(LEAST + 10**6)}
    found = count_sharded(Ids(source.ids, np.int64(V), source.offsets), tmp_path, **given)
    assert found == whole(source, distance=2) and json.loads((tmp_path / "plan.json").read_text())["distance"] == 2


def test_two_counts_at_once_in_one_folder_are_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr(sharded, "budget", lambda *_: (1000, 4000))
    source, real, names, found = corpus(20_000), sharded.run_node, [], []

    def slowly(task, node, *children):
        names.append(node.name)
        time.sleep(0.005)
        return real(task, node, *children)

    monkeypatch.setattr(sharded, "run_node", slowly)
    threads = [threading.Thread(target=lambda: found.append(count_sharded(source, tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and all(table == whole(source) for table in found)
    assert len(names) == len(set(names)) == 24
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counts", "plan.json"]


def test_two_attempts_at_once_leave_one_result(tmp_path, monkeypatch):
    """A worker that was given up may still write: the slower attempt is thrown away."""
    source, real = corpus(3000), sharded.write_table
    task = (str(tmp_path), V, 1, 1, 4000)
    nodes = sharded.tree([source], 1000, 1)
    for node in nodes[:-1]:
        sharded.run_node(task, node)

    def overtaken(folder, *arguments):
        monkeypatch.setattr(sharded, "write_table", real)
        written = real(folder, *arguments)
        assert sharded.run_node(task, nodes[-1]) == "counts"  # the other attempt, from start to end
        return written

    monkeypatch.setattr(sharded, "write_table", overtaken)
    assert sharded.run_node(task, nodes[-1]) == "counts"
    assert [path.name for path in tmp_path.iterdir()] == ["counts"]
    assert sharded.run_node(task, nodes[0]) == nodes[0].name  # asked again, a shard that the sum holds is not counted
    assert [path.name for path in tmp_path.iterdir()] == ["counts"]
    assert sharded.Bigrams.load(tmp_path / "counts") == whole(source)


def test_a_full_disk_says_so_and_the_rest_is_kept(tmp_path, monkeypatch):
    source, real = corpus(5000), sharded.write_table
    monkeypatch.setattr(sharded, "budget", lambda *_: (1000, 4000))

    def full(folder, *arguments):
        if "shard-000003" in folder.name:
            folder.mkdir()
            raise StorageError("Could not write counts because the disk is full: make room.")
        return real(folder, *arguments)

    monkeypatch.setattr(sharded, "write_table", full)
    with pytest.raises(StorageError, match="the disk is full"):
        count_sharded(source, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "lock",
        "plan.json",
        "shard-000000",
        "shard-000001",
        "shard-000002",
    ]
    monkeypatch.setattr(sharded, "write_table", real)
    assert count_sharded(source, tmp_path) == whole(source)


def test_a_folder_of_other_counts_is_refused(tmp_path, monkeypatch):
    source = corpus(1000)
    count_sharded(source, tmp_path)
    for other, distance in ((corpus(1000, seed=1), 1), (source, 2), ([source, source], 1)):
        with pytest.raises(ValueError, match="holds counts of other ids or another distance: choose another folder"):
            count_sharded(other, tmp_path, distance=distance)
    assert count_sharded(source, tmp_path, memory=LEAST) == whole(source)  # finished, so the budget no longer matters
    (tmp_path / "counts" / "bigrams.json").unlink()
    with pytest.raises(ValueError, match=r"was begun with shards of .* pass as much memory as before"):
        count_sharded(source, tmp_path, memory=LEAST)
    (tmp_path / "plan.json").write_text("[]")
    with pytest.raises(StorageError, match="is no plan of a count: remove the folder"):
        count_sharded(source, tmp_path)


def test_bad_sources_get_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(sharded, "budget", lambda *_: (10, 4000))
    bad = np.zeros(100, np.uint16)
    bad[57] = V
    for call, message in (
        (lambda: count_sharded([], tmp_path), "pass one or more sources of one tokenizer"),
        (lambda: count_sharded([corpus(5), corpus(5, vocab_size=9)], tmp_path), r"vocabulary sizes \[9, 500\]"),
        (lambda: count_sharded(corpus(5), tmp_path, distance=0), "distance is 0: pass a whole number of at least 1"),
        (lambda: count_sharded(corpus(5), tmp_path, distance=1.5), r"distance is 1\.5: pass a whole number"),
        (lambda: count_sharded(corpus(5), tmp_path, threads=True), "threads is True: pass a whole number"),
        (lambda: count_sharded(corpus(5), tmp_path, memory=1e9), r"memory is 1000000000\.0: pass a whole number"),
        (lambda: count_sharded(Ids([0], 2.5), tmp_path), r"vocab_size is 2\.5: pass a whole number"),
        (lambda: count_sharded(Ids(bad, V), tmp_path), "The token id 500 at place 57 is not below"),
        (lambda: count_sharded(Ids(bad, V, [0, 9]), tmp_path), "offsets must be integers that rise from 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_without_dask_a_cluster_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"needs Dask: pip install 'dask\[distributed\]'"):
        count_sharded(corpus(10), tmp_path, cluster="local")


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed", reason="Dask is optional: pip install 'dask[distributed]'")
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_changes_nothing(tmp_path, client):
    """SIGKILL to a worker while shards and sums are half done; the same call goes on and gives the same table."""
    source = mapped(corpus(400_000), tmp_path)
    folder, killed = tmp_path / "out", []

    def kill():
        while len(list(folder.glob("s*-0*"))) < 9 and not list(folder.glob("sum-*")):
            time.sleep(0.002)
        busy = [address for address, keys in client.processing().items() if keys]
        pid = client.run(os.getpid, workers=busy[:1])[busy[0]]
        os.kill(pid, signal.SIGKILL)
        killed.append((pid, (folder / "counts").exists()))

    killer = threading.Thread(target=kill)
    killer.start()
    pairs = count_sharded(source, folder, memory=LEAST + 16 * 2000, cluster=client)
    killer.join()
    assert len(killed) == 1 and not killed[0][1]
    assert pairs == whole(source)
    assert sorted(path.name for path in folder.iterdir()) == ["counts", "plan.json"]


@pytest.mark.slow
def test_any_cluster_by_its_address_and_ids_from_memory(tmp_path, client):
    sources = [corpus(30_000), corpus(0), corpus(20_000, seed=1)]
    address = client.scheduler_info()["address"]
    pairs = count_sharded(sources, tmp_path / "out", memory=LEAST + 16 * 2000, cluster=address)
    assert pairs == whole(*sources)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["counts", "plan.json"]


@pytest.mark.slow
def test_an_error_on_a_worker_is_the_callers_error(tmp_path, client):
    bad = np.zeros(100, np.uint16)
    bad[57] = V
    with pytest.raises(ValueError, match="The token id 500 at place 57 is not below the vocabulary's size 500"):
        count_sharded(Ids(bad, V), tmp_path, cluster=client)


def test_a_node_is_needed_until_it_or_a_sum_above_it_is_done(tmp_path):
    node = Node("shard-000000", ("sum-1-000000", "counts"))
    assert not sharded.done(tmp_path, node)
    (tmp_path / "sum-1-000000").mkdir()
    assert not sharded.done(tmp_path, node)  # a folder without a record
    (tmp_path / "sum-1-000000" / "bigrams.json").write_text("{}")
    assert sharded.done(tmp_path, node)
