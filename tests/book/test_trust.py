"""The page "How far to trust this" says what the tests and the script say."""

import json
import re

import kills
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
