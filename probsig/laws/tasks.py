"""The paper's three addition tasks as exact laws (v2 section 4.1).

Anchors A, a sequence [z, a1, a2], and a label: f_add = z + a1 + a2, f~_add the same with z chosen so that the label is
uniform, f_mod = min Z + ((z + a1 + a2) mod #Z), #Z being the number of values that z takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from probsig import guards
from probsig.laws.distribution import Distribution, _integers


def _distinct(name: str, values: Iterable[int]) -> list[int]:
    guards.listed(name, values)
    ids = _integers(name, list(values), 1).tolist()
    if not ids:
        raise ValueError(f"{name} is empty: pass at least one id")
    if len(set(ids)) < len(ids):
        raise ValueError(f"{name} lists id {next(i for i in ids if ids.count(i) > 1)} twice: pass distinct ids")
    return ids


def _task(name: str, anchors: list[int], triples: list[tuple], label: Callable, vocab_size: int) -> Distribution:
    z = sorted({triple[0] for triple in triples})
    shared = sorted(set(anchors) & set(z))
    if shared:
        raise ValueError(f"id {shared[0]} is an anchor and also a value of z: keep the two sets disjoint")
    y = [label(*triple) for triple in triples]
    groups = {"anchors": tuple(anchors), "z": tuple(z), "labels": tuple(sorted(set(y)))}
    return Distribution(triples, y, [1] * len(triples), vocab_size, name, groups, stream=name)  # type: ignore[arg-type]


def addition(
    anchors: Sequence[int] = range(11, 21), z: Sequence[int] = range(101, 141), vocab_size: int = 200
) -> Distribution:
    """f_add: X = [z, a1, a2] uniform over Z x A x A, y = z + a1 + a2 (section 4.1 of the paper).

    >>> law = addition()
    >>> law.X.shape, law.labels().min(), law.labels().max()
    ((4000, 3), np.int64(123), np.int64(180))
    """
    anchors, z = _distinct("anchors", anchors), _distinct("z", z)
    triples = [(c, a, b) for a in anchors for b in anchors for c in z]
    return _task("add", anchors, triples, lambda c, a, b: c + a + b, vocab_size)


def addition_same_domain(
    anchors: Sequence[int] = range(11, 21), labels: Sequence[int] = range(101, 141), vocab_size: int = 200
) -> Distribution:
    """f~_add: (y, a1, a2) uniform over Y x A x A and z = y - a1 - a2, so y = z + a1 + a2 (section 4.1 of the paper).

    >>> law = addition_same_domain()
    >>> law.groups["z"][0], law.groups["z"][-1], len(law.labels())
    (61, 118, 40)
    """
    anchors, labels = _distinct("anchors", anchors), _distinct("labels", labels)
    triples = [(c - a - b, a, b) for a in anchors for b in anchors for c in labels]
    return _task("add_same", anchors, triples, lambda c, a, b: c + a + b, vocab_size)


def modular_addition(
    anchors: Sequence[int] = range(11, 21), z: Sequence[int] = range(101, 141), vocab_size: int = 200
) -> Distribution:
    """f_mod: X uniform over Z x A x A, y = min Z + ((z + a1 + a2) mod #Z) (section 4.1 of the paper).

    >>> law = modular_addition()
    >>> int(law.labels().min()), int(law.labels().max())
    (101, 140)
    """
    guards.listed("z", z)
    anchors, z = _distinct("anchors", anchors), list(z)
    if not z:
        raise ValueError("z is empty, so the modulus |Z| is 0: pass at least one z")
    z = _distinct("z", z)
    triples = [(c, a, b) for a in anchors for b in anchors for c in z]
    return _task("mod", anchors, triples, lambda c, a, b: min(z) + (c + a + b) % len(z), vocab_size)


TASKS: dict[str, Callable[..., Distribution]] = {
    "add": addition,
    "add_same": addition_same_domain,
    "mod": modular_addition,
}
TEX: dict[str, str] = {
    "add": r"$f_{\mathrm{add}}$",
    "add_same": r"$\tilde f_{\mathrm{add}}$",
    "mod": r"$f_{\mathrm{mod}}$",
}


def task_of(law: Distribution) -> str | None:
    """Which of `TASKS` a law is, by its atoms and groups and not by its name; None for any other.

    >>> task_of(modular_addition(z=range(30, 37))), task_of(addition().merged())
    ('mod', None)
    """
    for name, make in TASKS.items():
        try:
            other = make(law.groups["anchors"], law.groups["labels" if name == "add_same" else "z"], law.vocab_size)
        except (KeyError, ValueError):
            continue
        one, two = (np.unique(np.column_stack([each.X, each.y, each.weight]), axis=0) for each in (law, other))
        if np.array_equal(one, two):
            return name
    return None
