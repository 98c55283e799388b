r"""Networks that start from the counts of their text, beside the usual starts: the stored runs of one chapter.

One run is one seed on one text. A piece is a network, trained from one of ARMS on the same rows in the same order:

- "signature": the rows of W_E and W_U from the counts (`language.starts.from_counts`), each of the mean norm that rows
  have in the library's start; all other matrices are the library's, N(0, 0.02^2).
- "shuffled": the same pairs of rows, dealt among tokens of a like frequency (`language.starts.dealt`).
- "library": N(0, 0.02^2) throughout, as transformers has it.
- "paper": N(0, 1 / d_in) throughout, for the embedding N(0, 1 / V).

Each has the learning rate that suits it, of those tried on another text.
The piece "cost" is what counting, factoring and a step of training take, in seconds of one core.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from probsig import runs
from probsig.errors import one_of
from probsig.experiments.language_model import SCALES
from probsig.experiments.texts import Texts

ARMS = ("signature", "shuffled", "library", "paper")
USUAL = ("library", "paper")
INIT = {"signature": "library", "shuffled": "library", "library": "library", "paper": "vocab"}
"""What all matrices of a start are drawn by into which no counts are put."""
NAMES = ("dm-mathematics", "wikipedia-en")
CHOSEN: dict[str, dict[str, Any]] = {
    "smoke": {},
    "laptop": {"tokens": 200_000, "keep": 2048, "held": 8192, "looks": 10},
}
"""What differs from the scale's own sizes: a text that all starts together read in three minutes."""
RATES = {
    "smoke": dict.fromkeys(ARMS, 1e-2),
    "laptop": {"signature": 2e-3, "shuffled": 1e-3, "library": 3e-3, "paper": 3e-3},
}
"""The learning rate of each start, the best for it of 1, 2 and 3 in a thousand on 100,000 tokens of arxiv."""


def trained(name: str, texts: Texts, *, scale: str, seed: int, means: Any = None) -> runs.Run:
    """The networks of one seed on the text `name`, one for each of ARMS: found, or trained now and stored.

    A piece <arm> holds steps (m,), training/loss (m, 1) and training/held (m, 1), in nats per token. The piece "cost"
    holds seconds (3,), of counting the pairs, of factoring them and of one step of training; nats (3,), the entropy of
    single tokens and the held-out loss of the tables of single tokens and of pairs; and size (tokens, documents, ids).
    Raises ValueError for an unknown scale and what opening and training raise.
    """
    one_of("scale", scale, CHOSEN)
    how = replace(SCALES[scale], **CHOSEN[scale])
    sizes = {key: value for key, value in asdict(how).items() if key != "lr"} | {"rates": RATES[scale]}
    config = {"corpus": name, "architecture": "qwen2.5", "scale": scale, "seed": seed, **sizes}
    config |= texts.identity([name])
    pieces = {arm: runs.Piece("probsig.experiments.start_makers:network", (config, arm)) for arm in ARMS}
    pieces["cost"] = runs.Piece("probsig.experiments.start_makers:cost", (config,))
    inputs = functools.partial(texts.sets, [name], how.tokens, how.keep, how.held)
    with texts.enough():
        return runs.run("language-start", config, pieces, inputs=inputs, means=means)


def level(nats: Sequence[float], share: float) -> float:
    """The loss that lies a share of the way from the table of single tokens to that of pairs, of a run's nats.

    >>> level([6.0, 6.5, 4.5], 0.5)
    5.5
    """
    _, unigram, bigram = nats
    return float(unigram + share * (bigram - unigram))
