"""A submission from a finished run: everything the run knows, and what its authors declare."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from parabench.errors import DataError, UsageError
from parabench.evaluate.result import Measure, TaskResult
from parabench.evaluate.run import Run
from parabench.leaderboard.compact import STORED_DEPTH, believe, read_compact, write_compact
from parabench.leaderboard.reference import References
from parabench.leaderboard.schema import RANKINGS, SUBMISSION, Submission
from parabench.leaderboard.scoring import LEVEL, METRICS, RESAMPLES, SEED, Scored, score_rankings
from parabench.leaderboard.validate import read_submission
from parabench.progress import note
from parabench.storage import sha256_file, write_text

QUESTIONS = {
    "name": "the model's name in the table, e.g. --name 'CLIP ViT-B/32 (LAION-2B)'",
    "license": "the licence of the weights, e.g. --license MIT",
    "training_data": "what it was trained on, e.g. --training-data 'LAION-2B' (repeat for more; 'none' if it was not)",
    "paraphrases_of_test_captions": "whether rewrites of this set's test captions were in it: --test-paraphrases no|yes|unknown",
    "authors": "who submits, e.g. --author 'Ada Lovelace' (repeat for more)",
    "contact": "a mail address, https link or @handle: --contact …",
}
"""What only the authors know → how to say it."""

_SETTINGS = ("depth", "precision", "batch_size", "gallery", "ceiling", "gallery_sizes", "n_resamples", "seed", "metrics")


def make_submission(
    run: Run, declared: Mapping[str, Any], out: Path, references: References, *, spec: str | None = None,
    created: datetime.date | None = None,
) -> Path:  # fmt: skip
    """Write the submission folder of a run and return it.

    Args:
        run: finished, on a dataset of the leaderboard, in its own gallery.
        declared: the keys of :data:`QUESTIONS`, and optionally ``links`` and ``notes``.
        out: where submissions are; the folder's own name is given by model and dataset.
        references: the datasets of the leaderboard.
        spec: what others type to run the model, where the run used a local copy.
        created: the day, today by default.

    Raises:
        UsageError: a declaration is missing (all that are, with how to give them) or malformed.
        DataError: the run's dataset is unknown or another version, the run did something that the leaderboard does not
            compare, another model's entry has that name, or its numbers do not follow from its rankings.
    """
    missing = [how for key, how in QUESTIONS.items() if not declared.get(key)]
    if missing:
        raise UsageError(f"the submission lacks {len(missing)} of {len(QUESTIONS)} declarations", "; ".join(missing))
    result = run.result
    if result.settings.get("collapse_duplicates"):
        raise DataError("this run counts pictures that look alike as one, and the leaderboard does not", "evaluate again without --collapse-duplicates")
    reference = references.get(result.dataset.name, result.dataset.split)
    depth = min(run.rankings.depth, STORED_DEPTH)
    dataset = {
        "name": reference.name, "split": reference.split, "fingerprint": result.dataset.fingerprint,
        "queries_sha256": reference.queries_sha256, "gallery_sha256": reference.gallery_sha256,
    }  # fmt: skip
    model = {
        "name": declared["name"], "spec": spec or result.model.spec, "fingerprint": result.model.fingerprint,
        "resolved": _plain(result.model.resolved, run, spec), "n_parameters": result.model.n_parameters,
        "track": "caption-gallery" if result.settings.get("gallery") == "captions" else "image",
    }  # fmt: skip
    said = {key: declared[key] for key in QUESTIONS if key != "name"} | {
        key: declared[key] for key in ("links", "notes") if declared.get(key)
    }
    draft = {
        "created": (created or datetime.datetime.now(datetime.UTC).date()).isoformat(), "model": model, "declared": said,
        "dataset": dataset, "settings": {key: result.settings[key] for key in _SETTINGS if key in result.settings},
        "environment": _plain(result.environment, run, spec), "numbers": {}, "rankings": {"sha256": "0" * 64, "depth": depth},
    }  # fmt: skip
    folder = out / _checked(draft).folder_name
    _claim(folder, result.model.fingerprint, said)
    write_compact(run.rankings, reference, folder / RANKINGS, depth)
    columns = read_compact(folder / RANKINGS, len(reference.targets), len(reference.image_ids))
    scored = score_rankings(believe(columns, reference))
    _same_numbers(run, scored)
    draft["numbers"] = {task: {name: _number(measure) for name, measure in own.metrics.items()} for task, own in scored.tasks.items()}
    draft["rankings"] = {"sha256": sha256_file(folder / RANKINGS), "depth": depth}
    write_text(folder / SUBMISSION, json.dumps(json.loads(_checked(draft).model_dump_json()), indent=1, ensure_ascii=False) + "\n")
    return folder


def _claim(folder: Path, fingerprint: str, said: Mapping[str, Any]) -> None:
    """Refuse to write over another model's entry, or somebody else's."""
    if not folder.exists():
        return
    for name in (RANKINGS, SUBMISSION):
        for part in folder.glob(f".{name}.*.part"):  # of a command that was killed
            part.unlink()
    if {path.name for path in folder.iterdir()} <= {RANKINGS}:
        return  # so was this one, before there was an entry
    entry = read_submission(folder)
    held, declared = entry.model, entry.declared
    remedy = "choose another --name or --out; to replace an entry of your own, remove its folder first"
    if held.fingerprint != fingerprint:
        raise DataError(f"{folder} already holds '{held.name}' ({held.spec}), which is another model", remedy)
    if (list(declared.authors), declared.contact) != (list(said["authors"]), said["contact"]):
        raise DataError(f"{folder} already holds '{held.name}' by {', '.join(declared.authors)} ({declared.contact})", remedy)
    note(f"replacing the earlier entry in {folder}")


def read_declarations(path: Path) -> dict[str, Any]:
    """The declarations in a YAML or JSON file; :class:`UsageError` when it is not one."""
    import yaml

    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"can't read {path}: {error}", "write a YAML file of key: value") from error
    allowed = {*QUESTIONS, "links", "notes"}
    if not isinstance(told, dict) or not set(told) <= allowed:
        strange = sorted(set(map(str, told)) - allowed)[:1] if isinstance(told, dict) else ["no mapping"]
        raise UsageError(f"{path}: unknown declaration '{strange[0]}'", f"known: {', '.join(sorted(allowed))}")
    # YAML reads a bare no as false
    words = {False: "no", True: "yes"}
    if isinstance(answer := told.get("paraphrases_of_test_captions"), bool):
        told["paraphrases_of_test_captions"] = words[answer]
    return told


def _checked(draft: Mapping[str, Any]) -> Submission:
    try:
        return Submission.model_validate_json(json.dumps(draft))
    except (ValidationError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise DataError(f"the run holds a number that JSON can't say: {error}") from None
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{where}: {first['msg'].removeprefix('Value error, ')}", "see leaderboard/README.md, The submission") from None


def _same_numbers(run: Run, scored: Scored) -> None:
    """Refuse a run whose numbers its own rankings don't give, before anybody else does."""
    settings = run.result.settings
    same_draws = (settings.get("n_resamples"), settings.get("seed"), settings.get("level")) == (RESAMPLES, SEED, LEVEL)
    for task, computed in scored.tasks.items():
        for name, mine in run.result.tasks.get(task, TaskResult()).metrics.items():
            again = computed.metrics.get(name)
            if again is None:
                continue
            ends = same_draws and settings["metrics"] == list(METRICS)
            if mine.value != again.value or (ends and (mine.ci_low, mine.ci_high) != (again.ci_low, again.ci_high)):
                raise DataError(f"{run.folder}: {task}: {name} is {mine.value} in the run and {again.value} from its rankings", "evaluate again")


def _number(measure: Measure) -> dict[str, float | None]:
    return {"value": measure.value, "ci_low": measure.ci_low, "ci_high": measure.ci_high}


def _plain(value: dict[str, Any], run: Run, spec: str | None) -> dict[str, Any]:
    """What the run recorded as the leaderboard may show it: no markup, no local folders."""

    def clean(held: Any) -> Any:
        if isinstance(held, dict):
            return {clean(str(key)): clean(own) for key, own in held.items()}
        if isinstance(held, list | tuple):
            return [clean(own) for own in held]
        if not isinstance(held, str):
            return held
        if spec is not None:
            held = held.replace(run.result.model.spec, spec)
        held = "".join(char if char.isprintable() else " " for char in held).replace("<", "‹").replace(">", "›")
        return re.sub(r"(?<![\w:/.])/(?:[^\s/'\"]+/)+", "…/", held)[:2000]

    cleaned: dict[str, Any] = clean(value)
    return cleaned
