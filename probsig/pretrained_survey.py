r"""A pretrained embedding held against the tied signature of a text: the numbers of one chapter.

The paper compares cos(W_s, W_s') of an open model, whose W is embedding and unembedding, with cos(phi~_s, phi~_s') of
phi~ = phi^next + varphi^pre over all its subsets (appendix C.2, v1 Fig. 6, v2 Figs. 1 and 7). Here:

- `alignment_by_size`: R_cos over the C most frequent tokens with bootstrap, nulls and ceiling, raw and centred;
- `groups`: cosines, order and principal components of the digits, months, weekdays, number words and letters;
- `by_corpus`: each corpus's own phi~ against that of all;
- `pretrained_adjacency`: what else predicts the cosines.

"Centred" embeddings are W minus the mean row of the vocabulary; a centred phi~ is minus the mean over the C tokens.

Axes: squares (C, C) are by rank of frequency; arrays over variants follow EMBEDDINGS and SIGNATURES.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.stats import rankdata

from probsig import geometry, reliability, runs, seeds, token_signatures
from probsig.alignment import Cosines, correlations, cosines
from probsig.bigrams import Bigrams, count, merged
from probsig.language_data import Tokens, documents
from probsig.language_texts import GROUPS, NAMES, opened, pack
from probsig.pretrained import Checkpoint, open_checkpoint
from probsig.pretrained_adjacency import adjacency
from probsig.storage import digest

Arrays = dict[str, NDArray]
EMBEDDINGS = ("raw", "centred")
SIGNATURES = {
    "tied": ("tied", "raw"),
    "tied, centred": ("tied", "centred"),
    "tied, PPMI": ("tied", "ppmi"),
    "tied, support": ("tied", "support"),
    "next": ("next_token", "raw"),
    "previous": ("previous_token", "raw"),
}
SIZES = (50, 100, 200, 500, 1000, 2000, 5000, 10_000)
HEAD = 1000  # the "frequent tokens" of most figures
LEAST = 50  # a token is used when it was seen so often
ENGLISH = {
    "digits": GROUPS["digits"],
    "digits 1 to 9": GROUPS["digits"][1:],
    "number words": tuple(f" {word}" for word in "zero one two three four five six seven eight nine ten".split()),
    "months": GROUPS["months"],
    "weekdays": tuple(f" {day}" for day in "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()),
    "letters": tuple("abcdefghijklmnopqrstuvwxyz"),
}
"""Groups of tokens in their order; a member that is no single token, or is seen too rarely, is left out."""


def made_up(counts: Bigrams, tokenizer: Any, seed: int, width: int = 64) -> Checkpoint:
    """An embedding for the scale "smoke": random projections of phi~, noise, and one direction that all rows share."""
    stream, V = seeds.stream(seed, "made-up embedding"), counts.vocab_size
    phi = token_signatures.tied(counts, np.arange(V)).toarray()
    E = phi @ stream.standard_normal((V, width)) + 0.3 * stream.standard_normal((V, width))
    E = (E + 0.7 * stream.standard_normal(width)).astype(np.float32)
    return Checkpoint("made-up", E.shape, True, lambda ids: E[ids], lambda: tokenizer)


def halves(corpora: Sequence[Tokens], seed: int) -> tuple[Bigrams, Bigrams]:
    """The counts of two random halves of the documents of all corpora, each corpus halved on its own."""
    parts: tuple[list[Bigrams], list[Bigrams]] = ([], [])
    for i, corpus in enumerate(corpora):
        order = seeds.stream(seed, "halves", str(i)).permutation(len(corpus.offsets) - 1)
        for part, chosen in zip(parts, (order[: len(order) // 2], order[len(order) // 2 :]), strict=True):
            ids, offsets = documents(corpus, np.sort(chosen))
            part.append(count(ids, corpus.vocab_size, offsets=offsets))
    return merged(parts[0]), merged(parts[1])


def embedding_rows(model: Checkpoint, tokens: Sequence[int], mean: NDArray) -> dict[str, NDArray]:
    """The rows of some tokens as they are and minus the vocabulary's mean row, (k, d) float64 each."""
    rows = model.rows(tokens).astype(float)
    return {"raw": rows, "centred": rows - mean}


def signature(counts: Bigrams, tokens: Sequence[int], name: str) -> sp.csr_array | token_signatures.Centred:
    """One of SIGNATURES of some tokens, (k, V)."""
    function, kind = SIGNATURES[name]
    return getattr(token_signatures, function)(counts, tokens, kind)


def alignment_by_size(
    model: Checkpoint,
    mean: NDArray,
    counts: Bigrams,
    both: tuple[Bigrams, Bigrams],
    ranked: NDArray[np.int64],
    frequency: NDArray[np.int64],
    seed: int,
    draws: int,
) -> Arrays:
    """R_cos of the embedding with the signatures over the C = sizes[k] most frequent tokens.

    all (2, 6, k): EMBEDDINGS x SIGNATURES. Of phi~ with each of EMBEDDINGS: bootstrap (2, k, draws) over tokens,
    matched (2, k, draws) with tokens shuffled among those of a similar frequency, random (2, k, draws) with rows of the
    embedding drawn anywhere in the vocabulary. ceiling (k,), the square root of the reliability of cos(phi~); least
    (k,), how often the rarest of the C was seen; zeros (k,), the share of pairs with cos(phi~) = 0.
    """
    sizes = [C for C in SIZES if C <= ranked.size] or [ranked.size]
    k, stream = len(sizes), seeds.stream(seed, "random rows")
    out: Arrays = {
        "sizes": np.array(sizes),
        "all": np.empty((2, len(SIGNATURES), k)),
        "ceiling": np.empty(k),
        "zeros": np.empty(k),
        "least": frequency[ranked[np.array(sizes) - 1]],
        **{name: np.empty((2, k, draws)) for name in ("bootstrap", "matched", "random")},
    }
    for i, C in enumerate(sizes):
        tokens = ranked[:C]
        rows = {name: cosines(E) for name, E in embedding_rows(model, tokens, mean).items()}
        for j, name in enumerate(SIGNATURES):
            phi = cosines(signature(counts, tokens, name), absent="zero")
            for e, E in enumerate(EMBEDDINGS):
                out["all"][e, j, i] = correlations(rows[E], phi).overall
        phi = cosines(token_signatures.tied(counts, tokens))
        out["zeros"][i] = phi.zero_fraction
        out["ceiling"][i] = reliability.split_half(*both, tokens, token_signatures.tied).ceiling
        for e, E in enumerate(EMBEDDINGS):
            out["bootstrap"][e, i] = reliability.bootstrap(rows[E], phi, draws, seed)
            group = max(2, min(100, C // 10))
            out["matched"][e, i] = reliability.matched_null(rows[E], phi, frequency[tokens], draws, seed, group)
        few = min(C, HEAD)  # more tokens would only narrow this null
        phi = cosines(token_signatures.tied(counts, tokens[:few]))
        for draw in range(draws):
            anywhere = stream.choice(model.shape[0], few, replace=False)
            for e, E in enumerate(embedding_rows(model, anywhere, mean).values()):
                out["random"][e, i, draw] = correlations(cosines(E, absent="zero"), phi).overall
    return out


def group_numbers(
    model: Checkpoint,
    mean: NDArray,
    counts: Bigrams,
    members: dict[str, int],
    ranked: NDArray[np.int64],
    frequency: NDArray[np.int64],
    seed: int,
    draws: int,
) -> Arrays:
    """One group of k tokens in an order.

    Squares (k, k) of cosines: raw, centred, phi, phi_centred (phi~ minus its mean over the frequent tokens).
    order (4, 2, 2): for each square, Pearson and Spearman of the cosine with the distance along the line and around the
    ring; bootstrap (2, draws): Pearson's along the line over tokens, of centred and of phi_centred; shuffled
    (4, 2, draws): Pearson's with the order of the tokens shuffled. agree (3,): R_cos of raw with phi, centred with phi,
    centred with phi_centred; agree_null (draws,): the last with tokens shuffled. together (4,): the mean cosine;
    together_null (4, draws / 10): that of as many tokens of similar frequency. pca, pca_phi (k, 2).
    """
    texts, tokens = list(members), np.array(list(members.values()))
    k, stream = len(tokens), seeds.stream(seed, "group", *texts[:1])
    phi, head = token_signatures.tied(counts, tokens), token_signatures.tied(counts, ranked[:HEAD])
    centre = np.asarray(head.sum(axis=0)).ravel() / head.shape[0]

    def squares(ids: NDArray[np.int64]) -> list[NDArray]:
        own = token_signatures.tied(counts, ids)
        rows = [*embedding_rows(model, ids, mean).values(), own, token_signatures.centred(own, centre)]
        return [cosines(part, absent="zero").square().astype(float) for part in rows]

    found = squares(tokens)
    line = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
    distances = [geometry.pairs(d) for d in (line, np.minimum(line, k - line))]
    pairs = [geometry.pairs(square) for square in found]
    out: Arrays = {
        "texts": pack(texts),
        "count": frequency[tokens],
        **{name: s.astype(np.float32) for name, s in zip(("raw", "centred", "phi", "phi_centred"), found, strict=True)},
        "order": np.array(
            [[[geometry.pearson(c, d), geometry.pearson(rankdata(c), rankdata(d))] for d in distances] for c in pairs]
        ).transpose(0, 2, 1),
        "agree": np.array([geometry.pearson(pairs[a], pairs[b]) for a, b in ((0, 2), (1, 2), (1, 3))]),
        "together": np.array([c.mean() for c in pairs]),
        "pca": geometry.pca(model.rows(tokens))[0],
        "pca_phi": geometry.pca(phi.toarray()[:, np.unique(phi.indices)])[0],
        "bootstrap": np.array(
            [
                reliability.bootstrap(*(Cosines(x.astype(np.float32), k) for x in (c, distances[0])), draws, seed)
                for c in (pairs[1], pairs[3])
            ]
        ),
    }
    shuffled, agree, together = np.empty((4, 2, draws)), np.empty(draws), np.full((4, draws // 10), np.nan)
    place = np.flatnonzero(np.isin(ranked, tokens))
    for draw in range(draws):
        order = stream.permutation(k)
        moved = [geometry.pairs(square[np.ix_(order, order)]) for square in found]
        shuffled[:, :, draw] = [[geometry.pearson(c, d) for d in distances] for c in moved]
        agree[draw] = geometry.pearson(moved[1], pairs[3])
    for draw in range(draws // 10):  # each needs signatures of its own
        near = np.clip(place + stream.integers(-20, 21, k), 0, ranked.size - 1)
        others = np.setdiff1d(ranked[np.unique(near)], tokens)
        if others.size > 1:
            together[:, draw] = [geometry.pairs(square).mean() for square in squares(others)]
    return out | {"shuffled": shuffled, "agree_null": agree, "together_null": together}


def by_corpus(
    model: Checkpoint, mean: NDArray, pooled: Bigrams, each: Sequence[Bigrams], seed: int, draws: int, most: int = 500
) -> Arrays:
    """R_cos of the centred embedding over the `most` most frequent tokens of each corpus.

    own, pooled (n,): with phi~ of that corpus, and of all; matched (n, draws): own, with the frequency-matched shuffle;
    tokens (n,): how many.
    """
    n = len(each)
    out: Arrays = {
        "own": np.empty(n),
        "pooled": np.empty(n),
        "matched": np.empty((n, draws)),
        "tokens": np.empty(n, int),
    }
    for i, counts in enumerate(each):
        frequency = counts.row_totals()
        tokens = token_signatures.frequent(np.minimum(frequency, counts.transpose().row_totals()), most, LEAST)
        E = cosines(embedding_rows(model, tokens, mean)["centred"])
        own, every = (cosines(token_signatures.tied(c, tokens)) for c in (counts, pooled))
        out["tokens"][i] = tokens.size
        out["own"][i], out["pooled"][i] = correlations(E, own).overall, correlations(E, every).overall
        group = max(2, min(100, tokens.size // 10))
        out["matched"][i] = reliability.matched_null(E, own, frequency[tokens], draws, seed, group)
    return out


def survey(model: Checkpoint, corpora: Sequence[Tokens], seed: int, *, draws: int = 100, shown: int = 40) -> Arrays:
    """All numbers of the chapter, the arrays of each part under "part/name".

    frequent: texts, count and the squares raw, centred, phi, phi_centred of the `shown` most frequent tokens. model:
    shape (2,), tied (1,), mean_share (1,) (the mean row's part of the mean squared norm), digest, corpora (n, 2) tokens
    and documents. Then size, adjacency, corpus, and group/<name>.
    """
    each = [count(corpus.ids, corpus.vocab_size, offsets=corpus.offsets) for corpus in corpora]
    counts, both = merged(each), halves(corpora, seed)
    mean, square = model.mean()
    frequency = np.minimum(counts.row_totals(), counts.transpose().row_totals())
    ranked = token_signatures.frequent(frequency, max(SIZES), LEAST)
    text = model.tokenizer.text
    top = ranked[:shown]
    rows = [*embedding_rows(model, top, mean).values(), *(signature(counts, top, s) for s in ("tied", "tied, centred"))]
    parts: dict[str, Arrays] = {
        "model": {
            "shape": np.array(model.shape),
            "tied": np.array([model.tied]),
            "mean_share": np.array([mean @ mean / square]),
            "digest": pack([digest(model.rows(ranked).tobytes())]),
            "corpora": np.array([[len(c.ids), len(c.offsets) - 1] for c in corpora]),
            "often": np.array([np.count_nonzero(frequency >= LEAST)]),
        },
        "frequent": {
            "texts": pack(text(int(token)) for token in top),
            "count": frequency[top],
            **{
                name: cosines(part).square()
                for name, part in zip(("raw", "centred", "phi", "phi_centred"), rows, strict=True)
            },
        },
        "size": alignment_by_size(model, mean, counts, both, ranked, frequency, seed, draws),
        "adjacency": adjacency(embedding_rows(model, ranked[:HEAD], mean), counts, ranked[:HEAD], seed, draws),
        "corpus": by_corpus(model, mean, counts, each, seed, draws),
    }
    known = set(ranked.tolist())
    for name, texts in ENGLISH.items():
        members = {t: id for t in texts if (id := model.tokenizer.id(t)) is not None and id in known}
        if len(members) >= 4:
            wide = (model, mean, counts, members, ranked, frequency, seed)
            parts[f"group/{name}"] = group_numbers(*wide, draws=10 * draws)
    if "group/digits 1 to 9" not in parts:
        raise ValueError(
            f"Fewer than 4 of the digits are single tokens that the text holds {LEAST} times: take more text, or a "
            "model with single digits."
        )
    return {f"{part}/{key}": value for part, arrays in parts.items() for key, value in arrays.items()}


def stored(model: str, *, text: str, scale: str, seed: int, max_tokens: int | None) -> runs.Run:
    """The numbers of a model and a text: found, or computed now and stored (piece "survey").

    At the scale "smoke" text and embedding are made up. Raises what `open_checkpoint` and `opened` raise, and
    MissingRun under CI.
    """

    def work(draft: Any) -> Arrays:
        names = NAMES if text in ("stand-in", "open") else (text,)
        if scale == "smoke":
            corpora = [opened(n, text=text, scale=scale, seed=seed, tokenizer="toy", max_tokens=None) for n in names]
            counts = merged([count(c.ids, c.vocab_size, offsets=c.offsets) for c in corpora])
            return survey(made_up(counts, corpora[0].tokenizer, seed), corpora, seed, draws=20)
        checkpoint = open_checkpoint(model)
        options = {"text": text, "scale": scale, "seed": seed, "max_tokens": max_tokens}
        return survey(checkpoint, [opened(n, tokenizer=checkpoint.tokenizer, **options) for n in names], seed)

    config = {"model": model, "text": text, "scale": scale, "seed": seed, "max_tokens": max_tokens}
    return runs.run("language-pretrained", config, {"survey": work}, modules=["probsig.pretrained_survey"])
