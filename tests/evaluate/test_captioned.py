"""Retrieval on captioned sets, by the published definitions."""

import json

import numpy as np
import pytest

import parabench
from parabench.data.sources.positives import read_positives
from parabench.errors import DataError
from parabench.evaluate import Run, rescore


@pytest.fixture
def karpathy(tmp_path, monkeypatch):
    """A set in Karpathy's form with six captions a picture, and vectors of its own."""
    rng = np.random.default_rng(5)
    images = [{"filename": f"COCO_val2014_{n:012d}.jpg", "filepath": "val2014", "cocoid": n, "split": "test" if n % 5 else "train",
               "sentences": [{"raw": f"caption {j} of {n}", "sentid": 100 * n + j} for j in range(6)]} for n in range(1, 61)]  # fmt: skip
    (tmp_path / "data" / "coco").mkdir(parents=True)
    (tmp_path / "data" / "coco" / "dataset_coco.json").write_text(json.dumps({"images": images}))
    monkeypatch.setenv("PARABENCH_DATA", str(tmp_path / "data"))
    (tmp_path / "vectors").mkdir()
    test = [image for image in images if image["split"] == "test"]
    centres = rng.normal(size=(len(test), 16))
    texts = [s["raw"] for image in test for s in image["sentences"][:5]]
    vectors = np.repeat(centres, 5, 0) + 1.2 * rng.normal(size=(len(texts), 16))
    (tmp_path / "vectors" / "texts.txt").write_text("\n".join(texts) + "\n")
    np.save(tmp_path / "vectors" / "text_embeddings.npy", vectors.astype(np.float32))
    (tmp_path / "vectors" / "image_ids.txt").write_text("\n".join(str(image["cocoid"]) for image in test) + "\n")
    np.save(tmp_path / "vectors" / "image_embeddings.npy", centres.astype(np.float32))
    scores = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) @ (centres / np.linalg.norm(centres, axis=1, keepdims=True)).T
    return tmp_path, test, scores


def test_coco_karpathy_by_the_published_definitions(karpathy):
    folder, test, scores = karpathy
    ids = [image["cocoid"] for image in test]
    captions = [s["sentid"] for image in test for s in image["sentences"][:5]]
    rng = np.random.default_rng(1)
    to_image = {str(c): [int(i) for i in rng.choice(ids, 4, replace=False)] for c in captions[:70]}
    to_caption = {str(i): [int(c) for c in rng.choice(captions, rng.integers(1, 30), replace=False)] for i in ids[:20]}
    (folder / "eccv").mkdir()
    (folder / "eccv" / "eccv_caption_to_image.json").write_text(json.dumps(to_image))
    (folder / "eccv" / "eccv_image_to_caption.json").write_text(json.dumps(to_caption))
    run = parabench.evaluate(f"embeddings:{folder / 'vectors'}", "coco-karpathy", tasks=["retrieval"], task_data={"retrieval": folder / "eccv"},
                             out=folder / "run", n_resamples=200)  # fmt: skip
    value = {name: entry.value for name, entry in run.result.tasks["retrieval"].metrics.items()}
    owner = np.repeat(np.arange(len(ids)), 5)
    for k in (1, 5, 10):
        top = np.argsort(-scores, axis=1)[:, :k]
        assert value[f"R@{k}"] == pytest.approx(np.mean([owner[q] in top[q] for q in range(len(owner))])), "all five captions ask"
        back = np.argsort(-scores.T, axis=1)[:, :k]
        any_of_five = np.mean([bool(set(back[i]) & set(range(5 * i, 5 * i + 5))) for i in range(len(ids))])
        assert value[f"R@{k} image→text"] == pytest.approx(any_of_five)
    for fits, order, queries, items, suffix in ((to_image, -scores, captions, ids, ""), (to_caption, -scores.T, ids, captions, " image→text")):
        precision, average, first = [], [], []
        for key, right in fits.items():
            ranked = [items[i] for i in np.argsort(order[queries.index(int(key))])]
            hit = np.array([item in right for item in ranked[: len(right)]])
            precision.append(hit.mean())
            average.append(sum(hit[: i + 1].mean() for i in range(len(right)) if hit[i]) / len(right))
            first.append(ranked[0] in right)
        assert value[f"ECCV R-Precision{suffix}"] == pytest.approx(np.mean(precision))
        assert value[f"ECCV mAP@R{suffix}"] == pytest.approx(np.mean(average)) and value[f"ECCV R@1{suffix}"] == pytest.approx(np.mean(first))
    assert run.result.tasks["retrieval"].metrics["R@1"].clusters == len(ids) and rescore(Run.load(folder / "run")).tasks == run.result.tasks


def test_cxc_ratings_are_positives_from_three_on(karpathy):
    folder, test, _ = karpathy
    a, b = test[0], test[1]
    rows = [("caption", "image", "agg_score", "sampling_method"),
            (f"COCO_val2014:sentid:{a['sentences'][0]['sentid']}", b["filename"], 3.0, "x"),
            (f"COCO_val2014:sentid:{a['sentences'][1]['sentid']}", b["filename"], 2.9, "x")]  # fmt: skip
    (folder / "sits.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    run = parabench.evaluate(f"embeddings:{folder / 'vectors'}", "coco-karpathy", task_data={"retrieval": folder / "sits.csv"},
                             out=folder / "run", n_resamples=50)  # fmt: skip
    rows = run.rows("retrieval").to_pandas().dropna(subset="n_positives")
    assert rows[rows.direction == "text→image"].n_positives.tolist() == [2, 1]
    assert rows[rows.direction == "image→text"].n_positives.tolist() == [6]
    (folder / "sits.csv").write_text("caption,image,agg_score\nCOCO_val2014:sentid:9,COCO_val2014_000000000001.jpg,4\n")
    with pytest.raises(DataError, match="line 2: id 9 is not in the set"):
        parabench.evaluate("random:8", "coco-karpathy", task_data={"retrieval": folder / "sits.csv"}, out=folder / "r")


def test_a_text_only_encoder_searches_a_caption_gallery_without_its_own_query(karpathy):
    folder, test, _ = karpathy
    for path in (folder / "vectors").glob("image*"):
        path.unlink()
    run = parabench.evaluate(f"embeddings:{folder / 'vectors'}", "coco-karpathy", out=folder / "run", n_resamples=50)
    texts = np.load(folder / "vectors" / "text_embeddings.npy").astype(np.float64)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    hit = []
    for query in range(len(texts)):
        means = np.stack([texts[[c for c in range(5 * i, 5 * i + 5) if c != query]].sum(0) for i in range(len(test))])
        hit.append((means / np.linalg.norm(means, axis=1, keepdims=True) @ texts[query]).argmax() == query // 5)
    assert run.value("R@1", "retrieval") == pytest.approx(np.mean(hit))
    assert "image→text" in run.result.tasks["retrieval"].details["skipped"]


def test_real_flickr8k_captions(shared_data):
    got = parabench.load("flickr8k-karpathy")
    assert len(got.image_ids) == 1000 and {len(own) for own in got.gallery["captions"].to_pylist()} == {5}


def test_real_cxc_positives(shared_data):
    val = parabench.load("coco-karpathy?split=val")
    known = [(image_id, key) for image_id, own in val.caption_ids.items() for key in own]
    got = read_positives(shared_data / "cxc" / "sits_val.csv", known)
    assert len(known) == 25000 and (len(got.images_of), len(got.captions_of)) == (25000, 5000)
    assert min(map(len, got.captions_of.values())) >= 5 and 1 < np.mean([len(fits) for fits in got.images_of.values()]) < 2
