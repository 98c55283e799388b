from .distribution import Distribution
from .sequences import SequenceLaw, markov
from .tasks import TASKS, TEX, addition, addition_same_domain, modular_addition

__all__ = [
    "TASKS",
    "TEX",
    "Distribution",
    "SequenceLaw",
    "addition",
    "addition_same_domain",
    "markov",
    "modular_addition",
]
