"""A result is its config, its inputs and its code: found, or made and stored.

>>> from probsig import runs
>>> runs.find("language-model", {"scale": "none such"}, {}) is None
True
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
