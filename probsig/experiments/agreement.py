r"""R_cos of trained models with the noise of both sides beside it: what the text leaves open, what seeds don't share.

R_cos between cosines of W and of phi is bounded by the noise of both. The text's cosines are known up to their
reliability r_phi (halves of the documents), and the model's up to what two seeds share, r_W, the correlation between
the cosines of two models that differ in their seed alone. One seed's R_cos cannot be expected above
sqrt(r_phi r_W), the joint ceiling. Cosines averaged over seeds lose the start's noise.

The tokens are a text's most frequent ones, of which each run keeps the rows (`language.measures.STORED`); the
signatures of the texts are those of `experiments.across_texts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probsig.experiments import language_model
from probsig.geometry.confounds import ranked, without_frequency
from probsig.geometry.large import Cosines, correlations, cosines
from probsig.geometry.reliability import matched_null, of_mean
from probsig.language.measures import STORED
from probsig.runs import Run

DRAWS, GROUP = 20, 20


@dataclass(frozen=True)
class Agreement:
    """What one text's models of several seeds have in common with its signature, over its C most frequent tokens.

    each and spearman (seeds,): R_cos of every seed, and of ranks; null (seeds, draws), tokens shuffled among tokens of
    a similar frequency; partial (seeds,): with frequency taken out of both sides; text, seeds: the reliability of the
    signature's cosines and of the model's; ceiling: of one seed's R_cos; averaged: R_cos of the mean over seeds.
    """

    C: int
    each: NDArray[np.float64]
    spearman: NDArray[np.float64]
    null: NDArray[np.float64]
    partial: NDArray[np.float64]
    text: float
    seeds: float
    ceiling: float
    averaged: float

    @property
    def averaged_ceiling(self) -> float:
        """What R_cos of the mean over seeds can be expected to reach."""
        return float(np.sqrt(self.text * of_mean(self.seeds, len(self.each))))


def top_rows(run: Run, matrix: str, C: int, step: int | None = None) -> NDArray[np.float64]:
    """The stored rows of "W_E" or "W_U" of the C most frequent tokens, (C, d)."""
    place = {int(token): at for at, token in enumerate(language_model.data(run, "kept"))}
    rows = language_model.rows(run, matrix, step)
    return rows[[place[int(token)] for token in language_model.data(run, "top")[:C]]]


def shared_by_seeds(found: Sequence[Cosines]) -> float:
    """The mean correlation of the cosines of two seeds; nan for one seed.

    >>> one, two = (Cosines(np.array(pairs, dtype=np.float32), 3) for pairs in ([0.1, 0.5, 0.3], [0.2, 0.6, 0.4]))
    >>> round(shared_by_seeds([one, two]), 6)
    1.0
    """
    pairs = [correlations(a, b).overall for i, a in enumerate(found) for b in found[:i]]
    return float(np.mean(pairs)) if pairs else float("nan")


def shared(one: Sequence[Cosines], two: Sequence[Cosines]) -> NDArray[np.float64]:
    """For each seed of `one` the mean correlation of its cosines with those of the other seeds of `two`, (seeds,); nan
    for one seed. The same seed is left out, since its networks share their start.

    >>> one, two = (Cosines(np.array(pairs, dtype=np.float32), 3) for pairs in ([0.1, 0.5, 0.3], [0.2, 0.6, 0.4]))
    >>> shared([one, two], [two, one]).round(6).tolist()
    [1.0, 1.0]
    """
    others = [[correlations(a, b).overall for j, b in enumerate(two) if j != i] for i, a in enumerate(one)]
    return np.array([np.mean(each) if each else np.nan for each in others])


def disattenuated(between: float, one: float, two: float) -> float:
    """The correlation of two sides without the noise of either, from that between them and the reliability of each;
    nan where a side has nothing but noise.

    >>> disattenuated(0.4, 0.5, 0.8).__round__(6), disattenuated(0.4, -0.1, 0.8)
    (0.632456, nan)
    """
    return between / float(np.sqrt(one * two)) if min(one, two) > 0 else float("nan")


def agreement(models: Sequence[Run], known: Run, side: int, C: int = STORED) -> Agreement:
    """The agreement of one text's models, one a seed, with its signature; side 0 is (W_E, phi^next), 1 (W_U,
    varphi^pre). `known` is the run of `across_texts.signatures` that has the text."""
    run = models[0]
    pairs = known.arrays[f"{run.config['corpus']}/own"][side].astype(np.float32)
    size = round((1 + np.sqrt(1 + 8 * len(pairs))) / 2)
    C = min(C, size)
    phi = Cosines(pairs, size).first(C)
    own = [cosines(top_rows(one, ("W_E", "W_U")[side], C)) for one in models]
    frequency = dict(
        zip(language_model.data(run, "kept").tolist(), language_model.data(run, "frequency").tolist(), strict=True)
    )
    often = np.array([frequency[int(token)] for token in language_model.data(run, "top")[:C]])
    left, seeds = without_frequency(phi, often), shared_by_seeds(own)
    sizes = language_model.data(run, "sizes")
    known_at = min(int(np.searchsorted(sizes, C)), len(sizes) - 1)  # the least size that holds the C tokens
    text = float(language_model.data(run, "ceilings")[side, known_at] ** 2)
    mean = Cosines(np.mean([one.pairs for one in own], axis=0, dtype=np.float64).astype(np.float32), C)
    return Agreement(
        C,
        np.array([correlations(one, phi).overall for one in own]),
        np.array([correlations(ranked(one), ranked(phi)).overall for one in own]),
        np.array([matched_null(one, phi, often, DRAWS, 0, GROUP) for one in own]),
        np.array([correlations(without_frequency(one, often), left).overall for one in own]),
        text,
        seeds,
        float(np.sqrt(text * seeds)) if seeds > 0 else float("nan"),
        correlations(mean, phi).overall,
    )
