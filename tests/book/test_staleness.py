"""A notebook is stale after a change in its text, in what it uses, in a result it read; and after no other."""

import base64
import io
import json
import os
import shutil

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import staleness
from nbformat import v4
from PIL import Image

CHAPTER = """\
---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A chapter

A sentence.

```{code-cell} ipython3
:tags: [parameters]

seed: int = 7  # seed of nothing
scale: str = "smoke"  # scale of nothing
```

```{code-cell} ipython3
import random

from probsig import used
from probsig.runs import files

print(used.double(2), files.read_whole(files.checkout() / "results" / "run" / "numbers.txt").decode())
```
"""


USED = '''\
"""Used."""
from probsig.deeper import two


def double(x: int):
    return two * x


def beside():
    return 1
'''


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A small checkout with one executed chapter."""
    root = tmp_path_factory.mktemp("checkout")
    source = staleness.ROOT / "probsig"
    files = {
        "pyproject.toml": "",
        "probsig/__init__.py": "",
        "probsig/runs/__init__.py": "",
        "probsig/runs/files.py": (source / "runs" / "files.py").read_text(encoding="utf-8"),
        "probsig/used.py": USED,
        "probsig/deeper.py": "two = 2  # the number two\n",
        "probsig/unrelated.py": "three = 3\n",
        "results/run/numbers.txt": "four",
        "results/other/numbers.txt": "five",
        "notebooks/part/chapter.md": CHAPTER,
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(root))
        book = staleness.Book(root)
        assert book.reasons("part/chapter") == ["part/chapter was never executed"]
        assert book.execute("part/chapter")
    return root


@pytest.fixture
def book(executed, tmp_path, monkeypatch):
    """A copy of the executed checkout, to be changed."""
    root = tmp_path / "copy"
    shutil.copytree(executed, root)
    monkeypatch.setenv("PYTHONPATH", str(root))
    return staleness.Book(root)


def edit(book, name, old, new):
    path = book.root / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_fresh_notebook_is_not_stale(book):
    assert book.reasons("part/chapter") == []
    assert book.stale() == {}


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("notebooks/part/chapter.md", "A sentence.", "Another sentence.", "the text changed"),
        ("notebooks/part/chapter.md", "double(2)", "double(3)", "the text changed"),
        ("probsig/used.py", "two * x", "two + x", "probsig.used.double changed"),
        ("probsig/deeper.py", "two = 2", "two = 2.0", "probsig.used.double changed"),
        ("results/run/numbers.txt", "four", "4", "the result results/run/numbers.txt changed"),
    ],
    ids=["prose", "code", "used function", "what it uses", "result read"],
)
def test_stale(book, name, old, new, reason):
    edit(book, name, old, new)
    assert book.reasons("part/chapter") == [reason]
    assert book.stale() == {"part/chapter": [reason]}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("probsig/used.py", "Used.", "Used by the chapter."),
        ("probsig/deeper.py", "  # the number two", ""),
        ("probsig/unrelated.py", "3", "4"),
        ("probsig/used.py", "x: int", "x: float"),
        ("probsig/used.py", "return 1", "return 2"),
        ("results/other/numbers.txt", "five", "5"),
    ],
    ids=["docstring", "comment", "unrelated module", "annotation", "function not used", "result not read"],
)
def test_not_stale(book, name, old, new):
    edit(book, name, old, new)
    assert book.reasons("part/chapter") == []


@pytest.mark.parametrize("damage", [b"{", b"[]", b"null", b"\xff"])
def test_a_damaged_ledger_is_one_sentence(damage, book, capsys):
    book.ledger.write_bytes(damage)
    assert staleness.main(["--stale"], book) == 1
    said = capsys.readouterr().err
    assert "executed.json is damaged: restore it with `git checkout -- " in said and said.count("\n") == 1


@pytest.mark.parametrize("change", [{"code": None}, {"code": "9f86d081"}, {"results": []}, {"written": None}])
def test_a_record_of_another_form_is_stale_in_one_sentence(book, change):
    records = book.records()
    record = {key: value for key, value in (records["part/chapter"] | change).items() if value is not None}
    book.ledger.write_text(json.dumps(records | {"part/chapter": record}))
    assert book.reasons("part/chapter") == ["its record in executed.json is not of today's form"]


def test_a_new_result_makes_nothing_stale(book):
    (book.root / "results" / "new").mkdir()
    (book.root / "results" / "new" / "numbers.txt").write_text("six", encoding="utf-8")
    assert book.reasons("part/chapter") == []


def test_line_ends_of_another_system_make_nothing_stale(book):
    """As a clone has them whose git is told to turn line ends; `.gitattributes` tells it not to."""
    for path in book.root.rglob("*"):
        if path.suffix in (".md", ".py", ".json", ".ipynb"):
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert book.reasons("part/chapter") == []


def test_what_a_used_definition_newly_uses(book):
    edit(book, "probsig/deeper.py", "two = 2", "from probsig.unrelated import three\n\ntwo = three - 1")
    assert book.reasons("part/chapter") == ["probsig.used.double changed"]


def test_missing_files_are_named(book):
    (book.root / "results" / "run" / "numbers.txt").unlink()
    book.notebook("part/chapter").unlink()
    assert book.reasons("part/chapter") == [
        "the notebook file is missing",
        "the result results/run/numbers.txt is missing",
    ]


@pytest.mark.parametrize("forged", ['"4 four', '"cell_type": "code"', '"name": "stdout"'])
def test_a_notebook_that_no_execution_wrote_is_stale(book, forged):
    path = book.notebook("part/chapter")
    text = path.read_text(encoding="utf-8")
    assert forged in text
    path.write_text(text.replace(forged, forged.replace("o", "0")), encoding="utf-8")
    assert book.reasons("part/chapter") == ["the notebook file is not as its execution wrote it"]


def test_what_is_recorded(book):
    record = json.loads(book.ledger.read_text(encoding="utf-8"))["part/chapter"]
    used = {"probsig.runs.files.checkout", "probsig.runs.files.read_whole", "probsig.used.double"}
    assert set(record["code"]) == used
    assert list(record["results"]) == ["results/run/numbers.txt"]
    assert (record["seed"], record["scale"]) == (7, "smoke")
    assert record["seconds"] > 0 and record["hardware"] and record["versions"]["python"]


def test_what_is_written(book):
    nb = nbformat.read(book.notebook("part/chapter"), as_version=4)
    nbformat.validate(nb)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    assert code[-1].outputs[0].text == "4 four\n"
    assert [cell.execution_count for cell in code] == [1, 2]
    assert not any("execution" in cell.metadata for cell in nb.cells)
    assert "version" not in nb.metadata.language_info and set(nb.metadata) == {"kernelspec", "language_info"}
    assert len({cell.id for cell in nb.cells}) == len(nb.cells)


def snapshot(book):
    return {
        path: path.read_bytes() for path in book.root.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }


def test_executing_again_changes_no_file(book):
    before = snapshot(book)
    assert not book.execute("part/chapter")
    assert snapshot(book) == before


def test_executing_a_stale_notebook_makes_it_fresh(book):
    edit(book, "probsig/deeper.py", "two = 2", "two = 10")
    old = {cell.source: cell.id for cell in nbformat.read(book.notebook("part/chapter"), as_version=4).cells}
    edit(book, "notebooks/part/chapter.md", "A sentence.", "Another sentence.")
    assert book.execute("part/chapter")
    nb = nbformat.read(book.notebook("part/chapter"), as_version=4)
    assert nb.cells[-1].outputs[0].text == "20 four\n"
    assert [old.get(cell.source) == cell.id for cell in nb.cells] == [False, True, True]
    assert book.reasons("part/chapter") == []


def test_a_failing_cell_writes_nothing(book):
    edit(book, "notebooks/part/chapter.md", "double(2)", "triple(2)")
    before = snapshot(book)
    with pytest.raises(staleness.ExecutionError, match="part/chapter failed: AttributeError"):
        book.execute("part/chapter")
    assert snapshot(book) == before


def test_the_command_line(book, capsys):
    assert staleness.main([], book) == 0
    assert staleness.main(["--stale"], book) == 0
    assert capsys.readouterr().out == "Every chapter is fresh.\n" * 2
    edit(book, "probsig/used.py", "two * x", "x * two")
    assert staleness.main([], book) == 1
    assert capsys.readouterr().out == "part/chapter is stale: probsig.used.double changed\n"
    assert staleness.main(["--stale"], book) == 0
    assert "Executing part/chapter (probsig.used.double changed)\n  written\n" == capsys.readouterr().out
    assert staleness.main(["part/absent"], book) == 1
    assert capsys.readouterr().err == "There is no chapter 'part/absent'; the chapters are: part/chapter.\n"


def test_a_kernel_has_the_callers_folders_and_nothing_else_that_shows(book, monkeypatch, tmp_path):
    """Figures and numbers do not depend on MPLBACKEND, threads or bars; a relative folder is the caller's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, said in {"MPLBACKEND": "agg", "PROBSIG_DATA": "texts", "PROBSIG_CACHE": "~/kept"}.items():
        monkeypatch.setenv(name, said)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    seen = ["MPLBACKEND", "PROBSIG_DATA", "PROBSIG_CACHE", "OMP_NUM_THREADS"]
    cell = "import os\nfrom tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass\n"
    cell += f"print(*(os.environ[name] for name in {seen}), os.path.basename(os.getcwd()))"
    edit(
        book,
        "notebooks/part/chapter.md",
        "import random\n",
        f"import warnings\nwarnings.simplefilter('ignore')\n{cell}\n",
    )
    assert book.execute("part/chapter")
    shown = nbformat.read(book.notebook("part/chapter"), as_version=4).cells[-1].outputs
    said = f"module://matplotlib_inline.backend_inline {tmp_path}/texts {tmp_path / 'home' / 'kept'} 1 part\n4 four\n"
    assert [output.text for output in shown] == [said]
    assert os.environ["MPLBACKEND"] == "agg"


def test_a_removed_chapter_leaves_the_ledger(book):
    text = book.text("part/chapter")
    text.rename(text.with_name("renamed.md"))
    book.execute("part/renamed")
    assert list(book.records()) == ["part/renamed"]


def test_figures_get_a_palette_that_the_eye_does_not_miss():
    figure, (left, right) = plt.subplots(1, 2, figsize=(6, 3))
    left.imshow(np.add.outer(np.arange(40), np.arange(40)))
    for i in range(7):
        right.plot(np.sin(np.linspace(0, 6, 50) + i))
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=200)
    plt.close(figure)
    data = {"image/png": base64.b64encode(drawn.getvalue()).decode(), "text/plain": "<Figure>"}
    outputs = [v4.new_output("display_data", data=data, metadata={"image/png": {"width": 600}})]
    nb = v4.new_notebook(cells=[v4.new_code_cell(outputs=[v4.new_output("stream", text="seen"), *outputs])])
    staleness._lighten(nb)
    shown = nb.cells[0].outputs[1]
    light = Image.open(io.BytesIO(base64.b64decode(shown.data["image/png"])))
    before = np.asarray(Image.open(drawn).convert("RGB")).astype(int)
    error = np.abs(np.asarray(light.convert("RGB")).astype(int) - before).max(axis=2)
    assert light.mode == "P" and error.shape == (600, 1200) and error.max() < 64 and (error > 16).mean() < 1e-3
    assert len(shown.data["image/png"]) < len(data["image/png"]) / 2 and shown.metadata["image/png"]["width"] == 600
    once = nb.cells[0].outputs[1].data["image/png"]
    staleness._lighten(nb)
    assert nb.cells[0].outputs[1].data["image/png"] == once
