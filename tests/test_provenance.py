"""Digests change with what code does and with nothing else."""

import hashlib
import textwrap

import pytest

from probsig.runs import machine, modules

SOURCE = '''
"""A module."""
import math


def area(r):
    """Area of a disc."""
    scale = f"{r:.3f} # not a comment"
    text = """
    kept

    lines
    """
    return math.pi * r**2, scale, text  # squared


class Empty:
    """Nothing."""

    x = 1
    """An attribute."""
'''


def test_the_digest_is_of_the_tokens_that_do_something():
    assert modules.digest_source('"""doc"""\nx = 1  # one\n') == hashlib.sha256(b"x\n=\n1\n<newline>").hexdigest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""\n', ""),
        ("Area of a disc.", "The area, as every\n\n    child knows."),
        ("  # squared", ""),
        ("import math\n", "import math  # for pi\n\n\n"),
        ('    """An attribute."""\n', ""),
        ("math.pi * r**2, scale, text", "(math.pi*r**2, scale, text)"[1:-1]),
    ],
    ids=["module docstring", "docstring", "comment", "blank lines", "attribute docstring", "spaces"],
)
def test_words_do_not_count(old, new):
    assert old in SOURCE
    assert modules.digest_source(SOURCE.replace(old, new)) == modules.digest_source(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("r**2", "r**3"),
        ("# not a comment", "# not a remark"),
        ("kept\n\n", "kept\n"),
        ("    return", "    if r:\n        return"),
        ("def area(r)", "def area(r=1)"),
        ("    x = 1", "    x = 1\n    y = 'a string that is a value'"),
    ],
    ids=["number", "inside an f-string", "blank line inside a string", "indentation", "default", "value"],
)
def test_code_counts(old, new):
    assert old in SOURCE
    assert modules.digest_source(SOURCE.replace(old, new)) != modules.digest_source(SOURCE)


def test_line_endings_do_not_count():
    assert modules.digest_source(SOURCE.replace("\n", "\r\n")) == modules.digest_source(SOURCE)


@pytest.fixture
def package(tmp_path):
    """A package `house`: top imports middle inside a function, middle imports low, `lonely` nothing."""
    files = {
        "__init__.py": "",
        "top.py": "def f():\n    from house import middle\n",
        "middle.py": "from .rooms.low import x\nfrom . import side\n",
        "rooms/__init__.py": "",
        "rooms/low.py": "from ..side import y\nimport numpy\nx = 1\n",
        "side.py": "y = 1\n",
        "lonely.py": "z = 1\n",
    }
    for name, text in files.items():
        path = tmp_path / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "house"


def test_imports_are_followed(package):
    found = modules.digest_modules(["house.top"], package="house", root=package)
    assert list(found) == ["house", "house.middle", "house.rooms", "house.rooms.low", "house.side", "house.top"]
    assert found["house.top"] == modules.digest_module("house.top", package="house", root=package)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import house.rooms.low as low", {"house", "house.rooms", "house.rooms.low"}),
        ("from house import side, absent", {"house", "house.side"}),
        ("from house.rooms.low import x", {"house", "house.rooms", "house.rooms.low"}),
        ("import houses, numpy", set()),
        ("text = 'import house.side'", set()),
    ],
)
def test_imports_of(package, source, expected):
    assert modules.imports_of(source, package="house", root=package) == expected


def test_an_unknown_module_is_named(package):
    with pytest.raises(ModuleNotFoundError, match=r"house has no module 'house\.attic'"):
        modules.digest_module("house.attic", package="house", root=package)


def test_digest_of_a_file(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"signature")
    assert modules.digest_file(path) == hashlib.sha256(b"signature").hexdigest()
    with pytest.raises(FileNotFoundError):
        modules.digest_file(tmp_path / "absent")


def test_versions_and_hardware():
    assert {"python", "numpy", "probsig"} <= machine.versions().keys()
    assert textwrap.shorten(machine.hardware(), 200) == machine.hardware()
