r"""Models of several texts, each held against the signatures of all of them, over the tokens that the texts share.

The models are those of `experiments.language_model`, trained beside all the texts: each keeps the rows of W_E and W_U
of the shared tokens. A run of this kind trains nothing: it holds the tokens, and the cosines of every text's own two
signatures over them. A text may share far fewer tokens than the others do; it is named `narrow`, and the tokens are
those that all other texts share. Comparisons in which it stands use those that it shares too.

A side is 0 for (W_E, phi^next) and 1 for (W_U, varphi^pre). C tokens, d the hidden size, n texts.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from probsig import runs
from probsig.errors import one_of
from probsig.experiments import language_model
from probsig.experiments.texts import Sets, Texts, pack, unpack
from probsig.geometry import reliability
from probsig.geometry.large import Cosines, correlations, cosines
from probsig.language.measures import STORED
from probsig.language.signatures import SIDES, TextSignatures
from probsig.text.training_set import shared

MOST = 300  # tokens that are compared, at most
GROUP = 10  # tokens of a similar frequency that a null shuffles among themselves


def signatures(names: Sequence[str], texts: Texts, *, narrow: str, scale: str, tokens: int | None = None) -> runs.Run:
    """The run of the texts' signatures over the tokens that they share: found, or counted now and stored.

    tokens: of each text, if not the scale's. One text alone shares its tokens with itself.

    The piece "tokens" holds ids (C,) of the tokenizer, everywhere (C,) whether `narrow` shares it, and names (their
    texts, UTF-8 JSON); a piece a text, signatures (2, C (C - 1) / 2) the cosines of all pairs (0 for a token that the
    text has not), seen (C,) how often, own (2, pairs) the same cosines of the text's own most frequent tokens (those of
    `measures.STORED`), and size (tokens, documents, ids).
    Raises ValueError for a `narrow` that is none of the names or an unknown scale, and what opening raises.
    """
    one_of("narrow", narrow, names)
    one_of("scale", scale, language_model.SCALES)
    how = language_model.SCALES[scale]
    tokens = tokens or how.tokens
    config = {"texts": [*names], "narrow": narrow, "scale": scale, "tokens": tokens, "keep": how.keep}
    config |= {"held": how.held, "length": how.length, **texts.identity(names)}
    pieces = {"tokens": runs.Piece("probsig.experiments.across_texts:shared_tokens", (narrow,))}
    for name in names:
        maker = "probsig.experiments.across_texts:shared_signatures"
        pieces[name] = runs.Piece(maker, (name, narrow, how.length))
    inputs = functools.partial(texts.sets, names, tokens, how.keep, how.held)
    with texts.enough():
        return runs.run("across-texts", config, pieces, inputs=inputs)


def shared_tokens(narrow: str, inputs: Sets) -> dict[str, NDArray]:
    """The tokens that all texts share but the narrow one."""
    ids = _shared(narrow, inputs)
    everywhere = np.isin(ids, shared(inputs.sets, len(ids)))
    return {"ids": ids, "everywhere": everywhere, "names": pack(inputs.text(int(token)) for token in ids)}


def shared_signatures(name: str, narrow: str, length: int, inputs: Sets) -> dict[str, NDArray]:
    """The cosines of one text's signatures over the shared tokens."""
    data = inputs.of(name)
    new = data.new_ids(_shared(narrow, inputs))
    there, text = new >= 0, TextSignatures(data, length)
    squares = np.zeros((2, len(new), len(new)))
    for square, side in zip(squares, SIDES, strict=True):
        square[np.ix_(there, there)] = cosines(text.rows(side, new[there]), absent="zero").square()
    upper = np.triu_indices(len(new), 1)
    return {
        "signatures": np.array([square[upper] for square in squares], dtype=np.float16),
        "own": np.array([text.cosines(side, min(STORED, len(text.tokens))).pairs for side in SIDES], dtype=np.float16),
        "seen": np.where(there, data.frequency[new], 0),
        "size": np.array([len(data.ids), len(data.offsets) - 1, data.vocab_size], dtype=np.int64),
    }


def _shared(narrow: str, inputs: Sets) -> NDArray[np.int64]:
    return shared([one for one in inputs.sets if one.name != narrow or len(inputs.sets) == 1], MOST)


class Comparison:
    """The models of several texts, {name: runs, one a seed}, and the run of the texts' signatures."""

    def __init__(self, models: Mapping[str, Sequence[runs.Run]], known: runs.Run):
        self.models, self.known = models, known

    def tokens(self, names: Sequence[str]) -> list[str]:
        """The texts of the tokens over which `names` are compared."""
        return [
            name
            for name, there in zip(unpack(self.known.arrays["tokens/names"]), self._there(names), strict=True)
            if there
        ]

    def _there(self, names: Sequence[str]) -> NDArray[np.bool_]:
        everywhere = self.known.arrays["tokens/everywhere"]
        return everywhere if self.known.config["narrow"] in names else np.ones_like(everywhere)

    def signatures(self, names: Sequence[str], side: int) -> list[Cosines]:
        """The cosines of each text's signature over the tokens that all of `names` share."""
        there = self._there(names)
        first, second = np.triu_indices(there.sum(), 1)
        found = []
        for name in names:
            pairs = self.known.arrays[f"{name}/signatures"][side].astype(np.float32)
            square = Cosines(pairs, len(there)).square()[np.ix_(there, there)]
            found.append(Cosines(square[first, second], len(square)))
        return found

    def matrices(self, names: Sequence[str], side: int, seed: int) -> list[Cosines]:
        """The cosines of each text's trained matrix over the same tokens; `seed` counts the models."""
        wanted = self.known.arrays["tokens/ids"][self._there(names)]
        found = []
        for name in names:
            run = self.models[name][seed]
            kept = {int(token): row for row, token in enumerate(language_model.data(run, "kept"))}
            rows = language_model.rows(run, ("W_E", "W_U")[side])
            chosen = [kept.get(int(token), -1) for token in wanted]
            found.append(cosines(np.where(np.array(chosen)[:, None] >= 0, rows[chosen], 0), absent="zero"))
        return found

    def seen(self, name: str, names: Sequence[str]) -> NDArray[np.int64]:
        """How often each of the compared tokens occurs in a text."""
        return self.known.arrays[f"{name}/seen"][self._there(names)]

    def tables(self, names: Sequence[str], side: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """R_cos of each model's matrix (row) with each text's signature (column), and of the signatures with each
        other, (n, n) both, over the tokens that all of `names` share."""
        others = self.signatures(names, side)
        both = [self.matrices(names, side, seed), others]
        found = [[[correlations(a, b).overall for b in others] for a in rows] for rows in both]
        return np.array(found[0]), np.array(found[1])

    def shuffled(self, names: Sequence[str], side: int, seed: int, draws: int) -> NDArray[np.float64]:
        """The first of `tables` after shuffles among tokens of a similar frequency in the model's text, (n, n,
        draws)."""
        others = self.signatures(names, side)
        return np.array(
            [
                [reliability.matched_null(a, b, self.seen(name, names), draws, seed, GROUP) for b in others]
                for a, name in zip(self.matrices(names, side, seed), names, strict=True)
            ]
        )
