"""Which text tower gives paraphrases the same pictures?  Every strategy on the same data, steps and image side.

    python scripts/experiment.py run --lm sentence-transformers/all-MiniLM-L6-v2 --flickr8k DIR --sts stsb-en-dev.csv
    python scripts/experiment.py report --page docs/experiment.md

``run`` trains and evaluates what is not there yet: kill it and start it again as often as you like.  ``report``
writes tables, paired tests and the plot from the runs alone.  ``--flickr8k`` names the folder that holds
``Flickr8k.token.txt``, the photographs and ``clip-vit-b32/`` (ViT-B/32 vectors); without it only ``scenes`` runs.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from pathlib import Path

import numpy as np

SETS = {"scenes": "train", "flickr8k": "train"}
SCRATCH = {"strategy": {"name": "scratch"}, "text": {"layers": 2, "width": 128, "heads": 4}}
ALIGN = {"strategy": {"name": "align", "layers": 2, "width": 128}}
STRATEGIES = {
    "scratch": SCRATCH,
    "frozen": {"strategy": {"name": "frozen"}},
    "align": ALIGN,
    "adapter": {"strategy": {"name": "adapter", "rank": 32}},
    "lora": {"strategy": {"name": "adapter", "kind": "lora", "rank": 8}},
    "align-unlock": {"strategy": {"name": "align-unlock", "layers": 2, "width": 128, "unlock": 1}},
    "finetune": {"strategy": {"name": "finetune"}},
}
ABLATIONS = {
    "align, 1 layer": {"strategy": {"name": "align", "layers": 1, "width": 128}},
    "align, 4 layers": {"strategy": {"name": "align", "layers": 4, "width": 128}},
    "align, cls pooling": {**ALIGN, "text": {"pooling": "cls"}},
    "align, 3 of 6 LM layers": {**ALIGN, "text": {"layers": 3}},
    "align, multi-positive": {**ALIGN, "loss": {"name": "multi-positive"}},
    "align, sampled-rewrites": {**ALIGN, "loss": {"name": "sampled-rewrites"}},
    "align, three-term": {**ALIGN, "loss": {"name": "three-term"}},
    "align, rank-consistency": {**ALIGN, "loss": {"name": "rank-consistency"}},
    "align, embedding-consistency": {**ALIGN, "loss": {"name": "embedding-consistency"}},
    "scratch, sampled-rewrites": {**SCRATCH, "loss": {"name": "sampled-rewrites"}},
    "scratch, rank-consistency": {**SCRATCH, "loss": {"name": "rank-consistency"}},
}

LEARNS_TRUNK = ("finetune", "adapter", "align-unlock")
"""Strategies in which parameters inside the language model learn: it has no states to store, and is saved whole."""

PAIRED = {
    "AO@10": "AO@10", "JS@10": "JS@10", "caption_hit@1": "R@1 of captions", "caption_hit@10": "R@10 of captions",
    "paraphrase_hit@10": "R@10 of paraphrases",
}  # fmt: skip
"""Column of ``pairs.parquet`` → what the paired tables call it."""


def recipe_of(name: str, data: str, seed: int, lm: str, features: Path, steps: int):
    """The recipe of one arm: everything but strategy, loss and seed is shared."""
    from parabench.train import Recipe

    arm = (STRATEGIES | ABLATIONS)[name]
    text = dict(arm.get("text", {}))
    if arm["strategy"]["name"] != "scratch":
        text["model"] = lm
    image = (
        {"kind": "features", "path": str(features), "projection": "linear"}
        if data == "flickr8k"
        else {"kind": "cells", "locked": True, "projection": "linear", "standardise": True}
    )
    return Recipe.parse({
        "name": f"{data}-{name}", "data": {"kind": "benchmark", "name": data, "split": SETS[data]},
        "image": image, "text": text, "strategy": arm["strategy"], "loss": arm.get("loss", "infonce"), "embed_dim": 128,
        "optimiser": {"steps": steps, "batch": 64, "lr": 1e-3, "backbone_lr": 1e-4, "warmup": 30, "weight_decay": 0.2},
        "run": {"seed": seed, "checkpoint_every": 100, "log_every": 20, "refer": arm["strategy"]["name"] not in LEARNS_TRUNK, "threads": 1},
    })  # fmt: skip


def flickr_features(source: Path, folder: Path) -> Path:
    """The CLIP vectors of the 1,091 pictures in the layout of ``image.kind=features``, of unit length."""
    if (folder / "image_embeddings.npy").exists():
        return folder
    vectors = source / "clip-vit-b32"
    names = (source / "Flickr_8k.trainImages.txt").read_text().split()[:1000]
    of = dict(zip(names, np.load(vectors / "train1000_image_embeddings.npy").astype(np.float32), strict=True))
    with (vectors / "metadata.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    of |= {f"{row['image_id']}.jpg": vector for row, vector in zip(rows, np.load(vectors / "image_embeddings.npy"), strict=True)}
    ids = sorted(of)
    matrix = np.stack([of[name] for name in ids])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "image_ids.txt").write_text("\n".join(ids) + "\n")
    np.save(folder / "image_embeddings.npy", matrix / np.linalg.norm(matrix, axis=1, keepdims=True))
    return folder


class Fast:
    """A trained model whose frozen parts read stored states: same vectors, without running the language model again."""

    sees, cacheable = "ids", False

    def __init__(self, folder: Path, texts: list[str], pictures) -> None:
        import torch

        from parabench.towers.folder import load_model
        from parabench.train.features import image_store, text_store

        self._torch = torch
        model, record = load_model(folder)
        self.model, self.spec, self.fingerprint, self.dim = model, f"parabench:{folder}", record.weights_sha256, model.config.embed_dim
        self.n_parameters = record.training["parameters"]["total"]
        self.trained = record.training["parameters"]["trained"]
        learns = record.training["recipe"]["strategy"]["name"] in ("scratch", *LEARNS_TRUNK)
        self._row = {text: row for row, text in enumerate(texts)}
        self._store = None if learns else text_store(model.text, texts, precision="fp32", device="cpu").texts
        self._vector = {}
        if model.image.sees == "pixels":
            stored = image_store(model.image, pictures, precision="fp32", device="cpu").vectors()
            self._vector = dict(zip(pictures.image_ids, stored, strict=True))

    def encode_text(self, texts):
        """Stored states, or ids, → embeddings."""
        from parabench.towers.tokens import tokenize

        with self._torch.inference_mode():
            if self._store is None:
                return self.model.text(tokenize(self.model.text.tokenizer, list(texts))).numpy()
            return self.model.text(self._store([self._row[text] for text in texts])).numpy()

    def encode_images(self, images):
        """Image ids → embeddings."""
        arrays = [self._vector[image] if self._vector else self.model.image.trunk.preprocess(image) for image in images]
        with self._torch.inference_mode():
            return self.model.image(self._torch.from_numpy(np.stack(arrays))).numpy()


def sts_rows(path: Path | None) -> list[tuple[str, str, float]]:
    if path is None:
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [(a, b, float(score)) for a, b, score in csv.reader(stream)]


def run(options: argparse.Namespace) -> None:
    import torch
    from scipy.stats import spearmanr

    from parabench.data import ImageStore, load
    from parabench.evaluate import evaluate
    from parabench.progress import note, quiet
    from parabench.retrieval.embed import unit
    from parabench.train import train
    from parabench.train.data.captions import CaptionSet

    torch.set_num_threads(1)
    if options.flickr8k:
        os.environ.setdefault("PARABENCH_DATA", str(options.flickr8k.parent))
        flickr_features(options.flickr8k, options.work / "flickr8k-features")
    sts = sts_rows(options.sts)
    benchmarks, texts, pictures = {}, {}, {}
    for data in [name for name in options.sets if name == "scenes" or options.flickr8k]:
        whole = load(data)
        test = whole.select("test")
        benchmarks[data] = test
        texts[data] = texts_of(test, sts)
        store = ImageStore(test)
        pictures[data] = CaptionSet(data, test.image_ids, [["-"]] * len(test.image_ids), store.open, store.sha256)
    arms = options.arms or [*STRATEGIES, *ABLATIONS]
    for seed in range(options.first_seed, options.seeds):
        for name in arms:
            for data, benchmark in benchmarks.items():
                slug = f"{data}/{name.replace(', ', '-').replace(' ', '-')}/seed-{seed}"
                folder = options.work / slug
                if (folder / "figures.json").exists():
                    continue
                recipe = recipe_of(name, data, seed, options.lm, options.work / "flickr8k-features", options.steps)
                started = time.process_time()
                with quiet(not options.verbose):
                    train(recipe, folder / "model", device="cpu")
                    seconds = time.process_time() - started
                    encoder = Fast(folder / "model", texts[data], pictures[data])
                    done = evaluate(encoder, benchmark, out=folder / "run", metrics=("AO@10", "JS@10"), n_resamples=2000, cache=False, overwrite=True)
                figures = {metric: done.value(metric) for metric in ("AO@10", "JS@10")}
                figures |= {metric: done.value(metric, "retrieval") for metric in ("R@1", "R@5", "R@10")}
                figures["foil-AUC"] = done.value("foil-AUC(AO@10)")
                if sts:
                    left, right = (unit(np.concatenate([encoder.encode_text([row[side] for row in sts[i : i + 200]])
                                   for i in range(0, len(sts), 200)])) for side in (0, 1))  # fmt: skip
                    figures["STS-B dev"] = float(spearmanr((left * right).sum(1), [row[2] for row in sts]).statistic * 100)
                figures |= {"trained": encoder.trained, "cpu_seconds": seconds, "steps": options.steps}
                (folder / "figures.json").write_text(json.dumps(figures, indent=1))
                note(f"{slug}: " + ", ".join(f"{key} {value:.3f}" for key, value in figures.items() if key not in ("trained", "steps")))


def demo(options: argparse.Namespace) -> None:
    """Write what `parabench demo` shows of ``scratch`` and ``align``: their vectors for scenes' test split, in float16."""
    import torch

    from parabench.data import ImageStore, load
    from parabench.encoders.demo import key_of
    from parabench.retrieval.embed import unit
    from parabench.train.data.captions import CaptionSet

    torch.set_num_threads(1)
    test = load("scenes").select("test")
    sts = sts_rows(options.sts)
    texts = texts_of(test, sts)
    store = ImageStore(test)
    pictures = CaptionSet("scenes", test.image_ids, [["-"]] * len(test.image_ids), store.open, store.sha256)
    said = texts_of(test, [])
    for name in ("scratch", "align"):
        encoder = Fast(options.work / "scenes" / name / "seed-0" / "model", texts, pictures)
        vectors = [encoder.encode_text(said[start : start + 500]) for start in range(0, len(said), 500)]
        keys = [key_of("text", text) for text in said] + [key_of("image", image_id) for image_id in test.image_ids]
        matrix = unit(np.concatenate([*vectors, encoder.encode_images(test.image_ids)])).astype(np.float16)
        np.savez_compressed(
            options.folder / f"demo_{name}.npz", keys=np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 8), vectors=matrix,
            n_parameters=encoder.n_parameters,
        )  # fmt: skip


def texts_of(test, sts: list[tuple[str, str, float]]) -> list[str]:
    """Every text that an evaluation reads, once."""
    said = [*test.pairs["caption"].to_pylist(), *test.pairs["paraphrase"].to_pylist(), *test.foils["foil"].to_pylist(),
            *test.foils["caption"].to_pylist(), *(text for a, b, _ in sts for text in (a, b))]  # fmt: skip
    return list(dict.fromkeys(said))


def figures_of(work: Path, data: str, name: str) -> list[tuple[Path, dict]]:
    folder = work / data / name.replace(", ", "-").replace(" ", "-")
    return [(path.parent, json.loads(path.read_text())) for path in sorted(folder.glob("seed-*/figures.json"))]


def read_pairs(folder: Path):
    import pyarrow.parquet as pq

    return pq.read_table(folder / "run" / "pairs.parquet").to_pandas()


def mean_pairs(found: list[tuple[Path, dict]]):
    """Means over seeds of what is compared, a value a pair, with each pair's picture."""
    frames = [read_pairs(folder) for folder, _ in found]
    columns = list(PAIRED)
    values = np.mean([frame[columns].to_numpy(np.float64) for frame in frames], axis=0)
    return dict(zip(columns, values.T, strict=True)), frames[0]["image_id"].to_numpy()


def paired_rows(work: Path, data: str, baseline: str, names: list[str]) -> list[str]:
    """Differences to the baseline, per pair, seeds averaged first; Holm over all rows."""
    from parabench.metrics.paired import holm, paired_differences

    base, images = mean_pairs(figures_of(work, data, baseline))
    clusters = np.unique(images, return_inverse=True)[1]
    rows, p_values = [], []
    for name in names:
        if name == baseline or not figures_of(work, data, name):
            continue
        other, _ = mean_pairs(figures_of(work, data, name))
        for column, label in PAIRED.items():
            found = paired_differences(other[column] - base[column], clusters)[0]
            p_values.append(found.p)
            rows.append((name, label, found))
    adjusted = holm(p_values) if rows else []
    return [
        f"| {name} − {baseline} | {metric} | {found.difference:+.3f} | [{found.ci_low:+.3f}, {found.ci_high:+.3f}] | {p:.4f} |"
        for (name, metric, found), p in zip(rows, adjusted, strict=True)
    ]


def table(work: Path, data: str, names: list[str]) -> list[str]:
    lines = ["| arm | seeds | AO@10 | JS@10 | R@1 | R@5 | R@10 | foil-AUC | STS-B dev | trained | CPU s |", "|---|---|---|---|---|---|---|---|---|---|---|"]
    for name in names:
        found = [figures for _, figures in figures_of(work, data, name)]
        if not found:
            continue

        def cell(key: str, digits: int = 3, found: list[dict] = found) -> str:
            values = np.array([figures[key] for figures in found if key in figures])
            if not len(values):
                return "–"
            spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
            return f"{values.mean():.{digits}f}{spread}"

        numbers = [cell(key) for key in ("AO@10", "JS@10", "R@1", "R@5", "R@10", "foil-AUC")]
        lines.append(f"| {name} | {len(found)} | {' | '.join(numbers)} | {cell('STS-B dev', 1)} | {found[0]['trained']:,} | {np.mean([f['cpu_seconds'] for f in found]):.0f} |")
    return lines


def by_kind(work: Path, data: str, names: list[str]) -> list[str]:
    lines, kinds = [], None
    for name in names:
        found = [read_pairs(folder) for folder, _ in figures_of(work, data, name)]
        if not found:
            continue
        means = [frame.groupby("kind")["AO@10"].mean() for frame in found]
        kinds = kinds or list(means[0].index)
        if not lines:
            lines = [f"| arm | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
        lines.append(f"| {name} | " + " | ".join(f"{np.mean([m[kind] for m in means]):.3f}" for kind in kinds) + " |")
    return lines


def plot(work: Path, path: Path, sets: list[str]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(sets), figsize=(5.2 * len(sets), 4.2), squeeze=False)
    for axis, data in zip(axes[0], sets, strict=True):
        for number, name in enumerate(STRATEGIES):
            found = [figures for _, figures in figures_of(work, data, name)]
            if found:
                x, y = ([figures[key] for figures in found] for key in ("R@10", "AO@10"))
                axis.scatter(x, y, s=18, alpha=0.5, color=f"C{number}")
                axis.scatter(np.mean(x), np.mean(y), s=70, marker="D", color=f"C{number}", label=name)
        axis.set(xlabel="R@10 of captions (accuracy)", ylabel="AO@10 of paraphrases (stability)", title=f"{data}, test split")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def report(options: argparse.Namespace) -> None:
    """Put the tables between the markers of the page; the words around them are written by people."""
    page = options.page.read_text(encoding="utf-8")
    sets = [data for data in SETS if figures_of(options.work, data, "scratch")]
    for data in sets:
        for key, lines in {
            f"strategies-{data}": table(options.work, data, list(STRATEGIES)),
            f"paired-{data}": ["| difference | metric | mean | 95 % interval | p (Holm) |", "|---|---|---|---|---|",
                               *paired_rows(options.work, data, "scratch", list(STRATEGIES))],
            f"kinds-{data}": by_kind(options.work, data, list(STRATEGIES)),
            f"ablations-{data}": table(options.work, data, ["scratch", "align", *ABLATIONS]),
            f"paired-ablations-{data}": ["| difference | metric | mean | 95 % interval | p (Holm) |", "|---|---|---|---|---|",
                                         *paired_rows(options.work, data, "align", list(ABLATIONS))],
        }.items():  # fmt: skip
            start, end = f"<!-- {key} -->", f"<!-- /{key} -->"
            if start in page:
                head, rest = page.split(start, 1)
                page = head + start + "\n" + "\n".join(lines) + "\n" + end + rest.split(end, 1)[1]
    options.page.write_text(page, encoding="utf-8")
    plot(options.work, options.page.parent / "images" / "experiment.png", sets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/experiment"))
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run")
    one.add_argument("--lm", default="sentence-transformers/all-MiniLM-L6-v2")
    one.add_argument("--flickr8k", type=Path)
    one.add_argument("--sts", type=Path)
    one.add_argument("--seeds", type=int, default=3)
    one.add_argument("--first-seed", type=int, default=0, help="several processes may share the seeds")
    one.add_argument("--steps", type=int, default=200)
    one.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    one.add_argument("--arms", nargs="+", choices=[*STRATEGIES, *ABLATIONS])
    one.add_argument("--verbose", action="store_true")
    one.set_defaults(call=run)
    two = commands.add_parser("report")
    two.add_argument("--page", type=Path, default=Path("docs/experiment.md"))
    two.set_defaults(call=report)
    three = commands.add_parser("demo")
    three.add_argument("--sts", type=Path, help="as in run, so that stored states are found again")
    three.add_argument("--folder", type=Path, default=Path("parabench/encoders"))
    three.set_defaults(call=demo)
    options = parser.parse_args()
    options.call(options)


if __name__ == "__main__":
    main()
