r"""Two laws of four tokens with the same pairs at every distance and other triples, and what is learnt of each.

A token is a class in {0, 1, 2} and a bit, 2 class + bit. Classes are a Markov chain, CHAIN in eighths. Bits are 0 or 1
with probabilities q = (1/3, 2/3), and with z(0) = -2, z(1) = 1, whose mean is zero, the bit b'' after b and b' has

    P(b'' | b, b') = q(b'') (1 + sign z(b) z(b') z(b'') / 8),      sign = 1 or -1 (0: independent bits).

Two of three consecutive bits are independent whatever the sign, since the mean of z is zero, and bits three places
apart depend on its square. Bits are not fair, so neither law is the other with its tokens renamed.

A small transformer reads two tokens and at each predicts what follows. With `attention` the second place sees both
tokens, without it each place sees its own. What it predicts is "one" (the next token), "two" (the next two, a head
each) or "joint" (the pair of the next two, one softmax over V^2). All of a law is trained on at once, in float64:
AdamW, a cosine from the learning rate to zero. Axes: W_E (V, d), tables (36 prefixes, 2 places, outputs).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from probsig import runs, seeds
from probsig.errors import one_of
from probsig.language.training import Recipe
from probsig.theory.modules import CausalBlocks

CHAIN = np.array([[1, 5, 2], [2, 1, 5], [5, 2, 1]])  # eighths; doubly stochastic
BIT, ZERO_MEAN = np.array([1, 2]), np.array([-2, 1])
V, LENGTH, HIDDEN = 6, 4, 16
AIMS = ("one", "two", "joint")
TRUNKS = {"token": False, "attention": True}
SOURCES = {"law +": 1, "law -": -1, "sample +": 1, "sample + again": 1, "sample -": -1}
"""What is trained on: the two laws themselves, two samples of the first and one of the second."""


def law(sign: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sequences (1296, 4) and their integer weights.

    >>> tokens, weights = law(1)
    >>> tokens.shape, int(weights.sum()) == 3 * 8**3 * 9 * 24**2
    ((1296, 4), True)
    """
    tokens = np.array(list(np.ndindex(*[V] * LENGTH)))
    c, b = tokens.T // 2, tokens.T % 2
    z = ZERO_MEAN[b]
    weights = BIT[b[0]] * BIT[b[1]]
    for t in range(LENGTH - 1):
        weights = weights * CHAIN[c[t], c[t + 1]]
    for t in range(LENGTH - 2):
        weights = weights * BIT[b[t + 2]] * (8 + sign * z[t] * z[t + 1] * z[t + 2])
    return tokens, weights


def tables(weights: NDArray, aim: str) -> list[NDArray[np.float64]]:
    """For each head the shares of a prefix and what it predicts, (36, 2, outputs), from weights of the sequences
    (1296,); each place's sum to 1/2. Prefixes are the first two tokens; at place 0 the second one is not read.

    >>> [table.shape for table in tables(law(1)[1], "two")]
    [(36, 2, 6), (36, 2, 6)]
    """
    tokens, heads = law(0)[0].T, {"one": 1, "two": 2, "joint": 1}[aim]
    outputs = V * V if aim == "joint" else V
    out = [np.zeros((V * V, 2, outputs)) for _ in range(heads)]
    for j, table in enumerate(out):
        for place in (0, 1):
            goal = V * tokens[place + 1] + tokens[place + 2] if aim == "joint" else tokens[place + 1 + j]
            np.add.at(table, (V * tokens[0] + tokens[1], place, goal), weights)
        table /= 2 * np.sum(weights)
    return out


def train(
    shares: Sequence[NDArray], attention: bool, *, seed: int, steps: int, lr: float, keep_at: Iterable[int]
) -> NDArray[np.float64]:
    """W_E after each of the steps `keep_at`, (looks, V, d), of a network of two blocks trained on `tables`."""
    stream = seeds.stream(seed, "equal pairs", "network")

    def drawn(*shape: int) -> torch.Tensor:
        return torch.from_numpy(HIDDEN**-0.5 * stream.standard_normal(shape)).requires_grad_()

    W_E = drawn(V, HIDDEN)
    trunk = CausalBlocks(HIDDEN, HIDDEN**-0.5, stream, heads=2, blocks=2, mlp_size=2 * HIDDEN, norm="pre")
    heads = [drawn(share.shape[-1], HIDDEN) for share in shares]
    goals = [torch.from_numpy(share) for share in shares]
    prefixes = torch.from_numpy(np.array(list(np.ndindex(V, V))))
    looks, kept, recipe = set(keep_at), [], Recipe(lr=lr)
    optimizer = torch.optim.AdamW([W_E, *trunk.parameters(), *heads], lr=lr, weight_decay=recipe.weight_decay)
    for step in range(steps + 1):
        if step in looks:
            kept.append(W_E.detach().numpy().copy())
        if step == steps:
            break
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(step, steps)
        optimizer.zero_grad()
        E = W_E[prefixes]
        hidden = trunk(E) if attention else trunk(E.reshape(-1, 1, HIDDEN)).reshape(E.shape)
        losses = [-(goal * (hidden @ U.T).log_softmax(-1)).sum() for goal, U in zip(goals, heads, strict=True)]
        (sum(losses[1:], start=losses[0]) / len(losses)).backward()
        optimizer.step()
    return np.stack(kept)


def apart(one: NDArray, other: NDArray) -> NDArray[np.float64]:
    """How far two courses of W_E (looks, V, d) from one start are apart, in units of the way that they went, (looks,);
    0 at the start.

    >>> start = np.zeros((1, 2))
    >>> apart(np.array([start, start + 1]), np.array([start, start + 2])).round(3).tolist()
    [0.0, 0.667]
    """
    way = (np.linalg.norm(one - one[0], axis=(1, 2)) + np.linalg.norm(other - other[0], axis=(1, 2))) / 2
    between = np.linalg.norm(one - other, axis=(1, 2))
    return np.divide(between, way, out=np.zeros_like(way), where=way > 0)


SCALES: dict[str, dict[str, Any]] = {
    "smoke": {"steps": 40, "lr": 1e-2, "sequences": 100_000, "looks": 6},
    "laptop": {"steps": 600, "lr": 3e-3, "sequences": 100_000, "looks": 25},
}
"""Steps, learning rate, sequences in a sample and looks."""


def course(*, scale: str, seed: int) -> runs.Run:
    """The run of every trunk and aim on every source from one initial network: found, or made now and stored.

    The seed is that of the network and of the samples. The piece "apart" holds steps (looks,) and, by
    "<trunk> <aim>", three rows (3, looks) of `apart`: the two laws, two samples of one law, samples of both.
    Raises ValueError for an unknown scale.
    """
    one_of("scale", scale, SCALES)
    config = {"scale": scale, "seed": seed, **SCALES[scale]}
    pieces = {"apart": runs.Piece("probsig.experiments.equal_pairs:made", (config,))}
    return runs.run("language-equal-pairs", config, pieces)


def made(config: Mapping[str, Any]) -> dict[str, NDArray]:
    """What `course` stores."""
    seed, steps = config["seed"], config["steps"]
    looks = np.unique(np.linspace(0, steps, config["looks"]).round().astype(int))
    weights = {}
    for name, sign in SOURCES.items():
        exact = law(sign)[1]
        drawn = seeds.stream(seed, "equal pairs", name).multinomial(config["sequences"], exact / exact.sum())
        weights[name] = exact if name.startswith("law") else drawn
    out = {"steps": looks.astype(np.int64)}
    for trunk, attention in TRUNKS.items():
        for aim in AIMS:
            plus, minus, sample, again, other = (
                train(tables(w, aim), attention, seed=seed, steps=steps, lr=config["lr"], keep_at=looks)
                for w in weights.values()
            )
            out[f"{trunk} {aim}"] = np.stack([apart(plus, minus), apart(sample, again), apart(sample, other)])
    return out
