from .large import Correlations, Cosines, correlations, cosines
from .percentiles import PercentileTable, percentile_table
from .reliability import SplitHalf, bootstrap, matched_null, spearman_brown, split_half
from .small import (
    cosine,
    cosine_correlation,
    null_size,
    order_correlation,
    pairs,
    pca,
    pearson,
    permutation_null,
    plane,
)

__all__ = [
    "Correlations",
    "Cosines",
    "PercentileTable",
    "SplitHalf",
    "bootstrap",
    "correlations",
    "cosine",
    "cosine_correlation",
    "cosines",
    "matched_null",
    "null_size",
    "order_correlation",
    "pairs",
    "pca",
    "pearson",
    "percentile_table",
    "permutation_null",
    "plane",
    "spearman_brown",
    "split_half",
]
