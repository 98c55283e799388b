"""What every run of pytest shares, whatever it is asked for: one thread, no window, no bars, a folder for new runs."""

import os
import tempfile

import hypothesis
import pytest

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS")


def pytest_configure(config):
    """Set the environment before anything is collected; the kernels of nbval and papermill inherit it."""
    for name in THREADS:
        os.environ.setdefault(name, "1")
    import matplotlib  # not before: it loads numpy, which reads the number of threads once

    os.environ.setdefault("PYTHONHASHSEED", "0")
    os.environ["TQDM_DISABLE"] = "1"  # a bar that only a slow machine shows would be an output of its own
    config.probsig_runs = tempfile.TemporaryDirectory(prefix="probsig-runs-")
    os.environ["PROBSIG_RUNS"] = config.probsig_runs.name  # a reader's own runs must not decide a test
    matplotlib.use("agg")
    hypothesis.settings.register_profile("book", deadline=None)  # a busy machine is no failure
    hypothesis.settings.load_profile("book")


def pytest_collectstart(collector):
    """The numbers of a figure are compared as its picture is: by the ledger, and never between machines."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("application/gzip",)


def pytest_unconfigure(config):
    """Remove the runs that the tests made."""
    if hasattr(config, "probsig_runs"):
        config.probsig_runs.cleanup()


@pytest.fixture(autouse=True)
def environment():
    """A test leaves what decides a page as it found it: kernels that are started later inherit the environment."""

    def deciding():
        ours = {name: value for name, value in os.environ.items() if name.startswith(("PROBSIG_", "TQDM_", "HF_"))}
        return ours | {name: os.environ.get(name) for name in (*THREADS, "PYTHONHASHSEED", "MPLBACKEND", "PATH")}

    before = deciding()
    yield
    assert deciding() == before, "the test changed the environment: use monkeypatch, or put it back"
