"""Draw docs/images/strips.png: one pair of `parabench demo` as two strips of pictures.

parabench demo && python scripts/readme_figure.py runs/demo/cca_scenes docs/images/strips.png
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from parabench.data import ImageStore, load
from parabench.evaluate import Run
from parabench.report.strips import pick_pairs

SIDE, GAP, LEFT = 150, 10, 16


def main(run_folder: str, target: str) -> None:
    run = Run.load(run_folder)
    store = ImageStore(load("scenes", split="test"))
    row = pick_pairs(run, "AO@10", 2)[0][1]
    pair, rankings = run.pairs.iloc[row], run.rankings
    query = int(rankings.rows("paraphrase")[row])
    picture = Image.new("RGB", (LEFT * 2 + 5 * SIDE + 4 * GAP, 2 * (SIDE + 62)), "white")
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(19)
    asked = ((int(rankings.caption_row[query]), pair["caption"]), (query, pair["paraphrase"]))
    for line, (at, text) in enumerate(asked):
        top = line * (SIDE + 62)
        pen.text((LEFT, top + 14), f'"{text}"', fill=(30, 34, 44), font=font)
        for place, image in enumerate(rankings.top[at, :5].tolist()):
            image_id = rankings.gallery[image]
            x, y = LEFT + place * (SIDE + GAP), top + 48
            picture.paste(store.open(image_id).resize((SIDE, SIDE)), (x, y))
            if image_id == pair["image_id"]:
                pen.rectangle([x - 4, y - 4, x + SIDE + 3, y + SIDE + 3], outline=(31, 95, 208), width=5)
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    picture.save(target, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
