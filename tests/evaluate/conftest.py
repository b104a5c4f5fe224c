"""Sets that need no network."""

import csv
import random

import pytest
from colours import COLOURS

from parabench.data.scenes.render import render
from parabench.data.scenes.scene import Group, Scene


@pytest.fixture(scope="session")
def colours(tmp_path_factory):
    """Rendered pictures in one folder a colour: a zero-shot set that needs no network."""
    folder = tmp_path_factory.mktemp("colours")
    chance = random.Random(7)
    for label, colour in enumerate(COLOURS):
        (folder / f"n{label:02d}").mkdir()
        for number in range(6):
            one = Group(chance.choice(("ball", "car", "boat")), colour, "large", chance.randint(1, 3))
            scene = Scene(f"{colour}{number}", "test", one, Group("star", colour, "small", 1), "left", "meadow", number)
            render(scene).save(folder / f"n{label:02d}" / f"{number}.png")
    (folder / "classnames.txt").write_text("".join(f"{name}\n" for name in COLOURS))
    (folder / "templates.txt").write_text("a picture of something {c}.\nthe {c} thing\n{} it is\n")
    return folder

@pytest.fixture
def sentences(tmp_path):
    """Every public layout with sentences of our own."""
    rows = [(f"a {x} by the {y}", f"the {x} near a {y}" if n % 2 else f"no {y} at all", n % 6) for n, (x, y) in enumerate(
        (x, y) for x in ("boat", "tree", "cat") for y in ("lake", "hill", "sea", "road"))]  # fmt: skip
    (tmp_path / "2012").mkdir()
    with (tmp_path / "stsb-en-test.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    for genre, part in (("news", rows[:6]), ("forum", rows[6:])):
        lines = [f"{score}\t{a}\t{b}" for a, b, score in part]
        (tmp_path / "2012" / f"{genre}.test.tsv").write_text("\n".join([*lines, "\tnobody rated\tthis pair"]) + "\n")
    (tmp_path / "STS15-en-test").mkdir()
    (tmp_path / "STS15-en-test" / "STS.input.news.txt").write_text("".join(f"{a}\t{b}\n" for a, b, _ in rows))
    gold = [str(score) if n else "" for n, (_, _, score) in enumerate(rows)]
    (tmp_path / "STS15-en-test" / "STS.gs.news.txt").write_text("\n".join(gold) + "\n")
    header = "pair_ID\tsentence_A\tsentence_B\tentailment_label\trelatedness_score\tSemEval_set"
    lines = [f"{n}\t{a}\t{b}\tNEUTRAL\t{max(1, s)}\t{'TRIAL' if n < 5 else 'TEST'}" for n, (a, b, s) in enumerate(rows)]
    (tmp_path / "SICK.txt").write_text("\n".join([header, *lines]) + "\n")
    return tmp_path
