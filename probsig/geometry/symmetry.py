r"""Shape, not only correlation: do the cosines of an ordered group depend on the distance alone, and what follows.

Where the text treats a group alike under translation (one month on, one year later), the matrix of cosines is a
function K of the distance. Then its principal components need no fit: around a ring of n they are
cos(2 pi m i / n) and sin(2 pi m i / n), each pair with the variance sum_d K(d) cos(2 pi m d / n); along a line they are
half waves. So the theory says what picture will be seen, not only that two lists of cosines agree.

Everything here takes a square of cosines (n, n), from an embedding or from a signature alike: its eigenvectors are the
principal components of the rows, scaled to length 1 and centred here.

Numbers have a second structure: their remainders. `residue_kappa` asks whether a linear map reads the remainder of a
number that it has not seen, and `spike` how much of a spectrum stands at one period.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig.geometry.small import pairs

Array = NDArray[np.float64]
RIDGE = 0.1  # of a linear map on rows of length 1, as a share of their mean square


def centred(square: ArrayLike) -> Array:
    """The products of rows minus their mean, from the products of the rows (n, n).

    >>> centred([[1.0, 0.0], [0.0, 1.0]]).tolist()
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    S = np.asarray(square, dtype=float)
    return S - S.mean(axis=0) - S.mean(axis=1)[:, None] + S.mean()


def kernel(square: ArrayLike, gap: ArrayLike) -> Array:
    """The mean of a square over all pairs at the same distance, as a square; `gap` (n, n) holds the distances.

    >>> gap = [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    >>> kernel([[1.0, 0.6, 0.1], [0.6, 1.0, 0.4], [0.1, 0.4, 1.0]], gap).tolist()
    [[1.0, 0.5, 0.1], [0.5, 1.0, 0.5], [0.1, 0.5, 1.0]]
    """
    S, d = np.asarray(square, dtype=float), np.asarray(gap)
    at = np.unique(d, return_inverse=True)[1].ravel()
    means = np.bincount(at, weights=S.ravel()) / np.bincount(at)
    return means[at].reshape(d.shape)


def exponential(square: ArrayLike, gap: ArrayLike) -> tuple[Array, float]:
    """The kernel a exp(-d / xi) + c that is nearest to a square off its diagonal, as a square, and xi: three
    numbers in the place of one per distance. Its diagonal a + c is what a row shares with others at no distance; what
    is more on the square's own diagonal, a row has for itself alone. xi is one of 200, up to 10 times the largest
    distance.

    >>> gap = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    >>> found, xi = exponential(0.8 * np.exp(-gap / 2) - 0.1 + 0.3 * np.eye(6), gap)
    >>> bool(1.9 < xi < 2.1), found[0].round(2).tolist()
    (True, [0.7, 0.39, 0.19, 0.08, 0.01, -0.03])
    """
    S, d = np.asarray(square, dtype=float), np.asarray(gap, dtype=float)
    x, distance = pairs(S), pairs(d)
    best: tuple[float, Array, float] | None = None
    for xi in np.geomspace(0.2, 10 * distance.max(), 200):
        design = np.stack([np.exp(-distance / xi), np.ones_like(distance)], axis=1)
        weights = np.linalg.lstsq(design, x, rcond=None)[0]
        left = float(((design @ weights - x) ** 2).sum())
        if best is None or left < best[0]:
            best = left, weights, float(xi)
    assert best is not None
    return best[1][0] * np.exp(-d / best[2]) + best[1][1], best[2]


def explained_by_distance(square: ArrayLike, gap: ArrayLike) -> float:
    """The share of the variance of the cosines, over all pairs, that the distance alone explains, whatever the kernel.

    Shuffled orders do not give 0: a kernel has as many free numbers as there are distances.

    >>> gap = [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    >>> round(explained_by_distance([[1.0, 0.6, 0.1], [0.6, 1.0, 0.4], [0.1, 0.4, 1.0]], gap), 3)  # 1 - 0.02 / 0.1267
    0.842
    """
    x, fit = pairs(np.asarray(square, dtype=float)), pairs(kernel(square, gap))
    total = ((x - x.mean()) ** 2).sum()
    return float(1 - ((x - fit) ** 2).sum() / total) if total > 0 else float("nan")


def modes(n: int, ring: bool) -> Array:
    """The components that translation symmetry predicts, (n, n - 1), orthonormal, the slowest first: around a ring the
    cosine and the sine of each frequency, along a line half waves cos(pi m (i + 1/2) / n).

    >>> modes(4, ring=True).round(2).tolist()
    [[0.71, 0.0, 0.5], [0.0, 0.71, -0.5], [-0.71, 0.0, 0.5], [0.0, -0.71, -0.5]]
    """
    i = np.arange(n)[:, None]
    if ring:
        m = np.arange(2, n + 1) // 2
        waves = np.where(np.arange(n - 1) % 2 == 0, np.cos(2 * np.pi * i * m / n), np.sin(2 * np.pi * i * m / n))
    else:
        waves = np.cos(np.pi * (i + 0.5) * np.arange(1, n) / n)
    waves[np.abs(waves) < 1e-14] = 0.0
    return waves / np.linalg.norm(waves, axis=0)


def mode_shares(square: ArrayLike, ring: bool) -> Array:
    """The share of the variance of the centred rows along each of `modes`, (n - 1,), which sum to 1; around a ring in
    pairs of one frequency, (n // 2,).

    >>> i = np.arange(6)
    >>> mode_shares(np.cos(2 * np.pi * (i[:, None] - i) / 6), ring=True).round(6) + 0.0
    array([1., 0., 0.])
    """
    C = centred(square)
    n = len(C)
    waves = modes(n, ring)
    shares = np.einsum("im,ij,jm->m", waves, C, waves) / np.trace(C)
    return np.add.reduceat(shares, np.arange(0, n - 1, 2)) if ring else shares


def overlap(square: ArrayLike, waves: ArrayLike) -> float:
    """How much of the space of k predicted components (n, k) the first k principal components fill, 0 to 1; k random
    directions fill k / (n - 1) in the mean.

    >>> i = np.arange(6)
    >>> round(overlap(np.cos(2 * np.pi * (i[:, None] - i) / 6), modes(6, ring=True)[:, :2]), 6)
    1.0
    """
    U = np.asarray(waves, dtype=float)
    own = np.linalg.eigh(centred(square))[1][:, ::-1][:, : U.shape[1]]
    return float(((own.T @ U) ** 2).sum() / U.shape[1])


def predicted(square: ArrayLike, targets: ArrayLike, groups: Sequence[int], rank: int | None = None) -> Array:
    """What a ridge regression from the rows says of targets (n, k), each group of rows held out in its turn, (n, k).

    `groups` (n,) numbers the groups. rank: the rows are first projected on their first so many principal components.
    Raises ValueError unless there are two groups or more.

    >>> i = np.arange(12.0)
    >>> found = predicted(np.cos((i[:, None] - i) / 8), i[:, None], i.astype(int) % 4)
    >>> bool(np.corrcoef(found[:, 0], i)[0, 1] > 0.9)
    True
    """
    C, y, g = centred(square), np.asarray(targets, dtype=float), np.asarray(groups)
    if len(np.unique(g)) < 2:
        raise ValueError("All rows are in one group, so none can be held out: pass two groups or more.")
    if rank is not None:
        values, vectors = np.linalg.eigh(C)
        first = vectors[:, ::-1][:, :rank]
        C = (first * values[::-1][:rank]) @ first.T
    out = np.empty_like(y)
    for group in np.unique(g):
        test, train = g == group, g != group
        mean = y[train].mean(axis=0)
        K = C[np.ix_(train, train)] + RIDGE * np.trace(C) / len(C) * np.eye(train.sum())
        out[test] = mean + C[np.ix_(test, train)] @ np.linalg.solve(K, y[train] - mean)
    return out


def residue_kappa(square: ArrayLike, numbers: Sequence[int], modulus: int) -> float:
    """Cohen's kappa of the remainders that a linear map reads from the rows of numbers that it has not seen: 0 is
    chance, 1 is all right. Decades are held out in their turn, so a last digit must mean the same in every decade.

    Raises ValueError where all numbers are of one decade.

    >>> n = np.arange(40)
    >>> residue_kappa((n[:, None] % 5 == n % 5).astype(float), n, 5), abs(residue_kappa(np.eye(40), n, 2)) < 0.4
    (1.0, True)
    """
    n = np.asarray(numbers)
    residues = n % modulus
    wanted = (residues[:, None] == np.arange(modulus)).astype(float)
    found = predicted(square, wanted, (n // 10).tolist()).argmax(axis=1)
    right = np.mean(found == residues)
    chance = sum(np.mean(found == r) * np.mean(residues == r) for r in range(modulus))
    return float((right - chance) / (1 - chance)) if chance < 1 else 0.0


def spike(square: ArrayLike, period: int) -> float:
    """The power of the rows at one period over the median power of the frequencies around it (5 on either side, but
    those of the periods 2, 5 and 10); rows in the order of n numbers one apart, n a multiple of the period.

    Raises ValueError for another n.

    >>> n = np.arange(60)
    >>> spike(np.outer(n % 10 == 0, n % 10 == 0) + 0.01 * np.eye(60), 10) > 50
    True
    """
    S = np.asarray(square, dtype=float)
    n = len(S)
    if n % period or n % 10:
        raise ValueError(f"{n} numbers are no multiple of the periods {period} and 10: pass a whole number of tens.")
    i = np.arange(n)
    trend = np.stack([np.ones(n), i - i.mean()], axis=1)
    away = np.eye(n) - trend @ np.linalg.pinv(trend)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(n // 2 + 1), i) / n)
    power = np.einsum("fi,ij,fj->f", waves, away @ S @ away, waves.conj()).real
    at = n // period
    around = [f for f in range(max(1, at - 5), min(n // 2, at + 5) + 1) if f % (n // 10)]
    return float(power[at] / np.median(power[around]))
