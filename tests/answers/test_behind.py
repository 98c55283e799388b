"""Which documents make two tokens alike: against the text that lacks them, by hand, and what is refused."""

import numpy as np
import pytest

from probsig.answers.behind import behind
from probsig.counts.bigrams import count
from probsig.errors import TooLittle
from probsig.text.sources.toy import ToyCorpus
from probsig.text.training_set import Part, documents

ONE = [0, 1, 2, 1] * 6  # 0 and 2 are followed alike
OTHER = [0, 3, 2, 4] * 6  # and here they are not


def text(*found):
    return Part(np.concatenate(found), np.append(0, np.cumsum([len(one) for one in found])), 5)


def by_hand(data, pair, signature="next"):
    """The cosine about the mean of all tokens that occur, by dense laws."""
    table = count(data).to_scipy().toarray().astype(float)
    table = table if signature == "next" else table.T
    laws = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    laws -= laws[table.sum(axis=1) > 0].mean(axis=0)
    a, b = laws[pair[0]], laws[pair[1]]
    return a @ b / np.sqrt(a @ a * (b @ b))


@pytest.mark.parametrize("signature", ["next", "previous"])
def test_each_cosine_is_that_of_the_text_that_lacks_the_document(signature):
    data = text(ONE, OTHER, ONE, [*OTHER, 1, 0])
    found = behind(data, [0, 2], least=1, signature=signature)
    assert found.cosine == pytest.approx(by_hand(data, (0, 2), signature))
    for k in range(4):
        rest = documents(data, np.setdiff1d(np.arange(4), k))
        assert found.without[k] == pytest.approx(by_hand(rest, (0, 2), signature), abs=1e-6)
    assert found.size.tolist() == [24, 24, 24, 26]


def test_what_makes_a_pair_alike_comes_first_and_what_parts_it_last():
    found = behind(text(OTHER, ONE, OTHER), [0, 2], least=1)
    assert found.table()["part"][0] == 1 and found.change[1] < 0 < found.change[0]
    assert "without 1 it is" in str(found).splitlines()[1] and found.table()["change"][0] == found.change.min()


def test_documents_are_left_out_together_and_some_stay():
    data = text(ONE, OTHER, ONE, OTHER)
    found = behind(data, [0, 2], least=1, parts=[0, 1, 0, -1])
    assert found.without[0] == pytest.approx(by_hand(documents(data, [1, 3]), (0, 2)), abs=1e-6)
    assert found.size.tolist() == [48, 24]


def test_without_all_that_a_token_occurs_in_there_is_no_cosine_and_the_part_comes_last():
    found = behind(text([1, 3] * 4, ONE, [3, 1] * 4), [0, 2], least=1)
    assert np.isnan(found.without[1]) and found.table()["part"][-1] == 1
    assert "undefined" not in str(found).splitlines()[-1]


def test_tokens_of_a_text_with_a_tokenizer_are_named():
    found = behind(ToyCorpus.of(seed=0), ["1", "2"], least=20)
    assert found.pair == ("1", "2") and "'1' and '2' by next of toy" in str(found)
    assert found.record()["among"] == found.among


@pytest.mark.parametrize(
    ("given", "pair", "options", "error", "words"),
    [
        (text(ONE), [0], {}, ValueError, "pass two different tokens"),
        (text(ONE), [2, 2], {}, ValueError, "pass two different tokens"),
        (text(ONE), [0, 9], {}, ValueError, "There is no token 9"),
        (text(ONE), [0, 2], {"signature": "tied"}, ValueError, "signature"),
        (text(ONE), [0, 2], {"parts": [0, 1], "least": 1}, ValueError, "number each one's part from 0"),
        (text(ONE), [0, 4], {"least": 1}, TooLittle, "has no next token in the text: take more text"),
        (count(np.array(ONE), 5), [0, 2], {}, ValueError, "pass the corpus or a training set"),
    ],
)
def test_what_is_refused_says_why(given, pair, options, error, words):
    with pytest.raises(error, match=words):
        behind(given, pair, **options)
