from .bigrams import Bigrams, count, frequent, merged

__all__ = [
    "Bigrams",
    "count",
    "frequent",
    "merged",
]
