"""Work that stops in the middle, for the tests that need it."""

import errno

import pytest


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
