"""The mended generator runs, its answers are right, and documents are cut as the Pile cuts them."""

import ast
import contextlib
import gzip
import hashlib
import importlib.util
import itertools
import json
import math
import random
import re
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probsig.runs.files import StorageError
from probsig.text.sources import mathematics

needs_generator = pytest.mark.skipif(
    importlib.util.find_spec("mathematics_dataset") is None,
    reason="mathematics-dataset is not installed: pip install --no-deps -r requirements-data.txt",
)


def value(expression, **names):
    """The value of an expression in exact fractions, by the grammar of Python."""

    def walk(node):
        match node:
            case ast.Constant():
                return Fraction(ast.get_source_segment(expression, node))
            case ast.Name(id=name):
                return names[name]
            case ast.UnaryOp(op=ast.USub()):
                return -walk(node.operand)
            case ast.BinOp():
                left, right = walk(node.left), walk(node.right)
                match node.op:
                    case ast.Add():
                        return left + right
                    case ast.Sub():
                        return left - right
                    case ast.Mult():
                        return left * right
                    case ast.Div():
                        return left / right
                    case ast.Pow():
                        return left**right
        raise AssertionError(ast.dump(node))

    return walk(ast.parse(expression, mode="eval").body)


def exponent(expression):
    """The power of the one variable in a product of powers of it: products add, quotients subtract, powers multiply."""

    def walk(node):
        match node:
            case ast.Constant(value=1):
                return Fraction(0)
            case ast.Name():
                return Fraction(1)
            case ast.Call(func=ast.Name(id="sqrt"), args=[under]):
                return walk(under) / 2
            case ast.BinOp(op=ast.Mult()):
                return walk(node.left) + walk(node.right)
            case ast.BinOp(op=ast.Div()):
                return walk(node.left) - walk(node.right)
            case ast.BinOp(op=ast.Pow()):
                return walk(node.left) * value(ast.unparse(node.right))
        raise AssertionError(ast.dump(node))

    return walk(ast.parse(expression, mode="eval").body)


def asked(module, each=25, seed=1):
    levels = [mathematics.questions(module, level, seed) for level in mathematics.DIFFICULTIES]
    return [pair for endless in levels for pair in itertools.islice(endless, each)]


def test_the_evaluators_on_cases_by_hand():
    assert value("(-16)/840 + 3*(x - 0.5)", x=Fraction(2)) == Fraction(-2, 105) + Fraction(9, 2)
    assert exponent("(a**3/a)**(1/2)*a**(-4)") == -3 and exponent("1/sqrt(a)") == Fraction(-1, 2)


@needs_generator
def test_the_names_are_those_of_the_generator():
    names = mathematics.modules()
    assert len(names) == len(set(names)) == 56
    for difficulty in mathematics.DIFFICULTIES:
        assert sorted(mathematics._makers(difficulty)) == names


@needs_generator
@pytest.mark.slow
def test_every_module_runs_at_every_difficulty():
    for name in mathematics.modules():
        for difficulty in mathematics.DIFFICULTIES:
            question, answer = next(mathematics.questions(name, difficulty, seed=0))
            assert 0 < len(question) <= 160 and 0 < len(answer) <= 30


@needs_generator
@pytest.mark.parametrize("module", ["mixed", "add_sub_multiple", "mul_div_multiple"])
def test_expressions_have_the_value_that_is_given(module):
    for question, answer in asked(f"arithmetic__{module}"):
        expression = re.fullmatch(r"(?:What is the value of|What is|Calculate|Evaluate)? ?(.*?)[.?]?", question)[1]
        assert value(expression) == Fraction(answer), question


NUMBER = r"(-?\d+(?:\.\d+)?)"
SPOKEN = {  # every wording of the three modules, with the value that it asks for
    "add_or_sub": {
        rf"(?:Work out|What is|Calculate)? ?{NUMBER} ?(?:\+|plus) ?{NUMBER}[.?]?": lambda a, b: a + b,
        rf"(?:Add together|Add|Put together|Sum|Total of) {NUMBER} and {NUMBER}\.?": lambda a, b: a + b,
        rf"(?:Work out|What is|Calculate)? ?{NUMBER} (?:-|minus|take away) {NUMBER}[.?]?": lambda a, b: a - b,
        rf"What is {NUMBER} less than {NUMBER}\?": lambda a, b: b - a,
        rf"Subtract {NUMBER} from {NUMBER}\.": lambda a, b: b - a,
        rf"What is the (?:distance|difference) between {NUMBER} and {NUMBER}\?": lambda a, b: abs(a - b),
    },
    "mul": {
        rf"(?:What is|Calculate|Work out)? ?{NUMBER} ?(?:\*|times) ?{NUMBER}[.?]?": lambda a, b: a * b,
        rf"(?:Multiply|Product of|What is the product of) {NUMBER} and {NUMBER}[.?]?": lambda a, b: a * b,
    },
    "div": {
        rf"(?:What is|Calculate)? ?{NUMBER} divided by {NUMBER}[.?]?": lambda a, b: a / b,
        rf"Divide {NUMBER} by {NUMBER}\.": lambda a, b: a / b,
    },
}


@needs_generator
@pytest.mark.parametrize("module", SPOKEN)
def test_spoken_arithmetic_is_right(module):
    for question, answer in asked(f"arithmetic__{module}", each=50):
        readings = [
            rule(Fraction(found[1]), Fraction(found[2]))
            for pattern, rule in SPOKEN[module].items()
            if (found := re.fullmatch(pattern, question))
        ]
        assert readings == [Fraction(answer)], question


@needs_generator
def test_powers_are_simplified():
    for question, answer in asked("polynomials__simplify_power"):
        expression = re.fullmatch(r"Simplify (.*) assuming \w is positive\.", question)[1]
        assert exponent(expression) == exponent(answer), question


@needs_generator
def test_linear_equations_are_solved():
    for question, answer in asked("algebra__linear_1d"):
        left, right, name = re.fullmatch(r"Solve (.*) = (.*) for (\w)\.", question).groups()
        assert value(left, **{name: Fraction(answer)}) == value(right, **{name: Fraction(answer)}), question


@needs_generator
def test_numbers_are_rounded_and_divided():
    checked = 0
    for question, answer in asked("numbers__round_number", each=40):
        to = r"(?:the nearest (\d+|integer)|(\d+) (?:dps?|decimal places?))"
        if found := re.fullmatch(rf"(?:Round|What is) {NUMBER} (?:rounded )?to {to}[.?]", question):  # not in words
            step = Fraction(1, 10 ** int(found[3])) if found[3] else Fraction(found[2].replace("integer", "1"))
            number = Fraction(found[1])
            size = math.floor(abs(number) / step + Fraction(1, 2)) * step  # halves go away from zero
            assert Fraction(answer) == (size if number >= 0 else -size), question
            checked += 1
    assert checked >= 30
    for question, answer in asked("numbers__gcd"):
        assert math.gcd(*map(int, re.findall(r"\d+", question))) == int(answer), question
    for question, answer in asked("numbers__div_remainder"):
        number, divisor = map(int, re.findall(r"\d+", question))
        assert number % divisor == int(answer), question


@needs_generator
def test_nothing_global_changes():
    random.seed(7)
    np.random.seed(7)
    before = random.getstate(), np.random.get_state()
    for _ in itertools.islice(mathematics.questions("polynomials__add", "hard", seed=3), 5):
        after = random.getstate(), np.random.get_state()
        assert after[0] == before[0]
        assert after[1][2:] == before[1][2:] and np.array_equal(after[1][1], before[1][1])
    assert not hasattr(sys.modules["sympy.solvers.diophantine"], "base_solution_linear")
    assert "object" not in vars(np) and not hasattr(np.ndarray, "itemset")


@needs_generator
@pytest.mark.parametrize("module", ["algebra__linear_2d", "polynomials__expand", "arithmetic__mixed"])
@pytest.mark.slow
def test_no_share_of_entropy_is_left_where_there_ought_to_be_none(module, monkeypatch):
    """About 6 in a million of the shares with weight 1e-9 are positive, at which the generator would stop."""
    drawn = np.random.dirichlet
    monkeypatch.setattr(np.random, "dirichlet", lambda weights: np.maximum(drawn(weights), 1e-12))
    assert len(asked(module)) == 75


@needs_generator
def test_a_stream_of_questions_does_not_depend_on_others():
    alone, first, second = (mathematics.questions("arithmetic__add_or_sub", "easy", seed) for seed in (4, 4, 5))
    alone = list(itertools.islice(alone, 20))
    together = list(itertools.islice(zip(first, second, strict=True), 20))
    assert [pair for pair, _ in together] == alone
    assert [pair for _, pair in together] != alone


def piles_chunks(text, size):
    """As the Pile's own script cuts a file (chunk_at_even_lines), the rest at the end included."""
    total, lines = 0, []
    for number, line in enumerate(text.split("\n")):
        lines.append(line)
        total += len(line)
        if total > size and number % 2 == 1:
            yield "\n".join(lines)
            total, lines = 0, []
    if lines and any(lines):
        yield "\n".join(lines)


line = st.text(st.characters(exclude_characters="\n", codec="utf-8"), min_size=1, max_size=12)


@given(st.lists(st.tuples(line, line), min_size=1, max_size=40), st.integers(0, 60))
def test_documents_are_cut_as_the_pile_cuts_a_file(pairs, size):
    whole = "".join(f"{question}\n{answer}\n" for question, answer in pairs)
    left, cuts = iter(pairs), []
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(StopIteration):
        patch.setattr(mathematics, "SIZE", size)
        while True:
            cuts.append(mathematics.cut(left))
    chunks = list(piles_chunks(whole, size))
    assert cuts == chunks[: len(cuts)]
    assert len(chunks) - len(cuts) <= 1 and "\n".join(chunks).rstrip("\n") == whole.rstrip("\n")


def test_all_come_to_have_as_many_questions():
    streams = [(name, itertools.repeat(("q" * length, name))) for name, length in (("a", 20), ("b", 50), ("c", 150))]
    count = dict.fromkeys("abc", 0)
    ids = []
    for name, text in mathematics._taking_turns(5_000_000, 0, streams):
        count[name[0]] += text.count("\n") // 2 + 1
        ids.append(name)
    assert max(count.values()) - min(count.values()) <= 8192 // 21 + 1
    assert {name[0] for name in ids[:3]} == set("abc")
    assert len(set(ids)) == len(ids) and "a#0" in ids and "c#9" in ids


@needs_generator
def test_documents_end_with_the_answer_that_passes_the_size(monkeypatch):
    monkeypatch.setattr(mathematics, "modules", lambda: ["numbers__gcd", "numbers__is_prime"])
    texts = [text for _, text in mathematics.documents(50_000, seed=0)]
    assert len(texts) == 6 and sum(map(len, texts[:-1])) < 50_000 <= sum(map(len, texts))
    for text in texts:
        lines = text.split("\n")
        assert len(lines) % 2 == 0
        assert sum(map(len, lines)) > mathematics.SIZE >= sum(map(len, lines[:-2]))
        assert len({re.sub(r"[\d]+", "", answer) for answer in lines[1::2]}) <= 2  # numbers, or True and False


@needs_generator
def test_a_file_is_written_with_its_digest(tmp_path, monkeypatch):
    monkeypatch.setattr(mathematics, "modules", lambda: ["numbers__gcd"])
    record = mathematics.generate(tmp_path / "maths.jsonl.gz", 20_000, seed=5)
    with gzip.open(tmp_path / "maths.jsonl.gz", "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    texts = [document["text"] for document in documents]
    assert record["documents"] == len(texts) == 3 and record["characters"] == sum(map(len, texts)) >= 20_000
    assert record["sha256"] == hashlib.sha256(b"".join(text.encode() + b"\0" for text in texts)).hexdigest()
    assert {document["id"] for document in documents} == {
        f"train-{difficulty}/numbers__gcd#0" for difficulty in mathematics.DIFFICULTIES
    }
    assert {document["source"] for document in documents} == {"mathematics-dataset==1.0.1 generated"}
    assert record["versions"]["mathematics-dataset"] == "1.0.1" and record["seed"] == 5
    assert json.loads((tmp_path / "maths.jsonl.gz.json").read_text()) == record
    assert {path.name for path in tmp_path.iterdir()} == {"maths.jsonl.gz", "maths.jsonl.gz.json"}


@needs_generator
def test_a_stopped_generation_leaves_the_folder_as_it_was(tmp_path, monkeypatch):
    def stopped(pairs):
        raise KeyboardInterrupt

    (tmp_path / "maths.jsonl.gz").write_bytes(b"before")
    monkeypatch.setattr(mathematics, "cut", stopped)
    with pytest.raises(KeyboardInterrupt):
        mathematics.generate(tmp_path / "maths.jsonl.gz", 20_000, seed=5)
    assert [path.name for path in tmp_path.iterdir()] == ["maths.jsonl.gz"]
    assert (tmp_path / "maths.jsonl.gz").read_bytes() == b"before"


@needs_generator
def test_a_folder_that_cannot_be_written_is_known_before_the_work(tmp_path, monkeypatch):
    def refused(path, data):
        raise StorageError("Could not write.")

    monkeypatch.setattr(mathematics, "write_whole", refused)
    monkeypatch.setattr(mathematics, "cut", lambda pairs: pytest.fail("the work began"))
    with pytest.raises(StorageError):
        mathematics.generate(tmp_path / "maths.jsonl.gz", 20_000, seed=5)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            ("numbers__gdc", "easy", 0),
            r"There is no module 'numbers__gdc' \(did you mean 'numbers__gcd'\?\): see .*",
        ),
        (
            ("numbers__gcd", "hrd", 0),
            r"difficulty is 'hrd' \(did you mean 'hard'\?\): pass one of 'easy', .*",
        ),
        (("numbers__gcd", "easy", -1), r"seed is -1: pass an integer of at least 0"),
    ],
)
def test_wrong_arguments_are_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        mathematics.questions(*call)


def test_an_impossible_file_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"^characters is 1\.5: pass an integer of at least 1\.$"):
        mathematics.generate(tmp_path / "a.jsonl.gz", 1.5, 0)
    with pytest.raises(ValueError, match=r"a\.txt is no \.jsonl\.gz file by its name: end the name in \.jsonl\.gz\.$"):
        mathematics.generate(tmp_path / "a.txt", 1000, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def unloaded(monkeypatch):
    """The generator as if it had not been imported yet."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "mathematics_dataset"]:
        monkeypatch.delitem(sys.modules, name)
    mathematics._makers.cache_clear()
    yield monkeypatch
    mathematics._makers.cache_clear()


def test_without_the_package_the_remedy_is_named(unloaded):
    unloaded.setitem(sys.modules, "mathematics_dataset", None)
    remedy = r"run `pip install absl-py six sympy` and `pip install --no-deps mathematics-dataset==1\.0\.1`\.$"
    with pytest.raises(
        ImportError, match=rf"^The mathematics .* because mathematics_dataset is not installed: {remedy}"
    ):
        mathematics.documents(1000, seed=0)


@needs_generator
def test_without_what_the_package_needs_the_remedy_is_named(unloaded):
    unloaded.setitem(sys.modules, "six", None)
    with pytest.raises(ImportError, match=r"^The mathematics .* because six is not installed: run .*\.$"):
        mathematics.questions("numbers__gcd", "easy", seed=0)


@needs_generator
def test_another_version_of_the_package_is_refused(unloaded):
    name = "mathematics_dataset.sample.polynomials"
    unloaded.setitem(mathematics.MENDED, name, (("np.absent", "object"),))
    with pytest.raises(
        ImportError, match=r"^The mathematics generator is of another version \(.*'np\.absent'\): .*\.$"
    ):
        mathematics.questions("numbers__gcd", "easy", seed=0)
    assert name not in sys.modules
