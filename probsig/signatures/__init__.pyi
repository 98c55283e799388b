from .laws import CONVENTIONS, cooccurrence, inverse, joint, label
from .tokens import (
    DIRECTIONS,
    KINDS,
    Centred,
    attention,
    centred,
    harmonic_weights,
    next_token,
    previous_token,
    skip,
    tied,
    window,
)

__all__ = [
    "CONVENTIONS",
    "DIRECTIONS",
    "KINDS",
    "Centred",
    "attention",
    "centred",
    "cooccurrence",
    "harmonic_weights",
    "inverse",
    "joint",
    "label",
    "next_token",
    "previous_token",
    "skip",
    "tied",
    "window",
]
