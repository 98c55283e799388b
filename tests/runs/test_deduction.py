"""The runs of an older commit have the code that their records name, by deduction from its history.

Their records had a digest of every module. At that commit each digest is the tree's own, so the tree's definitions are
those that made them, and the digest of those definitions is what their records say today.
Runs that were made on a machine without the history name no commit: their digest is that of a commit named here.
"""

import importlib.util
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from probsig.runs import code, results

ROOT = Path(__file__).resolve().parents[2]
SILENT = ("probsig.runs", "probsig.storage", "probsig.drafts", "probsig.provenance")
"""What kept results in that tree."""
RECORDS = {path.parent.name: json.loads(path.read_text("utf-8")) for path in sorted(ROOT.glob("results/*/run.json"))}
REKEYED = {name: record for name, record in RECORDS.items() if "rekeyed" in record["code"]}
COMMITS = sorted({record["code"]["commit"] for record in REKEYED.values()})
MADE_AT = {"ef12d3d2": "ff4f1924c2c7"}
"""By the first digits of its digest, a commit with the code of runs that name none."""


def checked_out(commit, folder):
    """The package and the records of a commit."""
    made = subprocess.run(["git", "archive", commit, "probsig", "results"], cwd=ROOT, capture_output=True)
    if made.returncode:
        pytest.skip(f"the history of this checkout doesn't reach back to {commit[:7]}")
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as tar:
        records = [each for each in tar if each.name.startswith("probsig/") or each.name.endswith("run.json")]
        tar.extractall(folder, records, filter="data")
    return folder


@pytest.fixture(scope="module", params=COMMITS)
def tree(request, tmp_path_factory):
    """A commit, its package, and its records by what their arrays hold, for a run may be called otherwise today."""
    folder = checked_out(request.param, tmp_path_factory.mktemp("tree"))
    records = [json.loads(path.read_text("utf-8")) for path in folder.glob("results/*/run.json")]
    return request.param, folder / "probsig", {record["arrays"]["sha256"]: record for record in records}


def of(commit):
    return {name: record for name, record in REKEYED.items() if record["code"]["commit"] == commit}


def before(records, record):
    return records[record["arrays"]["sha256"]]


def test_nothing_but_its_code_has_changed_in_a_record(tree):
    """And the texts' own tokenizer, which is no longer part of what a run is of."""
    commit, _, records = tree
    for name, record in of(commit).items():
        old, new = dict(before(records, record)), dict(record)
        config = {key: value for key, value in old["config"].items() if (key, value) != ("tokenizer", "qwen2.5")}
        assert new["config"] in (old["config"], config) and results.name_of(new["kind"], new["config"]) == name
        for key in ("modules", "name", "config"):
            old.pop(key)
        for key in ("code", "name", "config"):
            new.pop(key)
        assert new == old | {"arrays": {"file": record["arrays"]["file"], **old["arrays"]}}, name


def test_every_digest_of_a_module_is_the_trees(tree):
    commit, package, records = tree
    spec = importlib.util.spec_from_file_location("provenance_of_then", package / "provenance.py")
    then = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(then)
    known = {}
    for name, record in of(commit).items():
        for module, digest in before(records, record)["modules"].items():
            if module not in known:
                known[module] = then.digest_module(module, root=package)
            assert digest == known[module], (name, module)
    assert len(known) > 20


def test_the_digest_of_the_definitions_is_what_the_record_says(tree):
    commit, folder, records = tree
    package = code.definitions(folder, SILENT)
    for name, record in of(commit).items():
        made, modules = record["code"], before(records, record)["modules"]
        reached = package.digests(tuple(maker.split(":")) for maker in made["rekeyed"])
        assert {home[0] for home in reached} <= modules.keys(), name
        assert code.digest(made["rekeyed"], folder, SILENT) == made["digest"], name


def test_what_names_no_commit_has_the_code_of_one(tmp_path_factory):
    made = {(r["code"]["digest"], *r["code"]["makers"]) for r in RECORDS.values() if r["code"]["commit"] is None}
    for digest, *makers in made:
        folder = checked_out(MADE_AT[digest[:8]], tmp_path_factory.mktemp("tree"))
        assert code.digest(makers, folder / "probsig") == digest
