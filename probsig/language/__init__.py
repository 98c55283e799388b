"""Language models, trained on text or found open, and what drives them.

>>> from probsig import language
>>> model = language.build("llama-2", language.SHAPES["smoke"], vocab_size=10, seed=0)
>>> [W.shape for W in language.embeddings(model)]
[(10, 32), (10, 32)]
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
