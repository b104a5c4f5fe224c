"""Draw a scene: soft backgrounds, small shaded drawings, three times too large and then reduced."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFilter

from parabench.data.scenes.scene import Group, Scene

SIZE = 256
_SCALE = 2
_CANVAS = SIZE * _SCALE

PALETTE = {
    "red": (218, 52, 50), "blue": (47, 98, 208), "green": (52, 150, 74), "yellow": (246, 203, 46),
    "purple": (134, 72, 176), "orange": (240, 130, 36), "white": (248, 248, 244), "black": (44, 44, 50),
}  # fmt: skip
_SKY = {
    "meadow": ((150, 205, 245), (222, 240, 250)), "beach": ((125, 200, 240), (225, 242, 248)),
    "snow": ((170, 190, 215), (225, 233, 242)), "night": ((16, 20, 58), (58, 60, 120)),
    "desert": ((250, 196, 138), (255, 232, 196)), "lake": ((160, 205, 225), (225, 238, 240)),
}  # fmt: skip
_GROUND = {
    "meadow": ((140, 195, 100), (96, 160, 74)), "beach": ((243, 222, 172), (228, 196, 136)),
    "snow": ((246, 249, 253), (214, 226, 240)), "night": ((44, 58, 66), (28, 38, 46)),
    "desert": ((232, 180, 110), (206, 146, 84)), "lake": ((92, 156, 196), (54, 112, 164)),
}  # fmt: skip
Colour = tuple[int, int, int]
Pen = ImageDraw.ImageDraw


def render(scene: Scene) -> Image.Image:
    """The picture of a scene, 256 × 256 RGB; the same scene gives the same picture."""
    chance = random.Random(scene.seed)
    image = _background(scene.background, chance)
    for group, box in zip((scene.first, scene.second), _halves(scene.relation), strict=True):
        _draw_group(image, group, box, chance)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def _shade(colour: Colour, factor: float) -> Colour:
    return tuple(max(0, min(255, round(c * factor if factor <= 1 else c + (255 - c) * (factor - 1)))) for c in colour)  # type: ignore[return-value]


def _gradient(top: Colour, bottom: Colour, height: int) -> Image.Image:
    column = Image.new("RGB", (1, max(2, height)))
    for y in range(column.height):
        t = y / (column.height - 1)
        column.putpixel((0, y), tuple(round(a + (b - a) * t) for a, b in zip(top, bottom, strict=True)))
    return column.resize((_CANVAS, max(2, height)))


def _background(name: str, chance: random.Random) -> Image.Image:
    horizon = round(_CANVAS * chance.uniform(0.40, 0.50))
    image = Image.new("RGB", (_CANVAS, _CANVAS))
    image.paste(_gradient(*_SKY[name], horizon), (0, 0))
    image.paste(_gradient(*_GROUND[name], _CANVAS - horizon), (0, horizon))
    pen = ImageDraw.Draw(image)
    if name == "meadow":
        for _ in range(90):
            x, y = chance.randrange(_CANVAS), chance.randrange(horizon + 8, _CANVAS)
            pen.line([(x, y), (x + chance.randint(-3, 3), y - chance.randint(5, 11))], fill=(84, 146, 64), width=2)
        pen.ellipse([-120, horizon - 36, 280, horizon + 90], fill=(128, 186, 96))
    elif name == "beach":
        pen.rectangle([0, horizon - 44, _CANVAS, horizon], fill=(64, 152, 200))
        for x in range(0, _CANVAS, 46):
            pen.arc([x, horizon - 14, x + 46, horizon + 12], 180, 360, fill=(250, 252, 252), width=5)
    elif name == "snow":
        pen.polygon([(0, horizon), (110, horizon - 96), (220, horizon)], fill=(196, 208, 226))
        pen.polygon([(150, horizon), (300, horizon - 130), (450, horizon)], fill=(206, 216, 232))
        for _ in range(60):
            x, y = chance.randrange(_CANVAS), chance.randrange(_CANVAS)
            pen.ellipse([x, y, x + 5, y + 5], fill=(255, 255, 255))
    elif name == "night":
        for _ in range(55):
            x, y = chance.randrange(_CANVAS), chance.randrange(horizon)
            pen.ellipse([x, y, x + 3, y + 3], fill=(238, 238, 216))
        pen.ellipse([420, 26, 476, 82], fill=(244, 240, 206))
        pen.ellipse([404, 18, 460, 74], fill=(26, 30, 72))
    elif name == "desert":
        pen.ellipse([60, 34, 128, 102], fill=(255, 244, 214))
        pen.ellipse([-60, horizon - 30, 320, horizon + 120], fill=(226, 172, 102))
        pen.ellipse([250, horizon - 18, 620, horizon + 120], fill=(218, 160, 92))
    else:
        pen.polygon([(0, horizon), (90, horizon - 60), (200, horizon - 20), (330, horizon - 74), (_CANVAS, horizon)],
                    fill=(112, 150, 128))  # fmt: skip
        for _ in range(30):
            x, y = chance.randrange(_CANVAS), chance.randrange(horizon + 12, _CANVAS)
            pen.line([(x, y), (x + chance.randint(18, 52), y)], fill=(134, 190, 220), width=2)
    return image


def _halves(relation: str) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
    c, margin = _CANVAS, 12
    if relation == "left":
        return (margin, c // 5, c // 2 - 8, c - 40), (c // 2 + 8, c // 5, c - margin, c - 40)
    return (margin, margin, c - margin, c // 2 - 10), (margin, c // 2 + 10, c - margin, c - margin)


def _draw_group(image: Image.Image, group: Group, box: tuple[int, int, int, int], chance: random.Random) -> None:
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    columns = group.count if width > height * 1.4 else min(group.count, 2)
    rows = math.ceil(group.count / columns)
    side = min(width / columns, height / rows) * 0.96
    # a large object is more than twice as wide as a small one, whatever the count
    side = min(side, 210.0) if group.size == "large" else min(side * 0.62, 74.0)
    if group.size == "large":
        side = max(side, 100.0)
    for number in range(group.count):
        row, column = divmod(number, columns)
        here = min(columns, group.count - row * columns)
        x = left + width * (column + 0.5) / here + chance.uniform(-6, 6)
        y = top + height * (row + 0.5) / rows + chance.uniform(-6, 6)
        _draw_object(image, group, x, y, side)


def _draw_object(image: Image.Image, group: Group, x: float, y: float, side: float) -> None:
    pixels = max(16, round(side))
    layer = Image.new("RGBA", (pixels, pixels), (0, 0, 0, 0))
    _DRAW[group.kind](ImageDraw.Draw(layer), pixels / 100, PALETTE[group.colour])
    outline = layer.getchannel("A").filter(ImageFilter.MaxFilter(3 if pixels < 90 else 5))
    dark = (225, 225, 230) if group.colour == "black" else (38, 34, 44)
    corner = (round(x - pixels / 2), round(y - pixels / 2))
    shadow = Image.new("L", (pixels, pixels), 0)
    ImageDraw.Draw(shadow).ellipse([pixels * 0.12, pixels * 0.86, pixels * 0.88, pixels * 0.99], fill=70)
    image.paste((20, 20, 30), corner, shadow)
    image.paste(dark, corner, outline)
    image.paste(layer, corner, layer)


def _scaled(s: float, *values: float) -> list[float]:
    return [value * s for value in values]


def _points(s: float, *values: float) -> list[tuple[float, float]]:
    return [(values[i] * s, values[i + 1] * s) for i in range(0, len(values), 2)]


def _ball(pen: Pen, s: float, c: Colour) -> None:
    pen.ellipse(_scaled(s, 6, 6, 94, 94), fill=c)
    pen.pieslice(_scaled(s, 6, 6, 94, 94), 60, 120, fill=_shade(c, 0.72))
    pen.pieslice(_scaled(s, 6, 6, 94, 94), 240, 300, fill=_shade(c, 0.72))
    pen.ellipse(_scaled(s, 24, 18, 44, 36), fill=_shade(c, 1.6))


def _house(pen: Pen, s: float, c: Colour) -> None:
    pen.rectangle(_scaled(s, 16, 42, 84, 94), fill=c)
    pen.polygon(_points(s, 6, 46, 50, 8, 94, 46), fill=_shade(c, 0.62))
    pen.rectangle(_scaled(s, 42, 64, 58, 94), fill=(112, 78, 52))
    for x in (23, 64):
        pen.rectangle(_scaled(s, x, 54, x + 13, 68), fill=(255, 240, 176))


def _tree(pen: Pen, s: float, c: Colour) -> None:
    pen.rectangle(_scaled(s, 43, 60, 57, 96), fill=(124, 84, 52))
    for box in ((10, 26, 58, 70), (42, 26, 90, 70), (22, 4, 78, 54)):
        pen.ellipse(_scaled(s, *box), fill=c)
    pen.ellipse(_scaled(s, 34, 14, 54, 30), fill=_shade(c, 1.35))


def _car(pen: Pen, s: float, c: Colour) -> None:
    pen.rounded_rectangle(_scaled(s, 3, 50, 97, 78), 9 * s, fill=c)
    pen.polygon(_points(s, 20, 52, 34, 27, 68, 27, 82, 52), fill=c)
    pen.polygon(_points(s, 29, 50, 38, 33, 49, 33, 49, 50), fill=(208, 232, 246))
    pen.polygon(_points(s, 53, 50, 53, 33, 65, 33, 73, 50), fill=(208, 232, 246))
    for x in (14, 64):
        pen.ellipse(_scaled(s, x, 65, x + 23, 88), fill=(42, 42, 46))
        pen.ellipse(_scaled(s, x + 7, 72, x + 16, 81), fill=(200, 200, 206))


def _boat(pen: Pen, s: float, c: Colour) -> None:
    pen.polygon(_points(s, 4, 68, 96, 68, 80, 92, 20, 92), fill=c)
    pen.line(_points(s, 48, 68, 48, 8), fill=(110, 78, 52), width=max(1, round(5 * s)))
    pen.polygon(_points(s, 53, 10, 53, 61, 90, 61), fill=_shade(c, 1.3))
    pen.polygon(_points(s, 43, 20, 43, 61, 14, 61), fill=_shade(c, 0.75))


def _balloon(pen: Pen, s: float, c: Colour) -> None:
    pen.line(_points(s, 50, 70, 46, 82, 52, 90, 49, 99), fill=(90, 80, 84), width=max(1, round(3 * s)))
    pen.polygon(_points(s, 50, 66, 43, 76, 57, 76), fill=_shade(c, 0.75))
    pen.ellipse(_scaled(s, 21, 2, 79, 70), fill=c)
    pen.ellipse(_scaled(s, 33, 12, 47, 30), fill=_shade(c, 1.6))


def _mushroom(pen: Pen, s: float, c: Colour) -> None:
    pen.rounded_rectangle(_scaled(s, 36, 46, 64, 95), 10 * s, fill=(244, 234, 212))
    pen.pieslice(_scaled(s, 6, 10, 94, 98), 180, 360, fill=c)
    for x, y, r in ((28, 32, 7), (52, 22, 8), (72, 38, 6)):
        pen.ellipse(_scaled(s, x - r, y - r, x + r, y + r), fill=(252, 248, 238) if sum(c) < 700 else (214, 204, 196))


def _umbrella(pen: Pen, s: float, c: Colour) -> None:
    pen.line(_points(s, 50, 20, 50, 84), fill=(92, 74, 60), width=max(2, round(5 * s)))
    pen.arc(_scaled(s, 32, 72, 52, 96), 0, 180, fill=(92, 74, 60), width=max(2, round(5 * s)))
    pen.pieslice(_scaled(s, 4, 6, 96, 98), 180, 360, fill=c)
    pen.pieslice(_scaled(s, 30, 6, 70, 98), 180, 360, fill=_shade(c, 0.75))


def _star(pen: Pen, s: float, c: Colour) -> None:
    corners: list[float] = []
    for n in range(10):
        radius, angle = (48 if n % 2 == 0 else 20), math.pi * (n / 5 - 0.5)
        corners += [50 + radius * math.cos(angle), 52 + radius * math.sin(angle)]
    pen.polygon(_points(s, *corners), fill=c)
    pen.ellipse(_scaled(s, 42, 40, 54, 52), fill=_shade(c, 1.5))


def _fish(pen: Pen, s: float, c: Colour) -> None:
    pen.polygon(_points(s, 66, 50, 97, 24, 97, 76), fill=_shade(c, 0.75))
    pen.polygon(_points(s, 34, 34, 52, 12, 62, 34), fill=_shade(c, 0.75))
    pen.ellipse(_scaled(s, 3, 26, 78, 74), fill=c)
    pen.ellipse(_scaled(s, 15, 38, 27, 50), fill=(255, 255, 255))
    pen.ellipse(_scaled(s, 18, 41, 24, 47), fill=(20, 20, 20))
    pen.arc(_scaled(s, 26, 34, 48, 66), 290, 70, fill=_shade(c, 0.62), width=max(1, round(3 * s)))


def _cat(pen: Pen, s: float, c: Colour) -> None:
    pen.arc(_scaled(s, 60, 44, 98, 92), 200, 90, fill=_shade(c, 0.8), width=max(2, round(8 * s)))
    pen.ellipse(_scaled(s, 22, 46, 78, 97), fill=c)
    pen.polygon(_points(s, 23, 30, 25, 4, 45, 18), fill=c)
    pen.polygon(_points(s, 77, 30, 75, 4, 55, 18), fill=c)
    pen.ellipse(_scaled(s, 20, 12, 80, 60), fill=c)
    eye, line = ((250, 250, 190), (230, 230, 230)) if sum(c) < 180 else ((30, 30, 30), (70, 60, 60))
    for x in (34, 58):
        pen.ellipse(_scaled(s, x, 30, x + 9, 41), fill=eye)
    pen.polygon(_points(s, 45, 44, 55, 44, 50, 50), fill=(236, 140, 150))
    for dy in (0, 6):
        pen.line(_points(s, 10, 43 + dy, 34, 46 + dy / 2), fill=line, width=max(1, round(2 * s)))
        pen.line(_points(s, 90, 43 + dy, 66, 46 + dy / 2), fill=line, width=max(1, round(2 * s)))


def _kite(pen: Pen, s: float, c: Colour) -> None:
    pen.line(_points(s, 50, 70, 42, 80, 56, 88, 46, 99), fill=(90, 80, 84), width=max(1, round(3 * s)))
    pen.polygon(_points(s, 50, 2, 84, 32, 50, 74, 16, 32), fill=c)
    pen.polygon(_points(s, 50, 2, 84, 32, 50, 32), fill=_shade(c, 0.75))
    pen.polygon(_points(s, 16, 32, 50, 32, 50, 74), fill=_shade(c, 1.3))


def _cup(pen: Pen, s: float, c: Colour) -> None:
    pen.arc(_scaled(s, 58, 34, 96, 72), 260, 100, fill=c, width=max(2, round(9 * s)))
    pen.polygon(_points(s, 12, 22, 76, 22, 68, 92, 20, 92), fill=c)
    pen.ellipse(_scaled(s, 12, 13, 76, 31), fill=_shade(c, 0.62))
    pen.ellipse(_scaled(s, 18, 17, 70, 29), fill=(98, 62, 40))


def _flower(pen: Pen, s: float, c: Colour) -> None:
    pen.line(_points(s, 50, 44, 50, 97), fill=(58, 130, 62), width=max(2, round(6 * s)))
    pen.ellipse(_scaled(s, 52, 68, 78, 82), fill=(74, 152, 76))
    for n in range(6):
        x, y = 50 + 21 * math.cos(n * math.pi / 3), 33 + 21 * math.sin(n * math.pi / 3)
        pen.ellipse(_scaled(s, x - 14, y - 14, x + 14, y + 14), fill=c)
    pen.ellipse(_scaled(s, 39, 22, 61, 44), fill=(250, 208, 70) if c != PALETTE["yellow"] else (132, 84, 44))


_DRAW: dict[str, Callable[[Pen, float, Colour], None]] = {
    "ball": _ball, "house": _house, "tree": _tree, "car": _car, "boat": _boat, "balloon": _balloon,
    "mushroom": _mushroom, "umbrella": _umbrella, "star": _star, "fish": _fish, "cat": _cat, "kite": _kite,
    "cup": _cup, "flower": _flower,
}  # fmt: skip
