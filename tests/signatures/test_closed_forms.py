"""Appendix B.1 against enumeration: how many printed cells are wrong, and that no corrected one is.

The other statements of the chapter on the tasks' signatures (cosines, overlaps) have their twins here too.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probsig.laws import distribution, tasks
from probsig.laws.tasks import TASKS
from probsig.signatures import closed_forms
from probsig.signatures import laws as signatures_laws
from probsig.signatures.closed_forms import FAMILIES, compare, corrected, enumerated, printed, sum_law

BAD = {  # task, convention -> (bad cells, cells, largest error) by family
    ("add", "membership"): [
        (180, 580, 9 / 7600),
        (0, 400, 0),
        (4000, 19600, 0.9),
        (4090, 4900, 1),
        (342, 2320, 0.99),
        (490, 580, 0.9975),
    ],
    ("add", "companion"): [
        (0, 580, 0),
        (0, 400, 0),
        (900, 19600, 0.9),
        (4000, 4900, 0.975),
        (342, 2320, 0.99),
        (490, 580, 1.9975),
    ],
    ("add_same", "membership"): [
        (0, 400, 0),
        (180, 580, 9 / 7600),
        (4000, 23200, 9 / 190),
        (4000, 4000, 0.975),
        (0, 2320, 0),
        (400, 400, 0.19),
    ],
    ("add_same", "companion"): [
        (0, 400, 0),
        (0, 580, 0),
        (0, 23200, 0),
        (4000, 4000, 0.075),
        (0, 2320, 0),
        (400, 400, 0.2),
    ],
    ("mod", "membership"): [
        (0, 400, 0),
        (0, 400, 0),
        (5881, 16000, 2 / 19),
        (4000, 4000, 0.975),
        (549, 1600, 0.1),
        (400, 400, 0.19),
    ],
    ("mod", "companion"): [
        (0, 400, 0),
        (0, 400, 0),
        (5312, 16000, 0.1),
        (4000, 4000, 0.075),
        (549, 1600, 0.1),
        (400, 400, 0.2),
    ],
}


@pytest.mark.parametrize(("name", "convention"), BAD)
def test_printed_forms_disagree_in_just_these_cells(name, convention):
    law = TASKS[name]()
    formulas, truth = printed(law), enumerated(law, convention)
    for family, (bad, cells, error) in zip(FAMILIES, BAD[name, convention], strict=True):
        found = compare(formulas[family], truth[family])
        assert found[:2] == (bad, cells), family
        assert found[2] == pytest.approx(error, rel=1e-12), family


@pytest.mark.parametrize("convention", ["membership", "companion"])
@pytest.mark.parametrize("name", TASKS)
def test_no_corrected_cell_disagrees(name, convention):
    law = TASKS[name]()
    formulas, truth = corrected(law, convention), enumerated(law, convention)
    assert {family: compare(formulas[family], truth[family])[0] for family in FAMILIES} == dict.fromkeys(FAMILIES, 0)


@settings(max_examples=25)
@given(
    st.sampled_from(["add", "add_same", "mod"]),
    st.sampled_from(["membership", "companion"]),
    st.sets(st.integers(20, 30), min_size=1, max_size=4),
)
def test_corrected_forms_hold_where_z_has_gaps_or_refuse_it(name, convention, z):
    law = TASKS[name]([1, 2] if len(z) > 1 else [1], sorted(z), vocab_size=50)
    if name == "mod" and len({one % len(z) for one in z}) < len(z):
        with pytest.raises(ValueError, match=r"two z agree mod \d, so that labels are not uniform: pass z that differ"):
            corrected(law, convention)
        return
    formulas, truth = corrected(law, convention), enumerated(law, convention)
    assert {family: compare(formulas[family], truth[family])[0] for family in FAMILIES} == dict.fromkeys(FAMILIES, 0)


@settings(max_examples=25)
@given(
    st.sampled_from(["add", "add_same", "mod"]),
    st.sampled_from(["membership", "companion"]),
    st.sets(st.integers(1, 6), min_size=1, max_size=4),
    st.integers(20, 24),
    st.integers(1, 8),
)
def test_corrected_forms_hold_for_other_sets(name, convention, anchors, start, size):
    if name == "mod" and len({a % size for a in anchors}) < len(anchors):
        with pytest.raises(ValueError, match="two anchors agree mod"):
            corrected(tasks.modular_addition(sorted(anchors), range(start, start + size), 50), convention)
        return
    law = TASKS[name](sorted(anchors), range(start, start + size), vocab_size=50)
    formulas, truth = corrected(law, convention), enumerated(law, convention)
    for family in FAMILIES:
        assert compare(formulas[family], truth[family])[0] == 0, family


def test_which_repair_of_f_mod_mends_which_family():
    law = tasks.modular_addition()
    truth = enumerated(law)

    def bad(family, **repair):
        return compare(printed(law, **repair)[family], truth[family])[0]

    assert bad("z_label", sign=1) == 1550
    assert bad("z_label", outer_modulus=True) == 6000
    assert bad("z_label", outer_modulus=True, sign=1) == 0
    assert bad("z_inverse", outer_modulus=True) == 0
    assert bad("anchor_inverse", outer_modulus=True) == 400


def test_printed_conditional_laws_do_not_sum_to_one():
    def sums(name, family):
        return {total for total in np.asarray(printed(TASKS[name]())[family].sum(axis=-1)).ravel().tolist()}

    quarter = Fraction(1, 4)
    assert sums("add_same", "anchor_label") == sums("mod", "anchor_label") == {quarter}
    assert max(sums("add", "anchor_label")) == quarter and min(sums("add", "anchor_label") - {0}) == Fraction(1, 40)
    assert all(max(sums(name, "anchor_inverse")) <= quarter for name in TASKS)
    for name in TASKS:
        truth = enumerated(TASKS[name]())
        possible = truth["anchor_label"][:, :, 0] != None  # noqa: E711
        assert set(truth["anchor_label"][possible].sum(axis=-1).tolist()) == {1}
        assert set(truth["anchor_inverse"].sum(axis=-1).tolist()) == {2}


def test_one_anchor_added_to_itself_is_not_two_anchors():
    law = tasks.addition_same_domain()
    twice = {2 * a: Fraction(1, 10) for a in range(11, 21)}
    literal = np.array([[twice.get(nu - z, Fraction(0)) for z in law.groups["z"]] for nu in law.groups["labels"]])
    assert compare(literal, enumerated(law)["z_inverse"])[:2] == (760, 2320)


@given(st.lists(st.lists(st.integers(-5, 5), min_size=1, max_size=3, unique=True), min_size=1, max_size=3))
def test_the_law_of_a_sum_is_the_convolution(summands):
    law = np.array([Fraction(1)], dtype=object)
    for values in summands:
        uniform = np.array([Fraction(int(v in values), len(values)) for v in range(-5, 6)], dtype=object)
        law = np.convolve(law, uniform)
    expected = {v - 5 * len(summands): p for v, p in enumerate(law) if p}
    assert sum_law(*map(tuple, summands)) == expected


def dots(matrix):
    flat = matrix.reshape(len(matrix), -1)
    flat = flat[:, (flat != 0).any(axis=0)]
    return flat @ flat.T


def cosine_of_equal_norms(matrix):
    """Exact cosines of rows that have one norm, else an error."""
    gram = dots(matrix)
    assert len(set(np.diagonal(gram).tolist())) == 1
    return gram / gram[0, 0]


@settings(max_examples=10)
@given(st.integers(2, 5), st.integers(0, 6), st.integers(1, 3))
def test_cosines_of_the_joint_signature_count_overlaps(m, extra, start):
    n = 2 * m - 1 + extra
    anchors, z = range(start, start + m), range(30, 30 + n)
    distance = np.abs(np.subtract.outer(range(m), range(m)))
    for name, slope in {
        "add": Fraction(m + n, 2 * m * n),
        "add_same": Fraction(1, 2 * m),
        "mod": Fraction(1, 2 * m),
    }.items():
        law = TASKS[name](anchors, z, vocab_size=60)
        cosine = cosine_of_equal_norms(signatures_laws.joint(law, anchors, "companion", exact=True))
        assert (cosine == 1 - distance * slope).all()


@pytest.mark.parametrize("name", ["add", "mod"])
def test_cooccurrence_cosines_depend_on_the_convention(name):
    law, anchors = TASKS[name](), list(range(11, 21))

    def off_diagonal(matrix):
        cosine = cosine_of_equal_norms(matrix)
        (value,) = set(cosine[np.triu_indices(10, 1)].tolist())
        return value

    membership = signatures_laws.cooccurrence(law, anchors, "membership", exact=True)
    assert off_diagonal(membership) == Fraction(4681, 16241)  # .2882
    zeroed = membership.copy()
    zeroed[np.arange(10), anchors] = Fraction(0)
    assert off_diagonal(zeroed) == Fraction(1641, 1801)  # .9112
    assert off_diagonal(signatures_laws.cooccurrence(law, anchors, "count", exact=True)) == Fraction(13, 53)  # .2453
    assert off_diagonal(signatures_laws.cooccurrence(law, anchors, "companion", exact=True)) == 1


def test_label_signatures_are_one_law_in_two_tasks_and_ordered_in_the_first():
    anchors = list(range(11, 21))
    for name in ("add_same", "mod"):
        for convention in ("membership", "count"):
            rows = signatures_laws.label(TASKS[name](), anchors, convention, exact=True)
            assert (rows == rows[0]).all()
    rows = signatures_laws.label(TASKS["add"](), anchors, "count", exact=True)
    assert (rows[:, 123:181][1, 1:] == rows[:, 123:181][0, :-1]).all()  # the law of 12 is that of 11 moved by one
    gram = dots(rows)
    assert float(gram[0, 1] / gram[0, 0]) == pytest.approx(0.9973, abs=5e-5)
    assert float(gram[0, 4] / gram[0, 0]) == pytest.approx(0.9619, abs=5e-5)
    assert float(gram[0, 9] / gram[0, 0]) == pytest.approx(0.8447, abs=5e-5)


@pytest.mark.parametrize("convention", ["companion", "membership"])
def test_signatures_of_neighbouring_anchors_are_shifted_copies_only_as_companions(convention):
    A, found = list(range(11, 21)), {}
    for name, make in TASKS.items():
        law = make()
        Z, Y = list(law.groups["z"]), list(law.groups["labels"])
        if name == "add":
            rows = signatures_laws.label(law, A, convention, exact=True)[:, Y]
            found[name] = bool((rows[1:, 1:] == rows[:-1, :-1]).all())
        elif name == "add_same":
            rows = signatures_laws.cooccurrence(law, A, convention, exact=True)[:, Z]
            found[name] = bool((rows[1:, :-1] == rows[:-1, 1:]).all())
        else:
            rows = signatures_laws.joint(law, A, convention, exact=True)[:, Y][:, :, Z]
            found[name] = bool((rows[1:] == np.roll(rows[:-1], -1, axis=2)).all())
    assert found == dict.fromkeys(TASKS, convention == "companion")


@pytest.mark.parametrize(
    ("name", "cosines"),
    [("add", (0.3286, 0.2972, 0.2385)), ("add_same", (0.3272, 0.2995, 0.2581)), ("mod", (0.3272, 0.2995, 0.2581))],
)
def test_joint_cosines_of_definition_2(name, cosines):
    rows = signatures_laws.joint(TASKS[name](), [11, 12, 15, 20], "membership").reshape(4, -1)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert rows[0] @ rows[1:].T == pytest.approx(cosines, abs=5e-5)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda law: corrected(law, "count"), "convention is 'count': pass one of 'membership', 'companion'."),
        (lambda law: enumerated(law, "count"), "convention is 'count': pass one of 'membership', 'companion'."),
        (
            lambda law: closed_forms.printed(distribution.Distribution([[1]], [1], [1], 2, "add")),
            "The law has no closed forms, since it is none of the three tasks: pass one of `laws.TASKS`.",
        ),
    ],
)
def test_bad_input_is_one_sentence_naming_culprit_and_remedy(ask, message):
    with pytest.raises(ValueError) as caught:
        ask(tasks.addition())
    assert str(caught.value).startswith(message)
