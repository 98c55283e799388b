"""What the runs of `experiments.left_out` train and keep, imported only when something is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probsig.experiments import left_out
from probsig.experiments.language_model import looks
from probsig.experiments.left_out import LAW, MARKS
from probsig.experiments.makers import Means, network_of, recipe_of
from probsig.experiments.texts import Sets, pack
from probsig.geometry.large import cosines
from probsig.language import networks, training
from probsig.runs.drafts import Draft
from probsig.signatures import tokens as laws
from probsig.signatures.left_out import laws_without
from probsig.text.training_set import REST

Arrays = dict[str, np.ndarray]


def _planned(config: Mapping[str, Any], inputs: Sets) -> left_out.Plan:
    of = {name: config[name] for name in ("parts", "compared", "least", "length", "seed")}
    return left_out.plan(inputs.of(config["corpus"]), **of)


def text(config: Mapping[str, Any], inputs: Sets) -> Arrays:
    """What the counts foretell before anything is trained: the arrays that `left_out.trained` names."""
    plan, number = _planned(config, inputs), config["parts"]
    data, tokens, often = plan.parts.data, plan.tokens, left_out.shares(plan.parts, number)
    members = {name: data.new_ids(np.array([*ids.values()], dtype=np.int64)) for name, ids in inputs.groups.items()}
    there = {name: np.flatnonzero(np.isin(tokens, ids)) for name, ids in members.items()}
    most = "digits" if len(there["digits"]) > 3 else max(there, key=lambda name: len(there[name]))
    out: Arrays = {
        "words": pack(inputs.text(int(token)) for token in data.kept[tokens]),
        "frequency": data.frequency[tokens],
        "group": there[most],
        "size": plan.gone.sum(axis=1) * config["length"],
        "share": (often / np.maximum(often.sum(axis=0), 1))[:, tokens],
        "marks": pack(_marks(often, data.kept, inputs)),
    }
    of = np.append(plan.gone[-1], False)[data.offsets[:-1] // config["length"]]
    trained = [plan.text(which, config["seed"]) for which in left_out.arms(number)[1:]]
    pairs, single = data.counts.entries / data.counts.total, data.counts.row_totals() / data.counts.total
    both, one = (-(p[p > 0] * np.log(p[p > 0])).sum() for p in (pairs, single))
    out["nats"] = np.array([one, both - one])
    for law in LAW.values():
        whole = _cosines(laws.skip(data.counts, tokens.tolist(), "centred", law))
        rests = [*laws_without(data, plan.parts.of_documents, tokens.tolist(), law)]
        rests += laws_without(data, np.where(of, 0, -1), tokens.tolist(), law)
        change = np.array([_cosines(laws.centred(rest)) for rest in rests]) - whole
        counted = [_cosines(laws.skip(one.counts, tokens.tolist(), "centred", law)) - whole for one in trained]
        out |= {f"{law}/whole": whole.astype(np.float16), f"{law}/change": change.astype(np.float16)}
        out[f"{law}/counted"] = np.diag(left_out.correlations(np.array(counted), change))
    return out


def _marks(often: np.ndarray, kept: np.ndarray, inputs: Sets) -> list[str]:
    """The MARKS tokens of each part in turn that say most that it is this one, by their share of the divergence of its
    frequencies from the rest's."""
    found = []
    for own in often:
        rest = often.sum(axis=0) - own
        p, q = ((one + 0.5) / (one + 0.5).sum() for one in (own, rest))
        order = np.argsort(-p * np.log(p / q), kind="stable")
        found += [inputs.text(int(kept[token])) for token in order[kept[order] != REST][:MARKS]]
    return found


def _cosines(rows: Any) -> np.ndarray:
    return np.asarray(cosines(rows, absent="zero").pairs, dtype=np.float64)


def model(
    config: Mapping[str, Any], which: str, inputs: Sets, draft: Draft | None = None, means: Means | None = None
) -> Arrays:
    """A network of one of `left_out.arms`: the arrays that `left_out.trained` names."""
    means, plan = means or Means(), _planned(config, inputs)
    data, recipe = plan.text(which, config["seed"]), recipe_of(config)
    network = network_of(config, data)
    start, last = networks.rows(network, plan.tokens), recipe.epoch(data)
    log = training.train(
        network,
        data,
        recipe,
        seed=config["seed"],
        look_at=looks(last, 1, config["looks"]),
        device=means.device,
        turn=means.turn,
        until=means.until,
        draft=draft,
    )
    out = log.arrays()
    if means.until is not None:
        return out
    for key, W, before in zip(LAW, networks.rows(network, plan.tokens), start, strict=True):
        learned = np.asarray(W, dtype=np.float64) - before
        centred = cosines(learned - learned.mean(axis=0), absent="zero")
        out[key] = np.asarray(centred.pairs).astype(np.float16)
    return out
