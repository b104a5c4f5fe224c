"""A ledger with candidates for tests of the review and the release; the sentences are made up here."""

from __future__ import annotations

from pathlib import Path

from parabench.build.candidates import Candidate, CandidateTable
from parabench.build.caption import Caption
from parabench.build.ledger import Ledger

HOSTILE = {
    "script": "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">",
    "direction": "A dog \u202egnikrab\u202c at a \u2067קטן\u2069 cat",
    "long": "word " * 2000,
    "emoji": "Two 👩‍👩‍👧‍👦 families 🏳️‍🌈 eat 🍕",
}


def make_ledger(path: Path, n: int = 20, extra: tuple[str, ...] = ()) -> Ledger:
    """``n`` captions with a paraphrase each, the even ones also with a foil; one more that a check dropped."""
    ledger = Ledger(path)
    texts = [f"A brown dog number {number} barks at {number + 2} small cats" for number in range(n)]
    candidates = []
    for number, text in enumerate([*texts, *extra]):
        caption = Caption(f"c{number}", str(139 + number), text, labels=("dog", "cat"))
        shared = {"caption": caption, "source": "import", "generator": "writer-1", "created": "2026-11-01"}
        paraphrase = (
            text.replace("barks at", "is barking at").replace("small", "little") if number < n else text[::-1]
        )
        candidates.append(
            Candidate(
                f"c{number}-lexical", text=paraphrase, role="paraphrase", kind="lexical",
                scores={"rating": 5.0, "similarity": 0.91}, **shared,
            )
        )  # fmt: skip
        if number % 2 == 0 and number < n:
            foil = text.replace("dog", "horse")
            candidates.append(Candidate(f"c{number}-foil", text=foil, role="foil", kind="foil", **shared))
    dropped = Candidate(
        "c0-free", caption=candidates[0].caption, text="A dog.", role="paraphrase", kind="free", source="import",
        generator="writer-1", created="2026-11-01", reason="too short",
    )  # fmt: skip
    CandidateTable(ledger).replace([*candidates, dropped])
    return ledger
