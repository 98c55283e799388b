"""The mended generator runs, its answers are right, and documents are cut as the Pile cuts them."""

import gzip
import hashlib
import importlib.util
import json
import re
from fractions import Fraction

import pytest

from probsig import mathematics

needs_generator = pytest.mark.skipif(
    importlib.util.find_spec("mathematics_dataset") is None,
    reason="mathematics-dataset is not installed: pip install --no-deps -r requirements-data.txt",
)


@needs_generator
def test_every_module_runs_at_every_difficulty():
    names = mathematics.modules()
    assert len(names) == 56 and "polynomials__simplify_power" in names
    for name in names:
        for difficulty in mathematics.DIFFICULTIES:
            ((question, answer),) = mathematics.questions(name, difficulty, 1, seed=0)
            assert 0 < len(question) <= 160 and 0 < len(answer) <= 30


@needs_generator
def test_sums_are_right():
    checked = 0
    for difficulty in mathematics.DIFFICULTIES:
        for question, answer in mathematics.questions("arithmetic__add_or_sub", difficulty, 60, seed=1):
            found = re.fullmatch(r"(?:What is |Calculate |)(-?\d+(?:\.\d+)?) ?([+-]) ?(-?\d+(?:\.\d+)?)[.?]?", question)
            if found:
                a, b = Fraction(found[1]), Fraction(found[3])
                assert Fraction(answer) == (a + b if found[2] == "+" else a - b), question
                checked += 1
    assert checked >= 20


@needs_generator
def test_linear_equations_are_solved():
    for question, answer in mathematics.questions("algebra__linear_1d", "easy", 40, seed=2):
        left, right, name = re.fullmatch(r"Solve (.*) = (.*) for (\w)\.", question).groups()
        values = {name: Fraction(answer)}
        assert eval(left, {}, dict(values)) == eval(right, {}, dict(values)), question


@needs_generator
def test_documents_end_with_the_answer_that_passes_the_size():
    only = ["numbers__gcd", "polynomials__simplify_power"]
    texts = list(mathematics.documents(50_000, seed=0, only=only))
    assert len(texts) == 6
    for text in texts:
        lines = text.split("\n")
        assert len(lines) % 2 == 0
        assert sum(map(len, lines)) > mathematics.SIZE >= sum(map(len, lines[:-2]))


@needs_generator
def test_a_file_is_written_with_its_digest(tmp_path):
    record = mathematics.generate(tmp_path / "maths.jsonl.gz", 20_000, seed=5, only=["numbers__gcd"])
    with gzip.open(tmp_path / "maths.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    assert record["documents"] == len(texts) == 3 and record["characters"] == sum(map(len, texts))
    assert record["sha256"] == hashlib.sha256(b"".join(text.encode() + b"\0" for text in texts)).hexdigest()
    assert json.loads((tmp_path / "maths.jsonl.gz.json").read_text()) == record
    assert {path.name for path in tmp_path.iterdir()} == {"maths.jsonl.gz", "maths.jsonl.gz.json"}


@needs_generator
def test_unknown_names_are_one_sentence():
    with pytest.raises(ValueError, match=r"^There is no module 'numbers__gdc' \(did you mean 'numbers__gcd'\?\).*\.$"):
        list(mathematics.questions("numbers__gdc", "easy", 1, seed=0))
    with pytest.raises(ValueError, match=r"^difficulty is 'hardest': pass one of 'easy', 'medium', 'hard'\.$"):
        list(mathematics.questions("numbers__gcd", "hardest", 1, seed=0))


def test_without_the_package_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    mathematics._generator.cache_clear()
    mathematics._problems.cache_clear()
    with pytest.raises(ImportError, match=r"^The mathematics generator is not installed: run .*dataset==1\.0\.1`\.$"):
        mathematics.modules()
