"""The numbers of the chapter on a pretrained model: embeddings whose answer is known, and naive references."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from probsig.counts.bigrams import count, frequent, merged
from probsig.errors import TooLittle
from probsig.experiments import embeddings, pretrained
from probsig.experiments.texts import Texts, unpack
from probsig.geometry import small
from probsig.language.checkpoints import Checkpoint
from probsig.signatures import tokens as signatures_tokens
from probsig.text.sources.toy import ToyCorpus, ToyTokenizer

pytestmark = pytest.mark.slow

RAW, CENTRED, FREQUENT = 0, 1, 2
TIED = list(embeddings.SIGNATURES).index("tied")


@pytest.fixture(scope="module")
def corpora():
    return [ToyCorpus.of(seed=1, documents=80, name=name) for name in ("one", "two")]


@pytest.fixture(scope="module")
def counts(corpora):
    return merged([count(c) for c in corpora])


def model_of(E):
    E = np.asarray(E, dtype=np.float32)
    return Checkpoint("test", E.shape, True, lambda ids: E[ids], ToyTokenizer)


def means_of(model):
    mean = model.mean()[0]
    return {"centred": mean, "frequent": mean + 1}


def chosen(counts, most=40):
    frequency = np.minimum(counts.row_totals(), counts.transpose().row_totals())
    return frequent(frequency, most, 5), frequency


def sized(E, counts, corpora, **options):
    ranked, frequency = chosen(counts)
    model = model_of(E)
    both = embeddings.halved(corpora, 0)
    options = {"seed": 0, "draws": 20} | options
    return embeddings.alignment_by_size(model, means_of(model), counts, both, ranked, frequency, **options)


def test_the_signature_itself_is_aligned_with_itself(corpora, counts):
    phi = signatures_tokens.tied(counts, np.arange(counts.vocab_size)).toarray()
    found = sized(phi, counts, corpora)
    assert found["sizes"].tolist() == [40]
    assert found["all"][RAW, TIED, 0] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(found["bootstrap"][RAW], 1, atol=1e-6)
    assert found["matched"][RAW].max() < 0.9 and np.abs(found["random"][RAW]).mean() < 0.2
    assert 0.9 < found["ceiling"][0] < 1


def test_noise_is_aligned_with_nothing(corpora, counts):
    found = sized(np.random.default_rng(0).standard_normal((counts.vocab_size, 200)), counts, corpora)
    assert np.abs(found["all"][:, TIED]).max() < 0.2
    low, high = np.quantile(found["bootstrap"][CENTRED, 0], [0.0, 1.0])
    assert low < found["all"][CENTRED, TIED, 0] < high


def test_every_correlation_is_that_of_the_dense_cosines(corpora, counts):
    E = np.random.default_rng(1).standard_normal((counts.vocab_size, 30)).astype(np.float32)
    found = sized(E, counts, corpora)
    ranked, frequency = chosen(counts)
    assert found["least"].tolist() == [frequency[ranked[-1]]]
    E = E.astype(float)
    for e, rows in enumerate((E[ranked], E[ranked] - E.mean(axis=0), E[ranked] - E[ranked].mean(axis=0))):
        for j, name in enumerate(embeddings.SIGNATURES):
            dense = embeddings.signature(counts, ranked, name).toarray()
            assert found["all"][e, j, 0] == pytest.approx(small.cosine_correlation(rows, dense), abs=1e-5)


def test_halves_are_all_documents_once(corpora, counts):
    first, second = embeddings.halved(corpora, 3)
    assert first + second == counts and first != second
    assert 0.3 < first.total / counts.total < 0.7


def grouped(E, counts, texts, draws=200, without=()):
    ranked, frequency = chosen(counts, 60)
    model = model_of(E)
    members = {text: ToyTokenizer().id(text) for text in texts if text not in without}
    return embeddings.group_numbers(model, means_of(model), counts, texts, members, ranked, frequency, 0, draws)


def test_digits_on_an_arc_have_an_order_and_months_on_a_circle_a_ring(counts):
    E = np.random.default_rng(2).standard_normal((counts.vocab_size, 50))
    months = embeddings.ENGLISH["months"]
    for texts, turn in ((embeddings.ENGLISH["digits"], np.pi), (months, 2 * np.pi * 11 / 12)):
        angle = np.linspace(0, turn, len(texts))
        ids = [ToyTokenizer().id(text) for text in texts]
        E[ids] = 0
        E[ids, 0], E[ids, 1] = np.cos(angle), np.sin(angle)
    digits, ring = grouped(E, counts, embeddings.ENGLISH["digits"]), grouped(E, counts, months)
    assert unpack(ring["texts"]) == list(months)
    (line, round_), (rank_line, _) = digits["order"][0]
    assert line < -0.98 and rank_line < -0.99 and line < round_
    assert line < np.quantile(digits["shuffled"][0, 0], 0.01) < 0
    line, round_ = ring["order"][0, 0]
    assert round_ < -0.98 and round_ < line - 0.4
    assert np.argsort(digits["pca"][:, 0]).tolist() in (list(range(10)), list(range(9, -1, -1)))
    assert np.all(digits["bootstrap"][0] < -0.3)


def test_a_groups_numbers_are_the_plain_ones(counts):
    E = np.random.default_rng(3).standard_normal((counts.vocab_size, 20)).astype(np.float32)
    digits = embeddings.ENGLISH["digits"]
    found = grouped(E, counts, digits)
    ids = [ToyTokenizer().id(text) for text in digits]
    C = small.cosine(E[ids])
    np.testing.assert_allclose(found["raw"], C, atol=1e-6)
    assert found["order"][0, 0, 0] == pytest.approx(small.order_correlation(E[ids]), abs=1e-5)
    phi = signatures_tokens.tied(counts, ids).toarray()
    assert found["agree"][0] == pytest.approx(small.cosine_correlation(E[ids], phi), abs=1e-5)
    assert found["together"][0] == pytest.approx(small.pairs(C).mean(), abs=1e-6)
    ranked, _ = chosen(counts, 60)
    centre = signatures_tokens.tied(counts, ranked).toarray().mean(axis=0)
    np.testing.assert_allclose(found["phi_centred"], small.cosine(phi - centre), atol=1e-6)
    np.testing.assert_allclose(found["frequent"], small.cosine(E[ids] - E.astype(float).mean(axis=0) - 1), atol=1e-6)
    assert found["together_null"].shape == (5, 20) and np.isfinite(found["together_null"]).all()


def test_places_of_absent_members_stay_empty(counts):
    """On the months of a circle without three of them, distances are still those of the year."""
    months = embeddings.ENGLISH["months"]
    E = np.random.default_rng(2).standard_normal((counts.vocab_size, 2))
    angle = np.arange(12) * np.pi / 6
    E[[ToyTokenizer().id(text) for text in months]] = np.column_stack([np.cos(angle), np.sin(angle)])
    found = grouped(E, counts, months, without=months[2:5])
    assert unpack(found["texts"]) == [m for m in months if m not in months[2:5]]
    assert found["order"][0, 1, 1] < -0.95 and found["order"][0, 0, 1] < -0.98
    alone = grouped(E, counts, [m for m in months if m not in months[2:5]])
    assert alone["order"][0, 0, 1] > found["order"][0, 0, 1] + 0.1


def test_an_order_that_is_only_frequency_is_told_apart(counts):
    """Rows that follow log frequency and nothing else: no distance along the line is left."""
    digits = embeddings.ENGLISH["digits"][1:]  # small digits are frequent
    ids = [ToyTokenizer().id(text) for text in digits]
    frequency = chosen(counts)[1]
    E = np.random.default_rng(4).standard_normal((counts.vocab_size, 2))
    angle = 0.3 * np.log(frequency[ids])
    E[ids] = np.column_stack([np.cos(angle), np.sin(angle)])
    found = grouped(E, counts, digits)
    line, partial = found["order"][0, 0, 0], found["by_frequency"][0]
    assert line < -0.5 and partial[0] < -0.9 and abs(partial[1]) < abs(line)


def test_each_corpus_is_held_against_its_own_signature(corpora, monkeypatch):
    monkeypatch.setattr(embeddings, "EACH", 30)
    each = [count(c) for c in corpora]
    phi = signatures_tokens.tied(each[0], np.arange(each[0].vocab_size)).toarray()
    model = model_of(phi)
    none = {"centred": np.zeros(phi.shape[1])}
    found = embeddings.by_corpus(model, none, merged(each), each, seed=0, draws=20)
    assert found["own"][0] == pytest.approx(1, abs=1e-6) and 1 > found["own"][1] > found["matched"][1].max()
    assert found["tokens"].tolist() == [30, 30] and found["pooled"][0] < 1


def test_stored_at_smoke_is_made_up_and_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    texts = Texts(scale="smoke", seed=3)
    first, again = (pretrained.stored(pretrained.Model(), texts) for _ in range(2))
    assert (first.origin, again.origin) == ("new", "runs")
    assert all(np.array_equal(value, again.arrays[key], equal_nan=True) for key, value in first.arrays.items())
    assert first.arrays["survey/model/tied"][0] and first.arrays["survey/model/corpora"].shape == (5, 2)
    assert {"survey/group/digits/raw", "survey/group/months/pca"} <= first.arrays.keys()
    assert "survey/group/weekdays/raw" not in first.arrays  # none are tokens of the made-up text
    assert first.arrays["survey/model/ranks"].tolist() == [0, 50] and 0.5 < first.arrays["survey/model/toward"][0] < 1
    assert first.arrays["survey/size/all"][RAW, TIED, 0] > 0.5  # it was made from phi~


def test_a_text_without_digits_has_all_numbers_but_theirs(corpora, monkeypatch):
    """Where no digit is a token, as in Chinese or in prose, the other parts are what they were."""
    monkeypatch.setattr(embeddings, "HEAD", 20)
    model = pretrained.made_up(merged([count(c) for c in corpora]), ToyTokenizer(), 0)
    whole = embeddings.survey(model, corpora, 0, draws=10)
    monkeypatch.setattr(embeddings, "ENGLISH", {"digits": ("a", "b"), "months": embeddings.ENGLISH["months"]})
    found = embeddings.survey(model, corpora, 0, draws=10)
    assert whole.keys() - found.keys() == {key for key in whole if key.startswith("group/digits")} != set()
    assert all(np.array_equal(value, whole[key], equal_nan=True) for key, value in found.items())


def test_a_text_of_a_hundred_words_is_too_little(tmp_path, monkeypatch):
    monkeypatch.delenv("CI", raising=False)  # under CI nothing of this scale is begun
    monkeypatch.setenv("PROBSIG_CACHE", str(tmp_path))
    model = pretrained.Model("by hand")
    monkeypatch.setattr(pretrained, "open_checkpoint", lambda name: model_of(np.eye(len(ToyTokenizer().pieces))))
    monkeypatch.setattr(Texts, "_corpus", lambda self, name: ToyCorpus.of(0, documents=1))
    texts = model.texts("mine.txt", scale="laptop", seed=0, max_tokens=None)
    with pytest.raises(TooLittle, match=r"^The text holds \d tokens 50 times, and an embedding is compared"):
        pretrained.stored(model, texts)


def test_one_long_document_has_halves(monkeypatch):
    monkeypatch.setattr(pretrained, "open_checkpoint", lambda name: model_of(np.eye(3)))
    corpus = ToyCorpus.of(0)
    one = ToyCorpus(corpus.ids, corpus.offsets[[0, -1]], corpus.tokenizer)
    monkeypatch.setattr(Texts, "_corpus", lambda self, name: one)
    texts = pretrained.Model("by hand").texts("mine.txt", scale="laptop", seed=0, max_tokens=None)
    first, second = embeddings.halved([texts.corpus("yours")], 0)
    assert 0.4 < first.total / (first.total + second.total) < 0.6 and len(texts.corpus("yours").offsets) == 41


def test_the_stored_run_is_found_without_a_model_or_a_text(monkeypatch):
    model = pretrained.Model()
    monkeypatch.setattr(pretrained, "open_checkpoint", lambda name: pytest.fail("the model was opened"))
    texts = model.texts("stand-in", scale="laptop", seed=0, max_tokens=None)
    monkeypatch.setattr(texts, "corpus", lambda name: pytest.fail("a text was opened"))
    found = pretrained.stored(model, texts)
    assert found.origin == "results" and found.arrays["survey/model/tied"][0]


def test_a_model_changed_in_place_is_another_run_and_a_copy_is_the_same(tmp_path):
    def write(folder, seed):
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text('{"tie_word_embeddings": true}')
        E = np.random.default_rng(seed).standard_normal((5, 3)).astype(np.float32)
        save_file({"model.embed_tokens.weight": E}, folder / "model.safetensors")
        return pretrained.Model(str(folder)).identity()

    one, copy, other = write(tmp_path / "a", 0), write(tmp_path / "b", 0), write(tmp_path / "a", 1)
    assert one == copy != other and one["model"] == "yours" and len(one["rows"]) == 16
    assert pretrained.Model().identity() == {"model": "smollm2"}


def test_a_models_own_tokenizer_is_part_of_what_a_run_is_of_unless_it_is_the_books(monkeypatch):
    opened = []
    monkeypatch.setattr(pretrained, "open_checkpoint", lambda name: opened.append(name) or model_of(np.eye(3)))
    said = [
        pretrained.Model(name).texts("stand-in", scale="laptop", seed=0, max_tokens=None).identity(["cc"])
        for name in ("smollm2", "Qwen/Qwen2.5-3B")
    ]
    assert said == [{"text": "stand-in"}, {"text": "stand-in", "tokenizer": "toy"}] and opened == ["Qwen/Qwen2.5-3B"]
