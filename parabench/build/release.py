"""The release of a build: the folder that ``datasets.load_dataset`` reads, with card, record, metadata, checksums.

Equal ledgers and records give equal bytes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from parabench.build import card, plots
from parabench.build.candidates import Candidate, CandidateTable
from parabench.build.croissant import write_croissant
from parabench.build.ledger import Ledger
from parabench.build.record import BuildRecord
from parabench.build.review.agreement import review_agreement
from parabench.build.reviews import Resolution, ReviewTable
from parabench.data.benchmark import Benchmark
from parabench.data.coco import file_below_split
from parabench.data.release import write_benchmark
from parabench.data.schema import FOILS, PAIRS, REJECTED
from parabench.data.sentences import Row, gallery_table, sentence_table
from parabench.data.table_file import read_utf8
from parabench.errors import DataError, UsageError
from parabench.progress import note
from parabench.storage import canonical_json, sha256_file

CHECKSUMS = "CHECKSUMS"
SCORE_DIGITS = 4
"""Decimals of published scores: further ones may differ between machines."""
LICENSES = {
    "cc-by-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "cc-by-sa-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "cc-by-nc-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "cc0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "mit": "https://opensource.org/license/mit",
}
"""Licences that a release can carry, by the Hub's name."""

_VERSION = re.compile(r"\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.-]+)?")


def check_facts(version: str, license: str) -> None:
    """Refuse what a release can't state, before any work is done.

    Raises:
        UsageError: a malformed version, an unknown licence.
    """
    if not _VERSION.fullmatch(version):
        raise UsageError(f"'{version}' is no version", "write it as 1.0.0")
    if license not in LICENSES:
        raise UsageError(f"unknown licence '{license}'", f"one of {', '.join(LICENSES)}")


def write_release(
    ledger: Ledger, images: Sequence[Row], out: Path, *, name: str, record: BuildRecord, version: str = "1.0.0",
    license: str = "cc-by-4.0", notes: str = "", overwrite: bool = False,
) -> Path:  # fmt: skip
    """Write what a ledger holds as a benchmark folder.

    Pairs and foils are the candidates that checks and reviewers kept; all others are ``rejected`` with the
    reason.  A sentence that reviewers reworded stands in its new wording, the old one is in ``rejected``.

    Args:
        ledger: the build's ledger with its candidates and reviews.
        images: the gallery, as :func:`parabench.data.coco.read_official` gives it.
        out: the folder; must be new, empty, or (with ``overwrite``) an earlier release.
        name: the dataset's name.
        record: what was run.
        version: of the dataset, as ``1.0.0``.
        license: of the sentences, a name of :data:`LICENSES`.
        notes: Markdown that the card carries after its first lines.
        overwrite: replace an earlier release.

    Returns:
        The folder.

    Raises:
        UsageError: a malformed version, an unknown licence.
        DataError: a caption or picture of the ledger is not the one in ``images``, nothing was kept, or ``out``
            is in use.
        ParabenchError: the disk is full or read-only.
    """
    check_facts(version, license)
    rows = release_rows(ledger, images)
    if not rows.pairs:
        raise DataError(
            f"no pair of {ledger.path} was kept ({len(rows.rejected):,} sentences were rejected)",
            "look at the reasons, loosen the checks or generate more",
        )
    if rows.review.verdicts:
        note(f"{rows.review}; {len(rows.pairs):,} pairs and {len(rows.foils):,} foils are released")
    benchmark = Benchmark(
        name=name, pairs=sentence_table(rows.pairs, PAIRS), foils=sentence_table(rows.foils, FOILS),
        rejected=sentence_table(rows.rejected, REJECTED), gallery=gallery_table(_gallery(images, rows)),
    )  # fmt: skip
    facts = _facts(benchmark, rows, name=name, version=version, license=license, record=record, notes=notes)
    return write_benchmark(
        benchmark, out, card.card_text(facts), metadata=card.card_metadata(facts),
        accompany=partial(_accompany, facts, rows), overwrite=overwrite,
    )  # fmt: skip


@dataclass
class ReleaseRows:
    """Candidates sorted into the tables of the format, and what the reviews came to."""

    pairs: list[Row] = field(default_factory=list)
    foils: list[Row] = field(default_factory=list)
    rejected: list[Row] = field(default_factory=list)
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    n_candidates: int = 0
    n_checked: int = 0
    review: card.ReviewSummary = field(default_factory=lambda: card.ReviewSummary(0, 0, 0, 0, 0, None))


def release_rows(ledger: Ledger, images: Sequence[Row]) -> ReleaseRows:
    """The candidates of a ledger as rows of ``pairs``, ``foils`` and ``rejected``, reviews applied.

    Raises:
        DataError: a candidate's picture or caption is not the one in ``images``.
    """
    captions = {(str(i["image_id"]), str(key)): text for i in images for key, text in i["captions"] if key is not None}
    known = {str(image["image_id"]) for image in images}
    reviews = ReviewTable(ledger)
    votes: dict[str, list[bool]] = {}
    for verdict in reviews:
        votes.setdefault(verdict.pair_id, []).append(verdict.decision != "reject")
    resolutions = reviews.resolutions()
    rows = ReleaseRows()
    reworded = 0
    for candidate in CandidateTable(ledger):
        _same_caption(candidate, known, captions, ledger)
        rows.n_candidates += 1
        rows.n_checked += not candidate.reason
        if candidate.caption.labels:
            rows.labels[candidate.caption.image_id] = candidate.caption.labels
        resolution = resolutions.get(candidate.pair_id, Resolution())
        row = _row(candidate, votes.get(candidate.pair_id, []))
        reason = candidate.reason or resolution.reason
        if reason:
            rows.rejected.append({**row, "paraphrase": candidate.text, "reason": reason})
            continue
        if resolution.text:
            reworded += 1
            rows.rejected.append({**row, "paraphrase": candidate.text, "reason": "reviewers: reworded"})
            row["generator"] = f"{candidate.generator}, reworded in review"
        text = resolution.text or candidate.text
        if candidate.role == "foil":
            rows.foils.append({**row, "foil": text})
        else:
            rows.pairs.append({**row, "paraphrase": text})
    rows.review = card.ReviewSummary(
        verdicts=sum(map(len, votes.values())), annotators=len(reviews.annotators()), reviewed=len(votes),
        rejected=sum(bool(resolution.reason) for resolution in resolutions.values()), reworded=reworded,
        agreement=review_agreement(reviews),
    )  # fmt: skip
    return rows


def write_checksums(folder: Path) -> None:
    """Write ``CHECKSUMS``: the SHA-256 of every other file, as ``sha256sum`` prints and checks it."""
    files = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS
    )
    lines = "".join(f"{sha256_file(folder / name)}  {name}\n" for name in files)
    (folder / CHECKSUMS).write_text(lines, encoding="utf-8")


def read_checksums(path: Path) -> dict[str, str]:
    """File name → SHA-256, as ``CHECKSUMS`` lists them.

    Raises:
        DataError: a line is malformed, or names a file outside the folder.
    """
    listed: dict[str, str] = {}
    for number, line in enumerate(read_utf8(path).splitlines(), 1):
        digest, _, name = line.partition("  ")
        if not re.fullmatch(r"[0-9a-f]{64}", digest) or not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"{path}, line {number}: not '<sha256>  <file>'", "write the release again")
        listed[name] = digest
    return listed


def verify_checksums(folder: Path) -> int:
    """Check every file against ``CHECKSUMS``; → how many.

    Raises:
        DataError: a file is missing, changed or not listed (names it), or ``CHECKSUMS`` is malformed.
    """
    listed = read_checksums(folder / CHECKSUMS)
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != CHECKSUMS}
    remedy = "write the release again, or restore the file"
    for name in sorted(listed.keys() | present):
        if name not in present:
            raise DataError(f"{folder / name} is missing, and {CHECKSUMS} lists it", remedy)
        if name not in listed:
            raise DataError(f"{folder / name} is not listed in {CHECKSUMS}", "remove the file, or write the release again")
        if sha256_file(folder / name) != listed[name]:
            raise DataError(f"{folder / name} is not what {CHECKSUMS} says: it was changed after the release", remedy)
    return len(listed)


def _row(candidate: Candidate, votes: list[bool]) -> Row:
    scores = dict(candidate.scores)
    if votes:
        scores |= {"review_verdicts": float(len(votes)), "review_keep": sum(votes) / len(votes)}
    scores = {name: round(value, SCORE_DIGITS) for name, value in scores.items()}
    caption = candidate.caption
    return {
        "pair_id": candidate.pair_id, "image_id": caption.image_id, "caption_id": caption.caption_id,
        "caption": caption.text, "kind": candidate.kind, "source": candidate.source, "generator": candidate.generator,
        "prompt_sha256": candidate.prompt_sha256, "created": candidate.created, "scores": scores, "split": caption.split,
    }  # fmt: skip


def _same_caption(
    candidate: Candidate, images: set[str], captions: dict[tuple[str, str], str], ledger: Ledger
) -> None:
    image_id, caption_id = candidate.caption.image_id, candidate.caption.caption_id
    if image_id not in images:
        raise DataError(
            f"{ledger.path}: the picture '{image_id}' of '{candidate.pair_id}' is not in the annotations",
            "use the annotation file that the ledger was made from",
        )
    if captions.get((image_id, caption_id), candidate.caption.text) != candidate.caption.text:
        raise DataError(
            f"{ledger.path}: caption '{caption_id}' is not the caption in the annotations (their hashes differ)",
            "use the annotation file that the ledger was made from",
        )


def _gallery(images: Sequence[Row], rows: ReleaseRows) -> list[Row]:
    return [
        {
            **image,
            "file_name": file_below_split(image),
            "captions": [text for _, text in image["captions"]],
            "labels": image.get("labels") or list(rows.labels.get(str(image["image_id"]), ())) or None,
            "split": None,
        }
        for image in images
    ]


def _facts(
    benchmark: Benchmark, rows: ReleaseRows, *, name: str, version: str, license: str, record: BuildRecord, notes: str
) -> card.Facts:
    steps = [("written", rows.n_candidates)]
    for step in record.funnel:  # a check may be shown paraphrases only, so what is left follows from what was dropped
        steps.append((step.name, steps[-1][1] - step.dropped))
    if steps[-1][1] != rows.n_checked:
        raise DataError(
            f"the record says that {steps[-1][1]:,} sentences passed the checks, the ledger holds {rows.n_checked:,}",
            "run the build again: its record is of another state of the ledger",
        )
    if rows.review.verdicts:
        steps.append(("review by people", len(rows.pairs) + len(rows.foils)))
    scored = plots.scores_to_plot([row["scores"] for row in (*rows.pairs, *rows.foils, *rows.rejected)])
    return card.Facts(
        name=name, version=version, license=license, record=record, notes=notes,
        rows={table: getattr(benchmark, table).num_rows for table in ("pairs", "gallery", "foils", "rejected")},
        kinds=Counter(row["kind"] for row in rows.pairs),
        splits=list(dict.fromkeys(re.sub(r"\W", "_", row["split"], flags=re.ASCII) for row in rows.pairs)),
        steps=steps,
        reasons=Counter(_reason_kind(row["reason"]) for row in rows.rejected).most_common(),
        review=rows.review,
        plots=[
            ("plots/funnel.png", "Sentences left after each step"),
            ("plots/lengths.png", "Words of captions and paraphrases"),
            *([("plots/scores.png", "Scores of kept and rejected sentences")] if scored else []),
        ],
    )  # fmt: skip


def _reason_kind(reason: str) -> str:
    """The reason without its detail; of reviews the whole, since theirs is no detail of one sentence."""
    return reason if reason.startswith(("review", "generation")) else reason.partition(":")[0]


def _accompany(facts: card.Facts, rows: ReleaseRows, folder: Path) -> None:
    """Everything beside the tables and the card; ``CHECKSUMS`` last, since it covers the others."""
    (folder / "plots").mkdir()
    plots.plot_funnel(facts.steps, folder / "plots" / "funnel.png")
    plots.plot_lengths(
        [row["caption"] for row in rows.pairs], [row["paraphrase"] for row in rows.pairs], folder / "plots" / "lengths.png"
    )
    kept, rejected = ([row["scores"] for row in side] for side in ([*rows.pairs, *rows.foils], rows.rejected))
    if plots.scores_to_plot([*kept, *rejected]):
        plots.plot_scores(kept, rejected, folder / "plots" / "scores.png")
    (folder / "VERSION").write_text(facts.version + "\n", encoding="utf-8")
    (folder / "build.json").write_text(canonical_json(facts.record.model_dump(mode="json")) + "\n", encoding="utf-8")
    (folder / "eval.yaml").write_text(card.eval_yaml(facts), encoding="utf-8")
    write_croissant(
        folder, name=facts.name, description=facts.description, license_url=LICENSES[facts.license],
        version=facts.version, published=facts.record.created, citation=facts.citation, rai=card.rai_fields(facts),
    )  # fmt: skip
    write_checksums(folder)
