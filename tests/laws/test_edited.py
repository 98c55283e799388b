"""Edited tasks: what changes and what stays, in exact fractions, and what a run on one leaves."""

import numpy as np
import pytest

from probsig.experiments import causes
from probsig.geometry import small
from probsig.laws import edited
from probsig.laws.tasks import TASKS
from probsig.signatures import laws as signatures_laws

ANCHORS = list(range(11, 21))
READ = {"phi_y": signatures_laws.label, "phi_X": signatures_laws.cooccurrence}


def read(law, name):
    return READ[name](law, ANCHORS, "companion", exact=True)


@pytest.mark.parametrize("name", edited.NAMES)
def test_an_edit_changes_its_signature_and_keeps_the_other(name):
    """Of what the linear model can see, phi^y and phi^X, an edit of one leaves the other equal in fractions."""
    found = edited.edit(name)
    base = TASKS[found.base]()
    for signature in READ:
        same = (read(found.law, signature) == read(base, signature)).all()
        assert same == (signature != found.changed), signature
    flat = {"flat-label": "phi_y", "flat-context": "phi_X"}.get(name)
    if flat:
        rows = read(found.law, flat)
        assert (rows == rows[0]).all()


def test_flat_joint_forgets_the_anchors():
    law = edited.edit("flat-joint").law
    joint, before = (signatures_laws.joint(dist, ANCHORS, "companion") for dist in (law, TASKS["mod"]()))
    assert np.ptp(joint, axis=0).max() < 1e-15 and np.ptp(before, axis=0).max() > 0.002


@pytest.mark.parametrize("name", ["flat-label", "flat-context"])
def test_flat_edits_keep_the_frequencies_of_labels_and_tokens(name):
    found = edited.edit(name)
    base = TASKS[found.base]()
    for law in (found.law, base):
        assert law.total > 0
    share = [np.bincount(law.y, weights=law.probability, minlength=200) for law in (found.law, base)]
    np.testing.assert_allclose(*share, atol=1e-15)
    tokens = [
        np.bincount(law.X.ravel(), weights=np.repeat(law.probability, 3), minlength=200) for law in (found.law, base)
    ]
    np.testing.assert_allclose(*tokens, atol=1e-14)


def test_twins_share_a_law_and_swapped_anchors_trade_theirs():
    base = read(TASKS["add"](), "phi_y")
    twins = read(edited.edit("equal").law, "phi_y")
    one, two = (ANCHORS.index(anchor) for anchor in edited.TWINS)
    assert (twins[one] == twins[two]).all() and not (base[one] == base[two]).all()
    swapped = read(edited.edit("swapped").law, "phi_y")
    one, two = (ANCHORS.index(anchor) for anchor in edited.SWAPPED)
    assert (swapped[[two, one]] == base[[one, two]]).all()
    others = [i for i in range(10) if i not in (one, two)]
    assert (swapped[others] == base[others]).all()


def test_permuted_laws_are_the_laws_of_other_anchors():
    order = edited.permutation()
    assert sorted(order) == list(range(10))
    base, moved = (read(law, "phi_y") for law in (TASKS["add"](), edited.edit("permuted").law))
    assert (moved == base[order]).all()
    apart = [np.abs(np.subtract.outer(at, at)) for at in (np.arange(10), order)]
    one, two = (np.triu(distances, 1)[np.triu_indices(10, 1)] for distances in apart)
    assert 45 * (one @ two) == one.sum() * two.sum()  # uncorrelated, in integers


def test_an_unknown_edit_is_named():
    with pytest.raises(ValueError, match="edit is 'none': pass one of 'flat-label'"):
        edited.edit("none")


def test_a_followed_run_goes_from_one_law_to_the_other():
    options = {"seed": 0, "steps": 60, "learning_rate": 1e-3, "batch": 20, "samples": 200, "hidden_size": 8}
    found = causes.follow("swapped", **options)
    assert found["checkpoints"].tolist() == [0, 20, 30, 60] and found["anchors"].shape == (4, 10, 8)
    assert found["steps"].tolist() == [*range(31), *range(30, 61)]
    assert found["R_base"][30] == pytest.approx(found["R_base"][31], abs=1e-6)  # the swap itself moves nothing
    end = small.order_correlation(found["anchors"][-1].astype(float), edited.edit("swapped").positions)
    assert found["R_edit"][-1] == pytest.approx(end, abs=1e-6)
    plain = causes.follow("equal", **options)
    assert plain["checkpoints"].tolist() == [0, 20, 30, 60] and len(plain["steps"]) == 31
