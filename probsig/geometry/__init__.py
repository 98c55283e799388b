"""How alike two sets of token vectors are, and how far to trust it.

>>> from probsig import geometry
>>> geometry.cosine([[1.0, 0.0], [3.0, 4.0]]).tolist()
[[1.0, 0.6], [0.6, 1.0]]
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
