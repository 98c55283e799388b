r"""Signatures of tokens over a window, and how far two tokens' meeting in it is from chance.

With P_ij the share of the pairs of a window in which i and j meet, and P_i that of the pairs in which i stands:

- "raw": the law of a token near i, P_ij / P_i;
- "ppmi": the positive part of log P_ij / (P_i P_j), in nats;
- "mstar": M*_ij = 2 (P_ij - P_i P_j) / (P_ij + P_i P_j), from -2, never together, over 0, chance, to 2. Its leading
  eigenvectors are, in a small-time limit, the word vectors that word2vec learns (Karkada and others, 2025); it is the
  PMI to first order, and no rare pair makes it large.

Rows are centred: the mean row of the tokens is subtracted, which also takes the -2 of everything that none of them
meets away, so that what is left stays sparse. The tokens' own columns can be left out, so that months are not alike
only because they stand near each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from probsig.counts.windows import Near
from probsig.errors import one_of
from probsig.signatures.tokens import Centred, centred

KINDS = ("mstar", "ppmi", "raw")
WEIGHTS = ("uniform", "harmonic", "falling")


def weights(name: str, distances: tuple[int, int]) -> NDArray[np.float64]:
    """The weight of each distance k of a window: 1 ("uniform"), 1 / k ("harmonic"), or, as word2vec's random window
    gives in the mean, high + 1 - k ("falling").

    Raises ValueError for an unknown name.

    >>> weights("harmonic", (1, 4)).round(2).tolist(), weights("falling", (1, 4)).tolist()
    ([1.0, 0.5, 0.33, 0.25], [4.0, 3.0, 2.0, 1.0])
    """
    one_of("weights", name, WEIGHTS)
    k = np.arange(distances[0], distances[1] + 1, dtype=float)
    return {"uniform": np.ones_like(k), "harmonic": 1 / k, "falling": distances[1] + 1 - k}[name]


def together(found: Near, kind: str = "mstar", without: Sequence[int] = ()) -> Centred:
    """The window signature of each token of `found`, (k, V), minus the mean row of those that occur.

    `without`: columns that are left out (zero). Of kind "mstar" the rows are M* + 2, whose centred form is that of M*.
    Raises ValueError for an unknown kind and where no token has a neighbour in the window.

    >>> found = Near(np.array([0, 1]), np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 1.0]]), np.array([4.0, 2.0, 4.0]))
    >>> together(found).toarray().round(3).tolist()  # 4 r / (1 + r) with r = P_ij / (P_i P_j), minus the mean
    [[-1.111, 1.111, 0.193], [1.111, -1.111, -0.193]]
    >>> together(found, "raw", without=[0, 1]).toarray().tolist()
    [[0.0, 0.0, 0.125], [0.0, 0.0, -0.125]]
    """
    one_of("kind", kind, KINDS)
    rows = found.rows.copy()
    rows[:, list(without)] = 0
    law = sp.csr_array(rows)
    own = np.repeat(found.ends[found.tokens], np.diff(law.indptr))
    if not law.nnz:
        raise ValueError("No token stands near the chosen ones in this window: pass tokens that occur, or a wider one.")
    ratio = law.data * found.ends.sum() / (own * found.ends[law.indices])
    values = {"raw": law.data / own, "ppmi": np.log(np.maximum(ratio, 1.0)), "mstar": 4 * ratio / (1 + ratio)}[kind]
    return centred(sp.csr_array((values, law.indices, law.indptr), shape=law.shape))
