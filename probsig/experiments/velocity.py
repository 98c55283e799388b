"""The velocity of W_E of real language models along one epoch, and what each formula explains of it: the stored runs.

One run is one network on one text: its architecture, its init, its seed, with the norm layers as they are or with the
identity in their place. It is looked at ever further apart, and keeps what `velocity_shares.Judge` measures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig import seeds
from probsig.language.shares import Judge
from probsig.language.velocity import without_norms
from probsig import runs
from probsig.runs.drafts import Draft
from probsig.text.training_set import TrainingSet


@dataclass(frozen=True)
class Scale:
    """How a network is trained and looked at: at most `tokens` tokens and `keep` ids of the text, the model's `shape`,
    the recipe, and over how many rows the gradient is taken (None: all)."""

    tokens: int
    keep: int
    shape: str
    batch: int
    length: int
    lr: float
    rows: int | None


SCALES = {
    "smoke": Scale(tokens=6_000, keep=150, shape="smoke", batch=4, length=32, lr=1e-2, rows=None),
    "laptop": Scale(tokens=250_000, keep=8_192, shape="laptop", batch=2, length=256, lr=1e-4, rows=100),
}


def looks(last: int) -> list[int]:
    """The steps at which the gradient is looked at: 0, 4, 8, 16, ..., and the last.

    >>> looks(40)
    [0, 4, 8, 16, 32, 40]
    """
    return [0, *(1 << k for k in range(2, 40) if 1 << k < last), last]


def held_until(steps: ArrayLike, shares: ArrayLike) -> float:
    """The first of the steps at which a share is under half of the first one; inf where it never is, nan where the
    first is not positive.

    >>> held_until([0, 4, 8], [0.6, 0.4, 0.2]), held_until([0, 4], [0.6, 0.5]), held_until([0, 4], [-0.1, 0.5])
    (8.0, inf, nan)
    """
    steps, shares = np.asarray(steps), np.asarray(shares)
    if not shares[0] > 0:
        return float("nan")
    under = np.flatnonzero(shares < shares[0] / 2)
    return float(steps[under[0]]) if under.size else float("inf")


def gradients(
    name: str,
    sets: Callable[[], Sequence[TrainingSet]],
    *,
    architecture: str,
    norms: bool,
    scale: str,
    seed: int,
    init: str | float = "vocab",
    text: str = "stand-in",
    device: str = "cpu",
) -> runs.Run:
    """The run of the gradients of a model on the text `name`, at the start and along one epoch: found, or made now.

    sets: gives the training sets, `name` among them, made with `SCALES[scale]`. norms: False puts the identity for
    every RMSNorm. The piece "gradient" holds steps (m,), what `Judge.measure` gives with a first axis of m, epoch (1,),
    often (V,), size (tokens of the text, ids, places of the rows that have a target) and the digest of the text's ids.
    Raises ValueError for an unknown architecture, scale or text, and what training raises.
    """
    if scale not in SCALES:
        raise ValueError(f"scale is {scale!r}: pass one of {', '.join(map(repr, SCALES))}.")
    how = SCALES[scale]
    config = {"corpus": name, "text": text, "architecture": architecture, "norms": norms, "scale": scale, "seed": seed}
    config |= {"init": init, **asdict(how)}

    def make(draft: Draft) -> dict[str, NDArray]:
        known = {one.name: one for one in sets()}
        if name not in known:
            raise ValueError(f"{name!r} is not among the texts {', '.join(known)}: name one of them.")
        return _followed(known[name], how, architecture, norms, seed, init, device, draft)

    return runs.run("language-gradient", config, {"gradient": make}, modules=["probsig.language_gradients"])


def _followed(
    data: TrainingSet,
    how: Scale,
    architecture: str,
    norms: bool,
    seed: int,
    init: str | float,
    device: str,
    draft: Draft,
) -> dict[str, NDArray]:
    from probsig.language import networks, training

    sizes = {"vocab_size": data.vocab_size, "original": data.original}
    model = networks.build(architecture, networks.SHAPES[how.shape], init=init, seed=seed, **sizes)
    model = model if norms else without_norms(model)
    recipe = training.Recipe(batch=how.batch, length=how.length, lr=how.lr)
    inputs, targets = data.rows(how.length)
    if how.rows and how.rows < len(inputs):
        chosen = np.sort(seeds.stream(0, "rows", data.name).permutation(len(inputs))[: how.rows])
        inputs, targets = inputs[chosen], targets[chosen]
    judge, steps = Judge(inputs, targets, data.vocab_size, seed), looks(recipe.epoch(data))
    log = training.train(
        model,
        data,
        recipe,
        seed=seed,
        keep=lambda step, W_E, W_U: judge.measure(model),
        keep_at=steps,
        device=device,
        draft=draft,
    )
    names = [name.partition("/")[2] for name in log.kept if name.startswith("0/")]
    return {name: np.stack([log.kept[f"{step}/{name}"] for step in steps]) for name in names} | {
        "steps": np.array(steps, dtype=np.int64),
        "epoch": np.array([recipe.epoch(data)], dtype=np.int64),
        "often": judge.often,
        "size": np.array([len(data.ids), data.vocab_size, np.count_nonzero(targets >= 0)], dtype=np.int64),
        "digest": np.frombuffer(hashlib.sha256(data.ids.tobytes()).digest(), dtype=np.uint8).copy(),
    }
