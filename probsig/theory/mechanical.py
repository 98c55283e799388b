r"""Which signatures the flow of F = W^U sigma(W^E c) contains at which order of the init scale, derived by machine.

With weights of scale eps, s = W_E c and the Taylor coefficients sigma(s) = c_0 + c_1 s + c_2 s^2 + ..., the embedding
flow is a sum of terms, and each is a signature of the data contracted with the weights:

    label      (a + 1) c_{a+1} E[c_x s^a * (W_U[y] - mean)]                              order a + 1
    response   -(1/m!) (a + 1) c_{a+1} c_{b_1} ... c_{b_m} E[c_x s^a * kappa_{m+1}(s^{b_1}, ..., s^{b_m}, .)]
                                                                                         order m + 1 + a + sum b

The gradient of the log-partition function is W_U^T p, so the softmax enters through kappa_{m+1}, the joint cumulants
of the unembedding rows under the uniform law over the vocabulary. A label term needs E[c_x (e_y - 1/V) c^a], the joint
signature with a companions; a response term needs E[c_x c^r], r = a + sum b, the law of r companions without a label.

`terms` lists them, `entries` says when a signature first enters, `evaluate` sums terms over the atoms of a law, and
`contract` does it from the signatures alone. Axes: W_E, W_U and flows are (V token ids, d).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig.laws.distribution import Distribution
from probsig.theory.activations import ACTIVATIONS, Coefficient

Array = NDArray[np.float64]
TAYLOR: dict[str, tuple[Coefficient, ...]] = {name: one.taylor for name, one in ACTIVATIONS.items() if one.taylor}
"""c_0, ..., c_8 of the activations that have a Taylor series; exact where they are rational."""


@dataclass(frozen=True)
class Signature:
    """A moment of the law: E[c_x (e_y - 1/V) c^degree] if `labelled`, else E[c_x c^degree] (tensor powers of c)."""

    labelled: bool
    degree: int

    def __str__(self) -> str:
        label = "(e_y - 1/V)" if self.labelled else ""
        power = {0: "", 1: " c"}.get(self.degree, f" c^{self.degree}")
        return f"E[c_x{' ' if label else ''}{label}{power}]"


@dataclass(frozen=True)
class Term:
    """factor * E[c_x s^gate * force]; the force is the label's, or the cumulant kappa(s^{b_1}, ..., s^{b_m}, .).

    `powers` holds b_1 <= ... <= b_m; it is empty for a label term. The sign and multiplicities are in `factor`.
    """

    gate: int
    powers: tuple[int, ...]
    factor: Coefficient

    @property
    def order(self) -> int:
        """The power of eps: one for every W_E and W_U in the term."""
        return self.gate + sum(self.powers) + len(self.powers) + 1

    @property
    def signature(self) -> Signature:
        """What the term needs to know of the data."""
        return Signature(not self.powers, self.gate + sum(self.powers))

    def __str__(self) -> str:
        def power(b: int) -> str:
            return {0: "1", 1: "s"}.get(b, f"s^{b}")

        force = "(W_y - mean)" if not self.powers else f"kappa({', '.join(power(b) for b in self.powers)}, .)"
        factor = f"{self.factor:.4g}" if isinstance(self.factor, float) else f"{self.factor}"
        return f"{factor} E[c_x {power(self.gate) + ' ' if self.gate else ''}{force}]"


def _ascending(length: int, total: int, least: int = 0) -> Iterator[tuple[int, ...]]:
    """Tuples b_1 <= ... <= b_length of integers of at least `least` with the given sum."""
    if length == 0:
        if total == 0:
            yield ()
        return
    for first in range(least, total // length + 1):
        for rest in _ascending(length - 1, total - first, first):
            yield (first, *rest)


def terms(coefficients: Sequence[Coefficient], order: int) -> list[Term]:
    """The terms of exactly this order whose factor is not zero, the label term first.

    `coefficients` are c_0, c_1, ..., at least up to c_order. Raises ValueError if there are fewer, or order is below 1.

    >>> for order in (1, 2, 3, 4):
    ...     print(order, "; ".join(map(str, terms(TAYLOR["quadratic"], order))))
    1 1 E[c_x (W_y - mean)]
    2 1 E[c_x s (W_y - mean)]
    3 -1 E[c_x kappa(s, .)]
    4 -1/2 E[c_x kappa(s^2, .)]; -1 E[c_x s kappa(s, .)]
    """
    if order < 1:
        raise ValueError(f"order is {order}: the flow begins at order 1")
    if len(coefficients) <= order:
        raise ValueError(f"{len(coefficients)} Taylor coefficients do not reach order {order}: pass c_0 to c_{order}")
    found = [Term(order - 1, (), order * coefficients[order])]
    for m in range(1, order):
        for gate in range(order - m):
            for powers in _ascending(m, order - 1 - m - gate):
                # 1/m! times the number of orders of the powers: one over the factorials of their multiplicities
                share = math.prod(math.factorial(count) for count in Counter(powers).values())
                factor = -(gate + 1) * coefficients[gate + 1] * math.prod(coefficients[b] for b in powers)
                found.append(Term(gate, powers, factor * Fraction(1, share)))
    return [term for term in found if term.factor != 0]


def entries(coefficients: Sequence[Coefficient], limit: int) -> dict[Signature, int]:
    """The order at which each signature first enters, for orders up to `limit`; raises as `terms` does.

    >>> {str(signature): order for signature, order in entries(TAYLOR["tanh"], 5).items()}
    {'E[c_x (e_y - 1/V)]': 1, 'E[c_x (e_y - 1/V) c^2]': 3, 'E[c_x c]': 3, 'E[c_x (e_y - 1/V) c^4]': 5, \
'E[c_x c^3]': 5, 'E[c_x c^2]': 5}
    """
    first: dict[Signature, int] = {}
    for order in range(1, limit + 1):
        for term in terms(coefficients, order):
            first.setdefault(term.signature, order)
    return first


def _partitions(items: tuple[int, ...]) -> Iterator[list[tuple[int, ...]]]:
    """Set partitions of `items` into blocks of at least two."""
    if not items:
        yield []
        return
    head, rest = items[0], items[1:]
    for chosen in product((False, True), repeat=len(rest)):
        if any(chosen):
            block = (head, *(item for item, taken in zip(rest, chosen, strict=True) if taken))
            left = tuple(item for item, taken in zip(rest, chosen, strict=True) if not taken)
            yield from ([block, *others] for others in _partitions(left))


def cumulant(W_U: ArrayLike, vectors: Sequence[Array]) -> Array:
    """kappa_{m+1}(v_1, ..., v_m, .) of the rows of W_U under the uniform law, (n, d), for m vectors of shape (n, d).

    The joint cumulant of the m numbers <W_U[nu], v_i> and the vector W_U[nu]; for m = 1 it is Sigma_U v_1.

    >>> cumulant([[0.0], [0.0], [3.0]], [np.array([[1.0]]), np.array([[2.0]])]).tolist()
    [[4.0]]
    """
    centred = np.asarray(W_U, dtype=float)
    centred = centred - centred.mean(axis=0)
    V, m = len(centred), len(vectors)
    if m == 1:
        return vectors[0] @ (centred.T @ centred / V)
    projected = [v @ centred.T for v in vectors]  # centred, so blocks of one vanish
    total = np.zeros_like(vectors[0])
    for blocks in _partitions(tuple(range(m + 1))):  # m stands for the open slot
        sign = (-1) ** (len(blocks) - 1) * math.factorial(len(blocks) - 1)
        scalar, vector = np.full((len(total), 1), float(sign)), None
        for block in blocks:
            values = math.prod(projected[i] for i in block if i < m)
            if m in block:
                vector = values @ centred / V
            else:
                scalar = scalar * values.mean(axis=1, keepdims=True)
        total += scalar * vector
    return total


def _force(term: Term, slots: Sequence[Array], W_U: Array, y: NDArray[np.int64] | None) -> Array:
    """The term's vector, (n, d), with one (n, d) array for each factor s, in the order gate, b_1, ..., b_m."""
    gate = math.prod(slots[: term.gate])
    if not term.powers:
        return float(term.factor) * gate * (W_U[y] - W_U.mean(axis=0))
    ends = np.cumsum([term.gate, *term.powers])
    ones = np.ones((1, W_U.shape[1])) if not slots else np.ones_like(slots[0])
    vectors = [ones * math.prod(slots[i:j]) for i, j in pairwise(ends)]
    return float(term.factor) * gate * cumulant(W_U, vectors)


def evaluate(law: Distribution, W_E: ArrayLike, W_U: ArrayLike, chosen: Iterable[Term]) -> Array:
    """The sum of the terms at these weights, (V, d), by summing over the atoms of the law.

    A term of order k is homogeneous: at eps times the weights it is eps^k times as large.

    >>> law = Distribution(X=[[0, 1]], y=[1], weight=[1], vocab_size=2)
    >>> evaluate(law, [[1.0], [2.0]], [[1.0], [3.0]], terms(TAYLOR["quadratic"], 2)).tolist()
    [[3.0], [3.0]]
    """
    W_E, W_U = np.asarray(W_E, dtype=float), np.asarray(W_U, dtype=float)
    c = law.counts().astype(float)
    s, total = c @ W_E, np.zeros((len(c), W_E.shape[1]))
    for term in chosen:
        total += _force(term, [s] * term.signature.degree, W_U, law.y)
    return c.T @ (law.probability[:, None] * total)


@dataclass(frozen=True, eq=False)
class Moment:
    """The entries of a signature that are not zero: tokens (K, 1 + degree), label (K,) or None, value (K,).

    The first token is x, the others are the companions in every order. Entries are uncentred, E[c_x e_y c^degree].
    """

    tokens: NDArray[np.int64]
    label: NDArray[np.int64] | None
    value: Array


def moment(law: Distribution, signature: Signature) -> Moment:
    """The signature's entries, from sums of integer weights over tuples of positions.

    >>> law = Distribution(X=[[0, 1]], y=[1], weight=[1], vocab_size=2)
    >>> found = moment(law, Signature(labelled=True, degree=1))
    >>> found.tokens.tolist(), found.label.tolist(), found.value.tolist()
    ([[0, 0], [0, 1], [1, 0], [1, 1]], [1, 1, 1, 1], [1.0, 1.0, 1.0, 1.0])
    """
    width = 1 + signature.degree
    positions = list(product(range(law.length), repeat=width))
    tokens = np.concatenate([law.X[:, at] for at in positions])
    columns = np.column_stack([tokens, np.tile(law.y, len(positions))]) if signature.labelled else tokens
    unique, index = np.unique(columns, axis=0, return_inverse=True)
    total = np.zeros(len(unique), dtype=np.int64)
    np.add.at(total, index.ravel(), np.tile(law.weight, len(positions)))
    return Moment(unique[:, :width], unique[:, width] if signature.labelled else None, total / law.total)


def contract(moments: Mapping[Signature, Moment], W_E: ArrayLike, W_U: ArrayLike, chosen: Iterable[Term]) -> Array:
    """The sum of the terms at these weights, (V, d), from the signatures alone: the law is not looked at again.

    Raises KeyError for a signature that `moments` does not hold.
    """
    W_E, W_U = np.asarray(W_E, dtype=float), np.asarray(W_U, dtype=float)
    total = np.zeros_like(W_E)
    for term in chosen:
        held = moments[term.signature]
        slots = [W_E[held.tokens[:, j]] for j in range(1, held.tokens.shape[1])]
        np.add.at(total, held.tokens[:, 0], held.value[:, None] * _force(term, slots, W_U, held.label))
    return total
