"""The language models of the book are stored: they are shown without a text."""

from types import SimpleNamespace

import pytest

from probsig.experiments.language_model import data
from probsig.experiments.language_readers import LONG, LONG_SEEDS, LONG_TOKENS, REPEATED, Shown
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
            assert data(book.long_small[LONG][0], "size")[0] == LONG_TOKENS and len(book.long_small[LONG]) == LONG_SEEDS
            assert [*book.sizes] == ["laptop", "middle", "paper"]
            assert len({tuple(found[0].arrays["model/steps"]) for found in book.sizes.values()}) == 1
            assert book.yardsticks(book.long)[LONG].bigram < 3 and len(book.yardsticks(book.repeated)) == 3
            assert {run.config["seed"] for found in book.small.values() for run in found} == {0, 1}
            assert book.signatures(book.main).origin == book.signatures(book.small).origin == "results"
