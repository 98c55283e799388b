"""The state of an unfinished piece of work: saved about every minute, loaded when it goes on, removed when it is done.

A draft is a run folder (`files.write_run`), so it is there whole or as it was before. Its identity, plain JSON values,
says what it is the state of; the state of something else is not taken up.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probsig.runs import files as runs_files

EVERY = 60.0  # seconds between two saved states


class Stopped(RuntimeError):
    """Raised by the work when it was asked to stop; what was saved lets it go on later."""


class Draft:
    """A folder for the state of one piece of work, and the word to stop it.

    >>> import tempfile
    >>> draft = Draft(Path(tempfile.mkdtemp()) / "state")
    >>> draft.save({"of": "x"}, 3, {"W": np.zeros(2)}, at_once=True)
    >>> draft.load({"of": "x"})[0], draft.load({"of": "y"})
    (3, None)
    """

    def __init__(self, folder: Path, stop: threading.Event | None = None):
        self.folder, self.stop, self.saved = Path(folder), stop or threading.Event(), time.monotonic()

    def load(self, identity: Mapping[str, Any]) -> tuple[int, dict[str, np.ndarray]] | None:
        """How far the work had come and its arrays, or None. Raises StorageError for a damaged state."""
        if not (self.folder / runs_files.RECORD).is_file():
            return None
        record, arrays = runs_files.read_run(self.folder)
        same = record["identity"] == json.loads(json.dumps(identity, default=runs_files.plain))
        return (record["done"], arrays) if same else None

    def due(self) -> bool:
        """Whether it is time to save, or to stop."""
        return self.stop.is_set() or time.monotonic() - self.saved > EVERY

    def save(
        self, identity: Mapping[str, Any], done: int, arrays: Mapping[str, np.ndarray], at_once: bool = False
    ) -> None:
        """Save if it is time to. Raises Stopped, after saving, when asked to; StorageError when the disk is full."""
        if at_once or self.due():
            runs_files.write_run(self.folder, {"identity": dict(identity), "done": done}, arrays)
            self.saved = time.monotonic()
        if self.stop.is_set():
            raise Stopped("stopped as asked; run again to go on from here")
