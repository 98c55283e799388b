r"""What a corpus looks like through its counts, and how well its signatures are known: the numbers of two chapters.

`survey` collects the rank-frequency curve, the cosines of the signatures of the most frequent tokens and of named
groups of tokens, nearest tokens and contexts. `estimation` measures the error of phi^next on random parts of the corpus
against what independent draws would give, and the reliability of cosines by the number of tokens.

If the n_x tokens after x were independent draws from phi_x, E |phi^ - phi_x|^2 would be (1 - |phi_x|^2) / n_x; of n
draws out of the same N without replacement, (1 - |phi|^2) (1/n - 1/N) N / (N - 1), phi being the law of the N. Text
comes in documents with words of their own, so the error is larger: the ratio is the design effect.

Arrays are small and plain numbers; texts of tokens are packed as UTF-8 JSON in an array of bytes.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from probsig import runs, seeds
from probsig.counts.bigrams import Bigrams, counted, frequent
from probsig.experiments.estimation import SIGNATURES, Arrays, estimation, halved
from probsig.experiments.texts import GROUPS, Corpora, Texts, pack
from probsig.geometry.large import correlations, cosines
from probsig.signatures import tokens as signatures_tokens
from probsig.text.training_set import Tokens, halves

COVER = (0.5, 0.9, 0.99)
MOST, NEIGHBOURS = 40, 8  # tokens that are shown, and the nearest of each
SHARED = 500  # tokens over which texts are compared
LEAST = 50  # a token is compared when it was seen so often


def signature_cosines(counts: Bigrams, tokens: Sequence[int], name: str) -> NDArray[np.float32]:
    """The square matrix of cosines of one of `SIGNATURES`; a token without a law has nan in its row and column."""
    rows = SIGNATURES[name](counts, tokens)
    empty = np.diff(rows.indptr) == 0
    C = np.full((len(tokens), len(tokens)), np.nan, dtype=np.float32)
    there = np.flatnonzero(~empty)
    if there.size > 1:
        C[np.ix_(there, there)] = cosines(rows[there]).square()
    return C


def survey(corpus: Tokens, counts: Bigrams) -> Arrays:
    """What the corpus looks like.

    size (4,): tokens, documents, distinct tokens, distinct pairs. often (1,): tokens seen LEAST times. cover: how many
    tokens make up each share of COVER of the text. ranks, frequency: the rank-frequency curve at log-spaced ranks.
    top (MOST,) ids, top_count, top_texts, and cosines next and previous of their signatures (MOST, MOST). nearest: for
    the first 20 of them and the tokens of GROUPS, the ids (k, NEIGHBOURS) whose phi^next is nearest among the tokens
    seen LEAST times, with nearest_cosine, nearest_of and the texts of all.
    For each group: its texts, counts, cosines of both signatures, each token's likeliest next tokens with their
    probabilities, begins (k, 2), the share of next tokens that begin with "*" and with ")", and null (2,), the mean and
    the 95 % quantile of cosines of phi^next between tokens of the group's range of frequency.
    """
    frequency = np.bincount(corpus.ids, minlength=corpus.vocab_size)
    ranked = np.sort(frequency[frequency > 0])[::-1]
    ranks = np.unique(np.geomspace(1, ranked.size, 60).round().astype(np.int64))
    text = corpus.tokenizer.text
    top = frequent(frequency, MOST, 1)
    covered = np.cumsum(ranked) / ranked.sum()
    size = [corpus.ids.size, len(corpus.offsets) - 1, ranked.size, counts.entries.size]
    out: Arrays = {
        "size": np.array(size, dtype=np.int64),
        "cover": np.array([np.searchsorted(covered, share) + 1 for share in COVER]),
        "ranks": ranks,
        "frequency": ranked[ranks - 1],
        "top": top,
        "top_count": frequency[top],
        "top_texts": pack(map(text, top)),
        "often": np.array([np.count_nonzero(frequency >= LEAST)]),
        **{name: signature_cosines(counts, top, name) for name in SIGNATURES},
    }
    members = {}
    for name, texts in GROUPS.items():
        named = {entry: corpus.tokenizer.id(entry) for entry in texts}
        members[name] = {entry: token for entry, token in named.items() if token is not None}
        out |= {f"{name}/{key}": array for key, array in _group(counts, frequency, members[name], text).items()}
    wanted = [*top[:20].tolist(), *(token for group in members.values() for token in group.values())]
    wanted = [token for token in dict.fromkeys(wanted) if frequency[token] >= LEAST]
    return out | _nearest(counts, frequency, wanted, text)


def _group(counts: Bigrams, frequency: NDArray, members: Mapping[str, int], text: Callable[[int], str]) -> Arrays:
    tokens = list(members.values())
    rows = signatures_tokens.next_token(counts, tokens)
    likely, share, begins = [], [], []
    for row in range(len(tokens)):
        span = slice(*rows.indptr[row : row + 2])
        order = np.argsort(-rows.data[span], kind="stable")[:4]
        likely.append([text(token) for token in rows.indices[span][order]])
        share.append([float(value) for value in rows.data[span][order]])
        after = [(text(token)[:1], value) for token, value in zip(rows.indices[span], rows.data[span], strict=True)]
        begins.append([sum(value for first, value in after if first == sign) for sign in "*)"])
    return {
        "texts": pack(members),
        "count": frequency[tokens],
        **{name: signature_cosines(counts, tokens, name) for name in SIGNATURES},
        "likely": pack(json.dumps(entry, ensure_ascii=False) for entry in likely),
        "share": np.array([entry + [0.0] * (4 - len(entry)) for entry in share]),
        "begins": np.array(begins, dtype=float).reshape(len(tokens), 2),
        "null": _of_like_frequency(counts, frequency, tokens),
    }


def _of_like_frequency(counts: Bigrams, frequency: NDArray, tokens: list[int]) -> NDArray[np.float64]:
    """The mean and the 95 % quantile of cosines of phi^next between up to 300 tokens, evenly spread by id, seen as
    often as a group's rarest present member to its most frequent; nan with fewer than 3."""
    present = [int(frequency[token]) for token in tokens if frequency[token] > 0]
    alike = np.flatnonzero((frequency >= min(present, default=1)) & (frequency <= max(present, default=0)))
    alike = alike[counts.row_totals()[alike] > 0]
    if alike.size < 3:
        return np.full(2, np.nan)
    chosen = alike[np.linspace(0, alike.size - 1, min(alike.size, 300)).astype(int)]
    pairs = cosines(SIGNATURES["next"](counts, chosen)).pairs.astype(float)
    return np.array([pairs.mean(), np.quantile(pairs, 0.95)])


def _nearest(counts: Bigrams, frequency: NDArray, wanted: list[int], text: Callable[[int], str]) -> Arrays:
    pool = np.union1d(frequent(frequency, 10_000, LEAST), np.array(wanted, dtype=np.int64))
    rows = SIGNATURES["next"](counts, pool)
    rows = sp.csr_array(sp.diags_array(1 / np.sqrt(np.maximum(rows.multiply(rows).sum(axis=1), 1e-300))) @ rows)
    place = {int(token): row for row, token in enumerate(pool)}
    near, cosine = [], []
    for token in wanted:
        C = (rows @ rows[[place[token]]].T).toarray()[:, 0]
        C[place[token]] = -1
        order = np.argsort(-C, kind="stable")[:NEIGHBOURS]
        near.append(pool[order])
        cosine.append(C[order])
    known = dict.fromkeys([*wanted, *(int(token) for row in near for token in row)])
    return {
        "nearest_of": np.array(wanted, dtype=np.int64),
        "nearest": np.array(near, dtype=np.int64).reshape(len(wanted), -1 if wanted else 0),
        "nearest_cosine": np.array(cosine, dtype=float).reshape(len(wanted), -1 if wanted else 0),
        "known": np.array(list(known), dtype=np.int64),
        "known_texts": pack(map(text, known)),
    }


def stored(name: str, texts: Texts) -> runs.Run:
    """The survey and the estimation of a corpus: found, or made now and stored (pieces "survey" and "estimation").

    Raises what opening raises, and MissingRun under CI.
    """
    config = {"corpus": name, **_options(texts), **texts.identity([name])}
    pieces = {
        "survey": runs.Piece("probsig.experiments.surveys:surveyed", (name,)),
        "estimation": runs.Piece("probsig.experiments.surveys:estimated", (name, texts.seed)),
    }
    with texts.enough():
        return runs.run("language-survey", config, pieces, inputs=functools.partial(texts.corpora, [name]))


def surveyed(name: str, inputs: Corpora) -> Arrays:
    """`survey` of one of some corpora."""
    return survey(inputs.corpora[name], inputs.counts(name))


def estimated(name: str, seed: int, inputs: Corpora) -> Arrays:
    """`estimation` of one of some corpora."""
    return estimation(inputs.corpora[name], inputs.counts(name), seed)


def stored_shared(names: Sequence[str], texts: Texts) -> runs.Run:
    """R_cos between the signatures of every two corpora: found, or computed now and stored, see `shared_cosines`."""
    config = {"corpora": list(names), "most": SHARED, **_options(texts), **texts.identity(names)}
    pieces = {"shared": runs.Piece("probsig.experiments.surveys:compared", (list(names), SHARED, texts.seed))}
    with texts.enough():
        return runs.run("language-shared", config, pieces, inputs=functools.partial(texts.corpora, names))


def compared(names: Sequence[str], most: int, seed: int, inputs: Corpora) -> Arrays:
    """`shared_cosines` of some corpora."""
    return shared_cosines([inputs.corpora[name] for name in names], most, seed)


def _options(texts: Texts) -> dict[str, Any]:
    return {"scale": texts.scale, "seed": texts.seed, "max_tokens": texts.max_tokens}


def shared_cosines(corpora: Sequence[Tokens], most: int, seed: int) -> Arrays:
    """R_cos between the signatures of every two corpora, over the same tokens for all pairs: the `most` that stand
    highest in the least of their frequencies, seen LEAST times in each.

    next and previous (n, n): the correlation of cosines; on the diagonal the reliability of a corpus's own, from random
    halves of its documents (of one document nan). tokens (1,): how many were compared; with fewer than 3 all is nan.

    >>> from probsig.text.sources.toy import ToyCorpus
    >>> found = shared_cosines([ToyCorpus.of(0), ToyCorpus.of(1)], 20, seed=0)
    >>> found["next"].shape, int(found["tokens"][0]), bool(found["next"][0, 1] == found["next"][1, 0] < 1)
    ((2, 2), 20, True)
    """
    counts = [counted(corpus) for corpus in corpora]
    both = [np.minimum(one.row_totals(), one.transpose().row_totals()) for one in counts]
    tokens = frequent(np.min(both, axis=0), most, LEAST)
    n = len(corpora)
    out: Arrays = {name: np.full((n, n), np.nan) for name in SIGNATURES} | {"tokens": np.array([len(tokens)])}
    if len(tokens) < 3:
        return out
    for name, signature in SIGNATURES.items():
        own = [cosines(signature(one, tokens)) for one in counts]
        for i, j in itertools.combinations(range(n), 2):
            out[name][i, j] = out[name][j, i] = correlations(own[i], own[j]).overall
        for i, corpus in enumerate(corpora):
            order = seeds.stream(seed, "halves", str(i)).permutation(len(corpus.offsets) - 1)
            out[name][i, i] = halved(tuple(map(counted, halves(corpus, order))), tokens, signature)
    return out
