"""The language models on one rented GPU: pack the texts here, run there without a network, bring the results back.

    python -m probsig.paper_scale pack packed/                       # here: ids of the five texts, under 55 MiB
    python -m probsig.paper_scale run packed/ out/ --minutes 8       # there, again and again until it says it is done
    tar -xf out/finished.tar -C results/                             # here again

`run` goes through EXPERIMENTS in their order, the most valuable first. It stops by itself after the given minutes and
keeps the state of the run that it was in, so the next call goes on from there; the state stays on that machine, only
finished runs come back. What is there needs this package, torch 2.6 or later, transformers 5, numba and scipy.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from probsig import language_experiments, language_texts
from probsig.language_data import TrainingSet
from probsig.storage import StorageError, write_whole

LARGEST = 55 * 2**20  # bytes that travel
EXPERIMENTS = [
    *((name, "qwen2.5", 0, 1) for name in language_texts.NAMES),
    *((name, "llama-2", 0, 1) for name in language_texts.NAMES),
    ("dm-mathematics", "qwen2.5", 0, 20),
    *((name, "qwen2.5", 0, 20) for name in language_texts.NAMES if name != "dm-mathematics"),
    *(
        (name, architecture, seed, 1)
        for seed in (1, 2)
        for architecture in ("qwen2.5", "llama-2")
        for name in language_texts.NAMES
    ),
]
"""Text, architecture, seed, epochs."""


def pack(folder: Path | str, scale: str, tokens: int | None, text: str = "stand-in") -> int:
    """Write the training sets of both tokenizers into a folder; returns the number of bytes.

    Raises StorageError where they are more than LARGEST: take fewer `tokens` of each text.
    """
    folder, how, total = Path(folder), language_experiments.SCALES[scale], 0
    for architecture, by in language_experiments.ARCHITECTURES.items():
        opening = {"text": text, "scale": scale, "seed": 0, "tokenizer": by}
        sets, groups = language_texts.training_sets(language_texts.NAMES, tokens or how.tokens, how.keep, **opening)
        arrays: dict[str, np.ndarray] = {}
        for one in sets:
            arrays |= {f"{one.name}/ids": one.ids, f"{one.name}/offsets": one.offsets, f"{one.name}/kept": one.kept}
            arrays[f"{one.name}/original"] = np.array(one.original)
        for group, members in groups.items():
            arrays[f"groups/{group}"] = np.array(list(members.values()), dtype=np.int64)
            arrays[f"names/{group}"] = language_texts.pack(members)
        packed = io.BytesIO()
        np.savez_compressed(packed, **arrays)
        write_whole(folder / f"{architecture}.npz", packed.getvalue())
        total += len(packed.getvalue())
    if total > LARGEST:
        raise StorageError(f"{folder} has {total >> 20} MiB and {LARGEST >> 20} may travel: pass fewer --tokens.")
    return total


def unpack(folder: Path | str, architecture: str) -> language_experiments.Sets:
    """The training sets and groups that `pack` wrote for an architecture's tokenizer."""
    with np.load(Path(folder) / f"{architecture}.npz", allow_pickle=False) as arrays:
        groups = {
            name.removeprefix("groups/"): dict(
                zip(language_texts.unpack(arrays["names" + name[6:]]), arrays[name].tolist(), strict=True)
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
    """Run the experiments for some minutes; returns how many are left. Finished ones are in out/finished.tar.

    `tokens`, `scale` and `text` are those of `pack`. Raises what `language_experiments.model` raises.
    """
    out, ends = Path(out), time.monotonic() + 60 * minutes
    os.environ["PROBSIG_RUNS"] = str(out / "runs")
    before = signal.signal(signal.SIGALRM, _time_is_up)
    done: list[str] = []
    try:
        for name, architecture, seed, epochs in experiments:
            signal.alarm(max(1, int(ends - time.monotonic())))
            try:
                found = language_experiments.model(
                    name,
                    lambda architecture=architecture: unpack(packed, architecture),
                    architecture=architecture,
                    scale=scale,
                    seed=seed,
                    epochs=epochs,
                    tokens=tokens,
                    device=device,
                    text=text,
                )
            except TimeIsUp:
                break
            finally:
                signal.alarm(0)
            done.append(found.name)
            print(f"{len(done)} of {len(experiments)}: {found.name}, {found.record['seconds']:.0f} s", flush=True)
    finally:
        signal.signal(signal.SIGALRM, before)
        _collect(out, done)
    return len(experiments) - len(done)


class TimeIsUp(Exception):
    """Raised in the middle of a run when the minutes are over; its state was saved."""


def _time_is_up(*_: Any) -> None:
    raise TimeIsUp


def _collect(out: Path, names: Sequence[str]) -> None:
    """Write the finished runs of this folder into out/finished.tar."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in names:
            if (out / "runs" / name).is_dir():
                tar.add(out / "runs" / name, arcname=name)
    write_whole(out / "finished.tar", packed.getvalue())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m probsig.paper_scale", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("pack", "run"))
    parser.add_argument("packed", type=Path, help="the folder of packed ids")
    parser.add_argument("out", type=Path, nargs="?", default=Path("out"), help="where results go")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--scale", default="paper", choices=tuple(language_experiments.SCALES))
    parser.add_argument("--tokens", type=int, default=None, help="tokens of each text; the scale's by default")
    parser.add_argument("--text", default="stand-in", help="where the texts are from, as in the chapters")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    given = parser.parse_args(arguments)
    if given.command == "pack":
        size = pack(given.packed, given.scale, given.tokens, given.text)
        print(f"{given.packed}: {size / 2**20:.1f} MiB")
        return
    chosen = {"minutes": given.minutes, "scale": given.scale, "tokens": given.tokens, "text": given.text}
    left = run(given.packed, given.out, device=given.device, **chosen)
    print("done" if not left else f"{left} left: run the same command again on this machine")


if __name__ == "__main__":
    main()
