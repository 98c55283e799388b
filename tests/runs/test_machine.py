"""On what a result was made, in words that fit on a line."""

import subprocess
import textwrap

from probsig.runs import machine


def test_versions_and_hardware():
    assert {"python", "numpy", "probsig"} <= machine.versions().keys()
    assert textwrap.shorten(machine.hardware(), 200) == machine.hardware()


def test_a_commit_says_whether_the_package_was_changed_since(tmp_path, monkeypatch):
    def git(*command):
        told = ["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=m"]
        return subprocess.run(["git", *told, *command], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    monkeypatch.setattr(machine, "checkout", lambda: tmp_path)
    assert machine.commit() is None
    (tmp_path / "probsig").mkdir()
    (tmp_path / "probsig" / "a.py").write_text("x = 1\n")
    git("init")
    git("add", "-A")
    git("commit", "-m", "first")
    head = git("rev-parse", "HEAD").strip()
    (tmp_path / "beside.txt").write_text("")
    assert machine.commit() == head
    (tmp_path / "probsig" / "a.py").write_text("x = 2\n")
    assert machine.commit() == f"{head}+"


def test_another_project_around_an_installed_package_is_not_its_checkout(monkeypatch):
    monkeypatch.setattr(machine, "checkout", lambda: None)
    assert machine.commit() is None
