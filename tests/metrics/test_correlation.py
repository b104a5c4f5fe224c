"""Spearman with its bootstrap, R-Precision and mAP@R, group means and agreement, against slow and plain oracles."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from parabench.errors import DataError
from parabench.metrics.bootstrap import draws
from parabench.metrics.correlation import spearman_draws, spearman_estimates, spearman_rho
from parabench.metrics.grouped import group_mean_column, pairwise_agreement
from parabench.metrics.retrieval import average_precision_at_r, r_precision


@pytest.fixture
def rated():
    rng = np.random.default_rng(3)
    human = np.round(rng.random(300) * 5, 1)
    return np.round(human + rng.normal(size=300), 1), human, rng.integers(0, 90, 300)


def test_spearman_is_scipys_ties_included(rated):
    x, y, _ = rated
    assert spearman_rho(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert spearman_rho(x, -x) == pytest.approx(-1) and spearman_rho(np.ones(300), y) == 0.0


def test_every_resample_is_ranked_anew(rated):
    x, y, clusters = rated
    resampled = spearman_draws(np.column_stack([x, -x]), y, clusters, n_resamples=40, seed=1)
    labels, codes = np.unique(clusters, return_inverse=True)
    weights = np.concatenate(list(draws(len(labels), 40, 1).weights(width=len(x))))
    for row in range(40):
        index = np.repeat(np.arange(300), weights[row][codes].astype(int))
        expected = spearmanr(x[index], y[index]).statistic
        assert resampled[row] == pytest.approx([expected, -expected], abs=1e-12)


def test_the_interval_holds_the_value_and_needs_two_clusters(rated):
    x, y, clusters = rated
    (estimate,) = spearman_estimates(x[:, None], y, clusters, n_resamples=500)
    assert estimate.ci_low < estimate.value < estimate.ci_high and (estimate.n, estimate.clusters) == (300, len(set(clusters)))
    (alone,) = spearman_estimates(x[:, None], y, np.zeros(300))
    assert alone.ci_low is None and alone.clusters == 1


@pytest.mark.parametrize(("x", "y", "message"), [([1.0], [1.0], "two pairs"), ([1.0, np.nan], [1, 2], "NaN"), ([1, 2], [1, 2, 3], "compared")])
def test_what_has_no_correlation_is_refused(x, y, message):
    with pytest.raises(DataError, match=message):
        spearman_rho(np.array(x), np.array(y))


def test_map_at_r_and_r_precision_by_their_definitions():
    rng = np.random.default_rng(0)
    relevant = rng.random((200, 12)) < 0.4
    total = rng.integers(1, 13, 200)
    for row in range(200):
        r = total[row]
        precision = [relevant[row, : i + 1].mean() for i in range(r)]
        expected = sum(p * hit for p, hit in zip(precision, relevant[row, :r], strict=True)) / r
        assert average_precision_at_r(relevant, total)[row] == pytest.approx(expected, abs=1e-12)
        assert r_precision(relevant, total)[row] == pytest.approx(relevant[row, :r].mean(), abs=1e-12)
    # the worked example of Musgrave et al. 2020, figure 2: ten relevant items, found at 1 and at 10
    found = np.zeros((1, 10), bool)
    found[0, [0, 9]] = True
    assert r_precision(found, np.array([10]))[0] == 0.2 and average_precision_at_r(found, np.array([10]))[0] == pytest.approx(0.12)
    with pytest.raises(DataError, match="rank deeper"):
        r_precision(found, np.array([11]))
    with pytest.raises(DataError, match="without a relevant item"):
        r_precision(found, np.array([0]))


def test_group_means_and_their_influence():
    values, groups = np.array([1, 1, 0, 1.0]), np.array([0, 0, 0, 1])
    column = group_mean_column(values, groups)
    assert column.mean() == pytest.approx((2 / 3 + 1) / 2)
    assert np.ptp(group_mean_column(np.ones(4), groups)) == 0, "where every group is right, the sizes of groups add no noise"


def test_agreement_counts_pairs_of_columns():
    assert pairwise_agreement(np.array([[1, 1, 1], [1, 1, 2], [1, 2, 3]])).tolist() == pytest.approx([1, 1 / 3, 0])
    with pytest.raises(DataError, match="two predictions"):
        pairwise_agreement(np.ones((3, 1)))
