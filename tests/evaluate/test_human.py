"""Agreement with people on CxC."""

import csv
import json
import random

import numpy as np
import pytest
from scipy.stats import spearmanr

import parabench
from parabench.errors import DataError
from parabench.evaluate import Run, rescore


def small_cxc(shared, folder, n_images, n_pairs):
    """A part of CxC and of its gallery: ratings between captions of the first pictures."""
    images = json.loads((shared / "coco" / "coco_karpathy_val.json").read_text())
    ids = np.load(shared / "coco" / "coco_karpathy_val_caption_ids.npy").reshape(-1, 5)
    with (shared / "cxc" / "sts_val.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    chosen = random.Random(1).sample(rows, n_pairs)
    place = {int(key): row for row, own in enumerate(ids) for key in own}
    used = {place[int(row[key].rpartition(":")[2])] for row in chosen for key in ("caption1", "caption2")}
    kept = sorted(used | set(range(n_images)))
    (folder / "coco").mkdir(parents=True)
    (folder / "coco" / "coco_karpathy_val.json").write_text(json.dumps([images[row] for row in kept]))
    np.save(folder / "coco" / "coco_karpathy_val_caption_ids.npy", ids[kept])
    (folder / "cxc").mkdir()
    with (folder / "cxc" / "sts_val.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(chosen)
    return [images[row] for row in kept], ids[kept], chosen


def test_human_agreement_on_part_of_cxc(shared, minilm, tmp_path):
    images, ids, pairs = small_cxc(shared, tmp_path / "d", 60, 120)
    run = parabench.evaluate(f"sbert:{minilm}", tasks=["human"], task_data={"human": tmp_path / "d"}, metrics=["AO@10"],
                             out=tmp_path / "run", n_resamples=300)  # fmt: skip
    metrics = run.result.tasks["human"].metrics
    from sentence_transformers import SentenceTransformer

    texts = [text for image in images for text in image["caption"][:5]]
    vectors = SentenceTransformer(minilm, device="cpu").encode(texts, normalize_embeddings=True, show_progress_bar=False).astype(float)
    row_of = {int(key): row for row, key in enumerate(ids.ravel())}
    order = np.argsort([int(image["image"].rpartition("_")[2].split(".")[0]) for image in images])

    def ranking(row):
        own = vectors.reshape(-1, 5, vectors.shape[1]).sum(1)
        own[row // 5] -= vectors[row]
        scores = own / np.linalg.norm(own, axis=1, keepdims=True) @ vectors[row]
        return order[np.argsort(-scores[order], kind="stable")][:10]

    human, cosine, overlap = [], [], []
    for pair in pairs:
        a, b = (row_of[int(pair[key].rpartition(":")[2])] for key in ("caption1", "caption2"))
        human.append(float(pair["agg_score"]))
        cosine.append(vectors[a] @ vectors[b])
        overlap.append(parabench.RankSimilarity("AO@10")(ranking(a), ranking(b))["AO@10"])
    assert metrics["Spearman cosine"].value == pytest.approx(spearmanr(human, cosine).statistic, abs=1e-4)
    assert metrics["Spearman AO@10"].value == pytest.approx(spearmanr(human, overlap).statistic, abs=5e-3)
    assert metrics["Spearman AO@10"].ci_low > 0 and metrics["Spearman AO@10"].n == 120
    assert rescore(Run.load(tmp_path / "run")).tasks == run.result.tasks


@pytest.mark.parametrize(("line", "message"), [("COCO_val2014:sentid:1,COCO_val2014:sentid:2,3,x", "not a caption of the Karpathy val"), ("a,b,nan,x", "line 2")])
def test_bad_ratings_name_their_line(shared, tmp_path, line, message):
    small_cxc(shared, tmp_path / "d", 12, 5)
    (tmp_path / "d" / "cxc" / "sts_val.csv").write_text(f"caption1,caption2,agg_score,sampling_method\n{line}\n")
    with pytest.raises(DataError, match=message):
        parabench.evaluate("tfidf:", tasks=["human"], task_data={"human": tmp_path / "d"}, out=tmp_path / "run")
