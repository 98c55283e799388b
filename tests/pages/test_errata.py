"""Errata: three tiers, the version of the paper, both formulas, and the proof."""

import json
import re

import pytest

from probsig.pages import errata


def make(tier="formula", **more):
    fields = {
        "where": "v2 D.5",
        "printed": r"\tfrac1VW^E\mathbf 1",
        "corrected": r"\tfrac1V(W^En)^\top",
        "why": "The mean count is dropped",
        "size": "relative residual 5.84",
        "proof": "cor-unembedding-linear",
    }
    return errata.erratum("an-erratum", tier, **(fields | more))


def test_an_erratum_shows_both_formulas_and_links_its_proof():
    erratum = make(why="The mean count\n  is dropped")
    bundle = erratum._repr_mimebundle_()
    assert "> **Erratum, changes a formula** (v2 D.5): The mean count is dropped." in bundle["text/markdown"]
    assert bundle["text/plain"] == "an-erratum: erratum to v2 D.5, changes a formula; relative residual 5.84"
    assert r"> $$\tfrac1VW^E\mathbf 1$$" in bundle["text/markdown"].split("\n")
    assert "{prf:ref}`cor-unembedding-linear`" in bundle["text/markdown"]
    assert bundle[errata.MIME] == erratum.record() == json.loads(json.dumps(erratum.record()))


def test_a_change_of_a_conclusion_says_which():
    shown = make("conclusion", changes="The collapse depends on the start")._repr_mimebundle_()["text/markdown"]
    assert "> *What changes* The collapse depends on the start." in shown.split("\n")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"printed": "$a$"}, "has a dollar sign in `printed`: pass the bare TeX"),
        ({"corrected": "a$"}, "has a dollar sign in `corrected`"),
        ({"size": ""}, "has an empty `size`: write it"),
        ({"proof": ""}, "has an empty `proof`"),
        ({"where": "D.5"}, "is at 'D.5': begin with the version"),
        ({"tier": "grave"}, "tier of erratum 'an-erratum' is 'grave': pass one of 'conclusion', 'formula', 'slip'"),
        ({"tier": "conclusion"}, "give `changes` if, and only if, a conclusion changes"),
        ({"changes": "much"}, "give `changes` if, and only if, a conclusion changes"),
    ],
)
def test_a_bad_erratum_names_its_fault(change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make(**change)
