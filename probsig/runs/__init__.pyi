from .results import MissingRun, Piece, Run, find, folder, may_compute, name_of, over, run, store

__all__ = [
    "MissingRun",
    "Piece",
    "Run",
    "find",
    "folder",
    "may_compute",
    "name_of",
    "over",
    "run",
    "store",
]
