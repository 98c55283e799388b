"""Trajectories of the linear model: integrated exactly, and in closed form at first order in the weights.

Idea: a linear model sees a law only through the matrix C[nu, x] = E[1{y = nu} c_x(X)] and the law of the counts c(X),
so a population is those two things. With p replaced by the uniform law, its gradient flow is linear and is solved by
one singular value decomposition: along the pair (v_k, u_k) of M_0 = C - 1 n^T / V the combinations
W_E^T v_k +- W_U^T u_k grow and decay by exp(+-s_k t), or by (1 +- rate s_k)^steps under gradient descent.
The paper's equation (1), corrected, is the velocity of this flow.

Axes: W_E and W_U are (V, d); C and M_0 are (V labels nu, V tokens x); logits are (n, V).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probsig.laws.distribution import Distribution

Array = NDArray[np.float64]
Weights = tuple[Array, Array]


@dataclass(frozen=True, eq=False)
class LinearPopulation:
    """All that a linear model can see of a law: C, and the counts with their probabilities.

    `counts` (n, k) and `probability` (n,) are the distinct count vectors over the `tokens` (k,) that occur,
    `joint` (V, k) is C restricted to them. Atoms that differ only in the order of tokens or in the label are one row.
    """

    counts: Array
    probability: Array
    joint: Array
    tokens: NDArray[np.int64]

    @classmethod
    def of(cls, law: Distribution) -> LinearPopulation:
        """The population of a `laws.Distribution`.

        >>> from probsig.laws.distribution import Distribution
        >>> law = Distribution(X=[[0, 1], [1, 0], [1, 1]], y=[2, 3, 2], weight=[1, 1, 2], vocab_size=4)
        >>> population = LinearPopulation.of(law)
        >>> population.counts.tolist(), population.probability.tolist()
        ([[0.0, 2.0], [1.0, 1.0]], [0.5, 0.5])
        >>> population.joint.tolist()
        [[0.0, 0.0], [0.0, 0.0], [0.25, 1.25], [0.25, 0.25]]
        """
        probability, tokens = law.probability, law.occurs()
        all_counts = law.counts()[:, tokens]
        joint = np.zeros((law.vocab_size, len(tokens)))
        np.add.at(joint, law.y, probability[:, None] * all_counts)
        counts, index = np.unique(all_counts, axis=0, return_inverse=True)
        return cls(counts.astype(float), np.bincount(index.ravel(), probability).astype(float), joint, tokens)

    @property
    def token_rate(self) -> Array:
        """n_x = E[c_x], (k,)."""
        return self.probability @ self.counts

    def centred_joint(self) -> Array:
        """M_0 = C - 1 n^T / V, (V, V), zero in the columns of tokens that do not occur.

        Column x is n_x (phi_x^y - 1/V): the count-weighted label signature, centred and weighted by frequency.

        >>> from probsig.laws.distribution import Distribution
        >>> law = Distribution(X=[[0], [1]], y=[0, 1], weight=[1, 1], vocab_size=2)
        >>> LinearPopulation.of(law).centred_joint().tolist()
        [[0.25, -0.25], [-0.25, 0.25]]
        """
        vocab_size = self.joint.shape[0]
        centred = np.zeros((vocab_size, vocab_size))
        centred[:, self.tokens] = self.joint - self.token_rate / vocab_size
        return centred

    def error(self, B: Array) -> tuple[float, Array]:
        """Loss in nats and M = E[(e_y - p) c^T], (V, k), for the logits B c with B = W_U W_E[tokens]^T, (V, k)."""
        logits = self.counts @ B.T
        top = logits.max(axis=1, keepdims=True)
        logits -= top
        p = np.exp(logits, out=logits)  # up to the factor 1 / mass, which the smaller array of counts takes
        mass = p.sum(axis=1, keepdims=True)
        loss = self.probability @ (np.log(mass) + top)[:, 0] - np.sum(B * self.joint)
        return float(loss), self.joint - p.T @ (self.counts * (self.probability[:, None] / mass))

    def velocity(self, W_E: Array, W_U: Array) -> Weights:
        """Minus the exact gradient, dW_E = M^T W_U and dW_U = M W_E, each (V, d): Corollary 1 without approximation."""
        rows = W_E[self.tokens]
        _, M = self.error(W_U @ rows.T)
        dW_E = np.zeros_like(W_E)
        dW_E[self.tokens] = M.T @ W_U
        return dW_E, M @ rows

    def loss(self, W_E: Array, W_U: Array) -> float:
        """Cross entropy in nats."""
        return self.error(W_U @ W_E[self.tokens].T)[0]


def propagate(M_0: Array, W_E: Array, W_U: Array, growth: Callable[[Array], tuple[Array, Array]]) -> Weights:
    """The weights after W_E^T v_k +- W_U^T u_k have been multiplied by the two factors that `growth(s)` returns.

    >>> M_0 = np.array([[0.0, 2.0], [0.0, 0.0]])
    >>> W_E, W_U = propagate(M_0, np.ones((2, 1)), np.ones((2, 1)), lambda s: (1 + s, 1 - s))
    >>> W_E.ravel().round(12).tolist(), W_U.ravel().round(12).tolist()
    ([1.0, 3.0], [3.0, 1.0])
    """
    left, values, right = np.linalg.svd(M_0)
    up, down = growth(values)
    even, odd = (up + down)[:, None] / 2, (up - down)[:, None] / 2
    along_right, along_left = right @ W_E, left.T @ W_U
    return right.T @ (even * along_right + odd * along_left), left @ (even * along_left + odd * along_right)


def closed_form(M_0: Array, W_E: Array, W_U: Array, t: float) -> Weights:
    """First-order gradient flow at time t: W_E(t)^T v_k = cosh(s_k t) W_E^T v_k + sinh(s_k t) W_U^T u_k, and W_U alike.

    >>> W_E, W_U = closed_form(np.array([[1.0]]), np.array([[1.0]]), np.array([[0.0]]), 1.0)
    >>> W_E.round(6).item(), W_U.round(6).item()
    (1.543081, 1.175201)
    """
    return propagate(M_0, W_E, W_U, lambda s: (np.exp(s * t), np.exp(-s * t)))


def descent(M_0: Array, W_E: Array, W_U: Array, rate: float, steps: int) -> Weights:
    """First-order gradient descent: the same with (1 +- rate s_k)^steps in place of exp(+-s_k t).

    >>> W_E, W_U = descent(np.array([[1.0]]), np.array([[1.0]]), np.array([[0.0]]), 0.5, 2)
    >>> W_E.item(), W_U.item()
    (1.25, 1.0)
    """
    return propagate(M_0, W_E, W_U, lambda s: ((1 + rate * s) ** steps, (1 - rate * s) ** steps))


def gram(M_0: Array, t: float) -> Array:
    """E[W_E(t) W_E(t)^T] / (d sd^2), (V, V), over Gaussian initial weights: cosh(2 t (M_0^T M_0)^(1/2)).

    >>> gram(np.array([[1.0]]), 1.0).round(6).item()
    3.762196
    """
    _, values, right = np.linalg.svd(M_0)
    return (right.T * np.cosh(2 * t * values)) @ right


def gradient_flow(
    population: LinearPopulation, W_E: Array, W_U: Array, times: Sequence[float], step: float
) -> list[Weights]:
    """Weights of the full nonlinear gradient flow at increasing `times`, by classical Runge-Kutta of order 4.

    Each stretch between two times is cut into equal steps of at most `step`.

    >>> from probsig.laws.distribution import Distribution
    >>> law = Distribution(X=[[0], [1]], y=[0, 1], weight=[1, 1], vocab_size=2)
    >>> tiny = np.array([[1e-6], [-1e-6]])
    >>> (W_E, _), = gradient_flow(LinearPopulation.of(law), tiny, tiny, [2.0], 0.1)
    >>> (W_E[0, 0] / 1e-6).round(5).item()  # exp(s t) with s = 1/2
    2.71828
    """
    if step <= 0 or times[0] < 0 or np.any(np.diff(times) <= 0):
        raise ValueError("gradient_flow needs a positive step and increasing times; sort the times and pass step > 0.")
    out, now, theta = [], 0.0, (W_E, W_U)
    for time in times:
        count = int(np.ceil((time - now) / step - 1e-9))
        for _ in range(count):
            theta = _runge_kutta(population.velocity, theta, (time - now) / count)
        now = time
        out.append(theta)
    return out


def gradient_descent(population: LinearPopulation, W_E: Array, W_U: Array, rate: float, steps: int) -> Weights:
    """Weights after `steps` full-batch steps W <- W + rate dW of the exact model, both matrices at once.

    >>> from probsig.laws.distribution import Distribution
    >>> law = Distribution(X=[[0], [1]], y=[0, 1], weight=[1, 1], vocab_size=2)
    >>> tiny = np.array([[1e-6], [-1e-6]])
    >>> W_E, _ = gradient_descent(LinearPopulation.of(law), tiny, tiny, 1.0, 2)
    >>> (W_E[0, 0] / 1e-6).round(5).item()  # (1 + 1/2)^2
    2.25
    """
    for _ in range(steps):
        dW_E, dW_U = population.velocity(W_E, W_U)
        W_E, W_U = W_E + rate * dW_E, W_U + rate * dW_U
    return W_E, W_U


def adamw(
    velocity: Callable[[Array, Array], Weights],
    W_E: Array,
    W_U: Array,
    rate: float,
    steps: int,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> list[Weights]:
    """Weights after steps 0, 1, ..., `steps` of AdamW, where `velocity` is minus the gradient; 0/0 counts as 0.

    >>> one = np.ones((1, 1))
    >>> path = adamw(lambda a, b: (3 * a, -5 * b), one, one, 0.1, 1, eps=0.0)
    >>> path[1][0].item(), path[1][1].item()
    (1.1, 0.9)
    """
    path = [(W_E, W_U)]
    mean, square = ([np.zeros_like(W) for W in (W_E, W_U)] for _ in range(2))
    for k in range(1, steps + 1):
        new = []
        for i, (W, g) in enumerate(zip(path[-1], velocity(*path[-1]), strict=True)):
            mean[i] = betas[0] * mean[i] + (1 - betas[0]) * g
            square[i] = betas[1] * square[i] + (1 - betas[1]) * g * g
            scale = np.sqrt(square[i] / (1 - betas[1] ** k)) + eps
            move = np.divide(mean[i] / (1 - betas[0] ** k), scale, out=np.zeros_like(W), where=scale > 0)
            new.append((1 - rate * weight_decay) * W + rate * move)
        path.append((new[0], new[1]))
    return path


def _runge_kutta(velocity: Callable[[Array, Array], Weights], theta: Weights, h: float) -> Weights:
    def shifted(factor: float, k: Weights) -> Weights:
        return theta[0] + factor * k[0], theta[1] + factor * k[1]

    k1 = velocity(*theta)
    k2 = velocity(*shifted(h / 2, k1))
    k3 = velocity(*shifted(h / 2, k2))
    k4 = velocity(*shifted(h, k3))
    W_E, W_U = (w + h / 6 * (a + 2 * b + 2 * c + e) for w, a, b, c, e in zip(theta, k1, k2, k3, k4, strict=True))
    return W_E, W_U
