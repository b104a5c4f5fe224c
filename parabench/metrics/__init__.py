"""Pure functions on arrays: rank similarity, retrieval, contrasts, and their uncertainty."""

from parabench.metrics.bootstrap import (
    Estimate,
    bootstrap_parts,
    cluster_bootstrap,
    cluster_bootstrap_median,
    cluster_index,
    draws,
    interval,
    resampled_means,
)
from parabench.metrics.contrast import both_hit_table, derangement, flips, foil_contrast
from parabench.metrics.grammar import Metric, RankSimilarity, compute, parse, split_names
from parabench.metrics.paired import (
    PairedDifference,
    clustered_standard_error,
    holm,
    minimum_detectable_difference,
    paired_differences,
    sign_flip_test,
)
from parabench.metrics.rank_similarity import spearman
from parabench.metrics.retrieval import hits, reciprocal_rank

__all__ = [
    "Estimate",
    "Metric",
    "PairedDifference",
    "RankSimilarity",
    "bootstrap_parts",
    "both_hit_table",
    "cluster_bootstrap",
    "cluster_bootstrap_median",
    "cluster_index",
    "clustered_standard_error",
    "compute",
    "derangement",
    "draws",
    "flips",
    "foil_contrast",
    "hits",
    "holm",
    "interval",
    "minimum_detectable_difference",
    "paired_differences",
    "parse",
    "reciprocal_rank",
    "resampled_means",
    "sign_flip_test",
    "spearman",
    "split_names",
]
