"""The house stands: folders on floors, imports that go down, no circle, a light front door, a drawing that is true."""

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import house
import jupytext
import pytest

import probsig
from probsig.experiments import KINDS
from probsig.runs import Piece, syntax
from probsig.runs.code import PACKAGE, WHOLE, Definitions

ROOT = Path(__file__).resolve().parents[1]
HEIGHT = {name: floor for floor, names in enumerate(house.FLOORS) for name in names}
ARROWS = sorted(house.arrows())
SCRIPT = """
import sys, time
start = time.perf_counter()
import probsig
print(time.perf_counter() - start, *sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_every_folder_and_file_of_the_package_stands_on_a_floor():
    inside = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert inside - {"__init__"} == set(HEIGHT)


def test_imports_go_down():
    wrong = [
        f"{one} imports {other}"
        for one, other in ARROWS
        if (here := house.part(one)) != (there := house.part(other)) and here and HEIGHT.get(there, 9) >= HEIGHT[here]
    ]
    assert wrong == [] and len(ARROWS) > 200


def test_no_two_files_import_each_other_even_by_a_detour():
    below = {one: {other for start, other in ARROWS if start == one} for one, _ in ARROWS}
    graphlib.TopologicalSorter(below).prepare()


@pytest.mark.parametrize(
    ("files", "wrong"),
    [
        ({"laws/a.py": "from probsig.counts import b", "counts/b.py": ""}, {("probsig.laws.a", "probsig.counts.b")}),
        (
            {"laws/a.py": "def f():\n    import probsig.counts.b", "counts/b.py": ""},
            {("probsig.laws.a", "probsig.counts.b")},
        ),
        (
            {
                "laws/a.py": "from probsig.counts import f",
                "counts/b.py": "f = 1",
                "counts/__init__.pyi": "from .b import f",
            },
            {("probsig.laws.a", "probsig.counts.b")},
        ),
        ({"laws/a.py": "from . import b\nimport numpy", "laws/b.py": ""}, {("probsig.laws.a", "probsig.laws.b")}),
    ],
    ids=["plain", "inside a function", "what a folder hands on", "its own folder"],
)
def test_every_way_of_importing_is_an_arrow(files, wrong, tmp_path):
    for name, text in {"__init__.py": "", "laws/__init__.py": "", "counts/__init__.py": "", **files}.items():
        path = tmp_path / "probsig" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert house.arrows(tmp_path) == wrong


def test_only_pages_and_the_figures_of_experiments_know_matplotlib():
    knows = set()
    for path in PACKAGE.rglob("*.py"):
        imported = syntax.imports(ast.walk(ast.parse(path.read_text("utf-8"))), "")
        if any(name.startswith("matplotlib") for name in imported.values()):
            knows.add(path.relative_to(PACKAGE).as_posix())
    assert {name for name in knows if not name.startswith("pages/")} == {"experiments/language_figures.py"}


def test_import_is_quick_and_brings_no_framework():
    runs = [
        subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(3)
    ]
    assert min(float(run[0]) for run in runs) < 0.3
    assert not {"torch", "transformers", "matplotlib", "scipy"} & set(runs[0])


def test_whatever_a_folder_hands_on_is_defined_in_it():
    package = Definitions(silent=())
    for name, module in package.modules.items():
        for handed_on, path in module.imported.items():
            if path_is_stub(name) and path.startswith("probsig."):
                home, rest = package.resolve(path)
                assert path in package.modules or (rest == [] and home[1] != WHOLE), f"{name}.{handed_on}"


def path_is_stub(module):
    return house.path_of(module).with_suffix(".pyi").is_file()


def test_contributing_draws_the_house_as_it_is():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert house.written(text) == text, "run python scripts/house.py"
    assert all(house.about(f"probsig.{name}") for name in HEIGHT)


def literals(source):
    """Every call of Piece in a source, with its first argument as written, and every text that looks like a maker."""
    nodes = [*ast.walk(ast.parse(source))]
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Piece"]
    return calls, {text for text in texts if re.fullmatch(r"probsig(\.\w+)+:\w+", text)}


def sources():
    """The package, the scripts and the chapters' cells."""
    for folder in ("probsig", "scripts"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
    for path in sorted((ROOT / "notebooks").glob("*/*.md")):
        cells = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
        yield path.relative_to(ROOT).as_posix(), "\n".join(cells)


def test_whatever_is_imported_of_the_package_is_there():
    """Also from what no test runs; an old name may still be found where an older copy is installed."""
    package, gone = Definitions(silent=()), []
    others = [path for folder in ("tests", "book", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
    for name, source in [
        *sources(),
        *((path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in others),
    ]:
        folder = name.rpartition("/")[0].replace("/", ".") if name.startswith("probsig/") else ""
        for node in ast.walk(ast.parse(source)):
            plain = [alias.name for alias in node.names] if isinstance(node, ast.Import) else None
            for path in plain or syntax.imports([node], folder).values():
                home, rest = package.resolve(path)
                if path.partition(".")[0] == "probsig" and (rest or (home[1] == WHOLE and home[0] != path)):
                    gone.append(f"{name} imports {path}")
    assert gone == []


def test_every_maker_resolves_and_is_of_a_known_kind():
    package, named = Definitions(), {}
    for name, source in sources():
        calls, makers = literals(source)
        named |= {maker: name for maker in makers}
        whole = all(isinstance(call.args[0], ast.Constant | ast.Name) for call in calls)
        assert whole and (makers or not calls), f"{name} puts a maker together: write it as one text"
    assert len(named) > 15
    for maker, name in named.items():
        module, _, function = maker.partition(":")
        assert function in package.modules[module].own, f"{maker} in {name}"
        assert callable(Piece(maker).function())
        assert any(maker in makers for makers in KINDS.values()), f"{maker} makes no kind of run"


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = re.search(r"(?m)^version: \"?([\d.]+)", (ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert probsig.__version__ == project["version"] == citation[1]
    assert f"[{probsig.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
