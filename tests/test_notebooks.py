"""What nbval does not see: pairs agree, every cell ran, nothing is stale, each chapter runs with other parameters."""

import base64
import io
import json
import re

import jupytext
import nbformat
import numpy as np
import panels
import papermill
import pytest
import rerun
import staleness
from jupytext.compare import compare_notebooks
from papermill.exceptions import PapermillExecutionError
from PIL import Image

from probsig.pages import claims, errata

BOOK = staleness.Book()
NAMES = BOOK.names()
SMALLEST = {"scale": "smoke"}
chapters = pytest.mark.parametrize("name", NAMES)


def code_cells(name):
    cells = json.loads(BOOK.notebook(name).read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_there_are_chapters():
    assert NAMES


def test_every_notebook_has_a_text():
    folder = BOOK.root / "notebooks"
    assert {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.ipynb")} == set(NAMES)
    assert set(BOOK.records()) == set(NAMES)


@chapters
def test_pair_agrees(name):
    notebook = jupytext.read(BOOK.notebook(name))
    text = jupytext.read(BOOK.text(name))
    compare_notebooks(notebook, text, fmt="md:myst", allow_expected_differences=True)


@chapters
def test_not_stale(name):
    assert BOOK.reasons(name) == []


@chapters
def test_outputs_are_complete_and_clean(name):
    cells = code_cells(name)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            assert output.get("name") != "stderr", output.get("text")
            shown = json.dumps([output.get("text", ""), output.get("data", {}).get("text/plain", "")])
            assert not re.search(r"(?<![\w.])/(home|root|tmp|opt|work|Users)/|0x[0-9a-f]{6,}", shown), shown


KINDS = {
    *("text/plain", "text/markdown", "image/png", "application/papermill.record/text/plain"),
    *(claims.MIME, errata.MIME),
}
TAGS = {"parameters", "hide-input", "hide-cell", "hide-output"}


@chapters
def test_outputs_are_of_kinds_that_something_compares(name):
    """nbval and the collected claims compare texts, the ledger pictures; nothing is left out by a tag or a comment."""
    for cell in code_cells(name):
        assert set(cell["metadata"].get("tags", [])) <= TAGS and "NBVAL" not in "".join(cell["source"]).upper()
        for output in cell["outputs"]:
            assert output["output_type"] in ("stream", "execute_result", "display_data")
            assert set(output.get("data", {})) <= KINDS


def quickest_with_figures(number):
    """Chapters whose figures are drawn again by every test run; `make execute` draws all of them."""
    seconds = {name: BOOK.records().get(name, {}).get("seconds", 1e9) for name in NAMES}
    return sorted((name for name in NAMES if panels.figures(BOOK.notebook(name))), key=seconds.get)[:number]


def pictures(cells):
    """The pictures of some cells, each as the mean colours of squares of 16 pixels."""
    data = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    found = [Image.open(io.BytesIO(base64.b64decode(one["image/png"]))) for one in data if "image/png" in one]
    return [np.asarray(picture.convert("RGB").reduce(16), dtype=int) for picture in found]


@pytest.mark.parametrize("name", quickest_with_figures(3))
def test_figures_are_those_of_an_execution(name):
    """To the bit on one machine; on another a line may be drawn a little otherwise."""
    again = pictures(BOOK.executed(name)[0].cells)
    stored = pictures(code_cells(name))
    assert len(stored) == len(again) > 0
    for one, other in zip(stored, again, strict=True):
        assert one.shape == other.shape and np.abs(one - other).max() < 24


@chapters
def test_metadata_is_bare(name):
    nb = nbformat.read(BOOK.notebook(name), as_version=4)
    nbformat.validate(nb)
    assert set(nb.metadata) == {"kernelspec", "language_info"}
    assert nb.metadata.kernelspec.name == "python3" and "version" not in nb.metadata.language_info
    assert not any("execution" in cell.metadata or "papermill" in cell.metadata for cell in nb.cells)


@chapters
def test_one_cell_of_annotated_parameters(name):
    tagged = [cell for cell in code_cells(name) if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1
    for line in "".join(tagged[0]["source"]).splitlines():
        assert re.match(r"\w+: \w.* = .+  # .+", line), line


@chapters
def test_figures_have_a_caption_a_name_and_alternative_text(name):
    for cell in code_cells(name):
        if any("image/png" in output.get("data", {}) for output in cell["outputs"]):
            shown = cell["metadata"]["mystnb"]
            assert shown["figure"]["caption"] and shown["figure"]["name"].startswith("fig-")
            assert len(shown["image"]["alt"]) > 10


@chapters
def test_captions_name_panels_that_exist(name):
    known = {panel for panel, _ in panels.all_panels()}
    for _, caption in panels.figures(BOOK.notebook(name)):
        assert set(panels.named_in(caption)) <= known
        loose = re.sub(r"v[12] Fig\. \d+[A-E]?", "", caption)
        assert not re.search(r"v[12],? Fig", loose), f"written otherwise than 'v1 Fig. 2A': {caption}"


def test_panels_of_both_versions():
    names = [name for name, _ in panels.all_panels()]
    assert len(set(names)) == 54
    assert sum(name.startswith("v1") for name in names) == 25
    assert panels.named_in("v1 Fig. 2A / v2 Fig. 10; not v1 Fig. 2AB, not v3 Fig. 1") == ["v1 Fig. 2A", "v2 Fig. 10"]


@chapters
def test_runs_with_another_seed_from_another_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path / "runs"))
    known = staleness.parameters(jupytext.read(BOOK.text(name)))
    given = {"seed": 12345} | {key: value for key, value in SMALLEST.items() if key in known}
    papermill.execute_notebook(
        BOOK.notebook(name), tmp_path / "out.ipynb", given, kernel_name="python3", progress_bar=False
    )


def takes_text(name):
    return "text=parameters.Text()" in BOOK.text(name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*filter(takes_text, NAMES)])
def test_a_name_acts_on_no_page(name, tmp_path, monkeypatch):
    """Whatever a text, a tokenizer or a model is called, its name is markup nowhere; where there is none such, the page
    ends in one sentence."""
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path / "runs"))
    called = "{{ 7 * 191 }} <script>alert(1)</script> | `x`\n# {math}`y`"
    known = staleness.parameters(jupytext.read(BOOK.text(name)))
    given = {key: value for key, value in SMALLEST.items() if key in known}
    given |= {key: called for key in ("text", "tokenizer", "model") if key in known}
    try:
        papermill.execute_notebook(
            BOOK.notebook(name), tmp_path / "out.ipynb", given, kernel_name="python3", progress_bar=False
        )
    except PapermillExecutionError as stopped:
        assert "191" in stopped.evalue and "\n" not in stopped.evalue
    made = nbformat.read(tmp_path / "out.ipynb", 4)
    shown = [output.get("data", {}) for cell in made.cells for output in cell.get("outputs", [])]
    assert not any("text/html" in data for data in shown)
    for line in (line for data in shown for line in data.get("text/markdown", "").splitlines()):
        assert not any(mark in line for mark in ("{{ 7", "<script", "`x`", "`y`")) and not line.startswith("#"), line


def test_chapters_describe_runs_escaped():
    for name in NAMES:
        assert not re.search(r"runs\.describe\(|\.provenance\(", BOOK.text(name).read_text(encoding="utf-8")), name


@chapters
@pytest.mark.parametrize("given", [{"sede": 3}, {"seed": "three"}], ids=["unknown name", "wrong type"])
def test_a_wrong_parameter_is_refused(name, given, tmp_path):
    with pytest.raises(PapermillExecutionError) as caught:
        papermill.execute_notebook(
            BOOK.notebook(name), tmp_path / "out.ipynb", given, kernel_name="python3", progress_bar=False
        )
    assert caught.value.ename == "ParameterError"
    assert next(iter(given)) in caught.value.evalue and "\n" not in caught.value.evalue


@pytest.mark.parametrize("given", ["_seed", "In", "_ih", "parameters", "seeds", "np", "import os\nseed"])
def test_a_name_that_the_globals_hide_is_refused(given, tmp_path):
    """IPython's own names, those that the chapter imports after its parameters, and code."""
    with pytest.raises(PapermillExecutionError) as caught:
        papermill.execute_notebook(
            BOOK.notebook(NAMES[0]), tmp_path / "out.ipynb", {given: 3}, kernel_name="python3", progress_bar=False
        )
    assert caught.value.ename == "ParameterError"
    first = given.split("\n")[0]
    assert caught.value.evalue.startswith(f"Unknown parameter '{first}'") and "\n" not in caught.value.evalue


@chapters
def test_parameters_are_checked_in_the_cell_behind_them(name):
    """papermill puts its cell between the two."""
    cells = [cell for cell in jupytext.read(BOOK.text(name)).cells if cell.cell_type == "code"]
    (tagged,) = [i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    assert "\np = parameters.check(" in cells[tagged + 1].source


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
        ([NAMES[0], "seed"], "A parameter is written name=value, as in seed=3; 'seed' is not."),
        (
            [NAMES[0], "sede=3"],
            f"{NAMES[0]}: Unknown parameter 'sede' = '3' (did you mean 'seed'?); this chapter takes ",
        ),
        ([NAMES[0], "seed=010"], f"{NAMES[0]}: The parameter 'seed' was '010' (str), but must be an integer from "),
    ],
    ids=["chapter", "no value", "unknown parameter", "octal"],
)
def test_a_wrong_rerun_ends_in_one_sentence(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    assert rerun.main(words) == 1
    said = capsys.readouterr().err
    assert said.startswith(message) and said.count("\n") == 1
