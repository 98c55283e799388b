"""The survey of a corpus and the estimation of its signatures: against the definitions, on made-up text."""

import numpy as np
import pytest

from probsig.counts.bigrams import count, frequent
from probsig.experiments import estimation, surveys
from probsig.experiments import texts as experiments_texts
from probsig.geometry import small
from probsig.signatures import tokens as signatures_tokens
from probsig.text import training_set
from probsig.text.sources.toy import ToyCorpus, ToyTokenizer
from probsig.text.tokenizers import Tokenizer


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """The made-up text is short."""
    monkeypatch.setattr(surveys, "LEAST", 5)
    monkeypatch.setattr(surveys, "MOST", 12)


@pytest.fixture(scope="module")
def toy():
    corpus = ToyCorpus.of(seed=1, documents=120)
    return corpus, count(corpus)


def test_texts_survive_packing():
    texts = ["/a", " é\n", '"', "日"]
    assert experiments_texts.unpack(experiments_texts.pack(texts)) == texts


def test_a_survey_counts_what_is_there(toy):
    corpus, counts = toy
    found = surveys.survey(corpus, counts)
    pairs = {
        (a, b)
        for s, t in zip(corpus.offsets, corpus.offsets[1:], strict=False)
        for a, b in zip(corpus.ids[s:t], corpus.ids[s + 1 : t], strict=False)
    }
    assert found["size"].tolist() == [len(corpus.ids), 120, len(set(corpus.ids.tolist())), len(pairs)]
    frequency = np.bincount(corpus.ids, minlength=corpus.vocab_size)
    assert found["frequency"][0] == frequency.max() == found["top_count"][0]
    assert experiments_texts.unpack(found["top_texts"]) == [corpus.tokenizer.text(int(t)) for t in found["top"]]
    dense = signatures_tokens.next_token(counts, found["top"]).toarray()
    np.testing.assert_allclose(found["next"], small.cosine(dense), atol=1e-6)
    assert found["often"][0] == np.count_nonzero(frequency >= 5)


def test_nearest_tokens_are_the_nearest(toy):
    corpus, counts = toy
    found = surveys.survey(corpus, counts)
    frequency = np.bincount(corpus.ids, minlength=corpus.vocab_size)
    pool = np.flatnonzero(frequency >= 5)
    cosine = small.cosine(signatures_tokens.next_token(counts, pool).toarray())
    row = int(np.flatnonzero(pool == found["nearest_of"][0])[0])
    cosine[row, row] = -1
    assert found["nearest_cosine"][0] == pytest.approx(np.sort(cosine[row])[::-1][:8], abs=1e-6)


def test_absent_members_of_a_group_are_left_out_or_empty(toy):
    corpus, counts = toy
    found = surveys.survey(corpus, counts)
    assert "/e" not in experiments_texts.unpack(found["slashes/texts"])  # no token of the toy vocabulary
    assert experiments_texts.unpack(found["digits/texts"]) == list("0123456789")
    assert found["digits/share"].shape == (10, 4) and (found["digits/share"].sum(axis=1) <= 1 + 1e-12).all()


def test_a_token_without_a_law_has_nan():
    counts = count(np.array([0, 1, 0, 1, 0]), 4)
    C = surveys.signature_cosines(counts, [0, 1, 3], "next")
    assert np.isnan(C[2]).all() and np.isnan(C[:, 2]).all() and C[0, 1] == 0 and C[0, 0] == 1


def test_documents_are_cut_out_whole(toy):
    corpus, _ = toy
    cut = training_set.documents(corpus, np.array([3, 7]))
    expected = [corpus.ids[corpus.offsets[d] : corpus.offsets[d + 1]] for d in (3, 7)]
    assert np.array_equal(cut.ids, np.concatenate(expected))
    assert cut.offsets.tolist() == [0, len(expected[0]), len(cut.ids)]


class Independent:
    """A text whose next tokens are independent draws: documents of two tokens."""

    def __init__(self, seed, documents=20_000, vocab=12):
        rng = np.random.default_rng(seed)
        law = rng.dirichlet(np.ones(vocab), size=vocab)
        first = rng.integers(0, vocab, documents)
        second = (rng.random(documents)[:, None] > law[first].cumsum(axis=1)).sum(axis=1)
        self.ids = np.column_stack([first, np.minimum(second, vocab - 1)]).ravel().astype(np.uint16)
        self.offsets, self.vocab_size, self.tokenizer = np.arange(0, 2 * documents + 1, 2), vocab, ToyTokenizer()


def test_independent_draws_have_no_design_effect(monkeypatch):
    """The formula for draws without replacement, met within a few percent in the mean over draws."""
    corpus = Independent(0)
    counts = count(corpus)
    monkeypatch.setattr(estimation, "PARTS", 3)
    monkeypatch.setattr(estimation, "DRAWS", 20)
    found = estimation.estimation(corpus, counts, seed=0)
    band = int(np.flatnonzero(found["tokens"] == 12)[0])
    ratio = (found["error"] / found["independent"])[:, :, band].mean(axis=0)
    assert np.abs(ratio - 1).max() < 0.1
    error = found["error"][:, :, band].mean(axis=0)
    # (1/n - 1/N) for n = N/2, N/4, N/8: 1, 3, 7
    assert error[1] / error[0] == pytest.approx(3, rel=0.15) and error[2] / error[0] == pytest.approx(7, rel=0.15)


def test_clustered_documents_have_one(toy):
    found = estimation.estimation(*toy, seed=0)
    there = found["tokens"] > 0
    effect = (found["error"] / found["independent"])[:, :3, there].mean(axis=(0, 1))
    assert effect.max() > 1.5
    assert found["sizes"].tolist() == [50] and found["least"][0] >= 20
    assert 0.5 < found["reliability_next"].min() and found["reliability_next"].max() <= 1


def test_shared_cosines_are_over_the_same_tokens(monkeypatch):
    corpora = [ToyCorpus.of(seed, documents=120) for seed in (1, 2, 3)]
    found = surveys.shared_cosines(corpora, 40, seed=0)
    counts = [count(c) for c in corpora]
    both = np.min([np.minimum(one.row_totals(), one.transpose().row_totals()) for one in counts], axis=0)
    tokens = frequent(both, 40, 5)
    assert found["tokens"][0] == len(tokens) > 20
    own = [small.pairs(small.cosine(signatures_tokens.next_token(c, tokens).toarray())) for c in counts]
    assert found["next"][0, 2] == pytest.approx(small.pearson(own[0], own[2]), abs=1e-5)
    assert np.array_equal(found["previous"], found["previous"].T) and (np.diag(found["next"]) > 0.5).all()
    monkeypatch.setattr(surveys, "LEAST", 10**9)
    none = surveys.shared_cosines(corpora, 40, seed=0)
    assert none["tokens"][0] == 0 and np.isnan(none["next"]).all()


@pytest.mark.parametrize(("tokens", "documents"), [(None, 1), (60, 1), (60, 3), (3, 1)])
def test_one_document_and_a_text_of_a_few_words_have_a_survey_and_an_estimation(toy, tokens, documents, monkeypatch):
    """What the text does not say is nan or empty, and the rest is there."""
    monkeypatch.setattr(surveys, "LEAST", 50)
    whole, _ = toy
    ids = whole.ids[:tokens]
    offsets = np.linspace(0, len(ids), documents + 1).astype(np.int64)
    corpus = ToyCorpus(ids, offsets, whole.tokenizer, "few")
    counts = count(corpus)
    found, known = surveys.survey(corpus, counts), estimation.estimation(corpus, counts, 0)
    assert found["size"][:2].tolist() == [len(ids), documents] and known["absent"].shape == known["error"].shape
    assert len(found["nearest"]) == len(found["nearest_of"]) == len(found["nearest_cosine"])
    assert len(known["sizes"]) == known["reliability_next"].shape[1]
    if documents == 1:
        assert np.isnan(known["reliability_next"]).all()
        assert np.isnan(surveys.shared_cosines([corpus], 20, 0)["next"]).all()


def test_branches_are_those_of_the_law():
    """A token with b equally likely followers has b branches, and its estimate has no bias."""
    rng = np.random.default_rng(0)
    ids = np.column_stack([np.zeros(20_000, int), 1 + rng.integers(0, 8, 20_000)]).ravel()
    counts = count(ids, 9, offsets=np.arange(0, 40_001, 2))
    found = estimation._branches(counts, counts.row_totals(), [np.array([0]), np.array([], dtype=int)])
    assert found["branches"][0] == pytest.approx(8, rel=0.02) and found["below"][0] == 0
    assert np.isnan(found["branches"][1])


def test_clumped_tokens_are_absent_more_often(toy):
    corpus, _ = toy
    once = np.repeat(np.arange(corpus.vocab_size), 12)  # every token sits in one document of its own
    ids, offsets = once.astype(np.uint16), np.arange(0, len(once) + 1, 12)
    clumped = type(corpus)(ids, offsets, corpus.tokenizer)
    found = estimation.estimation(clumped, count(ids, corpus.vocab_size, offsets=offsets), seed=0)
    assert found["absent"][:, 1, 0].mean() == pytest.approx(0.75, abs=0.05)
    assert found["absent_independent"][:, 1, 0].mean() < 0.1


def test_a_group_is_held_against_tokens_of_its_frequency(toy):
    corpus, counts = toy
    found = surveys.survey(corpus, counts)
    assert found["digits/begins"].shape == (10, 2) and (found["digits/begins"].sum(axis=1) <= 1 + 1e-12).all()
    star = corpus.tokenizer.id("/a"), corpus.tokenizer.id("**"), corpus.tokenizer.id("*")
    law = signatures_tokens.next_token(counts, [star[0]]).toarray()[0]
    assert found["slashes/begins"][0, 0] == pytest.approx(law[star[1]] + law[star[2]])
    mean, high = found["slashes/null"]
    assert 0 <= mean <= high <= 1
    assert found["cover"][0] <= found["cover"][1] <= found["cover"][2] <= found["size"][2]


def test_stored_at_smoke_is_made_up_and_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    texts = experiments_texts.Texts(scale="smoke", seed=3)
    first, again = (surveys.stored("arxiv", texts) for _ in range(2))
    assert (first.origin, again.origin) == ("new", "runs") and "survey/ranks" in again.arrays
    shared = surveys.stored_shared(["arxiv", "cc"], texts).arrays
    assert shared["shared/next"][0, 1] == shared["shared/next"][1, 0] < 1


def test_a_text_of_ones_own_is_found_by_its_content(tmp_path, monkeypatch):
    """The same bytes under another name are the same run; a file that was edited is another."""
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PROBSIG_CACHE", str(tmp_path / "cache"))
    letters = Tokenizer("letters", "0" * 64, [bytes([i]) for i in range(256)], {}, 256, lambda t: list(t.encode()))

    def of(name, text):
        (tmp_path / name).write_text(text)
        texts = experiments_texts.Texts(tmp_path / name, scale="smoke", tokenizer=lambda: letters)
        (only,) = texts.names(["arxiv", "cc"])
        return surveys.stored(only, texts)

    first, copy, edited = of("a.txt", "abcab" * 40), of("b.txt", "abcab" * 40), of("a.txt", "abcad" * 40)
    assert (first.origin, copy.origin, edited.origin) == ("new", "runs", "new") and first.name == copy.name
    assert first.config["corpus"] == "yours" and first.arrays["survey/size"][2] == 3 != edited.arrays["survey/size"][2]
