"""What the runs of `experiments.start` train and measure, imported only when something is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from probsig.counts.bigrams import counted
from probsig.experiments.language_model import looks
from probsig.experiments.makers import Means, network_of, recipe_of
from probsig.experiments.start import INIT, USUAL
from probsig.experiments.texts import Sets
from probsig.language import networks, starts, training
from probsig.language.yardsticks import yardsticks
from probsig.runs.drafts import Draft
from probsig.text.training_set import TrainingSet

TURNS = 3  # a cost is the least of so many
STEPS = 20  # steps of training whose time is taken
Arrays = dict[str, np.ndarray]


def _begun(config: Mapping[str, Any], arm: str, data: TrainingSet) -> Any:
    """The network of an arm before its first step."""
    model = network_of({**config, "init": INIT[arm]}, data)
    if arm in USUAL:
        return model
    norms = [float(np.linalg.norm(W, axis=1).mean()) for W in networks.embeddings(model)]
    rows = starts.from_counts(data.counts, model.config.hidden_size, norms=(norms[0], norms[1]), seed=config["seed"])
    whose = starts.dealt(data.frequency, config["seed"]) if arm == "shuffled" else np.arange(data.vocab_size)
    with torch.no_grad():
        for layer, W in zip((model.get_input_embeddings(), model.get_output_embeddings()), rows, strict=True):
            layer.weight.copy_(torch.from_numpy(W[whose]))
    return model


def network(
    config: Mapping[str, Any], arm: str, inputs: Sets, draft: Draft | None = None, means: Means | None = None
) -> Arrays:
    """A network from one start: the arrays that `trained` names."""
    data, means = inputs.of(config["corpus"]), means or Means()
    recipe = recipe_of({**config, "lr": config["rates"][arm]})
    return training.train(
        _begun(config, arm, data),
        data,
        recipe,
        seed=config["seed"],
        look_at=looks(recipe.epoch(data), 1, config["looks"]),
        held=data.held,
        device=means.device,
        turn=means.turn,
        until=means.until,
        draft=draft,
    ).arrays()


def cost(config: Mapping[str, Any], inputs: Sets) -> Arrays:
    """What the signature start costs, beside a step of training; and the yardsticks of the text."""
    data, recipe = inputs.of(config["corpus"]), recipe_of(config)
    model = network_of({**config, "init": INIT["signature"]}, data)
    hidden, taken = model.config.hidden_size, min(STEPS, recipe.epoch(data))

    def steps() -> None:
        training.train(model, data, recipe, seed=config["seed"], device="cpu", until=taken)

    spent = [
        _seconds(lambda: counted(data)),
        _seconds(lambda: starts.from_counts(data.counts, hidden, seed=config["seed"])),
        _seconds(steps) / taken,
    ]
    found = yardsticks(data)
    return {
        "seconds": np.array(spent),
        "nats": np.array([found.entropy, found.unigram, found.bigram]),
        "size": np.array([len(data.ids), len(data.offsets) - 1, data.vocab_size], dtype=np.int64),
    }


def _seconds(work: Callable[[], Any]) -> float:
    """The least seconds of one core over TURNS, the first left out, which compiles and loads."""
    spent = []
    with threadpool_limits(1):
        for _ in range(1 + TURNS):
            begun = time.thread_time()
            work()
            spent.append(time.thread_time() - begun)
    return min(spent[1:])
