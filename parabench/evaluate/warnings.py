"""What a reader must know before trusting a high similarity."""

from __future__ import annotations

import math

import numpy as np

from parabench.evaluate.result import Measure, TaskResult
from parabench.evaluate.retrieval import accuracy_name
from parabench.metrics import compute, parse
from parabench.retrieval.rankings import Rankings

_SLACK = 1.2
"""Times chance: a recall within it is no better than chance for any use."""
_MOST_PAIRS, _CELLS = 400, 1 << 20  # of the simulation


def warnings_of(tasks: dict[str, TaskResult], rankings: Rankings) -> list[str]:
    """The warnings of a run: stable but useless, recall at chance, a similarity that is mostly floor, too few pictures."""
    warnings: list[str] = []
    retrieval, chances = tasks["retrieval"].metrics, tasks["retrieval"].details["chance"]
    label = accuracy_name(chances, most=0.1)
    recall, chance = retrieval[label], chances[label]
    name, similarity = next(iter(tasks["paraphrase"].metrics.items()))
    random = random_similarity(name, len(rankings.gallery))
    high = similarity.value >= 0.5 and similarity.value - random >= 0.5 * (1 - random)
    alike = similarity.floor is None or similarity.floor >= 0.8 * similarity.value
    by_chance = _at_chance(recall, chance)
    at = f"is at chance ({chance:.3f})" if recall.value <= _SLACK * chance else f"of {recall.clusters} pictures can't be told from chance ({chance:.3f})"
    if by_chance and high and alike:
        floor = "there is no floor to compare with" if similarity.floor is None else f"unrelated captions agree as much ({similarity.floor:.3f})"
        warnings.append(
            f"stable but useless: {name} = {similarity.value:.3f} while {label} = {recall.value:.3f} {at}; {floor}. "
            "This encoder returns the same pictures whatever is asked."
        )
    elif by_chance and high and chance < 0.5:
        warnings.append(
            f"{label} = {recall.value:.3f} {at}, though {name} = {similarity.value:.3f} is far from that of unrelated "
            f"captions ({similarity.floor:.3f}): the encoder hears what is asked and finds other pictures; do the ids name the right ones?"
        )
    elif by_chance and chance < 0.5:
        found = "the encoder does not find the right pictures" if recall.value <= _SLACK * chance else "too few pictures to say whether the encoder finds the right ones"
        warnings.append(f"{label} = {recall.value:.3f} {at}: {found}")
    elif similarity.value >= 0.5 and similarity.floor is not None and similarity.value - similarity.floor <= 0.2 * (1 - similarity.floor):
        warnings.append(
            f"{name} = {similarity.value:.3f} is mostly floor: unrelated captions get {similarity.floor:.3f}; read the normalised value"
        )
    if random >= 0.25:
        warnings.append(
            f"{name} looks at {parse(name).k} of {len(rankings.gallery)} pictures, where rankings drawn at random already agree to {random:.2f}: "
            "read it beside its floor, or search more pictures"
        )
    if len({rankings.image_id[row] for row in rankings.rows("caption")}) < 2:
        warnings.append("all pairs belong to one picture: there are no confidence intervals and no floor")
    return warnings


def random_similarity(name: str, n_images: int) -> float:
    """What two independent random rankings of a gallery get, by simulation; 0 where the depth is a small part of the gallery."""
    k = parse(name).k
    if k is None or 20 * k <= n_images:
        return 0.0
    rng = np.random.default_rng(0)
    pairs = max(8, min(_MOST_PAIRS, _CELLS // n_images))
    a, b = (rng.permuted(np.tile(np.arange(n_images, dtype=np.int32), (pairs, 1)), axis=1)[:, :k] for _ in range(2))
    return float(compute([name], a, b)[name].mean())


def _at_chance(recall: Measure, chance: float) -> bool:
    """Whether a recall is no better than chance, as far as so many pictures can tell.

    The lower end of its interval, and, since a bootstrap of few pictures reaches 0, the binomial chance of as many hits.
    """
    least = _SLACK * chance
    low = recall.ci_low if recall.ci_low is not None else recall.value
    hits = math.floor(recall.value * recall.clusters + 1e-9)
    return low <= least < 1 and _binomial_tail(recall.clusters, hits, least) > 0.025


def _binomial_tail(n: int, hits: int, p: float) -> float:
    """P(X ≥ hits) of n draws that succeed with probability p."""
    if hits <= 0 or p >= 1:
        return 1.0
    logs = [
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(p) + (n - i) * math.log1p(-p) for i in range(hits, n + 1)
    ]
    return min(1.0, math.fsum(map(math.exp, logs)))
