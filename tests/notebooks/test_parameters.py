"""Whatever a chapter does not take is refused in one sentence, by the chapter's cell and by `make rerun`."""

import os
import re

import jupytext
import papermill
import pytest
import rerun
import staleness
from papermill.exceptions import PapermillExecutionError
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from probsig.pages.parameters import ParameterError

BOOK = staleness.Book()
NAMES = BOOK.names()
chapters = pytest.mark.parametrize("name", NAMES)
WRONG = [
    ({"sede": 3}, "Unknown parameter 'sede' = 3 (did you mean 'seed'?); this chapter takes "),
    ({"seed": "three"}, "The parameter 'seed' was 'three' (str), but must be an integer from 0 to "),
]
wrong = pytest.mark.parametrize(("given", "message"), WRONG, ids=["unknown name", "wrong type"])


@chapters
@wrong
def test_a_wrong_parameter_is_refused_before_anything_else(name, given, message):
    """The cells up to the check, with papermill's among them; what lies behind needs no kernel to be left out."""
    notebook = parameterize_notebook(load_notebook_node(str(BOOK.notebook(name))), given)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    (check,) = [i for i, source in enumerate(cells) if "\np = parameters.check(" in source]
    with pytest.raises(ParameterError) as caught:
        exec("\n".join(cells[: check + 1]), {})
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        *WRONG,
        # IPython's own names, those that the chapter imports after its parameters, and code
        *(({name: 3}, f"Unknown parameter {name!r}") for name in ("_seed", "In", "_ih", "parameters", "seeds", "np")),
        ({"import os\nseed": 3}, "Unknown parameter 'import os'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
)
def test_papermill_gets_one_sentence(given, message, tmp_path):
    with pytest.raises(PapermillExecutionError) as caught:
        papermill.execute_notebook(
            BOOK.notebook(NAMES[0]), tmp_path / "out.ipynb", given, kernel_name="python3", progress_bar=False
        )
    assert caught.value.ename == "ParameterError"
    assert caught.value.evalue.startswith(message) and "\n" not in caught.value.evalue


@chapters
def test_parameters_are_checked_in_the_cell_behind_them(name):
    """papermill puts its cell between the two."""
    cells = [cell for cell in jupytext.read(BOOK.text(name)).cells if cell.cell_type == "code"]
    (tagged,) = [i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    assert "\np = parameters.check(" in cells[tagged + 1].source


TRAINS = [
    name for name in NAMES if name.startswith("language/") and '\ndevice: str = "auto"' in BOOK.text(name).read_text()
]


@pytest.mark.parametrize("name", TRAINS)
def test_a_chapter_that_trains_language_models_takes_what_shapes_a_training(name):
    """Where networks are measured along one epoch there is no number of epochs, and the chapter says so."""
    takes = staleness.parameters(jupytext.read(BOOK.text(name)))
    assert {"text", "tokenizer", "tokens", "shape", "learning_rate"} <= takes.keys()
    assert ("epochs" in takes) != ("no parameter `epochs`" in BOOK.text(name).read_text())


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(("language/", "beyond/"))])
def test_how_many_texts_and_seeds_the_book_has_is_said_in_findings(name):
    """A rerun leaves them out, and may have others."""
    text = re.sub(r"(?ms)^ *(:{3,})\{finding\}$.*?^ *\1$", "", BOOK.text(name).read_text())
    assert re.findall(r"(?m)^(?:One|Two|Three) (?:text|seed)s?[ ,].*", text) == []


@pytest.mark.parametrize("name", ["{statement}\nseed", "{statement};seed", "_seed", "In", "seeds"])
def test_a_rerun_runs_no_name(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path / "runs"))
    name = name.format(statement=f"open({str(tmp_path / 'ran')!r},'w')")
    assert rerun.main([NAMES[0], f"{name}=3"]) == 1
    assert list(tmp_path.iterdir()) == []
    said = capsys.readouterr().err
    assert said.startswith(f"{NAMES[0]}: ") and said.count("\n") == 1


def test_values_of_a_rerun_are_what_the_chapters_cell_would_read():
    defaults = {"seed": 0, "text": "stand-in", "memory": 4.0, "more": None}
    words = {"seed": "1_000", "text": "@a: [b", "memory": "1e-3", "more": "[1, None]"}
    read = rerun.parse([f"{name}={word}" for name, word in words.items()], defaults)
    assert read == {"seed": 1000, "text": "@a: [b", "memory": 1e-3, "more": [1, None]}
    assert rerun.parse(["text=12", "seed=010"], defaults) == {"text": "12", "seed": "010"}  # refused by the chapter
    assert rerun.parse(["seed=[", "memory=2026-01-01"], defaults) == {"seed": "[", "memory": "2026-01-01"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent/chapter"], "There is no notebook 'absent/chapter'; the notebooks are: "),
        ([], "There is no notebook ''; the notebooks are: "),
        (["a" * 300], "There is no notebook 'aaaaaa"),
        ([NAMES[0], "seed=3", "seed=4"], "A parameter is given twice in seed=3 seed=4: give each once."),
        (["language/corpora", "text=" + "a" * 300], "The parameter 'text' names no file: 'aaaaaa"),
        ([NAMES[0], "seed"], "A parameter is written name=value, as in seed=3; 'seed' is not."),
        (
            [NAMES[0], "sede=3"],
            f"{NAMES[0]}: Unknown parameter 'sede' = '3' (did you mean 'seed'?); this chapter takes ",
        ),
        ([NAMES[0], "seed=010"], f"{NAMES[0]}: The parameter 'seed' was '010' (str), but must be an integer from "),
    ],
    ids=["chapter", "no chapter", "long chapter", "twice", "long", "no value", "unknown parameter", "octal"],
)
def test_a_wrong_rerun_ends_in_one_sentence(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    assert rerun.main(words) == 1
    said = capsys.readouterr().err
    assert said.startswith(message) and said.count("\n") == 1


def test_a_file_whose_name_no_notebook_can_hold_is_told_at_once(tmp_path, capsys):
    path = tmp_path / os.fsdecode(b"\xff.txt")
    path.write_text("a")
    assert rerun.main(["language/corpora", f"text={path}"]) == 1
    said = capsys.readouterr().err
    assert "\\udcff.txt, which no notebook can hold: rename the file." in said and said.count("\n") == 1
