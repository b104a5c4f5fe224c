"""The Batch API: the same requests under the same keys, submitted as files, polled, collected.

A job is named in the ledger before it exists at the server, and the server is told that name; a build that is killed
between the two finds its job again instead of paying for a second one.
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from parabench.build.generate.chat import StructuredOutputRefusedError
from parabench.build.generate.openai import OpenAIAsker, address, client_settings, names_schema, read_completion
from parabench.build.generate.protocol import Options
from parabench.build.requests import Outcome, Request, RequestTable
from parabench.errors import ModelError
from parabench.progress import bar, note
from parabench.storage import canonical_json

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import Batch

T = TypeVar("T")

_MOST_REQUESTS = 50_000
_MOST_BYTES = 150_000_000
_MARK = "parabench"
_LOOKED_THROUGH = 1000
_ENDED = ("completed", "expired", "cancelled", "failed")
_STORED_AT_ONCE = 500


class BatchAsker:
    """Sends requests as batch jobs and waits for them, looking every ``options.poll`` seconds."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._settings = client_settings(options)
        self._live = OpenAIAsker(options)  # what an HTTP status means is the same for both

    def ask(self, requests: RequestTable) -> None:
        """Bring every pending request of the plan to an end; killed and run again, it takes its jobs up again.

        Raises:
            ModelError: wrong key, no server, or the server refuses the job.
            StructuredOutputRefusedError: the server takes no JSON schema.
        """
        from openai import OpenAI

        with OpenAI(**self._settings) as client:
            tally = requests.tally()
            with bar("requests", tally.total, "request", initial=tally.total - tally["pending"]) as progress:
                while True:
                    self._claim(requests)
                    open_ = requests.batches()
                    if not open_ and not requests.tally()["pending"]:
                        return
                    for job in open_:
                        self._advance(client, requests, job)
                    pending = requests.tally()["pending"]
                    progress.update(tally.total - pending - progress.n)
                    if pending and open_ == requests.batches():  # nothing ended
                        time.sleep(self._options.poll)

    def _claim(self, requests: RequestTable) -> None:
        while True:
            job = uuid.uuid4().hex
            if not requests.claim(_MOST_REQUESTS, batch=job):
                return

    def _advance(self, client: OpenAI, requests: RequestTable, job: str) -> None:
        remote = requests.ledger.meta(_name(job))
        if remote is None:
            claimed = requests.take(job)
            if not claimed:
                return
            remote = self._submit(client, claimed, job)
            requests.ledger.set_default(_name(job), remote)
            requests.sent(job)
            note(f"batch {remote}: {len(claimed):,} requests submitted")
        batch = self._patiently(client, lambda: client.batches.retrieve(remote))
        if batch.status in _ENDED:
            self._collect(client, requests, job, batch)

    def _submit(self, client: OpenAI, claimed: Iterable[Request], job: str) -> str:
        """The job's id at the server: that of the job already there under this name, else of a new one."""
        if (found := self._find(client, job)) is not None:
            return found
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{job}.jsonl"
            with path.open("w", encoding="utf-8") as stream:
                for request in claimed:
                    line = {"custom_id": request.key, "method": "POST", "url": "/v1/chat/completions", "body": request.payload}
                    stream.write(canonical_json(line) + "\n")
            if path.stat().st_size > _MOST_BYTES:
                raise ModelError(f"the batch file has {path.stat().st_size:,} bytes, more than servers take", "draw fewer captions")
            uploaded = self._patiently(client, lambda: client.files.create(file=path, purpose="batch"))

        def create() -> str:
            found = self._find(client, job)
            if found is not None:
                return found
            return client.batches.create(
                input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={_MARK: job}
            ).id

        return self._patiently(client, create)

    def _find(self, client: OpenAI, job: str) -> str | None:
        def look() -> str | None:
            for seen, batch in enumerate(client.batches.list(limit=100)):
                if (batch.metadata or {}).get(_MARK) == job:
                    return batch.id
                if seen >= _LOOKED_THROUGH:
                    break
            return None

        return self._patiently(client, look)

    def _collect(self, client: OpenAI, requests: RequestTable, job: str, batch: Batch) -> None:
        keys = {request.key for request in requests.take(job)}
        schema_refused, answered = "", 0
        for file_id in (batch.output_file_id, batch.error_file_id):
            if file_id is None:
                continue
            outcomes: list[Outcome] = []
            lines = self._patiently(client, lambda file_id=file_id: client.files.content(file_id).text)  # type: ignore[misc]
            for line in lines.split("\n"):
                outcome = self._outcome(line, address(client.base_url))
                if outcome is None or outcome.key not in keys:
                    continue
                if outcome.status == "failed" and names_schema(outcome.error or ""):
                    schema_refused = outcome.error or ""
                    continue
                answered += outcome.status != "failed"
                outcomes.append(outcome)
                if len(outcomes) == _STORED_AT_ONCE:
                    requests.store(outcomes)
                    outcomes = []
            requests.store(outcomes)
        note(f"batch {batch.id}: {batch.status}, {answered:,} of {len(keys):,} requests answered")
        requests.release(job, self._options.attempts)
        if schema_refused and not answered:
            raise StructuredOutputRefusedError(schema_refused)
        if batch.status == "failed":
            said = "; ".join(str(error.message) for error in ((batch.errors and batch.errors.data) or []))
            raise ModelError(
                f"{address(client.base_url)} refuses the batch job {batch.id}: {said[:300] or 'no reason given'}",
                "mend what it says, then run the same command: answers so far are kept",
            )

    def _outcome(self, line: str, server: str) -> Outcome | None:
        """A line of a result file; ``None`` for what will have to be sent again, or is no result."""
        try:
            value = json.loads(line)
            key = str(value["custom_id"])
            response: dict[str, Any] = value.get("response") or {}
            status = int(response.get("status_code") or 0)
            body = response.get("body")
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        if status == 200:
            outcome = read_completion(key, body, self._options)
            return None if outcome is None else Outcome(**{**outcome.__dict__, "server": server})
        if status in (0, 408, 409, 429) or status >= 500:
            return None
        said = json.dumps(body, ensure_ascii=False)[:300] if body else json.dumps(value.get("error"))[:300]
        return Outcome(key, "failed", error=f"HTTP {status} {said}", server=server)

    def _patiently(self, client: OpenAI, call: Callable[[], T]) -> T:
        """Call; after a broken connection, a limit or a 5xx wait and call again."""
        import openai

        server = address(client.base_url)
        for attempt in range(1, self._options.attempts + 1):
            try:
                return call()
            except openai.APIConnectionError as error:
                problem, hold = f"{error.__cause__ or error}", 0.0
            except openai.APIStatusError as error:
                problem = self._live.said(error)
                verdict = self._live.verdict(error, server)
                if verdict is None:
                    raise ModelError(
                        f"{server} refuses the batch job: {problem}", "leave --batch-api out if it has no Batch API"
                    ) from None
                hold = verdict
            time.sleep(max(hold, min(30.0, 0.5 * 2 ** (attempt - 1))))
        raise ModelError(
            f"no server answers at {server}: {problem}",
            "check --base-url and the network, then run the same command: submitted jobs are taken up again",
        )


def _name(job: str) -> str:
    """Where the ledger keeps the server's id of a job."""
    return f"batch:{job}"
