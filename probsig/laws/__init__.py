"""Finite laws of (X, y) and of token sequences, in integer weights.

>>> from probsig import laws
>>> law = laws.addition(anchors=range(1, 3), z=range(5, 8), vocab_size=12)
>>> law.X[0].tolist(), int(law.y[0]), law.total  # z + a1 + a2 over 3 x 2 x 2 sequences
([5, 1, 1], 7, 12)
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
