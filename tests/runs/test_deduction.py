"""The runs of an older commit have the code that their records name, by deduction from its history.

Their records had a digest of every module. At that commit each digest is the tree's own, so the tree's definitions are
those that made them, and the digest of those definitions is what their records say today.
"""

import importlib.util
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from probsig.runs import code

ROOT = Path(__file__).resolve().parents[2]
SILENT = ("probsig.runs", "probsig.storage", "probsig.drafts", "probsig.provenance")
"""What kept results in that tree."""
RECORDS = {path.parent.name: json.loads(path.read_text("utf-8")) for path in sorted(ROOT.glob("results/*/run.json"))}
REKEYED = {name: record for name, record in RECORDS.items() if "rekeyed" in record["code"]}
COMMITS = sorted({record["code"]["commit"] for record in REKEYED.values()})


@pytest.fixture(scope="module", params=COMMITS)
def tree(request, tmp_path_factory):
    """The package and the records of a commit."""
    made = subprocess.run(["git", "archive", request.param, "probsig", "results"], cwd=ROOT, capture_output=True)
    if made.returncode:
        pytest.skip(f"the history of this checkout doesn't reach back to {request.param[:7]}")
    folder = tmp_path_factory.mktemp("tree")
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as tar:
        records = [each for each in tar if each.name.startswith("probsig/") or each.name.endswith("run.json")]
        tar.extractall(folder, records, filter="data")
    return request.param, folder


def of(commit):
    return {name: record for name, record in REKEYED.items() if record["code"]["commit"] == commit}


def before(folder, name):
    return json.loads((folder / "results" / name / "run.json").read_text("utf-8"))


def test_nothing_but_its_code_has_changed_in_a_record(tree):
    commit, folder = tree
    for name, record in of(commit).items():
        old, new = before(folder, name), dict(record)
        del old["modules"], new["code"]
        old["arrays"]["file"], old["name"] = new["arrays"]["file"], name
        assert new == old, name


def test_every_digest_of_a_module_is_the_trees(tree):
    commit, folder = tree
    spec = importlib.util.spec_from_file_location("provenance_of_then", folder / "probsig" / "provenance.py")
    then = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(then)
    known = {}
    for name in of(commit):
        for module, digest in before(folder, name)["modules"].items():
            if module not in known:
                known[module] = then.digest_module(module, root=folder / "probsig")
            assert digest == known[module], (name, module)
    assert len(known) > 50


def test_the_digest_of_the_definitions_is_what_the_record_says(tree):
    commit, folder = tree
    package = code.definitions(folder / "probsig", SILENT)
    for name, record in of(commit).items():
        made, modules = record["code"], before(folder, name)["modules"]
        reached = package.digests(tuple(maker.split(":")) for maker in made["rekeyed"])
        assert {home[0] for home in reached} <= modules.keys(), name
        assert code.digest(made["rekeyed"], folder / "probsig", SILENT) == made["digest"], name
