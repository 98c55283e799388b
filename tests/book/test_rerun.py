"""A rerun answers about the text that it was given, wherever that lies and however its path is written."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import rerun
import staleness
from nbformat import v4

from probsig.experiments import language_model, surveys
from probsig.experiments.texts import STAND_IN, YOURS, Texts
from probsig.text import corpora

pytestmark = pytest.mark.slow

CHAPTER = """\
text: str = "stand-in"  # a text
tokenizer: str = "qwen2.5"  # a tokenizer
scale: str = "smoke"  # a scale
"""
CHECK = """\
from probsig.pages import parameters
p = parameters.check(globals(), text=parameters.Text(), scale=parameters.Choice("smoke"),
                     tokenizer=parameters.Choice("") if not tokenizer else parameters.Text())
"""
SHOWN = """\
from probsig.experiments import surveys
from probsig.experiments.texts import Texts
texts = Texts(p.text, scale=p.scale, tokenizer=p.tokenizer)
(name,) = texts.names(["cc"])
found = surveys.stored(name, texts)
print(found.name, found.origin, *found.arrays["survey/size"])
"""


def words(*numbers):
    """Lines of JSON, a document of a few words for each number."""
    return "".join(json.dumps({"text": f"the number {n} and the word after it. " * 20}) + "\n" for n in numbers)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Runs and ids of its own; the caller stands in a folder of its own."""
    for variable, folder in {"PROBSIG_RUNS": "runs", "PROBSIG_CACHE": "cache", "HOME": "home"}.items():
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / folder))
    (tmp_path / "desk").mkdir()
    monkeypatch.chdir(tmp_path / "desk")


@pytest.fixture
def book(tmp_path):
    """A book of one chapter, which surveys a text."""
    cells = [v4.new_code_cell(CHAPTER, metadata={"tags": ["parameters"]}), *map(v4.new_code_cell, (CHECK, SHOWN))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nb = v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    (tmp_path / "book" / "notebooks" / "part").mkdir(parents=True)
    nbformat.write(nb, tmp_path / "book" / "notebooks" / "part" / "chapter.ipynb")
    (tmp_path / "book" / "notebooks" / "part" / "chapter.md").touch()  # a chapter is a text and its notebook
    return staleness.Book(tmp_path / "book")


def said(book, tmp_path, *words):
    """What the chapter prints with these parameters."""
    given = rerun.parse(list(words), *rerun.takes("part/chapter", book))
    target = tmp_path / "reruns" / rerun.folder_name("part/chapter", given)
    made = nbformat.read(rerun.execute("part/chapter", given, target, book), as_version=4)
    (output,) = made.cells[-1].outputs
    assert output.name == "stdout"  # no bar and no warning beside it
    return output.text.split()


def test_a_text_that_was_edited_gives_new_numbers(book, tmp_path):
    path = write(Path("my-texts.jsonl.gz"), words(1, 2, 3))
    first = said(book, tmp_path, "text=my-texts.jsonl.gz")
    assert said(book, tmp_path, "text=my-texts.jsonl.gz") == [first[0], "runs", *first[2:]]
    write(path, words(1, 2, 3, 4))
    edited = said(book, tmp_path, "text=my-texts.jsonl.gz")
    assert first[1] == edited[1] == "new" and edited[0] != first[0]
    assert (first[3], edited[3]) == ("3", "4")  # documents


def test_the_same_text_however_and_wherever_is_the_same_run(book, tmp_path):
    path = write(Path("texts/one.jsonl"), words(1, 2, 3))
    shutil.copy(path, tmp_path / "home" / "two.jsonl")
    write(Path("other.jsonl.gz"), words(1, 2, 3))
    spelt = [path, f"./{path}", "~/two.jsonl", f"{tmp_path}/desk/texts/../texts/one.jsonl", "other.jsonl.gz"]
    given = [rerun.parse([f"text={each}"], *rerun.takes("part/chapter", book)) for each in spelt]
    found = [surveys.stored(YOURS, Texts(each["text"], scale="smoke")) for each in given]
    assert len({each.name for each in found}) == 1 and [each.origin for each in found] == ["new", *["runs"] * 4]
    assert len({rerun.folder_name("part/chapter", each) for each in given}) == 4  # a page for each


def test_two_texts_of_one_name_in_two_folders(book, tmp_path, monkeypatch):
    found = []
    for folder, text in {"a": words(1, 2), "b": words(1, 2, 3)}.items():
        write(tmp_path / folder / "texts.jsonl", text)
        monkeypatch.chdir(tmp_path / folder)
        found.append(said(book, tmp_path, "text=texts.jsonl"))
    assert [each[3] for each in found] == ["2", "3"] and found[0][0] != found[1][0]


def test_folders_of_the_environment_are_the_callers(book, tmp_path, monkeypatch):
    for variable, folder in {"PROBSIG_RUNS": "my-runs", "PROBSIG_CACHE": "~/my-cache", "PROBSIG_DATA": "./my"}.items():
        monkeypatch.setenv(variable, folder)
    write(Path("my/cc.jsonl"), words(1, 2))
    found = said(book, tmp_path, "text=open")
    assert os.listdir("my-runs") == [found[0]] and found[3] == "2"
    assert [path.name for path in (tmp_path / "home" / "my-cache").iterdir()] == ["corpora"]
    assert sorted(os.listdir(tmp_path / "book" / "notebooks" / "part")) == ["chapter.ipynb", "chapter.md"]


def identity(tmp_path, *names, **options):
    """The runs of a survey and of a model that the same text has under several names."""
    texts = [Texts(name, scale="smoke", **options) for name in names]
    models = [language_model.trained([YOURS], [0], each, scale="smoke")[YOURS][0].name for each in texts]
    return [surveys.stored(YOURS, each).name for each in texts], models


def test_surveys_and_models_are_found_by_what_a_text_is(tmp_path):
    text = words(*range(60))
    one, two = write(tmp_path / "one.jsonl", text), write(tmp_path / "b" / "two.jsonl.gz", text)
    found = identity(tmp_path, one, two)
    assert all(len(set(names)) == 1 for names in found)
    write(one, text.replace("number 7 ", "numeral 7 "))
    for before, after in zip(found, identity(tmp_path, one), strict=True):
        assert after[0] not in before


def test_a_tokenizer_that_was_trained_again_gives_other_runs(tmp_path):
    library = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")

    def train(vocabulary):
        made = library.Tokenizer(library.models.WordLevel({w: i for i, w in enumerate(vocabulary)}, "[UNK]"))
        made.pre_tokenizer = library.pre_tokenizers.Whitespace()
        transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]").save_pretrained("tok")

    text = write(tmp_path / "one.jsonl", words(*range(60)))
    common = ["the", "number", "and", "word", "after", "it", ".", "[UNK]", *map(str, range(60))]
    train(common)
    first = surveys.stored(YOURS, Texts(text, scale="smoke", tokenizer="tok"))
    assert surveys.stored(YOURS, Texts(text, scale="smoke", tokenizer="./tok")).name == first.name
    train([*common[:6], "[UNK]"])
    assert surveys.stored(YOURS, Texts(text, scale="smoke", tokenizer="tok")).name != first.name


def test_words_of_a_chapter_stay_words_beside_a_folder_of_that_name(book):
    for word in (STAND_IN, "open", "cc", "smoke", "qwen2.5", "llama-2"):
        Path(word).mkdir()
    words_ = ["text=open", "tokenizer=llama-2", "scale=smoke"]
    assert rerun.parse(words_, *rerun.takes("part/chapter", book)) == {
        "text": "open",
        "tokenizer": "llama-2",
        "scale": "smoke",
    }
    assert rerun.parse(["text=./open"], *rerun.takes("part/chapter", book)) == {"text": str(Path("open").absolute())}


@pytest.mark.parametrize(
    "word", ["tokenizer=./nowhere", "tokenizer=~/nowhere", "text=/nowhere/at/all", "text=nowhere/"]
)
def test_a_path_that_is_not_there_is_told_at_once(word, book, capsys, monkeypatch):
    monkeypatch.setattr(rerun, "execute", lambda *_: pytest.fail("a kernel was started"))
    assert rerun.main(["part/chapter", word], book) == 1
    name, _, value = word.partition("=")
    assert capsys.readouterr().err.startswith(f"The parameter '{name}' was '{value}', and there is no file or folder /")


def test_the_name_of_a_reruns_folder_is_short_and_its_own():
    long, other = (rerun.folder_name("a/b", {"text": f"/{'x' * n}/{'ü' * 240}.txt"}) for n in (3, 4))
    assert long != other and len(long.encode()) < 130 and long.startswith("rerun-a-b-text-ü")
    assert rerun.folder_name("a/b", {"text": "/x/y.txt"}) != rerun.folder_name("a/b", {"text": "/z/y.txt"})


def test_every_chapter_says_which_of_its_parameters_may_be_a_path():
    book = staleness.Book()
    found = {name: rerun.takes(name, book)[1] for name in book.names()}
    assert found["language/corpora"] == {"text", "tokenizer"} and found["language/pretrained"] == {"text", "model"}
    assert {path for paths in found.values() for path in paths} == {"text", "tokenizer", "model"}


SLOW = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, {extension!r})
import rerun
true = rerun.subprocess.run
def run(command, **options):
    Path({mark!r}).touch()
    return true([sys.executable, "-c", "import time; time.sleep(600)"], **options)
rerun.subprocess.run = run
rerun.signal.signal(rerun.signal.SIGTERM, lambda *_: sys.exit(143))
rerun.build("part/chapter", Path({output!r}), Path({target!r}), rerun.Book(Path({root!r})))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("by", ["SIGTERM", "SIGKILL"])
def test_a_build_that_is_ended_leaves_nothing_for_long(by, book, tmp_path, monkeypatch):
    """In TMPDIR nothing at all; beside its page nothing, or what the next build removes."""
    (tmp_path / "tmp").mkdir()
    extension, output, target = Path(rerun.__file__).parent, book.notebook("part/chapter"), tmp_path / "target"
    names = {"extension": extension, "mark": tmp_path / "mark", "output": output, "target": target, "root": book.root}
    script = SLOW.format(**{name: str(path) for name, path in names.items()})
    process = subprocess.Popen([sys.executable, "-c", script], env=os.environ | {"TMPDIR": str(tmp_path / "tmp")})
    while not (tmp_path / "mark").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(getattr(signal, by))
    assert process.wait(60) == (143 if by == "SIGTERM" else -signal.SIGKILL)
    assert os.listdir(tmp_path / "tmp") == [] and sorted(os.listdir(target)) == (
        [] if by == "SIGTERM" else [".book", ".lock"]
    )

    def built(command, **options):
        (command[2] / "_build" / "html").mkdir(parents=True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(rerun.subprocess, "run", built)
    rerun.build("part/chapter", output, target, book)
    assert os.listdir(target) == ["html"]


def test_ids_are_kept_by_what_they_are(tmp_path):
    """The store of ids is found by the path, and compares the text."""
    path = write(tmp_path / "one.txt", "one")
    before = corpora.open_corpus(path).ids.tolist()
    write(path, "six")
    assert corpora.open_corpus(path).ids.tolist() != before
