"""What the language runs train and keep: one function a kind, imported only when something is made.

A maker gets the run's config, its inputs (`experiments.texts.Sets`), a draft for its state, and `Means`: how, not what.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from probsig import seeds
from probsig.errors import one_of
from probsig.experiments import causal_geometry
from probsig.experiments.edited_text import SIGNATURES as EDIT_SIGNATURES
from probsig.experiments.edited_text import TEXTS
from probsig.experiments.heads import BEFORE, KINDS, SIGNATURES, SIZES
from probsig.experiments.language_model import looks
from probsig.experiments.texts import Sets, pack
from probsig.experiments.velocity import looks as velocity_looks
from probsig.geometry import reliability
from probsig.geometry import small as geometry_small
from probsig.geometry.large import Cosines, correlations, cosines
from probsig.language import networks, training, updates
from probsig.language.measures import DRAWS, Measures, small
from probsig.language.shares import Judge
from probsig.language.signatures import LEAST, SIDES, TextSignatures
from probsig.language.velocity import without_norms
from probsig.runs.drafts import Draft
from probsig.text import edits
from probsig.text.training_set import TrainingSet

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Means:
    """How a run is made, none of which shapes its numbers (beyond the device's rounding): the device; what is entered
    while it is needed, a lock for instance; who takes a measure (`name`, rows...) off the training's hands; and how
    many steps are taken (None: all), for a replay, which measures in full nowhere."""

    device: str = "auto"
    turn: contextlib.AbstractContextManager[Any] | None = None
    apart: Callable[..., Future[Any]] | None = None
    until: int | None = None


def recipe_of(config: Mapping[str, Any]) -> updates.Recipe:
    """The recipe of a config."""
    return updates.Recipe(**{name: config[name] for name in ("epochs", "batch", "length", "lr") if name in config})


def network_of(config: Mapping[str, Any], data: Any, **options: Any) -> Any:
    """The untrained network of a config, for a training set; raises ValueError for what `networks.build` refuses and an
    unknown shape."""
    sizes = {"vocab_size": data.vocab_size, "original": data.original}
    init = config.get("init", "vocab")
    one_of("shape", config["shape"], networks.SHAPES)
    shape = networks.SHAPES[config["shape"]]
    options |= {"init": init, "seed": config["seed"], "attention": config.get("attention", "causal")}
    return networks.build(config["architecture"], shape, **sizes, **options)


def language_model(
    config: Mapping[str, Any], inputs: Sets, draft: Draft | None = None, means: Means | None = None
) -> Arrays:
    """A model on one text, watched while it trains and measured in full at the start, after an epoch and at the end:
    the arrays that `experiments.language_model.trained` names."""
    data, means = inputs.of(config["corpus"]), means or Means()
    recipe = recipe_of(config)
    measures = Measures(data, inputs.sets, inputs.groups, config["length"], config["seed"])
    epoch = recipe.epoch(data)
    full = {0, epoch, epoch * recipe.epochs} if means.until is None else set()

    def measure(which: str, *arguments: Any) -> Any:
        return means.apart(which, *arguments) if means.apart else getattr(measures, which)(*arguments)

    def look(step: int, model: Any) -> dict[str, Any]:
        parts = {"": measure("watched", *networks.rows(model, measures.watched_rows))}
        if step in full:
            for side, W in zip(SIDES, networks.rows(model, measures.analysed_rows), strict=True):
                parts[f"{side}/"] = measure("analysed", side, W)
            parts["others/"] = measure("crossed", *networks.rows(model, measures.crossed_rows))
        if step in full - {0}:  # the start is known from the seed
            for key, W in zip(("W_E", "W_U"), networks.rows(model, measures.kept_rows), strict=True):
                rounded, factor = small(W)
                parts[f"{key}/"] = {"rows": rounded, "scale": factor}
        return parts

    log = training.train(
        network_of(config, data),
        data,
        recipe,
        seed=config["seed"],
        look=look,
        look_at=looks(epoch, recipe.epochs, config["looks"]),
        held=data.held,
        device=means.device,
        turn=means.turn,
        until=means.until,
        draft=draft,
    )
    facts = measures.about() | {"epoch": np.array([epoch], dtype=np.int64)}
    for name, members in inputs.groups.items():
        facts[f"names/{name}"] = np.frombuffer(json.dumps(list(members)).encode(), np.uint8)
    return log.arrays() | {f"data/{key}": array for key, array in facts.items()}


def velocity(config: Mapping[str, Any], inputs: Sets, draft: Draft | None = None, means: Means | None = None) -> Arrays:
    """The velocity of W_E of a model along one epoch, against every formula: the arrays that
    `experiments.velocity.velocities` names."""
    data, means = inputs.of(config["corpus"]), means or Means()
    model, recipe = network_of(config, data), recipe_of(config)
    model = model if config["norms"] else without_norms(model)
    read, targets = data.rows(config["length"])
    if config["rows"] and config["rows"] < len(read):
        chosen = np.sort(seeds.stream(0, "rows", data.name).permutation(len(read))[: config["rows"]])
        read, targets = read[chosen], targets[chosen]
    judge, steps = Judge(read, targets, data.vocab_size, config["seed"]), velocity_looks(recipe.epoch(data))
    log = training.train(
        model,
        data,
        recipe,
        seed=config["seed"],
        look=lambda step, model: {"": judge.measure(model)},
        look_at=steps,
        held=data.held,
        device=means.device,
        turn=means.turn,
        until=means.until,
        draft=draft,
    )
    return log.arrays() | {
        "epoch": np.array([recipe.epoch(data)], dtype=np.int64),
        "often": judge.often,
        "size": np.array([len(data.ids), data.vocab_size, np.count_nonzero(targets >= 0)], dtype=np.int64),
    }


def heads(config: Mapping[str, Any], inputs: Sets, draft: Draft | None = None, means: Means | None = None) -> Arrays:
    """A model with a head for each of several distances, against the signatures at every distance: the arrays that
    `experiments.heads.trained` names."""
    data, means, distances = inputs.of(config["corpus"]), means or Means(), config["distances"]
    recipe, text = recipe_of(config), TextSignatures(data, config["length"])
    tokens = text.tokens[: SIZES[-1]]
    sizes, epoch = [min(C, len(tokens)) for C in SIZES], recipe.epoch(data)
    full = {0, epoch} if means.until is None else set()

    def over(W: np.ndarray, names: Sequence[str], compared: Callable[[Cosines, Cosines], Any]) -> np.ndarray:
        rows, out = np.asarray(W, dtype=np.float64), []
        for kind in KINDS:
            own = [cosines(rows[:C] - (rows[:C].mean(axis=0) if kind == "centred" else 0)) for C in sizes]
            known = [[text.cosines(name, C, kind) for name in names] for C in sizes]
            out.append([[compared(a, b) for b in others] for a, others in zip(own, known, strict=True)])
        return np.array(out)

    def alignment(W: np.ndarray, names: Sequence[str]) -> np.ndarray:
        return over(W, names, lambda a, b: correlations(a, b).overall)

    def shuffled(a: Cosines, b: Cosines) -> np.ndarray:
        return reliability.matched_null(a, b, data.frequency[tokens[: a.size]], DRAWS, config["seed"], 50)

    def look(step: int, model: Any) -> dict[str, Any]:
        W_E, *W_U = networks.rows(model, tokens, heads=True)
        found = {"rcos": alignment(W_E, SIGNATURES), "unembedding": np.stack([alignment(W, BEFORE) for W in W_U])}
        return {"": found | ({"null": over(W_E, SIGNATURES, shuffled)} if step in full else {})}

    log = training.train(
        network_of(config, data, heads=len(distances)),
        data,
        recipe,
        seed=config["seed"],
        distances=distances,
        look=look,
        look_at=looks(epoch, 1, config["looks"]),
        held=data.held,
        device=means.device,
        turn=means.turn,
        until=means.until,
        draft=draft,
    )
    between = [[[text.cosines(name, C, kind) for name in SIGNATURES] for C in sizes] for kind in KINDS]
    return log.arrays() | {
        "between": np.array([[[[correlations(a, b).overall for b in row] for a in row] for row in k] for k in between]),
        "ceilings": np.stack([text.ceilings(SIGNATURES, sizes, kind).T for kind in KINDS]),
        "sizes": np.array(sizes, dtype=np.int64),
        "size": np.array([len(data.ids), len(data.offsets) - 1, data.vocab_size], dtype=np.int64),
        "epoch": np.array([epoch], dtype=np.int64),
    }


def _edit(config: Mapping[str, Any], inputs: Sets) -> tuple[TrainingSet, edits.Edit]:
    data, seed = inputs.of(config["corpus"]), config["seed"]
    of = {name: config[name] for name in ("groups", "size", "least")} | {"ranks": (config["first"], config["last"])}
    return data, edits.edit(data, edits.choose(data, seed=seed, **of), seed)


def edit(config: Mapping[str, Any], inputs: Sets) -> Arrays:
    """What an edit did to the text: frequency and moved (arms, groups, size), share, of places that hold another token;
    for each of TEXTS and SIGNATURES, <text>/<signature>, the cosines of all pairs of chosen tokens about their mean
    (pairs,), and <text>/<signature> raw, of the pairs within groups (arms, groups, pairs), not about the mean; likeness
    (2, tokens) and others (2, m), the cosine of phi^next and of varphi^pre before and after the edit, of the chosen
    tokens and of all others seen LEAST times; words, the chosen tokens' texts (UTF-8 JSON), in the order of
    `text.edits.choose`; size (tokens, documents, ids)."""
    data, edited = _edit(config, inputs)
    chosen = edited.chosen.ravel()
    out: Arrays = {"frequency": data.frequency[edited.chosen], "moved": edited.moved}
    out["share"] = np.array([np.mean(data.ids != edited.data.ids)])
    texts = [TextSignatures(one, config["length"]) for one in (data, edited.data)]
    for which, text in zip(TEXTS, texts, strict=True):
        for signature in EDIT_SIGNATURES:
            about = cosines(text.rows(signature, chosen, "centred"), absent="zero")
            out[f"{which}/{signature}"] = about.pairs.astype(np.float16)
            whole = cosines(text.rows(signature, chosen), absent="zero")
            groups = np.arange(len(chosen)).reshape(-1, config["size"])
            inside = np.array([geometry_small.pairs(whole.square(group)) for group in groups])
            out[f"{which}/{signature} raw"] = inside.reshape(*edited.chosen.shape[:-1], -1).astype(np.float16)
    rest = np.setdiff1d(data.frequent(data.vocab_size, LEAST), chosen)
    for key, tokens in (("likeness", chosen), ("others", rest)):
        out[key] = np.array([_likeness(*texts, side, tokens) for side in SIDES]).astype(np.float16)
    out["words"] = pack(inputs.text(int(token)) for token in data.kept[chosen])
    out["size"] = np.array([len(data.ids), len(data.offsets) - 1, data.vocab_size], dtype=np.int64)
    return out


def _likeness(one: TextSignatures, other: TextSignatures, side: str, tokens: np.ndarray) -> np.ndarray:
    """The cosine of each token's signature in two texts, 0 where it has none."""
    a, b = (text.rows(side, tokens) for text in (one, other))
    norms = np.sqrt(a.multiply(a).sum(axis=1) * b.multiply(b).sum(axis=1))
    return a.multiply(b).sum(axis=1) / np.where(norms > 0, norms, 1)


def edited_model(
    config: Mapping[str, Any], which: str, inputs: Sets, draft: Draft | None = None, means: Means | None = None
) -> Arrays:
    """A model of the text or of its edited twin: the rows of the chosen tokens at the start and at the end."""
    means = means or Means()
    data, edited = _edit(config, inputs)
    chosen, one = edited.chosen.ravel(), data if which == TEXTS[0] else edited.data
    recipe = recipe_of(config)
    last = recipe.epoch(one)

    def look(step: int, model: Any) -> dict[str, Any]:
        if step != last and (step or which != TEXTS[0]):
            return {}  # both texts start alike
        both = networks.rows(model, chosen)
        return {"": {key: W.astype(np.float16) for key, W in zip(("W_E", "W_U"), both, strict=True)}}

    log = training.train(
        network_of(config, one),
        one,
        recipe,
        seed=config["seed"],
        look=look,
        look_at=looks(last, 1, config["looks"]),
        held=data.held,
        device=means.device,
        turn=means.turn,
        until=means.until,
        draft=draft,
    )
    arrays = {name.replace("0/", "start/", 1) if name.startswith("0/") else name: a for name, a in log.arrays().items()}
    return {name.removeprefix(f"{last}/"): array for name, array in arrays.items()}


def _dealt(config: Mapping[str, Any], inputs: Sets) -> causal_geometry.Dealt:
    data = inputs.of(config["corpus"])
    members = data.new_ids(np.array([*inputs.groups["digits"].values()], dtype=np.int64))
    of = {name: config[name] for name in ("ring", "least", "width", "seed")}
    return causal_geometry.make(data, members.tolist(), ranks=(config["first"], config["last"]), **of)


def dealt_texts(config: Mapping[str, Any], inputs: Sets) -> Arrays:
    """What the counts of both texts say before anything is trained: the arrays that `causal_geometry.trained` names."""
    made = _dealt(config, inputs)
    every = np.concatenate([made.ring, made.exchanged])
    out: Arrays = {
        "words": pack(inputs.text(int(token)) for token in made.texts["control"].kept[every]),
        "takes": made.takes,
        "frequency": np.stack([one.frequency[every] for one in made.texts.values()]),
    }
    nats = []
    for which, data in made.texts.items():
        text = TextSignatures(data, config["length"])
        for name, tokens in (("ring", made.ring), ("exchanged", made.exchanged)):
            for side in SIDES:
                out[f"{which}/{name}/{side}"] = causal_geometry.gram(text.rows(side, tokens).toarray())
        pairs, single = data.counts.entries / data.counts.total, data.counts.row_totals() / data.counts.total
        both, one = (-(p[p > 0] * np.log(p[p > 0])).sum() for p in (pairs, single))
        nats.append([one, both - one])
    return out | {"nats": np.array(nats)}


def dealt_model(
    config: Mapping[str, Any], which: str, inputs: Sets, draft: Draft | None = None, means: Means | None = None
) -> Arrays:
    """A network of one of the two texts: the arrays that `causal_geometry.trained` names."""
    means, made = means or Means(), _dealt(config, inputs)
    data, recipe = made.texts[which], recipe_of(config)
    model, every = network_of(config, data), np.concatenate([made.ring, made.exchanged])
    start = networks.rows(model, every)

    def look(step: int, model: Any) -> dict[str, Any]:
        out = {}
        for key, W, before in zip(("W_E", "W_U"), networks.rows(model, every), start, strict=True):
            for name, part in zip(causal_geometry.SETS, np.split(W - before, [len(made.ring)]), strict=True):
                out[f"{name}/{key}"] = causal_geometry.gram(part).astype(np.float32)
        return {"": out}

    last = recipe.epoch(data)
    log = training.train(
        model,
        data,
        recipe,
        seed=config["seed"],
        look=look,
        look_at=looks(last, 1, config["looks"]),
        device=means.device,
        turn=means.turn,
        until=means.until,
        draft=draft,
    )
    return log.arrays()
