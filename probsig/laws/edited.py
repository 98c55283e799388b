r"""Addition tasks edited so that one signature of the anchors changes and the others stay: causes, not correlations.

An edit keeps the anchors, their frequencies and the length of a sequence. Its anchors have `positions`: the numbers by
which an order should show if the signature that is left (or was moved) is what orders them.

- "flat-label": f_add with y = z + s, s distributed like the sum of two anchors but independent of them. phi^y is the
  same for every anchor; phi^X and the law of y are untouched.
- "flat-context": f~_add with z drawn from its own law, independent of the anchors and of y. phi^X no longer tells the
  anchors apart, phi^y (uniform) is untouched.
- "flat-joint": f_mod with y = z, which forgets the anchors. phi^y (uniform) and phi^X are untouched, phi^{X|y} no
  longer tells the anchors apart.
- "permuted": f_add with y = z + pi(a1) + pi(a2). Label laws change hands, phi^X is untouched.
- "equal": f_add in which the anchor `TWINS[1]` counts as `TWINS[0]`, so that these two have one label law.
- "swapped": f_add in which the anchors `SWAPPED` count as each other; a run starts on f_add and goes on with it.

Axes: positions is (number of anchors,), in the order of the anchors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from probsig.errors import one_of
from probsig.laws.distribution import Distribution
from probsig.laws.tasks import addition, addition_same_domain, modular_addition

NAMES = ("flat-label", "flat-context", "flat-joint", "permuted", "equal", "swapped")
TWINS, SWAPPED = (13, 18), (12, 19)
LABEL, CONTEXT, JOINT = "phi_y", "phi_X", "phi_Xy"


@dataclass(frozen=True, eq=False)
class Edit:
    """A task with one signature changed: the law, the task it was made from, the changed signature, and positions.

    `model` is the model on which the paper sees that signature at work.
    """

    name: str
    base: str
    model: str
    changed: str
    law: Distribution
    positions: NDArray[np.int64]


def permutation() -> NDArray[np.int64]:
    """A permutation pi of 0..9 whose distances |pi(i) - pi(j)| are uncorrelated with |i - j|.

    Written down and not searched for: many have correlation 0 up to rounding, and which one is least depends on the
    processor.

    >>> permutation().tolist()
    [7, 4, 5, 1, 2, 3, 0, 8, 9, 6]
    """
    return np.array([7, 4, 5, 1, 2, 3, 0, 8, 9, 6])


def _valued(name: str, value: Mapping[int, int]) -> Distribution:
    """f_add in which an anchor counts as `value[anchor]`."""
    law = addition()
    y = law.X[:, 0] + sum(np.array([value[int(a)] for a in law.X[:, i]]) for i in (1, 2))
    groups = {**law.groups, "labels": tuple(sorted(set(y.tolist())))}
    return replace(law, y=y, groups=groups, name=name, stream=name)


def _flat_label() -> Distribution:
    law = addition()
    sums, weight = np.unique(law.X[:, 1] + law.X[:, 2], return_counts=True)
    atoms = np.repeat(np.arange(len(law.X)), len(sums))
    y = law.X[atoms, 0] + np.tile(sums, len(law.X))
    weights = np.tile(weight, len(law.X))
    return replace(law, X=law.X[atoms], y=y, weight=weights, name="flat-label", stream="flat-label")


def _flat_context() -> Distribution:
    """Every pair of anchors meets every z with z's own weight, and every label."""
    law = addition_same_domain()
    z, weight = np.unique(law.X[:, 0], return_counts=True)
    a, b = law.groups["anchors"], law.groups["labels"]
    parts = [part.ravel() for part in np.meshgrid(np.arange(len(z)), a, a, b, indexing="ij")]
    X = np.column_stack([z[parts[0]], parts[1], parts[2]])
    return replace(law, X=X, y=parts[3], weight=weight[parts[0]], name="flat-context", stream="flat-context")


def edit(name: str) -> Edit:
    """The edit of this name, one of `NAMES`. Raises ValueError for another.

    >>> found = edit("equal")
    >>> found.base, found.changed, found.positions.tolist()
    ('add', 'phi_y', [11, 12, 13, 14, 15, 16, 17, 13, 19, 20])
    """
    one_of("edit", name, NAMES)
    anchors = np.array(addition().groups["anchors"])
    value = dict(zip(anchors.tolist(), anchors.tolist(), strict=True))
    if name == "flat-label":
        return Edit(name, "add", "linear", LABEL, _flat_label(), anchors)
    if name == "flat-context":
        return Edit(name, "add_same", "linear", CONTEXT, _flat_context(), anchors)
    if name == "flat-joint":
        law = modular_addition()
        return Edit(name, "mod", "ffn", JOINT, replace(law, y=law.X[:, 0], name=name, stream=name), anchors)
    if name == "permuted":
        value = dict(zip(anchors.tolist(), anchors[permutation()].tolist(), strict=True))
    elif name == "equal":
        value[TWINS[1]] = TWINS[0]
    else:
        value[SWAPPED[0]], value[SWAPPED[1]] = SWAPPED[1], SWAPPED[0]
    positions = np.array([value[a] for a in anchors.tolist()])
    return Edit(name, "add", "linear", LABEL, _valued(name, value), positions)
