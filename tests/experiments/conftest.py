"""What tests of language runs share: texts at smoke scale, and texts that must not be opened."""

import pytest

from probsig.experiments.texts import Texts


@pytest.fixture(scope="module")
def texts():
    return Texts(scale="smoke")


@pytest.fixture(scope="session")
def untouched():
    """The class of texts that must not be opened."""

    class Untouched(Texts):
        def _corpus(self, name):
            raise AssertionError("a text was opened")

    return Untouched
