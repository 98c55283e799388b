from .checkpoints import Checkpoint, Pretrained, load_embeddings, open_checkpoint
from .networks import SHAPES, Shape, build, embeddings
from .signatures import TextSignatures
from .training import Log, Recipe, train

__all__ = [
    "SHAPES",
    "Checkpoint",
    "Log",
    "Pretrained",
    "Recipe",
    "Shape",
    "TextSignatures",
    "build",
    "embeddings",
    "load_embeddings",
    "open_checkpoint",
    "train",
]
