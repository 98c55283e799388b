r"""Language models that predict several tokens, against the signatures at every distance: the stored runs.

One run is one network on one text with one head a distance. Its W_E and each head's W_U are set beside the laws of the
token at distances 1 to 6 after a token (before it for W_U).

- "stack 1-4" is what k heads give at first order. With W_s' = (n_s / k) sum_j U_j^T (phi^(j)_s - 1/V) and heads drawn
  independently, the inner product of the velocities of s and s' is on average a multiple of n_s n_s' times
  sum_j <phi^(j)_s - 1/V, phi^(j)_s' - 1/V>: Gram matrices add, which is the Gram matrix of the rows
  (phi^(1)_s - 1/V, ..., phi^(k)_s - 1/V). Factors n_s leave cosines as they are, and 1/V moves the product of two laws
  by 1/V.
- "attention j" is what attention makes of the signature at distance j. Where it is uniform, the token at place i has
  weight 1/t in the prediction of place t + j, i <= t: the distances are j and more, distance j + m has the weight that
  `signatures.harmonic_weights` gives m + 1.

Axes: kinds are raw and centred (mean row of the tokens subtracted), sizes are SIZES, signatures are SIGNATURES.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from probsig import runs
from probsig.errors import one_of
from probsig.experiments.language_model import ARCHITECTURES, scaled
from probsig.experiments.texts import Texts

SIZES = (500, 1000)
KINDS = ("raw", "centred")
SINGLE = tuple(f"next {distance}" for distance in range(1, 7))
BEFORE = tuple(f"previous {distance}" for distance in range(1, 7))
SIGNATURES = (*SINGLE, "stack 1-4", *(f"attention {distance}" for distance in (1, 2, 4)))


def trained(
    name: str,
    texts: Texts,
    *,
    distances: Sequence[int],
    scale: str,
    seed: int,
    architecture: str = "qwen2.5",
    means: Any = None,
    **others: Any,
) -> runs.Run:
    """The run of a model on the text `name` with a head for each of `distances`: found, or trained now and stored.

    others: tokens, shape and lr, where they are not the scale's (`language_model.scaled`).

    The piece "heads" holds steps (m,), rcos (m, kinds, sizes, signatures) of W_E, unembedding (m, k, kinds, sizes,
    distances) of each head's W_U with the laws before a token, at 0/ and the last step/ null (kinds, sizes, signatures,
    draws) of W_E, training/loss and training/held (m, k); and of the text between, ceilings, sizes, size (tokens,
    documents, ids) and epoch.
    Raises ValueError for an unknown architecture, scale or text, and what training raises.
    """
    one_of("architecture", architecture, ARCHITECTURES)
    one_of("scale", scale, ("smoke", "laptop"))
    how = scaled(scale, **others)
    config = {"corpus": name, "architecture": architecture, "scale": scale, "seed": seed}
    config |= {"distances": list(distances), **asdict(how), **texts.identity([name])}
    pieces = {"heads": runs.Piece("probsig.experiments.makers:heads", (config,))}
    inputs = functools.partial(texts.sets, [name], how.tokens, how.keep, how.held)
    with texts.enough():
        return runs.run("language-heads", config, pieces, inputs=inputs, means=means)
