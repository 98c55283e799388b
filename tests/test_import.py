"""The package's front door: light, and it says which version it is."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import probsig

ROOT = Path(__file__).parents[1]
SCRIPT = """
import sys, time
start = time.perf_counter()
import probsig
print(time.perf_counter() - start, *sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_import_is_quick_and_brings_no_framework():
    runs = [
        subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(3)
    ]
    assert min(float(run[0]) for run in runs) < 0.3
    assert not {"torch", "transformers", "matplotlib", "scipy"} & set(runs[0])


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = re.search(r"(?m)^version: \"?([\d.]+)", (ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert probsig.__version__ == project["version"] == citation[1]
    assert f"[{probsig.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
