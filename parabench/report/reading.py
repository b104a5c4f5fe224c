"""What the numbers say, in sentences for people who don't read tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from parabench.errors import UsageError
from parabench.evaluate.comparison import Comparison, Contrast
from parabench.evaluate.result import Measure, Result
from parabench.evaluate.retrieval import accuracy_name, chance_of
from parabench.evaluate.run import Run
from parabench.metrics import compute, parse
from parabench.report.numbers import count, interval, measured, number, p_value, percent
from parabench.report.result_tables import accuracy_metric, lead_metric, measure_of

_WITHIN = {"1": "the first", "5": "among the first five", "10": "among the first ten"}
_FIRST = {"1": "first", "5": "in the first five", "10": "in the first ten"}


_NEVER = 5
"""Pictures with which a sign-flip test can't reach p = .05: the most extreme of 2^5 patterns and its opposite are .0625."""


def is_useless(result: Result) -> bool:
    """Whether the run was warned of as stable and useless."""
    return _warned_useless(result.warnings)


def _warned_useless(warnings: Iterable[str]) -> bool:
    return any("stable but useless" in warning for warning in warnings)


def reading(results: Sequence[Result]) -> str:
    """Two sentences: how alike the results are, and whether to believe it."""
    name = lead_metric(results)
    if name is None:
        return " ".join(_without_pairs(result) for result in results)
    sentences = []
    useful = [result for result in results if not is_useless(result)]
    accuracy = accuracy_metric(results)
    recalls = [_value(result, accuracy) for result in useful or results]
    first = [result for result, recall in zip(useful or results, recalls, strict=True) if recall == max(recalls)]
    best = first[0]
    measure = best.tasks["paraphrase"].metrics[name]
    floor = f" (unrelated captions: {number(measure.floor)})" if measure.floor is not None else ""
    recall = None if accuracy is None else measure_of(best, "retrieval", accuracy)
    within = "" if accuracy is None else _FIRST[accuracy.removeprefix("R@")]
    found = f", and it has the right picture {within} for {percent(recall.value)} of captions" if recall else ""
    agree = f"results for a caption and for its paraphrase agree to {name} = {measured(measure)}, where 1 is the same pictures in the same order{floor}{found}."
    if len(first) > 1 and recall is not None:
        sentences.append(f"{_listed(first)} find the right picture {within} equally often; with {_listed([best])}, {agree}")
    elif len(results) > 1 and recall is not None:
        sentences.append(f"Of these, {_listed([best])} finds the right pictures most often: its {agree}")
    elif useful:
        sentences.append(f"With {_listed([best])}, {agree}")
    useless = [result for result in results if is_useless(result)]
    if useless:
        verb, are, it = ("look", "are", "they return") if len(useless) > 1 else ("looks", "is", "it returns")
        perfectly = " perfectly" if all(result.tasks["paraphrase"].metrics[name].value >= 0.95 for result in useless) else ""
        sentences.append(f"{_listed(useless)} {verb}{perfectly} stable and {are} useless: {it} the same pictures whatever is asked.")
    elif accuracy is not None and (flip := best.tasks["paraphrase"].metrics.get(f"flip@{accuracy.removeprefix('R@')}")) is not None:
        sentences.append(f"For {percent(flip.value)} of the pairs only one of the two wordings finds the right picture {within}.")
    return " ".join(sentences)


def plain_reading(run: Run) -> list[str]:
    """One run in two or three sentences without a metric's name: what changes, whether it matters, whether it hears meaning."""
    result = run.result
    if lead_metric([result]) is None:
        return [_without_pairs(result)]
    if is_useless(result):
        return [
            "This model returns nearly the same pictures whatever is asked, so they stay the same when the words change.",
            "That is not robustness: it does not find the right pictures. Read none of its stability numbers as good.",
        ]
    sentences = [_kept(run)]
    paraphrase = result.tasks["paraphrase"].metrics
    accuracy = accuracy_metric([result]) or ""
    a, b = (measure_of(result, "retrieval", name) for name in (accuracy, f"{accuracy} paraphrase"))
    if a is not None and b is not None:
        depth = accuracy.removeprefix("R@")
        sentence = f"The right picture is {_WITHIN[depth]} for {percent(a.value)} of the captions and for {percent(b.value)} of their rewordings"
        if (flip := paraphrase.get(f"flip@{depth}")) is not None:
            sentence += f"; for {_one_in(flip.value)} only one of the two wordings finds it"
        sentences.append(sentence + ".")
    foil = next(((name, measure) for name, measure in paraphrase.items() if name.startswith("foil-AUC")), None)
    if foil is not None:
        sentences.append(_foils(foil[1]))
    return sentences


def _without_pairs(result: Result) -> str:
    """The first number of each task, for a run that asked no pairs."""
    firsts = [(task, *next(iter(entry.metrics.items()))) for task, entry in result.tasks.items() if entry.metrics]
    told = "; ".join(f"{task} {name} = {measured(measure)}" for task, name, measure in firsts)
    return f"{result.model.spec}: {told or 'nothing was measured'}."


def _kept(run: Run) -> str:
    rankings = run.scored
    depth = min(10, rankings.depth)
    rows = rankings.rows("paraphrase")
    kept = compute([parse(f"O@{depth}")], rankings.top[rankings.caption_row[rows]], rankings.top[rows])[f"O@{depth}"]
    name, measure = next(iter(run.result.tasks["paraphrase"].metrics.items()))
    sentence = f"Say the same thing in other words, and on average {depth * float(np.mean(kept)):.1f} of the first {depth} pictures stay"
    floor = "" if measure.floor is None else f", where two unrelated captions get {number(measure.floor)} and identical lists 1"
    return f"{sentence} ({name} = {measured(measure)}{floor})."


def _one_in(share: float) -> str:
    if share <= 0:
        return "no pair"
    return f"one pair in {count(round(1 / share))}" if share < 0.2 else f"{percent(share)} of the pairs"


def _foils(auc: Measure) -> str:
    low, high = (auc.value if end is None else end for end in (auc.ci_low, auc.ci_high))
    heard = f"(in {percent(auc.value)} of comparisons the rewording stays closer to the caption than a sentence that is false of the picture)"
    if low > 0.5:
        return f"It tells a change of words from a change of meaning better than chance {heard}."
    if high < 0.5:
        return f"It follows the words and not the meaning: a false sentence that looks like the caption keeps more pictures than a true one in other words {heard}."
    return f"It can't tell a change of words from a change of meaning {heard}."


def verdicts(comparison: Comparison, names: dict[str, str]) -> list[str]:
    """Who wins, a sentence for each other run and metric that matters."""
    useless = {names[run.label] for run in comparison.runs if _warned_useless(run.warnings)}
    sentences = []
    for run in comparison.runs[1:]:
        own = {contrast.metric: contrast for contrast in comparison.contrasts if contrast.run == run.label}
        size = comparison.dataset.n_images
        accuracy = accuracy_name(chance_of(size)) if size else "R@10"
        chosen = [metric for metric in dict.fromkeys((comparison.metrics[0], accuracy)) if metric in own]
        sentences += [_verdict(own[metric], names[run.label], names[comparison.runs[0].label], useless) for metric in chosen]
    return sentences


def _verdict(contrast: Contrast, name: str, reference: str, useless: Collection[str]) -> str:
    """One contrast in words, told from the winner's side; ``useless`` are models whose stability is none."""
    metric, p = contrast.metric, contrast.p_holm if contrast.p_holm is not None else contrast.p
    first, second, difference, low, high = contrast.value, contrast.reference_value, contrast.difference, contrast.ci_low, contrast.ci_high
    shown = p is not None and p < 0.05 and low is not None and high is not None and low * high > 0
    if shown and difference < 0 and low is not None and high is not None:
        first, second, difference, low, high, name, reference = second, first, -difference, -high, -low, reference, name
    ends = interval(low, high)
    level = f"p = {p_value(p)}".replace("p = <", "p <").replace("p = ", "p\u00a0=\u00a0")
    numbers = f"{metric} {number(first)} against {number(second)}, difference {number(difference)}{' ' + ends if ends else ''}, {level}"
    if low is None or high is None or p is None:
        return f"{name} and {reference}: too few pictures to say who wins ({numbers})."
    if shown:
        similar = _is_similarity(metric)
        what = "better at finding the right picture" if metric.startswith("R@") else "more stable" if similar else f"higher on {metric}"
        but = ", and useless all the same: it returns the same pictures whatever is asked" if similar and name in useless else ""
        return f"{name} is {what} than {reference} ({numbers}){but}."
    if contrast.clusters <= _NEVER:
        return f"{name} and {reference}: {contrast.clusters} pictures are too few for a test to show any difference ({numbers})."
    detectable = contrast.minimum_detectable
    seen = ""
    if detectable and abs(difference) < detectable:  # else the rule of thumb and the test disagree, and the test is right
        seen = f"; this set would show a difference of {number(detectable)} or more four times in five"
    return f"No difference between {name} and {reference} is shown ({numbers}{seen})."


def _is_similarity(metric: str) -> bool:
    try:
        parse(metric)
    except UsageError:
        return False
    return True


def _value(result: Result, recall: str | None) -> float:
    measure = None if recall is None else measure_of(result, "retrieval", recall)
    return measure.value if measure is not None else 0.0


def _listed(results: Sequence[Result]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    names = [result.model.spec.rstrip(":") for result in results]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
