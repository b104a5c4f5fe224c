"""Floor, ceiling, slices, curves, duplicates: against brute force, and again from the file alone."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

import parabench
from parabench.data.duplicates import duplicate_groups, picture_hash
from parabench.errors import DataError, UsageError
from parabench.evaluate import Run, rescore
from parabench.report.reading import plain_reading
from parabench.retrieval.queries import lexical_distance

N, DIM = 230, 12


class Vectors:
    """An encoder of ids with a fixed vector a text and a picture, and noise that depends on the batch."""

    spec, dim, sees, cacheable, batch_size = "vectors", DIM, "ids", False, 16

    def __init__(self, noise=0.0, fingerprint="vectors-1"):
        self.noise, self.fingerprint, self.calls = noise, fingerprint, 0

    def vector(self, text):
        own = text.split()[0]  # texts begin with their picture's id
        shift = np.random.default_rng(sum(ord(c) * 31**i for i, c in enumerate(text[:40])) % 2**32).normal(size=DIM)
        return self.encode_images([own])[0] + 0.8 * shift

    def encode_text(self, texts):
        self.calls += len(texts)
        wobble = np.random.default_rng(len(texts)).normal(size=DIM) * self.noise
        return np.stack([self.vector(text) + wobble for text in texts]).astype(np.float32)

    def encode_images(self, images):
        return np.stack([np.random.default_rng(int(image) + 7).normal(size=DIM) for image in images]).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    (folder / "gallery.csv").write_text("image_id,labels\n" + "".join(f"{i},{'even|all' if i % 2 == 0 else 'all'}\n" for i in range(N)))
    rows = ["image_id,caption,paraphrase,kind,source"]
    for i in range(0, N, 4):
        rows.append(f"{i},{i} short caption,caption that is short {i},syntactic,people")
        rows.append(f"{i},{i} a rather longer caption of some more words than that,{i} else,lexical,machine")
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n")
    return folder


def evaluate(folder, name, model=None, **options):
    options = {"n_resamples": 300, "overwrite": True} | options
    return parabench.evaluate(
        model or Vectors(), folder / "pairs.csv", gallery=folder / "gallery.csv", out=folder / name, **options
    )


class Texts(Vectors):
    """Paraphrases end in their picture's id or begin with it."""

    def vector(self, text):
        own = next(word for word in text.split() if word.isdigit())
        return super().vector(f"{own} {text}")


def test_image_to_text_comes_back_whatever_the_order_of_pairs(tmp_path):
    order = np.random.default_rng(0).permutation(60)
    (tmp_path / "pairs.csv").write_text("image_id,caption,paraphrase\n" + "".join(f"{i},{i} one,{i} two\n" for i in order))
    run = parabench.evaluate("random:8", tmp_path / "pairs.csv", out=tmp_path / "r", n_resamples=300)
    assert rescore(Run.load(tmp_path / "r")).tasks == run.result.tasks


@pytest.fixture(scope="module")
def run(folder):
    return evaluate(folder, "run", Texts(noise=0.02), gallery_sizes=[20, 100, 150])


def test_everything_comes_back_from_the_file_alone(run, folder):
    again = rescore(Run.load(folder / "run"))
    assert again.tasks == run.result.tasks and again.warnings == run.result.warnings
    task = again.tasks["paraphrase"]
    assert {entry.by for entry in task.slices} == {"kind", "caption length", "lexical distance", "category", "source"}
    assert [curve.metric for curve in task.curves] == ["AO", "AO@10", "R@10", "R@10 paraphrase"]
    written = json.loads((folder / "run" / "result.json").read_text())
    assert set(written["timings"]) >= {"metrics", "total", "ceiling"}


def test_floor_ceiling_and_normalised(run, folder):
    measure = run.result.tasks["paraphrase"].metrics["AO@10"]
    assert 0 < measure.floor < measure.value < measure.ceiling < 1, "another batch gives other neighbours here"
    assert measure.normalised == pytest.approx((measure.value - measure.floor) / (measure.ceiling - measure.floor))
    for value, (low, high) in ((measure.floor, measure.floor_ci), (measure.ceiling, measure.ceiling_ci), (measure.normalised, measure.normalised_ci)):
        assert low < value < high
    exact = evaluate(folder, "exact", Texts()).result.tasks["paraphrase"].metrics["AO@10"]
    assert exact.ceiling == 1 and exact.normalised == pytest.approx((exact.value - exact.floor) / (1 - exact.floor))
    off = evaluate(folder, "off", Texts(), ceiling="off").result.tasks["paraphrase"].metrics["AO@10"]
    assert off.ceiling is None and (off.value, off.floor, off.normalised) == (exact.value, exact.floor, exact.normalised)


def test_the_ceiling_is_a_small_part_of_the_work_and_cached(tmp_path):
    rows = ["image_id,caption,paraphrase"] + [f"{i % 50},{i % 50} caption {i},{i % 50} words {i}" for i in range(2000)]
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n")
    encoder = Texts()
    encoder.cacheable, encoder.fingerprint = True, "ceiling-cache"
    parabench.evaluate(encoder, tmp_path / "pairs.csv", out=tmp_path / "r", n_resamples=50)
    assert encoder.calls == 4000 + 200, "a tenth of the 2,000 captions once more"
    parabench.evaluate(encoder, tmp_path / "pairs.csv", out=tmp_path / "r", n_resamples=50)
    assert encoder.calls == 4200, "nothing is embedded again"


def test_the_ceiling_in_another_precision(folder):
    run = evaluate(folder, "bf16", "random:16", ceiling="bf16")
    assert run.result.tasks["paraphrase"].metrics["AO@10"].ceiling == 1 and run.result.settings["ceiling"] == "bf16"
    for model, ceiling, message in (
        (Texts(), "bf16", "needs its spec"), ("random:16", "fp32", "the run itself"), ("random:16", "fp8", "batch, fp32")
    ):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            evaluate(folder, "no", model, ceiling=ceiling)


def test_slices_are_means_of_their_pairs(run):
    pairs, task = run.pairs, run.result.tasks["paraphrase"]
    def by(name, level):
        return next(s for s in task.slices if (s.by, s.level) == (name, level)).metrics
    masks = {
        ("kind", "lexical"): pairs["kind"] == "lexical", ("source", "people"): pairs["source"] == "people",
        ("caption length", "0–5 words"): pairs["caption"].str.split().str.len() <= 5,
        ("category", "even"): pairs["image_id"].astype(int) % 2 == 0,
        ("lexical distance", "0.4–0.6"): [0.4 <= lexical_distance(a, b) < 0.6 for a, b in zip(pairs["caption"], pairs["paraphrase"], strict=True)],
    }  # fmt: skip
    for (name, level), mask in masks.items():
        part, metrics = pairs[mask], by(name, level)
        assert len(part) and metrics["AO@10"].n == len(part) and metrics["AO@10"].clusters == part["image_id"].nunique()
        assert metrics["AO@10"].value == pytest.approx(part["AO@10"].mean())
        assert metrics["AO@10"].ci_low < metrics["AO@10"].value < metrics["AO@10"].ci_high
        assert metrics["flip@10"].value == pytest.approx((part["caption_hit@10"] != part["paraphrase_hit@10"]).mean())
    assert task.metrics["AO@10"].by_kind["lexical"] == by("kind", "lexical")["AO@10"]


def test_lexical_distance():
    assert lexical_distance("A dog runs.", "runs a DOG") == 0 and lexical_distance("a b", "c d") == 1
    assert lexical_distance("a dog", "a cat") == pytest.approx(2 / 3) and lexical_distance("…", "!") == 0


def test_the_depth_curve_meets_the_metric(run):
    task = run.result.tasks["paraphrase"]
    (curve,) = [c for c in task.curves if c.name == "depth"]
    assert curve.x[:20] == list(range(1, 21)) and curve.x[-1] == 100
    at, measure = curve.x.index(10), task.metrics["AO@10"]
    for got, expected in ((curve.values[at], measure.value), (curve.floor[at], measure.floor), (curve.ceiling[at], measure.ceiling)):
        assert got == pytest.approx(expected, abs=1e-12)
    assert curve.ci_low[at] == pytest.approx(measure.ci_low, abs=1e-6)
    assert curve.values[0] == pytest.approx(task.metrics["Top1"].value)


def test_smaller_galleries_by_brute_force(folder):
    encoder, sizes = Texts(), (20, 100, 150)
    run = evaluate(folder, "sizes", encoder, gallery_sizes=sizes, seed=6)
    rankings, pairs = run.rankings, run.pairs
    texts = dict(zip(pairs["caption_id"], pairs["caption"], strict=True)) | dict(zip(pairs["pair_id"], pairs["paraphrase"], strict=True))
    images = encoder.encode_images(rankings.gallery)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    order = np.random.default_rng([6, 3]).permutation(N).tolist()
    for row in np.concatenate([rankings.rows("caption"), rankings.rows("paraphrase")])[::3]:
        target = rankings.gallery.index(rankings.image_id[row])
        scores = images @ encoder.vector(texts[rankings.query_id[row]])
        for size in sizes:
            gallery = [target, *[i for i in order if i != target][: size - 1]]
            assert len(gallery) == size
            assert rankings.smaller[size][row].tolist() == sorted(gallery, key=lambda i: -scores[i])[:10]
    assert (rankings.smaller[20][rankings.rows("caption again")] == -1).all()


def test_the_own_picture_is_in_every_gallery(folder):
    perfect = Texts()
    perfect.vector = lambda text: Vectors.encode_images(perfect, [next(w for w in text.split() if w.isdigit())])[0]
    task = evaluate(folder, "perfect", perfect, gallery_sizes=[10, 50]).result.tasks["paraphrase"]
    recall = next(c for c in task.curves if c.metric == "R@10")
    assert recall.x == [10, 50, N] and recall.values == [1, 1, 1]
    similarity = next(c for c in task.curves if c.metric == "AO@10")
    assert similarity.values == [1, 1, 1] and all(f < 1 for f in similarity.floor)


def test_distractors_push_the_right_picture_down(folder, tmp_path):
    vectors = tmp_path / "far"
    vectors.mkdir()
    rng = np.random.default_rng(0)
    ids = [*(f"d{i}" for i in range(400)), "0"]
    added = rng.normal(size=(401, DIM)).astype(np.float32)
    (vectors / "image_ids.txt").write_text("\n".join(ids) + "\n")
    np.save(vectors / "image_embeddings.npy", added)
    (vectors / "texts.txt").write_text("x\n")
    np.save(vectors / "text_embeddings.npy", added[:1])
    encoder = Texts()
    run = evaluate(folder, "far", encoder, distractors=f"embeddings:{vectors}")
    plain = evaluate(folder, "near", encoder)
    curve = next(c for c in run.result.tasks["paraphrase"].curves if c.metric == "R@10")
    assert curve.x == [100, N, 500, N + 400], "picture 0 is in the gallery, so it distracts nobody"
    assert curve.values == sorted(curve.values, reverse=True) and curve.values[-1] < curve.values[0]
    assert run.result.tasks["retrieval"] == plain.result.tasks["retrieval"], "the main numbers stay on the gallery"
    unit = [v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (encoder.encode_images(run.rankings.gallery), added[:400])]
    every = np.concatenate(unit)
    for row in np.flatnonzero(run.rankings.smaller[N + 400][:, 0] >= 0)[:40]:
        if run.rankings.role[row] == "caption":
            text = next(c for c, p in zip(run.pairs["caption"], run.pairs["caption_id"], strict=True) if p == run.rankings.caption_id[row])
            scores = every @ encoder.vector(text)
            assert run.rankings.smaller[N + 400][row].tolist() == np.argsort(-scores)[:10].tolist()
    assert rescore(Run.load(folder / "far")).tasks == run.result.tasks
    for spec, message in ((str(vectors), "embeddings:DIR"), (f"embeddings:{tmp_path / 'no'}", "no such folder")):
        with pytest.raises(UsageError, match=message):
            evaluate(folder, "no", encoder, distractors=spec)
    with pytest.raises(UsageError, match="12 dimensions and random:16 has 16"):
        evaluate(folder, "no", "random:16", distractors=f"embeddings:{vectors}")
    with pytest.raises(UsageError, match=f"10 to {N}"):
        evaluate(folder, "no", encoder, gallery_sizes=[N + 1])


def scenery(seed, size=(160, 120)):
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(rng.integers(0, 255, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(25):
        x, y, r = rng.integers(0, 160), rng.integers(0, 120), rng.integers(5, 50)
        draw.ellipse([x - r, y - r, x + r, y + r], fill=tuple(rng.integers(0, 255, 3).tolist()))
    return image


def test_copies_are_found_and_other_pictures_are_not(tmp_path):
    hashes = {f"{i}": picture_hash(scenery(i)) for i in range(60)}
    for i in range(0, 60, 10):
        scenery(i).resize((100, 75)).save(tmp_path / "copy.jpg", quality=70)
        with Image.open(tmp_path / "copy.jpg") as copy:
            hashes[f"copy {i}"] = picture_hash(copy)
    assert sorted(duplicate_groups(hashes)) == sorted((f"{i}", f"copy {i}") for i in range(0, 60, 10))
    assert duplicate_groups({name: picture_hash(Image.new("RGB", (9, 9))) for name in "ab"}) == (), "flat pictures tell nothing"
    assert duplicate_groups({}) == ()


def test_photographs_that_differ_are_no_duplicates(shared):
    hashes = {}
    for path in sorted((shared / "flickr8k" / "images").glob("*.jpg"))[:300]:
        with Image.open(path) as image:
            hashes[path.name] = picture_hash(image.convert("RGB"))
    assert duplicate_groups(hashes) == ()


class Colours:
    """Sees the mean colour of a picture; a text names the number of the picture it wants."""

    spec, fingerprint, dim = "colours", "colours-1", 3

    def encode_images(self, images):
        return np.stack([np.asarray(image, np.float32).mean(axis=(0, 1)) - 100 for image in images])

    def encode_text(self, texts):
        return np.stack([self.encode_images([scenery(int(text.split()[1]))])[0] for text in texts])


def test_duplicates_are_reported_and_collapsed_on_request(tmp_path):
    (tmp_path / "photos").mkdir()
    for i in range(20):
        scenery(i).save(tmp_path / "photos" / f"{i}.png")
    scenery(3).save(tmp_path / "photos" / "20.png", compress_level=1)  # the same picture under another name
    (tmp_path / "gallery.csv").write_text("image_id,file_name\n" + "".join(f"{i},{i}.png\n" for i in range(21)))
    (tmp_path / "pairs.csv").write_text("image_id,caption,paraphrase\n20,picture 3,image 3\n5,picture 5,image 5\n")
    benchmark = parabench.load(tmp_path / "pairs.csv", gallery=tmp_path / "gallery.csv", images=[tmp_path / "photos"])
    runs = {}
    for name, options in (("cold", {}), ("warm", {}), ("collapsed", {"collapse_duplicates": True})):
        runs[name] = parabench.evaluate(Colours(), benchmark, out=tmp_path / name, n_resamples=50, metrics=["AO@5"], **options)
        assert runs[name].result.tasks["paraphrase"].details["duplicate_pictures"] == [["3", "20"]]
        assert rescore(Run.load(tmp_path / name)).tasks == runs[name].result.tasks
    assert runs["cold"].value("R@1", "retrieval") == 0.5, "picture 3 stands before its copy 20"
    assert any("look like another" in text for text in runs["cold"].result.warnings)
    assert runs["cold"].result.tasks == runs["warm"].result.tasks
    assert runs["collapsed"].value("R@1", "retrieval") == 1.0 and not any("look like" in t for t in runs["collapsed"].result.warnings)
    assert runs["collapsed"].rankings.depth == 21, "what is stored is not collapsed"
    assert runs["collapsed"].pairs["image_id"].tolist() == ["20", "5"]
    assert runs["collapsed"].result.tasks["retrieval"].details["chance"]["R@1"] == 1 / 20, "twenty pictures can be told apart"
    with pytest.raises(UsageError, match="21 deep"):
        parabench.evaluate(Colours(), benchmark, out=tmp_path / "x", metrics=["AO@21"], collapse_duplicates=True)


def test_runs_without_duplicates_are_compared_without_them(tmp_path):
    (tmp_path / "photos").mkdir()
    rows = "image_id,caption,paraphrase\n"
    for i in range(12):
        for copy in (0, 50):  # every picture stands twice, each with a pair of its own
            scenery(i).save(tmp_path / "photos" / f"{i + copy}.png", compress_level=1 + copy // 10)
            rows += f"{i + copy},picture {i} {'again' * bool(copy)},image {i}\n"
    (tmp_path / "pairs.csv").write_text(rows)
    benchmark = parabench.load(tmp_path / "pairs.csv", images=[tmp_path / "photos"])

    def run(name, **options):
        encoder = Colours()
        encoder.fingerprint = encoder.spec = name
        return parabench.evaluate(encoder, benchmark, out=tmp_path / name, n_resamples=50, metrics=["AO@5"], **options)

    one, other, plain = run("one", collapse_duplicates=True), run("other", collapse_duplicates=True), run("plain")
    metrics = {name: measure for task in one.result.tasks.values() for name, measure in task.metrics.items()}
    assert one.value("R@1", "retrieval") == 1 and metrics["AO@5"].clusters == 12, "a picture and its copy are one cluster"
    comparison = parabench.compare(one, other, metrics=["AO@5", "R@1", "R@5 paraphrase"])
    for name, measure in comparison.runs[0].metrics.items():
        assert (measure.value, measure.clusters) == (metrics[name].value, metrics[name].clusters)
    assert any("count as one" in text for text in comparison.notes)
    assert f"{run_reading(one)} of the first 10" in plain_reading(one)[0]
    with pytest.raises(DataError, match="count as one for one and not for plain"):
        parabench.compare(one, plain)


def run_reading(run):
    """How many of the first ten stay, from the rankings that the run scored."""
    rankings = run.scored
    rows = rankings.rows("paraphrase")
    return f"{np.mean([len(set(rankings.top[rankings.caption_row[r], :10].tolist()) & set(rankings.top[r, :10].tolist())) for r in rows]):.1f}"


def test_few_pictures_are_not_called_chance(tmp_path):
    (tmp_path / "gallery.csv").write_text("image_id\n" + "".join(f"{i}\n" for i in range(1000)))
    (tmp_path / "pairs.csv").write_text("image_id,caption,paraphrase\n" + "".join(f"{i},{i} one,{i} two\n" for i in range(5)))
    found = Texts()
    # two of five captions name their own picture, the others one far away
    found.vector = lambda text: Vectors.encode_images(found, [str(int(text.split()[0]) + (0 if int(text.split()[0]) < 2 else 500))])[0]
    run = parabench.evaluate(found, tmp_path / "pairs.csv", gallery=tmp_path / "gallery.csv", out=tmp_path / "r", metrics=["AO@10"], n_resamples=300)
    assert run.value("R@10", "retrieval") == pytest.approx(0.4) and not any("chance" in text for text in run.result.warnings)
    run = parabench.evaluate("random:8", tmp_path / "pairs.csv", gallery=tmp_path / "gallery.csv", out=tmp_path / "n", metrics=["AO@10"], n_resamples=300)
    assert any("is at chance" in text for text in run.result.warnings)
    found.vector = lambda text: Vectors.encode_images(found, ["01340"[int(text.split()[0])]])[0]  # three of five name another's picture
    near = parabench.evaluate(found, tmp_path / "pairs.csv", out=tmp_path / "s", metrics=["AO@1"], n_resamples=300)
    assert any("R@1 = 0.400 of 5 pictures can't be told from chance (0.200)" in text for text in near.result.warnings)


@pytest.mark.parametrize("size", [3, 12, 60])
def test_stable_but_useless_in_galleries_of_every_size(tmp_path, size):
    (tmp_path / "pairs.csv").write_text("image_id,caption,paraphrase\n" + "".join(f"{i},{i} one,{i} two\n" for i in range(size)))
    metrics = [f"AO@{min(size, 10)}"]
    constant = parabench.evaluate("constant:8", tmp_path / "pairs.csv", out=tmp_path / "c", metrics=metrics, n_resamples=300)
    assert "stable but useless" in constant.result.warnings[0]
    good = Texts()
    good.vector = lambda text: Vectors.encode_images(good, [text.split()[0]])[0]
    found = parabench.evaluate(good, tmp_path / "pairs.csv", out=tmp_path / "g", metrics=metrics, n_resamples=300)
    assert found.value(metrics[0]) == 1, "a perfect model is stable and useful"
    assert [text.split(",")[0] for text in found.result.warnings] == ([f"{metrics[0]} looks at {min(size, 10)} of {size} pictures"] if size < 20 else [])
    random = parabench.evaluate("random:8", tmp_path / "pairs.csv", out=tmp_path / "r", metrics=metrics, n_resamples=300)
    assert not any("stable but useless" in text for text in random.result.warnings)


def test_one_pair_and_one_picture(tmp_path):
    (tmp_path / "pairs.csv").write_text("image_id,caption,paraphrase\n4,4 a dog,4 one dog\n")
    run = parabench.evaluate(Texts(), tmp_path / "pairs.csv", out=tmp_path / "r", metrics=["AO@1"])
    measure = run.result.tasks["paraphrase"].metrics["AO@1"]
    assert (measure.value, measure.n, measure.clusters) == (1, 1, 1)
    assert (measure.ci_low, measure.floor, measure.normalised, measure.floor_ci) == (None,) * 4
    assert any("one picture" in text for text in run.result.warnings) and rescore(run).tasks == run.result.tasks
    curve = run.result.tasks["paraphrase"].curves[0]
    assert curve.x == [1] and curve.values == [1] and curve.ci_low == [] and curve.floor == []


def test_all_ties_have_no_spread(folder):
    task = evaluate(folder, "ties", "constant:4").result.tasks["paraphrase"]
    measure = task.metrics["AO@10"]
    assert (measure.value, measure.ci_low, measure.ci_high, measure.floor, measure.ceiling) == (1, 1, 1, 1, 1)
    assert measure.normalised is None and measure.normalised_ci is None, "no room between floor and ceiling"
    table = task.details["both_hit"]["R@10"]
    assert sum(cell["share"] for cell in table.values()) == pytest.approx(1) and table["caption_only"]["n"] == 0
    assert table["neither"]["share_ci"][0] < table["neither"]["share"] < table["neither"]["share_ci"][1]


def test_missing_pictures_stop_before_any_work(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "pairs.csv").write_text("image_id,file_name,caption,paraphrase\n1,1.png,picture 1,image 1\n")
    with pytest.raises(DataError, match=r"1 of 1 pictures.*image '1'.*--images"):
        parabench.evaluate(Colours(), tmp_path / "pairs.csv", images=[tmp_path / "photos"], out=tmp_path / "r", metrics=["AO@1"])


def test_smaller_caption_galleries_leave_the_query_out_too(tmp_path):
    run = parabench.evaluate("tfidf:", "scenes", out=tmp_path / "r", n_resamples=20, gallery_sizes=[599], ceiling="off")
    rankings = run.rankings
    dropped = int(np.random.default_rng([0, 3]).permutation(600)[-1])
    asked = np.flatnonzero(rankings.smaller[599][:, 0] >= 0)
    assert 1000 < len(asked) < len(rankings.role)
    for row in asked[::10]:
        own = rankings.gallery[dropped] == rankings.image_id[row]
        if not own and dropped not in rankings.top[row, :10]:
            assert rankings.smaller[599][row].tolist() == [i for i in rankings.top[row].tolist() if i != dropped][:10]


def test_spearman_where_all_scores_are_kept(folder):
    from scipy.stats import spearmanr

    encoder = Texts()
    run = evaluate(folder, "full", encoder, depth=N, metrics=["AO@10", "Spearman"])
    images = encoder.encode_images(run.rankings.gallery)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    for _, pair in run.pairs.iloc[::20].iterrows():
        scores = [images @ encoder.vector(text) for text in (pair["caption"], pair["paraphrase"])]
        assert pair["Spearman"] == pytest.approx(spearmanr(*scores).statistic, abs=1e-4)
    measure = run.result.tasks["paraphrase"].metrics["Spearman"]
    assert measure.floor < measure.value < measure.ceiling == 1 and rescore(run).tasks == run.result.tasks
    with pytest.raises(UsageError, match=rf"--depth 100 keeps.*--depth {N}"):
        evaluate(folder, "no", encoder, metrics=["Spearman"])
