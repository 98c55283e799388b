"""The language models of the book are stored: they are shown without a text."""

from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest

from probsig.experiments import read_once
from probsig.experiments.language_model import data
from probsig.experiments.language_readers import LONG, REPEATED, Shown, held_out
from probsig.experiments.texts import NAMES, Texts

PARAMETERS = {"text": "stand-in", "tokenizer": "", "scale": "paper", "seed": 0, "repeats": 2, "device": "cpu"}


def test_the_books_models_are_stored(monkeypatch):
    """Those of both architectures, the long one and the repeated ones, without a text."""
    monkeypatch.setattr(Texts, "_corpus", lambda *_: pytest.fail("a text was opened"))
    for architecture in ("qwen2.5", "llama-2"):
        book = Shown(SimpleNamespace(**PARAMETERS), architecture)
        assert book.book and {run.origin for found in book.main.values() for run in found} == {"results"}
        assert [*book.yardsticks(book.main)] == list(NAMES)
        if architecture == "qwen2.5":
            assert data(book.long[LONG][0], "size")[0] > 33e6 and [*book.repeated] == list(REPEATED)
            assert [*book.sizes] == ["laptop", "middle", "paper"]
            assert len({tuple(found[0].arrays["model/steps"]) for found in book.sizes.values()}) == 1
            assert book.yardsticks(book.long)[LONG].bigram < 3 and len(book.yardsticks(book.repeated)) == 3
            assert {run.config["seed"] for found in book.small.values() for run in found} == {0, 1}
            assert book.signatures(book.main).origin == book.signatures(book.small).origin == "results"


@pytest.mark.parametrize("name", read_once.NETWORKS)
def test_networks_that_read_once_are_stored_and_below_the_table_of_single_tokens(name, monkeypatch):
    monkeypatch.setattr(Texts, "_corpus", lambda *_: pytest.fail("a text was opened"))
    network, found = read_once.NETWORKS[name], read_once.networks(name)
    assert [run.config["seed"] for run in found] == [*network.seeds] and {run.origin for run in found} == {"results"}
    assert {(int(data(run, "size")[0]), run.config["epochs"]) for run in found} == {(network.tokens, network.epochs)}
    assert held_out(found)[:, -1].max() < read_once.known(name).unigram


def test_networks_that_read_once_differ_in_what_their_names_say():
    usual = read_once.NETWORKS["further seeds"]
    differs = {
        name: {key for key, value in asdict(one).items() if value != asdict(usual)[key]} - {"seeds"}
        for name, one in read_once.NETWORKS.items()
    }
    assert differs == {
        "33 million tokens": {"corpus", "tokens"},
        "further seeds": set(),
        "30 million tokens": {"corpus", "tokens"},
        "14 million tokens twice": {"epochs"},
        "Llama-2": {"architecture"},
        "without attention": {"attention"},
        "library's init": {"init"},
    }


def test_most_digits_of_the_same_seed_start_alike_on_both_texts():
    """Rows go to tokens by frequency, and a digit's place among the tokens of two texts can differ."""
    begun = {run.config["seed"]: run for run in read_once.networks("further seeds")}
    for many in read_once.networks("30 million tokens"):
        few = begun[many.config["seed"]]
        for matrix in ("W_E", "W_U"):
            assert np.equal(*(run.arrays[f"model/digits/{matrix}"][0] for run in (few, many))).sum() >= 9 * 8 / 2


def test_a_network_that_reads_its_text_twice_begins_as_the_one_that_reads_it_once():
    """So until the first reading ends only the learning rate differs."""
    (twice,), once = read_once.networks("14 million tokens twice"), read_once.networks("further seeds")
    (same,) = [run for run in once if run.config["seed"] == twice.config["seed"]]
    for array in ("rcos", "digits/W_E", "digits/W_U", "training/held"):
        np.testing.assert_array_equal(*(run.arrays[f"model/{array}"][0] for run in (twice, same)))


def test_the_law_of_a_text_that_was_read_once_is_stored(monkeypatch):
    monkeypatch.setattr(Texts, "_corpus", lambda *_: pytest.fail("a text was opened"))
    for name, text in (("further seeds", read_once.FILE), ("30 million tokens", read_once.MORE)):
        known = read_once.signatures(name)
        assert known.origin == "results" and known.arrays[f"{text}/size"][0] == read_once.NETWORKS[name].tokens
    with pytest.raises(ValueError, match=r"^name is 'further' \(did you mean 'further seeds'\?\): pass one of "):
        read_once.signatures("further")
