"""Small networks that read long mathematics: found by their configs, for their texts are too long for the book.

Each of NETWORKS is 4 layers of 128 on text of the generator that never repeats, 512 tokens a step, and differs from the
"further seeds" in what its name says; all but one read their text once. The texts: LONG of 33 million tokens; FILE of
14 million, of which LONG may hold documents; MORE, which is FILE and 16 million tokens more. A seed has the same first
numbers on each, its rows by frequency.

A network of the paper's shape that read LONG is `language_readers.Shown.long`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from probsig.errors import one_of
from probsig.experiments import across_texts, language_model
from probsig.experiments.language_readers import LONG, Closed, measured
from probsig.language.yardsticks import Yardsticks
from probsig.runs import Run

FILE = "dm-mathematics-large"
MORE = "dm-mathematics-more"


@dataclass(frozen=True)
class Network:
    """A text and how many of its tokens, the seeds, and what `language_model.trained` calls the rest."""

    corpus: str = FILE
    tokens: int = 14_000_000
    epochs: int = 1
    seeds: tuple[int, ...] = (1, 2, 3)
    architecture: str = "qwen2.5"
    init: str = "vocab"
    attention: str = "causal"

    @property
    def texts(self) -> Closed:
        """What stands for its text, and opens none."""
        return Closed(scale="laptop", tokenizer=self.architecture, usual=self.architecture)


NETWORKS: Mapping[str, Network] = {
    "33 million tokens": Network(LONG, 33_000_000, seeds=(0,)),
    "further seeds": Network(),
    "30 million tokens": Network(MORE, 30_000_000),
    "14 million tokens twice": Network(epochs=2, seeds=(2,)),
    "Llama-2": Network(seeds=(1,), architecture="llama-2"),
    "without attention": Network(seeds=(1, 2), attention="itself"),
    "library's init": Network(seeds=(1,), init="library"),
}
"""The networks, by what sets them apart."""


def networks(name: str) -> list[Run]:
    """The runs of one of NETWORKS, one a seed.

    Raises ValueError for another name, and CorpusError where a run is not stored: there is no text to train on.

    >>> [run.config["seed"] for run in networks("33 million tokens")]
    [0]
    """
    one_of("name", name, NETWORKS)
    how = asdict(NETWORKS[name])
    corpus, seeds = how.pop("corpus"), how.pop("seeds")
    return language_model.trained([corpus], seeds, NETWORKS[name].texts, beside=[corpus], **how)[corpus]


def known(name: str) -> Yardsticks:
    """What the losses of one of NETWORKS are held against, on its text; raises as `networks` does."""
    one_of("name", name, NETWORKS)
    how = NETWORKS[name]
    return measured([how.corpus], how.texts, architecture=how.architecture, tokens=how.tokens)[how.corpus]


def signatures(name: str) -> Run:
    """The cosines of the signatures of a network's text (`across_texts.signatures`); raises as `networks` does."""
    one_of("name", name, NETWORKS)
    how = NETWORKS[name]
    return across_texts.signatures([how.corpus], how.texts, narrow=how.corpus, scale="laptop", tokens=how.tokens)
