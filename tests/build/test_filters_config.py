"""The configuration of the checks: one file of defaults, a file of changes, and clear refusals."""

import pytest
import yaml

from parabench.build.filters import FilterConfig, load_filters
from parabench.errors import DataError, UsageError


def read(tmp_path, text):
    path = tmp_path / "filters.yaml"
    path.write_text(text, encoding="utf-8")
    return FilterConfig.read(path)


def test_the_defaults_hold_every_setting_and_need_no_model():
    config = FilterConfig.read()
    assert not config.semantic.enabled and not config.entailment.enabled
    assert [f.name for f in load_filters(config)] == [
        "characters", "junk", "length", "language", "toxicity", "pii", "closeness", "numbers", "colours", "negation", "names", "duplicates",
    ]  # fmt: skip


def test_every_threshold_has_a_comment():
    from importlib import resources

    text = resources.files("parabench.build.filters").joinpath("defaults.yaml").read_text(encoding="utf-8")
    numbers = [line for line in text.splitlines() if line.startswith("  m") and line.split(":")[1].split("#")[0].strip()[:1].isdigit()]
    assert numbers and all("#" in line for line in numbers)


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path):
    config = read(tmp_path, "closeness: {max_bleu: 70}\nnumbers:\n  enabled: false\n")
    assert config.closeness.max_bleu == 70 and not config.numbers.enabled
    untouched = FilterConfig.read()
    assert config.closeness.max_ratio == untouched.closeness.max_ratio and config.duplicates == untouched.duplicates
    assert read(tmp_path, "") == untouched


@pytest.mark.parametrize("name", [n for n in FilterConfig.model_fields if n not in ("semantic", "entailment", "semantic_duplicates", "leakage")])
def test_any_check_can_be_switched_off(tmp_path, name):
    names = [f.name for f in load_filters(read(tmp_path, f"{name}: {{enabled: false}}"))]
    assert name not in names and len(names) == 11


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colors: {enabled: false}", "unknown check 'colors' → did you mean 'colours'?"),
        ("closeness: {max_blue: 3}", "unknown setting 'closeness.max_blue' → did you mean 'max_bleu'"),
        ("closeness: {max_bleu: high}", "closeness.max_bleu is 'high'"),
        ("closeness: {max_bleu: 170}", "closeness.max_bleu is 170"),
        ("closeness: {max_bleu: .nan}", "closeness.max_bleu is nan"),
        ("numbers: false", "numbers is False, not settings → write numbers: {enabled: false}"),
        ("numbers: {enabled: maybe}", "numbers.enabled is 'maybe'"),
        ("numbers: {enabled: null}", "numbers.enabled is None"),
        ("3: {enabled: false}", "unknown check '3'"),
        ("toxicity: {files: words.txt}", "toxicity.files is"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_with_what_to_write(tmp_path, text, said):
    with pytest.raises(UsageError) as refusal:
        read(tmp_path, text)
    assert said in str(refusal.value) and "filters.yaml" in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "a: [1", "\x00", "a: &x [*x, *x]\n*x : 3"])
def test_what_is_no_mapping_is_refused(tmp_path, text):
    with pytest.raises((DataError, UsageError)):
        read(tmp_path, text)


def test_a_missing_file_and_a_yaml_that_would_run_code_are_refused(tmp_path):
    with pytest.raises(DataError, match="can't read the filter settings"):
        FilterConfig.read(tmp_path / "none.yaml")
    with pytest.raises(DataError, match="is not YAML"):
        read(tmp_path, "numbers: !!python/object/apply:os.getcwd []")


def test_word_lists_of_ones_own_extend_ours_from_beside_the_settings(tmp_path):
    from parabench.build.candidates import Candidate
    from parabench.build.caption import Caption
    from parabench.build.filters import run_filters

    (tmp_path / "mine.txt").write_text("# ours\nmud pie\ngrumb*\n", encoding="utf-8")
    filters = load_filters(read(tmp_path, "toxicity: {files: [mine.txt]}"))

    def reason(text):
        row = Candidate("0", Caption("0", "0", "Children play by the river."), text, "foil", "", "", "", "")
        (out,) = run_filters([row], [f for f in filters if f.name == "toxicity"])
        return out.reason

    assert reason("Children make a MUD  pie by the river.") == "toxic: mud pie"
    assert reason("Children grumble by the river.") == "toxic: grumble"
    assert reason("Children shit by the river.") == "toxic: shit"
    assert reason("Children mudpie by Scunthorpe on the river.") == ""


@pytest.mark.parametrize(("content", "said"), [(None, "can't read the word list"), (b"# none\n", "has no words"), (b"caf\xe9", "can't read the word list")])
def test_a_bad_word_list_is_refused(tmp_path, content, said):
    if content is not None:
        (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(DataError, match=said):
        load_filters(read(tmp_path, "toxicity: {files: [mine.txt]}"))


def test_the_settings_can_be_written_down_and_read_back(tmp_path):
    config = read(tmp_path, "closeness: {max_bleu: 70}")
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8")
    assert FilterConfig.read(path) == config
