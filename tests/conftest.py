"""What tests share: one thread, no window, a folder of its own for new runs; work that stops in the middle."""

import errno
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


@pytest.fixture
def stops():
    """A draft that is asked to stop at its `at`-th look at the clock: stops(folder, at)."""
    from probsig.runs import drafts

    class Stops(drafts.Draft):
        def __init__(self, folder, at):
            super().__init__(folder)
            self.left = at

        def due(self):
            self.left -= 1
            if self.left == 0:
                self.stop.set()
            return self.stop.is_set()

    return Stops


@pytest.fixture
def full():
    """A disk that is full at one of several calls: wrap, seen = full(at), and `wrap(call)` fails at the `at`-th."""

    def disk(at):
        seen = []

        def wrap(true):
            def call(*arguments, **options):
                seen.append(true)
                if len(seen) == at + 1:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return true(*arguments, **options)

            return call

        return wrap, seen

    return disk


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of its own for the runs of a test file."""
    from probsig.runs import files as runs_files

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROBSIG_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setattr(runs_files, "checkout", lambda: None)
        yield patch


@pytest.fixture(scope="module")
def toys():
    """A function that gives two small training sets, "other" and "toy", and a list with an entry for each call."""
    from probsig.text.sources.toy import ToyCorpus
    from probsig.text.training_set import training_set

    opened = []

    def sets():
        opened.append(1)
        return [training_set(ToyCorpus.of(0, name=name), 6_000, 150, 0, name) for name in ("other", "toy")]

    return sets, opened
