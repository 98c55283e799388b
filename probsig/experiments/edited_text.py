"""Language models trained on a text and on its edited twin, and what became of the edited tokens: the stored runs.

One run is one seed: it chooses the tokens of the arms, edits the text (`text_edits`), and trains one model on each of
the two texts, from the same initial weights and with the rows in the same order. So whatever differs at the end comes
from the edit. It keeps the rows of W_E and W_U of the chosen tokens and the cosines of their signatures.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import seeds
from probsig.counts.bigrams import count
from probsig.experiments.texts import pack
from probsig.geometry import small as geometry_small
from probsig.geometry.large import Cosines, cosines
from probsig import runs
from probsig.runs.drafts import Draft
from probsig.signatures import tokens as signatures_tokens
from probsig.text import edits
from probsig.text.training_set import Tokens, TrainingSet, training_set

TEXTS = ("original", "edited")
SIGNATURES = ("next", "previous", "attention")
REACH = 8  # distances of the attention signature
LEAST = 50  # other tokens are looked at where they were seen so often
LOOKS = 8  # times that the loss is noted


@dataclass(frozen=True)
class Scale:
    """At most `tokens` tokens and `keep` ids of the text, the model's `shape`, the recipe, and the arms: `groups` of
    `size` tokens of rank `first` to `last`, seen `least` times."""

    tokens: int
    keep: int
    shape: str
    batch: int
    length: int
    lr: float
    groups: int
    size: int
    first: int
    last: int
    least: int


SCALES = {
    "smoke": Scale(6_000, 150, "smoke", batch=4, length=32, lr=1e-2, groups=2, size=4, first=5, last=56, least=10),
    "laptop": Scale(
        500_000, 8_192, "laptop", batch=2, length=256, lr=1e-4, groups=8, size=6, first=30, last=600, least=100
    ),
}


def trained(
    name: str, corpus: Callable[[], Tokens], *, scale: str, seed: int, text: str = "stand-in", device: str = "cpu"
) -> runs.Run:
    """The two models of one seed on the text `name`: found, or trained now and stored.

    corpus: opens the text, only where something has to be trained. `text` says where it is from and is part of what a
    run is found by. The piece "edit" holds what `compared` gives, words (packed texts of the chosen tokens, in the
    order of `text_edits.choose`) and size (tokens, documents, ids); start/W_E and start/W_U, the rows of the chosen
    tokens (n, d), the same for both texts; and for each of TEXTS under its name W_E and W_U, the rows after one epoch,
    steps and losses (m,), and the digest of its ids.
    Raises ValueError for an unknown scale and what choosing and training raise.
    """
    if scale not in SCALES:
        raise ValueError(f"scale is {scale!r}: pass one of {', '.join(map(repr, SCALES))}.")
    how = SCALES[scale]
    config = {"corpus": name, "text": text, "architecture": "qwen2.5", "scale": scale, "seed": seed, **asdict(how)}

    def make(draft: Draft) -> dict[str, NDArray]:
        opened = corpus()
        data = training_set(opened, how.tokens, how.keep, 0, name)
        of = {"groups": how.groups, "size": how.size, "ranks": (how.first, how.last), "least": how.least}
        edit = edits.edit(data, edits.choose(data, seed=seed, **of), seed)
        out = compared(data, edit, how.length)
        out["words"] = pack(opened.tokenizer.text(int(token)) for token in data.kept[edit.chosen.ravel()])
        out["size"] = np.array([len(data.ids), len(data.offsets) - 1, data.vocab_size], dtype=np.int64)
        for which, one in zip(TEXTS, (data, edit.data), strict=True):
            own = Draft(draft.folder / which, draft.stop)
            start, end = _train(one, edit.chosen.ravel(), how, seed, device, own)
            end["digest"] = np.frombuffer(hashlib.sha256(one.ids.tobytes()).digest(), dtype=np.uint8).copy()
            out |= {f"start/{key}": W for key, W in start.items()} | {f"{which}/{key}": a for key, a in end.items()}
        return out

    return runs.run("language-edit", config, {"edit": make}, modules=["probsig.text_edit_experiments"])


def compared(data: TrainingSet, edit: edits.Edit, length: int) -> dict[str, NDArray]:
    """What an edit did to the text: frequency and moved (arms, groups, size), share, of places that hold another token;
    for each of TEXTS and SIGNATURES, <text>/<signature>, the cosines of all pairs of chosen tokens about their mean
    (pairs,), and <text>/<signature> raw, of the pairs within groups (arms, groups, pairs), not about the mean; likeness
    (2, tokens) and others (2, m), the cosine of phi^next and of varphi^pre before and after the edit, of the chosen
    tokens and of all others seen LEAST times."""
    chosen = edit.chosen.ravel()
    out: dict[str, NDArray] = {"frequency": data.frequency[edit.chosen], "moved": edit.moved}
    out["share"] = np.array([np.mean(data.ids != edit.data.ids)])
    for which, one in zip(TEXTS, (data, edit.data), strict=True):
        for signature in SIGNATURES:
            read = functools.partial(_signature, one, signature, chosen, length)
            out[f"{which}/{signature}"] = cosines(read("centred"), absent="zero").pairs.astype(np.float16)
            whole = cosines(read("raw"), absent="zero")
            out[f"{which}/{signature} raw"] = _inside(whole, edit.chosen.shape).astype(np.float16)
    rest = np.setdiff1d(data.often(data.vocab_size, LEAST), chosen)
    for key, tokens in (("likeness", chosen), ("others", rest)):
        sides = [_likeness(data, edit.data, side, tokens) for side in ("next", "previous")]
        out[key] = np.array(sides).astype(np.float16)
    return out


def _signature(data: TrainingSet, name: str, tokens: NDArray, length: int, kind: str) -> Any:
    if name == "next":
        return signatures_tokens.next_token(data.counts, tokens, kind)
    if name == "previous":
        return signatures_tokens.previous_token(data.counts, tokens, kind)
    far = range(2, min(REACH, length - 1) + 1)
    counts = [data.counts, *(count(data.ids, data.vocab_size, offsets=data.offsets, distance=k) for k in far)]
    weights = signatures_tokens.harmonic_weights([one.distance for one in counts], length)
    return signatures_tokens.attention(counts, tokens, weights, kind)


def _inside(whole: Cosines, shape: tuple[int, ...]) -> NDArray[np.float64]:
    groups = np.arange(whole.size).reshape(-1, shape[-1])
    return np.array([geometry_small.pairs(whole.square(group)) for group in groups]).reshape(*shape[:-1], -1)


def _likeness(one: TrainingSet, other: TrainingSet, side: str, tokens: NDArray) -> NDArray[np.float64]:
    """The cosine of each token's signature in two texts, 0 where it has none."""
    a, b = (_signature(data, side, tokens, 2, "raw") for data in (one, other))
    norms = np.sqrt(a.multiply(a).sum(axis=1) * b.multiply(b).sum(axis=1))
    return a.multiply(b).sum(axis=1) / np.where(norms > 0, norms, 1)


def _train(
    data: TrainingSet, chosen: NDArray, how: Scale, seed: int, device: str, draft: Draft
) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """The rows of the chosen tokens at the start, and at the end with the losses."""
    from probsig.language import networks, training

    sizes = {"vocab_size": data.vocab_size, "original": data.original}
    model = networks.build("qwen2.5", networks.SHAPES[how.shape], seed=seed, **sizes)
    recipe = training.Recipe(batch=how.batch, length=how.length, lr=how.lr)
    last = recipe.epoch(data)

    def keep(step: int, W_E: NDArray, W_U: NDArray) -> dict[str, NDArray]:
        return {key: W[chosen].astype(np.float16) for key, W in (("W_E", W_E), ("W_U", W_U))}

    log = training.train(
        model,
        data,
        recipe,
        seed=seed,
        measure=lambda *_: {},
        measure_at=sorted({max(1, last * look // LOOKS) for look in range(1, LOOKS + 1)}),
        keep=keep,
        keep_at=[0, last],
        device=device,
        draft=draft,
    )
    start, end = ({key: log.kept[f"{step}/{key}"] for key in ("W_E", "W_U")} for step in (0, last))
    losses = np.array([row["loss"] for row in log.metrics])
    return start, end | {"steps": np.array(log.steps, dtype=np.int64), "losses": losses}


Array = NDArray[np.float64]
Shape = tuple[int, int, int]


def centred(W: NDArray) -> Array:
    """The cosines (n, n) of rows (n, d) about their mean row.

    >>> centred(np.array([[2.0, 0.0], [0.0, 0.0]])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    W = np.asarray(W, dtype=np.float64)
    return geometry_small.cosine(W - W.mean(axis=0))


def square(pairs: NDArray) -> Array:
    """The symmetric matrix with these entries above its diagonal, in the order of `geometry.pairs`, and ones on it.

    >>> square(np.array([0.5])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    n = round((1 + np.sqrt(1 + 8 * len(pairs))) / 2)
    upper = np.zeros((n, n))
    upper[np.triu_indices(n, k=1)] = pairs
    return upper + upper.T + np.eye(n)


def within(cosines: Array, shape: Shape) -> Array:
    """The mean over the pairs of each group, (arms, groups).

    >>> C = np.array([[1.0, 0.2, 0.0, 0.0], [0.2, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.4], [0.0, 0.0, 0.4, 1.0]])
    >>> within(C, (2, 1, 2)).tolist()
    [[0.2], [0.4]]
    """
    groups = np.arange(len(cosines)).reshape(-1, shape[2])
    return np.array([geometry_small.pairs(cosines[np.ix_(group, group)]).mean() for group in groups]).reshape(shape[:2])


def relabelled(moves: Array, shape: Shape, draws: int, seed: int) -> Array:
    """What `within` gives, over the groups' mean, when the tokens of each arm are dealt to its groups at random,
    (draws, arms)."""
    stream, tokens = seeds.stream(seed, "labels"), np.arange(len(moves)).reshape(shape[0], -1)
    out = np.empty((draws, shape[0]))
    for draw in range(draws):
        order = stream.permuted(tokens, axis=1).ravel()
        out[draw] = within(moves[np.ix_(order, order)], shape).mean(axis=1)
    return out


def names(shape: Shape, draws: int, seed: int) -> NDArray[np.int64]:
    """New names of the tokens, (draws, n): a permutation within each stratum, the tokens of group g of all arms, which
    are alike in frequency.

    >>> names((2, 2, 1), 3, seed=0).tolist()
    [[2, 1, 0, 3], [2, 3, 0, 1], [0, 3, 2, 1]]
    """
    stream = seeds.stream(seed, "names")
    strata = np.arange(np.prod(shape)).reshape(shape).transpose(1, 0, 2).reshape(shape[1], -1)
    out = np.empty((draws, strata.size), dtype=np.int64)
    for order in out:
        order[strata] = stream.permuted(strata, axis=1)
    return out


def renamed(a: Array, b: Array, shape: Shape, draws: int, seed: int) -> Array:
    """Correlations of the pairs of a with those of b, (draws,), when b's tokens take new `names`."""
    orders = names(shape, draws, seed)
    return np.array(
        [geometry_small.pearson(geometry_small.pairs(a), geometry_small.pairs(b[np.ix_(o, o)])) for o in orders]
    )


def joint(a: Array, signatures: Sequence[Array]) -> Array:
    """The coefficients, one a signature, of the least-squares fit of the pairs of a by those of all signatures and a
    constant.

    >>> one, two = square(np.array([0.0, 1.0, 2.0])), square(np.array([1.0, 0.0, 1.0]))
    >>> joint(square(np.array([-1.0, 2.0, 3.0])), [one, two]).round(9).tolist()
    [2.0, -1.0]
    """
    columns = np.column_stack([*map(geometry_small.pairs, signatures), np.ones(len(a) * (len(a) - 1) // 2)])
    return np.linalg.lstsq(columns, geometry_small.pairs(a), rcond=None)[0][:-1]


def exchanged(before: Array, after: Array, one: NDArray, two: NDArray, others: NDArray) -> Array:
    """How far each pair (one[k], two[k]) kept the difference of its profiles, (k,): 1 kept, 0 lost, -1 exchanged.

    A profile is the cosines with the tokens `others`, the two of the pair left out; the number is the regression of the
    difference after on that before.

    >>> C = np.array([[1.0, 0.0, 0.9], [0.0, 1.0, 0.1], [0.9, 0.1, 1.0]])
    >>> swapped = C[np.ix_([1, 0, 2], [1, 0, 2])]
    >>> exchanged(C, swapped, np.array([0]), np.array([1]), np.array([2])).tolist()
    [-1.0]
    """
    out = []
    for a, b in zip(one, two, strict=True):
        rest = others[(others != a) & (others != b)]
        D, later = before[a, rest] - before[b, rest], after[a, rest] - after[b, rest]
        out.append((D @ later) / (D @ D))
    return np.array(out)


def without_leading(W: NDArray) -> Array:
    """Rows (n, d) about their mean, less their part along the direction in which they vary most.

    >>> without_leading(np.array([[5.0, 1.0], [-5.0, 1.0], [0.0, 4.0]])).round(9).tolist()
    [[0.0, -1.0], [0.0, -1.0], [0.0, 2.0]]
    """
    W = np.asarray(W, dtype=np.float64)
    W = W - W.mean(axis=0)
    leading = np.linalg.svd(W, full_matrices=False)[2][:1]
    return W - W @ leading.T @ leading
