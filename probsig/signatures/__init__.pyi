from .laws import CONVENTIONS, cooccurrence, inverse, joint, label
from .tokens import (
    DIRECTIONS,
    KINDS,
    Centred,
    attention,
    centred,
    frequent,
    harmonic_weights,
    next_token,
    previous_token,
    skip,
    tied,
)

__all__ = [
    "CONVENTIONS",
    "DIRECTIONS",
    "KINDS",
    "Centred",
    "attention",
    "centred",
    "cooccurrence",
    "frequent",
    "harmonic_weights",
    "inverse",
    "joint",
    "label",
    "next_token",
    "previous_token",
    "skip",
    "tied",
]
