"""``import``: finished sentences from somebody's file, joined with the captions they rewrite, provenance kept.

Two shapes are read.  *Long*: one sentence a row, with ``caption_id``, ``paraphrase`` (or ``text``) and optionally
``foil``, ``kind``, ``image_id``, ``caption``, ``caption_sha256``, ``pair_id``, ``source``, ``generator``,
``prompt_sha256``, ``created``, ``scores``.  *Wide*: one caption a row, with ``caption_id`` and a column for each
kind (``lexical``, ``syntactic``, ``free``, ``two-step``, ``foil``), with ``caption_sha256``, ``writer`` and ``reviews``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from parabench.build.candidates import Candidate, Role
from parabench.build.caption import Caption
from parabench.build.generate.protocol import PARAPHRASE_KINDS, Options, Plan
from parabench.build.ledger import Ledger
from parabench.build.record import GeneratorRecord, RequestsRecord
from parabench.data import cells
from parabench.data.sentences import pair_id_of
from parabench.data.table_file import TableFile, read_table
from parabench.errors import DataError, UsageError, did_you_mean
from parabench.storage import sha256_file

SHIPPED_CREATED = "2026-11"
"""When our own sentences were written."""
LOWEST_RATING = 4
"""A paraphrase that any review rates lower is dropped."""
_WIDE = (*PARAPHRASE_KINDS, "foil")


class ImportGenerator:
    """The backend.  ``options.file`` is read when the object is made, so that a wrong file is refused before anything runs.

    Args:
        options: ``file`` is the table.
        table: rows that are in memory already (our own, which come compressed with the package).
        about: one sentence for the card.
    """

    def __init__(self, options: Options, *, table: TableFile | None = None, about: str = "") -> None:
        if table is None:
            if options.file is None:
                raise UsageError("the generator 'import' needs a file", "name it with --import FILE")
            table = read_table(options.file)
            self._sha256 = sha256_file(options.file)
        else:
            self._sha256 = ""
        self._table = table
        self._about = about or "Finished sentences from a file; who wrote them is in each row."
        self._wide = [kind for kind in _WIDE if kind in table.columns]
        self._text = next((name for name in ("paraphrase", "text") if name in table.columns), None)
        table.require("caption_id")
        if self._text is None and not self._wide:
            raise DataError(
                f"{table.path}: there is neither a column 'paraphrase' nor one of {', '.join(_WIDE)}",
                did_you_mean("paraphrase", table.columns),
            )
        self.caption_ids = [self._identifier(at) for at in range(len(table.rows))]
        """Of every row, in order: the captions that the file rewrites."""

    def record(self) -> GeneratorRecord:
        """The file."""
        parameters = {"sha256": self._sha256} if self._sha256 else {}
        return GeneratorRecord(source="import", model=self._table.path.name, about=self._about, parameters=parameters)

    def requests(self) -> RequestsRecord:
        """Nothing is asked."""
        return RequestsRecord()

    def plan(self, captions: Sequence[Caption], ledger: Ledger | None) -> Plan:
        """Nothing is asked."""
        known = {caption.caption_id: caption for caption in captions}
        n = sum(1 for at in range(len(self._table.rows)) for _ in self._sentences(at))
        return Plan(len(known), n)

    def generate(self, captions: Sequence[Caption], ledger: Ledger, created: str) -> Iterator[Candidate]:
        """The file's sentences, in the order of the captions, then of the file.

        Raises:
            DataError: a row is for an unknown caption, for other words than the caption has, or stands twice.
        """
        known = {caption.caption_id: caption for caption in captions}
        rows: dict[str, list[int]] = {}
        for at, caption_id in enumerate(self.caption_ids):
            if caption_id not in known:
                strangers = [c for c in self.caption_ids if c not in known]
                raise DataError(
                    f"{self._table.where(at)}: there is no caption '{caption_id}' among those of the build"
                    + (f" ({len(strangers):,} such rows)" if len(strangers) > 1 else ""),
                    "use the annotations file that these sentences were written for, or remove the rows",
                )
            rows.setdefault(caption_id, []).append(at)
        seen: dict[str, int] = {}
        for caption in captions:
            for at in rows.get(caption.caption_id, ()):
                self._check(at, caption)
                for candidate in self._candidates(at, caption, created):
                    if candidate.pair_id in seen:
                        first = self._table.where(seen[candidate.pair_id])
                        raise DataError(
                            f"{self._table.where(at)}: pair_id '{candidate.pair_id}' was used before ({first})",
                            "remove one of the two rows, or give the pairs ids of their own",
                        )
                    seen[candidate.pair_id] = at
                    yield candidate

    def _identifier(self, at: int) -> str:
        where = self._table.where(at)
        return cells.identifier(self._table.rows[at].get("caption_id"), "caption_id", where, untyped=self._table.untyped)

    def _check(self, at: int, caption: Caption) -> None:
        """What a row says of its caption must be so."""
        raw, where = self._table.rows[at], self._table.where(at)
        given = raw.get("caption_sha256")
        if not cells.missing(given) and str(given).lower() != caption.sha256:
            raise DataError(
                f"{where}: caption {caption.caption_id} has another hash (caption_sha256) than the one that was rewritten",
                "use the very annotations file that these sentences were written for",
            )
        text = raw.get("caption")
        if not cells.missing(text) and text != caption.text:
            raise DataError(
                f"{where}: caption {caption.caption_id} reads {str(text)[:60]!r} here and {caption.text[:60]!r} in the annotations",
                "use the very annotations file that these sentences were written for",
            )
        image_id = raw.get("image_id")
        if not cells.missing(image_id):
            named = cells.identifier(image_id, "image_id", where, untyped=self._table.untyped)
            if named != caption.image_id:
                raise DataError(
                    f"{where}: caption {caption.caption_id} belongs to image {caption.image_id}, not {named}",
                    "use the very annotations file that these sentences were written for",
                )

    def _sentences(self, at: int) -> Iterator[tuple[str, Role, str]]:
        """``(kind, role, text)`` of a row."""
        raw, where = self._table.rows[at], self._table.where(at)
        if self._text is None:
            for kind in self._wide:
                if not _blank(raw.get(kind)):
                    yield kind, "foil" if kind == "foil" else "paraphrase", cells.text(raw[kind], kind, where)
            return
        said_kind = cells.optional_text(raw.get("kind"), "kind", where) or "free"
        if not _blank(raw.get(self._text)):
            role: Role = "foil" if said_kind == "foil" else "paraphrase"
            yield said_kind, role, cells.text(raw[self._text], self._text, where)
        if not _blank(raw.get("foil")):
            yield "foil", "foil", cells.text(raw["foil"], "foil", where)
        elif _blank(raw.get(self._text)):
            cells.text(raw.get(self._text), self._text, where)  # says that the row has no sentence

    def _candidates(self, at: int, caption: Caption, created: str) -> Iterator[Candidate]:
        raw, where = self._table.rows[at], self._table.where(at)
        writer = cells.optional_text(raw.get("writer"), "writer", where)
        generator = cells.optional_text(raw.get("generator"), "generator", where) or writer or "unknown"
        source = cells.optional_text(raw.get("source"), "source", where) or "import"
        date = cells.optional_text(raw.get("created"), "created", where) or created
        prompt = cells.optional_text(raw.get("prompt_sha256"), "prompt_sha256", where)
        scores = cells.scores(raw.get("scores"), where)
        for kind, role, text in self._sentences(at):
            given = raw.get("pair_id")
            if self._text is None:
                pair_id = f"{caption.caption_id}-{kind}"
            elif cells.missing(given) or (role == "foil" and kind != raw.get("kind")):
                pair_id = pair_id_of(caption.caption_id, text, "foil" if role == "foil" else "")
            else:
                pair_id = cells.identifier(given, "pair_id", where, untyped=self._table.untyped)
            reason, review_scores = _reviewed(raw.get("reviews"), kind, where)
            yield Candidate(
                pair_id=pair_id, caption=caption, text=text, role=role, kind=kind, source=source, generator=generator,
                created=date, prompt_sha256=prompt, scores={**scores, **review_scores}, reason=reason,
            )  # fmt: skip


def _reviewed(reviews: Any, kind: str, where: str) -> tuple[str, Mapping[str, float]]:
    """What the reviews of a wide row say of one of its sentences: a reason to drop it, and its lowest rating.

    A paraphrase is kept when every review rates it at least 4 of 5 and finds no fault, a foil when every review says ok.
    """
    faults: list[str] = []
    ratings: list[float] = []
    try:
        for review in reviews or []:
            said = review.get(kind)
            if said is None:
                continue
            found = [str(fault) for fault in said.get("faults") or []]
            if (rating := said.get("rating")) is not None:
                ratings.append(float(rating))
            if kind == "foil":
                faults += [] if said["ok"] else found or ["not a foil"]
            else:
                faults += found or ([f"rated {rating}"] if rating is not None and rating < LOWEST_RATING else [])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{where}: the reviews are malformed: {type(error).__name__}: {error}",
            'write [{"reviewer": …, "lexical": {"rating": 5, "faults": []}, …, "foil": {"ok": true, "faults": []}}]',
        ) from None
    scores = {"review_rating": min(ratings)} if ratings and kind != "foil" else {}
    return (f"review: {', '.join(dict.fromkeys(faults))}" if faults else ""), scores


def _blank(value: Any) -> bool:
    return cells.missing(value) or (isinstance(value, str) and not value.strip())


def shipped_table(name: str) -> TableFile:
    """Our own sentences that come with the package, as a table."""
    from parabench.data.sources.reviewed import shipped_rows

    rows = [{**row, "generator": f"llm-{row['writer']}", "created": SHIPPED_CREATED} for row in shipped_rows(name)]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return TableFile(Path(name), columns, rows, list(range(1, len(rows) + 1)), "line")
