"""The backends that need no server: rules, import, people, local models."""

from __future__ import annotations

import csv
import io
import json

import pytest
from test_openai import make

from parabench.build.caption import Caption
from parabench.build.generate import GENERATORS, Options
from parabench.build.generate.answers import MalformedAnswerError, is_refusal, sentence_of
from parabench.build.generate.rules import foil, lexical, syntactic
from parabench.build.ledger import Ledger
from parabench.engine import Engine
from parabench.errors import DataError, ModelError, UsageError

CAPTIONS = [
    Caption("11", "1", "A man riding a large horse on a beach."),
    Caption("12", "1", "Somebody rides along the sea."),
    Caption("21", "2", "Two dogs are sleeping on the couch"),
]


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def generate(ledger, name, captions=CAPTIONS, **options):
    return list(GENERATORS.get(name)(Options(**options)).generate(captions, ledger, "2026-01-01"))


# answers


@pytest.mark.parametrize(
    "answer",
    [
        '{"paraphrase": "A dog."}', '```json\n{"paraphrase": "A dog."}\n```', 'Sure! {"paraphrase": "A  dog."} Anything else?',
        '{"note": 1} {"paraphrase": " A dog.\\n"}', '{"paraphrase": "A dog.", "why": "{"}',
    ],
)  # fmt: skip
def test_a_sentence_is_found_in_what_surrounds_it(answer):
    assert sentence_of(answer, "paraphrase") == "A dog."


def test_a_model_that_knows_no_json_may_answer_with_the_bare_sentence():
    assert sentence_of("A dog sits here.", "paraphrase") == "A dog sits here."
    assert sentence_of('Paraphrase: "A dog sits here."', "paraphrase") == "A dog sits here."
    assert sentence_of('{"text": "A dog sits here."}', "paraphrase") == "A dog sits here."


@pytest.mark.parametrize(
    "answer", ["Sure, a dog sits here.", "Here is the paraphrase of it.", "A dog.\nA cat.", "I would say a dog.", "<html> garbage of a page"]
)
def test_chat_is_no_sentence(answer):
    with pytest.raises(MalformedAnswerError):
        sentence_of(answer, "paraphrase")


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ('{"paraphrase": "A do', "no complete JSON object"), ("A dog.", "no JSON object"), ('{"foil": "x", "a": 1}', "field"),
        ('{"paraphrase": ""}', "empty"), ('{"paraphrase": ["A dog."]}', "not a text"), ("{" * 5000, "no complete"),
        (json.dumps({"paraphrase": "x" * 2000}), "longer"), ('{"paraphrase": "\\ud800"}', "broken"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_answer_is_said(answer, problem):
    with pytest.raises(MalformedAnswerError, match=problem):
        sentence_of(answer, "paraphrase")


def test_refusals_are_told_from_sentences():
    assert is_refusal("I'm sorry, but I can't help with that.")
    assert is_refusal("I cannot describe people.")
    assert not is_refusal('{"paraphrase": "I can\'t see the road."}')
    assert not is_refusal("A man who looks sorry.")


# rules


def test_rules_write_what_they_say():
    assert lexical("A man riding a large horse on a beach.") == "A guy riding a big horse on a seashore."
    assert lexical("A large airplane near an old car.") == "A big plane near an aged automobile."
    assert lexical("Xyz.") is None
    assert syntactic("A man riding a large horse on a beach.") == "On a beach there is a man riding a large horse."
    assert syntactic("Two dogs are sleeping on the couch") == "On the couch there are two dogs sleeping."
    assert foil("A man riding a large horse on a beach.") == "A woman riding a large horse on a beach."
    assert foil("A black and white photo of a red car.") == "A black and white photo of a blue car."


def test_rules_are_deterministic_and_say_where_they_have_nothing(ledger):
    candidates = generate(ledger, "rules", foils=True)
    assert candidates == generate(ledger, "rules", foils=True)
    assert [c.pair_id for c in candidates] == [f"{i}-{k}" for i in (11, 12, 21) for k in ("lexical", "syntactic", "foil")]
    assert {c.generator for c in candidates} == {"rules-1"}
    assert [c.reason for c in candidates if c.caption.caption_id == "12"] == ["no rule applies"] * 3
    with pytest.raises(UsageError, match="writes no 'free' paraphrases"):
        GENERATORS.get("rules")(Options(kinds=("free",)))


# import


def test_long_rows_keep_their_provenance(ledger, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(
        "caption_id,paraphrase,kind,foil,generator,created\n"
        "21,A pair of dogs nap on the sofa.,lexical,Two cats are sleeping on the couch.,gpt-x,2025-05-01\n"
        "11,On a beach a man rides a horse.,syntactic,,me,\n"
    )
    first, second, third = generate(ledger, "import", file=path)
    assert (first.caption.caption_id, first.kind, first.generator, first.created) == ("11", "syntactic", "me", "2026-01-01")
    assert (second.text, second.role, second.created) == ("A pair of dogs nap on the sofa.", "paraphrase", "2025-05-01")
    assert (third.text, third.role, third.kind) == ("Two cats are sleeping on the couch.", "foil", "foil")
    assert len({c.pair_id for c in (first, second, third)}) == 3


def test_wide_rows_with_reviews(ledger, tmp_path):
    path = tmp_path / "wide.jsonl"
    row = {
        "caption_id": 11, "image_id": 1, "caption_sha256": CAPTIONS[0].sha256, "lexical": "A guy on a horse.",
        "syntactic": "On a beach rides a man.", "foil": "A woman rides.", "writer": "w1",
        "reviews": [
            {"lexical": {"rating": 5, "faults": []}, "syntactic": {"rating": 5, "faults": ["disfluent"]}, "foil": {"ok": True, "faults": []}},
            {"lexical": {"rating": 3, "faults": []}, "syntactic": {"rating": 4, "faults": []}, "foil": {"ok": False, "faults": ["still-true"]}},
        ],
    }  # fmt: skip
    path.write_text(json.dumps(row))
    candidates = generate(ledger, "import", file=path)
    assert [(c.kind, c.reason) for c in candidates] == [
        ("lexical", "review: rated 3"), ("syntactic", "review: disfluent"), ("foil", "review: still-true")
    ]  # fmt: skip
    assert [dict(c.scores) for c in candidates] == [{"review_rating": 3.0}, {"review_rating": 4.0}, {}]
    assert {c.generator for c in candidates} == {"w1"}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"caption_id": 99, "paraphrase": "x"}, "line 2: there is no caption '99'"),
        ({"caption_id": 21, "paraphrase": "x", "caption_sha256": "0" * 64}, "line 2: caption 21 has another hash"),
        ({"caption_id": 21, "paraphrase": "x", "caption": "Other words."}, "line 2: caption 21 reads 'Other words.'"),
        ({"caption_id": 21, "paraphrase": "x", "image_id": 7}, "line 2: caption 21 belongs to image 2, not 7"),
        ({"caption_id": 21, "paraphrase": " "}, "line 2: the paraphrase is empty"),
        ({"paraphrase": "x"}, "line 2: the caption_id is empty"),
        ({"caption_id": 11, "paraphrase": "Fine."}, "line 2: pair_id .* was used before"),
        ({"caption_id": 21, "paraphrase": "x", "reviews": [1]}, "line 2: the reviews are malformed"),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_their_line(ledger, tmp_path, row, problem):
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"caption_id": 11, "paraphrase": "Fine."}) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(DataError, match=problem):
        generate(ledger, "import", file=path)


def test_a_file_without_the_columns_is_refused(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("captionid,paraphrase\n1,x\n")
    with pytest.raises(DataError, match="no column 'caption_id'"):
        GENERATORS.get("import")(Options(file=path))


# people


def _sheets(tmp_path, platform, captions, **options):
    tasks = tmp_path / "tasks"
    GENERATORS.get("human")(Options(kinds=("free",), tasks=tasks, platform=platform, **options)).hand_out(captions)
    return tasks.read_text(encoding="utf-8")


def _reply(sheet):
    """An attentive person."""
    if "Please type the word" in sheet["caption"]:
        return sheet["caption"].partition("type the word ")[2].split()[0].capitalize()
    return f"I see this: {sheet['caption']}"


def test_tasks_go_out_and_answers_come_back(ledger, tmp_path):
    captions = make(40)
    sheets = list(csv.DictReader(io.StringIO(_sheets(tmp_path, "csv", captions, per_task=2))))
    assert len(sheets) == 84  # 40 tasks and 2 checks, each twice
    for number, sheet in enumerate(sheets):
        careless = number % 2 == 1
        sheet["annotator"] = "bob@example.com" if careless else "ann@example.com"
        sheet["answer"] = "whatever this is" if careless else _reply(sheet)
    answers = tmp_path / "answers.csv"
    with answers.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(sheets[0]))
        writer.writeheader()
        writer.writerows(sheets)
    generator = GENERATORS.get("human")(Options(kinds=("free",), file=answers))
    candidates = list(generator.generate(captions, ledger, "2026-01-01"))
    assert len(candidates) == 80
    kept = [c for c in candidates if not c.reason]
    assert [c.text for c in kept] == [f"I see this: {caption.text}" for caption in captions]
    assert {c.reason for c in candidates} == {"", "annotator failed the attention checks"}
    assert {dict(c.scores)["attention"] for c in kept} == {1.0}
    assert len({c.pair_id for c in candidates}) == 80
    assert len({c.generator for c in candidates}) == 2
    assert not any("example" in c.generator or "ann" in c.generator for c in candidates)
    assert generator.record().parameters["annotators_failed"] == 1


def test_pseudonyms_differ_from_ledger_to_ledger(tmp_path):
    captions = make(2)
    row = json.loads(_sheets(tmp_path, "jsonl", captions).splitlines()[0])
    answers = tmp_path / "answers.jsonl"
    rows = [json.loads(line) for line in _sheets(tmp_path, "jsonl", captions).splitlines()]
    row = next(row for row in rows if "Please type" not in row["caption"])
    answers.write_text(json.dumps({**row, "answer": "Fine words.", "annotator": "ann"}))
    names = set()
    for name in ("a", "b", "a"):
        with Ledger(tmp_path / name) as opened:
            names |= {c.generator for c in generate(opened, "human", captions, kinds=("free",), file=answers)}
    assert len(names) == 2


@pytest.mark.parametrize("platform", ["mturk", "prolific", "label-studio", "argilla"])
def test_what_platforms_export_is_read(ledger, tmp_path, platform):
    captions = make(3)
    text = _sheets(tmp_path, platform, captions)
    path = tmp_path / "export.json"
    if platform in ("mturk", "prolific"):
        sheets = list(csv.DictReader(io.StringIO(text, newline="")))
        path = tmp_path / "export.csv"
        names = {"mturk": ("Input.task_id", "Answer.answer", "WorkerId"), "prolific": ("task_id", "answer", "participant_id")}[platform]
        with path.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow([*names, "WorkTimeInSeconds"])
            writer.writerows([sheet["task_id"], _reply(sheet), "A1", "9"] for sheet in sheets)
    elif platform == "label-studio":
        exported = [
            {"id": n, "data": task["data"], "annotations": [
                {"completed_by": {"id": 4, "email": "a@b.c"}, "was_cancelled": False,
                 "result": [{"type": "textarea", "from_name": "answer", "value": {"text": [_reply(task["data"])]}}]}]}
            for n, task in enumerate(json.loads(text))
        ]  # fmt: skip
        path.write_text(json.dumps(exported))
    else:
        exported = []
        for line in text.splitlines():
            record = json.loads(line)
            record["responses"] = [
                {"user_id": "u1", "status": "submitted", "values": {"answer": {"value": _reply(record["fields"])}}},
                {"user_id": "u2", "status": "draft", "values": {"answer": {"value": "unfinished"}}},
            ]
            exported.append(record)
        path.write_text(json.dumps(exported))
    candidates = generate(ledger, "human", captions, kinds=("free",), file=path)
    assert [c.text for c in candidates] == [f"I see this: {caption.text}" for caption in captions]
    assert len({c.generator for c in candidates}) == 1


def test_answers_to_other_tasks_are_refused(ledger, tmp_path):
    answers = tmp_path / "answers.csv"
    answers.write_text("task_id,answer,annotator\nnope,Words.,ann\n")
    with pytest.raises(DataError, match="line 2: there is no task 'nope'"):
        generate(ledger, "human", kinds=("free",), file=answers)


# local models


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Two real, untrained transformers models with a word tokenizer: a seq2seq and a causal one."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<pad>", "</s>", "<unk>", "paraphrase", ":", "a", "dog", "cat", "sits", "on", "the", "red", "couch", "."]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64
    )
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folders = {}
    for name, model in {
        "seq2seq": transformers.T5ForConditionalGeneration(transformers.T5Config(
            vocab_size=14, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)),
        "causal": transformers.GPT2LMHeadModel(transformers.GPT2Config(
            vocab_size=14, n_embd=16, n_layer=1, n_head=2, n_positions=512, bos_token_id=1, eos_token_id=1, pad_token_id=0)),
    }.items():  # fmt: skip
        folders[name] = tmp_path_factory.mktemp(name)
        model.save_pretrained(folders[name])
        fast.save_pretrained(folders[name])
    return folders


@pytest.mark.parametrize("parameters", [{"max_new_tokens": 6}, {"max_new_tokens": 6, "do_sample": True}])
def test_a_local_seq2seq_model_gives_the_same_in_any_batch(tiny, tmp_path, parameters):
    captions = [Caption(str(i), "1", text) for i, text in enumerate(["a dog sits on the red couch .", "the cat .", "a red dog on a red couch"])]
    said = []
    for batch_size in (1, 3):
        with Ledger(tmp_path / f"{batch_size}.sqlite") as ledger:
            options = {"model": str(tiny["seq2seq"]), "batch_size": batch_size, "parameters": parameters, "device": "cpu"}
            candidates = generate(ledger, "hf", captions, kinds=("free",), **options)
            assert generate(ledger, "hf", captions, kinds=("free",), **options) == candidates
        said.append([(c.text, c.reason) for c in candidates])
        assert {c.source for c in candidates} == {"hf"}
        assert "@" in candidates[0].generator
    assert said[0] == said[1]


def test_a_local_model_says_the_same_through_workers(tiny, tmp_path):
    pytest.importorskip("ray")
    captions = [Caption(str(i), "1", f"a {colour} dog sits on the couch .") for i, colour in enumerate(["red", "red red", "the", "cat", "on"])]
    said = []
    for engine in (Engine(device="cpu"), Engine("ray", workers=2, device="cpu")):
        with Ledger(tmp_path / f"{engine.name}.sqlite") as ledger:
            options = {"model": str(tiny["seq2seq"]), "batch_size": 2, "parameters": {"max_new_tokens": 6}, "device": "cpu", "engine": engine}
            said.append([(c.text, c.reason) for c in generate(ledger, "hf", captions, kinds=("free",), **options)])
    assert said[0] == said[1] and len(said[0]) == 5


def test_a_causal_model_that_babbles_is_recorded_as_such(tiny, ledger):
    captions = [Caption("1", "1", "a dog .")]
    candidates = generate(ledger, "hf", captions, kinds=("free",), model=str(tiny["causal"]), parameters={"max_new_tokens": 4}, device="cpu")
    assert candidates[0].reason.startswith("malformed answer")


def test_a_model_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match="can't be loaded"):
        GENERATORS.get("hf")(Options(model=str(tmp_path)))


# the registry


def test_an_unknown_generator_gets_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean 'openai'"):
        GENERATORS.get("openia")
