"""What data says of a token, from a law or from counts.

>>> from probsig import laws, signatures
>>> law = laws.Distribution(X=[[0, 1], [1, 1]], y=[2, 3], weight=[1, 1], vocab_size=4)
>>> signatures.label(law, [0, 1], "membership").tolist()  # P(y = nu | x in X)
[[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
