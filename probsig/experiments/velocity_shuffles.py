r"""The cosines of velocities of W_E beside those of phi^next, with shuffles: what `velocity` keeps no null of.

One run trains the network of `velocity.velocities` again, with its norm layers, over the first steps of its epoch. At
each look the cosines of tokens' velocities are correlated with those of the rows of N, which are phi^next's, for the
whole velocity and its two parts (`language.velocity`), and again after shuffles of tokens of a similar frequency.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probsig import runs, seeds
from probsig.experiments.makers import Means, network_of, recipe_of
from probsig.experiments.texts import Sets, Texts
from probsig.experiments.velocity import asked, looks
from probsig.geometry import reliability
from probsig.geometry.large import correlations, cosines
from probsig.language import training
from probsig.language.measures import DRAWS
from probsig.language.shares import GROUP, Judge
from probsig.language.velocity import signatures, velocity_and_formulas
from probsig.runs.drafts import Draft

PARTS = ("whole", "own place", "later places")
LAST = 256
"""The last step that is looked at."""


def shuffled(
    name: str,
    texts: Texts,
    *,
    architecture: str,
    scale: str,
    seed: int,
    init: str | float = "vocab",
    means: Any = None,
    **others: Any,
) -> runs.Run:
    """The run of the shuffles of a model on the text `name`: found, or made now.

    others: as in `velocity.asked`.
    The piece "shuffles" holds steps (m,), rcos (m, 3) of PARTS and null (m, 3, draws), and training/loss and
    training/held (m, 1).
    Raises ValueError for an unknown architecture, scale or text, and what training raises.
    """
    config, inputs = asked(name, texts, architecture=architecture, scale=scale, seed=seed, init=init, **others)
    config["last"] = LAST
    pieces = {"shuffles": runs.Piece("probsig.experiments.velocity_shuffles:made", (config,))}
    with texts.enough():
        return runs.run("language-shuffles", config, pieces, inputs=inputs, means=means)


def made(
    config: Mapping[str, Any], inputs: Sets, draft: Draft | None = None, means: Means | None = None
) -> dict[str, np.ndarray]:
    """What `shuffled` stores."""
    data, means, recipe = inputs.of(config["corpus"]), means or Means(), recipe_of(config)
    read, targets = data.rows(config["length"])
    if config["rows"] and config["rows"] < len(read):
        chosen = np.sort(seeds.stream(0, "rows", data.name).permutation(len(read))[: config["rows"]])
        read, targets = read[chosen], targets[chosen]
    judge = Judge(read, targets, data.vocab_size, config["seed"])
    law = cosines(signatures(read, targets, judge.tokens, data.vocab_size)[0])
    often, last = judge.often[judge.tokens], min(config["last"], recipe.epoch(data))

    def look(step: int, model: Any) -> dict[str, Any]:
        said = velocity_and_formulas(model, read, targets)
        whole, own = said["velocity"][judge.tokens], said["place"][judge.tokens]
        parts = [cosines(rows) for rows in (whole, own, whole - own)]
        null = [reliability.matched_null(part, law, often, DRAWS, config["seed"], GROUP) for part in parts]
        return {"": {"rcos": np.array([correlations(part, law).overall for part in parts]), "null": np.array(null)}}

    log = training.train(
        network_of(config, data),
        data,
        recipe,
        seed=config["seed"],
        look=look,
        look_at=looks(last),
        held=data.held,
        device=means.device,
        turn=means.turn,
        until=last,
        draft=draft,
    )
    return log.arrays()
