"""What chapters recorded: claims and errata, read from the outputs of their notebooks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from probsig.pages import claims, errata


def collect(folder: str | Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The records of all claims and errata in the notebooks' outputs under a folder, by path, then by cell.

    Each gets `notebook`, the path below the folder without its suffix, as in "theory/signatures".
    Raises ValueError for a folder or a notebook that cannot be read, for a key that occurs twice, and for a family of
    claims that has not the number which its members say.

    >>> collect(Path(__file__).parent)
    ([], [])
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder: pass the folder of the notebooks")
    found: dict[str, list[dict[str, Any]]] = {claims.MIME: [], errata.MIME: []}
    homes: dict[str, str] = {}
    for path in sorted(folder.rglob("*.ipynb")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        for mime, record in _outputs(path):
            key = record["key"]
            if key in homes:
                raise ValueError(f"the key {key!r} is used in {homes[key]} and in {name}: give one of them another key")
            homes[key] = name
            found[mime].append({**record, "notebook": name})
    families = [tuple(claim["family"]) for claim in found[claims.MIME] if claim["family"]]
    for name, said in dict.fromkeys(families):
        members = sum(family[0] == name for family in families)
        if members != said:
            raise ValueError(f"the family {name!r} has {members} claims, and they say {said}: let both agree")
    return found[claims.MIME], found[errata.MIME]


def _outputs(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The (MIME type, record) pairs of one notebook, in the order of its cells."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no notebook: execute it again") from error
    data = [output.get("data", {}) for cell in cells for output in cell.get("outputs", ())]
    return [(mime, bundle[mime]) for bundle in data for mime in (claims.MIME, errata.MIME) if mime in bundle]
