r"""The elementwise activations, each with its derivative and its Taylor coefficients at 0: one table for all.

Functions take and give numpy arrays or torch tensors of any float type.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.special

Coefficient = Fraction | float
_NORMAL = 1 / math.sqrt(2 * math.pi)


@dataclass(frozen=True)
class Activation:
    """An elementwise sigma with its derivative; `name` is what a figure's legend says. `taylor`, where it is known,
    holds c_0, c_1, ... of sigma(s) = sum c_k s^k, exact where they are rational.

    >>> ACTIVATIONS["quadratic"].function(np.array([2.0])).tolist()
    [4.0]
    """

    name: str
    function: Callable[[Any], Any]
    derivative: Callable[[Any], Any]
    taylor: tuple[Coefficient, ...] = ()


def quadratic(c1: float = 1.0, c2: float = 0.5) -> Activation:
    """sigma(s) = c1 s + c2 s^2; with the default, the activation of the paper's D.4 (C_0 = 0, C_1 = 1, C_2 = 1/2).

    >>> quadratic(3, 2).derivative(np.array([1.0])).tolist()
    [7.0]
    """
    taylor = (Fraction(0), Fraction(c1), Fraction(c2), *[Fraction(0)] * 6)
    return Activation("quadratic", lambda s: c1 * s + c2 * s * s, lambda s: c1 + 2 * c2 * s, taylor)


def _torch(s: Any) -> bool:
    return type(s).__module__.startswith("torch")


def _of(s: Any) -> Any:
    """The library that s is an array of."""
    return sys.modules["torch"] if _torch(s) else np


def _special(s: Any) -> Any:
    return sys.modules["torch"].special if _torch(s) else scipy.special


def _normal(s: Any) -> Any:
    """The distribution function of N(0, 1)."""
    return (1 + _special(s).erf(s / math.sqrt(2))) / 2


def _logistic(s: Any) -> Any:
    return _special(s).expit(s)


def _logistic_slope(s: Any) -> Any:
    return _logistic(s) * _logistic(-s)


def _step(s: Any) -> Any:
    return _of(s).asarray(s > 0, dtype=s.dtype)


def _rational(values: str) -> tuple[Fraction, ...]:
    return tuple(Fraction(value) for value in values.split())


_GELU = (*_rational("0 1/2"), *(value for k in (1, -6, 40, -336) for value in (_NORMAL / k, Fraction(0))))[:9]

ACTIVATIONS: dict[str, Activation] = {
    activation.name: activation
    for activation in (
        Activation("identity", lambda s: s, lambda s: _of(s).ones_like(s), _rational("0 1 0 0 0 0 0 0 0")),
        quadratic(),
        Activation("square", lambda s: s * s, lambda s: 2 * s, _rational("0 0 1 0 0 0 0 0 0")),
        Activation(
            "tanh",
            lambda s: _of(s).tanh(s),
            lambda s: 1 - _of(s).tanh(s) ** 2,
            _rational("0 1 0 -1/3 0 2/15 0 -17/315 0"),
        ),
        Activation(
            "centred logistic",
            lambda s: _of(s).tanh(s / 2) / 2,
            _logistic_slope,
            _rational("0 1/4 0 -1/48 0 1/480 0 -17/80640 0"),
        ),
        Activation(
            "gelu",
            lambda s: s * _normal(s),
            lambda s: _normal(s) + s * _of(s).exp(-s * s / 2) / math.sqrt(2 * math.pi),
            _GELU,
        ),
        Activation(
            "silu",
            lambda s: s * _logistic(s),
            lambda s: _logistic(s) + s * _logistic_slope(s),
            _rational("0 1/2 1/4 0 -1/48 0 1/480 0 -17/80640"),
        ),
        Activation("logistic", _logistic, _logistic_slope, _rational("1/2 1/4 0 -1/48 0 1/480 0 -17/80640 0")),
        Activation(
            "softplus",
            lambda s: _of(s).clip(s, 0, None) + _of(s).log1p(_of(s).exp(-abs(s))),
            _logistic,
            (math.log(2), *_rational("1/2 1/8 0 -1/192 0 1/2880 0 -17/645120")),
        ),
        Activation("relu", lambda s: _of(s).clip(s, 0, None), _step),
    )
}
"""The activations by name; the derivative of relu at 0 is 0, as in torch, and it has no Taylor series."""
