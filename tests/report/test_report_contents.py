"""What a report consists of, which examples it chooses, and what it does where things are missing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hostile_texts import HOSTILE
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import parabench
from parabench.evaluate import Measure
from parabench.evaluate.result import Curve, DatasetRecord, ModelRecord, Result, Slice, TaskResult
from parabench.report import write_comparison, write_report
from parabench.report.examples import differ_most, lost, most_stable, most_unstable
from parabench.report.figures import curve_figures, slice_figures, stability_figure
from parabench.report.names import short_names
from parabench.report.reading import plain_reading, verdicts
from parabench.report.word_diff import LONGEST, changed_share, compare_words


def cli(*arguments, cwd):
    return subprocess.run([sys.executable, "-m", "parabench", *map(str, arguments)], capture_output=True, text=True, cwd=cwd, env=dict(os.environ), timeout=300)


def test_files_of_every_figure_and_table(hostile):
    folder = hostile.folder / "run0"
    page = (folder / "report.html").read_text(encoding="utf-8")
    drawn = {path.stem for path in (folder / "plots").glob("*.svg")}
    assert drawn == {path.stem for path in (folder / "plots").glob("*.png")} and {"stability", "spread", "slice-kind"} <= drawn
    assert page.count("<figure>") == len(drawn)
    for path in (folder / "plots").glob("*"):
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert np.asarray(image.convert("L")).std() > 5
        else:
            tree = ElementTree.parse(path)
            assert any(element.tag.endswith("text") for element in tree.iter()), "text stays text"
            assert not any(element.tag.endswith(("script", "image")) for element in tree.iter())
    tables = {path.stem for path in (folder / "tables").glob("*.tex")}
    assert tables == {path.stem for path in (folder / "tables").glob("*.md")}
    assert {"overview", "task-paraphrase", "task-retrieval", "stability", "slice-kind"} <= tables
    assert (hostile.folder / "comparison-files" / "tables" / "differences.tex").exists()


def test_the_same_run_gives_the_same_bytes(hostile, tmp_path):
    page = hostile.pages["run"]
    before = page.read_bytes(), (page.parent / "plots" / "stability.svg").read_bytes()
    write_report(hostile.runs[:1], hostile.benchmark, hostile.images, page)
    assert (page.read_bytes(), (page.parent / "plots" / "stability.svg").read_bytes()) == before


def test_missing_pictures_are_placeholders(hostile, tmp_path):
    page = hostile.pages["run"].read_text(encoding="utf-8")
    assert page.count("no picture here") > 5 and page.count("data:image/jpeg") > 5
    write_report(hostile.runs[:1], None, [], tmp_path / "bare.html")
    bare = (tmp_path / "bare.html").read_text(encoding="utf-8")
    assert "data:image" not in bare and bare.count("no picture here") == bare.count('class="picture"')
    assert "Paraphrase" in bare and "Foil" not in bare.split('id="least"')[1].split('id="numbers"')[0]


def test_command_line(hostile, tmp_path):
    rows = "image_id,caption,paraphrase\n" + "".join(f"{n},thing {n},object {n}\n" for n in range(12))
    (tmp_path / "pairs.csv").write_text(rows)
    arguments = ("evaluate", "--model", "random:8", "--dataset", "pairs.csv", "--resamples", "50", "--out", "a")
    assert cli(*arguments, cwd=tmp_path).returncode == 0
    page = tmp_path / "a" / "report.html"
    before = page.read_bytes()
    assert b"parabench evaluate --model random:8 --dataset pairs.csv --resamples 50 --out a" in before
    page.unlink()
    done = cli("report", "a", "--dataset", "pairs.csv", cwd=tmp_path)
    assert done.returncode == 0 and page.read_bytes() == before, done.stderr
    (tmp_path / "elsewhere").mkdir()
    done = cli("report", "../a", cwd=tmp_path / "elsewhere")
    assert done.returncode == 0 and "--dataset" in done.stderr and b"no picture here" in page.read_bytes()
    assert cli("report", "a", "--dataset", "nowhere.csv", cwd=tmp_path).returncode != 0
    assert cli("evaluate", "--model", "random:9", "--dataset", "pairs.csv", "--resamples", "50", "--out", "b", cwd=tmp_path).returncode == 0
    assert cli("report", "a", "b", "--dataset", "pairs.csv", cwd=tmp_path).returncode == 0
    assert (tmp_path / "report.html").exists() and (tmp_path / "report-files" / "plots" / "stability.png").exists()
    done = cli("compare", "a", "b", "--resamples", "50", "--permutations", "50", "--out", "c.html", "--dataset", "pairs.csv", cwd=tmp_path)
    assert done.returncode == 0 and "page: c.html" in done.stdout and "Who wins" in (tmp_path / "c.html").read_text()
    done = cli("compare", "a", "b", "--resamples", "50", "--permutations", "50", "--out", "c.json", cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "c.json").read_text().startswith("{")
    (tmp_path / "pairs.csv").write_text(rows.replace("thing 3", "thing three"))
    done = cli("report", "a", "--dataset", "pairs.csv", cwd=tmp_path)
    assert done.returncode == 0 and "differ" in done.stderr


def test_without_a_report_nothing_is_drawn(tmp_path):
    (tmp_path / "pairs.csv").write_text("image_id,caption,paraphrase\n1,a cat,one cat\n2,a dog,one dog\n")
    code = (
        "import sys\nfrom parabench.cli import main\n"
        "try: main('evaluate --model random:8 --dataset pairs.csv --metrics AO@2 --no-report --out r'.split())\n"
        "except SystemExit: print({'matplotlib', 'jinja2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.endswith("set()\n")


@pytest.mark.parametrize("rows", ["1,a cat,one cat\n", "1,a cat,one cat\n1,a cat,some cat\n", "1,a cat,one cat\n2,a dog,one dog\n"])
def test_tiny_sets(tmp_path, rows):
    (tmp_path / "pairs.csv").write_text("image_id,caption,paraphrase\n" + rows)
    benchmark = parabench.load(tmp_path / "pairs.csv")
    runs = [parabench.evaluate(spec, benchmark, out=tmp_path / spec[0], metrics=["Top1"], n_resamples=50) for spec in ("random:8", "constant:8")]
    for run in runs:
        write_report([run], benchmark, [], run.folder / "report.html")
        assert "In plain words" in (run.folder / "report.html").read_text()
    write_comparison(parabench.compare(*runs, n_resamples=50), runs, benchmark, [], tmp_path / "c.html")
    assert "Who wins" in (tmp_path / "c.html").read_text()


class Asked:
    """The part of a run from which examples are chosen."""

    def __init__(self, rows):
        self.pairs = pd.DataFrame(rows, columns=["image_id", "caption", "paraphrase", "AO@10", "caption_rank", "paraphrase_rank"])


def test_examples_teach():
    run = Asked([
        ("a", "one cat", "one feline", 0.0, 40, 50), ("b", "a dog", "a hound", 0.0, 1, 60), ("b", "a dog", "the dog", 0.0, 1, 2),
        ("c", "red car", "crimson automobile", 1.0, 1, 1), ("d", "a tree", "A tree.", 1.0, 1, 1), ("e", "tall house", "high house", 1.0, 1, 1),
        ("f", "sea", "ocean", 0.4, 1, 9), ("g", "sky", "heavens", 0.4, 2, 9),
    ])  # fmt: skip
    least = most_unstable(run, "AO@10", 2)
    assert least == [1, 0], "of different pictures, first one whose caption finds its picture"
    assert most_stable(run, "AO@10", 2) == [3, 5], "the most changed words; not the pair that only differs in case"
    assert most_stable(run, "AO@10", 9)[-1] == 4
    assert lost(run, "AO@10", 5, without=least) == [6], "found first, then not among the five"
    first, second = pd.Series([0.9, 0.5, 0.8, 0.1]), pd.Series([0.1, 0.5, 0.0, 0.9])
    assert differ_most(first, second, pd.Series(["x", "y", "x", "z"]), 5) == [0]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "D", "d.", ","]), max_size=12), st.lists(st.sampled_from(["a", "b", "c", "D", "d.", ","]), max_size=12))
def test_unmarked_words_are_common_words(left, right):
    a, b = compare_words(" ".join(left), " ".join(right))
    kept = [[word.strip(".").lower() for word, changed in sentence.words if not changed] for sentence in (a, b)]
    assert kept[0] == kept[1]
    assert [word for word, _ in a.words] == left and not a.cut
    assert 0 <= changed_share(a.text, b.text) <= 1


def test_long_sentences_are_cut():
    for text in HOSTILE.values():
        sentence, same = compare_words(text, text)
        shown = " ".join(word for word, _ in sentence.words)
        assert len(shown) <= LONGEST + 1 and not any(changed for _, changed in same.words)
        assert sentence.cut == (shown != " ".join(text.split())) and sentence.text == text


def test_names():
    names = short_names(["sbert:org/all-MiniLM-L6-v2", "embeddings:/a/clip/vectors", "embeddings:/b/clip/vectors", "openclip:ViT-B-32/openai", "tfidf:", "x:" + "y" * 99])
    assert names[:5] == ["all-MiniLM-L6-v2", "clip/vectors #2", "clip/vectors #3", "openclip:ViT-B-32/openai", "tfidf"]
    assert len(names[5]) <= 34 and len(set(names)) == 6


def result(name, recall, stability, **more):
    def measure(value):
        return Measure(value=value, ci_low=value - 0.02, ci_high=value + 0.02, n=100, clusters=50, floor=0.01)

    tasks = {"paraphrase": TaskResult(metrics={"AO@10": measure(stability)}, **more),
             "retrieval": TaskResult(metrics={"R@10": measure(recall)}, details={"chance": {"R@10": 0.01}})}  # fmt: skip
    return Result(model=ModelRecord(spec=name, fingerprint=name), dataset=DatasetRecord(name="d", fingerprint="d", n_pairs=100, n_images=50),
                  settings={"metrics": ["AO@10"]}, environment={}, tasks=tasks)  # fmt: skip


def shown_alone(browser, figure, folder):
    page = folder / "figure.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><body style='width:600px'>{figure.inline}", encoding="utf-8")
    driver = browser(width=800)
    driver.get(page.as_uri())
    return driver


def test_names_in_the_scatter_do_not_cover_each_other(browser, tmp_path):
    rng = np.random.default_rng(0)
    results = [result(f"a-model-of-size-{n}", *(0.8 + 0.04 * rng.standard_normal(2))) for n in range(8)]
    names = [entry.model.spec for entry in results]
    figure = stability_figure(results, names, "AO@10")
    driver = shown_alone(browser, figure, tmp_path)
    boxes = driver.execute_script(
        "return [...document.querySelectorAll('svg text')].map(e => [e.textContent, e.getBoundingClientRect()]).map(([t, r]) => [t, r.left, r.top, r.right, r.bottom])"
    )
    boxes = [box for box in boxes if box[0] in names]
    frame = driver.execute_script("const r = document.querySelector('svg').getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]")
    assert len(boxes) == 8
    for place, (_, left, top, right, bottom) in enumerate(boxes):
        assert frame[0] <= left and right <= frame[2] and frame[1] <= top and bottom <= frame[3]
        for _, x0, y0, x1, y1 in boxes[place + 1 :]:
            width, height = min(right, x1) - max(left, x0), min(bottom, y1) - max(top, y0)
            assert width <= 1 or height <= 3, "names lie apart"


def test_curves_with_floor_and_ceiling(browser, tmp_path):
    x = [1.0, 2.0, 5.0, 10.0, 50.0]
    line = [0.5, 0.48, 0.46, 0.45, 0.5]
    curve = Curve(name="depth", metric="AO", x_label="depth k", x=x, values=line, ci_low=[v - 0.02 for v in line], ci_high=[v + 0.02 for v in line],
                  floor=[0.01] * 5, floor_low=[0.0] * 5, floor_high=[0.02] * 5, ceiling=[0.99] * 5, ceiling_low=[0.98] * 5, ceiling_high=[1.0] * 5, n=100, clusters=50)  # fmt: skip
    size = Curve(name="gallery size", metric="AO@10", x_label="pictures", x=[20.0, 50.0, 500.0], values=[0.6, 0.5, 0.4], n=100, clusters=50)
    figures = curve_figures([result("m", 0.9, 0.45, curves=[curve, size])], ["m"])
    assert [figure.name for figure in figures] == ["curve-depth-ao", "curve-gallery-size-ao-10"]
    depth = figures[0]
    assert depth.svg.count("FillBetween") == 3 or depth.svg.count("PolyCollection") == 3, "three bands: values, floor, ceiling"
    assert depth.table.rows[0][1:] == ("1", ".500", "[.480, .520]", ".010", ".990")
    assert "distractors added" in figures[1].svg, "points past the gallery hold distractors"
    driver = shown_alone(browser, depth, tmp_path)
    said = driver.execute_script("return [...document.querySelectorAll('svg text')].map(e => e.textContent).join(' ')")
    assert "floor: unrelated captions" in said and "ceiling: the same text again" in said


def test_slices_say_n_and_many_categories_fit():
    levels = [Slice(by="category", level=f"thing {n}", metrics={"AO@10": Measure(value=n / 100, ci_low=n / 100, ci_high=n / 100, n=1000 - n, clusters=30)}) for n in range(80)]
    (figure,) = slice_figures([result("m", 0.9, 0.45, slices=levels)], ["m"], "AO@10")
    assert "thing 0  (n = 1,000)" in figure.svg and "thing 79" not in figure.svg
    assert len(figure.table.rows) == 80 and "24 largest of 80" in figure.description


def test_inline_figures_follow_the_page(hostile):
    figure = stability_figure([result("m<i>$x$", 0.9, 0.4)], ["m<i>$x$"], "AO@10")
    used = set(re.findall(r"#[0-9a-f]{6}", figure.svg))
    for colour in used:  # a colour of its own would not change with the scheme
        assert figure.inline.count(colour) == figure.inline.count(f"{colour})"), colour
    assert "m&lt;i&gt;$x$" in figure.svg and "<metadata>" not in figure.inline


def test_runs_without_pairs(tmp_path):
    from parabench.evaluate.run import Run

    record = result("text-only", 0, 0)
    record.tasks = {"sts": TaskResult(metrics={"STSB dev": Measure(value=86.72, n=1500, clusters=1500), "STS12": Measure(value=-0.7, ci_low=-4.31, ci_high=4.5, n=9, clusters=9)}, details={"note": "not all sets"})}
    run = Run(tmp_path, record)
    write_report([run], None, [], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "86.72" in page and "<td>-0.70</td><td>[-4.31, 4.50]</td>" in page and "not all sets" in page and (tmp_path / "tables" / "task-sts.tex").exists()


def test_sentences(hostile):
    run = hostile.runs[0]
    assert len(plain_reading(run)) == 3 and "of the first" in plain_reading(run)[0]
    names = {entry.label: f"model {place}" for place, entry in enumerate(hostile.comparison.runs)}
    comparison = hostile.comparison.model_copy(deep=True)
    contrast = comparison.contrasts[0]
    for difference, low, high, p, said in [
        (0.2, 0.1, 0.3, 0.001, "model 1 is more stable than model 0"), (-0.2, -0.3, -0.1, 0.001, "model 0 is more stable than model 1"),
        (0.02, -0.1, 0.1, 0.6, "No difference between model 1 and model 0 is shown"), (0.2, 0.1, 0.3, 0.2, "No difference"), (0.2, None, None, None, "too few pictures"),
    ]:  # fmt: skip
        contrast.difference, contrast.ci_low, contrast.ci_high, contrast.p, contrast.p_holm = difference, low, high, p, p
        assert said in verdicts(comparison, names)[0]


def test_the_call_is_recorded(hostile, tmp_path):
    command = hostile.runs[0].result.environment["command"]
    assert command.startswith("parabench.evaluate(<Hashed mine:<script>") and "metrics=['AO@5', 'JS@5']" in command and "n_resamples=200" in command
    assert "depth" not in command and str(Path("run0")) in command
