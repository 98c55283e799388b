"""Move runs from `runs/` to `results/`, where they are committed and only read.

    python scripts/promote.py NAME...

A run is moved if it is what it says that it is: whole, of the config that its name is made of, of finite numbers, and
made by today's code. It is then in `results/` as a whole or not at all, also where that is another file system.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probsig import runs
from probsig.errors import closest
from probsig.experiments import KINDS
from probsig.runs import code, files

LARGEST = 2_000_000  # bytes of a run's arrays
FACTS = {
    "kind": str,
    "name": str,
    "config": dict,
    "code": dict,
    "date": str,
    "versions": dict,
    "hardware": str,
    "seconds": float,
}
UNDEFINED = {
    *("absent", "absent_independent", "below", "bootstrap", "branches", "by", "by_token", "error", "independent"),
    *("loss", "next", "null", "previous"),
}
"""What may be nan: of a token without a law, a band without tokens, a loss before the first step."""


class Refused(ValueError):
    """A run that is not what it says; the message is one sentence."""


def check(folder: Path) -> dict[str, Any]:
    """The record of a run of today's code; raises Refused, or StorageError for damaged files."""
    record, _ = described = files.read_run(folder)
    lacks = [name for name, kind in FACTS.items() if not isinstance(record.get(name), kind)]
    if lacks or "inputs" not in record:
        raise Refused(f"its record has no {', '.join(lacks or ['inputs'])}")
    if record["kind"] not in KINDS:
        raise Refused(f"no run is of the kind {record['kind']!r}{closest(record['kind'], [*KINDS])}")
    check_facts(folder.name, *described)
    made = record["code"]
    if made.get("makers") != sorted(KINDS[record["kind"]]):
        raise Refused(f"its record does not name what makes a run of the kind {record['kind']!r}")
    if made.get("digest") != code.digest(KINDS[record["kind"]]):
        raise Refused("it was made by other code than today's")
    return record


def check_facts(name: str, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Raise Refused where a run has another name than that of its config, no numbers, too many, or numbers that are
    none where they should be."""
    try:
        own = runs.name_of(record["kind"], record["config"])
    except ValueError as error:
        raise Refused(f"its config is no plain JSON ({error})") from error
    if not name == record["name"] == own:
        raise Refused(f"a run of its config is called {own}")
    if not arrays or not record["arrays"]["bytes"] < LARGEST:
        size = record["arrays"]["bytes"]
        raise Refused(f"its {len(arrays)} arrays have {size:,} bytes, and some of at most {LARGEST:,} are kept")
    for key, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            last = key.rpartition("/")[2]
            if np.isinf(array).any() or not (last in UNDEFINED or last.startswith("phi_")):
                raise Refused(
                    f"its array {key} holds {np.count_nonzero(~np.isfinite(array))} numbers that are not finite"
                )


def promote(name: str, results: Path) -> Path:
    """Check a run and move it; returns where it is now. Raises Refused and StorageError."""
    folder, target = runs.folder() / name, results / name
    if Path(name).name != name or not (folder / files.RECORD).is_file():
        known = [path.parent.name for path in runs.folder().glob(f"*/{files.RECORD}")]
        raise Refused(f"there is no such run in {runs.folder()}{closest(name, known)}")
    if target.exists():
        raise Refused(f"{target} is there already: remove it first if the new run is to take its place")
    record = check(folder)
    for left in results.glob(".promote-*"):
        shutil.rmtree(left)
    half = files.make_folder(results / f".promote-{os.getpid()}")
    for file in (record["arrays"]["file"], files.RECORD):
        files.write_whole(half / file, (folder / file).read_bytes())
    os.rename(half, target)
    shutil.rmtree(folder)
    return target


def main(names: list[str]) -> int:
    """The command line; returns the exit status."""
    root = files.checkout()
    if root is None or not names:
        print("Name a run, from a checkout, as in: make promote RUN=name", file=sys.stderr)
        return 1
    for name in names:
        try:
            print(promote(name, root / "results"))
        except (Refused, OSError) as error:
            print(f"{name} is not promoted: {str(error).rstrip('.')}.", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
