"""Write what the build's checks say of our own sentences into the file that ships with the package.

    python scripts/make_coco_paraphrase.py --captions captions_val2017.json

Run it after any change of the automatic checks or of their thresholds: `load("coco-paraphrase")` reads the verdicts from the
file, since `parabench.data` knows nothing of builds, and a test holds both against each other.  Equal inputs give equal bytes.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import tempfile
from pathlib import Path

from parabench.build.candidates import CandidateTable
from parabench.build.ledger import Ledger
from parabench.build.pipeline import Build, Settings
from parabench.build.release import SCORE_DIGITS
from parabench.data.sources import reviewed
from parabench.storage import atomic_path

NAME = "coco_paraphrase.jsonl.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=Path, required=True, help="the official captions_val2017.json")
    captions = parser.parse_args().captions
    with tempfile.TemporaryDirectory() as folder:
        build = Build(Settings(captions=captions, out=Path(folder) / "out", name="coco-paraphrase"))
        _, record = build.run()
        with Ledger(build.ledger_path) as ledger:
            candidates = list(CandidateTable(ledger))
    rows = {str(row["caption_id"]): row for row in reviewed.shipped_rows(NAME)}
    checked: dict[str, dict] = {}
    for candidate in candidates:  # in the order of the build, which is that of the gallery
        caption_id = candidate.caption.caption_id
        row = checked.setdefault(caption_id, {**rows[caption_id], "checks": {}})
        row[candidate.kind] = candidate.text
        scores = {name: round(value, SCORE_DIGITS) for name, value in sorted(candidate.scores.items())}
        row["checks"][candidate.kind] = {"reason": candidate.reason, "scores": scores}
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in checked.values())
    target = Path(reviewed.__file__).with_name(NAME)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0, filename="") as stream:
        stream.write(lines.encode("utf-8"))
    with atomic_path(target) as part:
        part.write_bytes(packed.getvalue())
    print(record.summary())
    print(f"{target}: {len(checked):,} captions, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
