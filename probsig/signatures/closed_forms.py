"""The closed forms of the addition tasks' signatures (appendix B.1 of the paper): printed, corrected, enumerated.

The book's chapter on signatures and its tests share this module: six families of conditional probabilities for each
task, all in exact fractions, so that a cell of a printed formula is either right or wrong.
"membership" conditions on the event that the anchor a stands in X; "companion" on a given slot holding a, so that
anchors and z are the laws of the other slots and P(a given y) is the mean count E[c_a given y].

Axes of the families: `label` (a, nu); `z` (a, z); `z_label` (a, nu, z); `anchor_label` (a, nu, a');
`z_inverse` (nu, z); `anchor_inverse` (nu, a). Anchors, z and labels are in the order of the law's groups.
A cell whose condition has probability 0 is None in `enumerated` and is not compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig.errors import one_of
from probsig.laws.distribution import Distribution
from probsig.laws.tasks import task_of
from probsig.signatures import laws as signatures_laws

FAMILIES: dict[str, str] = {
    "label": r"P(y=\nu\mid a)",
    "z": r"P(z\mid a)",
    "z_label": r"P(z\mid a,y)",
    "anchor_label": r"P(a'\mid a,y)",
    "z_inverse": r"P(z\mid y)",
    "anchor_inverse": r"P(a\mid y)",
}
CONVENTIONS = ("membership", "companion")
Cells = dict[str, NDArray]


def sum_law(*summands: tuple[int, ...], modulus: int = 0) -> dict[int, Fraction]:
    """The law of a sum of independent uniform variables, one for each set (mod `modulus` unless that is 0).

    >>> {value: str(p) for value, p in sum_law((1, 2), (0, 1)).items()}
    {1: '1/4', 2: '1/2', 3: '1/4'}
    """
    values = [sum(choice) % modulus if modulus else sum(choice) for choice in product(*summands)]
    return {value: Fraction(n, len(values)) for value, n in sorted(Counter(values).items())}


def _table(function: Callable[..., Any], *axes: tuple[int, ...]) -> NDArray:
    values = (function(*ids) for ids in product(*axes))
    cells = [value if type(value) is Fraction else Fraction(value) for value in values]
    return np.array(cells, dtype=object).reshape([len(axis) for axis in axes])


def _task(law: Distribution) -> str:
    task = task_of(law)
    if task is None:
        raise ValueError("The law has no closed forms, since it is none of the three tasks: pass one of `laws.TASKS`.")
    return task


def _groups(law: Distribution) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    return law.groups["anchors"], law.groups["z"], law.groups["labels"]


def _tables(law: Distribution, forms: dict) -> Cells:
    A, Z, Y = _groups(law)
    axes = [(A, Y), (A, Z), (A, Y, Z), (A, Y, A), (Y, Z), (Y, A)]
    return {name: _table(forms[name], *axis) for name, axis in zip(FAMILIES, axes, strict=True)}


def printed(law: Distribution, outer_modulus: bool = False, sign: int = -1) -> Cells:
    """The formulas of appendix B.1 as they stand, with A + A read as the sum of two independent anchors.

    f_mod only: its P(z given a, y) is read with (a - z) mod #Z; `outer_modulus` takes the whole left-hand side
    mod #Z, and `sign` = +1 puts a + z for a - z. The defaults are what is printed.

    >>> from probsig.laws.tasks import addition
    >>> str(printed(addition())["anchor_inverse"].sum(axis=1)[20])  # should be 19/100 * 10
    '1/4'
    """
    task, (A, Z, Y) = _task(law), _groups(law)
    m, n = len(A), len(Z if task != "add_same" else Y)
    AA = sum_law(A, A)
    zero, inside, share = Fraction(0), Fraction(1, m), Fraction(1, n)
    if task == "mod":

        def close(value: int) -> int:
            return value % n if outer_modulus else value

        start, residues = min(Z), {a % n for a in A}
        pair, with_z = sum_law(A, A, modulus=n), sum_law(A, Z, modulus=n)
        forms = {
            "label": lambda a, nu: share,
            "z": lambda a, z: share,
            "z_label": lambda a, nu, z: inside if close(nu - start - (a + sign * z) % n) in residues else zero,
            "anchor_label": lambda a, nu, b: share,
            "z_inverse": lambda nu, z: pair.get(close(nu - start - z % n), zero),
            "anchor_inverse": lambda nu, a: with_z.get(close(nu - start - a % n), zero),
        }
        return _tables(law, forms)
    AZ = sum_law(A, Z if task == "add" else Y)  # f~_add prints Z ~ U(Z) and means {101..140}
    forms = {
        "z_label": lambda a, nu, z: inside if nu - a - z in A else zero,
        "z_inverse": lambda nu, z: AA.get(nu - z, zero),
        "anchor_inverse": lambda nu, a: AZ.get(nu - a, zero),
    }
    if task == "add":
        forms["label"] = lambda a, nu: AZ.get(nu - a, zero)
        forms["z"] = lambda a, z: share
        forms["anchor_label"] = lambda a, nu, b: share if nu - a - b in Z else zero
    else:
        YA = sum_law(Y, tuple(-b for b in A))
        forms["label"] = lambda a, nu: share
        forms["z"] = lambda a, z: YA.get(z + a, zero)
        forms["anchor_label"] = lambda a, nu, b: share
    return _tables(law, forms)


def corrected(law: Distribution, convention: str = "companion") -> Cells:
    """The right closed forms under "membership" or "companion"; every cell agrees with `enumerated`.

    Given an anchor a, the other anchor has the law kappa_a: uniform under "companion", and under "membership"
    2/(2m-1) for b != a and 1/(2m-1) for b = a, with m anchors. A cell whose condition has probability 0 is 0.
    Raises ValueError for another convention, a law that is none of the three tasks, and anchors or z of f_mod of which
    two agree mod #Z.

    >>> from probsig.laws.tasks import addition
    >>> str(corrected(addition(), "membership")["anchor_inverse"].sum(axis=1)[20])
    '19/10'
    """
    one_of("convention", convention, CONVENTIONS)
    member = convention == "membership"
    task, (A, Z, Y) = _task(law), _groups(law)
    m, n = len(A), len(Z if task != "add_same" else Y)
    here = Fraction(2 * m - 1, m * m) if member else Fraction(2, m)  # P(a in X) or E[c_a]

    zero, one, share = Fraction(0), Fraction(1), Fraction(1, n)
    other = {(a, b): Fraction(2 - (a == b), 2 * m - 1) if member else Fraction(1, m) for a in A for b in A}

    def kappa(a: int, b: int) -> Fraction:
        return other.get((a, b), zero)

    def companion(a: int, b: int, value: Fraction) -> Fraction:
        return one if member and a == b else value

    AA = sum_law(A, A, modulus=n if task == "mod" else 0)
    if task == "mod":
        residue = {b % n: b for b in A}
        if len(residue) < m:
            raise ValueError(f"two anchors agree mod {n}: pass anchors that differ mod |Z|")
        if len({z % n for z in Z}) < n:
            raise ValueError(f"two z agree mod {n}, so that labels are not uniform: pass z that differ mod |Z|")
        start = min(Z)
        forms = {
            "label": lambda a, nu: share,
            "z": lambda a, z: share,
            "z_label": lambda a, nu, z: kappa(a, residue.get((nu - start - a - z) % n, -1)),
            "anchor_label": lambda a, nu, b: companion(a, b, kappa(a, b)),
            "z_inverse": lambda nu, z: AA.get((nu - start - z) % n, zero),
            "anchor_inverse": lambda nu, a: here,
        }
        return _tables(law, forms)
    if task == "add_same":
        forms = {
            "label": lambda a, nu: share,
            "z": lambda a, z: sum(kappa(a, b) for b in A if z + a + b in Y) / n,
            "z_label": lambda a, nu, z: kappa(a, nu - a - z),
            "anchor_label": lambda a, nu, b: companion(a, b, kappa(a, b)),
            "z_inverse": lambda nu, z: AA.get(nu - z, zero),
            "anchor_inverse": lambda nu, a: here,
        }
        return _tables(law, forms)
    label = sum_law(A, A, Z)
    T = {(a, nu): sum((kappa(a, b) for b in A if nu - a - b in Z), zero) / n for a in A for nu in Y}

    def over(top: Fraction, bottom: Fraction) -> Fraction:
        return top / bottom if top and bottom else zero

    forms = {
        "label": lambda a, nu: T[a, nu],
        "z": lambda a, z: share,
        "z_label": lambda a, nu, z: over(kappa(a, nu - a - z), n * T[a, nu]),
        "anchor_label": lambda a, nu, b: companion(a, b, over(kappa(a, b) if nu - a - b in Z else zero, n * T[a, nu])),
        "z_inverse": lambda nu, z: over(AA.get(nu - z, zero), n * label[nu]),
        "anchor_inverse": lambda nu, a: here * T[a, nu] / label[nu],
    }
    return _tables(law, forms)


def enumerated(law: Distribution, convention: str = "companion") -> Cells:
    """The same families from the law itself, by `signatures.laws` in exact fractions.

    >>> from probsig.laws.tasks import addition
    >>> cells = enumerated(addition())
    >>> str(cells["label"][0, 0]), cells["label"].shape
    ('1/400', (10, 58))
    """
    one_of("convention", convention, CONVENTIONS)
    _task(law)
    A, Z, Y = (list(ids) for ids in _groups(law))
    label = signatures_laws.label(law, A, convention, exact=True)[:, Y]
    together = signatures_laws.cooccurrence(law, A, convention, exact=True)
    joint = signatures_laws.joint(law, A, convention, exact=True)[:, Y][:, :, A + Z]
    inverse = signatures_laws.inverse(law, Y, "membership" if convention == "membership" else "count", exact=True)
    given = np.full(joint.shape, None, dtype=object)
    possible = label != 0
    given[possible] = joint[possible] / label[possible][:, None]
    return {
        "label": label,
        "z": together[:, Z],
        "z_label": given[:, :, len(A) :],
        "anchor_label": given[:, :, : len(A)],
        "z_inverse": inverse[:, Z],
        "anchor_inverse": inverse[:, A],
    }


def compare(formula: NDArray, truth: NDArray) -> tuple[int, int, float]:
    """How many cells of `formula` differ from `truth`, how many are compared, and the largest absolute error.

    >>> half = Fraction(1, 2)
    >>> compare(np.array([half, half, half]), np.array([half, Fraction(1, 4), None]))
    (1, 2, 0.25)
    """
    at = truth != None  # noqa: E711 (elementwise)
    formula, truth = formula[at], truth[at]
    wrong = formula != truth
    return int(wrong.sum()), int(at.sum()), float(np.abs(formula[wrong] - truth[wrong]).max(initial=Fraction(0)))
