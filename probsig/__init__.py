"""Probability signatures: what a token's statistics say about its embedding.

Data (a law, or a text) has signatures, an embedding-based model follows them by gradient flow, and the geometry of the
two is compared. The names below are the front; each is loaded when it is first used, and `import probsig` loads none.
Behind the front stand folders, one idea each: `probsig.laws`, `probsig.counts`, `probsig.text`, `probsig.signatures`,
`probsig.theory`, `probsig.geometry`, `probsig.addition`, `probsig.language`, `probsig.answers`, `probsig.pages`,
`probsig.runs`; and the command `probsig`.

>>> import probsig as ps
>>> counts = ps.count([0, 1, 0, 2, 0, 1], vocab_size=3)  # the pairs 01, 10, 02, 20, 01
>>> ps.signatures.next_token(counts, [0, 2]).toarray().round(3).tolist()
[[0.0, 0.667, 0.333], [1.0, 0.0, 0.0]]
>>> ps.__version__
'0.1.0'
"""

import os
from pathlib import Path
from typing import Any

import lazy_loader as lazy

__version__ = "0.1.0"

_load, __dir__, __all__ = lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """A name of the front, loaded now; raises ImportError with the line that installs what it lacks."""
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise ImportError(f"probsig.{name} needs the package {package}: run `pip install {package}`.") from error


def _place_for_kernels() -> None:
    """Compiled kernels are kept in this folder, or in the user's cache; where neither can be written numba would stop
    every import, so they are kept in a folder that goes with this process."""
    home = Path(os.path.expanduser("~"), ".cache")
    there = next((place for place in (home, *home.parents) if place.is_dir()), home)
    if "NUMBA_CACHE_DIR" in os.environ or any(os.access(each, os.W_OK) for each in (Path(__file__).parent, there)):
        return
    import atexit
    import shutil
    import tempfile

    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="probsig-kernels-")
    atexit.register(shutil.rmtree, os.environ["NUMBA_CACHE_DIR"], ignore_errors=True)


_place_for_kernels()
