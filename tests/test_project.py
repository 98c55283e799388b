"""What is said in two places is the same in both, and the tree is small and anonymous."""

import ast
import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import records
import yaml
from packaging.requirements import Requirement
from sphinx.ext.autodoc.preserve_defaults import update_defvalue

import probsig
from probsig.experiments.texts import NAMES
from probsig.pages import verdicts
from probsig.runs import code

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LARGEST = 2_000_000


def declared():
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


def locked():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"==[^*+,]+", str(pin.specifier)) for pin in pins)
    return {normal(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_environment_yml_has_the_ranges_of_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    assert [line for line in pip if line != "-e ."] == [str(line) for line in map(line_of, declared())]


def line_of(requirement):
    return f"{requirement.name}{','.join(sorted(map(str, requirement.specifier), reverse=True))}"


def test_the_lock_satisfies_the_ranges():
    pins = locked()
    for requirement in declared():
        assert requirement.specifier.contains(pins[normal(requirement.name)]), requirement


def test_no_version_is_allowed_that_runs_the_code_of_a_data_set():
    """Up to 3.6 `datasets` asked whether to run a repository's own script; from 4.0 on it runs none."""
    (found,) = (one.specifier for one in declared() if one.name == "datasets")
    assert not found.contains("3.6.0") and found.contains("4.0.0")


def test_the_lock_is_what_is_installed():
    """`make install` leaves nothing else; a local label such as +cpu is a build of the same version."""
    if Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
        pytest.skip("these tests run outside the environment that make installs")
    differing = {name: pin for name, pin in locked().items() if version(name).partition("+")[0] != pin}
    assert differing == {}


def test_what_the_benchmarks_time_the_package_against_is_pinned():
    """What they import is in the lock or in their own requirements."""
    text = (ROOT / "benchmarks" / "requirements.txt").read_text(encoding="utf-8")
    pins = {normal(line.partition("==")[0]) for line in text.splitlines() if re.fullmatch(r"[\w-]+==[\d.]+", line)}
    parts = [n for p in (ROOT / "benchmarks").glob("*.py") for n in ast.walk(ast.parse(p.read_text("utf-8")))]
    names = {alias.name for part in parts if isinstance(part, ast.Import) for alias in part.names}
    names |= {part.module for part in parts if isinstance(part, ast.ImportFrom)}
    others = {"sklearn": "scikit-learn"}
    tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"probsig"}
    assert {normal(others.get(top, top)) for top in tops} <= pins | locked().keys()
    assert len(pins) == len([line for line in text.splitlines() if not line.startswith("#")])


def test_no_folder_of_the_tests_or_of_the_package_is_passed_over(pytestconfig):
    patterns = pytestconfig.getini("norecursedirs")
    folders = {part for name in tracked() if name.endswith((".py", ".ipynb")) for part in Path(name).parent.parts}
    assert "runs" in folders and [f for f in folders if any(fnmatch(f, each) for each in patterns)] == []


def test_one_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[?v?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert newest[1] == citation["version"] == PROJECT["version"] == version("probsig")


def test_no_large_file():
    large = {name for name in tracked() if (ROOT / name).stat().st_size > LARGEST}
    assert large == set()


def test_lines_end_alike_on_every_system():
    """Whatever core.autocrlf says: digests are of what is stored."""
    listed = subprocess.run(["git", "ls-files", "--eol", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    for line in filter(None, listed.stdout.split("\0")):
        facts, name = line.split("\t")
        stored, here, *attributes = facts.split()
        binary = Path(name).suffix in (".png", ".safetensors", ".woff")
        assert attributes == (["attr/-text"] if binary else ["attr/text=auto", "eol=lf"]), name
        assert stored[2:] == here[2:] and stored in (["i/-text"] if binary else ["i/lf", "i/none"]), name


def test_no_path_of_a_machine():
    found = []
    for name in tracked():
        if name.startswith("book/_static/mathjax/"):
            continue
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{name}: {path}" for path in re.findall(r"(?<![\w.~}$)])/(?:home|root|Users|opt|work|tmp)/\w+", text)
        ]
    assert found == []


def test_defaults_of_the_reference_are_those_of_the_source():
    """A default value as Python prints it may hold a path of the machine that builds the page."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]["config"]
    update_defvalue(SimpleNamespace(config=SimpleNamespace(**settings)), code.digest, False)
    assert "root: 'Path | str' = PACKAGE" in str(inspect.signature(code.digest))


def test_every_file_of_the_contents_exists():
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    for name in re.findall(r"(?:file|root): (\S+)", contents):
        suffix = ".ipynb" if name.startswith("notebooks/") else ".md"
        assert (ROOT / f"{name}{suffix}").is_file(), name


TOLD = {
    verdicts.HOLDS: "hold",
    verdicts.CORRECTED: "hold once corrected",
    verdicts.FAILS: "fail",
    verdicts.NOT_TESTED: "are not tested at the paper's setting",
}


def test_the_score_that_the_readme_tells_is_the_claims():
    claims, _ = records.collect(ROOT / "notebooks")
    found = Counter(claim["verdict"] for claim in claims if claim["whose"] == "paper")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    words = ", ".join(f"{found[word]} {told}" for word, told in TOLD.items())
    assert f"\n{found.total()} claims judge the paper's statements: {words}.\n" in readme
    assert found.keys() <= TOLD.keys() <= set(verdicts.PAPER)


def test_names_and_folders_are_counted_where_they_are_told():
    folders = {path.parent.name for path in (ROOT / "probsig").glob("*/__init__.py")}
    page = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \{doc\}`/book/api/(\w+)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(folders) and len(rows) == 13 and "\nThirteen folders, from the ground up;" in page
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"`import probsig as ps`: {len(probsig.__all__)} names that load" in changelog


def took(chapters, scale):
    """The minutes of the stored runs of a scale that some chapters read, on the five texts or none, of that kind which
    took longest in all."""
    ledger = json.loads((ROOT / "notebooks" / "executed.json").read_text(encoding="utf-8"))
    folders = {(ROOT / file).parent for name in chapters for file in ledger[name].get("results", {})}
    kinds = defaultdict(list)
    for folder in folders:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        if record["config"].get("scale") == scale and record["config"].get("corpus") in (None, *NAMES):
            kinds[record["kind"]].append(record["seconds"] / 60)
    return max(kinds.values(), key=sum)


def test_the_minutes_of_a_chapter_are_those_of_its_stored_runs():
    """In the cell of its parameters and in the tables of rerun.md, one for each part, as "4 to 13 minutes"."""
    said, part, minutes = [], "", r"(\d+) to (\d+) minutes"
    for path in (ROOT / "notebooks").glob("*/*.md"):
        text = path.read_text(encoding="utf-8").partition("parameters.check")[0]
        name = path.relative_to(ROOT / "notebooks").with_suffix("").as_posix()
        said += [([name], *found) for found in re.findall(rf'"(\w+)" \((?:stored; )?{minutes}', text)]
    page = (ROOT / "book" / "rerun.md").read_text(encoding="utf-8")
    for first, *cells in (line.strip("|").split("|") for line in page.splitlines() if line.startswith("| `")):
        told = zip(("smoke", "laptop", "paper"), (re.search(minutes, cell) for cell in cells), strict=True)
        part = head[1] if (head := re.search(r"`(\w+)/`", first)) else part
        names = [f"{part}/{name}" for name in re.findall(r"`(\w+)`", first)]
        said += [(names, scale, *found.groups()) for scale, found in told if found]
    for names, scale, *ends in said:
        stored = took(names, scale)
        for end, measured in zip(map(int, ends), (min(stored), max(stored)), strict=True):
            assert abs(end - measured) <= max(1.5, 0.15 * measured), f"{names} at {scale}: {ends}, stored {stored}"
    assert len(said) > 20
