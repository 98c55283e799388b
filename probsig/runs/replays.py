"""What was seen when today's code made the first steps of a stored run again.

`results/replays.json` maps the name of a run to what was compared: the digest of the code that made it again, how much
of the run that was, and whether the arrays agreed, to the bit or within the tolerance of another machine. It is written
by `make replay` and never by hand, and it never touches the run itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from probsig.runs import files

LEDGER = "replays.json"


def state(record: Mapping[str, Any], today: str) -> str:
    """ "this", "replayed" or "older": how the code that made a run stands to today's, given by its digest."""
    made_by = record.get("code") or {}
    if made_by.get("digest") == today:
        return "this"
    seen = certificates().get(record.get("name", ""), {})
    same = seen.get("code") == today and seen.get("arrays") == record["arrays"]["sha256"]
    return "replayed" if same and made_by.get("digest") else "older"


def certificates() -> Mapping[str, dict[str, Any]]:
    """What `results/replays.json` of the checkout holds, by the name of the run; nothing where there is none."""
    root = files.checkout()
    path = root / "results" / LEDGER if root else None
    return _read(path, path.stat().st_mtime_ns) if path and path.is_file() else {}


@cache
def _read(path: Path, modified: int) -> Mapping[str, dict[str, Any]]:
    try:
        found = json.loads(files.read_whole(path))
        if not all(isinstance(one, dict) for one in found.values()):
            raise TypeError("no certificates")
    except (ValueError, TypeError, AttributeError) as error:
        raise files.StorageError(f"{path} is damaged: {files.remedy(path)}.") from error
    return found
