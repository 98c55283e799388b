"""Named streams: reproducible, independent of each other, and one-sentence errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probsig.seeds import stream

NAMES = st.lists(st.text(max_size=5), max_size=3).map(tuple)


def draws(seed, names):
    return stream(seed, *names).integers(0, 2**62, 4).tolist()


@given(st.integers(0, 2**64), NAMES, st.integers(0, 2**64), NAMES)
def test_two_streams_agree_exactly_when_seed_and_names_do(seed, names, other_seed, other_names):
    same = (seed, names) == (other_seed, other_names)
    assert (draws(seed, names) == draws(other_seed, other_names)) == same


def test_names_are_not_joined_before_hashing():
    assert draws(0, ("ab", "c")) != draws(0, ("a", "bc"))
    assert draws(0, ("a", "b")) != draws(0, ("b", "a"))


def test_streams_are_uncorrelated():
    size = 40_000
    names = [("data", "add"), ("data", "mod"), ("init",), ("order",)]
    values = np.stack([stream(7, *name).standard_normal(size) for name in names])
    off_diagonal = np.corrcoef(values)[np.triu_indices(len(names), 1)]
    assert np.abs(off_diagonal).max() < 4 / np.sqrt(size)


@pytest.mark.parametrize("seed", [-1, 1.0, True, "0"])
def test_a_seed_that_is_no_natural_number_is_named(seed):
    with pytest.raises(ValueError, match=r"^seed is .*: pass an integer of at least 0$"):
        stream(seed)


def test_a_name_that_is_no_string_is_named():
    with pytest.raises(ValueError, match=r"^stream name 3 is not a string"):
        stream(0, "data", 3)
