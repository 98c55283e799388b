"""What the estimate of the Pile's cost rests on: exact numbers of pairs, and rates of what was really done."""

import dataclasses

import numpy as np
import pytest

from probsig.experiments import costs
from probsig.experiments import texts as experiments_texts
from probsig.text.sources.toy import ToyCorpus


@pytest.fixture(scope="module")
def toys():
    return [ToyCorpus.of(seed, documents=60) for seed in (0, 1)]


def pairs(corpora):
    return {
        (int(a), int(b))
        for corpus in corpora
        for s, t in zip(corpus.offsets, corpus.offsets[1:], strict=False)
        for a, b in zip(corpus.ids[s:t], corpus.ids[s + 1 : t], strict=False)
    }


def test_everything_that_the_page_needs_is_measured(toys, monkeypatch):
    monkeypatch.setattr(costs, "COUNTED", 30_000)
    monkeypatch.setattr(costs, "SHOWN", 500)
    texts = [list(experiments_texts.decoded(corpus)) for corpus in toys]
    found = costs.measure(toys, texts, seed=0)
    for i, some in enumerate(texts):
        shown = [k for k in range(len(some)) if sum(map(len, some[:k])) < 500]
        assert found["bytes"][i] == sum(len(text.encode()) for text in some[: len(shown)])
    assert found["count_tokens"][0] >= 30_000 and found["count_tokens"][0] % sum(len(c.ids) for c in toys) == 0
    assert all((found[name] > 0).all() for name in ("seconds", "count_seconds", "add_seconds"))
    assert found["growth_tokens"][-1] == sum(len(corpus.ids) for corpus in toys)
    assert found["growth_pairs"][-1] == len(pairs(toys))
    assert (np.diff(found["growth_tokens"]) > 0).all() and (np.diff(found["growth_pairs"]) >= 0).all()


def test_added_entries_are_those_read_and_written(toys):
    entries, seconds = costs._add(toys, toys[0].vocab_size, seed=0)
    whole = len(pairs(toys))
    assert 2 * whole <= entries[0] <= (costs.FAN_IN + 1) * whole and seconds[0] > 0


def test_a_power_law_is_found_and_only_its_end_counts():
    tokens = 10.0 ** np.arange(2, 8)
    noisy = 3 * tokens**0.7
    noisy[:3] *= 5
    assert costs.power(tokens, noisy) == pytest.approx((3, 0.7))


def test_mixed_tokenizers_are_refused(toys):
    other = dataclasses.replace(toys[0], vocab_size=7)
    with pytest.raises(ValueError, match=r"^The corpora must be one or more, of one tokenizer: .*\.$"):
        costs.measure([toys[0], other], [[], []], seed=0)
    with pytest.raises(ValueError, match=r"^The corpora must be one or more"):
        costs.measure([], [], seed=0)
