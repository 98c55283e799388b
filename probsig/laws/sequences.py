"""Finite laws of token sequences and exact next-token gradient flow (section 6 of the paper).

The loss of a sequence is ``(1/L) sum_{t<L} CE(F(X_1..X_t), X_{t+1})``, as in D.6: L - 1 predictions, divided by L.
Matrices of pair frequencies are indexed ``[token, next token]``, as in `probsig.counts`: row s belongs to token s.

A causal model maps embeddings (n, L, d) to hidden states (n, L, d), with ``hidden`` and ``pullback`` as in
`probsig.theory.models`; the logits at position t are ``hidden[:, t] @ W_U.T``.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig import guards
from probsig.errors import whole


@dataclass(frozen=True, eq=False)
class SequenceLaw:
    """A law of sequences of one length: atoms ``X`` (n, L) with ``probability`` (n,).

    The law of section 6 and appendix D.6 of the paper. The arrays are copied. Raises ValueError when a shape,
    a token id or the total probability is off.

    >>> law = SequenceLaw(X=[[0, 1, 0], [1, 1, 0]], probability=[0.5, 0.5], vocab_size=2)
    >>> law.bigrams().tolist()  # [token, next], each divided by L = 3
    [[0.0, 0.16666666666666666], [0.3333333333333333, 0.16666666666666666]]
    """

    X: NDArray[np.int64]
    probability: NDArray[np.float64]
    vocab_size: int

    def __post_init__(self) -> None:
        guards.integers("X", self.X)
        guards.finite("probability", self.probability)
        guards.at_least("vocab_size", self.vocab_size, 1)
        X = np.array(self.X, dtype=np.int64, order="C")
        probability = np.array(self.probability, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] < 2 or not len(X):
            raise ValueError(f"X has shape {X.shape}; give (n, L) token ids with n of at least 1 and L of at least 2")
        if probability.shape != (len(X),):
            raise ValueError(f"probability has shape {probability.shape}; give one number for each of {len(X)} atoms")
        if X.size and (X.min() < 0 or X.max() >= self.vocab_size):
            bad = int(X.min() if X.min() < 0 else X.max())
            raise ValueError(f"token id {bad} is outside 0..{self.vocab_size - 1}; raise vocab_size or fix X")
        if probability.min() < 0 or abs(probability.sum() - 1) > 1e-9:
            raise ValueError(f"the probabilities sum to {probability.sum():.6g}; make them non-negative with sum 1")
        object.__setattr__(self, "X", X)
        object.__setattr__(self, "probability", probability)

    @property
    def length(self) -> int:
        """L, the number of tokens in a sequence."""
        return self.X.shape[1]

    def bigrams(self, distance: int = 1) -> NDArray[np.float64]:
        r"""Pair frequencies ``N[s, s'] = (1/L) sum_t P(X_t = s, X_{t+distance} = s')``, shape (V, V)."""
        guards.whole_number("distance", distance)
        if not 1 <= distance < self.length:
            raise ValueError(f"distance is {distance}; with length {self.length} it lies in 1..{self.length - 1}")
        N = np.zeros((self.vocab_size, self.vocab_size))
        weight = np.broadcast_to(self.probability[:, None] / self.length, (len(self.X), self.length - distance))
        np.add.at(N, (self.X[:, :-distance], self.X[:, distance:]), weight)
        return N

    def attention_signature(self) -> NDArray[np.float64]:
        r"""One-layer attention signature, shape (V, V).

        ``A[s, s'] = (1/L) sum_{t<L} (1/t) sum_{tau<=t} P(X_tau = s, X_{t+1} = s')``: every later token counts, weighted
        by one over the number of tokens that uniform causal attention averages.
        """
        A = np.zeros((self.vocab_size, self.vocab_size))
        for t in range(1, self.length):
            weight = np.broadcast_to(self.probability[:, None] / (self.length * t), (len(self.X), t))
            np.add.at(A, (self.X[:, :t], np.broadcast_to(self.X[:, t : t + 1], (len(self.X), t))), weight)
        return A

    def union_ratio(self) -> NDArray[np.float64]:
        """Equation (4) as a ratio of events, ``P(some t: X_t = s, X_{t+1} = s') / P(some t < L: X_t = s)``, (V, V).

        Its rows do not sum to 1: it is printed here to be compared, not used.
        """
        V = self.vocab_size
        pair = np.zeros((len(self.X), V * V), dtype=bool)
        np.put_along_axis(pair, self.X[:, :-1] * V + self.X[:, 1:], True, axis=1)
        token = np.zeros((len(self.X), V), dtype=bool)
        np.put_along_axis(token, self.X[:, :-1], True, axis=1)
        joint, single = self.probability @ pair, self.probability @ token
        return joint.reshape(V, V) / np.where(single > 0, single, 1)[:, None]

    def contains(self) -> NDArray[np.float64]:
        """``P(some t < L: X_t = s)``, shape (V,): the fraction of sequences with s among their inputs."""
        token = np.zeros((len(self.X), self.vocab_size), dtype=bool)
        np.put_along_axis(token, self.X[:, :-1], True, axis=1)
        return self.probability @ token


def markov(first: ArrayLike, transitions: ArrayLike, length: int) -> SequenceLaw:
    """All sequences of a Markov chain, enumerated.

    ``first`` (V,) is the law of X_1 and ``transitions`` either (V, V), rows P(. | X_t), or (V, V, V), rows
    P(. | X_{t-1}, X_t); with the second kind X_2 is drawn from the average over X_{t-1}.
    Raises ValueError where their shapes do not fit or a law is none, for a length below 2, and where there are more
    than two million sequences.

    >>> markov([1.0, 0.0], [[0.0, 1.0], [1.0, 0.0]], length=3).bigrams().round(3).tolist()
    [[0.0, 0.333], [0.333, 0.0]]
    """
    first, transitions = np.asarray(first, dtype=np.float64), np.asarray(transitions, dtype=np.float64)
    V, length = first.size, whole("length", length, 2)
    if first.shape != (V,) or transitions.shape not in ((V,) * 2, (V,) * 3):
        raise ValueError(
            f"first has shape {first.shape} and transitions {transitions.shape}: pass (V,) and (V, V) or (V, V, V)"
        )
    for what, laws in (("first", first), ("transitions", transitions)):
        guards.finite(what, laws)
        if laws.min(initial=0) < 0:
            raise ValueError(f"{what} holds {laws.min()}: pass probabilities, which are not negative")
        if (off := np.abs(laws.sum(axis=-1) - 1) > 1e-9).any():
            raise ValueError(f"{what} holds a law of sum {laws.sum(axis=-1)[off][0]:.6g}: pass laws of sum 1")
    guards.few_sequences(V, length, 2_000_000)
    X = np.array(list(itertools.product(range(V), repeat=length)))
    probability = first[X[:, 0]]
    for t in range(1, length):
        if transitions.ndim == 2:
            probability = probability * transitions[X[:, t - 1], X[:, t]]
        elif t == 1:
            probability = probability * transitions.mean(axis=0)[X[:, 0], X[:, 1]]
        else:
            probability = probability * transitions[X[:, t - 2], X[:, t - 1], X[:, t]]
    keep = probability > 0
    return SequenceLaw(X[keep], probability[keep], V)
