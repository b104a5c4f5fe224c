"""Checks that compare candidates with others: duplicates and leakage, and the files that training captions come in."""

import gzip
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parabench.build.candidates import Candidate
from parabench.build.caption import Caption
from parabench.build.filters import FilterConfig, load_filters, run_filters
from parabench.build.filters.duplicates import Duplicates
from parabench.build.filters.leakage import Leakage
from parabench.build.filters.near_duplicates import NearDuplicateIndex, _rows_a_band
from parabench.build.filters.training_captions import read_training_captions
from parabench.errors import DataError

CONFIG = FilterConfig.read()
SYLLABLES = [a + b for a in ["ka", "lo", "mi", "ru", "ta", "be", "ne", "so", "di", "pu"] for b in ["ran", "tel", "mos", "vik", "dul", "par", "sen", "gor"]]
WORDS = [a + b for a in SYLLABLES for b in SYLLABLES[:40]]


def candidate(number, text, caption_id=None, role="paraphrase", caption="A quite different caption of a picture."):
    caption_id = str(number) if caption_id is None else caption_id
    return Candidate(f"p{number}", Caption(caption_id, caption_id, caption), text, role, "free", "import", "somebody", "2026-11")


def reasons(candidates, config=CONFIG.duplicates, batch_size=1024):
    return [c.reason for c in run_filters(candidates, [Duplicates(config)], batch_size=batch_size)]


def jaccard(a, b):
    return len(set(a) & set(b)) / len(set(a) | set(b))


def test_the_first_of_two_equal_sentences_stays():
    said = reasons([candidate(0, "On a hill stands a mill."), candidate(1, "on a hill, stands a MILL!"), candidate(2, "A mill is on a hill.")])
    assert said == ["", "duplicate: of p0", ""]


def test_nearly_equal_sentences_of_two_captions_are_near_duplicates():
    said = reasons([
        candidate(0, "On a steep hill near the sea stands an old mill."),
        candidate(1, "On a steep hill near the sea stands a mill."),
        candidate(2, "By the harbour wall an old boat waits for the tide."),
    ])  # fmt: skip
    assert said == ["", "near-duplicate: of p0 (Jaccard 0.82)", ""]


def test_a_reordered_sentence_of_the_same_caption_is_no_duplicate_and_a_touched_one_is():
    first = "On a steep hill near the sea stands an old mill."
    said = reasons([
        candidate(0, first, "7"),
        candidate(1, "An old mill stands near the sea on a steep hill.", "7"),
        candidate(2, "On a steep hill near the sea stands an ancient mill.", "7"),
    ])  # fmt: skip
    assert said[:2] == ["", ""] and said[2].startswith("near-duplicate: of p0")


def test_a_foil_that_says_what_a_kept_paraphrase_of_its_caption_says_is_a_contradiction():
    rows = [candidate(0, "A mill is on a hill.", "7"), candidate(1, "a mill is on a hill", "7", "foil"), candidate(2, "A mill is on a hill.", "8", "foil")]
    assert reasons(rows) == ["", "contradiction: the same sentence is a paraphrase of the caption", ""]


def test_foils_of_two_captions_may_be_alike():
    rows = [candidate(i, f"On a steep hill near the sea stands an old {what}.", role="foil") for i, what in enumerate(["mill", "barn"])]
    assert reasons(rows) == ["", ""]


def test_a_copy_of_what_was_dropped_is_compared_with_what_was_kept():
    rows = [
        candidate(0, "On a steep hill near the sea stands an old mill."),
        candidate(1, "On a steep hill near the sea stands a mill."),
        candidate(2, "On a steep hill near the sea stands a mill."),
        candidate(3, "On a steep slope near the sea stands a mill."),  # near p1, which is gone; 8 of 12 words of p0
    ]  # fmt: skip
    said = reasons(rows)
    assert said[1].startswith("near-duplicate: of p0") and said[2].startswith("near-duplicate: of p0") and said[3] == ""


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_nothing_depends_on_the_batch_size(data):
    pool = st.lists(st.sampled_from(WORDS[:8]), min_size=1, max_size=8).map(" ".join)
    rows = [
        candidate(i, text, str(i // 2), role)
        for i, (text, role) in enumerate(data.draw(st.lists(st.tuples(pool, st.sampled_from(["paraphrase", "foil"])), max_size=40)))
    ]  # fmt: skip
    whole = list(run_filters(rows, load_filters(CONFIG)))
    size = data.draw(st.integers(1, 11))
    assert list(run_filters(rows, load_filters(CONFIG), batch_size=size)) == whole
    assert [row.pair_id for row in whole] == [row.pair_id for row in rows]


def test_planted_near_duplicates_are_found_and_others_are_left():
    rng = random.Random(1)
    base = [rng.sample(WORDS, rng.randint(8, 14)) for _ in range(3000)]
    planted = []
    for number in rng.sample(range(3000), 300):
        words = list(base[number])
        words[rng.randrange(len(words))] = "zuvex"
        planted.append((number, words))
    rows = [candidate(i, " ".join(words)) for i, words in enumerate(base)]
    rows += [candidate(3000 + i, " ".join(words)) for i, (_, words) in enumerate(planted)]
    said = reasons(rows, batch_size=500)
    wrong = [i for i in range(3000) if said[i] and not any(jaccard(base[i], base[j]) >= 0.7 for j in range(i))]
    caught = sum(said[3000 + i].startswith(f"near-duplicate: of p{number} ") for i, (number, _) in enumerate(planted))
    assert wrong == [] and caught >= 0.97 * len(planted)


def test_the_index_agrees_with_brute_force():
    rng = random.Random(2)
    rows = [[rng.choice(WORDS[:14]) for _ in range(rng.randint(1, 9))] for _ in range(400)]
    rows += [["w"] * 3, WORDS[:900], [*WORDS[:880], "z"]]
    index = NearDuplicateIndex(0.7)
    found = set()
    for start in range(0, len(rows), 64):
        query, row, value = index.add(rows[start : start + 64])
        found |= {(start + q, r, round(v, 12)) for q, r, v in zip(query.tolist(), row.tolist(), value.tolist(), strict=True)}
    true = {
        (i, j, round(jaccard(rows[i], rows[j]), 12)) for i in range(len(rows)) for j in range(i) if jaccard(rows[i], rows[j]) >= 0.7
    }  # fmt: skip
    assert found <= true and len(found) >= 0.94 * len(true) and (402, 401) in {(i, j) for i, j, _ in found}
    query, row, value = index.search([[], *rows[402:], ["never", "seen"]])
    assert set(query.tolist()) == {1} and dict(zip(row.tolist(), value.tolist(), strict=True))[401] == jaccard(rows[401], rows[402])
    index.forget(401)
    assert 401 not in index.search([WORDS[:900]]).row
    assert len(index.add([[], []]).row) == 0


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0])
def test_bands_promise_the_recall_at_the_threshold(threshold):
    rows = _rows_a_band(threshold)
    assert rows >= 1 and (rows == 1 or 1 - (1 - threshold**rows) ** 16 >= 0.94)


TRAIN = ["Two geese cross a frozen pond near the barn.", "A red kite hangs over the dunes at noon."]


def leaks(path, caption, text):
    (row,) = run_filters([candidate(0, text, caption=caption)], [Leakage(CONFIG.leakage, read_training_captions(path))])
    return row


def test_leaks_of_caption_or_sentence_exact_or_near(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("\n".join(TRAIN))
    assert leaks(path, TRAIN[0].upper(), "Something else entirely is said here.").reason == "leak: the caption is a training caption (Jaccard 1.00)"
    row = leaks(path, "Something else entirely is said here.", "A red kite hangs high over the dunes at noon")
    assert row.reason.startswith("leak: the sentence is a training caption") and row.scores["leak_jaccard"] == pytest.approx(0.9)
    clean = leaks(path, "Something else entirely is said here.", "A blue boat lies on the sand.")
    assert clean.reason == "" and clean.scores == {"leak_jaccard": 0.0}


def write(path, kind):
    import pandas as pd

    if kind == "coco":
        text = json.dumps({"images": [{"id": 1}], "annotations": [{"id": i, "image_id": 1, "caption": c} for i, c in enumerate(TRAIN)]})
    elif kind == "karpathy":
        text = json.dumps({"images": [{"filename": "a.jpg", "sentences": [{"raw": c} for c in TRAIN]}]})
    elif kind == "short":
        text = json.dumps([{"image": "a.jpg", "caption": TRAIN}])
    elif kind == "list":
        text = json.dumps(TRAIN)
    elif kind == "jsonl":
        text = "\n".join(json.dumps({"url": "x", "text": c}) for c in TRAIN)
    elif kind in ("csv", "tsv"):
        text = pd.DataFrame({"url": ["x", "y"], "caption": TRAIN}).to_csv(index=False, sep="," if kind == "csv" else "\t")
    else:
        text = "\n".join(TRAIN) + "\n\n"
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    elif path.suffix == ".parquet":
        pd.DataFrame({"TEXT": TRAIN, "n": [1, 2]}).to_parquet(path)
    else:
        path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.json", "coco"), ("a.json", "karpathy"), ("a.json", "short"), ("a.json", "list"), ("a.jsonl", "jsonl"), ("a.csv", "csv"),
        ("a.tsv", "tsv"), ("a.txt", "txt"), ("a.parquet", "parquet"), ("a.txt.gz", "txt"), ("a.json.gz", "coco"), ("a.csv.gz", "csv"),
        ("a.jsonl.gz", "jsonl"),
    ],
)  # fmt: skip
def test_training_captions_come_in_many_files(tmp_path, name, kind):
    assert list(read_training_captions(write(tmp_path / name, kind))) == TRAIN


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.doc", b"x", "unknown kind of file"), ("a.txt", b"\n \n", "holds no captions"), ("a.txt", b"caf\xe9\n", "not UTF-8"),
        ("a.csv", b"url,size\nx,1\n", "no caption column"), ("a.jsonl", b'{"caption": "x"}\n{bad\n', "line 2: not JSON"),
        ("a.json", b'{"annotations": [{"id"', "not JSON"), ("a.json", b'{"info": {}}', "no list of annotations"),
        ("a.parquet", b"PAR1 not", "not a readable parquet"), ("a.txt.gz", b"not gzip", "can't read"),
        ("a.txt.gz", gzip.compress(b"A long enough line of text\n" * 99)[:-20], "can't read"), ("a.jsonl", b"3\n", "neither a caption"),
        ("a.json", b'{"annotations": [{"id": 1, "bbox": [1]}]}', "no caption column"),
    ],
)  # fmt: skip
def test_files_that_are_no_training_captions_are_refused_in_one_line(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError) as refusal:
        load_filters(CONFIG, training_captions=path)
    assert said in str(refusal.value) and str(path) in str(refusal.value) and "\n" not in str(refusal.value)


def test_training_captions_that_are_not_there_are_refused_before_anything_runs(tmp_path):
    with pytest.raises(DataError, match="no such file of training captions"):
        load_filters(CONFIG, training_captions=tmp_path / "none.txt")
