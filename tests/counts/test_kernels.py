"""Counts of pairs: those of a naive counter for any ids, documents, distance, places and number of threads."""

import itertools
from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from probsig.counts import kernels
from probsig.counts.bigrams import count


@st.composite
def texts(draw):
    """Ids of a small or a wide vocabulary, cut into documents, some of them empty."""
    vocab_size = draw(st.sampled_from([1, 2, 5, 64, 65, 4096, 5000, 151_936]))
    few = st.integers(0, min(vocab_size, 6) - 1)
    ids = draw(st.lists(few | st.integers(0, vocab_size - 1), max_size=120))
    middle = draw(st.lists(st.integers(0, len(ids)), max_size=8))
    dtype = np.uint16 if vocab_size <= 2**16 and draw(st.booleans()) else np.uint32
    return np.array(ids, dtype), vocab_size, np.array(sorted([0, *middle, len(ids)]))


def naive(ids, offsets, distance, start=0, stop=None):
    """Every pair inside a document, one at a time."""
    pairs = Counter()
    stop = len(ids) if stop is None else stop
    for lo, hi in itertools.pairwise(offsets):
        for i in range(lo, hi - distance):
            if start <= i < stop:
                pairs[int(ids[i]), int(ids[i + distance])] += 1
    return pairs


def as_dict(indptr, columns, counts):
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return {(int(r), int(c)): int(n) for r, c, n in zip(rows, columns, counts, strict=True)}


@given(texts(), st.integers(1, 7), st.integers(1, 4), st.data())
@settings(max_examples=150, deadline=None)
def test_counts_are_those_of_a_naive_counter(text, distance, threads, data):
    ids, vocab_size, offsets = text
    start = data.draw(st.integers(0, len(ids)))
    stop = data.draw(st.integers(start, len(ids)))
    indptr, columns, counts = kernels.pair_counts(ids, vocab_size, offsets, distance, start, stop, threads)
    assert as_dict(indptr, columns, counts) == naive(ids, offsets, distance, start, stop)
    assert (indptr.dtype, columns.dtype, counts.dtype) == (np.int64, np.uint32, np.int64)
    for row in range(0, vocab_size, max(1, vocab_size // 50)):  # ascending, so no column twice
        assert np.all(np.diff(columns[indptr[row] : indptr[row + 1]].astype(np.int64)) > 0)


@given(texts(), st.integers(1, 4), st.integers(1, 50), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_any_chunks_and_threads_give_the_same_table(text, distance, chunk, threads):
    ids, vocab_size, offsets = text
    once = count(ids, vocab_size, offsets=offsets, distance=distance)
    assert count(ids, vocab_size, offsets=offsets, distance=distance, chunk=chunk, threads=threads) == once


@pytest.mark.parametrize("length", [kernels.LONG - 1, kernels.LONG, 5000])
def test_rows_at_the_edges_of_the_bitmaps_words(length):
    """Columns 0, 63, 64, 4095, 4096 and the last, in rows short and long, once and often."""
    vocab_size = 12_289
    edges = np.array([0, 63, 64, 4095, 4096, 8191, 12_287, 12_288], np.uint32)
    followers = np.random.default_rng(1).choice(edges, length)
    ids = np.column_stack([np.full(length, 7, np.uint32), followers]).ravel()
    indptr, columns, counts = kernels.pair_counts(ids, vocab_size, np.arange(0, len(ids) + 1, 2))
    assert indptr[7] == 0 and indptr[8] == len(columns) == len(np.unique(followers))
    expected = Counter(followers.tolist())
    assert dict(zip(columns.tolist(), counts.tolist(), strict=True)) == expected


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("bits", [3, 8, 13, 18])
def test_long_and_short_rows_in_any_order(bits, threads, monkeypatch):
    """Groups that end in a long row, hold only long or only short rows, or are cut where they are full."""
    monkeypatch.setattr(kernels, "LONG", 5)
    monkeypatch.setattr(kernels, "GROUP", 50)
    rng = np.random.default_rng(bits)
    vocab_size = 2**bits - 1
    few = rng.integers(0, vocab_size, 40)
    often, seldom = few[np.minimum(rng.zipf(1.5, 4000), 40) - 1], rng.integers(0, vocab_size, 4000)
    ids = np.where(rng.random(4000) < 0.7, often, seldom).astype(np.uint32)
    lengths = np.bincount(ids[:-1], minlength=vocab_size)
    layout = kernels._layout(lengths)
    assert len(layout.edges) > 3 and layout.pairs == 3999
    table = kernels.pair_counts(ids, vocab_size, np.array([0, 4000]), threads=threads)
    assert as_dict(*table) == naive(ids, [0, 4000], 1)


def test_the_handworked_case():
    """Documents 3 1 | (empty) | 1 1 3 | 2 at distance 1: 3 1, 1 1, 1 3; at distance 2: 1 3; at distance 3: none."""
    ids, offsets = np.array([3, 1, 1, 1, 3, 2], np.uint16), np.array([0, 2, 2, 5, 6])
    assert as_dict(*kernels.pair_counts(ids, 4, offsets, 1)) == {(1, 1): 1, (1, 3): 1, (3, 1): 1}
    assert as_dict(*kernels.pair_counts(ids, 4, offsets, 2)) == {(1, 3): 1}
    assert as_dict(*kernels.pair_counts(ids, 4, offsets, 3)) == {}
    assert as_dict(*kernels.pair_counts(ids, 4, np.array([0, 6]), 3)) == {(3, 1): 1, (1, 2): 1, (1, 3): 1}


@pytest.mark.slow
def test_a_count_past_float32s_last_odd_integer():
    """2**24 + 3 pairs of one token: float32 sums stop at 2**24."""
    ids = np.broadcast_to(np.uint16(1), 2**24 + 4)
    for threads in (1, 2):
        _, columns, counts = kernels.pair_counts(ids, 2, np.array([0, len(ids)]), 1, threads=threads)
        assert (columns.tolist(), counts.tolist()) == ([1], [2**24 + 3])


@pytest.mark.parametrize("dtype", [np.uint32, np.int64])
def test_the_sweep_reads_whole_counts_and_clears(dtype):
    """Accumulators near the top of their type come out exact: 2**32 - 1, and 2**32 + 5 in the wide type."""
    dense, bits, words = kernels.accumulators(70, dtype)
    dense[3], dense[69] = 2**32 - 1, 5 if dtype is np.uint32 else 2**32 + 5
    bits[0], bits[1], words[0] = 1 << 3, 1 << 5, 3
    columns, counts = np.zeros(5, np.uint32), np.zeros(5, np.int64)
    assert kernels.sweep(dense, bits, words, columns, counts, 1) == 3
    assert columns[:3].tolist() == [0, 3, 69] and columns[4] == counts[4] == 0  # one place past the end may be written
    assert counts[:3].tolist() == [0, 2**32 - 1, 5 if dtype is np.uint32 else 2**32 + 5]
    assert not dense.any() and not bits.any() and not words.any()


def test_an_id_out_of_range_is_named_with_its_place():
    ids = np.array([0, 5, 2, 9], np.uint32)
    with pytest.raises(ValueError, match=r"The token id 9 at place 3 is not below the vocabulary's size 6"):
        kernels.pair_counts(ids, 6, np.array([0, 4]))
    with pytest.raises(ValueError, match="The token id 9 at place 3"):  # read as a second token only
        kernels.pair_counts(ids, 6, np.array([0, 4]), 2, 0, 2)
    assert as_dict(*kernels.pair_counts(ids, 6, np.array([0, 4]), 1, 0, 2)) == {(0, 5): 1, (5, 2): 1}


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(1, 12))
def test_cuts_cover_all_rows_once(sizes, pieces):
    edges = kernels.cuts(np.concatenate(([0], np.cumsum(sizes))), pieces)
    assert edges[0] == 0 and edges[-1] == len(sizes) and len(edges) <= pieces + 1 and np.all(np.diff(edges) > 0)
