"""Window signatures: against their formulas, dense, against `tokens.window`, and what they refuse."""

import numpy as np
import pytest

from probsig.counts.bigrams import count
from probsig.counts.windows import near
from probsig.signatures import tokens as signatures_tokens
from probsig.signatures.windows import KINDS, together, weights
from probsig.text.sources.toy import ToyCorpus
from probsig.text.training_set import Part

TOY = ToyCorpus.of(seed=3, documents=60)
TOKENS = [4, 9, 34, 50]


def dense(window, kind):
    """The formulas of the module's head, entry by entry, from the tables of all pairs."""
    pairs = sum(count(TOY, distance=k).to_scipy().toarray().astype(float) for k in range(window[0], window[1] + 1))
    joint = (pairs + pairs.T) / (2 * pairs.sum())
    single = joint.sum(axis=1)
    chance = np.outer(single, single)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {
            "raw": joint / single[:, None],
            "ppmi": np.maximum(0, np.log(joint / chance)),
            "mstar": 2 * (joint - chance) / (joint + chance),
        }[kind]
    rows = np.nan_to_num(values[TOKENS])
    return rows - rows.mean(axis=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("window", [(1, 1), (2, 6)])
def test_every_kind_is_its_formula(kind, window):
    found = together(near(TOY, TOKENS, window), kind).toarray()
    np.testing.assert_allclose(found, dense(window, kind), atol=1e-12)


def test_columns_left_out_are_zero_and_the_others_stay():
    found = near(TOY, TOKENS, (1, 4))
    whole, part = together(found, "mstar").toarray(), together(found, "mstar", TOKENS).toarray()
    others = np.setdiff1d(np.arange(TOY.vocab_size), TOKENS)
    assert (part[:, TOKENS] == 0).all()
    np.testing.assert_array_equal(part[:, others], whole[:, others])


def test_ppmi_is_that_of_the_window_of_tables():
    tables = (count(TOY, distance=k) for k in range(2, 5))
    other = signatures_tokens.centred(signatures_tokens.window(tables, TOKENS, kind="ppmi")).toarray()
    np.testing.assert_allclose(together(near(TOY, TOKENS, (2, 4)), "ppmi").toarray(), other, atol=1e-12)


def test_a_token_that_never_occurs_has_no_row_and_does_not_count_in_the_mean():
    text = Part(np.array([0, 1, 0, 2, 1, 0]), np.array([0, 6]), 4)
    alone, beside = near(text, [0, 1], (1, 2)), near(text, [0, 1, 3], (1, 2))
    np.testing.assert_array_equal(together(beside).toarray()[:-1], together(alone).toarray())
    assert (together(beside).toarray()[-1] == 0).all()


def test_weights_and_kinds_that_are_none_are_refused():
    with pytest.raises(ValueError, match="uniform"):
        weights("heavy", (1, 2))
    with pytest.raises(ValueError, match="mstar"):
        together(near(TOY, TOKENS, (1, 1)), "pmi")
    with pytest.raises(ValueError, match="No token stands near"):
        together(near(TOY, [0], (1, 1)), without=range(TOY.vocab_size))
