"""Probability signatures: what a token's statistics say about its embedding.

A data distribution (`probsig.tasks`) has signatures (`probsig.signatures`), an embedding-based model (`probsig.models`)
has a gradient flow (`probsig.flow`), and the geometry of the two is compared (`probsig.geometry`) claim by claim
(`probsig.claims`). Import the module that you need: the package itself imports none.

>>> __version__
'0.1.0'
"""

from __future__ import annotations

__version__ = "0.1.0"
