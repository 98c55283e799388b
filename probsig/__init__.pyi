from . import geometry, language, laws, runs, signatures
from .addition.training import train
from .answers.alignment import align
from .answers.beside import beside
from .answers.kinship import group
from .answers.neighbours import nearest
from .answers.symmetry import symmetry
from .answers.windows import windows
from .counts.bigrams import count
from .geometry.small import cosine, cosine_correlation, order_correlation, pca, permutation_null
from .language.checkpoints import load_embeddings
from .laws.distribution import Distribution
from .laws.sequences import SequenceLaw, markov
from .pages.claims import claim
from .pages.errata import erratum
from .text.corpora import open_corpus
from .text.training_set import training_set
from .theory.flow import loss, velocity
from .theory.models import FeedForward, LinearModel
from .theory.modules import TorchModel
from .theory.orders import residual_order
from .theory.selection import compare

__version__: str

__all__ = [
    "Distribution",
    "FeedForward",
    "LinearModel",
    "SequenceLaw",
    "TorchModel",
    "align",
    "beside",
    "claim",
    "compare",
    "cosine",
    "cosine_correlation",
    "count",
    "erratum",
    "geometry",
    "group",
    "language",
    "laws",
    "load_embeddings",
    "loss",
    "markov",
    "nearest",
    "open_corpus",
    "order_correlation",
    "pca",
    "permutation_null",
    "residual_order",
    "runs",
    "signatures",
    "symmetry",
    "train",
    "training_set",
    "velocity",
    "windows",
]
