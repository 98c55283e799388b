"""Stored runs of models with several heads: the signatures, the Gram matrix of the theorem, what a run holds."""

import numpy as np
import pytest

from probsig import seeds
from probsig.experiments import heads
from probsig.geometry.large import cosines
from probsig.signatures import tokens as signatures_tokens
from probsig.text.sources.toy import ToyCorpus
from probsig.text.training_set import renumbered, training_set


@pytest.fixture(scope="module")
def few():
    ids = np.cumsum(seeds.stream(0, "few").integers(1, 4, 900)) % 8
    return renumbered(ids, np.array([0, 300, 500, 900]), 8, None, "few")


def laws(data, distance):
    """P(the token `distance` after s), counted in a loop."""
    out = np.zeros((data.vocab_size, data.vocab_size))
    for start, end in zip(data.offsets[:-1], data.offsets[1:], strict=True):
        for place in range(start, end - distance):
            out[data.ids[place], data.ids[place + distance]] += 1
    return out


def test_signatures_against_counts_in_a_loop(few):
    counts, tokens = heads._counts(few), [3, 0, 5]
    share = {distance: laws(few, distance) for distance in range(1, 14)}

    def next_to(distance):
        return (share[distance] / share[distance].sum(axis=1, keepdims=True))[tokens]

    assert np.allclose(heads.signature(counts, tokens, "3", 16).toarray(), next_to(3))
    stack = np.concatenate([next_to(distance) for distance in (1, 2, 3, 4)], axis=1)
    assert np.allclose(heads.signature(counts, tokens, "stack", 16).toarray(), stack)
    assert np.allclose(heads.signature(counts, tokens, "stack", 16, "centred").toarray(), stack - stack.mean(axis=0))
    weights = [sum(1 / t for t in range(m + 1, 16)) for m in range(8)]
    mixed = sum(w * share[4 + m] / share[4 + m].sum() for m, w in enumerate(weights))[tokens]
    assert np.allclose(
        heads.signature(counts, tokens, "from 4", 16).toarray(), mixed / mixed.sum(axis=1, keepdims=True)
    )
    before = heads.signature(counts, tokens, "2", 16, direction="previous").toarray()
    assert np.allclose(before, (share[2] / share[2].sum(axis=0)).T[tokens])


def test_gram_matrices_add_as_the_theorem_says(few):
    """Cosines of first-order velocities with wide random heads are those of the stacked rows less 1/V."""
    V, width, often = few.vocab_size, 40_000, few.frequency
    phi = [signatures_tokens.skip(one, range(V)).toarray() - 1 / V for one in heads._counts(few)[:4]]
    stream = seeds.stream(0, "wide heads")
    velocity = sum((often[:, None] / 4) * (rows @ stream.standard_normal((V, width))) for rows in phi)
    expected = cosines(np.concatenate(phi, axis=1)).pairs
    assert np.abs(cosines(velocity).pairs - expected).max() < 0.03
    assert np.abs(cosines(phi[0]).pairs - expected).max() > 0.1


@pytest.fixture(scope="module")
def stored(place, toys):
    sets, opened = toys
    made = [heads.heads("toy", sets, distances=d, scale="smoke", seed=1) for d in ([2], [1, 4], [2])]
    return made, len(opened)


def test_a_run_is_made_once_and_holds_what_it_says(stored):
    (one, two, again), opened = stored
    assert [run.origin for run in (one, two, again)] == ["new", "new", "runs"]
    assert opened == 2
    assert one.name == again.name != two.name
    for run, k in ((one, 1), (two, 2)):
        got = {name.removeprefix("heads/"): array for name, array in run.arrays.items()}
        m, n = len(got["steps"]), len(heads.SIGNATURES)
        assert got["steps"][0] == 0 and got["steps"][-1] == got["epoch"][0]
        for name, shape in {
            "rcos": (m, 2, 2, n), "unembedding": (m, k, 2, 2, heads.REACH), "null": (2, 2, 2, n, heads.DRAWS),
            "loss": (m - 1, k), "between": (2, 2, n, n), "ceilings": (2, 2, n),
        }.items():  # fmt: skip
            assert got[name].shape == shape
            assert np.isfinite(got[name]).all()
        assert (got["loss"][-1] < got["loss"][0] - 0.5).all()
        assert np.allclose(np.diagonal(got["between"], axis1=2, axis2=3), 1)
        assert sum(array.nbytes for array in got.values()) < 100_000


def test_arms_start_alike_and_part(stored):
    (one, two, _), _ = stored
    start, end = (np.abs(one.arrays["heads/rcos"][k] - two.arrays["heads/rcos"][k]).max() for k in (0, -1))
    assert start == 0
    assert end > 0.01


def test_alignment_of_a_signature_with_itself_is_one():
    data = training_set(ToyCorpus.of(0), 6_000, 150, 0, "toy")
    reference = heads.Distances(data, 32)
    rows = heads.signature(reference.counts, reference.tokens, "2", 32).toarray()
    found = reference.alignment(rows, reference.after)
    assert found[:, :, 1] == pytest.approx(1, abs=1e-6)
    assert (np.delete(found, 1, axis=2) < 0.999).all()
    null = reference.null(rows, reference.after, 0)
    assert null[0, 0, 1].max() < 0.9
    assert np.array_equal(null, reference.null(rows, reference.after, 0))


def test_errors_name_the_culprit(monkeypatch, tmp_path):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))

    def asked(name="toy", **changed):
        options = {"distances": [1], "scale": "smoke", "seed": 0}
        return heads.heads(name, lambda: [training_set(ToyCorpus.of(0), 2_000, 50, 0, "toy")], **options | changed)

    with pytest.raises(ValueError, match="scale is 'paper'"):
        asked(scale="paper")
    with pytest.raises(ValueError, match="'web' is not among the texts toy"):
        asked("web")
    with pytest.raises(ValueError, match="different whole numbers"):
        asked(distances=[0])
