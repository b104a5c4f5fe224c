"""The dataset card of a release: YAML for the Hub, text for people, and the Responsible-AI fields, from what was run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parabench.build.croissant import ABOUT
from parabench.build.record import BuildRecord
from parabench.build.review.agreement import ReviewAgreement
from parabench.data.schema import TABLES

PAPER = "https://arxiv.org/abs/2405.03190"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))
_MACHINE = {"openai": "a language model", "batch": "a language model", "hf": "a local language model", "rules": "rules"}
_MOST_REASONS = 25


@dataclass(frozen=True)
class ReviewSummary:
    """What people said: verdicts and annotators, sentences they dropped or reworded, and how far they agree."""

    verdicts: int
    annotators: int
    reviewed: int
    rejected: int
    reworded: int
    agreement: ReviewAgreement | None

    def __str__(self) -> str:
        people = "1 person" if self.annotators == 1 else f"{self.annotators} people"
        return (
            f"review: {self.verdicts:,} verdicts of {people} on {self.reviewed:,} sentences, "
            f"{self.rejected:,} dropped, {self.reworded:,} reworded"
        )


@dataclass(frozen=True)
class Facts:
    """All that the card of a release says; ``steps`` are (name, sentences left) from the first to the last."""

    name: str
    version: str
    license: str
    record: BuildRecord
    rows: Mapping[str, int]
    kinds: Mapping[str, int]
    splits: Sequence[str]
    steps: Sequence[tuple[str, int]]
    reasons: Sequence[tuple[str, int]]
    review: ReviewSummary
    plots: Sequence[tuple[str, str]]
    """(file, caption)."""
    notes: str

    @property
    def writer(self) -> str:
        """Who wrote the sentences, in words."""
        source = self.record.generator.source
        return {**_MACHINE, "human": "people"}.get(source, "others than this build (an import)")

    @property
    def description(self) -> str:
        """One sentence on what the set is."""
        return (
            f"{self.rows['pairs']:,} pairs of a picture's caption and a paraphrase, {self.rows['foils']:,} foils and a "
            f"gallery of {self.rows['gallery']:,} pictures, to measure whether text-to-image search finds the same "
            "pictures for other words."
        )

    @property
    def citation(self) -> str:
        """BibTeX of the set and of the paper whose task it serves."""
        key = re.sub(r"\W", "", self.name) or "dataset"
        return (
            f"@misc{{{key},\n  title  = {{{self.name}: paraphrases for text-to-image retrieval}},\n"
            f"  author = {{The parabench authors}},\n  year   = {{{self.record.created[:4]}}},\n"
            f"  note   = {{Version {self.version}}}\n}}\n"
            "@article{cheng2024paraphrased,\n"
            "  title   = {Adapting Dual-encoder Vision-language Models for Paraphrased Retrieval},\n"
            "  author  = {Cheng, Jiacheng and Shin, Hijung Valentina and Vasconcelos, Nuno and Russell, Bryan and "
            "Caba Heilbron, Fabian},\n"
            "  journal = {arXiv:2405.03190},\n  year    = {2024}\n}"
        )


def card_metadata(facts: Facts) -> dict[str, Any]:
    """The YAML fields of the card, in the Hub's vocabulary, without ``configs`` (they follow from the tables)."""
    source = facts.record.generator.source
    written = "crowdsourced" if source == "human" else "machine-generated"
    checked = ["crowdsourced"] if facts.review.verdicts else []
    return {
        "pretty_name": facts.name,
        "license": facts.license,
        "language": ["en"],
        "multilinguality": ["monolingual"],
        "annotations_creators": list(dict.fromkeys([written, *checked])),
        "language_creators": list(dict.fromkeys(["crowdsourced", written])),
        "source_datasets": ["extended|other-coco-captions"],
        "task_categories": ["text-retrieval", "sentence-similarity"],
        "size_categories": [_size(facts.rows["pairs"])],
        "tags": ["paraphrase", "image-text-retrieval", "text-to-image-retrieval", "robustness", "benchmark", "croissant"],
        "version": facts.version,
    }


def card_text(facts: Facts) -> str:
    """The card below its first table, as Markdown."""
    kinds = "\n".join(table_row(kind, f"{count:,}") for kind, count in sorted(facts.kinds.items()))
    parts = [
        facts.description, f"| kind of paraphrase | pairs |\n|---|---:|\n{kinds}", facts.notes.strip(), _made(facts), _checks(facts), _review(facts), _columns(), _plots(facts),
        _use(facts), _licences(facts),
        f"## Cite\n\n```bibtex\n{facts.citation}\n```",
        f"## Files\n\nVersion {facts.version} (`VERSION`). `CHECKSUMS` holds the SHA-256 of every file "
        "(`sha256sum -c CHECKSUMS`); `build.json` is the record of the build; `croissant.json` is Croissant metadata "
        "with the Responsible-AI fields; `eval.yaml` registers the set as a benchmark on the Hub.",
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part)


def rai_fields(facts: Facts) -> dict[str, Any]:
    """The fields of Croissant's Responsible-AI extension."""
    record, review = facts.record, facts.review
    people = (
        f"{review.annotators} annotators gave {review.verdicts:,} verdicts on {review.reviewed:,} sentences."
        if review.verdicts
        else "No person has reviewed the sentences in this build."
    )
    return {
        "dataCollection": f"Captions were taken from {record.source.name}; {facts.writer} rewrote them. {record.generator.about}".strip(),
        "dataCollectionType": ["Existing datasets", _collection_type(record.generator.source)],
        "dataCollectionRawData": f"{record.source.name}, SHA-256 {record.source.sha256}",
        "dataCollectionTimeframe": [record.created],
        "dataPreprocessingProtocol": [f"Sampling with seed {record.seed}: {json.dumps(record.sampling, sort_keys=True)}"],
        "dataManipulationProtocol": "Sentences that a check or the reviewers dropped are kept in the configuration "
        "'rejected' with the reason; captions are unchanged.",
        "dataAnnotationProtocol": [
            f"Automatic checks in this order: {', '.join(step.name for step in record.funnel) or 'none'}.",
            people,
        ],
        "dataAnnotationAnalysis": [str(review.agreement) if review.agreement else "No agreement can be stated: fewer than two people judged."],
        "annotationsPerItem": f"{review.verdicts / max(1, review.reviewed):.2f} verdicts by people on each of {review.reviewed:,} reviewed sentences",
        "machineAnnotationTools": [f"{record.generator.source}: {record.generator.model}", f"parabench {record.parabench_version}"],
        "dataBiases": _biases(facts),
        "dataUseCases": [
            "Measuring how stable the results of text-to-image retrieval are under paraphrase.",
            "Not for training models that are then measured on it.",
        ],
        "dataLimitations": _limits(facts),
        "dataSocialImpact": "Search that answers all wordings alike serves people alike; a high score here says nothing "
        "of languages and ways of speaking that the set does not hold.",
        "personalSensitiveInformation": [
            "Captions describe photographs of people without naming them; they may state perceived gender, age or "
            "ethnicity as the caption's author saw it.",
        ],
        "dataReleaseMaintenancePlan": f"Versioned; this is {facts.version}. Checksums of all files are in CHECKSUMS.",
    }  # fmt: skip


def eval_yaml(facts: Facts) -> str:
    """``eval.yaml`` of the Hub's benchmark pages: name, description, framework, and a task a split."""
    import yaml

    several = len(facts.splits) > 1
    stem = re.sub(r"\W", "_", facts.name)
    return yaml.safe_dump(
        {
            "name": facts.name,
            "description": f"{facts.description} Headline metric: AO@10, the average overlap of the two rankings.",
            "evaluation_framework": "parabench",
            "tasks": [
                {"id": f"{stem}_{split}" if several else stem, "config": "pairs", "split": split} for split in facts.splits
            ],
        },
        sort_keys=False, allow_unicode=True, width=100,
    )  # fmt: skip


def table_row(*values: object) -> str:
    """A row of a Markdown table whose cells cannot break it: bars, angle brackets and line breaks are escaped."""
    cells = (" ".join(str(value).split()).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|") for value in values)
    return f"| {' | '.join(cells)} |"


def _made(facts: Facts) -> str:
    record = facts.record
    generator, requests = record.generator, record.requests
    lines = [
        "## How it was made",
        f"Begun on {record.created} with parabench {record.parabench_version}, seed {record.seed}.",
        "| | |\n|---|---|",
        table_row("captions", f"{record.source.name} ({record.source.kind}), SHA-256 {record.source.sha256}"),
        *(table_row(f"sampling: {name}", _short(value)) for name, value in record.sampling.items()),
        table_row("written by", f"{facts.writer}: {generator.source}, {generator.model}"),
        *(table_row(f"parameter: {name}", _short(value)) for name, value in generator.parameters.items()),
    ]
    if requests.by_status:
        lines.append(table_row("requests", ", ".join(f"{count:,} {status}" for status, count in requests.by_status.items())))
        lines.append(table_row("tokens", f"{requests.tokens_in:,} in, {requests.tokens_out:,} out"))
        if requests.cost is not None:
            lines.append(table_row("cost", f"{requests.cost:,.2f}"))
    head, table = "\n\n".join(lines[:2]), "\n".join(lines[2:])
    prompts = "".join(
        f"\n\n<details><summary>Prompt {table_row(prompt.name)[2:-2]} (SHA-256 {prompt.sha256[:12]}…)</summary>\n\n"
        f"{_fenced(prompt.text)}\n\n</details>"
        for prompt in generator.prompts
    )
    about = f"\n\n{generator.about}" if generator.about else ""
    return f"{head}{about}\n\n{table}{prompts}"


def _checks(facts: Facts) -> str:
    record = facts.record
    lines = ["## Quality checks", "Sentences (paraphrases and foils) left after each step; nothing vanishes: what a step "
             "dropped is in the configuration `rejected`, with the reason and all scores.", ""]  # fmt: skip
    lines += ["| step | left | dropped |", "|---|---:|---:|"]
    before = facts.steps[0][1]
    for name, left in facts.steps:
        lines.append(table_row(name, f"{left:,}", f"{before - left:,}" if before != left else ""))
        before = left
    if facts.reasons:
        lines += ["", "| reason | rejected |", "|---|---:|"]
        lines += [table_row(reason, f"{count:,}") for reason, count in facts.reasons[:_MOST_REASONS]]
        if (rest := len(facts.reasons) - _MOST_REASONS) > 0:
            lines.append(table_row(f"{rest} other reasons", f"{sum(n for _, n in facts.reasons[_MOST_REASONS:]):,}"))
    text = lines[0] + "\n\n" + "\n".join(lines[1:])
    if record.filters:
        import yaml

        settings = yaml.safe_dump(record.filters, sort_keys=True, allow_unicode=True)
        text += f"\n\n<details><summary>Settings of the checks</summary>\n\n{_fenced(settings, 'yaml')}\n\n</details>"
    return text


def _review(facts: Facts) -> str:
    review = facts.review
    if not review.verdicts:
        return "## Review by people\n\nNo person has reviewed the sentences in this build."
    agreement = f" {review.agreement}." if review.agreement else ""
    return (
        f"## Review by people\n\n{review.annotators} annotators (pseudonyms) gave {review.verdicts:,} verdicts on "
        f"{review.reviewed:,} sentences: {review.rejected:,} were rejected, {review.reworded:,} reworded.{agreement}\n\n"
        "A sentence stays when more verdicts keep it than reject it; a fixed wording replaces it when at least as many "
        "annotators fixed as accepted it, and the earlier wording is in `rejected`."
    )


def _columns() -> str:
    used: dict[str, list[str]] = {}
    for name, schema in TABLES.items():
        for column in schema.names:
            used.setdefault(column, []).append(f"`{name}`")
    rows = [table_row(f"`{column}`", ABOUT[column], ", ".join(tables)) for column, tables in used.items()]
    return "## Columns\n\n| column | what | in |\n|---|---|---|\n" + "\n".join(rows)


def _plots(facts: Facts) -> str:
    if not facts.plots:
        return ""
    return "## Plots\n\n" + "\n\n".join(f"![{caption}]({file})" for file, caption in facts.plots)


def _use(facts: Facts) -> str:
    return (
        "## Use, limits, bias\n\nMade to compare retrieval models, not to train them on it.\n\n"
        + "\n".join(f"- {line}" for line in [*_limits(facts), *_biases(facts)])
    )


def _licences(facts: Facts) -> str:
    return (
        f"## Licences\n\nThe sentences written in this build: `{facts.license}`. The captions keep the licence of their "
        "source (COCO annotations: CC BY 4.0). The pictures are not part of this dataset; column `license` of the "
        "gallery holds each picture's own licence where the source states it."
    )


def _limits(facts: Facts) -> list[str]:
    source = facts.record.generator.source
    lines = ["English only; the captions are short descriptions of everyday photographs."]
    if source != "human":
        lines.append(
            "The sentences are machine-written; that two sentences mean the same was judged by automatic checks"
            + (" and the reviewers named above." if facts.review.verdicts else ", not by people, in this build.")
        )
    if source == "rules":
        lines.append("Rules reword and reorder; they make simpler paraphrases than people or language models do.")
    if facts.review.reworded:
        lines.append("Wordings that reviewers fixed did not pass through the automatic checks again.")
    return lines


def _biases(facts: Facts) -> list[str]:
    lines = [
        "The captions carry the habits of COCO's annotators and the places, objects and people of Flickr photographs; "
        "gender and age are stated as the annotators perceived them.",
    ]
    if facts.record.generator.source != "human":
        lines.append("Paraphrases share the style of one writer, so a model trained on text of a like writer may have it easier.")
    lines.append("Checks that compare sentences prefer rewordings that their sentence encoder and word lists understand.")
    return lines


def _collection_type(source: str) -> str:
    return {"human": "Crowdsourcing", "import": "Others"}.get(source, "Synthetic data generation")


def _size(n_pairs: int) -> str:
    return next((name for limit, name in _SIZES if n_pairs < limit), "n>10M")


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _fenced(text: str, language: str = "") -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
