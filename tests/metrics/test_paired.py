"""Intervals that cover, p-values that are uniform under the null, and differences that a set can show."""

import itertools

import numpy as np
import pytest
from scipy.stats import kstest, ttest_1samp

from parabench.errors import DataError
from parabench.metrics import (
    bootstrap_parts,
    cluster_bootstrap,
    clustered_standard_error,
    holm,
    minimum_detectable_difference,
    paired_differences,
    sign_flip_test,
)


def studies(seed, clusters=120, size=6, count=1000, between=1.0, shift=0.0):
    """``count`` independent data sets as columns, whose rows share an effect of their cluster; the truth is ``shift``."""
    rng = np.random.default_rng(seed)
    effect = between * rng.normal(size=(clusters, 1, count))
    return shift + (effect + rng.normal(size=(clusters, size, count))).reshape(-1, count), np.repeat(np.arange(clusters), size)


def coverage(values, labels):
    found = cluster_bootstrap(values, labels, n_resamples=2000, seed=1)
    return np.mean([e.ci_low <= 0 <= e.ci_high for e in found])


def test_the_clustered_interval_covers_the_truth_and_the_unclustered_one_does_not():
    values, clusters = studies(0)
    assert 0.93 <= coverage(values, clusters) <= 0.97
    assert coverage(values, np.arange(len(values))) < 0.75


def test_coverage_holds_for_bounded_scores_in_clusters_of_different_sizes():
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 9, 200)
    clusters = np.repeat(np.arange(200), sizes)
    level = rng.beta(2, 2, (200, 1000))[clusters]
    values = (rng.random(level.shape) < level).astype(float) - 0.5  # hits: the truth is .5, taken off
    assert 0.93 <= coverage(values, clusters) <= 0.97


def test_sign_flip_p_values_are_uniform_under_the_null():
    values, clusters = studies(2, clusters=80)
    p = sign_flip_test(values, clusters, n_permutations=2000, seed=3)
    assert kstest(p, "uniform").pvalue > 0.01
    naive = sign_flip_test(values, np.arange(len(values)), n_permutations=2000, seed=3)
    assert kstest(naive, "uniform").pvalue < 1e-6, "flipping pairs of one picture apart finds differences that are not there"


def test_few_clusters_are_enumerated_exactly():
    rng = np.random.default_rng(4)
    totals = rng.normal(0.5, 1, 9).round(2)
    expected = np.mean([abs(np.dot(s, totals)) >= abs(totals.sum()) - 1e-9 for s in itertools.product((1, -1), repeat=9)])
    assert sign_flip_test(totals, np.arange(9)) == pytest.approx(expected, abs=1e-15)
    padded = np.concatenate([totals, np.zeros(40)])  # a cluster without a difference has no sign to flip
    assert sign_flip_test(padded, np.arange(49)) == pytest.approx(expected, abs=1e-15)
    assert sign_flip_test(np.array([1.0, 2.0, 3.0]), np.arange(3))[0] == 0.25
    assert sign_flip_test(np.zeros(30), np.arange(30))[0] == 1.0


def test_random_flips_approach_the_exact_value_and_are_never_zero():
    rng = np.random.default_rng(5)
    totals = rng.normal(0.4, 1, 14)
    exact = np.mean([abs(np.dot(s, totals)) >= abs(totals.sum()) for s in itertools.product((1, -1), repeat=14)])
    assert sign_flip_test(totals, np.arange(14), n_permutations=40_000)[0] == pytest.approx(exact, abs=0.01)
    assert sign_flip_test(np.ones(200), np.arange(200), n_permutations=999)[0] == 1 / 1000


def test_holm_by_hand_and_its_laws():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.5]), [1.0, 1.0])
    assert holm([]).shape == (0,) and holm([0.2])[0] == 0.2
    with pytest.raises(DataError, match="between 0 and 1"):
        holm([0.1, float("nan")])


def test_standard_error_without_clusters_is_the_textbook_one():
    values = np.random.default_rng(6).normal(size=50)
    assert clustered_standard_error(values, np.arange(50))[0] == pytest.approx(values.std(ddof=1) / 50**0.5)
    doubled = clustered_standard_error(np.repeat(values, 3), np.repeat(np.arange(50), 3))[0]
    assert doubled == pytest.approx(values.std(ddof=1) / 50**0.5), "three copies of a pair say no more than one"


def test_the_detectable_difference_is_found_in_four_of_five_studies():
    values, clusters = studies(7, clusters=60)
    least = minimum_detectable_difference(values, clusters).mean()
    by_cluster = (values + least).reshape(60, 6, -1).mean(axis=1)
    assert 0.76 <= (ttest_1samp(by_cluster, 0).pvalue < 0.05).mean() <= 0.84


def test_paired_differences_of_one_picture_zero_variance_and_nan():
    (one,) = paired_differences(np.array([0.1, 0.3]), np.array(["a", "a"]))
    assert one.difference == pytest.approx(0.2) and (one.p, one.ci_low, one.minimum_detectable) == (None, None, None)
    (same,) = paired_differences(np.zeros(20), np.arange(20))
    assert (same.difference, same.ci_low, same.ci_high, same.p, same.minimum_detectable) == (0, 0, 0, 1, 0)
    (fixed,) = paired_differences(np.full(40, 0.25), np.arange(40), n_permutations=999)
    assert (fixed.ci_low, fixed.ci_high, fixed.p) == (0.25, 0.25, 0.001)
    with pytest.raises(DataError, match="NaN"):
        paired_differences(np.array([0.0, np.nan]), np.arange(2))


def test_parts_share_the_resamples_of_the_whole():
    rng = np.random.default_rng(8)
    values, clusters = rng.random(300), np.repeat(np.arange(100), 3)
    part = clusters < 40
    (whole,) = cluster_bootstrap(values, clusters)
    (same,), (inside,) = bootstrap_parts([(values[:, None], clusters), (values[part, None], clusters[part])], 100)
    (alone,) = cluster_bootstrap(values[part], clusters[part])
    assert (same.value, same.n, same.clusters) == (whole.value, whole.n, whole.clusters)
    # to the rounding of a float32 product, which differs with how many columns it has
    assert (same.ci_low, same.ci_high) == pytest.approx((whole.ci_low, whole.ci_high), rel=1e-7, abs=0)
    assert (inside.n, inside.clusters) == (120, 40)
    assert inside.ci_high - inside.ci_low == pytest.approx(alone.ci_high - alone.ci_low, rel=0.1)
    ((two,),) = bootstrap_parts([(values[:6, None], clusters[:6])], 100, n_resamples=500)
    assert np.isfinite([two.ci_low, two.ci_high]).all(), "resamples without any of two pictures are left out"


def test_many_parts_at_once_are_what_each_is_alone():
    rng = np.random.default_rng(9)
    values, clusters = rng.random((900, 3)), np.repeat(np.arange(300), 3)
    masks = [np.isin(clusters, rng.choice(300, size, replace=False)) for size in (300, 200, 80, 20, 2, 1, *[150] * 90)]
    parts = [(values[mask], clusters[mask]) for mask in masks]
    together = bootstrap_parts(parts, 300, n_resamples=300)
    for part, estimates in zip(parts, together, strict=True):
        (alone,) = bootstrap_parts([part], 300, n_resamples=300)
        assert [(e.value, e.n, e.clusters) for e in alone] == [(e.value, e.n, e.clusters) for e in estimates]
        if estimates[0].clusters > 1:
            np.testing.assert_allclose([e.ci_low for e in alone], [e.ci_low for e in estimates], rtol=0, atol=1e-6)
            np.testing.assert_allclose([e.ci_high for e in alone], [e.ci_high for e in estimates], rtol=0, atol=1e-6)
        else:
            assert estimates[0].ci_low is None and estimates[0].ci_high is None
    with pytest.raises(DataError, match="no rows"):
        bootstrap_parts([*parts, (values[:0], clusters[:0])], 300)
