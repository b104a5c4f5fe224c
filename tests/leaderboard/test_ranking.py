"""Paired tests against scipy and the sign-flip test; ranks that are ranges."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from parabench.leaderboard.ranking import paired_test, rank_ranges
from parabench.metrics import holm, sign_flip_test


def test_without_clusters_it_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.1, 1, 80), rng.normal(0, 1, 80)
    found, expected = paired_test(a, b, np.arange(80)), stats.ttest_rel(a, b)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-12)
    ends = expected.confidence_interval(0.95)
    assert (found.ci_low, found.ci_high) == pytest.approx((ends.low, ends.high), rel=1e-12)


def test_with_equal_clusters_it_is_the_t_test_of_cluster_means():
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(60), 3)
    a, b = rng.normal(0, 1, 180) + np.repeat(rng.normal(0.2, 1, 60), 3), rng.normal(0, 1, 180)
    expected = stats.ttest_1samp((a - b).reshape(60, 3).mean(axis=1), 0)
    assert paired_test(a, b, clusters).p == pytest.approx(expected.pvalue, rel=1e-12)


def test_it_agrees_with_the_sign_flip_test_of_compare():
    rng = np.random.default_rng(2)
    clusters = np.sort(rng.integers(0, 400, 1200))
    for shift in (0, 0.02, 0.05):
        a, b = rng.random(1200) + shift, rng.random(1200)
        flipped = sign_flip_test(a - b, clusters, n_permutations=20_000)[0]
        assert paired_test(a, b, clusters).p == pytest.approx(flipped, abs=0.015)


def test_equal_entries_have_p_1_and_a_constant_shift_has_p_0():
    clusters = np.repeat(np.arange(10), 2)
    values = np.random.default_rng(3).random(20)
    assert paired_test(values, values, clusters).p == 1
    assert paired_test(np.ones(20), np.zeros(20), clusters).p == 0


def test_ranges_are_those_of_all_single_tests_adjusted_by_holm():
    rng = np.random.default_rng(4)
    clusters = np.repeat(np.arange(100), 3)
    values = np.stack([rng.normal(mean, 1, 300) + np.repeat(rng.normal(0, 0.3, 100), 3) for mean in (0, 0.05, 0.3, 0.32, 0.9, 0.9)])
    pairs = list(itertools.combinations(range(6), 2))
    p = holm([paired_test(values[i], values[j], clusters).p for i, j in pairs])
    expected = np.array([[1, 6]] * 6)
    for (i, j), adjusted in zip(pairs, p, strict=True):
        if adjusted < 0.05:
            better, worse = (i, j) if values[i].mean() > values[j].mean() else (j, i)
            expected[worse, 0] += 1
            expected[better, 1] -= 1
    assert rank_ranges(values, clusters).tolist() == expected.tolist()


def test_identical_entries_share_a_range_and_one_entry_is_first():
    values = np.random.default_rng(5).random((1, 40))
    clusters = np.arange(40) // 2
    assert rank_ranges(values, clusters).tolist() == [[1, 1]]
    assert rank_ranges(np.repeat(values, 3, axis=0), clusters).tolist() == [[1, 3]] * 3


def test_a_true_order_is_never_contradicted_more_often_than_promised():
    """200 boards of five entries with equal means: at most about 5 % of them separate any two."""
    rng = np.random.default_rng(6)
    clusters = np.repeat(np.arange(60), 2)
    wrong = sum((rank_ranges(rng.normal(0, 1, (5, 120)) + np.repeat(rng.normal(0, 1, (5, 60)), 2, axis=1), clusters) != [1, 5]).any() for _ in range(200))
    assert wrong <= 22  # P(more than 22 of 200 at 5 %) < 0.001
