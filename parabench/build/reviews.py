"""Reviews: what people said of candidates, as rows that are only ever appended to a table of the ledger.

A verdict is one row; taking it back is another row that names it.  The *current* verdict of an annotator on a
candidate is the latest one that was not taken back and that was given to the sentence as it stands now: when a
build writes another sentence under the same id, the old verdict no longer counts.

Several annotators are resolved by vote (:func:`resolve`): a sentence stays when more verdicts keep it (accept, fix)
than reject it, so one against one rejects.  A fixed wording replaces the sentence when at least as many annotators
fix it as accept it; the wording that most of them wrote wins, the latest of equals.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from parabench.build.candidates import Candidate, CandidateTable
from parabench.build.ledger import Ledger
from parabench.errors import DataError, did_you_mean

Decision = Literal["accept", "fix", "reject"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)

REASONS: Mapping[str, tuple[str, ...]] = {
    "paraphrase": (
        "meaning changed", "detail dropped", "detail added", "not fluent", "too close to the caption",
        "false of the picture", "offensive or private",
    ),
    "foil": (
        "still true", "changes too much", "not fluent", "absurd", "same as another foil", "offensive or private",
    ),
}  # fmt: skip
"""The usual reasons to reject, by role, in the order of their number keys; any other text is allowed too."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS reviews (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, pair_id TEXT NOT NULL, annotator TEXT NOT NULL,
    decision TEXT NOT NULL, reason TEXT NOT NULL, text TEXT NOT NULL, sentence TEXT NOT NULL,
    created TEXT NOT NULL, undoes INTEGER REFERENCES reviews (sequence));
CREATE INDEX IF NOT EXISTS reviews_by_pair ON reviews (pair_id, annotator);
CREATE UNIQUE INDEX IF NOT EXISTS reviews_undone ON reviews (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX IF NOT EXISTS candidates_to_review ON candidates (position) WHERE reason = '';
CREATE INDEX IF NOT EXISTS candidates_by_caption ON candidates (caption_id);
CREATE VIEW IF NOT EXISTS live_reviews AS
    SELECT r.* FROM reviews r JOIN candidates c ON c.pair_id = r.pair_id AND c.text = r.sentence
    WHERE r.decision <> 'undo' AND c.reason = ''
      AND r.sequence NOT IN (SELECT undoes FROM reviews WHERE undoes IS NOT NULL);
CREATE VIEW IF NOT EXISTS current_reviews AS
    SELECT max(sequence) AS sequence, pair_id, annotator, decision, reason, text, sentence, created
    FROM live_reviews GROUP BY pair_id, annotator;
"""  # in the second view, SQLite takes the other columns from the row that has the max
_COLUMNS = "sequence, pair_id, annotator, decision, reason, text, sentence, created"
_ANNOTATOR = re.compile(r"[\w.@+-]+(?: [\w.@+-]+)*")
_LONGEST_NAME, _LONGEST_REASON, _LONGEST_TEXT = 40, 300, 20_000


@dataclass(frozen=True)
class Review:
    """One verdict: ``text`` is the fixed wording (else ``""``), ``sentence`` the wording that was judged."""

    sequence: int
    pair_id: str
    annotator: str
    decision: Decision
    reason: str
    text: str
    sentence: str
    created: str


@dataclass(frozen=True)
class Resolution:
    """What several verdicts come to: ``reason`` why the sentence is dropped (``""`` = kept), ``text`` a fixed wording."""

    reason: str = ""
    text: str = ""


@dataclass(frozen=True)
class Progress:
    """How far one annotator is: candidates that await a verdict in this build, and how many have theirs."""

    total: int
    done: int


class ReviewTable:
    """The reviews of a build.

    Args:
        ledger: an open ledger; its candidates are what can be reviewed.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._candidates = CandidateTable(ledger)
        with ledger.errors():
            ledger.connection.executescript(_SCHEMA)

    def add(
        self, pair_id: str, annotator: str, decision: str, *, reason: str = "", text: str = "",
        sentence: str | None = None, created: str | None = None,
    ) -> Review:  # fmt: skip
        """Append a verdict; it is on disk when this returns.

        Args:
            pair_id: a candidate that the automatic checks kept.
            annotator: pseudonym, 1–40 letters, digits, ``. _ - + @`` and single spaces.
            decision: ``accept``, ``fix`` (with ``text``) or ``reject`` (with ``reason``).
            sentence: the wording that was judged, where the annotator saw it some time ago.
            created: when, ISO 8601; now if absent.

        Raises:
            DataError: unknown candidate or decision, a missing reason or text, or a sentence that has changed.
        """
        with self._ledger.transaction():
            return self._insert(pair_id, annotator, decision, reason, text, sentence, created)

    def add_all(self, rows: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
        """Append many verdicts or, when one is bad, none; → (added, already there with the same content).

        Each row holds the arguments of :meth:`add`, and ``where``, which stands before the message of an error.
        """
        added = present = 0
        with self._ledger.transaction():
            for row in rows:
                where, values = row["where"], {key: value for key, value in row.items() if key != "where"}
                try:
                    held = self.current(values["pair_id"]).get(values["annotator"])
                    said = (values["decision"], values["reason"], values["text"])
                    if held is not None and (held.decision, held.reason, held.text) == said:
                        present += 1
                        continue
                    self._insert(**values)
                except DataError as error:
                    raise DataError(f"{where}: {error.problem}", error.remedy) from None
                added += 1
        return added, present

    def undo(self, annotator: str) -> Review | None:
        """Take back the annotator's latest verdict, if there is one, and say which; an earlier one counts again."""
        with self._ledger.transaction() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM reviews WHERE annotator=? AND decision<>'undo' AND sequence NOT IN"
                " (SELECT undoes FROM reviews WHERE undoes IS NOT NULL) ORDER BY sequence DESC LIMIT 1",
                [annotator],
            ).fetchone()
            if row is None:
                return None
            last = Review(*row)
            connection.execute(
                "INSERT INTO reviews (pair_id, annotator, decision, reason, text, sentence, created, undoes)"
                " VALUES (?, ?, 'undo', '', '', ?, ?, ?)",
                [last.pair_id, annotator, last.sentence, _now(), last.sequence],
            )
        return last

    def current(self, pair_id: str) -> dict[str, Review]:
        """Annotator → current verdict on one candidate."""
        with self._ledger.errors():
            rows = self._ledger.connection.execute(
                f"SELECT {_COLUMNS} FROM current_reviews WHERE pair_id=? ORDER BY sequence", [pair_id]
            ).fetchall()
        return {review.annotator: review for review in map(_review, rows)}

    def __iter__(self) -> Iterator[Review]:
        """All current verdicts, by the order of the candidates, then of the verdicts."""
        with self._ledger.errors():
            yield from map(
                _review,
                self._ledger.connection.execute(
                    f"SELECT {', '.join(f'v.{name}' for name in _COLUMNS.split(', '))} FROM current_reviews v"
                    " JOIN candidates c ON c.pair_id = v.pair_id ORDER BY c.position, v.sequence"
                ),
            )

    def annotators(self) -> list[str]:
        """Who has a current verdict, by name."""
        with self._ledger.errors():
            rows = self._ledger.connection.execute("SELECT DISTINCT annotator FROM current_reviews ORDER BY annotator")
            return [str(name) for (name,) in rows]

    def progress(self, annotator: str, overlap: int | None = None) -> Progress:
        """How far an annotator is; with ``overlap``, what enough others have judged is not counted as theirs."""
        connection = self._ledger.connection
        with self._ledger.errors():
            (done,) = connection.execute(
                "SELECT count(DISTINCT pair_id) FROM live_reviews WHERE annotator=?", [annotator]
            ).fetchone()
            (total,) = connection.execute("SELECT count(*) FROM candidates WHERE reason=''").fetchone()
            (spared,) = (0,) if overlap is None else connection.execute(
                "SELECT count(*) FROM (SELECT pair_id FROM live_reviews GROUP BY pair_id"
                " HAVING count(DISTINCT annotator) >= ? AND sum(annotator = ?) = 0)",
                [overlap, annotator],
            ).fetchone()  # fmt: skip
        return Progress(int(total) - int(spared), int(done))

    def next_open(self, annotator: str, after: int = -1, overlap: int | None = None) -> str | None:
        """The first candidate after a position that this annotator has not judged, from the start again at the end.

        Args:
            annotator: who asks.
            after: a position as :meth:`place` gives it.
            overlap: how many annotators a candidate gets at most; ``None`` = every annotator sees every one.
        """
        with self._ledger.errors():
            for ahead in ("position > ?", "position <= ?"):
                row = self._ledger.connection.execute(
                    f"SELECT pair_id FROM candidates c WHERE {_OPEN} AND {ahead} ORDER BY position LIMIT 1",
                    [annotator, overlap, overlap, after],
                ).fetchone()
                if row is not None:
                    return str(row[0])
        return None

    def place(self, pair_id: str) -> int | None:
        """The position of a candidate that can be reviewed, or ``None``."""
        with self._ledger.errors():
            row = self._ledger.connection.execute(
                "SELECT position FROM candidates WHERE pair_id=? AND reason=''", [pair_id]
            ).fetchone()
        return None if row is None else int(row[0])

    def neighbour(self, position: int, step: Literal[-1, 1]) -> str | None:
        """The candidate before or after a position, judged or not."""
        sign, order = ("<", "DESC") if step < 0 else (">", "ASC")
        with self._ledger.errors():
            row = self._ledger.connection.execute(
                f"SELECT pair_id FROM candidates WHERE reason='' AND position {sign} ? ORDER BY position {order} LIMIT 1",
                [position],
            ).fetchone()
        return None if row is None else str(row[0])

    def siblings(self, candidate: Candidate) -> list[Candidate]:
        """The other candidates of the same caption that the automatic checks kept."""
        with self._ledger.errors():
            rows = self._ledger.connection.execute(
                "SELECT pair_id FROM candidates WHERE caption_id=? AND image_id=? AND reason='' AND pair_id<>?"
                " ORDER BY position",
                [candidate.caption.caption_id, candidate.caption.image_id, candidate.pair_id],
            ).fetchall()
        found = (self._candidates.get(pair_id) for (pair_id,) in rows)
        return [sibling for sibling in found if sibling is not None]

    def resolutions(self) -> dict[str, Resolution]:
        """What the verdicts on every reviewed candidate come to, by pair id."""
        by_pair: dict[str, list[Review]] = {}
        for review in self:
            by_pair.setdefault(review.pair_id, []).append(review)
        return {pair_id: resolve(reviews) for pair_id, reviews in by_pair.items()}

    def _insert(
        self, pair_id: str, annotator: str, decision: str, reason: str, text: str,
        sentence: str | None = None, created: str | None = None,
    ) -> Review:  # fmt: skip
        candidate = self._candidates.get(pair_id)
        if candidate is None or candidate.reason:
            why = "there is none" if candidate is None else f"the checks dropped it: {candidate.reason}"
            raise DataError(f"no candidate '{pair_id}' awaits a review ({why})", "use the pair_id of an exported row")
        if sentence is not None and sentence != candidate.text:
            raise DataError(f"the sentence of '{pair_id}' has changed since it was shown", "look at it again")
        reason, text = " ".join(reason.split()), " ".join(text.split())
        _check(candidate, annotator, decision, reason, text)
        values = (pair_id, annotator, decision, reason, text, candidate.text, created or _now())
        cursor = self._ledger.connection.execute(
            "INSERT INTO reviews (pair_id, annotator, decision, reason, text, sentence, created)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            values,
        )
        return _review((cursor.lastrowid, *values))


def resolve(reviews: Sequence[Review]) -> Resolution:
    """What the current verdicts on one candidate come to (the rule is in this module's docstring)."""
    said = Counter(review.decision for review in reviews)
    if said["reject"] and said["accept"] + said["fix"] <= said["reject"]:
        reasons = dict.fromkeys(review.reason for review in reviews if review.decision == "reject")
        return Resolution(reason=f"reviewers: {', '.join(reasons)}")
    if said["fix"] and said["fix"] >= said["accept"]:
        wordings = [review.text for review in reviews if review.decision == "fix"]
        votes = Counter(wordings)
        return Resolution(text=max(reversed(wordings), key=lambda wording: votes[wording]))
    return Resolution()


def check_annotator(name: str) -> str:
    """The pseudonym, or :class:`DataError` when it is none."""
    if len(name) > _LONGEST_NAME or not _ANNOTATOR.fullmatch(name):
        raise DataError(
            f"{name[:60]!r} is no name for an annotator",
            f"use a pseudonym of 1–{_LONGEST_NAME} letters, digits, . _ - + @",
        )
    return name


_OPEN = (
    "c.reason = '' AND NOT EXISTS (SELECT 1 FROM live_reviews r WHERE r.pair_id = c.pair_id AND r.annotator = ?)"
    " AND (? IS NULL OR (SELECT count(DISTINCT annotator) FROM live_reviews r WHERE r.pair_id = c.pair_id) < ?)"
)


def _check(candidate: Candidate, annotator: str, decision: str, reason: str, text: str) -> None:
    check_annotator(annotator)
    if decision not in DECISIONS:
        raise DataError(f"'{decision[:60]}' is no decision", did_you_mean(decision[:60], DECISIONS))
    if len(reason) > _LONGEST_REASON or len(text) > _LONGEST_TEXT:
        raise DataError("the reason or the text is too long", f"at most {_LONGEST_REASON} and {_LONGEST_TEXT:,} characters")
    try:
        (reason + text).encode("utf-8")
    except UnicodeEncodeError:
        raise DataError("the text holds half of a surrogate pair, which is no character", "type it again") from None
    if decision == "reject" and not reason:
        raise DataError("a rejection needs a reason", f"e.g. {REASONS[candidate.role][0]}")
    if (decision == "fix") != bool(text):
        raise DataError(
            "a fix needs the fixed text" if decision == "fix" else f"the decision is '{decision}' and a fixed text is given",
            "say fix with a text, or accept or reject without one",
        )
    if decision == "fix" and text in (candidate.text, candidate.caption.text):
        same = "sentence is the same as before" if text == candidate.text else "fixed sentence is the caption itself"
        raise DataError(f"the {same}", "accept it, or write another wording")


def _review(row: Sequence[Any]) -> Review:
    return Review(*row)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
