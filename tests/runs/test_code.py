"""The digest of a definition changes with what it does, here or in what it uses, and with nothing else."""

import ast
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probsig.runs import code
from probsig.runs.code import Definitions

PACKAGES = Path(code.__file__).resolve().parents[2]
HOUSE = {
    "__init__.py": "",
    "top.py": '''\
"""Top."""
import numpy as np

from house.rooms import twice
from house.rooms.low import RATE


def made(x):
    """Made."""
    total = np.cumsum(twice(x)) * RATE  # of all
    return f"{total[-1]:.3f} {RATE}"
''',
    "rooms/__init__.py": """\
import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
""",
    "rooms/__init__.pyi": """\
from .low import twice

__all__ = ["twice"]
""",
    "rooms/low.py": """\
RATE, OTHER = 0.5, 2


def twice(x, more=1):
    if x is None:
        raise ValueError(f"x is {x}: pass a number")
    return OTHER * x + more
""",
}
MADE = ("house.top", "made")


def digest(root, files, home=MADE, silent=()):
    """The digest of a definition of a package that is written anew."""
    shutil.rmtree(root / "house", ignore_errors=True)
    for name, text in files.items():
        path = root / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return Definitions(root / "house", silent).digests([home])[home]


def edited(name, *pairs):
    text = HOUSE[name]
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return HOUSE | {name: text}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="module")
def usual(root):
    return digest(root, HOUSE)


SAME = {
    "docstring": edited("top.py", ('"""Made."""', '"""What is made,\n\n    in other words."""')),
    "no docstring": edited("top.py", ('"""Made."""', "")),
    "comment": edited("top.py", ("  # of all", "")),
    "blank lines": edited("top.py", ("total = ", "\n\n    total = ")),
    "brackets and a line end": edited("top.py", ("np.cumsum(twice(x)) * RATE", "(\n  np.cumsum(twice(x))\n  * RATE)")),
    "quotes": edited("top.py", ('f"{total[-1]:.3f} {RATE}"', "f'''{total[-1]:.3f} {RATE}'''")),
    "annotations that are no classes of it": edited(
        "top.py", ("made(x):", "made(x: float) -> str:"), ("total =", "total: object =")
    ),
    "line ends of another system": {name: text.replace("\n", "\r\n") for name, text in HOUSE.items()},
    "words of an error": edited("rooms/low.py", ("x is {x}: pass a number", "{x} is no number")),
    "another way of importing": edited(
        "top.py", ("from house.rooms import twice", "import house.rooms.low"), ("twice(x)", "house.rooms.low.twice(x)")
    ),
    "an alias": edited("top.py", ("import twice", "import twice as double"), ("twice(x)", "double(x)")),
    "a module's alias": edited(
        "top.py", ("from house.rooms.low import RATE", "from .rooms import low as deep"), ("RATE", "deep.RATE")
    ),
    "imported inside": edited(
        "top.py",
        ("from house.rooms import twice\n", "\n"),
        ("total = ", "from .rooms.low import twice as f\n    total = "),
        ("twice(x))", "f(x))"),
    ),
    "a library's name": edited("top.py", ("import numpy as np", "from numpy import cumsum"), ("np.cumsum", "cumsum")),
    "a definition's name": {
        name: text.replace("twice", "doubled").replace("OTHER", "TWO").replace("RATE", "SHARE")
        for name, text in HOUSE.items()
    },
    "moved": {name: text for name, text in HOUSE.items() if "low" not in name}
    | {
        "cellar/__init__.py": "",
        "cellar/deep.py": HOUSE["rooms/low.py"],
        "rooms/__init__.pyi": "from house.cellar.deep import twice\n",
        "top.py": HOUSE["top.py"].replace("house.rooms.low", "house.cellar.deep"),
    },
    "something beside it": HOUSE | {"rooms/high.py": "x = 1\n"},
    "a function beside it": edited("rooms/low.py", ("RATE,", "def apart():\n    return 3\n\n\nRATE,")),
    "only for the type checker": edited(
        "top.py", ("import numpy as np", "import numpy as np\nif TYPE_CHECKING:\n    from house.rooms.low import OTHER")
    ),
    "a script at its end": edited("top.py", ('} {RATE}"', '} {RATE}"\n\n\nif __name__ == "__main__":\n    made(3)')),
}
OTHER = {
    "an operator": edited("top.py", ("* RATE", "/ RATE")),
    "inside an f-string": edited("top.py", (":.3f}", ":.4f}")),
    "a default below": edited("rooms/low.py", ("more=1", "more=2")),
    "a digit below": edited("rooms/low.py", ("x + more", "x + 1")),
    "a constant below": edited("rooms/low.py", ("0.5, 2", "0.5, 3")),
    "a constant beside it": edited("rooms/low.py", ("0.5, 2", "0.25, 2")),
    "the other of two constants": edited("top.py", ("import RATE", "import OTHER as RATE")),
    "when an error is raised": edited("rooms/low.py", ("x is None", "x is not None")),
    "which error": edited("rooms/low.py", ("ValueError", "TypeError")),
    "what a library's name stands for": edited("top.py", ("import numpy as np", "import jax.numpy as np")),
    "what a folder hands on": HOUSE
    | {
        "rooms/__init__.pyi": "from .high import twice\n",
        "rooms/high.py": "def twice(x):\n    return x + x\n",
    },
    "an effect of the module below": edited("rooms/low.py", ("RATE,", "import sys\n\nsys.x = 1\nRATE,")),
    "a decorator": edited("rooms/low.py", ("def twice", "@print\ndef twice")),
    "a keyword's name": edited("rooms/low.py", ("more", "less")),
    "a name that is bound here": edited("rooms/low.py", ("OTHER * x", "sum(OTHER for OTHER in [x])")),
}


@pytest.mark.parametrize("files", SAME.values(), ids=SAME)
def test_what_does_not_count(files, root, usual):
    assert digest(root, files) == usual


@pytest.mark.parametrize("files", OTHER.values(), ids=OTHER)
def test_what_counts(files, root, usual):
    assert digest(root, files) != usual


@pytest.mark.parametrize("name", ["top.py", "rooms/low.py"])
@given(data=st.data())
def test_whatever_stands_between_the_lines_does_not_count(name, root, usual, data):
    lines, comment = HOUSE[name].splitlines(), st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)
    for at in sorted(data.draw(st.sets(st.integers(1, len(lines)))), reverse=True):
        lines.insert(at, data.draw(st.sampled_from(["", "   ", "    # {}", "# {}"])).format(data.draw(comment)))
    assert digest(root, HOUSE | {name: "\n".join(lines)}) == usual


@given(numbers=st.tuples(*[st.integers(0, 9)] * 4), others=st.tuples(*[st.integers(0, 9)] * 4))
def test_a_digit_anywhere_below_counts(root, numbers, others):
    files = {
        "__init__.py": "",
        "a.py": "from house.b import f, X\n\n\ndef made(x, y={}):\n    return f(x) + X + y\n",
        "b.py": "from house import c\n\nX = {}\n\n\ndef f(x):\n    return c.g(x) + {}\n",
        "c.py": "def g(x):\n    def inner(z):\n        return [z + {} for z in x]\n    return inner(x)\n",
    }
    a, b = (
        digest(root, files | {"a.py": files["a.py"].format(w), "b.py": files["b.py"].replace("X = {}", f"X = {x}")
               .replace("+ {}", f"+ {y}"), "c.py": files["c.py"].replace("{}", str(z))}, ("house.a", "made"))
        for w, x, y, z in (numbers, others)
    )  # fmt: skip
    assert (a == b) == (numbers == others)


PAIRS = {
    "a parameter hides a module": ("from house import deep\ndef made(deep):\n    return deep.X", False),
    "a local name hides it": ("from house.deep import X\ndef made():\n    X = 1\n    return X", False),
    "a loop inside a list does not": ("from house.deep import X\ndef made():\n    return [X for y in [X]]", True),
    "its own name does not reach out": (
        "from house.deep import X\ndef made(z):\n    a = [X for X in z]\n    return a, X",
        True,
    ),
    "what a list takes its items from": ("from house.deep import X\ndef made():\n    return [X for X in X]", True),
    "a default": ("from house.deep import X\ndef made(X=X):\n    return X", True),
    "a decorator": ("from house.deep import X\n@X\ndef made(X):\n    return X", True),
    "a global": ("from house.deep import X as Y\nX = Y\ndef made():\n    global X\n    X += 1\n    return X", True),
    "a class of its own": ("from house.deep import X\nclass made:\n    def f(self):\n        return X", True),
    "a field": ("from house.deep import X\nclass made:\n    f: int = X", True),
    "wrapped at the top": ("from house.deep import X\nX = list(X)\ndef made():\n    return X", True),
    "changed in place": ("from house import deep\nT = {}\nT[1] = deep.X\ndef made():\n    return T", True),
    "tried at the top": (
        "try:\n    from house.deep import X\nexcept OSError:\n    X = 2\ndef made():\n    return X",
        True,
    ),
    "a module as a whole": ("from house import deep\ndef made(name):\n    return getattr(deep, name)", True),
    "a module as a whole by its full name": (
        "import house.deep\ndef made(n):\n    return getattr(house.deep, n)",
        True,
    ),
    "a text that names it": ("def made():\n    return 'house.deep:X'", True),
    "a text that looks like it": ("def made():\n    return 'house.deep X'", False),
    "a class that it is handed": (
        "from house.deep import C\ndef made(x: list[C]) -> int:\n    return x[0].f()",
        True,
    ),
    "a class that a field holds": ("from house.deep import C\nclass made:\n    x: dict[str, C] | None", True),
    "a class that comes back": ("from house.deep import C\ndef made() -> C: ...", True),
    "another annotation": ("from house.deep import X\ndef made(x: X) -> X:\n    y: X = x\n    return y", False),
    "inside an f-string": ("from house import deep\ndef made():\n    return f'{deep.X!r:>{deep.X}}'", True),
    "a caught error": (
        "from house.deep import X\ndef made():\n    try:\n        pass\n    except X as e:\n        e",
        True,
    ),
    "a pattern": (
        "from house.deep import X\ndef made(x):\n    match x:\n        case [X]:\n            return X",
        False,
    ),
    "a walrus": ("from house.deep import X\ndef made(z):\n    return [X := y for y in z], X", False),
}


DEEP = "X = {0}\n\n\nclass C:\n    def f(self):\n        return {0}\n"


@pytest.mark.parametrize(("source", "uses"), PAIRS.values(), ids=PAIRS)
def test_which_names_lead_out_of_a_definition(source, uses, root):
    made = [
        digest(root, {"__init__.py": "", "deep.py": DEEP.format(x), "a.py": source + "\n"}, ("house.a", "made"))
        for x in (1, 2)
    ]
    assert (made[0] != made[1]) == uses


def test_a_circle_speaks_of_all_of_it_and_not_of_its_names(root):
    circle = "def f(n):\n    return n and g(n - {})\n\n\ndef g(n):\n    return n and h(n)\n\n\n"
    circle += "def h(n):\n    return f(n - {})\n"

    def made(source):
        return digest(root, {"__init__.py": "", "a.py": source}, ("house.a", "f"))

    assert made(circle.format(1, 1)) != made(circle.format(1, 2)) != made(circle.format(2, 1))
    renamed = circle.format(1, 1).replace("g(", "other(").replace("h(", "third(")
    assert made(renamed) == made(circle.format(1, 1))


def test_an_annotation_of_what_is_used_anyway_does_not_count(root):
    source = "from house.deep import C\n\n\ndef made(x{}):\n    return C(), x\n"
    files = {"__init__.py": "", "deep.py": DEEP.format(1)}
    plain, noted = (digest(root, files | {"a.py": source.format(n)}, ("house.a", "made")) for n in ("", ": C"))
    assert plain == noted


def test_what_is_silent_is_one_word(root):
    below = edited("rooms/low.py", ("0.5, 2", "0.5, 3"))
    assert digest(root, HOUSE, silent=["house.rooms"]) == digest(root, below, silent=["house.rooms"])
    assert digest(root, HOUSE, silent=["house.room"]) != digest(root, below, silent=["house.room"])


def test_a_check_may_be_put_into_a_definition(root, usual):
    """Where checks are silent and nothing is made of what they give; a page is made of what they say, too."""
    guards = {"guards.py": "def number(x):\n    if x is None:\n        raise ValueError\n"}
    call = ("    total =", "    guards.number(x)\n    total =")
    checked = edited("top.py", ("import numpy as np", "import numpy as np\nfrom house import guards"), call) | guards
    named = edited("top.py", ("import numpy as np", "from house.guards import number\nimport numpy as np"))
    named["top.py"] = named["top.py"].replace("    total =", "    number(x)\n    total =")
    kept = {"top.py": checked["top.py"].replace("guards.number(x)", "x = guards.number(x)")}
    silent = ["house.guards"]
    assert digest(root, checked, silent=silent) == digest(root, named | guards, silent=silent) == usual
    assert digest(root, checked | kept, silent=silent) != usual
    assert digest(root, checked) != usual


def test_no_guard_gives_writes_or_keeps_anything():
    """What it is handed is not written to: no name of a parameter is a target, with an index or without."""
    tree = ast.parse((code.PACKAGE / f"{code.GUARDS}.py").read_text("utf-8"))
    functions = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
    assert sum(ast.unparse(each.returns) == "None" for each in functions if not each.name.startswith("_")) >= 2
    for function in functions:
        handed = {each.arg for each in function.args.args}
        for node in ast.walk(function):
            assert not isinstance(node, ast.Global | ast.Nonlocal | ast.Delete), ast.unparse(node)
            if isinstance(getattr(node, "ctx", None), ast.Store):
                while isinstance(node, ast.Attribute | ast.Subscript):
                    node = node.value
                assert not (isinstance(node, ast.Name) and node.id in handed), ast.unparse(function)
            if isinstance(node, ast.Return) and not function.name.startswith("_"):
                assert node.value is None, ast.unparse(function)


def test_what_a_chapter_uses_is_named_with_its_digest(root):
    digest(root, HOUSE)
    source = (
        "import numpy\nfrom house import rooms, top\n\n\ndef twice(x):\n    return top.made(x)\n\n\nrooms.twice(2)\n"
    )
    used = Definitions(root / "house", ()).used_by(source)
    assert list(used) == ["house.rooms.low.twice", "house.top.made"] and used["house.top.made"] == digest(root, HOUSE)


def test_an_unknown_maker_is_named():
    with pytest.raises(
        KeyError, match=r"probsig\.seeds:absent is no definition of probsig: name it as module:function"
    ):
        code.digest(["probsig.seeds:absent"])


def test_makers_have_one_digest_in_any_order():
    two = ["probsig.seeds:stream", "probsig.errors:closest"]
    assert code.digest(two) == code.digest(reversed(two)) == code.digest([*two, *two]) != code.digest(two[:1])


def test_no_folder_hands_on_a_name_of_one_of_its_own_modules():
    """`probsig.geometry.cosines` could then be either."""
    package = Definitions()
    both = [f"{m.name}.{name}" for m in package.modules.values() for name in [*m.own, *m.imported]]
    assert not {name for name in both if name in package.modules and name.rpartition(".")[0] != "probsig"} - {
        f"{module.name}.{name}"
        for module in package.modules.values()
        for name, path in module.imported.items()
        if path == f"{module.name}.{name}"
    }


OTHERS = """
import json, sys, types
for name in ("probsig", "probsig.runs"):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = [f"{sys.argv[1]}/{name.replace('.', '/')}"]
from probsig.runs import code
package = code.Definitions()
print(json.dumps({".".join(home): digest for home, digest in package.digests(package.homes()).items()}))
"""


def interpreters():
    """Other versions of Python that are installed here."""
    homes = sorted(Path.home().glob(".pyenv/versions/3.1[1-9]*/bin/python"))
    return [str(path) for path in homes] + [p for n in range(11, 20) if (p := shutil.which(f"python3.{n}"))]


@pytest.mark.parametrize("minor", [11, 12, 13, 14])
@pytest.mark.slow
def test_every_version_of_python_gives_the_same_digests(minor):
    script = f"import sys; sys.exit(sys.version_info[:2] != (3, {minor}))"
    python = next((p for p in interpreters() if not subprocess.run([p, "-c", script]).returncode), None)
    if python is None:
        pytest.skip(f"there is no Python 3.{minor} here")
    theirs = subprocess.run([python, "-c", OTHERS, str(PACKAGES)], capture_output=True, text=True, check=True).stdout
    package = Definitions()
    assert json.loads(theirs) == {".".join(home): made for home, made in package.digests(package.homes()).items()}
