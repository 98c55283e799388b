"""Signatures against sums written out in Fractions, a law worked by hand, and the identities between conventions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probsig.laws import tasks
from probsig.laws.distribution import Distribution
from probsig.signatures import laws as signatures_laws
from probsig.signatures.laws import CONVENTIONS, INVERSE_CONVENTIONS


@st.composite
def laws(draw, vocab_size=5):
    """Any law over few tokens, repeats included."""
    length = draw(st.integers(1, 3))
    ids = st.integers(0, vocab_size - 1)
    atoms = draw(st.lists(st.tuples(st.tuples(*[ids] * length), ids, st.integers(1, 9)), min_size=1, max_size=8))
    X, y, weight = zip(*atoms, strict=True)
    return Distribution(X, y, weight, vocab_size)


def naive(dist, kind, convention, row, *column):
    """One entry of a signature from its definition, by a loop over the atoms; `column` is (nu,), (x',) or (nu, x')."""
    top, bottom = Fraction(0), Fraction(0)
    for x, y, w in zip(dist.X.tolist(), dist.y.tolist(), dist.weight.tolist(), strict=True):

        def times(token, x=x):
            return int(token in x) if convention == "membership" else x.count(token)

        if kind == "inverse":
            bottom += w * (y == row)
            top += w * (y == row) * Fraction(times(column[0]), len(x) if convention == "position" else 1)
            continue
        bottom += w * times(row)
        value = times(row)
        if kind != "label":
            value *= times(column[-1]) - (convention == "companion" and row == column[-1])
        if kind != "cooccurrence":
            value *= y == column[0]
        top += w * value
    return top / bottom if bottom else Fraction(0)


KINDS = {"label": CONVENTIONS, "cooccurrence": CONVENTIONS, "joint": CONVENTIONS, "inverse": INVERSE_CONVENTIONS}


@pytest.mark.parametrize(("kind", "convention"), [(kind, name) for kind, names in KINDS.items() for name in names])
@given(law=laws(vocab_size=4))
def test_every_signature_is_the_sum_of_its_definition(kind, convention, law):
    function = getattr(signatures_laws, kind)
    exact = function(law, convention=convention, exact=True)
    for index in np.ndindex(exact.shape):
        assert exact[index] == naive(law, kind, convention, *index), index
        assert type(exact[index]) is Fraction
    assert (function(law, convention=convention) == exact.astype(float)).all()


def test_a_law_worked_by_hand():
    # tokens a=0 b=1 c=2, labels u=3 v=4 (w=5 never); weights 2, 1, 1
    law = Distribution(X=[[0, 0, 1], [0, 1, 2], [1, 1, 2]], y=[3, 3, 4], weight=[2, 1, 1], vocab_size=6)
    half, third, fifth = Fraction(1, 2), Fraction(1, 3), Fraction(1, 5)

    def row(*values):
        return [[Fraction(value) for value in values]]

    def found(function, token, convention):
        return function(law, [token], convention, exact=True).tolist()

    assert found(signatures_laws.label, 1, "membership") == row(0, 0, 0, 3 * half / 2, half / 2, 0)
    assert found(signatures_laws.label, 1, "count") == row(0, 0, 0, 3 * fifth, 2 * fifth, 0)
    assert found(signatures_laws.label, 1, "companion") == found(signatures_laws.label, 1, "count")
    assert found(signatures_laws.cooccurrence, 0, "membership") == row(1, 1, third, 0, 0, 0)
    assert found(signatures_laws.cooccurrence, 0, "count") == row(9 * fifth, 1, fifth, 0, 0, 0)
    assert found(signatures_laws.cooccurrence, 0, "companion") == row(4 * fifth, 1, fifth, 0, 0, 0)
    assert found(signatures_laws.inverse, 3, "membership") == row(1, 1, third, 0, 0, 0)
    assert found(signatures_laws.inverse, 3, "count") == row(5 * third, 1, third, 0, 0, 0)
    assert found(signatures_laws.inverse, 3, "position") == row(5 * third / 3, third, third / 3, 0, 0, 0)
    assert found(signatures_laws.label, 5, "count") == row(0, 0, 0, 0, 0, 0)


@given(laws())
def test_rows_normalise(law):
    seen, answered, L = law.occurs(), law.labels(), law.length
    for convention in CONVENTIONS:
        assert (signatures_laws.label(law, seen, convention, exact=True).sum(axis=1) == 1).all()
    for convention, total in {"count": L, "companion": L - 1}.items():
        assert (signatures_laws.cooccurrence(law, seen, convention, exact=True).sum(axis=1) == total).all()
        assert (signatures_laws.joint(law, seen, convention, exact=True).sum(axis=(1, 2)) == total).all()
    for convention, total in {"count": L, "position": 1}.items():
        assert (signatures_laws.inverse(law, answered, convention, exact=True).sum(axis=1) == total).all()


@given(laws())
def test_count_is_the_unit_vector_plus_companion(law):
    seen = law.occurs()
    unit = np.eye(law.vocab_size, dtype=int)[seen]
    count, companion = (signatures_laws.cooccurrence(law, seen, name, exact=True) for name in ("count", "companion"))
    assert (count == unit + companion).all()
    count, companion = (signatures_laws.joint(law, seen, name, exact=True) for name in ("count", "companion"))
    label = signatures_laws.label(law, seen, "count", exact=True)
    assert (count == companion + label[:, :, None] * unit[:, None, :]).all()


@given(laws())
def test_joint_sums_to_cooccurrence_over_labels_and_to_the_label_at_the_own_token(law):
    seen = law.occurs()
    for convention in CONVENTIONS:
        joint = signatures_laws.joint(law, seen, convention, exact=True)
        assert (joint.sum(axis=1) == signatures_laws.cooccurrence(law, seen, convention, exact=True)).all()
        if convention != "membership":
            slots = law.length - (convention == "companion")
            assert (joint.sum(axis=2) == slots * signatures_laws.label(law, seen, convention, exact=True)).all()
    own = signatures_laws.joint(law, seen, "membership", exact=True)[np.arange(len(seen)), :, seen]
    assert (own == signatures_laws.label(law, seen, "membership", exact=True)).all()


@given(laws(vocab_size=6))
def test_membership_is_count_exactly_on_the_tokens_of_laws_without_repeats(law):
    distinct = law.counts().max(axis=1) == 1
    if distinct.any():
        law = Distribution(law.X[distinct], law.y[distinct], law.weight[distinct], law.vocab_size)
        for function in (
            signatures_laws.label,
            signatures_laws.cooccurrence,
            signatures_laws.joint,
            signatures_laws.inverse,
        ):
            pair = (function(law, convention=name, exact=True) for name in ("membership", "count"))
            assert (next(pair) == next(pair)).all()


@given(laws(), st.permutations(range(5)))
def test_renaming_tokens_renames_the_axes(law, new):
    new = np.array(new)
    renamed = Distribution(new[law.X], new[law.y], law.weight, law.vocab_size)
    for convention in CONVENTIONS:
        moved = signatures_laws.joint(renamed, new, convention, exact=True)[:, new][:, :, new]
        assert (moved == signatures_laws.joint(law, convention=convention, exact=True)).all()
    moved = signatures_laws.inverse(renamed, new, "position", exact=True)[:, new]
    assert (moved == signatures_laws.inverse(law, convention="position", exact=True)).all()


@given(laws(), st.integers(2, 5))
def test_merging_atoms_scaling_weights_and_splitting_atoms_change_nothing(law, factor):
    scaled = Distribution(law.X, law.y, law.weight * factor, law.vocab_size)
    doubled = Distribution(np.vstack([law.X, law.X]), np.tile(law.y, 2), np.tile(law.weight, 2), law.vocab_size)
    for convention in CONVENTIONS:
        expected = signatures_laws.joint(law, convention=convention, exact=True)
        for other in (law.merged(), scaled, doubled):
            assert (signatures_laws.joint(other, convention=convention, exact=True) == expected).all()


@given(laws())
def test_bayes_links_label_and_inverse_in_counts(law):
    # E[c_x 1{y = nu}] from both sides
    tokens_rate = [Fraction(int(n), law.total) for n in law.weight @ law.counts()]
    label_rate = [Fraction(int(law.weight[law.y == n].sum()), law.total) for n in range(law.vocab_size)]
    left = signatures_laws.label(law, exact=True) * np.array(tokens_rate)[:, None]
    right = signatures_laws.inverse(law, exact=True) * np.array(label_rate)[:, None]
    assert (left == right.T).all()


def test_the_signature_of_a_sample_converges_to_that_of_the_law():
    law, sizes, anchors = tasks.modular_addition(), [2000, 16000, 128000], list(range(11, 21))
    exact = signatures_laws.cooccurrence(law, anchors, "companion")
    error = [
        np.mean(
            [
                np.linalg.norm(signatures_laws.cooccurrence(law.sample(n, seed), anchors, "companion") - exact)
                for seed in range(4)
            ]
        )
        for n in sizes
    ]
    slope = np.polyfit(np.log(sizes), np.log(error), 1)[0]
    assert -0.55 < slope < -0.45


def test_rows_follow_the_order_of_the_tokens_asked_for():
    law = tasks.addition()
    everything = signatures_laws.joint(law, [12, 130, 3])
    assert (everything[0] == signatures_laws.joint(law, [12])[0]).all()
    assert (everything[1] == signatures_laws.joint(law, [130])[0]).all()
    assert (everything[2] == 0).all()


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda law: signatures_laws.label(law, [200]), "token 200 is unknown: ids of this law are 0..199"),
        (lambda law: signatures_laws.joint(law, [-1]), "token -1 is unknown: ids of this law are 0..199"),
        (lambda law: signatures_laws.inverse(law, [999]), "label 999 is unknown: ids of this law are 0..199"),
        (lambda law: signatures_laws.label(law, [11, 12, 11]), "token 11 is asked for twice: ask for each id once"),
        *(
            (lambda law, one=one, ids=ids: one(law, ids), f"{what}s {said}")
            for one, what in ((signatures_laws.label, "token"), (signatures_laws.inverse, "label"))
            for ids, said in (
                ([1.9], "holds values of type float64: pass integers."),
                (["1"], "holds values of type <U1: pass integers."),
                ("1", "holds values of type <U1: pass integers."),
                ([True], "holds values of type bool: pass integers."),
                ([2**70], "holds values of type object: pass integers."),
                ([2**63], "is [9223372036854775808]: pass a list of ids."),
                ([[0, 1]], "is [[0, 1]]: pass a list of ids."),
                ([[0], [0, 1]], "has rows of different lengths: pass sequences of one length."),
            )
        ),
        (
            lambda law: signatures_laws.cooccurrence(law, [11], "position"),
            "convention is 'position': pass one of 'membership', 'count', 'companion'.",
        ),
        (
            lambda law: signatures_laws.inverse(law, [123], "companion"),
            "convention is 'companion': pass one of 'membership', 'count', 'position'.",
        ),
    ],
)
def test_bad_input_is_one_sentence_naming_culprit_and_remedy(ask, message):
    with pytest.raises(ValueError) as caught:
        ask(tasks.addition())
    assert str(caught.value) == message
