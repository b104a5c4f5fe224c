"""The items behind every number: one value a pair, a caption or a foil, with the picture it belongs to."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from parabench.errors import UsageError, did_you_mean
from parabench.metrics import cluster_index, compute, flips, foil_contrast, hits, parse, reciprocal_rank, spearman
from parabench.retrieval.rankings import Rankings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CONTRAST = re.compile(r"^(foil-AUC|foil-gap)\((.+)\)$", re.IGNORECASE)
_RECALL = re.compile(r"^(?:R@(\d+)|(MRR))( paraphrase)?$", re.IGNORECASE)
_PAIR = re.compile(r"^(flip|both)@(\d+)$", re.IGNORECASE)
_EXAMPLES = ["AO@10", "JS@10", "R@1", "R@10", "R@10 paraphrase", "MRR", "MRR paraphrase", "flip@10", "both@10", "foil-AUC(AO@10)", "foil-gap(AO@10)"]


class Items:
    """Per-item values of the rankings of one model, by the names that results use; what is shared is computed once."""

    def __init__(self, rankings: Rankings) -> None:
        self.rankings = rankings
        self.captions, self.paraphrases = rankings.rows("caption"), rankings.rows("paraphrase")
        self.foils = rankings.rows("foil")
        self.image, self.n_images = cluster_index(np.array(rankings.image_id))
        self._similarity: dict[str, Floats] = {}
        self._foils: dict[str, Floats] = {}

    def similarity(self, names: Sequence[str]) -> dict[str, Floats]:
        """m(caption, paraphrase) of every pair ``(n_pairs,)``; metrics of one depth share the work."""
        return self._computed(names, self._similarity, self.paraphrases)

    def foil_contrast(self, name: str) -> tuple[Floats, Floats, Ints]:
        """Difference, win and caption row of every combination of a paraphrase and a foil of one caption."""
        row = self.rankings.caption_row
        of_foils = self._computed([name], self._foils, self.foils)[name]
        return foil_contrast(self.similarity([name])[name], row[self.paraphrases], of_foils, row[self.foils])

    def hit(self, k: int, role: str = "caption") -> Floats:
        """Whether the right picture is within k, of each caption or each paraphrase."""
        return hits(self.rankings.target_rank[self.captions if role == "caption" else self.paraphrases], k)

    def pair_hits(self, k: int) -> tuple[Floats, Floats]:
        """Whether each pair's caption, and its paraphrase, has the right picture within k."""
        ranks = self.rankings.target_rank
        return hits(ranks[self.rankings.caption_row[self.paraphrases]], k), hits(ranks[self.paraphrases], k)

    def values(self, name: str) -> tuple[Floats, Ints]:
        """The items of a metric name and the cluster of each.

        Raises:
            UsageError: an unknown name, or one deeper than the rankings or the gallery.
        """
        if match := _RECALL.match(name.strip()):
            rows = self.paraphrases if match[3] else self.captions
            ranks = self.rankings.target_rank[rows]
            return (hits(ranks, self._depth(name, match[1])) if match[1] else reciprocal_rank(ranks)), self.image[rows]
        if match := _PAIR.match(name.strip()):
            first, second = self.pair_hits(self._depth(name, match[2]))
            return flips(first, second) if match[1].lower() == "flip" else first * second, self.image[self.paraphrases]
        if match := _CONTRAST.match(name.strip()):
            gap, win, caption = self.foil_contrast(str(parse(match[2])))
            return (win if match[1].lower() == "foil-auc" else gap), self.image[caption]
        try:
            metric = str(parse(name))
        except UsageError as error:
            if "unknown metric" in error.problem:
                raise UsageError(error.problem, did_you_mean(name, _EXAMPLES)) from None
            raise
        return self.similarity([metric])[metric], self.image[self.paraphrases]

    def _depth(self, name: str, k: str) -> int:
        size = len(self.rankings.gallery)
        if not 1 <= int(k) <= size:
            raise UsageError(f"{name} does not fit the gallery of {size} pictures", f"choose a depth of 1 to {size}")
        return int(k)

    def between(self, names: Sequence[str], first: Ints, second: Ints) -> dict[str, Floats]:
        """Similarity of the rankings of one list of rows and another: name → ``(len(first),)``.

        Raises:
            UsageError: a metric deeper than the rankings, or Spearman without the scores of the whole gallery.
        """
        ranked = [name for name in names if name != "Spearman"]
        found = compute(ranked, self.rankings.top[first], self.rankings.top[second]) if ranked else {}
        if "Spearman" in names:
            found["Spearman"] = self._spearman(first, second)
        return {name: found[name] for name in names}

    def _spearman(self, first: Ints, second: Ints) -> Floats:
        depth, size = self.rankings.depth, len(self.rankings.gallery)
        if depth < size:
            raise UsageError(
                f"Spearman needs the scores of all {size} pictures, and these rankings hold {depth}",
                f"evaluate with --depth {size}, or call parabench.metrics.spearman on score vectors",
            )
        result = np.empty(len(first))
        for start in range(0, len(first), step := max(1, (1 << 22) // size)):
            part = slice(start, start + step)
            result[part] = spearman(*(self._full_scores(rows[part]) for rows in (first, second)))
        if undefined := int(np.isnan(result).sum()):
            raise UsageError(
                f"Spearman has no value for {undefined} of {len(result)} pairs: one of the two queries scores all pictures the same",
                "leave Spearman out of --metrics",
            )
        return result

    def _full_scores(self, rows: Ints) -> NDArray[np.float32]:
        scores = np.empty((len(rows), len(self.rankings.gallery)), np.float32)
        np.put_along_axis(scores, self.rankings.top[rows].astype(np.int64), self.rankings.scores[rows], 1)
        return scores

    def _computed(self, names: Sequence[str], known: dict[str, Floats], rows: Ints) -> dict[str, Floats]:
        if lacking := [name for name in names if name not in known]:
            known |= self.between(lacking, self.rankings.caption_row[rows], rows)
        return {name: known[name] for name in names}


def canonical_name(name: str) -> str:
    """A metric name as results write it (``r@10 PARAPHRASE`` → ``R@10 paraphrase``); it need not be known."""
    text = " ".join(name.split())
    if match := _RECALL.match(text):
        return (f"R@{match[1]}" if match[1] else "MRR") + (" paraphrase" if match[3] else "")
    if match := _PAIR.match(text):
        return f"{match[1].lower()}@{match[2]}"
    if match := _CONTRAST.match(text):
        return f"{'foil-AUC' if match[1].lower() == 'foil-auc' else 'foil-gap'}({parse(match[2])})"
    try:
        return str(parse(text))
    except UsageError:
        return text
