"""The state of unfinished work: saved in time, taken up again, refused when damaged or of something else."""

import threading

import numpy as np
import pytest

from probsig.runs import drafts, files
from probsig.runs.drafts import Draft


def test_saved_when_due_and_loaded(tmp_path, monkeypatch):
    clock = iter([0.0, 59.0, 61.0, 61.0, 61.0])
    monkeypatch.setattr(drafts.time, "monotonic", lambda: next(clock))
    draft = Draft(tmp_path / "state")
    draft.save({"of": 1}, 5, {"W": np.arange(3)})
    assert draft.load({"of": 1}) is None  # 59 seconds: not yet
    draft.save({"of": 1}, 6, {"W": np.arange(3)})
    done, arrays = draft.load({"of": 1})
    assert done == 6 and arrays["W"].tolist() == [0, 1, 2] and draft.load({"of": 2}) is None


def test_an_identity_is_what_json_makes_of_it(tmp_path):
    draft = Draft(tmp_path / "state")
    draft.save({"steps": (1, 2)}, 5, {}, at_once=True)
    assert draft.load({"steps": (1, 2)}) == draft.load({"steps": [1, 2]}) == (5, {})


def test_asked_to_stop_it_saves_first(tmp_path):
    stop = threading.Event()
    draft = Draft(tmp_path / "state", stop)
    stop.set()
    with pytest.raises(drafts.Stopped, match="run again to go on"):
        draft.save({}, 7, {"W": np.zeros(1)})
    assert draft.load({})[0] == 7


def test_a_damaged_state_is_named(tmp_path):
    draft = Draft(tmp_path / "state")
    draft.save({}, 1, {"W": np.zeros(100)}, at_once=True)
    (path,) = draft.folder.glob("arrays-*")
    path.write_bytes(b"short")
    with pytest.raises(files.StorageError, match=r"has 5 bytes where run\.json says"):
        draft.load({})


def test_the_minute_begins_anew_with_each_saved_state(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(drafts.time, "monotonic", lambda: now[0])
    draft, due = Draft(tmp_path / "state"), []
    for now[0] in (1060.0, 1060.1, 1120.0, 1120.2):
        due.append(draft.due())
        draft.save({}, int(now[0]), {})
    assert due == [False, True, False, True] and draft.load({})[0] == 1120
