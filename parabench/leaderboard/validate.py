"""Is a submission what it says?  Everything is checked and every number is computed again; nothing is believed."""

from __future__ import annotations

import hashlib
import math
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from parabench.errors import DataError
from parabench.evaluate.result import TaskResult
from parabench.leaderboard.compact import MOST_BYTES, believe
from parabench.leaderboard.names import shown, skeleton
from parabench.leaderboard.oddities import oddities
from parabench.leaderboard.reference import Reference, References
from parabench.leaderboard.sandbox import Sandbox
from parabench.leaderboard.schema import RANKINGS, SCHEMA_VERSION, SUBMISSION, Submission
from parabench.leaderboard.scoring import Scored, cache_key, recall, remember, score_rankings
from parabench.storage import sha256_file, sha256_json

MOST_JSON = 65_536
VALUE_TOLERANCE, INTERVAL_TOLERANCE = 1e-9, 1e-5
"""Numbers of another machine may differ by rounding: values are sums in float64, interval ends of products in float32."""

_MOST_ENTRIES = 100_000


class Verdict(BaseModel):
    """What was found about one submission.

    ``accepted``: everything fits.  ``flagged``: everything fits and a person should look.  ``refused``: something does
    not fit; ``faults`` say what, and what to do.
    """

    model_config = ConfigDict(extra="forbid")
    entry: str
    status: Literal["accepted", "flagged", "refused"]
    faults: list[str] = Field(default_factory=list)
    flags: list[str] = Field(default_factory=list)
    model: str = ""
    dataset: str = ""
    numbers: dict[str, dict[str, float]] = Field(default_factory=dict)


class Entry:
    """A submission that passed: what it says, its numbers, and the dataset it is about."""

    def __init__(self, submission: Submission, scored: Scored, reference: Reference, flags: Sequence[str] = ()) -> None:
        self.submission, self.scored, self.reference, self.flags = submission, scored, reference, list(flags)
        self.id = submission.folder_name


class Validator:
    """Validates submissions one after another, each also against those before it and against a leaderboard's own.

    Args:
        references: the datasets of the leaderboard.
        known: submissions that stand already; a new one must not imitate or repeat them.
    """

    def __init__(self, references: References, known: Sequence[Path] = ()) -> None:
        self.references = references
        self._sandbox = Sandbox()
        self._known: dict[str, Submission] = {}
        self._models: dict[str, set[str]] = {}
        self._names: dict[str, set[str]] = {}
        self._pairs: dict[str, str] = {}
        for folder in known:
            try:
                self._know(folder.name, read_submission(folder))
            except DataError:
                continue  # what stands there and is broken is refused when it is validated itself

    def __enter__(self) -> Validator:
        return self

    def __exit__(self, *_: object) -> None:
        self._sandbox.close()

    def validate(self, folder: Path) -> tuple[Verdict, Entry | None]:
        """The verdict on one folder, and the entry unless it is refused."""
        name = shown(folder.name)
        try:
            submission = read_submission(folder)
        except DataError as error:
            return Verdict(entry=name, status="refused", faults=[shown(str(error), 500)]), None
        said: dict[str, Any] = {"entry": name, "model": submission.model.name, "dataset": submission.dataset.name}
        faults = self._against_others(folder, submission)
        try:
            reference = self._reference(submission)
            scored = self._scored(folder, submission, reference)
            faults += _differences(submission, scored)
        except DataError as error:
            return Verdict(status="refused", faults=[shown(fault, 500) for fault in (*faults, str(error))], **said), None
        if faults:
            return Verdict(status="refused", faults=[shown(fault, 500) for fault in faults], **said), None
        flags = oddities(submission, scored)
        if (twin := self._twin(folder, submission, scored)) is not None:
            flags.append(f"every pair has the ranks and the similarity of '{twin}': the rankings are identical")
        self._know(folder.name, submission)
        numbers = {
            task: {metric: measure.value for metric, measure in own.metrics.items()} for task, own in scored.tasks.items()
        }
        verdict = Verdict(status="flagged" if flags else "accepted", flags=flags, numbers=numbers, **said)
        return verdict, Entry(submission, scored, reference, flags)

    def _twin(self, folder: Path, submission: Submission, scored: Scored) -> str | None:
        """Another entry with the same rankings, however its file was written."""
        pairs = hashlib.sha256(b"".join(part.tobytes() for part in (scored.ao, scored.caption_rank, scored.paraphrase_rank)))
        earlier = self._pairs.setdefault(pairs.hexdigest(), folder.name)
        if earlier != folder.name:
            return earlier
        same = (key for key, own in self._known.items() if key != folder.name and own.rankings.sha256 == submission.rankings.sha256)
        return next(same, None)

    def _reference(self, submission: Submission) -> Reference:
        reference = self.references.get(submission.dataset.name, submission.dataset.split)
        for what in ("queries_sha256", "gallery_sha256", "fingerprint"):
            if getattr(submission.dataset, what) != getattr(reference, what):
                raise DataError(
                    f"{what} is not that of {reference.title}: the run used another version of it, or other data",
                    f"evaluate again on '{reference.name}' and submit that run",
                )
        return reference

    def _scored(self, folder: Path, submission: Submission, reference: Reference) -> Scored:
        path = folder / RANKINGS
        digest = sha256_file(path)
        if digest != submission.rankings.sha256:
            raise DataError(f"{RANKINGS} is not the file that {SUBMISSION} names", "make both again: parabench submit RUN")
        key = cache_key(digest, reference)
        scored = recall(key)
        if scored is None:
            scored = score_rankings(believe(self._sandbox.read(path, len(reference.targets), len(reference.image_ids)), reference))
            remember(key, scored)
        if scored.depth != submission.rankings.depth:
            raise DataError(f"rankings are {scored.depth} deep, and {SUBMISSION} says {submission.rankings.depth}")
        if submission.model.track == "caption-gallery" and "R@1 image→text" in scored.tasks["retrieval"].metrics:
            raise DataError("image → text ranks need an image tower, and the track is 'caption-gallery'", "declare the track 'image'")
        return scored

    def _against_others(self, folder: Path, submission: Submission) -> list[str]:
        faults = []
        if folder.name != submission.folder_name:
            faults.append(f"the folder must be called '{submission.folder_name}', after the model and the dataset")
        model = submission.model
        for other in self._models.get(_model_key(submission), ()):
            if other != folder.name:
                faults.append(f"this very model (fingerprint {shown(model.fingerprint, 12)}) stands there already as '{other}'")
        for other in self._names.get(skeleton(model.name), ()):
            own = self._known[other]
            same_set = (own.dataset.name, own.dataset.split) == (submission.dataset.name, submission.dataset.split)
            if other != folder.name and (same_set or own.model.name != model.name):
                faults.append(f"'{model.name}' reads like '{own.model.name}' of '{other}' → choose a name that can't be mistaken")
        return faults

    def _know(self, name: str, submission: Submission) -> None:
        self._known[name] = submission
        for index, key in ((self._models, _model_key(submission)), (self._names, skeleton(submission.model.name))):
            index.setdefault(key, set()).add(name)


def _model_key(submission: Submission) -> str:
    """Equal for the same model on the same dataset."""
    dataset, precision = submission.dataset, submission.settings.get("precision")
    return sha256_json([dataset.name, dataset.split, submission.model.fingerprint, precision])


def find_submissions(paths: Sequence[Path]) -> list[Path]:
    """The submission folders that paths name: folders themselves, or everything in them that is not hidden.

    Raises:
        DataError: a path is not there, or holds far too much.
    """
    return sorted({folder for path in paths for folder in _submissions_in(path)})


def _submissions_in(path: Path) -> Iterator[Path]:
    if not path.is_dir() or path.is_symlink() or (path / SUBMISSION).exists() or (path / RANKINGS).exists():
        if not path.exists() and not path.is_symlink():
            raise DataError(f"no such submission: {path}", "name a folder with submission.json and rankings.parquet")
        yield path
        return
    with os.scandir(path) as entries:
        for number, entry in enumerate(entries):
            if number > _MOST_ENTRIES:
                raise DataError(f"{path} holds more than {_MOST_ENTRIES:,} things")
            if not entry.name.startswith("."):
                yield path / entry.name


def read_submission(folder: Path) -> Submission:
    """``submission.json`` of a folder; :class:`DataError` when the folder or the file is not what it has to be."""
    _check_folder(folder)
    data = (folder / SUBMISSION).read_bytes()
    version = _version(data)
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{SUBMISSION} has schema version {version}, this parabench reads {SCHEMA_VERSION}",
            "make it again from the run: parabench submit RUN"
            + ("" if isinstance(version, int) and version < SCHEMA_VERSION else ", or update parabench"),
        )
    try:
        return Submission.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(shown(str(part)) for part in first["loc"]) or SUBMISSION
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise DataError(f"{SUBMISSION}: {where}: {shown(first['msg'].removeprefix('Value error, '), 300)}{more}") from None


def _version(data: bytes) -> Any:
    from pydantic_core import from_json

    try:
        value = from_json(data)
    except ValueError as error:
        raise DataError(f"{SUBMISSION} is not JSON: {shown(str(error))}") from None
    if not isinstance(value, dict):
        raise DataError(f"{SUBMISSION} is not a JSON object")
    version = value.get("schema_version")
    return version if isinstance(version, int) and not isinstance(version, bool) else "unknown"


def _check_folder(folder: Path) -> None:
    """Refuse everything but a real folder with two small regular files, before anything is read."""
    if folder.is_symlink() or not folder.is_dir():
        raise DataError(f"{shown(folder.name)} is not a folder", f"a submission is a folder with {SUBMISSION} and {RANKINGS}")
    caps = {SUBMISSION: MOST_JSON, RANKINGS: MOST_BYTES}
    seen = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name not in caps:
                raise DataError(f"'{shown(entry.name)}' does not belong into a submission", f"it holds {SUBMISSION} and {RANKINGS} alone")
            state = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(state.st_mode):
                raise DataError(f"{entry.name} is not a regular file", "links and folders are refused")
            if state.st_size > caps[entry.name]:
                raise DataError(f"{entry.name} has {state.st_size:,} bytes, {caps[entry.name]:,} are allowed")
            seen.add(entry.name)
    if missing := sorted(caps.keys() - seen):
        raise DataError(f"{missing[0]} is missing", "make the submission with parabench submit RUN")


def _differences(submission: Submission, scored: Scored) -> list[str]:
    """Where the submitted numbers are not the computed ones; the headline has to be there."""
    faults = []
    told = {(task, metric) for task, own in submission.numbers.items() for metric in own}
    lacking = [f"{task}: {metric}" for task, metric in (("paraphrase", "AO@10"), ("retrieval", "R@10")) if (task, metric) not in told]
    if lacking:
        faults.append(f"numbers lack {lacking[0]}")
    for task, metric in sorted(told):
        number = submission.numbers[task][metric]
        computed = scored.tasks.get(task, TaskResult()).metrics.get(metric)
        if computed is None:
            faults.append(f"numbers name {shown(task)}: {shown(metric)}, which the rankings do not give")
            continue
        for what, mine, tolerance in (
            ("value", computed.value, VALUE_TOLERANCE), ("ci_low", computed.ci_low, INTERVAL_TOLERANCE),
            ("ci_high", computed.ci_high, INTERVAL_TOLERANCE),
        ):  # fmt: skip
            theirs = getattr(number, what)
            if (mine is None) != (theirs is None) or (mine is not None and not math.isclose(theirs, mine, rel_tol=tolerance, abs_tol=tolerance)):
                faults.append(f"{task}: {metric}: {what} is given as {theirs} and the rankings give {mine}")
    return faults[:10]
