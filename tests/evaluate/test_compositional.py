"""Foils: SugarCrepe++, SugarCrepe and ARO against scripts of ten lines."""

import json
import random

import numpy as np
import pytest
from colours import COLOURS, ByColour
from PIL import Image

import parabench
from parabench.errors import DataError
from parabench.evaluate import Run, rescore


def foil_file(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return path


def tot_by_hand(path, encode):
    wins = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        a, b, n = (v / np.linalg.norm(v) for v in encode([row["caption"], row["caption2"], row["negative_caption"]]))
        wins.append(a @ b > a @ n and a @ b > b @ n)
    return np.mean(wins)


def test_tot_of_tfidf_by_a_script_of_ten_lines(shared, tmp_path):
    from parabench.encoders import load_encoder

    run = parabench.evaluate("tfidf:", tasks=["compositional"], task_data={"compositional": shared / "sugarcrepe_pp"},
                             out=tmp_path / "run", n_resamples=200)  # fmt: skip
    texts, files = [], sorted((shared / "sugarcrepe_pp").glob("*.json"))
    for path in files:
        texts += [row[key] for row in json.loads(path.read_text()) for key in ("caption", "caption2", "negative_caption")]
    encoder = load_encoder("tfidf:")
    encoder.fit_corpus(list(dict.fromkeys(texts)))
    kinds = run.result.tasks["compositional"].metrics["TOT"].by_kind
    for path in files:
        assert kinds[path.stem].value == pytest.approx(tot_by_hand(path, encoder.encode_text), abs=1e-12)
    assert "image tower" in run.result.tasks["compositional"].details["skipped"]["image-to-text"]
    assert run.result.tasks["compositional"].details["chance"] == {"TOT": pytest.approx(1 / 3)}


def test_tot_of_minilm_by_a_script_of_ten_lines(shared, minilm, tmp_path):
    from sentence_transformers import SentenceTransformer

    rows = json.loads((shared / "sugarcrepe_pp" / "replace_att.json").read_text())
    path = foil_file(tmp_path / "replace_att.json", random.Random(0).sample(rows, 150))
    run = parabench.evaluate(f"sbert:{minilm}", tasks=["compositional"], task_data={"compositional": path}, out=tmp_path / "run", n_resamples=200)
    model = SentenceTransformer(minilm, device="cpu")
    assert run.value("TOT", "compositional") == tot_by_hand(path, lambda texts: model.encode(texts, show_progress_bar=False))


def test_itt_sugarcrepe_and_aro(tmp_path):
    (tmp_path / "images").mkdir()
    both = Image.new("RGB", (40, 20), COLOURS["red"])
    both.paste(COLOURS["blue"], (20, 0, 40, 20))
    both.save(tmp_path / "images" / "000000000007.jpg", quality=100)
    Image.new("RGB", (20, 20), COLOURS["green"]).save(tmp_path / "images" / "8.png")
    foil_file(tmp_path / "data" / "swap.json", [
        {"filename": "8.png", "caption": "green picture", "caption2": "a picture in green", "negative_caption": "yellow picture"},
        {"filename": "8.png", "caption": "green picture", "caption2": "a picture in blue", "negative_caption": "a picture so green"}])
    foil_file(tmp_path / "data" / "add.json", {"0": {"filename": "8.png", "caption": "green picture", "negative_caption": "red picture"}})
    box = {"image_path": "000000000007.jpg", "bbox_y": 0, "bbox_w": 20, "bbox_h": 20}
    foil_file(tmp_path / "data" / "visual_genome_relation.json", [
        {**box, "bbox_x": 0, "true_caption": "red picture", "false_caption": "blue picture", "relation_name": "on"},
        {**box, "bbox_x": 20, "true_caption": "blue picture", "false_caption": "red picture", "relation_name": "on"},
        {**box, "bbox_x": 20, "true_caption": "red picture", "false_caption": "blue picture", "relation_name": "under"}])  # fmt: skip
    where = {"compositional": tmp_path / "data"}
    run = parabench.evaluate(ByColour(), tasks=["compositional"], task_data=where, images=[tmp_path / "images"], out=tmp_path / "run", n_resamples=99)
    value = {name: entry.value for name, entry in run.result.tasks["compositional"].metrics.items()}
    assert value["ITT"] == 0.5, "both true captions have to beat the foil"
    assert value["SugarCrepe"] == 1 and value["ARO"] == pytest.approx(2 / 3), "captions of boxes are held against boxes"
    assert value["ARO visual_genome_relation group-mean"] == 0.5
    assert rescore(Run.load(tmp_path / "run")).tasks == run.result.tasks
    rows = run.rows("compositional").to_pandas()
    assert rows["captions"].isna().sum() == 4 and rows["image_foil"].notna().all()

    (tmp_path / "images" / "8.png").unlink()
    less = parabench.evaluate(ByColour(), tasks=["compositional"], task_data=where, images=[tmp_path / "images"], out=tmp_path / "less", n_resamples=9)
    reason = less.result.tasks["compositional"].details["skipped"]["image-to-text"]
    assert set(less.result.tasks["compositional"].metrics) == {"TOT"} and "1 of 2 pictures" in reason and "--images" in reason


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "can't read"), ("[]", "neither a list"), ('[{"caption": "a"}]', "none of the forms"),
     ('[{"filename": "1.jpg", "caption": "a", "negative_caption": "b"}, {"filename": "1.jpg", "caption": "a"}]', "entry 1: lacks negative_caption"),
     ('[{"filename": "1.jpg", "caption": "a", "negative_caption": null}]', "null"),
     ('[{"image_path": "1.jpg", "true_caption": "a", "false_caption": "b", "bbox_x": -1}]', "not a box")],
)  # fmt: skip
def test_bad_foil_files_are_one_clear_line(tmp_path, content, message):
    (tmp_path / "foils.json").write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        parabench.evaluate("random:8", tasks=["compositional"], task_data={"compositional": tmp_path / "foils.json"}, out=tmp_path / "r")
    assert "foils.json" in str(caught.value)
