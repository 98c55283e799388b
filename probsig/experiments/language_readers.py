r"""What chapters read beside the stored language models: yardsticks of their losses, names of tokens, a text far away.

The run of a kind "language-yardsticks" trains nothing. It holds, for each of some texts as a scale cuts them, what a
loss on them is held against (`probsig.language.yardsticks`), so that a page shows it without opening a text.

A stored model may be of a text that is not in the book, being too long: `Closed` finds its run by its config.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig import runs
from probsig.errors import CorpusError, TooLittle, one_of
from probsig.experiments import across_texts, language_model
from probsig.experiments.language_model import Models, data
from probsig.experiments.texts import NAMES, STAND_IN, Sets, Texts, unpack
from probsig.language.signatures import LEAST
from probsig.language.yardsticks import Yardsticks, yardsticks
from probsig.pages.parameters import ParameterError
from probsig.runs import Run
from probsig.runs.files import place
from probsig.text import tokenizers
from probsig.text.sources.files import kind
from probsig.text.sources.toy import ToyCorpus

LONG = "dm-mathematics-long"
"""33 million tokens of the generator of DM Mathematics, read once; only the run is stored."""
REPEATED, TWO = ("dm-mathematics", "arxiv", "cc"), 2_000_000
LARGEST = {"smoke": "laptop", "laptop": "middle", "paper": "paper"}
"""The largest shape of those that are compared at a scale."""
OPTIONS = {"tokens": "tokens", "shape": "shape", "lr": "learning_rate"}
"""What `language_model.trained` calls some of a chapter's parameters."""
SHAPES = {
    "smoke": "2 layers of 32",
    "laptop": "4 layers of 128",
    "middle": "6 layers of 256",
    "paper": "the paper's shape",
}
DOCUMENTS, FEWEST = 40, 12  # of a text of one's own, at least: documents, tokens seen often enough


class Closed(Texts):
    """The texts of stored runs that are not to be opened: a run that is not stored is an error, not a training.

    >>> Closed(scale="paper").identity([LONG])
    {'text': 'stand-in'}
    """

    def identity(self, names: Sequence[str]) -> dict[str, Any]:
        return {"text": STAND_IN}

    def sets(self, names: Sequence[str], tokens: int | None, keep: int | None, held: int = 0) -> Sets:
        raise CorpusError(f"The text {names[0]} is not in the book: its stored runs alone can be shown.")


def measured(
    names: Sequence[str],
    texts: Texts,
    *,
    architecture: str = "qwen2.5",
    scale: str = "laptop",
    tokens: int | None = None,
) -> dict[str, Yardsticks]:
    """The yardsticks of each text, cut as `language_model.trained` cuts it: found, or measured now and stored.

    Raises ValueError for an unknown architecture or scale, and what opening raises.
    """
    one_of("architecture", architecture, language_model.ARCHITECTURES)
    one_of("scale", scale, language_model.SCALES)
    how = replace(language_model.SCALES[scale], tokens=tokens or language_model.SCALES[scale].tokens)
    config = {"texts": [*names], "architecture": architecture, "scale": scale}
    config |= {"tokens": how.tokens, "keep": how.keep, "held": how.held, **texts.identity(names)}
    pieces = {name: runs.Piece("probsig.experiments.language_readers:yardsticks_of", (name,)) for name in names}
    inputs = functools.partial(texts.sets, names, how.tokens, how.keep, how.held)
    with texts.enough():
        found = runs.run("language-yardsticks", config, pieces, inputs=inputs)
    return {name: Yardsticks(*found.arrays[f"{name}/nats"].tolist()) for name in names}


def yardsticks_of(name: str, inputs: Sets) -> dict[str, NDArray]:
    """nats (3,): entropy, unigram and bigram of one text; size (tokens, documents, ids)."""
    data = inputs.of(name)
    found = yardsticks(data)
    return {
        "nats": np.array([found.entropy, found.unigram, found.bigram]),
        "size": np.array([len(data.ids), len(data.offsets) - 1, data.vocab_size], dtype=np.int64),
    }


def held_out(models: Sequence[Run]) -> NDArray[np.float64]:
    """The held-out loss of each seed at the looks, (seeds, m), in nats per token."""
    return language_model.course(models, "training/held")[1][..., 0]


def progress(loss: Any, known: Yardsticks) -> Any:
    """How far held-out losses are from the unigram yardstick (0) towards the bigram's (1); more than 1 beyond it.

    loss: a number, or an array of any shape, which the result has too.

    >>> progress(3.0, Yardsticks(5.0, 5.0, 3.0)), progress(2.0, Yardsticks(5.0, 5.0, 3.0))
    (1.0, 1.5)
    """
    return (known.unigram - loss) / (known.unigram - known.bigram)


def at_loss(losses: ArrayLike, values: ArrayLike, nats: float, never: float = float("nan")) -> float:
    """What `values` (m,) is where `losses` (m,) first falls to `nats`, on a straight line between two looks.

    `never` where it never does; the first value where it begins there. With steps for values it is how many a network
    needs.

    >>> at_loss(np.array([5.0, 4.0, 2.0]), np.array([0.0, 0.25, 0.75]), 3.0)
    0.5
    """
    losses, values = np.asarray(losses, dtype=np.float64), np.asarray(values, dtype=np.float64)
    reached = losses <= nats
    if not reached.any():
        return never
    at = int(reached.argmax())
    if at == 0:
        return float(values[0])
    (before, after), (low, high) = losses[at - 1 : at + 1], values[at - 1 : at + 1]
    return float(low + (high - low) * (before - nats) / (before - after))


class Pieces(Texts):
    """Texts of which one of a reader's own, where it has few documents, is cut into some of one length, so that some
    can be held out and halves compared."""

    def _corpus(self, name: str) -> Any:
        found = super()._corpus(name)
        if not self.own or len(found.offsets) > DOCUMENTS:
            return found
        cuts = np.linspace(0, len(found.ids), DOCUMENTS + 1).round().astype(np.int64)
        return replace(found, offsets=np.unique(np.concatenate([found.offsets, cuts])))


class Several(Pieces):
    """The texts of a reader's own folder: one for each file, and for each folder, in it, by its name."""

    def names(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Raises ParameterError for what is no folder with three texts or more."""
        if not self.own:
            return tuple(wanted)
        folder = place(self.text)
        shown = (one for one in folder.glob("*") if not one.name.startswith("."))
        found = sorted(one.name for one in shown if one.is_dir() or kind(one) is not None)
        if len(found) < 3:
            what = f"holds {len(found)} texts" if folder.is_dir() else "is no folder"
            raise ParameterError(
                f"The parameter 'text' was {self.text!r}, which {what}: pass a folder with 3 texts or more."
            )
        return tuple(found)

    def title(self, name: str) -> str:
        """A text's name as a page says it."""
        return name

    def _which(self, name: str) -> str | Path:
        return place(self.text) / name if self.own else name


class Shown:
    """The models that a chapter shows: of each text one (`main`), and several seeds of small ones (`small`).

    p: the chapter's parameters, of which text, tokenizer, scale, seed, repeats, tokens, epochs, shape, learning_rate
    and device are looked at; 0 and "" leave one to the scale, and the scale "" is "paper" where that is stored, else
    "laptop". `small` is of the scale "laptop", or of the chapter's where that is smaller. `book`: whether the models
    are the book's, so that `long` and `repeated` are stored too. made_up: how many texts there are at "smoke". several:
    a reader's own text is a folder of texts.
    Raises TooLittle for a text that is too short to measure a model on.
    """

    def __init__(self, p: Any, architecture: str = "qwen2.5", made_up: int = 2, several: bool = False):
        self.architecture, self.p, self.kind = architecture, p, Several if several else Pieces
        self.by = getattr(p, "tokenizer", "") or architecture
        self.options = {option: getattr(p, name, 0) or None for option, name in OPTIONS.items()}
        given = any(self.options.values()) or getattr(p, "epochs", 1) != 1
        usual = not given and (p.text, self.by, p.seed) == (STAND_IN, architecture, 0)
        self.scale = p.scale or ("paper" if usual else "laptop")
        self.book = usual and self.scale == "paper"
        self.small_scale = "laptop" if self.scale == "paper" else self.scale
        self.texts = self._texts(self.scale)
        self.names = [*self.texts.names(NAMES[:made_up] if self.texts.made_up else NAMES)]
        if self.texts.own:
            self._enough()

    def _enough(self) -> None:
        how, advice = language_model.SCALES[self.scale], "take more text, or look at it in language/corpora"
        for name in self.names:
            self.texts.corpus(name)  # what is wrong with it is told as such
        try:
            own = self.texts.sets(self.names, self.options["tokens"] or how.tokens, how.keep, how.held).sets
        except ValueError:
            needed = f"to hold {how.held:,} tokens out and train on others"
            raise TooLittle(f"The text {self.p.text!r} is too short {needed}: {advice}.") from None
        often = min(int(np.count_nonzero(one.frequency >= LEAST)) for one in own)
        if often < FEWEST:
            told = (
                f"The text {self.p.text!r} has {often} tokens seen {LEAST} times, and models are compared on {FEWEST}"
            )
            raise TooLittle(f"{told} or more: {advice}.")

    def title(self, name: str) -> str:
        """A text's name as a page says it."""
        return self.texts.title(name)

    def _texts(self, scale: str) -> Texts:
        return self.kind(self.p.text, scale=scale, tokenizer=self.by, usual=self.architecture)

    def trained(self, names: Sequence[str], seeds: Sequence[int], scale: str, **options: Any) -> Models:
        """Models of the chapter's architecture, found or trained now."""
        options = self.options | {"epochs": getattr(self.p, "epochs", 1)} | options
        if (device := getattr(self.p, "device", "auto")) != "auto":
            from probsig.experiments.makers import Means  # torch, where a run is made on a device of one's own

            options["means"] = Means(device)
        return language_model.trained(
            names, seeds, self._texts(scale), architecture=self.architecture, scale=scale, **options
        )

    @functools.cached_property
    def main(self) -> Models:
        """Of each text the model of the first seed at the chapter's scale."""
        few = {"tokens": TWO} if self.architecture == "llama-2" and self.scale == "paper" else {}
        return self.trained(self.names, [self.p.seed], self.scale, **few | _said(self.options))

    @functools.cached_property
    def small(self) -> Models:
        """Of each text the small models, one a seed."""
        return self.trained(self.names, range(self.p.seed, self.p.seed + self.p.repeats), self.small_scale)

    @functools.cached_property
    def long(self) -> Models:
        """The model that read 33 million tokens of mathematics once; none where the chapter is not the book's."""
        if not self.book:
            return {}
        return language_model.trained([LONG], [0], Closed(scale="paper"), scale="paper", beside=[LONG])

    @functools.cached_property
    def sizes(self) -> Models:
        """By shape, from small to large, networks that took the same steps over one text: of the chapter's `shape`, or
        the scale's largest, and of up to two smaller ones. The text is mathematics where there is such a text, else the
        first."""
        name = REPEATED[0] if REPEATED[0] in self.names else self.names[0]
        ordered = [*SHAPES]
        last = ordered.index(self.options["shape"] or LARGEST[self.scale]) + 1
        few = ordered[max(0, last - 3) : last]
        return {shape: self.trained([name], [self.p.seed], self.scale, shape=shape)[name] for shape in few}

    @functools.cached_property
    def repeated(self) -> Models:
        """The models that read two million tokens 20 times; at the scale "smoke" one that read its text three times;
        else none."""
        if self.book:
            return self.trained(REPEATED, [0], "paper", tokens=TWO, epochs=20)
        if self.scale == "smoke":
            return self.trained(self.names[-1:], [self.p.seed], "smoke", epochs=3)
        return {}

    def yardsticks(self, models: Models) -> dict[str, Yardsticks]:
        """The yardsticks of the texts of some models of this chapter."""
        config = next(iter(models.values()))[0].config
        texts = Closed(scale=config["scale"]) if LONG in models else self._texts(config["scale"])
        options = {"architecture": self.architecture, "scale": config["scale"], "tokens": config["tokens"]}
        names = [*models] if LONG in models or config["text"] != STAND_IN else self.names
        return {name: one for name, one in measured(names, texts, **options).items() if name in models}

    def signatures(self, models: Models) -> Run:
        """The cosines of the signatures of some of this chapter's texts, over their own most frequent tokens and over
        those that they share (`across_texts.signatures`)."""
        config, names = next(iter(models.values()))[0].config, [*models]
        narrow = REPEATED[0] if REPEATED[0] in names else names[-1]
        options = {"scale": config["scale"], "tokens": config["tokens"]}
        return across_texts.signatures(names, self._texts(config["scale"]), narrow=narrow, **options)

    def against(self, models: Models) -> dict[str, list[float]]:
        """What a claim needs to know of trained models: every model's last loss, and the unigram yardstick of each."""
        known = self.yardsticks(models)
        losses = [loss for found in models.values() for loss in held_out(found)[:, -1].tolist()]
        return {"loss": losses, "yardstick": [known[name].unigram for name, found in models.items() for _ in found]}

    def setting(self, models: Models) -> dict[str, str]:
        """What a claim of the paper says of its setting, from some models' configs."""
        config, sizes = next(iter(models.values()))[0].config, [data(found[0], "size")[0] for found in models.values()]
        texts = "of texts like the Pile's" if self.p.text == STAND_IN and self.scale != "smoke" else "of another text"
        differs = f"{told(config['shape'], sizes)} {texts}"
        return {"setting": "stand-in text" if self.p.text == STAND_IN else "reduced", "differs": differs}

    @functools.cached_property
    def tokenizer(self) -> Any:
        """What the texts' tokens are of; no text is opened for it."""
        return ToyCorpus.of(0).tokenizer if self.texts.made_up else tokenizers.tokenizer(self.by)

    def token_names(self, run: Run, number: int) -> list[str]:
        """The texts of a run's most frequent tokens; a byte that is a letter or a sign is shown as that."""
        found = [self.tokenizer.text(int(id)) for id in language_model.data(run, "top")[:number]]
        return [re.sub(r"^<0x([0-7].)>$", lambda byte: chr(int(byte[1], 16)), text) for text in found]


def told(shape: str, sizes: Sequence[int]) -> str:
    """What a claim says of trained networks: their shape, and the tokens of their texts.

    >>> told("laptop", [2_000_000])
    '4 layers of 128, 2.0 million tokens'
    """
    low, high = (f"{size / 1e6:.1f}" if size >= 1e5 else f"{size / 1e6:.2g}" for size in (min(sizes), max(sizes)))
    return f"{SHAPES[shape]}, {low if low == high else f'{low} to {high}'} million tokens"


def _said(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def group(run: Run, name: str) -> tuple[list[str], NDArray[np.int64]]:
    """The members of a group that are tokens, and how often each occurs in the run's text."""
    return unpack(language_model.data(run, f"names/{name}")), language_model.data(run, f"{name}/count")


def slashes_apart(run: Run) -> float:
    """The mean cosine of W_E among /a to /d less that of the four with /e, at the end; nan where one is no token."""
    names = group(run, "slashes")[0]
    if not {"/a", "/b", "/c", "/d", "/e"} <= set(names):
        return float("nan")
    square = np.zeros((len(names), len(names)))
    square[np.triu_indices(len(names), 1)] = run.arrays["model/slashes/W_E"][-1]
    square += square.T
    four, other = [names.index(f"/{letter}") for letter in "abcd"], names.index("/e")
    return float(square[np.ix_(four, four)].sum() / 12 - square[four, other].mean())
