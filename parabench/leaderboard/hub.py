"""The Hugging Face Hub: pull requests with a submission, and the files behind its benchmark pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from parabench.errors import DataError, ParabenchError, UsageError
from parabench.leaderboard.reference import References
from parabench.leaderboard.schema import RANKINGS, SUBMISSION
from parabench.leaderboard.validate import Validator
from parabench.storage import write_text

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_WHERE = "leaderboard/submissions"


def open_pull_request(folder: Path, to: str) -> str:
    """Open a pull request that adds a submission folder; returns its address.

    Args:
        folder: the submission.
        to: ``dataset:owner/name`` or ``space:owner/name`` of the leaderboard's repository; the Hub is ``$HF_ENDPOINT``.

    Raises:
        UsageError: a malformed target.
        ParabenchError: no token, no permission, no Hub.
    """
    kind, _, name = to.partition(":")
    if kind not in ("dataset", "space", "model") or not _HUB_ID.fullmatch(name):
        raise UsageError(f"'{to}' is no repository on the Hub", "write --open-pr dataset:owner/name or space:owner/name")
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    token = get_token()
    if token is None:
        raise ParabenchError("there is no token for the Hub", "log in with `hf auth login`, or set HF_TOKEN to a token that may write")
    operations = [CommitOperationAdd(f"{_WHERE}/{folder.name}/{file}", str(folder / file)) for file in (SUBMISSION, RANKINGS)]
    try:
        commit = HfApi(token=token, library_name="parabench").create_commit(
            name, operations, repo_type=kind, commit_message=f"Submit {folder.name}", create_pr=True
        )
    except Exception as error:  # the client raises many classes for a Hub that refuses, is absent or answers nonsense
        said = " ".join(str(error).replace(token, "***").split())[:300]
        raise ParabenchError(f"the Hub did not take the pull request: {said}", "check the name, the token and HF_ENDPOINT; the files are in " + str(folder)) from None
    return str(commit.pr_url or commit.commit_url)


def write_eval_results(
    folder: Path, references: References, out: Path, dataset_id: str, task_id: str | None = None, source_url: str | None = None
) -> Path:
    """Write ``.eval_results/<dataset>.yaml``: the headline of a submission for the model's own repository.

    The value is AO@10 in percent, as recomputed; recall is in the notes, because stability alone says nothing.

    Raises:
        UsageError: a malformed dataset id.
        DataError: the submission is refused.
    """
    import yaml

    if not _HUB_ID.fullmatch(dataset_id):
        raise UsageError(f"'{dataset_id}' is no dataset on the Hub", "write owner/name")
    with Validator(references) as validator:
        verdict, entry = validator.validate(folder)
    if entry is None:
        raise DataError(f"{folder} is refused: {verdict.faults[0]}", "only validated numbers are written")
    similarity, recall = entry.scored.number("paraphrase", "AO@10"), entry.scored.number("retrieval", "R@10")
    told: dict[str, Any] = {
        "dataset": {"id": dataset_id, "task_id": task_id or re.sub(r"\W", "_", entry.reference.name)},
        "value": round(100 * similarity.value, 2), "date": entry.submission.created,
    }  # fmt: skip
    if source_url is not None:
        told["source"] = {"url": source_url, "name": "parabench leaderboard"}
    told["notes"] = (
        f"AO@10 in percent, 95 % CI {100 * similarity.ci_low:.2f}–{100 * similarity.ci_high:.2f}; "
        f"R@10 {100 * recall.value:.2f} %; track {entry.submission.model.track}"
    )
    path = out / ".eval_results" / f"{entry.reference.name}.yaml"
    write_text(path, yaml.safe_dump([told], sort_keys=False, allow_unicode=True))
    return path
