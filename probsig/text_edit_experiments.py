"""Language models trained on a text and on its edited twin, and what became of the edited tokens: the stored runs.

One run is one seed: it chooses the tokens of the arms, edits the text (`text_edits`), and trains one model on each of
the two texts, from the same initial weights and with the rows in the same order. So whatever differs at the end comes
from the edit. It keeps the rows of W_E and W_U of the chosen tokens and the cosines of their signatures.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import geometry, runs, text_edits, token_signatures
from probsig.alignment import Cosines, cosines
from probsig.bigrams import count
from probsig.drafts import Draft
from probsig.language_data import Tokens, TrainingSet, training_set
from probsig.language_texts import pack

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
        edit = text_edits.edit(data, text_edits.choose(data, seed=seed, **of), seed)
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


def compared(data: TrainingSet, edit: text_edits.Edit, length: int) -> dict[str, NDArray]:
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
        return token_signatures.next_token(data.counts, tokens, kind)
    if name == "previous":
        return token_signatures.previous_token(data.counts, tokens, kind)
    far = range(2, min(REACH, length - 1) + 1)
    counts = [data.counts, *(count(data.ids, data.vocab_size, offsets=data.offsets, distance=k) for k in far)]
    weights = token_signatures.harmonic_weights([one.distance for one in counts], length)
    return token_signatures.attention(counts, tokens, weights, kind)


def _inside(whole: Cosines, shape: tuple[int, ...]) -> NDArray[np.float64]:
    groups = np.arange(whole.size).reshape(-1, shape[-1])
    return np.array([geometry.pairs(whole.square(group)) for group in groups]).reshape(*shape[:-1], -1)


def _likeness(one: TrainingSet, other: TrainingSet, side: str, tokens: NDArray) -> NDArray[np.float64]:
    """The cosine of each token's signature in two texts, 0 where it has none."""
    a, b = (_signature(data, side, tokens, 2, "raw") for data in (one, other))
    norms = np.sqrt(a.multiply(a).sum(axis=1) * b.multiply(b).sum(axis=1))
    return a.multiply(b).sum(axis=1) / np.where(norms > 0, norms, 1)


def _train(
    data: TrainingSet, chosen: NDArray, how: Scale, seed: int, device: str, draft: Draft
) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """The rows of the chosen tokens at the start, and at the end with the losses."""
    from probsig import language_models, language_training

    sizes = {"vocab_size": data.vocab_size, "original": data.original}
    model = language_models.build("qwen2.5", language_models.SHAPES[how.shape], seed=seed, **sizes)
    recipe = language_training.Recipe(batch=how.batch, length=how.length, lr=how.lr)
    last = recipe.epoch(data)

    def keep(step: int, W_E: NDArray, W_U: NDArray) -> dict[str, NDArray]:
        return {key: W[chosen].astype(np.float16) for key, W in (("W_E", W_E), ("W_U", W_U))}

    log = language_training.train(
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
