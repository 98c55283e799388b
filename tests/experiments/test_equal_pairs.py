"""Two laws with equal pairs: in fractions, by hand, and what training makes of them."""

from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
import torch

from probsig.experiments import equal_pairs

Q, Z = (Fraction(1, 3), Fraction(2, 3)), (-2, 1)


def by_formula(sign):
    """The law from its formula in the module's docstring, in fractions, by sequence."""
    out = {}
    for sequence in product(range(6), repeat=4):
        c, b = [x // 2 for x in sequence], [x % 2 for x in sequence]
        share = Fraction(1, 3) * Q[b[0]] * Q[b[1]]
        for t in range(3):
            share *= Fraction(int(equal_pairs.CHAIN[c[t], c[t + 1]]), 8)
        for t in range(2):
            share *= Q[b[t + 2]] * (1 + Fraction(sign, 8) * Z[b[t]] * Z[b[t + 1]] * Z[b[t + 2]])
        out[sequence] = share
    return out


def of_places(law, places):
    out = {}
    for sequence, share in law.items():
        key = tuple(sequence[place] for place in places)
        out[key] = out.get(key, 0) + share
    return out


@pytest.fixture(scope="module")
def laws():
    return {sign: by_formula(sign) for sign in (1, 0, -1)}


@pytest.mark.parametrize("sign", [1, 0, -1])
def test_the_weights_are_the_formula(laws, sign):
    tokens, weights = equal_pairs.law(sign)
    total = int(weights.sum())
    assert weights.dtype == np.int64 and (weights >= 0).all()
    assert {tuple(t): Fraction(int(w), total) for t, w in zip(tokens.tolist(), weights, strict=True)} == laws[sign]
    assert sum(laws[sign].values()) == 1


def test_pairs_are_equal_in_fractions_and_triples_are_not(laws):
    for places in combinations(range(4), 2):
        assert of_places(laws[1], places) == of_places(laws[-1], places)
    assert of_places(laws[1], (0, 3)) != of_places(laws[0], (0, 3))  # a square, seen beside independent bits
    for places in ((0, 1, 2), (1, 2, 3)):
        plus, minus = (of_places(laws[sign], places) for sign in (1, -1))
        assert sum(abs(plus[key] - minus[key]) for key in plus) / 2 == Fraction(8, 27)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_laws_are_stationary(laws, sign):
    assert of_places(laws[sign], (0, 1, 2)) == of_places(laws[sign], (1, 2, 3))


def test_no_renaming_of_tokens_makes_one_law_the_other(laws):
    """The multisets of the triples' probabilities differ."""
    plus, minus = (sorted(of_places(laws[sign], (0, 1, 2)).values()) for sign in (1, -1))
    assert plus != minus


@pytest.mark.parametrize("aim", equal_pairs.AIMS)
def test_tables_are_shares_of_prefix_and_goal(laws, aim):
    found = equal_pairs.tables(equal_pairs.law(1)[1], aim)
    for j, table in enumerate(found):
        expected = np.zeros((36, 2, 36 if aim == "joint" else 6))
        for (a, b, c, d), share in laws[1].items():
            goals = [(6 * b + c), (6 * c + d)] if aim == "joint" else [(b, c)[j], (c, d)[j]]
            for place, goal in enumerate(goals):
                expected[6 * a + b, place, goal] += float(share) / 2
        assert np.allclose(table, expected, atol=1e-15)
    assert len(found) == (2 if aim == "two" else 1)


@pytest.mark.parametrize(("trunk", "aim", "seen"), [
    ("token", "one", False), ("token", "two", False), ("token", "joint", True),
    ("attention", "one", True), ("attention", "two", True), ("attention", "joint", True),
])  # fmt: skip
def test_what_each_network_can_see(trunk, aim, seen):
    courses = [
        equal_pairs.train(
            equal_pairs.tables(equal_pairs.law(sign)[1], aim),
            equal_pairs.TRUNKS[trunk],
            seed=5,
            steps=12,
            lr=1e-2,
            keep_at=[0, 6, 12],
        )
        for sign in (1, -1)
    ]
    distance = equal_pairs.apart(*courses)
    assert distance[0] == 0
    assert (distance[1:] > 0.05).all() if seen else (distance < 1e-9).all()
    assert np.abs(courses[0][2] - courses[0][0]).max() > 0.03


def test_training_lowers_the_loss_towards_the_entropy_of_the_pairs(laws):
    """With the current token and one head the least loss is H(X_2 | X_1)."""
    pairs, first = of_places(laws[1], (0, 1)), of_places(laws[1], (0,))
    entropy = -sum(float(share) * np.log(float(share / first[key[:1]])) for key, share in pairs.items())
    shares, seen = equal_pairs.tables(equal_pairs.law(1)[1], "one"), []
    original = torch.Tensor.backward

    def noting(loss, *args, **kwargs):
        seen.append(loss.item())
        return original(loss, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", noting)
        equal_pairs.train(shares, False, seed=0, steps=300, lr=1e-2, keep_at=[300])
    assert seen[0] > entropy + 0.3
    assert entropy - 1e-9 < seen[-1] < entropy + 0.02


def test_apart_by_hand():
    start = np.zeros((1, 2, 2))
    one, other = (np.concatenate([start, start + np.array([[a, 0], [0, 0]])]) for a in (3.0, -1.0))
    assert equal_pairs.apart(one, other).tolist() == [0.0, 2.0]
    assert equal_pairs.apart(one, one).tolist() == [0.0, 0.0]


def test_a_run_is_made_once_and_holds_what_it_says(monkeypatch, tmp_path):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    monkeypatch.setitem(equal_pairs.SCALES, "smoke", {"steps": 6, "lr": 1e-2, "sequences": 500, "looks": 3})
    made, again = (equal_pairs.course(scale="smoke", seed=2) for _ in range(2))
    assert (made.origin, again.origin) == ("new", "runs")
    assert made.arrays["apart/steps"].tolist() == [0, 3, 6]
    for trunk in equal_pairs.TRUNKS:
        for aim in equal_pairs.AIMS:
            laws, samples, across = made.arrays[f"apart/{trunk} {aim}"]
            assert laws.shape == (3,) and laws[0] == samples[0] == across[0] == 0
            assert samples[-1] > 0.01 and across[-1] > 0.01
            assert (laws[-1] < 1e-9) == (trunk == "token" and aim != "joint")
    with pytest.raises(ValueError, match="scale is 'huge'"):
        equal_pairs.course(scale="huge", seed=0)
