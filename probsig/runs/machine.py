"""On what a result was made: versions of libraries, the processor, the accelerator."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from probsig.runs.files import checkout

LIBRARIES = ("numpy", "scipy", "matplotlib", "torch", "transformers", "safetensors", "probsig")


def versions() -> dict[str, str]:
    """Versions of Python and of the installed libraries that shape a number.

    >>> sorted(versions())[:3]
    ['matplotlib', 'numpy', 'probsig']
    """
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> str:
    """One line about this machine: processor, the cores this process may use, the accelerator if the driver shows one.

    >>> "core" in hardware()
    True
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    line = f"{_processor()}, {cores} core{'s' if cores > 1 else ''}"
    accelerators = _ask("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    return ", ".join([line, *accelerators])


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return _ask("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or platform.machine()


def _ask(*command: str) -> str:
    """First answer of a program, or nothing where it is absent or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def commit() -> str | None:
    """The commit of the checkout that this package runs from, with "+" behind where the package was changed since; None
    outside one."""
    root = checkout()
    if root is None:
        return None
    found = _ask("git", "-C", str(root), "rev-parse", "HEAD")
    changed = _ask("git", "-C", str(root), "status", "--porcelain", "--", "probsig")
    return found + "+" * bool(changed) if found else None
