"""Say what is in a scene: captions in base wording, paraphrases in other words or another order, foils that are false.

Three lexicons: *base* words, which every caption uses; *spare* words, for paraphrases of the train and
val splits; and *held-out* words and constructions, which stand in test paraphrases only, so that an encoder
trained on the train split has never read them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from parabench.data.scenes.scene import BACKGROUNDS, COLOURS, KINDS, Group, Scene

_PLURAL = {"fish": "fish", "kitty": "kitties"}
_NUMBER = {1: "a", 2: "two", 3: "three", 4: "four"}
_PLACE = {"meadow": "in a meadow", "beach": "on a beach", "snow": "in the snow", "night": "at night",
          "desert": "in a desert", "lake": "on a lake"}  # fmt: skip
_BASE_RELATION = {"left": "to the left of", "above": "above"}
_BASE_CONVERSE = {"left": "to the right of", "above": "below"}


@dataclass(frozen=True)
class Lexicon:
    """Replacement words by base word; relations and counts as phrases."""

    kind: dict[str, str]
    colour: dict[str, str]
    size: dict[str, str]
    number: dict[int, str]
    relation: dict[str, str]
    place: dict[str, str]


SPARE = Lexicon(
    kind={"house": "home", "boat": "sailboat", "cup": "mug", "flower": "blossom", "cat": "kitty"},
    colour={"purple": "violet", "white": "snowy", "black": "dark"},
    size={"small": "little", "large": "big"},
    number={2: "a couple of"},
    relation={"left": "left of", "above": "over"},
    place={"meadow": "on the grass", "beach": "on the sand", "night": "in the dark"},
)
HELD_OUT = Lexicon(
    kind={"ball": "sphere", "house": "cottage", "tree": "sapling", "car": "automobile", "boat": "vessel",
          "mushroom": "toadstool", "umbrella": "parasol", "cat": "feline", "cup": "teacup", "flower": "bloom",
          "fish": "minnow"},
    colour={"red": "crimson", "blue": "azure", "green": "emerald", "yellow": "golden", "purple": "lilac",
            "orange": "tangerine", "white": "ivory", "black": "jet-black"},
    size={"small": "tiny", "large": "huge"},
    number={2: "a pair of", 3: "a trio of", 4: "a quartet of"},
    relation={"left": "on the left-hand side of", "above": "higher up than"},
    place={"meadow": "amid green pasture", "beach": "along the seashore", "snow": "across a wintry field",
           "night": "under a moonlit sky", "desert": "among sandy dunes", "lake": "upon calm water"},
)  # fmt: skip

_HELD_OUT_RESERVED = {"pair", "trio", "quartet", "left-hand", "side", "higher", "than", "amid", "pasture", "along",
                      "seashore", "wintry", "moonlit", "among", "dunes", "upon", "calm", "depicts", "accompanied"}  # fmt: skip
HELD_OUT_WORDS = frozenset({*HELD_OUT.kind.values(), *HELD_OUT.colour.values(), *HELD_OUT.size.values()} | _HELD_OUT_RESERVED)
"""Words that occur in paraphrases of the test split and never in a caption or in another split."""


def captions(scene: Scene) -> list[str]:
    """Five captions in base wording, each true and specific; the first two say everything."""
    first, second, place = _phrase(scene.first), _phrase(scene.second), _PLACE[scene.background]
    relation, converse = _BASE_RELATION[scene.relation], _BASE_CONVERSE[scene.relation]
    return [
        _sentence(f"{first} {relation} {second} {place}"),
        _sentence(f"{place}, {second} {_is(scene.second)} {converse} {first}"),
        _sentence(f"{second} {converse} {_phrase(scene.first, size=False)} {place}"),
        _sentence(f"a picture of {first} and {second} {place}"),
        _sentence(f"there {_is(scene.first)} {_phrase(scene.first)} {relation} {_phrase(scene.second, size=False)}"),
    ]


def paraphrases(scene: Scene, number: int, chance: random.Random) -> dict[str, str]:
    """Kind → paraphrase of caption ``number`` (0 or 1): ``lexical``, ``syntactic`` and, in the test split, ``both``."""
    held_out = scene.split == "test"
    lexicon = HELD_OUT if held_out else SPARE
    first, second = _phrase(scene.first), _phrase(scene.second)
    words = _Wording(lexicon, chance)
    place, place_word = _PLACE[scene.background], words.place(scene.background)
    relation, converse = _BASE_RELATION[scene.relation], _BASE_CONVERSE[scene.relation]
    one, two = words.phrase(scene.first), words.phrase(scene.second)
    if number == 0:
        lexical = f"{one} {words.relation(scene.relation)} {two} {place_word}"
        syntactic = (
            f"the picture depicts {second} {place}, with {first} {relation} {_it(scene.second)}"
            if held_out
            else f"{place}, {first} {_is(scene.first)} {relation} {second}"
        )
        both = f"the picture depicts {two} {place_word}, accompanied by {one} {relation} {_it(scene.second)}"
    else:
        lexical = f"{place_word}, {two} {_is(scene.second)} {converse} {one}"
        syntactic = (
            f"{first}, accompanied by {second} {converse} {_it(scene.first)}, {place}"
            if held_out
            else f"{second}, {converse} {first}, {place}"
        )
        both = f"{one}, accompanied by {two} {converse} {_it(scene.first)}, {place_word}"
    texts = {"lexical": lexical, "syntactic": syntactic} | ({"both": both} if held_out else {})
    return {kind: _sentence(text) for kind, text in texts.items()}


def foil(scene: Scene, number: int, chance: random.Random) -> tuple[str, str]:
    """What was changed, and caption ``number`` after one change that makes it false of the picture."""
    def other(values: tuple[str, ...], *taken: str) -> str:
        return chance.choice([value for value in values if value not in taken])

    a, b = scene.first, scene.second
    changes = {
        "colour": replace(scene, first=replace(a, colour=other(COLOURS, a.colour))),
        "kind": replace(scene, second=replace(b, kind=other(KINDS, a.kind, b.kind))),
        "count": replace(scene, second=replace(b, count=chance.choice([n for n in (1, 2, 3, 4) if n != b.count]))),
        "size": replace(scene, first=replace(a, size="large" if a.size == "small" else "small")),
        "place": replace(scene, background=other(BACKGROUNDS, scene.background)),
        "relation": replace(scene, first=b, second=a),
    }
    if a.colour != b.colour:
        changes["attribute-swap"] = replace(scene, first=replace(a, colour=b.colour), second=replace(b, colour=a.colour))
    what = chance.choice(sorted(changes))
    return what, captions(changes[what])[number]


class _Wording:
    """Phrases in another lexicon; base words stay where it has none."""

    def __init__(self, lexicon: Lexicon, chance: random.Random) -> None:
        self._lexicon, self._chance = lexicon, chance

    def phrase(self, group: Group) -> str:
        lexicon = self._lexicon
        kind = lexicon.kind.get(group.kind, group.kind)
        number = lexicon.number.get(group.count) or _NUMBER[group.count]
        size, colour = lexicon.size.get(group.size, group.size), lexicon.colour.get(group.colour, group.colour)
        return _join(number, size, colour, kind, group.count)

    def place(self, background: str) -> str:
        return self._lexicon.place.get(background, _PLACE[background])

    def relation(self, relation: str) -> str:
        return self._lexicon.relation[relation]


def _phrase(group: Group, size: bool = True) -> str:
    return _join(_NUMBER[group.count], group.size if size else "", group.colour, group.kind, group.count)


def _join(number: str, size: str, colour: str, kind: str, count: int) -> str:
    noun = kind if count == 1 else _PLURAL.get(kind, f"{kind}s")
    words = [word for word in (size, colour, noun) if word]
    article = "an" if number == "a" and words[0][0] in "aeiou" else number
    return " ".join([article, *words])


def _is(group: Group) -> str:
    return "is" if group.count == 1 else "are"


def _it(group: Group) -> str:
    return "it" if group.count == 1 else "them"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
