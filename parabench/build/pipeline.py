"""A build from captions to the released folder: sample, plan, generate, check, release.

Every step is a function of the files, the settings and the ledger, so a build that is killed anywhere ends in the same
bytes when the same command is run again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from parabench.build.candidates import Candidate, CandidateTable
from parabench.build.generate import GENERATORS, Generator, Options, Plan
from parabench.build.generate.imported import ImportGenerator, shipped_table
from parabench.build.ledger import Ledger
from parabench.build.record import BuildRecord, FilterCount
from parabench.build.sample import Sample, Sampling, draw, named
from parabench.errors import DataError, UsageError
from parabench.progress import bar, note
from parabench.version import __version__

OWN = "coco-paraphrase"
"""The build of the sentences that come with the package."""
_OWN_ABOUT = (
    "Written one by one by large language models to a written brief and reviewed by separate runs that saw only the "
    "sentences; no person has checked them."
)
_OWN_NOTES = """For one caption of each COCO val2017 picture (6-25 words): a **lexical** paraphrase (other words, same shape), \
a **syntactic** one (other structure, same facts) and a **foil** (one small change that makes it false of the picture).

The sentences are *machine-written and machine-reviewed*; **no person has checked them**. Eight independent writing runs of \
a large language model wrote them; separate review runs, which saw only the sentences, rated each paraphrase from 0 to 5 \
and named faults (4,000 captions have one review, 1,000 have two). A paraphrase with a rating below 4 or a fault, and a \
foil that a review found still true or otherwise bad, is in `rejected`: the step `generation` of the funnel below. On the \
1,000 doubly reviewed captions the reviews agree on 94.8 % of the lexical paraphrases (Cohen's κ .58), 95.7 % of the \
syntactic (κ .47) and 97.0 % of the foils (κ .59). `review_rating` is the lowest rating of a paraphrase."""


@dataclass(frozen=True)
class Settings:
    """What a build is told.

    Attributes:
        captions: annotations file; ``None`` only for our own sentences, whose file is looked for or downloaded.
        out: folder of the release.
        ledger: the ledger; ``None`` for ``OUT.ledger.sqlite`` beside the folder.
        generator: a name of ``GENERATORS``; ``None`` for the sentences that come with the package.
        options: for the generator.
        sampling: which captions; for imports only split and ``from_split`` count.
        labels: file of categories.
        filters: configuration of the quality checks; ``None`` for the defaults.
        training_captions: captions that the release must not share.
        name: of the benchmark; ``None`` for the name of ``out``.
        version, license: of the release.
        overwrite: replace an earlier release in ``out`` that this ledger did not write.
    """

    captions: Path | None
    out: Path
    ledger: Path | None = None
    generator: str | None = None
    options: Options = field(default_factory=Options)
    sampling: Sampling = field(default_factory=Sampling)
    labels: Path | None = None
    filters: Path | None = None
    training_captions: Path | None = None
    name: str | None = None
    version: str = "1.0.0"
    license: str = "cc-by-4.0"
    overwrite: bool = False


class Build:
    """A build whose inputs are read and checked; nothing is asked and nothing written yet.

    Raises:
        UsageError, DataError: an input is not what it has to be.
    """

    def __init__(self, settings: Settings) -> None:
        from parabench.build.filters import FilterConfig
        from parabench.build.release import check_facts

        check_facts(settings.version, settings.license)
        self.settings = settings
        self.out = settings.out.expanduser().absolute()
        ledger = settings.ledger or self.out.with_name(f"{self.out.name}.ledger.sqlite")
        self.ledger_path = ledger.expanduser().absolute()
        if self.ledger_path.is_relative_to(self.out):
            raise UsageError(f"the ledger {ledger} lies in the release's folder", "put --ledger elsewhere")
        self.filter_config = FilterConfig.read(settings.filters)
        if settings.training_captions is not None and not settings.training_captions.is_file():
            raise DataError(f"no such file: {settings.training_captions}", "check --training-captions")
        self.generator = self._generator()
        self.sample = self._sample()

    def plan(self) -> Plan:
        """What it would take, given what the ledger holds."""
        if not self.ledger_path.exists():
            return self.generator.plan(self.sample.captions, None)
        with Ledger(self.ledger_path) as ledger:
            return self.generator.plan(self.sample.captions, ledger)

    def run(self) -> tuple[Path, BuildRecord]:
        """Generate, check, release.

        Returns:
            The folder and what was done.

        Raises:
            ParabenchError: something stops the build; run again, it continues.
        """
        from parabench.build.release import write_release

        self._refuse_early()
        with Ledger(self.ledger_path) as ledger:
            mark = f"released:{self.out}"
            overwrite = self.settings.overwrite or ledger.meta(mark) is not None
            if self._in_use() and not overwrite:
                raise DataError(
                    f"{self.out} is not empty and was not written from the ledger {self.ledger_path}",
                    "choose another --out, or replace that release with --overwrite",
                )
            created = ledger.set_default("created", _today())
            steps = self._fill(ledger, created)
            record = self._record(created, steps)
            ledger.set_default(mark, created)
            folder = write_release(
                ledger, self.sample.images, self.out, name=self.settings.name or self.out.name, record=record,
                version=self.settings.version, license=self.settings.license,
                notes=_OWN_NOTES if self.settings.generator is None else "", overwrite=overwrite,
            )  # fmt: skip
        return folder, record

    def hand_out(self) -> Path:
        """Write the tasks for people, for a generator that waits for them.

        Raises:
            UsageError: the generator needs no people.
        """
        from parabench.build.generate.human import HumanGenerator

        if not isinstance(self.generator, HumanGenerator):
            raise UsageError("only the generator 'human' writes tasks", "add --generator human")
        return self.generator.hand_out(self.sample.captions)

    def _fill(self, ledger: Ledger, created: str) -> list[FilterCount]:
        """The table of candidates, checked; returns the funnel.

        The table says of which sentences and by which checks it was made, so that those of a finished build are
        compared with it and not checked again.
        """
        from parabench.build.filters import Funnel, filters_fingerprint, load_filters, run_filters

        rules = filters_fingerprint(self.filter_config, training_captions=self.settings.training_captions)
        table = CandidateTable(ledger)
        if table.state is not None:
            known = json.loads(table.state)
            seen = _Digest(rules)
            for candidate in _shown(self.generator.generate(self.sample.captions, ledger, created)):
                seen.add(candidate)
            if seen.hexdigest == known["made_of"]:
                note("checks: the sentences and the checks are those of the last run")
                return [FilterCount(**row) for row in known["funnel"]]
        made_of, written, funnel = _Digest(rules), Counter[str](), Funnel()
        steps: list[FilterCount] = []

        def counted() -> Iterator[Candidate]:
            for candidate in self.generator.generate(self.sample.captions, ledger, created):
                made_of.add(candidate)
                written[candidate.reason.partition(":")[0]] += 1
                yield candidate

        def state() -> str:
            lost = {reason: n for reason, n in sorted(written.items(), key=lambda item: (-item[1], item[0])) if reason}
            steps.append(FilterCount(name="generation", seen=written.total(), dropped=sum(lost.values()), reasons=lost))
            steps.extend(FilterCount(**row) for row in funnel.rows())
            return json.dumps({"made_of": made_of.hexdigest, "funnel": [step.model_dump() for step in steps]})

        filters = load_filters(self.filter_config, training_captions=self.settings.training_captions)
        table.replace(_shown(run_filters(counted(), filters, funnel)), state)
        return steps

    def _record(self, created: str, steps: list[FilterCount]) -> BuildRecord:
        return BuildRecord(
            parabench_version=__version__,
            created=created,
            seed=self.settings.sampling.seed,
            source=self.sample.source,
            sampling=self.sample.record(),
            generator=self.generator.record(),
            requests=self.generator.requests(),
            filters=self.filter_config.model_dump(mode="json"),
            funnel=steps,
            n_candidates=steps[0].seen,
            n_kept=steps[0].seen - sum(step.dropped for step in steps),
        )

    def _generator(self) -> Generator:
        if self.settings.generator is None:
            return ImportGenerator(
                self.settings.options, table=shipped_table("coco_paraphrase.jsonl.gz"), about=_OWN_ABOUT
            )
        return GENERATORS.get(self.settings.generator)(self.settings.options)

    def _sample(self) -> Sample:
        path = self.settings.captions
        if path is None:
            if self.settings.generator is not None:
                raise UsageError("the captions to rewrite are missing", "name their file with --captions")
            path = _coco_captions()
        wanted = getattr(self.generator, "caption_ids", None)
        if wanted is not None:
            return named(path, wanted, self.settings.sampling, self.settings.labels)
        return draw(path, self.settings.sampling, self.settings.labels)

    def _in_use(self) -> bool:
        return self.out.is_dir() and any(self.out.iterdir())

    def _refuse_early(self) -> None:
        """What would fail at the end fails before a cent is spent."""
        for option, folder in (("--out", self.out), ("--ledger", self.ledger_path.parent)):
            there = next(place for place in (folder, *folder.parents) if place.exists())
            if not there.is_dir():
                raise DataError(f"{there} is a file, and {option} needs a folder there", f"choose another {option}")
            place = there if there != self.out else there.parent
            if not os.access(place, os.W_OK | os.X_OK):
                raise DataError(f"can't write {place}: the folder is read-only", f"choose a writable place with {option}")


class _Digest:
    """SHA-256 of candidates as they come, and of the checks that they go through."""

    def __init__(self, rules: str) -> None:
        self._hash = hashlib.sha256(rules.encode())

    def add(self, candidate: Candidate) -> None:
        self._hash.update(repr(candidate).encode("utf-8", "surrogatepass"))

    @property
    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _shown(candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    with bar("candidates", None, "sentence") as progress:
        for candidate in candidates:
            progress.update()
            yield candidate


def _today() -> str:
    """The date (UTC), or that of ``$SOURCE_DATE_EPOCH``, by which others rebuild the same bytes."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)
    return moment.date().isoformat()


def _coco_captions() -> Path:
    from parabench.data.download import COCO_ANNOTATIONS, download_coco_captions
    from parabench.data.sources.files import NotHereError, find

    names = ["coco/captions_val2017.json", "annotations/captions_val2017.json"]
    try:
        path = find(names, None, COCO_ANNOTATIONS)
    except NotHereError:
        path = download_coco_captions()
    note(f"captions: {path}")
    return path
