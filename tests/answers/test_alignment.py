"""align: W that is the signature itself, numpy and scipy by hand, three tokens on paper, what must not matter, doubts.

Three tokens on paper: after 0 comes 0, after 1 comes 0 or 1, after 2 comes 1. So the signatures are (1, 0), (1/2, 1/2)
and (0, 1), with cosines 1/sqrt 2, 0 and 1/sqrt 2 of the pairs 01, 02 and 12.
"""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

import probsig as ps
from probsig.answers.alignment import align
from probsig.language.checkpoints import Checkpoint, Pretrained
from probsig.text.sources.toy import ToyCorpus, ToyTokenizer
from probsig.text.tokenizers import Tokenizer
from probsig.text.training_set import renumbered, training_set

TOY = ToyCorpus.of(seed=0)
V = TOY.vocab_size


def text(documents, vocab_size=3, name="paper"):
    """A corpus of documents given as lists of ids."""
    offsets = np.cumsum([0, *map(len, documents)])
    ids = np.concatenate([np.array(d, dtype=np.uint16) for d in documents])
    return SimpleNamespace(name=name, ids=ids, offsets=offsets, vocab_size=vocab_size)


PAPER = text([[0, 0], [1, 0], [1, 1], [2, 1]] * 3)


def pairs_of(corpus):
    """The pairs of neighbours, counted with a loop."""
    N = np.zeros((corpus.vocab_size,) * 2)
    for start, end in zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True):
        document = corpus.ids[start:end]
        np.add.at(N, (document[:-1], document[1:]), 1)
    return N


def cos(rows):
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows @ rows.T)[np.triu_indices(len(rows), k=1)]


def random_text(seed, documents=60, vocab_size=25, length=80):
    """A text over a vocabulary whose rows differ, and whose documents differ in what they speak of."""
    rng = np.random.default_rng(seed)
    law = rng.dirichlet(np.full(vocab_size, 0.3), size=vocab_size)
    out = []
    for _ in range(documents):
        ids = [int(rng.integers(vocab_size))]
        for _ in range(length - 1):
            ids.append(int(rng.choice(vocab_size, p=law[ids[-1]])))
        out.append(ids)
    return text(out, vocab_size, "random")


RANDOM = random_text(0)


@pytest.mark.parametrize("signature", ["next", "previous", "tied"])
def test_the_signatures_themselves_are_aligned_with_the_text(signature):
    N = pairs_of(TOY)
    after, before = (M / np.maximum(M.sum(axis=1, keepdims=True), 1) for M in (N, N.T))
    W = {"next": after, "previous": before, "tied": after + before}[signature]
    found = align(W, TOY, signature=signature, draws=20)
    assert found.r_cos > 1 - 1e-6 and found.spearman > 1 - 1e-6 and found.partial > 1 - 1e-6
    assert np.nanmin(found.by_token) > 1 - 1e-4 and found.interval[0] > 1 - 1e-6
    assert found.n == found.asked and found.matched == 1.0


def test_three_tokens_on_paper():
    same = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    assert align(same, PAPER, least=1, draws=2).r_cos == pytest.approx(1.0)
    turned = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])  # cosines 0, c, c against c, 0, c with c = 1/sqrt 2
    found = align(turned, PAPER, least=1, draws=2)
    assert found.r_cos == pytest.approx(-0.5, abs=1e-6) and found.spearman == pytest.approx(-0.5, abs=1e-6)
    assert found.tokens.tolist() == [1, 0, 2] and found.frequency.tolist() == [12, 9, 3] and found.n == 3


def test_against_numpy_and_scipy():
    rng = np.random.default_rng(5)
    W, N = rng.standard_normal((25, 6)), pairs_of(RANDOM)
    found = align(W, RANDOM, least=1, draws=3)
    seen = np.bincount(RANDOM.ids, minlength=25)
    tokens = np.argsort(-seen, kind="stable")
    x, y = cos(W[tokens]), cos(N[tokens] / N[tokens].sum(axis=1, keepdims=True))
    assert found.tokens.tolist() == tokens.tolist() and found.frequency.tolist() == seen[tokens].tolist()
    assert found.r_cos == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)
    assert found.spearman == pytest.approx(spearmanr(x, y).statistic, abs=1e-5)
    i, j = np.triu_indices(25, k=1)
    level = np.log(seen[tokens])
    X = np.stack([np.ones(i.size), level[i] + level[j], np.abs(level[i] - level[j]), level[i] * level[j]], axis=1)
    u, v = (side - X @ np.linalg.lstsq(X, side, rcond=None)[0] for side in (x, y))
    assert found.partial == pytest.approx(np.corrcoef(u, v)[0, 1], abs=1e-5)
    square = {side: np.zeros((25, 25)) for side in "xy"}
    for side, values in (("x", x), ("y", y)):
        square[side][i, j] = square[side][j, i] = values
    others = ~np.eye(25, dtype=bool)
    by_token = [np.corrcoef(square["x"][t, others[t]], square["y"][t, others[t]])[0, 1] for t in range(25)]
    assert np.allclose(found.by_token, by_token, atol=1e-5)


def test_the_ceiling_is_that_of_two_halves_of_the_documents():
    W = np.random.default_rng(1).standard_normal((25, 4))
    found = align(W, RANDOM, least=1, draws=2, seed=3)
    whole = renumbered(RANDOM.ids, RANDOM.offsets, 25, None, "random")
    halves = [pairs_of(half) for half in whole.halves(3)]
    r = np.corrcoef(*(cos(N / N.sum(axis=1, keepdims=True)) for N in halves))[0, 1]
    assert found.ceiling == pytest.approx(
        np.sqrt(2 * r / (1 + r)), abs=0.02
    )  # other ids, and so other draws of nothing
    assert found.ceiling < 1 and found.documents == 60


def test_a_longer_text_has_a_higher_ceiling():
    W = np.random.default_rng(1).standard_normal((25, 4))
    ceilings = [align(W, random_text(0, documents=n), least=1, draws=2).ceiling for n in (4, 30, 240)]
    assert 0 < ceilings[0] < ceilings[1] < ceilings[2] < 1


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_names_of_tokens_and_lengths_of_rows_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    W, renamed = rng.standard_normal((25, 6)), rng.permutation(25)
    other = np.empty_like(W)
    other[renamed] = W * rng.uniform(0.1, 10, (25, 1))
    moved = SimpleNamespace(**{**vars(RANDOM), "ids": renamed[RANDOM.ids].astype(np.uint16)})
    one, two = align(W, RANDOM, least=1, draws=2), align(other, moved, least=1, draws=2)
    for name in ("r_cos", "spearman", "partial", "ceiling"):
        assert getattr(one, name) == pytest.approx(getattr(two, name), abs=1e-5), name
    assert dict(zip(renamed[one.tokens], one.by_token, strict=True)) == pytest.approx(
        dict(zip(two.tokens, two.by_token, strict=True)), abs=1e-5
    )


def test_a_random_embedding_lies_within_its_null_and_the_answer_says_so():
    inside = 0
    for seed in range(20):
        found = align(np.random.default_rng(seed).standard_normal((V, 16)), TOY, draws=50, seed=seed)
        low, high = np.quantile(found.null, [0.025, 0.975])
        inside += low <= found.r_cos <= high
        assert abs(found.null.mean()) < 0.2
        assert ("R_cos is within what frequency alone gives." in found.doubts) == (low <= found.r_cos <= high)
    assert inside >= 16


def test_counts_give_the_same_without_a_ceiling():
    W = np.random.default_rng(2).standard_normal((25, 6))
    counted = align(W, ps.count(RANDOM.ids, 25, offsets=RANDOM.offsets), most=10, least=1, draws=2)
    whole = align(W, RANDOM, least=1, draws=2)
    assert np.isnan(counted.ceiling) and counted.documents is None and "Counts alone" in str(counted)
    assert set(counted.tokens) <= set(whole.tokens) and counted.n == 10
    every = align(W, ps.count(RANDOM.ids, 25, offsets=RANDOM.offsets), least=1, draws=2)
    assert every.r_cos == pytest.approx(whole.r_cos, abs=1e-6)


def test_a_training_set_is_a_text_whose_rest_is_no_token():
    data = training_set(TOY, tokens=None, keep=20, seed=0, name="toy")
    found = align(np.random.default_rng(0).standard_normal((20, 8)), data, draws=2)
    assert found.n == 19 and 19 not in found.tokens


def test_a_tensor_and_its_array_give_the_same():
    torch = pytest.importorskip("torch")
    W = np.random.default_rng(0).standard_normal((V, 8)).astype(np.float32)
    tensor = torch.nn.Parameter(torch.from_numpy(W))
    assert align(tensor, TOY, draws=2).r_cos == align(W, TOY, draws=2).r_cos
    half = align(tensor.to(torch.bfloat16), TOY, draws=2)
    assert half.r_cos == pytest.approx(align(W, TOY, draws=2).r_cos, abs=0.02)


def checkpoint(W, make_tokenizer=ToyTokenizer):
    return Checkpoint("made up", W.shape, True, lambda ids: W[ids].astype(np.float32), make_tokenizer)


def test_rows_of_a_model_are_found_by_its_own_tokenizer():
    W = np.random.default_rng(0).standard_normal((V, 8)).astype(np.float32)
    plain = align(W, TOY, draws=2)
    assert align(checkpoint(W), TOY, draws=2).r_cos == plain.r_cos
    order = np.random.default_rng(1).permutation(V)  # another tokenizer with the same tokens: matched by what they say
    pieces = [TOY.tokenizer.pieces[t] for t in order]
    other = Tokenizer("other", "other", pieces, {}, V, lambda text: [pieces.index(text.encode())])
    found = align(checkpoint(W[order], lambda: other), TOY, draws=2)
    assert found.r_cos == pytest.approx(plain.r_cos, abs=1e-6) and found.matched == 1.0


def test_some_rows_of_a_model_and_the_share_that_is_matched():
    W = np.random.default_rng(0).standard_normal((V, 8)).astype(np.float32)
    whole = align(W, TOY, draws=2)
    some = np.sort(whole.tokens[::2])
    found = align(Pretrained(W[some], some, checkpoint(W)), TOY, draws=2)
    assert found.n == len(some) and found.asked == whole.n and found.matched == len(some) / whole.n
    assert any("have no row" in doubt for doubt in found.doubts)
    assert f"{found.n} of the {whole.n} tokens" in str(found)


def test_a_path_is_read_with_the_tokenizer_of_the_model(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBSIG_CACHE", str(tmp_path / "cache"))
    said = "".join(TOY.tokenizer.text(int(t)) for t in TOY.ids)
    (tmp_path / "mine.txt").write_text(said, encoding="utf-8")
    W = np.random.default_rng(0).standard_normal((V, 8)).astype(np.float32)
    pieces = list(ToyTokenizer().pieces)
    reader = Tokenizer("toy", "toy", pieces, {}, V, ToyTokenizer().encode)
    found = align(checkpoint(W, lambda: reader), tmp_path / "mine.txt", draws=2)
    assert found.text == "mine.txt" and found.documents == 1 and found.n > 40
    with pytest.raises(ValueError, match="a matrix has no tokenizer"):
        align(W, tmp_path / "mine.txt")


def test_one_document_is_halved_in_stretches_and_that_is_said():
    one = SimpleNamespace(**{**vars(RANDOM), "offsets": np.array([0, len(RANDOM.ids)])})
    found = align(np.random.default_rng(0).standard_normal((25, 8)), one, least=1, draws=2)
    assert 0 < found.ceiling < 1 and "from stretches of its one document" in str(found)
    assert any("one document" in doubt for doubt in found.doubts)
    short = text([[0, 1, 2, 1, 0, 2, 1, 1]], 3)
    assert np.isnan(align(np.eye(3) + 0.1 * np.arange(3)[:, None], short, least=1, draws=2).ceiling)


def test_rows_without_a_direction_are_left_out_and_rows_that_repeat_are_doubted():
    W = np.random.default_rng(0).standard_normal((V, 8))
    tokens = align(W, TOY, draws=2).tokens
    W[tokens[0]], W[tokens[1], 3] = 0, np.nan
    found = align(W, TOY, draws=2)
    assert found.n == len(tokens) - 2 and not set(tokens[:2]) & set(found.tokens)
    assert any(doubt.startswith("2 tokens are left out") for doubt in found.doubts)
    W[tokens[5:40]] = W[tokens[5]]
    assert any("repeat another row" in doubt for doubt in align(W, TOY, draws=2).doubts)


def test_a_matrix_of_another_vocabulary_is_doubted():
    found = align(np.random.default_rng(0).standard_normal((30, 8)), TOY, draws=2)
    assert any("W has 30 rows and the text" in doubt for doubt in found.doubts) and found.matched < 0.9


def test_centred_takes_the_mean_row_off_both_sides():
    W = np.random.default_rng(0).standard_normal((25, 6))
    shifted = W + np.full(6, 50.0)
    assert align(shifted, RANDOM, kind="centred", least=1, draws=2).r_cos == pytest.approx(
        align(W, RANDOM, kind="centred", least=1, draws=2).r_cos, abs=1e-5
    )


def test_the_same_seed_gives_the_same_answer_and_another_moves_the_draws_alone():
    W = np.random.default_rng(0).standard_normal((V, 8))
    one, two, three = (align(W, TOY, draws=5, seed=seed) for seed in (1, 1, 2))
    assert str(one) == str(two) and (one.null == two.null).all() and (one.bootstrap == two.bootstrap).all()
    assert one.r_cos == three.r_cos and (one.null != three.null).any() and (one.bootstrap != three.bootstrap).any()


def test_the_sentence_holds_number_null_ceiling_and_n():
    found = align(np.random.default_rng(7).standard_normal((V, 8)), TOY, draws=50)
    low, high = np.quantile(found.null, [0.025, 0.975])
    assert repr(found) == str(found)
    for part in (f"is {found.r_cos:.2f}", f"give {low:.2f} to {high:.2f}", f"at most {found.ceiling:.2f}", "59 tokens"):
        assert part in str(found), part


def test_as_a_table_a_frame_a_file_and_a_picture(tmp_path):
    found = align(np.random.default_rng(0).standard_normal((V, 8)), TOY, draws=5)
    table = found.table()
    assert [*table] == ["token", "text", "count", "correlation"] and {len(column) for column in table.values()} == {59}
    pandas = pytest.importorskip("pandas")
    assert found.to_frame().shape == (59, 4)
    path = found.to_csv(tmp_path / "answer.csv")
    back = pandas.read_csv(path, dtype={"text": str}, keep_default_na=False)
    assert back["text"].tolist() == list(found.labels)  # blanks, line ends, quotes and commas among them
    assert np.allclose(back["correlation"].astype(float), found.by_token, equal_nan=True)
    axes = found.plot()
    assert axes.shape == (2,) and axes[0].get_ylabel() == "correlation of cosines"
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: align(np.zeros(5), TOY), r"W is a ndarray of shape \(5,\)"),
        (lambda: align([["a"]], TOY), "pass a matrix"),
        (lambda: align(np.ones((V, 2)), TOY, kind="rww"), "kind is 'rww'.*did you mean 'raw'"),
        (lambda: align(np.ones((V, 2)), TOY, signature="nxt"), "no signature 'nxt'"),
        (lambda: align(np.ones((V, 2)), TOY, least=10**9), "No token of toy is seen 1000000000 times"),
        (lambda: align(np.ones((V, 2)), TOY, draws=0), "draws is 0"),
        (lambda: align(np.ones((V, 2)), 7), "The text is a int"),
        (lambda: align(np.ones((2, 2)), PAPER, least=1), "R_cos needs 3 or more"),
        (lambda: align(np.ones((3, 2)), ps.count([0, 1, 2], 3), least=1, signature="next 2"), "pass the corpus"),
        (lambda: align(np.ones((3, 2)), ps.count([0, 1, 2], 3, distance=2)), "counts are at distance 2"),
    ],
)
def test_bad_input_is_one_sentence_naming_culprit_and_remedy(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_counting_and_aligning_need_neither_torch_nor_transformers_nor_matplotlib():
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "matplotlib", "pandas", "datasets", "gguf", "tiktoken"):
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
import numpy as np
import probsig as ps
from probsig.text.sources.toy import ToyCorpus
toy = ToyCorpus.of(seed=0)
ps.count(toy.ids, toy.vocab_size, offsets=toy.offsets)
found = ps.align(np.random.default_rng(0).standard_normal((toy.vocab_size, 8)), toy, draws=2)
try:
    found.to_frame()
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "to_frame needs pandas: run `pip install pandas`, or take table() or to_csv().\n"
