"""The page "How far to trust this" says what the tests and the script say."""

import importlib.util
import json
import re
import subprocess
import sys

import kills
import psutil
import pytest
import trust

PAGE = (trust.ROOT / "book" / "trust.md").read_text("utf-8")


@pytest.mark.parametrize("name", re.findall(r"`(tests/\S+::\w+)`", PAGE))
def test_what_holds_it_is_a_test(name):
    path, _, function = name.partition("::")
    assert f"def {function}(" in (trust.ROOT / path).read_text("utf-8")


def test_enough_bad_inputs_were_tried():
    assert len(trust.inputs()) + trust.refusals() >= 150


def test_every_kind_of_work_was_killed_and_gave_the_same_bits():
    made = json.loads(trust.KILLS.read_text("utf-8"))["work"]
    assert made.keys() == kills.WORK.keys() and sum(row["kills"] for row in made.values()) >= 100
    assert all(row["same"] == row["rounds"] > 0 for row in made.values())
    assert [kind for kind, row in made.items() if row["left"]] in ([], ["rerunning"])


def test_writing_killed_twice_is_the_run_of_an_uninterrupted_writing(tmp_path):
    kills.writing(tmp_path)
    whole = kills.outcome(tmp_path)
    for _ in range(2):
        kills.killed(kills.writing, tmp_path, 0.05)
    kills.finish(kills.writing, tmp_path)
    assert kills.outcome(tmp_path) == whole


@pytest.fixture(scope="module")
def reruns():
    """The script of the table, as a module."""
    spec = importlib.util.spec_from_file_location("reruns", trust.ROOT / "benchmarks" / "reruns.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reruns_hold_what_the_page_says_and_leave_nothing(reruns):
    rows = json.loads(trust.RERUNS.read_text("utf-8"))["reruns"]
    assert [row["megabytes"] for row in rows] == [*reruns.SIZES]
    assert all(row["chapter"] < 0.55e9 + 20 * row["tokens"] for row in rows)
    assert len({row["files"] for row in rows}) == 1 and max(row["page"] for row in rows) < 1.2 * rows[-1]["page"]
    assert not any(row["temporary"] or row["tree"] for row in rows)


def test_the_text_of_a_rerun_has_its_size_and_is_its_seeds(reruns, tmp_path):
    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    for path, seed in {one: 0, same: 0, other: 1}.items():
        reruns.write_text(path, 0.1, seed)
    assert 100_000 <= one.stat().st_size < 110_000
    assert one.read_bytes() == same.read_bytes() != other.read_bytes()


def test_memory_and_files_of_children_are_added_up(reruns):
    code = "import os; held = bytearray(os.urandom(1)) * 10**8, [open(os.devnull) for _ in range(50)]; print(); input()"
    size, number = reruns.held(psutil.Process())
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        more = reruns.held(psutil.Process())
        child.communicate(b"\n")
    assert more[0] - size > 0.9e8 and more[1] - number >= 50
