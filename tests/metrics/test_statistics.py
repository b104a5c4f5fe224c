"""Intervals over pictures, and the controls beside stability."""

import numpy as np
import pytest

from parabench.errors import DataError
from parabench.metrics import (
    both_hit_table,
    cluster_bootstrap,
    cluster_bootstrap_median,
    derangement,
    draws,
    foil_contrast,
    interval,
)
from parabench.metrics.bootstrap import Draws, bootstrap_parts


def clustered(seed, clusters=60, size=8):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=clusters)[:, None] + 0.3 * rng.normal(size=(clusters, size))).ravel(), np.repeat(np.arange(clusters), size)


def test_mean_and_order_do_not_depend_on_rows():
    values, clusters = clustered(0)
    (whole,) = cluster_bootstrap(values, clusters)
    assert whole.value == pytest.approx(values.mean(), abs=1e-12) and (whole.n, whole.clusters) == (480, 60)
    shuffled = np.random.default_rng(1).permutation(len(values))
    (again,) = cluster_bootstrap(values[shuffled], clusters[shuffled])
    assert again.ci_low == pytest.approx(whole.ci_low, abs=1e-5)


def test_interval_matches_a_plain_loop_and_theory():
    values, clusters = clustered(2)
    (fast,) = cluster_bootstrap(values, clusters)
    by_cluster = [values[clusters == c] for c in range(60)]
    rng = np.random.default_rng(5)
    means = [np.concatenate([by_cluster[c] for c in rng.integers(0, 60, 60)]).mean() for _ in range(4000)]
    low, high = np.quantile(means, [0.025, 0.975])
    width = high - low
    assert abs(fast.ci_low - low) < 0.08 * width and abs(fast.ci_high - high) < 0.08 * width


def test_clusters_widen_the_interval():
    values, clusters = clustered(3)
    (right,), (naive,) = cluster_bootstrap(values, clusters), cluster_bootstrap(values, np.arange(len(values)))
    assert right.ci_high - right.ci_low > 2 * (naive.ci_high - naive.ci_low)


def test_columns_share_resamples_and_seeds_repeat():
    values, clusters = clustered(4)
    one, two = cluster_bootstrap(np.column_stack([values, values]), clusters, n_resamples=500, seed=7)
    again = cluster_bootstrap(np.column_stack([values, values]), clusters, n_resamples=500, seed=7)
    assert [one, two] == again and one.ci_low == pytest.approx(two.ci_low, abs=1e-9)
    (other,) = cluster_bootstrap(values, clusters, n_resamples=500, seed=8)
    assert other.ci_low != one.ci_low


def test_one_cluster_has_no_interval_and_bad_input_is_refused():
    (only,) = cluster_bootstrap(np.array([1.0, 2.0]), np.array(["a", "a"]))
    assert only.value == 1.5 and only.ci_low is None
    with pytest.raises(DataError, match="no rows"):
        cluster_bootstrap(np.array([]), np.array([]))
    with pytest.raises(DataError, match="NaN"):
        cluster_bootstrap(np.array([1.0, np.nan]), np.array([0, 1]))


@pytest.mark.parametrize("seed", range(12))
def test_the_median_equals_sorting_every_resample(seed):
    rng = np.random.default_rng(seed)
    n_clusters = int(rng.integers(2, 30))
    clusters = np.concatenate([np.arange(n_clusters), rng.integers(0, n_clusters, 40)])
    values = np.floor(rng.exponential([2, 100][seed % 2], len(clusters))) if seed % 4 else np.full(len(clusters), 3.0)
    got = cluster_bootstrap_median(values, clusters, n_resamples=300, seed=seed)
    weights = np.concatenate([block for _, block in draws(n_clusters, 300, seed).blocks()], axis=1)
    medians = [np.median(np.repeat(values, weights[clusters, r])) for r in range(300)]
    assert (got.ci_low, got.ci_high) == tuple(np.quantile(medians, [0.025, 0.975], method="inverted_cdf"))
    assert got.value == np.median(values)


def test_the_median_of_many_distinct_values_is_that_of_the_middle_two():
    rng = np.random.default_rng(0)
    values, clusters = rng.integers(1, 2000, 600).astype(float), np.arange(600)
    got = cluster_bootstrap_median(values, clusters, n_resamples=400)
    weights = np.concatenate([block for _, block in draws(600, 400, 0).blocks()], axis=1)
    medians = [np.median(np.repeat(values, weights[:, r])) for r in range(400)]
    assert (got.ci_low, got.ci_high) == tuple(np.quantile(medians, [0.025, 0.975], method="inverted_cdf"))
    even = cluster_bootstrap_median(np.array([2.0, 9.0] * 3), np.repeat(np.arange(3), 2))
    assert (even.value, even.ci_low, even.ci_high) == (5.5, 5.5, 5.5), "every resample holds as many of the one as of the other"


def test_intervals_of_hits_are_shares_of_hits():
    hits = np.zeros(50)
    hits[:2] = 1
    (found,) = cluster_bootstrap(hits, np.arange(50))
    assert found.ci_low == 0 and found.ci_high * 50 == round(found.ci_high * 50)


def test_every_resample_draws_as_many_clusters_as_there_are():
    (_, block), = draws(37, 1000, 5).blocks()
    assert (block.sum(axis=0) == 37).all() and block.mean(axis=1) == pytest.approx(1.0, abs=0.15)
    assert block.var() == pytest.approx(1 - 1 / 37, abs=0.02), "a multiplicity is binomial(37, 1/37)"


def test_draws_that_are_not_kept_are_the_same():
    kept, streamed = draws(50, 200, 9), Draws(50, 200, 9)
    factors = np.random.default_rng(0).random((3, 50)).astype(np.float32)
    np.testing.assert_allclose(kept.sums(factors), streamed.sums(factors), rtol=1e-6)
    (whole, block), = kept.blocks()
    assert whole == slice(0, 200) and (block == np.concatenate([b for _, b in streamed.blocks()], axis=1)).all()


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 10, 999, 10_000])
def test_the_ends_of_an_interval_are_numpys_quantiles(n, level):
    rng = np.random.default_rng(n)
    rows = np.stack([
        rng.normal(size=n), np.sort(rng.normal(size=n)), rng.integers(0, 3, n), np.zeros(n), rng.random(n) ** 40,
        np.where(np.arange(n) % 32 == 0, 5.0, rng.random(n)),  # a sample of every 32nd misleads
    ])  # fmt: skip
    ends = [(1 - level) / 2, (1 + level) / 2]
    assert np.array_equal(interval(rows, level), np.quantile(rows, ends, axis=1))
    rows[:, 0] = np.nan
    assert np.array_equal(interval(rows, level), np.nanquantile(rows, ends, axis=1))


@pytest.mark.parametrize("sizes", [[1, 1], [5] * 20, [1, 2, 3, 4], [9, 1, 1], [3, 3]])
def test_derangement_never_stays_with_its_picture(sizes):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    groups = np.random.default_rng(0).permutation(groups)
    partner = derangement(groups, 0)
    assert (groups[partner] != groups).all() and (partner == derangement(groups, 0)).all()
    if max(sizes) * 2 <= len(groups):
        assert sorted(partner) == list(range(len(groups)))


def test_derangement_needs_two_pictures():
    with pytest.raises(DataError, match="two pictures"):
        derangement(np.zeros(4), 0)


def test_foils_are_compared_within_their_caption():
    values, owners = np.array([0.9, 0.5, 0.4, 0.7]), np.array([0, 0, 1, 9])
    foils, foil_owners = np.array([0.4, 0.5, 0.1]), np.array([1, 0, 0])
    gap, win, caption = foil_contrast(values, owners, foils, foil_owners)
    expected = [(v - f, o) for v, o in zip(values, owners, strict=True) for f, g in zip(foils, foil_owners, strict=True) if o == g]
    assert sorted(zip(gap.round(9), caption, strict=True)) == sorted((round(d, 9), o) for d, o in expected)
    assert win.mean() == np.mean([1.0 if d > 0 else 0.5 if d == 0 else 0.0 for d, _ in expected])


def test_both_hit_table():
    table = both_hit_table(np.array([1, 1, 0, 0.0]), np.array([1, 0, 1, 0.0]), np.array([0.8, 0.4, 0.2, 0.0]))
    assert [cell["n"] for cell in table.values()] == [1, 1, 1, 1] and table["caption_only"]["similarity"] == 0.4


@pytest.mark.parametrize("value", [0.1, 0.3, 1 / 3, 0.7, 1e-9, 0.0, 1.0])
def test_the_interval_of_equal_values_is_that_value(value):
    for n in range(2, 40):
        (estimate,) = cluster_bootstrap(np.full(n, value), np.arange(n), n_resamples=50)
        assert estimate.ci_low == estimate.value == estimate.ci_high == value


def test_a_part_that_no_resample_holds_has_no_interval():
    values, codes = np.ones((2, 1)), np.array([0, 1])
    seen = set()
    for seed in range(40):
        ((estimate,),) = bootstrap_parts([(values, codes)], 12, n_resamples=1, seed=seed)
        assert estimate.value == 1 and (estimate.ci_low, estimate.ci_high) in ((None, None), (1.0, 1.0))
        seen.add(estimate.ci_low)
    assert seen == {None, 1.0}
    assert np.isnan(interval(np.full((2, 5), np.nan))).all()
