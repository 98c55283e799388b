from .results import MissingRun, Piece, Run, find, folder, may_compute, name_of, over, run, store

__all__ = [
    "Line",
    "MissingRun",
    "Piece",
    "Run",
    "describe",
    "find",
    "folder",
    "may_compute",
    "name_of",
    "over",
    "run",
    "store",
]
