"""Precision and recall of every scored check, on pairs that people and reviewers rated.

    PARABENCH_DATA=DIR python scripts/calibrate_filters.py --encoder sentence-transformers/all-MiniLM-L6-v2

``DIR`` holds ``cxc/``, ``sugarcrepe_pp/`` and ``coco/`` as the built-in sets name them.  Writes
``docs/images/filters_*.svg`` and the tables between the markers of ``docs/filters.md``.

Four questions, none of which uses a number of another:

* Crisscrossed Captions: is a pair of COCO captions a paraphrase (people's rating ≥ 4)?  And do two captions say the
  same (≥ 4.5)?
* SugarCrepe++: which of (caption, caption2) and (caption, negative) is the paraphrase?
* coco-paraphrase: which of our sentences did the machine reviews reject?  And which do the defaults drop?
"""

from __future__ import annotations

import argparse
import datetime
import platform
import random
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from parabench.build.candidates import Candidate
from parabench.build.caption import Caption
from parabench.build.filters import FilterConfig, Funnel, load_filters, run_filters
from parabench.build.filters.closeness import Closeness
from parabench.build.filters.content import content_checks
from parabench.build.filters.form import Length
from parabench.data import load
from parabench.encoders.sbert import SentenceEncoder
from parabench.encoders.spec import ModelSpec
from parabench.retrieval import Embedder
from parabench.retrieval.cache import EmbeddingCache
from parabench.storage import write_text

DOCS = Path(__file__).resolve().parent.parent / "docs"
COMMAND = "PARABENCH_DATA=DIR python scripts/calibrate_filters.py --encoder sentence-transformers/all-MiniLM-L6-v2"
SCORES = {  # score → whether a paraphrase has a high one
    "similarity": True, "self_bleu": True, "jaccard": True, "ratio": True, "length_ratio_off": False,
    "content_changed": False,
}  # fmt: skip
LABELS = {
    "similarity": "cosine similarity (MiniLM)", "self_bleu": "sentence BLEU", "jaccard": "Jaccard of the words",
    "ratio": "rapidfuzz ratio", "length_ratio_off": "length ratio near 1", "content_changed": "same numbers, colours, negation, names",
}  # fmt: skip


@dataclass
class Pairs:
    """Pairs, whether each is a paraphrase, and its scores."""

    name: str
    candidates: list[Candidate]
    good: np.ndarray
    scores: dict[str, np.ndarray]


def candidate(number: int, caption: str, text: str, role: str = "paraphrase") -> Candidate:
    return Candidate(str(number), Caption(str(number), str(number), caption), text, role, "", "", "", "")  # type: ignore[arg-type]


def read(sample: int, seed: int) -> list[Pairs]:
    """The three sets: CxC sampled, the others whole."""
    rng = random.Random(seed)
    cxc = rated_captions()
    sets = [("Crisscrossed Captions", [(a, b, rating >= 4) for a, b, rating in rng.sample(cxc, min(sample, len(cxc)))])]
    sugar = load("sugarcrepe-pp")
    sets.append(("SugarCrepe++", [(r["caption"], r["paraphrase"], True) for r in sugar.pairs.to_pylist()]
                 + [(r["caption"], r["foil"], False) for r in sugar.foils.to_pylist()]))  # fmt: skip
    sets.append(("coco-paraphrase", [(row["caption"], text, not wrong) for row, text, wrong in reviewed() if row["kind"] != "foil"]))
    return [
        Pairs(name, [candidate(i, a, b) for i, (a, b, _) in enumerate(rows)], np.array([g for *_, g in rows]), {})
        for name, rows in sets
    ]


def rated_captions() -> list[tuple[str, str, float]]:
    """All pairs of Crisscrossed Captions with people's rating in [0, 5]."""
    rows = load("coco-cxc?min_rating=0").pairs.to_pylist()
    return [(row["caption"], row["paraphrase"], next(s["value"] for s in row["scores"] if s["name"] == "human")) for row in rows]


def same_meaning_table(embedder: Embedder) -> str:
    """Pairs of captions of the whole of Crisscrossed Captions that an encoder takes for the same, and people's ratings."""
    firsts, seconds, ratings = zip(*rated_captions(), strict=True)
    rated, similarity = np.array(ratings), (embedder.texts(firsts) * embedder.texts(seconds)).sum(1)
    lines = []
    for limit in (0.8, 0.85, 0.9, 0.92, 0.94, 0.96, 0.97, 0.98, 0.99):
        alike = rated[similarity >= limit]
        precision = " | ".join(f"{(alike >= rating).mean():.3f}" for rating in (4.5, 4, 3))
        lines.append(f"| {limit} | {len(alike):,} | {alike.mean():.2f} | {precision} | {(similarity[rated >= 4.5] >= limit).mean():.3f} |")
    header = f"| `min_similarity` | pairs of {len(rated):,} | mean rating | rated ≥ 4.5 | ≥ 4 | ≥ 3 | of those rated ≥ 4.5 |"
    return table(header, lines)


def reviewed() -> list[tuple[dict[str, Any], str, bool]]:
    """Every sentence of coco-paraphrase with its row, and whether a review rejected it; what the checks dropped was accepted."""
    ours = load("coco-paraphrase")
    kept = [(row, row.get("paraphrase") or row["foil"], False) for part in (ours.pairs, ours.foils) for row in part.to_pylist()]
    return kept + [(row, row["paraphrase"], row["reason"].startswith("review")) for row in ours.rejected.to_pylist()]


def score(pairs: Pairs, config: FilterConfig, embedder: Embedder) -> None:
    """What every scored check says of every pair, whatever the others say."""
    found: dict[str, list[float]] = {}
    checks = [Length(config.length), Closeness(config.closeness), *content_checks(config.numbers, config.colours, config.negation, config.names)]
    for check in checks:
        for verdict in check.check(pairs.candidates):
            for name, value in verdict.scores.items():
                found.setdefault(name, []).append(value)
    pairs.scores = {name: np.array(values) for name, values in found.items()}
    pairs.scores["content_changed"] = sum(value for name, value in pairs.scores.items() if name.endswith("_changed"))
    pairs.scores["length_ratio_off"] = np.abs(np.log(np.maximum(pairs.scores["length_ratio"], 1e-3)))
    captions = embedder.texts([c.caption.text for c in pairs.candidates])
    texts = embedder.texts([c.text for c in pairs.candidates])
    pairs.scores["similarity"] = (captions * texts).sum(1)


def curve(good: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds, precision and recall of "a paraphrase is what has at least this value"."""
    order = np.argsort(-value, kind="stable")
    hits = np.cumsum(good[order])
    last = np.r_[np.flatnonzero(np.diff(value[order])), len(value) - 1]  # ties stand or fall together
    return value[order][last], hits[last] / (last + 1), hits[last] / max(1, good.sum())


def average_precision(good: np.ndarray, value: np.ndarray) -> float:
    _, precision, recall = curve(good, value)
    return float((np.diff(np.r_[0, recall]) * precision).sum())


def signed(pairs: Pairs, name: str) -> np.ndarray:
    return pairs.scores[name] if SCORES[name] else -pairs.scores[name]


def plot(sets: list[Pairs], folder: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "parabench"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(sets), figsize=(4.2 * len(sets), 3.8), layout="constrained")
    for axis, pairs in zip(axes, sets, strict=True):
        for name in SCORES:
            _, precision, recall = curve(pairs.good, signed(pairs, name))
            axis.plot(recall, precision, label=LABELS[name], linewidth=1.4)
        axis.axhline(pairs.good.mean(), color="0.6", linewidth=0.8, linestyle=":")
        axis.set(title=pairs.name, xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes[0].legend(fontsize=7)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "filters_precision_recall.svg", metadata={"Date": None})


def table(header: str, rows: list[str]) -> str:
    return "\n".join([header, "|" + "---|" * (header.count("|") - 1), *rows])


def curves_table(sets: list[Pairs]) -> str:
    rows = [
        f"| {LABELS[name]} | " + " | ".join(f"{average_precision(p.good, signed(p, name)):.3f}" for p in sets) + " |" for name in SCORES
    ]  # fmt: skip
    chance = "| *by chance* | " + " | ".join(f"{p.good.mean():.3f}" for p in sets) + " |"
    return table("| average precision | " + " | ".join(f"{p.name} (n = {len(p.good):,})" for p in sets) + " |", [*rows, chance])


def thresholds_table(sets: list[Pairs]) -> str:
    rows = []
    for limit in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        cells = []
        for pairs in sets:
            passed = pairs.scores["similarity"] >= limit
            precision = pairs.good[passed].mean() if passed.any() else float("nan")
            cells.append(f"{precision:.3f} / {passed[pairs.good].mean():.3f}")
        rows.append(f"| {limit} | " + " | ".join(cells) + " |")
    return table("| `min_similarity` | " + " | ".join(p.name for p in sets) + " |", rows)


def content_table(sets: list[Pairs], config: FilterConfig) -> str:
    """How many each check drops; our foils stand in for paraphrases that got something wrong, and are the last column."""
    foils = [candidate(i, row["caption"], text) for i, (row, text, wrong) in enumerate(reviewed()) if row["kind"] == "foil" and not wrong]
    rows = []
    for check in content_checks(config.numbers, config.colours, config.negation, config.names):
        changed = [pairs.scores[f"{check.name}_changed"] > 0 for pairs in sets]
        cells = [f"{c[~p.good].sum():,} / {c[p.good].sum():,}" for c, p in zip(changed, sets, strict=True)]
        rows.append(f"| {check.name} | {' | '.join(cells)} | {sum(bool(v.reason) for v in check.check(foils)):,} |")
    header = " | ".join(f"{p.name} ({(~p.good).sum():,} / {p.good.sum():,})" for p in sets)
    return table(f"| dropped: no paraphrases / paraphrases | {header} | our foils ({len(foils):,}) |", rows)


def release_table(config: FilterConfig) -> str:
    """What the defaults drop of our own sentences, against what the machine reviews said of them."""
    kinds = {"lexical": 0, "syntactic": 1, "foil": 2}
    rows = sorted(reviewed(), key=lambda item: (int(item[0]["caption_id"]), kinds[item[0]["kind"]]))
    candidates = [
        Candidate(row["pair_id"], Caption(row["caption_id"], row["image_id"], row["caption"]), text,
                  "foil" if row["kind"] == "foil" else "paraphrase", row["kind"], "import", "", "")
        for row, text, _ in rows
    ]  # fmt: skip
    wrong = {row["pair_id"]: bad for row, _, bad in rows}
    funnel = Funnel()
    out = list(run_filters(candidates, load_filters(config), funnel))
    lines = []
    for step in funnel.rows():
        dropped = [c for c in out if c.reason and c.reason.partition(":")[0] in step["reasons"]] if step["dropped"] else []
        bad = sum(wrong[c.pair_id] for c in dropped)
        kinds_said = ", ".join(f"{reason} {n}" for reason, n in step["reasons"].items())
        lines.append(f"| {step['name']} | {step['seen']:,} | {step['dropped']:,} | {bad:,} | {kinds_said} |")
    pairs = [c for c in out if c.role == "paraphrase"]
    foils = [c for c in out if c.role == "foil"]
    summary = [
        f"{sum(not c.reason for c in pairs):,} of {len(pairs):,} paraphrases and {sum(not c.reason for c in foils):,} of {len(foils):,} foils pass every check.",
        f"{sum(not c.reason and not wrong[c.pair_id] for c in pairs):,} of the {sum(not wrong[c.pair_id] for c in pairs):,} paraphrases "
        f"and {sum(not c.reason and not wrong[c.pair_id] for c in foils):,} of the {sum(not wrong[c.pair_id] for c in foils):,} foils that the reviews accept pass too.",
        f"The checks drop {sum(bool(c.reason) and wrong[c.pair_id] for c in pairs):,} of the {sum(wrong[c.pair_id] for c in pairs):,} paraphrases that the reviews reject: "
        "the faults that reviewers name (disfluent, meaning changed) are hardly those that such checks can see.",
    ]  # fmt: skip
    return table("| check | seen | dropped | of these rejected by the reviews too | reasons |", lines) + "\n\n" + " ".join(summary)


def write(sections: dict[str, str], path: Path) -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- /name -->``."""
    text = path.read_text(encoding="utf-8")
    for name, content in sections.items():
        block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not block.search(text):
            raise SystemExit(f"{path} has no place for '{name}'")
        text = block.sub(lambda match, content=content: f"{match[1]}{content}\n{match[2]}", text)
    write_text(path, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="sentence-transformers/all-MiniLM-L6-v2", help="hub id or folder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sample", type=int, default=2000, help="pairs of Crisscrossed Captions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    config = FilterConfig.read()
    encoder = SentenceEncoder(ModelSpec("sbert", options.encoder), device=options.device, precision="fp32", trust_remote_code=False)
    sets = read(options.sample, options.seed)
    with EmbeddingCache(encoder.fingerprint, encoder.dim) as cache:
        for pairs in sets:
            score(pairs, config, Embedder(encoder, cache))
        same_meaning = same_meaning_table(Embedder(encoder, cache))
    plot(sets, options.docs / "images")
    weights = ", ".join(f"{name} {digest[:12]}…" for name, digest in encoder.resolved["weights"].items())
    packages = ", ".join(f"{name} {metadata.version(name)}" for name in ("rapidfuzz", "sacrebleu", "py3langid", "rensa"))
    run = (
        f"`{COMMAND}`, {datetime.date.today()}, Python {platform.python_version()}, {packages}; encoder all-MiniLM-L6-v2 ({weights}); "
        f"{options.sample:,} pairs of Crisscrossed Captions drawn with seed {options.seed} (all of them for `semantic_duplicates`), the other sets whole."
    )
    sections = {
        "run": run, "curves": curves_table(sets), "thresholds": thresholds_table(sets), "content": content_table(sets, config),
        "same-meaning": same_meaning, "release": release_table(config),
    }  # fmt: skip
    write(sections, options.docs / "filters.md")
    print("\n\n".join(sections.values()))


if __name__ == "__main__":
    main()
