"""The language models at the paper's shape, on a rented GPU: pack the texts here, run there, bring the results back.

    python scripts/paper_scale.py pack packed/ --long mathematics.jsonl.gz   # here: the ids of the texts
    python scripts/paper_scale.py run packed/ out/ --minutes 8               # there, again until it says it is done
    for tar in out/finished*.tar; do tar -xf $tar -C results/; done          # here again

`run` goes through EXPERIMENTS in their order, the most valuable first. It ends by itself within the given minutes and
keeps the state of the run that it was in, so the next call goes on from there; the state stays on that machine, only
finished runs come back, in files of at most 16 MiB. What is there needs this package, torch 2.6 or later, transformers
5, numba and scipy. While one run has the GPU, those before it are measured on the CPU's cores.

With several GPUs, `torchrun --nproc-per-node 8 scripts/paper_scale.py run packed/ out/`: a process takes every n-th
experiment and speaks to no other, so a run is the same whichever process made it.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import functools
import io
import json
import lzma
import multiprocessing
import os
import shutil
import signal
import sys
import tarfile
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from probsig.experiments import language_model, texts
from probsig.experiments.makers import Means
from probsig.experiments.texts import STAND_IN, YOURS, Sets, Texts, groups_of
from probsig.language.measures import Measures
from probsig.runs import drafts
from probsig.runs.files import RECORD, StorageError, write_whole
from probsig.text.training_set import TrainingSet, training_set

TAR = 16 * 2**20  # bytes of a file that comes back
END = tarfile.RECORDSIZE  # bytes at the end of a tar, at most
SAVING = 0.1  # of the minutes: kept to save and to leave
AT_ONCE = 3  # runs that are under way: one trains, the others are measured
LONG = "dm-mathematics-long"


@dataclass(frozen=True)
class Experiment:
    """A text, an architecture, how many tokens of the text (None: all), epochs, and another shape than the paper's."""

    corpus: str
    architecture: str = "qwen2.5"
    tokens: int | None = None
    epochs: int = 1
    shape: str | None = None
    seed: int = 0


FIVE, TWO = texts.NAMES, 2_000_000
EXPERIMENTS = [
    *(Experiment(name) for name in FIVE),
    Experiment(LONG),
    Experiment("dm-mathematics", tokens=TWO, epochs=20),
    *(Experiment(name, "llama-2", tokens=TWO) for name in FIVE),
    *(Experiment(name, tokens=TWO, epochs=20) for name in FIVE if name != "dm-mathematics"),
    *(Experiment(LONG, shape=shape) for shape in ("laptop", "middle")),
    *(Experiment(name, seed=seed) for seed in (1, 2) for name in FIVE),
]


@dataclass(frozen=True)
class Ids:
    """A corpus as it travels: ids and documents."""

    ids: np.ndarray
    offsets: np.ndarray
    vocab_size: int


def pack(folder: Path, scale: str, limits: Mapping[str, int | None], long: str | None) -> int:
    """Write the ids of a scale's texts for both tokenizers into a folder, of each text the documents up to the
    one that reaches limits[architecture] tokens; returns the number of bytes."""
    total = 0
    for architecture, by in language_model.ARCHITECTURES.items():
        arrays: dict[str, np.ndarray] = {}
        opened = Texts(scale=scale, tokenizer=by, usual=by)
        corpora = {name: opened.corpus(name) for name in FIVE}
        if long and architecture == "qwen2.5":
            corpora[LONG] = Texts(long, scale=scale, tokenizer=by).corpus(YOURS)
        for name, corpus in corpora.items():
            last, most = len(corpus.offsets) - 1, limits[architecture]
            if most is not None:
                last = min(last, int(np.searchsorted(corpus.offsets, most)))
            known, new = np.unique(np.asarray(corpus.ids[: corpus.offsets[last]]), return_inverse=True)
            arrays |= {f"{name}/ids": new.astype(np.uint16 if len(known) <= 1 << 16 else np.uint32)}
            arrays |= {f"{name}/known": known.astype(np.int64), f"{name}/offsets": corpus.offsets[: last + 1]}
            arrays[f"{name}/vocab"] = np.array(corpus.vocab_size)
            print(f"{architecture} {name}: {len(new)} tokens of {len(known)} kinds, {last} documents", flush=True)
        for group, members in groups_of(next(iter(corpora.values())).tokenizer).items():
            arrays[f"groups/{group}"] = np.array([*members.values()], dtype=np.int64)
            arrays[f"names/{group}"] = texts.pack(members)
        raw = io.BytesIO()
        np.savez(raw, **arrays)
        packed = lzma.compress(raw.getvalue(), preset=6)
        write_whole(folder / f"{architecture}.npz.xz", packed)
        total += len(packed)
    return total


class Packed:
    """What was packed, as `experiments.texts.Texts` gives it: training sets, made once, and where other processes find
    what they measure with."""

    def __init__(self, folder: Path, architecture: str):
        self.architecture, self.lock, self.made = architecture, threading.Lock(), {}
        path = folder / f"{architecture}.npz.xz"
        try:
            data = lzma.decompress(path.read_bytes())
        except FileNotFoundError as error:
            raise StorageError(f"{path} is not there: run `pack {folder}` where the texts are.") from error
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            self.arrays = dict(arrays)
        shared = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.place = Path(tempfile.mkdtemp(prefix="probsig-", dir=shared))
        atexit.register(shutil.rmtree, self.place, ignore_errors=True)

    def identity(self, names: Sequence[str]) -> dict[str, str]:
        """What a run's config says of these texts."""
        return {"text": STAND_IN}

    def enough(self) -> contextlib.AbstractContextManager[None]:
        """What is packed is no reader's own text: nothing is told anew."""
        return contextlib.nullcontext()

    def sets(self, names: Sequence[str], tokens: int | None, keep: int | None, held: int) -> Sets:
        """The training sets of some texts."""
        groups = {
            name.removeprefix("groups/"): dict(
                zip(texts.unpack(self.arrays["names" + name[6:]]), self.arrays[name].tolist(), strict=True)
            )
            for name in self.arrays
            if name.startswith("groups/")
        }
        named = [id for members in groups.values() for id in members.values()]
        with self.lock:
            for name in names:
                if (name, tokens) not in self.made:
                    ids = self.arrays[f"{name}/known"][self.arrays[f"{name}/ids"]].astype(np.uint32)
                    corpus = Ids(ids, self.arrays[f"{name}/offsets"], int(self.arrays[f"{name}/vocab"]))
                    self.made[name, tokens] = training_set(corpus, tokens, keep, 0, name, named, held)
            return Sets([self.made[name, tokens] for name in names], groups)

    def laid_out(self, names: Sequence[str], sets: Sets) -> Path:
        """A folder from which another process makes the `Measures` of the first of the texts."""
        folder = self.place / f"{names[0]}-{len(sets.sets[0].ids)}"
        with self.lock:
            if not (folder / "about.json").is_file():
                folder.mkdir(parents=True, exist_ok=True)
                for number, one in enumerate(sets.sets):
                    for part in ("ids", "offsets", "kept"):
                        np.save(folder / f"{number}-{part}.npy", getattr(one, part))
                about = {"names": [[one.name, one.original] for one in sets.sets], "groups": sets.groups}
                (folder / "about.json").write_text(json.dumps(about))
        return folder


@functools.lru_cache(maxsize=2)
def _measures(folder: str, length: int, seed: int) -> Measures:
    about = json.loads((Path(folder) / "about.json").read_text())
    sets = [
        TrainingSet(
            name, *(np.load(f"{folder}/{n}-{part}.npy", mmap_mode="r") for part in ("ids", "offsets", "kept")), original
        )
        for n, (name, original) in enumerate(about["names"])
    ]
    return Measures(sets[0], sets, about["groups"], length, seed)


def _measured(folder: str, length: int, seed: int, which: str, *rows: np.ndarray) -> dict[str, np.ndarray]:
    begun = time.time()
    out = getattr(_measures(folder, length, seed), which)(*rows)
    print(f"  {Path(folder).name} {which}: {time.time() - begun:.1f} s", file=sys.stderr, flush=True)
    return out


def _quiet() -> None:
    os.environ["TQDM_DISABLE"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run(
    packed: Path,
    out: Path,
    *,
    minutes: float,
    scale: str = "paper",
    device: str = "auto",
    workers: int | None = None,
    experiments: Sequence[Experiment] | None = None,
) -> int:
    """Run this process's share of the experiments for some minutes; returns how many of it are left.

    RANK, WORLD_SIZE and LOCAL_RANK, as torchrun sets them, say which share and which GPU. Finished runs are in
    out/finished.tar, of several processes in out/finished-<rank>.tar; where one would exceed TAR bytes there is a
    second with -2 in its name.
    """
    ends = time.monotonic() + 60 * minutes * (1 - SAVING)
    rank, world = _place(device)
    os.environ["PROBSIG_RUNS"] = str(out / "runs")
    drafts.EVERY = 600.0  # the state is large, and a rented machine is seldom taken away
    name, mine = "finished" if world == 1 else f"finished-{rank}", (experiments or EXPERIMENTS)[rank::world]
    opened = {architecture: Packed(packed, architecture) for architecture in {each.architecture for each in mine}}
    turn, stop, how = threading.Lock(), threading.Event(), language_model.SCALES[scale]
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    workers = workers if workers is not None else max(1, (os.cpu_count() or 2) - 2)
    context = multiprocessing.get_context("spawn")
    done: list[str] = []
    _collect(out, name, done)

    def one(experiment: Experiment) -> Any:
        names = [experiment.corpus, *(other for other in FIVE if other != experiment.corpus)]
        known = opened[experiment.architecture]
        sets = known.sets(names, experiment.tokens or how.tokens, how.keep, how.held)
        folder = known.laid_out(names, sets)

        def apart(which: str, *rows: np.ndarray) -> Future[Any]:
            return pool.submit(_measured, str(folder), how.length, experiment.seed, which, *rows)

        found = language_model.trained(
            [experiment.corpus],
            [experiment.seed],
            known,
            architecture=experiment.architecture,
            scale=scale,
            epochs=experiment.epochs,
            tokens=experiment.tokens,
            shape=experiment.shape,
            beside=names,
            means=Means(device, turn, apart),
            stop=stop,
        )
        return found[experiment.corpus][0]

    with ProcessPoolExecutor(workers, mp_context=context, initializer=_quiet) as pool:
        threads = ThreadPoolExecutor(AT_ONCE)
        queue, under_way = list(mine), {}
        while queue or under_way:
            while queue and len(under_way) < AT_ONCE and not stop.is_set():
                experiment = queue.pop(0)
                under_way[threads.submit(one, experiment)] = experiment
            if not under_way:
                break
            finished, _ = wait(under_way, timeout=max(0.0, ends - time.monotonic()), return_when=FIRST_COMPLETED)
            if time.monotonic() >= ends:
                stop.set()
                finished, _ = wait(under_way, timeout=60 * minutes * SAVING * 0.7)
                queue.clear()
            for future in finished:
                experiment = under_way.pop(future)
                try:
                    found = future.result()
                except drafts.Stopped:
                    continue
                except Exception:  # the others go on
                    print(f"{experiment} failed:", traceback.format_exc(), file=sys.stderr, flush=True)
                    continue
                done.append(found.name)
                _collect(out, name, done)
                print(f"{len(done)} of {len(mine)}, {experiment}: {found.record['seconds']:.0f} s", flush=True)
            if stop.is_set():
                break
        if under_way or stop.is_set():
            sys.stdout.flush()
            _leave(out, ends + 60 * minutes * SAVING, len(mine) - len(done))
    return len(mine) - len(done)


def _place(device: str) -> tuple[int, int]:
    """The number of this process and how many there are; its GPU, where there is one, becomes torch's current one."""
    import torch

    rank, world, local = (int(os.environ.get(*known)) for known in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
    if device != "cpu" and torch.cuda.is_available():
        there = torch.cuda.device_count()
        if local >= there:
            raise ValueError(f"This process wants GPU {local} of {there}: pass torchrun --nproc-per-node {there}.")
        torch.cuda.set_device(local)
    return rank, world


def _collect(out: Path, name: str, done: Sequence[str]) -> None:
    """Write the finished runs of this folder into out/<name>.tar, and out/<name>-2.tar, ... where it gets too large."""
    parts: list[list[Path]] = [[]]
    room = TAR - END
    for folder in (out / "runs" / run for run in done if (out / "runs" / run).is_dir()):  # others are in results/
        size = sum(file.stat().st_size + 1024 for file in folder.iterdir()) + 512
        if size > TAR - END:
            print(f"{folder} has {size / 2**20:.1f} MiB, too much for a tar: fetch the folder itself.", file=sys.stderr)
            continue
        if size > room:
            parts, room = [*parts, []], TAR - END
        parts[-1].append(folder)
        room -= size
    for number, part in enumerate(parts, start=1):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for folder in part:
                tar.add(folder, arcname=folder.name)
        write_whole(out / f"{name}{f'-{number}' if number > 1 else ''}.tar", packed.getvalue())


def _leave(out: Path, ends: float, left: int) -> None:
    """End the process although threads and workers are at something long, but not while a state is written."""
    states = "*.pieces/*/state"
    while time.monotonic() < ends and not all((s / RECORD).is_file() for s in (out / "runs").glob(states)):
        time.sleep(0.05)
    print(f"{left} left: run the same command again on this machine", flush=True)
    for child in multiprocessing.active_children():
        child.terminate()
    os._exit(0)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("pack", "run"))
    parser.add_argument("packed", type=Path, help="the folder of packed ids")
    parser.add_argument("out", type=Path, nargs="?", default=Path("out"), help="where results go")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--scale", default="paper", choices=tuple(language_model.SCALES))
    parser.add_argument("--long", help="a file with more of the mathematics, for the long run")
    parser.add_argument("--llama-tokens", type=int, help="of each text about so many tokens for Llama-2")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--workers", type=int, help="processes that measure; the number of cores less 2 by default")
    given = parser.parse_args(arguments)
    if given.command == "pack":
        limits = {"qwen2.5": None, "llama-2": given.llama_tokens}
        size = pack(given.packed, given.scale, limits, given.long)
        print(f"{given.packed}: {size / 2**20:.1f} MiB")
        return
    chosen = {name: getattr(given, name) for name in ("minutes", "scale", "device", "workers")}
    left = run(given.packed, given.out, **chosen)
    print("done" if not left else f"{left} left: run the same command again on this machine")


if __name__ == "__main__":
    main()
