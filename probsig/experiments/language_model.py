"""The language models of section 6 and appendix C at three scales, trained, measured and stored.

One run is one model on one text: its architecture, its scale, its seed (of the initial weights and of the order of the
rows; the documents are the same for every seed), the reading of the init, the number of epochs. It keeps numbers over
training and arrays at the start, after one epoch and at the end; it keeps no weights.

The texts come from the caller, who opens them only when something has to be trained; the run remembers their digests.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig.experiments import texts
from probsig.language.analysis import Reference, analyse, cross, group, leaderboard, shared
from probsig import runs
from probsig.runs.drafts import Draft
from probsig.runs.results import Run
from probsig.text.training_set import TrainingSet

Sets = tuple[Sequence[TrainingSet], Mapping[str, Mapping[str, int]]]
ARCHITECTURES = {"qwen2.5": "qwen2.5", "llama-2": "llama-2"}
"""Each architecture and the tokenizer that belongs to it."""


@dataclass(frozen=True)
class Scale:
    """Tokens of a text, ids kept (None: all that occur), the name of the model's shape, the recipe's numbers, and how
    often it is measured in the first epoch."""

    tokens: int | None
    keep: int | None
    shape: str
    batch: int
    length: int
    lr: float
    looks: int


SCALES = {
    "smoke": Scale(tokens=6_000, keep=150, shape="smoke", batch=4, length=32, lr=1e-2, looks=6),
    "laptop": Scale(tokens=500_000, keep=8_192, shape="laptop", batch=2, length=256, lr=1e-4, looks=16),
    "paper": Scale(tokens=None, keep=None, shape="paper", batch=16, length=2048, lr=1e-4, looks=24),
}
"""lr is the paper's at "laptop" and "paper"; the paper gives no batch. "smoke" is another clock."""


def looks(epoch: int, epochs: int, number: int) -> list[int]:
    """The steps at which a run is measured: `number` of them in the first epoch, ever further apart, then each epoch's
    end.

    >>> looks(100, 3, 5)
    [0, 3, 10, 32, 100, 200, 300]
    """
    early = np.unique(np.geomspace(max(1, epoch / 30), epoch, number - 1).round().astype(int))
    return [0, *early.tolist(), *(epoch * e for e in range(2, epochs + 1))]


def model(
    name: str,
    sets: Callable[[], Sets],
    *,
    architecture: str,
    scale: str,
    seed: int,
    epochs: int = 1,
    init: str | float = "vocab",
    text: str = "stand-in",
    tokens: int | None = None,
    device: str = "auto",
) -> runs.Run:
    """The run of a model on the text `name`: found, or trained now and stored.

    sets: gives the training sets, `name` among them, and the groups of tokens (`language_texts.training_sets`), made
    with `SCALES[scale]`; the others are what the model is crossed with. tokens: another number than the scale's.
    The piece "model" holds the log of `language_training` with, under kept/<step>/, what `language_analysis.analyse`,
    `leaderboard`, `cross` (over the tokens of each pair of texts; "common" over those that all share) and `group` give;
    and under data/, sizes, least (how often the rarest of C was seen), ceilings, top (the tokenizer's ids of the
    heatmap's tokens), size (tokens, documents, ids), epoch (the steps of one), cross_tokens (others,) and common_tokens
    (1,), how many tokens those are, names/<group> (its members, UTF-8 JSON), digests (SHA-256 of the ids of each
    training set, in the order of `sets`).
    Raises ValueError for an unknown architecture or scale, for `tokens` below 2, for a `name` that is not among the
    sets, and what training raises.
    """
    if tokens is not None and tokens < 2:
        raise ValueError(f"tokens is {tokens}: pass 2 or more, or None for the scale's own.")
    for what, value, allowed in (("architecture", architecture, ARCHITECTURES), ("scale", scale, SCALES)):
        if value not in allowed:
            raise ValueError(f"{what} is {value!r}: pass one of {', '.join(map(repr, allowed))}.")
    how = replace(SCALES[scale], tokens=tokens or SCALES[scale].tokens)
    config = {"corpus": name, "text": text, "architecture": architecture, "scale": scale, "seed": seed}
    config |= {"epochs": epochs, "init": init, **{k: v for k, v in asdict(how).items() if k != "looks"}}

    def train(draft: Draft) -> dict[str, np.ndarray]:
        return _train(name, *sets(), how, architecture, seed, epochs, init, device, draft)

    modules = ["probsig.language_experiments"]
    return runs.run("language-model", config, {"model": train}, modules=modules)


def _train(
    name: str,
    sets: Sequence[TrainingSet],
    groups: Mapping[str, Mapping[str, int]],
    how: Scale,
    architecture: str,
    seed: int,
    epochs: int,
    init: str | float,
    device: str,
    draft: Draft,
) -> dict[str, np.ndarray]:
    from probsig.language import networks, training

    data = next((one for one in sets if one.name == name), None)
    if data is None:
        raise ValueError(
            f"There is no text {name!r} among {', '.join(repr(one.name) for one in sets)}: pass one of them."
        )
    shape = networks.SHAPES[how.shape]
    sizes = {"vocab_size": data.vocab_size, "original": data.original}
    built = networks.build(architecture, shape, init=init, seed=seed, **sizes)
    recipe = training.Recipe(epochs=epochs, batch=how.batch, length=how.length, lr=how.lr)
    reference, epoch = Reference(data, how.length), recipe.epoch(data)
    pairwise, common = [shared([data, other], 500) for other in sets], shared([data, *sets], 500)

    def keep(step: int, W_E: Any, W_U: Any) -> dict[str, np.ndarray]:
        out = analyse(W_E, W_U, reference, seed)
        out["leaders"] = leaderboard(W_E, W_U, reference, min(500, len(reference.tokens)))
        out["cross"] = cross(W_E, W_U, data, sets, pairwise)
        out["common"] = cross(W_E, W_U, data, sets, [common] * len(sets))
        for named, members in groups.items():
            out |= {f"{named}/{key}": array for key, array in group(W_E, data, members).items()}
        return out

    log = training.train(
        built,
        data,
        recipe,
        seed=seed,
        measure=reference.measure,
        measure_at=looks(epoch, epochs, how.looks),
        keep=keep,
        keep_at=sorted({0, epoch, epoch * epochs}),
        device=device,
        draft=draft,
    )
    sizes = reference.sizes
    facts = {
        "sizes": np.array(sizes, dtype=np.int64),
        "least": data.frequency[reference.tokens[np.array(sizes) - 1]],
        "ceilings": reference.ceilings(0),
        "top": data.kept[reference.tokens[:40]],
        "size": np.array([len(data.ids), len(data.offsets) - 1, data.vocab_size], dtype=np.int64),
        "epoch": np.array([epoch], dtype=np.int64),
        "cross_tokens": np.array([len(old) for old in pairwise], dtype=np.int64),
        "common_tokens": np.array([len(common)], dtype=np.int64),
        **{
            f"names/{named}": np.frombuffer(json.dumps(list(members)).encode(), np.uint8)
            for named, members in groups.items()
        },
        "digests": np.array([list(hashlib.sha256(one.ids.tobytes()).digest()) for one in sets], dtype=np.uint8),
    }
    return log.arrays() | {f"data/{key}": array for key, array in facts.items()}


Models = dict[str, list[Run]]


def trained(
    names: Sequence[str],
    seeds: Sequence[int],
    *,
    architecture: str,
    scale: str,
    text: str = "stand-in",
    tokenizer: str | None = None,
    **options: Any,
) -> Models:
    """For each text the runs of its models, one a seed: found, or trained now and stored.

    tokenizer: by default the architecture's; another one is part of a run's `text`. Models are crossed with all of
    `language_texts.NAMES`, or with the texts themselves where these are others. `options` are those of
    `language_experiments.model`. Raises what that and `language_texts.opened` raise.
    """
    by = tokenizer or ARCHITECTURES[architecture]
    how = SCALES[scale]
    tokens = options.get("tokens") or how.tokens
    beside = list(texts.NAMES if set(names) <= set(texts.NAMES) else names)

    @functools.cache
    def sets() -> Sets:
        opening = {"text": text, "scale": scale, "seed": 0, "tokenizer": by}
        return texts.training_sets(beside, tokens, how.keep, **opening)

    said = text if by == ARCHITECTURES[architecture] else f"{text}, tokenizer {by}"
    known = {"architecture": architecture, "scale": scale, "text": said, **options}
    return {name: [model(name, sets, seed=seed, **known) for seed in seeds] for name in names}


def data(run: Run, key: str) -> NDArray:
    """An array of the run's text: sizes, least, ceilings, top, size."""
    return run.arrays[f"model/data/{key}"]


def epoch(run: Run) -> int:
    """The number of steps of an epoch."""
    return int(data(run, "epoch")[0])


def last(run: Run) -> int:
    """The last step."""
    return epoch(run) * int(run.config["epochs"])


def at(run: Run, step: int, key: str) -> NDArray:
    """An array that was kept at a step: 0, `epoch(run)` or `last(run)`."""
    return run.arrays[f"model/kept/{step}/{key}"]


def over(models: Sequence[Run], key: str, step: int | None = None) -> NDArray:
    """An array of every seed, (seeds, ...), at a step or at the last."""
    return np.stack([at(run, last(run) if step is None else step, key) for run in models])


def place(run: Run, C: int) -> int:
    """Where C stands among the sizes, or the largest size where the text has fewer tokens."""
    sizes = data(run, "sizes")
    return int(np.flatnonzero(sizes == C)[0]) if C in sizes else len(sizes) - 1


def curve(models: Sequence[Run], side: str, C: int) -> tuple[NDArray, NDArray]:
    """Epochs passed (m,) and R_cos over training (seeds, m) of "next" or "previous", over C tokens or, where there are
    fewer, over all."""
    run = models[0]
    size = C if f"model/metric/{side}/{C}" in run.arrays else int(data(run, "sizes")[-1])
    return run.arrays["model/steps"] / epoch(run), np.stack([m.arrays[f"model/metric/{side}/{size}"] for m in models])
