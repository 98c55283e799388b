"""What the runs of `experiments.new_token` train and keep, imported only when something is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from probsig import seeds
from probsig.counts.bigrams import counted
from probsig.counts.bigrams import merged as added_up
from probsig.experiments import new_token
from probsig.experiments.language_model import looks
from probsig.experiments.makers import Means, network_of, recipe_of
from probsig.experiments.new_token import FROM, LEVELS, MATRICES, PLACES, SEEN, STARTS, Sizes
from probsig.experiments.pretrained import Opened
from probsig.experiments.texts import Sets, pack
from probsig.geometry import maps
from probsig.language import networks, training
from probsig.runs.drafts import Draft
from probsig.text import vocabulary
from probsig.text.training_set import TrainingSet, documents

Arrays = dict[str, np.ndarray]
Array = NDArray[np.float64]


def added(config: Mapping[str, Any], inputs: Sets, draft: Draft | None = None, means: Means | None = None) -> Arrays:
    """A network with rare tokens, what detectors say of them, and new tokens with each start: the arrays that
    `new_token.added` names."""
    means, data, seed = means or Means(), inputs.of(config["corpus"]), config["seed"]
    sizes = Sizes(**{name: tuple(v) if isinstance(v, list) else v for name, v in config["added"].items()})
    plan = new_token.plan(data, sizes, seed)
    recipe, model = recipe_of(config), network_of(config, data)
    start = networks.embeddings(model)
    epoch = recipe.epoch(plan.thinned)
    log = training.train(
        model,
        plan.thinned,
        recipe,
        seed=seed,
        look_at=looks(epoch, 1, config["looks"]),
        held=data.held,
        device=means.device,
        turn=means.turn,
        until=means.until,
        draft=draft,
    )
    out = log.arrays()
    if means.until is not None:
        return out
    W = dict(zip(MATRICES, networks.embeddings(model), strict=True))
    fitting = np.setdiff1d(data.frequent(data.vocab_size, sizes.seen), plan.rare)
    judged = np.concatenate([fitting, plan.rare.ravel()])
    read = maps.signatures(data.counts, judged)
    basis = maps.basis(read[: len(fitting)], sizes.components, seed)
    features = basis.features(read, data.frequency[judged])
    known = features[: len(fitting)]
    scores, found = [], []
    for key, before in zip(MATRICES, start, strict=True):
        held = maps.held_out(known, W[key][fitting], data.frequency[fitting], folds=sizes.folds, seed=seed)
        scores.append([held.r2, held.shuffled, held.frequency])
        fit = maps.fitted(known, W[key][fitting])
        predicted = np.concatenate([held.predicted, fit.rows(features[len(fitting) :])])
        found.append(_detectors(W[key], before, predicted, judged, plan.rare[0, ::2], fitting))
    level = np.full(len(judged), -1)
    level[len(fitting) :] = np.repeat(np.arange(len(LEVELS)), sizes.each)
    told = np.isin(judged, plan.rare[0, ::2], invert=True)  # known to be unused, so nobody asks
    out |= {
        "fit": np.array(scores),
        "rare/seen": plan.thinned.frequency[plan.rare],
        "rare/frequency": data.frequency[plan.rare],
        "level": level[told],
        "often": data.frequency[judged][told],
        "detectors": np.array(found)[:, :, told].astype(np.float32),
        "words": pack(inputs.text(int(data.kept[token])) for token in plan.pairs.ravel()),
    }
    return out | _starts(config, sizes, plan, data, model, basis, W, known, fitting, means, draft)


def _detectors(
    W: NDArray, before: NDArray, predicted: Array, judged: NDArray, unused: NDArray, fitting: NDArray
) -> list[Array]:
    """What each of DETECTORS says of the judged rows, higher where a row looks less trained."""
    rows, mean = W[judged].astype(np.float64), W[fitting].mean(axis=0).astype(np.float64)
    far = np.linalg.norm(rows - W[unused].astype(np.float64).mean(axis=0), axis=1)
    spare = W.astype(np.float64) - W.mean(axis=0)
    spare -= np.outer(spare @ (leading := np.linalg.svd(spare, full_matrices=False)[2][0]), leading)
    return [
        -_cosine(rows - mean, predicted - mean),
        -np.linalg.norm(rows - before[judged], axis=1),
        _cosine(rows, mean[None]),
        -far,
        _cosine(spare[judged], spare[unused].mean(axis=0)[None]),
    ]


def _cosine(one: Array, other: Array) -> Array:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / np.where(norms > 0, norms, 1)


def _starts(
    config: Mapping[str, Any],
    sizes: Sizes,
    plan: new_token.Plan,
    data: TrainingSet,
    model: Any,
    basis: maps.Basis,
    W: Mapping[str, NDArray],
    known: Array,
    fitting: NDArray[np.int64],
    means: Means,
    draft: Draft | None,
) -> Arrays:
    """The losses with new tokens, from each start on; the starts that are done are kept beside the draft."""
    new = vocabulary.merge(plan.thinned, plan.pairs)
    V, k = data.vocab_size, len(plan.pairs)
    tokens = V + np.arange(k)
    features = basis.features(maps.signatures(new.counts, tokens, V), new.frequency[tokens])
    rows: dict[str, list[Array]] = {start: [] for start in STARTS}
    for key in MATRICES:
        stream, matrix = seeds.stream(config["seed"], "new rows", key), W[key]
        rows["noise"].append(stream.standard_normal((k, matrix.shape[1])) * matrix.std())
        rows["mean row"].append(np.tile(matrix.mean(axis=0), (k, 1)))
        rows["mean of parts"].append(matrix[plan.pairs].mean(axis=1))
        rows["signature"].append(maps.fitted(known, matrix[fitting]).rows(features))
    recipe = training.Recipe(batch=config["batch"], length=config["length"] // 2, lr=sizes.rate)
    recipe = training.Recipe(
        epochs=-(-sizes.steps // recipe.epoch(new)), batch=recipe.batch, length=recipe.length, lr=recipe.lr
    )
    tests = new.held.rows(config["length"])  # type: ignore[union-attr]
    beside = {name: draft and Draft(draft.folder.with_name(name), draft.stop) for name in ("done", *STARTS)}
    identity = {"starts": list(STARTS), "pairs": plan.pairs.tolist(), "steps": list(sizes.at)}
    kept = beside["done"].load(identity) if beside["done"] else None
    losses = list(kept[1]["loss"]) if kept else []
    for start in STARTS[len(losses) :]:
        larger = _larger(config, new, model, rows[start])
        log = training.train(
            larger,
            new,
            recipe,
            seed=config["seed"],
            look=lambda step, model: {"": {"loss": _by_place(model, tests, V)}},
            look_at=sizes.at,
            device=means.device,
            turn=means.turn,
            until=sizes.steps,
            draft=beside[start],
        )
        losses.append(log.arrays()["loss"])
        if beside["done"]:
            beside["done"].save(identity, len(losses), {"loss": np.array(losses)}, at_once=True)
    return {
        "pairs/seen": new.frequency[tokens],
        "at": np.array(sizes.at),
        "loss": np.array(losses),
        "parts": _in_two(model, data, plan.pairs, config["length"]),
    }


def _larger(config: Mapping[str, Any], new: TrainingSet, model: Any, rows: Sequence[Array]) -> Any:
    """The network with more rows, those of the new tokens as given."""
    larger = network_of(config, new)
    old = model.state_dict()
    with torch.no_grad():
        for name, weight in larger.state_dict().items():
            extra = {"model.embed_tokens.weight": 0, "lm_head.weight": 1}.get(name)
            if extra is None:
                weight.copy_(old[name])
            else:
                weight.copy_(torch.cat([old[name].cpu(), torch.from_numpy(rows[extra]).float()]))
    return larger


def _losses(model: Any, inputs: NDArray) -> NDArray[np.float32]:
    """Minus the log probability of every token at every place, a row of text at a time: (T, V)."""
    device = model.get_input_embeddings().weight.device
    with torch.no_grad():
        hidden = networks.hidden_states(model, torch.from_numpy(inputs[None].astype(np.int64)).to(device))[0]
        return -torch.log_softmax(hidden @ networks.unembeddings(model)[0].T, dim=-1).float().cpu().numpy()


def _by_place(model: Any, rows: tuple[NDArray, NDArray], V: int) -> Array:
    """The mean loss at each of PLACES, (3,)."""
    total, often = np.zeros(len(PLACES)), np.zeros(len(PLACES))
    for inputs, goals in zip(*rows, strict=True):
        there = goals >= 0
        each = _losses(model, inputs)[np.arange(len(goals)), np.where(there, goals, 0)]
        for place, which in enumerate((there, there & (goals >= V), there & (inputs >= V))):
            total[place] += each[which].sum()
            often[place] += which.sum()
    return total / np.maximum(often, 1)


def _in_two(model: Any, data: TrainingSet, pairs: NDArray, length: int) -> Array:
    """What a network has for held-out text with its pairs in two: the mean loss a token of the merged text, of a pair
    (both losses added), and of the token after it, (3,)."""
    held, second = data.held, np.full(data.vocab_size, -1)
    second[pairs[:, 0]] = pairs[:, 1]
    total, often = np.zeros(len(PLACES)), np.zeros(len(PLACES))
    for inputs, goals in zip(*held.rows(length), strict=True):  # type: ignore[union-attr]
        there = goals >= 0
        each = _losses(model, inputs)[np.arange(len(goals)), np.where(there, goals, 0)]
        ends = there & (goals == second[inputs])  # a pair ends with this goal
        ahead = np.flatnonzero(ends[1:] & there[:-1])  # its first token is the goal here
        after = np.flatnonzero(ends[:-1] & there[1:]) + 1
        total += [each[there].sum(), each[ahead].sum() + each[ahead + 1].sum(), each[after].sum()]
        often += [there.sum() - ends.sum(), len(ahead), len(after)]
    return total / np.maximum(often, 1)


def shipped(names: Sequence[str], config: Mapping[str, Any], which: str, inputs: Opened) -> Arrays:
    """The map of a shipped embedding from one of `new_token.FROM`: the arrays that `new_token.shipped` names."""
    corpora, seed = [inputs.corpora.corpora[name] for name in names], config["seed"]
    counts = added_up([inputs.corpora.counts(name) for name in names])
    frequency = np.minimum(counts.row_totals(), np.bincount(counts.columns, counts.entries, counts.vocab_size))
    order = np.argsort(-frequency, kind="stable")
    tokens = order[(frequency[order] >= SEEN) & (order < inputs.checkpoint.shape[0])][: config["most"]]
    W, often, V = inputs.checkpoint.rows(tokens.tolist()).astype(np.float64), frequency[tokens], counts.vocab_size
    sides, portion = FROM[which]
    if portion < 1:
        parts = []
        for i, corpus in enumerate(corpora):
            number = len(corpus.offsets) - 1
            chosen = seeds.stream(seed, "portion", str(i)).permutation(number)[: max(1, round(portion * number))]
            parts.append(counted(documents(corpus, np.sort(chosen))))
        counts = added_up(parts)
    read = maps.signatures(counts, tokens)[:, sides[0] * V : sides[1] * V]
    features = maps.basis(read, config["components"], seed).features(read, counts.row_totals()[tokens])
    held = maps.held_out(features, W, often, seed=seed)
    return {
        "scores": np.array([held.r2, held.shuffled, held.frequency]),
        "ranks": held.ranks.astype(np.int32),
        "frequency": often.astype(np.int64),
        "size": np.array([sum(len(one.ids) for one in corpora), *inputs.checkpoint.shape], dtype=np.int64),
    }
