"""The language models on rented GPUs: pack the texts here, run there without a network, bring the results back.

    python -m probsig.paper_scale pack packed/                       # here: ids of the five texts, under 55 MiB
    python -m probsig.paper_scale run packed/ out/ --minutes 8       # there, again and again until it says it is done
    torchrun --nproc-per-node 8 -m probsig.paper_scale run packed/ out/ --minutes 8         # the same with eight GPUs
    for tar in out/finished*.tar; do tar -xf $tar -C results/; done  # here again

`run` goes through EXPERIMENTS in their order, the most valuable first. It ends by itself within the given minutes and
keeps the state of the run that it was in, so the next call goes on from there; the state stays on that machine, only
finished runs come back, in files of at most 16 MiB. What is there needs this package, torch 2.6 or later, transformers
5, numba and scipy.

With several GPUs one model stays on one GPU: a process takes every n-th experiment and speaks to no other, so a run is
the same whichever process made it, and the number of GPUs may change from call to call.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import signal
import sys
import tarfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from probsig.experiments import language_model, texts
from probsig.runs.files import RECORD, StorageError, write_whole
from probsig.text.training_set import TrainingSet

LARGEST = 55 * 2**20  # bytes that travel there
TAR = 16 * 2**20  # bytes of a file that comes back
END = tarfile.RECORDSIZE  # bytes at the end of a tar, at most
SAVING = 0.1  # of the minutes: kept to save and to leave
EXPERIMENTS = [
    *((name, "qwen2.5", 0, 1) for name in texts.NAMES),
    *((name, "llama-2", 0, 1) for name in texts.NAMES),
    ("dm-mathematics", "qwen2.5", 0, 20),
    *((name, "qwen2.5", 0, 20) for name in texts.NAMES if name != "dm-mathematics"),
    *(
        (name, architecture, seed, 1)
        for seed in (1, 2)
        for architecture in ("qwen2.5", "llama-2")
        for name in texts.NAMES
    ),
]
"""Text, architecture, seed, epochs."""


def pack(folder: Path | str, scale: str, tokens: int | None, text: str = "stand-in") -> int:
    """Write the training sets of both tokenizers, and what they are, into a folder; returns the number of bytes.

    Raises StorageError where they are more than LARGEST: take fewer `tokens` of each text.
    """
    folder, how, total = Path(folder), language_model.SCALES[scale], 0
    for architecture, by in language_model.ARCHITECTURES.items():
        opening = {"text": text, "scale": scale, "seed": 0, "tokenizer": by}
        sets, groups = texts.training_sets(texts.NAMES, tokens or how.tokens, how.keep, **opening)
        about = {"scale": scale, "tokens": tokens, "text": text}
        arrays: dict[str, np.ndarray] = {"about": texts.pack([json.dumps(about)])}
        for one in sets:
            arrays |= {f"{one.name}/ids": one.ids, f"{one.name}/offsets": one.offsets, f"{one.name}/kept": one.kept}
            arrays[f"{one.name}/original"] = np.array(one.original)
        for group, members in groups.items():
            arrays[f"groups/{group}"] = np.array(list(members.values()), dtype=np.int64)
            arrays[f"names/{group}"] = texts.pack(members)
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)
        write_whole(folder / f"{architecture}.npz", packed.getvalue())
        total += len(packed.getvalue())
    if total > LARGEST:
        raise StorageError(f"{folder} has {total >> 20} MiB and {LARGEST >> 20} may travel: pass fewer --tokens.")
    return total


def unpack(folder: Path | str, architecture: str) -> language_model.Sets:
    """The training sets and groups that `pack` wrote for an architecture's tokenizer."""
    with np.load(Path(folder) / f"{architecture}.npz", allow_pickle=False) as arrays:
        groups = {
            name.removeprefix("groups/"): dict(
                zip(texts.unpack(arrays["names" + name[6:]]), arrays[name].tolist(), strict=True)
            )
            for name in arrays
            if name.startswith("groups/")
        }
        names = [name.removesuffix("/ids") for name in arrays if name.endswith("/ids")]
        parts = ("ids", "offsets", "kept")
        sets = [
            TrainingSet(name, *(arrays[f"{name}/{part}"] for part in parts), int(arrays[f"{name}/original"]))
            for name in names
        ]
    return sets, groups


def about(folder: Path | str, architecture: str) -> dict[str, Any]:
    """The scale, tokens and text that `pack` was given. Raises StorageError where it wrote nothing."""
    path = Path(folder) / f"{architecture}.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return json.loads(texts.unpack(arrays["about"])[0])
    except (FileNotFoundError, KeyError) as error:
        why = "is not there" if isinstance(error, FileNotFoundError) else "does not say what it was made of"
        raise StorageError(f"{path} {why}: run `pack {folder}` where the texts are.") from error


def run(
    packed: Path | str,
    out: Path | str,
    *,
    minutes: float,
    scale: str,
    tokens: int | None = None,
    device: str = "auto",
    text: str = "stand-in",
    experiments: Sequence[tuple[str, str, int, int]] = EXPERIMENTS,
) -> int:
    """Run this process's share of the experiments for some minutes; returns how many of it are left.

    RANK, WORLD_SIZE and LOCAL_RANK, as torchrun sets them, say which share and which GPU. Finished runs are in
    out/finished.tar, of several processes in out/finished-<rank>.tar; where one would exceed TAR bytes there is a
    second with -2 in its name. A thread may still be at work when the minutes are over: it has been asked to stop.
    `tokens`, `scale` and `text` are those of `pack`. Raises ValueError where they are not, or where there are more
    processes than GPUs; StorageError for what is not packed; and what `language_experiments.model` raises.
    """
    ends, out = time.monotonic() + 60 * minutes * (1 - SAVING), Path(out)
    rank, world = _place(device)
    asked = {"scale": scale, "tokens": tokens, "text": text}
    for architecture in dict.fromkeys(architecture for _, architecture, _, _ in experiments):
        made = about(packed, architecture)
        other = [f"{name} {made[name]!r}, not {value!r}" for name, value in asked.items() if made[name] != value]
        if other:
            raise ValueError(f"{packed} was packed with {' and '.join(other)}: ask for what was packed, or pack again.")
    os.environ["PROBSIG_RUNS"] = str(out / "runs")
    name, mine = "finished" if world == 1 else f"finished-{rank}", experiments[rank::world]
    done: list[str] = []
    _collect(out, name, done)
    for corpus, architecture, seed, epochs in mine:
        try:
            with _until(ends, 15 * minutes * SAVING):
                found = language_model.model(
                    corpus,
                    lambda architecture=architecture: unpack(packed, architecture),
                    architecture=architecture,
                    seed=seed,
                    epochs=epochs,
                    device=device,
                    **asked,
                )
        except TimeIsUp:
            break
        done.append(found.name)
        _collect(out, name, done)
        print(f"{name}: {len(done)} of {len(mine)}, {found.name}, {found.record['seconds']:.0f} s", flush=True)
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


class TimeIsUp(Exception):
    """Raised in the main thread when the minutes are over or the machine is taken away."""


@contextlib.contextmanager
def _until(ends: float, again: float) -> Iterator[None]:
    """Raise TimeIsUp at a time or at SIGTERM, and again every `again` seconds from then on.

    A run works in another thread, so nothing is cut: the first makes `runs.run` ask that thread to save and stop, and
    wait for it. The next ones end the waiting (its own, then its pool's) where the thread is at something long.
    """

    def ring(*_: Any) -> None:
        signal.setitimer(signal.ITIMER_REAL, again)
        raise TimeIsUp

    before = {number: signal.signal(number, ring) for number in (signal.SIGALRM, signal.SIGTERM)}
    try:
        signal.setitimer(signal.ITIMER_REAL, max(1e-3, ends - time.monotonic()))
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


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


def _leave(out: Path, ends: float) -> None:
    """End the process where a thread is still at something long, but not while a state is written."""
    sys.stdout.flush()
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        states = "*.pieces/*/state"
        while time.monotonic() < ends and not all((s / RECORD).is_file() for s in (out / "runs").glob(states)):
            time.sleep(0.05)
        os._exit(0)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m probsig.paper_scale", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("pack", "run"))
    parser.add_argument("packed", type=Path, help="the folder of packed ids")
    parser.add_argument("out", type=Path, nargs="?", default=Path("out"), help="where results go")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--scale", default="paper", choices=tuple(language_model.SCALES))
    parser.add_argument("--tokens", type=int, default=None, help="tokens of each text; the scale's by default")
    parser.add_argument("--text", default="stand-in", help="where the texts are from, as in the chapters")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    given, begun = parser.parse_args(arguments), time.monotonic()
    if given.command == "pack":
        size = pack(given.packed, given.scale, given.tokens, given.text)
        print(f"{given.packed}: {size / 2**20:.1f} MiB")
        return
    chosen = {name: getattr(given, name) for name in ("minutes", "scale", "tokens", "text", "device")}
    left = run(given.packed, given.out, **chosen)
    print("done" if not left else f"{left} left: run the same command again on this machine")
    _leave(given.out, begun + 60 * given.minutes)


if __name__ == "__main__":
    main()
