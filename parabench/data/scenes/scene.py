"""What is in a picture: kinds, colours, sizes, counts, places.  Sampled from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

KINDS = ("ball", "house", "tree", "car", "boat", "balloon", "mushroom", "umbrella", "star", "fish", "cat", "kite",
         "cup", "flower")  # fmt: skip
COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "white", "black")
SIZES = ("small", "large")
BACKGROUNDS = ("meadow", "beach", "snow", "night", "desert", "lake")
RELATIONS = ("left", "above")
"""The first group stands left of the second, or above it."""


@dataclass(frozen=True)
class Group:
    """One to four equal objects."""

    kind: str
    colour: str
    size: str
    count: int


@dataclass(frozen=True)
class Scene:
    """Two groups on a background; ``relation`` says how the first stands to the second."""

    image_id: str
    split: str
    first: Group
    second: Group
    relation: str
    background: str
    seed: int


def sample_scenes(counts: dict[str, int], seed: int = 2405) -> list[Scene]:
    """Scenes for every split, no two alike in their description."""
    random_state = random.Random(seed)
    seen: set[tuple[object, ...]] = set()
    scenes: list[Scene] = []
    for split, count in counts.items():
        while count:
            first, second = _group(random_state), _group(random_state)
            relation, background = random_state.choice(RELATIONS), random_state.choice(BACKGROUNDS)
            key = (frozenset([first, second]), background)
            if first.kind == second.kind or key in seen or _unseen("black", background, first, second):
                continue
            seen.add(key)
            scenes.append(
                Scene(f"scene-{len(scenes):05d}", split, first, second, relation, background, random_state.getrandbits(31))
            )
            count -= 1
    return scenes


def _group(random_state: random.Random) -> Group:
    return Group(
        random_state.choice(KINDS), random_state.choice(COLOURS), random_state.choice(SIZES),
        random_state.choices((1, 2, 3, 4), (5, 3, 2, 1))[0],
    )  # fmt: skip


def _unseen(colour: str, background: str, *groups: Group) -> bool:
    """Black on night and white on snow would be hard to see, and unfair to ask for."""
    hidden = {"night": colour, "snow": "white"}.get(background)
    return any(group.colour == hidden for group in groups)
