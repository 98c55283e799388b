"""symmetry: a made-up year in a text, an embedding that is a circle, what it says and refuses."""

import numpy as np
import pytest

import probsig as ps
from probsig.answers.symmetry import symmetry
from probsig.experiments.shape import MadeUp
from probsig.geometry import symmetry as shapes
from probsig.text.groups import GROUPS
from probsig.text.sources.toy import ToyCorpus

TEXT = MadeUp.of(0, documents=1200)


@pytest.mark.parametrize(("group", "shape"), [("months", "ring"), ("weekdays", "ring")])
def test_a_text_that_is_symmetric_is_found_to_be(group, shape):
    found = symmetry(group, TEXT, within=(1, 4), draws=99)
    assert found.shape == shape
    assert found.explained["text"] > max(0.8, np.quantile(found.explained_null["text"], 0.9))
    assert found.filled["text"] > max(0.9, np.quantile(found.filled_null["text"], 0.9))
    assert list(found.explained) == ["text"] and found.table()["wave"].tolist() == list(
        range(1, len(found.labels) // 2 + 1)
    )


def test_a_line_of_years_has_half_waves():
    found = symmetry([str(year) for year in range(1900, 2020)], TEXT, within=(1, 4), draws=9)
    assert found.shape == "line" and found.filled["text"] > 0.8
    assert found.shares["text"][0] > 3 * found.shares["text"][3]


def test_an_embedding_that_is_a_circle_is_all_one_wave_and_both_sides_are_told_apart():
    ids = [TEXT.tokenizer.id(month) for month in GROUPS["months"]]
    W = np.random.default_rng(0).standard_normal((TEXT.vocab_size, 2))
    angles = 2 * np.pi * np.arange(12) / 12
    W[ids] = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = symmetry("months", TEXT, W, within=(1, 4), draws=19)
    assert found.explained["embedding"] == pytest.approx(1, abs=1e-6)
    assert found.filled["embedding"] == pytest.approx(1, abs=1e-6)
    assert found.shares["embedding"][0] == pytest.approx(1, abs=1e-6)
    assert "In made-up the distance alone" in str(found) and "In W the distance alone explains 1.00" in str(found)


def test_its_numbers_are_those_of_the_geometry_below():
    found = ps.symmetry("months", ToyCorpus.of(0), within=(2, 6), draws=5)
    square = ps.windows("months", ToyCorpus.of(0), within=[(2, 6)], draws=1).cosines[0]
    gap = np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    assert found.explained["text"] == shapes.explained_by_distance(square, np.minimum(gap, 12 - gap))
    assert found.filled["text"] == shapes.overlap(square, shapes.modes(12, True)[:, :2])


@pytest.mark.parametrize(
    ("options", "says"),
    [({"draws": 0}, "draws is 0"), ({"within": (1, 900)}, "beyond every document"), ({"kind": "x"}, "'mstar'")],
)
def test_what_it_refuses_in_one_sentence(options, says):
    with pytest.raises(ValueError, match=says):
        symmetry("months", ToyCorpus.of(0), **options)
