"""Agreement against published worked examples."""

from __future__ import annotations

import pytest

from parabench.build.agreement import fleiss_kappa, krippendorff_alpha

# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C: four observers, twelve units
_ = None
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]
UNITS = [list(unit) for unit in zip(*OBSERVERS, strict=True)]


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_krippendorffs_own_example(level, published):
    assert krippendorff_alpha(UNITS, level) == pytest.approx(published, abs=5e-4)


def test_alpha_of_two_observers_and_binary_data():
    """The same paper, section A: α = 0.095."""
    pairs = zip([0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0], strict=True)
    assert krippendorff_alpha([list(pair) for pair in pairs]) == pytest.approx(0.095, abs=5e-4)


def test_alpha_is_undefined_where_nothing_varies_or_nothing_is_shared():
    assert krippendorff_alpha([["a", "a"], ["a", "a"]]) is None
    assert krippendorff_alpha([["a", None], [None, "b"]]) is None
    assert krippendorff_alpha([]) is None


def test_alpha_of_perfect_agreement_is_one():
    assert krippendorff_alpha([["a", "a"], ["b", "b", "b"]]) == 1.0


def test_kappa_is_the_example_of_fleiss():
    """Ten subjects, fourteen raters, five categories: κ = 0.210."""
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    assert fleiss_kappa(counts) == pytest.approx(0.210, abs=5e-4)


def test_kappa_needs_equal_numbers_of_raters():
    with pytest.raises(ValueError, match="same number"):
        fleiss_kappa([[1, 2], [2, 2]])
    assert fleiss_kappa([[3, 0], [3, 0]]) is None
