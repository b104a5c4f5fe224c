"""``sugarcrepe-pp`` (Dumpala et al. 2024): two captions that mean the same, and one that does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parabench.data.benchmark import Benchmark
from parabench.data.own import gallery_table, sentence_table
from parabench.data.schema import FOILS, PAIRS
from parabench.data.sources.files import NotHereError, find, read_json
from parabench.errors import DataError
from parabench.storage import sha256_text

SUBSETS = ("replace_obj", "replace_rel", "replace_att", "swap_obj", "swap_att")
_SOURCE = "https://github.com/Sri-Harsha/scpp"


def load_sugarcrepe_pp(annotations: Path | None = None) -> Benchmark:
    """Every subset that is found; ``kind`` is the subset.

    Raises:
        DataError: no subset is there, or a file lacks a field.
    """
    paths = []
    for subset in SUBSETS:
        try:
            paths.append((subset, find([f"sugarcrepe_pp/{subset}.json"], annotations, _SOURCE)))
        except NotHereError:
            continue
    if not paths:
        find([f"sugarcrepe_pp/{SUBSETS[0]}.json"], annotations, _SOURCE)
    pairs: dict[str, dict[str, Any]] = {}
    foils: dict[str, dict[str, Any]] = {}
    captions: dict[str, list[str]] = {}
    for subset, path in paths:
        raw = read_json(path)
        rows = list(raw.values()) if isinstance(raw, dict) else raw
        if not isinstance(rows, list) or not rows:
            raise DataError(f"{path} holds no entries", f"get it again from {_SOURCE}")
        for number, row in enumerate(rows):
            try:
                name, caption, paraphrase, foil = (
                    row[key] for key in ("filename", "caption", "caption2", "negative_caption")
                )
            except (KeyError, TypeError):
                raise DataError(
                    f"{path}, entry {number}: lacks filename, caption, caption2 or negative_caption", f"get it again from {_SOURCE}"
                ) from None
            if not all(isinstance(text, str) and text.strip() for text in (name, caption, paraphrase, foil)):
                raise DataError(f"{path}, entry {number}: a text is empty or no text", "fill it in or remove the entry")
            image_id = str(int(Path(name).stem)) if Path(name).stem.isdigit() else name
            caption_id = sha256_text(f"{image_id}\0{caption}")[:16]
            shared = {
                "image_id": image_id,
                "caption_id": caption_id,
                "caption": caption,
                "kind": subset,
                "source": "sugarcrepe-pp",
                "scores": [],
            }
            pair_id = f"{caption_id}-{sha256_text(paraphrase)[:12]}"
            pairs.setdefault(pair_id, {**shared, "pair_id": pair_id, "paraphrase": paraphrase})
            foil_id = f"{caption_id}-foil-{sha256_text(foil)[:12]}"
            foils.setdefault(foil_id, {**shared, "pair_id": foil_id, "foil": foil})
            held = captions.setdefault(name, [])
            held += [text for text in dict.fromkeys((caption, paraphrase)) if text not in held]
    gallery = gallery_table(
        [
            {
                "image_id": str(int(Path(name).stem)) if Path(name).stem.isdigit() else name,
                "file_name": f"val2017/{name}",
                "captions": own,
            }
            for name, own in captions.items()
        ]
    )
    return Benchmark(
        name="sugarcrepe-pp",
        pairs=sentence_table(list(pairs.values()), PAIRS),
        foils=sentence_table(list(foils.values()), FOILS),
        gallery=gallery,
        provenance=f"sugarcrepe-pp (built-in, {len(pairs):,} pairs of "
        f"{', '.join(subset for subset, _ in paths)}; {gallery.num_rows:,} pictures)",
    )
