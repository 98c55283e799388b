from .bigrams import Bigrams, count, merged

__all__ = [
    "Bigrams",
    "count",
    "merged",
]
