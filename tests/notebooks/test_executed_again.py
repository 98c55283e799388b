"""Each chapter runs with another seed; no name that a reader gives is markup on its page; figures are drawn again."""

import base64
import io

import jupytext
import leaving_out
import nbformat
import numpy as np
import panels
import papermill
import pytest
import staleness
from papermill.exceptions import PapermillExecutionError
from PIL import Image

pytestmark = pytest.mark.slow

BOOK = staleness.Book()
NAMES = BOOK.names()
SMALL = {"scale": "smoke", "hidden_size": 20}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The runs that the chapters make: the first that asks for one makes it, as in a reader's folder."""
    return tmp_path_factory.mktemp("runs")


def execute(name, folder, runs, monkeypatch, **given):
    """Run a stored notebook as `make rerun` does, from another folder, at the smallest scale and width that it has."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PROBSIG_RUNS", str(runs))
    taken = parameters_of(name)
    small = {parameter: value for parameter, value in SMALL.items() if parameter in taken}
    told = {"kernel_name": "python3", "progress_bar": False, "engine_name": leaving_out.NAME}
    papermill.execute_notebook(BOOK.notebook(name), folder / "out.ipynb", small | given, **told)


def parameters_of(name):
    return staleness.parameters(jupytext.read(BOOK.text(name)))


@pytest.mark.parametrize("name", NAMES)
def test_runs_with_another_seed_from_another_folder(name, tmp_path, runs, monkeypatch):
    execute(name, tmp_path, runs, monkeypatch, seed=12345)


def takes_text(name):
    return "text=parameters.Text()" in BOOK.text(name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*filter(takes_text, NAMES)])
def test_a_name_acts_on_no_page(name, tmp_path, runs, monkeypatch):
    """Whatever a text, a tokenizer or a model is called, its name is markup nowhere; where there is none such, the page
    ends in one sentence."""
    called = "{{ 7 * 191 }} <script>alert(1)</script> | `x`\n# {math}`y`"
    given = dict.fromkeys({"text", "tokenizer", "model"} & parameters_of(name).keys(), called)
    try:
        execute(name, tmp_path, runs, monkeypatch, **given)
    except PapermillExecutionError as stopped:
        assert "191" in stopped.evalue and "\n" not in stopped.evalue
    made = nbformat.read(tmp_path / "out.ipynb", 4)
    shown = [output.get("data", {}) for cell in made.cells for output in cell.get("outputs", [])]
    assert not any("text/html" in data for data in shown)
    for line in (line for data in shown for line in data.get("text/markdown", "").splitlines()):
        assert not any(mark in line for mark in ("{{ 7", "<script", "`x`", "`y`")) and not line.startswith("#"), line


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
    stored = pictures(nbformat.read(BOOK.notebook(name), 4).cells)
    assert len(stored) == len(again) > 0
    for one, other in zip(stored, again, strict=True):
        assert one.shape == other.shape and np.abs(one - other).max() < 24
