"""Rank similarity against the oracle, against definitions written out, and against its own laws."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import SHARED

from parabench.errors import DataError, UsageError
from parabench.metrics import RankSimilarity, compute, parse, spearman

ORACLE = SHARED.parent / "oracle" / "rank_similarity_cases.json"


@pytest.mark.skipif(not ORACLE.exists(), reason=f"the oracle is not here: {ORACLE}")
def test_every_oracle_case():
    for case in json.loads(ORACLE.read_text()):
        k = case["k"]
        names = {key: "Top1" if key == "Top1" else f"{key}@{k}" for key in case if key not in ("k", "gallery", "a", "b")}
        got = RankSimilarity(*names.values())(case["a"], case["b"])
        for key, name in names.items():
            assert abs(got[name] - case[key]) < 1e-12, (case, name)


def test_worked_example():
    got = RankSimilarity("O@3", "AO@3", "JS@3", "RBO(p=0.9)@3", "KT@3", "FR@3", "Top1")([2, 1, 5], [2, 4, 5])
    assert [round(value, 3) for value in got.values()] == [0.667, 0.722, 0.5, 0.685, 0.75, 0.667, 1.0]


def brute(a, b, k):
    """The definitions with exact fractions; Kendall pair by pair as Fagin et al. list the cases."""
    x = [len(set(a[:d]) & set(b[:d])) for d in range(1, k + 1)]
    p = Fraction(9, 10)
    terms = [Fraction(n, d) for d, n in enumerate(x, 1)]
    items = sorted(set(a) | set(b))
    kendall = Fraction(0)
    for at, i in enumerate(items):
        for j in items[at + 1 :]:
            in_a, in_b = (i in a) + (j in a), (i in b) + (j in b)
            if in_a == in_b == 2:
                kendall += (a.index(i) < a.index(j)) != (b.index(i) < b.index(j))
            elif {in_a, in_b} == {2, 1}:
                whole, other = (a, b) if in_a == 2 else (b, a)
                there, absent = (i, j) if i in other else (j, i)
                kendall += whole.index(absent) < whole.index(there)
            elif {in_a, in_b} == {2, 0}:
                kendall += Fraction(1, 2)
            else:
                kendall += 1
    place = [{item: r for r, item in enumerate(side, 1)} for side in (a, b)]
    footrule = sum(abs(place[0].get(i, k + 1) - place[1].get(i, k + 1)) for i in items)
    return {
        f"O@{k}": Fraction(x[-1], k), f"AO@{k}": sum(terms) / k, f"JS@{k}": Fraction(x[-1], 2 * k - x[-1]),
        f"RBO(p=0.9)@{k}": Fraction(x[-1], k) * p**k + (1 - p) / p * sum(t * p**d for d, t in enumerate(terms, 1)),
        f"KT@{k}": 1 - kendall / (k * k + Fraction(k * (k - 1), 2)), f"FR@{k}": 1 - Fraction(footrule, k * (k + 1)),
    }  # fmt: skip


@st.composite
def two_lists(draw):
    k = draw(st.integers(1, 9))
    gallery = list(range(draw(st.integers(k, 20))))
    return draw(st.permutations(gallery))[:k], draw(st.permutations(gallery))[:k], k


@settings(deadline=None, max_examples=150)
@given(two_lists())
def test_against_the_definitions(lists):
    a, b, k = lists
    expected = brute(a, b, k)
    got = RankSimilarity(*expected)(a, b)
    back = RankSimilarity(*expected)(b, a)
    for name, value in expected.items():
        assert abs(got[name] - float(value)) < 1e-12, name
        assert abs(got[name] - back[name]) < 1e-12
        assert -1e-15 <= got[name] <= 1


@settings(deadline=None, max_examples=40)
@given(two_lists(), st.randoms())
def test_names_of_items_do_not_matter(lists, random):
    a, b, k = lists
    names = [f"{metric}@{k}" for metric in ("O", "AO", "JS", "KT", "FR")]
    label = {item: f"item {number}" for number, item in enumerate(random.sample(range(20), 20))}
    assert RankSimilarity(*names)(a, b) == RankSimilarity(*names)([label[i] for i in a], [label[i] for i in b])


@pytest.mark.parametrize("k", [1, 3, 10, 100, 300])
def test_identical_is_exactly_one_and_disjoint_exactly_zero(k):
    ids = np.arange(k)[None]
    names = [f"{metric}@{k}" for metric in ("O", "AO", "JS", "RBO(p=0.9)", "KT", "FR")]
    assert all(value[0] == 1.0 for value in compute(names, ids, ids).values())
    assert all(abs(value[0]) < 1e-15 for value in compute(names, ids, ids + k).values())


def test_many_pairs_equal_one_by_one():
    rng = np.random.default_rng(3)
    a, b = (np.argsort(rng.random((20_000, 15)), axis=1)[:, :10].astype(np.int32) for _ in range(2))
    names = ["AO@10", "JS@7", "RBO(p=0.5)@10", "KT@10", "FR@5", "Top1"]
    whole = compute(names, a, b)
    for row in (0, 8191, 8192, 19_999):
        one = compute(names, a[row : row + 1], b[row : row + 1])
        assert all(one[name][0] == whole[name][row] for name in names)


def test_spearman_agrees_with_scipy_and_says_nan_for_a_constant():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, (5, 40)).astype(float), rng.random((5, 40))
    expected = [spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(spearman(a, b), expected, atol=1e-12)
    assert np.isnan(spearman(np.ones((1, 4)), np.arange(4.0)[None]))[0]


@pytest.mark.parametrize("text", ["AO@10", "JS@5", "O@1", "RBO(p=0.9)@100", "RBO(p=0.98765432)@10", "KT@10", "FR@10", "Top1", "Spearman"])
def test_names_round_trip(text):
    assert str(parse(text)) == text and str(parse(f" {text.lower()} ")) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [("AO10", "AO@10"), ("A0@10", "AO@10"), ("AO", "AO@10"), ("AO@0", "AO@10"), ("AO@x", "AO@10"), ("RBO@10", "p=0.9"),
     ("RBO(p=1)@10", "p=0.9"), ("RBO(p=nan)@10", "p=0.9"), ("JS(p=0.9)@10", "JS@10"), ("Top1@5", "Top1"), ("", "known")],
)  # fmt: skip
def test_wrong_names_get_the_nearest(text, hint):
    with pytest.raises(UsageError, match=hint.replace("(", r"\(")):
        parse(text)


def test_refusals():
    ids = np.array([[1, 2, 3]])
    with pytest.raises(UsageError, match="k ≤ 3"):
        compute(["AO@4"], ids, ids)
    with pytest.raises(DataError, match="row 0 of the second"):
        compute(["AO@3"], ids, np.array([[1, 2, 1]]))
    with pytest.raises(DataError, match="shapes"):
        compute(["AO@2"], ids, ids[:, :2])


def test_ids_of_every_kind():
    import pandas as pd

    metric = RankSimilarity("AO@3")
    expected = {"AO@3": pytest.approx(0.7222, abs=1e-4)}
    for make in (list, tuple, np.array, pd.Series, lambda ids: np.array(ids, object), lambda ids: np.array(ids, np.uint8)):
        assert metric(make([2, 1, 5]), make([2, 4, 5])) == expected
    assert metric(["b", "a", "e"], pd.Series(["b", "d", "e"])) == expected
    frame = pd.DataFrame([[2, 1, 5], [7, 8, 9]])
    assert metric(frame, frame)["AO@3"].tolist() == [1, 1]
    torch = pytest.importorskip("torch")
    assert metric(torch.tensor([2, 1, 5]), torch.tensor([2, 4, 5])) == expected


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [([[1, 2], [3]], [[1, 2], [3]], "different lengths"), ([1, 2], [1, 2, 3], "shapes"), ([], [], "shapes"), (3, 3, "shapes"),
     ([1.0, float("nan")], [1.0, 2.0], "NaN"), (["a", None], ["a", "b"], "no ids"), ([1, 1], [1, 2], "repeats")],
)  # fmt: skip
def test_ids_that_are_none(a, b, message):
    with pytest.raises(DataError, match=message):
        RankSimilarity()(a, b)
