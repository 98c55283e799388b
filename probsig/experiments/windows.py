r"""Windows of growing distance: the order of groups in a text, and which statistic a model's embedding follows.

A run of the kind "language-windows" trains nothing. It holds, of each text, the cosines of 16 statistics over its most
frequent tokens, with what the text's noise allows, and the cosines of five groups of tokens in four windows, over the
whole text and over four parts of its documents. One of the kind "language-follows" has the same of all texts pooled,
read by a pretrained model's tokenizer, and the model's rows held against it.

A pair's cosine is stored in 8 bits, minus the mean over all pairs, which no correlation sees.

Axes: windows as WITHIN, statistics as STATISTICS, kinds as `KINDS`, pairs i < j row by row.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig import runs, seeds
from probsig.counts.windows import Near, near
from probsig.experiments import language_model
from probsig.experiments.pretrained import Model, Opened, asked
from probsig.experiments.texts import Sets, Texts, groups_of, pack
from probsig.geometry import small as geometry_small
from probsig.geometry.large import cosines
from probsig.language.measures import small
from probsig.language.signatures import TextSignatures
from probsig.signatures.windows import together, weights
from probsig.text.groups import GROUPS as EVERY
from probsig.text.groups import gaps
from probsig.text.training_set import Part, Tokens, TrainingSet, documents

Arrays = dict[str, NDArray[Any]]
WITHIN = ((1, 1), (2, 4), (5, 16), (17, 64))
KINDS = ("mstar", "ppmi")
GROUPS = {"months": 12, "weekdays": 7, "numbers": 0, "digits": 0, "letters": 0}
"""The groups, and how many members a group has that comes back to its start; 0 for a line."""
PARTS, DRAWS, MOST, LEAST, FEWEST = 4, 999, 150, 50, 4
DOCUMENTS = 40  # at least, for parts of a text
STATISTICS = (
    *(("next", kind) for kind in ("raw", "centred", "ppmi", "support")),
    ("previous", "centred"),
    ("tied", "centred"),
    ("tied", "ppmi"),
    ("attention", "centred"),
    *((f"uniform {low}-{high}", "mstar") for low, high in WITHIN),
    ("uniform 1-16", "mstar"),
    ("harmonic 1-16", "mstar"),
    ("harmonic 1-64", "mstar"),
    ("harmonic 1-16", "ppmi"),
)
"""The statistics, each in a kind: those of `language.signatures`, and windows with their weights."""


def within(furthest: int) -> list[tuple[int, int]]:
    """WITHIN up to a distance.

    >>> within(10)
    [(1, 1), (2, 4), (5, 10)]
    """
    return [(low, min(high, furthest)) for low, high in WITHIN if low <= furthest]


def statistics(furthest: int) -> list[tuple[str, str]]:
    """Those of STATISTICS whose nearest place is not beyond a distance; their windows end there.

    >>> len(statistics(64)), statistics(4)[-1]
    (16, ('harmonic 1-16', 'ppmi'))
    """
    starts = [int(name.rpartition("-")[0].rpartition(" ")[2] or 1) for name, _ in STATISTICS]
    return [one for one, start in zip(STATISTICS, starts, strict=True) if start <= furthest]


def own_cosines(found: Near, tokens: Sequence[int], kind: str) -> NDArray[np.float64]:
    """The cosines (k, k) of some tokens' window signatures, centred, without their own columns."""
    return cosines(together(found.of(tokens), kind, tokens), absent="zero").square().astype(float)


def parts_of(corpus: Tokens, seed: int) -> list[Part]:
    """PARTS disjoint parts of a text's documents, drawn at random."""
    order = seeds.stream(seed, "parts of a text").permutation(len(corpus.offsets) - 1)
    return [documents(corpus, np.sort(chosen)) for chosen in np.array_split(order, PARTS)]


def groups(data: Any, members: dict[str, dict[str, int]], far: int, seed: int) -> Arrays:
    """Of each group with FEWEST members that occur LEAST times: texts, count (k,), at (k,), cosines (kinds, windows,
    pairs), order (kinds, windows) and parts (kinds, PARTS, windows), R_order of the whole and of each part, and null
    (kinds, windows, 2), 2.5 and 97.5 % of shuffled orders."""
    seen = np.bincount(data.ids, minlength=data.vocab_size)
    often = {
        name: [(text, id) for text, id in ids.items() if id >= 0 and seen[id] >= LEAST] for name, ids in members.items()
    }
    often = {name: known for name, known in often.items() if len(known) >= FEWEST}
    every = np.unique([id for known in often.values() for _, id in known]).tolist()
    divided, windows = parts_of(data, seed) if every else [], within(far)
    found = [[near(part, every, window) for window in windows] for part in divided]
    whole = [sum(column[1:], start=column[0]) for column in zip(*found, strict=True)]
    out: Arrays = {}
    for name, known in often.items():
        tokens = [id for _, id in known]
        at = np.array([EVERY[name].index(text) for text, _ in known])
        gap, upper = gaps(at, GROUPS[name]), np.triu_indices(len(tokens), 1)
        squares = np.array([[own_cosines(one, tokens, kind) for one in whole] for kind in KINDS])
        parts = [[[ordered(own_cosines(one, tokens, kind), gap) for one in part] for part in found] for kind in KINDS]
        one = {
            "texts": pack(text for text, _ in known),
            "count": seen[tokens],
            "at": at,
            "cosines": squares[..., upper[0], upper[1]].astype(np.float32),
            "order": np.array([[ordered(square, gap) for square in kind] for kind in squares]),
            "parts": np.array(parts),
            "null": np.array([[spread_of(shuffles(square, gap, seed)) for square in kind] for kind in squares]),
        }
        out |= {f"{name}/{key}": value for key, value in one.items()}
    return out


def ordered(square: NDArray[np.float64], gap: NDArray[Any]) -> float:
    """R_order: the correlation of the cosines with the distance in the order."""
    return geometry_small.pearson(geometry_small.pairs(square), geometry_small.pairs(gap))


def shuffles(square: NDArray[np.float64], other: NDArray[Any], seed: int) -> NDArray[np.float64]:
    """The correlation of the pairs of two squares with the second's names shuffled, (DRAWS,)."""
    stream, fixed = seeds.stream(seed, "shuffled group"), geometry_small.pairs(square)
    orders = [stream.permutation(len(square)) for _ in range(DRAWS)]
    return np.array([geometry_small.pearson(fixed, geometry_small.pairs(other[np.ix_(s, s)])) for s in orders])


def spread_of(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """2.5 and 97.5 % of some draws."""
    return np.quantile(draws, [0.025, 0.975])


def statistic(texts: Sequence[TextSignatures], tokens: Sequence[int], name: str, kind: str, far: int) -> list[NDArray]:
    """The cosines of all pairs of one of STATISTICS of some tokens in a text and its two halves; a window ends at
    `far`."""
    which, _, rest = name.partition(" ")
    if which not in ("uniform", "harmonic"):
        return [cosines(text.rows(name, tokens, kind), absent="zero").pairs for text in texts]
    low, high = (min(int(number), far) for number in rest.split("-"))
    halves = [near(half.data, tokens, (low, high), weights(which, (low, high))) for half in texts[1:]]
    found = [sum(halves[1:], start=halves[0]), *halves]
    return [cosines(together(one, kind), absent="zero").pairs for one in found]


def leaders(data: TrainingSet, length: int, far: int) -> Arrays:
    """Of the MOST most frequent tokens: tokens (C,) of the tokenizer, frequency (C,), pairs (statistics, pairs) in 8
    bits and scale (statistics,), and ceilings (statistics,), the square root of the reliability from two halves."""
    texts = [TextSignatures(one, length) for one in (data, *data.halves(0))]
    tokens = texts[0].tokens[:MOST]
    whole, ceilings = [], []
    for name, kind in statistics(far):
        pairs, *halves = statistic(texts, tokens.tolist(), name, kind, far)
        whole.append(pairs - pairs.mean(dtype=float))
        r = geometry_small.pearson(*halves)
        ceilings.append(np.sqrt(2 * r / (1 + r)) if r > 0 else np.nan)
    rows, scale = small(np.array(whole))
    return {
        "tokens": data.kept[tokens],
        "frequency": data.frequency[tokens],
        "pairs": rows,
        "scale": scale,
        "ceilings": np.array(ceilings),
    }


def of_texts(
    names: Sequence[str], texts: Texts, *, scale: str, tokens: int | None = None, furthest: int = 64
) -> runs.Run:
    """The run of some texts as a scale cuts them, a piece a text with `leaders` and `groups`: found, or made now.

    Raises what opening raises, and ValueError for a window longer than every document.
    """
    how = language_model.SCALES[scale]
    tokens = tokens or how.tokens
    config = {"texts": [*names], "scale": scale, "tokens": tokens, "keep": how.keep, "held": how.held}
    config |= {"length": how.length, "furthest": furthest, **texts.identity(names)}
    maker = "probsig.experiments.windows:of_text"
    pieces = {name: runs.Piece(maker, (name, how.length, furthest)) for name in names}
    inputs = functools.partial(texts.sets, names, tokens, how.keep, how.held)
    with texts.enough():
        return runs.run("language-windows", config, pieces, inputs=inputs)


def of_text(name: str, length: int, far: int, inputs: Sets) -> Arrays:
    """`leaders` and `groups` of one text."""
    data = inputs.of(name)
    members = {
        group: dict(zip(ids, data.new_ids(np.array([*ids.values()], dtype=np.int64)).tolist(), strict=True))
        for group, ids in inputs.groups.items()
        if group in GROUPS
    }
    return leaders(data, length, far) | groups(data, members, far, 0)


def of_model(model: Model, texts: Texts, *, furthest: int = 64) -> runs.Run:
    """The run of a pretrained model and the texts that it made, pooled: found, or made now (piece "model").

    The text that is made up at the scale "smoke" is met by an embedding that is made up too. Raises what opening
    raises, and ValueError for a window longer than every document.
    """
    names, config, opened = asked(model, texts)
    config["furthest"] = furthest
    pieces = {"model": runs.Piece("probsig.experiments.windows:of_pretrained", (names, furthest, texts.seed))}
    with texts.enough():
        return runs.run("language-follows", config, pieces, inputs=opened)


def pooled(each: Sequence[Tokens]) -> TrainingSet:
    """Texts of one tokenizer one after the other, their documents kept apart; where these are fewer than DOCUMENTS they
    are cut, so that the text has parts."""
    ids = np.concatenate([np.asarray(one.ids, dtype=np.uint32) for one in each])
    starts = np.cumsum([0, *(len(one.ids) for one in each)])
    offsets = np.concatenate([[0], *(one.offsets[1:] + start for one, start in zip(each, starts, strict=False))])
    if len(offsets) <= DOCUMENTS:
        offsets = np.union1d(offsets, np.linspace(0, len(ids), DOCUMENTS + 1).round())
    every = np.arange(each[0].vocab_size)
    return TrainingSet("pooled", ids, offsets.astype(np.int64), every, len(every))


def of_pretrained(names: Sequence[str], far: int, seed: int, inputs: Opened) -> Arrays:
    """`leaders` and `groups` of the pooled texts, and of the model's rows minus their mean: top (pairs,) over the
    tokens of `leaders`; of each group W (pairs,), W_order, W_null (2,), follows (kinds, windows), R_cos with each
    window, and follows_null (kinds, windows, 2)."""
    each = [inputs.corpora.corpora[name] for name in names]
    data = pooled(each)
    members = {name: ids for name, ids in groups_of(each[0].tokenizer).items() if name in GROUPS}
    size = inputs.checkpoint.shape[0]
    members = {name: {text: id for text, id in ids.items() if id < size} for name, ids in members.items()}
    out = leaders(data, 256, far) | groups(data, members, far, seed)
    rows = inputs.checkpoint.rows(out["tokens"]).astype(float)
    out["top"] = cosines(rows - rows.mean(axis=0)).pairs
    for name in [name for name in GROUPS if f"{name}/at" in out]:
        texts, at = [*members[name]], out[f"{name}/at"]
        tokens = [members[name][text] for text in texts if EVERY[name].index(text) in at]
        rows = inputs.checkpoint.rows(tokens).astype(float)
        own = cosines(rows - rows.mean(axis=0)).square().astype(float)
        k, gap = len(tokens), gaps(at, GROUPS[name])
        squares = np.zeros((*out[f"{name}/cosines"].shape[:2], k, k))
        upper = np.triu_indices(k, 1)
        squares[..., upper[0], upper[1]] = squares[..., upper[1], upper[0]] = out[f"{name}/cosines"]
        one = {
            "W": own[upper].astype(np.float32),
            "W_order": np.array([ordered(own, gap)]),
            "W_null": spread_of(shuffles(own, gap, seed)),
            "follows": np.array([[ordered(own, square) for square in kind] for kind in squares]),
            "follows_null": np.array([[spread_of(shuffles(own, square, seed)) for square in kind] for kind in squares]),
        }
        out |= {f"{name}/{key}": value for key, value in one.items()}
    return out
