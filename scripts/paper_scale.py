"""The language models at the paper's shape, on a rented GPU: pack the texts here, run there, bring the results back.

    .venv/bin/python scripts/paper_scale.py pack packed/ --text my-texts/   # here: the ids of the texts
    python scripts/paper_scale.py run packed/ out/ --minutes 8              # there, again until it says it is done
    for tar in out/finished*.tar; do tar -xf $tar -C runs/; done            # here again

`run` goes through its experiments in their order, the most valuable first: of the book's five texts those of
EXPERIMENTS, of texts of one's own what `experiments` lists. It ends by itself within the given minutes and
keeps the state of the run that it was in, so the next call goes on from there; the state stays on that machine, only
finished runs come back, in files of at most 16 MiB. What is there needs torch 2.6 or later, transformers 5, numba,
scipy, lazy-loader and this package (`pip install --no-deps -e .`). While one run has the GPU, those before it are
measured on the CPU's cores.

With several GPUs, `torchrun --nproc-per-node 8 scripts/paper_scale.py run packed/ out/`: a process takes every n-th
experiment and speaks to no other, so a run is the same whichever process made it.
"""

from __future__ import annotations

import argparse
import atexit
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

from probsig.errors import CorpusError
from probsig.experiments import KINDS, language_model, texts
from probsig.experiments.language_readers import FEWEST, Pieces, Several
from probsig.experiments.makers import Means
from probsig.experiments.texts import STAND_IN, YOURS, Sets, Texts, groups_of
from probsig.language.measures import Measures
from probsig.language.signatures import LEAST
from probsig.pages.parameters import ParameterError
from probsig.runs import code, drafts
from probsig.runs.files import RECORD, StorageError, place, write_whole
from probsig.text.training_set import TrainingSet

TAR = 16 * 2**20  # bytes of a file that comes back
END = tarfile.RECORDSIZE  # bytes at the end of a tar, at most
SAVING = 0.1  # of the minutes: kept to save and to leave
AT_ONCE = 3  # runs that are under way: one trains, the others are measured
LONG = "dm-mathematics-long"
OPTIONS = ("minutes", "scale", "device", "workers")  # of the command line, for `run`


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
    *(Experiment("dm-mathematics", shape=shape) for shape in ("laptop", "middle")),  # of language/longer
    *(Experiment(name, seed=seed) for seed in (1, 2) for name in FIVE),
]


def experiments(names: Sequence[str], long: bool = False) -> list[Experiment]:
    """What is run of some texts: of the book's five EXPERIMENTS, that of LONG where it is packed too; of others one
    model each, then of a single text one in the shape of Llama-2, then two more seeds.

    >>> [(each.corpus, each.architecture, each.seed) for each in experiments(["yours"])]
    [('yours', 'qwen2.5', 0), ('yours', 'llama-2', 0), ('yours', 'qwen2.5', 1), ('yours', 'qwen2.5', 2)]
    """
    if tuple(names) == FIVE:
        return [each for each in EXPERIMENTS if long or each.corpus != LONG]
    more = [Experiment(YOURS, "llama-2", tokens=TWO)] if [*names] == [YOURS] else []  # no chapter shows a folder's
    return [*map(Experiment, names), *more, *(Experiment(name, seed=seed) for seed in (1, 2) for name in names)]


@dataclass(frozen=True)
class Said:
    """What travels of a tokenizer: the ids of the groups' members."""

    ids: Mapping[str, int]

    def id(self, text: str) -> int | None:
        return self.ids.get(text)

    text = staticmethod(str)


@dataclass(frozen=True)
class Ids:
    """A corpus as it travels: ids and documents."""

    ids: np.ndarray
    offsets: np.ndarray
    vocab_size: int
    tokenizer: Said


def given(text: str, scale: str, by: str) -> tuple[Texts, tuple[str, ...]]:
    """The texts to pack, and their names: the book's five, a file or a name as one text, a folder as the texts in it
    (`Several`, as language/across_texts reads it). Raises ParameterError for a folder with fewer than three texts."""
    kind = Texts if text == STAND_IN else Several if place(text).is_dir() else Pieces
    opened = kind(text, scale=scale, tokenizer=by, usual=by)
    return opened, opened.names(FIVE)


def checked(opened: Texts, names: Sequence[str], how: language_model.Scale) -> None:
    """Raise CorpusError, naming the text, where one of a reader's own is too short to train and measure a model on."""
    for name in names:
        needed = 11 * how.length
        opened.corpus(name)  # what is wrong with it is told as such
        try:
            (data,) = opened.sets([name], how.tokens, how.keep, how.held).sets
            often, size = int(np.count_nonzero(data.frequency >= LEAST)), len(data.ids)
        except ValueError:
            often, size = 0, 0
        if size < needed or often < FEWEST:
            raise CorpusError(
                f"The text {opened.title(name)} is too short: a model is trained on {needed:,} tokens or more and "
                f"compared on {FEWEST} that stand there {LEAST} times; take more text, or another --scale."
            )


def pack(
    folder: Path, scale: str, limits: Mapping[str, int | None], long: str | None = None, text: str = STAND_IN
) -> int:
    """Write the ids of the texts for both tokenizers into a folder, of each text the documents up to the one that
    reaches limits[architecture] tokens; returns the number of bytes.

    Raises what opening raises, ParameterError and CorpusError, before anything is written.
    """
    total, packs = 0, {}
    for architecture, by in language_model.ARCHITECTURES.items():
        arrays: dict[str, np.ndarray] = {}
        opened, names = given(text, scale, by)
        if opened.own:
            checked(opened, names, language_model.SCALES[scale])
        corpora = {name: opened.corpus(name) for name in names}
        if opened.own and limits[architecture] is not None:
            raise ParameterError("A text of yours is packed whole: pass no --llama-tokens.")
        about = {"text": opened.text, "names": names, "scale": scale, "identity": opened.identity(names)}
        arrays["about"] = texts.pack([json.dumps(about)])
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
        packs[architecture] = lzma.compress(raw.getvalue(), preset=6)
    for architecture, packed in packs.items():
        write_whole(folder / f"{architecture}.npz.xz", packed)
        total += len(packed)
    return total


class Packed(Texts):
    """What was packed: training sets, made once, and where other processes find what they measure with."""

    def __init__(self, folder: Path, architecture: str):
        self.architecture, self.lock = architecture, threading.Lock()
        self.made: dict[tuple[str, int | None], TrainingSet] = {}
        path = folder / f"{architecture}.npz.xz"
        try:
            data = lzma.decompress(path.read_bytes())
        except FileNotFoundError as error:
            raise StorageError(f"{path} is not there: run `pack {folder}` where the texts are.") from error
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            self.arrays = dict(arrays)
        self.about = json.loads(texts.unpack(self.arrays["about"])[0])
        super().__init__(self.about["text"], scale=self.about["scale"])
        shared = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.place = Path(tempfile.mkdtemp(prefix="probsig-", dir=shared))
        atexit.register(shutil.rmtree, self.place, ignore_errors=True)

    def identity(self, names: Sequence[str]) -> dict[str, str]:
        """What a run's config says of these texts, as a chapter says it that asks for the run."""
        return self.about["identity"]

    def _corpus(self, name: str) -> Ids:
        ids = self.arrays[f"{name}/known"][self.arrays[f"{name}/ids"]].astype(np.uint32)
        return Ids(ids, self.arrays[f"{name}/offsets"], int(self.arrays[f"{name}/vocab"]), self.tokens)

    @functools.cached_property
    def tokens(self) -> Said:
        """The members of the groups that are tokens."""
        groups = [name.removeprefix("groups/") for name in self.arrays if name.startswith("groups/")]
        each = [(texts.unpack(self.arrays[f"names/{name}"]), self.arrays[f"groups/{name}"].tolist()) for name in groups]
        return Said({text: id for said, ids in each for text, id in zip(said, ids, strict=True)})

    def sets(self, names: Sequence[str], tokens: int | None, keep: int | None, held: int = 0) -> Sets:
        """The training sets of some texts; of a reader's own all at once, since they hold out alike."""
        with self.lock:
            for name in names:
                if (name, tokens) not in self.made:
                    wanted = self.about["names"] if self.own else [name]
                    for one in super().sets(wanted, tokens, keep, held).sets:
                        self.made[one.name, tokens] = one
            return Sets([self.made[name, tokens] for name in names], groups_of(self.tokens))

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
    chosen: Sequence[Experiment] | None = None,
) -> int:
    """Run this process's share of the `chosen` experiments, or of all, for some minutes; returns how many are left.

    RANK, WORLD_SIZE and LOCAL_RANK, as torchrun sets them, say which share and which GPU. Finished runs are in
    out/finished.tar, of several processes in out/finished-<rank>.tar; where one would exceed TAR bytes there is a
    second with -2 in its name.
    """
    ends = time.monotonic() + 60 * minutes * (1 - SAVING)
    rank, world = _place(device)
    os.environ["PROBSIG_RUNS"] = str(out / "runs")
    drafts.EVERY = 600.0  # the state is large, and a rented machine is seldom taken away
    opened = {architecture: Packed(packed, architecture) for architecture in language_model.ARCHITECTURES}
    every = opened["qwen2.5"].about["names"]
    name = "finished" if world == 1 else f"finished-{rank}"
    mine = [*(chosen or experiments(every, f"{LONG}/ids" in opened["qwen2.5"].arrays))][rank::world]
    if (was := opened["qwen2.5"].about["scale"]) != scale:
        raise ParameterError(f"{packed} was packed at --scale {was}: run it at that, or pack it anew.")
    code.digest(KINDS["language-model"])  # kept; Python 3.11 reads a source wrongly where several threads do
    turn, stop, how = threading.Lock(), threading.Event(), language_model.SCALES[scale]
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    workers = workers if workers is not None else max(1, (os.cpu_count() or 2) - 2)
    context = multiprocessing.get_context("spawn")
    done: list[str] = []
    _collect(out, name, done)

    def one(experiment: Experiment) -> Any:
        names = [experiment.corpus, *(other for other in every if other != experiment.corpus)]
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


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("pack", "run"))
    parser.add_argument("packed", type=Path, help="the folder of packed ids")
    parser.add_argument("out", type=Path, nargs="?", default=Path("out"), help="where results go")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--scale", default="paper", choices=tuple(language_model.SCALES))
    parser.add_argument("--text", default=STAND_IN, help="a file, a folder of texts, or a name of one; else the book's")
    parser.add_argument("--long", help="a file with more of the mathematics, for the long run")
    parser.add_argument("--llama-tokens", type=int, help="of each text about so many tokens for Llama-2")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--workers", type=int, help="processes that measure; the number of cores less 2 by default")
    asked = parser.parse_args(arguments)
    try:
        if asked.command == "pack":
            limits = {"qwen2.5": None, "llama-2": asked.llama_tokens}
            size = pack(asked.packed, asked.scale, limits, asked.long, asked.text)
            print(f"{asked.packed}: {size / 2**20:.1f} MiB")
            return 0
        left = run(asked.packed, asked.out, **{name: getattr(asked, name) for name in OPTIONS})
    except (ValueError, OSError, ImportError) as error:
        print(str(error), file=sys.stderr)
        return 1
    print("done" if not left else f"{left} left: run the same command again on this machine")
    return 0


if __name__ == "__main__":
    sys.exit(main())
