"""Parameters of a chapter: what is taken, and the one sentence for what is not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probsig.pages import parameters
from probsig.pages.parameters import Choice, Integer, Number, ParameterError, check

RULES = {"seed": Integer(0, 99), "rate": Number(0, 1), "scale": Choice("smoke", "laptop", "paper")}
GOOD = {"seed": 3, "rate": 0.5, "scale": "laptop"}


def message(namespace):
    with pytest.raises(ParameterError) as caught:
        check(namespace, **RULES)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence
    return sentence


def test_good_parameters_come_back_with_their_types():
    p = check(GOOD | {"rate": 1, "seed": np.int64(4)}, **RULES)
    assert vars(p) == {"seed": 4, "rate": 1.0, "scale": "laptop"}
    assert type(p.rate) is float and type(p.seed) is int


def test_what_is_no_parameter_is_passed_over():
    shell = {"In": ["x"], "Out": {}, "_i1": "x", "__name__": "n", "parameters": parameters, "check": check, "C": Choice}
    check(shell | GOOD, **RULES)


def test_unknown_name_suggests_the_closest():
    sentence = message(GOOD | {"sed": 7})
    assert "'sed' = 7" in sentence and "did you mean 'seed'?" in sentence


@pytest.mark.parametrize("value", ["", "  ", 3, None])
def test_a_text_is_a_name_or_a_path(value):
    assert check({"text": "a b"}, text=parameters.Text()).text == "a b"
    with pytest.raises(ParameterError, match=r"'text' was .* but must be a text: a name or a path"):
        check({"text": value}, text=parameters.Text())


def test_missing_name():
    assert "'rate' is missing" in message({"seed": 1, "scale": "smoke"})


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("seed", True, "an integer from 0 to 99"),
        ("seed", 1.0, "an integer from 0 to 99"),
        ("seed", "1", "an integer from 0 to 99"),
        ("seed", 100, "an integer from 0 to 99"),
        ("seed", -1, "an integer from 0 to 99"),
        ("rate", math.nan, "a number from 0 to 1"),
        ("rate", math.inf, "a number from 0 to 1"),
        ("rate", False, "a number from 0 to 1"),
        ("rate", 1.5, "a number from 0 to 1"),
        ("scale", "Laptop", "did you mean 'laptop'?"),
        ("scale", None, "one of 'smoke', 'laptop', 'paper'"),
    ],
)
def test_wrong_value_is_named_with_what_is_allowed(name, value, allowed):
    sentence = message(GOOD | {name: value})
    assert repr(name) in sentence and repr(value) in sentence and allowed in sentence


def test_choice_compares_types():
    with pytest.raises(ValueError, match="one of 0, 1"):
        Choice(0, 1).accept(True)


@given(st.integers(-200, 200))
def test_integer_takes_exactly_its_range(value):
    if 0 <= value <= 99:
        assert check(GOOD | {"seed": value}, **RULES).seed == value
    else:
        assert repr(value) in message(GOOD | {"seed": value})


def test_ipython_shows_one_line():
    assert ParameterError("The sentence.")._render_traceback_() == ["ParameterError: The sentence."]
