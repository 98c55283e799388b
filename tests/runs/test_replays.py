"""How the code that made a run stands to today's: the same, replayed, older; a person's word is no state."""

import json

import pytest

from probsig.runs import files, replays

RECORD = {"name": "toy-1", "code": {"digest": "old"}, "arrays": {"sha256": "a" * 64}}


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "checkout", lambda: tmp_path)
    (tmp_path / "results").mkdir()
    return lambda **seen: (tmp_path / "results" / "replays.json").write_text(json.dumps(seen))


def test_the_same_code_needs_no_replay(ledger):
    assert replays.state(RECORD, "old") == "this"


def test_without_a_replay_other_code_is_older(ledger):
    assert replays.state(RECORD, "new") == "older" and replays.certificates() == {}


def test_a_replay_counts_for_the_code_and_the_arrays_that_it_saw(ledger):
    ledger(**{"toy-1": {"code": "new", "arrays": "a" * 64}})
    assert replays.state(RECORD, "new") == "replayed"
    assert replays.state(RECORD, "newer") == "older"
    assert replays.state(RECORD | {"arrays": {"sha256": "b" * 64}}, "new") == "older"
    assert replays.state(RECORD | {"name": "toy-2"}, "new") == "older"


@pytest.mark.parametrize("code", [{}, None, {"digest": None}, {"commit": "x"}])
def test_what_no_code_made_is_never_replayed(code, ledger):
    ledger(**{"toy-1": {"code": "new", "arrays": "a" * 64}})
    assert replays.state(RECORD | {"code": code}, "new") == "older"
    assert replays.state({"arrays": RECORD["arrays"]}, "new") == "older"


@pytest.mark.parametrize("damage", ["{", "[]", "null", '{"toy-1": 3}'])
def test_damaged_replays_are_one_sentence(damage, ledger, tmp_path):
    (tmp_path / "results" / "replays.json").write_text(damage)
    with pytest.raises(files.StorageError, match=r"replays\.json is damaged: restore it with `git checkout -- .*`\.$"):
        replays.state(RECORD, "new")


def test_outside_a_checkout_there_are_no_replays(monkeypatch):
    monkeypatch.setattr(files, "checkout", lambda: None)
    assert replays.certificates() == {} and replays.state(RECORD, "new") == "older"
