"""Make the first steps of stored runs again with today's code, and note in results/replays.json what was seen.

    python scripts/replay.py [NAME...]

Without names, every run in results/ whose code is older than today's and whose kind has a replay.
"""

from __future__ import annotations

import json
import sys

from tqdm import tqdm

from probsig.experiments import KINDS, replays
from probsig.runs import code, files
from probsig.runs import replays as ledger


def main(names: list[str]) -> int:
    """The command line; returns the exit status."""
    root = files.checkout()
    if root is None:
        print("This is no checkout with results/: go into one.", file=sys.stderr)
        return 1
    results, failed = root / "results", 0
    if not names:
        for path in sorted(results.glob(f"*/{files.RECORD}")):
            record = json.loads(path.read_text("utf-8"))
            known = record["kind"] in replays.AGAIN
            if known and ledger.state(record, code.digest(KINDS[record["kind"]])) == "older":
                names.append(path.parent.name)
    for name in tqdm(names, desc="replays", unit="run"):
        try:
            seen = replays.replay(*files.read_run(results / name))
        except (ValueError, OSError) as error:
            print(f"{name} is not the same today: {error}", file=sys.stderr)
            failed += 1
            continue
        known = {**ledger.certificates(), name: seen}
        there = {each: known[each] for each in sorted(known) if (results / each).is_dir()}
        files.write_whole(results / ledger.LEDGER, (json.dumps(there, indent=1) + "\n").encode())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
