"""Pure functions on arrays: rank similarity, retrieval, contrasts, and their uncertainty."""

from parabench.metrics.bootstrap import Estimate, cluster_bootstrap, cluster_bootstrap_median
from parabench.metrics.contrast import both_hit_table, derangement, flips, foil_contrast
from parabench.metrics.grammar import Metric, RankSimilarity, compute, parse, split_names
from parabench.metrics.rank_similarity import spearman
from parabench.metrics.retrieval import hits, reciprocal_rank

__all__ = [
    "Estimate",
    "Metric",
    "RankSimilarity",
    "both_hit_table",
    "cluster_bootstrap",
    "cluster_bootstrap_median",
    "compute",
    "derangement",
    "flips",
    "foil_contrast",
    "hits",
    "parse",
    "reciprocal_rank",
    "spearman",
    "split_names",
]
