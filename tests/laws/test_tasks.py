"""The laws: what the paper says of the three tasks, samples that converge, merged and compact laws, errors."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probsig.laws import tasks
from probsig.laws.distribution import Distribution
from probsig.laws.tasks import TASKS, TEX


@st.composite
def laws(draw, vocab_size=5, max_length=3):
    length = draw(st.integers(1, max_length))
    ids = st.integers(0, vocab_size - 1)
    atoms = draw(st.lists(st.tuples(st.tuples(*[ids] * length), ids, st.integers(1, 9)), min_size=1, max_size=8))
    X, y, weight = zip(*atoms, strict=True)
    return Distribution(X, y, weight, vocab_size)


def test_f_add_has_58_labels_of_mean_151_and_a_half():
    law = tasks.addition()
    assert law.X.shape == (4000, 3) and law.total == 4000
    assert law.labels().tolist() == list(range(123, 181)) == list(law.groups["labels"])
    assert Fraction(int(law.y.sum()), 4000) == Fraction(303, 2)
    assert (law.X.sum(axis=1) == law.y).all()


def test_f_add_same_has_uniform_labels_and_z_from_61_to_118():
    law = tasks.addition_same_domain()
    assert law.X.shape == (4000, 3) and (law.X.sum(axis=1) == law.y).all()
    assert Counter(law.y.tolist()) == dict.fromkeys(range(101, 141), 100)
    assert list(law.groups["z"]) == list(range(61, 119)) == sorted(set(law.X[:, 0].tolist()))
    assert Fraction(int(law.y.sum()), 4000) == Fraction(241, 2)


def test_f_mod_has_uniform_labels_that_shift_by_one_with_each_summand():
    law = tasks.modular_addition()
    assert Counter(law.y.tolist()) == dict.fromkeys(range(101, 141), 100)
    table = {tuple(x): y for x, y in zip(law.X.tolist(), law.y.tolist(), strict=True)}
    assert len(table) == 4000
    assert table[101, 11, 11] == 101 + 123 % 40 == 104
    steps = {(table[z, a + 1, b] - table[z, a, b]) % 40 for z, a, b in table if a < 20}
    assert steps == {1}


@pytest.mark.parametrize("name", TASKS)
def test_every_ordered_pair_of_anchors_is_equally_likely(name):
    law = TASKS[name]()
    assert law.name == name and name in TEX
    pairs = Counter(map(tuple, law.X[:, 1:].tolist()))
    assert pairs == {(a, b): 40 for a in range(11, 21) for b in range(11, 21)}
    assert not set(law.groups["anchors"]) & set(law.groups["z"])


@given(laws())
def test_counts_are_the_multiplicities_of_tokens(law):
    expected = [[list(x).count(t) for t in range(law.vocab_size)] for x in law.X.tolist()]
    assert law.counts().tolist() == expected
    assert law.occurs().tolist() == sorted({t for x in law.X.tolist() for t in x})
    assert law.probability.sum() == pytest.approx(1, abs=1e-15)


@given(laws(), st.integers(1, 50), st.integers(0, 99))
def test_a_sample_is_the_multiset_of_its_draws(law, size, seed):
    drawn, sample = law.draw(size, seed), law.sample(size, seed)
    assert sample.total == size == len(drawn)
    expected = Counter((tuple(law.X[i].tolist()), int(law.y[i])) for i in drawn)
    found = Counter()
    for x, y, w in zip(sample.X.tolist(), sample.y.tolist(), sample.weight.tolist(), strict=True):
        found[tuple(x), y] += w
    assert found == expected


def test_a_sample_converges_as_one_over_the_root_of_its_size():
    law = Distribution([[0], [1], [2]], [0, 0, 0], [1, 2, 5], 3)
    sizes, seeds = [200, 3200, 51200], range(20)
    error = [
        np.mean([np.abs(np.bincount(law.draw(n, s), minlength=3) / n - law.probability).sum() for s in seeds])
        for n in sizes
    ]
    slope = np.polyfit(np.log(sizes), np.log(error), 1)[0]
    assert -0.6 < slope < -0.4


def test_different_tasks_have_different_samples_and_the_same_seed_the_same_one():
    add, mod = tasks.addition(), tasks.modular_addition()
    assert (add.draw(100, 0) == add.draw(100, 0)).all()
    assert (add.draw(100, 0) != mod.draw(100, 0)).any()
    assert (add.draw(100, 0) != add.draw(100, 1)).any()


@given(laws())
def test_merging_keeps_the_law_of_counts_and_label(law):
    def table(d):
        out = Counter()
        for c, y, w in zip(d.counts().tolist(), d.y.tolist(), d.weight.tolist(), strict=True):
            out[tuple(c), y] += w
        return out

    merged = law.merged()
    assert table(merged) == table(law)
    assert len(merged.X) == len(table(law))


@given(laws(vocab_size=9))
def test_compact_renumbers_in_order_and_back(law):
    small, ids = law.compact()
    assert ids.tolist() == sorted(set(law.X.ravel().tolist()) | set(law.y.tolist()))
    assert small.vocab_size == len(ids)
    assert (ids[small.X] == law.X).all() and (ids[small.y] == law.y).all()


def test_compact_f_add_has_90_ids_and_renumbered_groups():
    small, ids = tasks.addition().compact()
    assert len(ids) == 10 + 40 + 58 - 18  # labels 123..140 are also z
    assert [int(ids[i]) for i in small.groups["anchors"]] == list(range(11, 21))


def test_arrays_are_copied_and_read_only():
    X = np.array([[0, 1]])
    law = Distribution(X, [1], [1], 2)
    X[0, 0] = 1
    assert law.X.tolist() == [[0, 1]]
    for array in (law.X, law.y, law.weight, law.counts()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tasks.addition(z=range(15, 30)), "id 15 is an anchor and also a value of z: keep the two"),
        (lambda: tasks.addition_same_domain(labels=range(34, 50)), "id 11 is an anchor and also a value of z"),
        (lambda: tasks.addition(anchors=[]), "anchors is empty: pass at least one id"),
        (lambda: tasks.addition(anchors=[11, 12, 11]), "anchors lists id 11 twice: pass distinct ids"),
        (lambda: tasks.modular_addition(z=[]), "z is empty, so the modulus |Z| is 0: pass at least one z"),
        (lambda: tasks.addition(vocab_size=150), "label id 150 is outside 0..149: pass vocab_size >= 181"),
        (lambda: tasks.addition_same_domain(labels=range(20, 30)), "token id -2 is outside 0..199: use ids"),
        (lambda: Distribution([[1]], [1], [0], 3), "weight 0 of atom 0 is below 1: pass positive integers"),
        (lambda: Distribution([[1]], [1], [-4], 3), "weight -4 of atom 0 is below 1: pass positive integers"),
        (lambda: Distribution([[1]], [1], [0.5], 3), "weight holds values of type float64: pass integers"),
        (lambda: Distribution([[1]], [1], [2**62, 2**62], 3), "weight has 2 entries for 1 sequences: pass one each"),
        (lambda: Distribution([[1]] * 2, [1, 1], [2**62] * 2, 3), "weights sum to 9223372036854775808, too many"),
        (lambda: Distribution([1, 2], [1, 2], [1, 1], 3), "X has 1 axes: pass an array of 2"),
        (lambda: Distribution([[1, 2], [1]], [1, 2], [1, 1], 3), "X has rows of different lengths: pass sequences"),
        (lambda: Distribution(np.zeros((0, 2), int), [], [], 3), "X has shape (0, 2): pass at least one sequence"),
        (lambda: Distribution([[1]], [1], [1], 3, groups={"a": (7,)}), "group 'a' id 7 is outside 0..2: pass vocab"),
        (lambda: tasks.addition().draw(0, 0), "size is 0: draw at least 1 sequence"),
    ],
)
def test_bad_input_is_one_sentence_naming_culprit_and_remedy(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
